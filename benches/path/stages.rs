//! Each stage alone, in this process, with what the stages before it gave: microseconds a call, medians of batches.
//! The stages stand as in `gateway/src/request.rs`. The upstream is not among them: it is input and output.

use crate::call::Tool;
use crate::report::median;
use bytes::Bytes;
use certs::development::paths_in;
use certs::{Clock, Identity};
use gateway::audit::{Audit, Outcome};
use gateway::authorize::{Lane, Question};
use gateway::config::{self, Limits};
use gateway::decode::Call;
use gateway::exchange::Grant;
use gateway::federation;
use gateway::jwks::KeyStore;
use gateway::listener::Handshake;
use gateway::metrics::Metrics;
use gateway::reload::read_sources;
use gateway::request::Arrival;
use gateway::revocation::Revocations;
use gateway::route::{Agents, Door, ServerRoute, Servers};
use gateway::token::Issuers;
use gateway::{authorize, decode, exchange, identity, route, token};
use http::{HeaderMap, Method, StatusCode};
use policy::{Budget, PolicySet};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use std::collections::BTreeSet;
use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;
use world::World;

const BATCHES: usize = 5;
/// Calls in a batch; fewer of what is slow to prepare.
const MANY: usize = 2_000;
const FEW: usize = 200;
const ALL: u64 = (BATCHES * MANY) as u64;

/// A gateway's parts, as its start puts them together.
struct Parts {
    identity: Arc<Identity>,
    servers: Servers,
    issuers: Issuers,
    policy: Arc<PolicySet>,
    lane: Lane,
    exchange: exchange::Client,
    audit: Audit,
    origins: BTreeSet<String>,
    url: String,
    limits: Limits,
}

/// The time of each stage, in µs.
pub(crate) async fn run(world: &World, config: &str) -> Vec<(&'static str, f64)> {
    let parts = parts(&world.path(config)).await;
    let token = world.token("agent/demo");
    let arrivals: Vec<Arrival> =
        (0..ALL).map(|n| arrival(world, Tool::GetObject { keys: u64::MAX }, n, &token)).collect();
    let fresh: Vec<Arrival> =
        (0..BATCHES * FEW).map(|_| arrival(world, Tool::PostEntry, 0, &world.token("agent/demo"))).collect();
    let (first, now) = (&arrivals[0], Clock::system().now());
    let mut took = Took(Vec::new());

    let judged = || identity::caller(&first.handshake, &parts.identity, now).unwrap();
    took.note("identity", MANY, async |_| drop(black_box(judged()))).await;
    let caller = judged();

    took.note("route", MANY, async |_| drop(black_box(door(&parts, first)))).await;
    let server = door(&parts, first);

    let subject = async |arrival: &Arrival| {
        token::subject(&arrival.headers, &caller, &server, &parts.issuers, now).await.unwrap()
    };
    took.note("token, never seen", FEW, async |n| drop(black_box(subject(&fresh[n]).await))).await;
    took.note("token, seen before", MANY, async |_| drop(black_box(subject(first).await))).await;
    let subject = subject(first).await;

    let call = |arrival| decode::call(arrival, &server, &parts.origins, &parts.limits).unwrap();
    took.note("decode", MANY, async |n| drop(black_box(call(&arrivals[n])))).await;
    let calls: Vec<Call> = arrivals.iter().map(call).collect();

    let none = Revocations::default();
    let question = |call| Question::new(first, &caller, subject.as_ref(), &server, call, &none, now);
    took.note("question", MANY, async |n| drop(black_box(question(&calls[n])))).await;
    let permit = async |question: &Question<'_>| {
        authorize::permit(&parts.policy, &parts.lane, question, &parts.limits).await.unwrap()
    };
    let questions: Vec<Question<'_>> = calls.iter().map(question).collect();
    took.note("decision, new", MANY, async |n| drop(black_box(permit(&questions[n]).await))).await;
    took.note("decision, again", MANY, async |_| drop(black_box(permit(&questions[0]).await))).await;
    let permitted = permit(&questions[0]).await;

    let grant = Grant {
        permit: &permitted.0,
        server: &permitted.1,
        question: &questions[0],
        identity: &parts.identity,
    };
    let credential = async || parts.exchange.credential(&grant, now).await.unwrap();
    took.note("credential, from cache", MANY, async |_| drop(black_box(credential().await))).await;
    let credential = credential().await;

    let mut last = Some((caller.clone(), subject.clone(), calls[0].clone(), permitted, credential));
    let mut record = |flushed: bool| {
        let (caller, subject, call, permitted, credential) = last.take().unwrap();
        let mut record = parts.audit.open(first);
        let caller = record.caller(caller);
        let subject = record.subject(subject);
        let call = record.call(server.name(), call, &first.body);
        let permitted = record.permit(&call, permitted);
        let credential = record.credential(credential);
        record.status(StatusCode::OK);
        record.sent(256);
        record.ended(Outcome::Complete, None);
        drop(record);
        last = Some((caller, subject, call, permitted, credential));
        if flushed {
            parts.audit.flush();
        }
    };
    took.note("audit, handed over", MANY, async |_| record(false)).await;
    parts.audit.flush();
    took.note("audit, until written", MANY, async |n| record((n + 1) % MANY == 0)).await;
    took.0
}

/// What was measured so far.
struct Took(Vec<(&'static str, f64)>);

impl Took {
    /// Does something so many times a batch, each time with another number.
    async fn note(&mut self, stage: &'static str, count: usize, mut each: impl AsyncFnMut(usize)) {
        let mut batches = Vec::new();
        for batch in 0..BATCHES {
            let began = Instant::now();
            for n in batch * count..(batch + 1) * count {
                each(n).await;
            }
            batches.push(began.elapsed().as_secs_f64() * 1e6 / count as f64);
        }
        self.0.push((stage, median(batches)));
    }
}

async fn parts(config: &Path) -> Parts {
    let config = config::load(config).unwrap_or_else(|problems| panic!("{problems:?}"));
    let clock = Clock::system();
    let source = federation::identity(&config.identity, &config.trust_domains, &clock).await.unwrap();
    let keys = |issuer: &config::Issuer| KeyStore::new(&issuer.jwks, &source, &clock).unwrap();
    let issuers = config.issuers.into_iter().map(|issuer| (issuer.clone(), keys(&issuer))).collect();
    let budget = Budget { evaluation: config.policy_budget };
    let (limits, service) = (config.limits, config.token_service);
    let policy = PolicySet::compile(&read_sources(&config.policy_dir).unwrap(), budget).unwrap();
    let metrics = Arc::new(Metrics::new().unwrap());
    Parts {
        identity: source.current(),
        servers: config.servers.into_iter().map(|(name, server)| (name, Arc::new(server))).collect(),
        issuers: Issuers::new(issuers, limits.tokens_max),
        policy: Arc::new(policy.with_cache(limits.decisions_cached_max)),
        lane: Lane::new(config.policy_budget, config.policy_quick_budget, &limits),
        exchange: exchange::Client::new(service, &source, &clock, limits.credentials_max, metrics).unwrap(),
        audit: Audit::open_file(&config.audit_file, config.audit_mode, &limits, clock.clone()).unwrap(),
        origins: config.origins,
        url: config.url,
        limits,
    }
}

fn door(parts: &Parts, arrival: &Arrival) -> ServerRoute {
    match route::door(&parts.servers, &Agents::new(), &parts.url, arrival).unwrap() {
        Door::To(server) => server,
        Door::Metadata(_) | Door::Agents | Door::CardKeys | Door::Push | Door::AllServers => {
            panic!("the path is a server's")
        }
    }
}

/// A request as the engine hands it over.
fn arrival(world: &World, tool: Tool, n: u64, token: &str) -> Arrival {
    let certificate = paths_in(&world.path("agent-demo")).certificate;
    let chain = CertificateDer::pem_file_iter(certificate).unwrap().map(Result::unwrap).collect();
    let mut headers = HeaderMap::new();
    for (name, value) in [
        ("authorization", format!("Bearer {token}").as_str()),
        ("content-type", "application/json"),
        ("accept", "application/json, text/event-stream"),
        ("mcp-protocol-version", "2026-07-28"),
        ("mcp-method", "tools/call"),
        ("mcp-name", tool.name()),
    ] {
        headers.insert(http::HeaderName::try_from(name).unwrap(), value.parse().unwrap());
    }
    Arrival {
        handshake: Arc::new(Handshake::new(chain).unwrap()),
        ip: Some(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        at: Clock::system().now(),
        began: Instant::now(),
        version: http::Version::HTTP_11,
        method: Method::POST,
        uri: "/mcp/s3".parse().unwrap(),
        headers,
        body: Ok(Bytes::from(tool.body(n))),
        one_url: None,
    }
}
