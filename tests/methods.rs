//! Every method of every version is put to the package that `docs/mcp-methods.md` names, and to no other.

use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use world::agent::{Agent, meta, send};
use world::{Answer, Plan, World};

const VERSIONS: [&str; 4] = ["2025-03-26", "2025-06-18", "2025-11-25", "2026-07-28"];

/// A line of the document's first table.
struct Row {
    method: String,
    form: String,
    /// What stands in the columns of 2025 and 2026.
    eras: [String; 2],
    package: String,
    items: String,
}

fn rows() -> Vec<Row> {
    let text = std::fs::read_to_string(world::components::root().join("docs/mcp-methods.md")).unwrap();
    let table = text.split("\n## ").next().unwrap().to_owned();
    let rows: Vec<Row> = table.lines().filter(|line| line.starts_with("| `")).map(row).collect();
    assert!(rows.len() > 20, "the table was not found");
    rows
}

fn row(line: &str) -> Row {
    let cells: Vec<String> = line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect();
    let name = |cell: &str| cell.trim_matches('`').to_owned();
    Row {
        method: name(&cells[0]),
        form: cells[1].clone(),
        eras: [name(&cells[2]), name(&cells[3])],
        package: cells[4].clone(),
        items: cells[5].clone(),
    }
}

impl Row {
    /// `yes`, or the reason of the refusal.
    fn says(&self, version: &str) -> &str {
        &self.eras[usize::from(version == "2026-07-28")]
    }
}

/// The packages that a cell names, of this server and this tool.
fn packages(cell: &str) -> Vec<String> {
    let named = cell.split('`').skip(1).step_by(2).filter(|name| *name != "ref");
    named.map(|name| name.replace("<server>", "ledger").replace("<tool>", "post_entry")).collect()
}

/// Parameters with which a method touches something of each family of packages that its row names.
fn touching(method: &str) -> Vec<(&'static str, Value)> {
    let completion = |reference: Value| json!({"ref": reference, "argument": {"name": "a", "value": "v"}});
    match method {
        "tools/call" => vec![("tools", json!({"name": "post_entry", "arguments": {}}))],
        "prompts/get" => vec![("prompts", json!({"name": "p"}))],
        "resources/read" | "resources/subscribe" | "resources/unsubscribe" => {
            vec![("resources", json!({"uri": "l://a"}))]
        }
        "completion/complete" => vec![
            ("prompts", completion(json!({"type": "ref/prompt", "name": "p"}))),
            ("resources", completion(json!({"type": "ref/resource", "uri": "l://a"}))),
        ],
        "subscriptions/listen" => vec![
            ("resources", json!({"notifications": {"resourceSubscriptions": ["l://a"]}})),
            ("protocol", json!({"notifications": {"toolsListChanged": true}})),
        ],
        _ => vec![("protocol", json!({"level": "info", "protocolVersion": "2025-11-25"}))],
    }
}

/// The request of a row in a version.
fn request(agent: &Agent, row: &Row, version: &str, params: &Value) -> RequestBuilder {
    match row.form.as_str() {
        "response" => agent.post("/mcp/ledger", r#"{"jsonrpc":"2.0","id":1,"result":{}}"#.into()),
        "GET" => agent.request(Method::GET, "/mcp/ledger").header("accept", "text/event-stream"),
        "DELETE" => agent.request(Method::DELETE, "/mcp/ledger"),
        "request" if version == "2026-07-28" => return agent.rpc(&row.method, params.clone()),
        form => {
            let mut body = json!({"jsonrpc": "2.0", "id": 7, "method": row.method, "params": params});
            if form == "notification" {
                body.as_object_mut().unwrap().remove("id");
            }
            if version == "2026-07-28" {
                body["params"]["_meta"] = meta();
            }
            agent.post("/mcp/ledger", body.to_string()).header("mcp-method", &row.method)
        }
    }
    .header("mcp-protocol-version", version)
}

/// A set with one package, which permits the methods that the person's scopes name.
fn only(package: &str) -> Vec<(&'static str, String)> {
    let text = format!(
        "package {package}\n\nvisible := true\n\nallow if input.call.method in input.subject.scopes\n"
    );
    let file = match package {
        "tools.ledger.post_entry" => "tools/ledger/post_entry.rego",
        "tools.ledger" => "tools/ledger.rego",
        "resources.ledger" => "resources/ledger.rego",
        "prompts.ledger" => "prompts/ledger.rego",
        "protocol.ledger" => "protocol/ledger.rego",
        "protocol" => "protocol.rego",
        other => panic!("{other} is no package of this story"),
    };
    vec![(file, text)]
}

/// The usual agent, for a person whose scopes name one method.
fn for_method(world: &World, method: &str) -> Agent {
    let scopes = Box::leak(Box::new(BTreeSet::from(["bookkeeping".to_owned(), method.to_owned()])));
    let token = world.token_with("agent/clerk", |claims| claims.scopes = scopes);
    world.agent("agent/clerk").with_token(&token)
}

#[tokio::test]
async fn each_method_is_permitted_by_its_package_alone_and_its_twin_is_denied() {
    let rows = rows();
    let all: BTreeSet<String> = rows.iter().flat_map(|row| packages(&row.package)).collect();
    for package in &all {
        let plan = Plan { policy: only(package), server_requests: "ping", ..Plan::default() };
        let world = World::with(plan).await;
        let (mut heard, mut permitted) = (0, 0);
        for row in &rows {
            let named = packages(&row.package);
            let touching = touching(&row.method);
            for family in named.iter().map(|name| name.split('.').next().unwrap()) {
                assert!(touching.iter().any(|(touched, _)| *touched == family), "{}: {family}", row.method);
            }
            let (agent, twin) = (for_method(&world, &row.method), for_method(&world, "another"));
            for version in VERSIONS.into_iter().filter(|version| row.says(version) == "yes") {
                for (family, params) in &touching {
                    let case = format!("{} of {version}, {params}, by {package}", row.method);
                    let asked = named.contains(package) && package.split('.').next() == Some(*family);
                    send(request(&agent, row, version, params)).await;
                    heard += usize::from(asked);
                    permitted += usize::from(asked);
                    assert_eq!(world.ledger.received().len(), heard, "{case}");

                    let reply = send(request(&twin, row, version, params)).await;
                    assert_eq!(reply.refused_because(), "not_allowed", "{case}");
                    assert_eq!(world.ledger.received().len(), heard, "{case}: the twin");
                }
            }
        }
        let records = world.records("request");
        let permits: Vec<&Value> = records.iter().filter(|record| record["decision"] == "permit").collect();
        assert_eq!(permits.len(), permitted);
        assert!(permits.iter().all(|record| record["package"] == package.as_str()));
        assert!(permitted > 0, "{package} was never asked");
    }
}

#[tokio::test]
async fn what_a_version_lacks_is_refused_by_the_name_in_the_table() {
    let world =
        World::with_policy(vec![("protocol.rego", "package protocol\n\nallow := true\n".into())]).await;
    let agent = world.clerk();
    let mut refused = 0;
    for row in rows() {
        for version in VERSIONS.into_iter().filter(|version| row.says(version) != "yes") {
            let reply = send(request(&agent, &row, version, &touching(&row.method)[0].1)).await;
            assert_eq!(reply.refused_because(), row.says(version), "{} of {version}", row.method);
            refused += 1;
        }
    }
    assert!(world.ledger.received().is_empty());
    let records = world.records("request");
    assert!(records.iter().all(|record| record["decision"] == json!(null)));
    assert_eq!(records.len(), refused);
}

#[tokio::test]
async fn each_lists_items_are_put_to_the_package_in_the_table() {
    for row in rows().into_iter().filter(|row| !row.items.is_empty()) {
        for package in packages(&row.items) {
            let (list, key) = match row.method.as_str() {
                "tools/list" => ("tools", "name"),
                "prompts/list" => ("prompts", "name"),
                "resources/list" => ("resources", "uri"),
                "resources/templates/list" => ("resourceTemplates", "uriTemplate"),
                other => panic!("{other} is no list"),
            };
            let mut policy = only(&package);
            policy.push(("protocol.rego", "package protocol\n\nallow := true\n".into()));
            let world = World::with_policy(policy).await;
            let other =
                World::with_policy(vec![("protocol.rego", "package protocol\n\nallow := true\n".into())])
                    .await;
            for (world, shown) in [(&world, json!([{ key: "post_entry" }])), (&other, json!([]))] {
                world.ledger.answers(move |received| {
                    let result = json!({ list: [{ key: "post_entry" }] });
                    Answer::Json(json!({"jsonrpc": "2.0", "id": received.json()["id"], "result": result}))
                });
                for version in VERSIONS {
                    let reply = send(request(&world.clerk(), &row, version, &json!({}))).await;
                    assert_eq!(reply.json()["result"][list], shown, "{} by {package}", row.method);
                }
            }
        }
    }
}
