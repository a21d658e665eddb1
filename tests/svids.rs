//! SVIDs from agents of every make: one list of stories, told over each of them. The gateway and mcp-s3 are processes that the
//! agent attests, and so is this one, which is a workload with a JWT-SVID.

use certs::TrustDomain;
use certs::development::Domain;
use serde_json::{Value, json};
use spiffe::WorkloadApiClient;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use world::process::Process;
use world::spire::Spire;
use world::svid_agent::{Embedded, SvidAgent};
use world::{Agent, DOMAIN, Plan, World, components, policies};

const KEY: &str = "public/hello.txt";

/// Everything: the world (token service, authority), the agent, the S3 server and the gateway.
struct Cluster<A> {
    gateway: Process,
    world: World,
    agent: A,
    _s3: S3,
}

struct S3(Child);

impl Drop for S3 {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl S3 {
    /// Starts it over a folder, with its SVID from the agent. Gives where it listens.
    fn start(program: &Path, world: &World, endpoint: &str) -> (Self, String) {
        let buckets = world.path("buckets");
        std::fs::create_dir_all(buckets.join("demo/public")).unwrap();
        std::fs::write(buckets.join("demo").join(KEY), "hello").unwrap();
        let mut child = Command::new(program)
            .args(["--workload-api", endpoint, "--issuer", &format!("{}/oauth", world.origin)])
            .args([
                "--gateway",
                &world.id("gateway").to_string(),
                "--audience",
                &world.id("mcp/s3").to_string(),
            ])
            .arg("--jwks")
            .arg(world.path("credentials.jwks.json"))
            .arg("--root")
            .arg(buckets)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let url = line.trim().strip_prefix("listening on ").unwrap_or_else(|| panic!("{line:?}"));
        (Self(child), format!("{url}/mcp"))
    }
}

#[tokio::test(flavor = "multi_thread")] // Processes ask what this one serves.
async fn every_story_of_svids_holds_over_the_embedded_agent() {
    every_story::<Embedded>().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_story_of_svids_holds_over_spire() {
    every_story::<Spire>().await;
}

async fn every_story<A: SvidAgent>() {
    let Some(mut cluster) = Cluster::<A>::start().await else { return };
    cluster.svids_are_renewed_under_load_and_no_call_fails().await;
    cluster.a_workload_is_a_subject_by_its_jwt_svid().await;
    cluster.the_agent_may_be_away_for_a_while().await;
    cluster.an_identity_that_is_withdrawn_ends_at_once_and_may_come_back().await;
}

impl<A: SvidAgent> Cluster<A> {
    async fn start() -> Option<Self> {
        Self::serving("{}").await
    }

    /// The same with other trust domains beside its own.
    async fn serving(trust_domains: &str) -> Option<Self> {
        let reads = "package tools.s3\n\nvisible := true\n\nallow if input.call.arguments.key == \"public/hello.txt\"\n";
        let policy = vec![("protocol.rego", policies::protocol()), ("tools/s3.rego", reads.to_owned())];
        let world = World::with(Plan { policy, ..Plan::default() }).await;
        let (sallyport, s3) = (components::program("sallyport"), components::program("mcp-s3"));
        let this = std::env::current_exe().unwrap();
        let workloads = [("gateway", sallyport), ("mcp/s3", s3.clone()), (COURIER, this)];
        let agent = A::start(&world, &workloads)?;
        let (s3, url) = S3::start(&s3, &world, &agent.endpoint());
        let gateway = world.process("best_effort", |config| {
            let own = config.lines().find(|line| line.starts_with("identity: ")).unwrap().to_owned();
            let server = format!("servers:\n  s3: {{url: \"{url}\", spiffe_id: \"spiffe://{DOMAIN}/mcp/s3\"}}\n");
            let subjects = format!("issuers:\n  - jwt_svid: {{trust_domain: {DOMAIN}, workload_api: true}}\n    presenter: {{claim: sub}}\n");
            config
                .replace(&own, &format!("identity: {{workload_api: \"{}\"}}", agent.endpoint()))
                .replace("trust_domains: {}", &format!("trust_domains: {trust_domains}"))
                .replace("servers:\n", &server)
                .replace("issuers:\n", &subjects)
        });
        Some(Self { gateway, world, agent, _s3: s3 })
    }

    /// An agent that calls by the host name in the gateway's SVID, on a connection of its own.
    fn clerk(&self) -> Agent {
        self.world.clerk().to(&self.there()).at("/mcp/s3")
    }

    fn there(&self) -> String {
        self.gateway.url.replace("127.0.0.1", "localhost")
    }

    async fn reads(&self, clerk: &Agent) {
        let reply = clerk.call("get_object", read()).await;
        assert!(reply.result().contains("hello"), "{}", reply.text);
    }

    async fn svids_are_renewed_under_load_and_no_call_fails(&mut self) {
        let (began, kept, mut calls) = (Instant::now(), self.clerk(), 0);
        while began.elapsed() < load_time() || !self.gateway.has_said("identity swapped") {
            self.reads(&kept).await;
            self.reads(&self.clerk()).await;
            calls += 2;
        }
        let refused = kept.call("get_object", json!({"bucket": "demo", "key": "public/other.txt"})).await;
        assert_eq!(refused.refused_because(), "not_allowed");
        println!(
            "{calls} calls in {} s with SVIDs of {} s, 0 failed",
            began.elapsed().as_secs(),
            A::TTL.as_secs()
        );
    }

    /// The embedded token service knows no trust domain's tokens: where the gateway accepts one, that refuses.
    async fn a_workload_is_a_subject_by_its_jwt_svid(&mut self) {
        let api = WorkloadApiClient::connect_to(self.agent.endpoint()).await.unwrap();
        let courier = self.world.id(COURIER);
        for (audience, caller, reason) in [
            (self.world.url.as_str(), COURIER, "credential_refused"),
            ("https://elsewhere.test", COURIER, "invalid_token"),
            (self.world.url.as_str(), "agent/clerk", "invalid_token"),
        ] {
            let svid = api.fetch_jwt_svid([audience], Some(&courier)).await.unwrap();
            let caller = self.world.agent(caller).to(&self.there()).at("/mcp/s3").with_token(svid.token());
            assert_eq!(caller.call("get_object", read()).await.refused_because(), reason, "{audience}");
        }
    }

    async fn the_agent_may_be_away_for_a_while(&mut self) {
        self.agent.goes().await;
        tokio::task::block_in_place(|| self.gateway.says("the SPIFFE Workload API is away"));
        self.reads(&self.clerk()).await;
        self.agent.comes();
        tokio::task::block_in_place(|| self.gateway.says("the SPIFFE Workload API answers again"));
        self.reads(&self.clerk()).await;
    }

    async fn an_identity_that_is_withdrawn_ends_at_once_and_may_come_back(&mut self) {
        let kept = self.clerk();
        self.reads(&kept).await;
        self.agent.forgets("gateway");
        tokio::task::block_in_place(|| self.gateway.says("this workload has no identity any more"));
        for clerk in [&kept, &self.clerk()] {
            assert!(!is_served(clerk).await, "nobody is served");
        }
        self.agent.knows("gateway");
        while !is_served(&self.clerk()).await {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        self.reads(&self.clerk()).await;
    }
}

/// Whether a call is answered. A client whose connection is refused in the middle of its handshake may wait for ever.
async fn is_served(clerk: &Agent) -> bool {
    let answer = clerk.rpc("tools/call", call()).send();
    tokio::time::timeout(Duration::from_secs(5), answer).await.is_ok_and(|answer| answer.is_ok())
}

const COURIER: &str = "agent/courier";

fn read() -> Value {
    json!({"bucket": "demo", "key": KEY})
}

fn call() -> Value {
    json!({"name": "get_object", "arguments": read()})
}

/// How long the load goes on at least; it goes on until there was a renewal.
fn load_time() -> Duration {
    let seconds = std::env::var("SALLYPORT_SPIRE_SECONDS").ok().and_then(|text| text.parse().ok());
    Duration::from_secs(seconds.unwrap_or(10))
}

/// An agent of another trust domain, with alice's token for it.
fn foreigner(cluster: &Cluster<Spire>, domain: &Domain) -> Agent {
    let (id, world) = (domain.id("agent/clerk").unwrap(), &cluster.world);
    let svid = domain
        .write_svid(&world.path(&format!("of-{}", domain.name())), &id, &[], world.clock.now())
        .unwrap();
    let url = cluster.gateway.url.replace("127.0.0.1", "localhost");
    Agent::new(&url, &world.trust_bundle(), Some(&svid))
        .with_token(&world.token_for(&id, |_| {}))
        .at("/mcp/s3")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_of_a_domain_that_spire_federates_with_is_let_in_if_it_is_listed() {
    let Some(mut cluster) = Cluster::<Spire>::serving("{partner.test: {workload_api: true}}").await else {
        return;
    };
    let domains = ["partner.test", "stranger.test"].map(|name| {
        let name = TrustDomain::new(name).unwrap();
        Domain::open(&cluster.world.path(name.as_str()), &name, &cluster.world.clock).unwrap()
    });
    let [partner, stranger] = &domains;
    let call = json!({"name": "get_object", "arguments": {"bucket": "demo", "key": KEY}});
    let refused = async |agent: Agent| agent.rpc("tools/call", call.clone()).send().await.is_err();
    assert!(refused(foreigner(&cluster, partner)).await, "its bundle has not come yet");

    let bundles = domains.each_ref().map(|domain| {
        let file = cluster.world.path(&format!("{}.pem", domain.name()));
        std::fs::write(&file, domain.bundle()).unwrap();
        file
    });
    cluster.agent.federates("gateway", &[("partner.test", &bundles[0]), ("stranger.test", &bundles[1])]);
    tokio::task::block_in_place(|| cluster.gateway.says("identity swapped"));
    while refused(foreigner(&cluster, partner)).await {
        tokio::time::sleep(Duration::from_millis(100)).await; // The agent learns of it within seconds.
    }
    cluster.reads(&foreigner(&cluster, partner)).await;
    cluster.reads(&cluster.clerk()).await;
    assert!(refused(foreigner(&cluster, stranger)).await, "SPIRE vouches for it, and nobody has listed it");

    let audit = cluster.gateway.audit.clone();
    let (_, said) = cluster.gateway.terminate();
    let records = std::fs::read_to_string(audit).unwrap();
    assert!(records.contains("trust domain stranger.test is not served here"), "{records}\n{said}");
    let calls = records.lines().filter(|line| line.contains("\"kind\":\"request\""));
    assert!(calls.clone().any(|line| line.contains("spiffe://partner.test/agent/clerk")));
    assert!(!calls.clone().any(|line| line.contains("stranger.test")));
}
