//! What a program hears of a refusal through the official SDKs, and that its session is usable afterwards.

use http::{Method, Response};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::path::PathBuf;
use world::agent::send;
use world::{Answer, Plan, Received, World, components};

/// What an entry's amount brings about: policy denies it, or the server fails, requires an input, asks in a stream.
const BOOKS_CLOSED: i64 = 13;
const FAILS: i64 = 500;
const REQUIRES_INPUT: i64 = 26;
const ASKS: i64 = 25;

const PROTOCOL: &str = "package protocol

allow if input.caller.path == [\"agent\", \"clerk\"]

allow if input.caller.path == [\"agent\", \"auditor\"]
";
const POST_ENTRY: &str = "allow := true

deny contains \"books_are_closed\" if input.call.arguments.amount_cents == 13";
const SIGN_OFF: &str = "allow := true

needs_scopes contains \"ledger_writing\"";
const ENDLESS: &str = "allow if {
	some a in numbers.range(1, 5000)
	some b in numbers.range(1, 5000)
	a * b == -1
}";

/// A world where tools fail the clerk, each for a reason of its own. The token service knows of no vault.
async fn world_of_refusals() -> World {
    let tool =
        |name: &str, rules: &str| format!("package tools.ledger.{name}\n\nvisible := true\n\n{rules}\n");
    let policy = vec![
        ("protocol.rego", PROTOCOL.to_owned()),
        ("tools/ledger/post_entry.rego", tool("post_entry", POST_ENTRY)),
        ("tools/ledger/open_vault.rego", tool("open_vault", "allow := true")),
        ("tools/ledger/sign_off.rego", tool("sign_off", SIGN_OFF)),
        ("tools/ledger/endless.rego", tool("endless", ENDLESS)),
    ];
    let world = World::with(Plan { policy, ..Plan::default() }).await;
    world.ledger.answers(both_eras);
    world
}

/// A server that speaks both eras, opens sessions, and does as an entry's amount says.
fn both_eras(received: &Received) -> Answer {
    match received.method {
        Method::GET => return empty(405),
        Method::DELETE => return empty(200),
        _ => {}
    }
    let request = received.json();
    if request["id"].is_null() {
        return empty(202);
    }
    let server = json!({"name": "ledger", "version": "1"});
    let posted = json!({"resultType": "complete", "content": [{"type": "text", "text": "posted"}]});
    let answer = |result: Value| json!({"jsonrpc": "2.0", "id": request["id"], "result": result});
    let amount = request["params"]["arguments"]["amount_cents"].as_i64();
    let result = match (request["method"].as_str().unwrap(), amount) {
        ("server/discover", _) => {
            json!({"resultType": "complete", "supportedVersions": ["2026-07-28"], "ttlMs": 0,
            "cacheScope": "private", "capabilities": {"tools": {}}, "serverInfo": server})
        }
        ("initialize", _) => {
            json!({"protocolVersion": "2025-11-25", "capabilities": {"tools": {}}, "serverInfo": server})
        }
        ("tools/list", _) => world::server::list(),
        (_, Some(FAILS)) => return empty(500),
        (_, Some(REQUIRES_INPUT)) => {
            let params = json!({"message": "?", "requestedSchema": {"type": "object", "properties": {}}});
            json!({"resultType": "input_required", "requestState": "x",
                "inputRequests": {"q": {"method": "elicitation/create", "params": params}}})
        }
        (_, Some(ASKS)) => {
            let asks = json!({"jsonrpc": "2.0", "id": "s-1", "method": "roots/list"});
            let events = format!("data: {asks}\n\ndata: {}\n\n", answer(posted));
            return Answer::Raw(
                Response::builder().header("content-type", "text/event-stream").body(events).unwrap(),
            );
        }
        _ => posted,
    };
    let response = Response::builder().header("content-type", "application/json");
    let response = response.header("mcp-session-id", "ledger-session-1");
    Answer::Raw(response.body(answer(result).to_string()).unwrap())
}

fn empty(status: u16) -> Answer {
    Answer::Raw(Response::builder().status(status).header("content-length", "0").body(String::new()).unwrap())
}

/// An official SDK in one era.
struct Sdk {
    program: PathBuf,
    script: &'static str,
    era: &'static str,
    name: &'static str,
}

const ENTRY: &str = "post_entry";

impl Sdk {
    fn python(era: &'static str) -> Option<Self> {
        let script = "tests/clients/python/mcp_client.py";
        Some(Self { program: components::python()?, script, era, name: "python" })
    }

    fn typescript(era: &'static str, name: &'static str) -> Option<Self> {
        components::node()?;
        Some(Self { program: "node".into(), script: "tests/clients/node/mcp_client.mjs", era, name })
    }

    /// Goes through the steps in one session of a workload; the line of `connect` comes first.
    async fn goes(&self, world: &World, workload: &str, server: &str, steps: Vec<Value>) -> Vec<Value> {
        world.agent(workload);
        let folder = world.path(&workload.replace('/', "-"));
        let file = |name: &str| folder.join(name).display().to_string();
        let env = HashMap::from([
            ("SALLYPORT_URL".to_owned(), world.url.clone()),
            ("SALLYPORT_CA".to_owned(), file("bundle.pem")),
            ("SALLYPORT_CERT".to_owned(), file("cert.pem")),
            ("SALLYPORT_KEY".to_owned(), file("key.pem")),
            ("SALLYPORT_TOKEN".to_owned(), world.token(workload)),
        ]);
        let mut arguments = vec![self.script, "--server", server, "--era", self.era];
        if self.name != "python" {
            arguments.extend(["--sdk", self.name]);
        }
        let steps = Value::from(steps).to_string();
        arguments.extend(["script", &steps]);
        let arguments: Vec<String> = arguments.into_iter().map(ToOwned::to_owned).collect();
        let program = self.program.clone();
        // The server of this world answers on this thread.
        let told = tokio::task::spawn_blocking(move || {
            components::client(&env, &program, &arguments.iter().map(String::as_str).collect::<Vec<_>>())
        });
        told.await.unwrap()
    }

    /// The error says why, in the way that docs/refusals.md promises of this SDK.
    fn hears(&self, case: &Case, line: &Value) {
        let error = &line["error"];
        if self.name == "python" || case.status == 200 {
            assert_eq!((&error["code"], &error["data"]["reason"]), (&json!(case.code), &json!(case.reason)));
        } else if self.name == "v2" && case.reason == "insufficient_scope" {
            let told = (&error["type"], &error["requiredScope"]);
            assert_eq!(told, (&json!("InsufficientScopeError"), &json!("ledger_writing")), "{line}");
        } else {
            let status = if self.name == "v1" { &error["code"] } else { &error["data"]["status"] };
            assert_eq!(status, case.status, "{line}");
            let reason = format!(r#""data":{{"reason":"{}""#, case.reason);
            assert!(error["message"].as_str().unwrap().contains(&reason), "{line}");
        }
    }
}

/// A step that is refused.
struct Case {
    reason: &'static str,
    status: u16,
    code: i64,
    step: Value,
}

fn call(tool: &str, arguments: Value) -> Value {
    json!({"do": "call", "name": tool, "arguments": arguments})
}

fn post(amount_cents: i64) -> Value {
    call(ENTRY, json!({ "amount_cents": amount_cents }))
}

fn post_with(header: &str, value: &str) -> Value {
    let mut step = post(1);
    step["headers"] = json!({ header: value });
    step
}

/// Every refusal that a program of an era can bring about by itself, without ending its connection.
fn cases(era: &str, session_of_another: &str) -> Vec<Case> {
    let case = |reason, status, code, step| Case { reason, status, code, step };
    let deep = (0..70).fold(json!({}), |inner, _| json!({ "a": inner }));
    let mut cases = vec![
        case("not_allowed", 200, -32003, call("read_balance", json!({}))),
        case("books_are_closed", 200, -32003, post(BOOKS_CLOSED)),
        case("insufficient_scope", 403, -32003, call("sign_off", json!({}))),
        case("policy_budget", 200, -32003, call("endless", json!({}))),
        case("scope_refused", 502, -32004, call("open_vault", json!({}))),
        case("upstream_failed", 502, -32004, post(FAILS)),
        case("server_request_refused", 200, -32003, post(REQUIRES_INPUT)),
        case("too_deep", 400, -32600, call(ENTRY, deep)),
        case("invalid_token", 401, -32006, post_with("authorization", "Bearer nonsense")),
    ];
    if era == "2025" {
        let step = post_with("mcp-session-id", session_of_another);
        cases.push(case("session_not_found", 404, -32600, step));
    }
    cases
}

/// Opens a session for somebody else.
async fn session_of_another(world: &World) -> String {
    let auditor = world.agent("agent/auditor").with_token(&world.token("agent/auditor"));
    let initialize = json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params":
        {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "c", "version": "1"}}});
    let reply = send(auditor.post("/mcp/ledger", initialize.to_string())).await;
    reply.header("mcp-session-id").unwrap().to_owned()
}

/// The amounts of the entries that the server has heard of.
fn amounts(world: &World) -> Vec<i64> {
    let received = world.ledger.received();
    let posts = received.iter().filter(|r| r.method == Method::POST).map(Received::json);
    posts.filter_map(|body| body["params"]["arguments"]["amount_cents"].as_i64()).collect()
}

/// Each refusal and an allowed call after it, all in one session.
async fn hears_why_and_goes_on(sdk: Option<Sdk>) {
    let Some(sdk) = sdk else { return };
    let world = world_of_refusals().await;
    let cases = cases(sdk.era, &session_of_another(&world).await);
    let sessions_before = opened(&world);
    let mut steps: Vec<Value> = cases.iter().flat_map(|case| [case.step.clone(), post(1)]).collect();
    steps.extend([post(ASKS), post(1)]);
    let lines = sdk.goes(&world, "agent/clerk", "ledger", steps.clone()).await;
    assert_eq!(lines.len(), 1 + steps.len(), "the session held: {lines:#?}");
    assert_eq!(lines[0]["ok"], true, "{}", lines[0]);

    for (case, pair) in cases.iter().zip(lines[1..].chunks(2)) {
        assert_eq!(pair[0]["ok"], false, "{}: {}", case.reason, pair[0]);
        sdk.hears(case, &pair[0]);
        assert_eq!(pair[1]["result"]["content"][0]["text"], "posted", "after {}: {}", case.reason, pair[1]);
    }
    for line in &lines[lines.len() - 2..] {
        assert_eq!(
            line["result"]["content"][0]["text"], "posted",
            "what the server asks is left out: {line}"
        );
    }
    assert_eq!(opened(&world), sessions_before + 1, "no session was opened again");

    let mut heard = amounts(&world);
    heard.retain(|amount| *amount != 1);
    assert_eq!(
        heard,
        [FAILS, REQUIRES_INPUT, ASKS],
        "of what was refused before it, the server knows nothing"
    );
    assert_eq!(amounts(&world).len(), 3 + cases.len() + 1);
    assert!(
        world.ledger.received().iter().all(|r| !String::from_utf8_lossy(&r.body).contains("s-1")),
        "the program was not asked, so it has not answered"
    );
    let records = world.records("request");
    let refused: Vec<&str> = records.iter().filter_map(|record| record["reason"].as_str()).collect();
    let expected = cases.iter().map(|case| case.reason).chain(["server_request_refused"]);
    assert_eq!(refused, expected.collect::<Vec<_>>());
}

/// How many sessions, or stateless clients, have begun at the server.
fn opened(world: &World) -> usize {
    let received = world.ledger.received();
    let posts = received.iter().filter(|r| r.method == Method::POST).map(Received::json);
    posts.filter(|body| ["initialize", "server/discover"].iter().any(|m| body["method"] == *m)).count()
}

/// A server that does not exist, and one where the caller may not open a session.
async fn can_not_tell_unknown_from_denied(sdk: Option<Sdk>) {
    let Some(sdk) = sdk else { return };
    let world = world_of_refusals().await;
    let unknown = sdk.goes(&world, "agent/clerk", "vault", vec![post(1)]).await;
    let denied = sdk.goes(&world, "agent/intern", "ledger", vec![post(1)]).await;
    assert_eq!(unknown, denied);
    assert_eq!(unknown.len(), 1, "there is no session: {unknown:?}");
    assert!(unknown[0]["error"].to_string().contains("not_allowed"), "{}", unknown[0]);
    assert!(world.ledger.received().is_empty());
}

#[tokio::test]
async fn a_program_in_python_2026_hears_why_and_goes_on() {
    hears_why_and_goes_on(Sdk::python("2026")).await;
    can_not_tell_unknown_from_denied(Sdk::python("2026")).await;
}

#[tokio::test]
async fn a_program_in_python_2025_hears_why_and_goes_on() {
    hears_why_and_goes_on(Sdk::python("2025")).await;
    can_not_tell_unknown_from_denied(Sdk::python("2025")).await;
}

#[tokio::test]
async fn a_program_in_typescript_2026_hears_why_and_goes_on() {
    hears_why_and_goes_on(Sdk::typescript("2026", "v2")).await;
    can_not_tell_unknown_from_denied(Sdk::typescript("2026", "v2")).await;
}

#[tokio::test]
async fn a_program_in_typescript_2025_hears_why_and_goes_on() {
    for sdk in ["v1", "v2"] {
        hears_why_and_goes_on(Sdk::typescript("2025", sdk)).await;
        can_not_tell_unknown_from_denied(Sdk::typescript("2025", sdk)).await;
    }
}
