//! Every decoder of bytes from outside, under libFuzzer: `cargo xtask fuzz [TARGET] [--seconds N]`.
//! The variable `FUZZ_TARGET` says which; a target is a function that panics when what must hold doesn't.

#![no_main]

#[path = "../../protocol/tests/mutated/a2a.rs"]
mod a2a;
#[path = "../../protocol/tests/mutated/properties.rs"]
mod properties;

use protocol::a2a::card::Card;
use serde_json::{Map, Value};
use std::sync::LazyLock;
use std::time::{Duration, UNIX_EPOCH};
use tokens::jws::signed_document;
use tokens::{Claims, Expect, Keys, claimed, verify};

static TARGET: LazyLock<fn(&[u8]) -> bool> = LazyLock::new(|| {
    let name = std::env::var("FUZZ_TARGET").unwrap_or_default();
    match name.as_str() {
        "json" => properties::json,
        "call" => properties::call,
        "headers" => properties::headers,
        "list" => properties::list,
        "rename" => properties::rename,
        "answer" => properties::answer,
        "events" => properties::events,
        "a2a_rpc" => a2a::a2a_rpc,
        "a2a_rest" => a2a::a2a_rest,
        "a2a_grpc" => a2a::a2a_grpc,
        "a2a_answer" => a2a::a2a_answer,
        "card" => a2a::card,
        "jws" => jws,
        "token" => token,
        "peer" => peer,
        "bundle" => bundle,
        "spiffe_id" => spiffe_id,
        _ => panic!("FUZZ_TARGET names no target: {name:?}"),
    }
});

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    TARGET(bytes);
});

/// A bearer token as anybody may send it; the claims in one, and a JWK set, as an issuer may.
fn token(bytes: &[u8]) -> bool {
    let _ = Keys::from_jwks(bytes);
    if let Ok(all) = serde_json::from_slice::<Map<String, Value>>(bytes) {
        let _ = Claims::read(all);
    }
    let Ok(token) = std::str::from_utf8(bytes) else { return false };
    let _ = claimed(token);
    let expect = Expect {
        issuer: "https://issuer.test".into(),
        audiences: vec!["https://gateway.test".into()],
        types: vec![],
        leeway: Duration::ZERO,
    };
    assert!(verify(token, &Keys::default(), &expect, UNIX_EPOCH).is_err()); // Without keys nothing verifies.
    true
}

/// The public keys of `protocol/tests/a2a/cards`.
static KEYS: LazyLock<Keys> = LazyLock::new(|| {
    let jwks = r#"{"keys": [
        {"kty":"EC","crv":"P-256","kid":"es-1","alg":"ES256","use":"sig","x":"p_yZvKCHpsmSuVzDr4v7qOinVzUyCgnCHW4aQx4ICB8","y":"-X5ems-eG3r7eCCRwapY0vP_X0-aPj-hfZvC7gRLDL8"},
        {"kty":"OKP","crv":"Ed25519","kid":"ed-1","alg":"EdDSA","use":"sig","x":"Wh1lQg9knzZ-WqMtthENPZNbfUMS14zMJiaCbHoqLI0"}
    ]}"#;
    Keys::from_jwks(jwks.as_bytes()).unwrap_or_else(|error| panic!("{error}"))
});

/// What was signed with them of the seeds: the signed forms of both cards.
static SIGNED: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let cards = [&include_bytes!("../seeds/jws/1-es256")[..], include_bytes!("../seeds/jws/2-eddsa")];
    let form = |card: &[u8]| Card::read(&serde_json::from_slice(card).ok()?).ok()?.canonical().ok();
    cards.map(|card| form(card).unwrap_or_else(|| panic!("a seed is no card"))).into()
});

/// A signed card, or a compact JWS: whatever it looks like, what verifies is what the keys' owner has signed.
fn jws(bytes: &[u8]) -> bool {
    let read = serde_json::from_slice::<Value>(bytes).ok().and_then(|card| Card::read(&card).ok());
    let compact: Vec<String> = match read.as_ref().map(|card| (card, card.canonical())) {
        Some((card, Ok(form))) => card.signatures().iter().map(|one| one.compact(&form)).collect(),
        Some((_, Err(_))) => return false,
        None => std::str::from_utf8(bytes).map(str::to_owned).into_iter().collect(),
    };
    let held = compact.iter().filter_map(|compact| signed_document(compact, &KEYS).ok());
    let all: Vec<_> = held.collect();
    for signed in &all {
        assert!(SIGNED.contains(&signed.payload));
        assert!(matches!(signed.algorithm.as_str(), "ES256" | "EdDSA"));
    }
    !all.is_empty()
}

/// A leaf certificate, and the SPIFFE ID in it.
fn peer(der: &[u8]) -> bool {
    let Ok(peer) = certs::peer::peer(der) else { return false };
    assert!(peer.id.to_string().starts_with("spiffe://") && peer.id.path().len() > 1);
    true
}

/// Another trust domain's bundle, as its endpoint may send it.
fn bundle(document: &[u8]) -> bool {
    let Ok(published) = certs::bundle::read(document) else { return false };
    assert!(!published.authorities.is_empty());
    true
}

/// A SPIFFE ID (SPIFFE-ID standard §2).
fn spiffe_id(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    let Ok(id) = certs::SpiffeId::new(text) else { return false };
    let written = id.to_string();
    assert!(written.eq_ignore_ascii_case(text) && text.ends_with(id.path())); // The case of scheme and domain says nothing.
    assert_eq!(certs::SpiffeId::new(&written).ok().as_ref(), Some(&id)); // One way to write it: names are compared as text.
    let domain = id.trust_domain_name();
    let is_name = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'-' | b'_');
    assert!(!domain.is_empty() && domain.len() <= 255 && domain.bytes().all(is_name));
    for segment in id.path().split('/').skip(1) {
        assert!(!segment.is_empty() && segment != "." && segment != "..");
        assert!(segment.bytes().all(|byte| is_name(byte) || byte.is_ascii_uppercase()));
    }
    true
}
