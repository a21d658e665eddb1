//! What of a card is A2A 0.3's: members that 1.0 does not know, which clients and agents of that version live by.

use super::super::{Binding, Version};
use serde_json::{Map, Value, json};

/// Interfaces of one card that are looked at.
const INTERFACES_MAX: usize = 64;

/// One way to speak to an agent, as its card offers it. The URL is left out: a gateway knows its own.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Interface {
    /// How calls are written.
    pub binding: Binding,
    /// In which version.
    pub version: Version,
    /// The tenant that calls have to name; empty for none.
    pub tenant: String,
}

/// The interfaces that a card offers, in its order and each once: 1.0's list, and what 0.3 says at the top. Bindings and
/// versions that are not known here are left out.
pub fn interfaces(card: &Value) -> Vec<Interface> {
    let text = |value: &Value, name: &str| value[name].as_str().unwrap_or_default().to_owned();
    let listed = card["supportedInterfaces"].as_array().into_iter().flatten().map(|one| {
        let version = version(&text(one, "protocolVersion"))?;
        Some(Interface {
            binding: binding(&text(one, "protocolBinding"))?,
            version,
            tenant: text(one, "tenant"),
        })
    });
    let older = |transport: &str| {
        Some(Interface { binding: binding(transport)?, version: Version::V0_3, tenant: String::new() })
    };
    let preferred = card["url"].is_string().then(|| {
        let transport = text(card, "preferredTransport");
        older(if transport.is_empty() { Binding::JsonRpc.as_str() } else { &transport }) // 0.3 §5.5.1.
    });
    let more = card["additionalInterfaces"].as_array().into_iter().flatten();
    let more = more.map(|one| older(&text(one, "transport")));
    let mut found: Vec<Interface> = Vec::new();
    for interface in listed.chain(preferred).chain(more).flatten().take(INTERFACES_MAX) {
        if !found.contains(&interface) {
            found.push(interface);
        }
    }
    found
}

/// The members by which a client of 0.3 finds an agent at `url`. None: no interface is of 0.3.
pub fn members(interfaces: &[Interface], url: &str, extended: bool) -> Map<String, Value> {
    let mut members = Map::new();
    let mut older =
        interfaces.iter().filter(|one| one.version == Version::V0_3).map(|one| one.binding.as_str());
    let Some(first) = older.next() else { return members };
    let more: Vec<Value> = older.map(|transport| json!({"url": url, "transport": transport})).collect();
    members.insert("url".to_owned(), url.into());
    members.insert("preferredTransport".to_owned(), first.into());
    members.insert("protocolVersion".to_owned(), "0.3.0".into());
    if !more.is_empty() {
        members.insert("additionalInterfaces".to_owned(), more.into());
    }
    if extended {
        members.insert("supportsAuthenticatedExtendedCard".to_owned(), true.into());
    }
    members
}

/// A card in the words of 1.0, as a2a-sdk reads 0.3's: one member stands elsewhere there. All others that only 0.3 has
/// are nobody's word.
pub fn in_todays_words(card: &mut Value) {
    let Some(members) = card.as_object_mut() else { return };
    if members.remove("supportsAuthenticatedExtendedCard") == Some(Value::Bool(true))
        && let Some(Value::Object(capabilities)) = members.get_mut("capabilities")
    {
        capabilities.entry("extendedAgentCard").or_insert(Value::Bool(true));
    }
}

fn binding(name: &str) -> Option<Binding> {
    [Binding::JsonRpc, Binding::HttpJson, Binding::Grpc].into_iter().find(|known| known.as_str() == name)
}

fn version(text: &str) -> Option<Version> {
    [Version::V1_0, Version::V0_3].into_iter().find(|known| {
        let rest = text.strip_prefix(known.as_str());
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    })
}
