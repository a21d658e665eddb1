//! `sallyport up` with its five MCP servers, each before the real system: what it says of them, and what one URL shows whom.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use gateway::up::starter::USER_SCOPES;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::Command;
use world::Agent;
use world::agent::send;
use world::components::{self, Sallyport, python, root};
use world::kubernetes::Cluster;
use world::llama;
use world::mlflow::Mlflow;
use world::watchers::{Alertmanager, Prometheus};

/// The usual list, each server before what runs here.
fn list(
    mlflow: &Mlflow,
    (prometheus, alertmanager): (&Prometheus, &Alertmanager),
    cluster: &Cluster,
    token: &Path,
    store: &[String],
    model: &Path,
) -> String {
    let usual = std::fs::read_to_string(root().join("gateway/src/up/starter/servers.yaml")).unwrap();
    let here = [
        ("kubernetes-ca.pem", cluster.ca().display().to_string()),
        ("kubernetes.token", token.display().to_string()),
        ("file, --root, data, --buckets, demo", store.join(", ")),
        ("https://127.0.0.1:6443", cluster.url()),
        ("http://127.0.0.1:5000", mlflow.url()),
        ("http://127.0.0.1:9090", prometheus.url()),
        ("http://127.0.0.1:9093", alertmanager.url()),
        ("{model}", model.display().to_string()),
    ];
    here.iter().fold(usual, |text, (usual, here)| {
        assert!(text.contains(usual), "{usual}");
        text.replace(usual, here)
    })
}

/// What AWS's own SDK says of the S3 service.
fn sdk(arguments: &[&str]) -> Value {
    let script = root().join("tests/clients/s3/s3_client.py");
    let python = components::store_sdks().unwrap();
    let output = Command::new(python).arg(script).args(arguments).output().unwrap();
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"))
}

/// A bucket of an S3 service with what the folder of `up` has, and the flags that lead there. None where there is no such
/// service.
fn bucket(folder: &Path) -> Option<Vec<String>> {
    let Ok(endpoint) = std::env::var("SALLYPORT_S3_ENDPOINT") else {
        components::missing("an S3 service", "cargo xtask with s3 -- ...");
        return None;
    };
    components::store_sdks()?;
    let hello = folder.join("hello.txt");
    std::fs::write(&hello, "Hello from behind the gate.\n").unwrap();
    sdk(&["bucket", "demo"]);
    for key in ["public/hello.txt", "private/salary.csv"] {
        sdk(&["put", "demo", key, hello.to_str().unwrap()]);
    }
    let mut flags = ["s3://demo", "--allow-http", "--endpoint", &endpoint].map(str::to_owned).to_vec();
    for (flag, name) in
        [("--access-key-file", "SALLYPORT_S3_ACCESS_KEY"), ("--secret-key-file", "SALLYPORT_S3_SECRET_KEY")]
    {
        let path = folder.join(name);
        certs::files::write(&path, std::env::var(name).unwrap().as_bytes(), 0o600).unwrap();
        flags.extend([flag.to_owned(), path.display().to_string()]);
    }
    Some(flags.iter().map(|flag| format!("{flag:?}")).collect())
}

fn at_one_url(up: &Sallyport, svid: &Path, token: &str) -> Agent {
    up.agent(svid, token).at("/mcp")
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
    let svid = up.path("intern");
    up.sallyport(&["svid", "agent/intern", "--out", svid.to_str().unwrap()]);
    at_one_url(up, &svid, &up.sallyport(&["token", "--agent", "agent/intern"]))
}

#[tokio::test]
async fn five_servers_are_before_real_systems_and_one_url_shows_an_agent_all_of_them_and_another_two() {
    let metrics = (Prometheus::of_namespaces(&["ml"]), Alertmanager::start());
    let all = (Mlflow::start(), metrics, Cluster::shared(), llama::model(), python());
    let (Some(mlflow), (Some(prometheus), Some(alertmanager)), Some(cluster), Some(model), Some(python)) =
        all
    else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let Some(store) = bucket(dir.path()) else { return };
    let rights = ["deployments.apps=get,list,patch", "deployments.apps/scale=get,patch", "pods=get,list"];
    let token = dir.path().join("token");
    cluster.namespace("staging");
    certs::files::write(&token, cluster.service_account("of-up", &["staging"], &rights).as_bytes(), 0o600)
        .unwrap();
    prometheus.query("up").await;

    let mut up = Sallyport::with_servers(&list(
        &mlflow,
        (&prometheus, &alertmanager),
        cluster,
        &token,
        &store,
        &model,
    ));
    for (server, place) in [
        ("inference", format!("ready, with {}", model.display())),
        ("kubernetes", format!("before what listens at {}", cluster.url())),
        ("mlflow", format!("before {}", mlflow.url())),
        ("prometheus", format!("before {}; before {}", prometheus.url(), alertmanager.url())),
        ("s3", format!("ready: --store {}", store.join(" ").replace('"', ""))),
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
    let keys = ["private/salary.csv", "public/agent-demo/report.txt", "public/hello.txt"];
    assert_eq!(sdk(&["keys", "demo"]), json!(keys), "the one report is there, and not the other");
    assert_eq!(sdk(&["get", "demo", keys[1]])["base64"], STANDARD.encode("all is well"));
}

#[test]
fn up_says_which_systems_it_did_not_find_and_what_is_missing() {
    let list = "gone:\n  program: mcp-gone\n\
        model:\n  program: mcp-s3\n  needs: nowhere.gguf\n\
        prometheus:\n  program: mcp-prometheus\n  args: [--prometheus, 'http://127.0.0.1:1']\n  before: [http://127.0.0.1:1, http://OTHER/-/ready]\n";
    let other = nothing_but_404();
    let up = Sallyport::with_servers(&list.replace("OTHER", &other.to_string()));
    let line = |server: &str| {
        up.said
            .lines()
            .find(|line| line.trim_start().starts_with(&format!("/mcp/{server} ")))
            .unwrap()
            .to_owned()
    };
    assert!(line("gone").contains("NOT STARTED: mcp-gone is neither beside sallyport nor on the PATH"));
    assert!(line("model").contains("NOT STARTED") && line("model").contains("nowhere.gguf is not there"));
    let both = format!(
        "NOTHING LISTENS at http://127.0.0.1:1: start it there, or change servers.yaml; \
         NOT WELL, or something else: http://{other}/-/ready doesn't answer as it should"
    );
    assert!(line("prometheus").contains(&both), "{}", up.said);
    assert!(up.terminate().success());
}

/// A web server that is another one than was looked for.
fn nothing_but_404() -> SocketAddr {
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in socket.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 1024]);
            let _ = stream.write_all(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n");
        }
    });
    address
}
