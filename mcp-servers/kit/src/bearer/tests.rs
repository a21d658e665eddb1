#![allow(clippy::unwrap_used, reason = "a test ends by panicking")]
use super::*;
use crate::Limits;
use certs::SpiffeId;
use serde_json::{Map, Value, json};
use std::time::{Duration, UNIX_EPOCH};
use tokens::SigningKey;

const NOW: u64 = 1_800_000_000;
/// Thumbprints of certificates: the one that requests come by, and another one.
const OURS: [u8; 32] = [7; 32];
const OTHERS: [u8; 32] = [8; 32];

struct Desk {
    bearer: Bearer,
    key: SigningKey,
    peer: Peer,
    started: Instant,
    dir: tempfile::TempDir,
}

fn desk() -> Desk {
    desk_that_remembers(100)
}

fn desk_that_remembers(max: usize) -> Desk {
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
        accept_unbound_tokens: false,
        limits: Limits { verified_tokens_max: max, ..Limits::default() },
    };
    let peer = Peer {
        id: flags.gateway.clone(),
        not_before: UNIX_EPOCH,
        not_after: UNIX_EPOCH + Duration::from_secs(NOW + 3600),
        thumbprint: OURS,
    };
    Desk { bearer: Bearer::new(&flags, started).unwrap(), key, peer, started, dir }
}

fn bound_to(thumbprint: [u8; 32]) -> Value {
    json!({"x5t#S256": tokens::x5t_s256(thumbprint)})
}

fn claims(change: &[(&str, Value)]) -> Map<String, Value> {
    let mut claims = json!({"iss": "https://issuer.test", "sub": "alice", "aud": "s3", "exp": NOW + 60, "scope": "s3:protocol",
        "cnf": bound_to(OURS)});
    for (name, value) in change {
        claims[*name] = value.clone();
    }
    claims.as_object().unwrap().clone()
}

fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds)
}

impl Desk {
    fn outcome(&self, header: &str) -> Result<String, &'static str> {
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, header.parse().unwrap());
        self.judge(&headers)
    }

    fn judge(&self, headers: &HeaderMap) -> Result<String, &'static str> {
        let token = self.bearer.token(headers, &self.peer, at(NOW), self.started);
        token.map(|token| token.claims().sub.clone()).map_err(|error| error.code())
    }

    fn with(&self, change: &[(&str, Value)]) -> Result<String, &'static str> {
        self.outcome(&self.header(change))
    }

    fn header(&self, change: &[(&str, Value)]) -> String {
        format!("Bearer {}", self.key.sign("at+jwt", &claims(change)).unwrap().expose())
    }

    /// The token as it is judged so many seconds from now, by both clocks; 0 is the start.
    fn later(&self, header: &str, seconds: u64) -> Result<Arc<Authentic>, &'static str> {
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, header.parse().unwrap());
        let now = self.started + Duration::from_secs(seconds);
        self.bearer.token(&headers, &self.peer, at(NOW + seconds), now).map_err(|error| error.code())
    }

    /// Publishes these keys and no others, at a time that no other set of them has.
    fn publish(&self, keys: &[&SigningKey], version: u64) {
        let path = self.dir.path().join("jwks.json");
        std::fs::write(&path, SigningKey::jwks(keys.iter().copied()).to_string()).unwrap();
        std::fs::File::options().write(true).open(&path).unwrap().set_modified(at(version)).unwrap();
    }

    fn remembered(&self) -> usize {
        self.bearer.verified.count()
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
    assert_eq!(desk.with(&[("cnf", bound_to(OURS))]), Ok("alice".into()));
    assert_eq!(desk.with(&[("cnf", bound_to(OTHERS))]), Err("token_of_another_certificate"));
    assert_eq!(
        desk.with(&[("cnf", json!({"jkt": "x"}))]),
        Err("token_claim"),
        "a binding that can't be checked"
    );
}

#[test]
fn an_unbound_token_is_good_only_where_that_was_asked_for() {
    let mut desk = desk();
    let mut unbound = claims(&[]);
    unbound.remove("cnf");
    let unbound = format!("Bearer {}", desk.key.sign("at+jwt", &unbound).unwrap().expose());
    assert_eq!(desk.outcome(&unbound), Err("token_unbound"));
    desk.bearer.accepts_unbound = true;
    assert_eq!(desk.outcome(&unbound), Ok("alice".into()));
    assert_eq!(
        desk.with(&[("cnf", bound_to(OTHERS))]),
        Err("token_of_another_certificate"),
        "not less than before"
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
    let error = desk.bearer.token(&headers, &desk.peer, at(NOW), desk.started).unwrap_err();
    assert_eq!(error.to_string(), "the token is not accepted");
    assert!(!error.code().contains(stranger.kid()));
}

#[test]
fn a_remembered_token_ends_when_it_would_have_ended() {
    let desk = desk();
    let (token, late) = (desk.header(&[]), desk.header(&[("nbf", json!(NOW + 2))]));
    let first = desk.later(&token, 0).unwrap();
    assert!(Arc::ptr_eq(&first, &desk.later(&token, 64).unwrap()), "remembered, and within the leeway");
    assert_eq!(desk.later(&token, 65).unwrap_err(), "token_expired");
    assert!(desk.later(&late, 10).is_ok());
    assert_eq!(desk.remembered(), 2);
    let mut headers = HeaderMap::new();
    headers.insert(AUTHORIZATION, late.parse().unwrap());
    let early = desk.bearer.token(&headers, &desk.peer, at(NOW - 4), desk.started);
    assert_eq!(early.unwrap_err().code(), "token_not_yet_valid", "our clock was set back");
}

#[test]
fn a_remembered_token_goes_with_its_key() {
    let desk = desk();
    let (token, next) = (desk.header(&[]), SigningKey::generate().unwrap());
    let first = desk.later(&token, 0).unwrap();
    desk.publish(&[&desk.key, &next], 1);
    let again = desk.later(&token, 2).unwrap();
    assert!(!Arc::ptr_eq(&first, &again), "checked under the new set, where its key still is");
    desk.publish(&[&next], 2);
    assert_eq!(desk.later(&token, 4).unwrap_err(), "token_key_unknown");
    assert_eq!(desk.remembered(), 0);
}

#[test]
fn whoever_has_the_keys_read_again_takes_nothing_from_memory() {
    let desk = desk();
    let token = desk.header(&[]);
    let first = desk.later(&token, 0).unwrap();
    let stranger = SigningKey::generate().unwrap().sign("at+jwt", &claims(&[])).unwrap();
    assert_eq!(desk.later(&format!("Bearer {}", stranger.expose()), 2).unwrap_err(), "token_key_unknown");
    assert!(Arc::ptr_eq(&first, &desk.later(&token, 4).unwrap()));
}

#[test]
fn a_remembered_token_is_refused_over_another_connection() {
    let mut desk = desk();
    let bound = desk.header(&[]);
    assert!(desk.later(&bound, 0).is_ok());
    desk.peer.thumbprint = OTHERS;
    assert_eq!(desk.later(&bound, 0).unwrap_err(), "token_of_another_certificate");
    desk.peer.thumbprint = OURS;
    assert!(desk.later(&bound, 0).is_ok());
    assert_eq!(desk.remembered(), 1);
}

#[test]
fn one_changed_character_is_another_token() {
    let desk = desk();
    let token = desk.header(&[]);
    assert!(desk.later(&token, 0).is_ok());
    for position in "Bearer ".len()..token.len() {
        let other = if token.as_bytes()[position] == b'A' { "Q" } else { "A" };
        let mut changed = token.clone();
        changed.replace_range(position..=position, other);
        assert!(desk.later(&changed, 0).is_err(), "character {position}");
    }
    assert!(desk.later(&token, 0).is_ok());
    assert_eq!(desk.remembered(), 1, "what is refused is not remembered");
    assert_eq!(desk.with(&[("aud", json!("s4"))]), Err("token_audience"));
    assert_eq!(desk.remembered(), 1, "though its signature held");
}

#[test]
fn no_more_are_remembered_than_may_be() {
    for max in [0, 1, 20] {
        let desk = desk_that_remembers(max);
        for number in 0..30 {
            assert!(desk.with(&[("sub", json!(number.to_string()))]).is_ok());
            assert!(desk.remembered() <= max);
        }
        assert!(desk.remembered() > max / 2 || max == 0, "some, and not all, make room");
    }
}

#[test]
fn what_has_ended_makes_room_first() {
    let desk = desk_that_remembers(2);
    let (short, long) = (desk.header(&[]), desk.header(&[("exp", json!(NOW + 600))]));
    desk.later(&short, 0).unwrap();
    let kept = desk.later(&long, 0).unwrap();
    desk.later(&desk.header(&[("exp", json!(NOW + 601))]), 100).unwrap();
    assert!(Arc::ptr_eq(&kept, &desk.later(&long, 100).unwrap()));
    assert_eq!(desk.remembered(), 2);
}
