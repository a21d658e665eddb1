//! The agent cards' part of the configuration file.

use super::JwksFile;
use schemars::JsonSchema;
use serde::Deserialize;
use std::path::PathBuf;

/// An agent's card: where it is, whose signature it needs, and what it is held to.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CardFile {
    /// Where it is (https), on a server that proves the agent's SPIFFE ID. Default: `/.well-known/agent-card.json` at the
    /// host and port of the agent's first interface.
    pub url: Option<String>,
    /// The keys that sign it: then a card without a good signature is not served. Default: no signature is asked for.
    pub keys: Option<JwksFile>,
    /// The `jku` URLs that are followed, each with what its server must prove; any other in a signature is not.
    #[serde(default)]
    pub jku: Vec<JwksFile>,
    /// The digest of the card, `sha256:` and 64 hex digits. With another card, or none, the agent is not called. The log
    /// has the digest of a card that is read.
    pub digest: Option<String>,
    /// How often it is read, as `60s`. Default `60s`.
    pub refresh: Option<String>,
    /// Bytes of the longest card that is read. Default 256 KiB.
    pub bytes_max: Option<u64>,
}

/// What the gateway signs the cards with that it serves, and the events that it sends.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CardsFile {
    /// PKCS #8 PEM or DER file of a P-256 key; mode 0600. Default: a key of the moment, which no other replica has and which
    /// is gone with the gateway.
    pub key: Option<PathBuf>,
}
