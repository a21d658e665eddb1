//! The load, a process of its own: so many connections, each with one call under way at a time, and the next one at once or
//! at its time.
//!
//! It opens its connections, makes a few calls on each, says `ready` and waits for a line; then it measures. So neither
//! handshakes nor a cold cache are part of what is measured, and whoever asked can read a process's CPU time at both ends.

use crate::call::{ANSWER_END, Tool};
use crate::message::Message;
use bytes::Bytes;
use certs::development::paths_in;
use certs::files::FileSource;
use certs::{Clock, SharedSource, SpiffeId};
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

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
    /// Whose calls they are: a connection for each in turn.
    pub(crate) bearers: Vec<String>,
    pub(crate) call: Call,
    /// From the beginning of a call to the next one's on the same connection; none: at once.
    pub(crate) every: Duration,
    pub(crate) connections: usize,
    /// Calls on each connection before the measured ones.
    pub(crate) calls_before: u32,
    /// How long the measured calls are made; on each connection one at least.
    pub(crate) time: Duration,
}

/// What is called.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) enum Call {
    /// An MCP server.
    Tool(Tool),
    /// An agent.
    Agent(Message),
}

impl Call {
    pub(crate) fn path(self) -> String {
        match self {
            Self::Tool(Tool::GetObject { .. }) => "/mcp/s3".into(),
            Self::Tool(Tool::PostEntry | Tool::Spin) => "/mcp/ledger".into(),
            Self::Agent(message) => message.path(),
        }
    }

    fn body(self, n: u64) -> String {
        match self {
            Self::Tool(tool) => tool.body(n),
            Self::Agent(message) => message.body(n),
        }
    }

    fn headers(self) -> Vec<(&'static str, &'static str)> {
        match self {
            Self::Tool(tool) => vec![
                ("accept", "application/json, text/event-stream"),
                ("mcp-protocol-version", "2026-07-28"),
                ("mcp-method", "tools/call"),
                ("mcp-name", tool.name()),
            ],
            Self::Agent(_) => vec![("accept", "application/json"), ("a2a-version", "1.0")],
        }
    }

    /// Whether that is what the `n`th call should hear.
    fn is_answered_by(self, n: u64, status: StatusCode, body: &[u8]) -> bool {
        match self {
            Self::Tool(Tool::Spin) => status != 200,
            Self::Tool(_) => status == 200 && body.ends_with(ANSWER_END.as_bytes()),
            Self::Agent(message) => status == 200 && message.is_answered_by(n, body),
        }
    }
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
    let tls = tls(&load.svid, &load.server, if load.http2 { b"h2" } else { b"http/1.1" });
    let (load, count) = (Arc::new(load), Arc::new(AtomicU64::new(0)));
    let mut open = Vec::new();
    while open.len() < load.connections {
        let some = HANDSHAKES.min(load.connections - open.len());
        let opening: Vec<_> = (open.len()..open.len() + some)
            .map(|at| tokio::spawn(Caller::open(at, tls.clone(), Arc::clone(&load), Arc::clone(&count))))
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

pub(crate) fn tls(svid: &Path, server: &str, alpn: &[u8]) -> TlsConnector {
    let own: SharedSource = FileSource::open(paths_in(svid)).unwrap();
    let mut tls = certs::tls::client_config(own, SpiffeId::new(server).unwrap(), Clock::system()).unwrap();
    tls.alpn_protocols = vec![alpn.to_vec()];
    TlsConnector::from(Arc::new(tls))
}

/// A connection after its handshake.
pub(crate) async fn connected(tls: &TlsConnector, address: SocketAddr) -> TokioIo<TlsStream<TcpStream>> {
    let tcp = TcpStream::connect(address).await.unwrap();
    tcp.set_nodelay(true).unwrap();
    let name = rustls::pki_types::ServerName::IpAddress(address.ip().into());
    TokioIo::new(tls.connect(name, tcp).await.unwrap())
}

/// One connection.
struct Caller {
    /// Which one.
    at: usize,
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
    async fn open(at: usize, tls: TlsConnector, load: Arc<Load>, count: Arc<AtomicU64>) -> Self {
        let io = connected(&tls, load.address).await;
        let sender = if load.http2 {
            let (sender, connection) = http2::handshake(TokioExecutor::new(), io).await.unwrap();
            tokio::spawn(connection);
            Sender::Two(sender)
        } else {
            let (sender, connection) = http1::handshake(io).await.unwrap();
            tokio::spawn(connection);
            Sender::One(sender)
        };
        let authorization = format!("Bearer {}", load.bearers[at % load.bearers.len()]);
        let mut caller = Self { at, load, count, sender, authorization };
        for _ in 0..caller.load.calls_before {
            caller.call().await;
        }
        caller
    }

    /// Nanoseconds of each call until then.
    async fn calls(mut self, until: Instant) -> Vec<u32> {
        let mut took = Vec::new();
        let every = self.load.every;
        // Not all of them at the same time.
        let mut next = Instant::now() + every.mul_f64(self.at as f64 / self.load.connections as f64);
        loop {
            if !every.is_zero() {
                tokio::time::sleep_until(next.into()).await;
                next += every;
            }
            let began = Instant::now();
            self.call().await;
            took.push(u32::try_from(began.elapsed().as_nanos()).unwrap_or(u32::MAX));
            if Instant::now() >= until {
                return took;
            }
        }
    }

    /// One call; an answer other than the one that it should have ends the benchmark.
    async fn call(&mut self) {
        let (call, http2, n) = (self.load.call, self.load.http2, self.count.fetch_add(1, Ordering::Relaxed));
        let (body, path) = (Bytes::from(call.body(n)), call.path());
        let mut request = if http2 {
            Request::post(format!("https://{}{path}", self.load.address)).version(http::Version::HTTP_2)
        } else {
            Request::post(path).header("host", "bench")
        };
        for (name, value) in call.headers() {
            request = request.header(name, value);
        }
        let request = request
            .header("authorization", &self.authorization)
            .header("content-type", "application/json")
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
        assert!(call.is_answered_by(n, status, &body), "{status} {body:?}");
    }
}
