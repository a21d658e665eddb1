//! All servers at one URL before 2026-07-28: one session for the client, and behind it one with each server that it uses.

use crate::one_url::{at_one_url, names, not_found, policy, three};
use http::{Method, Response};
use reqwest::RequestBuilder;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use world::agent::send;
use world::{Agent, Answer, McpServer, Plan, Received, Reply, World};

pub(crate) const VERSION: &str = "2025-11-25";

/// A server with sessions: it numbers them, and hears nothing outside of one.
pub(crate) fn with_sessions(server: &McpServer, name: &'static str, tool: &'static str) {
    let begun = Arc::new(AtomicUsize::new(0));
    server.answers(move |received| serves(received, name, tool, &begun));
}

fn serves(received: &Received, name: &str, tool: &str, begun: &AtomicUsize) -> Answer {
    let empty = |status| Answer::Raw(Response::builder().status(status).body(String::new()).unwrap());
    let session = received.headers.get("mcp-session-id").map(|id| id.to_str().unwrap().to_owned());
    if received.method == Method::DELETE {
        return empty(200);
    }
    let request = received.json();
    let answer = Response::builder().header("content-type", "application/json");
    let result = |result: Value| json!({"jsonrpc": "2.0", "id": request["id"], "result": result}).to_string();
    match (request["method"].as_str().unwrap(), session) {
        ("initialize", None) => {
            let id = format!("{name}-{}", begun.fetch_add(1, Ordering::SeqCst) + 1);
            let said = json!({"protocolVersion": VERSION, "capabilities": {}, "serverInfo": {"name": name, "version": "1"}});
            Answer::Raw(answer.header("mcp-session-id", id).body(result(said)).unwrap())
        }
        (_, None) => empty(400),
        (_, Some(id)) if id != format!("{name}-{}", begun.load(Ordering::SeqCst)) => empty(404),
        ("notifications/initialized", _) => empty(202),
        ("tools/list", Some(_)) => {
            Answer::Raw(answer.body(result(json!({"tools": [{"name": tool}]}))).unwrap())
        }
        ("tools/call", Some(id)) => {
            let said = json!({"content": [{"type": "text", "text": id}]});
            Answer::Raw(answer.header("mcp-session-id", id).body(result(said)).unwrap())
        }
        _ => not_found(&request),
    }
}

pub(crate) async fn world(plan: Plan) -> World {
    let world = three(plan).await;
    with_sessions(&world.ledger, "ledger", "post_entry");
    with_sessions(&world.agents["notes"], "notes", "ask");
    with_sessions(&world.agents["vault"], "vault", "ask");
    world
}

pub(crate) fn post(agent: &Agent, session: Option<&str>, method: &str, params: &Value) -> RequestBuilder {
    let mut body = json!({"jsonrpc": "2.0", "id": 7, "method": method, "params": params});
    if method.starts_with("notifications/") {
        body.as_object_mut().unwrap().remove("id");
    }
    let request = agent.post("/mcp", body.to_string()).header("mcp-protocol-version", VERSION);
    match session {
        Some(id) => request.header("mcp-session-id", id),
        None => request,
    }
}

async fn opened(agent: &Agent) -> Reply {
    let params =
        json!({"protocolVersion": VERSION, "capabilities": {}, "clientInfo": {"name": "c", "version": "1"}});
    send(post(agent, None, "initialize", &params)).await
}

pub(crate) async fn session(agent: &Agent) -> String {
    opened(agent).await.header("mcp-session-id").unwrap().to_owned()
}

pub(crate) async fn call(agent: &Agent, session: &str, name: &str, amount: i64) -> Reply {
    send(post(
        agent,
        Some(session),
        "tools/call",
        &json!({"name": name, "arguments": {"amount_cents": amount}}),
    ))
    .await
}

pub(crate) fn methods(server: &McpServer) -> Vec<String> {
    let told = |received: &Received| match received.method {
        Method::POST => received.json()["method"].as_str().unwrap().to_owned(),
        ref other => other.to_string(),
    };
    server.received().iter().map(told).collect()
}

#[tokio::test]
async fn a_session_here_is_one_with_each_server_that_is_used() {
    let world = world(Plan::default()).await;
    let clerk = at_one_url(&world, "agent/clerk");
    let reply = opened(&clerk).await;
    let said = &reply.json()["result"];
    assert_eq!(
        (&said["protocolVersion"], &said["serverInfo"]["name"]),
        (&json!(VERSION), &json!("sallyport"))
    );
    let id = reply.header("mcp-session-id").unwrap().to_owned();
    assert_eq!(send(post(&clerk, Some(&id), "notifications/initialized", &json!({}))).await.status, 202);
    assert_eq!(send(post(&clerk, Some(&id), "ping", &json!({}))).await.json()["result"], json!({}));
    assert!(methods(&world.agents["vault"]).is_empty(), "nobody is asked before it must be");

    for _ in 0..2 {
        let reply = call(&clerk, &id, "vault__ask", 1).await;
        assert_eq!(reply.result(), "vault-1");
        assert_eq!(reply.header("mcp-session-id"), None, "the server's session is not the client's to know");
    }
    assert_eq!(
        methods(&world.agents["vault"]),
        ["initialize", "notifications/initialized", "tools/call", "tools/call"]
    );
    assert!(methods(&world.agents["notes"]).is_empty());
    let list = send(post(&clerk, Some(&id), "tools/list", &json!({}))).await.json();
    assert_eq!(names(&list["result"]), ["ledger__post_entry", "notes__ask", "vault__ask"]);
    assert_eq!((&list["result"]["resultType"], &list["result"]["cacheScope"]), (&Value::Null, &Value::Null));
    assert_eq!(methods(&world.agents["vault"]).len(), 5, "in the session that there is");
    assert_ne!(session(&clerk).await, id);
    let records = world.records("request");
    let in_it = records.iter().filter(|r| r["session"] == records[0]["session"]).count();
    assert_eq!(in_it, records.len() - 1, "the records name the session as the client knows it");
}

#[tokio::test]
async fn a_denied_call_begins_no_session_at_its_server() {
    let world = world(Plan::default()).await;
    let (clerk, intern) = (at_one_url(&world, "agent/clerk"), at_one_url(&world, "agent/intern"));
    let (own, theirs) = (session(&clerk).await, session(&intern).await);
    assert_eq!(call(&intern, &theirs, "vault__ask", 1).await.refused_because(), "not_allowed");
    assert_eq!(call(&clerk, &own, "vault__ask", 1001).await.refused_because(), "not_allowed");
    assert_eq!(call(&clerk, &own, "nobody__ask", 1).await.refused_because(), "not_allowed");
    assert!(world.agents["vault"].received().is_empty());
    assert_eq!(world.records("request").pop().unwrap()["decision"], "denial");
    assert_eq!(call(&clerk, &own, "vault__ask", 1000).await.result(), "vault-1");
}

#[tokio::test]
async fn a_session_here_is_its_owners_and_no_servers() {
    let world = world(Plan::default()).await;
    let clerk = at_one_url(&world, "agent/clerk");
    let id = session(&clerk).await;
    let token = world.token_with("agent/clerk", |claims| claims.subject = "bob");
    let bob = world.agent("agent/clerk").with_token(&token);
    let of_server = {
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {"protocolVersion": VERSION, "capabilities": {}, "clientInfo": {"name": "c", "version": "1"}}});
        let reply = send(clerk.post("/mcp/vault", body.to_string())).await;
        reply.header("mcp-session-id").unwrap().to_owned()
    };
    let at_vault = |agent: &Agent, id: &str| {
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {}});
        agent
            .post("/mcp/vault", body.to_string())
            .header("mcp-protocol-version", VERSION)
            .header("mcp-session-id", id)
    };
    for (what, request) in [
        ("another person's", post(&bob, Some(&id), "tools/list", &json!({}))),
        ("another agent's", post(&at_one_url(&world, "agent/intern"), Some(&id), "tools/list", &json!({}))),
        ("a server's", post(&clerk, Some(&of_server), "tools/list", &json!({}))),
        ("this URL's at a server", at_vault(&clerk, &id)),
        ("none", post(&clerk, Some("vault-1"), "tools/list", &json!({}))),
        (
            "another person's call",
            post(
                &bob,
                Some(&id),
                "tools/call",
                &json!({"name": "vault__ask", "arguments": {"amount_cents": 1}}),
            ),
        ),
    ] {
        let reply = send(request).await;
        assert_eq!((reply.status, reply.refused_because().as_str()), (404, "session_not_found"), "{what}");
    }
    let outside = send(post(&clerk, None, "tools/list", &json!({}))).await;
    assert_eq!((outside.status, outside.refused_because().as_str()), (400, "session_required"));
    assert_eq!(send(at_vault(&clerk, &of_server)).await.status, 200);
}

#[tokio::test]
async fn the_end_of_a_session_is_the_end_of_those_behind_it() {
    let world = world(Plan { limits: "{sessions_per_owner_max: 2}", ..Plan::default() }).await;
    let clerk = at_one_url(&world, "agent/clerk");
    let id = session(&clerk).await;
    assert_eq!(call(&clerk, &id, "vault__ask", 1).await.result(), "vault-1");
    let full = call(&clerk, &id, "notes__ask", 1).await;
    assert_eq!((full.status, full.refused_because().as_str()), (429, "too_many_sessions"), "each counts");
    let end = clerk
        .request(Method::DELETE, "/mcp")
        .header("mcp-protocol-version", VERSION)
        .header("mcp-session-id", &id);
    assert_eq!(send(end).await.status, 200);
    let last = world.agents["vault"].received().pop().unwrap();
    assert_eq!(
        (&last.method, last.headers["mcp-session-id"].to_str().unwrap()),
        (&Method::DELETE, "vault-1")
    );
    let next = session(&clerk).await;
    assert_eq!(call(&clerk, &next, "vault__ask", 1).await.result(), "vault-2", "and their places are free");
}

#[tokio::test]
async fn a_server_that_has_lost_its_session_is_found_again() {
    let world = world(Plan::default()).await;
    let clerk = at_one_url(&world, "agent/clerk");
    let id = session(&clerk).await;
    assert_eq!(call(&clerk, &id, "vault__ask", 1).await.result(), "vault-1");
    with_sessions(&world.agents["vault"], "vault", "ask"); // It starts again, and knows of none.
    assert_eq!(call(&clerk, &id, "vault__ask", 1).await.status, 404, "the client hears it, and begins anew");
    assert_eq!(call(&clerk, &id, "vault__ask", 1).await.result(), "vault-1");
}

#[tokio::test]
async fn there_is_no_stream_and_nothing_of_one_server_alone() {
    let world = world(Plan::default()).await;
    let clerk = at_one_url(&world, "agent/clerk");
    let id = session(&clerk).await;
    let stream = clerk.request(Method::GET, "/mcp").header("accept", "text/event-stream");
    let reply = send(stream.header("mcp-protocol-version", VERSION).header("mcp-session-id", &id)).await;
    assert_eq!(
        (reply.status, reply.header("allow"), reply.refused_because().as_str()),
        (405, Some("POST"), "method_not_allowed")
    );
    for (method, params) in [
        ("resources/subscribe", json!({"uri": "doc://a"})),
        ("resources/unsubscribe", json!({"uri": "doc://a"})),
        ("logging/setLevel", json!({"level": "info"})),
    ] {
        let reply = send(post(&clerk, Some(&id), method, &params)).await;
        assert_eq!(
            (reply.status, reply.code(), reply.refused_because().as_str()),
            (400, -32601, "method_of_one_server"),
            "{method}"
        );
    }
    let answer = clerk
        .post("/mcp", r#"{"jsonrpc":"2.0","id":1,"result":{}}"#.into())
        .header("mcp-protocol-version", VERSION);
    assert_eq!(send(answer.header("mcp-session-id", &id)).await.refused_because(), "client_response_refused");
    assert!(world.agents.values().all(|server| server.received().is_empty()));
}

#[tokio::test]
async fn a_session_that_is_revoked_ends_its_calls_under_way() {
    let world = world(Plan::default()).await;
    let clerk = at_one_url(&world, "agent/clerk");
    let id = session(&clerk).await;
    assert_eq!(call(&clerk, &id, "vault__ask", 1).await.result(), "vault-1");
    let events = world.agents["vault"].streams();
    let params = json!({"name": "vault__ask", "arguments": {"amount_cents": 1}});
    let mut answer = post(&clerk, Some(&id), "tools/call", &params).send().await.unwrap();
    events
        .send(Ok("data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\",\"params\":{}}\n\n"))
        .await
        .unwrap();
    assert!(answer.chunk().await.unwrap().is_some());
    world.revoke(&["--session", &id]).await;
    assert!(!matches!(answer.chunk().await, Ok(Some(_))), "it has broken off");
    assert_eq!(
        send(post(&clerk, Some(&id), "ping", &json!({}))).await.refused_because(),
        "session_not_found"
    );
}

#[tokio::test]
async fn a_server_whose_sessions_policy_closes_is_called_without_one() {
    let mut closed = policy();
    closed.retain(|(name, _)| *name != "protocol.rego");
    closed
        .push(("protocol.rego", "package protocol\n\nallow if input.call.method != \"initialize\"\n".into()));
    let world = World::with(Plan { policy: closed, agents: &["notes", "vault"], ..Plan::default() }).await;
    let clerk = at_one_url(&world, "agent/clerk");
    let id = session(&clerk).await;
    world.agents["vault"].answers(|received| crate::one_url::serves(received, "vault", &["ask"]));
    assert_eq!(call(&clerk, &id, "vault__ask", 1).await.result(), "vault");
    let heard: BTreeMap<_, _> =
        world.agents["vault"].received()[0].headers.iter().map(|(n, v)| (n.to_string(), v.clone())).collect();
    assert!(!heard.contains_key("mcp-session-id"));
    assert_eq!(methods(&world.agents["vault"]), ["tools/call"]);
}
