//! How the gateway proves to a token service who it is: by a secret, a key, its X.509-SVID and its JWT-SVID.

use serde_json::{Value, json};
use std::time::Duration;
use world::process::Process;
use world::services::{WORKLOAD, claims, with_services};
use world::token_services::{Keycloak, OidcProvider, TokenService};
use world::{DOMAIN, Idp, Plan, World};

const ORCHESTRATOR: &str = "spiffe://bank.test/agent/orchestrator";

/// A world in which every call is permitted, and what is in its way is the token service.
async fn world() -> World {
    let all = "package tools.ledger\n\nvisible := true\n\nallow := true\n".to_owned();
    World::with_policy(vec![("tools/ledger.rego", all)]).await
}

/// A gateway that knows the service, with more lines for it.
fn gateway(world: &World, service: &OidcProvider, server: &str, options: &str) -> Process {
    world.process("best_effort", |config| {
        with_services(&config, &service.issuer("0s"), &service.service(server, options))
    })
}

/// Alice's token, as the service issues it to the clerk for the gateway, by way of an orchestrator.
async fn token(world: &World, service: &OidcProvider) -> String {
    service.signed_in(world, "alice", &format!("&before={ORCHESTRATOR}")).await
}

#[tokio::test]
async fn a_credential_carries_the_chain_on_however_the_gateway_proves_itself_to_oidc_provider() {
    let world = world().await;
    let Some(service) = OidcProvider::start(&world).await else { return };
    for (n, client) in [
        "{id: gateway-secret, secret_file: client.secret}",
        "{id: gateway-key, key_file: client.key}",
        "{id: gateway-svid}",
    ]
    .into_iter()
    .enumerate()
    {
        let gateway = gateway(&world, &service, &OidcProvider::server(), &format!("  client: {client}"));
        let clerk = world.agent("agent/clerk").to(&gateway.url).with_token(&token(&world, &service).await);
        assert_eq!(clerk.post_entry(1).await.result(), "posted", "{client}");
        let received = world.ledger.received();
        assert_eq!(received.len(), n + 1);
        let clerk = format!("spiffe://{DOMAIN}/agent/clerk");
        assert_eq!(claims(&received[n])["act"], json!({"sub": clerk, "act": {"sub": ORCHESTRATOR}}));
        assert_eq!(gateway.requests()[0]["reason"], Value::Null);
    }
}

#[tokio::test]
async fn another_proof_than_the_clients_own_is_refused_by_oidc_provider() {
    let world = world().await;
    let Some(service) = OidcProvider::start(&world).await else { return };
    ::certs::files::write(&world.path("other.secret"), b"another", 0o600).unwrap();
    for client in [
        "{id: gateway-secret, secret_file: other.secret}",
        "{id: gateway-key, key_file: actor.key}",
        "{id: gateway-svid-2}",
    ] {
        let gateway = gateway(&world, &service, &OidcProvider::server(), &format!("  client: {client}"));
        let clerk = world.agent("agent/clerk").to(&gateway.url).with_token(&token(&world, &service).await);
        assert_eq!(clerk.post_entry(1).await.refused_because(), "credential_refused", "{client}");
        assert_eq!(gateway.requests()[0]["reason"], "credential_refused");
    }
    assert!(world.ledger.received().is_empty());
}

#[tokio::test]
async fn oidc_provider_sees_our_svid_though_it_proves_itself_by_its_host_name() {
    let world = world().await;
    let Some(service) = OidcProvider::start(&world).await else { return };
    let token = token(&world, &service).await;
    for (client, reason) in [
        ("{id: gateway-svid}", Value::Null),
        ("{id: gateway-svid, key_file: client.key}", json!("credential_refused")),
    ] {
        let server = format!("server: {{ca_file: {WORKLOAD}/bundle.pem}}");
        let gateway = gateway(&world, &service, &server, &format!("  client: {client}"));
        let clerk = world.agent("agent/clerk").to(&gateway.url).with_token(&token);
        let reply = clerk.post_entry(1).await;
        match reason.as_str() {
            None => assert_eq!(reply.result(), "posted"),
            Some(reason) => assert_eq!(reply.refused_because(), reason),
        }
        assert_eq!(gateway.requests()[0]["reason"], reason);
    }
    assert_eq!(world.ledger.received().len(), 1);
}

#[tokio::test(flavor = "multi_thread")] // A process asks what this one serves.
async fn keycloak_knows_the_gateway_by_its_jwt_svid() {
    let all = "package tools.ledger\n\nvisible := true\n\nallow := true\n".to_owned();
    let (policy, workload_api) = (vec![("tools/ledger.rego", all)], Some(Duration::from_secs(1800)));
    let world = World::with(Plan { policy, workload_api, ..Plan::default() }).await;
    let bundle = world.workload_api.as_ref().unwrap().jwt_bundle().to_string();
    let published = Idp::start(move |path, _| (path == "/bundle").then(|| bundle.clone())).await;
    let own = format!("spiffe://{DOMAIN}/gateway");
    let spiffe = |realm: &mut Value| {
        realm["identityProviders"] = json!([{"alias": "spiffe", "providerId": "spiffe", "enabled": true,
            "config": {"issuer": format!("spiffe://{DOMAIN}"), "bundleEndpoint": format!("{}/bundle", published.url)}}]);
        for client in realm["clients"].as_array_mut().unwrap().iter_mut().filter(|c| c["clientId"] == own) {
            client["clientAuthenticatorType"] = json!("federated-jwt");
            client["attributes"]["jwt.credential.issuer"] = json!("spiffe");
            client["attributes"]["jwt.credential.sub"] = json!(own);
        }
    };
    let Some(service) = Keycloak::with(&world, Some(&published.authorities()), &own, spiffe).await else {
        return;
    };
    let token = service.token(&world, "alice").await;
    for (client, reason) in [
        (format!("{{id: \"{own}\", jwt_svid: jwt_spiffe}}"), Value::Null),
        (format!("{{id: \"{own}\", jwt_svid: jwt_bearer}}"), json!("credential_refused")),
        (format!("{{id: \"{own}2\", jwt_svid: jwt_spiffe}}"), json!("credential_refused")),
    ] {
        let gateway = world
            .process("best_effort", |config| service.known_by(&config, &client, "0s", "  actor: recorded"));
        let reply = world.agent("agent/clerk").to(&gateway.url).with_token(&token).post_entry(1).await;
        match reason.as_str() {
            None => assert_eq!(reply.result(), "posted"),
            Some(reason) => assert_eq!(reply.refused_because(), reason, "{client}"),
        }
        assert_eq!(gateway.requests()[0]["reason"], reason);
    }
    let received = world.ledger.received();
    assert_eq!(received.len(), 1);
    assert_eq!(claims(&received[0])["azp"], own);
}
