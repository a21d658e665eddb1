//! HTTP/2 as its conformance kit knows it: h2spec, through a tunnel that has the client certificate which it can't show.

use std::process::Stdio;
use std::sync::Arc;
use tokio::net::TcpListener;
use world::{World, components};

/// Plain TCP on one side, mutual TLS to the gateway on the other.
async fn tunnel(world: Arc<World>) -> u16 {
    let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = tcp.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut plain, _)) = tcp.accept().await {
            let world = Arc::clone(&world);
            tokio::spawn(async move {
                let mut tls = world.raw_over("agent/clerk", b"h2").await;
                let _ = tokio::io::copy_bidirectional(&mut plain, &mut tls).await;
            });
        }
    });
    port
}

#[tokio::test]
async fn http_2_is_spoken_as_the_conformance_kit_wants_it() {
    let Some(kit) = components::installed("h2spec", "h2spec") else { return };
    let world = Arc::new(World::start().await);
    let port = tunnel(Arc::clone(&world)).await.to_string();
    let output = tokio::process::Command::new(kit)
        .args(["-h", "127.0.0.1", "-p", &port, "-P", "/.well-known/oauth-protected-resource", "-o", "2"])
        .stdin(Stdio::null())
        .output()
        .await
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let summary = text.lines().find(|line| line.contains(" tests, ")).unwrap_or_else(|| panic!("{output:?}"));
    assert_eq!(summary, "145 tests, 145 passed, 0 skipped, 0 failed", "{text}");
    assert_eq!(world.clerk().post_entry(1).await.result(), "posted", "and serves on");
}
