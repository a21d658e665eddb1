//! A message that has the table's shape becomes the parts of a [`Call`]. Here is what the shape can't say: what is
//! required, what an id may be, and what may not stand beside what.

use super::error::Fault;
use super::{
    Binding, Call, Configuration, Content, Hidden, List, Message, Method, Part, Push, Role, Version, older,
    shape,
};
use serde_json::{Map, Value};

/// Bytes of an id: of a task, a context, a message, a push configuration.
pub(super) const ID_BYTES_MAX: usize = 512;
/// Bytes of a tenant.
const TENANT_BYTES_MAX: usize = 1024;

type Object = Map<String, Value>;

/// Reads a call from its parameters.
pub(super) fn call(
    binding: Binding,
    version: Version,
    method: Method,
    members: Object,
    extensions: Vec<String>,
) -> Result<Call, Fault> {
    let mut members = match version {
        Version::V1_0 => members,
        Version::V0_3 => older::in_todays_words(method, binding, members)?,
    };
    let mut call = Call {
        binding,
        version,
        method,
        id: None,
        tenant: tenant(&mut members)?,
        task: None,
        context: id(&mut members, "contextId")?,
        push_id: None,
        message: None,
        configuration: Configuration::default(),
        metadata: object(&mut members, "metadata"),
        list: None,
        push: None,
        extensions,
        target: None,
    };
    match method {
        Method::SendMessage | Method::SendStreamingMessage => {
            let Some(message) = object(&mut members, "message") else {
                return Err(Fault::Member { name: "message" });
            };
            let configuration = object(&mut members, "configuration").unwrap_or_default();
            sent(&mut call, message, configuration)?;
        }
        Method::GetTask | Method::CancelTask | Method::SubscribeToTask => {
            call.task = Some(required(id(&mut members, "id")?, "id")?);
            call.configuration.history_length = int(&mut members, "historyLength");
        }
        Method::ListTasks => {
            call.configuration.history_length = int(&mut members, "historyLength");
            call.list = Some(List {
                status: text(&mut members, "status").filter(|state| state != "TASK_STATE_UNSPECIFIED"),
                page_size: int(&mut members, "pageSize"),
                page_token: text(&mut members, "pageToken"),
                after: text(&mut members, "statusTimestampAfter"),
                include_artifacts: flag(&mut members, "includeArtifacts").unwrap_or_default(),
            });
        }
        Method::CreateTaskPushNotificationConfig => {
            call.task = Some(required(id(&mut members, "taskId")?, "taskId")?);
            call.push = Some(push(members)?);
        }
        Method::GetTaskPushNotificationConfig
        | Method::DeleteTaskPushNotificationConfig
        | Method::ListTaskPushNotificationConfigs => {
            call.task = Some(required(id(&mut members, "taskId")?, "taskId")?);
            call.push_id = id(&mut members, "id")?;
            if version == Version::V1_0 && method != Method::ListTaskPushNotificationConfigs {
                required(call.push_id.as_ref(), "id")?;
            }
        }
        Method::GetExtendedAgentCard => {}
    }
    Ok(call)
}

fn sent(call: &mut Call, mut message: Object, mut configuration: Object) -> Result<(), Fault> {
    call.task = id(&mut message, "taskId")?;
    call.context = id(&mut message, "contextId")?;
    call.configuration = Configuration {
        output_modes: texts(&mut configuration, "acceptedOutputModes"),
        history_length: int(&mut configuration, "historyLength"),
        blocking: flag(&mut configuration, "returnImmediately").map(|at_once| !at_once),
    };
    if let Some(mut wanted) = object(&mut configuration, "taskPushNotificationConfig") {
        agrees(call, &mut wanted)?;
        call.push = Some(push(wanted)?);
    }
    let role = match text(&mut message, "role").as_deref() {
        Some("ROLE_USER") => Role::User,
        Some("ROLE_AGENT") => Role::Agent,
        _ => return Err(Fault::Member { name: "role" }),
    };
    let references = texts(&mut message, "referenceTaskIds");
    for reference in &references {
        is_id(reference, "referenceTaskIds", ID_BYTES_MAX)?;
    }
    let parts = match message.remove("parts") {
        Some(Value::Array(parts)) if !parts.is_empty() => parts,
        _ => return Err(Fault::Member { name: "parts" }),
    };
    call.message = Some(Message {
        id: required(id(&mut message, "messageId")?, "messageId")?,
        role,
        parts: parts.into_iter().map(part).collect::<Result<_, _>>()?,
        metadata: object(&mut message, "metadata"),
        extensions: texts(&mut message, "extensions"),
        references,
    });
    Ok(())
}

/// A message's push configuration may name task and tenant once more, and then the same: nobody judges another one. Over gRPC
/// the call's tenant is written anew on the way, so there is none to compare with.
fn agrees(call: &Call, wanted: &mut Object) -> Result<(), Fault> {
    let (task, named) = (id(wanted, "taskId")?, tenant(wanted)?);
    if task.is_some() && task != call.task {
        return Err(Fault::Disagree { name: "taskId" });
    }
    if named.is_some() && (call.binding == Binding::Grpc || named != call.tenant) {
        return Err(Fault::Disagree { name: "tenant" });
    }
    Ok(())
}

fn part(part: Value) -> Result<Part, Fault> {
    let Value::Object(mut part) = part else { return Err(Fault::Member { name: "parts" }) };
    let content = if let Some(text) = text(&mut part, "text") {
        Content::Text(text)
    } else if let Some(raw) = text(&mut part, "raw") {
        Content::Bytes(shape::length_of_base64(&raw).unwrap_or_default())
    } else if let Some(url) = text(&mut part, "url") {
        Content::Url(url)
    } else if let Some(data) = part.remove("data") {
        Content::Data(data)
    } else {
        return Err(Fault::Member { name: "parts" }); // A part that holds nothing can't be judged.
    };
    Ok(Part {
        content,
        name: filled(text(&mut part, "filename")),
        media_type: filled(text(&mut part, "mediaType")),
        metadata: object(&mut part, "metadata"),
    })
}

fn push(mut wanted: Object) -> Result<Push, Fault> {
    let mut authentication = object(&mut wanted, "authentication").unwrap_or_default();
    let mut schemes = texts(&mut authentication, "schemes"); // 0.3 has several.
    schemes.extend(filled(text(&mut authentication, "scheme")));
    let credentials = filled(text(&mut authentication, "credentials")).map(Hidden::new);
    let token = filled(text(&mut wanted, "token")).map(Hidden::new);
    let url = required(filled(text(&mut wanted, "url")), "url")?;
    Ok(Push { id: id(&mut wanted, "id")?, url, schemes, credentials, token })
}

/// An id; an empty one is none, as in protobuf.
fn id(members: &mut Object, name: &'static str) -> Result<Option<String>, Fault> {
    bounded(text(members, name), name, ID_BYTES_MAX)
}

/// A tenant is no segment of a path but over HTTP+JSON, where its path has shown that it is one.
fn tenant(members: &mut Object) -> Result<Option<String>, Fault> {
    let tenant = filled(text(members, "tenant"));
    let fits = |text: &String| text.len() <= TENANT_BYTES_MAX && !text.chars().any(char::is_control);
    if tenant.as_ref().is_none_or(fits) { Ok(tenant) } else { Err(Fault::Id { name: "tenant" }) }
}

fn bounded(text: Option<String>, name: &'static str, bytes_max: usize) -> Result<Option<String>, Fault> {
    let text = filled(text);
    if let Some(text) = &text {
        is_id(text, name, bytes_max)?;
    }
    Ok(text)
}

/// Whether an id can stand in every binding: not too long, nothing that is not shown, and no slash of a path.
pub(super) fn is_id(text: &str, name: &'static str, bytes_max: usize) -> Result<(), Fault> {
    let fits =
        !text.is_empty() && text.len() <= bytes_max && !text.chars().any(|c| c.is_control() || c == '/');
    let is_dots = matches!(text, "." | "..");
    if fits && !is_dots { Ok(()) } else { Err(Fault::Id { name }) }
}

fn required<T>(value: Option<T>, name: &'static str) -> Result<T, Fault> {
    value.ok_or(Fault::Member { name })
}

fn filled(text: Option<String>) -> Option<String> {
    text.filter(|text| !text.is_empty())
}

fn text(members: &mut Object, name: &str) -> Option<String> {
    match members.remove(name) {
        Some(Value::String(text)) => Some(text),
        _ => None,
    }
}

fn texts(members: &mut Object, name: &str) -> Vec<String> {
    let Some(Value::Array(items)) = members.remove(name) else { return Vec::new() };
    let text = |item| if let Value::String(text) = item { Some(text) } else { None };
    items.into_iter().filter_map(text).collect()
}

fn object(members: &mut Object, name: &str) -> Option<Object> {
    match members.remove(name) {
        Some(Value::Object(object)) => Some(object),
        _ => None,
    }
}

fn int(members: &mut Object, name: &str) -> Option<i32> {
    members.remove(name).and_then(|value| value.as_i64()).and_then(|n| i32::try_from(n).ok())
}

fn flag(members: &mut Object, name: &str) -> Option<bool> {
    members.remove(name).and_then(|value| value.as_bool())
}
