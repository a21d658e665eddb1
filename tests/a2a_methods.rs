//! Every operation of A2A in every binding: how it is called, and what its task's owner, another principal and somebody
//! without permission hear. The tables are in docs/a2a-methods.md.

use http::{HeaderMap, HeaderValue, Method};
use protocol::a2a::{self, HttpRequest, Limits, methods};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use world::a2a::{Caller, Wire, message, older, task_in};
use world::{Plan, Reply, World, components, policies};

/// The operation that is about no task.
const CARD: &str = "GetExtendedAgentCard";

/// The cells of each line of a table whose first cell is an operation.
fn rows(heading: &str) -> Vec<Vec<String>> {
    let text = std::fs::read_to_string(components::root().join("docs/a2a-methods.md")).unwrap();
    let (_, part) = text.split_once(heading).unwrap_or_else(|| panic!("there is no {heading}"));
    let lines = part.split("\n## ").next().unwrap().lines().filter(|line| line.starts_with("| `"));
    let cell = |cell: &str| cell.trim().trim_matches('`').to_owned();
    lines.map(|line| line.trim_matches('|').split('|').map(cell).collect()).collect()
}

/// Parameters of an operation on a task, as 1.0 has them.
fn params(operation: &str, task: &str) -> Value {
    let mut message = message("go on");
    message["taskId"] = task.into();
    match operation {
        "SendMessage" | "SendStreamingMessage" => json!({ "message": message }),
        "GetTask" | "CancelTask" | "SubscribeToTask" => json!({ "id": task }),
        "ListTasks" | CARD => json!({}),
        "ListTaskPushNotificationConfigs" => json!({ "taskId": task }),
        "CreateTaskPushNotificationConfig" => json!({"taskId": task, "url": "https://hook.example/"}),
        "GetTaskPushNotificationConfig" | "DeleteTaskPushNotificationConfig" => {
            json!({"taskId": task, "id": "p"})
        }
        other => panic!("what does {other} take?"),
    }
}

/// The operation that a request is; or why it is none.
fn decoded(version: &'static str, method: &Method, path: &str, body: &Value) -> Result<String, String> {
    let mut headers = HeaderMap::new();
    headers.insert("content-type", HeaderValue::from_static("application/json"));
    headers.insert("a2a-version", HeaderValue::from_static(version));
    let body = if method == Method::POST { body.to_string().into_bytes() } else { Vec::new() };
    let request = HttpRequest { method, path, query: None, headers: &headers, body: &body };
    let call = a2a::call(&request, &Limits::default());
    call.map(|call| call.method.name().to_owned()).map_err(|error| error.to_string())
}

#[test]
fn each_operation_is_called_as_the_table_says() {
    let rows = rows("## Operations");
    let named: Vec<&str> = rows.iter().map(|row| row[0].as_str()).collect();
    assert_eq!(named, methods().iter().map(|row| row.name).collect::<Vec<_>>());
    for (row, known) in rows.iter().zip(methods()) {
        let (operation, rest, older_name, older_rest) = (&row[0], &row[1], &row[2], &row[3]);
        let rpc = |method: &str, params: &Value| json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
        let today = params(operation, "t");
        assert_eq!(decoded("1.0", &Method::POST, "", &rpc(operation, &today)), Ok(operation.clone()));
        assert_eq!(known.older.unwrap_or("-"), older_name);
        if older_name != "-" {
            let before = if operation == CARD { json!({}) } else { older(operation, &today).1 };
            assert_eq!(decoded("0.3", &Method::POST, "", &rpc(older_name, &before)), Ok(operation.clone()));
        }
        for (version, cell) in [("1.0", rest), ("0.3", older_rest)] {
            if cell == "-" {
                continue;
            }
            let (methods, path) = cell.split_once(' ').unwrap();
            let path = path.replace("{task}", "t").replace("{config}", "p");
            let body = match operation.as_str() {
                "CancelTask" => json!({}),
                "SendMessage" | "SendStreamingMessage" if version == "0.3" => {
                    json!({"message": {"messageId": "m", "role": "ROLE_USER", "content": [{"text": "x"}]}})
                }
                "CreateTaskPushNotificationConfig" if version == "0.3" => {
                    json!({"config": {"pushNotificationConfig": {"url": "https://hook.example/"}}})
                }
                "SubscribeToTask" => json!({}),
                _ => today.clone(),
            };
            for method in methods.split('/') {
                let method = Method::from_bytes(method.as_bytes()).unwrap();
                let found = decoded(version, &method, &path, &body);
                assert_eq!(found, Ok(operation.clone()), "{version} {method} {path}");
            }
        }
    }
}

/// An answer in a word: status, code and reason of a refusal, or what came.
fn heard(reply: &Reply) -> String {
    let stream = reply.text.contains("data: ");
    let answer = reply.json();
    if !stream && (answer.get("error").is_some() || reply.status != 200) {
        return format!("{}, {} `{}`", reply.status, reply.code(), reply.refused_because());
    }
    let list = if answer["result"].is_object() { &answer["result"] } else { &answer };
    match list["totalSize"].as_i64() {
        _ if list["supportedInterfaces"].is_array() => "200, a card".into(),
        Some(total) => format!("200, {total} in the list"),
        None if stream => "200, a stream".into(),
        None => "200".into(),
    }
}

async fn answer(caller: &Caller, operation: &str, task: &str) -> String {
    heard(&caller.call(operation, &params(operation, task)).await)
}

#[tokio::test]
async fn what_owner_stranger_and_forbidden_hear_is_what_the_table_says() {
    let plan = Plan { policy: policies::trainer(), trainer: Some("push: direct"), ..Plan::default() };
    let world = World::with(plan).await;
    let named = || {
        let called = |wire: Wire, row: &a2a::MethodRow| !wire.is_older() || row.older.is_some();
        methods().iter().flat_map(move |row| {
            Wire::ALL.into_iter().filter(move |wire| called(*wire, row)).map(move |wire| (row.name, wire))
        })
    };
    let task = task_in(&world.caller("agent/clerk", "alice", Wire::Rpc).send("train", &json!({})).await);
    let mut cells = Vec::new();
    for (operation, wire) in named() {
        let (alice, bob) =
            (world.caller("agent/clerk", "alice", wire), world.caller("agent/clerk", "bob", wire));
        let other = answer(&bob, operation, &task).await;
        cells.push((answer(&alice, operation, &task).await, other));
    }
    world.change_policy("agents/trainer.rego", "package agents.trainer\n\nallow := false\n").await;
    let mut table = Vec::new();
    for ((operation, wire), (owner, other)) in named().zip(cells) {
        let reached = world.trainer.received().len();
        let forbidden = answer(&world.caller("agent/clerk", "alice", wire), operation, &task).await;
        assert_eq!(world.trainer.received().len(), reached, "{operation} {wire:?}");
        table.push(format!("| `{operation}` | {} | {owner} | {other} | {forbidden} |", wire.as_str()));
    }
    let table = table.join("\n");
    println!("{table}");
    let document = std::fs::read_to_string(components::root().join("docs/a2a-methods.md")).unwrap();
    assert!(document.contains(&table), "docs/a2a-methods.md should have:\n{table}");
}

#[tokio::test]
async fn a_call_that_lacks_scopes_is_challenged_in_every_binding() {
    let policy = policies::trainer_with("needs_scopes := {\"train\"}");
    let world = World::with(Plan { policy, trainer: Some(""), ..Plan::default() }).await;
    let scopes: &BTreeSet<String> =
        Box::leak(Box::new(BTreeSet::from(["bookkeeping", "train"].map(String::from))));
    let more = world.token_with("agent/clerk", |claims| claims.scopes = scopes);
    for wire in Wire::ALL {
        let reached = world.trainer.received().len();
        let lacking = world.caller("agent/clerk", "alice", wire).send("train", &json!({})).await;
        let code = match wire {
            Wire::Rest => 403,
            Wire::Grpc => 7,
            Wire::Rpc | Wire::Older | Wire::OlderRest => -32030,
        };
        assert_eq!((lacking.status, lacking.code()), (403, code), "{wire:?} {lacking:?}");
        assert_eq!(lacking.refused_because(), "insufficient_scope");
        let challenge = lacking.header("www-authenticate").unwrap();
        assert!(challenge.ends_with("error=\"insufficient_scope\", scope=\"train\""), "{challenge}");
        assert_eq!(world.trainer.received().len(), reached, "the agent hears nothing");
        let record = world.records("request").pop().unwrap();
        assert_eq!(
            (&record["decision"], &record["reason"]),
            (&json!("denial"), &json!("insufficient_scope"))
        );
        let twin = Caller { agent: world.agent("agent/clerk").with_token(&more), wire };
        assert!(!twin.send("train", &json!({})).await.is_refused(), "{wire:?}");
    }
}

/// The policy of docs/a2a.md and the twins below it.
#[tokio::test]
async fn the_documents_policy_permits_and_denies_what_they_say() {
    let document = std::fs::read_to_string(components::root().join("docs/a2a.md")).unwrap();
    let (_, rest) = document.split_once("```rego\npackage agents.trainer").unwrap();
    let policy = format!("package agents.trainer{}", rest.split("```").next().unwrap());
    let policy = vec![("protocol.rego", policies::protocol()), ("agents/trainer.rego", policy)];
    let world = World::with(Plan { policy, trainer: Some("push: direct"), ..Plan::default() }).await;
    let caller = |wire, person| {
        let scopes = BTreeSet::from(
            ["bookkeeping", if person == "alice" { "train" } else { "travel" }].map(String::from),
        );
        let token = world.token_with("agent/clerk", |claims| {
            claims.subject = person;
            claims.scopes = Box::leak(Box::new(scopes));
        });
        Caller { agent: world.agent("agent/clerk").with_token(&token), wire }
    };
    let says = |part: Value| {
        ("SendMessage", json!({"message": {"messageId": "m", "role": "ROLE_USER", "parts": [part]}}))
    };
    for wire in [Wire::Rpc, Wire::Rest, Wire::Grpc] {
        let (alice, bob) = (caller(wire, "alice"), caller(wire, "bob"));
        let task = task_in(&alice.send("train the model", &json!({})).await);
        let hook = |url: &str| ("CreateTaskPushNotificationConfig", json!({"taskId": task, "url": url}));
        let twins = [
            (
                says(json!({"text": "train the model"})),
                says(json!({"text": "Delete the model"})),
                "no_deleting",
            ),
            (says(json!({"raw": "AAAA"})), says(json!({"url": "https://files.example/a"})), "no_links"),
            (hook("https://hooks.example/t"), hook("https://hooks.example.org/t"), "foreign_hook"),
        ];
        for ((operation, params), (other, denied), reason) in twins {
            let reached = world.trainer.received().len();
            assert_eq!(alice.call(operation, &params).await.status, 200, "{params}");
            assert_eq!(alice.call(other, &denied).await.refused_because(), reason);
            assert_eq!(bob.send("train the model", &json!({})).await.refused_because(), "not_allowed");
            assert_eq!(world.trainer.received().len(), reached + 1);
        }
    }
}
