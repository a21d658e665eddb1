//! `sallyport up` with its five MCP servers, each before the real system: what it says of them, and what one URL shows whom.

use gateway::up::starter::USER_SCOPES;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use world::Agent;
use world::agent::send;
use world::components::{Sallyport, program, python, root};
use world::kubernetes::Cluster;
use world::llama;
use world::mlflow::Mlflow;
use world::watchers::Prometheus;

/// The usual list, each server before what runs here.
fn list(mlflow: &Mlflow, prometheus: &Prometheus, cluster: &Cluster, token: &Path, model: &Path) -> String {
    let usual = std::fs::read_to_string(root().join("gateway/src/up/starter/servers.yaml")).unwrap();
    let here = [
        (
            "\"http://127.0.0.1:8001\"",
            format!("{:?}, --server-ca, {:?}, --credential-file, {token:?}", cluster.url(), cluster.ca()),
        ),
        ("http://127.0.0.1:8001", cluster.url()),
        ("http://127.0.0.1:5000", mlflow.url()),
        ("http://127.0.0.1:9090", prometheus.url()),
        ("{model}", model.display().to_string()),
    ];
    here.iter().fold(usual, |text, (usual, here)| {
        assert!(text.contains(usual), "{usual}");
        text.replace(usual, here)
    })
}

fn at_one_url(up: &Sallyport, svid: &Path, token: &str) -> Agent {
    certs::install_crypto();
    let read = |name: &str| std::fs::read_to_string(svid.join(name)).unwrap();
    let pem = (read("cert.pem"), read("key.pem"));
    let url = &up.env["SALLYPORT_URL"];
    Agent::from_pem(url, &read("bundle.pem"), Some((&pem.0, &pem.1)), &[b"http/1.1"])
        .with_token(token)
        .at("/mcp")
}

/// The servers whose tools an agent lists.
async fn listed(agent: &Agent) -> BTreeSet<String> {
    let reply = send(agent.rpc("tools/list", json!({}))).await.json();
    let tools = reply["result"]["tools"].as_array().unwrap_or_else(|| panic!("{reply}"));
    tools.iter().map(|tool| tool["name"].as_str().unwrap().split_once("__").unwrap().0.to_owned()).collect()
}

/// Another agent of the trust domain, for which policy opens one tool at each of two servers.
fn intern(up: &Sallyport) -> Agent {
    for (server, tool) in [("s3", "get_object"), ("prometheus", "query_instant")] {
        let path = up.path(&format!("policies/tools/{server}/{tool}.rego"));
        let text = std::fs::read_to_string(&path).unwrap();
        let more = "\nvisible if input.caller.path == [\"agent\", \"intern\"]\n";
        std::fs::write(&path, text + more).unwrap();
    }
    let sallyport = |arguments: &[&str]| {
        let mut command = Command::new(program("sallyport"));
        let output = command.args(arguments).arg("--dir").arg(up.path("")).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    let svid = up.path("intern");
    sallyport(&["svid", "agent/intern", "--out", svid.to_str().unwrap()]);
    at_one_url(up, &svid, &sallyport(&["token", "--agent", "agent/intern"]))
}

#[tokio::test]
async fn five_servers_are_before_real_systems_and_one_url_shows_an_agent_all_of_them_and_another_two() {
    let all =
        (Mlflow::start(), Prometheus::of_namespaces(&["ml"]), Cluster::shared(), llama::model(), python());
    let (Some(mlflow), Some(prometheus), Some(cluster), Some(model), Some(python)) = all else { return };
    let dir = tempfile::tempdir().unwrap();
    let rights = ["deployments.apps=get,list,patch", "deployments.apps/scale=get,patch", "pods=get,list"];
    let token = dir.path().join("token");
    cluster.namespace("staging");
    certs::files::write(&token, cluster.service_account("of-up", &["staging"], &rights).as_bytes(), 0o600)
        .unwrap();
    prometheus.query("up").await;

    let mut up = Sallyport::with_servers(&list(&mlflow, &prometheus, cluster, &token, &model));
    for (server, place) in [
        ("inference", "ready".to_owned()),
        ("kubernetes", format!("before {}", cluster.url())),
        ("mlflow", format!("before {}", mlflow.url())),
        ("prometheus", format!("before {}", prometheus.url())),
        ("s3", "ready".to_owned()),
    ] {
        let line = up.said.lines().find(|line| line.trim_start().starts_with(&format!("/mcp/{server} ")));
        assert!(line.is_some_and(|line| line.ends_with(&place)), "{server}: {}", up.said);
    }

    let demo = at_one_url(&up, &up.path("svids/agent-demo"), &up.env["SALLYPORT_TOKEN"]);
    assert_eq!(
        listed(&demo).await.into_iter().collect::<Vec<_>>(),
        ["inference", "kubernetes", "mlflow", "prometheus", "s3"]
    );
    let intern = intern(&up);
    let mut both = BTreeSet::new();
    for _ in 0..100 {
        both = listed(&intern).await; // The policies are taken up within a second.
        if both.len() == 2 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    assert_eq!(both.into_iter().collect::<Vec<_>>(), ["prometheus", "s3"]);

    // One call to each system, one that changes something, and their twins, by the official client.
    up.env.insert("SALLYPORT_TOKEN".into(), up.token(&[&USER_SCOPES[..], &["s3:write"]].concat().join(",")));
    let report =
        |key: &str| json!({"bucket": "demo", "key": key, "content": "all is well", "if_none_match": "*"});
    let asks = |model: &str| {
        let messages = json!([{"role": "user", "content": "Which city is the capital of France?"}]);
        json!({"model": model, "messages": messages, "max_tokens": 16})
    };
    let calls = [
        ("inference__chat", asks("smollm2"), asks("smollm3")),
        (
            "kubernetes__list",
            json!({"kind": "Deployment", "namespace": "staging"}),
            json!({"kind": "Deployment", "namespace": "production"}),
        ),
        ("mlflow__search_experiments", json!({"prefix": "demo-"}), json!({"prefix": "payroll-"})),
        (
            "prometheus__query_instant",
            json!({"query": "up", "metrics": ["up"]}),
            json!({"query": "payroll_total", "metrics": ["payroll_total"]}),
        ),
        (
            "s3__get_object",
            json!({"bucket": "demo", "key": "public/hello.txt"}),
            json!({"bucket": "demo", "key": "private/salary.csv"}),
        ),
        ("s3__put_object", report("public/agent-demo/report.txt"), report("public/report.txt")),
    ];
    let steps: Vec<Value> = calls
        .iter()
        .flat_map(|(tool, allowed, denied)| {
            [allowed, denied].map(|arguments| json!({"do": "call", "name": tool, "arguments": arguments}))
        })
        .collect();
    let arguments =
        ["tests/clients/python/mcp_client.py", "--server", "", "script", &json!(steps).to_string()];
    let lines = up.client(&python, &arguments);
    let records = loop {
        let records = up.records("tools/call"); // Each is written when its answer is gone, a moment after it was heard.
        if records.len() >= steps.len() {
            break records;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    };
    for (at, (tool, allowed, denied)) in calls.iter().enumerate() {
        let (server, name) = tool.split_once("__").unwrap();
        let (answer, refusal) = (&lines[1 + 2 * at], &lines[2 + 2 * at]);
        println!(
            "> {tool} {allowed}\n< {}\n> {tool} {denied}\n< {}\n",
            answer["result"]["content"][0]["text"], refusal["error"]
        );
        assert!(answer["ok"] == true && answer["result"]["isError"] == false, "{answer}");
        assert_eq!(refusal["error"]["data"], json!({"reason": "not_allowed"}), "{refusal}");
        let at_server = calls.iter().filter(|(tool, ..)| tool.starts_with(&format!("{server}__"))).count();
        assert_eq!(up.heard_at(server), at_server, "{server} hears of the first ones alone");
        let of_tool = |r: &&Value| r["server"] == server && r["target"]["tool"] == name;
        let decided: Vec<_> = records.iter().filter(of_tool).map(|r| &r["decision"]).collect();
        assert_eq!(decided, [&json!("permit"), &json!("denial")], "{tool}");
    }
    let in_store = |key: &str| std::fs::read_to_string(up.path("data/demo/public").join(key)).ok();
    assert_eq!(in_store("agent-demo/report.txt").as_deref(), Some("all is well"));
    assert_eq!(in_store("report.txt"), None);
}

#[test]
fn up_says_which_systems_it_did_not_find_and_what_is_missing() {
    let list = "gone:\n  program: mcp-gone\n\
        model:\n  program: mcp-s3\n  needs: nowhere.gguf\n\
        prometheus:\n  program: mcp-prometheus\n  args: [--prometheus, 'http://127.0.0.1:1']\n  before: http://127.0.0.1:1\n";
    let up = Sallyport::with_servers(list);
    let line = |server: &str| {
        up.said
            .lines()
            .find(|line| line.trim_start().starts_with(&format!("/mcp/{server} ")))
            .unwrap()
            .to_owned()
    };
    assert!(line("gone").contains("NOT STARTED: mcp-gone is neither beside sallyport nor on the PATH"));
    assert!(line("model").contains("NOT STARTED") && line("model").contains("nowhere.gguf is not there"));
    assert!(line("prometheus").contains("NOTHING LISTENS at http://127.0.0.1:1"));
    assert!(up.terminate().success());
}
