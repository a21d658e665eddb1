//! What goes out, what comes back, and how both end.

use http::{Method, Response};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use world::a2a::{Wire, message};
use world::agent::{read, send};
use world::{Answer, Plan, World, policies};

fn raw(status: u16, headers: &[(&str, &str)], body: &str) -> Answer {
    let mut response = Response::builder().status(status);
    for (name, value) in headers {
        response = response.header(*name, *value);
    }
    Answer::Raw(response.body(body.to_owned()).unwrap())
}

/// An event that says nothing in particular.
const ONE: &str = "data: {\"n\":1}\n\n";

fn posting() -> Value {
    json!({"name": "post_entry", "arguments": {"amount_cents": 1}})
}

#[tokio::test]
async fn the_callers_token_never_goes_upstream() {
    let world = World::start().await;
    let token = world.token("agent/clerk");
    let request = world.agent("agent/clerk").with_token(&token).rpc("tools/call", posting());
    let request = request
        .header("cookie", "a=b")
        .header("x-forwarded-client-cert", "URI=spiffe://bank.test/admin")
        .header("x-user", "root");
    assert_eq!(send(request).await.result(), "posted");

    let received = &world.ledger.received()[0];
    let sent = received.headers["authorization"].to_str().unwrap();
    assert!(sent.starts_with("Bearer ") && !sent.contains(&token));
    for (name, value) in &received.headers {
        assert!(!value.to_str().unwrap().contains(&token), "{name}");
        assert!(!["cookie", "x-forwarded-client-cert", "x-user"].contains(&name.as_str()), "{name}");
    }
    assert!(!String::from_utf8_lossy(&received.body).contains(&token));
}

#[tokio::test]
async fn the_credential_is_for_one_tool_of_one_server_and_names_who_acts() {
    use base64::Engine;
    let world = World::start().await;
    assert_eq!(world.clerk().post_entry(1).await.result(), "posted");
    let sent = world.ledger.received()[0].headers["authorization"].to_str().unwrap().to_owned();
    let payload =
        base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(sent.split('.').nth(1).unwrap()).unwrap();
    let claims: Value = serde_json::from_slice(&payload).unwrap();
    assert_eq!(claims["aud"], "spiffe://bank.test/mcp/ledger");
    assert_eq!(claims["scope"], "ledger:post_entry");
    assert_eq!(claims["sub"], "alice");
    assert_eq!(claims["act"], json!({"sub": "spiffe://bank.test/agent/clerk"}));
    assert_eq!(claims["exp"].as_u64().unwrap() - claims["iat"].as_u64().unwrap(), 300);
}

#[tokio::test]
async fn the_body_goes_upstream_byte_for_byte() {
    let world = World::start().await;
    let body = r#"{ "jsonrpc":"2.0" , "id":"a\u0062", "method":"tools/call","params":{"_meta":{"x-unknown":1.50},"name":"post_entry","arguments":{"amount_cents":1,"ref":9007199254740993}}}"#;
    let reply =
        send(world.clerk().post("/mcp/ledger", body.to_owned()).header("mcp-protocol-version", "2025-11-25"))
            .await;
    assert_eq!(reply.json()["id"], "ab");
    assert_eq!(world.ledger.received()[0].body, body);
}

#[tokio::test]
async fn a_body_in_many_pieces_arrives_whole() {
    for pieces in [1, 2, 3, 4, 50] {
        for alpn in [&b"h2"[..], b"http/1.1"] {
            let world = World::start().await;
            let body = r#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"post_entry","arguments":{"amount_cents":1,"note":"not one byte of this may be missing when it comes in pieces"}}}"#;
            let piece = |bytes: &[u8]| Ok(String::from_utf8(bytes.to_vec()).unwrap());
            let chunks = body.as_bytes().chunks(body.len().div_ceil(pieces)).map(piece).collect();
            let request = world.clerk_over(alpn).post("/mcp/ledger", String::new());
            let request =
                request.header("mcp-protocol-version", "2025-11-25").body(world::agent::pieces(chunks));
            assert_eq!(send(request).await.result(), "posted", "{pieces}");
            assert_eq!(world.ledger.received()[0].body, body, "{pieces}");
        }
    }
}

#[tokio::test]
async fn what_policy_has_not_seen_does_not_go_on() {
    let world = World::start().await;
    let call = |more: &str| {
        format!(
            r#"{{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{{"name":"post_entry","arguments":{{"amount_cents":1}}{more}}}}}"#
        )
    };
    let legacy =
        |body: String| world.clerk().post("/mcp/ledger", body).header("mcp-protocol-version", "2025-11-25");
    for more in [
        r#","task":{"ttl":1}"#,
        r#","inputResponses":{}"#,
        r#","requestState":"x""#,
        r#","amount_cents":9999"#,
    ] {
        assert_eq!(send(legacy(call(more))).await.refused_because(), "unknown_parameter", "{more}");
    }
    assert_eq!(
        send(legacy(call("")).header("mcp-param-amount", "9999")).await.refused_because(),
        "header_mismatch"
    );
    let modern = |value: &str| world.clerk().rpc("tools/call", posting()).header("mcp-param-amount", value);
    assert_eq!(send(modern("9999")).await.refused_because(), "header_mismatch");
    assert!(world.ledger.received().is_empty());
    assert_eq!(send(modern("1")).await.result(), "posted");
    let request = legacy(call(""))
        .header("last-event-id", "3")
        .header("traceparent", "00-a")
        .header("traceparent", "00-b");
    assert_eq!(send(request).await.result(), "posted");
    let received = &world.ledger.received()[1].headers;
    assert!(!received.contains_key("last-event-id") && !received.contains_key("traceparent"));
}

#[tokio::test]
async fn both_versions_of_http_are_spoken() {
    let world = World::start().await;
    for (alpn, version) in [(&b"h2"[..], http::Version::HTTP_2), (&b"http/1.1"[..], http::Version::HTTP_11)] {
        let response = world.clerk_over(alpn).rpc("tools/call", posting()).send().await.unwrap();
        assert_eq!((response.status().as_u16(), response.version()), (200, version));
    }
}

#[tokio::test]
async fn what_is_not_the_callers_stays_behind() {
    let world = World::start().await;
    let headers = [
        ("content-type", "application/json"),
        ("set-cookie", "s=1"),
        ("www-authenticate", "Bearer realm=\"inner\""),
        ("alt-svc", "h3=\":443\""),
        ("server", "inner/1.0"),
        ("retry-after", "3"),
        ("mcp-session-id", "abc"),
    ];
    world.ledger.answers(move |_| raw(200, &headers, r#"{"jsonrpc":"2.0","id":7,"result":{}}"#));
    let reply = world.clerk().post_entry(1).await;
    for name in ["set-cookie", "www-authenticate", "alt-svc", "server", "mcp-session-id"] {
        assert_eq!(reply.header(name), None, "{name}");
    }
    assert_eq!(reply.header("retry-after"), Some("3"));
}

#[tokio::test]
async fn a_refusal_of_our_credential_is_our_failure() {
    for status in [401, 403, 302, 500] {
        let world = World::start().await;
        world
            .ledger
            .answers(move |_| raw(status, &[("location", "https://evil.example/")], "secret of the server"));
        let reply = world.clerk().post_entry(1).await;
        assert_eq!((reply.status, reply.refused_because().as_str()), (502, "upstream_failed"));
        assert!(!reply.text.contains("secret") && reply.header("location").is_none());
        assert!(world.only_record()["cause"].as_str().unwrap().contains(&status.to_string()));
    }
}

#[tokio::test]
async fn a_server_that_is_another_workload_is_not_spoken_to() {
    let world = World::with(Plan { server_path: "mcp/evil", ..Plan::default() }).await;
    let reply = world.clerk().post_entry(1).await;
    assert_eq!((reply.status, reply.refused_because().as_str()), (502, "upstream_failed"));
    assert!(world.ledger.received().is_empty());
    assert!(
        world.only_record()["cause"].as_str().unwrap().contains("spiffe://bank.test/mcp/evil"),
        "{}",
        world.only_record()
    );
}

#[tokio::test]
async fn a_server_that_is_down_is_a_refusal_and_not_a_wait() {
    let world = World::with(Plan { server_is_up: false, ..Plan::default() }).await;
    let reply = world.clerk().post_entry(1).await;
    assert_eq!((reply.status, reply.refused_because().as_str()), (502, "upstream_failed"));
    assert_eq!(world.only_record()["decision"], "permit");
}

#[tokio::test]
async fn events_arrive_one_by_one() {
    let world = World::start().await;
    let events = world.ledger.streams();
    let mut response = world.clerk().rpc("tools/call", posting()).send().await.unwrap();
    for event in [ONE, "id: 2\ndata: {}\n\n", ":\n\n"] {
        events.send(Ok(event)).await.unwrap(); // The next one is sent only when this one has been heard.
        assert_eq!(response.chunk().await.unwrap().unwrap(), event);
    }
    drop(events);
    let end = response.chunk().await.unwrap().unwrap_or_default();
    assert!(end.is_empty(), "{end:?}");
    drop(response);
    let record = world.only_record();
    assert_eq!((&record["outcome"], &record["bytes"]), (&json!("complete"), &json!(34)));
}

#[tokio::test]
async fn a_gateway_that_stops_ends_standing_streams_in_good_order_and_lets_calls_end() {
    let world = World::start().await;
    let (clerk, late, audit) = (world.clerk(), world.clerk(), world.path("audit.jsonl"));
    let news = world.ledger.streams();
    let listen = clerk.request(Method::GET, "/mcp/ledger").header("accept", "text/event-stream");
    let mut standing = listen.header("mcp-protocol-version", "2025-11-25").send().await.unwrap();
    news.send(Ok(ONE)).await.unwrap();
    assert_eq!(standing.chunk().await.unwrap().unwrap(), ONE);
    let progress = world.ledger.streams();
    let mut call = clerk.rpc("tools/call", posting()).send().await.unwrap();
    progress.send(Ok(ONE)).await.unwrap();
    assert_eq!(call.chunk().await.unwrap().unwrap(), ONE);

    let gateway = world.gateway;
    let stopped = tokio::spawn(gateway.stop());
    assert!(
        standing.chunk().await.unwrap().unwrap_or_default().is_empty(),
        "a whole stream, and no broken one"
    );
    assert!(late.rpc("tools/call", posting()).send().await.is_err(), "nobody new is let in");
    progress.send(Ok("id: 2\ndata: {}\n\n")).await.unwrap();
    assert_eq!(call.chunk().await.unwrap().unwrap(), "id: 2\ndata: {}\n\n", "a call goes on to its end");
    drop(progress);
    assert!(call.chunk().await.unwrap().unwrap_or_default().is_empty());
    stopped.await.unwrap();

    let text = std::fs::read_to_string(audit).unwrap();
    let records: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let requests: Vec<_> = records.iter().filter(|record| record["kind"] == "request").collect();
    assert_eq!(requests.iter().map(|r| &r["outcome"]).collect::<Vec<_>>(), ["complete", "complete"]);
    assert_eq!(requests[0]["cause"], "the gateway was told to stop");
    assert_eq!(records.last().unwrap()["kind"], "stopped", "no record is lost");
}

/// What an agent's fake says: one event of a stream.
fn event(wire: Wire, thing: &str) -> &'static str {
    let named = match thing {
        "task" => json!({"id": "t", "contextId": "c", "status": {"state": "TASK_STATE_WORKING"}}),
        _ => json!({"messageId": "m", "contextId": "c", "role": "ROLE_AGENT", "parts": [{"text": "done"}]}),
    };
    let mut result = json!({ thing: named });
    if wire == Wire::Older {
        result = named;
        result["kind"] = thing.into();
    }
    let whole = json!({"jsonrpc": "2.0", "id": 7, "result": result});
    let event = if wire.is_rest() { &whole["result"] } else { &whole };
    Box::leak(format!("data: {event}\n\n").into_boxed_str())
}

#[tokio::test]
async fn a_gateway_that_stops_ends_the_streams_of_tasks_that_their_callers_know_and_lets_others_end() {
    for wire in Wire::ALL {
        let plan = Plan { policy: policies::trainer(), trainer: Some("push: direct"), ..Plan::default() };
        let world = World::with(plan).await;
        let (caller, audit) = (world.caller("agent/clerk", "alice", wire), world.path("audit.jsonl"));
        let send = || caller.request("SendStreamingMessage", &json!({"message": message("train")})).send();
        let working = world.trainer.streams();
        let mut known = send().await.unwrap();
        working.send(Ok(event(wire, "task"))).await.unwrap();
        assert!(!known.chunk().await.unwrap().unwrap().is_empty());
        let _quiet = world.trainer.streams();
        let again = caller.request("SubscribeToTask", &json!({"id": "t"})).send().await.unwrap();
        let answering = world.trainer.streams();
        let mut unknown = send().await.unwrap();

        let stopped = tokio::spawn(world.gateway.stop());
        for ends in [known, again] {
            assert_eq!(ends.status(), 200);
            assert!(ends.bytes().await.unwrap().is_empty(), "{wire:?}: a whole stream, and no broken one");
        }
        answering.send(Ok(event(wire, "message"))).await.unwrap();
        let told = unknown.chunk().await.unwrap().unwrap();
        assert!(told.windows(4).any(|four| four == b"done"), "{wire:?}: it could not be had again");
        drop(answering);
        assert!(unknown.chunk().await.unwrap().unwrap_or_default().is_empty());
        stopped.await.unwrap();

        let text = std::fs::read_to_string(audit).unwrap();
        let records: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let requests: Vec<_> = records.iter().filter(|record| record["kind"] == "request").collect();
        assert_eq!(requests.len(), 3);
        assert!(requests.iter().all(|record| record["outcome"] == "complete"), "{wire:?}: {requests:#?}");
        let ended = |record: &&&Value| record["cause"] == "the gateway was told to stop";
        assert_eq!(requests.iter().filter(ended).count(), 2, "{wire:?}");
    }
}

#[tokio::test]
async fn a_stream_that_breaks_off_upstream_is_not_taken_for_a_whole_one() {
    let world = World::start().await;
    let events = world.ledger.streams();
    let mut response = world.clerk().rpc("tools/call", posting()).send().await.unwrap();
    events.send(Ok(ONE)).await.unwrap();
    assert_eq!(response.chunk().await.unwrap().unwrap(), ONE);
    events.send(Err(std::io::Error::other("the server dies"))).await.unwrap();
    assert!(response.chunk().await.is_err());
    assert_eq!(world.only_record()["outcome"], "answer_broken");
}

#[tokio::test]
async fn a_stream_ends_with_its_permit() {
    let short = "package tools.ledger.post_entry\n\nvisible := true\n\nallow := true\n\nobligations := {\"ttl_seconds\": 1}\n";
    let world = World::with_policy(world::policies::with_post_entry(short)).await;
    let events = world.ledger.streams();
    let mut response = world.clerk().rpc("tools/call", posting()).send().await.unwrap();
    events.send(Ok(ONE)).await.unwrap();
    assert_eq!(response.chunk().await.unwrap().unwrap(), ONE);
    assert!(response.chunk().await.is_err());
    events.closed().await;
    let record = world.only_record();
    assert_eq!(record["outcome"], "answer_broken");
    assert!(record["cause"].as_str().unwrap().contains("permit has ended"), "{record}");
}

#[tokio::test]
async fn an_agents_stream_ends_with_its_permit_in_every_binding() {
    let policy = policies::trainer_with("obligations := {\"ttl_seconds\": 2}");
    let world = World::with(Plan { policy, trainer: Some(""), ..Plan::default() }).await;
    for wire in Wire::ALL {
        let caller = world.caller("agent/clerk", "alice", wire);
        let working = world.trainer.streams();
        let request = caller.request("SendStreamingMessage", &json!({"message": message("train")}));
        let mut stream = request.send().await.unwrap();
        working.send(Ok(event(wire, "task"))).await.unwrap();
        assert!(!stream.chunk().await.unwrap().unwrap().is_empty());
        assert!(stream.chunk().await.is_err(), "{wire:?}: a broken stream, and no whole one");
        working.closed().await;
        let record = world.records("request").pop().unwrap();
        assert_eq!(
            (&record["outcome"], &record["method"]),
            (&json!("answer_broken"), &json!("SendStreamingMessage"))
        );
        assert!(record["cause"].as_str().unwrap().contains("permit has ended"), "{wire:?}: {record}");
    }
}

#[tokio::test]
async fn a_caller_that_hangs_up_takes_the_upstream_along() {
    for alpn in [&b"h2"[..], &b"http/1.1"[..]] {
        let world = World::start().await;
        let events = world.ledger.streams();
        let agent = world.clerk_over(alpn);
        let mut response = agent.rpc("tools/call", posting()).send().await.unwrap();
        events.send(Ok(ONE)).await.unwrap();
        response.chunk().await.unwrap();
        drop(response);
        drop(agent);
        events.closed().await; // The server's side of the stream ends: its connection was closed.
        assert_eq!(world.only_record()["outcome"], "caller_gone");
    }
}

#[tokio::test]
async fn a_caller_that_hangs_up_before_the_answer_begins_takes_the_upstream_along() {
    let world = World::start().await;
    let (asked, mut was_asked) = mpsc::channel(1);
    world.ledger.answers(move |_| {
        let (held, closed) = mpsc::channel(1);
        asked.try_send(closed).unwrap();
        Answer::Silence(held)
    });
    let call = tokio::spawn(world.clerk().rpc("tools/call", posting()).send());
    let mut closed = was_asked.recv().await.unwrap();
    call.abort();
    assert!(call.await.unwrap_err().is_cancelled());
    assert_eq!(closed.recv().await, None, "the server's connection was closed");
    assert_eq!(world.only_record()["outcome"], "caller_gone");
}

#[tokio::test]
async fn an_answer_is_read_whole_and_the_connection_used_again() {
    let world = World::start().await;
    let clerk = world.clerk();
    for _ in 0..5 {
        assert_eq!(read(clerk.rpc("tools/call", posting()).send().await.unwrap()).await.result(), "posted");
    }
    assert_eq!(world.ledger.received().len(), 5);
    assert_eq!(world.ledger.connections(), 1);
}

#[tokio::test]
async fn a_callers_client_hears_one_media_type_and_it_is_the_judged_one() {
    let one = r#"{"jsonrpc":"2.0","id":7,"result":{}}"#;
    for (types, status, heard) in [
        (vec![("content-type", "application/json; x=text/event-stream")], 200, "application/json"),
        (
            vec![("content-type", "application/json"), ("content-type", "text/event-stream")],
            502,
            "application/json",
        ),
    ] {
        let world = World::start().await;
        world.ledger.answers(move |_| raw(200, &types, one));
        let reply = world.clerk().post_entry(1).await;
        assert_eq!((reply.status, reply.header("content-type")), (status, Some(heard)), "{reply:?}");
    }
}
