//! The fake A2A agent over gRPC, and what a caller makes of its answers: in between, the same JSON as over HTTP+JSON.

use crate::server::{Answer, Received};
use crate::{McpServer, Reply, World};
use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use bytes::Bytes;
use certs::tls::{Accept, server_config};
use certs::{Clock, SharedSource, SpiffeId};
use futures_util::stream::{self, BoxStream, StreamExt};
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use protocol::a2a::{self, Method, grpc};
use serde_json::{Value, json};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

type Frames = StreamBody<BoxStream<'static, Result<Frame<Bytes>, Infallible>>>;

/// Serves gRPC before an agent that speaks JSON-RPC: what it is asked and what it says are those of `agent`.
pub async fn serve(agent: McpServer, source: SharedSource, gateway: SpiffeId, clock: Clock) -> SocketAddr {
    let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = tcp.local_addr().unwrap();
    let tls = server_config(source, Accept::Ids(vec![gateway]), &["h2"], clock).unwrap();
    let tls = TlsAcceptor::from(Arc::new(tls));
    tokio::spawn(async move {
        while let Ok((stream, _)) = tcp.accept().await {
            let (tls, agent) = (tls.clone(), agent.clone());
            tokio::spawn(async move {
                let Ok(stream) = tls.accept(stream).await else { return };
                let service = service_fn(move |request| answered(request, agent.clone()));
                let http = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
                let _ = http.serve_connection(TokioIo::new(stream), service).await;
            });
        }
    });
    address
}

async fn answered(request: Request<Incoming>, agent: McpServer) -> Result<Response<Frames>, Infallible> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let name = head.uri.path().rsplit('/').next().unwrap().to_owned();
    let method = a2a::methods().iter().find(|row| row.name == name).unwrap().method;
    let params = grpc::request_of(method, a2a::unframed(&body).unwrap()).unwrap();
    let asked = json!({"jsonrpc": "2.0", "id": 7, "method": name, "params": params});
    let mut headers = head.headers;
    headers.insert("a2a-version", HeaderValue::from_static("1.0"));
    let received =
        Received { method: head.method, path: "/a2a".into(), headers, body: asked.to_string().into() };
    let mut metadata = HeaderMap::new();
    let (said, status): (BoxStream<'static, Value>, _) = match agent.ask(&received) {
        Answer::Raw(answer) => {
            metadata = answer.headers().clone();
            (stream::iter([serde_json::from_str(answer.body()).unwrap()]).boxed(), "0")
        }
        Answer::Json(answer) => {
            let status = if answer["error"]["code"] == -32001 { "5" } else { "0" };
            (stream::iter([answer]).boxed(), status)
        }
        Answer::Events(mut events) => {
            let chunks = stream::poll_fn(move |cx| events.poll_recv(cx));
            let lines = |chunk: Result<&'static str, _>| stream::iter(chunk.unwrap().lines());
            let data = |line: &'static str| async { line.strip_prefix("data: ") };
            let said = chunks.flat_map(lines).filter_map(data);
            (said.map(|data| serde_json::from_str(data).unwrap()).boxed(), "0")
        }
        _ => panic!("the agent says it in another way than gRPC has"),
    };
    let messages = said.filter_map(move |answer| async move {
        let answer = answer["result"].as_object()?;
        Some(Frame::data(a2a::frame(&grpc::answer(method, answer)).unwrap()))
    });
    let trailers = HeaderMap::from_iter([("grpc-status".parse().unwrap(), HeaderValue::from_static(status))]);
    let end = stream::iter([Frame::trailers(trailers)]);
    let body = StreamBody::new(messages.chain(end).map(Ok).boxed());
    metadata.insert("content-type", HeaderValue::from_static("application/grpc"));
    let mut response = Response::new(body);
    *response.headers_mut() = metadata;
    Ok(response)
}

/// A request to the trainer as the body of one frame: the tenant names it, before a tenant of its own.
pub fn request(operation: &str, params: &Value) -> Vec<u8> {
    let mut params = params.clone();
    params["tenant"] = match params["tenant"].as_str().unwrap_or_default() {
        "" => "trainer".into(),
        own => format!("trainer/{own}").into(),
    };
    framed(operation, &params).to_vec()
}

fn framed(operation: &str, params: &Value) -> Bytes {
    let method = a2a::methods().iter().find(|row| row.name == operation).unwrap().method;
    a2a::frame(&grpc::request(method, params.as_object().unwrap())).unwrap()
}

/// What a workload that acts for alice hears of a request with this `:authority`.
pub async fn asked(world: &World, workload: &str, authority: &str, operation: &str, params: &Value) -> Reply {
    asked_with(world, (workload, &world.token(workload)), authority, operation, params).await
}

/// The same of a workload with any token.
pub async fn asked_with(
    world: &World,
    (workload, token): (&str, &str),
    authority: &str,
    operation: &str,
    params: &Value,
) -> Reply {
    let tls = world.raw_over(workload, b"h2").await;
    let (mut http, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(tls)).await.unwrap();
    tokio::spawn(connection);
    let request = Request::post(format!("https://{authority}/{}/{operation}", a2a::SERVICE))
        .header("authorization", format!("Bearer {token}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .header("a2a-version", "1.0")
        .body(Full::new(framed(operation, params)));
    let (head, body) = http.send_request(request.unwrap()).await.unwrap().into_parts();
    reply(operation, head.status.as_u16(), head.headers, &body.collect().await.unwrap().to_bytes())
}

/// An answer in the shape of HTTP+JSON, so that one story reads all of them.
pub fn reply(operation: &str, status: u16, headers: HeaderMap, body: &[u8]) -> Reply {
    let method: Method = a2a::methods().iter().find(|row| row.name == operation).unwrap().method;
    let refused = headers.get("grpc-status").is_some_and(|status| status != "0");
    let text = if refused {
        assert!(body.is_empty(), "what is said of a refusal stands in its header fields");
        let details = STANDARD_NO_PAD.decode(&headers["grpc-status-details-bin"]).unwrap();
        let code: i64 = headers["grpc-status"].to_str().unwrap().parse().unwrap();
        let reason = String::from_utf8_lossy(&details).rsplit("reason").next().unwrap().to_owned();
        let reason: String = reason.chars().filter(|c| c.is_ascii_lowercase() || *c == '_').collect();
        json!({"error": {"code": code, "details": [{"metadata": {"reason": reason}}]}}).to_string()
    } else {
        let (mut rest, mut all) = (body, Vec::new());
        while let Some((prefix, _)) = rest.split_at_checked(5) {
            let length = u32::from_be_bytes(prefix[1..].try_into().unwrap()) as usize;
            all.push(Value::Object(grpc::answer_of(method, &rest[5..5 + length]).unwrap()));
            rest = &rest[5 + length..];
        }
        match all.as_slice() {
            [one] => one.to_string(),
            several => several.iter().map(|event| format!("data: {event}\n\n")).collect(),
        }
    };
    Reply { status, headers, text }
}
