//! Where an issuer's keys are, by its own metadata: RFC 8414 first, then OpenID Connect Discovery 1.0.

use crate::https::{Https, HttpsError};
use serde::Deserialize;
use std::time::Duration;
use url::Url;

/// Why an issuer's metadata names no keys.
#[derive(Debug, thiserror::Error)]
pub enum DiscoveryError {
    /// Neither document is there, or its server is none that we believe.
    #[error("the issuer's metadata could not be fetched")]
    Fetch(#[from] HttpsError),
    /// It isn't what RFC 8414 §2 describes.
    #[error("the issuer's metadata can't be read")]
    Document(#[from] serde_json::Error),
    /// It is another issuer's (RFC 8414 §3.3).
    #[error("the metadata is that of {found:?}")]
    Issuer {
        /// The issuer that it names.
        found: String,
    },
    /// Its `jwks_uri` is no https URL.
    #[error("the metadata's jwks_uri {found:?} is no https URL")]
    JwksUri {
        /// What stands there.
        found: String,
    },
}

/// The longest metadata document that is read.
const METADATA_BYTES_MAX: usize = 64 * 1024;

/// What is read of the metadata.
#[derive(Deserialize)]
struct Metadata {
    issuer: String,
    jwks_uri: String,
}

/// Fetches an issuer's metadata and reads where its keys are. Only a server's word that there is no such document leads to
/// the next one.
///
/// # Errors
/// [`DiscoveryError`]; every one may be tried again.
pub(super) async fn jwks_uri(issuer: &str, https: &Https, timeout: Duration) -> Result<Url, DiscoveryError> {
    let [oauth, openid] = locations(issuer)?;
    let document = match https.get(&oauth, timeout, METADATA_BYTES_MAX).await {
        Err(HttpsError::Status { .. }) => https.get(&openid, timeout, METADATA_BYTES_MAX).await?,
        answer => answer?,
    };
    read(&document, issuer)
}

/// RFC 8414 §3.1 puts the well-known part between host and path, OpenID Connect Discovery §4.1 behind the path.
fn locations(issuer: &str) -> Result<[Url; 2], DiscoveryError> {
    let url = https(issuer)?;
    let path = url.path().trim_end_matches('/').to_owned();
    let at = |path: String| {
        let mut url = url.clone();
        url.set_path(&path);
        url
    };
    Ok([
        at(format!("/.well-known/oauth-authorization-server{path}")),
        at(format!("{path}/.well-known/openid-configuration")),
    ])
}

fn read(document: &[u8], issuer: &str) -> Result<Url, DiscoveryError> {
    let metadata: Metadata = serde_json::from_slice(document)?;
    if metadata.issuer != issuer {
        return Err(DiscoveryError::Issuer { found: metadata.issuer });
    }
    https(&metadata.jwks_uri)
}

fn https(text: &str) -> Result<Url, DiscoveryError> {
    let plain = |url: &Url| url.scheme() == "https" && url.host().is_some() && url.username().is_empty();
    let url = Url::parse(text).ok().filter(plain);
    url.ok_or_else(|| DiscoveryError::JwksUri { found: text.to_owned() })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test ends by panicking")]
    use super::*;

    #[test]
    fn the_documents_are_where_their_specifications_put_them() {
        for (issuer, oauth, openid) in [
            (
                "https://idp.test",
                "https://idp.test/.well-known/oauth-authorization-server",
                "https://idp.test/.well-known/openid-configuration",
            ),
            (
                "https://idp.test:8443/realms/a",
                "https://idp.test:8443/.well-known/oauth-authorization-server/realms/a",
                "https://idp.test:8443/realms/a/.well-known/openid-configuration",
            ),
            (
                "https://idp.test/t/",
                "https://idp.test/.well-known/oauth-authorization-server/t",
                "https://idp.test/t/.well-known/openid-configuration",
            ),
        ] {
            assert_eq!(locations(issuer).unwrap().map(String::from), [oauth, openid]);
        }
    }

    #[test]
    fn a_document_counts_for_the_issuer_that_it_names_and_leads_to_https_only() {
        let document = |issuer: &str, jwks: &str| {
            serde_json::json!({"issuer": issuer, "jwks_uri": jwks, "token_endpoint": "x"}).to_string()
        };
        let read = |text: String| read(text.as_bytes(), "https://idp.test/a");
        let good = document("https://idp.test/a", "https://keys.test/jwks");
        assert_eq!(read(good.clone()).unwrap().as_str(), "https://keys.test/jwks");
        for other in ["https://idp.test/a/", "https://idp.test/A", "https://idp.test", "http://idp.test/a"] {
            let refused = read(document(other, "https://keys.test/jwks"));
            assert!(matches!(refused, Err(DiscoveryError::Issuer { .. })), "{other}");
        }
        for uri in ["http://keys.test/jwks", "file:///etc/passwd", "/jwks", "", "https://me@keys.test/jwks"] {
            let refused = read(document("https://idp.test/a", uri));
            assert!(matches!(refused, Err(DiscoveryError::JwksUri { .. })), "{uri}");
        }
        let twice = good.replace('}', r#","issuer":"https://idp.test/a"}"#);
        for text in [twice, good.replace("jwks_uri", "jwks"), good.replace(":\"x\"", ":"), "[]".to_owned()] {
            assert!(matches!(read(text.clone()), Err(DiscoveryError::Document(_))), "{text}");
        }
    }
}
