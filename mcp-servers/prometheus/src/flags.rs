//! Which Prometheus and which Alertmanager, how much of it, and how much of that at once.

use crate::alertmanager::Alertmanager;
use crate::client::Client;
use crate::fence::{Fence, FenceError};
use crate::upstream::Bounds;
use kit::system::Scheme;
use kit::{Downstream, DownstreamError, DownstreamFlags};
use std::path::PathBuf;
use std::time::Duration;
use url::Url;

/// The systems behind the server.
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
    /// Where Alertmanager is, if there is one: without it the tools for its alerts and silences say that there is none
    #[arg(long, value_name = "URL", help_heading = "Alertmanager")]
    pub alertmanager: Option<Url>,
    /// File with the bearer token that Alertmanager wants. Read again when it changes
    #[arg(
        long,
        value_name = "FILE",
        requires = "alertmanager",
        conflicts_with = "alertmanager_basic_auth_file",
        help_heading = "Alertmanager"
    )]
    pub alertmanager_bearer_file: Option<PathBuf>,
    /// File with `user:password` that Alertmanager wants. Read again when it changes
    #[arg(long, value_name = "FILE", requires = "alertmanager", help_heading = "Alertmanager")]
    pub alertmanager_basic_auth_file: Option<PathBuf>,
    /// Certificates (PEM) that vouch for an https:// Alertmanager, in place of the system's
    #[arg(long, value_name = "FILE", requires = "alertmanager", help_heading = "Alertmanager")]
    pub alertmanager_ca: Option<PathBuf>,
    /// Label matchers that every selector of every query gets, and that hold for alerts and silences, as in `namespace="ml"`.
    /// Can be given several times
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
    /// Most bytes of an answer of Prometheus or Alertmanager that are read
    #[arg(long, value_name = "BYTES", default_value_t = 16 << 20, value_parser = clap::value_parser!(u32).range(1024..), help_heading = "Limits")]
    pub response_bytes_max: u32,
    /// Longest time of an answer of Prometheus or Alertmanager, in milliseconds
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
    #[error("{0}: give http:// or https:// without user, query and fragment; a credential belongs in a file")]
    Url(&'static str),
    /// A fence that is none.
    #[error("--fence: {0}")]
    Fence(#[from] FenceError),
    /// The credential's file.
    #[error("{0}")]
    Credential(&'static str, #[source] DownstreamError),
    /// The certificates.
    #[error("{0}-ca: {1}")]
    Ca(&'static str, String),
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
        let client = Client::new(&self.prometheus, self.prometheus_ca.as_deref(), self.bounds())?;
        let files = (&self.bearer_file, &self.basic_auth_file);
        let (credential, scheme) = credential("--bearer-file or --basic-auth-file", files, door).await?;
        let limits = Limits {
            points_max: self.limits.points_max as usize,
            answer_points_max: self.limits.answer_points_max as usize,
            series_max: self.limits.series_max as usize,
            page_items_max: self.limits.page_items_max as usize,
        };
        Ok((client.with_credential(credential, scheme), fence, limits))
    }

    /// The Alertmanager that the flags describe. No network is touched.
    ///
    /// # Errors
    /// [`FlagsError`] names the flag.
    pub async fn alertmanager(&self, door: &kit::Flags) -> Result<Option<Alertmanager>, FlagsError> {
        let Some(url) = &self.alertmanager else { return Ok(None) };
        let client = Alertmanager::new(url, self.alertmanager_ca.as_deref(), self.bounds())?;
        let files = (&self.alertmanager_bearer_file, &self.alertmanager_basic_auth_file);
        let flags = "--alertmanager-bearer-file or --alertmanager-basic-auth-file";
        let (credential, scheme) = credential(flags, files, door).await?;
        Ok(Some(client.with_credential(credential, scheme)))
    }

    fn bounds(&self) -> Bounds {
        let timeout = Duration::from_millis(self.limits.prometheus_timeout_ms.into());
        Bounds { timeout, bytes_max: self.limits.response_bytes_max as usize }
    }
}

/// The credential in one of two files, of a bearer token and of `user:password`, and how it is written.
async fn credential(
    flags: &'static str,
    (bearer, basic): (&Option<PathBuf>, &Option<PathBuf>),
    door: &kit::Flags,
) -> Result<(Option<Downstream>, Scheme), FlagsError> {
    let scheme = if basic.is_some() { Scheme::Basic } else { Scheme::Bearer };
    let credential_file = bearer.as_ref().or(basic.as_ref()).cloned();
    let file = DownstreamFlags { credential_file, ..DownstreamFlags::default() };
    let found = Downstream::from_flags(&file, door).await;
    Ok((found.map_err(|error| FlagsError::Credential(flags, error))?, scheme))
}
