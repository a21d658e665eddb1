//! `GetTask` as the gateway itself asks it, to answer a list of an owner's tasks.

use super::rest::{self, Target};
use super::{Binding, EventError, Method, grpc};
use bytes::Bytes;
use serde_json::{Map, Value, json};

/// The JSON-RPC code, and the gRPC one, of a task that isn't there.
const TASK_NOT_FOUND: i64 = -32001;

/// A request of 1.0 in a binding: where to, and what is in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// Path and query at an HTTP+JSON interface; none where the interface's URL is all.
    pub target: Option<Target>,
    /// The media type of the body; none where there is no body.
    pub content_type: Option<&'static str>,
    /// The body.
    pub body: Bytes,
}

/// Asks for a task.
pub fn get_task(binding: Binding, tenant: Option<&str>, id: &str, history_length: Option<i32>) -> Asked {
    let mut params = Map::new();
    params.insert("id".to_owned(), id.into());
    if let Some(length) = history_length {
        params.insert("historyLength".to_owned(), length.into());
    }
    if let Some(tenant) = tenant {
        params.insert("tenant".to_owned(), tenant.into());
    }
    match binding {
        Binding::JsonRpc => {
            let body = json!({"jsonrpc": "2.0", "id": 1, "method": Method::GetTask.name(), "params": params});
            Asked { target: None, content_type: Some("application/json"), body: body.to_string().into() }
        }
        Binding::HttpJson => {
            let target = Some(rest::of_task(tenant, id, history_length));
            Asked { target, content_type: None, body: Bytes::new() }
        }
        Binding::Grpc => {
            let message = grpc::request(Method::GetTask, &params);
            let body = grpc::frame(&message).unwrap_or_default();
            Asked { target: None, content_type: Some("application/grpc"), body }
        }
    }
}

/// The task in the answer to that. None: the agent has no such task.
///
/// # Errors
/// [`EventError`] for anything else.
pub fn task(binding: Binding, bytes: &[u8]) -> Result<Option<Value>, EventError> {
    let task = match binding {
        Binding::JsonRpc => {
            let mut answer: Value = serde_json::from_slice(bytes)?;
            if answer.pointer("/error/code").and_then(Value::as_i64) == Some(TASK_NOT_FOUND) {
                return Ok(None);
            }
            answer.get_mut("result").map(Value::take).unwrap_or_default()
        }
        Binding::HttpJson => serde_json::from_slice(bytes)?,
        Binding::Grpc => Value::Object(grpc::answer_of(Method::GetTask, bytes)?),
    };
    if task.get("id").is_some_and(Value::is_string) { Ok(Some(task)) } else { Err(EventError::Kind) }
}
