//! An object's members, borrowed and unparsed: how calls and answers are peeked at.

use super::folded;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;

/// The members of one object, in order.
pub(crate) struct Members<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

/// Why it can't be said what an object holds under a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MemberError {
    /// The key stands there twice.
    Duplicate,
    /// A key stands there that differs in case only: some readers take it for the key.
    CaseVariant,
}

impl<'a> Members<'a> {
    /// None: not an object.
    pub(crate) fn of(value: &'a RawValue) -> Option<Self> {
        Self::of_text(value.get())
    }

    /// None: not an object.
    pub(crate) fn of_text(text: &'a str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }

    /// Each of them, in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &'a RawValue)> {
        self.0.iter().map(|(name, value)| (name.as_ref(), *value))
    }

    /// Whether there is nothing but these.
    pub(crate) fn are_among(&self, keys: &[&str]) -> bool {
        self.0.iter().all(|(name, _)| keys.contains(&name.as_ref()))
    }

    /// What stands under all keys.
    pub(crate) fn values(&self) -> impl Iterator<Item = &'a RawValue> {
        self.0.iter().map(|(_, value)| *value)
    }

    /// What stands under `key`, `null` included.
    pub(crate) fn get(&self, key: &str) -> Result<Option<&'a RawValue>, MemberError> {
        let mut found = None;
        for (name, value) in &self.0 {
            if name == key {
                if found.replace(*value).is_some() {
                    return Err(MemberError::Duplicate);
                }
            } else if is_same_folded(name, key) {
                return Err(MemberError::CaseVariant);
            }
        }
        Ok(found)
    }
}

/// Whether two keys are the same but for case.
pub(crate) fn is_same_folded(name: &str, key: &str) -> bool {
    if name.is_ascii() { name.eq_ignore_ascii_case(key) } else { folded(name) == folded(key) }
}

/// A string's content. None: not a string.
pub(crate) fn string(value: &RawValue) -> Option<Cow<'_, str>> {
    let text = value.get();
    match text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
        Some(inner) if !inner.contains('\\') => Some(Cow::Borrowed(inner)),
        Some(_) => serde_json::from_str(text).ok().map(Cow::Owned),
        None => None,
    }
}

#[derive(serde::Deserialize)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some((Key(name), value)) = map.next_entry::<Key<'de>, &'de RawValue>()? {
                    members.push((name, value));
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Object)
    }
}
