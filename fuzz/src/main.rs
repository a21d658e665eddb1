//! Every decoder of bytes from outside, under libFuzzer: `cargo xtask fuzz [TARGET] [--seconds N]`.
//! The variable `FUZZ_TARGET` says which; a target is a function that panics when what must hold doesn't.

#![no_main]

#[path = "../../protocol/tests/mutated/a2a.rs"]
mod a2a;
#[path = "../../protocol/tests/mutated/properties.rs"]
mod properties;

use serde_json::{Map, Value};
use std::sync::LazyLock;
use std::time::{Duration, UNIX_EPOCH};
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
