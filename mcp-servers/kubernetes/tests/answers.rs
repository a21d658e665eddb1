//! What the tools make of a cluster's answers: of one that fails, of one that is no answer, and of a watch.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test ends by panicking")]

use serde_json::{Value, json};
use server::{UID, code, with, world};
use upstream::{Behaviour, Upstream};

#[path = "../../kit/tests/world/mod.rs"]
mod world;
mod server;
mod upstream;

/// An object that no call here asks for.
const NAMESPACE: &str = r#"{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"web"}}"#;

#[tokio::test]
async fn an_upstream_that_fails_is_unavailable_and_none_of_its_words_are_passed_on() {
    let html = "<html>secret page of http://u:p@inner/</html>";
    let json = "application/json";
    let status = |code: u16, reason: &str| {
        let said = json!({"apiVersion": "v1", "kind": "Status", "code": code, "reason": reason, "message": "secret words"});
        Behaviour::Says(code, json, said.to_string())
    };
    for (behaviour, wanted) in [
        (Behaviour::Down, "unavailable"),
        (Behaviour::Silent, "timeout"),
        (Behaviour::Says(500, "text/html", html.into()), "unavailable"),
        (Behaviour::Says(200, "text/html", html.into()), "unavailable"),
        (Behaviour::Says(200, json, html.into()), "unavailable"),
        (Behaviour::Says(404, "text/html", html.into()), "unavailable"),
        (Behaviour::Says(302, json, String::new()), "unavailable"),
        (Behaviour::Says(401, "text/html", html.into()), "forbidden"),
        (Behaviour::Says(403, json, "{}".into()), "forbidden"),
        (Behaviour::Says(200, json, "[]".into()), "unavailable"),
        (Behaviour::Says(200, json, "{}".into()), "unavailable"),
        (Behaviour::Says(200, json, NAMESPACE.into()), "unavailable"),
        (
            Behaviour::Says(422, json, r#"{"kind":"Status","apiVersion":"v1","code":200}"#.into()),
            "unavailable",
        ),
        (Behaviour::Says(200, json, " ".repeat(20_001)), "result_too_large"),
        (Behaviour::Half, "unavailable"),
        (Behaviour::Closes, "unavailable"),
        (status(401, "Unauthorized"), "forbidden"),
        (status(403, "Forbidden"), "forbidden"),
        (status(429, "TooManyRequests"), "unavailable"),
        (status(500, "InternalError"), "unavailable"),
        (status(503, "ServiceUnavailable"), "unavailable"),
        (status(504, "Timeout"), "timeout"),
    ] {
        let upstream = Upstream::start(behaviour.clone()).await;
        let world = world(&upstream.url).await;
        let mut gateway = world.connect("gateway").await.unwrap();
        let token = world.token("alice", &[]);
        for (tool, arguments) in [
            ("get", json!({"kind": "Secret", "namespace": "staging", "name": "db"})),
            ("scale_deployment", json!({"namespace": "staging", "name": "web", "replicas": 3})),
            ("rollout_restart", json!({"namespace": "staging", "name": "web"})),
            ("rollout_status", json!({"namespace": "staging", "name": "web", "wait_seconds": 0})),
            ("delete", json!({"kind": "Secret", "namespace": "staging", "name": "db", "uid": UID})),
        ] {
            let answer = gateway.tool(&token, tool, arguments).await;
            assert_eq!(code(&answer), wanted, "{tool} {behaviour:?}: {}", answer.body);
            assert!(!answer.text.contains("secret") && !answer.text.contains("127.0.0.1"), "{}", answer.text);
        }
        for (method, params) in [
            ("resources/list", json!({})),
            ("resources/read", json!({"uri": "cluster://deployments/staging/web"})),
        ] {
            let body = gateway.modern(&token, method, params).await.body;
            assert_eq!(body["error"]["code"], json!(-32603), "{method} {behaviour:?}: {body}");
        }
        let logs = gateway.tool(&token, "pod_logs", json!({"namespace": "staging", "name": "web-1"})).await;
        assert!(code(&logs).is_string() && !logs.text.contains("secret"), "{behaviour:?}: {}", logs.body);
    }
}

#[tokio::test]
async fn an_answer_of_another_kind_is_none_whichever_request_it_is_for() {
    let upstream = Upstream::start(Behaviour::Kubernetes).await;
    let world = world(&upstream.url).await;
    let mut gateway = world.connect("gateway").await.unwrap();
    let token = world.token("alice", &[]);
    let web = |more| with(json!({"namespace": "staging", "name": "web"}), more);
    let get = || web(json!({"kind": "Deployment"}));
    let pod = json!({"namespace": "staging", "name": "web-1"});
    let list = || json!({"kind": "Secret", "namespace": "staging"});
    let can_i = json!({"verb": "get", "kind": "Pod", "namespace": "staging"});
    let apply = || {
        let metadata = json!({"name": "db"});
        let manifest = json!({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": {}});
        json!({"namespace": "staging", "manifests": [manifest], "force": true})
    };
    let delete = json!({"kind": "Secret", "namespace": "staging", "name": "db", "uid": UID});
    let scale = || web(json!({"replicas": 3}));
    let split = || web(json!({"weights": [{"service": "web", "weight": 1}]}));
    // What the cluster tells of a group is kept, so what is wrong with that comes first.
    let calls = [
        ("get", get(), "GET /apis/apps\n"),
        ("get", get(), "GET /apis/apps/v1\n"),
        ("list", list(), "GET /api/v1\n"),
        ("get", get(), "GET /apis/apps/v1/namespaces/staging/deployments/web"),
        ("list", list(), "GET /api/v1/namespaces/staging/secrets"),
        ("get_pod_status", pod, "GET "),
        ("events", json!({"namespace": "staging"}), "GET "),
        ("explain", json!({"kind": "Pod"}), "GET /openapi/"),
        ("can_i", can_i, "POST "),
        ("apply_manifest", apply(), "GET /api/v1/namespaces/staging/secrets/db"),
        ("apply_manifest", apply(), "PATCH "),
        ("delete", delete.clone(), "DELETE "),
        ("scale_deployment", scale(), "GET "),
        ("scale_deployment", scale(), "PATCH "),
        ("rollout_restart", web(json!({})), "PATCH "),
        ("rollout_status", web(json!({"wait_seconds": 0})), "GET "),
        ("rollout_undo", web(json!({})), "GET /apis/apps/v1/namespaces/staging/deployments/web"),
        ("rollout_undo", web(json!({})), "GET /apis/apps/v1/namespaces/staging/replicasets"),
        ("rollout_undo", web(json!({})), "PUT "),
        ("split_traffic", split(), "GET /apis/gateway.networking.k8s.io/v1/"),
        ("split_traffic", split(), "PUT "),
    ];
    for (tool, arguments, requests) in &calls {
        for body in [
            "{}",
            "[]",
            NAMESPACE,
            r#"{"apiVersion":"v1","kind":"Status","metadata":{},"status":"Failure"}"#,
            r#"{"apiVersion":"apps/v2","kind":"Deployment","metadata":{"name":"web"}}"#,
            r#"{"apiVersion":"apps/v1","kind":"Deployment","metadata":{}}"#,
            r#"{"kind":"Deployment","metadata":{"name":"web"}}"#,
        ] {
            upstream.instead(Some((*requests, body)));
            let answer = gateway.tool(&token, tool, arguments.clone()).await;
            assert_eq!(code(&answer), "unavailable", "{tool} {requests} {body}: {}", answer.body);
        }
    }
    upstream.instead(None);
    for (tool, arguments, _) in &calls {
        let answer = gateway.tool(&token, tool, arguments.clone()).await;
        assert_eq!(answer.body["result"]["isError"], json!(false), "{tool}: {}", answer.body);
    }
    // A DELETE is answered with the object while that is still there, and then with a Status.
    let status = r#"{"apiVersion":"v1","kind":"Status","metadata":{},"status":"Success"}"#;
    for (instead, gone) in [(None, false), (Some(("DELETE ", status)), true)] {
        upstream.instead(instead);
        let answer = gateway.tool(&token, "delete", delete.clone()).await;
        assert_eq!(answer.body["result"]["structuredContent"]["gone"], json!(gone), "{}", answer.body);
    }
}

/// One line of a watch of the Deployment `web`, which shall have one pod.
fn event(kind: &str, updated: u32, available: u32) -> String {
    let object = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": "staging"},
        "spec": {"replicas": 1, "selector": {}, "template": {}},
        "status": {"replicas": updated, "updatedReplicas": updated, "availableReplicas": available},
    });
    format!("{}\n", json!({"type": kind, "object": object}))
}

#[tokio::test]
async fn a_rollout_is_followed_to_its_end_over_watches_that_end_before() {
    let (begun, made, done) = (
        "0 of 1 pods are of the newest template",
        "0 of 1 pods are available",
        "done: 1 of 1 pods are available",
    );
    let half = event("MODIFIED", 1, 0);
    let whole = || event("MODIFIED", 1, 1);
    let expired = json!({"type": "ERROR", "object": {"apiVersion": "v1", "kind": "Status", "metadata": {},
        "status": "Failure", "reason": "Expired", "code": 410, "message": "too old resource version: 5 (9)"}});
    for (watches, heard, end) in [
        (vec![format!("{half}{}", whole())], vec![begun, made, done], "done"),
        (vec![format!("{half}{}", event("DELETED", 1, 0))], vec![begun, made], "not_found"),
        (vec![half.clone(), whole()], vec![begun, made, begun, done], "done"),
        (vec![format!("{half}{{\"type\":\"MOD"), whole()], vec![begun, made, begun, done], "done"),
        (vec![String::new(), whole()], vec![begun, begun, done], "done"),
        (vec![format!("{expired}\n"), whole()], vec![begun, begun, done], "done"),
        (vec!["{}\n".into()], vec![begun], "unavailable"),
        (vec!["{\"type\":\"DELETED\",\"object\":{}}\n".into()], vec![begun], "unavailable"),
        (vec!["{\"type\":\"MODIFIED\",\"object\":{}}\n".into()], vec![begun], "unavailable"),
    ] {
        let upstream = Upstream::start(Behaviour::Watches(watches.clone())).await;
        let world = world(&upstream.url).await;
        let mut gateway = world.connect("gateway").await.unwrap();
        let asked = json!({"name": "rollout_status", "arguments": {"namespace": "staging", "name": "web"},
            "_meta": {"progressToken": "p"}});
        let answer = gateway.modern(&world.token("alice", &[]), "tools/call", asked).await;
        let data = answer.text.lines().filter_map(|line| line.strip_prefix("data:"));
        let messages: Vec<Value> = data.filter_map(|data| serde_json::from_str(data).ok()).collect();
        let (result, progress) = messages.split_last().unwrap();
        let told: Vec<_> = progress.iter().map(|message| &message["params"]["message"]).collect();
        assert_eq!(told, heard, "{watches:?}: {}", answer.text);
        let content = &result["result"]["structuredContent"];
        let state = content["state"].as_str().or_else(|| content["error"]["code"].as_str());
        assert_eq!(state, Some(end), "{watches:?}: {}", answer.text);
        let asked = upstream.heard().iter().filter(|request| request.contains("watch=true")).count();
        assert_eq!(asked, watches.len(), "{watches:?}");
    }
}
