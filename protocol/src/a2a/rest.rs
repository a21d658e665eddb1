//! A2A over HTTP+JSON (A2A 1.0 §11; 0.3 below `/v1`): an operation is an HTTP method and a path, its parameters stand
//! in path, query and body. What stands in two of them has to be the same.
//!
//! A path is taken apart decoded, and put together anew for the agent: `%3A` and `:` are one, and nothing of a path that
//! was not understood goes on.

use super::error::Fault;
use super::read;
use super::schema::{Field, Kind, Message};
use super::{Binding, Call, HttpRequest, Limits, Method, Version, headers, shape};
use crate::json;
use http::Method as Http;
use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};
use serde_json::{Map, Value};

/// Where a call goes at an agent's HTTP+JSON interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// HTTP method.
    pub method: Http,
    /// Behind the interface's URL, percent-encoded; begins with a slash.
    pub path: String,
    /// Percent-encoded.
    pub query: Option<String>,
}

/// What is percent-encoded in a segment: all that RFC 3986 §3.3 does not let stand there.
const SEGMENT: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'/')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'[')
    .add(b'\\')
    .add(b']')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}')
    .add(b':');
/// In a query's value: also what separates one from the next.
const VALUE: &AsciiSet =
    &SEGMENT.add(b'&').add(b'=').add(b'+').add(b'\'').add(b'(').add(b')').add(b',').add(b';');

/// A path that was understood.
struct Route {
    method: Method,
    tenant: Option<String>,
    /// The task and the push configuration that the path names.
    task: Option<String>,
    push: Option<String>,
    /// Whether parameters stand in the body rather than in the query.
    body: bool,
}

/// Decodes a request by its path.
pub(super) fn call(request: &HttpRequest<'_>, limits: &Limits) -> Result<Call, Fault> {
    let version = headers::version(request.headers, request.query, Binding::HttpJson)?;
    let route = route(request.method, request.path, version)?;
    let message = route.method.takes(Binding::HttpJson, version);
    let mut members = if route.body {
        body(request, message, limits)?
    } else if request.body.is_empty() {
        Map::new()
    } else {
        return Err(Fault::Body);
    };
    let asked = query(request.query, if route.body { None } else { Some(query_of(route.method, version)) })?;
    let query = written(&asked);
    members.extend(asked);
    let target = Target {
        method: request.method.clone(),
        path: route.path(version, request.method == Http::POST),
        query,
    };
    route.joined(&mut members, version)?;
    let extensions = headers::extensions(request.headers)?;
    let call = read::call(Binding::HttpJson, version, route.method, members, extensions)?;
    Ok(Call { target: Some(target), ..call })
}

/// What the path says, and a body too: `CancelTask` may come without one.
fn body(
    request: &HttpRequest<'_>,
    message: &'static Message,
    limits: &Limits,
) -> Result<Map<String, Value>, Fault> {
    if request.body.is_empty() {
        return Ok(Map::new());
    }
    headers::is_json(request.headers, Binding::HttpJson)?;
    let text = json::check_call(request.body, &limits.json, false).map_err(Fault::Json)?;
    shape::object(serde_json::from_str(text).map_err(|_| Fault::Params)?, message)
}

/// Takes a path apart.
fn route(http: &Http, path: &str, version: Version) -> Result<Route, Fault> {
    let decoded =
        path.strip_prefix('/').ok_or(Fault::Path)?.split('/').map(segment).collect::<Result<Vec<_>, _>>()?;
    let segments: Vec<&str> = decoded.iter().map(String::as_str).collect();
    let (tenant, rest) = match (version, segments.as_slice()) {
        (Version::V0_3, ["v1", rest @ ..]) => (None, rest),
        (Version::V0_3, _) => return Err(Fault::Path),
        (Version::V1_0, [tenant, rest @ ..]) if !rest.is_empty() && !begins(tenant) => (Some(*tenant), rest),
        (Version::V1_0, rest) => (None, rest),
    };
    let (get, post, delete) = (http == Http::GET, http == Http::POST, http == Http::DELETE);
    let older = version == Version::V0_3;
    let (method, task, push) = match rest {
        ["message:send"] if post => (Method::SendMessage, None, None),
        ["message:stream"] if post => (Method::SendStreamingMessage, None, None),
        ["tasks"] if get && !older => (Method::ListTasks, None, None),
        ["extendedAgentCard"] if get && !older => (Method::GetExtendedAgentCard, None, None),
        ["card"] if get && older => (Method::GetExtendedAgentCard, None, None),
        ["tasks", task] => match task.rsplit_once(':') {
            Some((task, "cancel")) if post => (Method::CancelTask, Some(task), None),
            Some((task, "subscribe")) if get || post => (Method::SubscribeToTask, Some(task), None),
            Some((_, "cancel" | "subscribe")) => return Err(Fault::Path),
            _ if get => (Method::GetTask, Some(*task), None),
            _ => return Err(Fault::Path),
        },
        ["tasks", task, "pushNotificationConfigs"] if post => {
            (Method::CreateTaskPushNotificationConfig, Some(*task), None)
        }
        ["tasks", task, "pushNotificationConfigs"] if get => {
            (Method::ListTaskPushNotificationConfigs, Some(*task), None)
        }
        ["tasks", task, "pushNotificationConfigs", push] if get => {
            (Method::GetTaskPushNotificationConfig, Some(*task), Some(*push))
        }
        ["tasks", task, "pushNotificationConfigs", push] if delete => {
            (Method::DeleteTaskPushNotificationConfig, Some(*task), Some(*push))
        }
        _ => return Err(Fault::Path),
    };
    for part in [tenant, task, push].into_iter().flatten() {
        read::is_id(part, "path", 512)?;
    }
    let owned = |part: Option<&str>| part.map(str::to_owned);
    Ok(Route { method, tenant: owned(tenant), task: owned(task), push: owned(push), body: post })
}

/// Whether a segment begins an operation, and so is no tenant.
fn begins(segment: &str) -> bool {
    matches!(segment, "tasks" | "message:send" | "message:stream" | "extendedAgentCard")
}

/// A segment, decoded once.
fn segment(raw: &str) -> Result<String, Fault> {
    let mut bytes = raw.as_bytes();
    while let Some(at) = bytes.iter().position(|byte| *byte == b'%') {
        let (_, rest) = bytes.split_at_checked(at).ok_or(Fault::Path)?;
        match rest {
            [_, high, low, rest @ ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => bytes = rest,
            _ => return Err(Fault::Path),
        }
    }
    percent_decode_str(raw).decode_utf8().map(|text| text.into_owned()).map_err(|_| Fault::Path)
}

impl Route {
    /// The path as the agent gets it.
    fn path(&self, version: Version, post: bool) -> String {
        let encoded = |text: &str| utf8_percent_encode(text, SEGMENT).to_string();
        let mut path = String::new();
        if version == Version::V0_3 {
            path.push_str("/v1");
        }
        for segment in self.tenant.iter() {
            path.push('/');
            path.push_str(&encoded(segment));
        }
        let task = self.task.as_deref().map(encoded).unwrap_or_default();
        path.push_str(&match (self.method, version) {
            (Method::SendMessage, _) => "/message:send".to_owned(),
            (Method::SendStreamingMessage, _) => "/message:stream".to_owned(),
            (Method::ListTasks, _) => "/tasks".to_owned(),
            (Method::GetExtendedAgentCard, Version::V1_0) => "/extendedAgentCard".to_owned(),
            (Method::GetExtendedAgentCard, Version::V0_3) => "/card".to_owned(),
            (Method::GetTask, _) => format!("/tasks/{task}"),
            (Method::CancelTask, _) => format!("/tasks/{task}:cancel"),
            (Method::SubscribeToTask, _) => format!("/tasks/{task}:subscribe"),
            (
                Method::CreateTaskPushNotificationConfig
                | Method::GetTaskPushNotificationConfig
                | Method::ListTaskPushNotificationConfigs
                | Method::DeleteTaskPushNotificationConfig,
                _,
            ) => format!("/tasks/{task}/pushNotificationConfigs"),
        });
        if let (Some(push), false) = (&self.push, post) {
            path.push('/');
            path.push_str(&encoded(push));
        }
        path
    }

    /// Puts what the path says beside what the body says.
    fn joined(&self, members: &mut Map<String, Value>, version: Version) -> Result<(), Fault> {
        let task = match self.method {
            Method::GetTask | Method::CancelTask | Method::SubscribeToTask => "id",
            _ => "taskId",
        };
        if version == Version::V0_3
            && let Some(named) = members.remove("name")
            && let Some(task) = &self.task
            && !named.as_str().is_some_and(|named| is_below(named, task))
        {
            return Err(Fault::Disagree { name: "name" });
        }
        for (name, said) in [("tenant", &self.tenant), (task, &self.task), ("id", &self.push)] {
            let Some(said) = said else { continue };
            match members.get(name).and_then(Value::as_str) {
                Some(other) if !other.is_empty() && other != said => return Err(Fault::Disagree { name }),
                _ => drop(members.insert(name.to_owned(), said.as_str().into())),
            }
        }
        Ok(())
    }
}

/// Where 1.0 has a task.
pub(super) fn of_task(tenant: Option<&str>, id: &str, history_length: Option<i32>) -> Target {
    let route = Route {
        method: Method::GetTask,
        tenant: tenant.map(str::to_owned),
        task: Some(id.to_owned()),
        push: None,
        body: false,
    };
    let query = history_length.map(|length| format!("historyLength={length}"));
    Target { method: Http::GET, path: route.path(Version::V1_0, false), query }
}

/// Whether a resource's name in 0.3 is a task's, or that of one of its push configurations.
fn is_below(named: &str, task: &str) -> bool {
    let rest = named.strip_prefix("tasks/").and_then(|named| named.strip_prefix(task));
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with("/pushNotificationConfigs/"))
}

/// What the query of an operation may have: what neither path nor body says.
fn query_of(method: Method, version: Version) -> &'static [Field] {
    match (version, method) {
        (Version::V1_0, _) => method.takes(Binding::HttpJson, version).fields,
        (Version::V0_3, Method::GetTask) => method.row().older_takes.fields,
        (Version::V0_3, _) => &[],
    }
}

/// Reads the query: no parameter twice, none that the operation doesn't have, none that the path says.
fn query(query: Option<&str>, fields: Option<&'static [Field]>) -> Result<Map<String, Value>, Fault> {
    let mut read = Map::new();
    let mut version = false;
    for pair in query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').ok_or(Fault::Query)?;
        if name == "A2A-Version" && !std::mem::replace(&mut version, true) {
            continue;
        }
        let in_path = matches!(name, "tenant" | "id" | "taskId");
        let field = fields.unwrap_or_default().iter().find(|field| field.name == name && !in_path);
        let value = segment(&value.replace('+', " ")).map_err(|_| Fault::Query)?;
        let value = field.and_then(|field| typed(value, &field.kind)).ok_or(Fault::Query)?;
        if read.insert(name.to_owned(), value).is_some() {
            return Err(Fault::Query);
        }
    }
    Ok(read)
}

fn typed(text: String, kind: &Kind) -> Option<Value> {
    match kind {
        Kind::Text | Kind::Timestamp => Some(text.into()),
        Kind::Int => text.parse::<i32>().ok().map(Value::from),
        Kind::Bool => text.to_ascii_lowercase().parse::<bool>().ok().map(Value::from), // Python writes `True`.
        Kind::Enum(names) => names.contains(&text.as_str()).then(|| text.into()),
        Kind::Bytes | Kind::Struct | Kind::Value | Kind::Message(_) | Kind::Map(_) => None,
    }
}

/// A query as the agent gets it.
fn written(asked: &Map<String, Value>) -> Option<String> {
    let pair = |(name, value): (&String, &Value)| {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        format!("{name}={}", utf8_percent_encode(&value, VALUE))
    };
    (!asked.is_empty()).then(|| asked.iter().map(pair).collect::<Vec<_>>().join("&"))
}
