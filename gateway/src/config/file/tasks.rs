//! `tasks:` as an operator writes it.

use super::HttpsFile;
use schemars::JsonSchema;
use serde::Deserialize;
use std::path::PathBuf;

/// Whose tasks and contexts are: in memory, in a file, or in Redis.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TasksFile {
    /// An SQLite file; it is made where there is none. For one gateway, or several on one machine. Default: memory, which
    /// forgets every task when the gateway ends.
    pub sqlite: Option<PathBuf>,
    /// A Redis that several gateways share, on whatever machines they are.
    pub redis: Option<TasksRedisFile>,
}

/// Whose tasks are, in Redis. While it doesn't answer, no call that names or shows a task goes on.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TasksRedisFile {
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
    /// What the keys begin with, in braces: gateways with the same one share their tasks. Default `sallyport:tasks`.
    pub prefix: Option<String>,
    /// How long one question may take, a new connection included, as `2s`; between `10ms` and `30s`. Default `2s`.
    pub timeout: Option<String>,
}
