//! The same world with identities from a real SPIRE: the gateway and mcp-s3 are processes that its agent attests.

use certs::TrustDomain;
use certs::development::Domain;
use serde_json::json;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use world::process::Process;
use world::spire::{Programs, Spire, Workload};
use world::{Agent, DOMAIN, Plan, World, components, policies};

/// An SVID's life; it is renewed at half of that.
const TTL: Duration = Duration::from_secs(60);
const KEY: &str = "public/hello.txt";

/// Everything: the world (token service, authority), SPIRE, the S3 server and the gateway.
struct Cluster {
    gateway: Process,
    world: World,
    spire: Spire,
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

impl Cluster {
    async fn start() -> Option<Self> {
        Self::serving("{}").await
    }

    /// The same with other trust domains beside its own.
    async fn serving(trust_domains: &str) -> Option<Self> {
        let programs = Programs::installed()?;
        let reads = "package tools.s3\n\nvisible := true\n\nallow if input.call.arguments.key == \"public/hello.txt\"\n";
        let policy = vec![("protocol.rego", policies::protocol()), ("tools/s3.rego", reads.to_owned())];
        let world = World::with(Plan { policy, ..Plan::default() }).await;
        let (sallyport, s3) = (components::program("sallyport"), components::program("mcp-s3"));
        let workloads =
            [Workload { path: "gateway", program: &sallyport }, Workload { path: "mcp/s3", program: &s3 }];
        let spire = Spire::start(&programs, &world.path("spire"), &world.path("ca"), TTL, &workloads);
        let (s3, url) = S3::start(&s3, &world, &spire.endpoint());
        let gateway = world.process("best_effort", |config| {
            let own = config.lines().find(|line| line.starts_with("identity: ")).unwrap().to_owned();
            config
                .replace(&own, &format!("identity: {{workload_api: \"{}\"}}", spire.endpoint()))
                .replace("trust_domains: {}", &format!("trust_domains: {trust_domains}"))
                .replace(
                    "servers:\n",
                    &format!("servers:\n  s3: {{url: \"{url}\", spiffe_id: \"spiffe://{DOMAIN}/mcp/s3\"}}\n"),
                )
        });
        Some(Self { gateway, world, spire, _s3: s3 })
    }

    /// An agent that calls by the host name in the gateway's SVID, on a connection of its own.
    fn clerk(&self) -> Agent {
        self.world.clerk().to(&self.gateway.url.replace("127.0.0.1", "localhost")).at("/mcp/s3")
    }

    async fn reads(&self, clerk: &Agent) {
        let reply = clerk.call("get_object", json!({"bucket": "demo", "key": KEY})).await;
        assert!(reply.result().contains("hello"), "{}", reply.text);
    }
}

/// How long the load goes on at least; it goes on until there was a renewal.
fn load_time() -> Duration {
    let seconds = std::env::var("SALLYPORT_SPIRE_SECONDS").ok().and_then(|text| text.parse().ok());
    Duration::from_secs(seconds.unwrap_or(10))
}

#[tokio::test]
async fn spire_renews_the_svids_under_load_and_no_call_fails() {
    let Some(mut cluster) = Cluster::start().await else { return };
    let (began, kept, mut calls) = (Instant::now(), cluster.clerk(), 0);
    while began.elapsed() < load_time() || !cluster.gateway.has_said("identity swapped") {
        cluster.reads(&kept).await;
        cluster.reads(&cluster.clerk()).await;
        calls += 2;
    }
    let refused = kept.call("get_object", json!({"bucket": "demo", "key": "public/other.txt"})).await;
    assert_eq!(refused.refused_because(), "not_allowed");
    println!("spire: {calls} calls in {} s, 0 failed", began.elapsed().as_secs());
}

#[tokio::test(flavor = "multi_thread")]
async fn spires_agent_may_be_away_for_a_while() {
    let Some(mut cluster) = Cluster::start().await else { return };
    cluster.reads(&cluster.clerk()).await;
    cluster.spire.agent_goes();
    tokio::task::block_in_place(|| cluster.gateway.says("the SPIFFE Workload API is away"));
    cluster.reads(&cluster.clerk()).await;
    cluster.spire.agent_comes(None);
    tokio::task::block_in_place(|| cluster.gateway.says("the SPIFFE Workload API answers again"));
    cluster.reads(&cluster.clerk()).await;
}

/// An agent of another trust domain, with alice's token for it.
fn foreigner(cluster: &Cluster, domain: &Domain) -> Agent {
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
    let Some(mut cluster) = Cluster::serving("{partner.test: {workload_api: true}}").await else { return };
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
    let sallyport = components::program("sallyport");
    let gateway = Workload { path: "gateway", program: &sallyport };
    cluster.spire.federates(&gateway, &[("partner.test", &bundles[0]), ("stranger.test", &bundles[1])]);
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
