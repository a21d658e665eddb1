//! `docs/adding-an-mcp-server.md`: its server, its policy and its tests, behind the gateway.

use serde_json::{Value, json};
use std::process::Command;
use std::time::Duration;
use world::components::{program, root};
use world::served::Served;
use world::{Plan, World, policies};

/// The page's policy and its test, as files of a folder.
fn policy() -> [(&'static str, String); 2] {
    let page = std::fs::read_to_string(root().join("docs/adding-an-mcp-server.md")).unwrap();
    let blocks: Vec<_> =
        page.split("```rego\n").skip(1).map(|rest| rest.split("```").next().unwrap().to_owned()).collect();
    let [policy, test] = blocks.try_into().unwrap();
    [("tools/units/convert.rego", policy), ("tools/units/convert_test.rego", test)]
}

async fn world() -> World {
    let served = Served {
        name: "units",
        program: program("examples/units"),
        scopes: &["protocol", "convert", "list_units"],
        flags: Vec::new(),
        files: vec![("audit-file", String::new())],
    };
    let [(path, text), _] = policy();
    let text = text.replace("[\"agent\", \"demo\"]", "[\"agent\", \"clerk\"]");
    let policy = vec![("protocol.rego", policies::protocol()), (path, text)];
    World::with(Plan { policy, served: Some(served), ..Plan::default() }).await
}

/// The server's first line of audit, which it writes behind its answer.
async fn line(world: &World) -> Value {
    for _ in 0..500 {
        let text = std::fs::read_to_string(world.path("audit-file")).unwrap();
        if let Some((line, _)) = text.split_once('\n') {
            return serde_json::from_str(line).unwrap();
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("there is no line");
}

#[tokio::test]
async fn the_pages_server_converts_what_the_pages_policy_allows() {
    let world = world().await;
    let agent = world.clerk().at("/mcp/units");
    let warm = agent.call("convert", json!({"value": 20, "from": "celsius", "to": "kelvin"})).await;
    assert_eq!(warm.json()["result"]["structuredContent"]["unit"], json!("kelvin"), "{}", warm.text);
    assert_eq!(warm.json()["result"]["structuredContent"]["value"], json!(293.15));
    let (record, line) = (world.only_record(), line(&world).await);
    assert_eq!(line["arguments_digest"], record["arguments"], "the two can be joined");
    assert_eq!((&line["subject"], &line["outcome"]), (&json!("alice"), &json!("ok")));
    assert_eq!(line["actors"], json!([world.id("agent/clerk").to_string()]));
    let denied = agent.call("convert", json!({"value": 20, "from": "celsius", "to": "foot"})).await;
    assert_eq!(denied.json()["error"]["data"]["reason"], json!("not_allowed"), "{}", denied.text);
    let other = agent.call("list_units", json!({})).await;
    assert_eq!(other.json()["error"]["data"]["reason"], json!("not_allowed"), "no file answers for it");
    let heard = std::fs::read_to_string(world.path("audit-file")).unwrap();
    assert_eq!(heard.lines().count(), 1, "of the refused calls the server hears nothing");
    assert_eq!(world.records("request").len(), 3);
}

#[test]
fn the_pages_tests_pass() {
    let folder = tempfile::tempdir().unwrap();
    for (path, text) in policy() {
        let path = folder.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    let output =
        Command::new(program("sallyport")).args(["policy", "test"]).arg(folder.path()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.matches("PASS").count() == 4, "{said}");
}
