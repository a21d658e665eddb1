//! HTTP around the embedded token service: mutual TLS on a loopback address. Keys and metadata are for every workload of
//! the trust domain, and tokens for itself where the configuration says so; exchanges are for the gateway, and for servers that are written
//! down for their own system.

use super::TokenService;
use super::grant::{Form, GrantError};
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
/// Path of the revocation endpoint.
pub const REVOKE: &str = "/oauth/revoke";
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
    /// Nobody is there to sign in.
    #[error("the token service knows of no people")]
    NoPeople,
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

async fn answer(
    service: &Arc<TokenService>,
    peer: &Peer,
    request: Request<Incoming>,
) -> Response<Full<Bytes>> {
    let path = request.uri().path().to_owned();
    match (request.method(), path.as_str()) {
        (&Method::GET, JWKS) => json_response(StatusCode::OK, &service.credential_jwks()),
        (&Method::GET, USERS_JWKS) => json_response(StatusCode::OK, &service.user_jwks()),
        (&Method::GET, "/.well-known/oauth-authorization-server/oauth") => {
            json_response(StatusCode::OK, &service.metadata())
        }
        (&Method::GET, "/.well-known/oauth-authorization-server/oauth/users") => {
            json_response(StatusCode::OK, &service.users_metadata())
        }
        (&Method::POST, TOKEN | REVOKE) => {
            let body = Limited::new(request.into_body(), FORM_BYTES_MAX).collect();
            let Ok(Ok(form)) = tokio::time::timeout(TIMEOUT, body).await else {
                return json_response(StatusCode::BAD_REQUEST, &json!({"error": "invalid_request"}));
            };
            let (service, peer, form) = (Arc::clone(service), peer.clone(), form.to_bytes());
            // On a thread of its own: keys and lists are files, or farther away.
            let asked = tokio::task::spawn_blocking(move || {
                if path == TOKEN { service.token(&peer, &form) } else { service.revocation(&peer, &form) }
            });
            asked.await.unwrap_or_else(|_| {
                json_response(StatusCode::INTERNAL_SERVER_ERROR, &json!({"error": "server_error"}))
            })
        }
        _ => json_response(StatusCode::NOT_FOUND, &json!({"error": "not_found"})),
    }
}

impl TokenService {
    /// What a workload gets: the gateway a credential for somebody else, any other one a token for itself.
    fn token(&self, peer: &Peer, form: &[u8]) -> Response<Full<Bytes>> {
        let now = self.clock.now();
        let itself =
            Form::read(form).is_ok_and(|form| form.get("grant_type").ok() == Some("client_credentials"));
        let issued =
            if itself { self.for_a_workload(peer, form, now) } else { self.exchange(peer, form, now) };
        match issued {
            Ok(issued) => json_response(StatusCode::OK, &issued),
            Err(error) => refused(&peer.id.to_string(), &error),
        }
    }

    fn revocation(&self, peer: &Peer, form: &[u8]) -> Response<Full<Bytes>> {
        let id = peer.id.to_string();
        let Some(people) = &self.people else {
            return json_response(StatusCode::NOT_FOUND, &json!({"error": "not_found"}));
        };
        let ended =
            Form::read(form).and_then(|form| self.revoke(people, &id, form.get("token")?, self.clock.now()));
        match ended {
            Ok(()) => json_response(StatusCode::OK, &json!({})),
            Err(error) => refused(&id, &error),
        }
    }
}

/// The answer of RFC 6749 §5.2.
pub(super) fn refused(client: &str, error: &GrantError) -> Response<Full<Bytes>> {
    tracing::info!(client, cause = %crate::config::problems::chain(error), "the token service refused");
    json_response(error.status(), &json!({"error": error.code(), "error_description": error.to_string()}))
}

pub(super) fn json_response(status: StatusCode, document: &Value) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(document.to_string())));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store")); // RFC 6749 §5.1
    response
}
