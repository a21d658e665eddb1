//! An identity provider says for whom the gateway may ask a server's own authorization server (MCP enterprise-managed
//! authorization): an ID-JAG from the one, a credential from the other, and each is checked.

use ::tokens::SigningKey;
use gateway::exchange::client::{ACCESS_TOKEN, GRANT_TYPE};
use gateway::exchange::id_jag::{ID_JAG, ID_JAG_TYPE, JWT_BEARER_GRANT};
use http::Response;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::UNIX_EPOCH;
use tokio::task::JoinSet;
use world::process::Process;
use world::services::{Service, claims, free_port, with_services};
use world::token_services::{LEDGER, OidcProvider};
use world::{Agent, Answer, DOMAIN, McpServer, Received, World};

/// A world in which every call is permitted, and what is in its way is the credential.
async fn world() -> World {
    let all = "package tools.ledger\n\nvisible := true\n\nallow := true\n".to_owned();
    World::with_policy(vec![("tools/ledger.rego", all)]).await
}

/// What a story changes in two values.
type Change = fn(&mut Value, &mut Value);

/// Two of oidc-provider: the identity provider of the callers, and the authorization server of the ledger.
struct Enterprise {
    world: World,
    provider: OidcProvider,
    server: OidcProvider,
}

impl Enterprise {
    /// As it should be, but for what is changed in the settings of the one and of the other.
    async fn with(change: Change) -> Option<Self> {
        let world = world().await;
        let [at, and] = [free_port(), free_port()];
        let name = |port: u16| format!("https://127.0.0.1:{port}");
        let mut provider = OidcProvider::settings(&world);
        let mut server = provider.clone();
        provider["id_jag_for"] = json!({ name(and): "gateway-key" });
        server["id_jag_from"] = json!(name(at));
        change(&mut provider, &mut server);
        let provider = OidcProvider(Service::oidc_provider_at(&world, at, provider)?);
        let server = OidcProvider(Service::oidc_provider_at(&world, and, server)?);
        Some(Self { world, provider, server })
    }

    fn gateway(&self, client: &str, options: &str) -> Process {
        let id_jag = format!(
            "  id_jag:
    issuer: {origin}
    token_endpoint: {origin}/token
    {server}
    {jwks}
    client: {{id: gateway-secret, secret_file: client.secret}}",
            origin = self.provider.0.origin,
            server = OidcProvider::server(),
            jwks = self.provider.jwks(),
        );
        let options = format!("  client: {client}\n{options}\n{id_jag}");
        let service = self.server.service(&OidcProvider::server(), &options);
        self.world
            .process("best_effort", |config| with_services(&config, &self.provider.issuer("0s"), &service))
    }

    async fn clerk(&self, gateway: &Process, account: &str) -> Agent {
        let token = self.provider.signed_in(&self.world, account, "").await;
        self.world.agent("agent/clerk").to(&gateway.url).with_token(&token)
    }
}

const KEY: &str = "{id: gateway-key, key_file: client.key}";

#[tokio::test]
async fn a_person_reaches_a_server_by_the_word_of_an_oidc_provider_to_another_one() {
    let Some(there) = Enterprise::with(|_, _| {}).await else { return };
    let clerk = json!({"sub": format!("spiffe://{DOMAIN}/agent/clerk")});
    for (n, (actor, act)) in [("required", clerk), ("recorded", Value::Null)].into_iter().enumerate() {
        let gateway = there.gateway(KEY, &format!("  actor: {actor}"));
        assert_eq!(there.clerk(&gateway, "alice").await.post_entry(1).await.result(), "posted");
        let received = there.world.ledger.received();
        assert_eq!(received.len(), n + 1);
        let credential = claims(&received[n]);
        assert_eq!(credential["iss"], there.server.0.origin);
        assert_eq!((&credential["sub"], &credential["aud"]), (&json!("alice"), &json!(LEDGER)));
        assert_eq!(
            (&credential["scope"], &credential["client_id"]),
            (&json!("ledger:post_entry"), &json!("gateway-key"))
        );
        assert_eq!(credential["act"], act);
        let records = gateway.requests();
        assert_eq!((&records[0]["reason"], &records[0]["subject"]["sub"]), (&Value::Null, &json!("alice")));
    }
}

#[tokio::test]
async fn what_either_oidc_provider_does_not_grant_reaches_no_server() {
    let secret = "{id: gateway-secret, secret_file: client.secret}";
    let cases: [(Change, &str, &str, &str); 5] = [
        (
            |provider, _| provider["accounts"] = json!({}),
            KEY,
            "scope_refused",
            "the identity provider refused",
        ),
        (
            |provider, _| provider["id_jag_for"] = json!({"https://another.test": "gateway-key"}),
            KEY,
            "audience_refused",
            "the identity provider refused",
        ),
        (
            |_, server| server["id_jag_from"] = Value::Null,
            KEY,
            "credential_refused",
            "the token service refused",
        ),
        (|_, server| server["accounts"] = json!({}), KEY, "scope_refused", "the token service refused"),
        (|_, _| {}, secret, "credential_not_accepted", "the identity provider's assertion is not"),
    ];
    for (change, client, reason, cause) in cases {
        let Some(there) = Enterprise::with(change).await else { return };
        let gateway = there.gateway(client, "");
        let refused = there.clerk(&gateway, "alice").await.post_entry(1).await;
        assert_eq!((refused.status, refused.refused_because().as_str()), (502, reason));
        assert!(there.world.ledger.received().is_empty());
        let records = gateway.requests();
        assert_eq!(records[0]["reason"], reason);
        assert!(records[0]["cause"].as_str().unwrap().contains(cause), "{}", records[0]["cause"]);
    }
}

const PROVIDER: &str = "https://idp.test";
const SERVER: &str = "https://server.test";

/// The same two as fakes, which give what a story wants them to.
struct Fakes {
    world: World,
    provider: McpServer,
    server: McpServer,
    gateway: Process,
    key: SigningKey,
}

impl Fakes {
    /// With more lines of `token_service` and of its `id_jag`.
    async fn with(options: &str, id_jag: &str) -> Self {
        let world = world().await;
        let key = SigningKey::generate().unwrap();
        std::fs::write(world.path("fakes.json"), SigningKey::jwks([&key]).to_string()).unwrap();
        let start =
            || McpServer::start(world.source("token-service"), world.id("gateway"), world.clock.clone());
        let (provider, server) = (start().await, start().await);
        let proof = format!("server: {{spiffe_id: \"spiffe://{DOMAIN}/token-service\"}}");
        let service = format!(
            "  issuer: {SERVER}
  token_endpoint: https://{}/token
  {proof}
  jwks: {{file: fakes.json}}
  actor_key: actor.key
  client: {{id: gateway}}
{options}
  id_jag:
    issuer: {PROVIDER}
    token_endpoint: https://{}/token
    {proof}
    jwks: {{file: fakes.json}}
{id_jag}
",
            server.address, provider.address
        );
        let gateway = world.process("best_effort", |config| with_services(&config, "", &service));
        let fakes = Self { world, provider, server, gateway, key };
        fakes.gives(&fakes.key, ID_JAG_TYPE, |_, _| {});
        fakes.issues(|_| {});
        fakes
    }

    /// The identity provider gives what it is asked for from now on, signed like this and changed.
    fn gives(&self, key: &SigningKey, typ: &'static str, change: Change) {
        let (key, at) = (key.clone(), self.now());
        self.provider.answers(move |received| {
            let form = form(received);
            assert_eq!(
                (form["grant_type"].as_str(), form["requested_token_type"].as_str()),
                (GRANT_TYPE, ID_JAG)
            );
            let mut claims = json!({"iss": PROVIDER, "sub": "alice", "aud": form["audience"], "exp": at + 300,
                "client_id": "gateway", "resource": form["resource"], "scope": form["scope"]});
            let mut answer = json!({"issued_token_type": ID_JAG, "token_type": "N_A", "expires_in": 300});
            change(&mut claims, &mut answer);
            answer["access_token"] = json!(key.sign(typ, claims.as_object().unwrap()).unwrap().expose());
            Answer::Json(answer)
        });
    }

    /// The server's own authorization server issues what it is asked for from now on, changed.
    fn issues(&self, change: fn(&mut Value)) {
        let (key, at) = (self.key.clone(), self.now());
        self.server.answers(move |received| {
            let form = form(received);
            assert_eq!(form["grant_type"], JWT_BEARER_GRANT);
            let mut claims = json!({"iss": SERVER, "sub": "alice", "aud": form["resource"], "exp": at + 300,
                "client_id": "gateway", "scope": form["scope"]});
            change(&mut claims);
            let token = key.sign("at+jwt", claims.as_object().unwrap()).unwrap();
            Answer::Json(json!({"access_token": token.expose(), "token_type": "Bearer", "expires_in": 300}))
        });
    }

    fn now(&self) -> u64 {
        self.world.clock.now().duration_since(UNIX_EPOCH).unwrap().as_secs()
    }

    fn clerk(&self) -> Agent {
        self.world.clerk().to(&self.gateway.url)
    }

    /// How often the two were asked, and what the ledger heard.
    fn heard(&self) -> (usize, usize, usize) {
        let heard = |server: &McpServer| server.received().len();
        (heard(&self.provider), heard(&self.server), heard(&self.world.ledger))
    }
}

fn form(received: &Received) -> BTreeMap<String, String> {
    let form = std::str::from_utf8(&received.body).unwrap();
    let url = reqwest::Url::parse(&format!("https://form.test/?{form}")).unwrap();
    url.query_pairs().into_owned().collect()
}

#[tokio::test]
async fn an_assertion_that_is_not_what_was_asked_for_goes_no_further() {
    let cases: [(&str, Change); 16] = [
        ("an access token", |_, answer| answer["issued_token_type"] = json!(ACCESS_TOKEN)),
        ("of no type", |_, answer| drop(answer.as_object_mut().unwrap().remove("issued_token_type"))),
        ("one that can be borne", |_, answer| answer["token_type"] = json!("Bearer")),
        ("nobody says how it is shown", |_, answer| {
            drop(answer.as_object_mut().unwrap().remove("token_type"))
        }),
        ("another issuer", |claims, _| claims["iss"] = json!("https://idp2.test")),
        ("another audience", |claims, _| claims["aud"] = json!("https://server2.test")),
        ("a second audience", |claims, _| claims["aud"] = json!([SERVER, "https://server2.test"])),
        ("another subject", |claims, _| claims["sub"] = json!("mallory")),
        ("another client", |claims, _| claims["client_id"] = json!("gateway2")),
        ("no client", |claims, _| claims["client_id"] = Value::Null),
        ("over", |claims, _| claims["exp"] = json!(claims["exp"].as_u64().unwrap() - 600)),
        ("wider scopes", |claims, _| claims["scope"] = json!("ledger:post_entry ledger:open_vault")),
        ("another resource", |claims, _| claims["resource"] = json!("https://mcp2.test")),
        ("a second resource", |claims, _| claims["resource"] = json!([LEDGER, "https://mcp2.test"])),
        ("a resource of no known form", |claims, _| claims["resource"] = json!({})),
        ("no subject", |claims, _| claims["sub"] = Value::Null),
    ];
    let there = Fakes::with("  actor: recorded\n  refusals_kept: 0s", "").await;
    let mut asked = 0;
    let mut refused = async |what: &str| {
        let reply = there.clerk().post_entry(1).await;
        assert_eq!(
            (reply.status, reply.refused_because().as_str()),
            (502, "credential_not_accepted"),
            "{what}"
        );
        asked += 1;
        assert_eq!(there.heard(), (asked, 0, 0), "{what}");
    };
    for (what, change) in cases {
        there.gives(&there.key, ID_JAG_TYPE, change);
        refused(what).await;
    }
    there.gives(&there.key, "at+jwt", |_, _| {});
    refused("of another type").await;
    there.gives(&SigningKey::generate().unwrap(), ID_JAG_TYPE, |_, _| {});
    refused("another's signature").await;

    there
        .gives(&there.key, ID_JAG_TYPE, |claims, _| drop(claims.as_object_mut().unwrap().remove("resource")));
    assert_eq!(there.clerk().post_entry(1).await.result(), "posted", "it need not name the resource");
    let asked = form(&there.provider.received()[0]);
    let names: Vec<&str> = asked.keys().map(String::as_str).collect();
    let plain = [
        "audience",
        "grant_type",
        "requested_token_type",
        "resource",
        "scope",
        "subject_token",
        "subject_token_type",
    ];
    assert_eq!(names, plain, "nobody is named as the actor where that is recorded");
    assert_eq!((asked["audience"].as_str(), asked["resource"].as_str()), (SERVER, LEDGER));
    assert_eq!(asked["subject_token_type"], ACCESS_TOKEN);
    let names: Vec<String> = form(&there.server.received()[0]).into_keys().collect();
    assert_eq!(names, ["assertion", "client_id", "grant_type", "resource", "scope"]);
    let records = there.gateway.requests();
    assert_eq!(records.iter().filter(|record| record["reason"] == "credential_not_accepted").count(), 18);
}

#[tokio::test]
async fn a_credential_by_way_of_an_assertion_is_checked_like_any_other() {
    type Claims = fn(&mut Value);
    let cases: [(&str, Claims); 5] = [
        ("another audience", |claims| claims["aud"] = json!("https://mcp2.test")),
        ("wider scopes", |claims| claims["scope"] = json!("ledger:post_entry ledger:open_vault")),
        ("another subject", |claims| claims["sub"] = json!("u-4711")),
        ("another issuer", |claims| claims["iss"] = json!(PROVIDER)),
        ("over", |claims| claims["exp"] = json!(claims["exp"].as_u64().unwrap() - 600)),
    ];
    let there = Fakes::with("  actor: recorded\n  refusals_kept: 0s", "").await;
    for (what, change) in cases {
        there.issues(change);
        assert_eq!(there.clerk().post_entry(1).await.refused_because(), "credential_not_accepted", "{what}");
    }
    assert_eq!(there.heard(), (5, 5, 0));
    there.issues(|_| {});
    assert_eq!(there.clerk().post_entry(1).await.result(), "posted");
}

#[tokio::test]
async fn a_server_may_call_a_person_by_another_name_where_that_is_written() {
    let named: fn(&mut Value) = |claims| claims["sub"] = json!("u-4711");
    let for_another: fn(&mut Value) = |claims| {
        claims["sub"] = json!("u-4711");
        claims["client_id"] = json!("gateway2");
    };
    for (written, change, posted) in
        [("mapped", named, true), ("mapped", for_another, false), ("same", named, false)]
    {
        let there = Fakes::with("  actor: recorded", &format!("    subject: {written}")).await;
        there.issues(change);
        let reply = there.clerk().post_entry(1).await;
        if posted {
            assert_eq!(reply.result(), "posted");
        } else {
            assert_eq!(reply.refused_because(), "credential_not_accepted");
        }
        assert_eq!(there.heard(), (1, 1, usize::from(posted)));
    }
}

#[tokio::test]
async fn both_are_asked_once_for_all_who_wait_and_not_again_while_it_holds() {
    let there = Fakes::with("  actor: recorded", "    subject_token: id_token").await;
    let clerk = there.clerk();
    let mut calls: JoinSet<_> = (0..50)
        .map(|amount| {
            let clerk = clerk.clone();
            async move { clerk.post_entry(amount).await.result() }
        })
        .collect();
    while let Some(result) = calls.join_next().await {
        assert_eq!(result.unwrap(), "posted");
    }
    assert_eq!(there.heard(), (1, 1, 50));
    let asked = form(&there.provider.received()[0]);
    assert_eq!(asked["subject_token_type"], "urn:ietf:params:oauth:token-type:id_token");
    let assertion = form(&there.server.received()[0])["assertion"].clone();
    let (_, said) = there.gateway.terminate();
    assert!(!said.contains(&assertion) && !said.contains(&asked["subject_token"]), "neither is ever printed");
}

#[tokio::test]
async fn what_the_identity_provider_refuses_is_remembered_and_if_it_fails_it_is_left_alone() {
    for (options, status, body, reason, asked) in [
        ("", 400, r#"{"error":"consent_required"}"#, "interaction_required", 1),
        ("  refusals_kept: 0s", 400, r#"{"error":"invalid_scope"}"#, "scope_refused", 4),
        ("  breaker: {failures_max: 2, open: 10m}", 503, "", "token_service_failed", 2),
    ] {
        let there = Fakes::with(&format!("  actor: recorded\n{options}"), "").await;
        there
            .provider
            .answers(move |_| Answer::Raw(Response::builder().status(status).body(body.to_owned()).unwrap()));
        let clerk = there.clerk();
        for _ in 0..4 {
            assert_eq!(clerk.post_entry(1).await.refused_because(), reason);
        }
        assert_eq!(there.heard(), (asked, 0, 0), "{reason}");
        assert_eq!(there.gateway.requests().len(), 4);
    }
}

#[tokio::test]
async fn nobody_is_asked_on_behalf_of_a_token_service_that_is_left_alone() {
    let there = Fakes::with("  actor: recorded\n  breaker: {failures_max: 2, open: 10m}", "").await;
    there.server.answers(|_| Answer::Raw(Response::builder().status(503).body(String::new()).unwrap()));
    for _ in 0..4 {
        assert_eq!(there.clerk().post_entry(1).await.refused_because(), "token_service_failed");
    }
    assert_eq!(there.heard(), (2, 2, 0));
    assert_eq!(there.gateway.requests().len(), 4);
}
