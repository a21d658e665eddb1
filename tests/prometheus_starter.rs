//! The starter policy's part for Prometheus, before a real one that has rules: each tool is called as the policy lets the demo
//! agent, beside a twin that it refuses, and says of one namespace what Prometheus' own API says of two.

use serde_json::{Value, json};
use world::components::{program, root};
use world::served::{Served, heard};
use world::watchers::{Prometheus, plain};
use world::{Agent, Plan, World};

/// What a person's token may open there: the protocol, and each tool.
const SCOPES: &[&str] = &[
    "protocol",
    "query_instant",
    "query_range",
    "analyze",
    "series",
    "labels",
    "label_values",
    "metadata",
    "targets",
    "alerts",
    "rules",
];
/// Two rules of one namespace, and one of another.
const RULES: &str = "groups:
  - name: ml
    rules:
      - {alert: Scraped, expr: 'up{namespace=\"ml\"} == 1', labels: {severity: info, namespace: ml}, annotations: {summary: it is there}}
      - {record: 'prometheus_up:ml', expr: 'up{namespace=\"ml\"}', labels: {namespace: ml}}
  - name: ops
    rules:
      - {alert: ScrapedToo, expr: 'up{namespace=\"ops\"} == 1', labels: {namespace: ops}}
";

async fn world(prometheus: &Prometheus) -> World {
    let starter = root().join("policy/rego/starter");
    let mut policy = Vec::new();
    let shared = ["protocol", "lib/demo", "lib/metrics"].map(str::to_owned);
    let tools = SCOPES[1..].iter().map(|tool| format!("tools/prometheus/{tool}"));
    for name in shared.into_iter().chain(tools) {
        let path: &'static str = format!("{name}.rego").leak();
        policy.push((path, std::fs::read_to_string(starter.join(path)).unwrap()));
    }
    let served = Served {
        name: "prometheus",
        program: program("mcp-prometheus"),
        scopes: SCOPES,
        flags: ["--prometheus", &prometheus.url(), "--fence", "namespace=\"ml\""]
            .map(ToOwned::to_owned)
            .to_vec(),
        files: vec![("audit-file", String::new())],
    };
    World::with(Plan { policy, served: Some(served), ..Plan::default() }).await
}

/// A call that is allowed, its twin, and what stands where in the answer.
fn calls() -> Vec<(&'static str, Value, Value, &'static str, Value)> {
    let range = |metrics: &str| json!({"query": metrics, "metrics": [metrics], "start": "now-10s", "step_seconds": 1});
    let query = |metrics: &str| json!({"query": metrics, "metrics": [metrics]});
    let paid = "payroll_total";
    vec![
        ("query_instant", query("up"), query(paid), "/series/0/value", json!("1")),
        ("query_range", range("up"), range(paid), "/series/0/labels/namespace", json!("ml")),
        ("analyze", range("up"), range(paid), "/series/0/statistics/mean", json!(1.0)),
        ("series", json!({"match": ["up", "go_info"]}), json!({"match": ["up", paid]}), "/total", json!(2)),
        (
            "labels",
            json!({"match": ["up"]}),
            json!({}),
            "/names",
            json!(["__name__", "instance", "job", "namespace"]),
        ),
        (
            "label_values",
            json!({"label": "namespace", "match": ["up"]}),
            json!({"label": "__name__", "match": ["up"]}),
            "/names",
            json!(["ml"]),
        ),
        (
            "metadata",
            json!({"metric": "go_goroutines"}),
            json!({"metric": paid}),
            "/metrics/0/type",
            json!("gauge"),
        ),
        ("targets", json!({}), json!({"state": "any"}), "/total", json!(1)),
        (
            "alerts",
            json!({}),
            json!({"state": "firing"}),
            "/alerts/0/annotations/summary",
            json!("it is there"),
        ),
        ("rules", json!({}), json!({"type": "alert"}), "/rules/1/name", json!("prometheus_up:ml")),
    ]
}

async fn called(agent: &Agent, tool: &str, arguments: &Value) -> Value {
    let mut reply = agent.call(tool, arguments.clone()).await.json();
    assert_eq!(reply["result"]["isError"], json!(false), "{tool} {arguments}: {reply}");
    reply["result"]["structuredContent"].take()
}

#[tokio::test]
async fn each_tool_answers_the_demo_agent_of_open_metrics_and_of_no_others() {
    let Some(prometheus) = Prometheus::of_rules(&["ml", "ops"], RULES) else { return };
    // All of it is there before anybody asks through the gateway.
    prometheus.query("count(ALERTS{alertstate=\"firing\"}) == 2").await;
    prometheus.query("count(count_over_time(up[10s]) >= 3) == 2").await;
    let world = world(&prometheus).await;
    let agent = world.agent("agent/demo").with_token(&world.token("agent/demo")).at("/mcp/prometheus");
    let calls = calls();
    assert_eq!(calls.iter().map(|(tool, ..)| *tool).collect::<Vec<_>>(), SCOPES[1..]);
    for (tool, arguments, _, place, wanted) in &calls {
        let found = called(&agent, tool, arguments).await;
        assert_eq!(found.pointer(place), Some(wanted), "{tool}: {found}");
    }
    for (tool, list, path, own) in [
        ("series", "/total", "series?match[]=up&match[]=go_info", "/data"),
        ("targets", "/total", "targets?state=active", "/data/activeTargets"),
        ("alerts", "/total", "alerts", "/data/alerts"),
        ("rules", "/total", "rules", "/data/groups"),
    ] {
        let (_, arguments, ..) = calls.iter().find(|(name, ..)| name == &tool).unwrap();
        let fenced = called(&agent, tool, arguments).await.pointer(list).unwrap().as_u64().unwrap();
        let url = format!("{}/api/v1/{path}", prometheus.url());
        let text = plain().get(url).send().await.unwrap().text().await.unwrap();
        let all: Value = serde_json::from_str(&text).unwrap();
        let all = all.pointer(own).unwrap().as_array().unwrap();
        let count = match tool {
            "rules" => all.iter().map(|group| group["rules"].as_array().unwrap().len()).sum(),
            _ => all.len(),
        };
        let wanted = if tool == "rules" { (2, 3) } else { (count as u64 / 2, count) };
        assert_eq!((fenced, count), wanted, "{tool}: {text}");
        assert!(count >= 2, "{text}");
    }

    let before = heard(&world, calls.len() + 4).await;
    for (tool, _, twin, ..) in &calls {
        let refused = agent.call(tool, twin.clone()).await;
        assert_eq!(refused.refused_because(), "not_allowed", "{tool} {twin}");
    }
    let stranger = world.clerk().at("/mcp/prometheus");
    for (tool, arguments, ..) in &calls {
        let refused = stranger.call(tool, arguments.clone()).await;
        assert_eq!(refused.refused_because(), "not_allowed", "{tool} by another agent");
    }
    assert_eq!(heard(&world, before).await, before, "of the refused calls the server hears nothing");
    let denials =
        world.records("request").into_iter().filter(|record| record["decision"] == "denial").count();
    assert_eq!(denials, 2 * calls.len());
}
