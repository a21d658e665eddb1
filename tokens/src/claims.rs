//! What a token says, once its signature held.

use serde_json::{Map, Value};
use std::collections::BTreeSet;

/// The claims that Sallyport reads (RFC 7519 §4.1, RFC 8693 §4, RFC 9068 §2.2, RFC 8705 §3.1), and all of them raw.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Claims {
    /// Who issued it (`iss`).
    pub iss: String,
    /// Whom it is about (`sub`).
    pub sub: String,
    /// Whom it is for (`aud`), a string or an array on the wire.
    pub aud: Vec<String>,
    /// Ends it (`exp`), seconds since 1970.
    pub exp: u64,
    /// Not before (`nbf`), seconds since 1970.
    pub nbf: Option<u64>,
    /// Issued at (`iat`), seconds since 1970.
    pub iat: Option<u64>,
    /// Its own name (`jti`).
    pub jti: Option<String>,
    /// What it allows (`scope`, space separated on the wire).
    pub scopes: BTreeSet<String>,
    /// The OAuth client that asked for it (`client_id`).
    pub client_id: Option<String>,
    /// The chain of actors (`act`), the current one first (RFC 8693 §4.1).
    pub actors: Vec<String>,
    /// SHA-256 of the certificate that it is bound to (`cnf.x5t#S256`), base64url.
    pub x5t_s256: Option<String>,
    /// Every claim as it came.
    pub all: Map<String, Value>,
}

/// Nesting of `act` that is still read; a longer chain is refused.
pub const ACTORS_MAX: usize = 16;

/// A claim is there but isn't what its specification says.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("claim `{0}` is missing or of the wrong type")]
pub struct ClaimError(pub &'static str);

impl Claims {
    /// Reads the claims set. `iss`, `sub`, `aud` and `exp` are required; what is there must have the right type.
    ///
    /// # Errors
    /// [`ClaimError`] names the first claim that is missing or wrong.
    pub fn read(all: Map<String, Value>) -> Result<Self, ClaimError> {
        Ok(Self {
            iss: text(&all, "iss")?.ok_or(ClaimError("iss"))?,
            sub: text(&all, "sub")?.ok_or(ClaimError("sub"))?,
            aud: audiences(&all)?,
            exp: seconds(&all, "exp")?.ok_or(ClaimError("exp"))?,
            nbf: seconds(&all, "nbf")?,
            iat: seconds(&all, "iat")?,
            jti: text(&all, "jti")?,
            scopes: text(&all, "scope")?
                .unwrap_or_default()
                .split(' ')
                .filter(|s| !s.is_empty())
                .map(Into::into)
                .collect(),
            client_id: text(&all, "client_id")?,
            actors: actors(&all)?,
            x5t_s256: thumbprint(&all)?,
            all,
        })
    }
}

fn text(all: &Map<String, Value>, name: &'static str) -> Result<Option<String>, ClaimError> {
    match all.get(name) {
        None => Ok(None),
        Some(Value::String(text)) if !text.is_empty() || name == "scope" => Ok(Some(text.clone())),
        Some(_) => Err(ClaimError(name)),
    }
}

/// A NumericDate (RFC 7519 §2). Fractions are cut off; negative or non-numeric dates are errors.
fn seconds(all: &Map<String, Value>, name: &'static str) -> Result<Option<u64>, ClaimError> {
    const YEAR_9999: u64 = 253_402_300_799; // Later dates overflow whoever adds to them.
    match all.get(name) {
        None => Ok(None),
        Some(value) => match (value.as_u64(), value.as_f64()) {
            (Some(whole), _) if whole <= YEAR_9999 => Ok(Some(whole)),
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "the cast saturates, and the year 9999 fits"
            )]
            (None, Some(date)) if date >= 0.0 && date as u64 <= YEAR_9999 => Ok(Some(date as u64)),
            _ => Err(ClaimError(name)),
        },
    }
}

fn audiences(all: &Map<String, Value>) -> Result<Vec<String>, ClaimError> {
    match all.get("aud") {
        Some(Value::String(one)) if !one.is_empty() => Ok(vec![one.clone()]),
        Some(Value::Array(many)) if !many.is_empty() => {
            many.iter().map(|a| a.as_str().map(Into::into).ok_or(ClaimError("aud"))).collect()
        }
        _ => Err(ClaimError("aud")),
    }
}

fn actors(all: &Map<String, Value>) -> Result<Vec<String>, ClaimError> {
    let mut chain = Vec::new();
    let mut next = all.get("act");
    while let Some(actor) = next {
        let actor = actor.as_object().ok_or(ClaimError("act"))?;
        chain.push(text(actor, "sub").ok().flatten().ok_or(ClaimError("act"))?);
        if chain.len() > ACTORS_MAX {
            return Err(ClaimError("act"));
        }
        next = actor.get("act");
    }
    Ok(chain)
}

fn thumbprint(all: &Map<String, Value>) -> Result<Option<String>, ClaimError> {
    match all.get("cnf") {
        None => Ok(None),
        Some(Value::Object(cnf)) => match cnf.get("x5t#S256") {
            Some(Value::String(print)) => Ok(Some(print.clone())),
            _ => Err(ClaimError("cnf")), // A binding that we can't check is not a token without a binding.
        },
        Some(_) => Err(ClaimError("cnf")),
    }
}
