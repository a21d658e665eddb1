//! The push notifications' part of the configuration file.

use schemars::JsonSchema;
use serde::Deserialize;
use std::path::PathBuf;

/// The relay of push notifications: agents with `push: relay` post a task's events to the gateway, and it takes them to the
/// URL that the caller named. What stands in `allow` and `private_addresses` is followed while the gateway runs.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PushesFile {
    /// URLs below which events may be sent (https), as `https://hooks.example/a2a`: the same host and port, and a path that
    /// begins with the same segments. Default: none, and so nothing is sent anywhere.
    #[serde(default)]
    pub allow: Vec<String>,
    /// Networks that may be reached although the world can't reach them, as `10.1.0.0/16`: private, loopback and other special
    /// ones. Link-local addresses, with the clouds' metadata, are reached only by a network within theirs. Default: none.
    #[serde(default)]
    pub private_addresses: Vec<String>,
    /// PEM file of the authorities that vouch for the targets' servers. Default: the system's.
    pub ca_file: Option<PathBuf>,
    /// How long one attempt may take, from the look-up of the host to the answer's head. Default `10s`.
    pub timeout: Option<String>,
    /// How often a delivery is tried. Default 6.
    pub attempts: Option<u64>,
    /// How long to wait before the second attempt; twice as long before each one after it, less up to a half by chance.
    /// Default `1s`.
    pub back_off: Option<String>,
    /// How long to wait at most, also where the target asks for more (`Retry-After`). Default `60s`.
    pub back_off_max: Option<String>,
    /// Events that wait or are being delivered, all together; a quarter of them for one owner, an eighth waiting at one URL.
    /// Further ones are refused.
    /// Default 1024.
    pub queue_max: Option<u64>,
    /// Bytes of the longest event. Default 256 KiB.
    pub body_bytes_max: Option<u64>,
    /// How long the URL works that an agent gets. Default `24h`.
    pub lifetime: Option<String>,
}
