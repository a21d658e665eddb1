//! Which cluster, how much of it, and how much of that at once.

use crate::cluster::{Bounds, Cluster};
use crate::fence::{Fence, FenceError};
use kit::{Downstream, DownstreamError, DownstreamFlags};
use std::path::PathBuf;
use std::time::Duration;
use url::Url;

/// The cluster behind the server.
#[derive(Clone, Debug, clap::Args)]
pub struct KubernetesFlags {
    /// The API server: https://, or http:// on this machine's loopback (kubectl proxy)
    #[arg(long, value_name = "URL", help_heading = "Kubernetes")]
    pub server: Url,
    /// Certificates (PEM) that vouch for it, in place of the system's
    #[arg(long, value_name = "FILE", help_heading = "Kubernetes")]
    pub server_ca: Option<PathBuf>,
    /// Namespaces that tools reach, separated by commas; all of them, and what is in none, if not given
    #[arg(long, value_name = "NAMES", value_delimiter = ',', help_heading = "Kubernetes")]
    pub namespaces: Vec<String>,
    /// Kinds that tools may read, beside those that they may write, in place of the usual ones: Pod,ReplicaSet.apps,…
    #[arg(long, value_name = "KINDS", value_delimiter = ',', help_heading = "Kubernetes")]
    pub kinds: Vec<String>,
    /// Kinds that tools may change and delete, in place of the usual ones: ConfigMap,Service,Deployment.apps,…
    #[arg(long, value_name = "KINDS", value_delimiter = ',', help_heading = "Kubernetes")]
    pub write_kinds: Vec<String>,
    /// What the cluster notes as the author of changes
    #[arg(
        long,
        value_name = "NAME",
        default_value = "mcp-kubernetes",
        value_parser = field_manager,
        help_heading = "Kubernetes"
    )]
    pub field_manager: String,
    /// How a call proves on whose behalf it comes.
    #[command(flatten)]
    pub downstream: DownstreamFlags,
    /// The bounds.
    #[command(flatten)]
    pub limits: LimitFlags,
}

/// How much a call may cost.
#[derive(Clone, Debug, clap::Args)]
pub struct LimitFlags {
    /// Most replicas that a Deployment can be given
    #[arg(long, value_name = "COUNT", default_value_t = 1000, help_heading = "Limits")]
    pub replicas_max: u32,
    /// Most objects in one call of apply_manifest
    #[arg(long, value_name = "COUNT", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..), help_heading = "Limits")]
    pub documents_max: u32,
    /// Most objects on one page of a list
    #[arg(long, value_name = "COUNT", default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..), help_heading = "Limits")]
    pub page_items_max: u32,
    /// Most lines of a log in one answer
    #[arg(long, value_name = "COUNT", default_value_t = 2000, value_parser = clap::value_parser!(u32).range(1..), help_heading = "Limits")]
    pub log_lines_max: u32,
    /// Most bytes of a log in one answer
    #[arg(long, value_name = "BYTES", default_value_t = 256 << 10, value_parser = clap::value_parser!(u32).range(1024..), help_heading = "Limits")]
    pub log_bytes_max: u32,
    /// Longest time that a rollout is waited for or a log is followed; less than --request-timeout
    #[arg(long, value_name = "SECONDS", default_value_t = 50, help_heading = "Limits")]
    pub wait_max: u32,
    /// Most bytes of an answer of the cluster that are read
    #[arg(long, value_name = "BYTES", default_value_t = 16 << 20, value_parser = clap::value_parser!(u32).range(1024..), help_heading = "Limits")]
    pub response_bytes_max: u32,
    /// Longest time of an answer of the cluster, in milliseconds
    #[arg(long, value_name = "MILLISECONDS", default_value_t = 30_000, value_parser = clap::value_parser!(u32).range(1..), help_heading = "Limits")]
    pub server_timeout_ms: u32,
}

/// The bounds as the tools keep them.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Replicas of a Deployment.
    pub replicas_max: u32,
    /// Objects that are applied at once.
    pub documents_max: u32,
    /// Objects on a page.
    pub page_items_max: u32,
    /// Lines of a log.
    pub log_lines_max: u32,
    /// Bytes of a log.
    pub log_bytes_max: u32,
    /// Time that is waited for something to happen.
    pub wait_max: Duration,
}

/// Why flags make no server.
#[derive(Debug, thiserror::Error)]
pub enum FlagsError {
    /// The URL's scheme, or more in it than a place.
    #[error(
        "--server: give https:// without user, query and fragment (http:// on loopback alone); a credential belongs in a file"
    )]
    Server,
    /// A fence that is none.
    #[error("--namespaces, --kinds or --write-kinds: {0}")]
    Fence(#[from] FenceError),
    /// The way to a credential.
    #[error("the credential for the cluster")]
    Credential(#[from] DownstreamError),
    /// The certificates.
    #[error("--server-ca: {0}")]
    Ca(String),
    /// A tool would be ended before its own time.
    #[error("--wait-max: less than --request-timeout, which is {0} s")]
    Wait(u64),
    /// The HTTP client can't be made.
    #[error("the HTTP client can't be made")]
    Client(#[source] reqwest::Error),
}

impl KubernetesFlags {
    /// The cluster and the fence that the flags describe. No network is touched.
    ///
    /// # Errors
    /// [`FlagsError`] names the flag.
    pub async fn parts(&self, door: &kit::Flags) -> Result<(Cluster, Fence, Limits), FlagsError> {
        let fence = Fence::new(&self.namespaces, &self.kinds, &self.write_kinds)?;
        let limits = &self.limits;
        let wait_max = Duration::from_secs(limits.wait_max.into());
        if wait_max >= door.limits.request_timeout {
            return Err(FlagsError::Wait(door.limits.request_timeout.as_secs()));
        }
        let bounds = Bounds {
            timeout: Duration::from_millis(limits.server_timeout_ms.into()),
            bytes_max: limits.response_bytes_max as usize,
        };
        let credential = Downstream::from_flags(&self.downstream, door).await?;
        let cluster =
            Cluster::new(&self.server, self.server_ca.as_deref(), bounds)?.with_credential(credential);
        let limits = Limits {
            replicas_max: limits.replicas_max,
            documents_max: limits.documents_max,
            page_items_max: limits.page_items_max,
            log_lines_max: limits.log_lines_max,
            log_bytes_max: limits.log_bytes_max,
            wait_max,
        };
        Ok((cluster, fence, limits))
    }
}

/// The API server takes up to 128 printable characters.
fn field_manager(text: &str) -> Result<String, String> {
    let good = (1..=128).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic());
    if good { Ok(text.to_owned()) } else { Err("1 to 128 printable characters without spaces".into()) }
}
