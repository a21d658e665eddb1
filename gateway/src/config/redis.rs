//! What is kept in a Redis that gateways share, and how they get there.

use super::{HttpsServer, WhenAway};
use std::path::PathBuf;
use std::time::Duration;
use url::Url;

/// A Redis.
#[derive(Clone, Debug)]
pub struct RedisServer {
    /// The server; host and port.
    pub url: Url,
    /// Which of its databases.
    pub database: i64,
    /// What it must prove; none for one on this machine without TLS.
    pub server: Option<HttpsServer>,
    /// Who the gateway is there.
    pub username: Option<String>,
    /// The file with the password, read for each connection.
    pub password_file: Option<PathBuf>,
}

/// A list of revocations in Redis.
#[derive(Clone, Debug)]
pub struct RedisList {
    /// Where.
    pub at: RedisServer,
    /// The hash that is the list.
    pub key: String,
    /// How old what is known may become before the server counts as away.
    pub stale_after: Duration,
    /// What becomes of calls then.
    pub when_away: WhenAway,
}

/// Whose tasks are, in Redis.
#[derive(Clone, Debug)]
pub struct RedisTasks {
    /// Where.
    pub at: RedisServer,
    /// What the keys begin with, in braces.
    pub prefix: String,
    /// How long one question may take, the connection included.
    pub timeout: Duration,
}
