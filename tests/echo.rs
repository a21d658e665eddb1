//! The demo agent of `sallyport up`, and how one finds it: what is printed is typed as it is printed.

use reqwest::Method;
use serde_json::{Value, json};
use std::process::{Command, Output};
use world::Agent;
use world::agent::send;
use world::components::{Sallyport, program};

/// What `up` has printed below a heading, as one would type it.
fn printed(up: &Sallyport, heading: &str) -> String {
    let (_, below) = up.said.split_once(&format!("\n{heading}\n")).unwrap_or_else(|| panic!("{}", up.said));
    below.split("\n\n").next().unwrap().to_owned()
}

fn typed(up: &Sallyport, line: &str) -> String {
    let script = format!("{}\n{line}", printed(up, "In another terminal:"));
    let output = Command::new("bash").arg("-c").arg(script).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn heard(up: &Sallyport) -> Vec<String> {
    let log = std::fs::read_to_string(up.path("agent-echo.log")).unwrap();
    log.lines().map(ToOwned::to_owned).collect()
}

/// So many records of a method, or more: each is written when its answer is gone, a moment after it was heard.
fn records(up: &Sallyport, method: &str, count: usize) -> Vec<Value> {
    loop {
        let all = up.records(method);
        if all.len() >= count {
            return all;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
}

fn demo(up: &Sallyport) -> Agent {
    agent(up, &up.env["SALLYPORT_URL"], "agent-demo").with_token(&up.env["SALLYPORT_TOKEN"])
}

fn agent(up: &Sallyport, url: &str, svid: &str) -> Agent {
    certs::install_crypto();
    let read = |name: &str| std::fs::read_to_string(up.path("svids").join(svid).join(name)).unwrap();
    Agent::from_pem(url, &read("bundle.pem"), Some((&read("cert.pem"), &read("key.pem"))), &[b"http/1.1"])
}

fn events(text: &str) -> Vec<Value> {
    text.lines().filter_map(|line| serde_json::from_str(line.strip_prefix("data: ")?).ok()).collect()
}

#[test]
fn what_up_prints_is_answered_word_by_word_and_its_twin_is_denied() {
    let up = Sallyport::up();
    let said = events(&typed(&up, &printed(&up, "An agent that says again what it hears, word by word:")));
    let words: Vec<&str> = said
        .iter()
        .filter_map(|event| event["result"]["artifactUpdate"]["artifact"]["parts"][0]["text"].as_str())
        .collect();
    assert_eq!(words, ["what ", "is ", "my ", "name"], "{said:#?}");
    assert_eq!(said.first().unwrap()["result"]["task"]["status"]["state"], "TASK_STATE_WORKING");
    assert_eq!(said.last().unwrap()["result"]["statusUpdate"]["status"]["state"], "TASK_STATE_COMPLETED");
    let demo = "SendStreamingMessage subject=alice actor=spiffe://dev.sallyport/agent/demo";
    assert_eq!(heard(&up), [demo]);

    let refused = typed(&up, &printed(&up, "The same with one word changed, refused:"));
    let refused: Value = serde_json::from_str(&refused).unwrap_or_else(|_| panic!("{refused}"));
    assert_eq!(refused["error"]["code"], -32030, "{refused}");
    assert!(refused.to_string().contains("password"), "{refused}");
    assert_eq!(heard(&up), [demo], "the agent has not heard of it");
    let records = records(&up, "SendStreamingMessage", 2);
    let kept = records.iter().map(|r| (r["server"].as_str().unwrap(), r["decision"].as_str().unwrap()));
    assert_eq!(kept.collect::<Vec<_>>(), [("echo", "permit"), ("echo", "denial")]);
    assert_eq!(records[1]["reason"], "password");
}

#[tokio::test]
async fn the_demo_agent_answers_in_both_bindings_and_remembers_its_tasks() {
    let up = Sallyport::up();
    let demo = demo(&up);
    let message =
        |text: &str| json!({"message": {"messageId": "m", "role": "ROLE_USER", "parts": [{"text": text}]}});
    let ask = async |below: &str, body: Value| {
        let path = format!("/a2a/echo{below}");
        send(demo.post(&path, body.to_string()).header("a2a-version", "1.0")).await
    };
    let rpc =
        |method: &str, params: Value| json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
    let by_rpc = ask("", rpc("SendMessage", message("one two"))).await.json()["result"]["task"].clone();
    let by_rest = ask("/message:send", message("one two")).await.json()["task"].clone();
    for task in [&by_rpc, &by_rest] {
        assert_eq!(task["artifacts"][0]["parts"][0]["text"], "one two", "{task}");
    }
    let streamed = ask("/message:stream", message("one two")).await;
    assert_eq!(events(&streamed.text).len(), 4, "{streamed:?}");
    let again = ask("", rpc("GetTask", json!({ "id": by_rest["id"] }))).await;
    assert_eq!(again.json()["result"], by_rest, "{again:?}");
    let path = format!("/a2a/echo/tasks/{}", by_rpc["id"].as_str().unwrap());
    let again = send(demo.request(Method::GET, &path).header("a2a-version", "1.0")).await;
    assert_eq!(again.json(), by_rpc, "{again:?}");
    let nothing = ask("", rpc("SendMessage", message(" "))).await;
    assert_eq!(nothing.code(), -32602, "{nothing:?}");
    let file = json!({"message": {"messageId": "m", "role": "ROLE_USER", "parts": [{"url": "https://example.org/"}]}});
    assert_eq!(ask("/message:send", file).await.refused_because(), "text_only");
}

#[tokio::test]
async fn the_demo_agent_takes_nobody_but_the_gateway_and_no_token_but_its_own() {
    let up = Sallyport::up();
    let config = std::fs::read_to_string(up.path("sallyport.yaml")).unwrap();
    let url = config.lines().find_map(|line| line.trim().strip_prefix("jsonrpc: ")).unwrap();
    let origin = url.strip_suffix("/a2a").unwrap();
    let stranger = agent(&up, origin, "agent-demo").with_token(&up.env["SALLYPORT_TOKEN"]);
    assert!(stranger.request(Method::GET, "/.well-known/agent-card.json").send().await.is_err());
    let gateway = agent(&up, origin, "gateway");
    let card = send(gateway.request(Method::GET, "/.well-known/agent-card.json")).await;
    assert_eq!(card.json()["skills"][0]["id"], "repeat", "{card:?}");
    for token in [None, Some(&up.env["SALLYPORT_TOKEN"])] {
        let caller = token.map_or_else(|| gateway.clone(), |token| gateway.clone().with_token(token));
        assert_eq!(
            send(caller.post("/a2a", "{}".into())).await.status,
            401,
            "the person's own token is not the agent's"
        );
    }
    assert!(heard(&up).is_empty());
}

fn agents(arguments: &[&str]) -> Output {
    Command::new(program("sallyport")).arg("agents").args(arguments).output().unwrap()
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[test]
fn agents_are_listed_and_shown_to_who_may_talk_to_them() {
    let up = Sallyport::up();
    let dir = up.path("");
    let dir = dir.to_str().unwrap();
    let list = text(&agents(&["list", "--dir", dir]));
    assert!(list.starts_with("NAME  HEALTH"), "{list}");
    assert!(list.lines().nth(1).unwrap().starts_with("echo  "), "{list}");
    let found = agents(&["list", "--dir", dir, "--json", "--search", "ECH"]);
    let found: Value = serde_json::from_slice(&found.stdout).unwrap();
    assert_eq!((&found[0]["name"], found.as_array().unwrap().len()), (&json!("echo"), 1));
    let none = agents(&["list", "--dir", dir, "--search", "nobody"]);
    assert!(none.status.success() && text(&none).starts_with("no agent"), "{}", text(&none));
    let shown = text(&agents(&["show", "echo", "--dir", dir]));
    assert!(shown.contains(&format!("{}/a2a/echo\n", up.env["SALLYPORT_URL"])), "{shown}");
    let other = agents(&["show", "eho", "--dir", dir]);
    assert_eq!(other.status.code(), Some(1));
    assert!(text(&other).contains("sallyport agents list"), "{}", text(&other));
    assert_eq!(records(&up, "agents/list", 5).len(), 5, "each question leaves a record");
}

#[test]
fn anybody_else_asks_with_flags_and_hears_what_is_theirs() {
    let up = Sallyport::up();
    let (dir, svid) = (up.path(""), up.path("other"));
    let made = Command::new(program("sallyport"))
        .args(["svid", "agent/other", "--dir", dir.to_str().unwrap(), "--out", svid.to_str().unwrap()])
        .output()
        .unwrap();
    assert!(made.status.success());
    let (url, token) = (up.env["SALLYPORT_URL"].as_str(), up.path("token"));
    std::fs::write(&token, &up.env["SALLYPORT_TOKEN"]).unwrap();
    let asked = |gateway: &str, svid: &std::path::Path, more: &[&str]| {
        let file = |name: &str| svid.join(name).to_str().unwrap().to_owned();
        let (certificate, key, bundle) = (file("cert.pem"), file("key.pem"), file("bundle.pem"));
        let mut all = vec!["list", "--json", "--url", url, "--gateway", gateway];
        all.extend(["--certificate", &certificate, "--private-key", &key, "--trust-bundle", &bundle]);
        all.extend(more);
        agents(&all)
    };
    let gateway = "spiffe://dev.sallyport/gateway";
    let with_token = ["--token", token.to_str().unwrap()];
    let demo = asked(gateway, &up.path("svids/agent-demo"), &with_token);
    assert!(text(&demo).contains("\"echo\""), "{}", text(&demo));
    let nobody = asked(gateway, &svid, &[]);
    assert_eq!(text(&nobody).trim(), "[]", "another workload finds nobody");
    let foreign = asked(gateway, &svid, &with_token);
    assert!(text(&foreign).contains("does not accept the token"), "{}", text(&foreign));
    let other = asked("spiffe://dev.sallyport/other", &svid, &[]);
    assert!(text(&other).contains("proves another SPIFFE ID"), "{}", text(&other));
}

#[test]
fn what_is_missing_is_said_with_what_to_do() {
    let empty = tempfile::tempdir().unwrap();
    let dir = empty.path().to_str().unwrap();
    let none = agents(&["list", "--dir", dir]);
    assert_eq!(none.status.code(), Some(1));
    assert!(text(&none).contains("sallyport up --dir"), "{}", text(&none));
    let half = agents(&["list", "--url", "https://gateway.example"]);
    assert_eq!(half.status.code(), Some(2));
    assert!(text(&half).contains("--gateway"), "{}", text(&half));
    let up = Sallyport::up();
    let kept = tempfile::tempdir().unwrap();
    let copied = Command::new("cp").arg("-a").arg(up.path("")).arg(kept.path()).status().unwrap();
    assert!(copied.success() && up.terminate().success());
    let gone = agents(&["list", "--dir", kept.path().join("state").to_str().unwrap()]);
    assert!(text(&gone).contains("nobody listens at https://127.0.0.1:"), "{}", text(&gone));
    let help = text(&agents(&["list", "--help"]));
    assert!(help.contains("sallyport agents list --tag text --json"), "{help}");
}
