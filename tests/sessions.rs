//! A 2025 session is its owner's: to everybody else, in every form, it does not exist.

use reqwest::{Method, RequestBuilder};
use serde_json::json;
use std::time::Duration;
use world::agent::send;
use world::{Agent, Answer, Plan, Received, Reply, World};

const INITIALIZE: &str = r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"c","version":"1"}}}"#;
const CALL: &str = r#"{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"post_entry","arguments":{"amount_cents":5}}}"#;
const UPSTREAM_ID: &str = "ledger-session-1";

/// A server that opens sessions by the name above and has nothing against anything else.
fn with_sessions(world: &World) {
    world.ledger.answers(|received| {
        let response = http::Response::builder().header("content-type", "application/json");
        if received.method == Method::GET {
            let stream = http::Response::builder().header("content-type", "text/event-stream");
            return Answer::Raw(stream.body("id: 1\ndata: {}\n\n".to_owned()).unwrap());
        }
        if received.method == Method::DELETE {
            return Answer::Raw(response.status(200).body(String::new()).unwrap());
        }
        let id = received.json()["id"].clone();
        let text =
            json!({"jsonrpc": "2.0", "id": id, "result": {"content": [{"type": "text", "text": "posted"}]}});
        Answer::Raw(response.header("mcp-session-id", UPSTREAM_ID).body(text.to_string()).unwrap())
    });
}

async fn opened(agent: &Agent) -> Reply {
    send(agent.post("/mcp/ledger", INITIALIZE.to_owned())).await
}

/// The id of a session that the agent has just opened.
async fn session(agent: &Agent) -> String {
    let reply = opened(agent).await;
    reply.header("mcp-session-id").unwrap_or_else(|| panic!("no session: {reply:?}")).to_owned()
}

fn in_session(request: RequestBuilder, id: &str) -> RequestBuilder {
    request.header("mcp-protocol-version", "2025-11-25").header("mcp-session-id", id)
}

/// Every way to use a session: a call, its stream, its stream resumed, its end.
fn uses(agent: &Agent, path: &str, id: &str) -> Vec<RequestBuilder> {
    let stream = || agent.request(Method::GET, path).header("accept", "text/event-stream");
    vec![
        in_session(agent.post(path, CALL.to_owned()), id),
        in_session(stream(), id),
        in_session(stream(), id).header("last-event-id", "1"),
        in_session(agent.request(Method::DELETE, path), id),
    ]
}

fn last(world: &World) -> Received {
    world.ledger.received().pop().unwrap()
}

#[tokio::test]
async fn a_session_reaches_its_client_sealed_and_its_server_as_it_was() {
    let world = World::start().await;
    with_sessions(&world);
    let clerk = world.clerk();
    let id = session(&clerk).await;
    assert!(!id.contains(UPSTREAM_ID) && id != session(&clerk).await, "{id}");
    for request in uses(&clerk, "/mcp/ledger", &id) {
        let reply = send(request).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        assert_eq!(last(&world).headers["mcp-session-id"], UPSTREAM_ID);
        if let Some(repeated) = reply.header("mcp-session-id") {
            assert_eq!(repeated, id, "the client hears the id that it knows");
        }
    }
}

#[tokio::test]
async fn a_session_does_not_exist_for_anybody_else() {
    let world = World::start().await;
    with_sessions(&world);
    let id = session(&world.clerk()).await;
    let before = world.ledger.received().len();

    let person = |presenter: &str, subject| {
        let token = world.token_with(presenter, |claims| claims.subject = subject);
        world.agent(presenter).with_token(&token)
    };
    let mut changed = id.clone();
    let end = if changed.pop() == Some('A') { "B" } else { "A" };
    changed.push_str(end);
    let thieves = [
        ("another agent with the same person", person("agent/auditor", "alice"), "/mcp/ledger", id.as_str()),
        ("the same agent with another person", person("agent/clerk", "bob"), "/mcp/ledger", &id),
        ("the id of another server", world.clerk(), "/mcp/vault", &id),
        ("a changed id", world.clerk(), "/mcp/ledger", &changed),
        ("the upstream's own id", world.clerk(), "/mcp/ledger", UPSTREAM_ID),
        ("an id that never was", world.clerk(), "/mcp/ledger", "c2Vzc2lvbg"),
    ];
    let mut answers = Vec::new();
    for (what, thief, path, stolen) in &thieves {
        for request in uses(thief, path, stolen) {
            let reply = send(request).await;
            assert_eq!(
                (reply.status, reply.refused_because().as_str()),
                (404, "session_not_found"),
                "{what}"
            );
            answers.push(reply.text.replace("\"id\":2", "\"id\":null"));
        }
    }
    answers.dedup();
    assert_eq!(answers.len(), 1, "all of them read the same: {answers:?}");
    assert_eq!(world.ledger.received().len(), before, "nothing went upstream");
    let causes: Vec<_> = world.records("request").iter().map(|r| r["cause"].to_string()).collect();
    for cause in ["another principal's", "another server's", "does not open"] {
        assert!(causes.iter().any(|c| c.contains(cause)), "the audit knows which: {causes:?}");
    }
    for request in uses(&world.clerk(), "/mcp/ledger", &id) {
        assert_eq!(send(request).await.status, 200, "and its owner has it as before");
    }
}

#[tokio::test]
async fn a_session_ends() {
    let world = World::with(Plan { limits: "{session_ttl_max: 60s}", ..Plan::default() }).await;
    with_sessions(&world);
    let id = session(&world.clerk()).await;
    world.clock.advance(Duration::from_secs(58));
    assert_eq!(
        send(in_session(world.clerk().post("/mcp/ledger", CALL.into()), &id)).await.result(),
        "posted"
    );
    world.clock.advance(Duration::from_secs(3));
    for request in uses(&world.clerk(), "/mcp/ledger", &id) {
        assert_eq!(send(request).await.refused_because(), "session_not_found");
    }
}

#[tokio::test]
async fn a_stream_is_resumed_in_a_session_only() {
    let world = World::start().await;
    with_sessions(&world);
    let stream = || {
        let request = world.clerk().request(Method::GET, "/mcp/ledger").header("accept", "text/event-stream");
        request.header("mcp-protocol-version", "2025-11-25")
    };
    assert_eq!(send(stream()).await.status, 200);
    let before = world.ledger.received().len();
    let reply = send(stream().header("last-event-id", "1")).await;
    assert_eq!((reply.status, reply.refused_because().as_str()), (404, "session_not_found"));
    assert_eq!(world.ledger.received().len(), before);
}

#[tokio::test]
async fn an_owner_has_no_more_sessions_than_one_may() {
    let world = World::with(Plan { limits: "{sessions_per_owner_max: 2}", ..Plan::default() }).await;
    with_sessions(&world);
    let clerk = world.clerk();
    let first = session(&clerk).await;
    session(&clerk).await;
    let before = world.ledger.received().len();
    let reply = opened(&clerk).await;
    assert_eq!((reply.status, reply.refused_because().as_str()), (429, "too_many_sessions"));
    assert_eq!(world.ledger.received().len(), before);
    let bob = world.token_with("agent/clerk", |claims| claims.subject = "bob");
    session(&world.agent("agent/clerk").with_token(&bob)).await; // Another owner has places of its own.
    send(in_session(clerk.request(Method::DELETE, "/mcp/ledger"), &first)).await;
    session(&clerk).await;
}

#[tokio::test]
async fn keys_are_changed_one_after_the_other_and_no_session_is_lost() {
    let world = World::start().await;
    with_sessions(&world);
    let id = session(&world.clerk()).await;
    let old = std::fs::read_to_string(world.path("sessions.keys")).unwrap();
    let new = gateway::session::KeyRing::generate().unwrap();
    let write = async |text: String| {
        let mut reloads = world.gateway.reloads();
        reloads.mark_unchanged();
        certs::files::write(&world.path("sessions.keys"), text.as_bytes(), 0o600).unwrap();
        reloads.changed().await.unwrap();
    };
    let call = async |id: &str| send(in_session(world.clerk().post("/mcp/ledger", CALL.into()), id)).await;
    write(format!("{new}\n{old}\n")).await;
    let newer = session(&world.clerk()).await;
    assert_eq!((call(&id).await.status, call(&newer).await.status), (200, 200));
    write("no key at all".into()).await;
    assert_eq!(call(&id).await.status, 200, "a ring that can't be read replaces nothing");
    write(new).await;
    assert_eq!((call(&id).await.status, call(&newer).await.status), (404, 200));
    assert_eq!(world.records("key_ring_swapped").len(), 2);
    assert_eq!(world.records("key_ring_refused").len(), 1);
}

#[tokio::test]
async fn an_upstream_gives_a_session_only_where_one_is_opened() {
    let world = World::start().await;
    with_sessions(&world);
    let reply = world.clerk().post_entry(1).await;
    assert_eq!((reply.status, reply.header("mcp-session-id")), (200, None), "2026 has none");
    let request = world.clerk().post("/mcp/ledger", CALL.into()).header("mcp-protocol-version", "2025-11-25");
    let reply = send(request).await;
    assert_eq!((reply.status, reply.header("mcp-session-id")), (200, None), "a call opens none");
    let long = "x".repeat(1025);
    world.ledger.answers(move |_| {
        Answer::Raw(http::Response::builder().header("mcp-session-id", &long).body(String::new()).unwrap())
    });
    assert_eq!(opened(&world.clerk()).await.refused_because(), "upstream_failed");
}
