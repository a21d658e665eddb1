//! Connections to upstreams: mutual TLS to one expected SPIFFE ID, HTTP/1.1, kept while idle, and ended before either
//! side's SVID expires. A connection belongs to a server, an expected ID and a generation of our own identity; after a
//! rotation the old ones finish what they carry and are not used again.

use super::{UpstreamError, deadline};
use crate::config::{Limits, Server};
use crate::metrics::{Counted, Metrics};
use bytes::Bytes;
use certs::{Clock, Identity, OneGeneration, SharedSource};
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::{Body, Frame, Incoming};
use hyper::client::conn::TrySendError;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use std::collections::{HashMap, VecDeque};
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Idle connections, by what makes them exchangeable.
#[derive(Debug)]
pub struct Pool {
    shared: Arc<Shared>,
    clock: Clock,
    idle_timeout: Duration,
    connect_timeout: Duration,
    response_timeout: Duration,
    metrics: Arc<Metrics>,
    /// How much of an answer is held to be looked at.
    pub(super) held_bytes_max: usize,
}

#[derive(Debug)]
struct Shared {
    /// The longest idle ones first.
    idle: Mutex<HashMap<Key, VecDeque<Box<Connection>>>>,
    /// How many are kept for one key.
    idle_max: usize,
}

/// What makes two connections exchangeable.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    /// [`Server::peer`].
    peer: Arc<str>,
    generation: u64,
}

/// A connection and what moves its bytes. Nobody moves them but the request that holds it: a task of its own would cost
/// every call two changes of task.
#[derive(Debug)]
pub(super) struct Connection {
    sender: SendRequest<Full<Bytes>>,
    driver: Option<http1::Connection<TokioIo<TlsStream<TcpStream>>, Full<Bytes>>>,
    idle_since: Instant,
    until: SystemTime,
    _counted: Counted,
}

/// A connection in use. Returned to the pool when its answer was read to the end; else it is closed at once, which
/// is how an upstream learns that the caller has gone.
#[derive(Debug)]
pub struct Lease {
    connection: Box<Connection>,
    key: Key,
    shared: Arc<Shared>,
}

/// A connection is not used in the last moments of an SVID.
const BEFORE_EXPIRY: Duration = Duration::from_secs(10);
/// How often idle connections are looked through at the most.
const SWEEP_MIN: Duration = Duration::from_millis(100);

impl Pool {
    /// An empty pool.
    pub fn new(clock: Clock, limits: &Limits, metrics: Arc<Metrics>) -> Self {
        Self {
            shared: Arc::new(Shared { idle: Mutex::default(), idle_max: limits.upstream_idle_max }),
            clock,
            idle_timeout: limits.upstream_idle_timeout,
            connect_timeout: limits.connect_timeout,
            response_timeout: limits.response_timeout,
            metrics,
            held_bytes_max: limits.list_bytes_max,
        }
    }

    /// Sends on an idle connection or a new one, and waits for the head of the answer.
    ///
    /// # Errors
    /// [`UpstreamError`]. A request that hyper hands back unsent goes out on the next connection, nothing else does.
    pub(super) async fn send(
        &self,
        server: &Server,
        identity: &Arc<Identity>,
        mut request: Request<Full<Bytes>>,
    ) -> Result<(Response<Incoming>, Lease), UpstreamError> {
        let key = Key { peer: Arc::clone(&server.peer), generation: identity.generation };
        loop {
            let (mut connection, fresh) = match self.idle(&key) {
                Some(connection) => (connection, false),
                None => (Box::pin(self.connect(server, identity)).await?, true), // Boxed: seldom, and large.
            };
            if !fresh && !connection.is_ready().await {
                continue; // It was closed while idle.
            }
            let answer = tokio::time::timeout(self.response_timeout, connection.send(request)).await;
            match answer.map_err(|_| UpstreamError::Timeout)? {
                Ok(response) => {
                    let lease = Lease { connection, key, shared: Arc::clone(&self.shared) };
                    return Ok((response, lease));
                }
                Err(mut failed) => match failed.take_message() {
                    Some(unsent) if !fresh => request = unsent, // It was closed while idle; nothing has left.
                    _ => return Err(failed.into_error().into()),
                },
            }
        }
    }

    /// The instant on the runtime's clock at which `until` is reached.
    pub(super) fn deadline(&self, until: SystemTime) -> Instant {
        deadline(until, self.clock.now())
    }

    /// How many connections wait for a request.
    pub(crate) fn idle_count(&self) -> usize {
        let all = self.shared.idle.lock().unwrap_or_else(PoisonError::into_inner);
        all.values().map(VecDeque::len).sum()
    }

    /// Closes, again and again, what nobody has used for too long: connections to a server that isn't called any more, or
    /// those of an identity that is not the gateway's any more.
    pub(crate) async fn sweep(&self) {
        let every = self.idle_timeout.max(SWEEP_MIN);
        loop {
            tokio::time::sleep(every).await;
            let now = self.clock.now();
            let mut all = self.shared.idle.lock().unwrap_or_else(PoisonError::into_inner);
            all.retain(|_, idle| {
                idle.retain(|connection| {
                    connection.idle_since.elapsed() < self.idle_timeout && connection.may_serve(now)
                });
                !idle.is_empty()
            });
        }
    }

    /// The idle connection that was used last. Those that are too old go.
    fn idle(&self, key: &Key) -> Option<Box<Connection>> {
        let now = self.clock.now();
        let mut all = self.shared.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let idle = all.get_mut(key)?;
        while idle.front().is_some_and(|oldest| oldest.idle_since.elapsed() >= self.idle_timeout) {
            idle.pop_front();
        }
        std::iter::from_fn(|| idle.pop_back()).find(|connection| connection.may_serve(now))
    }

    async fn connect(
        &self,
        server: &Server,
        identity: &Arc<Identity>,
    ) -> Result<Box<Connection>, UpstreamError> {
        let dialled = tokio::time::timeout(self.connect_timeout, self.dial(server, identity)).await;
        let dialled = dialled.unwrap_or(Err(UpstreamError::Timeout));
        self.metrics.dial(dialled.is_ok());
        dialled
    }

    async fn dial(
        &self,
        server: &Server,
        identity: &Arc<Identity>,
    ) -> Result<Box<Connection>, UpstreamError> {
        let source: SharedSource = Arc::new(OneGeneration(Arc::clone(identity)));
        let mut tls = certs::tls::client_config(source, server.spiffe_id.clone(), self.clock.clone())?;
        tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        let host = server.url.host_str().unwrap_or_default().trim_matches(['[', ']']).to_owned();
        let tcp = TcpStream::connect((host.as_str(), server.url.port_or_known_default().unwrap_or(443)))
            .await
            .map_err(UpstreamError::Connect)?;
        tcp.set_nodelay(true).map_err(UpstreamError::Connect)?;
        let name = ServerName::try_from(host).map_err(|_| UpstreamError::Host)?;
        let tls = TlsConnector::from(Arc::new(tls)).connect(name, tcp).await.map_err(UpstreamError::Tls)?;
        let until = theirs(&tls).min(identity.svid.peer().not_after);
        let (sender, driver) = http1::handshake(TokioIo::new(tls)).await?;
        let counted = Counted::new(&self.metrics.upstream_connections);
        Ok(Box::new(Connection {
            sender,
            driver: Some(driver),
            idle_since: Instant::now(),
            until,
            _counted: counted,
        }))
    }
}

fn theirs(tls: &TlsStream<TcpStream>) -> SystemTime {
    let leaf = tls.get_ref().1.peer_certificates().and_then(<[_]>::first);
    leaf.and_then(|leaf| certs::peer::peer(leaf).ok()).map_or(SystemTime::UNIX_EPOCH, |peer| peer.not_after)
}

impl Connection {
    /// Whether it may take another request: not in the last moments of an SVID on it.
    fn may_serve(&self, now: SystemTime) -> bool {
        now + BEFORE_EXPIRY < self.until
    }

    /// Waits for something of this connection, and moves its bytes meanwhile.
    async fn driving<T>(&mut self, mut wanted: impl FnMut(&mut Context<'_>) -> Poll<T>) -> T {
        poll_fn(|cx| {
            if let Poll::Ready(value) = wanted(cx) {
                return Poll::Ready(value);
            }
            self.drive(cx);
            wanted(cx) // What has just been moved may be it.
        })
        .await
    }

    /// Moves what can be moved. How the connection ends is told to whoever waits for an answer on it.
    fn drive(&mut self, cx: &mut Context<'_>) {
        if let Some(driver) = &mut self.driver
            && Pin::new(driver).poll(cx).is_ready()
        {
            self.driver = None;
        }
    }

    /// Whether an idle connection can still be used.
    async fn is_ready(&mut self) -> bool {
        let now = |answer: Poll<Result<(), hyper::Error>>| Poll::Ready(matches!(answer, Poll::Ready(Ok(()))));
        poll_fn(|cx| {
            self.drive(cx);
            now(self.sender.poll_ready(cx))
        })
        .await
    }

    async fn send(
        &mut self,
        request: Request<Full<Bytes>>,
    ) -> Result<Response<Incoming>, TrySendError<Request<Full<Bytes>>>> {
        let mut answer = pin!(self.sender.try_send_request(request));
        self.driving(|cx| answer.as_mut().poll(cx)).await
    }

    /// The next frame of the answer's body.
    pub(super) async fn frame(&mut self, body: &mut Incoming) -> Option<Result<Frame<Bytes>, hyper::Error>> {
        self.driving(|cx| Pin::new(&mut *body).poll_frame(cx)).await
    }
}

impl Lease {
    /// When the connection must have ended: the earlier expiry of the two SVIDs on it.
    pub(super) fn until(&self) -> SystemTime {
        self.connection.until
    }

    /// The connection.
    pub(super) fn connection(&mut self) -> &mut Connection {
        &mut self.connection
    }

    /// Gives the connection back: its answer was read to the end.
    pub(super) fn done(self) {
        let Self { mut connection, key, shared } = self;
        connection.idle_since = Instant::now();
        let mut all = shared.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let idle = all.entry(key).or_default();
        if idle.len() < shared.idle_max && connection.driver.is_some() {
            idle.push_back(connection);
        }
    }
}
