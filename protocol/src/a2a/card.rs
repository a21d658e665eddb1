//! An agent card (A2A 1.0 §4.4) as both official SDKs read it, and the bytes that its signatures cover (§8.4).
//!
//! What is signed is not the text that was sent but a form made from it: the members that A2A 1.0 knows, without those
//! that say nothing. So a reader that kept more than that would keep what nobody vouches for, and one that read a member
//! in another way than the signer would believe what was never signed. [`Card::read`] keeps what is known and refuses what
//! two readers read in two ways. `protocol/tests/a2a/cards` has what the SDKs sign.

mod answer;
pub mod older;
mod signature;

pub use answer::in_answer;
pub use older::{Interface, interfaces};
pub use signature::{CardSignature, HeaderError, ProtectedHeader};

use super::schema::{CARD, Field, Kind, Message};
use serde_json::{Map, Number, Value};

/// Objects and arrays that may stand inside one another in a card. a2a-sdk reads no more than 100.
pub const DEPTH_MAX: usize = 64;

/// A member that JavaScript takes for an object's prototype: one of the SDKs signs it, the other does not see it.
const PROTOTYPE: &str = "__proto__";

/// Why a card is not read. A path is the members' names from the top, with dots.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CardError {
    /// A2A's JSON forms differ by it, and readers guess: some make a text of a number.
    #[error("{path} is not of the type that A2A gives it")]
    Type {
        /// Which member.
        path: String,
    },
    /// ProtoJSON allows `supported_interfaces` for `supportedInterfaces`; with both there, readers differ.
    #[error("{path} is written with its other name")]
    OtherName {
        /// Which member.
        path: String,
    },
    /// A oneof: which of two counts is the reader's choice.
    #[error("{path} is more than one thing at once")]
    Choice {
        /// Which member.
        path: String,
    },
    /// A key that some readers drop.
    #[error("{path} has a reserved key")]
    ReservedKey {
        /// Which object.
        path: String,
    },
    /// Deeper than [`DEPTH_MAX`].
    #[error("the card is nested too deep")]
    Depth,
}

/// A card's members that A2A 1.0 knows, each of its type, and its signatures, not yet verified.
#[derive(Clone, Debug, PartialEq)]
pub struct Card {
    members: Map<String, Value>,
    signatures: Vec<CardSignature>,
}

impl Card {
    /// Reads a card from JSON in which no object repeats a key. Members that A2A 1.0 does not know (0.3's are among them)
    /// and those that are null are left out.
    ///
    /// # Errors
    /// [`CardError`], the first one found.
    pub fn read(card: &Value) -> Result<Self, CardError> {
        let mut members = message(&CARD, card, "card", 1)?;
        let signatures = match members.remove("signatures") {
            Some(Value::Array(signatures)) => signatures.iter().map(CardSignature::of).collect(),
            _ => Vec::new(),
        };
        Ok(Self { members, signatures })
    }

    /// The card's members, without its signatures.
    pub fn members(&self) -> &Map<String, Value> {
        &self.members
    }

    /// A card of other members: one that is written anew. Its signatures are the writer's to make.
    pub fn of(members: Map<String, Value>) -> Self {
        Self { members, signatures: Vec::new() }
    }

    /// What a pin holds to: the signed form, less the URLs of the interfaces, which say where the agent is and not what it is.
    ///
    /// # Errors
    /// As [`Self::canonical`].
    pub fn promised(&self) -> Result<Vec<u8>, serde_json::Error> {
        let mut members = self.members.clone();
        if let Some(Value::Array(interfaces)) = members.get_mut("supportedInterfaces") {
            for interface in interfaces.iter_mut().filter_map(Value::as_object_mut) {
                interface.remove("url");
            }
        }
        Self::of(members).canonical()
    }

    /// Its signatures, in their order. One good one is enough (§8.4.3).
    pub fn signatures(&self) -> &[CardSignature] {
        &self.signatures
    }

    /// The payload of its signatures: RFC 8785's form of the members that say something.
    ///
    /// # Errors
    /// Where a number can't be written, which [`Card::read`] gives no occasion for.
    pub fn canonical(&self) -> Result<Vec<u8>, serde_json::Error> {
        let said =
            self.members.iter().filter_map(|(name, value)| Some((name.clone(), said(value)?))).collect();
        serde_json_canonicalizer::to_vec(&Value::Object(said))
    }
}

/// The known members of a message.
fn message(
    shape: &Message,
    value: &Value,
    path: &str,
    depth: usize,
) -> Result<Map<String, Value>, CardError> {
    let Value::Object(object) = value else { return Err(CardError::Type { path: path.to_owned() }) };
    if depth > DEPTH_MAX {
        return Err(CardError::Depth);
    }
    let (mut members, mut chosen) = (Map::new(), 0_usize);
    for (name, value) in object {
        let below = || format!("{path}.{name}");
        let Some(field) = shape.named(name) else {
            if name.contains('_') && shape.named(&camel_case(name)).is_some() {
                return Err(CardError::OtherName { path: below() });
            }
            continue;
        };
        if value.is_null() {
            continue;
        }
        if let Some(value) = member(field, value, &below(), depth.saturating_add(1))? {
            chosen = chosen.saturating_add(usize::from(field.one_of));
            members.insert(name.clone(), value);
        }
    }
    if chosen > 1 { Err(CardError::Choice { path: path.to_owned() }) } else { Ok(members) }
}

/// A member's value, or none where it has the default that counts as absent.
fn member(field: &Field, value: &Value, path: &str, depth: usize) -> Result<Option<Value>, CardError> {
    if !field.repeated {
        let says_nothing = !field.optional && *value == Value::Bool(false);
        return Ok(Some(read(&field.kind, value, path, depth)?).filter(|_| !says_nothing));
    }
    let Value::Array(values) = value else { return Err(CardError::Type { path: path.to_owned() }) };
    if depth > DEPTH_MAX {
        return Err(CardError::Depth);
    }
    let below = depth.saturating_add(1);
    let items: Result<_, _> = values.iter().map(|value| read(&field.kind, value, path, below)).collect();
    items.map(|items| Some(Value::Array(items)))
}

/// One value.
fn read(kind: &Kind, value: &Value, path: &str, depth: usize) -> Result<Value, CardError> {
    if depth > DEPTH_MAX {
        return Err(CardError::Depth);
    }
    Ok(match (kind, value) {
        (Kind::Text, Value::String(_)) | (Kind::Bool, Value::Bool(_)) => value.clone(),
        (Kind::Message(shape), _) => Value::Object(message(shape, value, path, depth)?),
        (Kind::Map(kind), Value::Object(values)) => {
            let mut found = Map::new();
            for (name, value) in values {
                if name == PROTOTYPE {
                    return Err(CardError::ReservedKey { path: path.to_owned() });
                }
                let value = read(kind, value, &format!("{path}.{name}"), depth.saturating_add(1))?;
                found.insert(name.clone(), value);
            }
            Value::Object(found)
        }
        (Kind::Struct, Value::Object(_)) => {
            free(value, path, depth)?;
            value.clone()
        }
        _ => return Err(CardError::Type { path: path.to_owned() }),
    })
}

/// Whether free JSON is nested no deeper than a card may be, and has no key that one of the SDKs drops.
fn free(value: &Value, path: &str, depth: usize) -> Result<(), CardError> {
    match value {
        Value::Array(_) | Value::Object(_) if depth > DEPTH_MAX => Err(CardError::Depth),
        Value::Array(values) => {
            values.iter().try_for_each(|value| free(value, path, depth.saturating_add(1)))
        }
        Value::Object(members) if members.contains_key(PROTOTYPE) => {
            Err(CardError::ReservedKey { path: path.to_owned() })
        }
        Value::Object(members) => {
            members.values().try_for_each(|value| free(value, path, depth.saturating_add(1)))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Ok(()),
    }
}

/// A value without what says nothing: null, "", [] and {}, and what becomes one of them. Zero and false say something.
fn said(value: &Value) -> Option<Value> {
    match value {
        Value::Null => None,
        Value::Bool(_) => Some(value.clone()),
        Value::String(text) => (!text.is_empty()).then(|| value.clone()),
        // Both SDKs hold a number as a double.
        Value::Number(number) => Number::from_f64(number.as_f64()?).map(Value::Number),
        Value::Array(values) => {
            let values: Vec<Value> = values.iter().filter_map(said).collect();
            (!values.is_empty()).then_some(Value::Array(values))
        }
        Value::Object(members) => {
            let members: Map<String, Value> =
                members.iter().filter_map(|(name, value)| Some((name.clone(), said(value)?))).collect();
            (!members.is_empty()).then_some(Value::Object(members))
        }
    }
}

/// `supported_interfaces` as `supportedInterfaces`.
fn camel_case(name: &str) -> String {
    let mut parts = name.split('_');
    let mut made = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let mut letters = part.chars();
        made.extend(letters.next().map(|first| first.to_ascii_uppercase()));
        made.push_str(letters.as_str());
    }
    made
}

#[cfg(test)]
mod tests;
