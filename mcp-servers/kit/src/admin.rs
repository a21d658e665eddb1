//! The admin listener: plain HTTP for probes and for Prometheus, on an address of its own. It says how the server is and
//! nothing of what passes through it; there is no authentication, so it listens where it is told to and nowhere else.
//!
//! One request a connection, a deadline for all of it, and a bound on their number.

use crate::bearer::Bearer;
use crate::record::Desk;
use bytes::Bytes;
use certs::{SharedSource, SourceStatus};
use futures_util::future::BoxFuture;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::json;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};

/// Text format of Prometheus.
const METRICS: &str = "text/plain; version=0.0.4; charset=utf-8";
const JSON: &str = "application/json";
const HEAD_BYTES_MAX: usize = 16 * 1024;
const CONNECTIONS_MAX: usize = 16;
/// For a probe and its answer, the check of the system behind included.
const TIMEOUT: Duration = Duration::from_secs(5);
/// For that check.
const CHECK_TIMEOUT: Duration = Duration::from_secs(3);

/// Says whether the system behind a server can be reached; why not is for the log.
pub(crate) type Check = Arc<dyn Fn() -> BoxFuture<'static, Result<(), String>> + Send + Sync>;

/// What the answers are made of.
pub(crate) struct Office {
    pub(crate) desk: Arc<Desk>,
    pub(crate) source: SharedSource,
    pub(crate) bearer: Arc<Bearer>,
    pub(crate) check: Option<Check>,
    pub(crate) stopping: watch::Receiver<bool>,
}

/// Serves until it is dropped.
pub(crate) async fn serve(office: Arc<Office>, tcp: TcpListener) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    while let Ok(place) = Arc::clone(&places).acquire_owned().await {
        match tcp.accept().await {
            Ok((stream, _)) => {
                let office = Arc::clone(&office);
                tokio::spawn(async move {
                    connection(office, stream).await;
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "the admin listener could not accept a connection");
                tokio::time::sleep(Duration::from_millis(100)).await; // Out of descriptors, most likely: let some be freed.
            }
        }
    }
}

async fn connection(office: Arc<Office>, stream: TcpStream) {
    let answer = service_fn(|request| {
        let office = Arc::clone(&office);
        async move { Ok::<_, Infallible>(office.answer(&request).await) }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(TIMEOUT)
        .keep_alive(false)
        .max_buf_size(HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), answer);
    if let Ok(Err(error)) = tokio::time::timeout(TIMEOUT, served).await {
        tracing::debug!(%error, "an admin connection ended with an error");
    }
}

impl Office {
    async fn answer(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            let mut response = response(StatusCode::METHOD_NOT_ALLOWED, JSON, "{}".into());
            response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            return response;
        }
        match request.uri().path() {
            "/healthz" => response(StatusCode::OK, JSON, json!({"status": "ok"}).to_string()),
            "/readyz" => {
                let missing = self.missing().await;
                let status =
                    if missing.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
                let body = json!({"ready": missing.is_empty(), "not_ready": missing});
                response(status, JSON, body.to_string())
            }
            "/metrics" => match self.desk.metrics.text(self.source.current().svid.peer().not_after) {
                Ok(text) => response(StatusCode::OK, METRICS, text),
                Err(error) => {
                    tracing::error!(%error, "the metrics could not be written");
                    response(StatusCode::INTERNAL_SERVER_ERROR, JSON, json!({"error": "metrics"}).to_string())
                }
            },
            _ => response(StatusCode::NOT_FOUND, JSON, json!({"error": "not_found"}).to_string()),
        }
    }

    /// What keeps the server from serving, by name.
    async fn missing(&self) -> Vec<&'static str> {
        let (identity, now) = (self.source.current(), self.desk.clock.now());
        let svid = identity.svid.peer();
        let away = self.source.status() != SourceStatus::Connected;
        let mut missing = Vec::new();
        // Behind the last quarter it should have been renewed, and nobody is there to do it.
        if now >= svid.not_after || (away && now >= svid.last_quarter()) {
            missing.push("identity");
        }
        if !self.bearer.has_keys() {
            missing.push("keys");
        }
        if !self.desk.audit.is_whole() {
            missing.push("audit");
        }
        if *self.stopping.borrow() {
            missing.push("draining");
        }
        if let Some(check) = &self.check {
            match tokio::time::timeout(CHECK_TIMEOUT, check()).await {
                Ok(Ok(())) => {}
                Ok(Err(why)) => {
                    tracing::warn!(why, "the system behind can't be reached");
                    missing.push("backend");
                }
                Err(_) => {
                    tracing::warn!("the system behind takes too long to answer");
                    missing.push("backend");
                }
            }
        }
        missing
    }
}

fn response(status: StatusCode, kind: &'static str, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
