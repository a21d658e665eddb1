//! rustls configurations that read an [`IdentitySource`](crate::IdentitySource) at every handshake.
//!
//! TLS 1.3 alone, and no resumption: a resumed handshake never asks the verifier (rustls server/tls13.rs), so a caller
//! whose authority was withdrawn would still be let in. Host names are not checked; SPIFFE IDs are.

use crate::clock::Clock;
use crate::identity::{SharedSource, TrustBundle, TrustBundles};
use crate::peer::{Peer, SvidError, peer};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{ResolvesClientCert, Resumption};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{ClientHello, NoServerSessionStorage, ParsedCertificate, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, DigitallySignedStruct, DistinguishedName, ServerConfig, SignatureScheme};
use spiffe::SpiffeId;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

/// Whom a listener lets in.
#[derive(Clone, Debug)]
pub enum Accept {
    /// Every workload of a trust domain that is served.
    AnyWorkload,
    /// These workloads and nobody else.
    Ids(Vec<SpiffeId>),
}

/// Why a peer's chain is refused, in a handshake or when it is judged again.
#[derive(Debug, thiserror::Error)]
pub enum PeerError {
    /// The peer showed no certificate.
    #[error("the peer showed no certificate")]
    NoCertificate,
    /// The leaf is no SVID.
    #[error("the peer's certificate is not an X.509-SVID")]
    Svid(#[from] SvidError),
    /// No bundle for its trust domain.
    #[error("trust domain {0} is not served here")]
    ForeignTrustDomain(String),
    /// The chain doesn't lead to its domain's bundle, or is out of its time.
    #[error("the peer's certificate chain does not verify")]
    Chain(#[source] rustls::Error),
    /// A workload, but not one that is expected here.
    #[error("the peer is {found}, which is not expected here")]
    Unexpected {
        /// Who it is.
        found: SpiffeId,
    },
}

/// The configuration of a listener: client certificate required, `alpn` in order of preference.
///
/// # Errors
/// Only if the crypto library lacks TLS 1.3.
pub fn server_config(
    source: SharedSource,
    accept: Accept,
    alpn: &[&str],
    clock: Clock,
) -> Result<ServerConfig, rustls::Error> {
    let verifier = Arc::new(Verifier { source: Arc::clone(&source), accept, algorithms: algorithms() });
    let mut config = ServerConfig::builder_with_details(provider(), Arc::new(clock))
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_client_cert_verifier(verifier)
        .with_cert_resolver(Arc::new(OwnCertificate(source)));
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    config.alpn_protocols = alpn.iter().map(|p| p.as_bytes().to_vec()).collect();
    Ok(config)
}

/// The configuration of a listener for people and their browsers: it shows our SVID and asks for no certificate.
///
/// # Errors
/// Only if the crypto library lacks TLS 1.3.
pub fn server_config_for_anybody(
    source: SharedSource,
    alpn: &[&str],
    clock: Clock,
) -> Result<ServerConfig, rustls::Error> {
    let mut config = ServerConfig::builder_with_details(provider(), Arc::new(clock))
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(OwnCertificate(source)));
    config.alpn_protocols = alpn.iter().map(|p| p.as_bytes().to_vec()).collect();
    Ok(config)
}

/// The configuration of a connector that talks to one workload only.
///
/// # Errors
/// Only if the crypto library lacks TLS 1.3.
pub fn client_config(
    source: SharedSource,
    expected: SpiffeId,
    clock: Clock,
) -> Result<ClientConfig, rustls::Error> {
    let verifier = Arc::new(Verifier {
        source: Arc::clone(&source),
        accept: Accept::Ids(vec![expected]),
        algorithms: algorithms(),
    });
    let mut config = ClientConfig::builder_with_details(provider(), Arc::new(clock))
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .dangerous() // The trait's word for a verifier of one's own.
        .with_custom_certificate_verifier(verifier)
        .with_client_cert_resolver(Arc::new(OwnCertificate(source)));
    config.resumption = Resumption::disabled();
    config.enable_sni = false;
    Ok(config)
}

/// Our SVID for a server that asks for a certificate and proves itself otherwise, the present one at each handshake.
pub fn own_certificate(source: SharedSource) -> Arc<dyn ResolvesClientCert> {
    Arc::new(OwnCertificate(source))
}

/// Judges a chain (leaf first) against the bundle of its own trust domain, at a time: in the handshake, and again on
/// each request after a bundle has changed.
///
/// # Errors
/// [`PeerError`] says which rule it breaks.
pub fn judge(
    chain: &[CertificateDer<'_>],
    bundles: &TrustBundles,
    now: SystemTime,
) -> Result<Peer, PeerError> {
    let (leaf, intermediates) = chain.split_first().ok_or(PeerError::NoCertificate)?;
    let (peer, bundle) = named(leaf, bundles)?;
    let now = UnixTime::since_unix_epoch(now.duration_since(UNIX_EPOCH).unwrap_or_default());
    bundle.clients.verify_client_cert(leaf, intermediates, now).map_err(PeerError::Chain)?;
    Ok(peer)
}

fn named<'b>(
    leaf: &CertificateDer<'_>,
    bundles: &'b TrustBundles,
) -> Result<(Peer, &'b Arc<TrustBundle>), PeerError> {
    let peer = peer(leaf)?;
    let domain = peer.id.trust_domain_name();
    let bundle = bundles.of(domain).ok_or_else(|| PeerError::ForeignTrustDomain(domain.to_owned()))?;
    Ok((peer, bundle))
}

impl Accept {
    fn admit(&self, peer: &Peer) -> Result<(), PeerError> {
        match self {
            Self::AnyWorkload => Ok(()),
            Self::Ids(ids) if ids.contains(&peer.id) => Ok(()),
            Self::Ids(_) => Err(PeerError::Unexpected { found: peer.id.clone() }),
        }
    }
}

/// Verifies peers on either side.
#[derive(Debug)]
struct Verifier {
    source: SharedSource,
    accept: Accept,
    algorithms: WebPkiSupportedAlgorithms,
}

/// The engine keeps of a failed handshake what its error prints, so the whole cause is put there.
fn refused(error: PeerError) -> rustls::Error {
    match error {
        PeerError::Chain(cause) => cause, // rustls picks the TLS alert that fits (unknown CA, expired).
        PeerError::Svid(rule) => {
            rustls::Error::General(format!("the peer's certificate is not an X.509-SVID: {rule}"))
        }
        other => rustls::Error::General(other.to_string()),
    }
}

impl ClientCertVerifier for Verifier {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[] // A borrowed answer can't be swapped, and SVID clients have one certificate anyway.
    }

    fn verify_client_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        let identity = self.source.current();
        let (peer, bundle) = named(leaf, &identity.bundles).map_err(refused)?;
        let verified = bundle.clients.verify_client_cert(leaf, intermediates, now)?;
        self.accept.admit(&peer).map_err(refused)?;
        Ok(verified)
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(rustls::Error::General("TLS 1.2 is not spoken here".into()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _host: &ServerName<'_>,
        _ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let identity = self.source.current();
        let (peer, bundle) = named(leaf, &identity.bundles).map_err(refused)?;
        let parsed = ParsedCertificate::try_from(leaf)?;
        rustls::client::verify_server_cert_signed_by_trust_anchor(
            &parsed,
            &bundle.roots,
            intermediates,
            now,
            self.algorithms.all,
        )?;
        self.accept.admit(&peer).map_err(refused)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        ClientCertVerifier::verify_tls12_signature(self, message, cert, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        ClientCertVerifier::verify_tls13_signature(self, message, cert, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// Shows our own certificate, whatever the current generation's is.
#[derive(Debug)]
struct OwnCertificate(SharedSource);

impl ResolvesServerCert for OwnCertificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.current().svid.certified_key())
    }
}

impl ResolvesClientCert for OwnCertificate {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(self.0.current().svid.certified_key())
    }

    fn has_certs(&self) -> bool {
        true
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

fn algorithms() -> WebPkiSupportedAlgorithms {
    rustls::crypto::aws_lc_rs::default_provider().signature_verification_algorithms
}
