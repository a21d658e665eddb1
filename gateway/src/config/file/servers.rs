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
    /// The system that it is before, or several, where that is another process: a URL at which the system says that it is well.
    /// At the start it is asked.
    #[serde(default)]
    pub before: BeforeFile,
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

/// One URL, or a list of them.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub enum BeforeFile {
    /// One.
    One(String),
    /// A list; none where the key is not there.
    All(Vec<String>),
}

impl Default for BeforeFile {
    fn default() -> Self {
        Self::All(Vec::new())
    }
}

impl BeforeFile {
    /// All of them.
    pub fn urls(self) -> Vec<String> {
        match self {
            Self::One(url) => vec![url],
            Self::All(urls) => urls,
        }
    }
}
