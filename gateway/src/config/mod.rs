//! The configuration as it runs: parsed, bounded, nothing left to interpret.

pub mod agents;
pub mod cards;
pub mod check;
pub mod file;
pub mod problems;
pub mod push;
pub mod redis;
mod written;

pub use agents::{Agent, Health, TasksIn};
pub use check::{load, load_embedded, load_servers};
pub use file::{
    ActorFile as ActorMode, AssertionFile as Assertion, AuditMode, SubjectNameFile as SubjectName,
    SubjectTokenFile as SubjectTokenKind, TargetFile as Target, WhenAwayFile as WhenAway,
    WithoutSubjectFile as WithoutSubject,
};
pub use problems::{Problem, Problems};
pub use redis::{RedisList, RedisServer, RedisTasks};
pub use written::Written;

use crate::revocation::Revocations;
use crate::session::KeyRing;
use certs::files::Paths;
use certs::{SpiffeId, TrustDomain};
use http::{HeaderValue, Uri};
use protocol::mcp::ServerRequest;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokens::{Mapping, Secret, SigningKey};
use url::Url;

/// A gateway.
#[derive(Debug)]
pub struct Config {
    /// Where to listen.
    pub listen: SocketAddr,
    /// The gateway's own URL, without a trailing slash.
    pub url: String,
    /// Where its SVID comes from.
    pub identity: IdentityFrom,
    /// Trust domains that are served beside its own, and where their bundles come from.
    pub trust_domains: BTreeMap<TrustDomain, BundleFrom>,
    /// Issuers of subject tokens.
    pub issuers: Vec<Issuer>,
    /// Where credentials come from.
    pub token_service: TokenService,
    /// MCP servers by name.
    pub servers: BTreeMap<String, Server>,
    /// A2A agents by name.
    pub agents: BTreeMap<String, Arc<Agent>>,
    /// How many gateways serve this configuration, each on a machine of its own.
    pub replicas: usize,
    /// Where it is kept whose tasks are.
    pub tasks: TasksIn,
    /// How push notifications are relayed.
    pub push: push::Relay,
    /// Signs the cards that are served, and the events that are sent.
    pub card_key: Option<SigningKey>,
    /// The policy set's folder.
    pub policy_dir: PathBuf,
    /// Wall time for one decision.
    pub policy_budget: Duration,
    /// How long a decision may keep a worker.
    pub policy_quick_budget: Duration,
    /// The audit file.
    pub audit_file: PathBuf,
    /// The file with the keys of session ids, and what was in it.
    pub sessions: Option<(PathBuf, KeyRing)>,
    /// Where it stands what is revoked; nowhere revokes nothing.
    pub revocations: Option<RevocationsFrom>,
    /// What becomes of calls while records can't be written.
    pub audit_mode: AuditMode,
    /// The admin listener; none if it is off.
    pub admin: Option<Admin>,
    /// Where traces go, if anywhere.
    pub traces: Option<Traces>,
    /// Bounds.
    pub limits: Limits,
    /// Accepted values of `Origin`.
    pub origins: BTreeSet<String>,
    /// The file that it was read from.
    pub written: Written,
}

/// Where it stands what is revoked.
#[derive(Debug)]
pub enum RevocationsFrom {
    /// In a file, and what was in it.
    File(PathBuf, Revocations),
    /// In a Redis.
    Redis(RedisList),
}

/// Where an SVID comes from.
#[derive(Clone, Debug)]
pub enum IdentityFrom {
    /// PEM files.
    Files(Paths),
    /// The SPIFFE Workload API.
    WorkloadApi {
        /// `unix:/path` or `tcp:address:port`.
        endpoint: String,
        /// How long to wait for the first SVID.
        wait: Duration,
    },
}

/// Where another trust domain's bundle comes from.
#[derive(Clone, Debug)]
pub enum BundleFrom {
    /// A file, which is watched.
    File(PathBuf),
    /// A SPIFFE bundle endpoint, and the file with the bundle that its first answer is verified with.
    Endpoint {
        /// Its URL (https).
        url: Url,
        /// Whom it must prove to be.
        spiffe_id: SpiffeId,
        /// The bundle to begin with, where the endpoint is of that domain itself.
        begin: Option<PathBuf>,
    },
    /// The Workload API.
    WorkloadApi,
}

/// An issuer of subject tokens.
#[derive(Clone, Debug)]
pub struct Issuer {
    /// Its `iss`; of JWT-SVIDs their trust domain, as `spiffe://partner.example`.
    pub issuer: String,
    /// The trust domain, if its tokens are JWT-SVIDs.
    pub jwt_svids_of: Option<TrustDomain>,
    /// Where its keys are.
    pub jwks: Jwks,
    /// Accepted `typ` headers; empty accepts any.
    pub types: Vec<String>,
    /// Accepted algorithms; empty accepts every one that its keys are for.
    pub algorithms: Vec<String>,
    /// What its tokens may be for, beside the gateway's own URLs.
    pub audiences: Vec<String>,
    /// Where its tokens say what.
    pub mapping: Mapping,
    /// Who may present its tokens.
    pub presenter: Presenter,
    /// Whether its `act` chains are believed.
    pub delegates: bool,
    /// Whose people its subjects are, where it isn't its own.
    pub subjects_of: Option<String>,
    /// Accepted clock difference.
    pub leeway: Duration,
}

/// Where keys are.
#[derive(Clone, Debug, PartialEq)]
pub enum Jwks {
    /// On disk.
    File {
        /// The JWK set.
        path: PathBuf,
        /// Least time between two looks.
        refresh: Duration,
    },
    /// On a server.
    Url {
        /// The JWK set (https).
        url: Url,
        /// What the server must prove.
        server: HttpsServer,
        /// Least time between two fetches.
        refresh: Duration,
    },
    /// Where the issuer's own metadata says.
    Discovered {
        /// The issuer, an https URL.
        issuer: String,
        /// What the servers of metadata and keys must prove.
        server: HttpsServer,
        /// Least time between two fetches.
        refresh: Duration,
    },
    /// The JWT bundle of a trust domain, as the Workload API streams it.
    WorkloadApi {
        /// The Workload API.
        endpoint: String,
        /// Whose bundle.
        trust_domain: TrustDomain,
    },
}

/// What an HTTPS server must prove.
#[derive(Clone, Debug, PartialEq)]
pub enum HttpsServer {
    /// That it is this workload.
    SpiffeId(SpiffeId),
    /// Its host name, by the authorities in a PEM file.
    CaFile(PathBuf),
    /// Its host name, by the system's authorities.
    System,
}

/// Who may present a token.
#[derive(Clone, Debug)]
pub enum Presenter {
    /// The workload that a claim names.
    Claim {
        /// The claim.
        name: String,
        /// From its value to a SPIFFE ID.
        map: BTreeMap<String, String>,
    },
    /// The workload that it is for: a credential that was made for an agent, which calls onward with it.
    Audience,
    /// Whoever holds it.
    Any,
}

/// Where tokens are asked for, and by whom.
#[derive(Debug)]
pub struct TokenEndpoint {
    /// The service's `iss`.
    pub issuer: String,
    /// Its token endpoint (https).
    pub url: Url,
    /// Its keys.
    pub jwks: Jwks,
    /// What its server must prove.
    pub server: HttpsServer,
    /// How the gateway proves who it is there.
    pub client: ServiceClient,
}

/// A token service.
#[derive(Debug)]
pub struct TokenService {
    /// The service.
    pub at: TokenEndpoint,
    /// Signs the actor assertions.
    pub actor_key: SigningKey,
    /// How long an exchange may take, all of its steps together.
    pub timeout: Duration,
    /// Whether what it issues must name the actor.
    pub actor: ActorMode,
    /// What is asked without a subject token.
    pub without_subject: WithoutSubject,
    /// The parameter that says whom a credential is for.
    pub target: Target,
    /// How long a refusal is remembered.
    pub refusals_kept: Duration,
    /// When it is asked no more for a while.
    pub breaker: Breaker,
    /// The identity provider whose assertions it takes, where it takes those.
    pub id_jag: Option<IdJag>,
}

/// An identity provider that gives Identity Assertion JWT Authorization Grants.
#[derive(Debug)]
pub struct IdJag {
    /// The provider.
    pub at: TokenEndpoint,
    /// What the callers' subject tokens are to it.
    pub subject_token: SubjectTokenKind,
    /// Whom a credential must be about.
    pub subject: SubjectName,
    /// The gateway's `client_id` at the token service.
    pub client_id: String,
}

/// How the gateway proves to a token service who it is. On a server with a SPIFFE ID it shows its SVID besides.
#[derive(Debug)]
pub enum ServiceClient {
    /// By its SVID, and the name that it goes by if it has one (RFC 8705 §2.1).
    Svid {
        /// `client_id`.
        id: Option<String>,
    },
    /// By a secret (RFC 6749 §2.3.1).
    Secret {
        /// `client_id`.
        id: String,
        /// What only the two know.
        secret: Secret,
    },
    /// By an assertion that it signs (RFC 7523 §2.2).
    Key {
        /// `client_id`.
        id: String,
        /// Signs it.
        key: Box<SigningKey>,
    },
    /// By its JWT-SVID.
    JwtSvid {
        /// `client_id`.
        id: String,
        /// What the service calls that.
        assertion: Assertion,
        /// The Workload API.
        endpoint: String,
    },
}

impl ServiceClient {
    /// `client_id`.
    pub fn id(&self) -> Option<&str> {
        match self {
            Self::Svid { id } => id.as_deref(),
            Self::Secret { id, .. } | Self::Key { id, .. } | Self::JwtSvid { id, .. } => Some(id),
        }
    }
}

/// When a server that fails is asked no more for a while.
#[derive(Clone, Copy, Debug)]
pub struct Breaker {
    /// Failures in a row.
    pub failures_max: usize,
    /// How long it is left alone then.
    pub open: Duration,
}

/// An MCP server behind the gateway.
#[derive(Clone, Debug, PartialEq)]
pub struct Server {
    /// Its name under `/mcp/`.
    pub name: String,
    /// Its endpoint (https).
    pub url: Url,
    /// Scheme, host and port of it, and who it must be: connections to the same peer are exchangeable.
    pub peer: Arc<str>,
    /// Path and query of it: what a request to it names.
    pub target: Uri,
    /// Host and port of it, as the header `Host` has them.
    pub host: HeaderValue,
    /// Who it must be.
    pub spiffe_id: SpiffeId,
    /// Whom its credentials are for.
    pub audience: String,
    /// What else a policy may choose.
    pub audiences: BTreeSet<String>,
    /// Whether a call needs a subject token.
    pub subject_required: bool,
    /// Scopes to ask for, by tool.
    pub scopes: BTreeMap<String, Vec<String>>,
    /// Whether keys in arguments may differ by case alone.
    pub case_variants_in_arguments: bool,
    /// What it may ask of its clients.
    pub server_requests: Vec<ServerRequest>,
}

/// The admin listener.
#[derive(Clone, Debug)]
pub struct Admin {
    /// Where it listens.
    pub listen: SocketAddr,
    /// Connections served at once.
    pub connections_max: usize,
    /// How long each may take.
    pub timeout: Duration,
}

/// Where traces go.
#[derive(Clone, Debug)]
pub struct Traces {
    /// The collector's URL for traces, `http` or `https`.
    pub endpoint: Url,
    /// What an `https` server must prove.
    pub server: HttpsServer,
    /// How long one delivery may take.
    pub timeout: Duration,
    /// The share of requests without a caller's word that are traced, 0 to 1.
    pub sample: f64,
    /// Spans that may wait.
    pub queue_max: usize,
}

/// What one owner may have at one agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PerOwner {
    /// Tasks.
    pub tasks_max: usize,
    /// Contexts, and tasks that the agent has forgotten: they are kept so that nobody else comes by them.
    pub contexts_max: usize,
}

impl PerOwner {
    /// For what is the owner's already.
    pub const UNBOUNDED: Self = Self { tasks_max: usize::MAX, contexts_max: usize::MAX };
}

/// Bounds; see [`file::LimitsFile`] for what each means.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the names are those of the file, where each is explained")]
pub struct Limits {
    pub body_bytes_max: usize,
    pub json_depth_max: usize,
    pub header_bytes_max: usize,
    pub connections_max: usize,
    pub handshakes_max: usize,
    pub streams_max: usize,
    pub list_bytes_max: usize,
    pub merged_list_bytes_max: usize,
    pub merged_list_pages_max: usize,
    pub merged_lists_max: usize,
    pub upstream_idle_max: usize,
    pub audit_queue_max: usize,
    pub audit_queue_bytes_max: usize,
    pub audit_timeout: Duration,
    pub credentials_max: usize,
    pub tokens_max: usize,
    pub sessions_per_owner_max: usize,
    pub revocations_max: usize,
    pub actors_max: usize,
    pub decisions_cached_max: usize,
    pub slow_decisions_max: usize,
    pub slow_queue_max: usize,
    pub a2a_text_bytes_max: usize,
    pub tasks_asked_max: usize,
    pub per_owner: PerOwner,
    pub handshake_timeout: Duration,
    pub body_timeout: Duration,
    pub write_timeout: Duration,
    pub idle_timeout: Duration,
    pub upstream_idle_timeout: Duration,
    pub connect_timeout: Duration,
    pub response_timeout: Duration,
    pub permit_ttl_max: Duration,
    pub session_ttl_max: Duration,
    pub connection_age_max: Duration,
    pub drain_timeout: Duration,
    pub decisions_timeout: Duration,
    pub merged_list_timeout: Duration,
}
