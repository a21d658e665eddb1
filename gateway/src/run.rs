//! Starts a gateway from its configuration, and stops it so that nothing is lost.

use crate::admin;
use crate::audit::Audit;
use crate::authorize::Lane;
use crate::cards::{self, CardError, Signer};
use crate::config::{Admin, Config};
use crate::engine::{self, InFlight};
use crate::exchange;
use crate::federation;
use crate::https::HttpsError;
use crate::jwks::KeyStore;
use crate::listener;
use crate::metrics::Metrics;
use crate::one_url::Opened;
use crate::push::{Outbox, With};
use crate::registry::health::{self, Health};
use crate::reload::{self, listed, read_sources};
use crate::revocation::{self, Live, Revocations};
use crate::session::{Counts, KeyRing};
use crate::state::{Gateway, State};
use crate::tasks::{self, Store, StoreError};
use crate::token::Issuers;
use crate::token_service::listener::ServiceError;
use crate::token_service::{TokenService, public};
use crate::traces::{Traces, TracesError};
use crate::upstream::Pool;
use arc_swap::ArcSwap;
use certs::{Clock, IdentityError, SharedSource};
use policy::{Budget, PolicySet, SourceFile};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;

/// A gateway that serves.
#[derive(Debug)]
pub struct Running {
    address: SocketAddr,
    gateway: Arc<Gateway>,
    stop: watch::Sender<bool>,
    in_flight: Arc<InFlight>,
    accepting: JoinHandle<std::io::Result<()>>,
    admin: Option<admin::Serving>,
    followers: Vec<JoinHandle<()>>,
}

/// Why a gateway can't start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Its SVID or bundle can't be used.
    #[error("the gateway's identity can't be used")]
    Identity(#[from] IdentityError),
    /// The address can't be listened on.
    #[error("can't listen on {address}")]
    Listen {
        /// Which.
        address: SocketAddr,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The audit file can't be used; nothing is served without a record.
    #[error("the audit file {path} can't be used")]
    Audit {
        /// Which.
        path: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The policy folder can't be read.
    #[error("the policies in {path} can't be read")]
    PolicyFolder {
        /// Which.
        path: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The policies don't load.
    #[error("the policies have mistakes:\n{0}")]
    Policy(String),
    /// An HTTPS server's authorities can't be used.
    #[error("an HTTPS server can't be verified")]
    Https(#[from] HttpsError),
    /// The system gives no random bytes, so there is no key for session ids.
    #[error("no random bytes are to be had")]
    Random,
    /// The admin address can't be listened on.
    #[error("can't listen on {address} for health and metrics; `admin.listen` chooses another, or `off`")]
    Admin {
        /// Which.
        address: SocketAddr,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Spans can't be delivered.
    #[error("traces can't be set up")]
    Traces(#[from] TracesError),
    /// The store of tasks can't be used.
    #[error("whose tasks are can't be kept")]
    Tasks(#[from] StoreError),
    /// The cards of agents can't be read, or not be signed.
    #[error("agents' cards can't be served")]
    Cards(#[from] CardError),
    /// Two metrics have one name.
    #[error("the metrics can't be set up")]
    Metrics(#[from] prometheus::Error),
    /// TLS could not be configured.
    #[error("TLS could not be configured")]
    Tls(#[from] rustls::Error),
}

/// How long connections that are cut may take to leave their records.
const CUT_MAX: Duration = Duration::from_secs(5);

/// Starts a gateway, on `tcp` if that is given, else on the configuration's address. It serves when this returns.
///
/// # Errors
/// [`StartError`].
pub async fn start(
    mut config: Config,
    tcp: Option<TcpListener>,
    clock: Clock,
) -> Result<Running, StartError> {
    let listen = config.listen;
    let bind = || TcpListener::bind(listen).map_err(|source| StartError::Listen { address: listen, source });
    let tcp = tcp.map_or_else(bind, Ok)?;
    let address = tcp.local_addr().map_err(|source| StartError::Listen { address: listen, source })?;
    let source = federation::identity(&config.identity, &config.trust_domains, &clock).await?;
    let key_ring = config.sessions.as_ref().map(|(path, _)| path.clone());
    let entries_max = config.limits.revocations_max;
    let (mut revoked, revocations) =
        revocation::Source::new(config.revocations.take(), &source, &clock, entries_max)?;
    let (policy_dir, policy_budget) = (config.policy_dir.clone(), config.policy_budget);
    let folder = |source| StartError::PolicyFolder { path: policy_dir.display().to_string(), source };
    let sources = read_sources(&policy_dir).map_err(folder)?;
    let (admin, written) = (config.admin.clone(), config.written.clone());
    let gateway = Arc::new(assemble(config, &sources, &source, revocations, clock.clone())?);
    gateway.audit.event("started", &gateway.url, clock.now());
    revoked.looks(&gateway).await;
    let (stop, stopped) = watch::channel(false);
    let in_flight = Arc::<InFlight>::default();
    let listen_admin = |config: Admin| {
        let address = config.listen;
        admin::serve(&config, Arc::clone(&gateway), stopped.clone())
            .map_err(|source| StartError::Admin { address, source })
    };
    let admin = admin.map(listen_admin).transpose()?;
    let tls = listener::tls(Arc::clone(&source), clock)?;
    let served =
        engine::Listener { tcp, tls, gateway: Arc::clone(&gateway), in_flight: Arc::clone(&in_flight) };
    let accepting = tokio::spawn(engine::serve(served, stopped));
    let issuers = Arc::clone(&gateway.state().issuers);
    let sweeping = Arc::clone(&gateway);
    let mut followers = vec![
        tokio::spawn(async move { sweeping.pool.sweep().await }),
        tokio::spawn(async move { issuers.preload().await }),
        tokio::spawn(reload::follow_identity(Arc::clone(&gateway), source)),
        tokio::spawn(reload::follow_policy(Arc::clone(&gateway), policy_dir, policy_budget, sources)),
        tokio::spawn(revoked.follow(Arc::clone(&gateway))),
        tokio::spawn(reload::follow_agents(Arc::clone(&gateway), written)),
        tokio::spawn(health::follow(Arc::clone(&gateway))),
        tokio::spawn(cards::follow(Arc::clone(&gateway))),
        tokio::spawn(tasks::follow(Arc::clone(&gateway))),
    ];
    if let Some(path) = key_ring {
        followers.push(tokio::spawn(reload::follow_key_ring(Arc::clone(&gateway), path)));
    } else {
        tracing::info!(
            "sessions.key_ring is not set: sessions and push URLs end when this gateway does, and no replica shares them"
        );
    }
    Ok(Running { address, gateway, stop, in_flight, accepting, admin, followers })
}

fn assemble(
    config: Config,
    sources: &[SourceFile],
    source: &SharedSource,
    revocations: Revocations,
    clock: Clock,
) -> Result<Gateway, StartError> {
    let policy = PolicySet::compile(sources, Budget { evaluation: config.policy_budget })
        .map_err(|problems| StartError::Policy(listed(&problems)))?
        .with_cache(config.limits.decisions_cached_max);
    let issuers: Result<Vec<_>, HttpsError> = config
        .issuers
        .into_iter()
        .map(|issuer| Ok((issuer.clone(), KeyStore::new(&issuer.jwks, source, &clock)?)))
        .collect();
    let path = config.audit_file.display().to_string();
    let audit = Audit::open_file(&config.audit_file, config.audit_mode, &config.limits, clock.clone())
        .map_err(|source| StartError::Audit { path, source })?;
    let sessions = match config.sessions {
        Some((_, ring)) => ring,
        None => KeyRing::of_the_moment().map_err(|_| StartError::Random)?,
    };
    let revocations = Arc::new(revocations);
    let metrics = Arc::new(Metrics::new()?);
    let traces = config.traces.as_ref().map(|to| Traces::new(to, source, &clock, Arc::clone(&metrics)));
    if config.card_key.is_none() && !config.agents.is_empty() {
        tracing::warn!(
            "cards.key is not set: agents' cards are signed with a key of the moment, which ends with this gateway and which no \
             other replica has"
        );
    }
    let cards = Signer::new(config.card_key, &config.url)?;
    let card_clients = cards::clients(&config.agents, (&<_>::default(), &<_>::default()), source, &clock)?;
    let live = Arc::new(Live::new(Arc::clone(&revocations)));
    let state = State {
        identity: source.current(),
        issuers: Arc::new(Issuers::new(issuers?, config.limits.tokens_max)),
        policy: Arc::new(policy),
        sessions: Arc::new(sessions),
        revocations,
        servers: Arc::new(
            config.servers.into_iter().map(|(name, server)| (name, Arc::new(server))).collect(),
        ),
        agents: Arc::new(config.agents),
        card_clients: Arc::new(card_clients),
        cards: Arc::default(),
    };
    let state = Arc::new(ArcSwap::from_pointee(state));
    let with = With {
        state: Arc::clone(&state),
        signer: cards.clone(),
        audit: audit.clone(),
        metrics: Arc::clone(&metrics),
        source,
        clock: &clock,
    };
    let push = Outbox::new(config.push, with)?;
    Ok(Gateway {
        state,
        url: config.url,
        origins: config.origins,
        audit,
        exchange: exchange::Client::new(
            config.token_service,
            source,
            &clock,
            config.limits.credentials_max,
            Arc::clone(&metrics),
        )?,
        lane: Arc::new(Lane::new(config.policy_budget, config.policy_quick_budget, &config.limits)),
        sessions: Counts::default(),
        opened: Opened::default(),
        lists: Semaphore::new(config.limits.merged_lists_max),
        tasks: Store::open(&config.tasks, source, &clock)?,
        health: Health::default(),
        cards,
        push,
        pool: Pool::new(clock.clone(), &config.limits, Arc::clone(&metrics)),
        limits: config.limits,
        metrics,
        traces: traces.transpose()?.map(Arc::new),
        reloads: watch::Sender::new(0),
        source: Arc::clone(source),
        cut: watch::Sender::new(false),
        revocations: live,
        clock,
    })
}

impl Running {
    /// Serves the embedded token service's flows for people beside the gateway, until the returned task is aborted.
    ///
    /// # Errors
    /// [`ServiceError`] before anything is accepted.
    pub fn serve_people(
        &self,
        service: Arc<TokenService>,
        tcp: TcpListener,
        source: SharedSource,
    ) -> Result<JoinHandle<()>, ServiceError> {
        public::serve(service, Arc::clone(&self.gateway), tcp, source)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where health, readiness and metrics are, unless that is off.
    pub fn admin_address(&self) -> Option<SocketAddr> {
        self.admin.as_ref().map(|admin| admin.address)
    }

    /// Waits until every record handed over so far is in the audit file.
    pub fn flush_audit(&self) {
        self.gateway.audit.flush();
    }

    /// The revision of the policy set that decides now.
    pub fn policy_revision(&self) -> String {
        self.gateway.state().policy.revision().to_owned()
    }

    /// What is known of an agent's card: the digest of one that is shown, `quarantined` or `refused`. None: it was not heard.
    pub fn card(&self, agent: &str) -> Option<String> {
        self.gateway.state().cards.get(agent).map(ToString::to_string)
    }

    /// Counts reloads, refused ones too, and changes with each.
    pub fn reloads(&self) -> watch::Receiver<u64> {
        self.gateway.reloads.subscribe()
    }

    /// The generation of the identity that is used now.
    pub fn identity_generation(&self) -> u64 {
        self.gateway.state().identity.generation
    }

    /// Stops: says that it isn't ready, accepts nothing more, lets requests in flight end within the drain timeout, cuts those
    /// that don't, writes the last records and delivers the last spans.
    pub async fn stop(self) {
        self.stop.send_replace(true);
        let _ = self.accepting.await; // It only waits for the accept loop.
        let (began, most) = (Instant::now(), self.gateway.limits.drain_timeout);
        if tokio::time::timeout(most, self.in_flight.drained()).await.is_err() {
            tracing::warn!("requests were still in flight when the drain timeout ended");
            self.gateway.cut.send_replace(true);
            let _ = tokio::time::timeout(CUT_MAX, self.in_flight.drained()).await; // For their records.
        }
        self.gateway.push.drain(most.saturating_sub(began.elapsed())).await;
        self.followers.iter().for_each(JoinHandle::abort);
        self.gateway.audit.event("stopped", "", self.gateway.clock.now());
        self.gateway.audit.flush();
        if let Some(traces) = self.gateway.traces.clone() {
            let _ = tokio::task::spawn_blocking(move || traces.finish()).await; // It says itself what it couldn't deliver.
        }
        if let Some(admin) = self.admin {
            admin.task.abort();
        }
    }
}
