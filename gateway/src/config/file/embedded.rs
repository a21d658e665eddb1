//! `token-service.yaml`: the embedded token service of one machine, as its user wrote it.

use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::BTreeMap;

/// The embedded token service. The file holds passwords: nobody but its owner may be able to read it (mode 0600).
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EmbeddedFile {
    /// The people who may sign in, by name.
    #[serde(default)]
    pub users: BTreeMap<String, UserFile>,
    /// The scopes that a workload may get for itself (client credentials), by SPIFFE ID. Default: none.
    #[serde(default)]
    pub workloads: BTreeMap<String, Vec<String>>,
    /// How signing keys follow each other.
    #[serde(default)]
    pub keys: KeysFile,
    /// How long what it issues holds.
    #[serde(default)]
    pub lifetimes: LifetimesFile,
    /// Numbers that bound what clients can use up.
    #[serde(default)]
    pub limits: EmbeddedLimitsFile,
}

/// A person who may sign in.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UserFile {
    /// The password, at least 8 characters.
    pub password: String,
    /// The scopes that the person may give to a program.
    pub scopes: Vec<String>,
    /// The workloads that may act for the person, by SPIFFE ID: one of them is named in each token, and nobody else can
    /// present it.
    pub agents: Vec<String>,
}

impl std::fmt::Debug for UserFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("UserFile").field("scopes", &self.scopes).field("agents", &self.agents).finish()
    }
}

/// How signing keys follow each other.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KeysFile {
    /// How old a key gets before the next one is made. Default `720h`.
    pub every: Option<String>,
    /// How long a new key is published before it signs. Default `5m`.
    pub ahead: Option<String>,
    /// How long an old key is still published once the next one signs: longer than any token that it has signed.
    /// Default `24h`.
    pub overlap: Option<String>,
}

/// How long what it issues holds.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LifetimesFile {
    /// An authorization code. Default `1m`.
    pub code: Option<String>,
    /// An access token. Default `10m`.
    pub access_token: Option<String>,
    /// What a person allowed by signing in, however often its refresh token was changed. Default `24h`.
    pub grant: Option<String>,
    /// A registered client that nobody uses. Default `24h`.
    pub client: Option<String>,
}

/// Numbers that bound what clients can use up.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EmbeddedLimitsFile {
    /// Registered clients. For a new one the one that was idle for the longest gives place; those that somebody's grant
    /// holds go last. Default 100.
    pub clients_max: Option<u64>,
    /// Redirect URIs of one client. Default 5.
    pub redirect_uris_max: Option<u64>,
    /// Registrations in one minute. Default 30.
    pub registrations_per_minute: Option<u64>,
    /// Codes that were given and not redeemed. Default 100.
    pub codes_max: Option<u64>,
    /// Grants that hold at once. Default 1000.
    pub grants_max: Option<u64>,
    /// Wrong passwords for one name within `sign_in_failures_within`; then nobody signs in by that name until it is over.
    /// Default 5.
    pub sign_in_failures_max: Option<u64>,
    /// Default `1m`.
    pub sign_in_failures_within: Option<String>,
    /// Connections that are served at once; more wait. Default 64.
    pub connections_max: Option<u64>,
    /// Bytes of a request's body. Default 65536.
    pub body_bytes_max: Option<u64>,
    /// How long a handshake, and a connection without a request, may take. Default `10s`.
    pub timeout: Option<String>,
}
