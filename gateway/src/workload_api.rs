//! The development trust domain as a SPIFFE Workload API on a Unix socket: any SPIFFE library gets its SVIDs there
//! (SPIFFE Workload API standard). Who asks is proven by the kernel, as user and program; who that is, a list says.

mod authority;
mod entries;
mod messages;
mod service;

pub use entries::{EntriesError, Entry, Peer, parse};

use authority::Mended;
use certs::Clock;
use certs::development::Domain;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use service::Service;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokens::SigningKey;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::{JoinHandle, JoinSet};

/// How often the list is looked at.
const ENTRIES_INTERVAL: Duration = Duration::from_millis(500);
/// Connections at once.
const CONNECTIONS_MAX: usize = 256;

/// What is served.
pub struct WorkloadApi {
    /// Issues the SVIDs.
    pub domain: Domain,
    /// Signs JWT-SVIDs.
    pub key: SigningKey,
    /// The file with the list of [`Entry`]s, read again whenever it changes.
    pub entries: PathBuf,
    /// How long an SVID lives. Each is renewed at half of that.
    pub ttl: Duration,
    /// The time.
    pub clock: Clock,
}

/// Why it can't be served.
#[derive(Debug, thiserror::Error)]
pub enum WorkloadApiError {
    /// The list can't be used.
    #[error(transparent)]
    Entries(#[from] EntriesError),
    /// The socket can't be made.
    #[error("no socket can be made at {path}")]
    Socket {
        /// Where.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

/// Serves on a socket, until the task is aborted. A socket that nobody listens on any more is replaced.
///
/// # Errors
/// [`WorkloadApiError`]; nothing is served then.
pub fn serve(api: WorkloadApi, socket: &Path) -> Result<JoinHandle<()>, WorkloadApiError> {
    let entries = watch::Sender::new(entries::read(&api.entries)?);
    let listener =
        listen(socket).map_err(|source| WorkloadApiError::Socket { path: socket.to_path_buf(), source })?;
    let service = Arc::new(Service::new(api.domain, api.key, entries.subscribe(), api.ttl, api.clock));
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    Ok(tokio::spawn(async move {
        let follow = entries::follow(&api.entries, &entries, ENTRIES_INTERVAL);
        let accept = async {
            let mut open = JoinSet::new(); // They end with this task.
            while let Ok(place) = Arc::clone(&places).acquire_owned().await {
                let Ok((stream, _)) = listener.accept().await else { continue };
                let service = Arc::clone(&service);
                open.spawn(async move {
                    connection(service, stream).await;
                    drop(place);
                });
                while open.try_join_next().is_some() {}
            }
        };
        tokio::join!(follow, accept);
    }))
}

fn listen(socket: &Path) -> std::io::Result<UnixListener> {
    if std::os::unix::net::UnixStream::connect(socket).is_err() {
        let _ = std::fs::remove_file(socket); // A leftover. One that is served stays, and binding says so.
    }
    let listener = UnixListener::bind(socket)?;
    std::fs::set_permissions(socket, std::fs::Permissions::from_mode(0o666))?; // The list says who gets what, not the mode.
    Ok(listener)
}

async fn connection(service: Arc<Service>, stream: UnixStream) {
    let peer = stream.peer_cred().map(|who| Peer::new(who.uid(), who.pid()));
    let Ok(peer) = peer else { return };
    let peer = Arc::new(peer);
    let answer = service_fn(move |request| Arc::clone(&service).answer(Arc::clone(&peer), request));
    let served = http2::Builder::new(TokioExecutor::new())
        .serve_connection(TokioIo::new(Mended::new(stream)), answer)
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, "a connection to the Workload API ended with an error");
    }
}
