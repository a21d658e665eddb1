//! The signatures of the official SDKs' agent cards, by our reader of cards and our verifier.

#![allow(clippy::unwrap_used, reason = "a test ends by panicking")]

use protocol::a2a::card::Card;
use serde_json::Value;
use std::path::Path;
use tokens::jws;
use tokens::keys::Keys;

#[test]
fn a_card_is_accepted_if_the_official_sdks_accept_it() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../protocol/tests/a2a/cards");
    let mut accepted = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        let vector: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        let Ok(card) = Card::read(&vector["card"]) else { continue }; // What we refuse to read is tested elsewhere.
        let payload = card.canonical().unwrap();
        let set = serde_json::json!({ "keys": vector["keys"] });
        let keys = Keys::from_jwks(set.to_string().as_bytes()).unwrap();
        let good = card
            .signatures()
            .iter()
            .any(|one| one.header().is_ok() && jws::signed(&one.compact(&payload), &keys).is_ok());
        assert_eq!(Some(good), vector["verdicts"]["a2a-js"].as_bool(), "{}", path.display());
        accepted += usize::from(good);
    }
    assert!(accepted > 30, "{accepted} cards");
}
