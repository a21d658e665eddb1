//! A server that calls on with a token of its own: exchanged at a token service, which is played here on a real socket.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test ends by panicking")]

use bytes::Bytes;
use certs::files::FileSource;
use certs::tls::{Accept, server_config};
use certs::{Clock, SpiffeId};
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use kit::{Downstream, DownstreamFlags, Flags, Service, ToolError};
use rmcp::model::Extensions;
use rmcp::{ServerHandler, tool, tool_handler, tool_router};
use serde_json::json;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock};
use tokio_rustls::TlsAcceptor;
use world::World;

mod world;

/// What the token service heard, and what it says next: a status and a body.
#[derive(Default)]
struct Played {
    heard: Mutex<Vec<HashMap<String, String>>>,
    says: Mutex<(u16, String)>,
}

#[derive(Clone)]
struct Onward(Arc<OnceLock<Downstream>>);

#[tool_router]
impl Onward {
    /// Tells which token the system behind would get.
    #[tool]
    async fn onward(&self, extensions: Extensions) -> Result<String, ToolError> {
        let credential = self.0.get().unwrap().credential(&extensions).await?;
        Ok(credential.expose().to_owned())
    }
}

#[tool_handler]
impl ServerHandler for Onward {}

/// The server `onward`, and the token service that it may ask.
async fn worlds() -> (World, Arc<Played>) {
    let (slot, mut door) = (Arc::new(OnceLock::new()), None::<Flags>);
    let handler = Onward(Arc::clone(&slot));
    let make = |_: &std::path::Path| Service::new("onward", handler);
    let world = World::of("onward", &["onward"], make, |flags, _| door = Some(flags.clone())).await;
    let played = Arc::new(Played::default());
    let (id, clock) = (world.domain.id("token-service").unwrap(), Clock::system());
    let svid = world.domain.write_svid(&world.dir.path().join("sts"), &id, &[], clock.now()).unwrap();
    let only = Accept::Ids(vec![world.domain.id("mcp/onward").unwrap()]);
    let tls = server_config(FileSource::open(svid).unwrap(), only, &["http/1.1"], clock).unwrap();
    let tcp = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = tcp.local_addr().unwrap();
    let (acceptor, service) = (TlsAcceptor::from(Arc::new(tls)), Arc::clone(&played));
    tokio::spawn(async move {
        while let Ok((stream, _)) = tcp.accept().await {
            let Ok(stream) = acceptor.accept(stream).await else { continue };
            let service = Arc::clone(&service);
            let answer = service_fn(move |request| answer(Arc::clone(&service), request));
            tokio::spawn(
                hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), answer),
            );
        }
    });
    let flags = DownstreamFlags {
        token_endpoint: Some(format!("https://{address}/oauth/token").parse().unwrap()),
        token_server: Some(SpiffeId::new("spiffe://onward.test/token-service").unwrap()),
        downstream_audience: Some("cluster".into()),
        downstream_scope: Some("read".into()),
        credential_file: None,
    };
    let downstream = Downstream::from_flags(&flags, &door.unwrap()).await.unwrap().unwrap();
    assert!(slot.set(downstream).is_ok());
    (world, played)
}

async fn answer(played: Arc<Played>, request: Request<Incoming>) -> hyper::Result<Response<Full<Bytes>>> {
    assert_eq!(request.uri().path(), "/oauth/token");
    let body = request.into_body().collect().await?.to_bytes();
    played.heard.lock().unwrap().push(url::form_urlencoded::parse(&body).into_owned().collect());
    let (status, text) = played.says.lock().unwrap().clone();
    Ok(Response::builder().status(status).body(Full::from(text)).unwrap())
}

impl Played {
    fn says(&self, status: u16, body: &serde_json::Value) {
        *self.says.lock().unwrap() = (status, body.to_string());
    }

    fn heard(&self) -> usize {
        self.heard.lock().unwrap().len()
    }
}

fn issued(token: &str, seconds: u64) -> serde_json::Value {
    json!({"access_token": token, "token_type": "Bearer", "expires_in": seconds,
        "issued_token_type": "urn:ietf:params:oauth:token-type:access_token"})
}

#[tokio::test]
async fn the_token_that_came_is_exchanged_for_the_systems_and_kept_till_it_ends() {
    let (world, played) = worlds().await;
    let mut gateway = world.connect("gateway").await.unwrap();
    let (alice, bob) = (world.token("alice", &[]), world.token("bob", &[]));
    played.says(200, &issued("for-alice", 300));
    for _ in 0..2 {
        let told = gateway.tool(&alice, "onward", json!({})).await.body;
        assert_eq!(told["result"]["content"][0]["text"], json!("for-alice"), "{told}");
    }
    assert_eq!(played.heard(), 1, "the second came from the cache");
    let asked = played.heard.lock().unwrap()[0].clone();
    for (name, value) in [
        ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
        ("client_id", "spiffe://onward.test/mcp/onward"),
        ("subject_token", alice.as_str()),
        ("audience", "cluster"),
        ("scope", "read"),
    ] {
        assert_eq!(asked[name], value, "{name}");
    }
    played.says(200, &issued("for-bob", 1));
    for count in [2, 3] {
        let told = gateway.tool(&bob, "onward", json!({})).await.body;
        assert_eq!(told["result"]["content"][0]["text"], json!("for-bob"), "bob never gets alice's: {told}");
        assert_eq!(played.heard(), count, "one that is about to end is not kept");
    }
}

#[tokio::test]
async fn where_nothing_is_issued_the_tool_says_so_and_nothing_of_why() {
    let (world, played) = worlds().await;
    let mut gateway = world.connect("gateway").await.unwrap();
    let token = world.token("alice", &[]);
    let secret = json!({"error": "invalid_target", "error_description": "s3cr3t"});
    for (status, body, code) in [
        (400, secret.clone(), "forbidden"),
        (401, secret.clone(), "forbidden"),
        (500, secret, "unavailable"),
        (200, json!("<html>"), "unavailable"),
        (200, issued("", 300), "unavailable"),
        (200, issued(&token, 300), "unavailable"),
        (200, json!({"access_token": "x", "token_type": "N_A"}), "unavailable"),
    ] {
        played.says(status, &body);
        let told = gateway.tool(&token, "onward", json!({})).await;
        let error = &told.body["result"]["structuredContent"]["error"];
        assert_eq!(error["code"], json!(code), "{body}: {}", told.text);
        assert!(!told.text.contains("s3cr3t") && !told.text.contains(&token), "{}", told.text);
    }
}
