//! What the demo agent understands and says: three operations of A2A 1.0, over JSON-RPC and HTTP+JSON.

use bytes::Bytes;
use futures_util::stream;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use http::request::Parts;
use http::{Method, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Frame;
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::convert::Infallible;
use std::time::Duration;

/// An answer's body: whole, or as it is spoken.
pub(super) type Body = UnsyncBoxBody<Bytes, Infallible>;

/// Where its card is (A2A 1.0 §8.2).
pub(super) const CARD: &str = "/.well-known/agent-card.json";
/// Its JSON-RPC endpoint.
pub(super) const JSON_RPC: &str = "/a2a";
/// What its HTTP+JSON paths begin with.
pub(super) const HTTP_JSON: &str = "/rest";

/// Between two words, so that a person sees them come.
const PAUSE: Duration = Duration::from_millis(40);
/// How many tasks it remembers.
const TASKS_MAX: usize = 256;

/// What is asked of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operation {
    SendMessage,
    SendStreamingMessage,
    GetTask,
}

/// A call. `id`: of the JSON-RPC request; none over HTTP+JSON.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) operation: Operation,
    id: Option<Value>,
    params: Value,
}

/// Why it doesn't do what it is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    NotJson,
    Params,
    Unknown,
    Version,
    TaskNotFound,
    Scope,
}

/// A request that is no call, and how to say so.
#[derive(Debug)]
pub(super) struct NoCall {
    fault: Fault,
    id: Option<Value>,
}

/// What it has said so far.
#[derive(Debug)]
pub(super) struct Speech {
    origin: String,
    tasks: Mutex<VecDeque<Value>>,
}

impl Operation {
    const ALL: [Self; 3] = [Self::SendMessage, Self::SendStreamingMessage, Self::GetTask];

    /// As A2A 1.0 names it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::SendMessage => "SendMessage",
            Self::SendStreamingMessage => "SendStreamingMessage",
            Self::GetTask => "GetTask",
        }
    }
}

impl Fault {
    /// JSON-RPC code, HTTP status, and the text of both (A2A 1.0 §5.4).
    fn told(self) -> (i32, StatusCode, &'static str) {
        match self {
            Self::NotJson => (-32700, StatusCode::BAD_REQUEST, "the body is not JSON"),
            Self::Params => (-32602, StatusCode::BAD_REQUEST, "a message with a text is needed"),
            Self::Unknown => (-32601, StatusCode::NOT_FOUND, "this agent does not do that"),
            Self::Version => (-32009, StatusCode::BAD_REQUEST, "this agent speaks A2A 1.0"),
            Self::TaskNotFound => (-32001, StatusCode::NOT_FOUND, "task not found"),
            Self::Scope => (-32003, StatusCode::FORBIDDEN, "the credential lacks the operation's scope"),
        }
    }
}

impl NoCall {
    pub(super) fn response(&self) -> Response<Body> {
        refused(self.fault, self.id.as_ref())
    }
}

impl Asked {
    /// Reads a request.
    pub(super) fn read(head: &Parts, body: &[u8]) -> Result<Self, NoCall> {
        let path = head.uri.path();
        let rpc = path == JSON_RPC && head.method == Method::POST;
        let no_call = |fault, id: Option<Value>| NoCall { fault, id: id.or(rpc.then_some(Value::Null)) };
        let get = head.method == Method::GET;
        let body: Value = match get {
            true => Value::Null,
            false => serde_json::from_slice(body).map_err(|_| no_call(Fault::NotJson, None))?,
        };
        let id = rpc.then(|| body["id"].clone());
        if head.headers.get("a2a-version").is_none_or(|version| version != "1.0") {
            return Err(no_call(Fault::Version, id));
        }
        let named = |name: &str| Operation::ALL.into_iter().find(|operation| operation.name() == name);
        let task = path.strip_prefix(HTTP_JSON).and_then(|below| below.strip_prefix("/tasks/"));
        let (operation, params) = match (rpc, get, task, path.strip_prefix(HTTP_JSON)) {
            (true, ..) => (body["method"].as_str().and_then(named), body["params"].clone()),
            (_, true, Some(task), _) => (Some(Operation::GetTask), json!({ "id": task })),
            (_, false, _, Some("/message:send")) => (Some(Operation::SendMessage), body),
            (_, false, _, Some("/message:stream")) => (Some(Operation::SendStreamingMessage), body),
            _ => (None, Value::Null),
        };
        let operation = operation.ok_or_else(|| no_call(Fault::Unknown, id.clone()))?;
        Ok(Self { operation, id, params })
    }

    /// The text parts of the message, one after the other.
    fn text(&self) -> Option<String> {
        let parts = self.params["message"]["parts"].as_array()?;
        let texts: Vec<&str> = parts.iter().filter_map(|part| part["text"].as_str()).collect();
        Some(texts.join(" ")).filter(|text| !text.trim().is_empty())
    }

    pub(super) fn refused(&self, fault: Fault) -> Response<Body> {
        refused(fault, self.id.as_ref())
    }

    fn written(&self, result: &Value) -> Value {
        match &self.id {
            Some(id) => json!({"jsonrpc": "2.0", "id": id, "result": result}),
            None => result.clone(),
        }
    }
}

impl Speech {
    /// Of an agent that listens at an origin, as `https://127.0.0.1:4711`.
    pub(super) fn new(origin: String) -> Self {
        Self { origin, tasks: Mutex::default() }
    }

    /// Its card.
    pub(super) fn card(&self) -> Value {
        let interface = |path: &str, binding: &str| {
            let url = format!("{}{path}", self.origin);
            json!({"url": url, "protocolBinding": binding, "protocolVersion": "1.0"})
        };
        json!({
            "name": "Echo",
            "description": "Says again what it hears, word by word.",
            "version": env!("CARGO_PKG_VERSION"),
            "supportedInterfaces": [interface(JSON_RPC, "JSONRPC"), interface(HTTP_JSON, "HTTP+JSON")],
            "capabilities": {"streaming": true},
            "defaultInputModes": ["text/plain"],
            "defaultOutputModes": ["text/plain"],
            "skills": [{
                "id": "repeat",
                "name": "Repeat",
                "description": "Repeats a text.",
                "tags": ["demo", "text"],
            }],
        })
    }

    /// Does what is asked.
    pub(super) fn answer(&self, asked: &Asked) -> Response<Body> {
        if asked.operation == Operation::GetTask {
            let tasks = self.tasks.lock();
            let found = tasks.iter().find(|task| task["id"] == asked.params["id"]);
            return match found {
                Some(task) => json(StatusCode::OK, &asked.written(task)),
                None => asked.refused(Fault::TaskNotFound),
            };
        }
        let message = &asked.params["message"];
        if !message["taskId"].is_null() {
            return asked.refused(Fault::TaskNotFound); // Its tasks are over as soon as they are begun: none goes on.
        }
        let (Some(text), Ok(id), Ok(fresh)) =
            (asked.text(), tokens::sign::token_id(), tokens::sign::token_id())
        else {
            return asked.refused(Fault::Params);
        };
        let context = message["contextId"].as_str().map_or(fresh, ToOwned::to_owned);
        let task = |state: &str, artifacts: Value| {
            let status = json!({ "state": state });
            json!({"id": id, "contextId": context, "status": status, "artifacts": artifacts})
        };
        let done = task("TASK_STATE_COMPLETED", json!([{"artifactId": "echo", "parts": [{ "text": text }]}]));
        {
            let mut tasks = self.tasks.lock();
            tasks.push_back(done.clone());
            if tasks.len() > TASKS_MAX {
                tasks.pop_front();
            }
        }
        if asked.operation == Operation::SendMessage {
            return json(StatusCode::OK, &asked.written(&json!({ "task": done })));
        }
        let words: Vec<&str> = text.split_inclusive(char::is_whitespace).collect();
        let word = |(at, word): (usize, &&str)| {
            json!({"artifactUpdate": {
                "taskId": id,
                "contextId": context,
                "artifact": {"artifactId": "echo", "parts": [{ "text": word }]},
                "append": at > 0,
                "lastChunk": at + 1 == words.len(),
            }})
        };
        let began = json!({"task": task("TASK_STATE_WORKING", json!([]))});
        let ended = json!({"statusUpdate": {"taskId": id, "contextId": context, "status": done["status"]}});
        let events = [began].into_iter().chain(words.iter().enumerate().map(word)).chain([ended]);
        spoken(events.map(|event| format!("data: {}\n\n", asked.written(&event))).collect())
    }
}

/// Events, each in its time.
fn spoken(events: VecDeque<String>) -> Response<Body> {
    let events = stream::unfold((events, false), |(mut events, begun)| async move {
        let event = events.pop_front()?;
        if begun {
            tokio::time::sleep(PAUSE).await;
        }
        Some((Ok(Frame::data(Bytes::from(event))), (events, true)))
    });
    let mut response = Response::new(StreamBody::new(events).boxed_unsync());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn refused(fault: Fault, id: Option<&Value>) -> Response<Body> {
    let (code, status, message) = fault.told();
    match id {
        Some(id) => {
            let error = json!({"code": code, "message": message});
            json(StatusCode::OK, &json!({"jsonrpc": "2.0", "id": id, "error": error}))
        }
        None => json(status, &json!({"error": {"code": status.as_u16(), "message": message}})),
    }
}

/// A document.
pub(super) fn json(status: StatusCode, document: &Value) -> Response<Body> {
    let mut response = Response::new(Full::new(Bytes::from(document.to_string())).boxed_unsync());
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// A status and nothing more.
pub(super) fn plain(status: StatusCode) -> Response<Body> {
    json(status, &json!({}))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test ends by panicking")]
    use super::*;

    fn asked(method: Method, path: &str, version: Option<&str>, body: &str) -> Result<Operation, Fault> {
        let mut request = http::Request::builder().method(method).uri(path);
        if let Some(version) = version {
            request = request.header("a2a-version", version);
        }
        let (head, ()) = request.body(()).unwrap().into_parts();
        Asked::read(&head, body.as_bytes()).map(|asked| asked.operation).map_err(|refused| refused.fault)
    }

    #[test]
    fn an_operation_is_understood_in_both_bindings_and_in_no_other_version() {
        let (get, post) = (Method::GET, Method::POST);
        let send = r#"{"jsonrpc":"2.0","id":1,"method":"SendMessage","params":{}}"#;
        for (method, path, version, body, wanted) in [
            (&post, "/a2a", Some("1.0"), send, Ok(Operation::SendMessage)),
            (&post, "/rest/message:send", Some("1.0"), "{}", Ok(Operation::SendMessage)),
            (&post, "/rest/message:stream", Some("1.0"), "{}", Ok(Operation::SendStreamingMessage)),
            (&get, "/rest/tasks/t", Some("1.0"), "", Ok(Operation::GetTask)),
            (&post, "/a2a", None, send, Err(Fault::Version)),
            (&post, "/a2a", Some("0.3"), send, Err(Fault::Version)),
            (&post, "/a2a", Some("1.0"), "{", Err(Fault::NotJson)),
            (&post, "/a2a", Some("1.0"), r#"{"method":"message/send"}"#, Err(Fault::Unknown)),
            (&post, "/rest/tasks/t:cancel", Some("1.0"), "{}", Err(Fault::Unknown)),
            (&get, "/a2a", Some("1.0"), "", Err(Fault::Unknown)),
        ] {
            assert_eq!(
                asked(method.clone(), path, version, body),
                wanted,
                "{method} {path} {version:?} {body}"
            );
        }
    }

    #[test]
    fn its_card_is_one_that_is_read() {
        let card = Speech::new("https://127.0.0.1:1".into()).card();
        let read = protocol::a2a::card::Card::read(&card).unwrap();
        assert_eq!(serde_json::Value::Object(read.members().clone()), card, "nothing of it is left out");
    }
}
