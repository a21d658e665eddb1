//! The flags that every server has.

use certs::files::{FileSource, Paths};
use certs::workload_api::WorkloadApiSource;
use certs::{IdentityError, SharedSource, SpiffeId};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;
use url::Url;

/// How often the identity files are looked at.
const WATCH_INTERVAL: Duration = Duration::from_secs(1);

/// Where a server listens, who it is, and whom and what it believes.
#[derive(Clone, Debug, clap::Args)]
pub struct Flags {
    /// Address to listen on; port 0 takes a free one, and the line printed on standard output names it
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0", help_heading = "Door")]
    pub listen: SocketAddr,
    /// This server's X.509-SVID: PEM, leaf first. Renewed files are taken up within a second
    #[arg(long, value_name = "FILE", required_unless_present = "workload_api", help_heading = "Door")]
    pub certificate: Option<PathBuf>,
    /// Its PKCS #8 key: PEM
    #[arg(long, value_name = "FILE", required_unless_present = "workload_api", help_heading = "Door")]
    pub private_key: Option<PathBuf>,
    /// The authorities of the trust domain: PEM
    #[arg(long, value_name = "FILE", required_unless_present = "workload_api", help_heading = "Door")]
    pub trust_bundle: Option<PathBuf>,
    /// The SPIFFE Workload API in place of the three files, as unix:/path/to/agent.sock
    #[arg(
        long,
        value_name = "ENDPOINT",
        value_parser = endpoint,
        conflicts_with_all = ["certificate", "private_key", "trust_bundle"],
        help_heading = "Door"
    )]
    pub workload_api: Option<String>,
    /// Time for the first SVID to come from there
    #[arg(long, value_name = "SECONDS", default_value = "60", value_parser = seconds, help_heading = "Door")]
    pub workload_api_wait: Duration,
    /// The gateway's SPIFFE ID: the only client that is let in
    #[arg(long, value_name = "SPIFFE_ID", value_parser = spiffe_id, help_heading = "Door")]
    pub gateway: SpiffeId,
    /// The token service that is believed (`iss`)
    #[arg(long, value_name = "URL", help_heading = "Door")]
    pub issuer: String,
    /// Who this server is in a token (`aud`)
    #[arg(long, value_name = "NAME", help_heading = "Door")]
    pub audience: String,
    /// The token service's keys, a JWK set. Read again when the file changes or a token names an unknown key
    #[arg(long, value_name = "FILE", help_heading = "Door")]
    pub jwks: PathBuf,
    /// Accepted token types (`typ`), separated by commas
    #[arg(
        long,
        value_name = "TYPES",
        value_delimiter = ',',
        default_value = "at+jwt",
        help_heading = "Door"
    )]
    pub token_types: Vec<String>,
    /// Accept tokens that are bound to no certificate (`cnf`), too: for a token service that binds none. The gateway's own binds
    /// each that is for a server to the gateway's certificate
    #[arg(long, help_heading = "Door")]
    pub accept_unbound_tokens: bool,
    /// Host names that requests may be sent to (`Host`), separated by commas: the one of the gateway's `url`, say. Any if not
    /// given: only the gateway can finish a handshake, so no browser has a name to rebind. An `Origin` is always refused
    #[arg(long, value_name = "NAMES", value_delimiter = ',', help_heading = "Door")]
    pub allowed_hosts: Vec<String>,
    /// End when standard input does: whoever started this server has gone, however it went
    #[arg(long, help_heading = "Door")]
    pub end_with_stdin: bool,
    /// Print the tools as JSON and end: nothing else is needed for that
    #[arg(long, exclusive = true)]
    pub print_tools: bool,
    /// What is told about it.
    #[command(flatten)]
    pub observe: Observe,
    /// What is bounded.
    #[command(flatten)]
    pub limits: Limits,
}

/// What is told about the server, and to whom.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Observe {
    /// Address for `/healthz`, `/readyz` and `/metrics`, plain HTTP and for everybody who reaches it; off if not given.
    /// The address that is listened on is printed on standard output
    #[arg(long, value_name = "ADDR", help_heading = "Observe")]
    pub admin_listen: Option<SocketAddr>,
    /// File that each request's line of audit is added to, in place of the log
    #[arg(long, value_name = "FILE", help_heading = "Observe")]
    pub audit_file: Option<PathBuf>,
    /// Collector of traces, OTLP over HTTP: all of its URL, as in http://127.0.0.1:4318/v1/traces
    #[arg(long, value_name = "URL", help_heading = "Observe")]
    pub otlp_endpoint: Option<Url>,
    /// Its SPIFFE ID, where the endpoint is https://
    #[arg(
        long,
        value_name = "SPIFFE_ID",
        value_parser = spiffe_id,
        requires = "otlp_endpoint",
        help_heading = "Observe"
    )]
    pub otlp_server: Option<SpiffeId>,
}

/// Every bound, with its default.
#[derive(Clone, Copy, Debug, clap::Args)]
pub struct Limits {
    /// Longest request body
    #[arg(long, value_name = "BYTES", default_value_t = 4 << 20, help_heading = "Limits")]
    pub body_bytes_max: usize,
    /// Longest result of a tool or other answer, as JSON
    #[arg(long, value_name = "BYTES", default_value_t = 2 << 20, help_heading = "Limits")]
    pub result_bytes_max: usize,
    /// Most tools, prompts or templates in one list; the others are on its next pages
    #[arg(long, value_name = "COUNT", default_value_t = 100, value_parser = count, help_heading = "Limits")]
    pub list_items_max: usize,
    /// Time for a tool or another answer; what runs longer is ended
    #[arg(long, value_name = "SECONDS", default_value = "60", value_parser = seconds, help_heading = "Limits")]
    pub request_timeout: Duration,
    /// Tokens that are remembered once their signature has held, so that it isn't checked with each call; 0: none
    #[arg(long, value_name = "COUNT", default_value_t = 1_000, help_heading = "Limits")]
    pub verified_tokens_max: usize,
    /// Open sessions of the MCP versions before 2026-07-28; an idle one takes some 60 KiB with its connection
    #[arg(long, value_name = "COUNT", default_value_t = 4_096, value_parser = count, help_heading = "Limits")]
    pub sessions_max: usize,
    /// Open connections; more wait to be accepted
    #[arg(long, value_name = "COUNT", default_value_t = 256, help_heading = "Limits")]
    pub connections_max: usize,
    /// Time for a TLS handshake
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = seconds, help_heading = "Limits")]
    pub handshake_timeout: Duration,
    /// Time for a request's headers, and how long a connection may be idle
    #[arg(long, value_name = "SECONDS", default_value = "120", value_parser = seconds, help_heading = "Limits")]
    pub header_timeout: Duration,
    /// Time for a request's body
    #[arg(long, value_name = "SECONDS", default_value = "30", value_parser = seconds, help_heading = "Limits")]
    pub body_timeout: Duration,
    /// Time for requests in flight to end after SIGTERM
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = seconds, help_heading = "Limits")]
    pub drain_timeout: Duration,
    /// How far the token service's clock may differ from ours
    #[arg(long, value_name = "SECONDS", default_value = "5", value_parser = seconds, help_heading = "Limits")]
    pub leeway: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body_bytes_max: 4 << 20,
            result_bytes_max: 2 << 20,
            list_items_max: 100,
            request_timeout: Duration::from_secs(60),
            verified_tokens_max: 1_000,
            sessions_max: 4_096,
            connections_max: 256,
            handshake_timeout: Duration::from_secs(10),
            header_timeout: Duration::from_secs(120),
            body_timeout: Duration::from_secs(30),
            drain_timeout: Duration::from_secs(10),
            leeway: Duration::from_secs(5),
        }
    }
}

impl Flags {
    /// The server's identity, followed as long as it is used.
    ///
    /// # Errors
    /// [`IdentityError`] if there is none.
    pub async fn identity(&self) -> Result<SharedSource, IdentityError> {
        if let Some(endpoint) = &self.workload_api {
            return Ok(WorkloadApiSource::spawn(endpoint, self.workload_api_wait).await?);
        }
        let file = |path: &Option<PathBuf>| path.clone().unwrap_or_default(); // The flags above require them.
        let files = FileSource::open(Paths {
            certificate: file(&self.certificate),
            private_key: file(&self.private_key),
            trust_bundle: file(&self.trust_bundle),
        })?;
        files.spawn_watch(WATCH_INTERVAL);
        Ok(files)
    }
}

fn endpoint(text: &str) -> Result<String, String> {
    certs::workload_api::check_endpoint(text)
        .map(|()| text.to_owned())
        .map_err(|_| "write unix:/path/to/agent.sock".into())
}

pub(crate) fn spiffe_id(text: &str) -> Result<SpiffeId, String> {
    match SpiffeId::new(text) {
        Ok(id) if id.path().is_empty() => Err("it names a trust domain and no workload".to_owned()),
        Ok(id) => Ok(id),
        Err(error) => Err(error.to_string()),
    }
}

fn count(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) => Err("at least 1".to_owned()),
        Ok(count) => Ok(count),
        Err(_) => Err("a whole number".to_owned()),
    }
}

fn seconds(text: &str) -> Result<Duration, String> {
    match text.parse() {
        Ok(0) => Err("at least 1".to_owned()),
        Ok(count) => Ok(Duration::from_secs(count)),
        Err(_) => Err("a whole number of seconds".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test ends by panicking")]
    use super::*;
    use clap::Parser;

    #[derive(clap::Parser)]
    struct Command {
        #[command(flatten)]
        flags: Flags,
    }

    fn parse(gateway: &str) -> Result<Command, clap::Error> {
        Command::try_parse_from([
            "mcp-x",
            "--certificate",
            "c",
            "--private-key",
            "k",
            "--trust-bundle",
            "b",
            "--gateway",
            gateway,
            "--issuer",
            "https://i.test",
            "--audience",
            "x",
            "--jwks",
            "j",
        ])
    }

    #[test]
    fn the_limits_of_the_command_line_are_those_of_the_code() {
        let flags = parse("spiffe://d.test/gateway").unwrap().flags;
        assert_eq!(format!("{:?}", flags.limits), format!("{:?}", Limits::default()));
    }

    #[test]
    fn an_identity_comes_from_three_files_or_from_the_workload_api() {
        let with = |identity: &[&str]| {
            let others =
                ["--gateway", "spiffe://d.test/gateway", "--issuer", "i", "--audience", "x", "--jwks", "j"];
            Command::try_parse_from(["mcp-x"].iter().chain(identity).chain(&others)).is_ok()
        };
        let files = ["--certificate", "c", "--private-key", "k", "--trust-bundle", "b"];
        assert!(with(&files) && with(&["--workload-api", "unix:/a.sock"]));
        assert!(!with(&files[..4]) && !with(&["--workload-api", "/a.sock"]));
        assert!(!with(&[&files[..], &["--workload-api", "unix:/a.sock"]].concat()));
    }

    #[test]
    fn a_trust_domain_is_no_gateway() {
        assert!(parse("spiffe://d.test").is_err());
        assert!(parse("spiffe://d.test/gateway").is_ok());
    }
}
