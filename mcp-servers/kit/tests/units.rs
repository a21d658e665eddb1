//! The example of `docs/adding-an-mcp-server.md`: the page's code is the example's, and the example does what the page says.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test ends by panicking")]

use kit::Service;
use serde_json::json;
use world::World;

#[path = "../examples/units.rs"]
#[allow(dead_code, reason = "its main is not called here")]
mod units;
mod world;

const CODE: &str = include_str!("../examples/units.rs");
const PAGE: &str = include_str!("../../../docs/adding-an-mcp-server.md");

#[tokio::test]
async fn a_server_of_less_than_150_lines_converts_and_refuses_to() {
    assert!(CODE.lines().count() < 150, "{}", CODE.lines().count());
    let scopes = ["protocol", "resources", "convert"];
    let world = World::of("units", &scopes, |_| Service::new("units", units::Server), |_, _| {}).await;
    let mut gateway = world.connect("gateway").await.unwrap();
    let token = world.token("alice", &[]);
    let boiling = json!({"value": 100, "from": "celsius", "to": "fahrenheit"});
    let done = gateway.tool(&token, "convert", boiling).await.body;
    let value = done["result"]["structuredContent"]["value"].as_f64().unwrap();
    assert!((value - 212.0).abs() < 1e-9, "{done}");
    for (wrong, code) in [
        (json!({"value": 1, "from": "celsius", "to": "foot"}), "other_kind"),
        (json!({"value": 1, "from": "parsec", "to": "foot"}), "unknown_unit"),
        (json!({"value": "1", "from": "metre", "to": "foot"}), "invalid_arguments"),
    ] {
        let failed = gateway.tool(&token, "convert", wrong).await.body;
        assert_eq!(failed["result"]["structuredContent"]["error"]["code"], json!(code), "{failed}");
    }
    let table = gateway.modern(&token, "resources/read", json!({"uri": "units://table"})).await.body;
    assert!(table["result"]["contents"][0]["text"].as_str().unwrap().contains("celsius\t°C"), "{table}");
    let without = gateway.tool(&token, "list_units", json!({})).await;
    assert_eq!(without.status, 403, "its scope is not in the token, however well that is known by now");
    let other = world.token("alice", &[("scope", json!("units:list_units"))]);
    assert_eq!(gateway.tool(&other, "list_units", json!({})).await.status, 200);
    assert_eq!(gateway.tool(&other, "convert", json!({})).await.status, 403);
}

#[test]
fn the_pages_code_is_the_examples() {
    let shown = PAGE.split("```rust\n").nth(1).unwrap().split("```").next().unwrap();
    assert!(
        shown == CODE,
        "docs/adding-an-mcp-server.md shows other code than mcp-servers/kit/examples/units.rs"
    );
}

#[test]
fn the_tools_are_those_of_the_snapshot() {
    assert_eq!(
        kit::tools_json(units::Server::tool_router().list_all()),
        include_str!("../examples/units.tools.json"),
        "if the change is meant: cargo run -q -p kit --example units -- --print-tools > mcp-servers/kit/examples/units.tools.json"
    );
}
