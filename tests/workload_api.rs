//! An identity that an agent gives, renews, and takes away: the SPIFFE Workload API.

use ::certs::jwt::JwtSvids;
use serde_json::json;
use spiffe::{WorkloadApiClient, WorkloadApiError, X509Source};
use std::time::Duration;
use world::components::{self, Sallyport};
use world::{Agent, DOMAIN, Plan, World};

const HALF_HOUR: Duration = Duration::from_secs(1800);

async fn with_svids_of(ttl: Duration) -> World {
    World::with(Plan { workload_api: Some(ttl), ..Plan::default() }).await
}

async fn until(mut is_so: impl AsyncFnMut() -> bool) {
    while !is_so().await {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn a_stream_outlives_a_renewal() {
    let world = with_svids_of(Duration::from_secs(4)).await;
    let events = world.ledger.streams();
    let call = json!({"name": "post_entry", "arguments": {"amount_cents": 1}});
    let mut stream = world.clerk().rpc("tools/call", call).send().await.unwrap();
    until(async || world.gateway.identity_generation() >= 1).await;
    events.send(Ok("data: {}\n\n")).await.unwrap();
    assert_eq!(stream.chunk().await.unwrap().unwrap(), "data: {}\n\n");
}

#[tokio::test]
async fn an_agent_that_is_away_changes_nothing_until_its_last_svid_nears_its_end() {
    let mut world = with_svids_of(HALF_HOUR).await;
    assert_eq!(world.clerk().post_entry(1).await.result(), "posted");
    world.workload_api.as_mut().unwrap().goes().await;
    let probe = world.probe();
    until(async || probe.metric("sallyport_identity_source_up").await == Some(0.0)).await;
    assert_eq!(world.clerk().post_entry(2).await.result(), "posted", "with the last good one");
    assert_eq!(probe.not_ready().await, (200, json!([])));

    world.clock.advance(HALF_HOUR * 4 / 5);
    assert_eq!(probe.not_ready().await, (503, json!(["identity"])), "nobody renews it");
    assert_eq!(world.clerk().post_entry(3).await.result(), "posted", "and yet it holds");
    world.clock.advance(HALF_HOUR / 4);
    let reply = world.clerk().post_entry(4).await;
    assert_eq!((reply.status, reply.refused_because().as_str()), (503, "gateway_identity_expired"));
    assert_eq!(world.ledger.received().len(), 3, "not a second longer");

    world.workload_api.as_mut().unwrap().comes();
    until(async || probe.not_ready().await.0 == 200).await;
    assert_eq!(probe.metric("sallyport_identity_source_up").await, Some(1.0));
}

#[tokio::test]
async fn an_identity_that_is_withdrawn_ends_at_once() {
    let world = with_svids_of(HALF_HOUR).await;
    let api = world.workload_api.as_ref().unwrap();
    let clerk = world.clerk();
    let events = world.ledger.streams();
    let call = json!({"name": "post_entry", "arguments": {"amount_cents": 1}});
    let mut stream = clerk.rpc("tools/call", call.clone()).send().await.unwrap();
    events.send(Ok("data: {}\n\n")).await.unwrap();
    stream.chunk().await.unwrap();

    api.knows_nobody();
    assert!(stream.chunk().await.is_err(), "an open stream is cut");
    events.closed().await;
    assert!(clerk.rpc("tools/call", call).send().await.is_err(), "nobody is let in");
    assert_eq!(world.probe().not_ready().await, (503, json!(["identity"])));
    assert_eq!(world.records("identity_withdrawn").len(), 1);
    assert_eq!(world.ledger.received().len(), 1);

    api.knows_the_gateway();
    until(async || world.probe().not_ready().await.0 == 200).await;
    world.ledger.answers(world::server::usual);
    assert_eq!(world.clerk().post_entry(2).await.result(), "posted");
}

#[tokio::test]
async fn a_jwt_svid_is_renewed_in_its_second_half_and_the_last_one_is_used_no_longer_than_it_holds() {
    let mut world = with_svids_of(HALF_HOUR).await;
    let own = world.id("gateway");
    let endpoint = format!("unix:{}", world.workload_api.as_ref().unwrap().socket().display());
    let svids = JwtSvids::new(&endpoint, "https://tokens.test");
    let minute = Duration::from_secs(60);
    let first = svids.current(&own, world.clock.now(), minute).await.unwrap();
    assert_eq!((first.spiffe_id(), first.audience()), (&own, &["https://tokens.test".to_owned()][..]));
    assert!(!format!("{svids:?}").contains(first.token()), "nothing prints it");
    world.clock.advance(2 * minute);
    assert_eq!(svids.current(&own, world.clock.now(), minute).await.unwrap().token(), first.token());
    world.clock.advance(minute);
    let second = svids.current(&own, world.clock.now(), minute).await.unwrap();
    assert!(second.expiry() > first.expiry());

    world.workload_api.as_mut().unwrap().goes().await;
    world.clock.advance(4 * minute);
    assert_eq!(svids.current(&own, world.clock.now(), minute).await.unwrap().token(), second.token());
    world.clock.advance(minute);
    assert!(svids.current(&own, world.clock.now(), minute).await.is_err(), "it has expired");

    world.workload_api.as_mut().unwrap().comes();
    assert!(svids.current(&own, world.clock.now(), minute).await.is_ok());
    world.workload_api.as_ref().unwrap().knows_nobody();
    let agent = WorkloadApiClient::connect_to(&endpoint).await.unwrap();
    until(async || agent.fetch_jwt_svid(["https://tokens.test"], None).await.is_err()).await;
    world.clock.advance(3 * minute);
    assert!(
        svids.current(&own, world.clock.now(), minute).await.is_err(),
        "it holds, but nobody is who it names"
    );
}

#[tokio::test]
async fn the_workload_api_says_which_keys_a_trust_domains_jwt_svids_have_and_since_when() {
    let domain = format!("spiffe://{DOMAIN}");
    let issuer = format!(
        "  - jwt_svid: {{trust_domain: {DOMAIN}, workload_api: true}}
    presenter: {{claim: sub}}"
    );
    let plan = Plan { workload_api: Some(HALF_HOUR), more_issuers: issuer.leak(), ..Plan::default() };
    let mut world = World::with(plan).await;
    let of = |world: &World, path: &str| world.workload_api.as_ref().unwrap().jwt_svid(path, &world.url);
    let first = of(&world, "agent/clerk");
    let clerk = world.agent("agent/clerk").with_token(&first);
    until(async || is_permitted(&clerk).await).await;
    let record = world.records("request").pop().unwrap();
    assert_eq!((&record["decision"], &record["subject"]["iss"]), (&json!("permit"), &json!(domain)));
    let another = world.agent("agent/clerk").with_token(&of(&world, "agent/intern"));
    assert_eq!(another.post_entry(1).await.refused_because(), "invalid_token", "another's to present");

    world.workload_api.as_mut().unwrap().goes().await;
    assert!(is_permitted(&clerk).await, "an agent that is away takes no keys along");
    world.workload_api.as_mut().unwrap().comes(); // With another key.
    let renewed = world.agent("agent/clerk").with_token(&of(&world, "agent/clerk"));
    until(async || is_permitted(&renewed).await).await;
    assert_eq!(clerk.post_entry(1).await.refused_because(), "invalid_token", "its key is withdrawn");
}

/// Whether a token was accepted: the embedded token service, which knows no trust domain's, refuses the rest.
async fn is_permitted(agent: &Agent) -> bool {
    agent.post_entry(1).await.refused_because() == "credential_refused"
}

const DEMO: &str = "spiffe://dev.sallyport/agent/demo";

#[tokio::test]
async fn a_rust_workload_gets_its_svids_from_sallyport_up_as_long_as_the_list_names_it() {
    let up = Sallyport::up();
    let endpoint = &up.env["SPIFFE_ENDPOINT_SOCKET"];
    let source = X509Source::builder().endpoint(endpoint).build().await.unwrap();
    assert_eq!(source.svid().unwrap().spiffe_id().to_string(), DEMO);
    let agent = WorkloadApiClient::connect_to(endpoint).await.unwrap();
    let svid = agent.fetch_jwt_svid(["sallyport"], None).await.unwrap();
    assert_eq!(
        (svid.spiffe_id().to_string().as_str(), svid.audience()),
        (DEMO, &["sallyport".to_owned()][..])
    );
    let valid = agent.validate_jwt_token("sallyport", svid.token()).await.unwrap();
    assert_eq!(valid.spiffe_id().to_string(), DEMO);
    let [head, claims, signature] = svid.token().split('.').collect::<Vec<_>>()[..] else { panic!("no JWT") };
    for (audience, token) in [
        ("sallyports", svid.token().to_owned()),
        (
            "sallyport",
            format!("{head}.{claims}.{}{signature}", if signature.starts_with('A') { "B" } else { "A" }),
        ),
        ("sallyport", format!("{head}.{claims}x.{signature}")),
        ("", svid.token().to_owned()),
    ] {
        assert!(
            agent.validate_jwt_token(audience, &token).await.unwrap_err().is_invalid_argument(),
            "{token}"
        );
    }
    let bundles = agent.fetch_jwt_bundles().await.unwrap();
    let (_, bundle) = bundles.iter().next().unwrap();
    assert!(bundle.find_jwt_authority(svid.key_id()).is_some(), "its key is published");

    let list = std::fs::read_to_string(up.path("workloads.yaml")).unwrap();
    let others = list.replace("uid: ", "uid: 1");
    certs::files::write(&up.path("workloads.yaml"), others.as_bytes(), 0o644).unwrap();
    until(async || agent.fetch_x509_svid().await.is_err()).await;
    let refused = agent.fetch_jwt_svid(["sallyport"], None).await.unwrap_err();
    assert!(matches!(refused, WorkloadApiError::NoIdentityIssued), "{refused}");
    assert!(agent.validate_jwt_token("sallyport", svid.token()).await.is_err());
}

#[test]
fn a_python_workload_gets_its_svids_from_sallyport_up() {
    let Some(python) = components::python() else { return };
    let up = Sallyport::up();
    let output = up.run(&python, &["tests/clients/python/spiffe_client.py", "sallyport"]);
    let said: serde_json::Value =
        serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"));
    let expected = json!({"x509": DEMO, "authorities": 1, "jwt": DEMO, "another_audience_is_refused": true,
        "validated": DEMO, "validated_for_another_audience": false});
    assert_eq!(said, expected);
}
