//! Who gets past the first door, and for how long.

use certs::development::{Domain, Issued};
use certs::{SpiffeId, TrustDomain};
use rcgen::{
    BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    SanType,
};
use std::time::Duration;
use world::{Agent, Answer, Plan, World};

/// Whether a client with this certificate gets an answer at all.
async fn is_let_in(world: &World, issued: Option<&Issued>) -> bool {
    let pem = issued.map(|i| (i.certificate.as_str(), i.private_key.as_str()));
    let agent = Agent::from_pem(&world.url, &world.trust_bundle(), pem, &[b"http/1.1"])
        .with_token(&world.token("agent/clerk"));
    agent
        .rpc("tools/call", serde_json::json!({"name": "post_entry", "arguments": {"amount_cents": 1}}))
        .send()
        .await
        .is_ok()
}

/// A leaf of the world's own authority that differs from an SVID in something.
fn leaf(world: &World, change: impl FnOnce(&mut CertificateParams)) -> Issued {
    let read = |name: &str| std::fs::read_to_string(world.path("ca").join(name)).unwrap();
    let issuer =
        Issuer::from_ca_cert_pem(&read("ca.pem"), KeyPair::from_pem(&read("ca.key")).unwrap()).unwrap();
    let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
    params.subject_alt_names = vec![SanType::URI("spiffe://bank.test/agent/clerk".try_into().unwrap())];
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages =
        vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    change(&mut params);
    let key = KeyPair::generate().unwrap();
    Issued { certificate: params.signed_by(&key, &issuer).unwrap().pem(), private_key: key.serialize_pem() }
}

/// The cause that the one connection record gives.
fn cause(world: &World) -> String {
    let mut records = world.records("connection");
    assert_eq!(records.len(), 1, "{records:#?}");
    records.remove(0)["cause"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_caller_without_a_certificate_is_not_let_in() {
    let world = World::start().await;
    assert!(!is_let_in(&world, None).await);
    assert!(cause(&world).contains("no certificates"), "{}", cause(&world));
    assert!(is_let_in(&world, Some(&leaf(&world, |_| {}))).await);
    assert!(world.ledger.received().len() == 1);
}

#[tokio::test]
async fn a_caller_of_another_trust_domain_is_not_let_in() {
    let world = World::start().await;
    let elsewhere = tempfile::tempdir().unwrap();
    let other =
        Domain::open(elsewhere.path(), &TrustDomain::new("evil.test").unwrap(), &world.clock).unwrap();
    let hour = Duration::from_secs(3600);
    let theirs = other.issue(&other.id("agent/clerk").unwrap(), &[], hour, world.clock.now()).unwrap();
    assert!(!is_let_in(&world, Some(&theirs)).await);
    assert!(cause(&world).contains("evil.test"), "{}", cause(&world));

    // The same name in our domain, but from their authority.
    let forged = other
        .issue(&SpiffeId::new("spiffe://bank.test/agent/clerk").unwrap(), &[], hour, world.clock.now())
        .unwrap();
    assert!(!is_let_in(&world, Some(&forged)).await);
    assert_eq!(world.records("connection").len(), 2);
    assert!(world.ledger.received().is_empty());
}

#[tokio::test]
async fn a_certificate_that_is_almost_an_svid_is_not_let_in() {
    for (what, issued) in [
        (
            "CA",
            (|p: &mut CertificateParams| {
                p.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
                p.key_usages.push(KeyUsagePurpose::KeyCertSign);
            }) as fn(&mut CertificateParams),
        ),
        ("2 URI SANs", |p| {
            p.subject_alt_names.push(SanType::URI("spiffe://bank.test/agent/admin".try_into().unwrap()))
        }),
        ("no path", |p| p.subject_alt_names = vec![SanType::URI("spiffe://bank.test".try_into().unwrap())]),
        ("key usage", |p| p.key_usages.push(KeyUsagePurpose::KeyCertSign)),
    ] {
        let world = World::start().await;
        assert!(!is_let_in(&world, Some(&leaf(&world, issued))).await, "{what}");
        assert!(cause(&world).contains(what), "{what}: {}", cause(&world));
        assert!(world.ledger.received().is_empty());
    }
}

#[tokio::test]
async fn an_expired_svid_is_not_let_in() {
    let world = World::start().await;
    let issue = |ago: u64| {
        let then = world.clock.now() - Duration::from_secs(ago);
        world.domain.issue(&world.id("agent/clerk"), &[], Duration::from_secs(600), then).unwrap()
    };
    assert!(!is_let_in(&world, Some(&issue(601))).await);
    assert!(cause(&world).to_lowercase().contains("expired"), "{}", cause(&world));
    assert!(is_let_in(&world, Some(&issue(590))).await);
}

#[tokio::test]
async fn an_open_connection_ends_with_its_svid() {
    let world = World::start().await;
    let clerk = world.clerk();
    assert_eq!(clerk.post_entry(1).await.result(), "posted");
    world.clock.advance(Duration::from_secs(3601));
    let reply = clerk.post_entry(1).await;
    assert_eq!((reply.status, reply.refused_because().as_str()), (403, "identity_not_valid"));
    assert_eq!(world.ledger.received().len(), 1);
}

#[tokio::test]
async fn a_withdrawn_authority_ends_the_connections_of_its_callers() {
    let world = World::start().await;
    let clerk = world.clerk();
    assert_eq!(clerk.post_entry(1).await.result(), "posted");

    // The bundle now holds another authority alone; the gateway's own SVID comes from it.
    let elsewhere = tempfile::tempdir().unwrap();
    let next = Domain::open(elsewhere.path(), &TrustDomain::new("bank.test").unwrap(), &world.clock).unwrap();
    let mut reloads = world.gateway.reloads();
    next.write_svid(&world.path("gateway"), &next.id("gateway").unwrap(), &["127.0.0.1"], world.clock.now())
        .unwrap();
    reloads.changed().await.unwrap();

    let reply = clerk.post_entry(1).await;
    assert_eq!((reply.status, reply.refused_because().as_str()), (403, "identity_not_valid"));
    assert_eq!(world.ledger.received().len(), 1);
    assert_eq!(world.gateway.identity_generation(), 1);
}

#[tokio::test]
async fn a_renewed_svid_of_the_gateway_touches_no_open_connection() {
    let world = World::start().await;
    let clerk = world.clerk();
    assert_eq!(clerk.post_entry(1).await.result(), "posted");
    let mut reloads = world.gateway.reloads();
    world
        .domain
        .write_svid(&world.path("gateway"), &world.id("gateway"), &["127.0.0.1"], world.clock.now())
        .unwrap();
    reloads.changed().await.unwrap();
    assert_eq!(clerk.post_entry(1).await.result(), "posted");
    assert_eq!(world.gateway.identity_generation(), 1);
    assert_eq!(world.ledger.received().len(), 2);
}

#[tokio::test]
async fn a_connection_that_has_lived_long_enough_ends_in_good_order() {
    let plan = Plan { limits: "{connection_age_max: 100ms}", ..Plan::default() };
    let world = World::with(plan).await;
    let clerk = world.clerk();
    let (events, stream) = tokio::sync::mpsc::channel(1);
    let mut stream = Some(stream);
    world.ledger.answers(move |_| match stream.take() {
        Some(stream) => Answer::Events(stream),
        None => Answer::Json(serde_json::json!({"jsonrpc": "2.0", "id": 7, "result": {"content": [{"type": "text", "text": "posted"}]}})),
    });
    let call = serde_json::json!({"name": "post_entry", "arguments": {"amount_cents": 1}});
    let mut open = clerk.rpc("tools/call", call).send().await.unwrap();
    tokio::time::sleep(Duration::from_millis(150)).await; // The connection's time is real time.
    assert_eq!(clerk.post_entry(1).await.result(), "posted", "on a new connection");
    events.send(Ok("data: {}\n\n")).await.unwrap();
    assert_eq!(open.chunk().await.unwrap().unwrap(), "data: {}\n\n", "what was under way goes on");
}

#[tokio::test]
async fn connections_that_prove_nothing_take_no_place_of_those_that_do() {
    let plan = Plan { limits: "{connections_max: 1, handshakes_max: 8}", ..Plan::default() };
    let world = World::with(plan).await;
    let mut silent = Vec::new();
    for _ in 0..4 {
        silent.push(tokio::net::TcpStream::connect(world.gateway.address()).await.unwrap());
    }
    let clerk = world.clerk();
    assert_eq!(clerk.post_entry(1).await.result(), "posted");
    let second = world
        .clerk()
        .rpc("tools/call", serde_json::json!({"name": "post_entry", "arguments": {"amount_cents": 1}}));
    assert!(second.send().await.is_err(), "the one place is taken by the clerk's first connection");
    assert_eq!(clerk.post_entry(1).await.result(), "posted");
    assert!(cause(&world).contains("too many connections"));
    drop(silent);
}
