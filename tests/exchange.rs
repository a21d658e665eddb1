//! The embedded token service: for the gateway and nobody else, and never more than was asked for or than the person has.

use ::tokens::SigningKey;
use gateway::exchange::client::{ACCESS_TOKEN, ACTOR_TYPE, GRANT_TYPE, JWT, caller_issuer};
use serde_json::{Value, json};
use std::time::UNIX_EPOCH;
use world::agent::send;
use world::{Agent, Reply, World};

type Form = Vec<(&'static str, String)>;

/// The gateway's word for who calls, as it signs it.
fn actor(world: &World, caller: &str) -> String {
    let key = SigningKey::from_pkcs8(&std::fs::read(world.path("actor.key")).unwrap()).unwrap();
    let now = world.clock.now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let claims = json!({"iss": caller_issuer(&key), "sub": world.id(caller).to_string(), "aud": format!("{}/oauth", world.origin), "iat": now, "exp": now + 60});
    key.sign(ACTOR_TYPE, claims.as_object().unwrap()).unwrap().expose().to_owned()
}

/// A form that is granted.
fn form(world: &World) -> Form {
    vec![
        ("grant_type", GRANT_TYPE.into()),
        ("subject_token", world.token("agent/clerk")),
        ("subject_token_type", ACCESS_TOKEN.into()),
        ("actor_token", actor(world, "agent/clerk")),
        ("actor_token_type", JWT.into()),
        ("audience", "spiffe://bank.test/mcp/ledger".into()),
        ("scope", "ledger:post_entry".into()),
    ]
}

/// Asks as a workload, with one parameter changed.
async fn ask(world: &World, workload: &str, change: Option<(&'static str, String)>) -> Reply {
    let mut form = form(world);
    if let Some((name, value)) = change {
        form.iter_mut().filter(|(n, _)| *n == name).for_each(|(_, v)| v.clone_from(&value));
    }
    post(world, workload, &form).await
}

async fn post(world: &World, workload: &str, form: &Form) -> Reply {
    let folder = world.path(&workload.replace('/', "-"));
    let read = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap();
    let agent = Agent::from_pem(
        &world.origin,
        &world.trust_bundle(),
        Some((&read("cert.pem"), &read("key.pem"))),
        &[b"http/1.1"],
    );
    send(agent.request(reqwest::Method::POST, "/oauth/token").form(form)).await
}

fn error(reply: &Reply) -> Value {
    reply.json()["error"].clone()
}

#[tokio::test]
async fn an_exchange_is_performed_for_the_gateway_and_nobody_else() {
    let world = World::start().await;
    world.agent("agent/clerk");
    let granted = ask(&world, "gateway", None).await;
    assert_eq!((granted.status, &granted.json()["scope"]), (200, &json!("ledger:post_entry")));
    assert_eq!(granted.json()["issued_token_type"], ACCESS_TOKEN);
    let refused = ask(&world, "agent/clerk", None).await;
    assert_eq!((refused.status, error(&refused)), (401, json!("invalid_client")));
}

#[tokio::test]
async fn an_exchange_gives_no_more_than_the_person_has() {
    let world = World::start().await;
    for (scope, code) in [
        ("ledger:post_entry ledger:open_vault", "invalid_scope"),
        ("", "invalid_request"),
        (" ", "invalid_scope"),
    ] {
        let reply = ask(&world, "gateway", Some(("scope", scope.into()))).await;
        assert_eq!((reply.status, error(&reply)), (400, json!(code)), "{scope:?}");
    }
    let reply = ask(&world, "gateway", Some(("scope", "ledger:post_entry ledger:read_balance".into()))).await;
    assert_eq!(reply.status, 200, "{}", reply.text);
}

#[tokio::test]
async fn the_actor_is_the_one_who_may_present_the_token() {
    let world = World::start().await;
    let other = actor(&world, "agent/intern");
    assert_eq!(error(&ask(&world, "gateway", Some(("actor_token", other))).await), json!("invalid_grant"));
    let unsigned = world.token("agent/clerk");
    assert_eq!(
        error(&ask(&world, "gateway", Some(("actor_token", unsigned))).await),
        json!("invalid_grant"),
        "a token of another kind"
    );
}

#[tokio::test]
async fn a_subject_token_from_elsewhere_is_not_exchanged() {
    let world = World::start().await;
    let (here, there) = (
        World::start().await.token("agent/clerk"),
        world.token_with("agent/clerk", |c| c.audience = "https://elsewhere.test"),
    );
    for token in [here, there] {
        assert_eq!(
            error(&ask(&world, "gateway", Some(("subject_token", token))).await),
            json!("invalid_grant")
        );
    }
}

#[tokio::test]
async fn a_parameter_that_stands_twice_is_refused() {
    let world = World::start().await;
    let mut twice = form(&world);
    twice.push(("scope", "ledger:read_balance".into()));
    assert_eq!(error(&post(&world, "gateway", &twice).await), json!("invalid_request"));
}

#[tokio::test]
async fn the_token_service_listens_on_loopback_alone() {
    let world = World::start().await;
    world.agent("agent/clerk");
    for (address, served) in [("0.0.0.0:0", false), ("127.0.0.1:0", true)] {
        let tcp = std::net::TcpListener::bind(address).unwrap();
        assert_eq!(world.another_token_service(tcp).is_ok(), served, "{address}");
    }
}
