//! What is refused before anybody is asked.

use serde_json::json;
use world::agent::{meta, send};
use world::{Plan, Reply, World};

/// A refusal before policy: no decision in the record, nothing upstream.
fn was_not_decided(world: &World, reply: &Reply, status: u16, code: i64, reason: &str) {
    assert_eq!((reply.status, reply.code()), (status, code), "{}", reply.text);
    assert!(world.ledger.received().is_empty());
    let record = world.only_record();
    assert_eq!(record["decision"], json!(null));
    assert_eq!(record["reason"], reason);
}

fn call(name: &str, arguments: &str) -> String {
    format!(
        r#"{{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{{"name":"{name}","arguments":{arguments},"_meta":{}}}}}"#,
        meta()
    )
}

/// A call of 2026-07-28 of `post_entry`, with this body.
fn modern(world: &World, body: String) -> reqwest::RequestBuilder {
    let request = world.clerk().post("/mcp/ledger", body).header("mcp-protocol-version", "2026-07-28");
    request.header("mcp-method", "tools/call").header("mcp-name", "post_entry")
}

async fn post(world: &World, body: String, mcp_name: &str) -> Reply {
    let request = world.clerk().post("/mcp/ledger", body).header("mcp-protocol-version", "2026-07-28");
    send(request.header("mcp-method", "tools/call").header("mcp-name", mcp_name)).await
}

#[tokio::test]
async fn a_header_that_disagrees_with_the_body_is_refused() {
    let world = World::start().await;
    let reply = post(&world, call("read_balance", "{}"), "post_entry").await;
    was_not_decided(&world, &reply, 400, -32020, "header_mismatch");
}

#[tokio::test]
async fn an_unknown_method_is_refused() {
    let world = World::start().await;
    let reply = send(world.clerk().rpc("tools/destroy", json!({}))).await;
    was_not_decided(&world, &reply, 404, -32601, "unknown_method");
}

#[tokio::test]
async fn a_key_that_stands_twice_is_refused_at_any_depth() {
    for arguments in [
        r#"{"amount_cents":1,"amount_cents":9999}"#,
        r#"{"amount_cents":1,"Amount_Cents":9999}"#,
        r#"{"amount_cents":1,"x":[{"a":1,"\u0061":2}]}"#,
    ] {
        let world = World::start().await;
        let reply = post(&world, call("post_entry", arguments), "post_entry").await;
        assert_eq!(reply.status, 400, "{arguments}: {}", reply.text);
        assert!(world.ledger.received().is_empty());
        assert_eq!(world.only_record()["decision"], json!(null));
    }
    let world = World::start().await;
    assert_eq!(
        post(&world, call("post_entry", r#"{"amount_cents":1}"#), "post_entry").await.result(),
        "posted"
    );
}

#[tokio::test]
async fn what_two_readers_could_read_in_two_ways_is_refused_with_its_own_reason() {
    let world = World::start().await;
    let clean = call("post_entry", r#"{"amount_cents":1,"note":"x"}"#);
    let with = |from: &str, to: &str| {
        assert!(clean.contains(from), "{from}");
        clean.replacen(from, to, 1).into_bytes()
    };
    let deep = format!("{}1{}", "[".repeat(64), "]".repeat(64));
    let invalid_utf8 = {
        let mut body = clean.clone().into_bytes();
        let at = clean.find("\"x\"").unwrap() + 1;
        body[at] = 0xFF;
        body
    };
    let rows = [
        (format!("\u{FEFF}{clean}").into_bytes(), -32700, "byte_order_mark"),
        (format!("{clean}{clean}").into_bytes(), -32700, "trailing_bytes"),
        (format!("{clean}\0").into_bytes(), -32700, "trailing_bytes"),
        (invalid_utf8, -32700, "invalid_utf8"),
        (with(r#""x""#, r#""x"#), -32700, "invalid_json"),
        (b" ".to_vec(), -32700, "empty_body"),
        (with(r#""x""#, &deep), -32600, "too_deep"),
        (with(r#""x""#, r#""\ud83d""#), -32600, "lone_surrogate"),
        (with(r#""x""#, "18446744073709551616"), -32600, "inexact_number"),
        (with(r#""x""#, "9007199254740993.0"), -32600, "inexact_number"),
        (with(r#""x""#, "1e999"), -32600, "inexact_number"),
        (with(r#""note":"#, r#""amount_cents":"#), -32600, "duplicate_key"),
        (with(r#""note":"#, r#""Amount_Cents":"#), -32600, "case_variant_key"),
        (with(r#""name":"#, r#""name":"read_balance","Name":"#), -32600, "case_variant_key"),
        (with(r#""note":"#, r#""$serde_json::private::Number":"#), -32600, "reserved_key"),
        (clean.replace("2.0", "1.0").into_bytes(), -32600, "jsonrpc_version"),
    ];
    for (at, (body, code, reason)) in rows.into_iter().enumerate() {
        let reply = send(modern(&world, String::new()).body(body)).await;
        assert_eq!((reply.status, reply.code()), (400, code), "{reason}: {}", reply.text);
        let records = world.records("request");
        assert_eq!(records.len(), at + 1);
        assert_eq!((&records[at]["reason"], &records[at]["decision"]), (&json!(reason), &json!(null)));
    }
    assert!(world.ledger.received().is_empty());
    assert_eq!(send(modern(&world, clean)).await.result(), "posted");
    let level = format!("{}1{}", "[".repeat(40), "]".repeat(40));
    let within =
        call("post_entry", &format!(r#"{{"amount_cents":1,"x":{level},"y":18446744073709551615,"z":0.1}}"#));
    assert_eq!(send(modern(&world, within)).await.result(), "posted");
}

#[tokio::test]
async fn what_would_have_to_be_unpacked_or_guessed_is_refused() {
    let world = World::start().await;
    let clean = call("post_entry", r#"{"amount_cents":1}"#);
    let rows = [
        ("content-encoding", "gzip", 415, -32600, "content_encoding"),
        ("content-encoding", "identity, gzip", 415, -32600, "content_encoding"),
        ("content-type", "text/plain", 415, -32600, "content_type"),
        ("content-type", "application/json; charset=utf-16", 415, -32600, "content_type"),
        ("accept", "application/json", 406, -32600, "not_acceptable"),
        ("mcp-session-id", "s-1", 400, -32600, "session_in_stateless_call"),
        ("mcp-name", "read_balance", 400, -32020, "header_mismatch"),
        ("mcp-protocol-version", "2025-11-25", 400, -32020, "header_mismatch"),
    ];
    for (at, (name, value, status, code, reason)) in rows.into_iter().enumerate() {
        let mut request = modern(&world, clean.clone()).build().unwrap();
        request.headers_mut().insert(name, value.parse().unwrap());
        let reply = world::agent::read(world.clerk().execute(request).await).await;
        assert_eq!((reply.status, reply.code()), (status, code), "{name}: {value}: {}", reply.text);
        let records = world.records("request");
        assert_eq!(records.len(), at + 1);
        assert_eq!((&records[at]["reason"], &records[at]["decision"]), (&json!(reason), &json!(null)));
    }
    assert!(world.ledger.received().is_empty());
    let identity = modern(&world, clean).header("content-encoding", "identity");
    assert_eq!(send(identity).await.result(), "posted");
}

#[tokio::test]
async fn a_key_that_a_parser_reserves_for_itself_is_refused() {
    for arguments in [
        r#"{"$serde_json::private::RawValue":"{\"amount_cents\":1}"}"#,
        r#"{"amount_cents":1,"x":{"\u0024serde_json::private::Number":"1"}}"#,
    ] {
        let world = World::start().await;
        let reply = post(&world, call("post_entry", arguments), "post_entry").await;
        was_not_decided(&world, &reply, 400, -32600, "reserved_key");
    }
}

#[tokio::test]
async fn a_head_that_is_no_http_leaves_a_record_that_quotes_none_of_it() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let world = World::start().await;
    let mut raw = world.raw("agent/clerk").await;
    raw.write_all(
        b"POST /mcp/ledger HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer a-secret\r\nX: a\r\n folded\r\n\r\n",
    )
    .await
    .unwrap();
    let mut answer = Vec::new();
    let _ = raw.read_to_end(&mut answer).await; // However it ends, it has ended.
    assert_eq!(world.records("connection").len(), 1);
    assert!(!std::fs::read_to_string(world.path("audit.jsonl")).unwrap().contains("a-secret"));
}

#[tokio::test]
async fn a_batch_is_refused() {
    let world = World::start().await;
    let reply = post(&world, format!("[{}]", call("post_entry", "{}")), "post_entry").await;
    was_not_decided(&world, &reply, 400, -32600, "batch_refused");
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused_and_one_below_is_not() {
    let plan = Plan { limits: "{body_bytes_max: 4096}", ..Plan::default() };
    let world = World::with(plan.clone()).await;
    let padded =
        |n: usize| call("post_entry", &format!(r#"{{"amount_cents":1,"note":"{}"}}"#, "x".repeat(n)));
    let reply = post(&world, padded(5000), "post_entry").await;
    was_not_decided(&world, &reply, 413, -32005, "body_too_long");
    let world = World::with(plan).await;
    assert_eq!(post(&world, padded(2000), "post_entry").await.result(), "posted");
}

#[tokio::test]
async fn a_page_of_a_foreign_origin_is_refused() {
    let world = World::start().await;
    let request =
        world.clerk().rpc("tools/call", json!({"name": "post_entry", "arguments": {"amount_cents": 1}}));
    let reply = send(request.header("origin", "https://evil.example")).await;
    was_not_decided(&world, &reply, 403, -32600, "origin_not_allowed");
}

#[tokio::test]
async fn paths_that_are_not_there_say_so() {
    let world = World::start().await;
    for path in [
        "/",
        "/mcp/",
        "/mcp/ledger/",
        "/mcp/ledger?x=1",
        "/mcp/..%2fledger",
        "/metrics",
        "/.well-known/oauth-protected-resource/x",
    ] {
        let reply = send(world.clerk().request(reqwest::Method::GET, path)).await;
        assert_eq!((reply.status, reply.refused_because().as_str()), (404, "not_found"), "{path}");
    }
    assert!(world.ledger.received().is_empty());
}
