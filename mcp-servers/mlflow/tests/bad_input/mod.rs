//! Arguments that are not what they should be: each is told, and MLflow hears nothing of it.

use crate::upstream::{Behaviour, Upstream};
use crate::{code, world};
use serde_json::{Value, json};

const INVALID: &str = "invalid_arguments";
const FILTER: &str = "invalid_filter";

fn cases() -> Vec<(&'static str, Value, &'static str)> {
    let long = |count: usize| "x".repeat(count);
    let many =
        |count: usize| (0..count).map(|n| (format!("k{n}"), json!("v"))).collect::<serde_json::Map<_, _>>();
    let runs = |filter: &str| json!({"experiments": ["demo"], "filter": filter});
    let metric = |metric: Value| json!({"run_id": "a1", "metrics": [metric]});
    vec![
        // Types, missing and unknown members.
        ("get_run", json!({}), INVALID),
        ("get_run", json!({"run_id": 1}), INVALID),
        ("get_run", json!({"run_id": null}), INVALID),
        ("get_run", json!({"run_id": ["a1"]}), INVALID),
        ("get_run", json!({"run_id": "a1", "other": 1}), INVALID),
        ("get_run", json!({"runId": "a1"}), INVALID),
        ("create_run", json!({"experiment": "demo", "tags": ["a"]}), INVALID),
        ("create_run", json!({"experiment": "demo", "tags": {"a": 1}}), INVALID),
        ("create_run", json!({"experiment": "demo", "start_time": 1}), INVALID),
        ("create_experiment", json!({"experiment": "demo", "artifact_location": "file:///etc"}), INVALID),
        ("finish_run", json!({"run_id": "a1", "status": "RUNNING"}), INVALID),
        ("finish_run", json!({"run_id": "a1", "status": "finished"}), INVALID),
        ("search_experiments", json!({"state": "ALL"}), INVALID),
        ("transition_model_stage", json!({"model": "fraud", "version": 1, "stage": "production"}), INVALID),
        ("transition_model_stage", json!({"model": "fraud", "version": 1, "stage": "Canary"}), INVALID),
        // Bounds.
        ("get_run", json!({"run_id": long(257)}), INVALID),
        ("get_experiment", json!({"experiment": ""}), INVALID),
        ("get_experiment", json!({"experiment": long(501)}), INVALID),
        ("search_runs", json!({"experiments": []}), INVALID),
        ("search_runs", json!({"experiments": vec!["demo"; 21]}), INVALID),
        ("search_runs", json!({"experiments": ["demo"], "page_size": 0}), INVALID),
        ("search_runs", json!({"experiments": ["demo"], "page_size": -1}), INVALID),
        ("search_runs", json!({"experiments": ["demo"], "order_by": vec!["start_time"; 6]}), INVALID),
        ("get_model_version", json!({"model": "fraud", "version": -1}), INVALID),
        ("get_model_version", json!({"model": "fraud", "version": "1"}), INVALID),
        ("get_model_version", json!({"model": "fraud", "version": 1.5}), INVALID),
        ("get_model_version", json!({"model": "fraud", "version": 4_294_967_296_u64}), INVALID),
        ("get_model_version", json!({"model": "fraud", "version": 0}), "not_found"),
        ("get_model_version", json!({"model": "fraud"}), INVALID),
        ("get_model_version", json!({"model": "fraud", "version": 1, "alias": "staging"}), INVALID),
        ("log_metrics", json!({"run_id": "a1", "metrics": []}), INVALID),
        (
            "log_metrics",
            json!({"run_id": "a1", "metrics": vec![json!({"key": "a", "value": 1}); 1001]}),
            INVALID,
        ),
        ("log_metrics", metric(json!({"key": "a"})), INVALID),
        ("log_metrics", metric(json!({"key": "a", "value": "1"})), INVALID),
        ("log_metrics", metric(json!({"key": "a", "value": "NaN"})), INVALID),
        ("log_metrics", metric(json!({"key": "a", "value": 1, "step": 1.5})), INVALID),
        ("log_metrics", metric(json!({"key": "a", "value": 1, "timestamp_ms": u64::MAX})), INVALID),
        ("log_metrics", metric(json!({"key": long(251), "value": 1})), INVALID),
        ("log_params", json!({"run_id": "a1", "params": {}}), INVALID),
        ("log_params", json!({"run_id": "a1", "params": many(101)}), INVALID),
        ("log_params", json!({"run_id": "a1", "params": {"a": long(6001)}}), INVALID),
        ("set_run_tags", json!({"run_id": "a1", "tags": {"a": long(5001)}}), INVALID),
        ("set_model_version_tags", json!({"model": "fraud", "version": 1, "tags": many(21)}), INVALID),
        ("get_artifact", json!({"run_id": "a1", "path": "x", "length": 0}), INVALID),
        ("get_artifact", json!({"run_id": "a1", "path": "x", "offset": -1}), INVALID),
        ("put_artifact", json!({"run_id": "a1", "path": "x"}), INVALID),
        (
            "put_artifact",
            json!({"run_id": "a1", "path": "x", "content": "a", "content_base64": "YQ=="}),
            INVALID,
        ),
        ("put_artifact", json!({"run_id": "a1", "path": "x", "content_base64": "***"}), INVALID),
        ("put_artifact", json!({"run_id": "a1", "path": "x", "content": "12345"}), INVALID),
        ("create_model_version", json!({"model": "fraud"}), INVALID),
        ("create_model_version", json!({"model": "fraud", "run_id": "a1"}), INVALID),
        (
            "create_model_version",
            json!({"model": "fraud", "run_id": "a1", "path": "m", "logged_model_id": "m-1"}),
            INVALID,
        ),
        ("create_model_version", json!({"model": "fraud", "source": "file:///etc/passwd"}), INVALID),
        // Traversal.
        ("get_run", json!({"run_id": "../experiments"}), INVALID),
        ("get_artifact", json!({"run_id": "a1", "path": "../../2/b2/artifacts/text.txt"}), INVALID),
        ("get_artifact", json!({"run_id": "a1", "path": "/etc/passwd"}), INVALID),
        ("get_artifact", json!({"run_id": "a1", "path": "%2e%2e/x"}), INVALID),
        ("get_artifact", json!({"run_id": "a1", "path": "a\\..\\b"}), INVALID),
        ("get_artifact", json!({"run_id": "a1", "path": "file:///etc/passwd"}), INVALID),
        ("put_artifact", json!({"run_id": "a1", "path": "a/../../x", "content": "y"}), INVALID),
        ("list_artifacts", json!({"run_id": "a1", "path": ".."}), INVALID),
        ("create_model_version", json!({"model": "fraud", "run_id": "a1", "path": "../../../2/b2"}), INVALID),
        ("create_model_version", json!({"model": "fraud", "logged_model_id": "../runs/get"}), INVALID),
        ("get_model", json!({"model": "../fraud"}), INVALID),
        ("get_trace", json!({"trace_id": "tr-1/../../x"}), INVALID),
        // Injection.
        ("get_run", json!({"run_id": "a1&run_uuid=b2"}), INVALID),
        ("get_model", json!({"model": "fraud:1"}), INVALID),
        ("get_metric_history", json!({"run_id": "a1", "metric": "loss&run_id=b2"}), INVALID),
        ("search_runs", runs("metrics.loss < 1 OR 1 = 1"), FILTER),
        ("search_runs", runs("metrics.loss < 1; DROP TABLE runs"), FILTER),
        ("search_runs", runs("metrics.loss < 1 -- "), FILTER),
        ("search_runs", runs("tags.a = 'x' UNION SELECT 1"), FILTER),
        ("search_runs", runs("tags.a = 'it''s'"), FILTER),
        ("search_runs", runs("tags.a = 'x\\' AND tags.b = '"), FILTER),
        ("search_runs", runs("run_id IN ('a', __import__('os'))"), FILTER),
        ("search_runs", runs("artifact_uri LIKE 's3://%'"), FILTER),
        ("search_runs", runs(""), FILTER),
        ("search_runs", runs(&long(5000)), FILTER),
        ("search_runs", json!({"experiments": ["demo"], "order_by": ["metrics.loss; --"]}), FILTER),
        ("search_experiments", json!({"filter": "metrics.loss < 1"}), FILTER),
        ("search_models", json!({"filter": "name = 'a' OR name = 'b'"}), FILTER),
        ("search_model_versions", json!({"filter": "source_path LIKE '/%'"}), FILTER),
        ("search_traces", json!({"experiments": ["demo"], "filter": "span.secret = 'a'"}), FILTER),
        ("set_run_tags", json!({"run_id": "a1", "tags": {"mlflow.user": "root"}}), INVALID),
        ("create_run", json!({"experiment": "demo", "tags": {"MLFLOW.user": "root"}}), INVALID),
        (
            "set_model_version_tags",
            json!({"model": "fraud", "version": 1, "tags": {"mlflow.prompt.is_prompt": "true"}}),
            INVALID,
        ),
        ("set_model_alias", json!({"model": "fraud", "alias": "latest", "version": 1}), INVALID),
        ("set_model_alias", json!({"model": "fraud", "alias": "v2", "version": 1}), INVALID),
        ("set_model_alias", json!({"model": "fraud", "alias": "a/b", "version": 1}), INVALID),
        // Unicode.
        ("get_run", json!({"run_id": "ａ1"}), INVALID),
        ("get_experiment", json!({"experiment": "de\u{200b}mo"}), INVALID),
        ("get_experiment", json!({"experiment": "\u{202e}omed"}), INVALID),
        ("get_experiment", json!({"experiment": "demo\u{0}"}), INVALID),
        ("get_experiment", json!({"experiment": "demo "}), INVALID),
        ("set_model_alias", json!({"model": "fraud", "alias": "stаging", "version": 1}), INVALID), // A Cyrillic letter.
        ("log_params", json!({"run_id": "a1", "params": {"a\u{feff}": "1"}}), INVALID),
        ("log_params", json!({"run_id": "a1", "params": {"a": "\u{0}"}}), INVALID),
        ("search_runs", runs("tags.a = '\u{202e}'"), FILTER),
        // Cursors.
        ("search_runs", json!({"experiments": ["demo"], "cursor": "***"}), "bad_cursor"),
        ("search_models", json!({"cursor": "_w"}), "bad_cursor"),
        ("get_metric_history", json!({"run_id": "a1", "metric": "loss", "cursor": long(5000)}), "bad_cursor"),
        ("list_artifacts", json!({"run_id": "a1", "cursor": "a b"}), "bad_cursor"),
    ]
}

#[tokio::test]
async fn bad_arguments_are_told_and_nothing_is_sent() {
    let upstream = Upstream::start(Behaviour::Mlflow).await;
    let world = world(&upstream.url, &[], &[]).await;
    let mut gateway = world.connect("gateway").await.unwrap();
    let token = world.token("alice", &[]);
    let cases = cases();
    assert!(cases.len() >= 100, "{}", cases.len());
    for (tool, arguments, wanted) in cases {
        let answer = gateway.tool(&token, tool, arguments.clone()).await;
        assert_eq!(code(&answer), wanted, "{tool} {arguments}: {}", answer.body);
        assert_eq!(upstream.heard(), Vec::<String>::new(), "{tool} {arguments}");
    }
    for uri in [
        "model://registry/../x",
        "model://registry/a%2Fb",
        "experiment://runs/a1/../b2",
        "file:///etc/passwd",
        "x",
    ] {
        let read = gateway.modern(&token, "resources/read", json!({"uri": uri})).await;
        assert_eq!(read.body["error"]["data"]["code"], "not_found", "{uri}: {}", read.body);
    }
    assert_eq!(upstream.heard(), Vec::<String>::new());
}
