//! What policy sees is what its reference says: real requests of every kind against the schema that the types give.

use serde_json::{Value, json};
use world::agent::send;
use world::{Plan, World, policies};

/// Denies whatever doesn't match the schema in the data. A second is enough, wherever the tests run.
const GUARD: &str = "package guard

deny contains \"off_schema\" if not json.match_schema(input, data.input_schema)[0]
";

async fn world(schema: &Value) -> World {
    let everybody = |package: &str| format!("package {package}\n\nvisible := true\n\nallow := true\n");
    let mut policy = policies::with_post_entry(&everybody("tools.ledger.post_entry"));
    policy.extend([
        ("guard/schema.rego", GUARD.to_owned()),
        ("data.json", json!({ "input_schema": schema }).to_string()),
        ("resources/ledger.rego", everybody("resources.ledger")),
        ("prompts/ledger.rego", everybody("prompts.ledger")),
    ]);
    World::with(Plan { policy, subject: "optional", policy_options: ", budget: 1s", ..Plan::default() }).await
}

/// What became of a call of each kind: the reason, or `permit`. The last one is made without a token.
async fn answers(world: &World) -> Vec<String> {
    let clerk = world.clerk();
    let calls = [
        clerk.rpc("tools/call", json!({"name": "post_entry", "arguments": {"amount_cents": 1}})),
        clerk.rpc("resources/read", json!({"uri": "ledger://entries"})),
        clerk.rpc("prompts/get", json!({"name": "close", "arguments": {"year": "2026"}})),
        clerk.rpc("server/discover", json!({})),
        world.agent("agent/robot").rpc("tools/call", json!({"name": "post_entry", "arguments": {}})),
    ];
    let mut answers = Vec::new();
    for call in calls {
        let reply = send(call).await;
        let refused = reply.json()["error"]["data"]["reason"].as_str().map(ToOwned::to_owned);
        answers.push(refused.unwrap_or_else(|| "permit".to_owned()));
    }
    answers
}

#[tokio::test]
async fn every_input_is_what_the_schema_says() {
    let world = world(&policy::input_schema()).await;
    assert_eq!(answers(&world).await, ["permit"; 5]);
    let list = send(world.clerk().rpc("tools/list", json!({}))).await.json();
    assert_eq!(list["result"]["tools"][0]["name"], "post_entry", "an item's input is, too: {list}");
}

#[tokio::test]
async fn no_input_has_a_member_that_the_schema_has_not() {
    let mut schema = policy::input_schema();
    let request = &mut schema["$defs"]["RequestInput"];
    assert!(request["properties"].as_object_mut().unwrap().remove("ip").is_some());
    request["required"].as_array_mut().unwrap().retain(|name| name != "ip");
    let world = world(&schema).await;
    assert_eq!(answers(&world).await, ["off_schema"; 5]);
    assert!(world.ledger.received().is_empty());
}

#[tokio::test]
async fn no_input_lacks_a_member_that_the_schema_wants() {
    let mut schema = policy::input_schema();
    let call = &mut schema["$defs"]["McpCallInput"];
    call["required"].as_array_mut().unwrap().push(json!("tool"));
    let world = world(&schema).await;
    let off = "off_schema";
    assert_eq!(answers(&world).await, ["permit", off, off, off, "permit"]);
}

#[test]
fn the_committed_schema_is_what_the_types_give() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/policy-input.schema.json");
    let committed: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    assert_eq!(committed, policy::input_schema(), "run cargo xtask schema");
}
