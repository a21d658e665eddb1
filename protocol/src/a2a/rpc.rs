//! A2A over JSON-RPC 2.0 (A2A 1.0 §9; 0.3 with its own method names).

use super::error::{DecodeError, Fault};
use super::{Binding, Call, HttpRequest, Limits, Method, headers, read, shape};
use crate::json::{self, Members};
use crate::jsonrpc::{self, Envelope};
use serde_json::{Map, Value};

impl From<Fault> for DecodeError {
    fn from(fault: Fault) -> Self {
        Self { fault, id: None }
    }
}

/// A POST of one request. Its query says no more than the version, once.
pub(super) fn call(request: &HttpRequest<'_>, limits: &Limits) -> Result<Call, DecodeError> {
    if request.method != http::Method::POST || !request.query.is_none_or(headers::is_version) {
        return Err(Fault::Path.into());
    }
    headers::is_json(request.headers, Binding::JsonRpc)?;
    let text = json::check_call(request.body, &limits.json, false).map_err(Fault::Json)?;
    let Some(members) = Members::of_text(text) else { return Err(Fault::Request.into()) };
    let envelope = Envelope::read(&members).map_err(Fault::from)?;
    let id = envelope.id.filter(|id| jsonrpc::is_id(id)).map(ToOwned::to_owned);
    let known = members.are_among(&["jsonrpc", "id", "method", "params"]);
    let called = if known { asked(request, &envelope) } else { Err(Fault::Request) };
    match called {
        Ok(call) => Ok(Call { id, ..call }),
        Err(fault) => Err(DecodeError { fault, id }),
    }
}

fn asked(request: &HttpRequest<'_>, envelope: &Envelope<'_>) -> Result<Call, Fault> {
    if !envelope.is_version_2 || !envelope.id.is_some_and(jsonrpc::is_id) {
        return Err(Fault::Request); // A notification would be a call that nobody hears the answer of.
    }
    let Some(name) = envelope.method_name() else { return Err(Fault::Request) };
    let version = headers::version(request.headers, request.query, Binding::JsonRpc)?;
    let Some(method) = Method::of_rpc(&name, version) else { return Err(Fault::Method) };
    let params = match envelope.params {
        None => Value::Object(Map::new()),
        Some(params) => serde_json::from_str(params.get()).map_err(|_| Fault::Params)?,
    };
    let params = if params.is_null() { Value::Object(Map::new()) } else { params };
    let members = shape::object(params, method.takes(Binding::JsonRpc, version))?;
    let extensions = headers::extensions(request.headers)?;
    read::call(Binding::JsonRpc, version, method, members, extensions)
}
