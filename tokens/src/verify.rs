//! From the characters of a token to its claims.

use crate::claims::{ClaimError, Claims};
use crate::keys::Keys;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Validation, decode, decode_header};
use protocol::json::Limits;
use serde_json::{Map, Value};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// What a token must say to be accepted.
#[derive(Clone, Debug)]
pub struct Expect {
    /// The one issuer (`iss`), compared character by character.
    pub issuer: String,
    /// Any one of these must stand in `aud`.
    pub audiences: Vec<String>,
    /// Accepted `typ` headers, compared without case and without `application/`; empty accepts any.
    pub types: Vec<String>,
    /// How far the issuer's clock may differ from ours, for `exp`, `nbf` and `iat`.
    pub leeway: Duration,
}

/// Why a token is not accepted.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// Longer than any token that we read.
    #[error("the token is longer than {TOKEN_BYTES_MAX} bytes")]
    TooLong,
    /// No compact JWS (RFC 7515 §3.1), or an algorithm that the library doesn't know, `none` among them.
    #[error("not a signed JWT")]
    Malformed(#[source] jsonwebtoken::errors::Error),
    /// Header or claims are JSON that two readers could read in two ways, or nested deeper than claims are.
    #[error("the token's JSON is not strict")]
    Json(#[source] protocol::json::JsonError),
    /// A critical header is not understood (RFC 7515 §4.1.11).
    #[error("the token has a critical header that is not understood")]
    Critical,
    /// The `typ` is another kind of token's (RFC 8725 §3.11).
    #[error("the token is of type {found:?}")]
    Type {
        /// What stood in `typ`.
        found: Option<String>,
    },
    /// The issuer publishes no such key.
    #[error("no key {kid:?} of this issuer")]
    UnknownKey {
        /// The token's `kid`.
        kid: Option<String>,
    },
    /// The signature doesn't hold, or the header's algorithm isn't the key's.
    #[error("the signature does not hold")]
    Signature(#[source] jsonwebtoken::errors::Error),
    /// A claim is missing or wrong.
    #[error(transparent)]
    Claim(#[from] ClaimError),
    /// From somebody else.
    #[error("the token is from another issuer")]
    Issuer,
    /// For somebody else.
    #[error("the token is for another audience")]
    Audience,
    /// Over.
    #[error("the token has expired")]
    Expired,
    /// Not yet valid (`nbf`), or issued in the future (`iat`).
    #[error("the token is not valid yet")]
    NotYetValid,
}

/// The longest token that is looked at, in bytes.
pub const TOKEN_BYTES_MAX: usize = 16 * 1024;
/// How deep claims may be nested; an `act` chain of [`ACTORS_MAX`](crate::claims::ACTORS_MAX) has as many levels.
const DEPTH_MAX: usize = 32;

/// A token whose signature held under its issuer's keys. What it says is judged apart, because that depends on who asks and
/// when, while the signature is worth remembering.
#[derive(Clone, Debug)]
pub struct Authentic {
    claims: Claims,
    typ: Option<String>,
}

/// Checks a token's form and signature (RFC 7515 §5.2 with RFC 8725) and reads its claims.
///
/// # Errors
/// [`TokenError`] says which check failed; [`TokenError::UnknownKey`] is the one after which fetching the keys anew helps.
pub fn authentic(token: &str, keys: &Keys) -> Result<Authentic, TokenError> {
    if token.len() > TOKEN_BYTES_MAX {
        return Err(TokenError::TooLong);
    }
    strict(token)?;
    let header = decode_header(token).map_err(TokenError::Malformed)?;
    if header.crit.is_some() {
        return Err(TokenError::Critical);
    }
    let key = keys.find(header.kid.as_deref()).ok_or(TokenError::UnknownKey { kid: header.kid })?;
    let claims = decode::<Map<String, Value>>(token, &key.key, &signature_only(key.algorithm))
        .map_err(TokenError::Signature)?;
    Ok(Authentic { claims: Claims::read(claims.claims)?, typ: header.typ })
}

/// Verifies a signed token as a whole (RFC 7519 §7.2): its signature, and what it says.
///
/// # Errors
/// [`TokenError`], as of [`authentic`] and [`Authentic::judge`].
pub fn verify(token: &str, keys: &Keys, expect: &Expect, now: SystemTime) -> Result<Claims, TokenError> {
    let token = authentic(token, keys)?;
    token.judge(expect, now)?;
    Ok(token.claims)
}

impl Authentic {
    /// Whether the token says what it must, now.
    ///
    /// # Errors
    /// [`TokenError`] for type, issuer, audience and time.
    pub fn judge(&self, expect: &Expect, now: SystemTime) -> Result<(), TokenError> {
        if !expect.types.is_empty() && !expect.types.iter().any(|t| same_type(t, self.typ.as_deref())) {
            return Err(TokenError::Type { found: self.typ.clone() });
        }
        if self.claims.iss != expect.issuer {
            return Err(TokenError::Issuer);
        }
        if !self.claims.aud.iter().any(|a| expect.audiences.contains(a)) {
            return Err(TokenError::Audience);
        }
        within_time(&self.claims, now, expect.leeway)
    }

    /// What it says. Nothing of it counts before it was judged.
    pub fn claims(&self) -> &Claims {
        &self.claims
    }
}

/// The issuer that a token claims to be from, unverified: only good for choosing whose keys to try.
pub fn claimed_issuer(token: &str) -> Option<String> {
    if token.len() > TOKEN_BYTES_MAX {
        return None;
    }
    strict(token).ok()?;
    let claims: Map<String, Value> = jsonwebtoken::dangerous::insecure_decode_claims(token).ok()?;
    Some(claims.get("iss")?.as_str()?.to_owned())
}

/// Reads header and claims once, strictly, before anything makes values of them: nobody has vouched for them yet.
fn strict(token: &str) -> Result<(), TokenError> {
    for part in token.split('.').take(2) {
        // What isn't base64url isn't a token, which the library says in its own words.
        let Ok(document) = URL_SAFE_NO_PAD.decode(part) else { return Ok(()) };
        protocol::json::check(&document, &Limits { depth_max: DEPTH_MAX }).map_err(TokenError::Json)?;
    }
    Ok(())
}

/// The library checks the signature and that the header's algorithm is the key's; claims are checked here, against our clock.
fn signature_only(algorithm: jsonwebtoken::Algorithm) -> Validation {
    let mut validation = Validation::new(algorithm);
    validation.required_spec_claims.clear();
    validation.validate_exp = false;
    validation.validate_aud = false;
    validation
}

fn same_type(want: &str, found: Option<&str>) -> bool {
    found.is_some_and(|f| f.strip_prefix("application/").unwrap_or(f).eq_ignore_ascii_case(want))
}

fn within_time(claims: &Claims, now: SystemTime, leeway: Duration) -> Result<(), TokenError> {
    let now = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let leeway = leeway.as_secs();
    if claims.exp.saturating_add(leeway) <= now {
        return Err(TokenError::Expired);
    }
    if claims.nbf.max(claims.iat).is_some_and(|from| from > now.saturating_add(leeway)) {
        return Err(TokenError::NotYetValid);
    }
    Ok(())
}

#[cfg(test)]
mod tests;
