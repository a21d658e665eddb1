//! Every decoder of bytes from outside, under libFuzzer: `cargo xtask fuzz [TARGET] [--seconds N]`.
//! The variable `FUZZ_TARGET` says which; a target is a function that panics when what must hold doesn't.

#![no_main]

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
        "answer" => properties::answer,
        "events" => properties::events,
        "token" => token,
        "peer" => peer,
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
