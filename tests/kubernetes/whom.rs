//! Whom the cluster sees where it believes our token service, and MCP as its conformance kit knows it.

use super::{RIGHTS, code, content, policy, served};
use crate::mcp_conformance::{SCENARIOS, twice};
use serde_json::json;
use std::time::Duration;
use world::components;
use world::kubernetes::Cluster;
use world::{Idp, Plan, World, policies};

#[tokio::test]
async fn the_cluster_sees_the_person_where_it_believes_our_token_service() {
    let Some(cluster) = Cluster::shared() else { return };
    const SYSTEM: &str = "https://kubernetes.test";
    let flags = ["--token-endpoint", "ISSUER/token", "--token-server", "spiffe://bank.test/token-service"];
    let flags = [&flags[..], &["--downstream-audience", SYSTEM]].concat();
    let served = served(cluster, &flags, vec![("audit-file", String::new())]);
    let plan =
        Plan { policy: policy(&[]), served: Some(served), downstream: Some(SYSTEM), ..Plan::default() };
    let world = World::with(plan).await;
    let issuer = gateway::token_service::issuer(&world.origin);
    let (named, jwks) = (issuer.clone(), world.token_service.credential_jwks().to_string());
    // The token service's own listener asks for a certificate, and the API server has none.
    let front = Idp::start(move |path, own| match path {
        "/.well-known/openid-configuration" => Some(
            json!({
                "issuer": named, "jwks_uri": format!("{own}/keys"), "response_types_supported": ["code"],
                "subject_types_supported": ["public"], "id_token_signing_alg_values_supported": ["ES256"],
            })
            .to_string(),
        ),
        "/keys" => Some(jwks.clone()),
        _ => None,
    })
    .await;
    let ca = std::fs::read_to_string(front.authorities()).unwrap();
    let believed = json!([{
        "issuer": {
            "url": issuer, "discoveryURL": format!("{}/.well-known/openid-configuration", front.url),
            "audiences": [SYSTEM], "certificateAuthority": ca,
        },
        "claimMappings": {"username": {"claim": "sub", "prefix": "sallyport:"}},
    }]);
    cluster.believe(&believed.to_string());
    cluster.allow("--user=sallyport:alice", "alice", &["staging"], &["configmaps=get,list"]);
    let of = async |person: &'static str| {
        let token = world.token_with("agent/demo", |claims| claims.subject = person);
        let agent = world.agent("agent/demo").with_token(&token).at("/mcp/kubernetes");
        agent.call("list", json!({"kind": "ConfigMap", "namespace": "staging"})).await
    };
    let mut alices = of("alice").await;
    for _ in 0..100 {
        if alices.json()["result"]["isError"] == json!(false) {
            break;
        }
        assert_eq!(code(&alices), "forbidden");
        tokio::time::sleep(Duration::from_millis(300)).await; // The API server takes up its file when it sees it.
        alices = of("alice").await;
    }
    assert_eq!(content(&alices)["rows"][0]["name"], "kube-root-ca.crt");
    let bobs = of("bob").await;
    assert_eq!(code(&bobs), "forbidden", "another person, another right");
    let listed = |user: &str| {
        cluster.heard_of(user).iter().any(|request| request.contains("/namespaces/staging/configmaps"))
    };
    assert!(listed("sallyport:alice") && listed("sallyport:bob"), "the cluster's own audit names the person");
}

#[tokio::test(flavor = "multi_thread")]
async fn it_speaks_mcp_as_the_conformance_kit_wants_it_directly_and_through_the_gateway() {
    let Some(node) = components::installed("node22", "conformance") else { return };
    let Some(cluster) = Cluster::shared() else { return };
    let token = cluster.service_account("conformance", &["staging"], RIGHTS);
    let served = served(cluster, &["--namespaces", "staging"], vec![("credential-file", token)]);
    twice(&node, served, &SCENARIOS, &[]).await;
}

#[test]
fn the_policy_of_the_kubernetes_servers_readme_passes_its_tests() {
    assert_eq!(policies::of_readme("kubernetes", "kubernetes/scale_deployment"), 3);
}
