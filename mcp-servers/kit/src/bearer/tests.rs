#![allow(clippy::unwrap_used, reason = "a test ends by panicking")]
use super::*;
use crate::Limits;
use certs::SpiffeId;
use serde_json::{Map, Value, json};
use std::time::{Duration, UNIX_EPOCH};
use tokens::SigningKey;

const NOW: u64 = 1_800_000_000;

struct Desk {
    bearer: Bearer,
    key: SigningKey,
    peer: Peer,
    started: Instant,
    dir: tempfile::TempDir,
}

fn desk() -> Desk {
    let (dir, key, started) = (tempfile::tempdir().unwrap(), SigningKey::generate().unwrap(), Instant::now());
    let jwks = dir.path().join("jwks.json");
    std::fs::write(&jwks, SigningKey::jwks([&key]).to_string()).unwrap();
    let flags = Flags {
        print_tools: false,
        allowed_hosts: Vec::new(),
        observe: crate::flags::Observe::default(),
        end_with_stdin: false,
        listen: ([127, 0, 0, 1], 0).into(),
        certificate: Some("c".into()),
        private_key: Some("k".into()),
        trust_bundle: Some("b".into()),
        workload_api: None,
        workload_api_wait: Duration::ZERO,
        gateway: SpiffeId::new("spiffe://d.test/gateway").unwrap(),
        issuer: "https://issuer.test".into(),
        audience: "s3".into(),
        jwks,
        token_types: vec!["at+jwt".into()],
        limits: Limits::default(),
    };
    let peer = Peer {
        id: flags.gateway.clone(),
        not_before: UNIX_EPOCH,
        not_after: UNIX_EPOCH + Duration::from_secs(NOW + 3600),
        thumbprint: [7; 32],
    };
    Desk { bearer: Bearer::new(&flags, started).unwrap(), key, peer, started, dir }
}

fn claims(change: &[(&str, Value)]) -> Map<String, Value> {
    let mut claims = json!({"iss": "https://issuer.test", "sub": "alice", "aud": "s3", "exp": NOW + 60, "scope": "s3:protocol"});
    for (name, value) in change {
        claims[*name] = value.clone();
    }
    claims.as_object().unwrap().clone()
}

impl Desk {
    fn outcome(&self, header: &str) -> Result<String, &'static str> {
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, header.parse().unwrap());
        self.judge(&headers)
    }

    fn judge(&self, headers: &HeaderMap) -> Result<String, &'static str> {
        let time = UNIX_EPOCH + Duration::from_secs(NOW);
        self.bearer.claims(headers, &self.peer, time, self.started).map(|c| c.sub).map_err(|e| e.code())
    }

    fn with(&self, change: &[(&str, Value)]) -> Result<String, &'static str> {
        let token = self.key.sign("at+jwt", &claims(change)).unwrap();
        self.outcome(&format!("Bearer {}", token.expose()))
    }
}

#[test]
fn a_token_for_this_server_is_accepted_and_one_for_another_refused() {
    let desk = desk();
    assert_eq!(desk.with(&[]), Ok("alice".into()));
    assert_eq!(desk.with(&[("aud", json!("s4"))]), Err("token_audience"));
    assert_eq!(desk.with(&[("iss", json!("https://other.test"))]), Err("token_issuer"));
    assert_eq!(desk.with(&[("exp", json!(NOW - 60))]), Err("token_expired"));
    assert_eq!(desk.with(&[("nbf", json!(NOW + 60))]), Err("token_not_yet_valid"));
}

#[test]
fn a_bound_token_is_good_only_with_its_certificate() {
    let desk = desk();
    assert_eq!(
        desk.with(&[("cnf", json!({"x5t#S256": URL_SAFE_NO_PAD.encode([7; 32])}))]),
        Ok("alice".into())
    );
    assert_eq!(
        desk.with(&[("cnf", json!({"x5t#S256": URL_SAFE_NO_PAD.encode([8; 32])}))]),
        Err("token_of_another_certificate")
    );
    assert_eq!(
        desk.with(&[("cnf", json!({"jkt": "x"}))]),
        Err("token_claim"),
        "a binding that can't be checked"
    );
}

#[test]
fn the_type_of_another_kind_of_token_is_refused() {
    let desk = desk();
    let token = desk.key.sign("id+jwt", &claims(&[])).unwrap();
    assert_eq!(desk.outcome(&format!("Bearer {}", token.expose())), Err("token_type"));
}

#[test]
fn a_key_published_later_is_found_and_an_unpublished_one_is_not() {
    let desk = desk();
    let new = SigningKey::generate().unwrap();
    let token = format!("bearer {}", new.sign("at+jwt", &claims(&[])).unwrap().expose());
    std::fs::write(desk.dir.path().join("jwks.json"), SigningKey::jwks([&desk.key, &new]).to_string())
        .unwrap();
    assert_eq!(desk.outcome(&token), Ok("alice".into()));
    let stranger = SigningKey::generate().unwrap().sign("at+jwt", &claims(&[])).unwrap();
    assert_eq!(desk.outcome(&format!("Bearer {}", stranger.expose())), Err("token_key_unknown"));
}

#[test]
fn exactly_one_authorization_header_is_read() {
    let desk = desk();
    let good = format!("Bearer {}", desk.key.sign("at+jwt", &claims(&[])).unwrap().expose());
    assert_eq!(desk.outcome("Basic YTpi"), Err("token_missing"));
    assert_eq!(desk.judge(&HeaderMap::new()), Err("token_missing"));
    let mut twice = HeaderMap::new();
    twice.append(AUTHORIZATION, good.parse().unwrap());
    assert_eq!(desk.judge(&twice), Ok("alice".into()));
    twice.append(AUTHORIZATION, good.parse().unwrap());
    assert_eq!(desk.judge(&twice), Err("authorization_repeated"));
}

#[test]
fn a_refusal_prints_nothing_of_the_token() {
    let desk = desk();
    let stranger = SigningKey::generate().unwrap();
    let token = stranger.sign("at+jwt", &claims(&[])).unwrap();
    let mut headers = HeaderMap::new();
    headers.insert(AUTHORIZATION, format!("Bearer {}", token.expose()).parse().unwrap());
    let time = UNIX_EPOCH + Duration::from_secs(NOW);
    let error = desk.bearer.claims(&headers, &desk.peer, time, desk.started).unwrap_err();
    assert_eq!(error.to_string(), "the token is not accepted");
    assert!(!error.code().contains(stranger.kid()));
}
