//! The load, a process of its own: so many connections, each with one call under way at a time.
//!
//! It opens its connections, makes a few calls on each, says `ready` and waits for a line; then it measures. So neither
//! handshakes nor a cold cache are part of what is measured, and whoever asked can read a process's CPU time at both ends.

use crate::call::{ANSWER_END, Tool};
use bytes::Bytes;
use certs::development::paths_in;
use certs::files::FileSource;
use certs::{Clock, SharedSource, SpiffeId};
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// Handshakes at once: a server may turn away a crowd.
const HANDSHAKES: usize = 32;

/// What the process is told.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Load {
    pub(crate) address: SocketAddr,
    /// The folder of the SVID that is shown to whoever asks for one.
    pub(crate) svid: PathBuf,
    /// The SPIFFE ID that the other side must have.
    pub(crate) server: String,
    pub(crate) http2: bool,
    pub(crate) path: String,
    pub(crate) bearer: String,
    pub(crate) tool: Tool,
    pub(crate) connections: usize,
    /// Calls on each connection before the measured ones.
    pub(crate) calls_before: u32,
    /// How long the measured calls are made; on each connection one at least.
    pub(crate) time: Duration,
}

/// What the process says at its end.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Outcome {
    pub(crate) calls: u64,
    pub(crate) requests_per_second: f64,
    pub(crate) p50_us: f64,
    pub(crate) p99_us: f64,
}

pub(crate) async fn run(load: Load) {
    let (tls, load, count) = (TlsConnector::from(tls(&load)), Arc::new(load), Arc::new(AtomicU64::new(0)));
    let mut open = Vec::new();
    while open.len() < load.connections {
        let some = HANDSHAKES.min(load.connections - open.len());
        let opening: Vec<_> = (0..some)
            .map(|_| tokio::spawn(Caller::open(tls.clone(), Arc::clone(&load), Arc::clone(&count))))
            .collect();
        for caller in opening {
            open.push(caller.await.unwrap());
        }
    }
    println!("ready");
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).unwrap(); // This thread has nothing else to do.
    let began = Instant::now();
    let calling: Vec<_> =
        open.into_iter().map(|caller| tokio::spawn(caller.calls(began + load.time))).collect();
    let mut took: Vec<u32> = Vec::new();
    for caller in calling {
        took.extend(caller.await.unwrap());
    }
    let seconds = began.elapsed().as_secs_f64();
    took.sort_unstable();
    let at = |share: usize| f64::from(took[(took.len() * share / 100).min(took.len() - 1)]) / 1000.0;
    let calls = u64::try_from(took.len()).unwrap();
    let requests_per_second = took.len() as f64 / seconds;
    let outcome = Outcome { calls, requests_per_second, p50_us: at(50), p99_us: at(99) };
    println!("{}", serde_json::to_string(&outcome).unwrap());
}

fn tls(load: &Load) -> Arc<rustls::ClientConfig> {
    let own: SharedSource = FileSource::open(paths_in(&load.svid)).unwrap();
    let server = SpiffeId::new(&load.server).unwrap();
    let mut tls = certs::tls::client_config(own, server, Clock::system()).unwrap();
    tls.alpn_protocols = vec![if load.http2 { b"h2".to_vec() } else { b"http/1.1".to_vec() }];
    Arc::new(tls)
}

/// One connection.
struct Caller {
    load: Arc<Load>,
    count: Arc<AtomicU64>,
    sender: Sender,
    authorization: String,
}

enum Sender {
    One(http1::SendRequest<Full<Bytes>>),
    Two(http2::SendRequest<Full<Bytes>>),
}

impl Caller {
    async fn open(tls: TlsConnector, load: Arc<Load>, count: Arc<AtomicU64>) -> Self {
        let tcp = TcpStream::connect(load.address).await.unwrap();
        tcp.set_nodelay(true).unwrap();
        let name = rustls::pki_types::ServerName::IpAddress(load.address.ip().into());
        let io = TokioIo::new(tls.connect(name, tcp).await.unwrap());
        let sender = if load.http2 {
            let (sender, connection) = http2::handshake(TokioExecutor::new(), io).await.unwrap();
            tokio::spawn(connection);
            Sender::Two(sender)
        } else {
            let (sender, connection) = http1::handshake(io).await.unwrap();
            tokio::spawn(connection);
            Sender::One(sender)
        };
        let authorization = format!("Bearer {}", load.bearer);
        let mut caller = Self { load, count, sender, authorization };
        for _ in 0..caller.load.calls_before {
            caller.call().await;
        }
        caller
    }

    /// Nanoseconds of each call until then.
    async fn calls(mut self, until: Instant) -> Vec<u32> {
        let mut took = Vec::new();
        let mut now = Instant::now();
        loop {
            self.call().await;
            let then = std::mem::replace(&mut now, Instant::now());
            took.push(u32::try_from((now - then).as_nanos()).unwrap_or(u32::MAX));
            if now >= until {
                return took;
            }
        }
    }

    /// One call; an answer other than the one that it should have ends the benchmark.
    async fn call(&mut self) {
        let (tool, http2) = (self.load.tool, self.load.http2);
        let body = Bytes::from(tool.body(self.count.fetch_add(1, Ordering::Relaxed)));
        let path = &self.load.path;
        let request = if http2 {
            Request::post(format!("https://{}{path}", self.load.address)).version(http::Version::HTTP_2)
        } else {
            Request::post(path).header("host", "bench")
        };
        let request = request
            .header("authorization", &self.authorization)
            .header("content-type", "application/json")
            .header("accept", "application/json, text/event-stream")
            .header("mcp-protocol-version", "2026-07-28")
            .header("mcp-method", "tools/call")
            .header("mcp-name", tool.name())
            .body(Full::new(body))
            .unwrap();
        let response = match &mut self.sender {
            Sender::One(sender) => {
                sender.ready().await.unwrap();
                sender.send_request(request).await.unwrap()
            }
            Sender::Two(sender) => sender.send_request(request).await.unwrap(),
        };
        let status = response.status();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        let answered = status == 200 && body.ends_with(ANSWER_END.as_bytes());
        assert_eq!(answered, !matches!(tool, Tool::Spin), "{status} {body:?}");
    }
}
