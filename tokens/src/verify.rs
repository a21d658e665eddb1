//! From the characters of a token to its claims.

use crate::claims::{ClaimError, Claims, Mapping};
use crate::jws;
use crate::keys::Keys;
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
    /// No compact JWS (RFC 7515 §3.1) of a JSON object.
    #[error("not a signed JWT")]
    Malformed,
    /// Header or claims are JSON that two readers could read in two ways, or nested deeper than claims are.
    #[error("the token's JSON is not strict")]
    Json(#[source] protocol::json::JsonError),
    /// A critical header, none of which is understood (RFC 7515 §4.1.11), or `b64` (RFC 7797).
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
    /// Signed with an algorithm that isn't the key's; `none` is nobody's (RFC 8725 §3.1).
    #[error("the token is signed with {found:?}, and its key is not for that")]
    Algorithm {
        /// What stood in `alg`.
        found: String,
    },
    /// The signature doesn't hold.
    #[error("the signature does not hold")]
    Signature,
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

/// A token whose signature held under its issuer's keys. What it says is judged apart, because that depends on who asks and
/// when, while the signature is worth remembering.
#[derive(Clone, Debug)]
pub struct Authentic {
    claims: Claims,
    typ: Option<String>,
    algorithm: String,
}

/// Checks a token's form and signature (RFC 7515 §5.2 with RFC 8725) and reads its claims.
///
/// # Errors
/// [`TokenError`] says which check failed; [`TokenError::UnknownKey`] is the one after which fetching the keys anew helps.
pub fn authentic(token: &str, keys: &Keys) -> Result<Authentic, TokenError> {
    let signed = jws::signed(token, keys)?;
    let claims = Claims::read(jws::object(&signed.payload)?)?;
    Ok(Authentic { claims, typ: signed.typ, algorithm: signed.algorithm })
}

/// The same for a JWT-SVID: its `typ` is `JWT`, `JOSE` or none (JWT-SVID §2), and its issuer is its trust domain, named in
/// `iss` here and told apart by its keys. Whether `sub` is a SPIFFE ID of that domain is the caller's to check.
///
/// # Errors
/// [`TokenError`], as of [`authentic`].
pub fn authentic_svid(token: &str, keys: &Keys, iss: &str) -> Result<Authentic, TokenError> {
    let signed = jws::signed(token, keys)?;
    if signed.typ.as_deref().is_some_and(|typ| !matches!(typ, "JWT" | "JOSE")) {
        return Err(TokenError::Type { found: signed.typ });
    }
    if signed.algorithm == "EdDSA" {
        return Err(TokenError::Algorithm { found: signed.algorithm }); // Not in the list of JWT-SVID §2.1.
    }
    let claims = Claims::of_svid(jws::object(&signed.payload)?, iss)?;
    Ok(Authentic { claims, typ: signed.typ, algorithm: signed.algorithm })
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

    /// The same token with scopes, groups and tenant from where its issuer has them.
    ///
    /// # Errors
    /// [`TokenError::Claim`] if one of them is there and of the wrong type.
    pub fn mapped(mut self, mapping: &Mapping) -> Result<Self, TokenError> {
        self.claims.map(mapping)?;
        Ok(self)
    }

    /// What it was signed with, as in `alg`.
    pub fn algorithm(&self) -> &str {
        &self.algorithm
    }

    /// What it says. Nothing of it counts before it was judged.
    pub fn claims(&self) -> &Claims {
        &self.claims
    }
}

/// Whom a token claims to be from and about, unverified: only good for choosing whose keys to try.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claimed {
    /// Its `iss`, if that is a string.
    pub iss: Option<String>,
    /// Its `sub`, if that is a string.
    pub sub: Option<String>,
}

/// What a token claims; none if it isn't one.
pub fn claimed(token: &str) -> Option<Claimed> {
    let claims = jws::unverified(token).ok()?;
    let text = |name| claims.get(name).and_then(|value| value.as_str()).map(ToOwned::to_owned);
    Some(Claimed { iss: text("iss"), sub: text("sub") })
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
