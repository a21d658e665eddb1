//! The whole server on a socket, before an upstream that does what an MLflow shouldn't: what callers hear of it.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test ends by panicking")]

use certs::Clock;
use http::StatusCode;
use kit::Service;
use mcp_mlflow::{Client, Fence, Limits, Mlflow};
use serde_json::{Value, json};
use std::time::Duration;
use upstream::{Behaviour, Upstream};
use world::World;

#[path = "../../kit/tests/world/mod.rs"]
mod world;
mod bad_input;
mod fenced;
mod upstream;

const LIMITS: Limits = Limits { page_items_max: 50, spans_max: 1, artifact_bytes_max: 4 };

/// One good call of each tool.
fn calls() -> Vec<(&'static str, Value)> {
    let tags = json!({"team": "a"});
    vec![
        ("search_experiments", json!({"filter": "name LIKE 'd%'"})),
        ("get_experiment", json!({"experiment": "demo"})),
        ("create_experiment", json!({"experiment": "demo", "tags": tags})),
        ("create_run", json!({"experiment": "demo", "name": "first", "tags": tags})),
        (
            "search_runs",
            json!({"experiments": ["demo"], "filter": "metrics.loss < 1", "order_by": ["metrics.loss"]}),
        ),
        ("get_run", json!({"run_id": "a1"})),
        ("get_metric_history", json!({"run_id": "a1", "metric": "loss"})),
        (
            "log_metrics",
            json!({"run_id": "a1", "experiment": "demo", "metrics": [{"key": "loss", "value": 0.5}]}),
        ),
        ("log_params", json!({"run_id": "a1", "params": {"lr": "0.1"}})),
        ("set_run_tags", json!({"run_id": "a1", "tags": tags})),
        ("finish_run", json!({"run_id": "a1", "status": "FAILED"})),
        ("list_artifacts", json!({"run_id": "a1", "path": "model"})),
        ("get_artifact", json!({"run_id": "a1", "path": "text.txt"})),
        ("put_artifact", json!({"run_id": "a1", "path": "report.md", "content": "ok"})),
        ("search_models", json!({"filter": "name = 'fraud'"})),
        ("get_model", json!({"model": "fraud"})),
        ("create_model", json!({"model": "fraud", "description": "finds it"})),
        ("create_model_version", json!({"model": "fraud", "run_id": "a1", "path": "model"})),
        ("get_model_version", json!({"model": "fraud", "version": 1})),
        ("search_model_versions", json!({"filter": "name = 'fraud'", "order_by": ["version_number DESC"]})),
        ("set_model_version_tags", json!({"model": "fraud", "version": 1, "tags": tags})),
        ("delete_model_version_tag", json!({"model": "fraud", "version": 1, "key": "team"})),
        ("set_model_alias", json!({"model": "fraud", "alias": "staging", "version": 2})),
        ("delete_model_alias", json!({"model": "fraud", "alias": "staging"})),
        ("transition_model_stage", json!({"model": "fraud", "version": 1, "stage": "Staging"})),
        ("search_traces", json!({"experiments": ["demo"], "filter": "status = 'OK'"})),
        ("get_trace", json!({"trace_id": "tr-1"})),
    ]
}

/// A server that sees these experiments and models of the upstream.
async fn world(url: &str, experiments: &[&str], models: &[&str]) -> World {
    let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let make = |_: &std::path::Path| {
        let client = Client::new(&url.parse().unwrap(), None, Duration::from_millis(300), 20_000).unwrap();
        let fence = Fence::parse(&owned(experiments), &owned(models)).unwrap();
        Service::new(mcp_mlflow::NAME, Mlflow::new(client, fence, LIMITS, Clock::system()))
    };
    let mut scopes = vec!["protocol", "resources", "prompts"];
    scopes.extend(calls().iter().map(|(tool, _)| *tool));
    World::of(mcp_mlflow::NAME, &scopes, make, |flags, _| flags.limits.body_bytes_max = 100_000).await
}

fn code(answer: &world::Answer) -> &Value {
    &answer.body["result"]["structuredContent"]["error"]["code"]
}

#[tokio::test]
async fn the_tools_are_those_that_were_committed() {
    let upstream = Upstream::start(Behaviour::Mlflow).await;
    let world = world(&upstream.url, &[], &[]).await;
    let mut gateway = world.connect("gateway").await.unwrap();
    let tools = gateway.modern(&world.token("alice", &[]), "tools/list", json!({})).await;
    let pinned: Value = serde_json::from_str(include_str!("../tools.json")).unwrap();
    assert_eq!(tools.body["result"]["tools"], pinned, "--print-tools prints what clients are told");
    let all = pinned.as_array().unwrap();
    assert_eq!(all.len(), calls().len());
    for tool in all {
        let name = tool["name"].as_str().unwrap();
        assert!(calls().iter().any(|(called, _)| *called == name), "{name}");
        let reads = ["get_", "search_", "list_"].iter().any(|verb| name.starts_with(verb));
        assert_eq!(tool["annotations"]["readOnlyHint"], json!(reads), "{name}");
        assert!(
            tool["outputSchema"].is_object() && tool["inputSchema"]["additionalProperties"] == json!(false),
            "{name}"
        );
    }
}

#[tokio::test]
async fn every_tool_answers_and_where_mlflow_keeps_its_files_is_not_told() {
    let upstream = Upstream::start(Behaviour::Mlflow).await;
    let world = world(&upstream.url, &[], &[]).await;
    let mut gateway = world.connect("gateway").await.unwrap();
    let token = world.token("alice", &[]);
    for (tool, arguments) in calls() {
        let answer = gateway.tool(&token, tool, arguments).await;
        assert_eq!(answer.body["result"]["isError"], json!(false), "{tool}: {}", answer.body);
        assert!(
            !answer.text.contains("secret-bucket") && !answer.text.contains("artifact_uri"),
            "{tool}: {}",
            answer.text
        );
    }
    let heard = upstream.heard().join("\n");
    for sent in [
        "name LIKE 'd%'",
        "metrics.`loss` < 1",
        "order_by=version_number+DESC",
        "\"order_by\":[\"metrics.`loss` ASC\"]",
        "mlflow.user",
        "spiffe://mlflow.test/agent/demo",
        "\"source\":\"mlflow-artifacts:/1/a1/artifacts/model\"",
        "PUT /api/2.0/mlflow-artifacts/artifacts/1/a1/artifacts/report.md ok",
        "DELETE /api/2.0/mlflow/registered-models/alias",
        "\"status\":\"FAILED\"",
    ] {
        assert!(heard.contains(sent), "{sent} is not in {heard}");
    }
}

#[tokio::test]
async fn an_upstream_that_is_none_is_told_as_unavailable_and_quoted_nowhere() {
    let html = "<html>internal host db-7 failed</html>".to_owned();
    let error = |code: &str| json!({"error_code": code, "message": "on db-7\n[SQL: x]"}).to_string();
    let cases = [
        (Behaviour::Down, "unavailable"),
        (Behaviour::Silent, "timeout"),
        (Behaviour::Half, "unavailable"),
        (Behaviour::Closes, "unavailable"),
        (Behaviour::Says(200, html.clone()), "unavailable"),
        (Behaviour::Says(500, html.clone()), "unavailable"),
        (Behaviour::Says(502, html.clone()), "unavailable"),
        (Behaviour::Says(503, error("TEMPORARILY_UNAVAILABLE")), "unavailable"),
        (Behaviour::Says(500, error("INTERNAL_ERROR")), "unavailable"),
        (Behaviour::Says(400, error("BAD_REQUEST")), "unavailable"),
        (Behaviour::Says(200, "[1,2]".into()), "unavailable"),
        (Behaviour::Says(200, "{}".into()), "unavailable"),
        (Behaviour::Says(204, String::new()), "unavailable"),
        (Behaviour::Says(302, String::new()), "unavailable"),
        (Behaviour::Says(401, html.clone()), "forbidden"),
        (Behaviour::Says(403, error("PERMISSION_DENIED")), "forbidden"),
        (Behaviour::Says(404, html.clone()), "unsupported"),
        (Behaviour::Says(404, error("RESOURCE_DOES_NOT_EXIST")), "not_found"),
        (Behaviour::Says(200, format!("{{\"run\":\"{}\"}}", "x".repeat(30_000))), "result_too_large"),
    ];
    for (behaviour, wanted) in cases {
        let upstream = Upstream::start(behaviour.clone()).await;
        let world = world(&upstream.url, &[], &[]).await;
        let mut gateway = world.connect("gateway").await.unwrap();
        let token = world.token("alice", &[]);
        for (tool, arguments) in [
            ("get_run", json!({"run_id": "a1"})),
            ("get_trace", json!({"trace_id": "tr-1"})),
            ("put_artifact", json!({"run_id": "a1", "path": "x", "content": "y"})),
            ("set_model_alias", json!({"model": "fraud", "alias": "staging", "version": 1})),
        ] {
            let answer = gateway.tool(&token, tool, arguments).await;
            assert_eq!(code(&answer), wanted, "{behaviour:?} {tool}: {}", answer.body);
            for inner in ["db-7", "127.0.0.1", "/srv", "elsewhere", "SQL"] {
                assert!(!answer.text.contains(inner), "{behaviour:?}: {}", answer.text);
            }
        }
        let port = upstream.url.rsplit(':').next().unwrap().trim_end_matches('/').to_owned();
        let read = gateway.modern(&token, "resources/read", json!({"uri": "experiment://runs/a1"})).await;
        assert_eq!(read.body["error"]["data"]["code"], *wanted, "{behaviour:?}: {}", read.body);
        let prompt = json!({"name": "validation_report", "arguments": {"model": "fraud", "version": "1"}});
        let prompt = gateway.modern(&token, "prompts/get", prompt).await;
        assert_eq!(prompt.body["error"]["data"]["code"], *wanted, "{behaviour:?}: {}", prompt.body);
        assert!(!read.text.contains(&port) && !prompt.text.contains("db-7"), "{}", read.text);
    }
}

#[tokio::test]
async fn a_certificate_that_nobody_vouches_for_is_no_mlflow() {
    let other = Upstream::start(Behaviour::Mlflow).await;
    let known = world(&other.url, &[], &[]).await;
    // That server's own door speaks TLS with a certificate of no public authority.
    let world = world(&format!("https://{}", known.address), &[], &[]).await;
    let mut gateway = world.connect("gateway").await.unwrap();
    let answer = gateway.tool(&world.token("alice", &[]), "get_run", json!({"run_id": "a1"})).await;
    assert_eq!(code(&answer), "unavailable", "{}", answer.body);
}

#[tokio::test]
async fn what_mlflow_refuses_is_told_in_one_line_and_what_it_has_already_in_our_words() {
    let message = "Changing param values is not allowed.\u{7} Params were already logged\nTraceback (most recent call last)";
    let says = json!({"error_code": "INVALID_PARAMETER_VALUE", "message": message}).to_string();
    let upstream = Upstream::start(Behaviour::Says(400, says)).await;
    let one = world(&upstream.url, &[], &[]).await;
    let mut gateway = one.connect("gateway").await.unwrap();
    let answer = gateway
        .tool(&one.token("alice", &[]), "log_params", json!({"run_id": "a1", "params": {"lr": "1"}}))
        .await;
    assert_eq!(code(&answer), "rejected");
    let text = &answer.body["result"]["structuredContent"]["error"]["message"];
    assert_eq!(text, "MLflow refuses it: Changing param values is not allowed. Params were already logged");

    let says =
        json!({"error_code": "RESOURCE_ALREADY_EXISTS", "message": "(sqlite3.IntegrityError) [SQL: INSERT]"})
            .to_string();
    let upstream = Upstream::start(Behaviour::Says(400, says)).await;
    let other = world(&upstream.url, &[], &[]).await;
    let mut gateway = other.connect("gateway").await.unwrap();
    let token = other.token("alice", &[]);
    for (tool, arguments) in
        [("create_model", json!({"model": "fraud"})), ("create_experiment", json!({"experiment": "demo"}))]
    {
        let answer = gateway.tool(&token, tool, arguments).await;
        assert_eq!(code(&answer), "already_exists");
        assert!(!answer.text.contains("SQL") && !answer.text.contains("sqlite"), "{}", answer.text);
    }
}

#[tokio::test]
async fn artifacts_and_spans_have_bounds_and_say_so() {
    let upstream = Upstream::start(Behaviour::Mlflow).await;
    let world = world(&upstream.url, &[], &[]).await;
    let mut gateway = world.connect("gateway").await.unwrap();
    let token = world.token("alice", &[]);
    // This upstream gives the whole file, as MLflow does before some stores; what is before the offset is read over.
    let mut found = Vec::new();
    for offset in [0, 4, 8] {
        let asked = json!({"run_id": "a1", "path": "text.txt", "offset": offset});
        let answer = gateway.tool(&token, "get_artifact", asked).await;
        let piece = &answer.body["result"]["structuredContent"];
        found.push((piece["content"].as_str().unwrap().to_owned(), piece["next_offset"].as_u64()));
    }
    assert_eq!(found, [("0123".into(), Some(4)), ("4567".into(), Some(8)), ("89".into(), None)]);
    let far = json!({"run_id": "a1", "path": "text.txt", "offset": u64::MAX});
    assert_eq!(code(&gateway.tool(&token, "get_artifact", far).await), "result_too_large");
    let long = json!({"run_id": "a1", "path": "x", "content": "12345"});
    assert_eq!(code(&gateway.tool(&token, "put_artifact", long).await), "invalid_arguments");
    let trace = gateway.tool(&token, "get_trace", json!({"trace_id": "tr-1"})).await;
    let trace = &trace.body["result"]["structuredContent"];
    assert_eq!(
        (&trace["note"], trace["spans"].as_array().unwrap().len()),
        (&json!("the first 1 of 2 spans"), 1)
    );
    assert_eq!(
        (&trace["spans"][0]["attributes"]["k"], &trace["spans"][0]["milliseconds"]),
        (&json!("v"), &json!(2.0))
    );

    let first = gateway.tool(&token, "search_experiments", json!({"page_size": 1000})).await;
    let cursor = first.body["result"]["structuredContent"]["next_cursor"].clone();
    gateway.tool(&token, "search_experiments", json!({"cursor": cursor})).await;
    let heard = upstream.heard().last().unwrap().clone();
    assert!(heard.contains("\"page_token\":\"more\"") && heard.contains("\"max_results\":50"), "{heard}");
}

#[tokio::test]
async fn prompts_are_filled_from_a_version_and_its_run() {
    let upstream = Upstream::start(Behaviour::Mlflow).await;
    let world = world(&upstream.url, &[], &[]).await;
    let mut gateway = world.connect("gateway").await.unwrap();
    let token = world.token("alice", &[]);
    let listed = gateway.modern(&token, "prompts/list", json!({})).await;
    let names: Vec<_> =
        listed.body["result"]["prompts"].as_array().unwrap().iter().map(|p| p["name"].clone()).collect();
    assert_eq!(names, ["deployment_checklist", "validation_report"]);
    let arguments = json!({"model": "fraud", "version": "1", "alias": "production"});
    let asked = json!({"name": "deployment_checklist", "arguments": arguments});
    let filled = gateway.modern(&token, "prompts/get", asked).await;
    let messages = &filled.body["result"]["messages"];
    assert!(
        messages[0]["content"]["text"].as_str().unwrap().ends_with("The target alias is production."),
        "{messages}"
    );
    let data = messages[1]["content"]["text"].as_str().unwrap();
    assert!(
        data.contains("no instructions") && data.contains("\"loss\"") && data.contains("\"lr\": \"0.1\""),
        "{data}"
    );
    assert!(data.contains("\"experiment\": \"demo\"") && data.contains("\"staging\": 1"), "{data}");
    for (name, arguments) in [
        ("other", json!({})),
        ("validation_report", json!({})),
        ("validation_report", json!({"model": "fraud"})),
        ("validation_report", json!({"model": "fraud", "version": "1", "alias": "a"})),
        ("validation_report", json!({"model": "fraud", "version": "one"})),
        ("validation_report", json!({"model": "fraud", "version": "-1"})),
        ("validation_report", json!({"model": "../fraud", "version": "1"})),
        ("deployment_checklist", json!({"model": "fraud", "version": "1", "alias": "v1"})),
    ] {
        let refused =
            gateway.modern(&token, "prompts/get", json!({"name": name, "arguments": arguments})).await;
        assert_eq!(refused.body["error"]["code"], json!(-32602), "{name} {arguments}: {}", refused.body);
    }
    let asked = json!({"name": "validation_report", "arguments": {"model": "fraud", "version": "9"}});
    let missing = gateway.modern(&token, "prompts/get", asked).await;
    assert_eq!(missing.body["error"]["data"]["code"], "not_found", "{}", missing.body);
}

#[tokio::test]
async fn only_the_gateway_with_a_token_of_the_tools_scope_gets_in() {
    let upstream = Upstream::start(Behaviour::Mlflow).await;
    let world = world(&upstream.url, &[], &[]).await;
    let mut gateway = world.connect("gateway").await.unwrap();
    let get = json!({"run_id": "a1"});
    let only = world.token("alice", &[("scope", json!("mlflow:get_run"))]);
    assert_eq!(gateway.tool(&only, "get_run", get.clone()).await.body["result"]["isError"], json!(false));
    let before = upstream.heard().len();
    let alias = json!({"model": "fraud", "alias": "production", "version": 1});
    assert_eq!(gateway.tool(&only, "set_model_alias", alias).await.status, StatusCode::FORBIDDEN);
    let prompt = json!({"name": "validation_report", "arguments": {"model": "fraud", "version": "1"}});
    assert_eq!(gateway.modern(&only, "prompts/get", prompt).await.status, StatusCode::FORBIDDEN);
    for change in [("aud", json!("s3")), ("exp", json!(1)), ("iss", json!("https://other.test"))] {
        let refused = gateway.tool(&world.token("alice", &[change]), "get_run", get.clone()).await;
        assert_eq!(refused.status, StatusCode::UNAUTHORIZED);
    }
    let body = world::modern("tools/list", json!({})).to_string();
    let refused = match world.connect("agent/demo").await {
        Err(_) => true,
        Ok(mut agent) => agent.send(http::Method::POST, Some(&only), &[], body).await.is_err(),
    };
    assert!(refused);
    assert_eq!(upstream.heard().len(), before);
}

#[tokio::test]
async fn the_program_sends_the_credential_of_its_file_and_logs_neither_that_nor_values() {
    use tokio::io::{AsyncBufReadExt, BufReader};
    let upstream = Upstream::start(Behaviour::Mlflow).await;
    let mut world = world(&upstream.url, &[], &[]).await;
    let dir = world.dir.path().to_owned();
    let file = |name: &str| dir.join(name).display().to_string();
    std::fs::write(file("credential"), "alan:open sesame\n").unwrap();
    let own = [
        "--certificate",
        &file("mlflow/cert.pem"),
        "--private-key",
        &file("mlflow/key.pem"),
        "--trust-bundle",
        &file("mlflow/bundle.pem"),
        "--jwks",
        &file("jwks.json"),
        "--gateway",
        "spiffe://mlflow.test/gateway",
        "--issuer",
        "https://issuer.test",
        "--audience",
        "mlflow",
    ]
    .map(ToOwned::to_owned);
    let program = || {
        let mut program = tokio::process::Command::new(env!("CARGO_BIN_EXE_mcp-mlflow"));
        program.args(&own);
        program
    };
    for (flag, sent) in [
        ("--basic-auth-file", "Basic YWxhbjpvcGVuIHNlc2FtZQ=="),
        ("--credential-file", "Bearer alan:open sesame"),
    ] {
        let mut running = program()
            .args(["--mlflow", &upstream.url, flag, &file("credential")])
            .env("RUST_LOG", "trace")
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::from(std::fs::File::create(file("log")).unwrap()))
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(running.stdout.take().unwrap()).lines();
        let line = lines.next_line().await.unwrap().unwrap();
        let token = world.token("alice", &[]);
        world.address = line.strip_prefix("listening on https://").unwrap().parse().unwrap();
        let mut gateway = world.connect("gateway").await.unwrap();
        let logged = json!({"run_id": "a1", "params": {"lr": "value_of_the_caller"}});
        let answer = gateway.tool(&token, "log_params", logged).await;
        assert_eq!(answer.body["result"]["isError"], json!(false), "{}", answer.body);
        assert_eq!(upstream::credential(upstream.heard().last().unwrap()), Some(sent));
        running.start_kill().unwrap();
        running.wait().await.unwrap();
        let log = std::fs::read_to_string(file("log")).unwrap();
        assert!(log.contains("log_params"));
        for secret in ["sesame", "YWxhbjpvcGVuIHNlc2FtZQ", "value_of_the_caller", &token] {
            assert!(!log.contains(secret), "{secret} is in the log");
        }
    }
    for (flag, wrong) in [
        ("--mlflow", "ftp://host"),
        ("--mlflow", "http://u:p@host"),
        ("--mlflow", "https://host/?a=b"),
        ("--mlflow", "http://host/#a"),
        ("--experiments", "*"),
        ("--models", "a*b"),
    ] {
        let place = if flag == "--mlflow" { wrong } else { "http://host" };
        let mut command = program();
        command.args(["--mlflow", place]);
        if flag != "--mlflow" {
            command.args([flag, wrong]);
        }
        let output = command.output().await.unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && said.contains(flag) && !said.contains("u:p@"), "{said}");
    }
}
