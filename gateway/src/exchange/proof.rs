//! How the gateway proves to a token service who asks.

use super::ExchangeError;
use super::asking::assertion;
use crate::config::{Assertion, ServiceClient};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use certs::Identity;
use certs::jwt::JwtSvids;
use http::HeaderValue;
use std::time::{Duration, SystemTime};
use tokens::{Secret, SigningKey};
use url::form_urlencoded::{Serializer, byte_serialize};

/// `client_assertion_type` of a JWT (RFC 7523 §2.2).
const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
/// `client_assertion_type` of a JWT-SVID (draft-ietf-oauth-spiffe-client-auth §3.1).
const JWT_SPIFFE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-spiffe";

/// What the gateway has for one service.
#[derive(Debug)]
pub(super) enum Proof {
    /// The certificate of the connection, and a name.
    Svid {
        id: Option<String>,
    },
    Secret {
        id: String,
        secret: Secret,
    },
    /// A key, and for whom its assertions are.
    Key {
        id: String,
        key: Box<SigningKey>,
        audience: String,
    },
    JwtSvid {
        id: String,
        assertion_type: &'static str,
        svids: JwtSvids,
    },
}

/// What one request carries of it.
#[derive(Debug, Default)]
pub(super) struct Shown {
    client_id: Option<String>,
    assertion: Option<(&'static str, Secret)>,
    pub(super) authorization: Option<HeaderValue>,
}

impl Proof {
    /// Proves it to the service of this name.
    pub(super) fn new(client: ServiceClient, service: &str) -> Self {
        match client {
            ServiceClient::Svid { id } => Self::Svid { id },
            ServiceClient::Secret { id, secret } => Self::Secret { id, secret },
            ServiceClient::Key { id, key } => Self::Key { id, key, audience: service.to_owned() },
            ServiceClient::JwtSvid { id, assertion, endpoint } => Self::JwtSvid {
                id,
                assertion_type: match assertion {
                    Assertion::JwtSpiffe => JWT_SPIFFE,
                    Assertion::JwtBearer => JWT_BEARER,
                },
                svids: JwtSvids::new(&endpoint, service), // Its issuer, and nobody else: RFC 7523bis.
            },
        }
    }

    /// For one request: an assertion of our own is a new one each time, since a service takes each only once. The Workload
    /// API may take as long as `wait`.
    pub(super) async fn shown(
        &self,
        identity: &Identity,
        now: SystemTime,
        wait: Duration,
    ) -> Result<Shown, ExchangeError> {
        Ok(match self {
            // RFC 8705 §2: the certificate alone doesn't say which client.
            Self::Svid { id } => Shown { client_id: id.clone(), ..Shown::default() },
            Self::Secret { id, secret } => {
                Shown { authorization: Some(basic(id, secret)?), ..Shown::default() }
            }
            Self::Key { id, key, audience } => {
                let signed = assertion(key, "JWT", id, id, audience, now)?; // RFC 7523 §3.
                Shown { assertion: Some((JWT_BEARER, signed)), ..Shown::default() }
            }
            Self::JwtSvid { id, assertion_type, svids } => {
                let svid = svids.current(&identity.svid.peer().id, now, wait).await?;
                let assertion = Some((*assertion_type, Secret::new(svid.token())));
                Shown { client_id: Some(id.clone()), assertion, authorization: None }
            }
        })
    }
}

impl Shown {
    /// The form with it.
    pub(super) fn added_to(&self, form: &str) -> String {
        let mut form = Serializer::new(form.to_owned());
        if let Some(id) = &self.client_id {
            form.append_pair("client_id", id);
        }
        if let Some((kind, assertion)) = &self.assertion {
            form.append_pair("client_assertion_type", kind)
                .append_pair("client_assertion", assertion.expose());
        }
        form.finish()
    }
}

/// HTTP Basic, with both parts encoded as a form's (RFC 6749 §2.3.1).
fn basic(id: &str, secret: &Secret) -> Result<HeaderValue, ExchangeError> {
    let encoded = |text: &str| byte_serialize(text.as_bytes()).collect::<String>();
    let pair = format!("{}:{}", encoded(id), encoded(secret.expose()));
    let mut header = HeaderValue::try_from(format!("Basic {}", STANDARD.encode(pair)))
        .map_err(|_| ExchangeError::Header)?;
    header.set_sensitive(true);
    Ok(header)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test ends by panicking")]
    use super::*;
    use certs::development::Domain;
    use certs::files::FileSource;
    use certs::{Clock, IdentitySource, TrustDomain};
    use std::collections::BTreeMap;
    use std::sync::Arc;
    use std::time::UNIX_EPOCH;
    use tokens::{Expect, Keys};

    fn identity() -> Arc<Identity> {
        let dir = tempfile::tempdir().unwrap();
        let clock = Clock::system();
        let domain = Domain::open(dir.path(), &TrustDomain::new("a.test").unwrap(), &clock).unwrap();
        let svid = domain.write_svid(dir.path(), &domain.id("gateway").unwrap(), &[], clock.now()).unwrap();
        FileSource::open(svid).unwrap().current()
    }

    async fn shown(proof: &Proof) -> (BTreeMap<String, String>, Option<HeaderValue>) {
        let at = UNIX_EPOCH + Duration::from_secs(1000);
        let shown = proof.shown(&identity(), at, Duration::ZERO).await.unwrap();
        let form = shown.added_to("grant_type=a");
        let form: BTreeMap<_, _> = url::form_urlencoded::parse(form.as_bytes()).into_owned().collect();
        assert_eq!(form["grant_type"], "a");
        (form, shown.authorization)
    }

    #[tokio::test]
    async fn a_certificate_goes_with_the_name_that_it_is_known_by_if_it_has_one() {
        for id in [None, Some("gw".to_owned())] {
            let (form, header) = shown(&Proof::Svid { id: id.clone() }).await;
            assert_eq!((form.get("client_id"), header), (id.as_ref(), None));
        }
    }

    #[tokio::test]
    async fn a_secret_goes_into_the_header_encoded_and_nowhere_else() {
        let proof = Proof::Secret { id: "g:w".into(), secret: Secret::new("s%: é") };
        let (form, header) = shown(&proof).await;
        let header = header.unwrap();
        assert_eq!(header, format!("Basic {}", STANDARD.encode("g%3Aw:s%25%3A+%C3%A9")).as_str());
        assert!(header.is_sensitive());
        assert!(!format!("{proof:?}").contains("s%"), "nor does Debug print it");
        assert_eq!(form.len(), 1);
    }

    #[tokio::test]
    async fn a_client_assertion_is_for_the_service_alone_and_never_the_same() {
        let key = SigningKey::generate().unwrap();
        let keys = Keys::from_jwks(SigningKey::jwks([&key]).to_string().as_bytes()).unwrap();
        let client = ServiceClient::Key { id: "gw".into(), key: Box::new(key) };
        let proof = Proof::new(client, "https://tokens.test");
        let mut ids = Vec::new();
        for _ in 0..2 {
            let (form, _) = shown(&proof).await;
            assert_eq!(form["client_assertion_type"], JWT_BEARER);
            let expect = Expect {
                issuer: "gw".into(),
                audiences: vec!["https://tokens.test".into()],
                types: vec![],
                leeway: Duration::ZERO,
            };
            let at = UNIX_EPOCH + Duration::from_secs(1000);
            let claims = tokens::verify(&form["client_assertion"], &keys, &expect, at).unwrap();
            assert_eq!((claims.sub.as_str(), claims.exp), ("gw", 1060));
            ids.push(claims.jti);
        }
        assert_ne!(ids[0], ids[1]);
    }
}
