//! The admin listener: plain HTTP for probes and for Prometheus, on an address of its own. It says how the gateway is and
//! nothing of what passes through it; there is no authentication, so it listens on loopback unless told otherwise.
//!
//! One request a connection, a deadline for all of it, and a bound on their number.

use crate::config::Admin;
use crate::metrics::Sampled;
use crate::state::Gateway;
use bytes::Bytes;
use certs::SourceStatus;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::json;
use std::convert::Infallible;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;

/// Text format of Prometheus.
const METRICS: &str = "text/plain; version=0.0.4; charset=utf-8";
const JSON: &str = "application/json";
/// The longest head of a request.
const HEAD_BYTES_MAX: usize = 16 * 1024;

/// A running admin listener; aborting the task ends it.
#[derive(Debug)]
pub struct Serving {
    /// Where.
    pub address: SocketAddr,
    /// The accept loop.
    pub task: JoinHandle<()>,
}

/// What the answers are made of.
#[derive(Debug)]
struct Desk {
    gateway: Arc<Gateway>,
    draining: watch::Receiver<bool>,
}

/// Serves. `draining` is true from the moment at which the gateway stops.
///
/// # Errors
/// [`std::io::Error`] if the address can't be listened on.
pub fn serve(
    config: &Admin,
    gateway: Arc<Gateway>,
    draining: watch::Receiver<bool>,
) -> std::io::Result<Serving> {
    let tcp = TcpListener::bind(config.listen)?;
    tcp.set_nonblocking(true)?;
    let address = tcp.local_addr()?;
    tracing::info!(%address, "health and metrics are here");
    if !address.ip().is_loopback() {
        tracing::warn!(%address, "the admin listener can be reached from elsewhere, and asks nobody who they are");
    }
    let tcp = tokio::net::TcpListener::from_std(tcp)?;
    let (desk, timeout) = (Arc::new(Desk { gateway, draining }), config.timeout);
    let places = Arc::new(Semaphore::new(config.connections_max));
    let task = tokio::spawn(async move {
        while let Ok(place) = Arc::clone(&places).acquire_owned().await {
            match tcp.accept().await {
                Ok((stream, _)) => {
                    let desk = Arc::clone(&desk);
                    tokio::spawn(async move {
                        connection(desk, stream, timeout).await;
                        drop(place);
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "the admin listener could not accept a connection");
                    tokio::time::sleep(Duration::from_millis(100)).await; // Out of descriptors, most likely: let some be freed.
                }
            }
        }
    });
    Ok(Serving { address, task })
}

async fn connection(desk: Arc<Desk>, stream: TcpStream, timeout: Duration) {
    let answer = service_fn(|request| {
        let desk = Arc::clone(&desk);
        async move { Ok::<_, Infallible>(desk.answer(&request)) }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(timeout)
        .keep_alive(false)
        .max_buf_size(HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), answer);
    if let Ok(Err(error)) = tokio::time::timeout(timeout, served).await {
        tracing::debug!(%error, "an admin connection ended with an error");
    }
}

impl Desk {
    fn answer(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            let mut response = response(StatusCode::METHOD_NOT_ALLOWED, JSON, "{}".into());
            response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            return response;
        }
        match request.uri().path() {
            "/healthz" => response(StatusCode::OK, JSON, json!({"status": "ok"}).to_string()),
            "/readyz" => self.readiness(),
            "/metrics" => self.metrics(),
            _ => response(StatusCode::NOT_FOUND, JSON, json!({"error": "not_found"}).to_string()),
        }
    }

    fn readiness(&self) -> Response<Full<Bytes>> {
        let mut missing = self.gateway.not_ready();
        if *self.draining.borrow() {
            missing.push("draining".to_owned());
        }
        let status = if missing.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
        response(status, JSON, json!({"ready": missing.is_empty(), "not_ready": missing}).to_string())
    }

    fn metrics(&self) -> Response<Full<Bytes>> {
        let sampled = Sampled {
            upstream_idle: self.gateway.pool.idle_count(),
            audit_waiting: self.gateway.audit.waiting(),
            audit_lost: self.gateway.audit.lost(),
            svid_expiry: self.gateway.state().identity.svid.peer().not_after,
            identity_source_up: self.gateway.source.status() == SourceStatus::Connected,
        };
        match self.gateway.metrics.text(&sampled) {
            Ok(text) => response(StatusCode::OK, METRICS, text),
            Err(error) => {
                tracing::error!(%error, "the metrics could not be written");
                response(StatusCode::INTERNAL_SERVER_ERROR, JSON, json!({"error": "metrics"}).to_string())
            }
        }
    }
}

impl Gateway {
    /// What keeps it from serving, by name. A policy set is not among it: without one no gateway starts.
    fn not_ready(&self) -> Vec<String> {
        let (state, now) = (self.state(), self.clock.now());
        let mut missing = Vec::new();
        let (svid, away) = (state.identity.svid.peer(), self.source.status() != SourceStatus::Connected);
        let unsure = away && now >= svid.last_quarter(); // By now it should have been renewed, and nobody is there to do it.
        if now >= svid.not_after || state.identity.is_withdrawn() || unsure {
            missing.push("identity".to_owned());
        }
        missing.extend(state.issuers.without_keys().map(|issuer| format!("issuer {issuer}")));
        if !self.revocations.is_ready() {
            missing.push("revocations".to_owned());
        }
        if !self.audit.healthy() {
            missing.push("audit".to_owned());
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
