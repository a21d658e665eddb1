//! A2A 0.3 in the words of 1.0 (whats-new-v1), so that one reader and one policy serve both. What goes upstream is what
//! the caller wrote.

use super::error::Fault;
use super::{Binding, Method};
use serde_json::{Map, Value};

type Object = Map<String, Value>;

/// Parameters of 0.3 as those of 1.0 would be written.
pub(super) fn in_todays_words(method: Method, binding: Binding, members: Object) -> Result<Object, Fault> {
    let rest = binding == Binding::HttpJson;
    let mut members = members;
    match method {
        Method::SendMessage | Method::SendStreamingMessage => {
            if let Some(Value::Object(held)) = members.get_mut("message") {
                *held = message(std::mem::take(held), rest)?;
            }
            if let Some(Value::Object(held)) = members.get_mut("configuration") {
                *held = configuration(std::mem::take(held));
            }
        }
        Method::CreateTaskPushNotificationConfig => members = push_configuration(members, rest)?,
        Method::GetTaskPushNotificationConfig | Method::DeleteTaskPushNotificationConfig if !rest => {
            renamed(&mut members, "id", "taskId");
            renamed(&mut members, "pushNotificationConfigId", "id");
        }
        Method::ListTaskPushNotificationConfigs if !rest => renamed(&mut members, "id", "taskId"),
        _ => {}
    }
    Ok(members)
}

/// REST: the path has said the task; `name` and `parent` repeat it in the form of a resource's name.
fn push_configuration(mut members: Object, rest: bool) -> Result<Object, Fault> {
    let task = members.remove("taskId");
    if rest {
        let parent = task.as_ref().and_then(Value::as_str).map(|task| format!("tasks/{task}"));
        if let Some(named) = members.get("parent").and_then(Value::as_str)
            && Some(named) != parent.as_deref()
        {
            return Err(Fault::Disagree { name: "parent" });
        }
        if let Some(Value::Object(config)) = members.remove("config") {
            members = config;
        }
    }
    let Some(Value::Object(mut config)) = members.remove("pushNotificationConfig") else {
        return Err(Fault::Member { name: "pushNotificationConfig" });
    };
    if let Some(task) = task {
        config.insert("taskId".to_owned(), task);
    }
    Ok(config)
}

fn configuration(mut members: Object) -> Object {
    for older in ["pushNotificationConfig", "pushNotification"] {
        renamed(&mut members, older, "taskPushNotificationConfig");
    }
    if let Some(Value::Bool(blocking)) = members.remove("blocking") {
        members.insert("returnImmediately".to_owned(), Value::Bool(!blocking));
    }
    members
}

fn message(mut members: Object, rest: bool) -> Result<Object, Fault> {
    if rest {
        renamed(&mut members, "content", "parts");
    } else {
        is_of_kind(&mut members, "message")?;
        let role = match members.get("role").and_then(Value::as_str) {
            Some("user") => "ROLE_USER",
            Some("agent") => "ROLE_AGENT",
            _ => return Err(Fault::Member { name: "role" }),
        };
        members.insert("role".to_owned(), role.into());
    }
    if let Some(Value::Array(parts)) = members.get_mut("parts") {
        for held in parts {
            if let Value::Object(object) = held {
                *object = part(std::mem::take(object), rest)?;
            }
        }
    }
    Ok(members)
}

fn part(mut members: Object, rest: bool) -> Result<Object, Fault> {
    if !rest {
        let content = ["text", "file", "data"].into_iter().find(|name| members.contains_key(*name));
        is_of_kind(&mut members, content.ok_or(Fault::Member { name: "parts" })?)?;
    }
    if let Some(Value::Object(mut file)) = members.remove("file") {
        for (older, today) in [
            ("uri", "url"),
            ("fileWithUri", "url"),
            ("bytes", "raw"),
            ("fileWithBytes", "raw"),
            ("mimeType", "mediaType"),
            ("name", "filename"),
        ] {
            if let Some(value) = file.remove(older) {
                members.insert(today.to_owned(), value);
            }
        }
    }
    if rest && let Some(Value::Object(mut data)) = members.remove("data") {
        members.insert("data".to_owned(), data.remove("data").unwrap_or_else(|| Value::Object(Map::new())));
    }
    Ok(members)
}

/// 0.3 tells its types apart by `kind`; a reader that finds another type there would read something else.
fn is_of_kind(members: &mut Object, kind: &str) -> Result<(), Fault> {
    match members.remove("kind") {
        Some(Value::String(said)) if said == kind => Ok(()),
        None if kind == "message" => Ok(()), // The one whose place says what it is.
        _ => Err(Fault::Member { name: "kind" }),
    }
}

fn renamed(members: &mut Object, older: &str, today: &str) {
    if let Some(value) = members.remove(older) {
        members.insert(today.to_owned(), value);
    }
}
