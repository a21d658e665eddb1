//! A world for stories: a trust domain, the embedded token service, a fake MCP server on a real socket, and a gateway
//! between them, all in this process. Fakes live here and not behind a flag of the product.
#![allow(
    clippy::unwrap_used,
    missing_docs,
    reason = "test support: a world that can't be built ends its test, and its names speak"
)]

pub mod a2a;
pub mod agent;
pub mod peers;
pub mod policies;
pub mod reply;
pub mod server;
pub mod components;
pub mod process;
pub mod frames;
pub mod idp;
pub mod remote_s3;
pub mod services;
pub mod spire;
pub mod watchers;
pub mod workload_api;

pub use agent::Agent;
pub use idp::Idp;
pub use reply::Reply;
pub use server::{Answer, McpServer, Received};
pub use workload_api::WorkloadApi;

use certs::development::{Domain, paths_in};
use certs::files::{FileSource, Paths};
use certs::{Clock, SharedSource, SpiffeId, TrustDomain};
use gateway::run::{self, Running};
use gateway::token_service::listener::ServiceError;
use gateway::token_service::{
    self, ServiceKeys, Settings, SubjectClaims, TokenService, subject_token, users_issuer,
};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tokens::SigningKey;

pub const DOMAIN: &str = "bank.test";

/// How a world differs from the usual one.
#[derive(Clone)]
pub struct Plan {
    pub policy: Vec<(&'static str, String)>,
    pub subject: &'static str,
    pub limits: &'static str,
    /// What stands behind the folder in `policy`, as `, budget: 1s`.
    pub policy_options: &'static str,
    pub presenters: &'static str,
    /// Accepted `typ` of the usual issuer's tokens.
    pub types: &'static str,
    /// Leaves out where the usual issuer's keys are.
    pub discovery: bool,
    /// What else is said of the usual issuer, as `claims: {tenant: tid}`.
    pub issuer_options: &'static str,
    pub telemetry: String,
    pub admin: &'static str,
    pub more_issuers: &'static str,
    pub server_path: &'static str,
    pub audit: &'static str,
    pub server_requests: &'static str,
    pub server_is_up: bool,
    /// Agents behind the gateway, each a server `agent/<name>` that may call onward.
    pub agents: &'static [&'static str],
    pub s3: Option<remote_s3::Endpoint>,
    /// What is said of the A2A agent `trainer`, as `contexts: claim`; none: there is none.
    pub trainer: Option<&'static str>,
    /// Where the gateway keeps whose tasks are.
    pub tasks: String,
    /// The trainer is a program on an official SDK, and this is how it is started.
    pub peer: Option<peers::Start>,
    /// The gateway's SVID comes from the Workload API and lives so long; else from files.
    pub workload_api: Option<Duration>,
    /// What stands under `trust_domains`.
    pub trust_domains: String,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            policy: policies::ledger(),
            subject: "required",
            limits: "{}",
            policy_options: "",
            presenters: "",
            types: "at+jwt",
            discovery: false,
            issuer_options: "",
            telemetry: "{}".into(),
            admin: "{listen: \"127.0.0.1:0\"}",
            more_issuers: "",
            server_path: "mcp/ledger",
            audit: "best_effort",
            server_requests: "",
            server_is_up: true,
            agents: &[],
            s3: None,
            trainer: None,
            tasks: "{}".into(),
            peer: None,
            workload_api: None,
            trust_domains: "{}".into(),
        }
    }
}

pub struct World {
    pub domain: Domain,
    pub clock: Clock,
    pub ledger: McpServer,
    /// Those of the plan, by name.
    pub agents: BTreeMap<&'static str, McpServer>,
    /// The A2A agent.
    pub trainer: McpServer,
    pub gateway: Running,
    pub url: String,
    pub keys: ServiceKeys,
    pub origin: String,
    pub workload_api: Option<WorkloadApi>,
    dir: TempDir,
    /// The trainer, where it is a program.
    pub peer: Option<peers::Peer>,
    _s3: Option<remote_s3::Server>,
}

impl World {
    pub async fn start() -> Self {
        Self::with(Plan::default()).await
    }

    pub async fn with_policy(policy: Vec<(&'static str, String)>) -> Self {
        Self::with(Plan { policy, ..Plan::default() }).await
    }

    pub async fn with(plan: Plan) -> Self {
        certs::install_crypto();
        let dir = tempfile::tempdir().unwrap();
        let clock = Clock::adjustable();
        let domain =
            Domain::open(&dir.path().join("ca"), &TrustDomain::new(DOMAIN).unwrap(), &clock).unwrap();
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("https://{}", socket.local_addr().unwrap());

        let ledger_source = source(&dir, &domain, &clock, plan.server_path);
        let ledger = McpServer::start(ledger_source, domain.id("gateway").unwrap(), clock.clone()).await;
        if !plan.server_is_up {
            ledger.stop();
        }

        let mut agents = BTreeMap::new();
        for name in plan.agents {
            let own = source(&dir, &domain, &clock, &format!("agent/{name}"));
            agents.insert(*name, McpServer::start(own, domain.id("gateway").unwrap(), clock.clone()).await);
        }

        let own = source(&dir, &domain, &clock, "agent/trainer");
        let trainer = McpServer::start(own, domain.id("gateway").unwrap(), clock.clone()).await;
        trainer.answers(a2a::agent());
        let peer = plan.peer.as_ref().map(|start| start.run(&paths_in(&dir.path().join("agent-trainer"))));

        let keys = ServiceKeys {
            users: SigningKey::generate().unwrap(),
            credentials: SigningKey::generate().unwrap(),
        };
        let actor = SigningKey::generate().unwrap();
        certs::files::write(&dir.path().join("actor.key"), actor.to_pkcs8(), 0o600).unwrap();
        let service_socket = TcpListener::bind("127.0.0.1:0").unwrap();
        let origin = format!("https://{}", service_socket.local_addr().unwrap());
        let service = TokenService::new(
            keys.clone(),
            &actor,
            settings(&domain, &url, &origin, plan.agents),
            clock.clone(),
        )
        .unwrap();
        std::fs::write(dir.path().join("credentials.jwks.json"), service.credential_jwks().to_string())
            .unwrap();
        let s3 = plan.s3.as_ref().map(|endpoint| {
            source(&dir, &domain, &clock, "mcp/s3");
            let svid = paths_in(&dir.path().join("mcp-s3"));
            remote_s3::Server::start(endpoint, dir.path(), &svid, DOMAIN, &token_service::issuer(&origin))
        });
        let service_source = source(&dir, &domain, &clock, "token-service");
        token_service::listener::serve(Arc::new(service), service_socket, service_source, clock.clone())
            .unwrap();

        source(&dir, &domain, &clock, "gateway");
        let workload_api = plan.workload_api.map(|ttl| WorkloadApi::start(dir.path(), &clock, ttl));
        for (name, text) in &plan.policy {
            write_policy(&dir, name, text);
        }
        let key = gateway::session::KeyRing::generate().unwrap();
        certs::files::write(&dir.path().join("sessions.keys"), key.as_bytes(), 0o600).unwrap();
        std::fs::create_dir_all(dir.path().join("policies")).unwrap();
        std::fs::write(dir.path().join("revoked.jsonl"), "").unwrap();
        std::fs::write(
            dir.path().join("sallyport.yaml"),
            config(
                &plan,
                dir.path(),
                &url,
                &origin,
                ledger.address,
                &peer.as_ref().map_or(places_of(trainer.address), |peer| peer.places.clone()),
                &servers(s3.as_ref(), &agents),
            ),
        )
        .unwrap();
        let config = gateway::config::load(&dir.path().join("sallyport.yaml"))
            .unwrap_or_else(|problems| panic!("{problems:?}"));
        let gateway = run::start(config, Some(socket), clock.clone()).await.unwrap();
        Self {
            domain,
            clock,
            ledger,
            agents,
            trainer,
            gateway,
            url,
            keys,
            origin,
            workload_api,
            dir,
            peer,
            _s3: s3,
        }
    }

    /// The usual agent: workload `agent/clerk`, acting for alice.
    pub fn clerk(&self) -> Agent {
        self.agent("agent/clerk").with_token(&self.token("agent/clerk"))
    }

    /// A caller of the A2A agent: a workload acting for a person.
    pub fn caller(&self, workload: &str, person: &'static str, wire: a2a::Wire) -> a2a::Caller {
        let token = self.token_with(workload, |claims| claims.subject = person);
        a2a::Caller { agent: self.agent(workload).with_token(&token), wire }
    }

    /// The usual agent, over one version of HTTP.
    pub fn clerk_over(&self, alpn: &[u8]) -> Agent {
        self.agent("agent/clerk");
        let read = |name: &str| std::fs::read_to_string(self.path("agent-clerk").join(name)).unwrap();
        let pem = (read("cert.pem"), read("key.pem"));
        let agent = Agent::from_pem(&self.url, &self.trust_bundle(), Some((&pem.0, &pem.1)), &[alpn]);
        agent.with_token(&self.token("agent/clerk"))
    }

    /// A workload of the world's trust domain, without a token.
    pub fn agent(&self, path: &str) -> Agent {
        let paths = self
            .domain
            .write_svid(&self.dir.path().join(path.replace('/', "-")), &self.id(path), &[], self.clock.now())
            .unwrap();
        Agent::new(&self.url, &self.trust_bundle(), Some(&paths))
    }

    /// Alice's token for a workload to present.
    pub fn token(&self, presenter: &str) -> String {
        self.token_with(presenter, |_| {})
    }

    /// The same with something changed.
    pub fn token_with(&self, presenter: &str, change: impl FnOnce(&mut SubjectClaims<'_>)) -> String {
        self.token_for(&self.id(presenter), change)
    }

    /// The same for a workload of any trust domain.
    pub fn token_for(&self, presenter: &SpiffeId, change: impl FnOnce(&mut SubjectClaims<'_>)) -> String {
        let issuer = users_issuer(&self.origin);
        let scopes = BTreeSet::from(["bookkeeping".to_owned()]);
        let mut claims = SubjectClaims {
            issuer: &issuer,
            subject: "alice",
            presenter,
            audience: &self.url,
            scopes: &scopes,
            ttl: Duration::from_secs(600),
        };
        change(&mut claims);
        subject_token(&self.keys.users, &claims, self.clock.now()).unwrap().expose().to_owned()
    }

    /// A finished handshake as a workload, to speak anything over.
    pub async fn raw(&self, path: &str) -> tokio_rustls::client::TlsStream<tokio::net::TcpStream> {
        self.raw_over(path, b"http/1.1").await
    }

    /// The same for one version of HTTP.
    pub async fn raw_over(
        &self,
        path: &str,
        alpn: &[u8],
    ) -> tokio_rustls::client::TlsStream<tokio::net::TcpStream> {
        self.agent(path);
        let own: SharedSource = FileSource::open(paths_in(&self.path(&path.replace('/', "-")))).unwrap();
        let mut config = certs::tls::client_config(own, self.id("gateway"), Clock::system()).unwrap();
        config.alpn_protocols = vec![alpn.to_vec()];
        let address = self.gateway.address();
        let tcp = tokio::net::TcpStream::connect(address).await.unwrap();
        let name = rustls::pki_types::ServerName::IpAddress(address.ip().into());
        tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, tcp).await.unwrap()
    }

    /// Tries to serve a second token service on a socket.
    pub fn another_token_service(&self, tcp: TcpListener) -> Result<(), ServiceError> {
        let settings = settings(&self.domain, &self.url, &self.origin, &[]);
        let service =
            TokenService::new(self.keys.clone(), &self.keys.users, settings, self.clock.clone()).unwrap();
        let source: SharedSource = FileSource::open(paths_in(&self.path("token-service"))).unwrap();
        token_service::listener::serve(Arc::new(service), tcp, source, self.clock.clone())
            .map(|task| task.abort())
    }

    pub fn id(&self, path: &str) -> SpiffeId {
        self.domain.id(path).unwrap()
    }

    pub fn trust_bundle(&self) -> String {
        self.domain.bundle().to_owned()
    }

    /// The SVID of a workload that the world has started with.
    pub fn source(&self, path: &str) -> SharedSource {
        FileSource::open(paths_in(&self.path(path))).unwrap()
    }

    /// Where the gateway's own SVID is.
    pub fn gateway_svid(&self) -> Paths {
        paths_in(&self.dir.path().join("gateway"))
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Writes a policy file and waits until the gateway has looked at it.
    pub async fn change_policy(&self, name: &str, text: &str) {
        let mut reloads = self.gateway.reloads();
        reloads.mark_unchanged();
        write_policy(&self.dir, name, text);
        reloads.changed().await.unwrap();
    }

    /// Runs `sallyport revoke` on the gateway's list, and waits until the gateway has looked at it.
    pub async fn revoke(&self, arguments: &[&str]) {
        let mut reloads = self.gateway.reloads();
        reloads.mark_unchanged();
        let mut command = std::process::Command::new(components::program("sallyport"));
        command.args(["revoke", "--file"]).arg(self.path("revoked.jsonl")).args(arguments);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{output:?}");
        reloads.changed().await.unwrap();
    }

    /// Every line of the audit file.
    pub fn audit(&self) -> Vec<Value> {
        self.gateway.flush_audit();
        let text = std::fs::read_to_string(self.path("audit.jsonl")).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// The records of one kind.
    pub fn records(&self, kind: &str) -> Vec<Value> {
        self.audit().into_iter().filter(|r| r["kind"] == kind).collect()
    }

    /// The one record of the one request.
    pub fn only_record(&self) -> Value {
        let mut records = self.records("request");
        assert_eq!(records.len(), 1, "one record for one request: {records:#?}");
        records.remove(0)
    }
}

fn source(dir: &TempDir, domain: &Domain, clock: &Clock, path: &str) -> SharedSource {
    let id = domain.id(path).unwrap();
    let folder = dir.path().join(path.replace('/', "-"));
    let paths = domain.write_svid(&folder, &id, &["127.0.0.1", "localhost"], clock.now()).unwrap();
    FileSource::open(paths).unwrap()
}

fn write_policy(dir: &TempDir, name: &str, text: &str) {
    let path = dir.path().join("policies").join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    certs::files::write(&path, text.as_bytes(), 0o644).unwrap();
}

fn settings(domain: &Domain, url: &str, origin: &str, agents: &[&str]) -> Settings {
    let of =
        |server: &str, all: &[&str]| all.iter().map(|s| format!("{server}:{s}")).collect::<BTreeSet<_>>();
    let mut scopes = of("ledger", &["post_entry", "read_balance", "protocol", "resources", "prompts"]);
    scopes.extend(of(
        "s3",
        &["protocol", "list_objects", "get_object", "head_object", "put_object", "delete_object"],
    ));
    scopes.extend(agents.iter().map(|agent| format!("{agent}:ask")));
    scopes.extend(protocol::a2a::methods().iter().map(|row| format!("trainer:{}", row.name)));
    let agents: BTreeSet<_> = agents
        .iter()
        .chain(&["trainer"])
        .map(|agent| domain.id(&format!("agent/{agent}")).unwrap().to_string())
        .collect();
    let servers = ["mcp/ledger", "mcp/s3"].map(|path| domain.id(path).unwrap().to_string());
    Settings {
        origin: origin.into(),
        gateway: domain.id("gateway").unwrap(),
        resources: [url.to_owned(), format!("{url}/mcp/ledger"), format!("{url}/mcp/s3")].into(),
        audiences: servers.into_iter().chain(agents.clone()).collect(),
        agents,
        grants: BTreeMap::from([("bookkeeping".to_owned(), scopes.clone())]),
        workload_grants: BTreeMap::from([(domain.id("agent/robot").unwrap().to_string(), scopes)]),
    }
}

/// The servers beside the ledger.
fn servers(s3: Option<&remote_s3::Server>, agents: &BTreeMap<&str, McpServer>) -> String {
    let line = |name: &str, kind: &str, at: SocketAddr| {
        format!("  {name}: {{url: \"https://{at}/mcp\", spiffe_id: \"spiffe://{DOMAIN}/{kind}/{name}\"}}\n")
    };
    let agents = agents.iter().map(|(name, agent)| line(name, "agent", agent.address));
    s3.map(|s3| line("s3", "mcp", s3.address)).into_iter().chain(agents).collect()
}

/// Where the fake agent is, over JSON-RPC and HTTP+JSON.
fn places_of(trainer: SocketAddr) -> (String, String) {
    (format!("https://{trainer}/a2a"), format!("https://{trainer}/rest"))
}

fn config(
    plan: &Plan,
    dir: &Path,
    url: &str,
    origin: &str,
    ledger: SocketAddr,
    (json_rpc, http_json): &(String, String),
    servers: &str,
) -> String {
    let agents = plan.trainer.map_or("{}".to_owned(), |more| {
        format!(
            "
  trainer:
    interfaces: {{jsonrpc: \"{json_rpc}\", http_json: \"{http_json}\"}}
    spiffe_id: spiffe://{DOMAIN}/agent/trainer
    {more}",
            more = more.replace("LEDGER", &ledger.to_string())
        )
    });
    let tasks = &plan.tasks;
    let (subject, limits, presenters, audit, more_issuers) =
        (plan.subject, plan.limits, plan.presenters, plan.audit, plan.more_issuers);
    let server_requests = plan.server_requests;
    let credentials = if plan.agents.is_empty() {
        String::new()
    } else {
        format!(
            "  - issuer: {origin}/oauth
    types: [at+jwt]
    leeway: 0s
    presenter: {{audience: true}}
    delegates: true
    jwks: {{url: \"{origin}/oauth/jwks\", refresh: 1s, server: {{spiffe_id: \"spiffe://{DOMAIN}/token-service\"}}}}"
        )
    };
    let (types, issuer_options) = (plan.types, plan.issuer_options);
    let users_jwks =
        if plan.discovery { String::new() } else { format!("url: \"{origin}/oauth/users/jwks\", ") };
    let (admin, telemetry) = (plan.admin, &plan.telemetry);
    let policy_options = plan.policy_options;
    let identity = match &plan.workload_api {
        Some(_) => format!("{{workload_api: \"unix:{}\"}}", dir.join(workload_api::SOCKET).display()),
        None => {
            "{certificate: gateway/cert.pem, private_key: gateway/key.pem, trust_bundle: gateway/bundle.pem}"
                .into()
        }
    };
    let trust_domains = &plan.trust_domains;
    format!(
        "listen: 127.0.0.1:0
url: {url}
identity: {identity}
trust_domains: {trust_domains}
issuers:
  - issuer: {origin}/oauth/users
    types: [{types}]
    leeway: 0s
    presenter: {{claim: client_id, map: {{{presenters}}}}}
    {issuer_options}
    jwks: {{{users_jwks}refresh: 1s, server: {{spiffe_id: \"spiffe://{DOMAIN}/token-service\"}}}}
{more_issuers}
{credentials}
token_service:
  issuer: {origin}/oauth
  token_endpoint: {origin}/oauth/token
  server: {{spiffe_id: \"spiffe://{DOMAIN}/token-service\"}}
  jwks: {{url: \"{origin}/oauth/jwks\", refresh: 1s, server: {{spiffe_id: \"spiffe://{DOMAIN}/token-service\"}}}}
  actor_key: actor.key
servers:
  ledger:
    url: https://{ledger}/mcp
    spiffe_id: spiffe://{DOMAIN}/mcp/ledger
    subject: {subject}
    server_requests: [{server_requests}]
{servers}
agents: {agents}
tasks: {tasks}
policy: {{dir: policies{policy_options}}}
audit: {{file: audit.jsonl, mode: {audit}}}
sessions: {{key_ring: sessions.keys}}
revocations: {{file: revoked.jsonl}}
admin: {admin}
telemetry: {telemetry}
limits: {limits}
"
    )
}
