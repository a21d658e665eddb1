//! A2A over gRPC (A2A 1.0 §10): a path names the method, the body is one protobuf message in one frame.

use super::error::Fault;
use super::wire::{self, Reading};
use super::{Binding, Call, HttpRequest, Limits, Method, Version, headers, read};
use bytes::{BufMut, Bytes, BytesMut};
use serde_json::{Map, Value};

/// The service of A2A 1.0.
pub const SERVICE: &str = "lf.a2a.v1.A2AService";
/// What the path of every method of it begins with.
pub(super) const PREFIX: &str = "/lf.a2a.v1.A2AService/";

/// Bytes before a message: whether it is compressed, and its length (gRPC over HTTP/2, Length-Prefixed-Message).
const PREFIX_BYTES: usize = 5;

/// Decodes a unary request, or the one message that opens a server's stream.
pub(super) fn call(request: &HttpRequest<'_>, limits: &Limits) -> Result<Call, Fault> {
    if request.method != http::Method::POST || request.query.is_some() {
        return Err(Fault::Path);
    }
    let declared = headers::one(request.headers, "content-type")?;
    if !matches!(declared, Some("application/grpc" | "application/grpc+proto")) {
        return Err(Fault::ContentType);
    }
    match headers::one(request.headers, "grpc-encoding")? {
        None | Some("identity") => {}
        Some(_) => return Err(Fault::ContentType),
    }
    let version = headers::version(request.headers, None, Binding::Grpc)?;
    let name = request.path.strip_prefix(PREFIX).ok_or(Fault::Path)?;
    let method = Method::of_rpc(name, Version::V1_0).ok_or(Fault::Method)?;
    let message = unframed(request.body).ok_or(Fault::Frame)?;
    let reading = Reading { strict: true, depth_max: limits.json.depth_max };
    let members = wire::object(message, method.row().takes, reading)?;
    read::call(Binding::Grpc, version, method, members, headers::extensions(request.headers)?)
}

/// The tenant that a request names, by which the agent is found before anything else is read of it.
pub fn tenant_of(path: &str, body: &[u8]) -> Option<String> {
    let method = Method::of_rpc(path.strip_prefix(PREFIX)?, Version::V1_0)?;
    let number = method.row().takes.named("tenant")?.number;
    wire::text(unframed(body)?, number)
}

/// The message of a body that is exactly one uncompressed frame.
pub fn unframed(body: &[u8]) -> Option<&[u8]> {
    let (prefix, message) = body.split_at_checked(PREFIX_BYTES)?;
    let (flag, length) = prefix.split_first()?;
    let length = u32::from_be_bytes(length.try_into().ok()?);
    (*flag == 0 && u32::try_from(message.len()) == Ok(length)).then_some(message)
}

/// A message in a frame. None: longer than a frame can be.
pub fn frame(message: &[u8]) -> Option<Bytes> {
    let length = u32::try_from(message.len()).ok()?;
    let mut framed = BytesMut::with_capacity(message.len().saturating_add(PREFIX_BYTES));
    framed.put_u8(0);
    framed.put_u32(length);
    framed.put_slice(message);
    Some(framed.freeze())
}

/// The same request for another tenant: the caller's names an agent here, and the agent may have its own. All other
/// bytes stay as they came.
///
/// # Errors
/// [`super::WireError`] for bytes that are no message.
pub fn with_tenant(message: &[u8], method: Method, tenant: Option<&str>) -> Result<Bytes, super::WireError> {
    let number = method.row().takes.named("tenant").map(|field| field.number);
    wire::with_payload(message, number.unwrap_or(1), tenant.map(str::as_bytes))
}

/// A method's request as protobuf, from the JSON of 1.0. Members that it doesn't have are left out.
pub fn request(method: Method, params: &Map<String, Value>) -> Vec<u8> {
    wire::bytes(params, method.row().takes)
}

/// The same the other way.
///
/// # Errors
/// [`super::WireError`] for bytes that are not the method's request, and nothing else.
pub fn request_of(method: Method, message: &[u8]) -> Result<Map<String, Value>, super::WireError> {
    wire::object(message, method.row().takes, Reading { strict: true, depth_max: DEPTH_MAX })
}

/// A method's answer, or one event of its stream, as protobuf.
pub fn answer(method: Method, answer: &Map<String, Value>) -> Vec<u8> {
    wire::bytes(answer, method.row().answers)
}

/// The same the other way; what the method's answer doesn't have is left out.
///
/// # Errors
/// [`super::WireError`] for bytes that are not the method's answer.
pub fn answer_of(method: Method, message: &[u8]) -> Result<Map<String, Value>, super::WireError> {
    wire::object(message, method.row().answers, Reading { strict: false, depth_max: DEPTH_MAX })
}

/// Messages of an answer that may stand inside one another.
const DEPTH_MAX: usize = 128;
