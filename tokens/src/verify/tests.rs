//! Each refused token has an accepted twin that differs in the one thing.
#![allow(clippy::unwrap_used, reason = "a test ends by panicking")]

use super::*;
use crate::SigningKey;
use crate::keys::KeysError;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value, json};

const NOW: u64 = 1_800_000_000;

fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(NOW)
}

fn expect() -> Expect {
    Expect {
        issuer: "https://issuer.test".into(),
        audiences: vec!["https://gw.test".into()],
        types: vec!["at+jwt".into()],
        leeway: Duration::from_secs(5),
    }
}

fn good() -> Map<String, Value> {
    json!({"iss": "https://issuer.test", "sub": "alice", "aud": "https://gw.test", "exp": NOW + 60, "nbf": NOW,
           "scope": "a b", "act": {"sub": "one", "act": {"sub": "two"}}})
    .as_object()
    .unwrap()
    .clone()
}

struct Issuer {
    key: SigningKey,
    keys: Keys,
}

fn issuer() -> Issuer {
    let key = SigningKey::generate().unwrap();
    let keys = Keys::from_jwks(SigningKey::jwks([&key]).to_string().as_bytes()).unwrap();
    Issuer { key, keys }
}

impl Issuer {
    fn judge(&self, claims: Value) -> Result<Claims, TokenError> {
        let mut all = good();
        for (name, value) in claims.as_object().unwrap() {
            if value.is_null() {
                all.remove(name)
            } else {
                all.insert(name.clone(), value.clone())
            };
        }
        verify(self.key.sign("at+jwt", &all).unwrap().expose(), &self.keys, &expect(), now())
    }
}

/// A token with any header at all; the signature is the caller's.
fn raw(header: Value, claims: &Map<String, Value>, signature: &[u8]) -> String {
    let b64 = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    format!(
        "{}.{}.{}",
        b64(header.to_string().as_bytes()),
        b64(&serde_json::to_vec(claims).unwrap()),
        b64(signature)
    )
}

/// The same with a signature that holds.
fn signed(header: &str, payload: &str, key: &SigningKey) -> String {
    let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(payload));
    let key = jsonwebtoken::EncodingKey::from_ec_der(key.to_pkcs8());
    let signature =
        jsonwebtoken::crypto::sign(message.as_bytes(), &key, jsonwebtoken::Algorithm::ES256).unwrap();
    format!("{message}.{signature}")
}

#[test]
fn a_good_token_is_read() {
    let claims = issuer().judge(json!({})).unwrap();
    assert_eq!(claims.sub, "alice");
    assert_eq!(claims.scopes.iter().collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(claims.actors, ["one", "two"]);
}

#[test]
fn time_is_judged_with_the_leeway_and_no_more() {
    let issuer = issuer();
    assert!(issuer.judge(json!({"exp": NOW - 4})).is_ok());
    assert!(matches!(issuer.judge(json!({"exp": NOW - 5})), Err(TokenError::Expired)));
    assert!(issuer.judge(json!({"nbf": NOW + 5})).is_ok());
    assert!(matches!(issuer.judge(json!({"nbf": NOW + 6})), Err(TokenError::NotYetValid)));
    assert!(matches!(issuer.judge(json!({"iat": NOW + 6})), Err(TokenError::NotYetValid)));
}

#[test]
fn required_claims_are_required() {
    for name in ["iss", "sub", "aud", "exp"] {
        let refused = issuer().judge(json!({ name: null }));
        assert!(
            matches!(refused, Err(TokenError::Claim(ClaimError(missing))) if missing == name),
            "{name}: {refused:?}"
        );
    }
}

#[test]
fn claims_of_the_wrong_type_are_refused() {
    for claims in [
        json!({"exp": "soon"}),
        json!({"exp": -1}),
        json!({"exp": u64::MAX}),
        json!({"exp": 1e300}),
        json!({"nbf": 253_402_300_800_u64}),
        json!({"aud": [1]}),
        json!({"aud": []}),
        json!({"sub": ""}),
        json!({"scope": ["a"]}),
        json!({"scope": null, "scp": [1]}),
        json!({"act": "one"}),
        json!({"act": {"act": {"sub": "two"}}}),
        json!({"cnf": {"jkt": "x"}}),
    ] {
        assert!(matches!(issuer().judge(claims.clone()), Err(TokenError::Claim(_))), "{claims}");
    }
}

#[test]
fn issuer_and_audience_must_match() {
    let issuer = issuer();
    assert!(matches!(issuer.judge(json!({"iss": "https://issuer.test/"})), Err(TokenError::Issuer)));
    assert!(matches!(issuer.judge(json!({"aud": "https://gw.test/mcp"})), Err(TokenError::Audience)));
    assert!(issuer.judge(json!({"aud": ["https://other.test", "https://gw.test"]})).is_ok());
}

#[test]
fn a_token_of_another_type_is_refused() {
    let issuer = issuer();
    let token = issuer.key.sign("sallyport-actor+jwt", &good()).unwrap();
    assert!(matches!(verify(token.expose(), &issuer.keys, &expect(), now()), Err(TokenError::Type { .. })));
}

#[test]
fn the_algorithm_is_the_keys_and_never_the_tokens() {
    let issuer = issuer();
    let kid = issuer.key.kid();
    let none = raw(json!({"alg": "none", "typ": "at+jwt", "kid": kid}), &good(), b"");
    assert!(matches!(verify(&none, &issuer.keys, &expect(), now()), Err(TokenError::Algorithm { .. })));
    // The published key, used as an HMAC secret: the classic confusion.
    let public = SigningKey::jwks([&issuer.key]).to_string();
    let header =
        jsonwebtoken::Header { typ: Some("at+jwt".into()), kid: Some(kid.into()), ..Default::default() };
    let confused =
        jsonwebtoken::encode(&header, &good(), &jsonwebtoken::EncodingKey::from_secret(public.as_bytes()))
            .unwrap();
    assert!(matches!(verify(&confused, &issuer.keys, &expect(), now()), Err(TokenError::Algorithm { .. })));
}

#[test]
fn critical_headers_unknown_keys_and_changed_claims_are_refused() {
    let issuer = issuer();
    let kid = issuer.key.kid();
    let critical = raw(json!({"alg": "ES256", "typ": "at+jwt", "kid": kid, "crit": ["exp"]}), &good(), b"x");
    assert!(matches!(verify(&critical, &issuer.keys, &expect(), now()), Err(TokenError::Critical)));
    let stranger = SigningKey::generate().unwrap().sign("at+jwt", &good()).unwrap();
    assert!(matches!(
        verify(stranger.expose(), &issuer.keys, &expect(), now()),
        Err(TokenError::UnknownKey { .. })
    ));
    let token = issuer.key.sign("at+jwt", &good()).unwrap();
    let mut claims = good();
    claims.insert("sub".into(), "mallory".into());
    let forged: Vec<&str> = token.expose().split('.').collect();
    let forged = format!(
        "{}.{}.{}",
        forged[0],
        URL_SAFE_NO_PAD.encode(serde_json::to_vec(&claims).unwrap()),
        forged[2]
    );
    assert!(matches!(verify(&forged, &issuer.keys, &expect(), now()), Err(TokenError::Signature)));
}

#[test]
fn symmetric_and_encryption_keys_are_not_keys() {
    let oct = json!({"keys": [{"kty": "oct", "k": "c2VjcmV0", "kid": "a"}]}).to_string();
    assert!(matches!(Keys::from_jwks(oct.as_bytes()), Err(KeysError::NoUsableKey)));
    let key = SigningKey::generate().unwrap();
    let mut set = SigningKey::jwks([&key]);
    assert!(Keys::from_jwks(set.to_string().as_bytes()).is_ok());
    set["keys"][0]["use"] = "enc".into();
    assert!(matches!(Keys::from_jwks(set.to_string().as_bytes()), Err(KeysError::NoUsableKey)));
}

#[test]
fn json_that_reads_in_two_ways_is_refused_before_it_is_read() {
    let issuer = issuer();
    let kid = issuer.key.kid();
    let token = |header: &str, claims: &str| {
        format!(
            "{}.{}.{}",
            URL_SAFE_NO_PAD.encode(header),
            URL_SAFE_NO_PAD.encode(claims),
            URL_SAFE_NO_PAD.encode("x")
        )
    };
    let header = format!(r#"{{"alg":"ES256","typ":"at+jwt","kid":"{kid}"}}"#);
    let deep = format!(r#"{{"a":{}1{}}}"#, "[".repeat(40), "]".repeat(40));
    for claims in
        [r#"{"iss":"a","iss":"b"}"#, r#"{"iss":"x","a":{"$serde_json::private::RawValue":"[[1]]"}}"#, &deep]
    {
        let refused = verify(&signed(&header, claims, &issuer.key), &issuer.keys, &expect(), now());
        assert!(matches!(refused, Err(TokenError::Json(_))), "{claims}: {refused:?}");
        assert_eq!(claimed(&token(&header, claims)), None, "{claims}");
    }
    let header = r#"{"alg":"ES256","x":{"$serde_json::private::RawValue":"1"}}"#;
    assert!(matches!(verify(&token(header, "{}"), &issuer.keys, &expect(), now()), Err(TokenError::Json(_))));
    let claims = claimed(&token(r#"{"alg":"ES256"}"#, r#"{"iss":"x","sub":1}"#));
    assert_eq!(claims, Some(Claimed { iss: Some("x".into()), sub: None }));
}

#[test]
fn scopes_groups_and_tenant_are_where_the_issuer_has_them() {
    let issuer = issuer();
    let mut claims = good();
    claims.remove("scope");
    claims.insert("scp".into(), json!(["b", "a"]));
    claims.insert("realm_access".into(), json!({"roles": ["ops", "dev"]}));
    claims.insert("https://app.test/groups".into(), json!("ops"));
    claims.insert("tid".into(), json!("acme"));
    let token = authentic(issuer.key.sign("at+jwt", &claims).unwrap().expose(), &issuer.keys).unwrap();
    assert_eq!(token.claims().scopes, ["a".to_owned(), "b".to_owned()].into(), "scp stands in for scope");
    assert_eq!((&token.claims().groups, &token.claims().tenant), (&vec![], &None));
    let path = |names: &[&str]| Some(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>());
    let mapped = |scopes, groups, tenant| token.clone().mapped(&Mapping { scopes, groups, tenant });

    let claims =
        mapped(path(&["realm_access", "roles"]), path(&["realm_access", "roles"]), path(&["tid"])).unwrap();
    assert_eq!(claims.claims().scopes, ["dev".to_owned(), "ops".to_owned()].into());
    assert_eq!(claims.claims().groups, ["ops", "dev"]);
    assert_eq!(claims.claims().tenant.as_deref(), Some("acme"));
    let claims = mapped(path(&["none"]), path(&["https://app.test/groups"]), path(&["none", "tid"])).unwrap();
    assert!(claims.claims().scopes.is_empty(), "a mapped claim that is missing is not looked for elsewhere");
    assert_eq!((&claims.claims().groups, &claims.claims().tenant), (&vec!["ops".to_owned()], &None));

    for (scopes, groups, tenant) in [
        (path(&["realm_access"]), None, None),
        (None, path(&["realm_access"]), None),
        (None, path(&["exp"]), None),
        (None, path(&["tid", "deeper"]), None),
        (None, None, path(&["scp"])),
    ] {
        let refused = mapped(scopes, groups, tenant);
        assert!(matches!(refused, Err(TokenError::Claim(_))), "{refused:?}");
    }
}

#[test]
fn a_jwt_svid_needs_no_issuer_and_is_not_an_access_token() {
    let issuer = issuer();
    let kid = issuer.key.kid();
    let svid = json!({"sub": "spiffe://partner.test/job", "aud": "https://gw.test", "exp": NOW + 60});
    let read = |header: Value, claims: &Value| {
        let token = signed(&header.to_string(), &claims.to_string(), &issuer.key);
        authentic_svid(&token, &issuer.keys, "spiffe://partner.test")
    };
    for header in [json!({}), json!({"typ": "JWT"}), json!({"typ": "JOSE"})] {
        let mut header = header;
        header["alg"] = "ES256".into();
        header["kid"] = kid.into();
        let token = read(header, &svid).unwrap();
        assert_eq!(token.claims().iss, "spiffe://partner.test");
        assert_eq!(token.claims().sub, "spiffe://partner.test/job");
    }
    let access = read(json!({"alg": "ES256", "kid": kid, "typ": "at+jwt"}), &svid);
    assert!(matches!(access, Err(TokenError::Type { .. })));
    for name in ["sub", "aud", "exp"] {
        let mut lacks = svid.clone();
        lacks.as_object_mut().unwrap().remove(name);
        let refused = read(json!({"alg": "ES256", "kid": kid}), &lacks);
        assert!(matches!(refused, Err(TokenError::Claim(ClaimError(missing))) if missing == name));
    }
}

#[test]
fn a_published_key_is_one_for_verifying() {
    let key = SigningKey::generate().unwrap();
    for (name, value, usable) in [
        ("use", json!("jwt-svid"), true),
        ("use", json!("x509-svid"), false),
        ("key_ops", json!(["verify"]), true),
        ("key_ops", json!(["deriveKey"]), false),
        ("d", json!("AAAA"), false),
        ("alg", json!("ES384"), false),
    ] {
        let mut set = SigningKey::jwks([&key]);
        set["keys"][0][name] = value;
        assert_eq!(Keys::from_jwks(set.to_string().as_bytes()).is_ok(), usable, "{}", set);
    }
}
