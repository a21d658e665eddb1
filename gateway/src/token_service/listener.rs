//! HTTP around the embedded token service: mutual TLS on a loopback address. Keys and metadata are for every workload of
//! the trust domain, exchanges for the gateway alone.

use super::TokenService;
use bytes::Bytes;
use certs::peer::{Peer, peer};
use certs::tls::{Accept, server_config};
use certs::{Clock, SharedSource};
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use std::convert::Infallible;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

/// Path of the token endpoint.
pub const TOKEN: &str = "/oauth/token";
/// Path of the keys that verify credentials.
pub const JWKS: &str = "/oauth/jwks";
/// Path of the keys that verify subject tokens.
pub const USERS_JWKS: &str = "/oauth/users/jwks";

const FORM_BYTES_MAX: usize = 64 * 1024;
const TIMEOUT: Duration = Duration::from_secs(10);

/// Why the service can't listen.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// Not a loopback address.
    #[error("{0} is not a loopback address, and the embedded token service listens on nothing else")]
    NotLoopback(SocketAddr),
    /// The socket can't be used.
    #[error("the token service's socket can't be used")]
    Socket(#[from] std::io::Error),
    /// TLS could not be configured.
    #[error("TLS could not be configured")]
    Tls(#[from] rustls::Error),
}

/// Serves until the returned task is aborted.
///
/// # Errors
/// [`ServiceError`] before anything is accepted.
pub fn serve(
    service: Arc<TokenService>,
    tcp: TcpListener,
    source: SharedSource,
    clock: Clock,
) -> Result<tokio::task::JoinHandle<()>, ServiceError> {
    let address = tcp.local_addr()?;
    if !address.ip().is_loopback() {
        return Err(ServiceError::NotLoopback(address));
    }
    tcp.set_nonblocking(true)?;
    let tcp = tokio::net::TcpListener::from_std(tcp)?;
    let tls = TlsAcceptor::from(Arc::new(server_config(source, Accept::AnyWorkload, &["http/1.1"], clock)?));
    Ok(tokio::spawn(async move {
        loop {
            match tcp.accept().await {
                Ok((stream, _)) => {
                    tokio::spawn(connection(Arc::clone(&service), tls.clone(), stream));
                }
                Err(error) => {
                    tracing::warn!(%error, "the token service could not accept a connection");
                    tokio::time::sleep(Duration::from_millis(100)).await; // Out of descriptors, most likely: let some be freed.
                }
            }
        }
    }))
}

async fn connection(service: Arc<TokenService>, tls: TlsAcceptor, stream: TcpStream) {
    let Ok(Ok(stream)) = tokio::time::timeout(TIMEOUT, tls.accept(stream)).await else { return };
    let leaf = stream.get_ref().1.peer_certificates().and_then(<[_]>::first).map(|leaf| peer(leaf));
    let Some(Ok(peer)) = leaf else { return };
    let answer = service_fn(|request| {
        let (service, peer) = (Arc::clone(&service), peer.clone());
        async move { Ok::<_, Infallible>(answer(&service, &peer, request).await) }
    });
    let served = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), answer);
    if let Ok(Err(error)) = tokio::time::timeout(TIMEOUT * 6, served).await {
        tracing::debug!(%error, "a connection to the token service ended with an error");
    }
}

async fn answer(service: &TokenService, peer: &Peer, request: Request<Incoming>) -> Response<Full<Bytes>> {
    let path = request.uri().path().to_owned();
    match (request.method(), path.as_str()) {
        (&Method::GET, JWKS) => json_response(StatusCode::OK, &service.credential_jwks()),
        (&Method::GET, USERS_JWKS) => json_response(StatusCode::OK, &service.user_jwks()),
        (&Method::GET, "/.well-known/oauth-authorization-server/oauth") => {
            json_response(StatusCode::OK, &service.metadata(&service.issuer, JWKS))
        }
        (&Method::GET, "/.well-known/oauth-authorization-server/oauth/users") => {
            json_response(StatusCode::OK, &service.metadata(&service.users_issuer, USERS_JWKS))
        }
        (&Method::POST, TOKEN) => exchange(service, peer, request).await,
        _ => json_response(StatusCode::NOT_FOUND, &json!({"error": "not_found"})),
    }
}

async fn exchange(service: &TokenService, peer: &Peer, request: Request<Incoming>) -> Response<Full<Bytes>> {
    let body = Limited::new(request.into_body(), FORM_BYTES_MAX).collect();
    let Ok(Ok(form)) = tokio::time::timeout(TIMEOUT, body).await else {
        return json_response(StatusCode::BAD_REQUEST, &json!({"error": "invalid_request"}));
    };
    match service.exchange(peer, &form.to_bytes(), service.clock.now()) {
        Ok(issued) => json_response(StatusCode::OK, &issued),
        Err(error) => {
            tracing::info!(client = %peer.id, cause = %crate::config::problems::chain(&error), "exchange refused");
            let status = if error.code() == "invalid_client" {
                StatusCode::UNAUTHORIZED
            } else {
                StatusCode::BAD_REQUEST
            };
            json_response(status, &json!({"error": error.code(), "error_description": error.to_string()}))
        }
    }
}

fn json_response(status: StatusCode, document: &Value) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(document.to_string())));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store")); // RFC 6749 §5.1
    response
}
