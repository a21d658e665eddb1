//! The MLflow server behind the gate, before a real MLflow: the starter policy lets the demo agent train and stage a model,
//! and do nothing of that to production or to other people's. What came of it MLflow's own client says.

use crate::mcp_conformance::{SCENARIOS, twice};
use gateway::token_service::{SubjectClaims, subject_token, users_issuer};
use serde_json::{Value, json};
use std::path::Path;
use std::time::Duration;
use world::agent::send;
use world::components::{installed, program, root};
use world::mlflow::Mlflow;
use world::served::{Served, heard};
use world::{Agent, Plan, Reply, World};

/// The tools, each with a scope of its own.
const SCOPES: &[&str] = &[
    "protocol",
    "resources",
    "prompts",
    "search_experiments",
    "get_experiment",
    "create_experiment",
    "create_run",
    "search_runs",
    "get_run",
    "get_metric_history",
    "log_metrics",
    "log_params",
    "set_run_tags",
    "finish_run",
    "list_artifacts",
    "get_artifact",
    "put_artifact",
    "search_models",
    "get_model",
    "create_model",
    "create_model_version",
    "get_model_version",
    "search_model_versions",
    "set_model_version_tags",
    "delete_model_version_tag",
    "set_model_alias",
    "delete_model_alias",
    "transition_model_stage",
    "search_traces",
    "get_trace",
];

/// The starter policies of mlflow, as they are shipped.
fn starter() -> Vec<(&'static str, String)> {
    let starter = root().join("policy/rego/starter");
    let mut found = Vec::new();
    let mut folders = vec![starter.clone()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(&starter).unwrap().display().to_string();
            if path.is_dir() {
                folders.push(path);
            } else if !name.ends_with("_test.rego") && (name.contains("mlflow") || is_shared(&name)) {
                found.push((&*name.leak(), std::fs::read_to_string(&path).unwrap()));
            }
        }
    }
    assert!(found.len() >= 30, "{}", found.len());
    found
}

fn is_shared(name: &str) -> bool {
    matches!(
        Path::new(name).file_name().and_then(|n| n.to_str()),
        Some("protocol.rego" | "paths.rego" | "demo.rego")
    )
}

async fn world(mlflow: &Mlflow, more: &[&str]) -> World {
    world_with(mlflow, more, starter()).await
}

async fn world_with(mlflow: &Mlflow, more: &[&str], policy: Vec<(&'static str, String)>) -> World {
    World::with(Plan { policy, served: Some(served(mlflow, more)), ..Plan::default() }).await
}

fn served(mlflow: &Mlflow, more: &[&str]) -> Served {
    let mut flags = vec!["--mlflow".to_owned(), mlflow.url()];
    flags.extend(more.iter().map(|flag| (*flag).to_owned()));
    Served {
        name: "mlflow",
        program: program("mcp-mlflow"),
        scopes: SCOPES,
        flags,
        files: vec![("audit-file", String::new())],
    }
}

/// Alice's agent of that name.
fn agent(world: &World, path: &str) -> Agent {
    let presenter = world.id(path);
    let claims = SubjectClaims {
        issuer: &users_issuer(&world.origin),
        subject: "alice",
        presenter: &presenter,
        audience: &world.url,
        scopes: &["bookkeeping".to_owned()].into(),
        ttl: Duration::from_secs(600),
    };
    let token = subject_token(&world.keys.users, &claims, world.clock.now()).unwrap();
    world.agent(path).with_token(token.expose()).at("/mcp/mlflow")
}

async fn done(agent: &Agent, tool: &str, arguments: Value) -> Value {
    let mut reply = agent.call(tool, arguments.clone()).await.json();
    assert_eq!(reply["result"]["isError"], json!(false), "{tool} {arguments}: {reply}");
    reply["result"]["structuredContent"].take()
}

async fn failed(agent: &Agent, tool: &str, arguments: Value) -> String {
    let reply = agent.call(tool, arguments.clone()).await.json();
    let code = reply["result"]["structuredContent"]["error"]["code"].as_str();
    code.unwrap_or_else(|| panic!("{tool} {arguments}: {reply}")).to_owned()
}

async fn rpc(agent: &Agent, method: &str, params: Value) -> Reply {
    send(agent.rpc(method, params)).await
}

/// Policy refuses each of these calls, and nothing comes of it but a record. Before them the server had heard `least`.
async fn refused(world: &World, mlflow: &Mlflow, agent: &Agent, least: usize, calls: &[(&str, Value)]) {
    let before = heard(world, least).await;
    let asked = || mlflow.log().matches("HTTP/1.1").count();
    let denials = || world.records("request").iter().filter(|record| record["decision"] == "denial").count();
    let (asked_before, denials_before) = (asked(), denials());
    for (tool, arguments) in calls {
        let reply = agent.call(tool, arguments.clone()).await;
        let answer = (reply.code(), reply.refused_because());
        assert_eq!(answer, (-32003, "not_allowed".to_owned()), "{tool} {arguments}: {}", reply.text);
    }
    assert_eq!(heard(world, before).await, before, "of the refused calls the server hears nothing");
    assert_eq!(asked(), asked_before, "nor does MLflow");
    assert_eq!(denials() - denials_before, calls.len(), "each has its record");
}

#[tokio::test]
async fn a_model_is_trained_and_staged_and_production_is_out_of_reach() {
    let Some(mlflow) = Mlflow::start() else { return };
    let world = world(&mlflow, &[]).await;
    let agent = agent(&world, "agent/demo");
    let demo = "demo-churn";

    done(&agent, "create_experiment", json!({"experiment": demo, "tags": {"team": "a"}})).await;
    assert_eq!(failed(&agent, "create_experiment", json!({"experiment": demo})).await, "already_exists");
    let run =
        done(&agent, "create_run", json!({"experiment": demo, "name": "first", "tags": {"data": "2026-11"}}))
            .await;
    let run_id = run["run_id"].as_str().unwrap();
    let of_run = |more: Value| {
        let mut arguments = json!({"run_id": run_id, "experiment": demo});
        arguments.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        arguments
    };
    let losses = json!([{"key": "loss", "value": 0.5, "step": 0}, {"key": "loss", "value": 0.25, "step": 1}]);
    done(&agent, "log_metrics", of_run(json!({"metrics": losses}))).await;
    done(&agent, "log_params", of_run(json!({"params": {"lr": "0.1"}}))).await;
    assert_eq!(failed(&agent, "log_params", of_run(json!({"params": {"lr": "0.2"}}))).await, "rejected");
    done(&agent, "set_run_tags", of_run(json!({"tags": {"owner": "alice"}}))).await;
    let report = json!({"path": "reports/validation.md", "content": "all fine"});
    done(&agent, "put_artifact", of_run(report)).await;
    done(&agent, "finish_run", of_run(json!({}))).await;

    done(&agent, "create_model", json!({"model": demo, "description": "who leaves"})).await;
    let made = json!({"model": demo, "path": "reports", "tags": {"validated": "yes"}});
    let version = done(&agent, "create_model_version", of_run(made)).await;
    assert_eq!((&version["version"], &version["run_id"]), (&json!(1), &json!(run_id)));
    let logged = mlflow.client(&["model", demo]);
    let made = json!({"model": demo, "logged_model_id": logged, "experiment": demo});
    assert_eq!(done(&agent, "create_model_version", made).await["version"], 2);
    done(
        &agent,
        "set_model_version_tags",
        json!({"model": demo, "version": 1, "tags": {"reviewed": "no", "a": "b"}}),
    )
    .await;
    done(&agent, "delete_model_version_tag", json!({"model": demo, "version": 1, "key": "a"})).await;
    let staged =
        done(&agent, "set_model_alias", json!({"model": demo, "alias": "staging", "version": 1})).await;
    assert_eq!(staged, json!({"model": demo, "alias": "staging", "version": 1}));
    let moved =
        done(&agent, "set_model_alias", json!({"model": demo, "alias": "staging", "version": 2})).await;
    assert_eq!((&moved["before"], &moved["version"]), (&json!(1), &json!(2)));
    let stage =
        done(&agent, "transition_model_stage", json!({"model": demo, "version": 1, "stage": "Staging"}))
            .await;
    assert_eq!(stage["stage"], "Staging");

    // Each with a twin above, one word away.
    let denied = [
        ("set_model_alias", json!({"model": demo, "alias": "production", "version": 1})),
        ("set_model_alias", json!({"model": "payroll", "alias": "staging", "version": 1})),
        ("transition_model_stage", json!({"model": demo, "version": 1, "stage": "Production"})),
        (
            "transition_model_stage",
            json!({"model": demo, "version": 1, "stage": "Staging", "archive_others": true}),
        ),
        ("delete_model_alias", json!({"model": demo, "alias": "production"})),
        ("create_experiment", json!({"experiment": "payroll"})),
        ("create_run", json!({"experiment": "Default"})),
        ("put_artifact", of_run(json!({"path": "model/MLmodel", "content": "x"}))),
        ("put_artifact", of_run(json!({"path": "reports/../model", "content": "x"}))),
        ("log_metrics", json!({"run_id": run_id, "metrics": losses})),
        ("search_runs", json!({"experiments": [demo, "Default"]})),
        ("search_models", json!({})),
        ("search_experiments", json!({"prefix": ""})),
        ("log_params", of_run(json!({"experiment": "payroll", "params": {"lr": "0.1"}}))),
        ("set_run_tags", of_run(json!({"experiment": "payroll", "tags": {"owner": "alice"}}))),
        ("finish_run", of_run(json!({"experiment": "payroll"}))),
        ("create_model", json!({"model": "payroll", "description": "who leaves"})),
        ("create_model_version", of_run(json!({"model": "payroll", "path": "reports"}))),
        ("create_model_version", json!({"model": demo, "logged_model_id": logged, "experiment": "payroll"})),
        (
            "set_model_version_tags",
            json!({"model": "payroll", "version": 1, "tags": {"reviewed": "no", "a": "b"}}),
        ),
        ("delete_model_version_tag", json!({"model": "payroll", "version": 1, "key": "a"})),
    ];
    refused(&world, &mlflow, &agent, 17, &denied).await;
    let other = self::agent(&world, "agent/other");
    let staged = json!({"model": demo, "alias": "staging", "version": 1});
    refused(&world, &mlflow, &other, 17, &[("set_model_alias", staged)]).await;

    let seen = mlflow.client(&["see", demo, demo]);
    assert_eq!(seen["experiments"], json!(["Default", demo]));
    assert_eq!(seen["tags"]["team"], "a");
    let run = &seen["runs"][0];
    assert_eq!(
        (&run["run_id"], &run["name"], &run["status"]),
        (&json!(run_id), &json!("first"), &json!("FINISHED"))
    );
    assert_eq!((&run["ended"], &run["params"]), (&json!(true), &json!({"lr": "0.1"})));
    assert_eq!(run["metrics"], json!({"loss": [[0, 0.5], [1, 0.25]]}));
    assert_eq!(run["files"], json!({"reports/validation.md": "all fine"}));
    let actor = world.id("agent/demo").to_string();
    for (key, value) in
        [("data", "2026-11"), ("owner", "alice"), ("mlflow.user", "alice"), ("sallyport.actor", &actor)]
    {
        assert_eq!(run["tags"][key], value, "{run}");
    }
    assert_eq!(seen["model"], json!({"description": "who leaves", "aliases": {"staging": "2"}}));
    let (first, second) = (&seen["versions"][0], &seen["versions"][1]);
    assert_eq!(
        (&first["stage"], &first["tags"]),
        (&json!("Staging"), &json!({"validated": "yes", "reviewed": "no"}))
    );
    assert!(first["source"].as_str().unwrap().ends_with("/artifacts/reports"), "{first}");
    assert!(second["source"].as_str().unwrap().contains(logged.as_str().unwrap()), "{second}");
    assert_eq!(second["stage"], "None");

    done(&agent, "delete_model_alias", json!({"model": demo, "alias": "staging"})).await;
    assert_eq!(mlflow.client(&["see", demo, demo])["model"]["aliases"], json!({}));
}

#[tokio::test]
async fn what_is_in_mlflow_is_found_read_and_reported_on() {
    let Some(mlflow) = Mlflow::start() else { return };
    let world = world(&mlflow, &[]).await;
    let agent = agent(&world, "agent/demo");
    let demo = "demo-fraud";
    let made = done(&agent, "create_experiment", json!({"experiment": demo, "tags": {"team": "a"}})).await;
    let mut runs = Vec::new();
    for (name, loss) in [("a", 0.5), ("b", 0.25), ("it's", 0.125)] {
        let run =
            done(&agent, "create_run", json!({"experiment": demo, "name": name, "tags": {"team": "a"}}))
                .await;
        let run_id = run["run_id"].as_str().unwrap().to_owned();
        let metrics = json!([{"key": "val/loss", "value": loss}]);
        done(&agent, "log_metrics", json!({"run_id": run_id, "experiment": demo, "metrics": metrics})).await;
        runs.push(run_id);
    }
    let found = async |filter: &str| {
        let asked = json!({"experiments": [demo], "filter": filter, "order_by": ["metrics.`val/loss` ASC"]});
        let found = done(&agent, "search_runs", asked).await;
        let names =
            found["runs"].as_array().unwrap().iter().map(|run| run["name"].as_str().unwrap().to_owned());
        names.collect::<Vec<_>>().join(",")
    };
    let listed = format!("run_id IN ('{}', '{}')", runs[0], runs[1]);
    for (filter, wanted) in [
        ("metrics.`val/loss` < 0.3", "it's,b"),
        ("metrics.`val/loss` >= 2.5e-1 AND status = 'RUNNING'", "b,a"),
        ("run_name = \"it's\"", "it's"),
        ("attributes.run_name LIKE 'it%' AND tags.none IS NULL", "it's"),
        ("run_name != 'a' AND start_time > 1700000000000", "it's,b"),
        ("tags.`mlflow.user` ILIKE 'ALICE'", "it's,b,a"),
        ("params.lr IS NOT NULL", ""),
        (listed.as_str(), "b,a"),
    ] {
        assert_eq!(found(filter).await, wanted, "{filter}");
    }
    let page = done(&agent, "search_runs", json!({"experiments": [demo], "page_size": 2})).await;
    let rest = json!({"experiments": [demo], "page_size": 2, "cursor": page["next_cursor"]});
    let rest = done(&agent, "search_runs", rest).await;
    assert_eq!((page["runs"].as_array().unwrap().len(), rest["runs"].as_array().unwrap().len()), (2, 1));
    assert!(rest["next_cursor"].is_null(), "{rest}");
    let sorted =
        json!({"prefix": "demo-", "filter": "name LIKE '%fraud'", "order_by": ["creation_time DESC"]});
    assert_eq!(done(&agent, "search_experiments", sorted).await["experiments"][0]["name"], demo);
    let history = json!({"run_id": runs[0], "experiment": demo, "metric": "val/loss"});
    assert_eq!(done(&agent, "get_metric_history", history).await["values"][0]["value"], 0.5);

    let of_run = |more: Value| {
        let mut arguments = json!({"run_id": runs[0], "experiment": demo});
        arguments.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        arguments
    };
    let seen = mlflow.client(&["see", demo, "none"]);
    let experiment = done(&agent, "get_experiment", json!({"experiment": demo})).await;
    assert_eq!(
        (&experiment["name"], &experiment["experiment_id"], &experiment["state"]),
        (&json!(demo), &made["experiment_id"], &json!("active"))
    );
    assert_eq!((&experiment["tags"], &experiment["tags"]["team"]), (&seen["tags"], &json!("a")));
    let first = done(&agent, "get_run", of_run(json!({}))).await;
    for (key, wanted) in [("name", "a"), ("experiment", demo), ("status", "RUNNING"), ("state", "active")] {
        assert_eq!(first[key], wanted, "{first}");
    }
    let metric = &first["metrics"][0];
    assert_eq!((&metric["key"], &metric["value"]), (&json!("val/loss"), &json!(0.5)), "{first}");
    let of_client = seen["runs"].as_array().unwrap().iter().find(|run| run["name"] == "a").unwrap();
    for key in ["run_id", "status", "params", "tags"] {
        assert_eq!(first[key], of_client[key], "{key}");
    }

    let bytes = json!({"path": "reports/ä b/data.bin", "content_base64": "AP8Q"});
    done(&agent, "put_artifact", of_run(bytes)).await;
    let folders = done(&agent, "list_artifacts", of_run(json!({"path": "reports"}))).await;
    assert_eq!(folders["artifacts"], json!([{"path": "reports/ä b", "folder": true}]));
    let piece = json!({"path": "reports/ä b/data.bin", "offset": 1, "length": 1});
    let piece = done(&agent, "get_artifact", of_run(piece)).await;
    assert_eq!(
        (&piece["content"], &piece["next_offset"], &piece["total_size"]),
        (&json!("/w=="), &json!(2), &json!(3))
    );
    assert_eq!(failed(&agent, "get_artifact", of_run(json!({"path": "reports"}))).await, "not_a_file");
    assert_eq!(failed(&agent, "get_artifact", of_run(json!({"path": "reports/none"}))).await, "not_found");

    let model = json!({"model": "demo-fraud", "description": "finds it", "tags": {"team": "a"}});
    done(&agent, "create_model", model).await;
    done(&agent, "create_model_version", of_run(json!({"model": demo, "path": "reports"}))).await;
    done(&agent, "set_model_alias", json!({"model": demo, "alias": "staging", "version": 1})).await;
    let by_alias = done(&agent, "get_model_version", json!({"model": demo, "alias": "staging"})).await;
    assert_eq!((&by_alias["version"], &by_alias["aliases"]), (&json!(1), &json!(["staging"])));
    assert_eq!(
        failed(&agent, "get_model_version", json!({"model": demo, "alias": "none"})).await,
        "not_found"
    );
    let models = json!({"prefix": "demo-", "filter": "tags.team = 'a'", "order_by": ["name"]});
    assert_eq!(done(&agent, "search_models", models).await["models"][0]["aliases"], json!({"staging": 1}));
    let versions =
        json!({"model": demo, "filter": "version_number = 1", "order_by": ["version_number DESC"]});
    assert_eq!(
        done(&agent, "search_model_versions", versions).await["versions"][0]["run_id"],
        json!(runs[0])
    );
    assert_eq!(done(&agent, "get_model", json!({"model": demo})).await["latest_versions"], json!([1]));

    let trace_id = mlflow.client(&["trace", demo]);
    for filter in [
        "status = 'OK' AND timestamp_ms > 1",
        "span.name LIKE 'look%'",
        "span.content LIKE '%how many%'",
        "name = 'answer' AND tags.none IS NULL",
        "metadata.`mlflow.source.type` = 'LOCAL'",
        "status IN ('OK', 'ERROR')",
    ] {
        let asked = json!({"experiments": [demo], "filter": filter, "order_by": ["timestamp_ms DESC"]});
        let traces = done(&agent, "search_traces", asked).await;
        assert_eq!(traces["traces"][0]["trace_id"], trace_id, "{filter}: {traces}");
    }
    let trace = done(&agent, "get_trace", json!({"trace_id": trace_id, "experiment": demo})).await;
    let names: Vec<_> = trace["spans"].as_array().unwrap().iter().map(|span| &span["name"]).collect();
    assert!(names.len() == 2 && names.contains(&&json!("look up")), "{trace}");
    assert!(trace.to_string().contains("how many?"), "{trace}");

    // Each with a twin above, one word away.
    let denied = [
        ("get_experiment", json!({"experiment": "payroll"})),
        ("get_run", of_run(json!({"experiment": "payroll"}))),
        ("get_run", json!({"run_id": runs[0]})),
        ("get_metric_history", of_run(json!({"experiment": "payroll", "metric": "val/loss"}))),
        ("list_artifacts", of_run(json!({"experiment": "payroll", "path": "reports"}))),
        ("get_artifact", of_run(json!({"experiment": "payroll", "path": "reports/ä b/data.bin"}))),
        ("get_model", json!({"model": "payroll"})),
        ("get_model_version", json!({"model": "payroll", "alias": "staging"})),
        ("search_model_versions", json!({"model": "payroll", "filter": "version_number = 1"})),
        ("search_traces", json!({"experiments": [demo, "payroll"], "filter": "status = 'OK'"})),
        ("get_trace", json!({"trace_id": trace_id, "experiment": "payroll"})),
    ];
    refused(&world, &mlflow, &agent, 41, &denied).await;

    let read = async |uri: &str| rpc(&agent, "resources/read", json!({ "uri": uri })).await;
    let version = read("model://registry/demo-fraud/versions/1").await;
    assert!(version.text.contains("staging") && version.text.contains(&runs[0]), "{}", version.text);
    let model = read("model://registry/demo-fraud").await;
    assert!(model.text.contains("finds it") && model.text.contains("staging"), "{}", model.text);
    assert_eq!(read("model://registry/payroll").await.refused_because(), "not_allowed");
    assert_eq!(read(&format!("experiment://runs/{}", runs[0])).await.refused_because(), "not_allowed");
    let prompt = async |name: &str, model: &str| {
        let mut asked = json!({"name": name, "arguments": {"model": model, "version": "1"}});
        if name == "deployment_checklist" {
            asked["arguments"]["alias"] = json!("production");
        }
        rpc(&agent, "prompts/get", asked).await
    };
    let report = prompt("validation_report", demo).await;
    assert!(
        report.text.contains("val/loss") && report.text.contains("\\\"staging\\\": 1"),
        "{}",
        report.text
    );
    let list = prompt("deployment_checklist", demo).await;
    assert!(list.text.contains("The target alias is production."), "{}", list.text);
    assert!(list.text.contains("val/loss") && list.text.contains("\\\"staging\\\": 1"), "{}", list.text);
    for name in ["validation_report", "deployment_checklist"] {
        assert_eq!(prompt(name, "payroll").await.refused_because(), "not_allowed");
    }
    let listed = rpc(&agent, "resources/list", json!({})).await;
    assert!(listed.text.contains("model://registry/demo-fraud"), "{}", listed.text);
}

#[tokio::test]
async fn a_run_of_others_stays_out_of_reach_whatever_its_caller_says() {
    let Some(mlflow) = Mlflow::start() else { return };
    let world = world(&mlflow, &["--experiments", "demo-*", "--models", "demo-*"]).await;
    let agent = agent(&world, "agent/demo");
    for name in ["demo-a", "demo-b"] {
        done(&agent, "create_experiment", json!({"experiment": name})).await;
    }
    // Somebody else's run and model, made beside the gateway.
    let theirs = mlflow.client(&["run", "payroll"]);
    let run = done(&agent, "create_run", json!({"experiment": "demo-b"})).await;
    let log = |run_id: &Value, experiment: &str| json!({"run_id": run_id, "experiment": experiment, "params": {"lr": "0.1"}});
    done(&agent, "log_params", log(&run["run_id"], "demo-b")).await;
    assert_eq!(failed(&agent, "log_params", log(&run["run_id"], "demo-a")).await, "other_experiment");
    assert_eq!(failed(&agent, "log_params", log(&theirs, "demo-a")).await, "not_found");
    let search = json!({"experiments": ["demo-a", "demo-none"]});
    assert_eq!(failed(&agent, "search_runs", search).await, "not_found");
    let seen = mlflow.client(&["see", "payroll", "payroll"]);
    assert_eq!((&seen["runs"][0]["run_id"], &seen["runs"][0]["params"]), (&theirs, &json!({})));
}

#[tokio::test]
async fn a_run_is_read_as_a_resource_where_policy_lets_and_within_the_fence_alone() {
    let Some(mlflow) = Mlflow::start() else { return };
    // The starter policy reads no run so, since its URI doesn't say whose it is; behind a fence another policy may.
    let all = "package resources.mlflow\n\nallow if {\n\tinput.caller.path == [\"agent\", \"demo\"]\n\tstartswith(input.call.resource.uri, \"experiment://runs/\")\n}\n";
    let mut policy = starter();
    policy.retain(|(path, _)| *path != "resources/mlflow.rego");
    policy.push(("resources/mlflow.rego", all.to_owned()));
    let world = world_with(&mlflow, &["--experiments", "demo-*"], policy).await;
    let agent = self::agent(&world, "agent/demo");
    done(&agent, "create_experiment", json!({"experiment": "demo-a"})).await;
    let run = done(&agent, "create_run", json!({"experiment": "demo-a", "name": "first"})).await;
    let run_id = run["run_id"].as_str().unwrap();
    let read = async |agent: &Agent, id: &str| {
        rpc(agent, "resources/read", json!({"uri": format!("experiment://runs/{id}")})).await
    };
    let found = read(&agent, run_id).await.json();
    let text = found["result"]["contents"][0]["text"].as_str().unwrap_or_else(|| panic!("{found}"));
    let told: Value = serde_json::from_str(text).unwrap();
    assert_eq!((&told["run_id"], &told["name"]), (&json!(run_id), &json!("first")));
    assert_eq!(mlflow.client(&["see", "demo-a", "none"])["runs"][0]["run_id"], json!(run_id));
    let theirs = mlflow.client(&["run", "payroll"]);
    let outside = read(&agent, theirs.as_str().unwrap()).await.json();
    assert_eq!(outside["error"]["data"]["code"], "not_found", "{outside}");
    let before = heard(&world, 4).await;
    let other = self::agent(&world, "agent/other");
    assert_eq!(read(&other, run_id).await.refused_because(), "not_allowed");
    assert_eq!(heard(&world, before).await, before, "of the refused call the server hears nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_mlflow_server_speaks_mcp_as_the_conformance_kit_wants_it_directly_and_through_the_gateway() {
    let Some(node) = installed("node22", "conformance") else { return };
    let Some(mlflow) = Mlflow::start() else { return };
    let prompts = [("prompts-list", "2025-11-25"), ("prompts-list", "2026-07-28")];
    twice(&node, served(&mlflow, &[]), &[&SCENARIOS[..], &prompts].concat(), &[]).await;
}
