//! oidc-provider as the token service: exchanges that name the actor, and three ways for the gateway to prove who it is.

use ::tokens::SigningKey;
use gateway::exchange::client::caller_issuer;
use serde_json::{Value, json};
use world::agent::send;
use world::process::Process;
use world::services::{Service, WORKLOAD, claims, with_services};
use world::{Agent, DOMAIN, World};

const SECRET: &str = "between gateway and service: 100 %";
const LEDGER: &str = "spiffe://bank.test/mcp/ledger";
const ORCHESTRATOR: &str = "spiffe://bank.test/agent/orchestrator";

/// A world in which every call is permitted, and what is in its way is the token service.
async fn world() -> World {
    let all = "package tools.ledger\n\nvisible := true\n\nallow := true\n".to_owned();
    World::with_policy(vec![("tools/ledger.rego", all)]).await
}

fn started(world: &World) -> Option<Service> {
    let client = SigningKey::generate().unwrap();
    ::certs::files::write(&world.path("client.key"), client.to_pkcs8(), 0o600).unwrap();
    ::certs::files::write(&world.path("client.secret"), SECRET.as_bytes(), 0o600).unwrap();
    let actors = SigningKey::from_pkcs8(&std::fs::read(world.path("actor.key")).unwrap()).unwrap();
    Service::oidc_provider(
        world,
        json!({
            "audience": LEDGER,
            "scopes": ["ledger:post_entry", "ledger:open_vault"],
            "accounts": {"alice": ["ledger:post_entry"]},
            "agent": {"id": "clerk", "secret": "unused"},
            "gateway": {"id": "gateway", "secret": SECRET, "jwks": SigningKey::jwks([&client]),
                "uri": format!("spiffe://{DOMAIN}/gateway")},
            "actors": {"issuer": caller_issuer(&actors), "jwks": SigningKey::jwks([&actors])},
        }),
    )
}

/// A gateway that knows the service, with more lines for it.
fn gateway(world: &World, service: &Service, options: &str) -> Process {
    gateway_that_expects(world, service, &format!("{{spiffe_id: \"spiffe://{DOMAIN}/{WORKLOAD}\"}}"), options)
}

/// The same, where the token endpoint proves itself in a way of its own.
fn gateway_that_expects(world: &World, service: &Service, proof: &str, options: &str) -> Process {
    let origin = &service.origin;
    let server = format!("server: {{spiffe_id: \"spiffe://{DOMAIN}/{WORKLOAD}\"}}");
    let jwks = format!("jwks: {{url: \"{origin}/jwks\", {server}}}");
    let issuer = format!(
        "  - issuer: {origin}
    presenter: {{claim: client_id, map: {{clerk: \"spiffe://{DOMAIN}/agent/clerk\"}}}}
    delegates: true
    {jwks}
"
    );
    let token_service = format!(
        "  issuer: {origin}
  token_endpoint: {origin}/token
  server: {proof}
  {jwks}
  actor_key: actor.key
  target: resource
{options}
"
    );
    world.process("best_effort", |config| with_services(&config, &issuer, &token_service))
}

/// Alice's token, as the service issues it to the clerk for the gateway.
async fn token(world: &World, service: &Service, account: &str) -> String {
    let browser = Agent::from_pem(&service.origin, &world.trust_bundle(), None, &[b"http/1.1"]);
    let path = format!("/signed-in?account={account}&audience={}&before={ORCHESTRATOR}", world.url);
    let reply = send(browser.request(http::Method::GET, &path)).await;
    assert_eq!(reply.status, 200, "{}", reply.text);
    reply.text
}

#[tokio::test]
async fn exchange_oidc_provider_names_the_actor_and_narrows_the_scopes_however_the_gateway_proves_itself() {
    let world = world().await;
    let Some(service) = started(&world) else { return };
    for (n, client) in [
        "{id: gateway-secret, secret_file: client.secret}",
        "{id: gateway-key, key_file: client.key}",
        "{id: gateway-svid}",
    ]
    .into_iter()
    .enumerate()
    {
        let gateway = gateway(&world, &service, &format!("  client: {client}"));
        let clerk = world.agent("agent/clerk").to(&gateway.url);
        let clerk = clerk.with_token(&token(&world, &service, "alice").await);
        assert_eq!(clerk.post_entry(1).await.result(), "posted", "{client}");
        let refused = clerk.call("open_vault", json!({})).await;
        assert_eq!((refused.status, refused.refused_because().as_str()), (502, "scope_refused"));

        let received = world.ledger.received();
        assert_eq!(received.len(), n + 1, "nothing of the second call");
        let credential = claims(&received[n]);
        assert_eq!((&credential["sub"], &credential["aud"]), (&json!("alice"), &json!(LEDGER)));
        assert_eq!(credential["scope"], "ledger:post_entry", "alice's token has another one too");
        let clerk = format!("spiffe://{DOMAIN}/agent/clerk");
        assert_eq!(credential["act"], json!({"sub": clerk, "act": {"sub": ORCHESTRATOR}}));
        records(gateway, &[json!(null), json!("scope_refused")]);
    }
}

#[tokio::test]
async fn exchange_oidc_provider_refuses_another_proof_audience_and_person() {
    let world = world().await;
    let Some(service) = started(&world) else { return };
    ::certs::files::write(&world.path("other.secret"), b"another", 0o600).unwrap();
    for (options, account, reason) in [
        ("  client: {id: gateway-secret, secret_file: other.secret}", "alice", "credential_refused"),
        ("  client: {id: gateway-key, key_file: actor.key}", "alice", "credential_refused"),
        ("  client: {id: gateway-svid-2}", "alice", "credential_refused"),
        ("  client: {id: gateway-svid}", "bob", "scope_refused"),
    ] {
        let gateway = gateway(&world, &service, options);
        let token = token(&world, &service, account).await;
        let clerk = world.agent("agent/clerk").to(&gateway.url).with_token(&token);
        assert_eq!(clerk.post_entry(1).await.refused_because(), reason, "{options}");
        records(gateway, &[json!(reason)]);
    }
    let token = token(&world, &service, "alice").await;
    let gateway = {
        let usual = gateway(&world, &service, "  client: {id: gateway-svid}");
        drop(usual);
        let config = std::fs::read_to_string(world.path("process.yaml")).unwrap();
        let other = config
            .replace("    subject: optional", "    subject: optional\n    audience: https://other.test");
        world.process("best_effort", |_| other)
    };
    let clerk = world.agent("agent/clerk").to(&gateway.url).with_token(&token);
    assert_eq!(clerk.post_entry(1).await.refused_because(), "audience_refused");
    assert!(world.ledger.received().is_empty());
}

#[tokio::test]
async fn exchange_oidc_provider_gives_the_gateway_a_credential_of_its_own_for_a_workload_alone() {
    let world = world().await;
    let Some(service) = started(&world) else { return };
    let own = "  client: {id: gateway-key, key_file: client.key}\n  actor: recorded";
    let gateway = gateway(&world, &service, &format!("{own}\n  without_subject: client_credentials"));
    let robot = world.agent("agent/robot").to(&gateway.url);
    assert_eq!(robot.post_entry(1).await.result(), "posted");
    let refused = robot.call("read_balance", json!({})).await;
    assert_eq!(refused.refused_because(), "credential_not_accepted", "it issues one without the scope");
    let received = world.ledger.received();
    assert_eq!(received.len(), 1);
    let credential = claims(&received[0]);
    let (aud, scope) = (&credential["aud"], &credential["scope"]);
    assert_eq!((aud, scope), (&json!(LEDGER), &json!("ledger:post_entry")));
    let records = records(gateway, &[json!(null), json!("credential_not_accepted")]);
    assert_eq!(records[0]["credential"]["actor"], "recorded");
    assert_eq!(records[0]["caller"], format!("spiffe://{DOMAIN}/agent/robot"));
}

#[tokio::test]
async fn exchange_oidc_provider_sees_our_svid_though_it_proves_itself_by_its_host_name() {
    let world = world().await;
    let Some(service) = started(&world) else { return };
    let token = token(&world, &service, "alice").await;
    for (client, reason) in [
        ("{id: gateway-svid}", None),
        ("{id: gateway-svid, key_file: client.key}", Some("credential_refused")),
    ] {
        let options = format!("  client: {client}");
        let gateway = gateway_that_expects(&world, &service, "{ca_file: gateway/bundle.pem}", &options);
        let clerk = world.agent("agent/clerk").to(&gateway.url).with_token(&token);
        let reply = clerk.post_entry(1).await;
        match reason {
            None => assert_eq!(reply.result(), "posted"),
            Some(reason) => assert_eq!(reply.refused_because(), reason),
        }
        records(gateway, &[json!(reason)]);
    }
    assert_eq!(world.ledger.received().len(), 1);
}

/// The records of a gateway's requests, once it has ended: their reasons are these.
fn records(gateway: Process, reasons: &[Value]) -> Vec<Value> {
    let audit = gateway.audit.clone();
    let (status, said) = gateway.terminate();
    assert!(status.success(), "{said}");
    let text = std::fs::read_to_string(&audit).unwrap();
    std::fs::remove_file(&audit).unwrap(); // The next gateway's begins anew.
    let all = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let requests: Vec<Value> = all.filter(|record| record["kind"] == "request").collect();
    assert_eq!(requests.iter().map(|record| record["reason"].clone()).collect::<Vec<_>>(), reasons);
    requests
}
