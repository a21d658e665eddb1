//! `servers.yaml` of `sallyport up`: which MCP servers it starts, and before what.

use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// A server that `up` starts as a process of its own. It gets its identity, its door and the gateway's name from `up`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StartedFile {
    /// Its program: a name is looked for beside `sallyport` and on the PATH; a path begins at this file's folder.
    pub program: String,
    /// Its own flags. It runs in this file's folder.
    #[serde(default)]
    pub args: Vec<String>,
    /// The system that it is before, where that is another process: a URL at which the system says that it is well. At the
    /// start it is asked.
    #[serde(default)]
    pub before: Option<String>,
    /// Who that system is in a token (`aud`), where it takes the token service's: the server exchanges each request's token for
    /// one for the system.
    #[serde(default)]
    pub downstream: Option<String>,
    /// A file without which it can't start; a path begins at this file's folder.
    #[serde(default)]
    pub needs: Option<PathBuf>,
    /// What a person's scope opens: the server's tools.
    #[serde(default)]
    pub scopes: BTreeMap<String, Vec<String>>,
}
