//! From the configuration as written to the configuration as run, with every mistake at once.

mod agents;
mod cards;
mod embedded;
mod identity;
mod issuers;
mod push;
mod redis;
mod revocations;
mod servers;
mod sight;
mod tasks;
mod token_service;

pub use embedded::load_embedded;
pub use servers::load_servers;

use super::file::{ConfigFile, HttpsFile, JwksFile, LimitsFile, ServerFile, ServerRequestFile, SubjectFile};
use super::{Config, HttpsServer, Jwks, Limits, PerOwner, Problem, Problems, Server, Written};
use crate::session::KeyRing;
use certs::SpiffeId;
use protocol::mcp::ServerRequest;
use rustls::pki_types::pem::PemObject;
use serde::de::DeserializeOwned;
use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokens::SigningKey;
use url::{Position, Url};

const HTTPS: &str = "write an https URL, as https://host:port/path";

/// Reads a configuration file and checks all of it.
///
/// # Errors
/// Every [`Problem`] that was found, each with its path and the fix.
pub fn load(path: &Path) -> Result<Config, Vec<Problem>> {
    let mut problems = Problems::default();
    let text = problems.take(
        &path.display().to_string(),
        std::fs::read_to_string(path),
        "name a file that can be read",
    );
    let file: Option<ConfigFile> = text.as_ref().and_then(|text| parse(text, &mut problems));
    let base = path.parent().unwrap_or(Path::new(".")).to_path_buf();
    let config = file.and_then(|file| Checker { base, problems: &mut problems }.config(file));
    match config {
        Some(config) if problems.is_empty() => {
            Ok(Config { written: Written::new(path, &text.unwrap_or_default()), ..config })
        }
        _ => Err(problems.into_vec()),
    }
}

fn parse<T: DeserializeOwned>(text: &str, problems: &mut Problems) -> Option<T> {
    match yaml_serde::from_str(text) {
        Ok(file) => Some(file),
        Err(error) => {
            let at = error.location().map_or(String::from("the file"), |at| format!("line {}", at.line()));
            problems.add(
                at,
                error,
                "see deploy/config.schema.json, or `sallyport schema`, for what may stand there",
            );
            None
        }
    }
}

struct Checker<'p> {
    base: PathBuf,
    problems: &'p mut Problems,
}

impl Checker<'_> {
    fn config(&mut self, file: ConfigFile) -> Option<Config> {
        let listen = self.problems.parse("listen", &file.listen, "write address and port, as 127.0.0.1:8443");
        let url = self.https("url", &file.url);
        let identity = self.identity(&file.identity);
        let trust_domains = self.trust_domains(&file);
        let issuers = self.issuers(&file.issuers, identity.as_ref());
        let token_service = self.token_service(&file.token_service, identity.as_ref());
        let servers = file
            .servers
            .iter()
            .map(|(name, f)| Some((name.clone(), self.server(name, f)?)))
            .collect::<Vec<_>>();
        let agents = file
            .agents
            .iter()
            .map(|(name, f)| Some((name.clone(), Arc::new(self.agent(name, f, url.as_ref())?))))
            .collect::<Vec<_>>();
        self.hosts(&file.agents);
        let tasks = self.tasks(&file.tasks);
        let push = self.pushes(&file.push);
        let card_key = self.card_key(&file.cards);
        let policy_dir = self.existing("policy.dir", &file.policy.dir);
        let budget = Duration::from_millis(1)..=Duration::from_secs(1);
        let policy_budget = self.problems.duration(
            "policy.budget",
            file.policy.budget.as_deref(),
            Duration::from_millis(50),
            budget,
        );
        let policy_quick_budget = self.problems.duration(
            "policy.quick_budget",
            file.policy.quick_budget.as_deref(),
            Duration::from_millis(2),
            Duration::from_micros(100)..=Duration::from_secs(1),
        );
        let admin = self.admin(&file.admin);
        let traces = self.traces(&file.telemetry);
        self.any_subject(&file);
        let replicas = self.replicas(&file);
        let sessions = file.sessions.key_ring.as_deref().map(|path| self.key_ring(path));
        let limits = limits(self.problems, &file.limits);
        let revocations = self.revocations(&file.revocations, limits.revocations_max);
        Some(Config {
            listen: listen?,
            url: url?.as_str().trim_end_matches('/').to_owned(),
            identity: identity?,
            trust_domains: trust_domains?,
            issuers: issuers?,
            token_service: token_service?,
            servers: servers.into_iter().collect::<Option<_>>()?,
            agents: agents.into_iter().collect::<Option<_>>()?,
            replicas,
            tasks: tasks?,
            push,
            card_key,
            policy_dir,
            policy_budget,
            policy_quick_budget,
            audit_file: self.base.join(&file.audit.file),
            sessions: sessions.flatten(),
            revocations,
            audit_mode: file.audit.mode,
            admin: admin?,
            traces: traces?,
            limits,
            origins: file.origins.into_iter().collect::<BTreeSet<_>>(),
            written: Written::default(),
        })
    }

    /// A server that asks for a subject needs an issuer who can vouch for one.
    fn any_subject(&mut self, file: &ConfigFile) {
        let servers = file.servers.iter().map(|(name, server)| ("servers", name, server.subject));
        let agents = file.agents.iter().map(|(name, agent)| ("agents", name, agent.subject));
        for (kind, name, subject) in servers.chain(agents) {
            if file.issuers.is_empty() && subject == SubjectFile::Required {
                let path = format!("{kind}.{name}.subject");
                self.problems.add(
                    path,
                    "a subject token is required, but there are no issuers",
                    "add one under `issuers`, or write `subject: optional`",
                );
            }
        }
    }

    fn jwks(&mut self, path: &str, file: &JwksFile) -> Option<Jwks> {
        let refresh = self.refresh(path, file);
        match (&file.file, &file.url) {
            (Some(file), None) => {
                Some(Jwks::File { path: self.existing(&format!("{path}.file"), file), refresh })
            }
            (None, Some(url)) => {
                let server = self.https_server(&format!("{path}.server"), &file.server);
                Some(Jwks::Url { url: self.https(&format!("{path}.url"), url)?, server: server?, refresh })
            }
            _ => {
                self.problems.add(path, "names neither or both of `file` and `url`", "write one of the two");
                None
            }
        }
    }

    fn refresh(&mut self, path: &str, file: &JwksFile) -> Duration {
        self.problems.duration(
            &format!("{path}.refresh"),
            file.refresh.as_deref(),
            Duration::from_secs(10),
            Duration::from_secs(1)..=Duration::from_secs(3600),
        )
    }

    fn https_server(&mut self, path: &str, file: &HttpsFile) -> Option<HttpsServer> {
        match (&file.spiffe_id, &file.ca_file) {
            (None, None) => Some(HttpsServer::System),
            (Some(id), None) => self.spiffe_id(&format!("{path}.spiffe_id"), id).map(HttpsServer::SpiffeId),
            (None, Some(ca)) => Some(HttpsServer::CaFile(self.existing(&format!("{path}.ca_file"), ca))),
            (Some(_), Some(_)) => {
                self.problems.add(path, "names both `spiffe_id` and `ca_file`", "write one of the two");
                None
            }
        }
    }

    fn server(&mut self, name: &str, file: &ServerFile) -> Option<Server> {
        let path = format!("servers.{name}");
        if !is_server_name(name) {
            self.problems.add(
                &path,
                "is not a name that fits into a URL",
                "use a-z, 0-9 and '-', at most 63, beginning with a letter",
            );
        }
        self.upstream(name, &path, &format!("{path}.url"), file)
    }

    /// Where calls go, at `path` in the file, with its URL at `at`.
    fn upstream(&mut self, name: &str, path: &str, at: &str, file: &ServerFile) -> Option<Server> {
        let url = self.https(at, &file.url);
        let spiffe_id = self.spiffe_id(&format!("{path}.spiffe_id"), &file.spiffe_id);
        let audience = file.audience.clone().unwrap_or_else(|| file.spiffe_id.clone());
        for (tool, scopes) in &file.scopes {
            if scopes.is_empty() || scopes.iter().any(|s| s.is_empty() || s.contains([' ', '"', '\\'])) {
                self.problems.add(
                    format!("{path}.scopes.{tool}"),
                    "holds no scope, or one that isn't a scope",
                    "write at least one word without spaces, quotes and backslashes",
                );
            }
        }
        let (url, spiffe_id) = (url?, spiffe_id?);
        Some(Server {
            name: name.to_owned(),
            peer: format!("{} {spiffe_id}", &url[Position::BeforeScheme..Position::AfterPort]).into(),
            target: self.problems.parse(at, &url[Position::BeforePath..Position::AfterQuery], HTTPS)?,
            host: self.problems.parse(at, &url[Position::BeforeHost..Position::AfterPort], HTTPS)?,
            url,
            spiffe_id,
            audiences: file.audiences.iter().cloned().chain([audience.clone()]).collect(),
            audience,
            subject_required: file.subject == SubjectFile::Required,
            scopes: file.scopes.iter().map(|(tool, scopes)| (tool.clone(), sorted(scopes))).collect(),
            case_variants_in_arguments: file.case_variants_in_arguments,
            server_requests: file.server_requests.iter().map(|request| server_request(*request)).collect(),
        })
    }

    fn https(&mut self, path: &str, text: &str) -> Option<Url> {
        let url: Url = self.problems.parse(path, text, HTTPS)?;
        if url.scheme() == "https"
            && url.host().is_some()
            && url.fragment().is_none()
            && url.username().is_empty()
        {
            return Some(url);
        }
        self.problems.add(path, format!("{text:?} is not an https URL without user and fragment"), HTTPS);
        None
    }

    fn spiffe_id(&mut self, path: &str, text: &str) -> Option<SpiffeId> {
        self.problems.take(path, SpiffeId::new(text), "write a SPIFFE ID, as spiffe://prod.example/mcp/s3")
    }

    fn existing(&mut self, path: &str, file: &Path) -> PathBuf {
        let full = self.base.join(file);
        if !full.exists() {
            self.problems.add(
                path,
                format!("{} is not there", full.display()),
                "name an existing file or folder; relative paths start at the configuration's folder",
            );
        }
        full
    }

    /// A secret on disk that others may read is a mistake of the configuration.
    fn private(&mut self, path: &str, file: &Path) {
        let full = self.existing(path, file);
        let ours = rustix::process::getegid().as_raw();
        if std::fs::metadata(&full).is_ok_and(|m| others_may_read(m.mode(), m.uid(), m.gid(), ours)) {
            self.problems.add(
                path,
                format!("{} can be read by others", full.display()),
                format!("chmod 600 {}", full.display()),
            );
        }
    }

    fn key_ring(&mut self, file: &Path) -> Option<(PathBuf, KeyRing)> {
        self.private("sessions.key_ring", file);
        let full = self.base.join(file);
        let text = std::fs::read_to_string(&full).ok()?; // That it isn't there has been noted.
        let fix = "write one key a line: `openssl rand -base64 32`";
        Some((full, self.problems.take("sessions.key_ring", KeyRing::parse(&text), fix)?))
    }

    fn signing_key(&mut self, path: &str, file: &Path) -> Option<SigningKey> {
        self.private(path, file);
        let bytes = std::fs::read(self.base.join(file)).ok()?; // That it isn't there has been noted.
        let der = rustls::pki_types::PrivatePkcs8KeyDer::from_pem_slice(&bytes)
            .map(|key| key.secret_pkcs8_der().to_vec())
            .unwrap_or(bytes);
        self.problems.take(path, SigningKey::from_pkcs8(&der), "give a PKCS #8 file with a P-256 key: `openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256`")
    }
}

/// Sorted, and none twice: one way to write a set.
fn sorted(words: &[String]) -> Vec<String> {
    words.iter().cloned().collect::<BTreeSet<_>>().into_iter().collect()
}

fn server_request(file: ServerRequestFile) -> ServerRequest {
    match file {
        ServerRequestFile::Ping => ServerRequest::Ping,
        ServerRequestFile::Sampling => ServerRequest::Sampling,
        ServerRequestFile::Elicitation => ServerRequest::Elicitation,
        ServerRequestFile::Roots => ServerRequest::Roots,
    }
}

/// Whether a file is open to others than its owner. One that is root's may be read by our own group: so Kubernetes mounts a
/// Secret into a pod with an `fsGroup`, where that group is nobody but us.
fn others_may_read(mode: u32, owner: u32, group: u32, our_group: u32) -> bool {
    let mounted_for_us = owner == 0 && group == our_group && group != 0;
    mode & if mounted_for_us { 0o037 } else { 0o077 } != 0
}

/// What may stand after `/mcp/` and `/a2a/`.
pub fn is_server_name(name: &str) -> bool {
    (1..=63).contains(&name.len())
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

fn limits(problems: &mut Problems, file: &LimitsFile) -> Limits {
    let second = Duration::from_secs(1);
    let mut number =
        |name: &str, found, default, range| problems.number(&format!("limits.{name}"), found, default, range);
    let body_bytes_max = number("body_bytes_max", file.body_bytes_max, 4 << 20, 1024..=1 << 30);
    let json_depth_max = number("json_depth_max", file.json_depth_max, 64, 8..=120);
    let header_bytes_max = number("header_bytes_max", file.header_bytes_max, 32 << 10, 4096..=64 << 10);
    let connections_max = number("connections_max", file.connections_max, 4096, 1..=1_000_000);
    let handshakes_max = number("handshakes_max", file.handshakes_max, 512, 1..=100_000);
    let streams_max = number("streams_max", file.streams_max, 128, 1..=10_000);
    let list_bytes_max = number("list_bytes_max", file.list_bytes_max, 4 << 20, 1024..=1 << 30);
    let merged_list_bytes_max =
        number("merged_list_bytes_max", file.merged_list_bytes_max, 16 << 20, 1024..=1 << 30);
    let merged_list_pages_max = number("merged_list_pages_max", file.merged_list_pages_max, 32, 1..=10_000);
    let merged_lists_max = number("merged_lists_max", file.merged_lists_max, 64, 1..=100_000);
    let upstream_idle_max = number("upstream_idle_max", file.upstream_idle_max, 256, 0..=100_000);
    let audit_queue_max = number("audit_queue_max", file.audit_queue_max, 65_536, 1..=10_000_000);
    let audit_queue_bytes_max =
        number("audit_queue_bytes_max", file.audit_queue_bytes_max, 64 << 20, 64 << 10..=1 << 40);
    let credentials_max = number("credentials_max", file.credentials_max, 10_000, 1..=10_000_000);
    let tokens_max = number("tokens_max", file.tokens_max, 10_000, 0..=10_000_000);
    let sessions_per_owner_max =
        number("sessions_per_owner_max", file.sessions_per_owner_max, 1000, 1..=10_000_000);
    let revocations_max = number("revocations_max", file.revocations_max, 100_000, 1..=10_000_000);
    let actors_max = number("actors_max", file.actors_max, 4, 1..=8);
    let decisions_cached_max =
        number("decisions_cached_max", file.decisions_cached_max, 65_536, 0..=10_000_000);
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let slow_decisions_max =
        number("slow_decisions_max", file.slow_decisions_max, processors.div_ceil(4), 1..=256);
    let a2a_text_bytes_max = number("a2a_text_bytes_max", file.a2a_text_bytes_max, 64 << 10, 0..=1 << 30);
    let tasks_asked_max = number("tasks_asked_max", file.tasks_asked_max, 100, 1..=10_000);
    let per_owner = PerOwner {
        tasks_max: number("tasks_per_owner_max", file.tasks_per_owner_max, 10_000, 1..=10_000_000),
        contexts_max: number(
            "contexts_per_owner_max",
            file.contexts_per_owner_max,
            1_000_000,
            1..=1_000_000_000,
        ),
    };
    let slow_queue_max = number("slow_queue_max", file.slow_queue_max, 1024, 1..=100_000);
    let mut time = |name: &str, text: &Option<String>, default: u32, most: u32| {
        problems.duration(
            &format!("limits.{name}"),
            text.as_deref(),
            second * default,
            Duration::from_millis(10)..=second * most,
        )
    };
    Limits {
        body_bytes_max,
        json_depth_max,
        header_bytes_max,
        connections_max,
        handshakes_max,
        streams_max,
        list_bytes_max,
        merged_list_bytes_max,
        merged_list_pages_max,
        merged_lists_max,
        upstream_idle_max,
        audit_queue_max,
        audit_queue_bytes_max,
        audit_timeout: time("audit_timeout", &file.audit_timeout, 5, 60),
        credentials_max,
        tokens_max,
        sessions_per_owner_max,
        revocations_max,
        actors_max,
        decisions_cached_max,
        slow_decisions_max,
        slow_queue_max,
        a2a_text_bytes_max,
        tasks_asked_max,
        per_owner,
        handshake_timeout: time("handshake_timeout", &file.handshake_timeout, 10, 60),
        body_timeout: time("body_timeout", &file.body_timeout, 30, 3600),
        write_timeout: time("write_timeout", &file.write_timeout, 30, 3600),
        idle_timeout: time("idle_timeout", &file.idle_timeout, 60, 3600),
        upstream_idle_timeout: time("upstream_idle_timeout", &file.upstream_idle_timeout, 30, 3600),
        connect_timeout: time("connect_timeout", &file.connect_timeout, 5, 60),
        response_timeout: time("response_timeout", &file.response_timeout, 60, 3600),
        session_ttl_max: time("session_ttl_max", &file.session_ttl_max, 86_400, 2_592_000),
        permit_ttl_max: time("permit_ttl_max", &file.permit_ttl_max, 3600, 86_400),
        connection_age_max: time("connection_age_max", &file.connection_age_max, 3600, 86_400),
        drain_timeout: time("drain_timeout", &file.drain_timeout, 30, 3600),
        decisions_timeout: time("decisions_timeout", &file.decisions_timeout, 1, 60),
        merged_list_timeout: time("merged_list_timeout", &file.merged_list_timeout, 10, 600),
    }
}

#[cfg(test)]
mod tests {
    use super::others_may_read;

    #[test]
    fn a_secret_is_its_owners_or_is_mounted_for_our_group_alone() {
        let (us, root) = (65532, 0);
        assert!(!others_may_read(0o100_600, us, us, us));
        assert!(others_may_read(0o100_640, us, us, us), "a group of several users, for all we know");
        assert!(!others_may_read(0o100_440, root, us, us), "a Secret in a pod");
        assert!(others_may_read(0o100_444, root, us, us));
        assert!(others_may_read(0o100_460, root, us, us));
        assert!(others_may_read(0o100_440, root, root, us));
        assert!(others_may_read(0o100_440, root, root, root), "root's group is not ours alone");
    }
}
