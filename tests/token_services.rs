//! Token services that are not ours: what they may leave out, how they refuse, and what becomes of one that fails.

use ::tokens::SigningKey;
use http::Response;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::task::JoinSet;
use world::agent::send;
use world::process::Process;
use world::services::claims_of;
use world::{Agent, Answer, McpServer, Plan, Received, World};

/// Every call is permitted, and what is in its way is the token service.
fn plan() -> Plan {
    let all = "package tools.ledger\n\nvisible := true\n\nallow := true\n".to_owned();
    Plan { policy: vec![("tools/ledger.rego", all)], ..Plan::default() }
}

/// A token service in the place of the embedded one, and a gateway that asks it.
struct Elsewhere {
    world: World,
    service: McpServer,
    gateway: Process,
}

/// What it issues for whom it was asked, before a story changes it.
struct Issuer {
    key: SigningKey,
    name: String,
    now: SystemTime,
}

impl Elsewhere {
    /// With more lines of `token_service`.
    async fn with(options: &str) -> Self {
        Self::prepared(options, |_| {}).await
    }

    async fn prepared(options: &str, prepare: impl FnOnce(&World)) -> Self {
        let world = World::with(plan()).await;
        prepare(&world);
        Self::within(world, options).await
    }

    async fn within(world: World, options: &str) -> Self {
        let source = world.source("token-service");
        let service = McpServer::start(source, world.id("gateway"), world.clock.clone()).await;
        let endpoint = format!("token_endpoint: https://{}/token", service.address);
        let gateway = world.process("best_effort", |config| {
            config
                .replace(&format!("token_endpoint: {}/oauth/token", world.origin), &endpoint)
                .replace("actor_key: actor.key", &format!("actor_key: actor.key\n{options}"))
                .replace("subject: required", "subject: optional")
                .replace("limits: {}", "limits: {streams_max: 2000, connect_timeout: 60s}")
        });
        Self { world, service, gateway }
    }

    fn issuer(&self) -> Issuer {
        Issuer {
            key: self.world.keys.credentials.clone(),
            name: format!("{}/oauth", self.world.origin),
            now: self.world.clock.now(),
        }
    }

    /// From now on it issues what it is asked for, changed.
    fn issues(&self, change: impl Fn(&mut Value, &mut Value) + Send + 'static) {
        let issuer = self.issuer();
        self.service.answers(move |received| issuer.answer(&form(received), &change));
    }

    fn refuses(&self, status: u16, body: &'static str) {
        self.service
            .answers(move |_| Answer::Raw(Response::builder().status(status).body(body.to_owned()).unwrap()));
    }

    fn clerk(&self) -> Agent {
        self.world.clerk().to(&self.gateway.url)
    }

    /// The records of requests, once the gateway has ended, and all that it said.
    fn ended(self) -> (Vec<Value>, String) {
        let audit = self.gateway.audit.clone();
        let (status, said) = self.gateway.terminate();
        assert!(status.success(), "{said}");
        let text = std::fs::read_to_string(audit).unwrap();
        let records = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        (records.filter(|record| record["kind"] == "request").collect(), said)
    }
}

impl Issuer {
    fn answer(&self, form: &BTreeMap<String, String>, change: &dyn Fn(&mut Value, &mut Value)) -> Answer {
        let at = self.now.duration_since(UNIX_EPOCH).unwrap().as_secs();
        let mut claims = json!({"iss": self.name, "sub": "alice", "aud": form["audience"], "scope": form["scope"],
            "iat": at, "exp": at + 300, "act": {"sub": "spiffe://bank.test/agent/clerk"}});
        let mut answer = json!({"token_type": "Bearer", "expires_in": 300,
            "issued_token_type": "urn:ietf:params:oauth:token-type:access_token"});
        change(&mut claims, &mut answer);
        answer["access_token"] =
            json!(self.key.sign("at+jwt", claims.as_object().unwrap()).unwrap().expose());
        Answer::Json(answer)
    }
}

fn form(received: &Received) -> BTreeMap<String, String> {
    let form = std::str::from_utf8(&received.body).unwrap();
    let url = reqwest::Url::parse(&format!("https://form.test/?{form}")).unwrap();
    url.query_pairs().into_owned().collect()
}

/// What a story changes in the claims, and in the answer around the token.
type Change = fn(&mut Value, &mut Value);

fn without_act(claims: &mut Value, _: &mut Value) {
    claims.as_object_mut().unwrap().remove("act");
}

fn act_of_another(claims: &mut Value, _: &mut Value) {
    claims["act"]["sub"] = json!("spiffe://bank.test/agent/intern");
}

#[tokio::test]
async fn an_actor_that_is_not_named_is_recorded_where_that_is_written() {
    for (options, actor) in [("  actor: recorded", json!("recorded")), ("  actor: required", Value::Null)] {
        let there = Elsewhere::with(options).await;
        there.issues(without_act);
        let reply = there.clerk().post_entry(1).await;
        let accepted = actor == "recorded";
        if accepted {
            assert_eq!(reply.result(), "posted");
        } else {
            assert_eq!((reply.status, reply.refused_because().as_str()), (502, "credential_not_accepted"));
        }
        assert_eq!(there.world.ledger.received().len(), usize::from(accepted));
        let (records, _) = there.ended();
        assert_eq!(records[0]["credential"]["actor"], actor);
        assert_eq!(records[0]["caller"], "spiffe://bank.test/agent/clerk");
    }
}

#[tokio::test]
async fn where_actors_are_recorded_all_else_is_checked_as_ever() {
    let there = Elsewhere::with("  actor: recorded\n  refusals_kept: 0s").await;
    let cases: [(&str, Change); 9] = [
        ("another actor", act_of_another),
        ("another subject", |claims, _| claims["sub"] = json!("mallory")),
        ("another audience", |claims, _| claims["aud"] = json!("spiffe://bank.test/mcp/s3")),
        ("a second audience", |claims, _| {
            claims["aud"] = json!([claims["aud"], "spiffe://bank.test/mcp/s3"]);
        }),
        ("wider scopes", |claims, _| claims["scope"] = json!("ledger:post_entry ledger:open_vault")),
        ("no scopes", |claims, _| claims["scope"] = json!("")),
        ("over", |claims, _| claims["exp"] = json!(claims["iat"].as_u64().unwrap() - 60)),
        ("not borne", |_, answer| answer["token_type"] = json!("DPoP")),
        ("no access token", |_, answer| {
            answer["issued_token_type"] = json!("urn:ietf:params:oauth:token-type:refresh_token");
        }),
    ];
    for (what, change) in cases {
        there.issues(move |claims, answer| {
            without_act(claims, answer);
            change(claims, answer);
        });
        let reply = there.clerk().post_entry(1).await;
        assert_eq!(reply.refused_because(), "credential_not_accepted", "{what}");
    }
    assert!(there.world.ledger.received().is_empty());
    there.issues(|claims, answer| {
        without_act(claims, answer);
        *answer = json!({}); // What it doesn't say of the token is no mistake.
    });
    assert_eq!(there.clerk().post_entry(1).await.result(), "posted");
    let (records, _) = there.ended();
    assert_eq!(records.len(), 10);
    assert!(records[..9].iter().all(|record| record["reason"] == "credential_not_accepted"));
}

#[tokio::test]
async fn each_way_to_fail_is_told_as_what_it_is() {
    let there = Elsewhere::with("  refusals_kept: 0s\n  timeout: 2s\n  breaker: {failures_max: 100}").await;
    let cases = [
        (400, r#"{"error":"interaction_required"}"#, "interaction_required"),
        (400, r#"{"error":"consent_required"}"#, "interaction_required"),
        (400, r#"{"error":"invalid_scope"}"#, "scope_refused"),
        (400, r#"{"error":"invalid_target"}"#, "audience_refused"),
        (400, r#"{"error":"invalid_grant","error_description":"x"}"#, "credential_refused"),
        (401, r#"{"error":"invalid_client"}"#, "credential_refused"),
        (400, r#"{"error":"no \"code\" at all"}"#, "credential_refused"),
        (400, r#"{"error":"temporarily_unavailable"}"#, "token_service_failed"),
        (429, r#"{"error":"invalid_grant"}"#, "token_service_failed"),
        (500, r#"{"error":"invalid_grant"}"#, "token_service_failed"),
        (302, "", "token_service_failed"),
        (400, "<html>", "token_service_failed"),
        (200, "{}", "token_service_failed"),
    ];
    for (status, body, reason) in cases {
        there.refuses(status, body);
        let reply = there.clerk().post_entry(1).await;
        assert_eq!((reply.status, reply.code()), (502, -32004), "{body}");
        assert_eq!(reply.refused_because(), reason, "{body}");
    }
    let (held, _open) = tokio::sync::mpsc::channel(1);
    there.service.answers(move |_| Answer::Silence(held.clone()));
    let reply = there.clerk().post_entry(1).await;
    assert_eq!((reply.status, reply.refused_because().as_str()), (504, "token_service_timeout"));
    assert!(there.world.ledger.received().is_empty());
    let (records, _) = there.ended();
    let reasons: Vec<&str> = records.iter().map(|record| record["reason"].as_str().unwrap()).collect();
    let told = cases.iter().map(|(_, _, reason)| *reason).chain(["token_service_timeout"]);
    assert_eq!(reasons, told.collect::<Vec<_>>());
    let cause = |n: usize| records[n]["cause"].as_str().unwrap();
    assert!(cause(1).ends_with("refused: consent_required"), "{}", cause(1));
    assert!(!cause(6).contains("at all"), "a text of the service's is not a code: {}", cause(6));
}

#[tokio::test]
async fn a_thousand_callers_at_once_make_one_request_to_the_token_service() {
    let there = Elsewhere::with("").await;
    there.issues(|_, _| {});
    let clerk = there.clerk();
    send(clerk.request(http::Method::GET, "/")).await; // One connection for all.
    let mut calls: JoinSet<_> = (0..1000)
        .map(|amount| {
            let clerk = clerk.clone();
            async move { clerk.post_entry(amount % 10).await.result() }
        })
        .collect();
    while let Some(result) = calls.join_next().await {
        assert_eq!(result.unwrap(), "posted");
    }
    assert_eq!(there.service.received().len(), 1);
    there.world.ledger.answers(|_| panic!("another person's call is another credential"));
    let other = there.world.token_with("agent/clerk", |claims| claims.subject = "bob");
    let reply = there.clerk().with_token(&other).post_entry(1).await;
    assert_eq!(reply.refused_because(), "credential_not_accepted", "alice's is not bob's");
    assert_eq!(there.service.received().len(), 2);
}

#[tokio::test]
async fn a_refusal_is_remembered_for_a_moment_and_for_this_question_alone() {
    for (options, requests) in [("", 1), ("  refusals_kept: 0s", 2)] {
        let there = Elsewhere::with(options).await;
        there.refuses(400, r#"{"error":"invalid_scope"}"#);
        let clerk = there.clerk();
        for _ in 0..2 {
            assert_eq!(clerk.post_entry(1).await.refused_because(), "scope_refused");
        }
        assert_eq!(there.service.received().len(), requests);
        there.issues(|_, _| {});
        assert_eq!(clerk.call("read_balance", json!({})).await.result(), "posted");
        let (records, _) = there.ended();
        assert_eq!(records.iter().filter(|record| record["reason"] == "scope_refused").count(), 2);
    }
}

#[tokio::test]
async fn a_service_that_keeps_failing_is_left_alone_and_one_that_refuses_is_not() {
    let options = "  refusals_kept: 0s\n  breaker: {failures_max: 2, open: 10m}";
    for (status, body, reason, requests) in
        [(503, "", "token_service_failed", 2), (400, r#"{"error":"invalid_grant"}"#, "credential_refused", 4)]
    {
        let there = Elsewhere::with(options).await;
        there.refuses(status, body);
        for _ in 0..4 {
            assert_eq!(there.clerk().post_entry(1).await.refused_because(), reason);
        }
        assert_eq!(there.service.received().len(), requests);
        assert!(there.world.ledger.received().is_empty());
        let (records, _) = there.ended();
        let alone = |record: &&Value| record["cause"].as_str().unwrap().contains("left alone");
        assert_eq!(records.iter().filter(alone).count(), 4 - requests);
    }
}

#[tokio::test]
async fn what_was_not_heard_is_asked_again_and_what_was_heard_is_not() {
    let there = Elsewhere::with("").await;
    there.refuses(500, "");
    assert_eq!(there.clerk().post_entry(1).await.refused_because(), "token_service_failed");
    assert_eq!((there.service.connections(), there.service.received().len()), (1, 1));

    let there = Elsewhere::prepared("", |world| {
        // Another workload than the token service stands there: the connection fails, and nothing is sent.
        let other = world.domain.write_svid(
            &world.path("token-service"),
            &world.id("token-service-of-another"),
            &["127.0.0.1"],
            world.clock.now(),
        );
        other.unwrap();
    })
    .await;
    there.issues(|_, _| {});
    assert_eq!(there.clerk().post_entry(1).await.refused_because(), "token_service_failed");
    assert_eq!((there.service.connections(), there.service.received().len()), (2, 0));
}

const SECRET: &str = "open-sesame%";

#[tokio::test]
async fn without_a_subject_the_gateway_has_a_credential_of_its_own_where_that_is_written() {
    let options = "  client: {id: gateway, secret_file: secret}\n  actor: recorded
  without_subject: client_credentials\n  refusals_kept: 0s";
    let there = Elsewhere::prepared(options, |world| {
        ::certs::files::write(&world.path("secret"), format!("{SECRET}\n").as_bytes(), 0o600).unwrap();
    })
    .await;
    let robot = there.world.agent("agent/robot").to(&there.gateway.url);
    for (client, posted) in [("gateway", true), ("gateway-2", false)] {
        there.issues(move |claims, answer| {
            without_act(claims, answer);
            claims["sub"] = json!("service-account-gateway");
            claims["azp"] = json!(client);
            claims["exp"] = json!(claims["iat"].as_u64().unwrap() + 10); // So short that none is kept.
        });
        let reply = robot.post_entry(1).await;
        if posted {
            assert_eq!(reply.result(), "posted");
        } else {
            assert_eq!(reply.refused_because(), "credential_not_accepted");
        }
    }
    let asked = &there.service.received()[0];
    let form = form(asked);
    assert_eq!(form["grant_type"], "client_credentials");
    assert_eq!(asked.headers["authorization"], "Basic Z2F0ZXdheTpvcGVuLXNlc2FtZSUyNQ==");
    assert_eq!(form.keys().collect::<Vec<_>>(), ["audience", "grant_type", "scope"]);
    assert_eq!(there.world.ledger.received().len(), 1);
    let (records, said) = there.ended();
    assert_eq!(records[0]["credential"]["actor"], "recorded");
    assert_eq!(records[0]["caller"], "spiffe://bank.test/agent/robot");
    for secret in [SECRET, "Z2F0ZXdheTpvcGVuLXNlc2FtZSUyNQ"] {
        assert!(!said.contains(secret) && !format!("{records:?}").contains(secret));
    }
}

#[tokio::test(flavor = "multi_thread")] // A process asks what this one serves.
async fn the_gateways_jwt_svid_says_who_asks_and_outlasts_an_agent_that_is_away() {
    let with_agent = || async {
        let half_an_hour = Some(Duration::from_secs(1800));
        World::with(Plan { workload_api: half_an_hour, ..plan() }).await
    };
    for (written, kind) in [
        ("jwt_spiffe", "urn:ietf:params:oauth:client-assertion-type:jwt-spiffe"),
        ("jwt_bearer", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"),
    ] {
        let options = format!("  client: {{id: gateway, jwt_svid: {written}}}");
        let mut there = Elsewhere::within(with_agent().await, &options).await;
        there.issues(|_, _| {});
        assert_eq!(there.clerk().post_entry(1).await.result(), "posted");
        there.world.workload_api.as_mut().unwrap().goes().await;
        assert_eq!(there.clerk().call("read_balance", json!({})).await.result(), "posted");
        let received = there.service.received();
        let asked: Vec<_> = received.iter().map(form).collect();
        assert_eq!(asked.len(), 2);
        assert_eq!(
            (asked[0]["client_id"].as_str(), asked[0]["client_assertion_type"].as_str()),
            ("gateway", kind)
        );
        let claims = claims_of(&asked[0]["client_assertion"]);
        assert_eq!(claims["sub"], there.world.id("gateway").to_string());
        assert_eq!(claims["aud"], json!([format!("{}/oauth", there.world.origin)]), "for the service alone");
        assert_eq!(asked[0]["client_assertion"], asked[1]["client_assertion"], "the last good one");
        let (_, said) = there.ended();
        assert!(!said.contains(&asked[0]["client_assertion"]), "it is never printed");
    }

    let mut there =
        Elsewhere::within(with_agent().await, "  client: {id: gateway, jwt_svid: jwt_spiffe}").await;
    there.issues(|_, _| {});
    there.world.workload_api.as_mut().unwrap().goes().await;
    let reply = there.clerk().post_entry(1).await;
    assert_eq!((reply.status, reply.refused_because().as_str()), (502, "token_service_failed"));
    assert!(there.service.received().is_empty() && there.world.ledger.received().is_empty());
    assert_eq!(there.ended().0[0]["reason"], "token_service_failed");
}

/// What is wrong with the world's configuration, with more lines of `token_service`.
fn mistakes(world: &World, options: &str) -> Vec<String> {
    let usual = std::fs::read_to_string(world.path("sallyport.yaml")).unwrap();
    let config = usual.replace("actor_key: actor.key", &format!("actor_key: actor.key\n  {options}"));
    let path = world.path("changed.yaml");
    std::fs::write(&path, config).unwrap();
    let found = gateway::config::load(&path).err().unwrap_or_default();
    found.into_iter().map(|problem| problem.path).collect()
}

#[tokio::test]
async fn what_a_token_service_cannot_be_is_said_before_the_start() {
    let world = World::start().await;
    let write = |name: &str, text: &str, mode| {
        ::certs::files::write(&world.path(name), text.as_bytes(), mode).unwrap();
    };
    write("secret", "between us\n", 0o600);
    write("open", "between us\n", 0o644);
    write("lines", "between\nus\n", 0o600);
    let provider = "issuer: 'https://idp.test', token_endpoint: 'https://idp.test/token', jwks: {url: 'https://idp.test/keys'}";
    for (options, mistake) in [
        ("client: {id: gateway, secret_file: secret}", None),
        ("client: {id: gateway, secret_file: open}", Some("token_service.client.secret_file")),
        ("client: {id: gateway, secret_file: lines}", Some("token_service.client.secret_file")),
        ("client: {id: gateway, secret_file: gone}", Some("token_service.client.secret_file")),
        ("client: {id: gateway, key_file: actor.key}", None),
        ("client: {id: gateway, key_file: secret}", Some("token_service.client.key_file")),
        ("client: {id: gateway, key_file: actor.key, secret_file: secret}", Some("token_service.client")),
        ("client: {id: gateway}", None),
        ("client: {id: gateway, jwt_svid: jwt_spiffe}", Some("token_service.client.jwt_svid")),
        ("client: {id: gateway, jwt_svid: jwt_bearer, key_file: actor.key}", Some("token_service.client")),
        ("client: {id: \"\"}", Some("token_service.client.id")),
        (&format!("client: {{id: gateway}}\n  id_jag: {{{provider}}}"), None),
        (&format!("id_jag: {{{provider}}}"), Some("token_service.client")),
        (
            &format!("client: {{id: gateway}}\n  id_jag: {{{provider}, client: {{id: \"\"}}}}"),
            Some("token_service.id_jag.client.id"),
        ),
        (
            &format!("client: {{id: gateway}}\n  id_jag: {{{provider}, subject: mapped}}"),
            Some("token_service.id_jag.subject"),
        ),
        (
            &format!("client: {{id: gateway}}\n  actor: recorded\n  id_jag: {{{provider}, subject: mapped}}"),
            None,
        ),
        ("without_subject: client_credentials\n  client: {id: gateway}\n  actor: recorded", None),
        (
            "without_subject: client_credentials\n  client: {id: gateway}",
            Some("token_service.without_subject"),
        ),
        ("without_subject: client_credentials\n  actor: recorded", Some("token_service.without_subject")),
        ("refusals_kept: 1m", None),
        ("refusals_kept: 61s", Some("token_service.refusals_kept")),
        ("breaker: {failures_max: 1, open: 100ms}", None),
        ("breaker: {failures_max: 0}", Some("token_service.breaker.failures_max")),
        ("breaker: {open: 0s}", Some("token_service.breaker.open")),
    ] {
        assert_eq!(mistakes(&world, options), Vec::from_iter(mistake), "{options}");
    }
}
