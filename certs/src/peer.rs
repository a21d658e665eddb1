//! What a leaf certificate must be to name a workload (X509-SVID standard §2 to §5).
//! Chain and signature are path validation's work; what that leaves open is checked here.

use spiffe::{SpiffeId, SpiffeIdError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use x509_parser::prelude::{ASN1Time, FromDer, GeneralName, X509Certificate};

/// A workload as its X.509-SVID names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// The workload's SPIFFE ID; its path is never empty.
    pub id: SpiffeId,
    /// The beginning of the SVID's validity.
    pub not_before: SystemTime,
    /// Its end.
    pub not_after: SystemTime,
    /// SHA-256 of the leaf's DER: what `cnf.x5t#S256` is compared with (RFC 8705 §3.1).
    pub thumbprint: [u8; 32],
}

impl Peer {
    /// When the last quarter of the SVID's life begins: it should have been renewed by then.
    pub fn last_quarter(&self) -> SystemTime {
        self.not_after - self.not_after.duration_since(self.not_before).unwrap_or_default() / 4
    }
}

/// Why a certificate is no X.509-SVID of a workload.
#[derive(Debug, thiserror::Error)]
pub enum SvidError {
    /// Not DER, or bytes behind it.
    #[error("not an X.509 certificate")]
    NotACertificate,
    /// An extension that matters can't be read, or stands there twice.
    #[error("a certificate extension is malformed")]
    Extension,
    /// §4.1: the leaf's `cA` must be false.
    #[error("the certificate is a CA's, so it authenticates nobody")]
    SigningCertificate,
    /// §4.3: `keyCertSign` and `cRLSign` must not be set on a leaf, `digitalSignature` must be.
    #[error("the key usage is not that of a leaf")]
    KeyUsage,
    /// §4.4: where extended key usage is there, a leaf has both server and client authentication.
    #[error("the extended key usage lacks server or client authentication")]
    ExtendedKeyUsage,
    /// §2: exactly one URI SAN.
    #[error("the certificate has {found} URI SANs, an SVID has one")]
    UriSans {
        /// How many there are.
        found: usize,
    },
    /// The URI is no SPIFFE ID.
    #[error("the URI SAN is not a SPIFFE ID")]
    SpiffeId(#[from] SpiffeIdError),
    /// §3.1 and §5.2: a workload's ID has a path; one without names a trust domain.
    #[error("the SPIFFE ID has no path, so it names a trust domain and no workload")]
    NoPath,
}

/// Reads the workload from a leaf certificate.
///
/// # Errors
/// [`SvidError`] names the first rule that the certificate breaks.
pub fn peer(leaf_der: &[u8]) -> Result<Peer, SvidError> {
    let (rest, leaf) = X509Certificate::from_der(leaf_der).map_err(|_| SvidError::NotACertificate)?;
    if !rest.is_empty() {
        return Err(SvidError::NotACertificate);
    }
    if leaf.basic_constraints().map_err(|_| SvidError::Extension)?.is_some_and(|b| b.value.ca) {
        return Err(SvidError::SigningCertificate);
    }
    match leaf.key_usage().map_err(|_| SvidError::Extension)? {
        Some(u) if u.value.digital_signature() && !u.value.key_cert_sign() && !u.value.crl_sign() => {}
        _ => return Err(SvidError::KeyUsage),
    }
    match leaf.extended_key_usage().map_err(|_| SvidError::Extension)? {
        Some(u) if !(u.value.server_auth && u.value.client_auth) => return Err(SvidError::ExtendedKeyUsage),
        _ => {}
    }
    let validity = leaf.validity();
    Ok(Peer {
        id: workload_id(&leaf)?,
        not_before: time(&validity.not_before),
        not_after: time(&validity.not_after),
        thumbprint: thumbprint(leaf_der),
    })
}

fn workload_id(leaf: &X509Certificate<'_>) -> Result<SpiffeId, SvidError> {
    let names = leaf.subject_alternative_name().map_err(|_| SvidError::Extension)?;
    let uris: Vec<&str> = names
        .iter()
        .flat_map(|san| &san.value.general_names)
        .filter_map(|name| if let GeneralName::URI(uri) = name { Some(*uri) } else { None })
        .collect();
    let [uri] = uris.as_slice() else { return Err(SvidError::UriSans { found: uris.len() }) };
    let id = SpiffeId::new(uri)?;
    if id.path().is_empty() { Err(SvidError::NoPath) } else { Ok(id) }
}

fn time(time: &ASN1Time) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(u64::try_from(time.timestamp()).unwrap_or(0))
}

fn thumbprint(der: &[u8]) -> [u8; 32] {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, der);
    let mut print = [0; 32];
    print.copy_from_slice(digest.as_ref());
    print
}

#[cfg(test)]
mod tests;
