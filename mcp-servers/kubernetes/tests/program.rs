//! The program itself: what it sends of its credential, what it writes down, and which flags it refuses.
#![allow(clippy::unwrap_used, reason = "a test ends by panicking")]

use certs::Clock;
use kit::Service;
use mcp_kubernetes::{Bounds, Cluster, Fence, Kubernetes, Limits};
use serde_json::json;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;
use upstream::{Behaviour, SECRET, SECRET_ENCODED, Upstream};
use world::World;

#[path = "../../kit/tests/world/mod.rs"]
mod world;
mod upstream;

/// A world for its identities and tokens; the server in it is not asked.
async fn world(url: &str) -> World {
    let make = |_: &std::path::Path| {
        let bounds = Bounds { timeout: Duration::from_secs(1), bytes_max: 20_000 };
        let cluster = Cluster::new(&url.parse().unwrap(), None, bounds).unwrap();
        let fence = Fence::new(&[], &[], &[]).unwrap();
        let limits = Limits {
            replicas_max: 1,
            documents_max: 1,
            page_items_max: 1,
            log_lines_max: 1,
            log_bytes_max: 1,
            wait_max: Duration::ZERO,
        };
        Service::new(
            mcp_kubernetes::NAME,
            Kubernetes::new(cluster, fence, "m".into(), limits, Clock::system()),
        )
    };
    World::of(mcp_kubernetes::NAME, &["get", "pod_logs"], make, |_, _| {}).await
}

fn program(world: &World) -> Command {
    let file = |name: &str| world.dir.path().join(name).display().to_string();
    let mut command = Command::new(env!("CARGO_BIN_EXE_mcp-kubernetes"));
    command
        .args(["--certificate", &file("kubernetes/cert.pem"), "--private-key", &file("kubernetes/key.pem")])
        .args(["--trust-bundle", &file("kubernetes/bundle.pem"), "--jwks", &file("jwks.json")])
        .args(["--gateway", "spiffe://kubernetes.test/gateway", "--issuer", "https://issuer.test"])
        .args(["--audience", "kubernetes"]);
    command
}

#[tokio::test]
async fn the_credential_of_the_file_goes_to_the_cluster_and_neither_it_nor_a_secret_into_the_log() {
    let upstream = Upstream::start(Behaviour::Kubernetes).await;
    let mut world = world(&upstream.url).await;
    let file = |world: &World, name: &str| world.dir.path().join(name).display().to_string();
    std::fs::write(file(&world, "credential"), "open-sesame\n").unwrap();
    let mut child = program(&world)
        .args(["--server", &upstream.url, "--namespaces", "staging", "--kinds", "Secret"])
        .args(["--credential-file", &file(&world, "credential")])
        .env("RUST_LOG", "trace")
        .stdout(Stdio::piped())
        .stderr(Stdio::from(std::fs::File::create(file(&world, "log")).unwrap()))
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let line = lines.next_line().await.unwrap().unwrap();
    world.address = line.strip_prefix("listening on https://").unwrap().parse().unwrap();
    let token = world.token("alice", &[]);
    let mut gateway = world.connect("gateway").await.unwrap();
    let arguments = json!({"kind": "Secret", "namespace": "staging", "name": "db"});
    let answer = gateway.tool(&token, "get", arguments).await;
    assert_eq!(answer.body["result"]["isError"], json!(false), "{}", answer.body);
    let heard = upstream.heard();
    assert!(heard.iter().all(|request| request.contains("authorization: Bearer open-sesame")), "{heard:?}");
    assert!(!heard.iter().any(|request| request.contains(&token)), "the request's own token goes nowhere");
    child.start_kill().unwrap();
    child.wait().await.unwrap();
    let log = std::fs::read_to_string(file(&world, "log")).unwrap();
    assert!(log.contains("tools/call"));
    for secret in ["sesame", SECRET, SECRET_ENCODED, &token] {
        assert!(!log.contains(secret), "{secret} is in the log");
    }
}

#[tokio::test]
async fn flags_that_make_no_server_are_told() {
    let upstream = Upstream::start(Behaviour::Kubernetes).await;
    let world = world(&upstream.url).await;
    for (flags, wanted) in [
        (&["--server", "http://kubernetes.example"][..], "--server:"),
        (&["--server", "ftp://127.0.0.1"], "--server:"),
        (&["--server", "https://u:p@host"], "--server:"),
        (&["--server", "https://host/?a=b"], "--server:"),
        (&["--server", "https://host", "--namespaces", "Staging"], "Staging"),
        (&["--server", "https://host", "--kinds", "pods"], "pods"),
        (
            &["--server", "https://host", "--write-kinds", "ClusterRole.rbac.authorization.k8s.io"],
            "ClusterRole",
        ),
        (&["--server", "https://host", "--wait-max", "60"], "--wait-max"),
        (&["--server", "https://host", "--server-ca", "/dev/null"], "--server-ca"),
        (&["--server", "https://host", "--credential-file", "/dev/null"], "credential"),
        (&["--server", "https://host", "--field-manager", "a b"], "--field-manager"),
    ] {
        let output = program(&world).args(flags).output().await.unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(
            !output.status.success() && said.contains(wanted) && !said.contains("u:p@"),
            "{flags:?}: {said}"
        );
    }
}
