//! Which Prometheus, how much of it, and how much of that at once.

use crate::client::Client;
use crate::fence::{Fence, FenceError};
use kit::system::Scheme;
use kit::{Downstream, DownstreamError, DownstreamFlags};
use std::path::PathBuf;
use std::time::Duration;
use url::Url;

/// The Prometheus behind the server.
#[derive(Clone, Debug, clap::Args)]
pub struct PrometheusFlags {
    /// Where Prometheus is, http:// or https://, with a path if it has one
    #[arg(long, value_name = "URL", help_heading = "Prometheus")]
    pub prometheus: Url,
    /// File with the bearer token that Prometheus wants. Read again when it changes
    #[arg(long, value_name = "FILE", conflicts_with = "basic_auth_file", help_heading = "Prometheus")]
    pub bearer_file: Option<PathBuf>,
    /// File with `user:password` that Prometheus wants. Read again when it changes
    #[arg(long, value_name = "FILE", help_heading = "Prometheus")]
    pub basic_auth_file: Option<PathBuf>,
    /// Certificates (PEM) that vouch for an https:// Prometheus, in place of the system's
    #[arg(long, value_name = "FILE", help_heading = "Prometheus")]
    pub prometheus_ca: Option<PathBuf>,
    /// Label matchers that every selector of every query gets, as in `namespace="ml"`. Can be given several times
    #[arg(long, value_name = "MATCHERS", help_heading = "Prometheus")]
    pub fence: Vec<String>,
    /// The bounds.
    #[command(flatten)]
    pub limits: LimitFlags,
}

/// How much a call may cost.
#[derive(Clone, Debug, clap::Args)]
pub struct LimitFlags {
    /// Most points a series that are asked of Prometheus
    #[arg(long, value_name = "COUNT", default_value_t = 11_000, value_parser = clap::value_parser!(u32).range(2..), help_heading = "Limits")]
    pub points_max: u32,
    /// Most points a series in an answer; more are made fewer, and the answer says so
    #[arg(long, value_name = "COUNT", default_value_t = 500, value_parser = clap::value_parser!(u32).range(2..), help_heading = "Limits")]
    pub answer_points_max: u32,
    /// Most series in the answer to a query
    #[arg(long, value_name = "COUNT", default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..), help_heading = "Limits")]
    pub series_max: u32,
    /// Most items in one page of a list
    #[arg(long, value_name = "COUNT", default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..), help_heading = "Limits")]
    pub page_items_max: u32,
    /// Most bytes of an answer of Prometheus that are read
    #[arg(long, value_name = "BYTES", default_value_t = 16 << 20, value_parser = clap::value_parser!(u32).range(1024..), help_heading = "Limits")]
    pub response_bytes_max: u32,
    /// Longest time of an answer of Prometheus, in milliseconds
    #[arg(long, value_name = "MILLISECONDS", default_value_t = 30_000, value_parser = clap::value_parser!(u32).range(1..), help_heading = "Limits")]
    pub prometheus_timeout_ms: u32,
}

/// The bounds as the tools keep them.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Points a series that are asked for.
    pub points_max: usize,
    /// Points a series that are given.
    pub answer_points_max: usize,
    /// Series in the answer to a query.
    pub series_max: usize,
    /// Items in a page.
    pub page_items_max: usize,
}

/// Why flags make no server.
#[derive(Debug, thiserror::Error)]
pub enum FlagsError {
    /// The URL's scheme, or more in it than a place.
    #[error(
        "--prometheus: give http:// or https:// without user, query and fragment; a credential belongs in a file"
    )]
    Url,
    /// A fence that is none.
    #[error("--fence: {0}")]
    Fence(#[from] FenceError),
    /// The credential's file.
    #[error("--bearer-file or --basic-auth-file")]
    Credential(#[from] DownstreamError),
    /// The certificates.
    #[error("--prometheus-ca: {0}")]
    Ca(String),
    /// The HTTP client can't be made.
    #[error("the HTTP client can't be made")]
    Client(#[source] reqwest::Error),
}

impl PrometheusFlags {
    /// The client and the fence that the flags describe. No network is touched.
    ///
    /// # Errors
    /// [`FlagsError`] names the flag.
    pub async fn parts(&self, door: &kit::Flags) -> Result<(Client, Fence, Limits), FlagsError> {
        let fence = Fence::parse(&self.fence)?;
        let file = self.bearer_file.as_ref().or(self.basic_auth_file.as_ref()).cloned();
        let flags = DownstreamFlags { credential_file: file, ..DownstreamFlags::default() };
        let credential = Downstream::from_flags(&flags, door).await?;
        let scheme = if self.basic_auth_file.is_some() { Scheme::Basic } else { Scheme::Bearer };
        let timeout = Duration::from_millis(self.limits.prometheus_timeout_ms.into());
        let bytes_max = self.limits.response_bytes_max as usize;
        let client = Client::new(&self.prometheus, self.prometheus_ca.as_deref(), timeout, bytes_max)?
            .with_credential(credential, scheme);
        let limits = Limits {
            points_max: self.limits.points_max as usize,
            answer_points_max: self.limits.answer_points_max as usize,
            series_max: self.limits.series_max as usize,
            page_items_max: self.limits.page_items_max as usize,
        };
        Ok((client, fence, limits))
    }
}
