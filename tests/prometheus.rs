//! The Prometheus server behind the gate, before a real Prometheus: what policy allows of it by argument and by scope, and
//! what its fence leaves of the rest.

use crate::mcp_conformance::{SCENARIOS, twice};
use gateway::token_service::{SubjectClaims, subject_token, users_issuer};
use serde_json::{Value, json};
use std::time::Duration;
use world::components::{self, program};
use world::served::{Served, heard};
use world::watchers::{Alertmanager, Prometheus};
use world::{Agent, Plan, Reply, World, policies};

/// Two metrics may be read, if the call says that it reads no others.
const QUERY: &str = "package tools.prometheus.query_instant

visible := true

allow if {
	count(input.call.arguments.metrics) > 0
	every metric in input.call.arguments.metrics {
		metric in {\"up\", \"prometheus_build_info\"}
	}
}
";
/// A range needs a scope of the person's token.
const ANALYZE: &str = "package tools.prometheus.analyze

visible := true

allow := true

needs_scopes contains \"ranges\"
";
/// Of Alertmanager's alerts those of one name may be read, and those that others keep silent.
const ALERTS: &str = "package tools.prometheus.alertmanager_alerts

visible := true

allow if {
	some matcher in input.call.arguments.matchers
	matcher == {\"label\": \"alertname\", \"value\": \"Up\"}
}

allow if input.call.arguments.states == [\"inhibited\"]
";
/// What is silenced now is for everybody, what was is not.
const SILENCES: &str = "package tools.prometheus.silences

visible := true

allow if input.call.arguments.states == [\"active\"]
";
const OTHERS: &str = "package tools.prometheus

visible := true

allow if input.call.tool.name in {\"targets\", \"label_values\"}
";
const RESOURCES: &str = "package resources.prometheus

visible := true

allow if input.call.resource.uri == \"metrics://up\"
";

async fn world(prometheus: &Prometheus) -> World {
    world_with(served(prometheus, None)).await
}

async fn world_with(served: Served) -> World {
    let policy = vec![
        ("protocol.rego", policies::protocol()),
        ("tools/prometheus/query_instant.rego", QUERY.to_owned()),
        ("tools/prometheus/analyze.rego", ANALYZE.to_owned()),
        ("tools/prometheus/alertmanager_alerts.rego", ALERTS.to_owned()),
        ("tools/prometheus/silences.rego", SILENCES.to_owned()),
        ("tools/prometheus.rego", OTHERS.to_owned()),
        ("resources/prometheus.rego", RESOURCES.to_owned()),
    ];
    World::with(Plan { policy, served: Some(served), ..Plan::default() }).await
}

fn served(prometheus: &Prometheus, alertmanager: Option<&Alertmanager>) -> Served {
    let flags =
        ["--prometheus".to_owned(), prometheus.url(), "--fence".to_owned(), "namespace=\"ml\"".to_owned()];
    let alertmanager = alertmanager.iter().flat_map(|one| ["--alertmanager".to_owned(), one.url()]);
    Served {
        name: "prometheus",
        program: program("mcp-prometheus"),
        scopes: &[
            "protocol",
            "resources",
            "prompts",
            "query_instant",
            "analyze",
            "targets",
            "label_values",
            "alerts",
            "alertmanager_alerts",
            "silences",
        ],
        flags: flags.into_iter().chain(alertmanager).collect(),
        files: vec![("audit-file", String::new())],
    }
}

/// Alice's clerk, with these scopes.
fn clerk(world: &World, scopes: &[&str]) -> Agent {
    let presenter = world.id("agent/clerk");
    let scopes = scopes.iter().map(|scope| (*scope).to_owned()).collect();
    let claims = SubjectClaims {
        issuer: &users_issuer(&world.origin),
        subject: "alice",
        presenter: &presenter,
        audience: &world.url,
        scopes: &scopes,
        ttl: Duration::from_secs(600),
    };
    let token = subject_token(&world.keys.users, &claims, world.clock.now()).unwrap();
    world.agent("agent/clerk").with_token(token.expose()).at("/mcp/prometheus")
}

fn content(reply: &Reply) -> Value {
    let mut reply = reply.json();
    assert_eq!(reply["result"]["isError"], json!(false), "{reply}");
    reply["result"]["structuredContent"].take()
}

#[tokio::test]
async fn a_real_prometheus_tells_what_policy_and_fence_leave_of_it() {
    let Some(prometheus) = Prometheus::of_namespaces(&["ml", "ops"]) else { return };
    // Both namespaces are there before anybody asks through the gateway.
    prometheus.query("count(up) == 2").await;
    let direct = prometheus.query("prometheus_build_info{namespace=\"ml\"}").await;
    let world = world(&prometheus).await;
    let agent = clerk(&world, &["bookkeeping"]);
    let query = async |query: &str, metrics: Value| {
        agent.call("query_instant", json!({"query": query, "metrics": metrics})).await
    };

    let one = content(&query("prometheus_build_info", json!(["prometheus_build_info"])).await);
    assert_eq!(one["query"], "prometheus_build_info{namespace=\"ml\"}");
    assert_eq!(json!([one["series"][0]["labels"]]), json!([direct[0]["metric"]]), "as its own API says");
    assert_eq!(one["series"][0]["value"], direct[0]["value"][1]);
    assert_eq!(one["series"].as_array().unwrap().len(), 1);
    let count = content(&query("count(up{namespace=~\".*\"})", json!(["up"])).await);
    assert_eq!(count["series"][0]["value"], "1", "its own API counts 2");
    assert_eq!(heard(&world, 2).await, 2);

    let denied = query("prometheus_ready", json!(["prometheus_ready"])).await;
    assert_eq!(denied.refused_because(), "not_allowed");
    let denied = agent.call("query_instant", json!({"query": "up"})).await;
    assert_eq!(denied.refused_because(), "not_allowed", "it has to say what it reads");
    let denied = agent.call("alerts", json!({})).await;
    assert_eq!(denied.refused_because(), "not_allowed");
    assert_eq!(heard(&world, 2).await, 2, "of the refused calls the server hears nothing");
    let records = world.records("request");
    let decisions: Vec<_> = records.iter().map(|record| record["decision"].as_str().unwrap()).collect();
    assert_eq!(decisions, ["permit", "permit", "denial", "denial", "denial"]);

    let lied = query("up + on() prometheus_ready", json!(["up"])).await.json();
    let error = &lied["result"]["structuredContent"]["error"];
    assert_eq!(error["code"], "metric_not_named", "{lied}");
    let wrong = query("rate(up)", json!(["up"])).await.json();
    assert_eq!(wrong["result"]["structuredContent"]["error"]["code"], "invalid_query", "{wrong}");
    let failed = query("label_replace(up, \"0\", \"x\", \"\", \"\")", json!(["up"])).await.json();
    assert_eq!(failed["result"]["structuredContent"]["error"]["code"], "query_failed", "{failed}");
}

#[tokio::test]
async fn a_range_of_a_real_prometheus_needs_its_scope_and_the_lists_are_fenced() {
    let Some(prometheus) = Prometheus::of_namespaces(&["ml", "ops"]) else { return };
    prometheus.query("count(count_over_time(up[10s]) >= 3) == 2").await;
    let world = world(&prometheus).await;
    let range = json!({"query": "up", "start": "now-10s", "step_seconds": 1});
    let lacking = clerk(&world, &["bookkeeping"]).call("analyze", range.clone()).await;
    assert_eq!((lacking.status, lacking.refused_because().as_str()), (403, "insufficient_scope"));
    assert_eq!(heard(&world, 0).await, 0);
    let agent = clerk(&world, &["bookkeeping", "ranges"]);
    let found = content(&agent.call("analyze", range).await);
    assert_eq!(found["series"].as_array().unwrap().len(), 1, "{found}");
    let statistics = &found["series"][0]["statistics"];
    assert_eq!((&statistics["mean"], &statistics["trend_per_hour"]), (&json!(1.0), &json!(0.0)), "{found}");
    assert_eq!(statistics["change_points"], json!([]));

    let values = content(&agent.call("label_values", json!({"label": "namespace"})).await);
    assert_eq!(values["names"], json!(["ml"]));
    let targets = content(&agent.call("targets", json!({})).await);
    assert_eq!((&targets["total"], &targets["targets"][0]["health"]), (&json!(1), &json!("up")), "{targets}");
    assert_eq!(targets["targets"][0]["labels"]["namespace"], "ml");

    let read = async |uri: &str| world::agent::send(agent.rpc("resources/read", json!({ "uri": uri }))).await;
    let up = read("metrics://up").await;
    assert!(up.text.contains("\\\"series\\\":1"), "{}", up.text);
    assert_eq!(read("metrics://prometheus_ready").await.refused_because(), "not_allowed");
}

#[tokio::test]
async fn alerts_and_silences_of_a_real_alertmanager_are_read_as_policy_and_fence_leave_them() {
    let Some(alertmanager) = Alertmanager::start() else { return };
    let Some(prometheus) = Prometheus::alerting(&["ml", "ops"], &alertmanager) else { return };
    let sent = alertmanager.alerts(4);
    let is = |alert: &&Value| alert["labels"]["namespace"] == "ml" && alert["labels"]["alertname"] == "Up";
    let direct = sent.iter().find(is).unwrap();
    let world = world_with(served(&prometheus, Some(&alertmanager))).await;
    let agent = clerk(&world, &["bookkeeping"]);
    let named = async |name: &str| {
        let matchers = json!([{"label": "alertname", "value": name}]);
        agent.call("alertmanager_alerts", json!({ "matchers": matchers })).await
    };
    let in_state = async |tool: &str, state: &str| agent.call(tool, json!({"states": [state]})).await;

    let found = content(&named("Up").await);
    let alert = &found["alerts"][0];
    assert_eq!(
        (&found["total"], &alert["state"]),
        (&json!(1), &json!("active")),
        "Alertmanager has two: {found}"
    );
    for (ours, its) in [
        ("labels", "labels"),
        ("annotations", "annotations"),
        ("fingerprint", "fingerprint"),
        ("starts_at", "startsAt"),
    ] {
        assert_eq!(alert[ours], direct[its], "as its own client says");
    }
    assert_eq!(alert["receivers"], json!(["nobody"]));
    let inhibited = content(&in_state("alertmanager_alerts", "inhibited").await);
    assert_eq!(inhibited["total"], 1, "{inhibited}");
    assert_eq!(inhibited["alerts"][0]["labels"]["alertname"], "Quiet");

    let silence = |matchers: &[&str], comment: &str| {
        let rest = ["--author=alan", "--duration=1h", "--comment", comment];
        alertmanager.amtool(&[["silence", "add"].as_slice(), matchers, &rest].concat())
    };
    let ours = silence(&["alertname=Up", "namespace=ml"], "while the disk is changed");
    let foreign = silence(&["alertname=Up", "namespace=ops"], "nobody else's business");
    let wide = silence(&["alertname=Up"], "a word to operators");
    let found = content(&named("Up").await);
    let mut by = [json!(ours), json!(wide)];
    by.sort_by(|a, b| a.as_str().cmp(&b.as_str()));
    let mut told = found["alerts"][0]["silenced_by"].as_array().unwrap().clone();
    told.sort_by(|a, b| a.as_str().cmp(&b.as_str()));
    assert_eq!(
        (&found["alerts"][0]["state"], told.as_slice()),
        (&json!("silenced"), by.as_slice()),
        "{found}"
    );

    let reply = in_state("silences", "active").await;
    for hidden in [foreign.as_str(), wide.as_str(), "business", "operators", "ops"] {
        assert!(!reply.text.contains(hidden), "{hidden}: {}", reply.text);
    }
    let found = content(&reply);
    let all: Vec<Value> =
        serde_json::from_str(&alertmanager.amtool(&["silence", "query", "--output=json"])).unwrap();
    assert_eq!((&found["total"], all.len()), (&json!(1), 3));
    let direct = all.iter().find(|silence| silence["id"] == *ours).unwrap();
    for (ours, its) in [
        ("id", "id"),
        ("comment", "comment"),
        ("created_by", "createdBy"),
        ("starts_at", "startsAt"),
        ("ends_at", "endsAt"),
        ("updated_at", "updatedAt"),
    ] {
        assert_eq!(found["silences"][0][ours], direct[its], "as its own client says");
    }
    let matchers = json!([
        {"label": "alertname", "op": "=", "value": "Up"},
        {"label": "namespace", "op": "=", "value": "ml"},
    ]);
    assert_eq!(found["silences"][0]["matchers"], matchers);

    assert_eq!(heard(&world, 4).await, 4);
    assert_eq!(named("Quiet").await.refused_because(), "not_allowed");
    assert_eq!(in_state("silences", "expired").await.refused_because(), "not_allowed");
    assert_eq!(heard(&world, 4).await, 4, "of the refused calls the server hears nothing");
    let records = world.records("request");
    let decisions: Vec<_> = records.iter().map(|record| record["decision"].as_str().unwrap()).collect();
    assert_eq!(decisions, ["permit", "permit", "permit", "permit", "denial", "denial"]);

    alertmanager.amtool(&["silence", "expire", &ours, &wide]);
    assert_eq!(content(&in_state("silences", "active").await)["total"], 0);
    assert_eq!(content(&named("Up").await)["alerts"][0]["state"], "active");
}

#[test]
fn the_policy_of_the_prometheus_servers_readme_passes_its_tests() {
    assert_eq!(policies::of_readme("prometheus", "prometheus/query_instant"), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn it_speaks_mcp_as_the_conformance_kit_wants_it_directly_and_through_the_gateway() {
    let Some(node) = components::installed("node22", "conformance") else { return };
    let Some(prometheus) = Prometheus::of_namespaces(&["ml"]) else { return };
    twice(&node, served(&prometheus, None), &SCENARIOS, &[]).await;
}
