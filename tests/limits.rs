//! How much of everything, and what happens at one more. Others are served all the while.

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use world::agent::send;
use world::frames::{self, Frames};
use world::{Answer, Plan, World, server};

async fn world(limits: &'static str) -> World {
    World::with(Plan { limits, ..Plan::default() }).await
}

fn posting() -> Value {
    json!({"name": "post_entry", "arguments": {"amount_cents": 1}})
}

/// A call of 2025-11-25, as it stands on the wire of HTTP/1.1.
fn on_the_wire(world: &World, body: &str, announced: usize) -> String {
    let token = world.token("agent/clerk");
    format!(
        "POST /mcp/ledger HTTP/1.1\r\nHost: gateway\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\n\
         Accept: application/json, text/event-stream\r\nMCP-Protocol-Version: 2025-11-25\r\nContent-Length: {announced}\r\n\r\n{body}"
    )
}

const CALL: &str = r#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"post_entry","arguments":{"amount_cents":1}}}"#;

async fn is_served(world: &World) {
    assert_eq!(world.clerk().post_entry(1).await.result(), "posted", "others are served");
}

/// All that comes until the connection has ended, in whatever way.
async fn to_the_end(connection: &mut (impl AsyncReadExt + Unpin)) -> String {
    let mut bytes = Vec::new();
    let _ = connection.read_to_end(&mut bytes).await;
    String::from_utf8(bytes).unwrap()
}

/// The cause of the one connection record.
fn cause(world: &World) -> String {
    let records = world.records("connection");
    assert_eq!(records.len(), 1, "{records:#?}");
    records[0]["cause"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn headers_over_the_limit_are_refused_and_those_below_are_not() {
    for alpn in [&b"h2"[..], b"http/1.1"] {
        let world = world("{header_bytes_max: 4096}").await;
        let with = |bytes: usize| {
            world.clerk_over(alpn).rpc("tools/call", posting()).header("x-note", "x".repeat(bytes))
        };
        assert_eq!(send(with(5000)).await.status, 431);
        assert!(world.ledger.received().is_empty());
        assert_eq!(send(with(1000)).await.result(), "posted");
    }
}

#[tokio::test]
async fn headers_without_end_are_not_read_on() {
    let world = world("{}").await;
    let mut raw = world.raw("agent/clerk").await;
    raw.write_all(b"POST /mcp/ledger HTTP/1.1\r\nHost: gateway\r\n").await.unwrap();
    let field = format!("X-Note: {}\r\n", "x".repeat(1000));
    let mut sent = 0;
    while sent < 100_000_000 && raw.write_all(field.as_bytes()).await.is_ok() {
        sent += field.len();
    }
    assert!(sent < 100_000_000, "the connection was ended");
    is_served(&world).await;
}

#[tokio::test]
async fn a_body_that_does_not_come_is_not_waited_for() {
    let world = world("{body_timeout: 100ms}").await;
    let mut raw = world.raw("agent/clerk").await;
    raw.write_all(on_the_wire(&world, &CALL[..20], CALL.len()).as_bytes()).await.unwrap();
    let answer = to_the_end(&mut raw).await;
    assert!(answer.starts_with("HTTP/1.1 408") && answer.contains("body_too_slow"), "{answer}");
    assert_eq!(world.only_record()["reason"], "body_too_slow");
    assert!(world.ledger.received().is_empty());
    is_served(&world).await;
}

#[tokio::test]
async fn a_head_that_does_not_come_is_not_waited_for() {
    let world = world("{body_timeout: 100ms, idle_timeout: 100ms}").await;
    let mut raw = world.raw("agent/clerk").await;
    raw.write_all(b"POST /mcp/ledger HT").await.unwrap();
    assert_eq!(to_the_end(&mut raw).await, "");
    assert!(world.records("request").is_empty());
    is_served(&world).await;
}

#[tokio::test]
async fn a_handshake_that_does_not_come_is_not_waited_for() {
    let world = world("{handshake_timeout: 100ms}").await;
    let mut silent = TcpStream::connect(world.gateway.address()).await.unwrap();
    assert_eq!(silent.read(&mut [0; 1]).await.unwrap(), 0);
    assert!(cause(&world).contains("did not end in time"));
    is_served(&world).await;
}

#[tokio::test]
async fn one_handshake_too_many_is_turned_away_and_the_next_one_after_an_end_is_not() {
    let world = world("{handshakes_max: 2, handshake_timeout: 2s}").await;
    let silent = async || TcpStream::connect(world.gateway.address()).await.unwrap();
    let mut first = silent().await;
    let _second = silent().await;
    assert_eq!(silent().await.read(&mut [0; 1]).await.unwrap_or_default(), 0, "turned away at once");
    assert!(world.clerk().rpc("tools/call", posting()).send().await.is_err());
    assert!(cause(&world).contains("too many connections"));
    assert_eq!(first.read(&mut [0; 1]).await.unwrap(), 0, "its time is up");
    is_served(&world).await;
}

#[tokio::test]
async fn a_connection_without_requests_ends() {
    let world = world("{idle_timeout: 1s}").await;
    let mut raw = world.raw("agent/clerk").await;
    raw.write_all(on_the_wire(&world, CALL, CALL.len()).as_bytes()).await.unwrap();
    let answer = to_the_end(&mut raw).await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("posted"), "{answer}");
    let mut frames = Frames::open(&world).await;
    while frames.next().await.is_some() {} // HTTP/2's too.
    is_served(&world).await;
}

#[tokio::test]
async fn one_stream_too_many_is_refused_and_the_others_go_on() {
    let world = world("{streams_max: 2}").await;
    let mut frames = Frames::open(&world).await;
    let head = frames::call_head(&world, &world.token("agent/clerk"));
    for stream in [1, 3, 5] {
        assert!(frames.send(frames::HEADERS, frames::END_HEADERS, stream, &head).await);
    }
    let refused = frames.next_of(frames::RST_STREAM).await.unwrap();
    assert_eq!((refused.stream, refused.code()), (5, frames::REFUSED_STREAM));
    for stream in [1, 3] {
        assert!(frames.send(frames::DATA, frames::END_STREAM, stream, CALL.as_bytes()).await);
        assert!(frames.next_of(frames::HEADERS).await.is_some());
    }
    assert_eq!(world.ledger.received().len(), 2);
}

#[tokio::test]
async fn a_caller_that_does_not_read_is_not_written_to_for_ever() {
    let event: &'static str =
        Box::leak(format!("data: {{\"n\":\"{}\"}}\n\n", "x".repeat(100_000)).into_boxed_str());
    for http2 in [false, true] {
        let world = world("{write_timeout: 200ms}").await;
        let events = world.ledger.streams();
        let feeding = tokio::spawn(async move { while events.send(Ok(event)).await.is_ok() {} });
        if http2 {
            let mut frames = Frames::open(&world).await;
            let head = frames::call_head(&world, &world.token("agent/clerk"));
            frames.send(frames::HEADERS, frames::END_HEADERS, 1, &head).await;
            frames.send(frames::DATA, frames::END_STREAM, 1, CALL.as_bytes()).await;
            feeding.await.unwrap(); // It ends when the gateway has closed the server's connection.
            drop(frames);
        } else {
            let mut raw = world.raw("agent/clerk").await;
            raw.write_all(on_the_wire(&world, CALL, CALL.len()).as_bytes()).await.unwrap();
            feeding.await.unwrap();
            drop(raw);
        }
        assert_eq!(world.only_record()["outcome"], "caller_gone", "HTTP/2: {http2}");
    }
}

/// A flood ends its own connection, and nobody else's.
async fn is_ended(world: &World, mut flood: impl AsyncFnMut(&mut Frames, u32) -> bool) -> Option<u32> {
    let mut frames = Frames::open(world).await;
    for round in 0..200_000 {
        if !flood(&mut frames, round).await {
            break;
        }
        assert!(round < 199_999, "the flood was never ended");
    }
    let code = frames.next_of(frames::GOAWAY).await.map(|frame| frame.code());
    is_served(world).await;
    code
}

#[tokio::test]
async fn continuations_without_end_end_their_connection() {
    let world = world("{}").await;
    let head = frames::call_head(&world, &world.token("agent/clerk"));
    let more = frames::block(&[("x-note", &"x".repeat(1000))]);
    is_ended(&world, async |frames, round| match round {
        0 => frames.send(frames::HEADERS, 0, 1, &head).await,
        _ => frames.send(frames::CONTINUATION, 0, 1, &more).await,
    })
    .await;
    assert_eq!(world.ledger.received().len(), 1, "of the flood nothing went on");
    assert_eq!(world.records("request").len(), 1);
}

#[tokio::test]
async fn streams_that_are_reset_as_soon_as_they_are_opened_end_their_connection() {
    let world = world("{}").await;
    let head = frames::call_head(&world, &world.token("agent/clerk"));
    let code = is_ended(&world, async |frames, round| {
        let stream = 2 * round + 1;
        frames.send(frames::HEADERS, frames::END_HEADERS, stream, &head).await
            && frames.send(frames::RST_STREAM, 0, stream, &8_u32.to_be_bytes()).await
    })
    .await;
    assert!(code.is_none_or(|code| code == frames::ENHANCE_YOUR_CALM), "{code:?}");
    assert_eq!(world.ledger.received().len(), 1, "of the flood nothing went on");
}

#[tokio::test]
async fn a_list_over_the_limit_does_not_pass_and_one_below_does() {
    let list = |bytes: usize| {
        let mut list = server::list();
        list["tools"][0]["description"] = json!("x".repeat(bytes));
        json!({"jsonrpc": "2.0", "id": 7, "result": list})
    };
    let world = world("{list_bytes_max: 4096}").await;
    let ask = async || send(world.clerk().rpc("tools/list", json!({}))).await;
    world.ledger.answers(move |_| Answer::Json(list(5000)));
    assert_eq!(ask().await.refused_because(), "upstream_failed");
    world.ledger.answers(move |_| Answer::Json(list(1000)));
    assert_eq!(ask().await.json()["result"]["tools"][0]["name"], "post_entry");
    world.ledger.says(&[list(1000)]);
    assert_eq!(ask().await.json()["result"]["tools"][0]["name"], "post_entry");
    world.ledger.says(&[list(5000)]);
    let whole = async { world.clerk().rpc("tools/list", json!({})).send().await?.text().await };
    assert!(whole.await.is_err(), "an event that is too long breaks the stream off");
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_not_waited_for() {
    let world = world("{response_timeout: 100ms}").await;
    let (asked, mut was_asked) = tokio::sync::mpsc::channel(1);
    world.ledger.answers(move |_| {
        let (held, closed) = tokio::sync::mpsc::channel(1);
        asked.try_send(closed).unwrap();
        Answer::Silence(held)
    });
    let reply = world.clerk().post_entry(1).await;
    assert_eq!((reply.status, reply.refused_because().as_str()), (504, "upstream_timeout"));
    assert_eq!(was_asked.recv().await.unwrap().recv().await, None, "its connection was closed");
    assert_eq!(world.only_record()["reason"], "upstream_timeout");
}

#[tokio::test]
async fn a_server_that_does_not_shake_hands_is_not_waited_for() {
    let plan = Plan { limits: "{connect_timeout: 100ms}", server_is_up: false, ..Plan::default() };
    let world = World::with(plan).await;
    let _silent = loop {
        match std::net::TcpListener::bind(world.ledger.address) {
            Ok(silent) => break silent,
            Err(_) => tokio::task::yield_now().await, // Until the server has closed its socket.
        }
    };
    let reply = world.clerk().post_entry(1).await;
    assert_eq!((reply.status, reply.refused_because().as_str()), (504, "upstream_timeout"));
    assert!(world.ledger.received().is_empty());
}

#[tokio::test]
async fn a_connection_to_the_server_is_kept_no_longer_than_it_may_be() {
    for (limits, connections) in
        [("{}", 1), ("{upstream_idle_max: 0}", 2), ("{upstream_idle_timeout: 10ms}", 2)]
    {
        let world = world(limits).await;
        is_served(&world).await;
        tokio::time::sleep(std::time::Duration::from_millis(20)).await; // A connection's idle time is real time.
        is_served(&world).await;
        assert_eq!(world.ledger.connections(), connections, "{limits}");
    }
}

#[tokio::test]
async fn a_connection_to_a_server_that_is_not_called_again_is_closed() {
    let world = world("{upstream_idle_timeout: 100ms}").await;
    is_served(&world).await;
    while world.probe().metric("sallyport_upstream_connections").await != Some(0.0) {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn one_credential_too_many_is_not_kept() {
    for (limits, fetched) in [("{credentials_max: 2}", 2.0), ("{credentials_max: 1}", 4.0)] {
        let world = world(limits).await;
        let clerk = world.clerk();
        for _ in 0..2 {
            assert_eq!(clerk.post_entry(1).await.result(), "posted");
            assert_eq!(send(clerk.rpc("tools/list", json!({}))).await.status, 200);
        }
        let metric = "sallyport_exchanges_total{outcome=\"fetched\"}";
        assert_eq!(world.probe().metric(metric).await, Some(fetched), "{limits}");
    }
}

/// What the audit file holds in the end, of a gateway that is gone.
fn in_the_end(path: &std::path::Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test]
async fn a_gateway_that_stops_lets_streams_end_and_takes_no_more() {
    let world = world("{drain_timeout: 30s}").await;
    let events = world.ledger.streams();
    let mut open = world.clerk().rpc("tools/call", posting()).send().await.unwrap();
    let (late, path) = (world.clerk(), world.path("audit.jsonl"));
    let address = world.gateway.address();
    let stopping = tokio::spawn(world.gateway.stop());
    while TcpStream::connect(address).await.is_ok() {
        tokio::task::yield_now().await; // Until it has closed its socket.
    }
    assert!(late.rpc("tools/call", posting()).send().await.is_err(), "no new connections");
    events.send(Ok("data: {}\n\n")).await.unwrap();
    assert_eq!(open.chunk().await.unwrap().unwrap(), "data: {}\n\n", "what was under way goes on");
    drop(events);
    assert_eq!(open.chunk().await.unwrap_or_default().unwrap_or_default(), "", "and ends in good order");
    stopping.await.unwrap();
    let records = in_the_end(&path);
    let kinds: Vec<&str> = records.iter().map(|record| record["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["started", "request", "stopped"]);
    assert_eq!(records[1]["outcome"], "complete");
}

#[tokio::test]
async fn a_stream_that_outlives_the_drain_is_cut_and_still_leaves_its_record() {
    for alpn in [&b"h2"[..], b"http/1.1"] {
        let world = world("{drain_timeout: 50ms}").await;
        let events = world.ledger.streams();
        let mut open = world.clerk_over(alpn).rpc("tools/call", posting()).send().await.unwrap();
        events.send(Ok("data: {}\n\n")).await.unwrap();
        open.chunk().await.unwrap();
        let path = world.path("audit.jsonl");
        world.gateway.stop().await;
        assert!(open.chunk().await.is_err(), "it is not taken for a whole one");
        let records = in_the_end(&path);
        let kinds: Vec<&str> = records.iter().map(|record| record["kind"].as_str().unwrap()).collect();
        assert_eq!(kinds, ["started", "request", "stopped"]);
        assert_eq!(records[1]["outcome"], "caller_gone");
    }
}

#[tokio::test]
async fn the_refusal_of_a_long_body_reaches_its_caller_every_time() {
    let world = World::with(Plan { limits: "{body_bytes_max: 4096}", ..Plan::default() }).await;
    for alpn in [&b"h2"[..], b"http/1.1"] {
        for _ in 0..16 {
            let reply = send(world.clerk_over(alpn).post("/mcp/ledger", "x".repeat(300_000))).await;
            assert_eq!((reply.status, reply.refused_because().as_str()), (413, "body_too_long"));
        }
    }
    assert!(world.ledger.received().is_empty());
}
