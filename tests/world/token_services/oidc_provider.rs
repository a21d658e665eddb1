//! oidc-provider with what our script does to it: exchanges that name the actor.

use super::{Actor, LEDGER, Says, TokenService};
use crate::agent::send;
use crate::services::{Service, WORKLOAD, with_services};
use crate::{Agent, DOMAIN, World};
use gateway::exchange::client::caller_issuer;
use serde_json::{Value, json};
use tokens::SigningKey;

const SECRET: &str = "between gateway and service: 100 %";

/// oidc-provider; the gateway is its client three times, after the ways in which it proves itself.
pub struct OidcProvider(pub Service);

impl OidcProvider {
    /// Its settings, with the gateway's key and secret in the world's files `client.key` and `client.secret`.
    pub fn settings(world: &World) -> Value {
        let client = SigningKey::generate().unwrap();
        certs::files::write(&world.path("client.key"), client.to_pkcs8(), 0o600).unwrap();
        certs::files::write(&world.path("client.secret"), SECRET.as_bytes(), 0o600).unwrap();
        let actors = SigningKey::from_pkcs8(&std::fs::read(world.path("actor.key")).unwrap()).unwrap();
        json!({
            "audience": LEDGER,
            "scopes": ["ledger:post_entry", "ledger:open_vault"],
            "accounts": {"alice": ["ledger:post_entry"]},
            "agent": {"id": "clerk", "secret": "unused"},
            "gateway": {"id": "gateway", "secret": SECRET, "jwks": SigningKey::jwks([&client]),
                "uri": format!("spiffe://{DOMAIN}/gateway")},
            "actors": {"issuer": caller_issuer(&actors), "jwks": SigningKey::jwks([&actors])},
        })
    }

    /// What proves its server.
    pub fn server() -> String {
        format!("server: {{spiffe_id: \"spiffe://{DOMAIN}/{WORKLOAD}\"}}")
    }

    /// Where its keys are.
    pub fn jwks(&self) -> String {
        format!("jwks: {{url: \"{}/jwks\", {}}}", self.0.origin, Self::server())
    }

    /// The entry of `issuers`.
    pub fn issuer(&self, leeway: &str) -> String {
        format!(
            "  - issuer: {}
    leeway: {leeway}
    presenter: {{claim: client_id, map: {{clerk: \"spiffe://{DOMAIN}/agent/clerk\"}}}}
    delegates: true
    {}
",
            self.0.origin,
            self.jwks()
        )
    }

    /// `token_service`, its server proven as `server` says.
    pub fn service(&self, server: &str, options: &str) -> String {
        format!(
            "  issuer: {origin}
  token_endpoint: {origin}/token
  {server}
  {jwks}
  actor_key: actor.key
  target: resource
{options}
",
            origin = self.0.origin,
            jwks = self.jwks()
        )
    }

    /// What a sign-in ends in: a token for the gateway, with more parameters of the sign-in.
    pub async fn signed_in(&self, world: &World, account: &str, more: &str) -> String {
        let browser = Agent::from_pem(&self.0.origin, &world.trust_bundle(), None, &[b"http/1.1"]);
        let path = format!("/signed-in?account={account}&audience={}{more}", world.url);
        let reply = send(browser.request(http::Method::GET, &path)).await;
        assert_eq!(reply.status, 200, "{}", reply.text);
        reply.text
    }
}

impl TokenService for OidcProvider {
    const SAYS: Says = Says {
        actor: Actor::Named,
        wider: "scope_refused",
        person: "scope_refused",
        audience: "audience_refused",
        expired: "credential_refused",
        alone: ("  actor: recorded\n  without_subject: client_credentials", Ok("gateway-key")),
    };

    async fn start(world: &World) -> Option<Self> {
        Service::oidc_provider(world, Self::settings(world)).map(Self)
    }

    fn known(&self, config: &str, leeway: &str, options: &str) -> String {
        let client = "  client: {id: gateway-key, key_file: client.key}";
        let service = self.service(&Self::server(), &format!("{client}\n{options}"));
        with_services(config, &self.issuer(leeway), &service)
    }

    async fn token(&self, world: &World, account: &'static str) -> String {
        self.signed_in(world, account, "").await
    }

    async fn expired(&self, world: &World) -> String {
        self.signed_in(world, "alice", "&ago=60").await
    }

    async fn goes(self, _: &World) {}
}
