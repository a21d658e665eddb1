//! A fake A2A agent, and a caller of one. The agent keeps tasks for everybody and asks nobody whose they are: what keeps
//! them apart is the gateway.

use crate::agent::send;
use crate::{Agent, Answer, Received, Reply, grpc};
use http::Response;
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use tokio::sync::mpsc;

/// How a call is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wire {
    /// JSON-RPC, 1.0.
    Rpc,
    /// HTTP+JSON, 1.0.
    Rest,
    /// gRPC, 1.0.
    Grpc,
    /// JSON-RPC, 0.3.
    Older,
    /// HTTP+JSON, 0.3: below `/v1`.
    OlderRest,
}

impl Wire {
    pub const ALL: [Self; 5] = [Self::Rpc, Self::Rest, Self::Grpc, Self::Older, Self::OlderRest];

    /// As the documents call it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rpc => "JSON-RPC 1.0",
            Self::Rest => "HTTP+JSON 1.0",
            Self::Grpc => "gRPC 1.0",
            Self::Older => "JSON-RPC 0.3",
            Self::OlderRest => "HTTP+JSON 0.3",
        }
    }

    /// Whether it is 0.3, which has no lists.
    pub fn is_older(self) -> bool {
        matches!(self, Self::Older | Self::OlderRest)
    }

    /// Whether a refusal is told by the HTTP status.
    pub fn is_rest(self) -> bool {
        matches!(self, Self::Rest | Self::OlderRest)
    }
}

/// Builds requests to one agent.
#[derive(Clone)]
pub struct Caller {
    pub agent: Agent,
    pub wire: Wire,
}

/// A message of one text, in the words of 1.0.
pub fn message(text: &str) -> Value {
    json!({"messageId": "m-1", "role": "ROLE_USER", "parts": [{"text": text}]})
}

impl Caller {
    /// An operation, with parameters as 1.0 has them.
    pub fn request(&self, operation: &str, params: &Value) -> RequestBuilder {
        match self.wire {
            Wire::Rpc => {
                let body = json!({"jsonrpc": "2.0", "id": 7, "method": operation, "params": params});
                self.agent.post("/a2a/trainer", body.to_string()).header("a2a-version", "1.0")
            }
            Wire::Rest => self.rest(operation, params).header("a2a-version", "1.0"),
            Wire::Grpc => {
                let path = format!("/{}/{operation}", protocol::a2a::SERVICE);
                let request = self.agent.request(Method::POST, &path).body(grpc::request(operation, params));
                request
                    .header("content-type", "application/grpc")
                    .header("te", "trailers")
                    .header("a2a-version", "1.0")
            }
            Wire::Older => {
                let (method, params) = older(operation, params);
                let body = json!({"jsonrpc": "2.0", "id": 7, "method": method, "params": params});
                self.agent.post("/a2a/trainer", body.to_string())
            }
            Wire::OlderRest => self.rest(operation, params),
        }
    }

    pub async fn call(&self, operation: &str, params: &Value) -> Reply {
        self.hears(operation, self.request(operation, params)).await
    }

    /// What comes of a request of this caller.
    pub async fn hears(&self, operation: &str, request: RequestBuilder) -> Reply {
        if self.wire != Wire::Grpc {
            return send(request).await;
        }
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        grpc::reply(operation, status, headers, &response.bytes().await.unwrap())
    }

    /// Sends a text, maybe into a context or a task; the task that comes of it.
    pub async fn send(&self, text: &str, more: &Value) -> Reply {
        let mut message = message(text);
        for (name, value) in more.as_object().into_iter().flatten() {
            message[name] = value.clone();
        }
        self.call("SendMessage", &json!({"message": message})).await
    }

    fn rest(&self, operation: &str, params: &Value) -> RequestBuilder {
        let text = |name: &str| params[name].as_str().unwrap_or_default().to_owned();
        let push = || format!("/tasks/{}/pushNotificationConfigs", text("taskId"));
        let (method, path) = match operation {
            "SendMessage" => (Method::POST, "/message:send".to_owned()),
            "SendStreamingMessage" => (Method::POST, "/message:stream".to_owned()),
            "GetTask" => (Method::GET, format!("/tasks/{}", text("id"))),
            "GetExtendedAgentCard" if self.wire.is_older() => (Method::GET, "/card".to_owned()),
            "GetExtendedAgentCard" => (Method::GET, "/extendedAgentCard".to_owned()),
            "CancelTask" => (Method::POST, format!("/tasks/{}:cancel", text("id"))),
            "SubscribeToTask" => (Method::POST, format!("/tasks/{}:subscribe", text("id"))),
            "ListTasks" => {
                let pair = |(name, value): (&String, &Value)| {
                    format!("{name}={}", value.as_str().map_or(value.to_string(), str::to_owned))
                };
                let query: Vec<String> = params.as_object().unwrap().iter().map(pair).collect();
                (Method::GET, format!("/tasks?{}", query.join("&")))
            }
            "CreateTaskPushNotificationConfig" => (Method::POST, push()),
            "ListTaskPushNotificationConfigs" => (Method::GET, push()),
            "GetTaskPushNotificationConfig" => (Method::GET, format!("{}/{}", push(), text("id"))),
            "DeleteTaskPushNotificationConfig" => (Method::DELETE, format!("{}/{}", push(), text("id"))),
            other => panic!("no path for {other}"),
        };
        let (below, body) = match self.wire.is_older() {
            true => ("/v1", older_body(operation, params)),
            false => ("", params.clone()),
        };
        let path = format!("/a2a/trainer{below}{path}");
        if method == Method::POST {
            return self.agent.post(&path, body.to_string());
        }
        self.agent.request(method, &path)
    }
}

/// An operation as 0.3 writes it over JSON-RPC.
pub fn older(operation: &str, params: &Value) -> (&'static str, Value) {
    let mut params = params.clone();
    match operation {
        "SendMessage" | "SendStreamingMessage" => {
            let message = &mut params["message"];
            message["kind"] = "message".into();
            message["role"] = "user".into();
            for part in message["parts"].as_array_mut().unwrap() {
                part["kind"] = "text".into();
            }
            if let Some(configuration) = params.get_mut("configuration").and_then(Value::as_object_mut)
                && let Some(config) = configuration.remove("taskPushNotificationConfig")
            {
                configuration.insert("pushNotificationConfig".into(), older_push(&config));
            }
            (if operation == "SendMessage" { "message/send" } else { "message/stream" }, params)
        }
        "GetTask" => ("tasks/get", params),
        "GetExtendedAgentCard" => ("agent/getAuthenticatedExtendedCard", params),
        "CancelTask" => ("tasks/cancel", params),
        "SubscribeToTask" => ("tasks/resubscribe", params),
        "CreateTaskPushNotificationConfig" => (
            "tasks/pushNotificationConfig/set",
            json!({"taskId": params["taskId"], "pushNotificationConfig": older_push(&params)}),
        ),
        "ListTaskPushNotificationConfigs" => {
            ("tasks/pushNotificationConfig/list", json!({"id": params["taskId"]}))
        }
        "GetTaskPushNotificationConfig" | "DeleteTaskPushNotificationConfig" => {
            let get = operation.starts_with("Get");
            let method =
                if get { "tasks/pushNotificationConfig/get" } else { "tasks/pushNotificationConfig/delete" };
            (method, json!({"id": params["taskId"], "pushNotificationConfigId": params["id"]}))
        }
        other => panic!("0.3 has no {other}"),
    }
}

/// The body of an operation as 0.3 writes it over HTTP+JSON.
fn older_body(operation: &str, params: &Value) -> Value {
    match operation {
        "SendMessage" | "SendStreamingMessage" => {
            let mut params = params.clone();
            let message = params["message"].as_object_mut().unwrap();
            let parts = message.remove("parts").unwrap();
            message.insert("content".into(), parts);
            if let Some(configuration) = params.get_mut("configuration").and_then(Value::as_object_mut)
                && let Some(config) = configuration.remove("taskPushNotificationConfig")
            {
                configuration.insert("pushNotification".into(), older_push(&config));
            }
            params
        }
        "CreateTaskPushNotificationConfig" => {
            let parent = format!("tasks/{}", params["taskId"].as_str().unwrap());
            json!({"parent": parent, "config": {"pushNotificationConfig": older_push(params)}})
        }
        _ => json!({}),
    }
}

/// A push configuration as 0.3 writes it.
pub fn older_push(config: &Value) -> Value {
    let mut config = config.clone();
    let members = config.as_object_mut().unwrap();
    members.remove("taskId");
    if let Some(authentication) = members.get_mut("authentication").and_then(Value::as_object_mut)
        && let Some(scheme) = authentication.remove("scheme")
    {
        authentication.insert("schemes".into(), json!([scheme]));
    }
    config
}

/// The push configuration in a request, in the words of 1.0 or of 0.3.
fn push_in(params: &Value) -> Option<&Value> {
    let configuration = &params["configuration"];
    let places = [
        &configuration["taskPushNotificationConfig"],
        &configuration["pushNotificationConfig"],
        &configuration["pushNotification"],
        &params["config"]["pushNotificationConfig"],
        &params["pushNotificationConfig"],
        params,
    ];
    places.into_iter().find(|place| place["url"].is_string())
}

/// The id of the task in an answer, however it is written.
pub fn task_in(reply: &Reply) -> String {
    let answer = reply.json();
    let result = if answer["result"].is_object() { &answer["result"] } else { &answer };
    let task = if result["task"].is_object() { &result["task"] } else { result };
    task["id"].as_str().unwrap_or_else(|| panic!("no task in {}", reply.text)).to_owned()
}

/// What the agent says of itself to those who are known to it.
fn card() -> Value {
    json!({
        "name": "trainer", "description": "Trains.", "version": "1.0.0", "capabilities": {"extendedAgentCard": true},
        "supportedInterfaces": [{"url": "https://trainer.internal/a2a", "protocolBinding": "JSONRPC", "protocolVersion": "1.0"}],
        "defaultInputModes": ["text/plain"], "defaultOutputModes": ["text/plain"],
        "skills": [{"id": "train", "name": "Train", "description": "Trains.", "tags": ["models"]}],
    })
}

/// What the agent keeps: each task's context and state, in the order of their making, and where its events go.
#[derive(Default)]
struct Kept(BTreeMap<String, (String, &'static str)>, BTreeMap<String, Value>);

/// An agent that makes a task of every message, which works until it is canceled.
pub fn agent() -> impl FnMut(&Received) -> Answer + Send + 'static {
    let mut kept = Kept::default();
    move |received| kept.answer(received)
}

impl Kept {
    fn answer(&mut self, received: &Received) -> Answer {
        let asked = Asked::read(received);
        let params = &asked.params;
        let named = params["taskId"].as_str().or(params["id"].as_str());
        let id = match asked.operation {
            "SendMessage" | "SendStreamingMessage" => match params["message"]["taskId"].as_str() {
                Some(id) => id.to_owned(),
                None => {
                    let id = format!("task-{:03}", self.0.len());
                    let context = params["message"]["contextId"].as_str().map(str::to_owned);
                    let context = context.unwrap_or_else(|| format!("context-{:03}", self.0.len()));
                    self.0.insert(id.clone(), (context, "WORKING"));
                    id
                }
            },
            "GetExtendedAgentCard" => return asked.says(card()),
            "ListTasks" => {
                let all: Vec<Value> = self.0.keys().map(|id| self.task(id, asked.tagged())).collect();
                return asked.says(
                    json!({"totalSize": all.len(), "tasks": all, "nextPageToken": "", "pageSize": 50}),
                );
            }
            _ => named.unwrap_or_default().to_owned(),
        };
        let Some((_, state)) = self.0.get_mut(&id) else { return asked.not_found() };
        if let Some(config) = push_in(params) {
            let mut config = config.clone();
            config["id"] = "p".into();
            self.1.insert(id.clone(), config);
        }
        match asked.operation {
            "CancelTask" => *state = "CANCELED",
            "push" if asked.push == "one" && asked.config.as_deref().is_some_and(|config| config != "p") => {
                return asked.not_found();
            }
            "push" => return asked.says(self.push(&id, &asked)),
            _ => {}
        }
        let task = self.task(&id, asked.tagged());
        match asked.operation {
            "SendMessage" if asked.tagged() => asked.says(task),
            "SendMessage" => asked.says(json!({"task": task})),
            "SendStreamingMessage" | "SubscribeToTask" => asked.streams(&task),
            _ => asked.says(task),
        }
    }

    /// A task's push configuration, or the list of it: whoever asks, and whoever's it is.
    fn push(&mut self, id: &str, asked: &Asked) -> Value {
        let config =
            self.1.get(id).cloned().unwrap_or_else(|| json!({"id": "p", "url": "https://agent.example/"}));
        let config = if asked.older {
            json!({"taskId": id, "pushNotificationConfig": config})
        } else {
            let mut config = config;
            config["taskId"] = id.into();
            config
        };
        match asked.push {
            "list" if asked.tagged() => json!([config]),
            "list" => json!({"configs": [config]}),
            "delete" => {
                self.1.remove(id);
                json!({})
            }
            _ => config,
        }
    }

    fn task(&self, id: &str, tagged: bool) -> Value {
        let (context, state) = &self.0[id];
        let state = if tagged { state.to_lowercase() } else { format!("TASK_STATE_{state}") };
        let artifacts = json!([{"artifactId": "a", "parts": [{"text": "x"}]}]);
        let mut task =
            json!({"id": id, "contextId": context, "status": {"state": state}, "artifacts": artifacts});
        if tagged {
            task["kind"] = "task".into();
        }
        task
    }
}

/// A request as the agent understands it.
struct Asked {
    operation: &'static str,
    /// What of a push configuration is wanted.
    push: &'static str,
    /// Which one, if one that is there is named.
    config: Option<String>,
    params: Value,
    id: Value,
    rpc: bool,
    older: bool,
}

impl Asked {
    fn read(received: &Received) -> Self {
        let path = received.path.split('?').next().unwrap();
        let older = !received.headers.contains_key("a2a-version");
        if path == "/a2a" {
            let body = received.json();
            let method = body["method"].as_str().unwrap().to_lowercase();
            let push = ["delete", "list"].into_iter().find(|word| method.contains(word)).unwrap_or("one");
            let operation = match body["method"].as_str().unwrap() {
                "SendMessage" | "message/send" => "SendMessage",
                "SendStreamingMessage" | "message/stream" => "SendStreamingMessage",
                "GetTask" | "tasks/get" => "GetTask",
                "CancelTask" | "tasks/cancel" => "CancelTask",
                "SubscribeToTask" | "tasks/resubscribe" => "SubscribeToTask",
                "ListTasks" => "ListTasks",
                "GetExtendedAgentCard" | "agent/getAuthenticatedExtendedCard" => "GetExtendedAgentCard",
                method if method.to_lowercase().contains("push") => "push",
                method => panic!("the agent has no {method}"),
            };
            let params = &body["params"];
            let named = ["id", "pushNotificationConfigId"].map(|name| &params[name]);
            let named = if older { named[1] } else { named[0] };
            let config = named.as_str().filter(|_| params["url"].is_null()).map(str::to_owned);
            return Self {
                operation,
                push,
                config,
                params: body["params"].clone(),
                id: body["id"].clone(),
                rpc: true,
                older,
            };
        }
        let mut params = if received.body.is_empty() { json!({}) } else { received.json() };
        let path = path.strip_prefix("/rest").unwrap();
        let path = path.strip_prefix("/v1").unwrap_or(path);
        let push = match (received.method.as_str(), path.ends_with("/pushNotificationConfigs")) {
            ("DELETE", _) => "delete",
            ("GET", true) => "list",
            _ => "one",
        };
        let config = path.rsplit_once("/pushNotificationConfigs/").map(|(_, config)| config.to_owned());
        let operation = match path {
            "/message:send" => "SendMessage",
            "/message:stream" => "SendStreamingMessage",
            "/tasks" => "ListTasks",
            "/extendedAgentCard" | "/card" => "GetExtendedAgentCard",
            _ => {
                let rest = path.strip_prefix("/tasks/").unwrap();
                let (task, operation) = match rest.split_once("/pushNotificationConfigs") {
                    Some((task, _)) => (task, "push"),
                    None => match rest.rsplit_once(':') {
                        Some((task, "cancel")) => (task, "CancelTask"),
                        Some((task, _)) => (task, "SubscribeToTask"),
                        None => (rest, "GetTask"),
                    },
                };
                let name = if operation == "push" { "taskId" } else { "id" };
                params[name] = task.into();
                operation
            }
        };
        Self { operation, push, config, params, id: Value::Null, rpc: false, older }
    }

    /// Whether things stand there themselves and say their kind: 0.3 over JSON-RPC.
    fn tagged(&self) -> bool {
        self.older && self.rpc
    }

    fn written(&self, result: Value) -> Value {
        if self.rpc { json!({"jsonrpc": "2.0", "id": self.id, "result": result}) } else { result }
    }

    fn says(&self, result: Value) -> Answer {
        Answer::Json(self.written(result))
    }

    fn streams(&self, task: &Value) -> Answer {
        let update = json!({"taskId": task["id"], "contextId": task["contextId"], "status": task["status"]});
        let (first, second) = if self.tagged() {
            let mut update = update;
            update["kind"] = "status-update".into();
            update["final"] = false.into();
            (task.clone(), update)
        } else {
            (json!({"task": task}), json!({"statusUpdate": update}))
        };
        let text: String =
            [first, second].into_iter().map(|event| format!("data: {}\n\n", self.written(event))).collect();
        let (events, stream) = mpsc::channel(1);
        events.try_send(Ok(&*Box::leak(text.into_boxed_str()))).unwrap();
        Answer::Events(stream)
    }

    fn not_found(&self) -> Answer {
        if self.rpc {
            let error = json!({"code": -32001, "message": format!("not found: {}", self.params)});
            return Answer::Json(json!({"jsonrpc": "2.0", "id": self.id, "error": error}));
        }
        let error = json!({"error": {"code": 404, "status": "NOT_FOUND", "message": "Task not found"}});
        let response = Response::builder().status(404).header("content-type", "application/json");
        Answer::Raw(response.body(error.to_string()).unwrap())
    }
}
