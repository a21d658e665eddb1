//! A fake MCP server on a real socket: mutual TLS as an upstream has it, answers from a script, all that came in kept.

use bytes::Bytes;
use certs::tls::{Accept, server_config};
use certs::{Clock, SharedSource, SpiffeId};
use http::{Request, Response, StatusCode};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio_rustls::TlsAcceptor;

/// A request as the server got it.
#[derive(Clone, Debug)]
pub struct Received {
    pub method: http::Method,
    pub path: String,
    pub headers: http::HeaderMap,
    pub body: Bytes,
}

impl Received {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

/// What the server says.
pub enum Answer {
    Json(Value),
    Raw(Response<String>),
    /// An event stream; it ends when the sender is dropped, and breaks off when an error is sent.
    Events(mpsc::Receiver<Result<&'static str, std::io::Error>>),
    /// A JSON document in pieces, in the same way.
    Pieces(mpsc::Receiver<Result<&'static str, std::io::Error>>),
    /// Nothing, ever; the sender is dropped when the connection is closed.
    Silence(mpsc::Sender<()>),
}

type Script = Box<dyn FnMut(&Received) -> Answer + Send>;

#[derive(Clone)]
pub struct McpServer {
    pub address: SocketAddr,
    received: Arc<Mutex<Vec<Received>>>,
    script: Arc<Mutex<Script>>,
    accepting: Arc<tokio::task::JoinHandle<()>>,
    connections: Arc<AtomicUsize>,
    card: Arc<Mutex<Option<Value>>>,
    card_asked: Arc<watch::Sender<usize>>,
}

impl McpServer {
    pub async fn start(source: SharedSource, gateway: SpiffeId, clock: Clock) -> Self {
        let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = tcp.local_addr().unwrap();
        let tls = TlsAcceptor::from(Arc::new(
            server_config(source, Accept::Ids(vec![gateway]), &["http/1.1"], clock).unwrap(),
        ));
        let received: Arc<Mutex<Vec<Received>>> = Arc::default();
        let script: Arc<Mutex<Script>> = Arc::new(Mutex::new(Box::new(usual)));
        let (kept, said) = (Arc::clone(&received), Arc::clone(&script));
        let card: Arc<Mutex<Option<Value>>> = Arc::default();
        let card_asked = Arc::new(watch::Sender::new(0));
        let (shown, asked) = (Arc::clone(&card), Arc::clone(&card_asked));
        let connections: Arc<AtomicUsize> = Arc::default();
        let counted = Arc::clone(&connections);
        let accepting = tokio::spawn(async move {
            while let Ok((stream, _)) = tcp.accept().await {
                counted.fetch_add(1, Ordering::SeqCst);
                let (tls, kept, said) = (tls.clone(), Arc::clone(&kept), Arc::clone(&said));
                let (shown, asked) = (Arc::clone(&shown), Arc::clone(&asked));
                tokio::spawn(async move {
                    let Ok(stream) = tls.accept(stream).await else { return };
                    let answer = service_fn(move |request: Request<Incoming>| {
                        let (kept, said) = (Arc::clone(&kept), Arc::clone(&said));
                        let card = (request.uri().path() == CARD).then(|| {
                            asked.send_modify(|times| *times += 1);
                            card_answer(&request, shown.lock().unwrap().as_ref())
                        });
                        async move {
                            match card {
                                Some(card) => Ok(card),
                                None => respond(request, kept, said).await,
                            }
                        }
                    });
                    let _ = hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), answer)
                        .await;
                });
            }
        });
        Self { address, received, script, accepting: Arc::new(accepting), connections, card, card_asked }
    }

    /// From now on the server answers like this.
    pub fn answers(&self, script: impl FnMut(&Received) -> Answer + Send + 'static) {
        *self.script.lock().unwrap() = Box::new(script);
    }

    /// The next call is answered with an event stream, which is fed by what this gives.
    pub fn streams(&self) -> mpsc::Sender<Result<&'static str, std::io::Error>> {
        let (events, stream) = mpsc::channel(8);
        let mut stream = Some(stream);
        self.answers(move |_| Answer::Events(stream.take().unwrap()));
        events
    }

    /// Every call is answered with these events.
    pub fn says(&self, messages: &[Value]) {
        let text: String = messages.iter().map(|message| format!("data: {message}\n\n")).collect();
        let text: &'static str = Box::leak(text.into_boxed_str());
        self.answers(move |_| {
            let (events, stream) = mpsc::channel(1);
            events.try_send(Ok(text)).unwrap();
            Answer::Events(stream)
        });
    }

    /// What it says to a request that came to it in another way, and is kept like any other.
    pub fn ask(&self, received: &Received) -> Answer {
        keep(&self.received, received);
        (self.script.lock().unwrap())(received)
    }

    /// From now on this is its card; none: it has none. Who asks for it is not among what has come in.
    pub fn shows(&self, card: Option<Value>) {
        *self.card.lock().unwrap() = card;
    }

    /// Waits until somebody has read the present card, and asks for the next.
    pub async fn card_was_read(&self) {
        let mut asked = self.card_asked.subscribe();
        let now = *asked.borrow();
        asked.wait_for(|times| *times >= now + 2).await.unwrap();
    }

    /// All that has come in.
    pub fn received(&self) -> Vec<Received> {
        self.received.lock().unwrap().clone()
    }

    /// How many connections have been accepted.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// Stops accepting: the port is closed.
    pub fn stop(&self) {
        self.accepting.abort();
    }
}

/// Where an agent's card is.
const CARD: &str = "/.well-known/agent-card.json";

fn card_answer(
    request: &Request<Incoming>,
    card: Option<&Value>,
) -> Response<BoxBody<Bytes, std::io::Error>> {
    let asks_for_1_0 = request.headers().get("a2a-version").is_some_and(|version| version == "1.0");
    let (status, body) = match card.filter(|_| asks_for_1_0) {
        Some(card) => (200, card.to_string()),
        None => (404, String::new()),
    };
    let answer = Response::builder().status(status).header("content-type", "application/json");
    answer.body(full(body)).unwrap()
}

async fn respond(
    request: Request<Incoming>,
    kept: Arc<Mutex<Vec<Received>>>,
    script: Arc<Mutex<Script>>,
) -> Result<Response<BoxBody<Bytes, std::io::Error>>, Infallible> {
    let (head, body) = request.into_parts();
    let Ok(body) = body.collect().await else { return Ok(Response::default()) };
    let received = Received {
        method: head.method,
        path: head.uri.to_string(),
        headers: head.headers,
        body: body.to_bytes(),
    };
    keep(&kept, &received);
    let answer = (script.lock().unwrap())(&received);
    Ok(match answer {
        Answer::Json(value) => Response::builder()
            .header("content-type", "application/json")
            .body(full(value.to_string()))
            .unwrap(),
        Answer::Raw(response) => response.map(full),
        Answer::Silence(_held) => std::future::pending().await,
        Answer::Events(events) => fed("text/event-stream", events),
        Answer::Pieces(pieces) => fed("application/json", pieces),
    })
}

fn fed(
    media_type: &str,
    pieces: mpsc::Receiver<Result<&'static str, std::io::Error>>,
) -> Response<BoxBody<Bytes, std::io::Error>> {
    Response::builder().header("content-type", media_type).body(Fed(pieces).boxed()).unwrap()
}

/// Keeps what a story can look at; a benchmark's calls would fill the memory.
fn keep(kept: &Mutex<Vec<Received>>, received: &Received) {
    let mut kept = kept.lock().unwrap();
    if kept.len() < 1000 {
        kept.push(received.clone());
    }
}

fn full(text: String) -> BoxBody<Bytes, std::io::Error> {
    Full::new(Bytes::from(text)).map_err(|never| match never {}).boxed()
}

/// The usual answers: tools post and balance, every call succeeds.
pub fn usual(received: &Received) -> Answer {
    if received.method != http::Method::POST {
        return Answer::Raw(
            Response::builder().status(StatusCode::METHOD_NOT_ALLOWED).body(String::new()).unwrap(),
        );
    }
    let request = received.json();
    let id = request["id"].clone();
    if id.is_null() {
        return Answer::Raw(
            Response::builder()
                .status(StatusCode::ACCEPTED)
                .header("content-length", "0")
                .body(String::new())
                .unwrap(),
        );
    }
    let result = match request["method"].as_str().unwrap_or_default() {
        "tools/list" => list(),
        "initialize" => {
            json!({"protocolVersion": "2025-11-25", "capabilities": {"tools": {}}, "serverInfo": {"name": "ledger", "version": "1"}})
        }
        _ => json!({"resultType": "complete", "content": [{"type": "text", "text": "posted"}]}),
    };
    Answer::Json(json!({"jsonrpc": "2.0", "id": id, "result": result}))
}

/// The usual list.
pub fn list() -> Value {
    let tool = |name: &str| json!({"name": name, "inputSchema": {"type": "object"}, "x-vendor": {"kept": 12345678901234567890_u64}});
    json!({"resultType": "complete", "ttlMs": 60000, "cacheScope": "public", "tools": [tool("post_entry"), tool("read_balance")]})
}

/// A response body fed from a channel.
struct Fed(mpsc::Receiver<Result<&'static str, std::io::Error>>);

impl hyper::body::Body for Fed {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        self.0
            .poll_recv(cx)
            .map(|next| next.map(|event| event.map(|text| Frame::data(Bytes::from_static(text.as_bytes())))))
    }
}
