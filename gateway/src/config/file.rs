//! The configuration as an operator wrote it. Nothing in it is trusted yet; [`super::check`] makes a [`super::Config`] of it.
//! The doc comments are the manual: the JSON Schema in `deploy/config.schema.json` is generated from them.

mod agents;
mod cards;
mod embedded;
mod issuers;
mod push;
mod revocations;
mod servers;
mod tasks;
mod token_service;

pub use agents::{
    AgentFile, ContextsFile, HealthFile, InterfacesFile, PushFile, SkillByFile, SkillFile, TenantsFile,
};
pub use cards::{CardFile, CardsFile};
pub use embedded::{EmbeddedFile, EmbeddedLimitsFile, KeysFile, LifetimesFile, UserFile};
pub use issuers::{ClaimPath, ClaimsFile, HttpsFile, IssuerFile, JwksFile, JwtSvidFile, PresenterFile};
pub use push::PushesFile;
pub use revocations::{RevocationsFile, RevocationsRedisFile, WhenAwayFile};
pub use servers::{BeforeFile, StartedFile};
pub use tasks::{TasksFile, TasksRedisFile};
pub use token_service::{
    ActorFile, AssertionFile, BreakerFile, IdJagFile, ServiceClientFile, SubjectNameFile, SubjectTokenFile,
    TargetFile, TokenServiceFile, WithoutSubjectFile,
};

use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// A Sallyport gateway. Relative paths are relative to the folder of this file; secrets are paths, never values.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ConfigFile {
    /// Address and port to listen on, as `127.0.0.1:8443`. Port 0 takes a free one.
    pub listen: String,
    /// The gateway's own URL as its callers write it, as `https://gateway.example:8443`: a token for this audience opens
    /// every server here, one for `<url>/mcp/<server>` that server only.
    pub url: String,
    /// How many gateways serve this configuration, each on a machine of its own. What they have to share then has to be
    /// written: whose tasks are (`tasks.redis`) and the keys (`sessions.key_ring`, `cards.key`). Default 1.
    pub replicas: Option<u64>,
    /// The gateway's own SVID and the trust bundle.
    pub identity: IdentityFile,
    /// Trust domains beside the gateway's own whose workloads may call, by name (SPIFFE Federation). Default: none.
    #[serde(default)]
    pub trust_domains: BTreeMap<String, TrustDomainFile>,
    /// Who issues the subject tokens that callers present.
    #[serde(default)]
    pub issuers: Vec<IssuerFile>,
    /// Where a permitted call's credential comes from.
    pub token_service: TokenServiceFile,
    /// The MCP servers behind the gateway, by the name under `/mcp/`.
    #[serde(default)]
    pub servers: BTreeMap<String, ServerFile>,
    /// The A2A agents behind the gateway, by the name under `/a2a/`.
    #[serde(default)]
    pub agents: BTreeMap<String, AgentFile>,
    /// The cards of agents that the gateway serves.
    #[serde(default)]
    pub cards: CardsFile,
    /// Where it is kept whose tasks and contexts are.
    #[serde(default)]
    pub tasks: TasksFile,
    /// Push notifications of agents, and where they may go.
    #[serde(default)]
    pub push: PushesFile,
    /// The Rego policies.
    pub policy: PolicyFile,
    /// Where audit records go.
    pub audit: AuditFile,
    /// Sessions of the MCP versions before 2026-07-28.
    #[serde(default)]
    pub sessions: SessionsFile,
    /// What is revoked before its time. Default: nothing.
    #[serde(default)]
    pub revocations: RevocationsFile,
    /// Where the gateway says how it is: health, readiness, metrics.
    #[serde(default)]
    pub admin: AdminFile,
    /// Where traces go. Default: nowhere.
    #[serde(default)]
    pub telemetry: TelemetryFile,
    /// Numbers that bound what callers can use up.
    #[serde(default)]
    pub limits: LimitsFile,
    /// Values of `Origin` that are let in. Browsers send it, agents don't; empty refuses every request that has one.
    #[serde(default)]
    pub origins: Vec<String>,
}

/// An X.509-SVID: three PEM files, read again whenever they change, or the SPIFFE Workload API.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct IdentityFile {
    /// Certificate chain, leaf first.
    pub certificate: Option<PathBuf>,
    /// The leaf's PKCS #8 key; nobody but its owner may be able to read it (mode 0600).
    pub private_key: Option<PathBuf>,
    /// The authorities of the trust domain.
    pub trust_bundle: Option<PathBuf>,
    /// The SPIFFE Workload API in place of files: `unix:/path/to/agent.sock`, or `env` for what the environment variable
    /// `SPIFFE_ENDPOINT_SOCKET` says.
    pub workload_api: Option<String>,
    /// How long to wait for the first SVID, as `60s`. Default `60s`.
    pub workload_api_wait: Option<String>,
}

/// A trust domain whose workloads may call, beside the gateway's own.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TrustDomainFile {
    /// Its bundle in a file, read again whenever it changes: the SPIFFE bundle format, or PEM.
    pub bundle_file: Option<PathBuf>,
    /// Its bundle endpoint (profile `https_spiffe`), asked as often as the bundle's refresh hint says. `bundle_file` is then
    /// what the endpoint's first certificate is verified with.
    pub bundle_endpoint: Option<BundleEndpointFile>,
    /// Its bundle comes from the Workload API, with the gateway's own.
    #[serde(default)]
    pub workload_api: bool,
}

/// A SPIFFE bundle endpoint, authenticated by SPIFFE.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BundleEndpointFile {
    /// Its URL (https).
    pub url: String,
    /// The SPIFFE ID that it must prove.
    pub spiffe_id: String,
}

/// An MCP server behind the gateway.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ServerFile {
    /// Its MCP endpoint (https).
    pub url: String,
    /// The SPIFFE ID that it must prove. Its host name is not checked.
    pub spiffe_id: String,
    /// Whom its credentials are for. Default: its SPIFFE ID.
    pub audience: Option<String>,
    /// Other audiences that a policy's obligation may choose.
    #[serde(default)]
    pub audiences: Vec<String>,
    /// Whether a call needs a subject token.
    #[serde(default)]
    pub subject: SubjectFile,
    /// The scopes to ask for a tool's credential, by tool name. Default: `<server>:<tool>`.
    #[serde(default)]
    pub scopes: BTreeMap<String, Vec<String>>,
    /// Accept keys that are equal but for case inside `params.arguments`. Default: no.
    #[serde(default)]
    pub case_variants_in_arguments: bool,
    /// What the server may ask of its clients, and they may answer. Default: nothing.
    #[serde(default)]
    pub server_requests: Vec<ServerRequestFile>,
}

/// What a server may ask of a client.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum ServerRequestFile {
    /// `ping`.
    Ping,
    /// `sampling/createMessage`: a completion by the client's model.
    Sampling,
    /// `elicitation/create`: a question to the person.
    Elicitation,
    /// `roots/list`: the client's folders.
    Roots,
}

/// Whether a call needs a subject token.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum SubjectFile {
    /// 401 without one.
    #[default]
    Required,
    /// Without one the workload acts for itself, and policy decides.
    Optional,
}

/// The Rego policies.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PolicyFile {
    /// Folder of the policy set; it is watched, and a set with a mistake in it never replaces a good one.
    pub dir: PathBuf,
    /// Wall time for one decision, as `50ms`; between `1ms` and `1s`. Default `50ms`.
    pub budget: Option<String>,
    /// How long a decision may keep a worker. One that takes longer is made again beside the other requests, within
    /// `budget`; as `2ms`, between `100us` and `1s`. Default `2ms`.
    pub quick_budget: Option<String>,
}

/// Where audit records go.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AuditFile {
    /// A file of JSON lines, appended to; mode 0600.
    pub file: PathBuf,
    /// What becomes of calls while records can't be written. Default `best_effort`.
    #[serde(default)]
    pub mode: AuditMode,
}

/// What becomes of calls while records can't be written.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum AuditMode {
    /// They go on. Records are kept and tried again, up to `limits.audit_queue_max`; the rest is lost, counted, and named.
    #[default]
    BestEffort,
    /// They are refused. A permit is on disk before the first byte goes to the server.
    Required,
}

/// Sessions of the MCP versions before 2026-07-28. A client gets their ids sealed to its principal.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SessionsFile {
    /// The keys that ids are sealed with, and the URLs that agents post events to; a key a line, 32 bytes in base64 (`openssl
    /// rand -base64 32`); mode 0600. The first seals, all of them open; the file is read again when it changes. Replicas need
    /// the same one. Default: a key that is made at the start and forgotten at the end, and every session and URL with it.
    pub key_ring: Option<PathBuf>,
}

/// The admin listener: plain HTTP without any authentication, for `/healthz`, `/readyz` and `/metrics`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AdminFile {
    /// Address and port, or `off`. Port 0 takes a free one. Default `127.0.0.1:9901`.
    pub listen: Option<String>,
    /// Connections that are served at once; more wait. Default 64.
    pub connections_max: Option<u64>,
    /// How long a connection may take, from its first byte to the last of its one answer. Default `5s`.
    pub timeout: Option<String>,
}

/// What of the gateway's work can be followed elsewhere.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TelemetryFile {
    /// The collector. Without one no span is made, and a caller's `traceparent` goes on as it came.
    pub otlp: Option<OtlpFile>,
    /// Which requests are traced.
    #[serde(default)]
    pub traces: TracesFile,
}

/// An OpenTelemetry collector that takes OTLP over HTTP, as protobuf.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OtlpFile {
    /// Its base URL, as `http://127.0.0.1:4318`; `/v1/traces` is added. Spans name callers and tools, so a collector that is
    /// not on this machine should be `https`.
    pub endpoint: String,
    /// What an `https` server must prove. Default: a host name that the system's authorities vouch for.
    #[serde(default)]
    pub server: HttpsFile,
    /// How long one delivery may take, and all that is left of them when the gateway stops. Default `5s`.
    pub timeout: Option<String>,
}

/// Which requests are traced.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TracesFile {
    /// The share of requests that are traced where the caller's `traceparent` doesn't say; where it does, its flag holds.
    /// Between 0 and 1. Default 1.
    pub sample: Option<f64>,
    /// Spans that wait to be delivered; what doesn't fit is lost, and a warning says so. Default 16384.
    pub queue_max: Option<u64>,
}

/// Numbers that bound what callers can use up. Each has a default.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LimitsFile {
    /// Bytes of a request body. Default 4194304.
    pub body_bytes_max: Option<u64>,
    /// Nesting of a request body. Default 64.
    pub json_depth_max: Option<u64>,
    /// Bytes of a request's header fields, together. Default 32768.
    pub header_bytes_max: Option<u64>,
    /// Connections with a finished handshake that are open at once. Default 4096.
    pub connections_max: Option<u64>,
    /// Connections whose handshake is not finished. Default 512.
    pub handshakes_max: Option<u64>,
    /// HTTP/2 streams of one connection that are open at once. Default 128.
    pub streams_max: Option<u64>,
    /// Bytes of a list answer, which is held to be filtered; also of one SSE event. Default 4194304.
    pub list_bytes_max: Option<u64>,
    /// Bytes of a list at `/mcp`, all servers together. Each has an equal share, and what others leave of theirs; one whose
    /// items find no room is left out. Default 16777216.
    pub merged_list_bytes_max: Option<u64>,
    /// Pages that each server is asked for, for a list at `/mcp`; one that has more is left out. Default 32.
    pub merged_list_pages_max: Option<u64>,
    /// Lists at `/mcp` that are put together at once; another one is refused. Default 64.
    pub merged_lists_max: Option<u64>,
    /// Idle connections that are kept for each upstream. Default 256.
    pub upstream_idle_max: Option<u64>,
    /// Audit records that wait to be written. Default 65536.
    pub audit_queue_max: Option<u64>,
    /// The same in bytes. Default 67108864.
    pub audit_queue_bytes_max: Option<u64>,
    /// How long a permitted call may wait until its permit is on disk, in the audit's mode `required`. Default `5s`.
    pub audit_timeout: Option<String>,
    /// Credentials that are kept until they expire. Default 10000.
    pub credentials_max: Option<u64>,
    /// Subject tokens whose signature is remembered to hold; 0 checks it for each request. Default 10000.
    pub tokens_max: Option<u64>,
    /// Sessions that one owner (issuer, subject and workload) has open at once through this replica. Default 1000.
    pub sessions_per_owner_max: Option<u64>,
    /// Entries of the list of revocations. Default 100000.
    pub revocations_max: Option<u64>,
    /// Agents that a token may have come through, one calling the other: the entries of its chain of actors; at most 8.
    /// Default 4.
    pub actors_max: Option<u64>,
    /// How long a session may last, as `24h` or shorter. Default `24h`.
    pub session_ttl_max: Option<String>,
    /// Decisions that are kept for repeats of the same question, and answers for lists; 0 keeps none. Default 65536.
    pub decisions_cached_max: Option<u64>,
    /// Slow decisions that are made at once, each on a thread. Default: a quarter of the processors, at least one.
    pub slow_decisions_max: Option<u64>,
    /// Slow decisions that wait or are being made; an eighth of them for one caller of one package. Further ones are
    /// denied. Default 1024.
    pub slow_queue_max: Option<u64>,
    /// Bytes of a text in an A2A message that policy sees; a rule that looks into a longer one denies. Default 65536.
    pub a2a_text_bytes_max: Option<u64>,
    /// Tasks that one owner (issuer, subject and workload) has at one agent. Default 10000.
    pub tasks_per_owner_max: Option<u64>,
    /// Tasks that aren't over and that an agent is asked for, one by one, before a list by state or time is put together: those
    /// that changed last. Default 100.
    pub tasks_asked_max: Option<u64>,
    /// Contexts of one owner at one agent, and tasks that the agent has forgotten, together. Default 1000000.
    pub contexts_per_owner_max: Option<u64>,
    /// How long a TLS handshake may take. Default `10s`.
    pub handshake_timeout: Option<String>,
    /// How long a request's head and body may take. Default `30s`.
    pub body_timeout: Option<String>,
    /// How long a caller may take to take up a piece of its answer. Default `30s`.
    pub write_timeout: Option<String>,
    /// How long a connection is kept without a request. Default `60s`.
    pub idle_timeout: Option<String>,
    /// How long an idle connection to an upstream is kept: less than its server keeps it. Default `30s`.
    pub upstream_idle_timeout: Option<String>,
    /// How long an upstream may take to accept a connection. Default `5s`.
    pub connect_timeout: Option<String>,
    /// How long an upstream may take until its response begins. Default `60s`.
    pub response_timeout: Option<String>,
    /// How long a permit holds at most, and a stream with it. Default `1h`.
    pub permit_ttl_max: Option<String>,
    /// How long a connection is used for new requests. Default `1h`.
    pub connection_age_max: Option<String>,
    /// How long requests in flight may go on after SIGTERM. Default `30s`.
    pub drain_timeout: Option<String>,
    /// How long all the decisions of one request may take together, where there are many: items of a list, resources of a
    /// subscription. What there is no time for is denied. Default `1s`.
    pub decisions_timeout: Option<String>,
    /// How long each server may take for a list at `/mcp`, all its pages together; one that takes longer is left out.
    /// Default `10s`.
    pub merged_list_timeout: Option<String>,
}
