//! One record for each request, in a chain.

use aws_lc_rs::digest::{Context, SHA256};
use gateway::audit::chain::hex;
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};
use world::agent::send;
use world::{Answer, Plan, World};

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
    let file = std::fs::read_to_string(world.path("audit.jsonl")).unwrap();
    let mut prev = [0; 32];
    for (seq, line) in file.lines().enumerate() {
        let record: Value = serde_json::from_str(line).unwrap();
        assert_eq!((&record["seq"], &record["prev"]), (&json!(seq), &json!(hex(&prev))));
        // What is hashed is the line as it would be without its hash: docs/audit-fields.md.
        let hashed = line.replacen(&format!("\"hash\":{},", record["hash"]), "", 1);
        let mut context = Context::new(&SHA256);
        context.update(&prev);
        context.update(hashed.as_bytes());
        prev.copy_from_slice(context.finish().as_ref());
        assert_eq!(record["hash"], json!(hex(&prev)));
    }
}

#[tokio::test]
async fn a_permit_is_on_disk_before_its_call_goes_to_the_server() {
    let world = World::with(Plan { audit: "required", ..Plan::default() }).await;
    let (seen, seen_by_server) = (Arc::new(Mutex::new(String::new())), world.path("audit.jsonl"));
    let keep = Arc::clone(&seen);
    world.ledger.answers(move |received| {
        *keep.lock().unwrap() = std::fs::read_to_string(&seen_by_server).unwrap();
        Answer::Json(json!({"jsonrpc": "2.0", "id": received.json()["id"], "result": {"content": []}}))
    });
    let clerk = world.clerk();
    assert_eq!(clerk.post_entry(1).await.status, 200);
    assert_eq!(clerk.post_entry(9999).await.refused_because(), "not_allowed");

    let seen = seen.lock().unwrap().clone();
    let permit: Value = serde_json::from_str(seen.lines().last().unwrap()).unwrap();
    assert_eq!((&permit["kind"], &permit["decision"]), (&json!("permit"), &json!("permit")));
    assert!(permit["time"].is_string() && permit["status"].is_null() && permit["outcome"].is_null());
    let requests = world.records("request");
    assert_eq!(requests[0]["permit"], permit["seq"], "the request's own record names its permit's");
    for same in ["arguments", "caller", "credential", "method", "package", "policy", "subject", "target"] {
        assert_eq!((&requests[0][same], same), (&permit[same], same));
        assert!(!permit[same].is_null(), "{same}");
    }
    assert_eq!((&requests[1]["decision"], &requests[1]["permit"]), (&json!("denial"), &Value::Null));
    assert_eq!(world.records("permit").len(), 1, "a denial has none");
}

#[tokio::test]
async fn where_records_are_not_required_a_call_waits_for_none() {
    let world = World::start().await;
    assert_eq!(world.clerk().post_entry(1).await.result(), "posted");
    assert_eq!(world.records("permit"), Vec::<Value>::new());
    assert!(world.only_record()["permit"].is_null());
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
