//! The demo agent of `sallyport up`: it says again what it hears, word by word, over A2A 1.0.
//! It stands behind the gateway like any other agent. Mutual TLS lets in the gateway's SPIFFE ID alone, and a call needs a
//! credential that was made for this agent's own SPIFFE ID, with the scope of the operation.

mod bearer;
mod speech;

use super::embedded::Embedded;
use super::state::{Dir, Workload};
use super::{UpError, address, bind, loopback, watched};
use crate::token_service;
use bearer::Bearer;
use bytes::Bytes;
use certs::Clock;
use certs::development::Domain;
use certs::peer::{Peer, peer};
use certs::tls::{Accept, server_config};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use speech::{Asked, Body, Fault, Speech};
use std::convert::Infallible;
use std::fs::File;
use std::io::Write;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

/// Its name behind the gateway.
pub const NAME: &str = "echo";
/// What it has heard, in the state folder: a line a call.
pub const LOG: &str = "agent-echo.log";

const BODY_BYTES_MAX: usize = 256 * 1024;
const TIMEOUT: Duration = Duration::from_secs(10);

struct Echo {
    bearer: Bearer,
    speech: Speech,
    clock: Clock,
    log: Mutex<File>,
}

/// Starts it on a free port, and says which that is.
///
/// # Errors
/// [`UpError`] before anything is accepted.
pub(super) fn start(
    dir: &Dir,
    domain: &Domain,
    tokens: &Embedded,
    clock: &Clock,
) -> Result<(SocketAddr, JoinHandle<()>), UpError> {
    let socket = bind(loopback())?;
    let at = address(&socket, loopback())?;
    let unusable = |source| UpError::Listen { address: at, source };
    socket.set_nonblocking(true).map_err(unusable)?;
    let tcp = TcpListener::from_std(socket).map_err(unusable)?;
    let path = dir.path(LOG);
    let log = File::options().create(true).append(true).open(&path);
    let id = domain.id(&Workload::Echo.path())?.to_string();
    let echo = Arc::new(Echo {
        bearer: Bearer::new(Arc::clone(&tokens.service), token_service::issuer(&tokens.origin), id),
        speech: Speech::new(format!("https://{at}")),
        clock: clock.clone(),
        log: Mutex::new(log.map_err(|source| UpError::File { path, source })?),
    });
    let source = watched(dir, Workload::Echo)?;
    let gateway = Accept::Ids(vec![domain.id(&Workload::Gateway.path())?]);
    let tls = server_config(source, gateway, &["http/1.1"], clock.clone()).map_err(UpError::EchoTls)?;
    Ok((at, tokio::spawn(accept(echo, tcp, TlsAcceptor::from(Arc::new(tls))))))
}

async fn accept(echo: Arc<Echo>, tcp: TcpListener, tls: TlsAcceptor) {
    loop {
        match tcp.accept().await {
            Ok((stream, _)) => drop(tokio::spawn(connection(Arc::clone(&echo), tls.clone(), stream))),
            Err(error) => {
                tracing::warn!(%error, "the demo agent could not accept a connection");
                tokio::time::sleep(Duration::from_millis(100)).await; // Out of descriptors, most likely: let some be freed.
            }
        }
    }
}

async fn connection(echo: Arc<Echo>, tls: TlsAcceptor, stream: TcpStream) {
    let Ok(Ok(stream)) = tokio::time::timeout(TIMEOUT, tls.accept(stream)).await else { return };
    let leaf = stream.get_ref().1.peer_certificates().and_then(<[_]>::first).map(|leaf| peer(leaf));
    let Some(Ok(peer)) = leaf else { return };
    let answer = service_fn(|request| {
        let (echo, peer) = (Arc::clone(&echo), peer.clone());
        async move { Ok::<_, Infallible>(echo.answer(&peer, request).await) }
    });
    let served = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), answer);
    if let Err(error) = served.await {
        tracing::debug!(%error, "a connection to the demo agent ended with an error");
    }
}

impl Echo {
    async fn answer(&self, peer: &Peer, request: Request<Incoming>) -> Response<Body> {
        if peer.not_after <= self.clock.now() {
            return speech::plain(StatusCode::FORBIDDEN);
        }
        let (head, body) = request.into_parts();
        if head.method == Method::GET && head.uri.path() == speech::CARD {
            return speech::json(StatusCode::OK, &self.speech.card()); // No secret, and the gateway asks without a token.
        }
        let Ok(claims) = self.bearer.claims(&head.headers, peer, self.clock.now()) else {
            return speech::plain(StatusCode::UNAUTHORIZED);
        };
        let body = tokio::time::timeout(TIMEOUT, Limited::new(body, BODY_BYTES_MAX).collect()).await;
        let body: Bytes = match body {
            Ok(Ok(body)) => body.to_bytes(),
            _ => return speech::plain(StatusCode::PAYLOAD_TOO_LARGE),
        };
        let asked = match Asked::read(&head, &body) {
            Ok(asked) => asked,
            Err(refused) => return refused.response(),
        };
        if !claims.scopes.contains(&format!("{NAME}:{}", asked.operation.name())) {
            return asked.refused(Fault::Scope);
        }
        self.note(&format!(
            "{} subject={} actor={}",
            asked.operation.name(),
            claims.sub,
            claims.actors.first().map_or("none", String::as_str)
        ));
        self.speech.answer(&asked)
    }

    /// A line of the log. It tells who called and how, and nothing of what was said.
    fn note(&self, line: &str) {
        let line = line.replace(char::is_control, " ");
        if let Err(error) = writeln!(self.log.lock(), "{line}") {
            tracing::warn!(%error, "the demo agent's log can't be written");
        }
    }
}
