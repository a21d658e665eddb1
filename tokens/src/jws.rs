//! A signed token's characters to its payload: compact JWS (RFC 7515 §3.1), checked as §5.2 says and no other way.
//!
//! The key comes from the issuer's set and from nowhere else: `jwk`, `jku`, `x5c` and `x5u` are never followed. The
//! algorithm is the key's. JSON serialisations, unencoded payloads (RFC 7797) and critical headers are not read.

use crate::keys::Keys;
use crate::verify::{TOKEN_BYTES_MAX, TokenError};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::Algorithm;
use protocol::json::Limits;
use serde_json::{Map, Value};

/// How deep header and claims may be nested; an `act` chain of [`ACTORS_MAX`](crate::claims::ACTORS_MAX) has as many levels.
const DEPTH_MAX: usize = 32;

/// The algorithms that are accepted at all, by their names in `alg` (RFC 7518 §3.1, RFC 8037 §3.1).
pub const ALGORITHMS: [&str; 9] =
    ["ES256", "ES384", "EdDSA", "PS256", "PS384", "PS512", "RS256", "RS384", "RS512"];

/// A payload whose signature held.
#[derive(Clone, Debug)]
pub struct Signed {
    /// The header's `typ`.
    pub typ: Option<String>,
    /// What it was signed with, as in `alg`.
    pub algorithm: String,
    /// The payload as it came.
    pub payload: Vec<u8>,
}

/// The three parts of a compact JWS, the last two as they came.
struct Parts<'a> {
    header: Map<String, Value>,
    message: &'a str,
    payload: &'a str,
    signature: &'a str,
}

/// Checks a compact JWS with the key that its `kid` names.
///
/// # Errors
/// [`TokenError`] says which check failed; [`TokenError::UnknownKey`] is the one after which fetching the keys anew helps.
pub fn signed(token: &str, keys: &Keys) -> Result<Signed, TokenError> {
    signed_document(bounded(token)?, keys)
}

/// The same for a payload that is no token's claims, and that whoever calls has bounded.
///
/// # Errors
/// As [`signed`].
pub fn signed_document(compact: &str, keys: &Keys) -> Result<Signed, TokenError> {
    let parts = parts(compact)?;
    if parts.header.contains_key("crit") || parts.header.contains_key("b64") {
        return Err(TokenError::Critical);
    }
    let algorithm = text(&parts.header, "alg")?.ok_or(TokenError::Malformed)?;
    let named: Option<Algorithm> = algorithm.parse().ok();
    let kid = text(&parts.header, "kid")?;
    let Some(named) = named else { return Err(TokenError::Algorithm { found: algorithm }) };
    let key = keys.find(kid.as_deref()).ok_or(TokenError::UnknownKey { kid })?;
    if named != key.algorithm {
        return Err(TokenError::Algorithm { found: algorithm });
    }
    let holds =
        jsonwebtoken::crypto::verify(parts.signature, parts.message.as_bytes(), &key.key, key.algorithm);
    if !holds.unwrap_or(false) {
        return Err(TokenError::Signature);
    }
    Ok(Signed { typ: text(&parts.header, "typ")?, algorithm, payload: base64url(parts.payload)? })
}

/// The payload of a token that nobody has vouched for.
pub(crate) fn unverified(token: &str) -> Result<Map<String, Value>, TokenError> {
    object(&base64url(parts(bounded(token)?)?.payload)?)
}

fn bounded(token: &str) -> Result<&str, TokenError> {
    if token.len() > TOKEN_BYTES_MAX { Err(TokenError::TooLong) } else { Ok(token) }
}

/// A JSON object that every reader reads alike.
pub(crate) fn object(document: &[u8]) -> Result<Map<String, Value>, TokenError> {
    protocol::json::check(document, &Limits { depth_max: DEPTH_MAX }).map_err(TokenError::Json)?;
    serde_json::from_slice(document).map_err(|_| TokenError::Malformed)
}

fn parts(token: &str) -> Result<Parts<'_>, TokenError> {
    let (message, signature) = token.rsplit_once('.').ok_or(TokenError::Malformed)?;
    let (header, payload) = message.split_once('.').ok_or(TokenError::Malformed)?;
    Ok(Parts { header: object(&base64url(header)?)?, message, payload, signature })
}

/// Strict: no padding, no line breaks, no bits left over, so that no two texts are the same token. A dot is none of it.
fn base64url(text: &str) -> Result<Vec<u8>, TokenError> {
    URL_SAFE_NO_PAD.decode(text).map_err(|_| TokenError::Malformed)
}

fn text(header: &Map<String, Value>, name: &str) -> Result<Option<String>, TokenError> {
    match header.get(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(TokenError::Malformed),
    }
}
