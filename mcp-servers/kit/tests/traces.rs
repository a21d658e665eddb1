//! A span for each request that the gateway's trace wants one of, below the gateway's own.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test ends by panicking")]

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use kit::Service;
use serde_json::json;
use std::sync::{Arc, Mutex};
use world::{World, modern};

#[path = "../examples/units.rs"]
#[allow(dead_code, reason = "its main is not called here")]
mod units;
mod world;

type Heard = Arc<Mutex<Vec<(String, Bytes)>>>;

/// A collector that keeps what it is sent.
async fn collector() -> (String, Heard) {
    let tcp = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/v1/traces", tcp.local_addr().unwrap());
    let heard = Heard::default();
    let kept = Arc::clone(&heard);
    tokio::spawn(async move {
        while let Ok((stream, _)) = tcp.accept().await {
            let kept = Arc::clone(&kept);
            let answer = service_fn(move |request: Request<Incoming>| {
                let kept = Arc::clone(&kept);
                async move {
                    let path = request.uri().path().to_owned();
                    let body = request.into_body().collect().await?.to_bytes();
                    kept.lock().unwrap().push((path, body));
                    Ok::<_, hyper::Error>(Response::new(Full::<Bytes>::default()))
                }
            });
            tokio::spawn(
                hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), answer),
            );
        }
    });
    (url, heard)
}

/// Calls `convert` as part of a trace and gives what was delivered when the server has stopped.
async fn delivered(traceparent: &str, to: &str) -> Vec<(String, Bytes)> {
    let (url, heard) = collector().await;
    let service = Service::new("units", units::Server);
    let change = |flags: &mut kit::Flags, _: &std::path::Path| {
        flags.observe.otlp_endpoint = Some(url.parse().unwrap());
    };
    let world = World::of("units", &["convert"], |_| service, change).await;
    let mut gateway = world.connect("gateway").await.unwrap();
    let arguments = json!({"value": 1, "from": "metre", "to": to});
    let body = modern("tools/call", json!({"name": "convert", "arguments": arguments})).to_string();
    let headers = [
        ("mcp-protocol-version", "2026-07-28"),
        ("mcp-method", "tools/call"),
        ("mcp-name", "convert"),
        ("traceparent", traceparent),
    ];
    let token = world.token("alice", &[]);
    let answer = gateway.send(Method::POST, Some(&token), &headers, body).await.unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text);
    drop(gateway);
    world.stop.send(()).unwrap();
    world.server.await.unwrap();
    heard.lock().unwrap().clone()
}

fn holds(body: &[u8], part: &[u8]) -> bool {
    body.windows(part.len()).any(|window| window == part)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_is_a_span_below_the_gateways_and_says_no_argument() {
    let sent = delivered("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "parsec").await;
    let [(path, body)] = sent.as_slice() else { panic!("{} deliveries", sent.len()) };
    assert_eq!(path, "/v1/traces");
    let trace = 0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c_u128.to_be_bytes();
    let parent = 0xb7ad_6b71_6920_3331_u64.to_be_bytes();
    assert!(holds(body, &trace) && holds(body, &parent), "it is not joined");
    for word in [
        "mcp-units",
        "tools/call convert",
        "mcp.method.name",
        "mcp.protocol.version",
        "gen_ai.tool.name",
        "execute_tool",
        "jsonrpc.request.id",
        "tool_error",
        "unknown_unit",
    ] {
        assert!(holds(body, word.as_bytes()), "{word}");
    }
    assert!(!holds(body, b"parsec"), "an argument stands in it");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trace_that_is_not_kept_gets_no_span() {
    let sent = delivered("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00", "foot").await;
    assert!(sent.is_empty());
}
