//! A card's signature: a detached JWS (RFC 7515 §7.2.2, appendix F) whose payload is the card's canonical form.
//! Read here, verified where the keys are.

use crate::json::{self, Limits};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

/// Characters of a protected header that are read.
const HEADER_CHARACTERS_MAX: usize = 8 * 1024;

/// One signature, as it came. Its unprotected header is nobody's word, and not kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CardSignature {
    /// The protected header, base64url.
    pub protected: String,
    /// The signature, base64url.
    pub signature: String,
}

/// What a protected header says, where it says all that both official SDKs ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProtectedHeader {
    /// How it was signed (RFC 7518 §3.1).
    pub alg: String,
    /// The key's name.
    pub kid: String,
    /// Where the signer says that its keys are: not to be followed but by an allow list.
    pub jku: Option<String>,
}

/// Why a protected header is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// Longer than any header has to be.
    #[error("the protected header is too long")]
    Length,
    /// RFC 7515 §2: base64url without padding.
    #[error("the protected header is not base64url")]
    Encoding,
    /// RFC 7515 §4: a JSON object without repeated keys.
    #[error("the protected header is not a JSON object")]
    Json,
    /// `alg`, `kid` and `typ` have to be there (A2A 1.0 §8.4.2), and be texts that are not empty; `jku` may.
    #[error("{name} in the protected header is missing or not a text")]
    Parameter {
        /// Which one.
        name: &'static str,
    },
    /// `crit` (RFC 7515 §4.1.11) and `b64` (RFC 7797): none of what they name is understood here.
    #[error("the protected header asks for something that is not understood")]
    Critical,
}

impl CardSignature {
    pub(super) fn of(signature: &Value) -> Self {
        let text = |name: &str| signature.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        Self { protected: text("protected"), signature: text("signature") }
    }

    /// The protected header.
    ///
    /// # Errors
    /// [`HeaderError`] says what is wrong with it.
    pub fn header(&self) -> Result<ProtectedHeader, HeaderError> {
        if self.protected.len() > HEADER_CHARACTERS_MAX {
            return Err(HeaderError::Length);
        }
        let bytes = URL_SAFE_NO_PAD.decode(&self.protected).map_err(|_| HeaderError::Encoding)?;
        json::check(&bytes, &Limits::default()).map_err(|_| HeaderError::Json)?;
        let header: Map<String, Value> = serde_json::from_slice(&bytes).map_err(|_| HeaderError::Json)?;
        if header.contains_key("crit") || header.contains_key("b64") {
            return Err(HeaderError::Critical);
        }
        let text = |name| match header.get(name) {
            None => Ok(None),
            Some(Value::String(text)) if !text.is_empty() => Ok(Some(text.clone())),
            Some(_) => Err(HeaderError::Parameter { name }),
        };
        let needed = |name| text(name)?.ok_or(HeaderError::Parameter { name });
        needed("typ")?;
        Ok(ProtectedHeader { alg: needed("alg")?, kid: needed("kid")?, jku: text("jku")? })
    }

    /// The signature as a compact JWS over a payload, the card's canonical form: what a verifier of JWS takes.
    pub fn compact(&self, payload: &[u8]) -> String {
        format!("{}.{}.{}", self.protected, URL_SAFE_NO_PAD.encode(payload), self.signature)
    }
}
