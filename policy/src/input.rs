//! The `input` document as types: what a policy sees of one call. `docs/policy-input.md` is its reference, and
//! `docs/policy-input.schema.json` is generated from here. A policy's tests may give any other document.

mod agent;

pub use agent::{
    A2aCallInput, CardInput, ConfigurationInput, ListInput, MessageInput, OwnerInput, PartInput, PushInput,
    SkillInput, TaskInput,
};

use std::net::IpAddr;
use std::time::SystemTime;

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde::ser::Error;
use serde::{Serialize, Serializer};
use serde_json::{Map, Value};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// What a Sallyport policy sees as `input`: who calls, for whom, and what. Nothing in it is a mere claim.
#[derive(Clone, Copy, Debug, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields, title = "Sallyport policy input")]
pub struct Input<'a> {
    /// The workload at the other end of the connection, from its certificate.
    pub caller: CallerInput<'a>,
    /// Whom the accepted access token names. Null: no token came, and the workload acts for itself.
    pub subject: Option<SubjectInput<'a>>,
    /// The token's `act` chain, the last to act first, if its issuer is believed in that. Does not hold the caller.
    pub actors: &'a [String],
    /// What is asked.
    pub call: CallInput<'a>,
    /// Always null today.
    pub session: (),
    /// What else is known of the request.
    pub request: RequestInput<'a>,
}

/// The calling workload.
#[derive(Clone, Copy, Debug, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct CallerInput<'a> {
    /// Its SPIFFE ID.
    pub spiffe_id: &'a str,
    /// Its trust domain, as `prod.example`.
    pub trust_domain: &'a str,
    /// The segments of the SPIFFE ID's path.
    pub path: &'a [&'a str],
}

/// Whom an access token names.
#[derive(Clone, Copy, Debug, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct SubjectInput<'a> {
    /// Who issued the token. A `sub` means something together with it only.
    pub iss: &'a str,
    /// The person or service.
    pub sub: &'a str,
    /// The token's scopes: sorted, each once, maybe none.
    pub scopes: &'a [&'a str],
    /// The groups that the token names, in its order, where the issuer's `claims.groups` says which claim that is.
    pub groups: &'a [String],
    /// The tenant that the token names, where the issuer's `claims.tenant` says which claim that is.
    pub tenant: Option<&'a str>,
    /// Every claim of the token as it came.
    pub claims: &'a Map<String, Value>,
}

/// What is asked, by its protocol.
#[derive(Clone, Copy, Debug, Serialize, JsonSchema)]
#[serde(untagged)]
#[expect(clippy::large_enum_variant, reason = "one stands on the stack for the time of a question")]
pub enum CallInput<'a> {
    /// Of an MCP server.
    Mcp(McpCallInput<'a>),
    /// Of an A2A agent.
    A2a(A2aCallInput<'a>),
}

/// A call to an MCP server. It touches a tool, a resource, a prompt, or none of them.
#[derive(Clone, Copy, Debug, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct McpCallInput<'a> {
    /// `mcp`.
    #[schemars(extend("const" = "mcp"))]
    pub protocol: &'a str,
    /// The protocol's version, as `2026-07-28`.
    pub version: &'a str,
    /// The JSON-RPC method; `session/stream` for a GET, `session/end` for a DELETE.
    pub method: &'a str,
    /// The name after `/mcp/`, whether or not there is such a server.
    pub server: &'a str,
    /// The tool. Absent unless the question is about a tool.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tool: Option<ToolInput<'a>>,
    /// The resource. Absent unless the question is about a resource.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource: Option<ResourceInput<'a>>,
    /// The prompt. Absent unless the question is about a prompt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prompt: Option<PromptInput<'a>>,
    /// What else policy sees of the parameters. Absent if there is nothing, and in every question of `visible`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub arguments: Option<&'a Value>,
}

/// A tool.
#[derive(Clone, Copy, Debug, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct ToolInput<'a> {
    /// Its name.
    pub name: &'a str,
    /// Always `{}` today.
    pub annotations: Annotations,
    /// Always empty today.
    pub labels: &'a [String],
    /// Always null today.
    pub digest: (),
    /// Always false today.
    pub pinned: bool,
}

/// What a pin says of a tool: nothing today.
#[derive(Clone, Copy, Debug, Default, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Annotations {}

/// A resource.
#[derive(Clone, Copy, Debug, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct ResourceInput<'a> {
    /// Its URI; for a resource template, its `uriTemplate`.
    pub uri: &'a str,
}

/// A prompt.
#[derive(Clone, Copy, Debug, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct PromptInput<'a> {
    /// Its name.
    pub name: &'a str,
}

/// The request around the call. Not a session's, so it is another one each time.
#[derive(Clone, Copy, Debug, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct RequestInput<'a> {
    /// When the request was complete.
    pub time: Moment,
    /// The other end of the socket; no header is believed.
    pub ip: Option<IpAddr>,
    /// The trace that `params._meta.traceparent` names. The caller chose it: good for finding, not for deciding.
    pub trace_id: Option<&'a str>,
}

/// A moment, written as RFC 3339 in UTC when it is looked at and not before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
#[schemars(with = "String", extend("format" = "date-time"))]
pub struct Moment(pub SystemTime);

impl Serialize for Moment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let text = OffsetDateTime::from(self.0).format(&Rfc3339).map_err(S::Error::custom)?;
        serializer.serialize_str(&text)
    }
}

impl<'a> ToolInput<'a> {
    /// A tool of which nothing but its name is proved, which today is every tool.
    pub fn named(name: &'a str) -> Self {
        Self { name, annotations: Annotations {}, labels: &[], digest: (), pinned: false }
    }
}

/// The JSON Schema (2020-12) of [`Input`], closed: a member that isn't in it is none.
pub fn input_schema() -> Value {
    SchemaSettings::draft2020_12().for_serialize().into_generator().into_root_schema_for::<Input<'_>>().into()
}
