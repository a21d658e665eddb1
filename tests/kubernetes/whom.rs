//! Whom the cluster sees where it believes our token service, and MCP as its conformance kit knows it.

use super::{RIGHTS, code, content, served};
use crate::mcp_conformance::{SCENARIOS, twice};
use serde_json::{Value, json};
use std::time::Duration;
use world::components::{self, Sallyport};
use world::kubernetes::Cluster;
use world::policies;

#[tokio::test]
async fn the_cluster_sees_the_person_where_it_believes_our_token_service() {
    let Some(cluster) = Cluster::shared() else { return };
    const SYSTEM: &str = "https://kubernetes.test";
    let (url, ca) = (cluster.url(), cluster.ca());
    let up = Sallyport::with_servers(&format!(
        "kubernetes:\n  program: mcp-kubernetes\n  args: [--server, {url:?}, --server-ca, {ca:?}, --namespaces, staging]\n  \
         before: {url:?}\n  downstream: {SYSTEM}\n  scopes: {{\"kubernetes:read\": [list]}}\n"
    ));
    assert!(up.said.contains(&format!("before what listens at {url}")), "{}", up.said);
    let addresses = std::fs::read_to_string(up.path("addresses.json")).unwrap();
    let addresses: Value = serde_json::from_str(&addresses).unwrap();
    let at = |place: &str, path: &str| format!("{}{path}", addresses[place].as_str().unwrap());
    let believed = json!([{
        "issuer": {
            "url": at("origin", "/oauth"), "discoveryURL": at("sign_in", "/.well-known/openid-configuration/oauth"),
            "audiences": [SYSTEM], "certificateAuthority": std::fs::read_to_string(up.path("ca/ca.pem")).unwrap(),
        },
        "claimMappings": {"username": {"claim": "sub", "prefix": "sallyport:"}},
    }]);
    cluster.believe(&believed.to_string());
    cluster.allow("--user=sallyport:alice", "alice", &["staging"], &["configmaps=get,list"]);
    let of = async |person: &str| {
        let token = up.sallyport(&["token", "--user", person, "--scope", "kubernetes:read"]);
        let agent = up.agent(&up.path("svids/agent-demo"), &token).at("/mcp/kubernetes");
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
