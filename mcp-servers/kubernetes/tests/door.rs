//! The whole server on a socket: what callers hear of it, and what it asks its cluster.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test ends by panicking")]

use http::StatusCode;
use serde_json::{Value, json};
use server::{TOOLS, UID, code, of_kinds, with, world};
use upstream::{Behaviour, SECRET, SECRET_ENCODED, Upstream};

#[path = "../../kit/tests/world/mod.rs"]
mod world;
mod server;
mod upstream;

#[tokio::test]
async fn the_tools_are_those_that_were_committed() {
    let upstream = Upstream::start(Behaviour::Kubernetes).await;
    let world = world(&upstream.url).await;
    let mut gateway = world.connect("gateway").await.unwrap();
    let tools = gateway.modern(&world.token("alice", &[]), "tools/list", json!({})).await;
    let pinned: Value = serde_json::from_str(include_str!("../tools.json")).unwrap();
    assert_eq!(tools.body["result"]["tools"], pinned, "--print-tools prints what clients are told");
    let all = pinned.as_array().unwrap();
    assert_eq!(all.iter().map(|tool| tool["name"].as_str().unwrap()).collect::<Vec<_>>(), TOOLS);
    assert!(all.iter().all(|tool| tool["outputSchema"].is_object()));
    let writes = |tool: &Value| tool["annotations"]["readOnlyHint"] == json!(false);
    assert_eq!(all.iter().filter(|tool| writes(tool)).count(), 6);
    assert!(
        all.iter()
            .filter(|tool| writes(tool))
            .all(|tool| tool["annotations"]["destructiveHint"] == json!(true))
    );
}

#[tokio::test]
async fn bad_arguments_are_told_and_nothing_is_sent() {
    let upstream = Upstream::start(Behaviour::Kubernetes).await;
    let world = world(&upstream.url).await;
    let mut gateway = world.connect("gateway").await.unwrap();
    let token = world.token("alice", &[]);
    let invalid = "invalid_arguments";
    let get = |change| with(json!({"kind": "Deployment", "namespace": "staging", "name": "web"}), change);
    let list = |change| with(json!({"kind": "Deployment", "namespace": "staging"}), change);
    let pod = |change| with(json!({"namespace": "staging", "name": "web-1"}), change);
    let delete = |change| {
        with(json!({"kind": "Deployment", "namespace": "staging", "name": "web", "uid": UID}), change)
    };
    let manifest =
        |change| with(json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "m"}}), change);
    let apply = |manifests: Value| json!({"namespace": "staging", "manifests": manifests});
    let split = |weights: Value| json!({"namespace": "staging", "name": "web", "weights": weights});
    let cases = [
        ("get", json!({}), invalid),
        ("get", get(json!({"kind": 1})), invalid),
        ("get", get(json!({"kind": "deployment"})), invalid),
        ("get", get(json!({"kind": "Deployment/../../x"})), invalid),
        ("get", get(json!({"kind": "Déployment"})), invalid),
        ("get", get(json!({"kind": "Role"})), "kind_not_allowed"),
        ("get", get(json!({"kind": "Deployment.evil.test"})), "kind_not_allowed"),
        ("get", get(json!({"name": ""})), invalid),
        ("get", get(json!({"name": ".."})), invalid),
        ("get", get(json!({"name": "../../secrets/db"})), invalid),
        ("get", get(json!({"name": "web/scale"})), invalid),
        ("get", get(json!({"name": "web?dryRun=All"})), invalid),
        ("get", get(json!({"name": "web%2fscale"})), invalid),
        ("get", get(json!({"name": "wéb"})), invalid),
        ("get", get(json!({"name": "web\u{0}"})), invalid),
        ("get", get(json!({"name": "w".repeat(300)})), invalid),
        ("get", get(json!({"namespace": "production"})), "namespace_not_allowed"),
        ("get", get(json!({"namespace": "staging/../production"})), invalid),
        ("get", get(json!({"namespace": "Staging"})), invalid),
        ("get", get(json!({"namespace": "staging\n"})), invalid),
        ("get", get(json!({"other": 1})), invalid),
        ("list", list(json!({"labels": "app=web&limit=1"})), invalid),
        ("list", list(json!({"labels": ""})), invalid),
        ("list", list(json!({"labels": "app in (a"})), invalid),
        ("list", list(json!({"labels": "app=web;drop"})), invalid),
        ("list", list(json!({"labels": "a=".repeat(1000)})), invalid),
        ("list", list(json!({"labels": "app=ü"})), invalid),
        ("list", list(json!({"fields": "metadata.name"})), invalid),
        ("list", list(json!({"fields": "metadata.name=a\\,b=c"})), invalid),
        ("list", list(json!({"fields": "metadata/name=a"})), invalid),
        ("list", list(json!({"limit": 0})), invalid),
        ("list", list(json!({"limit": -1})), invalid),
        ("list", list(json!({"limit": 5_000_000_000_u64})), invalid),
        ("list", list(json!({"cursor": "***"})), "bad_cursor"),
        ("list", json!({"kind": "Deployment"}), "namespace_not_allowed"),
        ("get_pod_status", pod(json!({"name": "-"})), invalid),
        ("pod_logs", pod(json!({"tail_lines": 0})), invalid),
        ("pod_logs", pod(json!({"tail_lines": -1})), invalid),
        ("pod_logs", pod(json!({"since_seconds": 1.5})), invalid),
        ("pod_logs", pod(json!({"container": "a&follow=true"})), invalid),
        ("pod_logs", pod(json!({"previous": true, "follow_seconds": 1})), invalid),
        ("pod_logs", pod(json!({"namespace": "production"})), "namespace_not_allowed"),
        ("events", json!({"namespace": "staging", "type": "warning"}), invalid),
        ("events", json!({"namespace": "staging", "kind": "Secret,type=x"}), invalid),
        ("events", json!({"namespace": "staging", "limit": 0}), invalid),
        ("explain", json!({"kind": "Deployment", "path": "spec..x"}), invalid),
        ("explain", json!({"kind": "Deployment", "path": "../apis"}), invalid),
        ("can_i", json!({"verb": "*", "kind": "Pod", "namespace": "staging"}), invalid),
        ("can_i", json!({"verb": "get", "kind": "Pod"}), "namespace_not_allowed"),
        (
            "can_i",
            json!({"verb": "get", "kind": "Pod", "namespace": "staging", "subresource": "log/x"}),
            invalid,
        ),
        ("scale_deployment", pod(json!({})), invalid),
        ("scale_deployment", pod(json!({"replicas": -1})), invalid),
        ("scale_deployment", pod(json!({"replicas": 51})), invalid),
        ("scale_deployment", pod(json!({"replicas": "3"})), invalid),
        ("rollout_restart", pod(json!({"namespace": "production"})), "namespace_not_allowed"),
        ("rollout_status", pod(json!({"wait_seconds": -1})), invalid),
        ("rollout_undo", pod(json!({"to_revision": "1"})), invalid),
        ("delete", delete(json!({"uid": "web"})), invalid),
        ("delete", json!({"kind": "Deployment", "namespace": "staging", "name": "web"}), invalid),
        ("delete", delete(json!({"resource_version": "7;x"})), invalid),
        ("delete", delete(json!({"dependents": "all"})), invalid),
        ("delete", delete(json!({"kind": "Pod"})), "kind_not_allowed"),
        ("apply_manifest", apply(json!([])), invalid),
        ("apply_manifest", apply(json!(["kind: Secret"])), invalid),
        (
            "apply_manifest",
            apply(json!([manifest(json!({})), manifest(json!({})), manifest(json!({}))])),
            invalid,
        ),
        ("apply_manifest", apply(json!([manifest(json!({"metadata": {}}))])), invalid),
        ("apply_manifest", apply(json!([manifest(json!({"metadata": {"name": "a/b"}}))])), invalid),
        (
            "apply_manifest",
            apply(json!([manifest(json!({"metadata": {"name": "m", "namespace": "production"}}))])),
            invalid,
        ),
        ("apply_manifest", apply(json!([manifest(json!({"apiVersion": "v1/../.."}))])), invalid),
        ("apply_manifest", apply(json!([manifest(json!({"apiVersion": "/v1"}))])), invalid),
        ("apply_manifest", apply(json!([manifest(json!({"kind": "List"}))])), "kind_not_allowed"),
        ("apply_manifest", apply(json!([manifest(json!({"kind": "Pod"}))])), "kind_not_allowed"),
        (
            "apply_manifest",
            apply(json!([
                manifest(json!({})),
                manifest(json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole"}))
            ])),
            "kind_not_allowed",
        ),
        ("split_traffic", split(json!([])), invalid),
        ("split_traffic", split(json!([{"service": "a", "weight": 0}])), invalid),
        (
            "split_traffic",
            split(json!([{"service": "a", "weight": 1}, {"service": "a", "weight": 1}])),
            invalid,
        ),
        ("split_traffic", split(json!([{"service": "a", "weight": 1_000_001}])), invalid),
        ("split_traffic", split(json!([{"service": "a/b", "weight": 1}])), invalid),
    ];
    println!("{} bad inputs", cases.len());
    assert!(cases.len() >= 50);
    for (tool, arguments, wanted) in &cases {
        let answer = gateway.tool(&token, tool, arguments.clone()).await;
        assert_eq!(code(&answer), wanted, "{tool} {arguments}: {}", answer.body);
    }
    for uri in [
        "cluster://deployments/",
        "cluster://deployments/staging",
        "cluster://deployments/staging/web/scale",
        "cluster://deployments/staging/../web",
        "cluster://secrets/staging/db",
        "CLUSTER://deployments/staging/web",
    ] {
        let answer = gateway.modern(&token, "resources/read", json!({"uri": uri})).await;
        assert_eq!(answer.body["error"]["code"], json!(-32602), "{uri}: {}", answer.body);
    }
    let outside = gateway
        .modern(&token, "resources/read", json!({"uri": "cluster://deployments/production/web"}))
        .await;
    assert!(outside.body["error"].is_object(), "{}", outside.body);
    assert_eq!(upstream.heard(), Vec::<String>::new());
    let good = gateway.tool(&token, "get", get(json!({}))).await;
    assert_eq!(good.body["result"]["isError"], json!(false), "{}", good.body);
    assert!(!upstream.heard().is_empty());
    let cluster_wide = gateway.tool(&token, "get", json!({"kind": "Node", "name": "a"})).await;
    assert_eq!(code(&cluster_wide), "namespace_not_allowed", "{}", cluster_wide.body);
    assert!(!upstream.heard().iter().any(|request| request.contains("/nodes")));
}

#[tokio::test]
async fn what_is_of_a_kind_that_cannot_be_read_comes_through_no_tool_and_no_resource() {
    let upstream = Upstream::start(Behaviour::Kubernetes).await;
    let open = world(&upstream.url).await;
    let fenced = of_kinds(&upstream.url, &["Service"], &["ConfigMap"]).await;
    let mut inside = open.connect("gateway").await.unwrap();
    let mut outside = fenced.connect("gateway").await.unwrap();
    let (token, fenced_token) = (open.token("alice", &[]), fenced.token("alice", &[]));
    let pod = json!({"namespace": "staging", "name": "web-1"});
    let web = json!({"namespace": "staging", "name": "web"});
    let mut status = web.clone();
    status["wait_seconds"] = json!(0);
    let calls = [
        ("get_pod_status", pod.clone()),
        ("pod_logs", pod),
        ("rollout_status", status),
        ("rollout_undo", web),
        ("get", json!({"kind": "Deployment", "namespace": "staging", "name": "web"})),
        ("events", json!({"kind": "Pod", "namespace": "staging"})),
    ];
    for (tool, arguments) in &calls {
        let refused = outside.tool(&fenced_token, tool, arguments.clone()).await;
        assert_eq!(code(&refused), "kind_not_allowed", "{tool}: {}", refused.body);
    }
    let read = json!({"uri": "cluster://deployments/staging/web"});
    let refused = outside.modern(&fenced_token, "resources/read", read.clone()).await;
    assert_eq!(refused.body["error"]["data"]["code"], "kind_not_allowed", "{}", refused.body);
    for (method, list) in [("resources/list", "resources"), ("resources/templates/list", "resourceTemplates")]
    {
        let count = |answer: world::Answer| answer.body["result"][list].as_array().map(Vec::len);
        assert_eq!(count(outside.modern(&fenced_token, method, json!({})).await), Some(0), "{method}");
        assert_eq!(upstream.heard(), Vec::<String>::new(), "{method}");
    }
    for (tool, arguments) in &calls {
        let told = inside.tool(&token, tool, arguments.clone()).await;
        assert_eq!(told.body["result"]["isError"], json!(false), "{tool}: {}", told.body);
    }
    let told = inside.modern(&token, "resources/read", read).await;
    assert!(told.body["result"]["contents"][0]["text"].is_string(), "{}", told.body);
    for (method, list) in [("resources/list", "resources"), ("resources/templates/list", "resourceTemplates")]
    {
        let told = inside.modern(&token, method, json!({})).await;
        assert_eq!(told.body["result"][list].as_array().map(Vec::len), Some(1), "{}", told.body);
    }
    for (gateway, token, wanted) in [
        (&mut inside, &token, json!(["ConfigMap/web", "Deployment/web", "Node/a", "Pod/web-1"])),
        (&mut outside, &fenced_token, json!(["ConfigMap/web"])),
    ] {
        let told = gateway.tool(token, "events", json!({"namespace": "staging"})).await;
        let events = told.body["result"]["structuredContent"]["events"].as_array().unwrap().clone();
        let mut objects: Vec<_> = events.into_iter().map(|event| event["object"].clone()).collect();
        objects.sort_by_key(ToString::to_string);
        assert_eq!(Value::from(objects), wanted, "{}", told.body);
    }
}

#[tokio::test]
async fn the_revision_before_is_found_on_whichever_page_it_is() {
    let upstream = Upstream::start(Behaviour::Kubernetes).await;
    let world = world(&upstream.url).await;
    let mut gateway = world.connect("gateway").await.unwrap();
    let token = world.token("alice", &[]);
    for (asked, wanted) in
        [(json!({}), json!([3, ["web:3"]])), (json!({"to_revision": 2}), json!([2, ["web:2"]]))]
    {
        let mut arguments = json!({"namespace": "staging", "name": "web"});
        arguments.as_object_mut().unwrap().extend(asked.as_object().unwrap().clone());
        let undone = gateway.tool(&token, "rollout_undo", arguments).await;
        let told = &undone.body["result"]["structuredContent"];
        assert_eq!(json!([told["to_revision"], told["images"]]), wanted, "{}", undone.body);
        let put = upstream.heard().pop().unwrap();
        assert!(put.starts_with("PUT ") && put.contains(wanted[1][0].as_str().unwrap()), "{put}");
    }
    let none = json!({"namespace": "staging", "name": "web", "to_revision": 9});
    assert_eq!(code(&gateway.tool(&token, "rollout_undo", none).await), "no_revision");
}

#[tokio::test]
async fn a_certificate_that_nobody_vouches_for_is_no_cluster() {
    let upstream = Upstream::start(Behaviour::Kubernetes).await;
    let other = world(&upstream.url).await; // It speaks TLS, with an SVID.
    let world = world(&format!("https://{}", other.address)).await;
    let mut gateway = world.connect("gateway").await.unwrap();
    let arguments = json!({"kind": "Deployment", "namespace": "staging", "name": "web"});
    let answer = gateway.tool(&world.token("alice", &[]), "get", arguments).await;
    assert_eq!(code(&answer), "unavailable", "{}", answer.body);
}

#[tokio::test]
async fn the_value_of_a_secret_comes_through_no_tool() {
    let upstream = Upstream::start(Behaviour::Kubernetes).await;
    let world = world(&upstream.url).await;
    let mut gateway = world.connect("gateway").await.unwrap();
    let token = world.token("alice", &[]);
    let db = json!({"kind": "Secret", "namespace": "staging", "name": "db"});
    let apply = |value: &str, dry_run: bool| {
        let manifest = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "db"}, "data": {"password": value}});
        json!({"namespace": "staging", "manifests": [manifest], "dry_run": dry_run, "force": true})
    };
    for (tool, arguments) in [
        ("get", db.clone()),
        ("list", json!({"kind": "Secret", "namespace": "staging", "wide": true})),
        ("apply_manifest", apply("bmV3", true)),
        ("apply_manifest", apply("bmV3", false)),
        ("apply_manifest", apply("wrong", true)),
        (
            "delete",
            json!({"kind": "Secret", "namespace": "staging", "name": "db", "uid": UID, "dry_run": true}),
        ),
    ] {
        let answer = gateway.tool(&token, tool, arguments).await;
        for value in [SECRET, SECRET_ENCODED, "bmV3"] {
            assert!(!answer.text.contains(value), "{tool}: {}", answer.text);
        }
    }
    let got = gateway.tool(&token, "get", db).await;
    let object = &got.body["result"]["structuredContent"]["object"];
    assert_eq!(object["data"]["password"], "(withheld, 7 bytes)", "{}", got.body);
    let applied = gateway.tool(&token, "apply_manifest", apply("bmV3", false)).await;
    let object = &applied.body["result"]["structuredContent"]["objects"][0];
    assert_eq!(
        object["changes"],
        json!([{"path": "data.password", "before": "(withheld)", "after": "(withheld)"}]),
        "{}",
        applied.body
    );
    let refused = gateway.tool(&token, "apply_manifest", apply("wrong", true)).await;
    assert_eq!(code(&refused), "rejected", "{}", refused.body);
    // Where a value would have to be the same, a guess could be tried: that is refused before the cluster hears of it.
    let mut compared = apply("bmV3", true);
    compared["force"] = json!(false);
    let mut sealed = apply("bmV3", true);
    sealed["manifests"][0]["metadata"]["name"] = json!("sealed");
    for (arguments, wanted) in [(compared, "invalid_arguments"), (sealed, "rejected")] {
        let refused = gateway.tool(&token, "apply_manifest", arguments).await;
        assert_eq!(code(&refused), wanted, "{}", refused.body);
        assert!(upstream.heard().pop().unwrap().starts_with("GET "));
    }
}

/// The parameters of the last request, in order.
fn asked(upstream: &Upstream) -> Vec<String> {
    let last = upstream.heard().pop().unwrap();
    let query = last.lines().next().unwrap().split_once('?').unwrap().1.to_owned();
    let mut found: Vec<_> = query.split('&').filter(|one| !one.is_empty()).map(str::to_owned).collect();
    found.sort();
    found
}

#[tokio::test]
async fn answers_have_bounds_and_say_so() {
    let upstream = Upstream::start(Behaviour::Kubernetes).await;
    let world = world(&upstream.url).await;
    let mut gateway = world.connect("gateway").await.unwrap();
    let token = world.token("alice", &[]);
    let listed =
        gateway.tool(&token, "list", json!({"kind": "Secret", "namespace": "staging", "limit": 400})).await;
    let found = &listed.body["result"]["structuredContent"];
    assert_eq!(
        (&found["columns"], &found["remaining"]),
        (&json!(["Name", "Data"]), &json!(7)),
        "{}",
        listed.body
    );
    assert_eq!(found["rows"][0], json!({"namespace": "staging", "name": "db", "cells": ["db", "1"]}));
    assert!(upstream.heard().last().unwrap().contains("limit=5"), "{:?}", upstream.heard().last());
    let next = json!({"kind": "Secret", "namespace": "staging", "labels": "a in (b, c)", "cursor": found["next_cursor"]});
    gateway.tool(&token, "list", next).await;
    let last = upstream.heard().last().unwrap().clone();
    assert!(last.contains("continue=next-page") && last.contains("labelSelector=a+in+%28b%2Cc%29"), "{last}");
    let log = async |gateway: &mut world::Client, more: Value| {
        let mut arguments = json!({"namespace": "staging", "name": "web-1"});
        arguments.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        gateway.tool(&token, "pod_logs", arguments).await.body["result"]["structuredContent"].clone()
    };
    let long = log(&mut gateway, json!({})).await;
    assert_eq!((long["lines"].as_array().unwrap().len(), &long["truncated"]), (10, &json!(true)), "{long}");
    let short = log(&mut gateway, json!({"tail_lines": 2})).await;
    assert_eq!(short, json!({"lines": ["a", "b"], "truncated": false}));
    let followed = log(&mut gateway, json!({"tail_lines": 2, "follow_seconds": 1})).await;
    assert_eq!(followed, json!({"lines": ["a", "b"], "truncated": false}), "the log has ended");
    assert_eq!(asked(&upstream), ["follow=true", "limitBytes=1024", "tailLines=2"]);
    log(&mut gateway, json!({})).await;
    assert_eq!(asked(&upstream), ["limitBytes=1024", "tailLines=10"], "the bound, and not the usual 100");
    let of = json!({"container": "app", "since_seconds": 60, "previous": true, "timestamps": true, "tail_lines": 3});
    log(&mut gateway, of).await;
    assert_eq!(
        asked(&upstream),
        [
            "container=app",
            "limitBytes=1024",
            "previous=true",
            "sinceSeconds=60",
            "tailLines=3",
            "timestamps=true"
        ]
    );
}

#[tokio::test]
async fn only_the_gateway_with_a_token_of_the_tools_scope_gets_in() {
    let upstream = Upstream::start(Behaviour::Kubernetes).await;
    let world = world(&upstream.url).await;
    let mut gateway = world.connect("gateway").await.unwrap();
    let get = json!({"kind": "Deployment", "namespace": "staging", "name": "web"});
    let only = world.token("alice", &[("scope", json!("kubernetes:get"))]);
    assert_eq!(gateway.tool(&only, "get", get.clone()).await.body["result"]["isError"], json!(false));
    let heard = upstream.heard().len();
    for tool in TOOLS.iter().filter(|tool| **tool != "get") {
        assert_eq!(gateway.tool(&only, tool, json!({})).await.status, StatusCode::FORBIDDEN, "{tool}");
    }
    for change in [("aud", json!("s3")), ("exp", json!(1)), ("iss", json!("https://other.test"))] {
        let refused = gateway.tool(&world.token("alice", &[change]), "get", get.clone()).await;
        assert_eq!(refused.status, StatusCode::UNAUTHORIZED);
    }
    let body = world::modern("tools/list", json!({})).to_string();
    let refused = match world.connect("agent/demo").await {
        Err(_) => true,
        Ok(mut agent) => agent.send(http::Method::POST, Some(&only), &[], body).await.is_err(),
    };
    assert!(refused);
    assert_eq!(upstream.heard().len(), heard);
}
