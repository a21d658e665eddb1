//! The file of backends, as run: parsed, bounded, nothing left to interpret. `file.rs` reads it, `section.rs` collects what
//! is wrong with it.

mod file;
mod section;

use crate::ask::{ModelName, Use};
use std::path::PathBuf;
use std::time::Duration;
use url::Url;

pub(crate) use file::parse;

/// All that is wrong with a file of backends: a line each, with its path and the fix.
#[derive(Debug, thiserror::Error)]
#[error("--backends: {} to mend:\n{}", counted(.0.len()), .0.join("\n"))]
pub struct Mistakes(pub Vec<String>);

fn counted(count: usize) -> String {
    if count == 1 { "one thing".to_owned() } else { format!("{count} things") }
}

/// One backend.
#[derive(Clone, Debug)]
pub(crate) struct Planned {
    /// Its name in answers and logs.
    pub name: String,
    /// What it serves.
    pub models: Vec<Served>,
    /// Calls that are under way there at most.
    pub in_flight_max: usize,
    /// What it is.
    pub kind: Kind,
}

/// What a backend is.
#[derive(Clone, Debug)]
#[cfg_attr(not(feature = "embedded"), expect(dead_code, reason = "only the embedded engine has these"))]
pub(crate) enum Kind {
    /// A server with the API of OpenAI.
    OpenAi(Box<Remote>),
    /// A model in this process.
    Embedded(Local),
}

/// A server with the API of OpenAI.
#[derive(Clone, Debug)]
pub(crate) struct Remote {
    /// Its API, as in `https://host/v1`.
    pub url: Url,
    /// Its metrics; none if they are not read.
    pub metrics: Option<Url>,
    /// File with the bearer token that it wants.
    pub credential_file: Option<PathBuf>,
    /// Certificates (PEM) that vouch for it, in place of the system's.
    pub ca_file: Option<PathBuf>,
    /// Time until the first token, and between two.
    pub token_timeout: Duration,
    /// Time for all of an answer.
    pub timeout: Duration,
    /// Time between two looks at its health and its load.
    pub probe_interval: Duration,
}

/// A model in this process.
#[derive(Clone, Debug)]
#[cfg_attr(not(feature = "embedded"), expect(dead_code, reason = "only the embedded engine has these"))]
pub(crate) struct Local {
    /// The GGUF file.
    pub file: PathBuf,
    /// Tokens of prompt and answer together.
    pub context_tokens: usize,
    /// Whether weights are made 8-bit ones at start.
    pub requantize: bool,
    /// On the first GPU in place of the CPU.
    pub cuda: bool,
}

/// A model at a backend.
#[derive(Clone, Debug)]
pub(crate) struct Served {
    /// Its name for callers.
    pub name: ModelName,
    /// Its name at the backend.
    pub there: String,
    /// What it does.
    pub uses: Vec<Use>,
    /// Whether the backend takes `response_format: json_schema`.
    pub structured: bool,
    /// What a token costs.
    pub price: Option<Price>,
}

/// What a million tokens cost.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Price {
    /// Of what is given.
    pub input_per_million: f64,
    /// Of what comes back.
    pub output_per_million: f64,
    /// In which money.
    pub currency: String,
}
