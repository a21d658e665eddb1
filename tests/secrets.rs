//! What must never be written down, looked for in all that a run has written.

use http::Method;
use reqwest::RequestBuilder;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use tokio::io::AsyncWriteExt;
use world::agent::{meta, send};
use world::{Agent, Answer, Plan, World, policies};

/// What is said in arguments, bodies and headers, and by the server: each a word that nobody else says.
const WORDS: [&str; 12] = [
    "argument-of-a-permit",
    "argument-of-a-denial",
    "argument-of-no-tool",
    "body-that-is-broken",
    "key-that-is-double",
    "value-of-a-parameter",
    "value-of-a-cookie",
    "password-of-basic",
    "session-that-is-open",
    "query-of-a-url",
    "result-of-the-server",
    "failure-of-the-server",
];

fn rpc(agent: &Agent, tool: &str, note: &str, cents: u32) -> RequestBuilder {
    agent.rpc("tools/call", json!({"name": tool, "arguments": {"amount_cents": cents, "note": note}}))
}

/// Every way to bring a secret to the gateway: with calls that pass, that are refused, and that can't be read.
async fn a_whole_run(world: &World, url: &str, token: &str) -> Vec<u16> {
    let clerk = world.agent("agent/clerk").with_token(token).to(url);
    let bare = world.agent("agent/clerk").to(url);
    let body = |text: &str| clerk.post("/mcp/ledger", text.to_owned());
    let call = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {
        "name": "post_entry", "arguments": {"amount_cents": 1}, "task": "value-of-a-parameter", "_meta": meta()}});
    let older = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list"}).to_string();
    let requests = [
        rpc(&clerk, "post_entry", WORDS[0], 1),
        rpc(&clerk, "post_entry", WORDS[1], 9999),
        rpc(&clerk, "no_such_tool", WORDS[2], 1),
        rpc(&clerk.clone().at("/mcp/nowhere"), "post_entry", WORDS[2], 1),
        clerk.rpc("tools/list", json!({})),
        body(WORDS[3]),
        body(&format!("{{\"jsonrpc\": \"2.0\", \"{}\": 1, \"{}\": 2}}", WORDS[4], WORDS[4])),
        body(&call.to_string()),
        body(&older).header("mcp-protocol-version", "2025-11-25").header("mcp-session-id", WORDS[8]),
        clerk.request(Method::GET, "/mcp/ledger").header("accept", "text/event-stream"),
        clerk.request(Method::PUT, "/mcp/ledger"),
        // The token where it does not belong.
        rpc(&bare, "post_entry", WORDS[0], 1).header("x-api-key", token),
        rpc(&bare, "post_entry", WORDS[0], 1).header("cookie", format!("{}; {token}", WORDS[6])),
        rpc(&bare, "post_entry", WORDS[0], 1).header("authorization", format!("Basic {}", WORDS[7])),
        rpc(&bare, "post_entry", WORDS[0], 1).header("authorization", format!("Bearer {token} {token}")),
        rpc(&clerk, "post_entry", WORDS[0], 1).header("authorization", format!("Bearer {token}")),
        rpc(&bare, "post_entry", WORDS[0], 1).header("mcp-method", format!("Bearer {token}")),
        bare.request(Method::POST, &format!("/mcp/ledger?access_token={token}&q={}", WORDS[9])),
        bare.request(Method::GET, &format!("/nowhere?{token}")),
        // One that is nobody's any more, and one that is somebody else's to present.
        rpc(&bare.clone().with_token(&format!("{token}x")), "post_entry", WORDS[0], 1),
        rpc(&world.agent("agent/other").with_token(token).to(url), "post_entry", WORDS[0], 1),
    ];
    let mut statuses = Vec::new();
    for request in requests {
        statuses.push(send(request).await.status);
    }
    statuses
}

/// Everything below a folder that a run has written; the keys of the world are not among it.
fn written(folder: &Path) -> Vec<(PathBuf, String)> {
    let keys = ["ca", "gateway", "mcp-ledger", "token-service", "agent-clerk", "agent-other"];
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            if !keys.iter().any(|name| path.ends_with(name)) {
                found.extend(written(&path));
            }
        } else {
            found.push((path.clone(), String::from_utf8_lossy(&std::fs::read(&path).unwrap()).into_owned()));
        }
    }
    found
}

/// A token and its parts that say something; the head of a JWT is the same in all of them.
fn parts(token: &str) -> Vec<String> {
    token.split('.').skip(1).chain([token]).filter(|part| part.len() >= 40).map(ToOwned::to_owned).collect()
}

#[tokio::test]
async fn no_secret_stands_in_anything_that_a_run_has_written() {
    let world = World::start().await;
    let mut n = 0;
    world.ledger.answers(move |received| {
        n += 1;
        if n == 3 {
            return Answer::Raw(http::Response::builder().status(500).body(WORDS[11].into()).unwrap());
        }
        let id = if received.body.is_empty() { Value::Null } else { received.json()["id"].clone() };
        let result = json!({"content": [{"type": "text", "text": WORDS[10]}], "tools": WORDS[10]});
        Answer::Json(json!({"jsonrpc": "2.0", "id": id, "result": result}))
    });
    let token = world.token("agent/clerk");
    let process = world.process("required", |config| config);
    let statuses = a_whole_run(&world, &process.url, &token).await;
    assert_eq!(
        statuses,
        [
            200, 200, 200, 200, 502, 400, 400, 400, 404, 502, 405, 401, 401, 401, 401, 401, 401, 404, 404,
            401, 401
        ]
    );
    let clerk = world.clerk().to(&process.url);
    assert_eq!(rpc(&clerk, "post_entry", WORDS[0], 1).send().await.unwrap().status(), 200);
    let address = process.url.strip_prefix("https://").unwrap();
    let mut plain = tokio::net::TcpStream::connect(address).await.unwrap();
    plain.write_all(format!("GET /?{token} HTTP/1.1\r\n\r\n").as_bytes()).await.unwrap();
    drop(plain);
    let audit = std::fs::read_to_string(&process.audit).unwrap();
    let (ended, said) = process.terminate();
    assert!(ended.success());
    assert!(audit.lines().count() > 20 && said.contains("refused"), "there is something to look at");

    let mut secrets: Vec<String> = WORDS.map(ToOwned::to_owned).to_vec();
    secrets.extend(parts(&token));
    for received in world.ledger.received() {
        let credential = received.headers["authorization"].to_str().unwrap();
        secrets.extend(parts(credential.strip_prefix("Bearer ").unwrap()));
    }
    assert!(secrets.len() > WORDS.len() + 4, "tokens and credentials are among them");
    let mut places = written(&world.path(""));
    places.push(("what it said".into(), said));
    assert!(places.iter().any(|(path, _)| path.ends_with("process-audit.jsonl")));
    for (path, text) in &places {
        for secret in &secrets {
            let line = text.lines().find(|line| line.contains(secret.as_str()));
            assert!(line.is_none(), "{secret} stands in {}: {line:?}", path.display());
        }
    }
}

#[tokio::test]
async fn arguments_stand_in_the_record_where_policy_wants_them_and_nowhere_else() {
    let full = policies::post_entry("true") + "\nobligations := {\"audit\": \"full\"}\n";
    let world = World::with(Plan { policy: policies::with_post_entry(&full), ..Plan::default() }).await;
    let process = world.process("required", |config| config);
    let clerk = world.clerk().to(&process.url);
    assert_eq!(send(rpc(&clerk, "post_entry", WORDS[0], 1)).await.status, 200);
    let audit = process.audit.clone();
    let (_, said) = process.terminate();
    assert!(!said.contains(WORDS[0]));
    let text = std::fs::read_to_string(audit).unwrap();
    let (with, without): (Vec<&str>, Vec<&str>) = text.lines().partition(|line| line.contains(WORDS[0]));
    assert_eq!((with.len(), without.len()), (2, 2), "permit and request; start and stop");
    let record: Value = serde_json::from_str(with[0]).unwrap();
    assert_eq!(record["arguments"], json!({"amount_cents": 1, "note": WORDS[0]}).to_string());
}
