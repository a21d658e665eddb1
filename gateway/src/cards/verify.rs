//! Whether somebody who may vouches for a card: one good signature, by a configured key or by one that an allowed `jku`
//! publishes (A2A 1.0 §8.4.3).

use super::CardError;
use crate::config::cards::CardAt;
use crate::https::HttpsError;
use crate::jwks::KeyStore;
use certs::{Clock, SharedSource};
use protocol::a2a::card::{Card, CardSignature};
use std::collections::BTreeMap;
use tokens::jws::signed_document;
use tokens::{Keys, TokenError};

/// Signatures of one card that are looked at.
const SIGNATURES_MAX: usize = 8;

/// The keys that may have signed an agent's cards.
#[derive(Debug)]
pub struct Verifier {
    own: Option<KeyStore>,
    jku: BTreeMap<String, KeyStore>,
}

impl Verifier {
    /// For one agent's cards.
    ///
    /// # Errors
    /// [`HttpsError`] if a server's authorities can't be read.
    pub fn new(card: &CardAt, source: &SharedSource, clock: &Clock) -> Result<Self, HttpsError> {
        let own = card.keys.as_ref().map(|keys| KeyStore::new(keys, source, clock)).transpose()?;
        let store =
            |(url, jwks): &(url::Url, _)| Ok((url.as_str().to_owned(), KeyStore::new(jwks, source, clock)?));
        let jku: Result<_, HttpsError> = card.jku.iter().map(store).collect();
        Ok(Self { own, jku: jku? })
    }

    /// Verifies a card. Where no keys are configured, nobody is asked to vouch.
    ///
    /// # Errors
    /// [`CardError`], of the last signature that was tried.
    pub async fn verify(&self, card: &Card) -> Result<(), CardError> {
        if self.own.is_none() && self.jku.is_empty() {
            return Ok(());
        }
        let payload = card.canonical()?;
        let mut why = CardError::Unsigned;
        for signature in card.signatures().iter().take(SIGNATURES_MAX) {
            match self.holds(signature, &payload).await {
                Ok(()) => return Ok(()),
                Err(error) => why = error,
            }
        }
        Err(why)
    }

    async fn holds(&self, signature: &CardSignature, payload: &[u8]) -> Result<(), CardError> {
        let header = signature.header()?;
        let published = header.jku.as_ref().and_then(|jku| self.jku.get(jku));
        let store = published.or(self.own.as_ref()).ok_or(CardError::NoKeys)?;
        let compact = signature.compact(payload);
        let by = |keys: &Keys| signed_document(&compact, keys).map(drop);
        match by(&*store.current().await?) {
            Err(TokenError::UnknownKey { .. }) => Ok(by(&*store.refreshed().await?)?),
            other => Ok(other?),
        }
    }
}

impl CardError {
    /// Whether it says nothing of the card: somebody who has to be asked doesn't answer.
    pub(super) fn is_absence(&self) -> bool {
        matches!(self, Self::Fetch(_) | Self::Keys(_))
    }
}
