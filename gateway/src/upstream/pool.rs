//! Connections to upstreams: mutual TLS to one expected SPIFFE ID, HTTP/1.1, kept while idle, and ended before either
//! side's SVID expires. A connection belongs to a server, an expected ID and a generation of our own identity; after a
//! rotation the old ones finish what they carry and are not used again.

use super::{UpstreamError, deadline};
use crate::config::{Limits, Server};
use bytes::Bytes;
use certs::{Clock, Identity, IdentitySource, SharedSource, SpiffeId};
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::http1::SendRequest;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::Instant;
use tokio_rustls::TlsConnector;

/// Idle connections, by what makes them exchangeable.
#[derive(Debug)]
pub struct Pool {
    shared: Arc<Shared>,
    clock: Clock,
    idle_timeout: Duration,
    connect_timeout: Duration,
    response_timeout: Duration,
    /// How much of an answer is held to be looked at.
    pub(super) held_bytes_max: usize,
}

#[derive(Debug)]
struct Shared {
    idle: Mutex<HashMap<Key, Vec<Connection>>>,
    /// How many are kept for one key.
    idle_max: usize,
}

/// What makes two connections exchangeable.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    origin: String,
    expected: SpiffeId,
    generation: u64,
}

#[derive(Debug)]
struct Connection {
    sender: SendRequest<Full<Bytes>>,
    driver: AbortHandle,
    idle_since: Instant,
    until: SystemTime,
}

/// A connection in use. Returned to the pool when its answer was read to the end; else it is closed at once, which
/// is how an upstream learns that the caller has gone.
#[derive(Debug)]
pub struct Lease {
    connection: Option<Connection>,
    key: Key,
    shared: Arc<Shared>,
}

/// A connection is not used in the last moments of an SVID.
const BEFORE_EXPIRY: Duration = Duration::from_secs(10);

impl Pool {
    /// An empty pool.
    pub fn new(clock: Clock, limits: &Limits) -> Self {
        Self {
            shared: Arc::new(Shared { idle: Mutex::default(), idle_max: limits.upstream_idle_max }),
            clock,
            idle_timeout: limits.upstream_idle_timeout,
            connect_timeout: limits.connect_timeout,
            response_timeout: limits.response_timeout,
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
        let origin = server.url[url::Position::BeforeScheme..url::Position::AfterPort].to_owned();
        let key = Key { origin, expected: server.spiffe_id.clone(), generation: identity.generation };
        loop {
            let (mut connection, fresh) = match self.idle(&key) {
                Some(connection) => (connection, false),
                None => (self.connect(server, identity).await?, true),
            };
            let answer =
                tokio::time::timeout(self.response_timeout, connection.sender.try_send_request(request));
            match answer.await.map_err(|_| UpstreamError::Timeout) {
                Ok(Ok(response)) => {
                    let lease = Lease { connection: Some(connection), key, shared: Arc::clone(&self.shared) };
                    return Ok((response, lease));
                }
                Ok(Err(mut failed)) => match failed.take_message() {
                    Some(unsent) if !fresh => request = unsent, // It was closed while idle; nothing has left.
                    _ => return Err(failed.into_error().into()),
                },
                Err(timeout) => {
                    connection.driver.abort();
                    return Err(timeout);
                }
            }
        }
    }

    /// The instant on the runtime's clock at which `until` is reached.
    pub(super) fn deadline(&self, until: SystemTime) -> Instant {
        deadline(until, self.clock.now())
    }

    fn idle(&self, key: &Key) -> Option<Connection> {
        let now = self.clock.now();
        let mut all = self.shared.idle.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|other, _| {
            other.origin != key.origin || other.expected != key.expected || other.generation >= key.generation
        });
        let idle = all.get_mut(key)?;
        idle.retain(|c| {
            !c.sender.is_closed()
                && c.idle_since.elapsed() < self.idle_timeout
                && now + BEFORE_EXPIRY < c.until
        });
        let place = idle.iter().rposition(|c| c.sender.is_ready())?;
        Some(idle.swap_remove(place))
    }

    async fn connect(&self, server: &Server, identity: &Arc<Identity>) -> Result<Connection, UpstreamError> {
        tokio::time::timeout(self.connect_timeout, self.dial(server, identity))
            .await
            .map_err(|_| UpstreamError::Timeout)?
    }

    async fn dial(&self, server: &Server, identity: &Arc<Identity>) -> Result<Connection, UpstreamError> {
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
        let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(tls)).await?;
        let driver = tokio::spawn(async move {
            let _ = connection.await; // Its error reaches whoever waits for an answer on it.
        });
        Ok(Connection { sender, driver: driver.abort_handle(), idle_since: Instant::now(), until })
    }
}

fn theirs(tls: &tokio_rustls::client::TlsStream<TcpStream>) -> SystemTime {
    let leaf = tls.get_ref().1.peer_certificates().and_then(<[_]>::first);
    leaf.and_then(|leaf| certs::peer::peer(leaf).ok()).map_or(SystemTime::UNIX_EPOCH, |peer| peer.not_after)
}

impl Lease {
    /// When the connection must have ended: the earlier expiry of the two SVIDs on it.
    pub(super) fn until(&self) -> SystemTime {
        self.connection.as_ref().map_or(SystemTime::UNIX_EPOCH, |connection| connection.until)
    }

    /// Gives the connection back: its answer was read to the end.
    pub(super) fn done(mut self) {
        let Some(mut connection) = self.connection.take() else { return };
        connection.idle_since = Instant::now();
        let mut all = self.shared.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let idle = all.entry(self.key.clone()).or_default();
        if idle.len() < self.shared.idle_max && !connection.sender.is_closed() {
            idle.push(connection);
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(connection) = &self.connection {
            connection.driver.abort(); // Closes the socket now, in the middle of whatever was on it.
        }
    }
}

/// A source that never changes: a connection shows the identity of the snapshot that it was opened for.
#[derive(Debug)]
struct OneGeneration(Arc<Identity>);

impl IdentitySource for OneGeneration {
    fn current(&self) -> Arc<Identity> {
        Arc::clone(&self.0)
    }

    fn changes(&self) -> watch::Receiver<u64> {
        watch::Sender::new(self.0.generation).subscribe()
    }
}
