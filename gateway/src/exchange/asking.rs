//! The request to a token service: what is asked for, and how the gateway proves who asks.

use super::ExchangeError;
use crate::config::{ServiceClient, Target, WithoutSubject};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokens::{Claims, Secret, SigningError, SigningKey};
use url::form_urlencoded::{Serializer, byte_serialize};

/// `grant_type` of a token exchange (RFC 8693 §2.1).
pub const GRANT_TYPE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
/// Token type of an access token (RFC 8693 §3).
pub const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";
/// Token type of any JWT (RFC 8693 §3).
pub const JWT: &str = "urn:ietf:params:oauth:token-type:jwt";
/// `typ` of the assertions about actors that the gateway signs.
pub const ACTOR_TYPE: &str = "sallyport-actor+jwt";
/// `client_assertion_type` of a JWT (RFC 7523 §2.2).
const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
/// How long an assertion of ours lives.
const ASSERTION_TTL: Duration = Duration::from_secs(60);

/// What a credential is asked for with, owned: the exchange outlives the one who began it.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) caller: String,
    pub(super) subject: Option<Presented>,
    pub(super) audience: String,
    pub(super) scopes: BTreeSet<String>,
    /// SHA-256 of our certificate, base64url.
    pub(super) binding: String,
    pub(super) at: SystemTime,
}

/// The token that the caller presented.
#[derive(Debug)]
pub(super) struct Presented {
    pub(super) token: Secret,
    /// Its token type (RFC 8693 §3).
    pub(super) kind: &'static str,
    pub(super) claims: Claims,
    /// Its chain of actors, as far as its issuer is believed in that.
    pub(super) actors: Vec<String>,
}

/// How a token service is spoken to.
#[derive(Debug)]
pub(super) struct Manner {
    /// Its name as it calls itself: the audience of our assertions.
    pub(super) issuer: String,
    pub(super) actor_key: SigningKey,
    pub(super) client: ServiceClient,
    pub(super) target: Target,
    pub(super) without_subject: WithoutSubject,
}

/// The form of a request, and its `Authorization`.
pub(super) struct Request {
    pub(super) form: String,
    pub(super) authorization: Option<HeaderValue>,
}

impl Manner {
    /// Whether it is asked for the gateway's own credential, which is no exchange.
    pub(super) fn own(&self, asked: &Asked) -> bool {
        asked.subject.is_none() && self.without_subject == WithoutSubject::ClientCredentials
    }

    /// Writes the request (RFC 8693 §2.1, or RFC 6749 §4.4.2).
    pub(super) fn request(&self, asked: &Asked) -> Result<Request, ExchangeError> {
        let mut form = Serializer::new(String::new());
        if self.own(asked) {
            form.append_pair("grant_type", "client_credentials");
        } else {
            let actor = self.actor_assertion(&asked.caller, asked.at)?;
            let subject = asked.subject.as_ref().map_or((&actor, JWT), |s| (&s.token, s.kind));
            form.append_pair("grant_type", GRANT_TYPE)
                .append_pair("subject_token", subject.0.expose())
                .append_pair("subject_token_type", subject.1)
                .append_pair("actor_token", actor.expose())
                .append_pair("actor_token_type", JWT)
                .append_pair("requested_token_type", ACCESS_TOKEN);
        }
        let target = match self.target {
            Target::Audience => "audience",
            Target::Resource => "resource",
        };
        form.append_pair(target, &asked.audience)
            .append_pair("scope", &asked.scopes.iter().map(String::as_str).collect::<Vec<_>>().join(" "));
        let mut authorization = None;
        match &self.client {
            ServiceClient::Svid { id } => {
                if let Some(id) = id {
                    form.append_pair("client_id", id); // RFC 8705 §2: the certificate alone doesn't say which client.
                }
            }
            ServiceClient::Secret { id, secret } => authorization = Some(basic(id, secret)?),
            ServiceClient::Key { id, key } => {
                form.append_pair("client_assertion_type", JWT_BEARER)
                    .append_pair("client_assertion", self.client_assertion(id, key, asked.at)?.expose());
            }
        }
        Ok(Request { form: form.finish(), authorization })
    }

    /// Our word for who calls: `sub` the caller, for the token service alone, a minute at most.
    fn actor_assertion(&self, caller: &str, now: SystemTime) -> Result<Secret, SigningError> {
        self.assertion(&self.actor_key, ACTOR_TYPE, &caller_issuer(&self.actor_key), caller, now)
    }

    /// Who we are (RFC 7523 §3): a new one for each request, since a service takes each only once.
    fn client_assertion(&self, id: &str, key: &SigningKey, now: SystemTime) -> Result<Secret, SigningError> {
        self.assertion(key, "JWT", id, id, now)
    }

    fn assertion(
        &self,
        key: &SigningKey,
        typ: &str,
        issuer: &str,
        subject: &str,
        now: SystemTime,
    ) -> Result<Secret, SigningError> {
        let at = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let claims = json!({
            "iss": issuer,
            "sub": subject,
            "aud": self.issuer,
            "iat": at,
            "exp": at + ASSERTION_TTL.as_secs(),
            "jti": tokens::sign::token_id()?,
        });
        let claims: Map<String, Value> = claims.as_object().cloned().unwrap_or_default();
        key.sign(typ, &claims)
    }
}

/// The actor assertions' `iss`: the key's own name, since they are verified with that key and no other.
pub fn caller_issuer(key: &SigningKey) -> String {
    format!("urn:sallyport:actor:{}", key.kid())
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
    use std::collections::BTreeMap;
    use tokens::{Expect, Keys};

    fn manner(client: ServiceClient, without_subject: WithoutSubject, target: Target) -> Manner {
        let actor_key = SigningKey::generate().unwrap();
        Manner { issuer: "https://tokens.test".into(), actor_key, client, target, without_subject }
    }

    fn asked(subject: Option<&str>) -> Asked {
        Asked {
            caller: "spiffe://bank.test/agent/clerk".into(),
            subject: subject.map(|token| Presented {
                token: Secret::new(token),
                kind: ACCESS_TOKEN,
                claims: Claims::default(),
                actors: vec![],
            }),
            audience: "spiffe://bank.test/mcp/ledger".into(),
            scopes: ["b".to_owned(), "a".to_owned()].into(),
            binding: String::new(),
            at: UNIX_EPOCH + Duration::from_secs(1000),
        }
    }

    fn form(request: &Request) -> BTreeMap<String, String> {
        url::form_urlencoded::parse(request.form.as_bytes()).into_owned().collect()
    }

    fn svid(id: Option<&str>) -> ServiceClient {
        ServiceClient::Svid { id: id.map(ToOwned::to_owned) }
    }

    #[test]
    fn a_jwt_svid_is_exchanged_as_what_it_is() {
        let manner = manner(svid(None), WithoutSubject::Exchange, Target::Audience);
        let mut asked = asked(Some("a workloads"));
        asked.subject.as_mut().unwrap().kind = JWT;
        assert_eq!(form(&manner.request(&asked).unwrap())["subject_token_type"], JWT);
    }

    #[test]
    fn a_subject_token_is_exchanged_with_our_word_for_the_actor() {
        let manner = manner(svid(None), WithoutSubject::ClientCredentials, Target::Audience);
        let form = form(&manner.request(&asked(Some("alices"))).unwrap());
        assert_eq!((form["grant_type"].as_str(), form["subject_token"].as_str()), (GRANT_TYPE, "alices"));
        assert_eq!(form["subject_token_type"], ACCESS_TOKEN);
        assert_eq!(form["scope"], "a b");
        assert_eq!(form["audience"], "spiffe://bank.test/mcp/ledger");
        assert!(form.contains_key("actor_token"));
        assert!(!form.contains_key("resource") && !form.contains_key("client_id"));
    }

    #[test]
    fn without_a_subject_the_caller_is_it_or_nobody_is() {
        for (without, grant) in [
            (WithoutSubject::Exchange, GRANT_TYPE),
            (WithoutSubject::ClientCredentials, "client_credentials"),
        ] {
            let manner = manner(svid(Some("gw")), without, Target::Resource);
            let form = form(&manner.request(&asked(None)).unwrap());
            assert_eq!(form["grant_type"], grant);
            assert_eq!(form.get("subject_token"), form.get("actor_token"));
            assert_eq!(form.contains_key("actor_token"), grant == GRANT_TYPE);
            assert_eq!(
                (form["resource"].as_str(), form["client_id"].as_str()),
                ("spiffe://bank.test/mcp/ledger", "gw")
            );
            assert!(!form.contains_key("audience"));
        }
    }

    #[test]
    fn a_secret_goes_into_the_header_encoded_and_nowhere_else() {
        let client = ServiceClient::Secret { id: "g:w".into(), secret: Secret::new("s%: é") };
        let manner = manner(client, WithoutSubject::Exchange, Target::Audience);
        let request = manner.request(&asked(Some("alices"))).unwrap();
        let header = request.authorization.clone().unwrap();
        assert_eq!(header, format!("Basic {}", STANDARD.encode("g%3Aw:s%25%3A+%C3%A9")).as_str());
        assert!(header.is_sensitive());
        assert!(!format!("{manner:?}").contains("s%"), "nor does Debug print it");
        assert!(!form(&request).contains_key("client_secret"));
    }

    #[test]
    fn a_client_assertion_is_for_the_service_alone_and_never_the_same() {
        let key = SigningKey::generate().unwrap();
        let keys = Keys::from_jwks(SigningKey::jwks([&key]).to_string().as_bytes()).unwrap();
        let client = ServiceClient::Key { id: "gw".into(), key: Box::new(key) };
        let manner = manner(client, WithoutSubject::Exchange, Target::Audience);
        let asked = asked(Some("alices"));
        let claims = || {
            let form = form(&manner.request(&asked).unwrap());
            assert_eq!(form["client_assertion_type"], JWT_BEARER);
            let expect = Expect {
                issuer: "gw".into(),
                audiences: vec!["https://tokens.test".into()],
                types: vec![],
                leeway: Duration::ZERO,
            };
            tokens::verify(&form["client_assertion"], &keys, &expect, asked.at).unwrap()
        };
        let (first, second) = (claims(), claims());
        assert_eq!((first.sub.as_str(), first.exp), ("gw", 1060));
        assert_ne!(first.jti, second.jti);
    }
}
