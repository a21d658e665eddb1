//! Stage 1 of 9: TCP to a finished TLS 1.3 handshake.
//! In: a socket. Out: a [`Handshake`], whose chain led to the trust bundle and is an X509-SVID of a trust domain
//! served here; or a connection record that says why there is none.

use certs::tls::Accept;
use certs::{Clock, Peer, SharedSource, SvidError};
use rustls::ServerConfig;
use rustls::pki_types::CertificateDer;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

/// What a connection proved when it was opened.
#[derive(Debug)]
pub struct Handshake {
    /// The peer's chain, leaf first.
    pub(crate) chain: Vec<CertificateDer<'static>>,
    /// Whom the leaf names.
    pub(crate) peer: Peer,
    /// Told when the connection is to take no new requests: HTTP/2 says GOAWAY, HTTP/1.1 `Connection: close`.
    pub(crate) ending: watch::Sender<bool>,
    /// The last identity generation under which the chain was found good, plus one; 0 is none yet.
    pub(crate) judged: AtomicU64,
}

impl Handshake {
    /// Takes over a chain that the verifier has accepted.
    ///
    /// # Errors
    /// [`SvidError`] for a leaf that the verifier would not have let through.
    pub fn new(chain: Vec<CertificateDer<'static>>) -> Result<Self, SvidError> {
        let peer = certs::peer::peer(chain.first().ok_or(SvidError::NotACertificate)?)?;
        Ok(Self { chain, peer, ending: watch::Sender::new(false), judged: AtomicU64::new(0) })
    }

    /// How long the connection may take requests: as long as connections may, and no longer than the peer's SVID holds.
    pub(crate) fn lasts(&self, age_max: Duration, now: SystemTime) -> Duration {
        self.peer.not_after.duration_since(now).unwrap_or_default().min(age_max)
    }

    pub(crate) fn judged_under(&self, generation: u64) -> bool {
        self.judged.load(Ordering::Relaxed) == generation + 1
    }

    pub(crate) fn note_judged(&self, generation: u64) {
        self.judged.store(generation + 1, Ordering::Relaxed);
    }
}

/// TLS toward callers: 1.3 alone, client certificate required, no resumption, HTTP/2 before HTTP/1.1.
///
/// # Errors
/// Only if the crypto library lacks TLS 1.3.
pub fn tls(source: SharedSource, clock: Clock) -> Result<ServerConfig, rustls::Error> {
    certs::tls::server_config(source, Accept::AnyWorkload, &["h2", "http/1.1"], clock)
}

/// Counts the connections that are open, and keeps them below the limit.
#[derive(Clone, Debug)]
pub struct Connections(Arc<Semaphore>);

impl Connections {
    /// At most `max` at once.
    pub fn new(max: usize) -> Self {
        Self(Arc::new(Semaphore::new(max)))
    }

    /// A place for one more, held until it is dropped; none if all are taken.
    pub fn admit(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.0).try_acquire_owned().ok()
    }
}
