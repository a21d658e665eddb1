//! Agent cards, as they run.

use super::Jwks;
use certs::SpiffeId;
use std::time::Duration;
use url::Url;

/// Where an agent's card is, whose signature it needs, and what it is held to.
#[derive(Clone, Debug, PartialEq)]
pub struct CardAt {
    /// Where it is.
    pub url: Url,
    /// What its server must prove: it is the agent.
    pub spiffe_id: SpiffeId,
    /// The keys that may have signed it.
    pub keys: Option<Jwks>,
    /// The same by the `jku` that a signature names.
    pub jku: Vec<(Url, Jwks)>,
    /// What it must be, as `sha256:…`.
    pub pin: Option<String>,
    /// How often it is read.
    pub refresh: Duration,
    /// The longest one that is read.
    pub bytes_max: usize,
}
