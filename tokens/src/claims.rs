//! What a token says, once its signature held.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
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
    /// What it allows (`scope`, space separated on the wire; without that `scp`, which some issuers write instead).
    pub scopes: BTreeSet<String>,
    /// The groups of its subject, where its issuer's [`Mapping`] names them.
    pub groups: Vec<String>,
    /// The tenant of its subject, where its issuer's [`Mapping`] names it.
    pub tenant: Option<String>,
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

/// Where an issuer's tokens say what: the path of member names to a claim, the outermost first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mapping {
    /// The scopes: a string with spaces between them, or an array of strings. None: `scope`, else `scp`.
    pub scopes: Option<Vec<String>>,
    /// The groups: a string, which is one group, or an array of strings. None: no groups.
    pub groups: Option<Vec<String>>,
    /// The tenant: a string. None: no tenant.
    pub tenant: Option<Vec<String>>,
}

impl Claims {
    /// Reads the claims set. `iss`, `sub`, `aud` and `exp` are required; what is there must have the right type.
    ///
    /// # Errors
    /// [`ClaimError`] names the first claim that is missing or wrong.
    pub fn read(all: Map<String, Value>) -> Result<Self, ClaimError> {
        let iss = text(&all, "iss")?.ok_or(ClaimError("iss"))?;
        Self::with_issuer(all, iss)
    }

    /// The same for a JWT-SVID (§3), which needs no `iss`: it is from whom its keys say.
    ///
    /// # Errors
    /// [`ClaimError`] names the first claim that is missing or wrong.
    pub fn of_svid(all: Map<String, Value>, iss: &str) -> Result<Self, ClaimError> {
        Self::with_issuer(all, iss.to_owned())
    }

    fn with_issuer(all: Map<String, Value>, iss: String) -> Result<Self, ClaimError> {
        Ok(Self {
            iss,
            sub: text(&all, "sub")?.ok_or(ClaimError("sub"))?,
            aud: audiences(&all)?,
            exp: seconds(&all, "exp")?.ok_or(ClaimError("exp"))?,
            nbf: seconds(&all, "nbf")?,
            iat: seconds(&all, "iat")?,
            jti: text(&all, "jti")?,
            scopes: match all.get("scope") {
                Some(Value::Array(_)) => return Err(ClaimError("scope")), // RFC 8693 §4.2 has a string there.
                scope => words(scope.or_else(|| all.get("scp")), "scope")?,
            },
            groups: Vec::new(),
            tenant: None,
            client_id: text(&all, "client_id")?,
            actors: actors(&all)?,
            x5t_s256: thumbprint(&all)?,
            all,
        })
    }

    /// Takes scopes, groups and tenant from where the issuer has them.
    ///
    /// # Errors
    /// [`ClaimError`] if one is there and of the wrong type; a missing one is none.
    pub(crate) fn map(&mut self, mapping: &Mapping) -> Result<(), ClaimError> {
        if let Some(path) = &mapping.scopes {
            self.scopes = words(at(&self.all, path, "scopes")?, "scopes")?;
        }
        if let Some(path) = &mapping.groups {
            self.groups = texts(at(&self.all, path, "groups")?, "groups")?;
        }
        if let Some(path) = &mapping.tenant {
            self.tenant = match at(&self.all, path, "tenant")? {
                None => None,
                Some(Value::String(tenant)) if !tenant.is_empty() => Some(tenant.clone()),
                Some(_) => return Err(ClaimError("tenant")),
            };
        }
        Ok(())
    }
}

/// What stands at the end of a path. A step into what is no object is an error, since nobody said that there is nothing.
fn at<'a>(
    all: &'a Map<String, Value>,
    path: &[String],
    name: &'static str,
) -> Result<Option<&'a Value>, ClaimError> {
    let Some((last, way)) = path.split_last() else { return Ok(None) };
    let mut object = all;
    for step in way {
        match object.get(step) {
            None => return Ok(None),
            Some(Value::Object(inner)) => object = inner,
            Some(_) => return Err(ClaimError(name)),
        }
    }
    Ok(object.get(last))
}

/// Words with spaces between them, or an array of words.
fn words(value: Option<&Value>, name: &'static str) -> Result<BTreeSet<String>, ClaimError> {
    let all = texts(value, name)?;
    Ok(all.iter().flat_map(|text| text.split(' ')).filter(|s| !s.is_empty()).map(Into::into).collect())
}

fn texts(value: Option<&Value>, name: &'static str) -> Result<Vec<String>, ClaimError> {
    match value {
        None => Ok(Vec::new()),
        Some(Value::String(one)) => Ok(vec![one.clone()]),
        Some(Value::Array(many)) => {
            many.iter().map(|text| text.as_str().map(Into::into).ok_or(ClaimError(name))).collect()
        }
        Some(_) => Err(ClaimError(name)),
    }
}

fn text(all: &Map<String, Value>, name: &'static str) -> Result<Option<String>, ClaimError> {
    match all.get(name) {
        None => Ok(None),
        Some(Value::String(text)) if !text.is_empty() => Ok(Some(text.clone())),
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

/// What a token says that is bound to a certificate whose DER has this SHA-256 (RFC 8705 §3.1).
pub fn x5t_s256(thumbprint: [u8; 32]) -> String {
    URL_SAFE_NO_PAD.encode(thumbprint)
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
