//! Accepts connections, shakes hands, and stops gracefully.

use crate::admin::{self, Office};
use crate::audit::Audit;
use crate::bearer::Bearer;
use crate::drain::InFlight;
use crate::flags::{Flags, Limits};
use crate::guard::Guard;
use crate::https::{Client, ClientError};
use crate::keys::KeyFileError;
use crate::logging;
use crate::metrics::Metrics;
use crate::operation::RESERVED;
use crate::record::Desk;
use crate::request::{Connection, Frame};
use crate::service::Service;
use crate::session::Sessions;
use crate::sessions::{OpenSessions, Times};
use crate::traces::Traces;
use certs::tls::Accept;
use certs::{Clock, IdentityError, SharedSource};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use rmcp::ServerHandler;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use std::convert::Infallible;
use std::io::Write;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

/// A server that listens already.
pub struct Server<H> {
    frame: Arc<Frame<H>>,
    listener: TcpListener,
    address: SocketAddr,
    admin: Option<(Arc<Office>, TcpListener, SocketAddr)>,
    stopping: watch::Sender<bool>,
    tls: TlsAcceptor,
}

/// Why a server can't start.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The SVID or the trust bundle.
    #[error("the server's identity can't be used")]
    Identity(#[from] IdentityError),
    /// The token service's keys.
    #[error("the token service's keys can't be used")]
    Keys(#[from] KeyFileError),
    /// TLS 1.3 is missing.
    #[error("TLS can't be set up")]
    Tls(#[from] rustls::Error),
    /// No random numbers.
    #[error("there is no randomness to be had")]
    Random(#[from] aws_lc_rs::error::Unspecified),
    /// The address is taken or isn't this machine's.
    #[error("can't listen on {address}")]
    Listen {
        /// The address asked for.
        address: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file of audit lines.
    #[error("{path} can't be added to")]
    Audit {
        /// Where.
        path: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// The collector of traces.
    #[error("traces can't be delivered")]
    Traces(#[from] ClientError),
    /// The exporter of traces refused its settings.
    #[error("traces can't be delivered")]
    Exporter(#[from] opentelemetry_otlp::ExporterBuildError),
    /// Metrics can't be set up.
    #[error("the metrics can't be set up")]
    Metrics(#[from] prometheus::Error),
    /// Its scope would be that of something else.
    #[error("a tool may not be called {0:?}: its scope would be that of other methods")]
    ReservedTool(&'static str),
    /// Signals can't be waited for.
    #[error("can't wait for signals")]
    Signal(#[source] std::io::Error),
}

/// The longest request head, in bytes.
const HEAD_BYTES_MAX: usize = 64 * 1024;
/// After a failed accept (no file descriptors), so that the loop doesn't spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// For the streams that are ended when the drain is over.
const ENDING: Duration = Duration::from_secs(1);

/// The whole of a server's `main`: serves until SIGTERM or SIGINT. Prints `listening on https://ADDR` to standard output
/// when it is ready, and `admin on http://ADDR` before it where there is an admin listener.
///
/// # Errors
/// [`ServeError`] says what is missing at the start; once it listens there is none.
pub async fn run<H: ServerHandler + Clone>(service: Service<H>, flags: &Flags) -> Result<(), ServeError> {
    certs::install_crypto();
    logging::install();
    let mut terminate = signal(SignalKind::terminate()).map_err(ServeError::Signal)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(ServeError::Signal)?;
    let server = Server::bind(service, flags, Clock::system()).await?;
    let mut said =
        server.admin_address().map(|admin| format!("admin on http://{admin}\n")).unwrap_or_default();
    said.push_str(&format!("listening on https://{}\n", server.address()));
    if let Err(error) = std::io::stdout().write_all(said.as_bytes()) {
        tracing::warn!(error = %error, "nobody reads the address");
    }
    let stdin_ended = stdin_end(flags.end_with_stdin);
    server
        .run(async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
                () = stdin_ended => {}
            }
        })
        .await;
    Ok(())
}

/// Returns when standard input has ended; never, if nobody asks for that.
async fn stdin_end(asked: bool) {
    if !asked {
        return std::future::pending().await;
    }
    let (ended, end) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink()); // An error ends it, too.
        let _ = ended.send(());
    });
    let _ = end.await; // The thread sends, or is gone.
}

impl<H: ServerHandler + Clone> Server<H> {
    /// Reads the files and listens.
    ///
    /// # Errors
    /// [`ServeError`] says what is missing.
    pub async fn bind(service: Service<H>, flags: &Flags, clock: Clock) -> Result<Self, ServeError> {
        let Service { name, handler, check } = service;
        if let Some(reserved) = RESERVED.into_iter().find(|tool| handler.get_tool(tool).is_some()) {
            return Err(ServeError::ReservedTool(reserved));
        }
        let source = flags.identity().await?;
        let accept = Accept::Ids(vec![flags.gateway.clone()]);
        let tls = certs::tls::server_config(Arc::clone(&source), accept, &["http/1.1"], clock.clone())?;
        let (listener, address) = listen(flags.listen).await?;
        let desk = desk(name, &handler.get_info().server_info.version, flags, &source, &clock)?;
        let bearer = Arc::new(Bearer::new(flags, Instant::now())?);
        let stopping = watch::Sender::new(false);
        let admin = match flags.observe.admin_listen {
            None => None,
            Some(address) => {
                let (listener, address) = listen(address).await?;
                let office = Office {
                    desk: Arc::clone(&desk),
                    source: Arc::clone(&source),
                    bearer: Arc::clone(&bearer),
                    check,
                    stopping: stopping.subscribe(),
                };
                Some((Arc::new(office), listener, address))
            }
        };
        // Whoever has no certificate of the gateway's is out before a Host header is read: no name to rebind, so which names
        // are ours has to be said by who runs the server. The gateway never sends an Origin: none is accepted.
        let config = StreamableHttpServerConfig::default()
            .with_json_response(true) // Where a tool tells of its progress, a stream of events all the same.
            .with_max_request_body_bytes(flags.limits.body_bytes_max)
            .with_allowed_hosts(flags.allowed_hosts.iter().cloned()) // None named: the check is off.
            .enforce_origin_validation();
        let guard = Guard::new(handler, flags.limits);
        let Limits { sessions_max, request_timeout, .. } = flags.limits;
        let open = Arc::new(OpenSessions::new(sessions_max, Times::of(request_timeout)));
        let mcp = StreamableHttpService::new(move || Ok(guard.clone()), Arc::clone(&open), config);
        let frame = Frame {
            name,
            source,
            clock,
            bearer,
            desk,
            sessions: Sessions::new()?,
            open,
            limits: flags.limits,
            in_flight: InFlight::new(),
            mcp,
        };
        let tls = TlsAcceptor::from(Arc::new(tls));
        Ok(Self { frame: Arc::new(frame), listener, address, admin, stopping, tls })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where its admin listener is, if there is one.
    pub fn admin_address(&self) -> Option<SocketAddr> {
        self.admin.as_ref().map(|(.., address)| *address)
    }

    /// Serves until `stop` is done, then lets what is in flight end, up to the drain limit.
    pub async fn run(self, stop: impl Future<Output = ()>) {
        let Self { frame, listener, tls, admin, stopping, .. } = self;
        let mut beside = JoinSet::new(); // Ends with this function.
        if let Some((office, listener, _)) = admin {
            beside.spawn(admin::serve(office, listener));
        }
        let room = Arc::new(Semaphore::new(frame.limits.connections_max));
        let mut connections = JoinSet::new();
        let mut stop = std::pin::pin!(stop);
        loop {
            let (tcp, permit) = tokio::select! {
                () = &mut stop => break,
                next = accept(&listener, &room) => next,
            };
            let connection = serve(Arc::clone(&frame), tls.clone(), tcp, permit, stopping.subscribe());
            connections.spawn(certs::undisturbed(connection));
            while connections.try_join_next().is_some() {}
        }
        drop(listener);
        stopping.send_replace(true);
        tracing::info!(connections = connections.len(), "stopping");
        if timeout(frame.limits.drain_timeout, frame.in_flight.none()).await.is_err() {
            tracing::warn!("requests in flight are cut off");
        }
        frame.mcp.config.cancellation_token.cancel();
        let _ = timeout(ENDING, async { while connections.join_next().await.is_some() {} }).await;
        connections.shutdown().await;
        let _ = tokio::task::spawn_blocking(move || frame.desk.traces.as_ref().map(Traces::stop)).await; // It may panic alone.
    }
}

async fn listen(address: SocketAddr) -> Result<(TcpListener, SocketAddr), ServeError> {
    let failed = |source| ServeError::Listen { address, source };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let taken = listener.local_addr().map_err(failed)?;
    Ok((listener, taken))
}

/// What keeps the records, as the flags say.
fn desk(
    name: &'static str,
    version: &str,
    flags: &Flags,
    source: &SharedSource,
    clock: &Clock,
) -> Result<Arc<Desk>, ServeError> {
    let observe = &flags.observe;
    let audit = Audit::open(observe.audit_file.as_deref()).map_err(|source| ServeError::Audit {
        path: observe.audit_file.as_deref().unwrap_or(std::path::Path::new("")).display().to_string(),
        source,
    })?;
    let traces = match &observe.otlp_endpoint {
        None => None,
        Some(url) => {
            let client = Client::new(url, observe.otlp_server.as_ref(), source, clock)?;
            Some(Traces::new(client, name, version)?)
        }
    };
    let metrics = Arc::new(Metrics::new(name, version)?);
    Ok(Arc::new(Desk { name, audit, metrics, traces, clock: clock.clone() }))
}

/// The next connection, once there is room for it; until then it waits in the kernel's queue.
async fn accept(listener: &TcpListener, room: &Arc<Semaphore>) -> (TcpStream, Option<OwnedSemaphorePermit>) {
    let permit = Arc::clone(room).acquire_owned().await.ok(); // Never closed, so never an error.
    loop {
        match listener.accept().await {
            Ok((tcp, _)) => return (tcp, permit),
            Err(error) => {
                tracing::warn!(error = %error, "accept failed");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn serve<H: ServerHandler>(
    frame: Arc<Frame<H>>,
    tls: TlsAcceptor,
    tcp: TcpStream,
    _permit: Option<OwnedSemaphorePermit>,
    mut stopping: watch::Receiver<bool>,
) {
    let from = tcp.peer_addr().map(|a| a.to_string()).unwrap_or_default();
    let _ = tcp.set_nodelay(true); // Only slower without.
    let generation = frame.source.current().generation; // Before the handshake: a change during it is judged again.
    let metrics = Arc::clone(&frame.desk.metrics);
    let stream = match timeout(frame.limits.handshake_timeout, tls.accept(tcp)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => {
            metrics.handshake_refused("refused");
            return tracing::info!(from, error = %error, "handshake refused");
        }
        Err(_) => {
            metrics.handshake_refused("too_slow");
            return tracing::info!(from, "handshake took too long");
        }
    };
    let chain: Vec<_> = stream
        .get_ref()
        .1
        .peer_certificates()
        .unwrap_or_default()
        .iter()
        .map(|c| c.clone().into_owned())
        .collect();
    let Some(Ok(peer)) = chain.first().map(|leaf| certs::peer::peer(leaf)) else {
        metrics.handshake_refused("no_svid");
        return tracing::warn!(from, "a finished handshake without an SVID");
    };
    let _open = Open::new(metrics);
    let limits = frame.limits;
    let connection = Arc::new(Connection::new(chain, peer, generation));
    let service = service_fn(move |request| {
        let (frame, connection) = (Arc::clone(&frame), Arc::clone(&connection));
        // hyper keeps room for this as long as the connection is open: that of a pointer, then.
        Box::pin(async move { Ok::<_, Infallible>(frame.answer(&connection, request).await) })
    });
    let mut http = std::pin::pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(limits.header_timeout)
            .max_buf_size(HEAD_BYTES_MAX)
            .serve_connection(TokioIo::new(stream), service)
    );
    let ended = tokio::select! {
        ended = &mut http => ended,
        () = async { drop(stopping.wait_for(|stop| *stop).await) } => {
            http.as_mut().graceful_shutdown();
            http.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(from, error = %error, "connection ended");
    }
}

/// An open connection. Dropping it counts it out.
struct Open(Arc<Metrics>);

impl Open {
    fn new(metrics: Arc<Metrics>) -> Self {
        metrics.connections.inc();
        Self(metrics)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.connections.dec();
    }
}
