//! A development trust domain: an authority in a file, and SVIDs of one hour that it writes into files and renews.
//! For one machine and for tests; in production identities come from SPIRE or another SPIFFE implementation.

use crate::clock::Clock;
use crate::files::{self, Paths};
use crate::identity::IdentityError;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, SanType, string::Ia5String,
};
use spiffe::{SpiffeId, TrustDomain};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// How long an SVID lives.
pub const SVID_TTL: Duration = Duration::from_secs(3600);
/// How long the authority lives: a laptop's state folder outlives many SVIDs.
const AUTHORITY_TTL: Duration = Duration::from_secs(5 * 365 * 24 * 3600);
/// Clocks of containers on one machine differ a little.
const BACKDATED: Duration = Duration::from_secs(60);

/// The authority of one trust domain.
pub struct Domain {
    name: TrustDomain,
    issuer: Issuer<'static, KeyPair>,
    authority_pem: String,
}

/// A certificate with its key, both in PEM.
pub struct Issued {
    /// The leaf.
    pub certificate: String,
    /// Its PKCS #8 key.
    pub private_key: String,
}

impl Domain {
    /// Opens the authority in `dir` (`ca.pem`, `ca.key` with mode 0600), or makes one.
    ///
    /// # Errors
    /// [`IdentityError`] if the folder can't be used or holds another trust domain's authority.
    pub fn open(dir: &Path, name: &TrustDomain, clock: &Clock) -> Result<Self, IdentityError> {
        let (certificate, key) = (dir.join("ca.pem"), dir.join("ca.key"));
        if !certificate.exists() {
            std::fs::create_dir_all(dir)
                .map_err(|source| IdentityError::Write { path: dir.display().to_string(), source })?;
            let (pem, private_key) = new_authority(name, clock.now())?;
            files::write(&key, private_key.as_bytes(), 0o600)?;
            files::write(&certificate, pem.as_bytes(), 0o644)?;
        }
        let pem = String::from_utf8_lossy(&files::read(&certificate)?).into_owned();
        let key_pem = String::from_utf8_lossy(&files::read(&key)?).into_owned();
        let issuer = Issuer::from_ca_cert_pem(&pem, KeyPair::from_pem(&key_pem)?)?;
        if !names_domain(&pem, name) {
            return Err(IdentityError::OtherTrustDomain {
                path: certificate.display().to_string(),
                wanted: name.to_string(),
            });
        }
        Ok(Self { name: name.clone(), issuer, authority_pem: pem })
    }

    /// The domain's name.
    pub fn name(&self) -> &TrustDomain {
        &self.name
    }

    /// The trust bundle, in PEM.
    pub fn bundle(&self) -> &str {
        &self.authority_pem
    }

    /// The SPIFFE ID of a workload of this domain, from its path (`agent/demo`).
    ///
    /// # Errors
    /// [`IdentityError::Svid`] if the path isn't one.
    pub fn id(&self, path: &str) -> Result<SpiffeId, IdentityError> {
        SpiffeId::new(format!("spiffe://{}/{path}", self.name)).map_err(|e| IdentityError::Svid(e.into()))
    }

    /// Issues an SVID that ends `ttl` from now. `hosts` become DNS or IP SANs, for clients that check host names.
    ///
    /// # Errors
    /// [`IdentityError`] if a name can't stand in a certificate.
    pub fn issue(
        &self,
        id: &SpiffeId,
        hosts: &[&str],
        ttl: Duration,
        now: SystemTime,
    ) -> Result<Issued, IdentityError> {
        let mut leaf = CertificateParams::new(hosts.iter().map(|h| (*h).to_owned()).collect::<Vec<_>>())?;
        leaf.subject_alt_names.push(SanType::URI(Ia5String::try_from(id.to_string())?));
        leaf.distinguished_name = DistinguishedName::new();
        leaf.is_ca = IsCa::ExplicitNoCa;
        leaf.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        leaf.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        leaf.not_before = (now - BACKDATED).into();
        leaf.not_after = (now + ttl).into();
        leaf.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate()?;
        let certificate = leaf.signed_by(&key, &self.issuer)?;
        Ok(Issued { certificate: certificate.pem(), private_key: key.serialize_pem() })
    }

    /// Writes an SVID of [`SVID_TTL`] for a workload into `dir`: `cert.pem`, `key.pem` (0600), `bundle.pem`.
    ///
    /// # Errors
    /// [`IdentityError`] if it can't be issued or written.
    pub fn write_svid(
        &self,
        dir: &Path,
        id: &SpiffeId,
        hosts: &[&str],
        now: SystemTime,
    ) -> Result<Paths, IdentityError> {
        std::fs::create_dir_all(dir)
            .map_err(|source| IdentityError::Write { path: dir.display().to_string(), source })?;
        let issued = self.issue(id, hosts, SVID_TTL, now)?;
        let paths = paths_in(dir);
        files::write(&paths.private_key, issued.private_key.as_bytes(), 0o600)?;
        files::write(&paths.certificate, issued.certificate.as_bytes(), 0o644)?;
        files::write(&paths.trust_bundle, self.authority_pem.as_bytes(), 0o644)?;
        Ok(paths)
    }
}

impl std::fmt::Debug for Domain {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Domain({})", self.name)
    }
}

/// Where [`Domain::write_svid`] puts a workload's files.
pub fn paths_in(dir: &Path) -> Paths {
    let file = |name: &str| -> PathBuf { dir.join(name) };
    Paths { certificate: file("cert.pem"), private_key: file("key.pem"), trust_bundle: file("bundle.pem") }
}

fn new_authority(name: &TrustDomain, now: SystemTime) -> Result<(String, String), IdentityError> {
    let mut params = CertificateParams::new(Vec::<String>::new())?;
    params.distinguished_name.push(DnType::CommonName, format!("{name} development authority"));
    params.subject_alt_names.push(SanType::URI(Ia5String::try_from(format!("spiffe://{name}"))?));
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.not_before = (now - BACKDATED).into();
    params.not_after = (now + AUTHORITY_TTL).into();
    let key = KeyPair::generate()?;
    Ok((params.self_signed(&key)?.pem(), key.serialize_pem()))
}

/// The authority's own URI SAN says whose it is.
fn names_domain(pem: &str, name: &TrustDomain) -> bool {
    use rustls::pki_types::{CertificateDer, pem::PemObject};
    use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};
    let Ok(der) = CertificateDer::from_pem_slice(pem.as_bytes()) else { return false };
    let Ok((_, certificate)) = X509Certificate::from_der(&der) else { return false };
    let wanted = format!("spiffe://{name}");
    matches!(certificate.subject_alternative_name(), Ok(Some(san))
        if san.value.general_names.iter().any(|n| matches!(n, GeneralName::URI(uri) if *uri == wanted)))
}
