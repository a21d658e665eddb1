//! A trust bundle as its domain publishes it: the SPIFFE bundle format, a JWK set with X.509 authorities in it (SPIFFE
//! Trust Domain and Bundle standard §4), or plain PEM.

use crate::identity::IdentityError;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use serde::Deserialize;
use std::time::Duration;

/// What a document says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    /// The X.509 authorities; at least one.
    pub authorities: Vec<CertificateDer<'static>>,
    /// Counts the bundle's versions (§4.1.1), where the document says it.
    pub sequence: Option<u64>,
    /// How often its domain wants to be asked (§4.1.2), where the document says it.
    pub refresh_hint: Option<Duration>,
}

#[derive(Deserialize)]
struct Document {
    spiffe_sequence: Option<u64>,
    spiffe_refresh_hint: Option<u64>,
    keys: Vec<Key>,
}

#[derive(Deserialize)]
struct Key {
    #[serde(rename = "use")]
    purpose: Option<String>,
    #[serde(default)]
    x5c: Vec<String>,
}

/// Reads a document. Keys of other uses, JWT authorities among them, are left out (§4.2.2).
///
/// # Errors
/// [`IdentityError::Bundle`] if it can't be read, or holds no X.509 authority.
pub fn read(document: &[u8]) -> Result<Published, IdentityError> {
    if !document.trim_ascii_start().starts_with(b"{") {
        let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(document).collect();
        let authorities = all.map_err(|_| IdentityError::Bundle)?;
        return some(Published { authorities, sequence: None, refresh_hint: None });
    }
    let document: Document = serde_json::from_slice(document).map_err(|_| IdentityError::Bundle)?;
    let mut authorities = Vec::new();
    for key in document.keys.iter().filter(|key| key.purpose.as_deref() == Some("x509-svid")) {
        let [certificate] = key.x5c.as_slice() else { return Err(IdentityError::Bundle) }; // §4.2.1: exactly one.
        authorities.push(der(certificate)?);
    }
    some(Published {
        authorities,
        sequence: document.spiffe_sequence,
        refresh_hint: document.spiffe_refresh_hint.map(Duration::from_secs),
    })
}

fn some(published: Published) -> Result<Published, IdentityError> {
    if published.authorities.is_empty() { Err(IdentityError::Bundle) } else { Ok(published) }
}

/// `x5c` is base64, not base64url (RFC 7517 §4.7): what stands between PEM's lines.
fn der(base64: &str) -> Result<CertificateDer<'static>, IdentityError> {
    let pem = format!("-----BEGIN CERTIFICATE-----\n{base64}\n-----END CERTIFICATE-----\n");
    CertificateDer::from_pem_slice(pem.as_bytes()).map_err(|_| IdentityError::Bundle)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test ends by panicking")]
    use super::*;

    fn pem() -> String {
        let key = rcgen::KeyPair::generate().unwrap();
        rcgen::CertificateParams::new(vec![]).unwrap().self_signed(&key).unwrap().pem()
    }

    fn base64(pem: &str) -> String {
        pem.lines().filter(|line| !line.starts_with("-----")).collect()
    }

    #[test]
    fn the_authorities_of_either_form_are_the_same() {
        let pem = pem();
        let json = format!(
            r#"{{"spiffe_sequence": 7, "spiffe_refresh_hint": 60,
                 "keys": [{{"kty": "EC", "use": "jwt-svid", "kid": "a"}}, {{"kty": "EC", "use": "x509-svid", "x5c": ["{}"]}}]}}"#,
            base64(&pem)
        );
        let (plain, document) = (read(pem.as_bytes()).unwrap(), read(json.as_bytes()).unwrap());
        assert_eq!(plain.authorities, document.authorities);
        assert_eq!((document.sequence, document.refresh_hint), (Some(7), Some(Duration::from_secs(60))));
    }

    #[test]
    fn a_document_without_an_authority_is_no_bundle() {
        let certificate = base64(&pem());
        let key = |x5c: &str| format!(r#"{{"keys": [{{"use": "x509-svid", "x5c": [{x5c}]}}]}}"#);
        assert!(read(key(&format!("\"{certificate}\"")).as_bytes()).is_ok());
        for broken in [
            String::new(),
            "{}".into(),
            r#"{"keys": []}"#.into(),
            r#"{"keys": [{"use": "jwt-svid"}]}"#.into(),
            key(""),
            key("\"!\""),
            key(&format!("\"{certificate}\", \"{certificate}\"")),
        ] {
            assert!(read(broken.as_bytes()).is_err(), "{broken}");
        }
    }
}
