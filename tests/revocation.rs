//! What is revoked before its time: refused from then on, and streams that rest on it end.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use gateway::token_service::users_issuer;
use reqwest::{Method, RequestBuilder, Response};
use serde_json::{Value, json};
use std::process::Command;
use world::agent::send;
use world::components::program;
use world::{Agent, Answer, World};

const INITIALIZE: &str = r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"c","version":"1"}}}"#;
const CALL: &str = r#"{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"post_entry","arguments":{"amount_cents":5}}}"#;
const ONE: &str = "id: 1\ndata: {}\n\n";
const TWO: &str = "id: 2\ndata: {}\n\n";

/// A way to revoke what the clerk's call rests on, what is one word away from it, and what the clerk hears.
struct Kind {
    revoked: Vec<String>,
    twin: Vec<String>,
    status: u16,
    reason: &'static str,
    cause: &'static str,
}

/// A clerk with a session, and the kinds of everything that a call of its rests on.
struct Story {
    world: World,
    clerk: Agent,
    session: String,
    kinds: Vec<Kind>,
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

impl Story {
    async fn begins() -> Self {
        let world = World::start().await;
        answers_in_sessions(&world);
        let token = world.token("agent/clerk");
        let clerk = world.agent("agent/clerk").with_token(&token);
        let (session, other) = (opened(&clerk).await, opened(&clerk).await);
        let issuer = users_issuer(&world.origin);
        let claims = URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap();
        let claims: Value = serde_json::from_slice(&claims).unwrap();
        let jti = claims["jti"].as_str().unwrap();
        let kind = |revoked: &[&str], twin: &[&str], status, reason, cause| Kind {
            revoked: words(revoked),
            twin: words(twin),
            status,
            reason,
            cause,
        };
        let kinds = vec![
            kind(
                &["--spiffe-id", "spiffe://bank.test/agent/clerk"],
                &["--spiffe-id", "spiffe://bank.test/agent/intern"],
                403,
                "identity_not_valid",
                "workload spiffe://bank.test/agent/clerk is revoked",
            ),
            kind(
                &["--subject", &issuer, "alice"],
                &["--subject", &issuer, "bob"],
                401,
                "invalid_token",
                "subject alice of",
            ),
            kind(&["--jti", jti], &["--jti", &format!("{jti}2")], 401, "invalid_token", "token "),
            kind(
                &["--session", &session],
                &["--session", &other],
                404,
                "session_not_found",
                "session sha256:",
            ),
            kind(
                &["--tool", "ledger/post_entry"],
                &["--tool", "ledger/post_entries"],
                200,
                "not_allowed",
                "tool ledger/post_entry is revoked",
            ),
            kind(
                &["--spiffe-id", "spiffe://bank.test/mcp/ledger"],
                &["--spiffe-id", "spiffe://bank.test/mcp/treasury"],
                200,
                "not_allowed",
                "workload spiffe://bank.test/mcp/ledger is revoked",
            ),
        ];
        Self { world, clerk, session, kinds }
    }

    fn in_session(&self, request: RequestBuilder) -> RequestBuilder {
        request.header("mcp-protocol-version", "2025-11-25").header("mcp-session-id", &self.session)
    }

    fn call(&self) -> RequestBuilder {
        self.in_session(self.clerk.post("/mcp/ledger", CALL.into()))
    }

    async fn change(&self, arguments: &[String], undo: bool) {
        let more = undo.then_some("--undo");
        self.world.revoke(&arguments.iter().map(String::as_str).chain(more).collect::<Vec<_>>()).await;
    }

    fn last_record(&self) -> Value {
        self.world.records("request").pop().unwrap()
    }
}

fn answers_in_sessions(world: &World) {
    world.ledger.answers(|received| {
        let id = received.json()["id"].clone();
        let text =
            json!({"jsonrpc": "2.0", "id": id, "result": {"content": [{"type": "text", "text": "posted"}]}});
        let response = http::Response::builder().header("content-type", "application/json");
        Answer::Raw(response.header("mcp-session-id", "ledger-session").body(text.to_string()).unwrap())
    });
}

async fn opened(agent: &Agent) -> String {
    let reply = send(agent.post("/mcp/ledger", INITIALIZE.to_owned())).await;
    reply.header("mcp-session-id").unwrap().to_owned()
}

#[tokio::test]
async fn what_is_revoked_is_refused_until_that_is_undone() {
    let story = Story::begins().await;
    for kind in &story.kinds {
        story.change(&kind.twin, false).await;
        assert_eq!(send(story.call()).await.result(), "posted", "{:?}", kind.twin);
        let before = story.world.ledger.received().len();

        story.change(&kind.revoked, false).await;
        let reply = send(story.call()).await;
        let heard = (reply.status, reply.refused_because());
        assert_eq!(heard, (kind.status, kind.reason.to_owned()), "{:?}", kind.revoked);
        assert_eq!(story.world.ledger.received().len(), before, "nothing went upstream");
        let record = story.last_record();
        let cause = record["cause"].as_str().unwrap();
        assert!(cause.contains(kind.cause) && cause.ends_with("is revoked"), "{cause}");
        assert_eq!(
            (&record["caller"], &record["reason"]),
            (&json!("spiffe://bank.test/agent/clerk"), &json!(kind.reason))
        );

        story.change(&kind.revoked, true).await;
        assert_eq!(send(story.call()).await.result(), "posted", "{:?}", kind.revoked);
    }
    let counts: Vec<_> =
        story.world.records("revocations_swapped").iter().map(|r| r["count"].clone()).collect();
    assert_eq!(counts.len(), 3 * story.kinds.len());
    assert_eq!(counts[..4], [json!(1), json!(2), json!(1), json!(2)]);
}

/// Opens a stream and hears its first event; then revokes the twin and hears the next one; then it is revoked.
async fn is_cut(story: &Story, kind: &Kind, stream: RequestBuilder) {
    let events = story.world.ledger.streams();
    let mut response: Response = stream.send().await.unwrap();
    assert_eq!(response.headers()["content-type"], "text/event-stream", "{:?}", story.last_record());
    events.send(Ok(ONE)).await.unwrap();
    let heard = response.chunk().await;
    assert!(matches!(&heard, Ok(Some(event)) if event == ONE), "{heard:?} {:?}", story.last_record());
    story.change(&kind.twin, false).await;
    events.send(Ok(TWO)).await.unwrap();
    let heard = response.chunk().await;
    assert!(matches!(&heard, Ok(Some(event)) if event == TWO), "{heard:?} {:?}", story.last_record());

    story.change(&kind.revoked, false).await;
    assert!(response.chunk().await.is_err(), "half a stream, and it says so: {:?}", kind.revoked);
    events.closed().await; // The server's side of it has ended, too.
    let record = story.last_record();
    assert_eq!(record["outcome"], "answer_broken");
    assert!(record["cause"].as_str().unwrap().contains(kind.cause), "{record}");
    story.change(&kind.revoked, true).await;
}

#[tokio::test]
async fn a_stream_ends_once_what_it_rests_on_is_revoked() {
    let story = Story::begins().await;
    for kind in &story.kinds {
        is_cut(&story, kind, story.call()).await;
    }
}

#[tokio::test]
async fn the_stream_of_a_session_ends_with_whoever_has_it() {
    let story = Story::begins().await;
    for kind in story.kinds.iter().filter(|kind| kind.reason != "not_allowed") {
        let stream = story.clerk.request(Method::GET, "/mcp/ledger").header("accept", "text/event-stream");
        is_cut(&story, kind, story.in_session(stream)).await;
    }
}

#[tokio::test]
async fn a_caller_that_takes_nothing_keeps_no_stream_open() {
    let story = Story::begins().await;
    let events = story.world.ledger.streams();
    let response = story.call().send().await.unwrap();
    let fed = tokio::spawn({
        let events = events.clone();
        async move { while events.send(Ok(ONE)).await.is_ok() {} }
    });
    story.change(&story.kinds[0].revoked, false).await;
    events.closed().await;
    fed.await.unwrap();
    drop(response);
    assert_eq!(story.last_record()["outcome"], "answer_broken");
}

#[tokio::test]
async fn a_connection_of_a_revoked_workload_ends_with_its_refusal() {
    let world = World::start().await;
    let clerk = world.clerk_over(b"http/1.1");
    assert_eq!(clerk.post_entry(1).await.header("connection"), None);
    world.revoke(&["--spiffe-id", "spiffe://bank.test/agent/clerk"]).await;
    let reply = clerk.post_entry(1).await;
    assert_eq!((reply.status, reply.header("connection")), (403, Some("close")));
    assert_eq!(world.ledger.received().len(), 1);
}

#[tokio::test]
async fn a_revoked_tool_is_not_listed() {
    let world = World::start().await;
    let tools = async || {
        let reply = send(world.clerk().rpc("tools/list", json!({}))).await.json();
        let tools = reply["result"]["tools"].as_array().unwrap().clone();
        tools.iter().map(|tool| tool["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(tools().await, ["post_entry"]);
    world.revoke(&["--tool", "ledger/post_entry"]).await;
    assert!(tools().await.is_empty());
    let denied = world.clerk().post_entry(1).await;
    let unknown = world.clerk().call("no_such_tool", json!({})).await;
    assert_eq!(denied.text, unknown.text, "it looks like any tool that is not allowed");
}

#[tokio::test]
async fn a_revocation_ends_by_itself() {
    let world = World::start().await;
    let clerk = world.clerk();
    let in_a_minute = world.clock.now() + std::time::Duration::from_secs(60);
    let until = time::OffsetDateTime::from(in_a_minute)
        .format(&time::format_description::well_known::Rfc3339)
        .unwrap();
    world.revoke(&["--tool", "ledger/post_entry", "--until", &until]).await;
    assert_eq!(clerk.post_entry(1).await.refused_because(), "not_allowed");
    world.clock.advance(std::time::Duration::from_secs(61));
    assert_eq!(clerk.post_entry(1).await.result(), "posted");
}

#[tokio::test]
async fn a_list_that_cannot_be_read_replaces_nothing() {
    let world = World::start().await;
    world.revoke(&["--tool", "ledger/post_entry"]).await;
    let changed = async |change: &dyn Fn()| {
        let mut reloads = world.gateway.reloads();
        reloads.mark_unchanged();
        change();
        reloads.changed().await.unwrap();
    };
    let path = world.path("revoked.jsonl");
    changed(&|| certs::files::write(&path, b"{\"tool\": \"ledger\"}\n", 0o644).unwrap()).await;
    assert_eq!(world.clerk().post_entry(1).await.refused_because(), "not_allowed");
    changed(&|| std::fs::remove_file(&path).unwrap()).await;
    assert_eq!(world.clerk().post_entry(1).await.refused_because(), "not_allowed");
    let refused = world.records("revocations_refused");
    assert_eq!(refused.len(), 2);
    assert!(refused[0]["cause"].as_str().unwrap().contains("line 1: \"ledger\" is not"), "{refused:?}");
    changed(&|| certs::files::write(&path, b"", 0o644).unwrap()).await;
    assert_eq!(world.clerk().post_entry(1).await.result(), "posted");
}

#[test]
fn the_command_writes_what_it_was_told_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("revoked.jsonl");
    let revoke = |arguments: &[&str]| {
        let output =
            Command::new(program("sallyport")).args(["revoke", "--file"]).arg(&file).args(arguments).output();
        let output = output.unwrap();
        (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    assert!(!revoke(&[]).0, "there is no list yet");
    for mistaken in [
        &["--tool", "get_object"][..],
        &["--spiffe-id", "clerk"],
        &["--subject", "alice"],
        &["--jti", "a", "--tool", "s3/get_object"],
        &["--jti", "a", "--until", "2020-01-01T00:00:00Z"],
        &["--jti", "a", "--undo"],
        &["--jti", "--undo"],
        &["--subject", "-a", "--until"],
        &["--undo"],
    ] {
        assert!(!revoke(mistaken).0, "{mistaken:?}");
        assert!(!file.exists(), "{mistaken:?}");
    }
    assert!(revoke(&["--jti", "a", "--until", "2999-01-01T00:00:00Z"]).0);
    assert!(revoke(&["--tool", "s3/get_object"]).0);
    let both = "{\"jti\":\"a\",\"until\":\"2999-01-01T00:00:00Z\"}\n{\"tool\":\"s3/get_object\"}\n";
    assert_eq!(revoke(&[]), (true, both.to_owned()));
    assert!(revoke(&["--jti", "a", "--undo"]).0);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "{\"tool\":\"s3/get_object\"}\n");
    for random in [&["--jti", "-kT"][..], &["--session", "--8"], &["--subject", "-a", "-b"]] {
        assert!(revoke(random).0, "{random:?}: such ids there are");
        assert!(revoke(&[random, &["--undo"]].concat()).0);
    }
    std::fs::write(&file, "{\"tool\": \"s3\"}\n").unwrap();
    assert!(!revoke(&["--jti", "b"]).0, "a list with a mistake is not written over");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "{\"tool\": \"s3\"}\n");
}
