//! Keycloak: its standard token exchange narrows scopes and audience, and names no actor.

use super::{Actor, LEDGER, Says, TokenService};
use crate::agent::send;
use crate::services::{Service, WORKLOAD, with_services};
use crate::{Agent, DOMAIN, World};
use serde_json::{Value, json};
use std::path::Path;

const PASSWORD: &str = "a password of this story";
const SECRET: &str = "between gateway and service: 100 %";

/// Keycloak with a realm of ours.
pub struct Keycloak {
    service: Service,
    there: Agent,
    gateway: String,
}

impl Keycloak {
    /// Starts it with a realm that was changed. The gateway's client there is as [`gateway`] has it, unless that is changed.
    pub async fn with(
        world: &World,
        authorities: Option<&Path>,
        gateway: &str,
        change: impl FnOnce(&mut Value),
    ) -> Option<Self> {
        certs::files::write(&world.path("client.secret"), SECRET.as_bytes(), 0o600).unwrap();
        let service = Service::keycloak(world, PASSWORD, authorities)?;
        let there = Agent::from_pem(&service.origin, &world.trust_bundle(), None, &[b"http/1.1"]);
        let form = password("admin-cli", "admin");
        let admin = there.clone().with_token(&granted(&there, "master", &form).await);
        let mut realm = realm(world, gateway);
        change(&mut realm);
        let made = send(admin.post("/admin/realms", realm.to_string())).await;
        assert_eq!(made.status, 201, "{}", made.text);
        Some(Self { service, there, gateway: gateway.to_owned() })
    }

    /// The gateway's configuration with it, its client written like this.
    pub fn known_by(&self, config: &str, client: &str, leeway: &str, options: &str) -> String {
        let origin = self.issuer();
        let server = format!("server: {{spiffe_id: \"spiffe://{DOMAIN}/{WORKLOAD}\"}}");
        let jwks = format!("jwks: {{url: \"{origin}/protocol/openid-connect/certs\", {server}}}");
        let clerk = format!("\"spiffe://{DOMAIN}/agent/clerk\"");
        let issuer = format!(
            "  - issuer: {origin}
    leeway: {leeway}
    presenter: {{claim: azp, map: {{clerk: {clerk}, brief: {clerk}}}}}
    {jwks}
"
        );
        let token_service = format!(
            "  issuer: {origin}
  token_endpoint: {origin}/protocol/openid-connect/token
  {server}
  {jwks}
  actor_key: actor.key
  client: {client}
{options}
"
        );
        with_services(config, &issuer, &token_service)
    }

    /// The realm, as its tokens name it.
    pub fn issuer(&self) -> String {
        format!("{}/realms/bank", self.service.origin)
    }

    async fn signed_in(&self, client: &str, account: &str) -> String {
        granted(&self.there, "bank", &password(client, account)).await
    }

    /// Whether a token holds, by Keycloak's own word (RFC 7662).
    async fn holds(&self, token: &str) -> bool {
        let path = "/realms/bank/protocol/openid-connect/token/introspect";
        let form = [("client_id", self.gateway.as_str()), ("client_secret", SECRET), ("token", token)];
        let reply = send(self.there.request(http::Method::POST, path).form(&form)).await;
        assert_eq!(reply.status, 200, "{}", reply.text);
        reply.json()["active"] == true
    }
}

impl TokenService for Keycloak {
    const SAYS: Says = Says {
        actor: Actor::Recorded,
        wider: "scope_refused",
        person: "credential_refused",
        audience: "credential_refused",
        expired: "credential_refused",
        // The gateway is no bookkeeper.
        alone: ("  without_subject: client_credentials", Err("credential_not_accepted")),
    };

    async fn start(world: &World) -> Option<Self> {
        Self::with(world, None, "gateway", |_| {}).await
    }

    fn known(&self, config: &str, leeway: &str, options: &str) -> String {
        let client = "{id: gateway, secret_file: client.secret}";
        let actor = if options.contains("actor:") { "" } else { "  actor: recorded\n" };
        self.known_by(config, client, leeway, &format!("{actor}{options}"))
    }

    async fn token(&self, _: &World, account: &'static str) -> String {
        self.signed_in("clerk", account).await
    }

    async fn expired(&self, _: &World) -> String {
        let token = self.signed_in("brief", "alice").await;
        while self.holds(&token).await {} // For a second.
        token
    }

    async fn goes(self, _: &World) {}
}

fn password<'a>(client: &'a str, account: &'a str) -> [(&'a str, &'a str); 4] {
    [("grant_type", "password"), ("client_id", client), ("username", account), ("password", PASSWORD)]
}

async fn granted(there: &Agent, realm: &str, form: &[(&str, &str)]) -> String {
    let path = format!("/realms/{realm}/protocol/openid-connect/token");
    let reply = send(there.request(http::Method::POST, &path).form(form)).await;
    assert_eq!(reply.status, 200, "{}", reply.text);
    reply.json()["access_token"].as_str().unwrap().to_owned()
}

/// What an operator sets up: docs/token-exchange.md explains it.
fn realm(world: &World, gateway: &str) -> Value {
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
        [audience("included.client.audience", gateway), audience("included.custom.audience", &world.url)];
    let agent = |name: &str, attributes: Value| {
        json!({"clientId": name, "publicClient": true, "standardFlowEnabled": false, "attributes": attributes,
            "directAccessGrantsEnabled": true, "defaultClientScopes": ["subject", "sallyport"]})
    };
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
            agent("clerk", json!({})),
            agent("brief", json!({"access.token.lifespan": "1"})),
            {"clientId": gateway, "secret": SECRET, "standardFlowEnabled": false,
                "serviceAccountsEnabled": true, "attributes": {"standard.token.exchange.enabled": "true"},
                "defaultClientScopes": ["subject"], "optionalClientScopes": ["ledger:post_entry"]},
            {"clientId": LEDGER, "bearerOnly": true},
        ],
        "users": [user("alice", json!(["bookkeeper"])), user("bob", json!([]))],
    })
}
