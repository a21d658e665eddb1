//! `revocations:` as an operator writes it.

use super::HttpsFile;
use schemars::JsonSchema;
use serde::Deserialize;
use std::path::PathBuf;

/// What is revoked before its time: workloads, subjects, tokens, sessions and tools. In a file, or in Redis.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RevocationsFile {
    /// The list, as `sallyport revoke --file` writes it. It is read again when it changes; one with a mistake in it never
    /// replaces a good one. An empty file revokes nothing.
    pub file: Option<PathBuf>,
    /// The list in a Redis that several gateways share, as `sallyport revoke --config` writes it.
    pub redis: Option<RevocationsRedisFile>,
}

/// A list of revocations in Redis. Nothing is let through before it was read once.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RevocationsRedisFile {
    /// The server, as `rediss://redis.example:6379`, or `rediss://redis.example:6379/1` for another database than 0. One on
    /// this machine may go without TLS: `redis://127.0.0.1:6379`.
    pub url: String,
    /// What a `rediss` server must prove. To one that asks for a certificate the gateway shows its SVID. Default: a host name
    /// that the system's authorities vouch for.
    #[serde(default)]
    pub server: HttpsFile,
    /// Who the gateway is there (ACL). Default: the user `default`.
    pub username: Option<String>,
    /// File with the password on one line, read for each connection; mode 0600.
    pub password_file: Option<PathBuf>,
    /// The hash that is the list. Default `sallyport:revocations`.
    pub key: Option<String>,
    /// How old what is known may become before `when_away` counts, as `10s`; between `1s` and `1h`. Default `10s`.
    pub stale_after: Option<String>,
    /// What becomes of calls while the server is away for longer. Default `go_on`.
    #[serde(default)]
    pub when_away: WhenAwayFile,
}

/// What becomes of calls while nobody can say what has been revoked lately.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum WhenAwayFile {
    /// They go on under what is known.
    #[default]
    GoOn,
    /// The same, and the gateway says that it isn't ready, so that no new ones are sent to it.
    NotReady,
    /// They are refused, and open streams end.
    Refuse,
}
