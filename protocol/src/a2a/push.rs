//! Push notifications: the configuration of one in a request and in an answer, and what an agent posts.
//!
//! Where a configuration goes on with another URL, nothing but the configuration is changed: the bytes around it stay as
//! they came.

use super::event::read;
use super::wire::{self, Reading};
use super::{Binding, Call, Event, EventError, Method, Push, Version, grpc};
use crate::json::{self, Members};
use bytes::Bytes;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};
use std::fmt;

/// A secret that a caller gave. `Debug` prints nothing of it.
#[derive(Clone, PartialEq, Eq)]
pub struct Hidden(String);

/// Messages of an answer that may stand inside one another.
const DEPTH_MAX: usize = 128;
/// What 0.3 calls the configuration where it stands beside its task, and the same in its `.proto` file.
const NESTED: [&str; 2] = ["pushNotificationConfig", "push_notification_config"];

impl Hidden {
    /// Hides a text.
    pub fn new(text: String) -> Self {
        Self(text)
    }

    /// The text itself.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hidden")
    }
}

/// The body of a call whose push configuration names another URL, and no secret. `None`: there is no configuration in
/// it, or no room for the longer one.
pub fn with_push_url(call: &Call, body: &[u8], url: &str) -> Option<Bytes> {
    call.push.as_ref()?;
    if call.binding == Binding::Grpc {
        return grpc::frame(&with_url_in_message(call.method, grpc::unframed(body)?, url)?);
    }
    let text = std::str::from_utf8(body).ok()?;
    let config = in_request(call, text)?;
    let begins = config.as_ptr().addr().checked_sub(text.as_ptr().addr())?;
    let (before, rest) = text.split_at_checked(begins)?;
    let after = rest.get(config.len()..)?;
    Some([before, &with_url(config, url)?, after].concat().into())
}

/// The configuration's text in a request's.
fn in_request<'a>(call: &Call, text: &'a str) -> Option<&'a str> {
    let is_send = call.method != Method::CreateTaskPushNotificationConfig;
    let params = match call.binding {
        Binding::JsonRpc => below(text, &["params"])?,
        Binding::HttpJson | Binding::Grpc => text,
    };
    match (call.version, is_send) {
        (Version::V1_0, false) => Some(params),
        (Version::V1_0, true) => below(below(params, &["configuration"])?, &["taskPushNotificationConfig"]),
        (Version::V0_3, false) => below(below(params, &["config"]).unwrap_or(params), &NESTED),
        (Version::V0_3, true) => below(
            below(params, &["configuration"])?,
            &["pushNotificationConfig", "pushNotification", "push_notification"],
        ),
    }
}

/// What stands in an object under the one of these keys that it has.
fn below<'a>(object: &'a str, keys: &[&str]) -> Option<&'a str> {
    let members = Members::of_text(object)?;
    let found =
        keys.iter().find_map(|key| members.get(key).ok().flatten().filter(|value| !is_null(value)))?;
    Some(found.get())
}

fn is_null(value: &RawValue) -> bool {
    value.get() == "null"
}

fn with_url(config: &str, url: &str) -> Option<String> {
    let mut written = String::from("{");
    for (name, value) in Members::of_text(config)?.iter() {
        let value = match name {
            "url" => Value::from(url).to_string(),
            "token" | "authentication" => continue,
            _ => value.get().to_owned(),
        };
        if written.len() > 1 {
            written.push(',');
        }
        written.push_str(&format!("{}:{value}", Value::from(name)));
    }
    written.push('}');
    Some(written)
}

fn with_url_in_message(method: Method, message: &[u8], url: &str) -> Option<Bytes> {
    let number = |name| super::schema::SEND.named(name).map(|field| field.number);
    match method {
        Method::CreateTaskPushNotificationConfig => with_url_in_config(message, url),
        _ => {
            let (outer, inner) = (number("configuration")?, super::schema::PUSH_IN_CONFIGURATION);
            let configuration = wire::payload(message, outer)?;
            let config = with_url_in_config(wire::payload(configuration, inner)?, url)?;
            let configuration = wire::with_payload(configuration, inner, Some(&config)).ok()?;
            wire::with_payload(message, outer, Some(&configuration)).ok()
        }
    }
}

fn with_url_in_config(config: &[u8], url: &str) -> Option<Bytes> {
    let number = |name| super::schema::PUSH_CONFIG.named(name).map(|field| field.number);
    let without = wire::with_payload(config, number("token")?, None).ok()?;
    let without = wire::with_payload(&without, number("authentication")?, None).ok()?;
    wire::with_payload(&without, number("url")?, Some(url.as_bytes())).ok()
}

/// The answer to an operation on push configurations, each of them as its owner wrote it: `owned` says what that was, by
/// the URL that the agent has. A list goes on without those that it doesn't know; of them nothing is shown. Of a
/// configuration nothing passes but what the protocol has. `bytes`: a body, or a gRPC message without its frame.
///
/// # Errors
/// [`EventError::Config`]: one configuration was asked for, and it is not the caller's, or the agent refuses it. Another one:
/// not the operation's answer.
pub fn with_configs(
    call: &Call,
    bytes: &[u8],
    owned: &mut dyn FnMut(&str) -> Option<Push>,
) -> Result<Vec<u8>, EventError> {
    let is_list = call.method == Method::ListTaskPushNotificationConfigs;
    let mut turned = |value| if is_list { list(call, value, owned) } else { one(call, value, owned) };
    match call.binding {
        Binding::JsonRpc => {
            let mut answer: Map<String, Value> = serde_json::from_slice(bytes)?;
            if answer.contains_key("error") && !answer.contains_key("result") {
                return match call.method {
                    Method::GetTaskPushNotificationConfig => Err(EventError::Config),
                    _ => Ok(bytes.to_vec()), // It has no configuration.
                };
            }
            let result = turned(answer.remove("result").unwrap_or_default())?;
            Ok(json!({"jsonrpc": "2.0", "id": answer.remove("id"), "result": result})
                .to_string()
                .into_bytes())
        }
        Binding::HttpJson => Ok(turned(serde_json::from_slice(bytes)?)?.to_string().into_bytes()),
        Binding::Grpc => {
            let reading = Reading { strict: false, depth_max: DEPTH_MAX };
            let message = wire::object(bytes, call.method.row().answers, reading)?;
            match turned(Value::Object(message))? {
                Value::Object(members) => Ok(grpc::answer(call.method, &members)),
                _ => Err(EventError::Kind),
            }
        }
    }
}

type Owned<'o> = &'o mut dyn FnMut(&str) -> Option<Push>;

fn one(call: &Call, value: Value, owned: Owned<'_>) -> Result<Value, EventError> {
    config(call, value, owned)?.ok_or(EventError::Config)
}

/// 0.3 over JSON-RPC has the bare list.
fn list(call: &Call, value: Value, owned: Owned<'_>) -> Result<Value, EventError> {
    let mut each = |items: Vec<Value>| {
        let turned = items.into_iter().filter_map(|item| config(call, item, &mut *owned).transpose());
        turned.collect::<Result<Vec<Value>, EventError>>().map(Value::Array)
    };
    match value {
        Value::Null => Ok(Value::Null),
        Value::Array(items) => each(items),
        Value::Object(mut members) => {
            let mut kept = Map::new();
            match members.remove("configs") {
                Some(Value::Array(items)) => drop(kept.insert("configs".to_owned(), each(items)?)),
                None | Some(Value::Null) => {}
                Some(_) => return Err(EventError::Kind),
            }
            kept.extend(members.remove_entry("nextPageToken").filter(|(_, token)| token.is_string()));
            Ok(Value::Object(kept))
        }
        Value::Bool(_) | Value::Number(_) | Value::String(_) => Err(EventError::Kind),
    }
}

/// One configuration, in the form that the agent gave it. None: not the caller's.
fn config(call: &Call, value: Value, owned: Owned<'_>) -> Result<Option<Value>, EventError> {
    let Value::Object(mut members) = value else { return Err(EventError::Kind) };
    let nested = NESTED.iter().find_map(|name| members.remove_entry(*name));
    let mut kept = texts(&mut members, &["id", "taskId", "task_id", "tenant", "name"]);
    let Some((name, nested)) = nested else {
        let Some(url) = members.get("url").and_then(Value::as_str) else { return Err(EventError::Kind) };
        let Some(push) = owned(url) else { return Ok(None) };
        kept.extend(written(call.version, &push));
        return Ok(Some(Value::Object(kept)));
    };
    let Value::Object(mut nested) = nested else { return Err(EventError::Kind) };
    let Some(url) = nested.get("url").and_then(Value::as_str) else { return Err(EventError::Kind) };
    let Some(push) = owned(url) else { return Ok(None) };
    let mut inner = texts(&mut nested, &["id"]);
    inner.extend(written(call.version, &push));
    kept.insert(name, Value::Object(inner));
    Ok(Some(Value::Object(kept)))
}

/// Those of the members that are texts.
fn texts(members: &mut Map<String, Value>, names: &[&str]) -> Map<String, Value> {
    names
        .iter()
        .filter_map(|name| members.remove_entry(*name))
        .filter(|(_, value)| value.is_string())
        .collect()
}

/// What the caller wrote, in the words of a version.
fn written(version: Version, push: &Push) -> Map<String, Value> {
    let mut members = Map::from_iter([("url".to_owned(), push.url.as_str().into())]);
    if let Some(token) = &push.token {
        members.insert("token".to_owned(), token.expose().into());
    }
    if !push.schemes.is_empty() || push.credentials.is_some() {
        let mut authentication = match version {
            Version::V1_0 => json!({"scheme": push.schemes.first()}),
            Version::V0_3 => json!({"schemes": push.schemes}),
        };
        if let (Some(credentials), Value::Object(members)) = (&push.credentials, &mut authentication) {
            members.insert("credentials".to_owned(), credentials.expose().into());
        }
        members.insert("authentication".to_owned(), authentication);
    }
    members
}

/// Reads what an agent posts: an event of 1.0 (`StreamResponse`), or a task, message or update of 0.3, which says its
/// `kind`. It goes on to somebody who wasn't there, so that it has to be strict JSON.
///
/// # Errors
/// [`EventError`].
pub fn pushed(bytes: &[u8], limits: &json::Limits) -> Result<(Version, Event), EventError> {
    let text = json::check_call(bytes, limits, false).map_err(|_| EventError::Kind)?;
    let members = Members::of_text(text).ok_or(EventError::Kind)?;
    let tagged = members.get("kind").map_err(|_| EventError::Kind)?.is_some();
    let version = if tagged { Version::V0_3 } else { Version::V1_0 };
    Ok((version, read(text, version, Method::SendStreamingMessage, tagged)?))
}

#[cfg(test)]
mod tests;
