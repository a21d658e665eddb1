//! The answer to `GetExtendedAgentCard`, in each binding.

use super::super::wire::{self, Reading};
use super::super::{Binding, EventError, schema};
use crate::json;
use serde_json::Value;

/// The card in an answer: a body, or a gRPC message without its frame. None: the agent refuses.
///
/// # Errors
/// [`EventError`] for what is neither.
pub fn in_answer(binding: Binding, bytes: &[u8]) -> Result<Option<Value>, EventError> {
    if binding == Binding::Grpc {
        let reading = Reading { strict: false, depth_max: super::DEPTH_MAX };
        return Ok(Some(Value::Object(wire::object(bytes, &schema::CARD, reading)?)));
    }
    // The answer has a level or two more than the card in it.
    let depth_max = super::DEPTH_MAX.saturating_add(2);
    json::check(bytes, &json::Limits { depth_max }).map_err(|_| EventError::Kind)?;
    let mut answer: Value = serde_json::from_slice(bytes)?;
    if binding == Binding::HttpJson {
        return Ok(Some(answer));
    }
    match (answer.get_mut("result").map(Value::take), answer.get("error")) {
        (Some(card), None) => Ok(Some(card)),
        (None, Some(_)) => Ok(None),
        _ => Err(EventError::Kind),
    }
}
