//! Test vectors for signed tokens, as tables: what must verify does, and nothing else.
#![allow(clippy::unwrap_used, reason = "a test ends by panicking")]

mod hostile;
mod published;

use serde_json::{Value, json};
use tokens::Keys;

/// A set of one key; an empty one if the key can't be used at all.
fn keys(jwk: &Value) -> Keys {
    Keys::from_jwks(json!({ "keys": [jwk] }).to_string().as_bytes()).unwrap_or_default()
}
