//! The adapter to Pingora: the only file that names its types.
//!
//! Pingora accepts connections and speaks HTTP/1.1 and HTTP/2. TLS is terminated here with our own rustls configuration
//! (its stock settings allow resumption, which skips the client verifier), requests become [`Arrival`]s, and responses are
//! written as they come, while a second eye watches whether the caller is still there.

use crate::audit::Audit;
use crate::config::Limits;
use crate::decode::{Body, BodyError};
use crate::listener::{Connections, Handshake};
use crate::metrics::{self, Metrics};
use crate::observed::Stage;
use crate::reply::Response;
use crate::request::{self, Arrival};
use crate::state::Gateway;
use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_LENGTH, EXPECT, TRANSFER_ENCODING};
use http::{HeaderMap, Method, StatusCode};
use pingora::ErrorType;
use pingora::apps::{HttpPersistentSettings, HttpServerApp, HttpServerOptions, ReusedHttpStream, ServerApp};
use pingora::http::ResponseHeader;
use pingora::listeners::tls::{Acceptor, TlsSettings};
use pingora::listeners::{L4BufferSettings, ListenerConfig, TlsAccept};
use pingora::protocols::Stream;
use pingora::protocols::http::ServerSession;
use pingora::protocols::http::v2::server::H2Options;
use pingora::protocols::l4::stream::Stream as L4;
use pingora::protocols::tls::{SslDigest, TlsRef};
use pingora::server::{Fds, ShutdownWatch};
use pingora::services::Service as _;
use pingora::services::listening::Service;
use std::any::Any;
use std::net::{IpAddr, TcpListener};
use std::os::fd::IntoRawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::{Notify, watch};

/// Bytes that Pingora buffers below TLS on each connection, by default 64 KiB. TLS reads and writes larger pieces than
/// these, which go past the buffers, so they would be kept for nothing.
const L4_READ_BUFFER: usize = 512;
const L4_WRITE_BUFFER: usize = 2 * 1024;
/// How long the rest of a refused body is read, so that the refusal reaches its caller.
const DRAIN_BODY: Duration = Duration::from_secs(2);

/// What a listener needs to be served.
pub struct Listener {
    /// Bound, and not yet accepting.
    pub tcp: TcpListener,
    /// TLS toward callers; see [`crate::listener::tls`].
    pub tls: rustls::ServerConfig,
    /// The gateway behind it.
    pub gateway: Arc<Gateway>,
    /// Counts the requests that are under way.
    pub in_flight: Arc<InFlight>,
    /// Told when connections are to be cut, whatever is under way on them.
    pub cut: watch::Receiver<bool>,
}

/// Why a listener can't be served.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The socket has no address any more.
    #[error("the listening socket can't be used")]
    Socket(#[from] std::io::Error),
    /// Pingora refused the settings.
    #[error("the engine refused its settings: {0}")]
    Settings(String),
}

/// Serves a listener until `stop` says so; connections that are open then go on. Returns when it no longer accepts.
///
/// # Errors
/// [`EngineError`] before anything is accepted.
pub async fn serve(listener: Listener, stop: watch::Receiver<bool>) -> Result<(), EngineError> {
    let Listener { tcp, tls, gateway, in_flight, cut } = listener;
    let address = tcp.local_addr()?.to_string();
    tcp.set_nonblocking(true)?;
    let mut fds = Fds::new();
    fds.add(address.clone(), tcp.into_raw_fd()); // Pingora takes over a socket that is bound already.
    let door = Door {
        acceptor: acceptor(tls)?,
        connections: Connections::new(gateway.limits.handshakes_max, gateway.limits.connections_max),
        handshake_timeout: gateway.limits.handshake_timeout,
        audit: gateway.audit.clone(),
        cut,
        app: Arc::new(App { options: options(&gateway.limits), gateway, in_flight, stopping: stop.clone() }),
    };
    let mut service = Service::new("sallyport".into(), door);
    let buffers = L4BufferSettings::new(L4_READ_BUFFER, L4_WRITE_BUFFER);
    service.add_listener(ListenerConfig::tcp(address).l4_buffer(buffers));
    service.start_service(Some(Arc::new(parking_lot::Mutex::new(fds))), stop, 1).await;
    Ok(())
}

/// Pingora's acceptor around our own configuration: its callback is what brings the peer's chain to the requests.
fn acceptor(tls: rustls::ServerConfig) -> Result<Acceptor, EngineError> {
    let mut settings = TlsSettings::with_callbacks(Box::new(OnHandshake))
        .map_err(|e| EngineError::Settings(e.to_string()))?;
    settings.set_cert_resolver(Arc::clone(&tls.cert_resolver));
    let mut acceptor = settings.build();
    acceptor.acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(tls));
    Ok(acceptor)
}

fn options(limits: &Limits) -> HttpServerOptions {
    let mut options = HttpServerOptions::default();
    options.h2_idle_timeout = Some(limits.idle_timeout);
    options
}

struct OnHandshake;

#[async_trait]
impl TlsAccept for OnHandshake {
    async fn handshake_complete_callback(&self, tls: &TlsRef) -> Option<Arc<dyn Any + Send + Sync>> {
        let chain = tls.peer_cert_chain_der()?.to_vec();
        Some(Arc::new(Arc::new(Handshake::new(chain).ok()?)))
    }
}

/// Accepts connections: limits, handshake, connection records.
struct Door {
    acceptor: Acceptor,
    connections: Connections,
    handshake_timeout: Duration,
    audit: Audit,
    cut: watch::Receiver<bool>,
    app: Arc<App>,
}

#[async_trait]
impl ServerApp for Door {
    async fn process_new(self: &Arc<Self>, stream: Stream, shutdown: &ShutdownWatch) -> Option<Stream> {
        let ip = stream.get_socket_digest().and_then(|d| Some(d.peer_addr()?.as_inet()?.ip()));
        let (place, tcp) = (self.connections.handshaking(), stream.into_any().downcast::<L4>());
        let (Some(handshaking), Ok(mut tcp)) = (place, tcp) else { return self.turn_away(ip) };
        let _ = tcp.set_nodelay(); // Head and body of a small answer are two writes; without it the second one waits.
        let began = Instant::now();
        let shaking = Box::pin(self.acceptor.tls_handshake(*tcp)); // Boxed: what it needs, the connection doesn't keep.
        match tokio::time::timeout(self.handshake_timeout, shaking).await {
            Ok(Ok(tls)) => {
                let Some(_open) = self.connections.open(handshaking) else { return self.turn_away(ip) };
                self.metrics().stage(Stage::Listener, began.elapsed());
                let _counted = metrics::Counted::new(&self.metrics().connections);
                self.serve(Box::new(tls), shutdown.clone()).await
            }
            Ok(Err(error)) => {
                self.metrics().handshake_refused("tls");
                self.audit.refused_connection(ip, error.to_string().trim().to_owned());
                None
            }
            Err(_) => {
                self.metrics().handshake_refused("timeout");
                self.audit.refused_connection(ip, "the handshake did not end in time".into());
                None
            }
        }
    }
}

impl Door {
    fn metrics(&self) -> &Metrics {
        &self.app.gateway.metrics
    }

    /// Closes a connection that there is no place for. A flood of them makes a record a second, not one each.
    fn turn_away(&self, ip: Option<IpAddr>) -> Option<Stream> {
        self.metrics().handshake_refused("limit");
        if let Some(count) = self.connections.turned_away() {
            self.audit.refused_connection(
                ip,
                format!("too many connections: {count} turned away since the last record"),
            );
        }
        None
    }

    /// Serves a connection until it ends, and lets it end in good order when the gateway stops, when it has lived as long
    /// as connections may, and when its SVID expires.
    async fn serve(&self, tls: Stream, mut stop: ShutdownWatch) -> Option<Stream> {
        let handshake = handshake(tls.get_ssl_digest().as_deref()?)?;
        let gateway = &self.app.gateway;
        let lasts = handshake.lasts(gateway.limits.connection_age_max, gateway.clock.now());
        let ending = handshake.ending.subscribe();
        let mut cut = self.cut.clone();
        let ends = async {
            tokio::select! {
                () = tokio::time::sleep(lasts) => {}
                _ = stop.wait_for(|stopping| *stopping) => {}
            }
            handshake.ending.send_replace(true);
            std::future::pending().await
        };
        tokio::select! {
            served = self.app.process_new(tls, &ending) => served,
            never = ends => never,
            _ = cut.wait_for(|cut| *cut) => None, // What is under way is dropped with it, and leaves its record.
        }
    }
}

fn handshake(digest: &SslDigest) -> Option<Arc<Handshake>> {
    digest.extension.get::<Arc<Handshake>>().cloned()
}

/// Serves the requests of finished handshakes.
struct App {
    gateway: Arc<Gateway>,
    options: HttpServerOptions,
    in_flight: Arc<InFlight>,
    stopping: ShutdownWatch,
}

#[async_trait]
impl HttpServerApp for App {
    fn server_options(&self) -> Option<&HttpServerOptions> {
        Some(&self.options)
    }

    fn h2_options(&self) -> Option<H2Options> {
        let limits = &self.gateway.limits;
        let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let mut options = H2Options::new();
        options
            .max_concurrent_streams(number(limits.streams_max))
            .max_header_list_size(number(limits.header_bytes_max));
        Some(options)
    }

    async fn process_new_http(
        self: &Arc<Self>,
        mut session: ServerSession,
        stop: &ShutdownWatch,
    ) -> Option<ReusedHttpStream> {
        let limits = &self.gateway.limits;
        session.set_read_timeout(Some(limits.body_timeout));
        session.set_write_timeout(Some(limits.write_timeout));
        let ip = ip(&session);
        let idle = limits.idle_timeout + limits.body_timeout;
        match tokio::time::timeout(idle, session.read_request()).await {
            Ok(Ok(true)) => {}
            Ok(Ok(false)) => return None, // The caller closed an idle connection.
            Err(_) => {
                self.gateway.audit.refused_connection(ip, "no request came in time".into());
                return None;
            }
            Ok(Err(error)) if *error.etype() == ErrorType::InvalidHTTPHeader => {
                self.gateway.audit.refused_connection(ip, "what came is not HTTP".into());
                return None;
            }
            Ok(Err(_)) => return None, // The caller broke off without a request.
        }
        Box::pin(self.answer(session, ip, stop)).await // Boxed: a connection that waits for a request is without it.
    }
}

impl App {
    /// Answers the request whose head has come. What it gives is the connection, if that can be used again.
    async fn answer(
        &self,
        mut session: ServerSession,
        ip: Option<IpAddr>,
        stop: &ShutdownWatch,
    ) -> Option<ReusedHttpStream> {
        let limits = &self.gateway.limits;
        let _counted = Counted::new(&self.in_flight);
        let arrival = self.arrival(&mut session, ip, limits).await?;
        let (whole, connection) = (arrival.body.is_ok(), Arc::clone(&arrival.handshake));
        let handled = request::handle(&self.gateway, arrival);
        let response = if whole {
            tokio::select! {
                response = handled => response,
                () = gone(&mut session) => return None, // Dropping what was under way closes the upstream and writes the record.
            }
        } else {
            handled.await
        };
        if response.close {
            connection.ending.send_replace(true);
        }
        session.set_keepalive(if *stop.borrow() || *connection.ending.borrow() {
            None
        } else {
            Some(limits.idle_timeout.as_secs().max(1))
        });
        write(&mut session, response, whole, self.stopping.clone()).await?;
        if !whole {
            session.set_total_drain_timeout(Some(DRAIN_BODY));
            let _ = session.drain_request_body().await; // The answer is out; this only lets it arrive.
            return None;
        }
        let settings = HttpPersistentSettings::for_session(&session);
        let reusable = session.finish().await.ok()??;
        Some(ReusedHttpStream::from_reusable_stream(reusable, settings))
    }

    async fn arrival(
        &self,
        session: &mut ServerSession,
        ip: Option<IpAddr>,
        limits: &Limits,
    ) -> Option<Arrival> {
        let (at, began) = (self.gateway.clock.now(), Instant::now());
        let handshake = handshake(session.digest()?.ssl_digest.as_deref()?)?;
        let body = body(session, limits).await;
        let head = session.req_header();
        Some(Arrival {
            handshake,
            ip,
            at,
            began,
            method: head.method.clone(),
            uri: head.uri.clone(),
            headers: head.headers.clone(),
            body,
        })
    }
}

fn ip(session: &ServerSession) -> Option<IpAddr> {
    Some(session.client_addr()?.as_inet()?.ip())
}

/// Reads a body within its limits. A length that is announced and too long is refused before a byte of it is read.
async fn body(session: &mut ServerSession, limits: &Limits) -> Body {
    let headers = &session.req_header().headers;
    let target = session.req_header().uri.path_and_query().map_or(0, |target| target.as_str().len());
    if target + head_bytes(headers) > limits.header_bytes_max {
        return Err(BodyError::HeadTooLong { max: limits.header_bytes_max });
    }
    let too_long = || BodyError::TooLong { max: limits.body_bytes_max };
    let announced = headers.get(CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|length| length > limits.body_bytes_max) {
        return Err(too_long());
    }
    if headers.contains_key(EXPECT) {
        session.write_continue_response().await.map_err(|e| broken(&e))?;
    }
    let whole = async {
        let mut first = Bytes::new();
        let mut more = BytesMut::new();
        while let Some(chunk) = session.read_request_body().await.map_err(|e| broken(&e))? {
            if first.len() + more.len() + chunk.len() > limits.body_bytes_max {
                return Err(too_long());
            }
            if first.is_empty() && more.is_empty() {
                first = chunk; // Most bodies come in one piece, which is then never copied.
                continue;
            }
            if more.is_empty() {
                more.extend_from_slice(&std::mem::take(&mut first));
            }
            more.extend_from_slice(&chunk);
        }
        Ok(if more.is_empty() { first } else { more.freeze() })
    };
    tokio::time::timeout(limits.body_timeout, whole).await.map_err(|_| BodyError::Timeout)?
}

/// What the engine says besides may quote the caller's bytes, a token among them.
fn broken(error: &pingora::Error) -> BodyError {
    BodyError::Broken(error.etype().as_str().to_owned())
}

fn head_bytes(headers: &HeaderMap) -> usize {
    headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum()
}

/// Returns when the caller has gone.
async fn gone(session: &mut ServerSession) {
    let _ = session.read_body_or_idle(true).await; // Either it errs because the caller is gone, or it never returns.
}

/// Writes a response as it comes. `None`: the connection can't be used again. `whole`: all of the request was read, so that
/// what comes now can only be a hang-up; the rest of a refused body would be taken for one.
async fn write(
    session: &mut ServerSession,
    response: Response,
    whole: bool,
    mut stopping: ShutdownWatch,
) -> Option<()> {
    let Response { status, headers, mut body, .. } = response;
    let head = response_head(status, &headers, session.is_http2()).ok()?;
    session.write_response_header(Box::new(head)).await.ok()?;
    let mut left = headers.get(CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse::<usize>().ok());
    while session.req_header().method != Method::HEAD {
        let chunk = if left == Some(0) {
            body.next().await // The caller has all of it: what it sends now is its next request, and no hang-up.
        } else {
            tokio::select! {
                chunk = body.next() => chunk,
                () = gone(session), if whole => return None,
                _ = stopping.wait_for(|stops| *stops), if body.is_endless() => {
                    body.stopped();
                    None // Between two events: the caller gets a whole stream, and opens the next one elsewhere.
                }
            }
        };
        match chunk {
            Some(Ok(chunk)) => {
                let length = chunk.len();
                session.write_response_body(chunk, false).await.ok()?;
                left = left.map(|left| left.saturating_sub(length));
                body.sent(length);
            }
            Some(Err(_)) => {
                session.shutdown().await; // The caller must not take half an answer for a whole one.
                return None;
            }
            None => break,
        }
    }
    session.write_response_body(Bytes::new(), true).await.ok()?;
    body.complete();
    Some(())
}

fn response_head(status: StatusCode, headers: &HeaderMap, http2: bool) -> pingora::Result<ResponseHeader> {
    let mut head = ResponseHeader::build(status, Some(headers.len() + 1))?;
    for (name, value) in headers {
        head.append_header(name.clone(), value.clone())?;
    }
    let bodiless = status == StatusCode::NO_CONTENT || status.is_informational();
    if !http2 && !bodiless && !headers.contains_key(CONTENT_LENGTH) {
        head.insert_header(TRANSFER_ENCODING, "chunked")?;
    }
    Ok(head)
}

/// Counts the requests under way, each from its head to its last byte.
#[derive(Debug, Default)]
pub struct InFlight {
    count: AtomicUsize,
    none: Notify,
}

impl InFlight {
    /// Waits until there are none.
    pub async fn drained(&self) {
        loop {
            let none = self.none.notified(); // Before the look: what ends in between is heard of.
            if self.count.load(Ordering::SeqCst) == 0 {
                return;
            }
            none.await;
        }
    }
}

struct Counted(Arc<InFlight>);

impl Counted {
    fn new(in_flight: &Arc<InFlight>) -> Self {
        in_flight.count.fetch_add(1, Ordering::SeqCst);
        Self(Arc::clone(in_flight))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        if self.0.count.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.0.none.notify_waiters();
        }
    }
}
