//! Which MLflow, how much of it, and how much of that at once.

use crate::client::Client;
use crate::fence::{Fence, FenceError};
use kit::system::Scheme;
use kit::{Downstream, DownstreamError, DownstreamFlags};
use std::path::PathBuf;
use std::time::Duration;
use url::Url;

/// The MLflow behind the server.
#[derive(Clone, Debug, clap::Args)]
pub struct MlflowFlags {
    /// Where MLflow's tracking server is, http:// or https://, with a path if it has one
    #[arg(long, value_name = "URL", help_heading = "MLflow")]
    pub mlflow: Url,
    /// File with the bearer token that MLflow wants. Read again when it changes
    #[arg(long, value_name = "FILE", conflicts_with = "basic_auth_file", help_heading = "MLflow")]
    pub credential_file: Option<PathBuf>,
    /// File with `user:password` that MLflow wants. Read again when it changes
    #[arg(long, value_name = "FILE", help_heading = "MLflow")]
    pub basic_auth_file: Option<PathBuf>,
    /// Certificates (PEM) that vouch for an https:// MLflow, in place of the system's
    #[arg(long, value_name = "FILE", help_heading = "MLflow")]
    pub mlflow_ca: Option<PathBuf>,
    /// The only experiments that there are for callers, separated by commas: names, or beginnings as in `team-*`
    #[arg(long, value_name = "NAMES", value_delimiter = ',', help_heading = "MLflow")]
    pub experiments: Vec<String>,
    /// The only registered models that there are for callers, in the same form
    #[arg(long, value_name = "NAMES", value_delimiter = ',', help_heading = "MLflow")]
    pub models: Vec<String>,
    /// The bounds.
    #[command(flatten)]
    pub limits: LimitFlags,
}

/// How much a call may cost.
#[derive(Clone, Debug, clap::Args)]
pub struct LimitFlags {
    /// Most items in one page of a list
    #[arg(long, value_name = "COUNT", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1000), help_heading = "Limits")]
    pub page_items_max: u32,
    /// Most spans of a trace in an answer
    #[arg(long, value_name = "COUNT", default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..), help_heading = "Limits")]
    pub spans_max: u32,
    /// Most bytes of an artifact that are read or written at once
    #[arg(long, value_name = "BYTES", default_value_t = 1 << 20, value_parser = clap::value_parser!(u32).range(1..), help_heading = "Limits")]
    pub artifact_bytes_max: u32,
    /// Most bytes of an answer of MLflow that are read
    #[arg(long, value_name = "BYTES", default_value_t = 16 << 20, value_parser = clap::value_parser!(u32).range(1024..), help_heading = "Limits")]
    pub response_bytes_max: u32,
    /// Longest time of an answer of MLflow, in milliseconds
    #[arg(long, value_name = "MILLISECONDS", default_value_t = 30_000, value_parser = clap::value_parser!(u32).range(1..), help_heading = "Limits")]
    pub mlflow_timeout_ms: u32,
}

/// The bounds as the tools keep them.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Items in a page.
    pub page_items_max: usize,
    /// Spans of a trace.
    pub spans_max: usize,
    /// Bytes of an artifact, in one call.
    pub artifact_bytes_max: usize,
}

/// Why flags make no server.
#[derive(Debug, thiserror::Error)]
pub enum FlagsError {
    /// The URL's scheme, or more in it than a place.
    #[error(
        "--mlflow: give http:// or https:// without user, query and fragment; a credential belongs in a file"
    )]
    Url,
    /// A fence that is none.
    #[error("--experiments or --models: {0}")]
    Fence(#[from] FenceError),
    /// The credential's file.
    #[error("--credential-file or --basic-auth-file")]
    Credential(#[from] DownstreamError),
    /// The certificates.
    #[error("--mlflow-ca: {0}")]
    Ca(String),
    /// The HTTP client can't be made.
    #[error("the HTTP client can't be made")]
    Client(#[source] reqwest::Error),
}

impl MlflowFlags {
    /// The client and the fence that the flags describe. No network is touched.
    ///
    /// # Errors
    /// [`FlagsError`] names the flag.
    pub async fn parts(&self, door: &kit::Flags) -> Result<(Client, Fence, Limits), FlagsError> {
        let fence = Fence::parse(&self.experiments, &self.models)?;
        let file = self.credential_file.as_ref().or(self.basic_auth_file.as_ref()).cloned();
        let flags = DownstreamFlags { credential_file: file, ..DownstreamFlags::default() };
        let credential = Downstream::from_flags(&flags, door).await?;
        let scheme = if self.basic_auth_file.is_some() { Scheme::Basic } else { Scheme::Bearer };
        let timeout = Duration::from_millis(self.limits.mlflow_timeout_ms.into());
        let bytes_max = self.limits.response_bytes_max as usize;
        let client = Client::new(&self.mlflow, self.mlflow_ca.as_deref(), timeout, bytes_max)?
            .with_credential(credential, scheme);
        let limits = Limits {
            page_items_max: self.limits.page_items_max as usize,
            spans_max: self.limits.spans_max as usize,
            artifact_bytes_max: self.limits.artifact_bytes_max as usize,
        };
        Ok((client, fence, limits))
    }
}
