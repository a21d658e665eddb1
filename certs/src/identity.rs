//! This workload's own SVID and the trust bundles: one generation of them, and the trait of what provides them.

use crate::peer::{Peer, SvidError, peer};
use arc_swap::ArcSwap;
use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::sign::CertifiedKey;
use spiffe::TrustDomain;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use tokio::sync::watch;

/// An X.509-SVID with its private key. `Debug` prints the name and nothing of the key.
#[derive(Clone)]
pub struct X509Svid {
    peer: Peer,
    key: Arc<CertifiedKey>,
}

/// The authorities of each trust domain that is served: a leaf is verified against its own domain's, and no other.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TrustBundles(BTreeMap<String, Arc<TrustBundle>>);

/// One trust domain's authorities, ready to verify with.
#[derive(Debug)]
pub struct TrustBundle {
    authorities: Vec<CertificateDer<'static>>,
    pub(crate) roots: Arc<RootCertStore>,
    pub(crate) clients: Arc<dyn ClientCertVerifier>,
}

/// One generation: what a handshake or a request uses from its beginning to its end.
#[derive(Clone, Debug)]
pub struct Identity {
    /// Who we are.
    pub svid: X509Svid,
    /// Whom we believe.
    pub bundles: TrustBundles,
    /// Counts the swaps; pools and caches are keyed by it.
    pub generation: u64,
}

/// Provides the current [`Identity`] and tells when it changes.
pub trait IdentitySource: Send + Sync + fmt::Debug {
    /// The current generation.
    fn current(&self) -> Arc<Identity>;
    /// Changes with every swap; the value is the generation.
    fn changes(&self) -> watch::Receiver<u64>;
    /// Whether what it provides is what there is.
    fn status(&self) -> SourceStatus {
        SourceStatus::Connected
    }
}

/// A source that never changes: for a connection that is to show the identity of one snapshot, whatever has come since.
#[derive(Debug)]
pub struct OneGeneration(pub Arc<Identity>);

impl IdentitySource for OneGeneration {
    fn current(&self) -> Arc<Identity> {
        Arc::clone(&self.0)
    }

    fn changes(&self) -> watch::Receiver<u64> {
        watch::Sender::new(self.0.generation).subscribe()
    }
}

/// The current generation, and who waits for the next: what every source that renews its material holds.
#[derive(Debug)]
pub(crate) struct Generations {
    current: ArcSwap<Identity>,
    changes: watch::Sender<u64>,
}

impl Generations {
    pub(crate) fn new(first: Identity) -> Self {
        let changes = watch::Sender::new(first.generation);
        Self { current: ArcSwap::from_pointee(first), changes }
    }

    pub(crate) fn current(&self) -> Arc<Identity> {
        self.current.load_full()
    }

    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    pub(crate) fn swap(&self, identity: Identity) {
        let generation = identity.generation;
        self.current.store(Arc::new(identity));
        self.changes.send_replace(generation);
    }
}

/// What a source knows of where its material comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SourceStatus {
    /// The material is the latest.
    Connected,
    /// It can't be asked; the last good material is used until it expires.
    Away,
    /// It said that this workload has no identity any more.
    Withdrawn,
}

/// A source as it is shared between listeners, connectors and caches.
pub type SharedSource = Arc<dyn IdentitySource>;

/// Why identity material can't be used.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// A file can't be read.
    #[error("{path} can't be read")]
    Read {
        /// Which file.
        path: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A file can't be written.
    #[error("{path} can't be written")]
    Write {
        /// Which file.
        path: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// There is no PEM block of the kind that is needed.
    #[error("no {what} in PEM form was found")]
    Pem {
        /// Certificate, private key or trust bundle.
        what: &'static str,
    },
    /// The private key is of a kind that TLS can't use, or belongs to another certificate.
    #[error("the private key can't be used with this certificate")]
    Key(#[source] rustls::Error),
    /// Our own certificate breaks the SVID rules.
    #[error("the certificate is not an X.509-SVID")]
    Svid(#[from] SvidError),
    /// The SPIFFE Workload API gives no SVID.
    #[error("the SPIFFE Workload API gives no SVID")]
    WorkloadApi(#[source] spiffe::WorkloadApiError),
    /// The bundle holds something that can't be an authority.
    #[error("the trust bundle holds no usable authority")]
    Bundle,
    /// Making a certificate failed.
    #[error("the certificate could not be made")]
    Issue(#[from] rcgen::Error),
    /// The development trust domain's folder belongs to another trust domain.
    #[error("the authority in {path} is not of trust domain {wanted}")]
    OtherTrustDomain {
        /// Which file.
        path: String,
        /// The domain that was asked for.
        wanted: String,
    },
}

impl X509Svid {
    /// Reads certificate chain (leaf first) and PKCS #8 key from PEM.
    ///
    /// # Errors
    /// [`IdentityError`] if either isn't there, they don't belong together, or the leaf is no SVID.
    pub fn from_pem(chain: &[u8], key: &[u8]) -> Result<Self, IdentityError> {
        let chain = certificates(chain, "certificate")?;
        let key =
            PrivateKeyDer::from_pem_slice(key).map_err(|_| IdentityError::Pem { what: "private key" })?;
        Self::from_der(chain, key)
    }

    /// Takes over a certificate chain (leaf first) and its key.
    ///
    /// # Errors
    /// [`IdentityError`] as [`Self::from_pem`].
    pub fn from_der(
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
    ) -> Result<Self, IdentityError> {
        let leaf = chain.first().ok_or(IdentityError::Pem { what: "certificate" })?;
        let peer = peer(leaf)?;
        let provider = rustls::crypto::aws_lc_rs::default_provider();
        let key = CertifiedKey::from_der(chain, key, &provider).map_err(IdentityError::Key)?;
        Ok(Self { peer, key: Arc::new(key) })
    }

    /// Who we are, as a peer sees us.
    pub fn peer(&self) -> &Peer {
        &self.peer
    }

    pub(crate) fn certified_key(&self) -> Arc<CertifiedKey> {
        Arc::clone(&self.key)
    }
}

impl Identity {
    /// Whether another generation holds the same.
    pub(crate) fn same_material(&self, other: &Self) -> bool {
        self.svid.peer == other.svid.peer && self.bundles == other.bundles
    }

    /// The generation after the one that was taken away: nobody is believed, so nothing is served and nothing called.
    pub(crate) fn withdrawn(&self, generation: u64) -> Self {
        Self { svid: self.svid.clone(), bundles: TrustBundles::default(), generation }
    }

    /// Whether it was taken away.
    pub fn is_withdrawn(&self) -> bool {
        self.bundles.is_empty()
    }
}

impl PartialEq for TrustBundle {
    fn eq(&self, other: &Self) -> bool {
        self.authorities == other.authorities
    }
}

impl fmt::Debug for X509Svid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "X509Svid({})", self.peer.id)
    }
}

impl TrustBundles {
    /// A single domain's bundle, its authorities in PEM.
    ///
    /// # Errors
    /// [`IdentityError::Bundle`] if there is none that can be used.
    pub fn from_pem(domain: &TrustDomain, authorities: &[u8]) -> Result<Self, IdentityError> {
        let mut bundles = Self::default();
        bundles.insert(domain, certificates(authorities, "trust bundle")?)?;
        Ok(bundles)
    }

    /// Adds a domain's bundle, or replaces it.
    ///
    /// # Errors
    /// [`IdentityError::Bundle`] if an authority can't be used, or there is none.
    pub fn insert(
        &mut self,
        domain: &TrustDomain,
        authorities: Vec<CertificateDer<'static>>,
    ) -> Result<(), IdentityError> {
        let mut roots = RootCertStore::empty();
        for authority in authorities.iter().cloned() {
            roots.add(authority).map_err(|_| IdentityError::Bundle)?;
        }
        let roots = Arc::new(roots);
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let clients = WebPkiClientVerifier::builder_with_provider(Arc::clone(&roots), provider)
            .build()
            .map_err(|_| IdentityError::Bundle)?;
        self.0.insert(domain.as_str().to_owned(), Arc::new(TrustBundle { authorities, roots, clients }));
        Ok(())
    }

    /// Whether nobody is believed.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Leaves out the domains that are not wanted.
    pub fn retain(&mut self, wanted: impl Fn(&str) -> bool) {
        self.0.retain(|domain, _| wanted(domain));
    }

    /// Takes over another's bundles, in the place of its own for the same domains.
    pub fn add(&mut self, others: &Self) {
        self.0.extend(others.0.iter().map(|(domain, bundle)| (domain.clone(), Arc::clone(bundle))));
    }

    pub(crate) fn of(&self, domain: &str) -> Option<&Arc<TrustBundle>> {
        self.0.get(domain)
    }

    /// The trust domains that are served here.
    pub fn domains(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}

fn certificates(pem: &[u8], what: &'static str) -> Result<Vec<CertificateDer<'static>>, IdentityError> {
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match all {
        Ok(all) if !all.is_empty() => Ok(all),
        _ => Err(IdentityError::Pem { what }),
    }
}
