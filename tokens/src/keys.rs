//! The keys that an issuer publishes (JWKS, RFC 7517), filtered to those that can verify a signature.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::{
    AlgorithmParameters, EllipticCurve, EllipticCurveKeyParameters, Jwk, JwkSet, KeyAlgorithm, KeyOperations,
    PublicKeyUse,
};
use jsonwebtoken::{Algorithm, DecodingKey};
use protocol::json::Limits;
use std::fmt;

/// One verifying key with the one algorithm that it may be used with.
#[derive(Clone)]
pub(crate) struct Key {
    pub(crate) kid: Option<String>,
    pub(crate) algorithm: Algorithm,
    pub(crate) key: DecodingKey,
    published: Jwk,
}

/// An issuer's verifying keys.
#[derive(Clone, Default)]
pub struct Keys(Vec<Key>);

/// Why a document is no JWKS.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// Not JSON, or not of the form of RFC 7517 §5.
    #[error("not a JWK set")]
    NotAJwkSet(#[source] serde_json::Error),
    /// JSON that two readers could read in two ways.
    #[error("the JWK set's JSON is not strict")]
    Json(#[source] protocol::json::JsonError),
    /// Nothing in it verifies signatures with an algorithm that we accept.
    #[error("the JWK set has no signature key that can be used")]
    NoUsableKey,
}

/// The most keys that one issuer may publish.
const KEYS_MAX: usize = 100;

/// Two sets are equal if they were published alike.
impl PartialEq for Keys {
    fn eq(&self, other: &Self) -> bool {
        self.0.iter().map(|key| &key.published).eq(other.0.iter().map(|key| &key.published))
    }
}

impl Keys {
    /// Reads a JWK set. Keys for encryption, symmetric keys, private keys and curves that we don't know are passed over
    /// (RFC 7517 §5 asks for that). A SPIFFE bundle is one whose keys for JWT-SVIDs say `use: jwt-svid`.
    ///
    /// # Errors
    /// [`KeysError`] where nothing usable is left.
    pub fn from_jwks(bytes: &[u8]) -> Result<Self, KeysError> {
        #[derive(serde::Deserialize)]
        struct Loose {
            keys: Vec<serde_json::Value>, // One odd key must not hide the others.
        }
        protocol::json::check(bytes, &Limits { depth_max: 16 }).map_err(KeysError::Json)?;
        let set: Loose = serde_json::from_slice(bytes).map_err(KeysError::NotAJwkSet)?;
        let keys: Vec<Key> = set
            .keys
            .into_iter()
            .take(KEYS_MAX)
            .filter(|jwk| jwk.get("d").is_none()) // A private key in a published set is a key that everybody has.
            .filter_map(|jwk| usable(&serde_json::from_value::<Jwk>(jwk).ok()?))
            .collect();
        if keys.is_empty() { Err(KeysError::NoUsableKey) } else { Ok(Self(keys)) }
    }

    /// The key that a token's `kid` names; a token without one is accepted from an issuer with a single key only.
    pub(crate) fn find(&self, kid: Option<&str>) -> Option<&Key> {
        match (kid, self.0.as_slice()) {
            (None, [only]) => Some(only),
            (None, _) => None,
            (Some(kid), keys) => keys.iter().find(|key| key.kid.as_deref() == Some(kid)),
        }
    }

    /// Whether a key of this name is here: if not, the set may be stale.
    pub fn has(&self, kid: Option<&str>) -> bool {
        self.find(kid).is_some()
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|key| (key.kid.as_deref(), key.algorithm))).finish()
    }
}

/// The algorithm follows from the key's type and curve; where the JWK names one too, they must agree (RFC 8725 §3.1).
fn usable(jwk: &Jwk) -> Option<Key> {
    match &jwk.common.public_key_use {
        None | Some(PublicKeyUse::Signature) => {}
        Some(PublicKeyUse::Other(other)) if other == "jwt-svid" => {} // SPIFFE Trust Domain and Bundle §4.2.2.
        Some(_) => return None,
    }
    if jwk.common.key_operations.as_ref().is_some_and(|all| !all.contains(&KeyOperations::Verify)) {
        return None;
    }
    let named = jwk.common.key_algorithm;
    let algorithm = match &jwk.algorithm {
        AlgorithmParameters::EllipticCurve(ec) => match (ec.curve.clone(), named) {
            (EllipticCurve::P256, None | Some(KeyAlgorithm::ES256)) if sized(ec, 32) => Algorithm::ES256,
            (EllipticCurve::P384, None | Some(KeyAlgorithm::ES384)) if sized(ec, 48) => Algorithm::ES384,
            _ => return None,
        },
        AlgorithmParameters::RSA(_) => match named {
            None | Some(KeyAlgorithm::RS256) => Algorithm::RS256,
            Some(KeyAlgorithm::RS384) => Algorithm::RS384,
            Some(KeyAlgorithm::RS512) => Algorithm::RS512,
            Some(KeyAlgorithm::PS256) => Algorithm::PS256,
            Some(KeyAlgorithm::PS384) => Algorithm::PS384,
            Some(KeyAlgorithm::PS512) => Algorithm::PS512,
            Some(_) => return None,
        },
        AlgorithmParameters::OctetKeyPair(okp) => match (okp.curve.clone(), named) {
            (EllipticCurve::Ed25519, None | Some(KeyAlgorithm::EdDSA)) => Algorithm::EdDSA,
            _ => return None,
        },
        _ => return None, // A symmetric key in a published set is a key that everybody has.
    };
    let key = DecodingKey::from_jwk(jwk).ok()?;
    Some(Key { kid: jwk.common.key_id.clone(), algorithm, key, published: jwk.clone() })
}

/// Whether both coordinates have the curve's size (RFC 7518 §6.2.1.2): they are put together, and the seam must be known.
fn sized(key: &EllipticCurveKeyParameters, bytes: usize) -> bool {
    [&key.x, &key.y].iter().all(|part| URL_SAFE_NO_PAD.decode(part).is_ok_and(|part| part.len() == bytes))
}

/// One JWK of a set, for writing sets: see [`crate::SigningKey::public_jwk`].
pub(crate) fn jwk_set(keys: Vec<Jwk>) -> JwkSet {
    JwkSet { keys }
}
