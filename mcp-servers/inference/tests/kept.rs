//! A backend's connections: the next call of a busy server comes by the same one, a later one doesn't, and a call by one that ends
//! under it is not sent there twice.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test ends by panicking")]

use before::{code, content, world};
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{Method, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::net::TcpListener;
use world::Client;

#[path = "../../kit/tests/world/mod.rs"]
mod world;
mod upstream;
mod before;

/// Calls one behind the other, of which at least two meet on a connection that is kept so shortly.
const CALLS: usize = 30;
/// Longer than a connection is kept.
const A_WHILE: Duration = Duration::from_secs(1);

/// A backend that keeps its connections: what it heard by which.
#[derive(Clone, Default)]
struct Keeping {
    heard: Arc<Mutex<Vec<(usize, String)>>>,
    /// The second call by a connection ends it, without an answer.
    ends_the_second: bool,
}

impl Keeping {
    async fn serve(&self) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/v1", listener.local_addr().unwrap());
        let backend = self.clone();
        tokio::spawn(async move {
            for connection in 0.. {
                let (tcp, _) = listener.accept().await.unwrap();
                let (backend, calls) = (backend.clone(), Arc::new(AtomicUsize::new(0)));
                let service = service_fn(move |request| {
                    backend.clone().answer(connection, Arc::clone(&calls), request)
                });
                tokio::spawn(
                    hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(tcp), service),
                );
            }
        });
        url
    }

    async fn answer(
        self,
        connection: usize,
        calls: Arc<AtomicUsize>,
        request: Request<Incoming>,
    ) -> io::Result<Response<Full<Bytes>>> {
        if request.method() == Method::GET {
            return Ok(Response::new(Full::from(json!({"data": [{"id": "m"}]}).to_string())));
        }
        let body = request.into_body().collect().await.map_err(io::Error::other)?.to_bytes();
        let asked: Value = serde_json::from_slice(&body).unwrap();
        let words = asked["messages"][0]["content"].as_str().unwrap().to_owned();
        self.heard.lock().unwrap().push((connection, words));
        if calls.fetch_add(1, Ordering::Relaxed) == 1 && self.ends_the_second {
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        let event = json!({"choices": [{"index": 0, "delta": {"content": "yes"}, "finish_reason": "stop"}]});
        let events = format!("data: {event}\n\ndata: [DONE]\n\n");
        Ok(Response::builder().header(CONTENT_TYPE, "text/event-stream").body(Full::from(events)).unwrap())
    }

    fn heard(&self) -> Vec<(usize, String)> {
        self.heard.lock().unwrap().clone()
    }
}

/// One backend, at which nothing looks but once.
fn file(url: &str) -> String {
    format!(
        "backends: [{{name: a, url: '{url}', metrics: none, probe_interval_ms: 60000, models: [{{name: m}}]}}]"
    )
}

fn words(number: usize) -> Value {
    json!({"model": "m", "messages": [{"role": "user", "content": format!("call {number}")}]})
}

async fn called(gateway: &mut Client, token: &str, number: usize) -> world::Answer {
    gateway.tool(token, "chat", words(number)).await
}

#[tokio::test]
async fn the_next_call_of_a_busy_server_comes_by_the_same_connection_and_a_later_one_by_a_new_one() {
    let backend = Keeping::default();
    let world = world(&file(&backend.serve().await), &[]).await;
    let (mut gateway, token) = (world.connect("gateway").await.unwrap(), world.token("alice", &[]));
    for number in 0..CALLS {
        assert_eq!(content(&called(&mut gateway, &token, number).await)["text"], "yes");
    }
    let heard = backend.heard();
    let last = heard.last().unwrap().0;
    assert!(heard.windows(2).any(|pair| pair[0].0 == pair[1].0), "{heard:?}");
    tokio::time::sleep(A_WHILE).await;
    assert_eq!(content(&called(&mut gateway, &token, CALLS).await)["text"], "yes");
    assert!(
        backend.heard().last().unwrap().0 > last,
        "it could end under the call, and takes a thread of some backends"
    );
}

#[tokio::test]
async fn a_call_whose_connection_ends_under_it_is_not_sent_there_twice() {
    let backend = Keeping { ends_the_second: true, ..Keeping::default() };
    let world = world(&file(&backend.serve().await), &[]).await;
    let (mut gateway, token) = (world.connect("gateway").await.unwrap(), world.token("alice", &[]));
    let mut cut_off = 0;
    for number in 0..CALLS {
        let answer = called(&mut gateway, &token, number).await;
        if answer.body["result"]["isError"] == true {
            assert_eq!(code(&answer), "unavailable", "{}", answer.body);
            cut_off += 1;
        }
    }
    let heard: Vec<_> = backend.heard().into_iter().map(|(_, words)| words).collect();
    assert!(cut_off > 0, "no connection was kept");
    assert_eq!(heard, (0..CALLS).map(|number| format!("call {number}")).collect::<Vec<_>>());
}
