//! Keycloak as the token service: its standard token exchange narrows scopes and audience, and names no actor.

use serde_json::{Value, json};
use world::agent::send;
use world::process::Process;
use world::services::{Service, WORKLOAD, claims, with_services};
use world::{Agent, DOMAIN, World};

const PASSWORD: &str = "a password of this story";
const SECRET: &str = "between gateway and service: 100 %";
const LEDGER: &str = "spiffe://bank.test/mcp/ledger";

/// What an operator sets up: docs/token-exchange.md explains it.
fn realm(world: &World) -> Value {
    let scope = |name: &str, in_token: bool, mappers: Value| {
        json!({"name": name, "protocol": "openid-connect", "protocolMappers": mappers,
            "attributes": {"include.in.token.scope": in_token.to_string()}})
    };
    let mapper = |name: &str, kind: &str, config: Value| json!({"name": name, "protocol": "openid-connect", "protocolMapper": kind, "config": config});
    let audience = |kind: &str, value: &str| {
        let config = json!({kind: value, "access.token.claim": "true"});
        mapper(value, "oidc-audience-mapper", config)
    };
    let for_ledger = json!([audience("included.client.audience", LEDGER)]);
    let sub = mapper("sub", "oidc-sub-mapper", json!({"access.token.claim": "true"}));
    let for_gateway =
        [audience("included.client.audience", "gateway"), audience("included.custom.audience", &world.url)];
    let user = |name: &str, roles: Value| {
        json!({"username": name, "enabled": true, "firstName": name, "lastName": name, "realmRoles": roles,
            "email": format!("{name}@bank.test"), "credentials": [{"type": "password", "value": PASSWORD}]})
    };
    json!({
        "realm": "bank", "enabled": true,
        "roles": {"realm": [{"name": "bookkeeper"}]},
        "clientScopes": [
            scope("subject", false, json!([sub])),
            scope("sallyport", true, json!(for_gateway)),
            scope("ledger:post_entry", true, for_ledger.clone()),
            scope("ledger:open_vault", true, for_ledger),
        ],
        "scopeMappings": [{"clientScope": "ledger:post_entry", "roles": ["bookkeeper"]}],
        "clients": [
            {"clientId": "clerk", "publicClient": true, "standardFlowEnabled": false,
                "directAccessGrantsEnabled": true, "defaultClientScopes": ["subject", "sallyport"]},
            {"clientId": "gateway", "secret": SECRET, "standardFlowEnabled": false,
                "serviceAccountsEnabled": true, "attributes": {"standard.token.exchange.enabled": "true"},
                "defaultClientScopes": ["subject"], "optionalClientScopes": ["ledger:post_entry"]},
            {"clientId": LEDGER, "bearerOnly": true},
        ],
        "users": [user("alice", json!(["bookkeeper"])), user("bob", json!([]))],
    })
}

async fn granted(there: &Agent, realm: &str, form: &[(&str, &str)]) -> String {
    let path = format!("/realms/{realm}/protocol/openid-connect/token");
    let reply = send(there.request(http::Method::POST, &path).form(form)).await;
    assert_eq!(reply.status, 200, "{}", reply.text);
    reply.json()["access_token"].as_str().unwrap().to_owned()
}

async fn token(there: &Agent, user: &str) -> String {
    let form =
        [("grant_type", "password"), ("client_id", "clerk"), ("username", user), ("password", PASSWORD)];
    granted(there, "bank", &form).await
}

/// A gateway that knows the realm, with more lines for it.
fn gateway(world: &World, service: &Service, options: &str) -> Process {
    let origin = format!("{}/realms/bank", service.origin);
    let server = format!("server: {{spiffe_id: \"spiffe://{DOMAIN}/{WORKLOAD}\"}}");
    let jwks = format!("jwks: {{url: \"{origin}/protocol/openid-connect/certs\", {server}}}");
    let issuer = format!(
        "  - issuer: {origin}
    presenter: {{claim: azp, map: {{clerk: \"spiffe://{DOMAIN}/agent/clerk\"}}}}
    {jwks}
"
    );
    let token_service = format!(
        "  issuer: {origin}
  token_endpoint: {origin}/protocol/openid-connect/token
  {server}
  {jwks}
  actor_key: actor.key
  client: {{id: gateway, secret_file: client.secret}}
{options}
"
    );
    world.process("best_effort", |config| with_services(&config, &issuer, &token_service))
}

#[tokio::test]
async fn exchange_keycloak_narrows_scopes_and_audience_and_the_audit_alone_names_the_actor() {
    let all = "package tools.ledger\n\nvisible := true\n\nallow := true\n".to_owned();
    let world = World::with_policy(vec![("tools/ledger.rego", all)]).await;
    ::certs::files::write(&world.path("client.secret"), SECRET.as_bytes(), 0o600).unwrap();
    let Some(service) = Service::keycloak(&world, PASSWORD) else { return };
    let there = Agent::from_pem(&service.origin, &world.trust_bundle(), None, &[b"http/1.1"]);
    let form = [
        ("grant_type", "password"),
        ("client_id", "admin-cli"),
        ("username", "admin"),
        ("password", PASSWORD),
    ];
    let admin = there.clone().with_token(&granted(&there, "master", &form).await);
    let made = send(admin.post("/admin/realms", realm(&world).to_string())).await;
    assert_eq!(made.status, 201, "{}", made.text);

    let alice = token(&there, "alice").await;
    let own = "  actor: recorded\n  without_subject: client_credentials";
    let recording = gateway(&world, &service, own);
    let clerk = world.agent("agent/clerk").to(&recording.url).with_token(&alice);
    assert_eq!(clerk.post_entry(1).await.result(), "posted");
    let refused = clerk.call("open_vault", json!({})).await;
    assert_eq!((refused.status, refused.refused_because().as_str()), (502, "scope_refused"));
    let bobs = clerk.clone().with_token(&token(&there, "bob").await);
    assert_eq!(bobs.post_entry(1).await.refused_because(), "credential_refused", "he is no bookkeeper");
    let robot = world.agent("agent/robot").to(&recording.url);
    assert_eq!(robot.post_entry(1).await.refused_because(), "credential_not_accepted", "nor is the gateway");

    let received = world.ledger.received();
    assert_eq!(received.len(), 1, "nothing of the others");
    let credential = claims(&received[0]);
    assert_eq!((&credential["aud"], &credential["scope"]), (&json!(LEDGER), &json!("ledger:post_entry")));
    assert_eq!((&credential["azp"], &credential["act"]), (&json!("gateway"), &Value::Null));
    let records = records(recording);
    let reasons: Vec<_> = records.iter().map(|record| record["reason"].clone()).collect();
    let refusals = ["scope_refused", "credential_refused", "credential_not_accepted"].map(Value::from);
    assert_eq!((&reasons[0], &reasons[1..]), (&Value::Null, &refusals[..]));
    assert_eq!(records[0]["subject"]["sub"], credential["sub"]);
    assert_eq!(records[0]["caller"], format!("spiffe://{DOMAIN}/agent/clerk"));
    assert_eq!(records[0]["credential"]["actor"], "recorded");

    let requiring = gateway(&world, &service, "  actor: required");
    let refused = clerk.to(&requiring.url).post_entry(1).await;
    assert_eq!(refused.refused_because(), "credential_not_accepted", "no actor is named");
    assert_eq!(world.ledger.received().len(), 1);
}

/// The records of a gateway's requests, once it has ended.
fn records(gateway: Process) -> Vec<Value> {
    let audit = gateway.audit.clone();
    let (status, said) = gateway.terminate();
    assert!(status.success(), "{said}");
    let text = std::fs::read_to_string(audit).unwrap();
    let all = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    all.filter(|record| record["kind"] == "request").collect()
}
