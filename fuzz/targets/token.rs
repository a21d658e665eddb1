//! A bearer token as anybody may send it, and a JWK set.
#![no_main]

use libfuzzer_sys::fuzz_target;
use std::time::{Duration, UNIX_EPOCH};
use tokens::verify::claimed_issuer;
use tokens::{Expect, Keys, verify};

fuzz_target!(|bytes: &[u8]| {
    let _ = Keys::from_jwks(bytes);
    let Ok(token) = std::str::from_utf8(bytes) else { return };
    let _ = claimed_issuer(token);
    let expect = Expect {
        issuer: "https://issuer.test".into(),
        audiences: vec!["https://gateway.test".into()],
        types: vec![],
        leeway: Duration::ZERO,
    };
    assert!(verify(token, &Keys::default(), &expect, UNIX_EPOCH).is_err()); // Without keys nothing verifies.
});
