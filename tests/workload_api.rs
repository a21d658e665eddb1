//! An identity that an agent gives, renews, and takes away: the SPIFFE Workload API.

use serde_json::json;
use spiffe::{WorkloadApiClient, WorkloadApiError, X509Source};
use std::time::Duration;
use world::components::{self, Sallyport};
use world::{Plan, World};

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
async fn a_gateway_takes_its_svid_from_the_workload_api_and_loses_no_call_when_it_is_renewed() {
    let world = with_svids_of(Duration::from_secs(2)).await;
    let clerk = world.clerk();
    let mut calls = 0;
    while world.gateway.identity_generation() < 3 {
        calls += 1;
        assert_eq!(clerk.post_entry(calls).await.result(), "posted");
        assert_eq!(world.clerk().post_entry(calls).await.result(), "posted", "on a connection of its own");
    }
    assert!(world.ledger.connections() >= 3, "each generation of the SVID has connections of its own");
    assert!(world.records("connection").is_empty());
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
    let bundles = agent.fetch_jwt_bundles().await.unwrap();
    let (_, bundle) = bundles.iter().next().unwrap();
    assert!(bundle.find_jwt_authority(svid.key_id()).is_some(), "its key is published");

    let list = std::fs::read_to_string(up.path("workloads.yaml")).unwrap();
    let others = list.replace("uid: ", "uid: 1");
    certs::files::write(&up.path("workloads.yaml"), others.as_bytes(), 0o644).unwrap();
    until(async || agent.fetch_x509_svid().await.is_err()).await;
    let refused = agent.fetch_jwt_svid(["sallyport"], None).await.unwrap_err();
    assert!(matches!(refused, WorkloadApiError::NoIdentityIssued), "{refused}");
}

#[test]
fn a_python_workload_gets_its_svids_from_sallyport_up() {
    let Some(python) = components::python() else { return };
    let up = Sallyport::up();
    let output = up.run(&python, &["tests/clients/python/spiffe_client.py", "sallyport"]);
    let said: serde_json::Value =
        serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"));
    let expected = json!({"x509": DEMO, "authorities": 1, "jwt": DEMO, "another_audience_is_refused": true});
    assert_eq!(said, expected);
}
