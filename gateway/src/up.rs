//! `sallyport up`: everything on one machine. A development trust domain, the embedded token service, the MCP servers of a list,
//! a demo agent, a starter policy, and the gateway before them, started from the same kind of configuration file that runs in production.

pub mod children;
pub mod echo;
pub mod embedded;
pub mod servers;
pub mod starter;
pub mod state;

use crate::cli::hints;
use crate::config::{self, Problem};
use crate::run::{self, Running, StartError};
use crate::token_service::keys::KeyError;
use crate::token_service::listener::ServiceError;
use crate::workload_api::{self, WorkloadApi, WorkloadApiError};
use certs::development::Domain;
use certs::files::FileSource;
use certs::{Clock, IdentityError, SharedSource, TrustDomain};
use children::ChildError;
use embedded::Embedded;
use servers::Servers;
use state::{Dir, Workload};
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::time::Duration;
use tokens::SigningError;
use tokio::task::JoinHandle;

/// The development trust domain's name.
pub const TRUST_DOMAIN: &str = "dev.sallyport";
/// How long the demo agent's token lives: a working day.
pub const TOKEN_TTL: Duration = Duration::from_secs(8 * 3600);
/// How often it is looked whether an SVID has reached half its life.
const RENEWAL_INTERVAL: Duration = Duration::from_secs(20);

/// Everything that `up` started.
pub struct Up {
    /// The gateway.
    pub gateway: Running,
    /// The gateway's URL.
    pub url: String,
    /// Where people sign in.
    pub sign_in: String,
    dir: Dir,
    /// The MCP servers.
    pub servers: Servers,
    tasks: Vec<JoinHandle<()>>,
}

/// Why it can't come up.
#[derive(Debug, thiserror::Error)]
pub enum UpError {
    /// Another `up` uses the folder.
    #[error("{0} is in use by another `sallyport up`; stop that one, or choose another --dir")]
    InUse(PathBuf),
    /// A file or folder can't be used.
    #[error("{path} can't be used")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Something with the trust domain.
    #[error("the development trust domain can't be used")]
    Identity(#[from] IdentityError),
    /// The address can't be listened on.
    #[error("can't listen on {address}; choose another with --listen, 127.0.0.1:0 takes a free port")]
    Listen {
        /// Which.
        address: SocketAddr,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A signing key can't be made or read.
    #[error("a signing key can't be used")]
    Key(#[from] SigningError),
    /// The system gives no random bytes.
    #[error("no random bytes are to be had")]
    Random,
    /// The token service's keys.
    #[error("the token service's keys can't be used")]
    Keys(#[from] KeyError),
    /// The token service.
    #[error("the token service can't be started")]
    Service(#[from] ServiceError),
    /// The Workload API.
    #[error("the SPIFFE Workload API can't be served")]
    WorkloadApi(#[from] WorkloadApiError),
    /// An MCP server.
    #[error("an MCP server can't be started")]
    Child(#[from] ChildError),
    /// The demo agent.
    #[error("the demo agent's TLS could not be configured")]
    EchoTls(#[source] rustls::Error),
    /// The configuration that was written doesn't check: the policy or the folder was edited.
    #[error("the configuration has mistakes:\n{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Config(Vec<Problem>),
    /// The gateway.
    #[error("the gateway can't be started")]
    Start(#[from] StartError),
}

/// Starts everything, with its state in `dir`.
///
/// # Errors
/// [`UpError`]; whatever was started by then is stopped again.
pub async fn up(dir: PathBuf, listen: SocketAddr, clock: Clock) -> Result<Up, UpError> {
    let dir = Dir::open(dir)?;
    starter::write(&dir)?;
    let list = servers::listed(&dir)?;
    let workloads: Vec<Workload> =
        Workload::USUAL.into_iter().chain(list.iter().map(servers::Started::workload)).collect();
    let domain = open_domain(&dir, &workloads, &clock)?;
    let gateway_socket = bind(listen)?;
    let url = format!("https://{}", address(&gateway_socket, listen)?);
    let (token_service, serving) = Embedded::start(&dir, &domain, &url, &list, &clock)?;
    let mut tasks = vec![serving, serve_workload_api(&dir, &WorkloadApiAt::usual(&dir), clock.clone())?];
    let servers = Servers::start(list, &dir, &domain, &token_service.origin).await?;

    let (echo, listening) = echo::start(&dir, &domain, &token_service, &clock)?;
    tasks.push(listening);
    dir.key_ring("sessions.keys")?;
    let (origin, sign_in) = (token_service.origin.clone(), token_service.sign_in.clone());
    let text = starter::config(&domain, &url, (&origin, &sign_in), (&servers.addresses(), echo));
    dir.write("sallyport.yaml", text.as_bytes(), 0o644)?;
    let config = config::load(&dir.path("sallyport.yaml")).map_err(UpError::Config)?;
    let gateway = run::start(config, Some(gateway_socket), clock.clone()).await?;

    tasks.extend(token_service.open(&gateway)?);

    let addresses = state::Addresses { url: url.clone(), origin, sign_in: Some(sign_in.clone()) };
    dir.write_state(&addresses)?;
    hints::write_agent_env(&dir, &domain, &addresses, &clock)?;
    tasks.push(tokio::spawn(renew(dir.clone(), domain, workloads, clock)));
    Ok(Up { gateway, url, sign_in, dir, servers, tasks })
}

impl Up {
    /// The state folder.
    pub fn dir(&self) -> &Dir {
        &self.dir
    }

    /// Returns when an MCP server has ended by itself, which it shouldn't.
    pub async fn broken(&mut self) -> ChildError {
        self.servers.ended().await
    }

    /// Stops everything: the gateway first, so that what it carries can end.
    pub async fn stop(self) {
        self.gateway.stop().await;
        self.servers.stop().await;
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

/// Where the Workload API is, and what it goes by.
#[derive(Clone, Debug)]
pub struct WorkloadApiAt {
    /// Its socket.
    pub socket: PathBuf,
    /// The list of workloads.
    pub entries: PathBuf,
    /// How long an SVID lives.
    pub ttl: Duration,
}

impl WorkloadApiAt {
    /// In the state folder.
    pub fn usual(dir: &Dir) -> Self {
        Self {
            socket: dir.path("workload-api.sock"),
            entries: dir.path("workloads.yaml"),
            ttl: certs::development::SVID_TTL,
        }
    }
}

/// Serves the development trust domain to every SPIFFE library on this machine. The first time, it writes a list in which
/// whoever starts it is the demo agent.
///
/// # Errors
/// [`UpError`].
pub fn serve_workload_api(dir: &Dir, at: &WorkloadApiAt, clock: Clock) -> Result<JoinHandle<()>, UpError> {
    let name = TrustDomain::new(TRUST_DOMAIN).map_err(|e| IdentityError::Svid(e.into()))?;
    let domain = Domain::open(&dir.path("ca"), &name, &clock)?;
    dir.write_once("workloads.yaml", starter::workloads(&domain).as_bytes())?;
    let (key, entries, ttl) = (dir.key("jwt-svids")?, at.entries.clone(), at.ttl);
    Ok(workload_api::serve(WorkloadApi { domain, key, entries, ttl, clock }, &at.socket)?)
}

fn open_domain(dir: &Dir, workloads: &[Workload], clock: &Clock) -> Result<Domain, UpError> {
    let name = TrustDomain::new(TRUST_DOMAIN).map_err(|e| IdentityError::Svid(e.into()))?;
    let domain = Domain::open(&dir.path("ca"), &name, clock)?;
    for workload in workloads {
        dir.renew(&domain, workload, clock.now())?;
    }
    Ok(domain)
}

/// Writes each SVID anew at half its life; everybody who uses one watches its files.
async fn renew(dir: Dir, domain: Domain, workloads: Vec<Workload>, clock: Clock) {
    loop {
        tokio::time::sleep(RENEWAL_INTERVAL).await;
        for workload in &workloads {
            if let Err(error) = dir.renew_if_due(&domain, workload, clock.now()) {
                tracing::error!(workload = workload.path(), %error, "an SVID could not be renewed");
            }
        }
    }
}

fn watched(dir: &Dir, workload: Workload) -> Result<SharedSource, UpError> {
    let source = FileSource::open(dir.svid(&workload))?;
    source.spawn_watch(Duration::from_secs(1));
    Ok(source)
}

fn bind(address: SocketAddr) -> Result<TcpListener, UpError> {
    TcpListener::bind(address).map_err(|source| UpError::Listen { address, source })
}

fn address(socket: &TcpListener, wanted: SocketAddr) -> Result<SocketAddr, UpError> {
    socket.local_addr().map_err(|source| UpError::Listen { address: wanted, source })
}

fn loopback() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}
