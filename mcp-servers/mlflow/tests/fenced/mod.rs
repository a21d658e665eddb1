//! With a fence there are no other experiments and models, whichever way a caller goes to them.

use crate::upstream::{Behaviour, Upstream};
use crate::{code, world};
use serde_json::json;

#[tokio::test]
async fn beyond_the_fence_nothing_exists_and_nothing_is_changed() {
    let upstream = Upstream::start(Behaviour::Mlflow).await;
    let world = world(&upstream.url, &["demo"], &["fraud*"]).await;
    let mut gateway = world.connect("gateway").await.unwrap();
    let token = world.token("alice", &[]);
    let tags = json!({"team": "a"});
    for (tool, arguments) in [
        ("get_experiment", json!({"experiment": "secret"})),
        ("create_run", json!({"experiment": "secret"})),
        ("search_runs", json!({"experiments": ["demo", "secret"]})),
        ("get_run", json!({"run_id": "b2"})),
        ("get_metric_history", json!({"run_id": "b2", "metric": "loss"})),
        ("log_metrics", json!({"run_id": "b2", "metrics": [{"key": "loss", "value": 0.5}]})),
        ("log_params", json!({"run_id": "b2", "params": {"lr": "1"}})),
        ("set_run_tags", json!({"run_id": "b2", "tags": tags})),
        ("finish_run", json!({"run_id": "b2"})),
        ("list_artifacts", json!({"run_id": "b2"})),
        ("get_artifact", json!({"run_id": "b2", "path": "text.txt"})),
        ("put_artifact", json!({"run_id": "b2", "path": "x", "content": "y"})),
        ("get_model", json!({"model": "hidden"})),
        ("create_model_version", json!({"model": "hidden", "run_id": "a1", "path": "model"})),
        ("create_model_version", json!({"model": "fraud", "run_id": "b2", "path": "model"})),
        ("create_model_version", json!({"model": "fraud", "logged_model_id": "m-2"})),
        ("get_model_version", json!({"model": "hidden", "version": 1})),
        ("get_model_version", json!({"model": "hidden", "alias": "staging"})),
        ("set_model_version_tags", json!({"model": "hidden", "version": 1, "tags": tags})),
        ("delete_model_version_tag", json!({"model": "hidden", "version": 1, "key": "team"})),
        ("set_model_alias", json!({"model": "hidden", "alias": "staging", "version": 1})),
        ("delete_model_alias", json!({"model": "hidden", "alias": "staging"})),
        ("transition_model_stage", json!({"model": "hidden", "version": 1, "stage": "Staging"})),
        ("search_traces", json!({"experiments": ["secret"]})),
        ("get_trace", json!({"trace_id": "tr-2"})),
    ] {
        let answer = gateway.tool(&token, tool, arguments.clone()).await;
        assert_eq!(code(&answer), "not_found", "{tool} {arguments}: {}", answer.body);
    }
    for (tool, arguments) in
        [("create_experiment", json!({"experiment": "demo2"})), ("create_model", json!({"model": "hidden"}))]
    {
        assert_eq!(code(&gateway.tool(&token, tool, arguments).await), "invalid_arguments");
    }
    let touched: Vec<_> = upstream.heard().into_iter().filter(|heard| !heard.starts_with("GET ")).collect();
    assert!(touched.is_empty(), "{touched:?}");

    for (tool, arguments) in [
        ("search_experiments", json!({})),
        ("search_runs", json!({"experiments": ["demo"]})),
        ("search_models", json!({})),
        ("search_model_versions", json!({})),
        ("search_traces", json!({"experiments": ["demo"]})),
    ] {
        let answer = gateway.tool(&token, tool, arguments).await;
        assert_eq!(answer.body["result"]["isError"], json!(false), "{tool}: {}", answer.body);
        for beyond in ["\"secret\"", "hidden", "\"b2\"", "tr-2"] {
            assert!(
                !answer.body["result"]["structuredContent"].to_string().contains(beyond),
                "{tool}: {}",
                answer.text
            );
        }
    }
    let listed = gateway.modern(&token, "resources/list", json!({})).await;
    assert!(
        listed.text.contains("model://registry/fraud") && !listed.text.contains("hidden"),
        "{}",
        listed.text
    );
    for uri in ["experiment://runs/b2", "model://registry/hidden", "model://registry/hidden/versions/1"] {
        let read = gateway.modern(&token, "resources/read", json!({"uri": uri})).await;
        assert_eq!(read.body["error"]["data"]["code"], "not_found", "{uri}: {}", read.body);
    }
    // A version within the fence whose run is not: the run is left out.
    let asked = json!({"name": "validation_report", "arguments": {"model": "fraud", "version": "2"}});
    let filled = gateway.modern(&token, "prompts/get", asked).await;
    assert!(!filled.text.contains("source_run\\\"") && filled.text.contains("fraud"), "{}", filled.text);
}

#[tokio::test]
async fn a_run_is_where_its_caller_says_or_it_is_refused() {
    let upstream = Upstream::start(Behaviour::Mlflow).await;
    let world = world(&upstream.url, &[], &[]).await;
    let mut gateway = world.connect("gateway").await.unwrap();
    let token = world.token("alice", &[]);
    for (tool, good) in crate::calls() {
        if good.get("run_id").is_none() && good.get("trace_id").is_none() {
            continue;
        }
        let mut arguments = good.clone();
        arguments["experiment"] = json!("demo");
        let answer = gateway.tool(&token, tool, arguments.clone()).await;
        assert_eq!(answer.body["result"]["isError"], json!(false), "{tool}: {}", answer.body);
        arguments["experiment"] = json!("secret");
        let before = upstream.heard().len();
        let answer = gateway.tool(&token, tool, arguments).await;
        assert_eq!(code(&answer), "other_experiment", "{tool}: {}", answer.body);
        let heard = upstream.heard().split_off(before);
        assert!(heard.iter().all(|heard| heard.starts_with("GET ")), "{tool}: {heard:?}");
    }
    // A database that finds another spelling of a name doesn't make it the name.
    let other = gateway.tool(&token, "get_experiment", json!({"experiment": "DEMO"})).await;
    assert_eq!(code(&other), "not_found", "{}", other.body);
}
