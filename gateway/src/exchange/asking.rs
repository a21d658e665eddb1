//! What a token service is asked for, and the gateway's word for who calls.

use super::ExchangeError;
use super::id_jag::ID_JAG;
use crate::config::Target;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokens::{Claims, Secret, SigningError, SigningKey};
use url::form_urlencoded::Serializer;

/// `grant_type` of a token exchange (RFC 8693 §2.1).
pub const GRANT_TYPE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
/// Token type of an access token (RFC 8693 §3).
pub const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";
/// Token type of any JWT (RFC 8693 §3).
pub const JWT: &str = "urn:ietf:params:oauth:token-type:jwt";
/// Token type of an ID token (RFC 8693 §3).
pub(super) const ID_TOKEN: &str = "urn:ietf:params:oauth:token-type:id_token";
/// `typ` of the assertions about actors that the gateway signs.
pub const ACTOR_TYPE: &str = "sallyport-actor+jwt";
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
    /// Whether it is a JWT-SVID, and no token of an authorization server.
    pub(super) is_jwt_svid: bool,
    pub(super) claims: Claims,
    /// Its chain of actors, as far as its issuer is believed in that.
    pub(super) actors: Vec<String>,
}

/// How a token service is spoken to.
#[derive(Debug)]
pub(super) struct Manner {
    /// Its name as it calls itself: the audience of our assertions.
    pub(super) issuer: String,
    /// Signs who calls.
    pub(super) actor_key: SigningKey,
    /// Whether that is said where somebody else is the subject.
    pub(super) names_actor: bool,
    pub(super) wanted: Wanted,
}

/// What is wanted of it.
#[derive(Debug)]
pub(super) enum Wanted {
    /// An access token for an upstream, which this parameter names.
    AccessToken(Target),
    /// An assertion for another token service, in exchange for subject tokens of this type.
    IdJag { audience: String, subject_token: &'static str },
}

impl Asked {
    /// The scopes as a request has them.
    pub(super) fn scope(&self) -> String {
        self.scopes.iter().map(String::as_str).collect::<Vec<_>>().join(" ")
    }
}

impl Manner {
    /// The form that asks for the gateway's own credential (RFC 6749 §4.4.2).
    pub(super) fn own(&self, asked: &Asked) -> String {
        let mut form = Serializer::new(String::new());
        form.append_pair("grant_type", "client_credentials");
        self.target(&mut form, asked);
        form.finish()
    }

    /// The form of an exchange (RFC 8693 §2.1).
    pub(super) fn exchange(&self, asked: &Asked) -> Result<String, ExchangeError> {
        let actor = self.actor_assertion(&asked.caller, asked.at)?;
        let (wanted, presented) = match &self.wanted {
            Wanted::AccessToken(_) => (ACCESS_TOKEN, ACCESS_TOKEN),
            Wanted::IdJag { subject_token, .. } => (ID_JAG, *subject_token),
        };
        let (subject, kind) = match &asked.subject {
            Some(subject) if subject.is_jwt_svid => (&subject.token, JWT),
            Some(subject) => (&subject.token, presented),
            None => (&actor, JWT),
        };
        let mut form = Serializer::new(String::new());
        form.append_pair("grant_type", GRANT_TYPE)
            .append_pair("subject_token", subject.expose())
            .append_pair("subject_token_type", kind);
        if self.names_actor {
            form.append_pair("actor_token", actor.expose()).append_pair("actor_token_type", JWT);
        }
        form.append_pair("requested_token_type", wanted);
        self.target(&mut form, asked);
        Ok(form.finish())
    }

    fn target(&self, form: &mut Serializer<'_, String>, asked: &Asked) {
        match &self.wanted {
            Wanted::AccessToken(Target::Audience) => form.append_pair("audience", &asked.audience),
            Wanted::AccessToken(Target::Resource) => form.append_pair("resource", &asked.audience),
            Wanted::IdJag { audience, .. } => {
                form.append_pair("audience", audience).append_pair("resource", &asked.audience)
            }
        };
        form.append_pair("scope", &asked.scope());
    }

    /// Our word for who calls: `sub` the caller, for the token service alone, a minute at most.
    fn actor_assertion(&self, caller: &str, now: SystemTime) -> Result<Secret, SigningError> {
        let key = &self.actor_key;
        assertion(key, ACTOR_TYPE, &caller_issuer(key), caller, &self.issuer, now)
    }
}

/// A JWT of ours about a subject, for one audience, that nobody can use twice where that is looked at.
pub(super) fn assertion(
    key: &SigningKey,
    typ: &str,
    issuer: &str,
    subject: &str,
    audience: &str,
    now: SystemTime,
) -> Result<Secret, SigningError> {
    let at = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let claims = json!({
        "iss": issuer,
        "sub": subject,
        "aud": audience,
        "iat": at,
        "exp": at + ASSERTION_TTL.as_secs(),
        "jti": tokens::sign::token_id()?,
    });
    let claims: Map<String, Value> = claims.as_object().cloned().unwrap_or_default();
    key.sign(typ, &claims)
}

/// The actor assertions' `iss`: the key's own name, since they are verified with that key and no other.
pub fn caller_issuer(key: &SigningKey) -> String {
    format!("urn:sallyport:actor:{}", key.kid())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test ends by panicking")]
    use super::*;
    use std::collections::BTreeMap;

    fn manner(wanted: Wanted) -> Manner {
        let actor_key = SigningKey::generate().unwrap();
        Manner { issuer: "https://tokens.test".into(), actor_key, names_actor: true, wanted }
    }

    fn asked(subject: Option<&str>) -> Asked {
        Asked {
            caller: "spiffe://bank.test/agent/clerk".into(),
            subject: subject.map(|token| Presented {
                token: Secret::new(token),
                is_jwt_svid: false,
                claims: Claims::default(),
                actors: vec![],
            }),
            audience: "spiffe://bank.test/mcp/ledger".into(),
            scopes: ["b".to_owned(), "a".to_owned()].into(),
            binding: String::new(),
            at: UNIX_EPOCH + Duration::from_secs(1000),
        }
    }

    fn pairs(form: &str) -> BTreeMap<String, String> {
        url::form_urlencoded::parse(form.as_bytes()).into_owned().collect()
    }

    fn exchange(manner: &Manner, asked: &Asked) -> BTreeMap<String, String> {
        pairs(&manner.exchange(asked).unwrap())
    }

    #[test]
    fn a_jwt_svid_is_exchanged_as_what_it_is() {
        let mut asked = asked(Some("a workloads"));
        asked.subject.as_mut().unwrap().is_jwt_svid = true;
        let id_jag = Wanted::IdJag { audience: "https://resource.test".into(), subject_token: ID_TOKEN };
        for wanted in [Wanted::AccessToken(Target::Audience), id_jag] {
            assert_eq!(exchange(&manner(wanted), &asked)["subject_token_type"], JWT);
        }
    }

    #[test]
    fn a_subject_token_is_exchanged_with_our_word_for_the_actor() {
        let form = exchange(&manner(Wanted::AccessToken(Target::Audience)), &asked(Some("alices")));
        assert_eq!((form["grant_type"].as_str(), form["subject_token"].as_str()), (GRANT_TYPE, "alices"));
        assert_eq!(form["subject_token_type"], ACCESS_TOKEN);
        assert_eq!(form["requested_token_type"], ACCESS_TOKEN);
        assert_eq!(form["scope"], "a b");
        assert_eq!(form["audience"], "spiffe://bank.test/mcp/ledger");
        assert!(form.contains_key("actor_token"));
        assert!(!form.contains_key("resource") && !form.contains_key("client_id"));
    }

    #[test]
    fn an_id_jag_is_for_the_token_service_and_says_for_which_resource() {
        let mut manner =
            manner(Wanted::IdJag { audience: "https://resource.test".into(), subject_token: ID_TOKEN });
        for named in [true, false] {
            let form = exchange(&manner, &asked(Some("alices")));
            assert_eq!(form["requested_token_type"], ID_JAG);
            assert_eq!(form["subject_token_type"], ID_TOKEN);
            assert_eq!(
                (form["audience"].as_str(), form["resource"].as_str()),
                ("https://resource.test", "spiffe://bank.test/mcp/ledger")
            );
            assert_eq!(form.contains_key("actor_token"), named);
            manner.names_actor = false;
        }
        assert_eq!(
            exchange(&manner, &asked(None))["subject_token_type"],
            JWT,
            "then the caller is the subject"
        );
    }

    #[test]
    fn without_a_subject_the_caller_is_it_or_nobody_is() {
        let manner = manner(Wanted::AccessToken(Target::Resource));
        let asked = asked(None);
        for (form, grant) in
            [(exchange(&manner, &asked), GRANT_TYPE), (pairs(&manner.own(&asked)), "client_credentials")]
        {
            assert_eq!(form["grant_type"], grant);
            assert_eq!(form.get("subject_token"), form.get("actor_token"));
            assert_eq!(form.contains_key("actor_token"), grant == GRANT_TYPE);
            assert_eq!(form["resource"], "spiffe://bank.test/mcp/ledger");
            assert!(!form.contains_key("audience"));
        }
    }
}
