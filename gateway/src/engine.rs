//! The engine: connections, and the bytes on them. Pingora accepts, TLS is our own, hyper speaks HTTP.
//!
//! This is the adapter to Pingora and the only file that names its types: its listening service accepts sockets, of
//! which each becomes a connection here. `docs/adr/0007` says why no more of Pingora is used.

mod activity;
mod connection;
mod gathered;
mod outgoing;
mod patient;

use crate::audit::Audit;
use crate::listener::{Connections, Handshake};
use crate::metrics::{self, Metrics};
use crate::observed::Stage;
use crate::state::Gateway;
use async_trait::async_trait;
use connection::Connection;
use pingora::apps::ServerApp;
use pingora::listeners::{L4BufferSettings, ListenerConfig};
use pingora::protocols::Stream;
use pingora::protocols::l4::stream::Stream as L4;
use pingora::server::{Fds, ShutdownWatch};
use pingora::services::Service as _;
use pingora::services::listening::Service;
use rustls::pki_types::CertificateDer;
use std::net::{IpAddr, TcpListener};
use std::os::fd::IntoRawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::{Notify, watch};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// What a listener needs to be served.
pub struct Listener {
    /// Bound, and not yet accepting.
    pub tcp: TcpListener,
    /// TLS toward callers; see [`crate::listener::tls`].
    pub tls: rustls::ServerConfig,
    /// The gateway behind it.
    pub gateway: Arc<Gateway>,
    /// Counts what a stopping gateway waits for.
    pub in_flight: Arc<InFlight>,
}

/// Serves a listener until `stop` says so; connections that are open then go on. Returns when it no longer accepts.
///
/// # Errors
/// [`std::io::Error`] before anything is accepted: the socket can't be used.
pub async fn serve(listener: Listener, stop: watch::Receiver<bool>) -> std::io::Result<()> {
    let Listener { tcp, tls, gateway, in_flight } = listener;
    let address = tcp.local_addr()?.to_string();
    tcp.set_nonblocking(true)?;
    let mut fds = Fds::new();
    fds.add(address.clone(), tcp.into_raw_fd()); // Pingora takes over a socket that is bound already.
    let door = Door {
        tls: TlsAcceptor::from(Arc::new(tls)),
        connections: Connections::new(gateway.limits.handshakes_max, gateway.limits.connections_max),
        handshake_timeout: gateway.limits.handshake_timeout,
        audit: gateway.audit.clone(),
        gateway,
        in_flight,
    };
    let mut service = Service::new("sallyport".into(), door);
    let unbuffered = L4BufferSettings::unbuffered(); // TLS above it has buffers of its own.
    service.add_listener(ListenerConfig::tcp(address).l4_buffer(unbuffered));
    service.start_service(Some(Arc::new(parking_lot::Mutex::new(fds))), stop, 1).await;
    Ok(())
}

/// Accepts connections: limits, handshake, connection records.
struct Door {
    tls: TlsAcceptor,
    connections: Connections,
    handshake_timeout: Duration,
    audit: Audit,
    gateway: Arc<Gateway>,
    in_flight: Arc<InFlight>,
}

#[async_trait]
impl ServerApp for Door {
    async fn process_new(self: &Arc<Self>, stream: Stream, stop: &ShutdownWatch) -> Option<Stream> {
        let ip = stream.get_socket_digest().and_then(|d| Some(d.peer_addr()?.as_inet()?.ip()));
        let (place, tcp) = (self.connections.handshaking(), stream.into_any().downcast::<L4>());
        let (Some(handshaking), Ok(mut tcp)) = (place, tcp) else { return self.turn_away(ip) };
        let _ = tcp.set_nodelay(); // What is written is all there is; nothing is won by waiting for more.
        let began = Instant::now();
        let shaking = Box::pin(self.tls.accept(*tcp)); // Boxed: what it needs, the connection doesn't keep.
        match tokio::time::timeout(self.handshake_timeout, shaking).await {
            Ok(Ok(tls)) => {
                let Some(_open) = self.connections.open(handshaking) else { return self.turn_away(ip) };
                self.metrics().stage(Stage::Listener, began.elapsed());
                let _counted = metrics::Counted::new(&self.metrics().connections);
                self.serve(tls, ip, stop.clone()).await;
            }
            Ok(Err(error)) => {
                self.metrics().handshake_refused("tls");
                self.audit.refused_connection(ip, error.to_string());
            }
            Err(_) => {
                self.metrics().handshake_refused("timeout");
                self.audit.refused_connection(ip, "the handshake did not end in time".into());
            }
        }
        None
    }
}

impl Door {
    fn metrics(&self) -> &Metrics {
        &self.gateway.metrics
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

    /// Serves a connection until it ends, or is cut.
    async fn serve(&self, tls: TlsStream<L4>, ip: Option<IpAddr>, stop: ShutdownWatch) {
        let session = tls.get_ref().1;
        let chain =
            session.peer_certificates().unwrap_or_default().iter().map(CertificateDer::to_owned).collect();
        let http2 = session.alpn_protocol() == Some(b"h2");
        let Ok(handshake) = Handshake::new(chain) else { return }; // The verifier lets no other ones through.
        let _counted = InFlight::one_more(&self.in_flight);
        let connection = Connection::new(&self.gateway, handshake, ip, http2, &self.in_flight, stop);
        let mut cut = self.gateway.cut.subscribe();
        let served = connection.serve(tls, async move {
            let _ = cut.wait_for(|cut| *cut).await; // What is under way is dropped with it, and leaves its record.
        });
        certs::undisturbed(served).await;
    }
}

/// Counts connections and the answers under way on them: what a gateway that stops waits for.
#[derive(Debug, Default)]
pub struct InFlight {
    count: AtomicUsize,
    none: Notify,
}

impl InFlight {
    /// Counts one more, until it is dropped.
    fn one_more(in_flight: &Arc<Self>) -> Counted {
        in_flight.count.fetch_add(1, Ordering::SeqCst);
        Counted(Arc::clone(in_flight))
    }

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

#[derive(Debug)]
struct Counted(Arc<InFlight>);

impl Drop for Counted {
    fn drop(&mut self) {
        if self.0.count.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.0.none.notify_waiters();
        }
    }
}
