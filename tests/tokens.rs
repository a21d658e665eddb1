//! On whose behalf a caller acts, and how that is proven.

use ::tokens::SigningKey;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use std::time::Duration;
use world::agent::send;
use world::{Plan, Reply, World};

/// A refused token: 401, a challenge that says where to go, an upstream that heard nothing, and one record.
async fn is_refused(world: &World, token: &str) -> Reply {
    let before = world.records("request").len();
    let reply = world.agent("agent/clerk").with_token(token).post_entry(1).await;
    assert_eq!(reply.status, 401, "{}", reply.text);
    let challenge = reply.header("www-authenticate").unwrap();
    assert!(challenge.starts_with(&format!(
        "Bearer resource_metadata=\"{}/.well-known/oauth-protected-resource/mcp/ledger\"",
        world.url
    )));
    assert!(world.ledger.received().is_empty());
    assert_eq!(world.records("request").len(), before + 1);
    reply
}

#[tokio::test]
async fn without_a_token_the_caller_learns_where_to_get_one() {
    let world = World::start().await;
    let reply = world.agent("agent/clerk").post_entry(1).await;
    assert_eq!((reply.status, reply.refused_because().as_str()), (401, "token_required"));
    let challenge = reply.header("www-authenticate").unwrap();
    let metadata = challenge.split('"').nth(1).unwrap().strip_prefix(&world.url).unwrap();
    let document = send(world.agent("agent/clerk").request(reqwest::Method::GET, metadata)).await.json();
    assert_eq!(document["resource"], format!("{}/mcp/ledger", world.url));
    assert_eq!(document["authorization_servers"], json!([format!("{}/oauth/users", world.origin)]));
    assert!(world.ledger.received().is_empty());
}

#[tokio::test]
async fn a_token_is_refused_when_its_time_is_over() {
    let world = World::start().await;
    let token = world.token("agent/clerk");
    let clerk = world.agent("agent/clerk").with_token(&token);
    assert_eq!(clerk.post_entry(1).await.result(), "posted");
    world.clock.advance(Duration::from_secs(600));
    assert_eq!(clerk.post_entry(1).await.status, 401);
    assert_eq!(world.ledger.received().len(), 1);
}

#[tokio::test]
async fn a_token_opens_the_server_that_it_is_for_and_no_other() {
    let world = World::start().await;
    let for_ledger = format!("{}/mcp/ledger", world.url);
    let token =
        world.token_with("agent/clerk", |claims| claims.audience = Box::leak(for_ledger.into_boxed_str()));
    assert_eq!(world.agent("agent/clerk").with_token(&token).post_entry(1).await.result(), "posted");

    let world = World::start().await;
    let for_other = format!("{}/mcp/treasury", world.url);
    let token =
        world.token_with("agent/clerk", |claims| claims.audience = Box::leak(for_other.into_boxed_str()));
    is_refused(&world, &token).await;
    let token = world.token_with("agent/clerk", |claims| claims.audience = "https://elsewhere.test");
    is_refused(&world, &token).await;
}

#[tokio::test]
async fn a_token_of_another_workload_is_refused() {
    let world = World::start().await;
    is_refused(&world, &world.token("agent/intern")).await;
    assert!(world.only_record()["cause"].as_str().unwrap().contains("another workload"));
    assert_eq!(world.clerk().post_entry(1).await.result(), "posted");
}

/// The claims of a good token, and a way to sign them badly.
fn forged(world: &World, header: &Value, sign: impl FnOnce(&str) -> Vec<u8>) -> String {
    let good = world.token("agent/clerk");
    let signed =
        format!("{}.{}", URL_SAFE_NO_PAD.encode(header.to_string()), good.split('.').nth(1).unwrap());
    let signature = URL_SAFE_NO_PAD.encode(sign(&signed));
    format!("{signed}.{signature}")
}

#[tokio::test]
async fn a_token_without_a_signature_is_refused() {
    let world = World::start().await;
    let kid = world.keys.users.kid().to_owned();
    is_refused(&world, &forged(&world, &json!({"alg": "none", "typ": "at+jwt", "kid": kid}), |_| vec![]))
        .await;
}

#[tokio::test]
async fn a_public_key_is_not_a_shared_secret() {
    let world = World::start().await;
    let public = SigningKey::jwks([&world.keys.users]);
    let point = URL_SAFE_NO_PAD.decode(public["keys"][0]["x"].as_str().unwrap()).unwrap();
    let kid = world.keys.users.kid().to_owned();
    for secret in [public["keys"][0].to_string().into_bytes(), point] {
        let hmac = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, &secret);
        let header = json!({"alg": "HS256", "typ": "at+jwt", "kid": kid});
        is_refused(
            &world,
            &forged(&world, &header, |m| aws_lc_rs::hmac::sign(&hmac, m.as_bytes()).as_ref().to_vec()),
        )
        .await;
    }
}

#[tokio::test]
async fn a_credential_that_was_made_for_an_upstream_opens_nothing_here() {
    let world = World::start().await;
    assert_eq!(world.clerk().post_entry(1).await.result(), "posted");
    let minted = world.ledger.received()[0].headers["authorization"].to_str().unwrap().to_owned();
    let reply =
        world.agent("agent/clerk").with_token(minted.trim_start_matches("Bearer ")).post_entry(1).await;
    assert_eq!(reply.status, 401);
    assert_eq!(world.ledger.received().len(), 1);
}

#[tokio::test]
async fn two_tokens_are_none() {
    let world = World::start().await;
    let token = world.token("agent/clerk");
    let request = world
        .agent("agent/clerk")
        .with_token(&token)
        .rpc("tools/call", json!({"name": "post_entry", "arguments": {"amount_cents": 1}}));
    assert_eq!(send(request.header("authorization", "Bearer x")).await.status, 401);
    assert!(world.ledger.received().is_empty());
}

#[tokio::test]
async fn a_map_of_presenters_names_everybody_who_may_present() {
    for (map, status) in [
        ("", 200),
        ("clerk-app: spiffe://bank.test/agent/clerk", 401),
        ("\"spiffe://bank.test/agent/clerk\": spiffe://bank.test/agent/clerk", 200),
    ] {
        let world = World::with(Plan { presenters: map, ..Plan::default() }).await;
        assert_eq!(world.clerk().post_entry(1).await.status, status, "{map}");
    }
}
