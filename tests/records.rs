//! One record for each request, in a chain.

use gateway::audit::chain::{hash, hex};
use serde_json::{Value, json};
use world::World;
use world::agent::send;

#[tokio::test]
async fn every_request_leaves_one_record_and_the_records_are_a_chain() {
    let world = World::start().await;
    let clerk = world.clerk();
    clerk.post_entry(1).await;
    clerk.post_entry(9999).await;
    world.agent("agent/clerk").post_entry(1).await;
    send(clerk.post("/mcp/ledger", "not json".into())).await;
    send(clerk.request(reqwest::Method::GET, "/nowhere")).await;
    send(clerk.rpc("tools/list", json!({}))).await;

    let statuses: Vec<Value> = world.records("request").iter().map(|r| r["status"].clone()).collect();
    assert_eq!(statuses, [200, 200, 401, 400, 404, 200]);
    let mut prev = [0; 32];
    for (seq, record) in world.audit().into_iter().enumerate() {
        let mut record = record.as_object().unwrap().clone();
        let named = record.remove("hash").unwrap();
        assert_eq!((&record["seq"], &record["prev"]), (&json!(seq), &json!(hex(&prev))));
        prev = hash(&prev, &record);
        assert_eq!(named, json!(hex(&prev)));
    }
}

#[tokio::test]
async fn no_token_no_credential_and_no_argument_stands_in_the_file() {
    let world = World::start().await;
    let token = world.token("agent/clerk");
    let clerk = world.agent("agent/clerk").with_token(&token);
    let reply =
        clerk.call("post_entry", json!({"amount_cents": 1, "note": "a-word-that-nobody-else-says"})).await;
    assert_eq!(reply.result(), "posted");
    let credential = world.ledger.received()[0].headers["authorization"].to_str().unwrap().to_owned();
    world.gateway.flush_audit();
    let file = std::fs::read_to_string(world.path("audit.jsonl")).unwrap();
    for secret in [token.as_str(), credential.trim_start_matches("Bearer "), "a-word-that-nobody-else-says"] {
        assert!(!file.contains(secret));
        assert!(secret.split('.').all(|part| part.len() < 40 || !file.contains(part)), "not in parts either");
    }
    assert!(world.only_record()["arguments"].as_str().unwrap().starts_with("sha256:"));
}

#[tokio::test]
async fn the_file_is_its_owners_alone() {
    use std::os::unix::fs::PermissionsExt;
    let world = World::start().await;
    for name in ["audit.jsonl", "ca/ca.key", "gateway/key.pem", "actor.key"] {
        let mode = std::fs::metadata(world.path(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
}
