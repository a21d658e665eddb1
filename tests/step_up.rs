//! A call that needs more scopes than the token has: one challenge names all of them, and the official SDKs go and get them.

use gateway::token_service::{SubjectClaims, subject_token, users_issuer};
use http::Method;
use serde_json::{Value, json};
use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;
use std::time::Duration;
use world::agent::send;
use world::server::usual;
use world::{Answer, Plan, Received, World, components};

const PROTOCOL: &str = "package protocol

allow if input.caller.path == [\"agent\", \"clerk\"]
";
/// Needs a scope that the clerk's token has, and one that it has not; of a large amount another one.
const POST_ENTRY: &str = "package tools.ledger.post_entry

visible := true

allow := true

needs_scopes contains \"bookkeeping\"

needs_scopes contains \"ledger_writing\"

needs_scopes contains \"large_amounts\" if input.call.arguments.amount_cents > 1000
";
/// A reader needs a scope of its own for each of the two books; nobody may read the third.
const RESOURCES: &str = "package resources.ledger

visible := true

allow if input.call.resource.uri != \"ledger://vault\"

needs_scopes contains \"read_travel\" if input.call.resource.uri == \"ledger://travel\"

needs_scopes contains \"read_payroll\" if input.call.resource.uri == \"ledger://payroll\"
";

async fn world() -> World {
    let policy = vec![
        ("protocol.rego", PROTOCOL.to_owned()),
        ("tools/ledger/post_entry.rego", POST_ENTRY.to_owned()),
        ("resources/ledger.rego", RESOURCES.to_owned()),
    ];
    World::with(Plan { policy, ..Plan::default() }).await
}

/// Alice's token for the clerk, with these scopes.
fn token(world: &World, scopes: &[&str]) -> String {
    let presenter = world.id("agent/clerk");
    let scopes = scopes.iter().map(|scope| (*scope).to_owned()).collect();
    let claims = SubjectClaims {
        issuer: &users_issuer(&world.origin),
        subject: "alice",
        presenter: &presenter,
        audience: &world.url,
        scopes: &scopes,
        ttl: Duration::from_secs(600),
    };
    subject_token(&world.keys.users, &claims, world.clock.now()).unwrap().expose().to_owned()
}

fn challenge(world: &World, scopes: &str) -> String {
    format!(
        "Bearer resource_metadata=\"{}/.well-known/oauth-protected-resource/mcp/ledger\", error=\"insufficient_scope\", scope=\"{scopes}\"",
        world.url
    )
}

#[tokio::test]
async fn a_challenge_names_every_scope_that_the_call_needs() {
    let world = world().await;
    for (amount, needed) in
        [(1, "bookkeeping ledger_writing"), (1001, "bookkeeping large_amounts ledger_writing")]
    {
        let reply = world.clerk().post_entry(amount).await;
        assert_eq!((reply.status, reply.refused_because().as_str()), (403, "insufficient_scope"));
        assert_eq!(reply.header("www-authenticate").unwrap(), challenge(&world, needed));
        let scopes: Vec<&str> = needed.split(' ').collect();
        assert_eq!(reply.json()["error"]["data"]["scopes"], json!(scopes));
        let record = world.records("request").pop().unwrap();
        assert_eq!(
            (&record["decision"], &record["reason"]),
            (&json!("denial"), &json!("insufficient_scope"))
        );
        assert!(record["cause"].as_str().unwrap().contains("lacking scopes: "), "{record}");

        let wider = world.agent("agent/clerk").with_token(&token(&world, &scopes));
        assert_eq!(wider.post_entry(amount).await.result(), "posted");
    }
    assert_eq!(world.ledger.received().len(), 2, "what lacked a scope went no further");
}

#[tokio::test]
async fn what_several_resources_need_is_asked_for_at_once() {
    let world = world().await;
    let listen = |uris: &[&str], scopes: &[&str]| {
        let agent = world.agent("agent/clerk").with_token(&token(&world, scopes));
        let wanted = json!({"notifications": {"resourceSubscriptions": uris}});
        async move { send(agent.rpc("subscriptions/listen", wanted)).await }
    };
    let (travel, payroll, vault) = ("ledger://travel", "ledger://payroll", "ledger://vault");
    let reply = listen(&[travel, payroll], &["bookkeeping"]).await;
    assert_eq!(reply.header("www-authenticate").unwrap(), challenge(&world, "read_payroll read_travel"));
    let reply = listen(&[travel, payroll], &["read_travel"]).await;
    assert_eq!(
        reply.header("www-authenticate").unwrap(),
        challenge(&world, "read_payroll read_travel"),
        "and that which it has for one of them"
    );
    let reply = listen(&[travel, vault], &["bookkeeping"]).await;
    assert_eq!((reply.refused_because().as_str(), reply.header("www-authenticate")), ("not_allowed", None));
    assert!(world.ledger.received().is_empty());
}

/// The usual server, which also says which versions it speaks.
fn both_eras(received: &Received) -> Answer {
    if received.method != Method::POST || received.json()["method"] != "server/discover" {
        return usual(received);
    }
    let discovered = json!({"resultType": "complete", "supportedVersions": ["2026-07-28"], "ttlMs": 0,
        "cacheScope": "private", "capabilities": {"tools": {}}, "serverInfo": {"name": "ledger", "version": "1"}});
    Answer::Json(json!({"jsonrpc": "2.0", "id": received.json()["id"], "result": discovered}))
}

/// Calls through an SDK whose person would give these scopes; all that it said.
async fn called(world: &World, program: PathBuf, arguments: &[&str], wider: &[&str]) -> Vec<Value> {
    world.agent("agent/clerk");
    let file = |name: &str| world.path("agent-clerk").join(name).display().to_string();
    let env = HashMap::from([
        ("SALLYPORT_URL".to_owned(), world.url.clone()),
        ("SALLYPORT_CA".to_owned(), file("bundle.pem")),
        ("SALLYPORT_CERT".to_owned(), file("cert.pem")),
        ("SALLYPORT_KEY".to_owned(), file("key.pem")),
        ("SALLYPORT_TOKEN".to_owned(), token(world, &["bookkeeping", "travel"])),
        ("SALLYPORT_SCOPE".to_owned(), "bookkeeping travel".to_owned()),
        ("SALLYPORT_WIDER_TOKEN".to_owned(), token(world, wider)),
    ]);
    let script = json!([{"do": "call", "name": "post_entry", "arguments": {"amount_cents": 5}}]).to_string();
    let arguments: Vec<String> =
        arguments.iter().chain(&["script", &script]).map(|word| (*word).to_owned()).collect();
    let told = tokio::task::spawn_blocking(move || {
        components::client(&env, &program, &arguments.iter().map(String::as_str).collect::<Vec<_>>())
    });
    told.await.unwrap()
}

/// The SDK reads the challenge, asks for the scopes in it (`asks`: and which of its own), and calls again.
async fn steps_up(program: Option<PathBuf>, script: &str, era: &str, sdk: &[&str], asks: &[&str]) {
    let Some(program) = program else { return };
    let world = world().await;
    world.ledger.answers(both_eras);
    let arguments: Vec<&str> =
        [script, "--server", "ledger", "--era", era].iter().chain(sdk).copied().collect();
    let wider = ["bookkeeping", "ledger_writing"];
    let lines = called(&world, program.clone(), &arguments, &wider).await;
    let [connected, stepped, result] = lines.as_slice() else { panic!("{lines:#?}") };
    assert_eq!(connected["ok"], true, "{connected}");
    let scopes: BTreeSet<&str> = stepped["result"]["scope"].as_str().unwrap().split(' ').collect();
    assert_eq!(scopes, asks.iter().copied().collect(), "{stepped}");
    assert_eq!(stepped["result"]["resource"], format!("{}/mcp/ledger", world.url));
    assert_eq!(result["result"]["content"][0]["text"], "posted", "{result}");

    let lines = called(&world, program, &arguments, &["bookkeeping"]).await;
    let last = lines.last().unwrap();
    assert_eq!(last["ok"], false, "with a new token that lacks it still: {last}");
    let records = world.records("request");
    let calls: Vec<&Value> = records.iter().filter(|record| record["method"] == "tools/call").collect();
    assert_eq!(calls.iter().filter(|record| record["decision"] == "permit").count(), 1, "{calls:#?}");
    assert!(calls.iter().filter(|record| record["decision"] == "denial").count() >= 2, "{calls:#?}");
}

/// What the 2.x SDKs and the Python one ask for: what they had, too. That of 1.x asks for what the challenge says.
const UNION: [&str; 3] = ["bookkeeping", "ledger_writing", "travel"];
const CHALLENGED: [&str; 2] = ["bookkeeping", "ledger_writing"];

#[tokio::test]
async fn a_client_in_python_steps_up_in_both_eras() {
    for era in ["2026", "2025"] {
        steps_up(components::python(), "tests/clients/python/mcp_client.py", era, &[], &UNION).await;
    }
}

#[tokio::test]
async fn a_client_in_typescript_steps_up_in_both_eras() {
    for (era, sdk, asks) in
        [("2026", "v2", &UNION[..]), ("2025", "v2", &UNION[..]), ("2025", "v1", &CHALLENGED[..])]
    {
        let node = components::node().map(|_| PathBuf::from("node"));
        steps_up(node, "tests/clients/node/mcp_client.mjs", era, &["--sdk", sdk], asks).await;
    }
}
