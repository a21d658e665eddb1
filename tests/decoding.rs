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
        "/mcp",
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
