//! What an agent may do depends on what it says: the same call, one argument apart.

use serde_json::json;
use world::agent::send;
use world::{Plan, World, policies};

#[tokio::test]
async fn a_small_entry_is_posted_and_a_large_one_is_not() {
    let world = World::start().await;

    let small = world.clerk().post_entry(1000).await;
    assert_eq!(small.result(), "posted");
    assert_eq!(world.ledger.received().len(), 1);

    let large = world.clerk().post_entry(1001).await;
    assert_eq!((large.status, large.code()), (200, -32003));
    assert_eq!(large.refused_because(), "not_allowed");
    assert_eq!(world.ledger.received().len(), 1, "the server has not heard of it");
    let records = world.records("request");
    assert_eq!(records.iter().map(|r| &r["decision"]).collect::<Vec<_>>(), ["permit", "denial"]);
    assert_eq!(records[1]["caller"], "spiffe://bank.test/agent/clerk");
    assert_eq!(records[1]["subject"]["sub"], "alice");
    assert_eq!(records[1]["package"], "tools.ledger.post_entry");
}

#[tokio::test]
async fn another_workload_with_a_token_of_its_own_may_not() {
    let world = World::start().await;
    let intern = world.agent("agent/intern").with_token(&world.token("agent/intern"));

    assert_eq!(intern.post_entry(1000).await.refused_because(), "not_allowed");
    assert!(world.ledger.received().is_empty());
    assert_eq!(world.only_record()["decision"], "denial");
}

#[tokio::test]
async fn what_is_not_allowed_and_what_does_not_exist_read_the_same() {
    let world = World::start().await;
    let clerk = world.clerk();
    let denied = clerk.call("post_entry", json!({"amount_cents": 9999})).await;
    let no_rule = clerk.call("read_balance", json!({"amount_cents": 9999})).await;
    let no_tool = clerk.call("open_vault", json!({"amount_cents": 9999})).await;
    let body = r#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"post_entry","arguments":{"amount_cents":1}}}"#;
    let legacy = |path: &str| clerk.post(path, body.to_owned()).header("mcp-protocol-version", "2025-11-25");
    let no_server = send(legacy("/mcp/treasury")).await;

    for other in [no_rule, no_tool, no_server] {
        assert_eq!((other.status, &other.text), (denied.status, &denied.text));
    }
    assert!(world.ledger.received().is_empty());
    assert_eq!(send(legacy("/mcp/ledger")).await.result(), "posted");
}

#[tokio::test]
async fn a_session_cannot_be_opened_with_a_server_that_does_not_exist() {
    let world = World::start().await;
    let body = r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"c","version":"1"}}}"#;
    let nowhere = send(world.clerk().post("/mcp/treasury", body.to_owned())).await;
    assert_eq!((nowhere.status, nowhere.refused_because().as_str()), (403, "not_allowed"));
    assert_eq!(send(world.clerk().post("/mcp/ledger", body.to_owned())).await.status, 200);
}

#[tokio::test]
async fn a_workload_acts_for_itself_only_where_that_is_allowed() {
    let robot_may = "package tools.ledger.post_entry\n\nvisible := true\n\nallow if {\n\tinput.subject == null\n\tinput.caller.path == [\"agent\", \"robot\"]\n}\n";
    let plan = Plan { policy: policies::with_post_entry(robot_may), subject: "optional", ..Plan::default() };
    let world = World::with(plan.clone()).await;
    assert_eq!(world.agent("agent/robot").post_entry(1).await.result(), "posted");
    assert_eq!(world.agent("agent/clerk").post_entry(1).await.refused_because(), "not_allowed");
    assert_eq!(
        world.clerk().post_entry(1).await.refused_because(),
        "not_allowed",
        "a person's call is not the robot's"
    );
    assert_eq!(world.ledger.received().len(), 1);

    let strict = World::with(Plan { subject: "required", ..plan }).await;
    assert_eq!(strict.agent("agent/robot").post_entry(1).await.status, 401);
    assert!(strict.ledger.received().is_empty());
}

#[tokio::test]
async fn a_scope_that_the_person_lacks_is_not_minted() {
    let world = World::start().await;
    let none = std::collections::BTreeSet::from(["gardening".to_owned()]);
    let token = world.token_with("agent/clerk", |claims| claims.scopes = Box::leak(Box::new(none)));
    let reply = world.agent("agent/clerk").with_token(&token).post_entry(1).await;
    assert_eq!((reply.status, reply.refused_because().as_str()), (502, "scope_refused"));
    assert!(world.ledger.received().is_empty());
    assert!(world.only_record()["cause"].as_str().unwrap().contains("invalid_scope"));
}
