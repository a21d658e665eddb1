//! Stage 1 of 9: TCP to a finished TLS 1.3 handshake.
//! In: a socket. Out: a [`Handshake`], whose chain led to the trust bundle and is an X509-SVID of a trust domain
//! served here; or a connection record that says why there is none.

use crate::identity::Named;
use certs::tls::Accept;
use certs::{Clock, SharedSource, SvidError};
use rustls::ServerConfig;
use rustls::pki_types::CertificateDer;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

/// What a connection proved when it was opened.
#[derive(Debug)]
pub struct Handshake {
    /// The peer's chain, leaf first.
    pub(crate) chain: Vec<CertificateDer<'static>>,
    /// Whom the leaf names.
    pub(crate) named: Arc<Named>,
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
        let named = Arc::new(Named::new(&peer));
        Ok(Self { chain, named, ending: watch::Sender::new(false), judged: AtomicU64::new(0) })
    }

    /// How long the connection may take requests: as long as connections may, and no longer than the peer's SVID holds.
    pub(crate) fn lasts(&self, age_max: Duration, now: SystemTime) -> Duration {
        self.named.not_after().duration_since(now).unwrap_or_default().min(age_max)
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

/// Counts connections and keeps them below their limits: those that prove themselves still, and those that have. They are
/// counted apart, so that whoever has no certificate can't take the places of those who do.
#[derive(Debug)]
pub struct Connections {
    handshaking: Arc<Semaphore>,
    open: Arc<Semaphore>,
    turned_away: Mutex<TurnedAway>,
}

#[derive(Debug)]
struct TurnedAway {
    count: u64,
    told: Option<Instant>,
}

/// How often connections that were turned away are told of.
const TELL_EVERY: Duration = Duration::from_secs(1);

impl Connections {
    /// At most so many at once of each.
    pub fn new(handshakes_max: usize, open_max: usize) -> Self {
        Self {
            handshaking: Arc::new(Semaphore::new(handshakes_max)),
            open: Arc::new(Semaphore::new(open_max)),
            turned_away: Mutex::new(TurnedAway { count: 0, told: None }),
        }
    }

    /// A place for one more handshake, held until it is dropped; none if all are taken.
    pub fn handshaking(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.handshaking).try_acquire_owned().ok()
    }

    /// The place of a handshake for one among the open connections; none if all are taken.
    pub fn open(&self, handshaking: OwnedSemaphorePermit) -> Option<OwnedSemaphorePermit> {
        drop(handshaking);
        Arc::clone(&self.open).try_acquire_owned().ok()
    }

    /// Counts a connection that is turned away. Now and then gives the count, for the record.
    pub fn turned_away(&self) -> Option<u64> {
        let mut turned = self.turned_away.lock().unwrap_or_else(PoisonError::into_inner);
        turned.count = turned.count.saturating_add(1);
        if turned.told.is_some_and(|at| at.elapsed() < TELL_EVERY) {
            return None;
        }
        turned.told = Some(Instant::now());
        Some(std::mem::take(&mut turned.count))
    }
}
