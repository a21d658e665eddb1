//! The agents' part of the configuration file.

use super::{CardFile, SubjectFile};
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::BTreeMap;

/// An A2A agent behind the gateway.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AgentFile {
    /// Where it is spoken to; at least one. Callers may use these bindings and no others.
    pub interfaces: InterfacesFile,
    /// A host name of the gateway that is this agent's over gRPC, as `trainer.gateway.example`: a request with that authority is
    /// for it, and the request's tenant is its own. Callers need that name in DNS and in the gateway's certificate. Default:
    /// none, and over gRPC the tenant names the agent.
    pub host: Option<String>,
    /// The SPIFFE ID that it must prove at each of them. Its host names are not checked.
    pub spiffe_id: String,
    /// Whom its credentials are for. Default: its SPIFFE ID, so that it can call onward with them.
    pub audience: Option<String>,
    /// Other audiences that a policy's obligation may choose.
    #[serde(default)]
    pub audiences: Vec<String>,
    /// Whether a call needs a subject token.
    #[serde(default)]
    pub subject: SubjectFile,
    /// The scopes to ask for an operation's credential, by its name in A2A 1.0, as `SendMessage`. Default:
    /// `<agent>:<operation>`.
    #[serde(default)]
    pub scopes: BTreeMap<String, Vec<String>>,
    /// Who makes contexts. Default `agent`.
    #[serde(default)]
    pub contexts: ContextsFile,
    /// Which tenants a call may name. Default `subject`.
    #[serde(default)]
    pub tenants: TenantsFile,
    /// How callers name a skill of the agent. Default: not at all, and policy sees no skill.
    pub skill: Option<SkillFile>,
    /// Its card.
    #[serde(default)]
    pub card: CardFile,
    /// URIs of the extensions that its card may require of callers. An agent whose card requires another is not called.
    #[serde(default)]
    pub extensions: Vec<String>,
    /// How task events get to where a caller wants them. Default `relay`.
    #[serde(default)]
    pub push: PushFile,
    /// How it is looked whether it answers. That is told and decides nothing.
    #[serde(default)]
    pub health: HealthFile,
}

/// How callers name a skill of an agent. It is their word.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum SkillFile {
    /// The name of a member of the message's metadata, which holds the skill's id.
    Member(String),
    /// Another way.
    By(SkillByFile),
}

/// How callers name a skill, if no member of their messages' metadata does: one of these.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SkillByFile {
    /// The URI of an extension: the message's metadata has the skill's id under `<URI>/skill`, or under the URI, as a text or as
    /// the member `skill` of an object.
    pub extension: Option<String>,
    /// Which skill each of the agent's interfaces is, by the tenant that tells them apart; `""` is the one without a tenant.
    /// A tenant that isn't here names no skill.
    #[serde(default)]
    pub interfaces: BTreeMap<String, String>,
}

/// How it is looked whether an agent answers.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HealthFile {
    /// How often it is connected to, as `30s`; `0s`: never. Default `30s`.
    pub interval: Option<String>,
    /// How long a connection may take. Default `5s`.
    pub timeout: Option<String>,
}

/// Where an agent is spoken to.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct InterfacesFile {
    /// Its JSON-RPC endpoint (https).
    pub jsonrpc: Option<String>,
    /// What its HTTP+JSON paths begin with (https), without `/message:send`.
    pub http_json: Option<String>,
    /// Host and port of its gRPC interface, as an https URL without a path. Callers name the agent by its `host`, or by the
    /// tenant of their requests: `<agent>`, or `<agent>/<tenant>` where the agent has tenants of its own.
    pub grpc: Option<String>,
}

/// Who makes contexts.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum ContextsFile {
    /// The agent: a caller can name only one that the agent gave it.
    #[default]
    Agent,
    /// A caller may make one up, and owns it from then on.
    Claim,
}

/// Which of an agent's tenants a call may name.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum TenantsFile {
    /// None but the subject's, where its token names one (an issuer's `claims.tenant`).
    #[default]
    Subject,
    /// Any that policy allows: the agent's tenants are not the token's.
    Any,
}

/// How an agent's task events get to where a caller wants them.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum PushFile {
    /// By way of the gateway, to the targets that `push.allow` has.
    #[default]
    Relay,
    /// Not at all: a call that asks for it is refused.
    Off,
    /// Straight to the URL that the caller names, past the gateway.
    Direct,
}
