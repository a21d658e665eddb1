//! Agent cards, checked.

use super::Checker;
use crate::config::cards::CardAt;
use crate::config::file::{AgentFile, CardsFile};
use crate::config::{Jwks, Server};
use crate::digest;
use std::time::Duration;
use tokens::SigningKey;
use url::Position;

/// Where a card is, where nothing else is said (A2A 1.0 §8.2).
const WELL_KNOWN: &str = "/.well-known/agent-card.json";

impl Checker<'_> {
    /// The card of an agent, which has this interface.
    pub(super) fn card(&mut self, name: &str, file: &AgentFile, interface: &Server) -> Option<CardAt> {
        let path = format!("agents.{name}.card");
        let card = &file.card;
        let usual = format!("{}{WELL_KNOWN}", &interface.url[Position::BeforeScheme..Position::AfterPort]);
        let url = self.https(&format!("{path}.url"), card.url.as_deref().unwrap_or(&usual));
        let keys = card.keys.as_ref().map(|file| self.jwks(&format!("{path}.keys"), file));
        let mut jku = Vec::new();
        for (at, file) in card.jku.iter().enumerate() {
            let path = format!("{path}.jku[{at}]");
            let found = self.jwks(&path, file)?;
            if let Jwks::Url { url, .. } = &found {
                jku.push((url.clone(), found.clone()));
            } else {
                self.problems.add(path, "names no URL", "write `url: https://…`");
            }
        }
        if let Some(digest) = &card.digest
            && !is_digest(digest)
        {
            let fix = "write what the log says of the card, `sha256:` and 64 hex digits in lower case";
            self.problems.add(format!("{path}.digest"), "is no digest", fix);
        }
        let refresh = self.problems.duration(
            &format!("{path}.refresh"),
            card.refresh.as_deref(),
            Duration::from_secs(60),
            Duration::from_millis(100)..=Duration::from_secs(86_400),
        );
        let bytes_max =
            self.problems.number(&format!("{path}.bytes_max"), card.bytes_max, 256 << 10, 1 << 10..=16 << 20);
        let keys = match keys {
            Some(keys) => Some(keys?),
            None => None,
        };
        let spiffe_id = interface.spiffe_id.clone();
        Some(CardAt { url: url?, spiffe_id, keys, jku, pin: card.digest.clone(), refresh, bytes_max })
    }

    pub(super) fn card_key(&mut self, file: &CardsFile) -> Option<SigningKey> {
        file.key.as_deref().and_then(|key| self.signing_key("cards.key", key))
    }
}

fn is_digest(text: &str) -> bool {
    text.strip_prefix(digest::SCHEME).is_some_and(|hex| {
        hex.len() == 64 && hex.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    })
}
