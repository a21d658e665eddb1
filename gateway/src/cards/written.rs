//! A card written anew: all that it says of the agent, no way to the agent but through the gateway, and the gateway's word
//! for it. Nothing that A2A 1.0 doesn't know is passed on, since no signature covers it.

use super::CardError;
use crate::config::agents::Agent;
use crate::route::CARD_KEYS;
use protocol::a2a::card::{Card, Interface, older};
use protocol::a2a::{Binding, Version};
use serde_json::{Map, Value, json};
use tokens::{Secret, SigningError, SigningKey};

/// Signs what the gateway serves, and what it sends for agents.
#[derive(Clone, Debug)]
pub struct Signer {
    key: SigningKey,
    url: String,
}

impl Signer {
    /// For a gateway of this URL, which publishes the key below it. Without a key, one of the moment is made.
    ///
    /// # Errors
    /// [`CardError`] if there is no randomness for a key.
    pub fn new(key: Option<SigningKey>, url: &str) -> Result<Self, CardError> {
        Ok(Self { key: key.map_or_else(SigningKey::generate, Ok)?, url: url.to_owned() })
    }

    /// The JWK set that verifies what it signs.
    pub(super) fn jwks(&self) -> Value {
        SigningKey::jwks([&self.key])
    }

    /// A token in the gateway's name.
    ///
    /// # Errors
    /// [`SigningError`].
    pub(crate) fn token(&self, typ: &str, mut claims: Map<String, Value>) -> Result<Secret, SigningError> {
        claims.insert("iss".to_owned(), self.url.as_str().into());
        self.key.sign(typ, &claims)
    }

    /// A card of an agent as callers get it. `pushes`: callers may ask for its tasks' events. `offered`: the interfaces that the agent's own card has; `shown` says of each
    /// skill whether it is in it.
    ///
    /// # Errors
    /// [`CardError`].
    pub(super) fn written(
        &self,
        card: &Card,
        offered: &[Interface],
        agent: &Agent,
        pushes: bool,
        shown: impl FnMut(&Value) -> bool,
    ) -> Result<Map<String, Value>, CardError> {
        let offered: Vec<Interface> =
            offered.iter().filter(|one| agent.interface(one.binding).is_some()).cloned().collect();
        if offered.is_empty() {
            return Err(CardError::Interfaces);
        }
        let url = format!("{}/a2a/{}", self.url, agent.name);
        let mut members = card.members().clone();
        let interfaces: Vec<Value> = offered.iter().map(|one| self.interface(one, &url, agent)).collect();
        members.insert("supportedInterfaces".to_owned(), interfaces.into());
        // No more than mutual TLS: what it takes to get a token is in the metadata that a 401 names.
        members.insert("securitySchemes".to_owned(), json!({"mtls": {"mtlsSecurityScheme": {}}}));
        members.insert("securityRequirements".to_owned(), json!([{"schemes": {"mtls": {}}}]));
        if let Some(Value::Array(skills)) = members.get_mut("skills") {
            let mut shown = shown;
            skills.retain(|skill| shown(skill));
            for skill in skills.iter_mut().filter_map(Value::as_object_mut) {
                skill.remove("securityRequirements");
            }
        }
        let mut extended = false;
        if let Some(Value::Object(capabilities)) = members.get_mut("capabilities") {
            extended = capabilities.get("extendedAgentCard") == Some(&Value::Bool(true));
            if !pushes && capabilities.contains_key("pushNotifications") {
                capabilities.insert("pushNotifications".to_owned(), false.into());
            }
        }
        let card = Card::of(members);
        let (protected, signature) =
            self.key.sign_detached(&format!("{}{CARD_KEYS}", self.url), &card.canonical()?)?;
        let mut members = card.members().clone();
        members.insert("signatures".to_owned(), json!([{"protected": protected, "signature": signature}]));
        members.extend(older::members(&offered, &url, extended));
        Ok(members)
    }

    /// gRPC's paths are fixed, so there the agent's host names it, and the tenant is its own; without a host the tenant does.
    fn interface(&self, one: &Interface, url: &str, agent: &Agent) -> Value {
        let (url, tenant) = match (one.binding, &agent.host) {
            (Binding::Grpc, Some(host)) => (host.url.as_str(), one.tenant.as_str()),
            (Binding::Grpc, None) => (self.url.as_str(), agent.name.as_str()),
            (Binding::JsonRpc | Binding::HttpJson, _) => (url, one.tenant.as_str()),
        };
        let version = match one.version {
            Version::V1_0 => "1.0",
            Version::V0_3 => "0.3",
        };
        let mut interface =
            json!({"url": url, "protocolBinding": one.binding.as_str(), "protocolVersion": version});
        if !tenant.is_empty() {
            interface["tenant"] = tenant.into();
        }
        interface
    }
}
