//! What a server asks of its clients is heard only where its configuration allows that.

use serde_json::{Value, json};
use tokio::sync::mpsc;
use world::agent::{Agent, send};
use world::{Answer, Plan, Reply, World};

async fn world(server_requests: &'static str) -> World {
    World::with(Plan { server_requests, ..Plan::default() }).await
}

/// A call of 2025-11-25.
async fn post_entry(agent: &Agent) -> Reply {
    let body = json!({"jsonrpc": "2.0", "id": 7, "method": "tools/call",
        "params": {"name": "post_entry", "arguments": {"amount_cents": 1}}});
    send(agent.post("/mcp/ledger", body.to_string()).header("mcp-protocol-version", "2025-11-25")).await
}

fn asking(method: &str) -> Value {
    json!({"jsonrpc": "2.0", "id": "s-1", "method": method, "params": {}})
}

fn progress() -> Value {
    json!({"jsonrpc": "2.0", "method": "notifications/progress", "params": {"progressToken": 1, "progress": 1}})
}

fn posted() -> Value {
    json!({"jsonrpc": "2.0", "id": 7, "result": {"content": [{"type": "text", "text": "posted"}]}})
}

/// A result that wants an answer to a question first.
fn input_required(method: &str) -> Value {
    json!({"jsonrpc": "2.0", "id": 7, "result": {"inputRequests": {"q": {"method": method, "params": {}}},
        "resultType": "input_required", "requestState": "x"}})
}

fn messages(reply: &Reply) -> Vec<Value> {
    let data = reply.text.lines().filter_map(|line| line.strip_prefix("data: "));
    data.map(|data| serde_json::from_str(data).unwrap()).collect()
}

const ASKED: &str = "the upstream asks the client for what its configuration does not allow";

#[tokio::test]
async fn a_request_of_the_server_needs_leave_and_the_rest_of_the_stream_does_not() {
    for (allowed, method, heard) in [
        ("", "sampling/createMessage", false),
        ("sampling", "sampling/createMessage", true),
        ("elicitation", "sampling/createMessage", false),
        ("elicitation", "elicitation/create", true),
        ("sampling, elicitation, ping", "roots/list", false),
        ("roots", "roots/list", true),
        ("", "ping", false),
        ("ping, sampling, elicitation, roots", "tasks/get", false),
    ] {
        let world = world(allowed).await;
        world.ledger.says(&[progress(), asking(method), posted()]);
        let reply = post_entry(&world.clerk()).await;
        let all = [progress(), asking(method), posted()];
        let expected: Vec<Value> = all.into_iter().filter(|m| heard || m["id"] != "s-1").collect();
        assert_eq!(messages(&reply), expected, "{method} with [{allowed}]");
        let record = world.only_record();
        let (reason, cause) =
            if heard { (Value::Null, Value::Null) } else { (json!("server_request_refused"), json!(ASKED)) };
        assert_eq!((&record["reason"], &record["cause"]), (&reason, &cause), "{method} with [{allowed}]");
        assert_eq!((&record["decision"], &record["outcome"]), (&json!("permit"), &json!("complete")));
    }
}

#[tokio::test]
async fn the_stream_of_a_session_and_a_list_are_no_way_around() {
    let world = world("").await;
    world.ledger.says(&[asking("sampling/createMessage"), progress()]);
    let get =
        world.clerk().request(reqwest::Method::GET, "/mcp/ledger").header("accept", "text/event-stream");
    let reply = send(get.header("mcp-protocol-version", "2025-11-25")).await;
    assert_eq!(messages(&reply), [progress()]);
    let list = send(world.clerk().rpc("tools/list", json!({}))).await;
    assert_eq!(messages(&list), [progress()]);
    assert!(world.records("request").iter().all(|record| record["reason"] == "server_request_refused"));
}

#[tokio::test]
async fn a_result_that_requires_input_needs_the_same_leave() {
    for (allowed, heard) in [("", false), ("sampling", false), ("elicitation", true)] {
        for events in [false, true] {
            let world = world(allowed).await;
            match events {
                true => world.ledger.says(&[input_required("elicitation/create")]),
                false => world.ledger.answers(|_| Answer::Json(input_required("elicitation/create"))),
            }
            let reply = world.clerk().post_entry(1).await;
            assert_eq!(reply.status, 200);
            if heard {
                assert_eq!(reply.json(), input_required("elicitation/create"));
                assert_eq!(world.only_record()["reason"], json!(null));
                continue;
            }
            let expected = json!({"jsonrpc": "2.0", "id": 7, "error": {"code": -32003,
                "message": "denied: server_request_refused", "data": {"reason": "server_request_refused"}}});
            assert_eq!(reply.json(), expected, "[{allowed}], events: {events}");
            let record = world.only_record();
            assert_eq!(
                (&record["reason"], &record["decision"]),
                (&json!("server_request_refused"), &json!("permit"))
            );
        }
    }
}

#[tokio::test]
async fn an_answer_that_is_no_answer_does_not_pass() {
    for (body, reason) in [
        (asking("sampling/createMessage").to_string(), "server_request_refused"),
        (json!([asking("sampling/createMessage"), posted()]).to_string(), "upstream_failed"),
        (format!("{}{}", posted(), asking("roots/list")), "upstream_failed"),
        (format!("\u{FEFF}{}", asking("roots/list")), "upstream_failed"),
    ] {
        let world = world("").await;
        world.ledger.answers(move |_| raw("application/json", &body));
        let reply = post_entry(&world.clerk()).await;
        assert_eq!(reply.refused_because(), reason, "{}", reply.text);
        assert_eq!(world.only_record()["reason"], reason);
    }
    for media_type in ["text/plain; x=application/json", "text/html", "application/json-seq"] {
        let world = world("").await;
        world.ledger.answers(|_| raw(media_type, &asking("sampling/createMessage").to_string()));
        let reply = post_entry(&world.clerk()).await;
        assert_eq!(
            (reply.status, reply.refused_because().as_str()),
            (502, "upstream_failed"),
            "{media_type}"
        );
    }
}

fn raw(media_type: &str, body: &str) -> Answer {
    Answer::Raw(http::Response::builder().header("content-type", media_type).body(body.to_owned()).unwrap())
}

#[tokio::test]
async fn an_event_that_is_no_message_ends_the_stream() {
    let world = world("").await;
    let events = world.ledger.streams();
    let mut response = world
        .clerk()
        .rpc("tools/call", json!({"name": "post_entry", "arguments": {"amount_cents": 1}}))
        .send()
        .await
        .unwrap();
    events.send(Ok("data: {}\n\n")).await.unwrap();
    assert_eq!(response.chunk().await.unwrap().unwrap(), "data: {}\n\n");
    events.send(Ok("data: [{\"id\":1,\"method\":\"ping\"}]\n\n")).await.unwrap();
    assert!(response.chunk().await.is_err());
    assert_eq!(world.only_record()["outcome"], "answer_broken");
}

#[tokio::test]
async fn a_large_result_streams_and_is_broken_off_where_it_turns_out_to_ask() {
    for (end, complete) in [(r#""}]}}"#, true), (r#""}],"resultType":"input_required"}}"#, false)] {
        let world = world("").await;
        let (pieces, stream) = mpsc::channel(8);
        let mut stream = Some(stream);
        world.ledger.answers(move |_| Answer::Pieces(stream.take().unwrap()));
        let agent = world.clerk();
        let call = tokio::spawn(async move { post_by_piece(&agent).await });
        let text: &'static str = Box::leak("x".repeat(100_000).into_boxed_str());
        pieces
            .send(Ok(r#"{"jsonrpc":"2.0","id":7,"result":{"content":[{"type":"text","text":""#))
            .await
            .unwrap();
        pieces.send(Ok(text)).await.unwrap();
        let mut response = call.await.unwrap(); // It has begun, though the server has not ended.
        let mut heard = 0;
        while heard < 100_000 {
            heard += response.chunk().await.unwrap().unwrap().len();
        }
        pieces.send(Ok(end)).await.unwrap();
        drop(pieces);
        let rest = response.text().await;
        assert_eq!(rest.is_ok(), complete, "{rest:?}");
        let record = world.only_record();
        let outcome = if complete { "complete" } else { "answer_broken" };
        assert_eq!(record["outcome"], outcome);
        assert_eq!(record["cause"].as_str().is_some_and(|cause| cause.contains(ASKED)), !complete);
    }
}

async fn post_by_piece(agent: &Agent) -> reqwest::Response {
    let call = agent.rpc("tools/call", json!({"name": "post_entry", "arguments": {"amount_cents": 1}}));
    call.send().await.unwrap()
}

#[tokio::test]
async fn a_client_answers_only_what_may_be_asked() {
    let answer = r#"{"jsonrpc":"2.0","id":"s-1","result":{"roots":[]}}"#;
    let request = |world: &World| {
        let post = world.clerk().post("/mcp/ledger", answer.into());
        post.header("mcp-protocol-version", "2025-11-25")
    };
    let open = world("roots").await;
    open.ledger
        .answers(|_| Answer::Raw(http::Response::builder().status(202).body("Accepted".to_owned()).unwrap()));
    assert_eq!(send(request(&open)).await.status, 202);
    assert_eq!(open.ledger.received()[0].body, answer);
    let record = open.only_record();
    assert_eq!((&record["method"], &record["package"]), (&json!("session/answer"), &json!("protocol")));

    let closed = world("").await;
    let reply = send(request(&closed)).await;
    assert_eq!((reply.status, reply.refused_because().as_str()), (400, "client_response_refused"));
    assert!(closed.ledger.received().is_empty());

    let silent =
        Plan { policy: world::policies::without_protocol(), server_requests: "roots", ..Plan::default() };
    let silent = World::with(silent).await;
    let reply = send(request(&silent)).await;
    assert_eq!((reply.status, reply.refused_because().as_str()), (403, "not_allowed"));
    assert!(silent.ledger.received().is_empty());
}

#[tokio::test]
async fn an_input_is_given_only_where_it_may_be_required() {
    let call = json!({"name": "post_entry", "arguments": {"amount_cents": 1}, "requestState": "x",
        "inputResponses": {"q": {"action": "accept"}}});
    let open = world("elicitation").await;
    assert_eq!(send(open.clerk().rpc("tools/call", call.clone())).await.result(), "posted");
    assert_eq!(open.ledger.received()[0].json()["params"]["requestState"], "x");
    let closed = world("").await;
    assert_eq!(send(closed.clerk().rpc("tools/call", call)).await.refused_because(), "unknown_parameter");
    assert!(closed.ledger.received().is_empty());
}
