//! MCP over Streamable HTTP, both eras: one HTTP request to `/mcp/<server>` becomes a [`Call`].
//! What the call does is read from the body, as the upstream will read it. Headers that say otherwise are refused
//! (2026-07-28, Streamable HTTP, Server Validation).

mod error;
mod headers;
mod list;
mod merge;
mod methods;
mod params;
mod rename;
mod server;
mod watch;

pub use error::{DecodeError, Fault};
pub use list::Item;
pub use merge::{Asked, Page, Reply, negotiated};
pub use methods::{Arguments, Form, MethodRow, TargetKind, methods};
pub use rename::{Named, name_header};
pub use server::{MessageError, ServerMessage, ServerRequest, Unasked};
pub use watch::Watch;

use crate::json::{self, Members};
use crate::jsonrpc::{self, Envelope};
use headers::Headers;
use http::{HeaderMap, Method};
use params::{Meta, Params};
use serde_json::Value;
use serde_json::value::RawValue;

/// Bounds and leniencies of the decoder.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// For the body.
    pub json: json::Limits,
    /// Whether keys below `params.arguments` may differ in case only.
    pub case_variants_in_arguments: bool,
    /// Whether the client may answer what a server asks: only if the server may ask.
    pub client_answers: bool,
}

/// What stage 4 knows of one HTTP request to `/mcp/<server>`.
#[derive(Clone, Copy, Debug)]
pub struct HttpRequest<'a> {
    /// POST, or GET and DELETE of the older versions.
    pub method: &'a Method,
    /// All of them.
    pub headers: &'a HeaderMap,
    /// The whole body; empty for GET and DELETE.
    pub body: &'a [u8],
}

/// What a client asks for. It owns its parts; the body's bytes are not kept.
#[derive(Clone, Debug)]
pub struct Call {
    /// The version that the call is made in. For `initialize` the one that the client proposes, or the latest of the
    /// older ones if that isn't known here: the server negotiates.
    pub version: Version,
    /// The JSON-RPC method as written; `session/stream` for a GET, `session/end` for a DELETE, `session/answer` for the
    /// answer to a request of the server.
    pub method: &'static str,
    /// The request's id as written; None for what nobody answers: a notification, an answer, a GET and a DELETE.
    pub id: Option<Box<RawValue>>,
    /// What it touches.
    pub target: Target,
    /// What policy sees of the parameters beside the target; [`MethodRow::arguments`] says which.
    pub arguments: Option<Value>,
    /// `Mcp-Session-Id` (older versions): visible ASCII, at most 2048 bytes.
    pub session: Option<String>,
    /// Whether the answer is a list, to be filtered.
    pub list: Option<ListKind>,
    /// `_meta.traceparent`, if it is well-formed (W3C Trace Context §3.2).
    pub trace_parent: Option<String>,
}

/// What a call touches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// A tool.
    Tool {
        /// Not empty, at most 256 bytes.
        name: String,
    },
    /// Resources: one, or for `subscriptions/listen` several.
    Resource {
        /// Not empty, each at most 8 KiB.
        uris: Vec<String>,
    },
    /// A prompt.
    Prompt {
        /// Not empty, at most 256 bytes.
        name: String,
    },
    /// Nothing in particular: what opens, keeps and ends a session, and asking for lists.
    Protocol,
}

/// What a list holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListKind {
    /// `tools/list`.
    Tools,
    /// `resources/list`.
    Resources,
    /// `resources/templates/list`.
    ResourceTemplates,
    /// `prompts/list`.
    Prompts,
}

/// A protocol version that is spoken here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// Stateless: every request says its version.
    V2026_07_28,
    /// The latest with sessions.
    V2025_11_25,
    /// The first with `MCP-Protocol-Version`.
    V2025_06_18,
    /// What a request without `MCP-Protocol-Version` is taken for.
    V2025_03_26,
}

impl Version {
    /// All, the latest first.
    pub const ALL: [Self; 4] = [Self::V2026_07_28, Self::V2025_11_25, Self::V2025_06_18, Self::V2025_03_26];

    /// As it is written on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::V2026_07_28 => "2026-07-28",
            Self::V2025_11_25 => "2025-11-25",
            Self::V2025_06_18 => "2025-06-18",
            Self::V2025_03_26 => "2025-03-26",
        }
    }

    /// Whether each request stands alone; the older versions have sessions.
    pub fn is_stateless(self) -> bool {
        self == Self::V2026_07_28
    }

    fn parse(text: &str) -> Result<Self, Fault> {
        let known = Self::ALL.into_iter().find(|version| version.as_str() == text);
        known.ok_or_else(|| Fault::UnsupportedVersion { requested: text.to_owned() })
    }
}

/// Decodes one HTTP request.
///
/// # Errors
/// [`DecodeError`], which knows the HTTP status, the JSON-RPC code and, if it could be read, the request's id.
pub fn call(request: &HttpRequest<'_>, limits: &Limits) -> Result<Call, DecodeError> {
    match *request.method {
        Method::POST => posted(request, limits),
        Method::GET => stream_or_end(request, "session/stream").map_err(DecodeError::from),
        Method::DELETE => stream_or_end(request, "session/end").map_err(DecodeError::from),
        _ => Err(Fault::HttpMethod.into()),
    }
}

/// A message.
fn posted(request: &HttpRequest<'_>, limits: &Limits) -> Result<Call, DecodeError> {
    headers::is_json_message(request.headers)?;
    if request.body.iter().all(u8::is_ascii_whitespace) {
        return Err(Fault::EmptyBody.into());
    }
    let text = json::check_call(request.body, &limits.json, limits.case_variants_in_arguments)
        .map_err(Fault::Json)?;
    let Some(members) = Members::of_text(text) else {
        let batch = text.trim_start().starts_with('[');
        return Err(if batch { Fault::Batch } else { Fault::NotAnObject }.into());
    };
    let envelope = Envelope::read(&members).map_err(Fault::from)?;
    let id = envelope.id.filter(|id| jsonrpc::is_id(id)).map(ToOwned::to_owned);
    message(request.headers, &envelope, limits).map_err(|fault| DecodeError::new(fault, id))
}

/// The message, once its id is known.
fn message(headers: &HeaderMap, envelope: &Envelope<'_>, limits: &Limits) -> Result<Call, Fault> {
    if !envelope.is_version_2 {
        return Err(Fault::JsonRpcVersion);
    }
    if envelope.answers {
        return answer(headers, envelope, limits);
    }
    if envelope.id.is_some_and(|id| !jsonrpc::is_id(id)) {
        return Err(Fault::Id);
    }
    let Some(method) = envelope.method_name() else { return Err(Fault::Method) };
    let headers = Headers::read(headers)?;
    let params = Params::read(envelope.params)?;
    let meta = params.meta()?;
    let version = version(&headers, &method, &params, &meta)?;
    headers.agree_on_method(version, &method)?;
    let row = methods::row_of(&method, version, true)?;
    match (row.form, envelope.id) {
        (Form::Request, None) => return Err(Fault::IdMissing),
        (Form::Notification, Some(_)) => return Err(Fault::IdUnexpected),
        _ => {}
    }
    let (target, name) = params.target(row)?;
    headers.agree_on_name(version, row, name.as_deref())?;
    let arguments = params.arguments(row)?;
    headers.agree_on_arguments(version, arguments.as_ref())?;
    params.are_all_judged(row, version.is_stateless() && limits.client_answers)?;
    Ok(Call {
        version,
        id: envelope.id.map(ToOwned::to_owned),
        target,
        arguments,
        session: headers.session(version)?,
        list: row.list,
        trace_parent: meta.trace_parent()?,
        method: row.method,
    })
}

/// What a client says to a request of its server: in the versions with sessions, and where the server may ask.
fn answer(headers: &HeaderMap, envelope: &Envelope<'_>, limits: &Limits) -> Result<Call, Fault> {
    let is_answer = envelope.id.is_some_and(jsonrpc::is_id) && envelope.method.is_none();
    if !limits.client_answers || !is_answer || envelope.params.is_some() {
        return Err(Fault::ClientResponse);
    }
    let headers = Headers::read(headers)?;
    let version = headers.version.map_or(Ok(Version::V2025_03_26), Version::parse)?;
    let row = methods::row_of("session/answer", version, false).map_err(|_| Fault::ClientResponse)?;
    of_the_session(&headers, version, row)
}

/// The era by how the client opens (2026-07-28, Versioning, Backward Compatibility): a version in `_meta` is
/// stateless, `initialize` proposes one for its session, everything else says it in the header.
fn version(
    headers: &Headers<'_>,
    method: &str,
    params: &Params<'_>,
    meta: &Meta<'_>,
) -> Result<Version, Fault> {
    if let Some(claimed) = meta.protocol_version()? {
        match headers.version {
            None => return Err(Fault::HeaderMissing { name: headers::PROTOCOL_VERSION }),
            Some(header) if header != claimed => {
                return Err(Fault::HeaderMismatch { name: headers::PROTOCOL_VERSION });
            }
            Some(_) => {}
        }
        let version = Version::parse(&claimed)?;
        if !version.is_stateless() {
            return Err(Fault::UnsupportedVersion { requested: claimed.into_owned() });
        }
        meta.has_client_capabilities()?;
        return Ok(version);
    }
    let version = headers.version.map_or(Ok(Version::V2025_03_26), Version::parse)?;
    if version.is_stateless() {
        return Err(Fault::MetaMissing { key: params::PROTOCOL_VERSION });
    }
    if method != "initialize" {
        return Ok(version);
    }
    if headers.has_session() {
        return Err(Fault::SessionInInitialize);
    }
    let proposed = params.proposed_version()?;
    Ok(Version::parse(&proposed).ok().filter(|v| !v.is_stateless()).unwrap_or(Version::V2025_11_25))
}

/// A GET, which opens a session's stream, or a DELETE, which ends the session (2025-11-25, Transports).
fn stream_or_end(request: &HttpRequest<'_>, method: &'static str) -> Result<Call, Fault> {
    let headers = Headers::read(request.headers)?;
    let version = headers.version.map_or(Ok(Version::V2025_03_26), Version::parse)?;
    let row = match methods::row_of(method, version, false) {
        Ok(row) => row,
        Err(_) => return Err(Fault::HttpMethod), // No GET and no DELETE in 2026-07-28.
    };
    if !request.body.is_empty() {
        return Err(Fault::UnexpectedBody);
    }
    if row.form == Form::Get {
        headers::accepts_events(request.headers)?;
    }
    of_the_session(&headers, version, row)
}

/// A call that has no method of its own, so that no header may name one.
fn of_the_session(headers: &Headers<'_>, version: Version, row: &MethodRow) -> Result<Call, Fault> {
    headers.agree_on_method(version, row.method)?;
    headers.agree_on_name(version, row, None)?;
    headers.agree_on_arguments(version, None)?;
    Ok(Call {
        version,
        method: row.method,
        id: None,
        target: Target::Protocol,
        arguments: None,
        session: headers.session(version)?,
        list: None,
        trace_parent: None,
    })
}

#[cfg(test)]
mod tests;
