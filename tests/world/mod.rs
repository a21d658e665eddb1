//! A world for stories: a trust domain, the embedded token service, a fake MCP server on a real socket, and a gateway
//! between them, all in this process. Fakes live here and not behind a flag of the product.
#![allow(
    clippy::unwrap_used,
    missing_docs,
    reason = "test support: a world that can't be built ends its test, and its names speak"
)]

pub mod a2a;
pub mod agent;
pub mod policies;
pub mod pushes;
pub mod reply;
pub mod server;
pub mod components;
pub mod process;
pub mod redis;
pub mod program;
pub mod frames;
pub mod grpc;
pub mod idp;
pub mod kubernetes;
pub mod mlflow;
pub mod llama;
pub mod served;
pub mod sdks;
pub mod services;
pub mod spire;
pub mod svid_agent;
pub mod token_services;
pub mod watchers;
pub mod webhook;
pub mod workload_api;
mod written;

pub use agent::Agent;
pub use idp::Idp;
pub use program::Program;
pub use redis::Redis;
pub use reply::Reply;
pub use server::{Answer, McpServer, Received};
pub use workload_api::WorkloadApi;

use written::{a2a_agents, config, revocations, servers, settings, tasks};

use certs::development::{Domain, paths_in};
use certs::files::{FileSource, Paths};
use certs::{Clock, SharedSource, SpiffeId, TrustDomain};
use gateway::run::{self, Running};
use gateway::token_service::listener::ServiceError;
use gateway::token_service::{self, ServiceKeys, SubjectClaims, TokenService, subject_token, users_issuer};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tempfile::TempDir;
use tokens::SigningKey;
use tokio::task::JoinHandle;

pub const DOMAIN: &str = "bank.test";
/// A host name of the gateway, in its certificate.
pub const HOST: &str = "trainer.gateway.test";

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
    /// A2A agents beside the trainer, each `agent/<name>`, which may call onward.
    pub a2a: &'static [&'static str],
    /// One of our MCP servers, behind the gateway under its name.
    pub served: Option<served::Served>,
    /// Others of them.
    pub more_served: Vec<served::Served>,
    /// What is said of the A2A agent `trainer`, as `contexts: claim`; none: there is none.
    pub trainer: Option<&'static str>,
    /// The trainer is no fake then, but a program on an official SDK.
    pub sdk: Option<sdks::Sdk>,
    /// Where the gateway keeps whose tasks are.
    pub tasks: String,
    /// Where events of agents may go, as `{allow: […]}`.
    pub push: String,
    /// The gateway's SVID comes from the Workload API and lives so long; else from files.
    pub workload_api: Option<Duration>,
    /// What stands under `trust_domains`.
    pub trust_domains: String,
    /// The list of revocations is in a Redis, by its program; and what else the configuration says of it, as
    /// `when_away: refuse`. Else it is in a file.
    pub redis: Option<(PathBuf, &'static str)>,
    /// Whose tasks are is kept in a Redis, by its program; and what else the configuration says of it, as `timeout: 1s`.
    pub tasks_in_redis: Option<(PathBuf, &'static str)>,
    /// The people of the users' issuer are those of the token service's credentials, too.
    pub subjects_of: bool,
    /// The token service's own file, where people sign in.
    pub people: Option<&'static str>,
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
            a2a: &[],
            served: None,
            more_served: Vec::new(),
            trainer: None,
            sdk: None,
            tasks: "{}".into(),
            push: "{}".into(),
            workload_api: None,
            trust_domains: "{}".into(),
            redis: None,
            tasks_in_redis: None,
            subjects_of: true,
            people: None,
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
    /// The agent in its place.
    pub sdk_agent: Option<sdks::Peer>,
    pub gateway: Running,
    pub url: String,
    pub keys: ServiceKeys,
    pub origin: String,
    /// Where people sign in, if they do.
    pub sign_in: Option<String>,
    pub token_service: Arc<TokenService>,
    pub workload_api: Option<WorkloadApi>,
    pub redis: Option<Redis>,
    /// What serves the embedded token service, and can be stopped.
    pub listener: JoinHandle<()>,
    dir: TempDir,
    pub served: Vec<served::Server>,
}

impl World {
    pub async fn start() -> Self {
        Self::with(Plan::default()).await
    }

    pub async fn with_policy(policy: Vec<(&'static str, String)>) -> Self {
        Self::with(Plan { policy, ..Plan::default() }).await
    }

    pub async fn with(plan: Plan) -> Self {
        Box::pin(Self::started(plan)).await // It takes some room, and stories have little.
    }

    async fn started(plan: Plan) -> Self {
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
        let names = [plan.agents, plan.a2a].concat();
        for name in &names {
            let own = source(&dir, &domain, &clock, &format!("agent/{name}"));
            agents.insert(*name, McpServer::start(own, domain.id("gateway").unwrap(), clock.clone()).await);
        }

        let own = source(&dir, &domain, &clock, "agent/trainer");
        let trainer = McpServer::start(own, domain.id("gateway").unwrap(), clock.clone()).await;
        trainer.answers(a2a::agent());
        let own = FileSource::open(paths_in(&dir.path().join("agent-trainer"))).unwrap();
        let over_grpc = grpc::serve(trainer.clone(), own, domain.id("gateway").unwrap(), clock.clone()).await;

        let keys = ServiceKeys {
            users: SigningKey::generate().unwrap(),
            credentials: SigningKey::generate().unwrap(),
        };
        let actor = SigningKey::generate().unwrap();
        certs::files::write(&dir.path().join("actor.key"), actor.to_pkcs8(), 0o600).unwrap();
        let service_socket = TcpListener::bind("127.0.0.1:0").unwrap();
        let origin = format!("https://{}", service_socket.local_addr().unwrap());
        let people_socket = plan.people.map(|_| TcpListener::bind("127.0.0.1:0").unwrap());
        let sign_in = people_socket.as_ref().map(|tcp| format!("https://{}", tcp.local_addr().unwrap()));
        let all_served: Vec<_> = plan.served.iter().chain(&plan.more_served).cloned().collect();
        let of_service = settings(&domain, &url, &origin, &names, &all_served);
        let service = match (plan.people, &sign_in) {
            (Some(text), Some(at)) => {
                program::with_people(dir.path(), text, at, keys.clone(), &actor, of_service, clock.clone())
            }
            _ => TokenService::new(keys.clone(), &actor, of_service, clock.clone()).unwrap(),
        };
        std::fs::write(dir.path().join("credentials.jwks.json"), service.credential_jwks().to_string())
            .unwrap();
        let started = all_served.iter().map(|served| {
            source(&dir, &domain, &clock, &format!("mcp/{}", served.name));
            let svid = paths_in(&dir.path().join(format!("mcp-{}", served.name)));
            served::Server::start(served, dir.path(), &svid, DOMAIN, &token_service::issuer(&origin))
        });
        let served: Vec<served::Server> = started.collect();
        let service = Arc::new(service);
        let service_source = source(&dir, &domain, &clock, "token-service");
        let listener = token_service::listener::serve(
            Arc::clone(&service),
            service_socket,
            Arc::clone(&service_source),
            clock.clone(),
        )
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
        let redis = plan.redis.as_ref().or(plan.tasks_in_redis.as_ref()).map(|(program, _)| {
            source(&dir, &domain, &clock, redis::WORKLOAD);
            Redis::start(program, dir.path(), &paths_in(&dir.path().join(redis::WORKLOAD)))
        });
        let sdk_agent = plan.sdk.as_ref().map(|sdk| sdks::Peer::start(sdk, dir.path()));
        let fake = trainer.address;
        let fakes =
            [format!("https://{fake}/a2a"), format!("https://{fake}/rest"), format!("https://{over_grpc}")];
        let interfaces = sdk_agent.as_ref().map_or(fakes, |agent| agent.interfaces.clone());
        let text = config(
            &plan,
            dir.path(),
            (&url, &origin, sign_in.as_deref()),
            (ledger.address, &interfaces),
            (&servers(&plan, &served, &agents), &a2a_agents(&plan, &agents)),
        )
        .replace("revocations: {file: revoked.jsonl}", &revocations(&plan, redis.as_ref()))
        .replace("tasks: {}", &tasks(&plan, redis.as_ref()));
        std::fs::write(dir.path().join("sallyport.yaml"), text).unwrap();
        let config = gateway::config::load(&dir.path().join("sallyport.yaml"))
            .unwrap_or_else(|problems| panic!("{problems:?}"));
        let gateway = run::start(config, Some(socket), clock.clone()).await.unwrap();
        if let Some(tcp) = people_socket {
            gateway.serve_people(Arc::clone(&service), tcp, service_source).unwrap();
        }
        Self {
            domain,
            clock,
            ledger,
            agents,
            trainer,
            sdk_agent,
            gateway,
            url,
            keys,
            origin,
            workload_api,
            redis,
            sign_in,
            token_service: service,
            listener,
            dir,
            served,
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
        self.signed(presenter, self.clock.now(), change)
    }

    /// The same as if it had been issued at another time.
    pub fn token_at(
        &self,
        presenter: &str,
        at: SystemTime,
        change: impl FnOnce(&mut SubjectClaims<'_>),
    ) -> String {
        self.signed(&self.id(presenter), at, change)
    }

    fn signed(
        &self,
        presenter: &SpiffeId,
        at: SystemTime,
        change: impl FnOnce(&mut SubjectClaims<'_>),
    ) -> String {
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
        subject_token(&self.keys.users, &claims, at).unwrap().expose().to_owned()
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
        let settings = settings(&self.domain, &self.url, &self.origin, &[], &[]);
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

    /// Writes the configuration anew, and waits until the gateway has looked at it.
    pub async fn rewrite(&self, change: impl Fn(String) -> String) {
        let path = self.path("sallyport.yaml");
        let mut reloads = self.gateway.reloads();
        reloads.mark_unchanged();
        let text = change(std::fs::read_to_string(&path).unwrap());
        certs::files::write(&path, text.as_bytes(), 0o644).unwrap();
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
    let paths = domain.write_svid(&folder, &id, &["127.0.0.1", "localhost", HOST], clock.now()).unwrap();
    FileSource::open(paths).unwrap()
}

fn write_policy(dir: &TempDir, name: &str, text: &str) {
    let path = dir.path().join("policies").join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    certs::files::write(&path, text.as_bytes(), 0o644).unwrap();
}
