//! MCP as its conformance kit knows it: a server on our kit, called directly and through the gateway, with the same result.
//! The conformance kit has no certificate and no token; a doorman in between shows both.

use bytes::Bytes;
use certs::IdentitySource;
use certs::files::FileSource;
use futures_util::TryStreamExt;
use http::header::{AUTHORIZATION, CONNECTION, CONTENT_LENGTH, HOST, TRANSFER_ENCODING};
use http::{Request, Response};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;
use tokio::net::TcpListener;
use world::components::{self, program, root};
use world::served::Served;
use world::{Agent, Plan, World, policies};

/// The scenarios that need no tools of their own, each with a version that has it. `dns-rebinding-protection` is left out: by
/// its own words it is for plain HTTP on localhost without authentication, and it wants an Origin of localhost let in, where
/// our servers refuse every Origin.
pub(crate) const SCENARIOS: [(&str, &str); 14] = [
    ("server-initialize", "2025-11-25"),
    ("server-session-lifecycle", "2025-11-25"),
    ("ping", "2025-11-25"),
    ("tools-list", "2025-11-25"),
    ("resources-list", "2025-11-25"),
    ("server-sse-multiple-streams", "2025-11-25"),
    ("tools-list", "2026-07-28"),
    ("resources-list", "2026-07-28"),
    ("server-stateless", "2026-07-28"),
    ("sep-2164-resource-not-found", "2026-07-28"),
    ("caching", "2026-07-28"),
    ("http-header-validation", "2026-07-28"),
    ("server-sse-multiple-streams", "2026-07-28"),
    ("input-required-result-unsupported-methods", "2026-07-28"),
];

/// Checks of tools that only the conformance kit's own servers have.
const NOT_TESTABLE: [&str; 4] = [
    "sep-2575-server-rejects-undeclared-capability",
    "sep-2575-missing-capability-http-400",
    "sep-2575-http-server-no-independent-requests-on-stream",
    "sep-2575-server-no-log-without-loglevel",
];

/// Plain HTTP on one side, and on the other what an agent shows.
async fn doorman(agent: Agent, path: String) -> String {
    let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/mcp", tcp.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((stream, _)) = tcp.accept().await {
            let (agent, path) = (agent.clone(), path.clone());
            let answer = service_fn(move |request| passed_on(agent.clone(), path.clone(), request));
            tokio::spawn(
                hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), answer),
            );
        }
    });
    url
}

async fn passed_on(
    agent: Agent,
    path: String,
    request: Request<Incoming>,
) -> reqwest::Result<Response<BoxBody<Bytes, reqwest::Error>>> {
    let (mut head, body) = request.into_parts();
    let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    for name in [AUTHORIZATION, CONNECTION, CONTENT_LENGTH, HOST, TRANSFER_ENCODING] {
        head.headers.remove(name);
    }
    let answer = agent.request(head.method, &path).headers(head.headers).body(body).send().await?;
    let mut response = Response::builder().status(answer.status());
    for (name, value) in answer.headers() {
        if ![CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING].contains(name) {
            response = response.header(name, value);
        }
    }
    let body = StreamBody::new(answer.bytes_stream().map_ok(Frame::data)).boxed();
    Ok(response.body(body).unwrap())
}

/// What a scenario says of each of its checks.
async fn checks(node: &Path, url: &str, scenario: &str, version: &str) -> BTreeMap<String, String> {
    let folder = tempfile::tempdir().unwrap();
    let kit = root().join("tests/conformance/node_modules/@modelcontextprotocol/conformance/dist/index.js");
    let output = tokio::process::Command::new(node)
        .arg(kit)
        .args(["server", "--url", url, "--scenario", scenario, "--spec-version", version, "-o"])
        .arg(folder.path())
        .output()
        .await
        .unwrap();
    let mut all = BTreeMap::new();
    for found in walk(folder.path()) {
        let text = std::fs::read_to_string(found).unwrap();
        for (number, check) in serde_json::from_str::<Vec<Value>>(&text).unwrap().iter().enumerate() {
            let name = format!("{number} {}", check["id"].as_str().unwrap());
            let mut said = check["status"].as_str().unwrap().to_owned();
            if said == "FAILURE" {
                said.push_str(&format!(": {}", check["errorMessage"]));
            }
            all.insert(name, said);
        }
    }
    assert!(!all.is_empty(), "{scenario}: {}", String::from_utf8_lossy(&output.stdout));
    all
}

fn walk(folder: &Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(walk(&path));
        } else if path.ends_with("checks.json") {
            found.push(path);
        }
    }
    found
}

/// A world whose policy allows everything of one server: what is left is the protocol.
async fn world(served: Served) -> World {
    let all = |kind: &str| {
        let path: &'static str = format!("{kind}/{}.rego", served.name).leak();
        (path, format!("package {kind}.{}\n\nallow := true\n\nvisible := true\n", served.name))
    };
    let policy =
        vec![("protocol.rego", policies::protocol()), all("tools"), all("resources"), all("prompts")];
    World::with(Plan { policy, served: Some(served), ..Plan::default() }).await
}

/// The gateway's own certificate, and a token that the gateway would get for the server.
fn as_gateway(world: &World, scopes: &[&str]) -> Agent {
    let server = world.served.first().unwrap();
    let gateway = FileSource::open(world.gateway_svid()).unwrap();
    let now = world.clock.now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let scopes: Vec<_> = scopes.iter().map(|scope| format!("{}:{scope}", server.name)).collect();
    let claims = json!({
        "iss": gateway::token_service::issuer(&world.origin), "sub": "alice", "exp": now + 300,
        "aud": world.id(&format!("mcp/{}", server.name)).to_string(),
        "act": {"sub": world.id("agent/clerk").to_string()}, "scope": scopes.join(" "),
        "cnf": {"x5t#S256": tokens::x5t_s256(gateway.current().svid.peer().thumbprint)},
    });
    let token = world.keys.credentials.sign("at+jwt", claims.as_object().unwrap()).unwrap();
    let origin = format!("https://{}", server.address);
    Agent::new(&origin, &world.trust_bundle(), Some(&world.gateway_svid())).with_token(token.expose())
}

/// A check of prompts, in a scenario that servers without prompts have, too.
const OF_PROMPTS: &str = "sep-2549-prompts-list-caching-hints";

/// Directly and through the gateway, with the same result. `lacks`: words of the checks of what a server has not. One that is
/// asked for no prompts has none.
pub(crate) async fn twice(node: &Path, served: Served, scenarios: &[(&str, &str)], lacks: &[&str]) {
    let (name, scopes) = (served.name, served.scopes);
    let world = world(served).await;
    let direct = doorman(as_gateway(&world, scopes), "/mcp".into()).await;
    let through = doorman(world.clerk(), format!("/mcp/{name}")).await;
    let has_prompts = scenarios.iter().any(|(scenario, _)| *scenario == "prompts-list");
    let (mut passed, mut wrong) = (0, Vec::new());
    for (scenario, version) in scenarios {
        let ours = checks(node, &direct, scenario, version).await;
        let theirs = checks(node, &through, scenario, version).await;
        for (id, said) in &ours {
            let may_fail = NOT_TESTABLE.iter().any(|known| id.ends_with(known))
                || lacks.iter().any(|what| id.contains(what))
                || (!has_prompts && id.ends_with(OF_PROMPTS));
            if (said.starts_with("FAILURE") && !may_fail) || theirs.get(id) != Some(said) {
                wrong.push(format!(
                    "{scenario} {version} {id}: {said}; through the gateway {:?}",
                    theirs.get(id)
                ));
            }
            passed += usize::from(said == "SUCCESS");
        }
        assert_eq!(ours.len(), theirs.len(), "{scenario}: {theirs:#?}");
    }
    println!("{name}: {} scenarios, {passed} checks passed, twice", scenarios.len());
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn mcp_is_spoken_as_its_conformance_kit_wants_it_directly_and_through_the_gateway() {
    let Some(node) = components::installed("node22", "conformance") else { return };
    let served = Served {
        name: "units",
        program: program("examples/units"),
        scopes: &["protocol", "resources", "prompts", "convert", "list_units"],
        flags: Vec::new(),
        files: Vec::new(),
    };
    twice(&node, served, &SCENARIOS, &[]).await;
}
