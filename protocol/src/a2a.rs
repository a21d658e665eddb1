//! A2A over JSON-RPC, HTTP+JSON and gRPC, in the versions 1.0 and 0.3: one HTTP request becomes a [`Call`] that looks
//! the same whatever it was written in. The tables of `schema` say what each message may hold; anything else is refused,
//! because nobody would judge it.

mod ask;
pub mod card;
mod error;
mod event;
pub mod grpc;
mod headers;
mod methods;
mod moment;
mod older;
mod push;
mod read;
mod reply;
mod rest;
mod rpc;
mod schema;
mod shape;
mod wire;

pub use ask::{Asked, get_task, task};
pub use error::{DecodeError, ErrorKind, Fault};
pub use event::{Event, EventError, EventKind, event, is_final};
pub use grpc::{SERVICE, frame, tenant_of, unframed, with_tenant};
pub use methods::{Method, MethodRow, methods};
pub use push::{Hidden, pushed, with_configs, with_push_url};
pub use reply::{Reply, reply, result};
pub use rest::Target;
pub use wire::WireError;

use crate::json;
use http::HeaderMap;
use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

/// How a call is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Binding {
    /// JSON-RPC 2.0 over HTTP POST.
    JsonRpc,
    /// A path for each operation.
    HttpJson,
    /// gRPC, over HTTP/2.
    Grpc,
}

/// A version of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Version {
    /// `1.0`.
    V1_0,
    /// `0.3`: what a call without `A2A-Version` is taken for (A2A 1.0 §3.6).
    V0_3,
}

/// Bounds of the decoder.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// For JSON, and for how deep protobuf messages stand inside one another.
    pub json: json::Limits,
}

/// One HTTP request to an agent. The path is what stands behind the agent's own, percent-encoded as it came.
#[derive(Clone, Copy, Debug)]
pub struct HttpRequest<'a> {
    /// HTTP method.
    pub method: &'a http::Method,
    /// Empty for JSON-RPC; `/message:send` and the like; `/lf.a2a.v1.A2AService/SendMessage` for gRPC.
    pub path: &'a str,
    /// The query, if there is one.
    pub query: Option<&'a str>,
    /// All header fields.
    pub headers: &'a HeaderMap,
    /// The whole body.
    pub body: &'a [u8],
}

/// What a caller asks of an agent. It owns its parts; the body's bytes are not kept.
#[derive(Clone, Debug)]
pub struct Call {
    /// How it was written.
    pub binding: Binding,
    /// In which version.
    pub version: Version,
    /// What it asks for.
    pub method: Method,
    /// The JSON-RPC request's id, as written.
    pub id: Option<Box<RawValue>>,
    /// The tenant that path or body name.
    pub tenant: Option<String>,
    /// The task that it is about; for a message, the one that it goes on with.
    pub task: Option<String>,
    /// The context that it belongs to, or that a list is asked of.
    pub context: Option<String>,
    /// The push configuration that it names.
    pub push_id: Option<String>,
    /// The message that it brings.
    pub message: Option<Message>,
    /// How the answer should be.
    pub configuration: Configuration,
    /// `metadata` beside the message.
    pub metadata: Option<Map<String, Value>>,
    /// What a list is asked for.
    pub list: Option<List>,
    /// Where a task's events should be sent.
    pub push: Option<Push>,
    /// The extensions that the caller declares (`A2A-Extensions`), in its order.
    pub extensions: Vec<String>,
    /// Where it goes at an agent's HTTP+JSON interface; none in the other bindings.
    pub target: Option<Target>,
}

/// A message.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Message {
    /// Made up by its author.
    pub id: String,
    /// Who speaks.
    pub role: Role,
    /// At least one.
    pub parts: Vec<Part>,
    /// Anything that its author adds.
    pub metadata: Option<Map<String, Value>>,
    /// URIs of the extensions that it uses.
    pub extensions: Vec<String>,
    /// Other tasks that it refers to.
    pub references: Vec<String>,
}

/// Who speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// The caller.
    User,
    /// The agent.
    Agent,
}

/// A part of a message.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Part {
    /// What it holds.
    pub content: Content,
    /// A file's name.
    pub name: Option<String>,
    /// Its media type, as its author says.
    pub media_type: Option<String>,
    /// Anything that its author adds.
    pub metadata: Option<Map<String, Value>>,
}

/// What a part holds.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Content {
    /// Text.
    Text(String),
    /// A file's bytes, of which only the number is kept.
    Bytes(usize),
    /// A file at a URL.
    Url(String),
    /// JSON.
    Data(Value),
}

/// How an answer should be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Configuration {
    /// Media types.
    pub output_modes: Vec<String>,
    /// Messages of a task's history that the answer holds at most.
    pub history_length: Option<i32>,
    /// Whether the answer waits until the task rests. None: the version's default.
    pub blocking: Option<bool>,
}

/// Where an agent should send a task's events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Push {
    /// As the caller or the agent named it.
    pub id: Option<String>,
    /// Where to.
    pub url: String,
    /// How the agent proves itself there, as `Bearer`.
    pub schemes: Vec<String>,
    /// What is shown there with the first of them.
    pub credentials: Option<Hidden>,
    /// What the receiver knows its events by.
    pub token: Option<Hidden>,
}

/// What a list of tasks is asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct List {
    /// Of this state only, as `TASK_STATE_WORKING`.
    pub status: Option<String>,
    /// Tasks on a page.
    pub page_size: Option<i32>,
    /// Where the page before ended.
    pub page_token: Option<String>,
    /// Changed since; RFC 3339.
    pub after: Option<String>,
    /// Whether tasks come with their artifacts.
    pub include_artifacts: bool,
}

impl Binding {
    /// As a card names it (A2A 1.0 §4.4.6).
    pub fn as_str(self) -> &'static str {
        match self {
            Self::JsonRpc => "JSONRPC",
            Self::HttpJson => "HTTP+JSON",
            Self::Grpc => "GRPC",
        }
    }
}

impl Version {
    /// As `A2A-Version` has it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::V1_0 => "1.0",
            Self::V0_3 => "0.3",
        }
    }
}

/// Decodes one HTTP request to an agent.
///
/// # Errors
/// [`DecodeError`], which knows the protocol's error and, if it could be read, the request's id.
pub fn call(request: &HttpRequest<'_>, limits: &Limits) -> Result<Call, DecodeError> {
    match binding(request.path) {
        Binding::JsonRpc => rpc::call(request, limits),
        Binding::HttpJson => rest::call(request, limits).map_err(DecodeError::from),
        Binding::Grpc => grpc::call(request, limits).map_err(DecodeError::from),
    }
}

/// How a request is written, which its path says: also of one that turns out to be no call.
pub fn binding(path: &str) -> Binding {
    match path {
        "" | "/" => Binding::JsonRpc,
        path if path.starts_with(grpc::PREFIX) => Binding::Grpc,
        _ => Binding::HttpJson,
    }
}

/// The version that a refusal is written in: what the caller asks for if that is spoken here, else the latest.
pub fn version_of(headers: &HeaderMap, query: Option<&str>) -> Version {
    headers::version(headers, query, Binding::JsonRpc).unwrap_or(Version::V1_0)
}

#[cfg(test)]
mod tests;
