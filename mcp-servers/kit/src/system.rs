//! How a server reaches the system behind it, where that has no SPIFFE ID: by the authorities that vouch for its certificate, and
//! with a credential in a header.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::{self, PemObject};
use rustls::{ClientConfig, RootCertStore};
use std::path::Path;
use tokens::Secret;

/// How a credential is written (RFC 6750 §2.1, RFC 7617).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// A token.
    Bearer,
    /// `user:password`.
    Basic,
}

/// Why a file of authorities can't be used.
#[derive(Debug, thiserror::Error)]
pub enum AuthoritiesError {
    /// It can't be read, or is no PEM.
    #[error(transparent)]
    Pem(#[from] pem::Error),
    /// Nothing is in it.
    #[error("there is no certificate in it")]
    Empty,
}

/// TLS toward a server that the system's authorities vouch for, or those of a file (PEM) in their place. No certificate is
/// shown.
///
/// # Errors
/// [`AuthoritiesError`].
pub fn client_tls(authorities: Option<&Path>) -> Result<ClientConfig, AuthoritiesError> {
    let found = match authorities {
        Some(path) => CertificateDer::pem_file_iter(path)?.collect::<Result<Vec<_>, _>>()?,
        None => rustls_native_certs::load_native_certs().certs,
    };
    if authorities.is_some() && found.is_empty() {
        return Err(AuthoritiesError::Empty);
    }
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(found);
    Ok(ClientConfig::builder().with_root_certificates(roots).with_no_client_auth())
}

/// The value of an `Authorization` field, marked as sensitive. None: the credential can't stand in one.
pub fn authorization(scheme: Scheme, credential: &Secret) -> Option<HeaderValue> {
    let text = match scheme {
        Scheme::Bearer => format!("Bearer {}", credential.expose()),
        Scheme::Basic => format!("Basic {}", STANDARD.encode(credential.expose())),
    };
    let mut value = HeaderValue::try_from(text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test ends by panicking")]

    use super::*;

    #[test]
    fn a_credential_is_written_by_its_scheme_and_shown_by_no_log() {
        let value = |scheme, text: &str| authorization(scheme, &Secret::new(text.to_owned()));
        let (bearer, basic) =
            (value(Scheme::Bearer, "abc").unwrap(), value(Scheme::Basic, "user:pass").unwrap());
        assert_eq!((bearer.as_bytes(), basic.as_bytes()), (&b"Bearer abc"[..], &b"Basic dXNlcjpwYXNz"[..]));
        assert_eq!(format!("{bearer:?} {basic:?}"), "Sensitive Sensitive");
        assert!(value(Scheme::Bearer, "a\nb").is_none());
    }

    #[test]
    fn a_file_of_authorities_holds_one() {
        certs::install_crypto();
        let file = tempfile::NamedTempFile::new().unwrap();
        assert!(matches!(client_tls(Some(file.path())), Err(AuthoritiesError::Empty)));
        assert!(matches!(client_tls(Some(Path::new("nowhere.pem"))), Err(AuthoritiesError::Pem(_))));
    }
}
