//! Whose tokens count: how an issuer is found, what its tokens say, who may present them.

use ::tokens::SigningKey;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use serde_json::{Value, json};
use std::time::UNIX_EPOCH;
use tempfile::TempDir;
use world::a2a::{Caller, Wire, message};
use world::agent::send;
use world::grpc::asked_with;
use world::{Agent, HOST, Idp, Plan, Reply, World, policies};

const ANYBODY: &str = "package tools.ledger.post_entry\n\nvisible := true\n\nallow := true\n";

/// The claims of a token for the world's gateway, with some changed or (null) taken out.
fn claims(world: &World, iss: &str, changes: &Value) -> Value {
    let now = world.clock.now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let mut claims = json!({
        "iss": iss, "sub": "alice", "aud": world.url, "client_id": world.id("agent/clerk").to_string(),
        "scope": "bookkeeping", "exp": now + 600,
    });
    for (name, value) in changes.as_object().unwrap() {
        if value.is_null() {
            claims.as_object_mut().unwrap().remove(name);
        } else {
            claims[name] = value.clone();
        }
    }
    claims
}

/// A token of the world's usual issuer.
fn usual(world: &World, typ: &str, changes: &Value) -> String {
    let claims = claims(world, &format!("{}/oauth/users", world.origin), changes);
    world.keys.users.sign(typ, claims.as_object().unwrap()).unwrap().expose().to_owned()
}

async fn post(world: &World, token: &str) -> Reply {
    world.agent("agent/clerk").with_token(token).post_entry(1).await
}

/// Refused at the first door: the answer, a silent upstream, one record with this in its cause.
async fn is_refused(world: &World, agent: &Agent, status: u16, reason: &str, cause: &str) {
    let (before, heard) = (world.records("request").len(), world.ledger.received().len());
    let reply = agent.post_entry(1).await;
    assert_eq!((reply.status, reply.refused_because().as_str()), (status, reason), "{cause}: {}", reply.text);
    assert_eq!(world.ledger.received().len(), heard);
    let records = world.records("request");
    assert_eq!(records.len(), before + 1);
    let record = records.last().unwrap();
    assert!(record["cause"].as_str().unwrap().contains(cause), "{cause}: {record}");
    assert!(record["decision"].is_null() || record["decision"] == "refusal", "{record}");
}

/// Accepted and permitted. The world's token service knows the usual issuer only, so that the call ends there: the record
/// says how far it got, and whose token it was.
async fn is_permitted(world: &World, agent: &Agent, iss: &str, sub: &str) {
    let reply = agent.post_entry(1).await;
    assert_eq!(reply.status, 502, "{}", reply.text);
    let record = world.records("request").pop().unwrap();
    assert_eq!(record["decision"], "permit", "{record}");
    assert_eq!((&record["subject"]["iss"], &record["subject"]["sub"]), (&json!(iss), &json!(sub)));
}

#[tokio::test]
async fn an_issuer_without_keys_in_the_configuration_is_asked_for_its_metadata() {
    let world = World::with(Plan { discovery: true, ..Plan::default() }).await;
    assert_eq!(world.clerk().post_entry(1).await.result(), "posted");
    let stranger = SigningKey::generate().unwrap();
    let claims = claims(&world, &format!("{}/oauth/users", world.origin), &json!({}));
    let token = stranger.sign("at+jwt", claims.as_object().unwrap()).unwrap();
    let agent = world.agent("agent/clerk").with_token(token.expose());
    is_refused(&world, &agent, 401, "invalid_token", "no key").await;
}

fn metadata(issuer: &str, jwks: &str) -> Option<String> {
    Some(json!({"issuer": issuer, "jwks_uri": jwks}).to_string())
}

fn oauth(path: &str) -> bool {
    path == "/.well-known/oauth-authorization-server/t"
}

fn openid(path: &str) -> bool {
    path == "/t/.well-known/openid-configuration"
}

/// A world that knows an identity provider as `<its URL>/t`, by its metadata alone.
async fn world_with(idp: &Idp, refresh: &str) -> World {
    let issuer = format!(
        "  - {{issuer: \"{}/t\", presenter: {{claim: client_id}}, jwks: {{refresh: {refresh}, server: {}}}}}",
        idp.url,
        idp.server()
    );
    World::with(Plan { more_issuers: issuer.leak(), ..Plan::default() }).await
}

#[tokio::test]
async fn metadata_is_read_from_either_place_and_only_if_it_is_the_issuers() {
    type Documents = fn(&str, &str) -> Option<String>;
    let good: [(&str, Documents); 2] = [
        ("RFC 8414", |path, url| {
            metadata(&format!("{url}/t"), &format!("{url}/jwks")).filter(|_| oauth(path))
        }),
        ("OpenID Connect", |path, url| {
            metadata(&format!("{url}/t"), &format!("{url}/jwks")).filter(|_| openid(path))
        }),
    ];
    let bad: [(&str, Documents); 6] = [
        ("nothing", |_, _| None),
        ("a slash more", |path, url| {
            metadata(&format!("{url}/t/"), &format!("{url}/jwks")).filter(|_| oauth(path))
        }),
        ("another issuer first", |path, url| {
            let issuer = if oauth(path) { url.to_owned() } else { format!("{url}/t") }; // No second choice.
            metadata(&issuer, &format!("{url}/jwks"))
        }),
        ("keys without https", |path, url| {
            let plain = url.replace("https:", "http:");
            metadata(&format!("{url}/t"), &format!("{plain}/jwks")).filter(|_| oauth(path))
        }),
        ("a page", |path, _| Some("<html>".to_owned()).filter(|_| oauth(path))),
        ("too long", |path, url| {
            let long = metadata(&format!("{url}/t"), &format!("{url}/jwks")).unwrap() + &" ".repeat(65_536);
            Some(long).filter(|_| oauth(path))
        }),
    ];
    for (name, documents) in good {
        let idp = Idp::start(documents).await;
        let world = world_with(&idp, "1h").await;
        let token = idp.token(&claims(&world, &format!("{}/t", idp.url), &json!({})));
        let agent = world.agent("agent/clerk").with_token(&token);
        is_permitted(&world, &agent, &format!("{}/t", idp.url), "alice").await;
        assert!(idp.asked().ends_with(&["/jwks".to_owned()]), "{name}");
    }
    for (name, documents) in bad {
        let idp = Idp::start(documents).await;
        let world = world_with(&idp, "1h").await;
        let token = idp.token(&claims(&world, &format!("{}/t", idp.url), &json!({})));
        let agent = world.agent("agent/clerk").with_token(&token);
        is_refused(&world, &agent, 503, "issuer_unavailable", "keys can't be had").await;
        assert!(!idp.asked().contains(&"/jwks".to_owned()), "{name}");
        assert_eq!(
            world.clerk().post_entry(1).await.result(),
            "posted",
            "another issuer's tokens are as good"
        );
    }
}

#[tokio::test]
async fn keys_that_nobody_has_cost_their_issuer_one_fetch_in_an_interval() {
    let idp =
        Idp::start(|path, url| metadata(&format!("{url}/t"), &format!("{url}/jwks")).filter(|_| oauth(path)))
            .await;
    let world = world_with(&idp, "1h").await;
    let iss = format!("{}/t", idp.url);
    for _ in 0..20 {
        let made_up = SigningKey::generate().unwrap();
        let token = made_up.sign("at+jwt", claims(&world, &iss, &json!({})).as_object().unwrap()).unwrap();
        let agent = world.agent("agent/clerk").with_token(token.expose());
        is_refused(&world, &agent, 401, "invalid_token", "no key").await;
    }
    let agent = world.agent("agent/clerk").with_token(&idp.token(&claims(&world, &iss, &json!({}))));
    is_permitted(&world, &agent, &iss, "alice").await;
    assert_eq!(idp.asked().iter().filter(|path| *path == "/jwks").count(), 1);
}

#[tokio::test]
async fn policy_sees_scopes_groups_and_tenant_where_the_issuer_has_them() {
    let rule = "package tools.ledger.post_entry

visible := true

allow if {
	input.subject.tenant == \"acme\"
	\"ops\" in input.subject.groups
	input.subject.scopes == [\"read\", \"write\"]
}
";
    let plan =
        |issuer_options| Plan { policy: policies::with_post_entry(rule), issuer_options, ..Plan::default() };
    let options =
        "claims: {scopes: permissions, groups: realm_access.roles, tenant: [\"https://id/tenant\"]}";
    let world = World::with(plan(options)).await;
    let all = json!({"permissions": ["write", "read"], "realm_access": {"roles": ["dev", "ops"]},
                     "https://id/tenant": "acme"});
    let with = |name: &str, value: Value| {
        let mut changed = all.clone();
        changed[name] = value;
        changed
    };
    for _ in 0..2 {
        assert_eq!(post(&world, &usual(&world, "at+jwt", &all)).await.result(), "posted");
        for changed in [
            with("https://id/tenant", json!("acme2")),
            with("https://id/tenant", Value::Null),
            with("realm_access", json!({"roles": ["dev"]})),
            with("realm_access", json!({})),
            with("permissions", json!("write")),
        ] {
            let heard = world.ledger.received().len();
            let reply = post(&world, &usual(&world, "at+jwt", &changed)).await;
            assert_eq!(reply.refused_because(), "not_allowed", "{changed}");
            assert_eq!(world.ledger.received().len(), heard);
            assert_eq!(world.records("request").pop().unwrap()["decision"], "denial");
        }
    }
    for wrong in [
        with("https://id/tenant", json!(["acme"])),
        with("realm_access", json!(["ops"])),
        with("realm_access", json!({"roles": {"ops": true}})),
        with("permissions", json!([1])),
    ] {
        let agent = world.agent("agent/clerk").with_token(&usual(&world, "at+jwt", &wrong));
        is_refused(&world, &agent, 401, "invalid_token", "wrong type").await;
    }

    let world = World::with(plan("")).await;
    let reply = post(&world, &usual(&world, "at+jwt", &all)).await;
    assert_eq!(reply.refused_because(), "not_allowed", "nobody said which claims these are");
    assert!(world.ledger.received().is_empty());
}

#[tokio::test]
async fn a_call_to_an_agent_names_no_other_tenant_than_its_token() {
    let plan = |trainer| Plan {
        policy: policies::trainer(),
        trainer: Some(trainer),
        issuer_options: "claims: {tenant: tid}",
        ..Plan::default()
    };
    let (world, loose) = (
        World::with(plan("host: trainer.gateway.test")).await,
        World::with(plan("tenants: any\n    host: trainer.gateway.test")).await,
    );
    let token = |world: &World, tid: &Value| usual(world, "at+jwt", &json!({ "tid": tid }));
    let caller = |world: &World, tid: &Value, wire| Caller {
        agent: world.agent("agent/clerk").with_token(&token(world, tid)),
        wire,
    };
    let says = |tenant: &str| json!({"tenant": tenant, "message": message("train")});
    let (acme, none) = (json!("acme"), Value::Null);
    // At its host the tenant is the agent's own, and names nobody else.
    let at_host = async |world: &World, tid: &Value, tenant: &str| {
        let who = ("agent/clerk", token(world, tid));
        asked_with(world, (who.0, &who.1), HOST, "SendMessage", &says(tenant)).await
    };
    let good = [(&acme, "acme"), (&acme, ""), (&none, "acme2")];
    for (tid, tenant) in good {
        let reply = at_host(&world, tid, tenant).await;
        assert!(reply.text.contains("task-"), "{tid} {tenant}: {reply:?}");
    }
    assert!(at_host(&loose, &acme, "acme2").await.text.contains("task-"));
    for wire in [Wire::Rpc, Wire::Rest, Wire::Grpc] {
        for (tid, tenant) in good {
            let reply = caller(&world, tid, wire).call("SendMessage", &says(tenant)).await;
            assert!(reply.text.contains("task-"), "{tid} {tenant}: {reply:?}");
        }
        let reply = caller(&loose, &acme, wire).call("SendMessage", &says("acme2")).await;
        assert!(reply.text.contains("task-"), "{reply:?}");
    }
    let heard = world.trainer.received().len();
    let in_path =
        caller(&world, &acme, Wire::Rest).agent.post("/a2a/trainer/acme2/message:send", says("").to_string());
    for reply in [
        caller(&world, &acme, Wire::Rpc).call("SendMessage", &says("acme2")).await,
        caller(&world, &acme, Wire::Rest).call("SendMessage", &says("acme2")).await,
        caller(&world, &acme, Wire::Grpc).call("SendMessage", &says("acme2")).await,
        at_host(&world, &acme, "acme2").await,
        send(in_path.header("a2a-version", "1.0")).await,
    ] {
        assert_eq!(reply.refused_because(), "tenant_mismatch", "{reply:?}");
        let record = world.records("request").pop().unwrap();
        assert_eq!((&record["decision"], &record["reason"]), (&json!("permit"), &json!("tenant_mismatch")));
    }
    assert_eq!(world.trainer.received().len(), heard);
}

/// A world that takes the JWT-SVIDs of partner.test, presented by the clerk for one job.
async fn partners_world(key: &SigningKey) -> (World, TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let bundle = dir.path().join("partner.json");
    let mut keys = SigningKey::jwks([key]);
    keys["keys"][0]["use"] = "jwt-svid".into();
    std::fs::write(&bundle, keys.to_string()).unwrap();
    let issuer = format!(
        "  - jwt_svid: {{trust_domain: partner.test, jwks: {{file: {}, refresh: 1h}}}}
    presenter: {{claim: sub, map: {{\"spiffe://partner.test/job\": \"spiffe://bank.test/agent/clerk\"}}}}",
        bundle.display()
    );
    let world = World::with(Plan { more_issuers: issuer.leak(), ..Plan::default() }).await;
    (world, dir)
}

#[tokio::test]
async fn a_jwt_svid_of_a_partners_domain_names_a_subject() {
    let key = SigningKey::generate().unwrap();
    let (world, _bundle) = partners_world(&key).await;
    let job = "spiffe://partner.test/job";
    let now = world.clock.now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let svid = |typ: &str, changes: &Value| {
        let mut changed = json!({"iss": null, "client_id": null, "scope": null, "sub": job});
        changed.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        let claims = claims(&world, "", &changed);
        let token = key.sign(typ, claims.as_object().unwrap()).unwrap();
        world.agent("agent/clerk").with_token(token.expose())
    };
    let domain = "spiffe://partner.test";
    for (typ, changes) in [
        ("JWT", json!({})),
        ("JOSE", json!({})),
        ("JWT", json!({"iss": "https://oidc.partner.test"})),
        ("JWT", json!({"aud": [world.url, "https://elsewhere.test"]})),
    ] {
        is_permitted(&world, &svid(typ, &changes), domain, job).await;
    }
    for (typ, changes, cause) in [
        ("at+jwt", json!({}), "of type"),
        ("JWT", json!({"sub": "spiffe://partner2.test/job"}), "issuer is not configured"),
        ("JWT", json!({"sub": "spiffe://partner.test"}), "issuer is not configured"),
        ("JWT", json!({"sub": "spiffe://partner.test/../job"}), "issuer is not configured"),
        ("JWT", json!({"sub": "spiffe://partner.test/job2"}), "another workload's to present"),
        ("JWT", json!({"sub": "job"}), "issuer is not configured"),
        ("JWT", json!({"sub": null}), "issuer is not configured"),
        ("JWT", json!({"aud": "https://elsewhere.test"}), "another audience"),
        ("JWT", json!({"aud": world.id("agent/clerk").to_string()}), "another audience"),
        ("JWT", json!({"aud": null}), "aud"),
        ("JWT", json!({"exp": null}), "exp"),
        ("JWT", json!({"exp": now - 60}), "expired"),
        ("JWT", json!({"iss": format!("{}/oauth/users", world.origin)}), "no key"),
    ] {
        is_refused(&world, &svid(typ, &changes), 401, "invalid_token", cause).await;
    }
    let claims = claims(&world, "", &json!({"iss": null, "sub": job}));
    let stranger = world.keys.users.sign("JWT", claims.as_object().unwrap()).unwrap();
    let agent = world.agent("agent/clerk").with_token(stranger.expose());
    is_refused(&world, &agent, 401, "invalid_token", "no key").await;

    let document = send(
        world.agent("agent/clerk").request(reqwest::Method::GET, "/.well-known/oauth-protected-resource"),
    );
    let servers = document.await.json()["authorization_servers"].clone();
    assert_eq!(servers, json!([format!("{}/oauth/users", world.origin)]), "a trust domain issues no tokens");
}

/// SHA-256 of the certificate that an agent was given last, as `cnf.x5t#S256` has it.
fn thumbprint(world: &World, folder: &str) -> String {
    let leaf = CertificateDer::from_pem_file(world.path(folder).join("cert.pem")).unwrap();
    URL_SAFE_NO_PAD.encode(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &leaf))
}

#[tokio::test]
async fn a_token_that_is_bound_to_a_certificate_is_presented_with_it() {
    let world = World::start().await;
    let (clerk, intern) = (world.agent("agent/clerk"), world.agent("agent/intern"));
    let bound = |cnf: Value| usual(&world, "at+jwt", &json!({ "cnf": cnf }));
    let own = bound(json!({"x5t#S256": thumbprint(&world, "agent-clerk")}));
    assert_eq!(clerk.clone().with_token(&own).post_entry(1).await.result(), "posted");
    let others = thumbprint(&world, "agent-intern");
    for (cnf, cause) in [
        (json!({"x5t#S256": others}), "another certificate"),
        (json!({"x5t#S256": ""}), "another certificate"),
        (json!({"x5t#S256": 1}), "cnf"),
        (json!({"jkt": "x"}), "cnf"),
        (json!({}), "cnf"),
        (json!("x"), "cnf"),
    ] {
        is_refused(&world, &clerk.clone().with_token(&bound(cnf)), 401, "invalid_token", cause).await;
    }
    is_refused(&world, &intern.with_token(&own), 401, "invalid_token", "another certificate").await;
}

#[tokio::test]
async fn whoever_holds_a_token_may_present_it_only_where_that_is_written() {
    for (presenter, anybody) in [("{any: true}", true), ("{claim: client_id}", false)] {
        let idp = Idp::start(|path, url| {
            metadata(&format!("{url}/t"), &format!("{url}/jwks")).filter(|_| oauth(path))
        })
        .await;
        let issuer = format!(
            "  - {{issuer: \"{}/t\", presenter: {presenter}, jwks: {{server: {}}}}}",
            idp.url,
            idp.server()
        );
        let policy = policies::with_post_entry(ANYBODY);
        let world = World::with(Plan { policy, more_issuers: issuer.leak(), ..Plan::default() }).await;
        let iss = format!("{}/t", idp.url);
        let token = |changes: Value| idp.token(&claims(&world, &iss, &changes));
        let (clerk, intern) = (world.agent("agent/clerk"), world.agent("agent/intern"));
        is_permitted(&world, &clerk.with_token(&token(json!({}))), &iss, "alice").await;
        let nameless = token(json!({"client_id": null}));
        for token in [token(json!({})), nameless] {
            let intern = intern.clone().with_token(&token);
            if anybody {
                is_permitted(&world, &intern, &iss, "alice").await;
            } else {
                is_refused(&world, &intern, 401, "invalid_token", "another workload").await;
            }
        }
        let bound = token(json!({"cnf": {"x5t#S256": thumbprint(&world, "agent-clerk")}}));
        is_refused(&world, &intern.with_token(&bound), 401, "invalid_token", "another certificate").await;
    }
}

#[tokio::test]
async fn the_type_of_a_token_counts_where_one_is_asked_for() {
    for (types, accepted, refused) in [
        ("at+jwt", vec!["at+jwt", "AT+JWT", "application/at+jwt"], vec!["JWT", "id+jwt", "logout+jwt"]),
        ("", vec!["at+jwt", "JWT", "id+jwt"], vec![]),
    ] {
        let world = World::with(Plan { types, ..Plan::default() }).await;
        let agent = |typ| world.agent("agent/clerk").with_token(&usual(&world, typ, &json!({})));
        for typ in accepted {
            let reply = agent(typ).post_entry(1).await;
            let record = world.records("request").pop().unwrap();
            assert_eq!(record["decision"], "permit", "{typ}: {}", reply.text);
        }
        for typ in refused {
            is_refused(&world, &agent(typ), 401, "invalid_token", "of type").await;
        }
    }
}

#[tokio::test]
async fn an_issuer_has_its_own_audiences_and_algorithms() {
    let plan = |issuer_options| Plan { issuer_options, ..Plan::default() };
    let world = World::with(plan("audiences: [\"api://gate\"]")).await;
    let agent =
        |aud: &str| world.agent("agent/clerk").with_token(&usual(&world, "at+jwt", &json!({ "aud": aud })));
    let iss = format!("{}/oauth/users", world.origin);
    assert_eq!(agent(&world.url).post_entry(1).await.result(), "posted");
    is_permitted(&world, &agent("api://gate"), &iss, "alice").await;
    is_refused(&world, &agent("api://gate2"), 401, "invalid_token", "another audience").await;

    let world = World::with(plan("algorithms: [RS256, ES256]")).await;
    assert_eq!(world.clerk().post_entry(1).await.result(), "posted");
    let world = World::with(plan("algorithms: [RS256, ES384]")).await;
    is_refused(&world, &world.clerk(), 401, "invalid_token", "signed with ES256").await;
}
