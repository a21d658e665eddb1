//! The whole server on a socket, before an upstream that does what a Prometheus shouldn't: what callers hear of it.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test ends by panicking")]

use certs::Clock;
use http::StatusCode;
use kit::Service;
use mcp_prometheus::{Alertmanager, Bounds, Client, Fence, Limits, Metrics};
use serde_json::{Value, json};
use std::time::Duration;
use upstream::{Behaviour, Upstream};
use world::World;

#[path = "../../kit/tests/world/mod.rs"]
mod world;
mod upstream;

const ALL: [&str; 14] = [
    "protocol",
    "resources",
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
    "alertmanager_alerts",
    "silences",
];
const LIMITS: Limits = Limits { points_max: 100, answer_points_max: 10, series_max: 3, page_items_max: 2 };

const BOUNDS: Bounds = Bounds { timeout: Duration::from_millis(300), bytes_max: 20_000 };

/// Before a Prometheus and an Alertmanager at one place.
async fn world(url: &str, fence: &str) -> World {
    of(url, Some(url), fence).await
}

async fn of(prometheus: &str, alertmanager: Option<&str>, fence: &str) -> World {
    let make = |_: &std::path::Path| {
        let client = Client::new(&prometheus.parse().unwrap(), None, BOUNDS).unwrap();
        let alertmanager =
            alertmanager.map(|url| Alertmanager::new(&url.parse().unwrap(), None, BOUNDS).unwrap());
        let fence = Fence::parse(&[fence.to_owned()]).unwrap();
        let metrics = Metrics::new(client, fence, LIMITS, Clock::system()).with_alertmanager(alertmanager);
        Service::new(mcp_prometheus::NAME, metrics)
    };
    World::of(mcp_prometheus::NAME, &ALL, make, |_, _| {}).await
}

fn code(answer: &world::Answer) -> &Value {
    &answer.body["result"]["structuredContent"]["error"]["code"]
}

#[tokio::test]
async fn the_tools_are_those_that_were_committed() {
    let upstream = Upstream::start(Behaviour::Prometheus).await;
    let world = world(&upstream.url, "namespace=\"ml\"").await;
    let mut gateway = world.connect("gateway").await.unwrap();
    let tools = gateway.modern(&world.token("alice", &[]), "tools/list", json!({})).await;
    let pinned: Value = serde_json::from_str(include_str!("../tools.json")).unwrap();
    assert_eq!(tools.body["result"]["tools"], pinned, "--print-tools prints what clients are told");
    let all = pinned.as_array().unwrap();
    assert_eq!(all.len(), 12);
    assert!(all.iter().all(|tool| tool["annotations"]["readOnlyHint"] == json!(true)));
    assert!(all.iter().all(|tool| tool["outputSchema"].is_object()));
}

#[tokio::test]
async fn bad_arguments_are_told_and_nothing_is_sent() {
    let upstream = Upstream::start(Behaviour::Prometheus).await;
    let world = world(&upstream.url, "namespace=\"ml\"").await;
    let mut gateway = world.connect("gateway").await.unwrap();
    let token = world.token("alice", &[]);
    let range = |change: Value| {
        let mut arguments = json!({"query": "up", "start": "now-1m"});
        arguments.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        arguments
    };
    let matcher = |one: Value| json!({ "matchers": [one] });
    let invalid = "invalid_arguments";
    let cases = [
        ("query_instant", json!({}), invalid),
        ("query_instant", json!({"query": 1}), invalid),
        ("query_instant", json!({"query": "up", "other": 1}), invalid),
        ("query_instant", json!({"query": "up", "time": "yesterday"}), invalid),
        ("query_instant", json!({"query": "up", "time": "-1"}), invalid),
        ("query_instant", json!({"query": "up", "metrics": "up"}), invalid),
        ("query_instant", json!({"query": ""}), "invalid_query"),
        ("query_instant", json!({"query": "up} or secret{"}), "invalid_query"),
        ("query_instant", json!({"query": "up[5m]"}), "invalid_query"),
        ("query_instant", json!({"query": "info(up)"}), "invalid_query"),
        ("query_instant", json!({"query": "up{a=\"1\" or b=\"2\"}"}), "invalid_query"),
        ("query_instant", json!({"query": "üp☃"}), "invalid_query"),
        ("query_instant", json!({"query": "up\u{0}"}), "invalid_query"),
        ("query_instant", json!({"query": "u".repeat(5000)}), "invalid_query"),
        ("query_instant", json!({"query": "(".repeat(4000)}), "invalid_query"),
        ("query_instant", json!({"query": "secret", "metrics": ["up"]}), "metric_not_named"),
        (
            "query_instant",
            json!({"query": "topk(scalar(secret), up)", "metrics": ["up"]}),
            "metric_not_named",
        ),
        (
            "query_instant",
            json!({"query": "{__name__=~\"up|secret\"}", "metrics": ["up"]}),
            "metric_not_named",
        ),
        ("query_range", json!({"query": "up"}), invalid),
        ("query_range", range(json!({"end": "now-2m"})), invalid),
        ("query_range", range(json!({"start": "1e300"})), invalid),
        ("query_range", range(json!({"step_seconds": 0})), invalid),
        ("query_range", range(json!({"step_seconds": -1})), invalid),
        ("query_range", range(json!({"step_seconds": 0.01})), invalid),
        ("analyze", range(json!({"query": "rate(up)"})), "invalid_query"),
        ("series", json!({"match": []}), invalid),
        ("series", json!({"match": "up"}), invalid),
        ("series", json!({"match": ["up offset 1h"]}), "invalid_query"),
        ("series", json!({"match": ["up or secret"]}), "invalid_query"),
        ("series", json!({"match": vec!["up"; 11]}), invalid),
        ("labels", json!({"match": ["{"]}), "invalid_query"),
        ("labels", json!({"cursor": "***"}), "bad_cursor"),
        ("label_values", json!({"label": "../../admin/tsdb"}), invalid),
        ("label_values", json!({"label": ""}), invalid),
        ("label_values", json!({"label": "a?match[]=x"}), invalid),
        ("metadata", json!({"metric": "up&limit=1"}), invalid),
        ("targets", json!({"state": "dropped"}), invalid),
        ("alertmanager_alerts", json!({"matchers": "namespace=\"ml\""}), invalid),
        ("alertmanager_alerts", json!({"matchers": ["namespace=\"ml\""]}), invalid),
        ("alertmanager_alerts", matcher(json!({"label": "a"})), invalid),
        ("alertmanager_alerts", matcher(json!({"label": "a", "value": 1})), invalid),
        ("alertmanager_alerts", matcher(json!({"label": "a", "value": "x", "op": "=="})), invalid),
        ("alertmanager_alerts", matcher(json!({"label": "a", "value": "x", "or": []})), invalid),
        ("alertmanager_alerts", matcher(json!({"label": "", "value": "x"})), invalid),
        ("alertmanager_alerts", matcher(json!({"label": "a=\"x\"} or b", "value": "x"})), invalid),
        ("alertmanager_alerts", matcher(json!({"label": "nämé", "value": "x"})), invalid),
        ("alertmanager_alerts", matcher(json!({"label": "a", "value": "x\r\nHost: y"})), invalid),
        ("alertmanager_alerts", matcher(json!({"label": "a", "value": "\u{0}"})), invalid),
        ("alertmanager_alerts", matcher(json!({"label": "a", "value": "x".repeat(501)})), invalid),
        ("alertmanager_alerts", matcher(json!({"label": "a", "op": "=~", "value": "("})), invalid),
        ("alertmanager_alerts", matcher(json!({"label": "a", "op": "=~", "value": "x)|(.*"})), invalid),
        (
            "alertmanager_alerts",
            matcher(json!({"label": "a", "op": "!~", "value": "(x{999}){999}"})),
            invalid,
        ),
        ("alertmanager_alerts", json!({"matchers": vec![json!({"label": "a", "value": "x"}); 11]}), invalid),
        ("alertmanager_alerts", json!({"states": ["firing"]}), invalid),
        ("alertmanager_alerts", json!({"receiver": "pager"}), invalid),
        ("alertmanager_alerts", json!({"cursor": "***"}), "bad_cursor"),
        ("silences", json!({"states": "active"}), invalid),
        ("silences", json!({"states": ["silenced"]}), invalid),
        ("silences", json!({"id": "../silence/1"}), invalid),
        ("silences", json!({"filter": "namespace=\"ops\""}), invalid),
        ("silences", json!({"cursor": "eA"}), "bad_cursor"),
    ];
    for (tool, arguments, wanted) in &cases {
        let answer = gateway.tool(&token, tool, arguments.clone()).await;
        assert_eq!(code(&answer), wanted, "{tool} {arguments}: {}", answer.body);
    }
    let answer = gateway.tool(&token, "query_instant", json!({"query": "sum(up))"})).await;
    let text = answer.body["result"]["structuredContent"]["error"]["message"].as_str().unwrap();
    assert!(text.ends_with(", at character 8"), "{text}");
    for uri in ["metrics://", "metrics://up{}", "metrics://../up", "METRICS://up", "metrics://%C3%BCp"] {
        let answer = gateway.modern(&token, "resources/read", json!({"uri": uri})).await;
        assert_eq!(answer.body["error"]["code"], json!(-32602), "{uri}: {}", answer.body);
    }
    assert_eq!(upstream.heard(), Vec::<String>::new());
    let good = gateway.tool(&token, "query_instant", json!({"query": "up", "metrics": ["up"]})).await;
    assert_eq!(good.body["result"]["isError"], json!(false), "{}", good.body);
    assert_eq!(upstream.heard().len(), 1);
}

#[tokio::test]
async fn an_upstream_that_fails_is_unavailable_and_none_of_its_words_are_passed_on() {
    let html = "<html>secret page of http://u:p@inner/</html>";
    for (behaviour, wanted) in [
        (Behaviour::Down, "unavailable"),
        (Behaviour::Silent, "timeout"),
        (Behaviour::Says(500, html.into()), "unavailable"),
        (Behaviour::Says(200, html.into()), "unavailable"),
        (Behaviour::Says(302, String::new()), "unavailable"),
        (Behaviour::Says(401, html.into()), "forbidden"),
        (Behaviour::Says(200, "{}".into()), "unavailable"),
        (Behaviour::Says(200, r#"{"status":"success","data":[1]}"#.into()), "unavailable"),
        (
            Behaviour::Says(500, r#"{"status":"success","data":{"resultType":"vector","result":[]}}"#.into()),
            "unavailable",
        ),
        (
            Behaviour::Says(500, r#"{"status":"error","errorType":"internal","error":"secret"}"#.into()),
            "unavailable",
        ),
        (
            Behaviour::Says(503, r#"{"status":"error","errorType":"timeout","error":"secret"}"#.into()),
            "timeout",
        ),
        (Behaviour::Says(200, " ".repeat(20_001)), "result_too_large"),
        (Behaviour::Half, "unavailable"),
        (Behaviour::Closes, "unavailable"),
    ] {
        let upstream = Upstream::start(behaviour.clone()).await;
        let world = world(&upstream.url, "namespace=\"ml\"").await;
        let mut gateway = world.connect("gateway").await.unwrap();
        let token = world.token("alice", &[]);
        for (tool, arguments) in [
            ("query_instant", json!({"query": "up"})),
            ("targets", json!({})),
            ("alertmanager_alerts", json!({})),
            ("silences", json!({})),
        ] {
            let answer = gateway.tool(&token, tool, arguments).await;
            // Only Prometheus has words of its own for its failures.
            let is_said = matches!(&behaviour, Behaviour::Says(503, _))
                && upstream.heard().last().unwrap().starts_with("/api/v2");
            let wanted = if is_said { "unavailable" } else { wanted };
            assert_eq!(code(&answer), wanted, "{tool} {behaviour:?}: {}", answer.body);
            assert!(!answer.text.contains("secret") && !answer.text.contains("127.0.0.1"), "{}", answer.text);
        }
        let read = gateway.modern(&token, "resources/read", json!({"uri": "metrics://up"})).await;
        assert_eq!(read.body["error"]["code"], json!(-32603), "{behaviour:?}: {}", read.body);
    }
}

#[tokio::test]
async fn a_certificate_that_nobody_vouches_for_is_no_prometheus() {
    let upstream = Upstream::start(Behaviour::Prometheus).await;
    let other = world(&upstream.url, "namespace=\"ml\"").await; // It speaks TLS, with an SVID.
    let world = world(&format!("https://{}", other.address), "namespace=\"ml\"").await;
    let mut gateway = world.connect("gateway").await.unwrap();
    let token = world.token("alice", &[]);
    for (tool, arguments) in [
        ("query_instant", json!({"query": "up"})),
        ("alertmanager_alerts", json!({})),
        ("silences", json!({})),
    ] {
        let answer = gateway.tool(&token, tool, arguments).await;
        assert_eq!(code(&answer), "unavailable", "{tool}: {}", answer.body);
    }
}

#[tokio::test]
async fn without_an_alertmanager_its_tools_say_so_and_the_others_work() {
    let upstream = Upstream::start(Behaviour::Prometheus).await;
    let world = of(&upstream.url, None, "namespace=\"ml\"").await;
    let mut gateway = world.connect("gateway").await.unwrap();
    let token = world.token("alice", &[]);
    for tool in ["alertmanager_alerts", "silences"] {
        let answer = gateway.tool(&token, tool, json!({})).await;
        assert_eq!(code(&answer), "no_alertmanager", "{}", answer.body);
        let fix = &answer.body["result"]["structuredContent"]["error"]["fix"];
        assert!(fix.as_str().unwrap().contains("--alertmanager"), "{fix}");
    }
    assert_eq!(upstream.heard(), Vec::<String>::new());
    let answer = gateway.tool(&token, "alerts", json!({})).await;
    assert_eq!(answer.body["result"]["isError"], json!(false), "{}", answer.body);
}

#[tokio::test]
async fn of_alerts_and_silences_only_what_is_within_the_fence_is_told() {
    let upstream = Upstream::start(Behaviour::Prometheus).await;
    let world = world(&upstream.url, "namespace=\"ml\"").await;
    let mut gateway = world.connect("gateway").await.unwrap();
    let token = world.token("alice", &[]);
    let mut told = async |tool: &str, list: &str, mut arguments: Value| {
        let mut all = Vec::new();
        loop {
            let answer = gateway.tool(&token, tool, arguments.clone()).await;
            assert_eq!(answer.body["result"]["isError"], json!(false), "{tool}: {}", answer.body);
            assert!(!answer.text.contains("ops") && !answer.text.contains("token="), "{}", answer.text);
            let mut found = answer.body["result"]["structuredContent"].clone();
            all.extend(found[list].as_array().unwrap().iter().cloned());
            if found["next_cursor"].is_null() {
                assert_eq!(found["total"], json!(all.len()), "pages join to the whole");
                return all;
            }
            arguments["cursor"] = found["next_cursor"].take();
        }
    };
    let alerts = told("alertmanager_alerts", "alerts", json!({})).await;
    let states: Vec<_> =
        alerts.iter().map(|alert| (&alert["labels"]["alertname"], &alert["state"])).collect();
    let all = [("A", "active"), ("B", "silenced"), ("C", "inhibited"), ("D", "muted"), ("E", "unprocessed")];
    assert_eq!(json!(states), json!(all));
    assert_eq!((&alerts[1]["silenced_by"], &alerts[1]["receivers"]), (&json!(["1", "2"]), &json!(["pager"])));
    let some = told("alertmanager_alerts", "alerts", json!({"states": ["inhibited", "muted"]})).await;
    assert_eq!(some.len(), 2);
    for (label, op, value, count) in [
        ("alertname", "=", "B", 1),
        ("alertname", "!=", "B", 4),
        ("alertname", "=~", "[AB]", 2),
        ("alertname", "!~", "A|C", 3),
        ("namespace", "=", "ops", 0),
        ("namespace", "=~", ".*", 5),
        ("namespace", "!=", "ml", 0),
        ("team", "=", "", 5),
    ] {
        let matchers = json!([{"label": label, "op": op, "value": value}]);
        let found = told("alertmanager_alerts", "alerts", json!({ "matchers": matchers })).await;
        assert_eq!(found.len(), count, "{label}{op}{value}");
    }
    let quoted = json!([{"label": "team", "value": "a\"},b=\"\\"}]);
    assert_eq!(told("alertmanager_alerts", "alerts", json!({ "matchers": quoted })).await.len(), 0);
    let ids = |silences: &[Value]| silences.iter().map(|silence| silence["id"].clone()).collect::<Vec<_>>();
    let silences = told("silences", "silences", json!({})).await;
    assert_eq!(ids(&silences), ["1", "2"]);
    assert_eq!(
        silences[0],
        json!({
            "id": "1", "state": "active", "comment": "why 1", "created_by": "alan",
            "matchers": [
                {"label": "alertname", "op": "=", "value": "B"},
                {"label": "namespace", "op": "=", "value": "ml"},
            ],
            "starts_at": "2026-01-01T00:00:00Z", "ends_at": "2026-01-01T01:00:00Z", "updated_at": "2026-01-01T00:00:00Z",
        })
    );
    assert_eq!(ids(&told("silences", "silences", json!({"states": ["expired"]})).await), ["3"]);
    assert_eq!(told("silences", "silences", json!({"states": []})).await.len(), 0);
    let heard = upstream.heard();
    assert_eq!(heard[0].lines().next(), Some("/api/v2/alerts?filter=namespace%3D%22ml%22 "));
    let quoted = "filter=team%3D%22a%5C%22%7D%2Cb%3D%5C%22%5C%5C%22";
    assert!(heard.iter().any(|request| request.contains(quoted)), "{heard:#?}");
}

#[tokio::test]
async fn what_prometheus_says_of_a_query_is_one_line() {
    let says =
        r#"{"status":"error","errorType":"execution","error":"many-to-many\n\tmatching\u0007 not allowed"}"#;
    let upstream = Upstream::start(Behaviour::Says(422, says.into())).await;
    let world = world(&upstream.url, "namespace=\"ml\"").await;
    let mut gateway = world.connect("gateway").await.unwrap();
    let answer = gateway.tool(&world.token("alice", &[]), "query_instant", json!({"query": "up"})).await;
    assert_eq!(code(&answer), "query_failed");
    let text = &answer.body["result"]["structuredContent"]["error"]["message"];
    assert_eq!(text, "Prometheus can't answer the query: many-to-many matching not allowed");
}

#[tokio::test]
async fn the_fence_goes_with_every_call_and_filters_what_has_no_selector() {
    let upstream = Upstream::start(Behaviour::Prometheus).await;
    let world = world(&upstream.url, "namespace=\"ml\"").await;
    let mut gateway = world.connect("gateway").await.unwrap();
    let token = world.token("alice", &[]);
    let fenced = "namespace%3D%22ml%22";
    for (tool, arguments) in [
        ("query_instant", json!({"query": "up"})),
        ("query_range", json!({"query": "up", "start": "now-1m"})),
        ("analyze", json!({"query": "up", "start": "now-1m"})),
        ("series", json!({"match": ["up"]})),
        ("labels", json!({})),
        ("labels", json!({"match": ["up"]})),
        ("label_values", json!({"label": "job"})),
        ("metadata", json!({})),
    ] {
        let answer = gateway.tool(&token, tool, arguments.clone()).await;
        assert_eq!(answer.body["result"]["isError"], json!(false), "{tool}: {}", answer.body);
        assert!(upstream.heard().last().unwrap().contains(fenced), "{tool} {:?}", upstream.heard().last());
        assert!(!answer.text.contains("ops"), "{tool}: {}", answer.text);
    }
    for (tool, list) in
        [("targets", "targets"), ("alerts", "alerts"), ("rules", "rules"), ("metadata", "metrics")]
    {
        let answer = gateway.tool(&token, tool, json!({})).await;
        let found = &answer.body["result"]["structuredContent"];
        assert_eq!(
            (&found["total"], found[list].as_array().unwrap().len()),
            (&json!(1), 1),
            "{tool}: {}",
            answer.body
        );
        assert!(!answer.text.contains("ops") && !answer.text.contains("token="), "{tool}: {}", answer.text);
    }
    let read = gateway.modern(&token, "resources/read", json!({"uri": "metrics://up"})).await;
    let text = read.body["result"]["contents"][0]["text"].as_str().unwrap();
    let read: Value = serde_json::from_str(text).unwrap();
    assert_eq!((&read["series"], &read["metadata"]["type"]), (&json!(2), &json!("gauge")), "{read}");
}

#[tokio::test]
async fn answers_have_bounds_and_say_so() {
    let upstream = Upstream::start(Behaviour::Prometheus).await;
    let world = world(&upstream.url, "namespace=\"ml\"").await;
    let mut gateway = world.connect("gateway").await.unwrap();
    let token = world.token("alice", &[]);
    let many = gateway.tool(&token, "query_instant", json!({"query": "many"})).await;
    assert_eq!(code(&many), "too_many_series", "{}", many.body);
    let range = gateway.tool(&token, "query_range", json!({"query": "up", "start": "now-1m"})).await;
    let found = &range.body["result"]["structuredContent"];
    assert_eq!(found["series"][0]["points"].as_array().unwrap().len(), 10, "{}", range.body);
    assert!(found["note"].as_str().unwrap().contains("mean of up to 4"), "{}", found["note"]);
    let analysis = gateway.tool(&token, "analyze", json!({"query": "up", "start": "now-1m"})).await;
    let found = &analysis.body["result"]["structuredContent"]["series"][0];
    assert_eq!(
        (&found["statistics"]["count"], &found["left_out"]),
        (&json!(40), &json!(0)),
        "{}",
        analysis.body
    );
    assert_eq!(found["statistics"]["change_points"][0]["time"], json!(20.0), "{}", analysis.body);
    let first = gateway.tool(&token, "label_values", json!({"label": "job"})).await;
    let found = &first.body["result"]["structuredContent"];
    assert_eq!((&found["names"], &found["total"]), (&json!(["a", "b"]), &json!(3)));
    let rest = json!({"label": "job", "cursor": found["next_cursor"]});
    let rest = gateway.tool(&token, "label_values", rest).await;
    assert_eq!(rest.body["result"]["structuredContent"], json!({"names": ["up"], "total": 3}));
    let listed = gateway.modern(&token, "resources/list", json!({})).await;
    assert_eq!(listed.body["result"]["resources"][0]["uri"], "metrics://a", "{}", listed.body);
}

#[tokio::test]
async fn only_the_gateway_with_a_token_of_the_tools_scope_gets_in() {
    let upstream = Upstream::start(Behaviour::Prometheus).await;
    let world = world(&upstream.url, "namespace=\"ml\"").await;
    let mut gateway = world.connect("gateway").await.unwrap();
    let query = json!({"query": "up"});
    let only = world.token("alice", &[("scope", json!("prometheus:query_instant"))]);
    assert_eq!(
        gateway.tool(&only, "query_instant", query.clone()).await.body["result"]["isError"],
        json!(false)
    );
    let refused = gateway.tool(&only, "alerts", json!({})).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    for change in [("aud", json!("s3")), ("exp", json!(1)), ("iss", json!("https://other.test"))] {
        let refused = gateway.tool(&world.token("alice", &[change]), "query_instant", query.clone()).await;
        assert_eq!(refused.status, StatusCode::UNAUTHORIZED);
    }
    let body = world::modern("tools/list", json!({})).to_string();
    let refused = match world.connect("agent/demo").await {
        Err(_) => true,
        Ok(mut agent) => agent.send(http::Method::POST, Some(&only), &[], body).await.is_err(),
    };
    assert!(refused);
    assert_eq!(upstream.heard().len(), 1);
}

#[tokio::test]
async fn the_program_sends_the_credential_of_its_file_and_logs_neither_that_nor_queries() {
    use tokio::io::{AsyncBufReadExt, BufReader};
    let upstream = Upstream::start(Behaviour::Prometheus).await;
    let mut world = world(&upstream.url, "namespace=\"ml\"").await;
    let dir = world.dir.path().to_owned();
    let file = |name: &str| dir.join(name).display().to_string();
    std::fs::write(file("credential"), "alan:open sesame\n").unwrap();
    std::fs::write(file("other"), "joan:open barley\n").unwrap();
    let of_alertmanager = |flag: &str| flag.replace("--", "--alertmanager-");
    for (flag, sent, other) in [
        ("--basic-auth-file", "Basic YWxhbjpvcGVuIHNlc2FtZQ==", "Basic am9hbjpvcGVuIGJhcmxleQ=="),
        ("--bearer-file", "Bearer alan:open sesame", "Bearer joan:open barley"),
    ] {
        let mut program = tokio::process::Command::new(env!("CARGO_BIN_EXE_mcp-prometheus"))
            .args([
                "--certificate",
                &file("prometheus/cert.pem"),
                "--private-key",
                &file("prometheus/key.pem"),
            ])
            .args(["--trust-bundle", &file("prometheus/bundle.pem"), "--jwks", &file("jwks.json")])
            .args(["--gateway", "spiffe://prometheus.test/gateway", "--issuer", "https://issuer.test"])
            .args(["--audience", "prometheus", "--prometheus", &upstream.url, flag, &file("credential")])
            .args(["--alertmanager", &upstream.url, &of_alertmanager(flag), &file("other")])
            .env("RUST_LOG", "trace")
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::from(std::fs::File::create(file("log")).unwrap()))
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(program.stdout.take().unwrap()).lines();
        let line = lines.next_line().await.unwrap().unwrap();
        let token = world.token("alice", &[]);
        world.address = line.strip_prefix("listening on https://").unwrap().parse().unwrap();
        let mut gateway = world.connect("gateway").await.unwrap();
        let answer = gateway.tool(&token, "query_instant", json!({"query": "word_of_the_query"})).await;
        assert_eq!(answer.body["result"]["isError"], json!(false), "{}", answer.body);
        assert_eq!(upstream::credential(upstream.heard().last().unwrap()), Some(sent));
        let answer = gateway.tool(&token, "silences", json!({})).await;
        assert_eq!(answer.body["result"]["isError"], json!(false), "{}", answer.body);
        assert_eq!(upstream::credential(upstream.heard().last().unwrap()), Some(other));
        program.start_kill().unwrap();
        program.wait().await.unwrap();
        let log = std::fs::read_to_string(file("log")).unwrap();
        assert!(log.contains("query_instant"));
        for secret in [
            "sesame",
            "YWxhbjpvcGVuIHNlc2FtZQ",
            "barley",
            "am9hbjpvcGVuIGJhcmxleQ",
            "word_of_the_query",
            &token,
        ] {
            assert!(!log.contains(secret), "{secret} is in the log");
        }
    }
    let good = "http://host";
    for (flag, prometheus, alertmanager) in
        ["ftp://host", "http://u:p@host", "https://host/?a=b", "http://host/#a"]
            .into_iter()
            .flat_map(|wrong| [("--prometheus:", wrong, good), ("--alertmanager:", good, wrong)])
    {
        let output = tokio::process::Command::new(env!("CARGO_BIN_EXE_mcp-prometheus"))
            .args(["--gateway", "spiffe://prometheus.test/gateway", "--issuer", "https://issuer.test"])
            .args([
                "--certificate",
                &file("prometheus/cert.pem"),
                "--private-key",
                &file("prometheus/key.pem"),
            ])
            .args(["--trust-bundle", &file("prometheus/bundle.pem"), "--jwks", &file("jwks.json")])
            .args(["--audience", "prometheus", "--prometheus", prometheus, "--alertmanager", alertmanager])
            .output()
            .await
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && said.contains(flag) && !said.contains("u:p@"), "{said}");
    }
}
