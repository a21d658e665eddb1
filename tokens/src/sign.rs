//! Tokens that we issue ourselves: ES256, one key for each kind of token.

use crate::keys::jwk_set;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::{Jwk, PublicKeyUse, ThumbprintHash};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Map, Value};
use std::fmt;

/// A private signing key with its published name. `Debug` prints the name alone.
#[derive(Clone)]
pub struct SigningKey {
    pkcs8: Vec<u8>,
    key: EncodingKey,
    jwk: Jwk,
    kid: String,
}

/// Why a key can't be made or used.
#[derive(Debug, thiserror::Error)]
pub enum SigningError {
    /// The random number generator or the key's encoding failed.
    #[error("no ES256 key could be made")]
    Generate,
    /// Not a PKCS #8 document with a P-256 key.
    #[error("not a PKCS #8 document with a P-256 key")]
    NotAKey,
    /// The library refused to sign.
    #[error("the token could not be signed")]
    Sign(#[source] jsonwebtoken::errors::Error),
}

impl SigningKey {
    /// A new P-256 key.
    ///
    /// # Errors
    /// [`SigningError::Generate`] if there is no randomness to be had.
    pub fn generate() -> Result<Self, SigningError> {
        let pair =
            EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).map_err(|_| SigningError::Generate)?;
        let pkcs8 = pair.to_pkcs8v1().map_err(|_| SigningError::Generate)?;
        Self::from_pkcs8(pkcs8.as_ref())
    }

    /// Reads a key from PKCS #8 DER. Its name (`kid`) is its RFC 7638 thumbprint.
    ///
    /// # Errors
    /// [`SigningError::NotAKey`] for anything but a P-256 private key.
    pub fn from_pkcs8(der: &[u8]) -> Result<Self, SigningError> {
        let key = EncodingKey::from_ec_der(der);
        let mut jwk = Jwk::from_encoding_key(&key, Algorithm::ES256).map_err(|_| SigningError::NotAKey)?;
        let kid = jwk.thumbprint(ThumbprintHash::SHA256).map_err(|_| SigningError::NotAKey)?;
        jwk.common.key_id = Some(kid.clone());
        jwk.common.public_key_use = Some(PublicKeyUse::Signature);
        Ok(Self { pkcs8: der.to_vec(), key, jwk, kid })
    }

    /// The key as PKCS #8 DER, for a file that only its owner may read.
    pub fn to_pkcs8(&self) -> &[u8] {
        &self.pkcs8
    }

    /// Its published name.
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// The JWK set (RFC 7517 §5) that publishes these keys.
    pub fn jwks<'a>(keys: impl IntoIterator<Item = &'a Self>) -> Value {
        serde_json::to_value(jwk_set(keys.into_iter().map(|key| key.jwk.clone()).collect()))
            .unwrap_or_default()
    }

    /// The key as a JWK (RFC 7517), to be published.
    pub fn public(&self) -> Value {
        serde_json::to_value(&self.jwk).unwrap_or_default()
    }

    /// ES256 over bytes (RFC 7518 §3.4): `R || S`, 64 bytes.
    ///
    /// # Errors
    /// [`SigningError::Generate`] if there is no randomness to be had.
    pub fn sign_bytes(&self, message: &[u8]) -> Result<Vec<u8>, SigningError> {
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &self.pkcs8)
            .map_err(|_| SigningError::NotAKey)?;
        let signature = pair.sign(&SystemRandom::new(), message).map_err(|_| SigningError::Generate)?;
        Ok(signature.as_ref().to_vec())
    }

    /// Signs claims as a token of the given type (`typ`, RFC 8725 §3.11).
    ///
    /// # Errors
    /// [`SigningError::Sign`] if the library refuses.
    pub fn sign(&self, typ: &str, claims: &Map<String, Value>) -> Result<crate::Secret, SigningError> {
        let mut header = Header::new(Algorithm::ES256);
        header.typ = Some(typ.to_owned());
        header.kid = Some(self.kid.clone());
        encode(&header, claims, &self.key).map(crate::Secret::new).map_err(SigningError::Sign)
    }

    /// Signs a payload that goes beside its signature (RFC 7515 appendix F): the protected header, which names this key
    /// and says where it is published (`jku`), and the signature, both base64url.
    ///
    /// # Errors
    /// [`SigningError::Sign`] if the library refuses.
    pub fn sign_detached(&self, jku: &str, payload: &[u8]) -> Result<(String, String), SigningError> {
        let header = serde_json::json!({"alg": "ES256", "jku": jku, "kid": self.kid, "typ": "JOSE"});
        let protected = URL_SAFE_NO_PAD.encode(header.to_string());
        let message = format!("{protected}.{}", URL_SAFE_NO_PAD.encode(payload));
        let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &self.key, Algorithm::ES256)
            .map_err(SigningError::Sign)?;
        Ok((protected, signature))
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({})", self.kid)
    }
}

/// A token of claims that somebody else signs: `sign` gets the bytes (RFC 7515 §5.1) and gives ES256 over them.
///
/// # Errors
/// What `sign` says.
pub fn signed_by<E>(
    typ: &str,
    kid: &str,
    claims: &Map<String, Value>,
    sign: impl FnOnce(&[u8]) -> Result<Vec<u8>, E>,
) -> Result<crate::Secret, E> {
    let header = serde_json::json!({ "typ": typ, "alg": "ES256", "kid": kid });
    let part = |value: String| URL_SAFE_NO_PAD.encode(value);
    let claims = serde_json::to_string(claims).unwrap_or_default(); // A JSON object is always written.
    let message = format!("{}.{}", part(header.to_string()), part(claims));
    let signature = sign(message.as_bytes())?;
    Ok(crate::Secret::new(format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))))
}

/// 128 random bits for a `jti`, base64url.
///
/// # Errors
/// [`SigningError::Generate`] if there is no randomness to be had.
pub fn token_id() -> Result<String, SigningError> {
    let mut bytes = [0u8; 16];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| SigningError::Generate)?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}
