//! What the gateway costs: the whole path beside Pingora's stock proxying, Envoy and no gateway at all, in one run, in
//! random order, medians of rounds; messages to an agent and the streams of its events; its handshakes beside those of bare
//! rustls; its stages alone; its idle connections. `docs/performance.md` says what each row is.
//!
//!     cargo xtask bench [--quick] [rows | ROW | agent | streams | idle | handshakes | stages]...
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a benchmark ends by panicking")]

mod call; //     what is called: a tool
mod message; //  or an agent
mod load; //     who calls: a process
mod upstream; // who answers: a process
mod middle; //   who stands between them: processes
mod prepare; //  the world that they live in
mod agent; //    messages to an agent
mod streams; //  its events, many streams at a time
mod handshakes; // full handshakes, the gateway's and bare rustls'
mod stages; //   the gateway's stages, in this process
mod report; //   the table and the line

use call::Tool;
use load::{Call, Load, Outcome};
use middle::{Process, Role, cores};
use prepare::Bench;
use report::{Round, Row, STOCK, note};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::{Map, Value};
use std::hash::{BuildHasher, RandomState};
use std::net::SocketAddr;
use std::time::Duration;

const CONNECTIONS: usize = 64;
const IDLE_CONNECTIONS: usize = 2_000;
/// Objects that the starter policy is asked about in turn.
const KEYS: u64 = 1_000;

/// How much is measured.
#[derive(Clone, Copy)]
struct Effort {
    rounds: usize,
    time: Duration,
}

fn main() {
    certs::install_crypto();
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).filter(|word| *word != "--bench").collect();
    let runtime = match words.as_slice() {
        ["role", "listen", _] => tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap(),
        _ => tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap(),
    };
    match words.as_slice() {
        ["role", "listen", told] => runtime.block_on(streams::listen(serde_json::from_str(told).unwrap())),
        ["role", "load", told] => runtime.block_on(load::run(serde_json::from_str(told).unwrap())),
        ["role", "bare", told] => runtime.block_on(handshakes::serve(serde_json::from_str(told).unwrap())),
        ["role", "knock", told] => runtime.block_on(handshakes::knock(serde_json::from_str(told).unwrap())),
        ["role", "upstream", told] => runtime.block_on(upstream::serve(serde_json::from_str(told).unwrap())),
        parts => runtime.block_on(run(parts)),
    }
}

async fn run(words: &[&str]) {
    let asked = |part| words.iter().all(|word| word.starts_with("--")) || words.contains(&part);
    let effort = if words.contains(&"--quick") {
        Effort { rounds: 1, time: Duration::from_secs(1) }
    } else {
        Effort { rounds: 5, time: Duration::from_secs(3) }
    };
    let files = getrlimit(Resource::Nofile).maximum; // A connection is a file, here and in the processes started from here.
    setrlimit(Resource::Nofile, Rlimit { current: files, maximum: files }).unwrap();

    let bench = Bench::prepare().await;
    let mut figures = Map::new();
    println!(
        "{CONNECTIONS} connections, tools/call of {} bytes, {} cores that load, middle and upstream share",
        call::BODY_BYTES,
        cores()
    );
    let chosen = |row| asked("rows") || asked(row);
    rows(&bench, effort, chosen, &mut figures);
    if asked("agent") || words.iter().any(|word| agent::has(word)) {
        agent::rows(&bench, effort, |row| asked("agent") || asked(row), &mut figures);
    }
    if asked("streams") {
        streams::measure(&bench, effort, &mut figures);
    }
    if asked("idle") {
        idle(&bench, effort, &mut figures);
    }
    if asked("handshakes") {
        handshakes::measure(&bench, effort, &mut figures);
    }
    if asked("stages") {
        stages(&bench, &mut figures).await;
    }
    println!("\n{}", Value::Object(figures));
}

/// Every row once a round, each round in another order.
fn rows(
    bench: &Bench,
    effort: Effort,
    chosen: impl Fn(&'static str) -> bool,
    figures: &mut Map<String, Value>,
) {
    let (gateway, at) = middle::gateway(&bench.world, "rows.yaml");
    let (stock, stock_at) = middle::stock(&bench.world, &bench.doors);
    let envoy = middle::envoy(&bench.world, &bench.doors);
    let post = |address, server| bench.load(address, server, Tool::PostEntry, effort);
    let get = |keys| bench.load(at, "gateway", Tool::GetObject { keys }, effort);
    let mut plans = vec![
        ("direct", "no gateway: mutual TLS to the upstream", post(bench.doors.mutual[0], "mcp/ledger"), None),
        (
            STOCK,
            "Pingora's own proxying: TLS down, plain up, no decision",
            post(stock_at, "gateway"),
            Some(&stock),
        ),
        (
            "path",
            "the whole path, a policy that does not read arguments",
            post(at, "gateway"),
            Some(&gateway),
        ),
        (
            "path_starter",
            "starter policy, which reads them: 1,000 objects in turn",
            get(KEYS),
            Some(&gateway),
        ),
        ("path_starter_new", "starter policy, another object with each call", get(u64::MAX), Some(&gateway)),
        (
            "path_http2",
            "path over HTTP/2, a connection for each call under way",
            Load { http2: true, ..post(at, "gateway") },
            Some(&gateway),
        ),
    ];
    if let Some((envoy, envoy_at)) = &envoy {
        plans.insert(
            2,
            ("envoy_tls", "Envoy: TLS down, plain up, no decision", post(*envoy_at, "gateway"), Some(envoy)),
        );
    }
    plans.retain(|(name, ..)| chosen(name));
    let mut rows: Vec<Row> =
        plans.iter().map(|(name, what, ..)| Row { name, what, rounds: Vec::new() }).collect();
    let mut order: Vec<usize> = (0..plans.len()).collect();
    for _ in 0..effort.rounds {
        shuffle(&mut order);
        for &at in &order {
            let (_, _, load, middle) = &plans[at];
            rows[at].rounds.push(measure(&bench.with_token(load), *middle));
        }
    }
    if envoy.is_none() && chosen("envoy_tls") {
        rows.push(Row {
            name: "envoy_tls",
            what: "not installed: run scripts/setup bench",
            rounds: Vec::new(),
        });
    }
    if !rows.is_empty() {
        report::rows(&rows, STOCK, figures);
    }
}

/// The memory of idle connections, and how long calls take beside them and beside a policy that loops.
fn idle(bench: &Bench, effort: Effort, figures: &mut Map<String, Value>) {
    let (gateway, at) = middle::gateway(&bench.world, "idle.yaml");
    let load = bench.load(at, "gateway", Tool::PostEntry, effort);
    let once = Load { time: Duration::ZERO, ..load.clone() };
    measure(&bench.with_token(&Load { connections: 1, calls_before: 200, ..once.clone() }), None);
    let before = gateway.resident_kib();
    let crowd = Load { connections: IDLE_CONNECTIONS, calls_before: 1, ..once };
    let mut crowd = start(&bench.with_token(&crowd));
    let each = (gateway.resident_kib() - before) / IDLE_CONNECTIONS as f64;

    let beside = measure(&bench.with_token(&load), Some(&gateway));
    let spin = bench.load(at, "gateway", Tool::Spin, effort);
    let spin = Load { connections: 4, calls_before: 0, time: effort.time + Duration::from_secs(1), ..spin };
    let mut spinning = start(&bench.with_token(&spin));
    spinning.go();
    let looping = measure(&bench.with_token(&load), Some(&gateway));
    let spun = end(&mut spinning);
    crowd.go(); // One more call on each: they are open still.
    let still = end(&mut crowd);
    drop(crowd);
    let alone = measure(&bench.with_token(&load), Some(&gateway));

    println!("\nmemory: {:.1} MiB resident after its start and a few calls", before / 1024.0);
    println!("        {each:.1} KiB more for each of {} idle connections, after a call on each", still.calls);
    for (what, round) in [
        ("calls alone", alone),
        ("beside 2,000 idle connections", beside),
        ("and beside a policy that loops", looping),
    ] {
        let Round { requests_per_second, p50_us, p99_us, .. } = round;
        println!(
            "{what:<32} {requests_per_second:>7.0} requests/s   p50 {p50_us:>6.0} µs   p99 {p99_us:>6.0} µs"
        );
    }
    println!(
        "({} calls looped until their budget was spent, {:.0} a second)",
        spun.calls, spun.requests_per_second
    );
    note(figures, "gateway_resident_mib", Some(before / 1024.0));
    note(figures, "idle_connection_kib", Some(each));
    note(figures, "p99_us_alone", Some(alone.p99_us));
    note(figures, "p99_us_beside_idle_connections", Some(beside.p99_us));
    note(figures, "p99_us_beside_looping_policy", Some(looping.p99_us));
}

async fn stages(bench: &Bench, figures: &mut Map<String, Value>) {
    println!("\n{:<24} {:>8}", "stage alone", "µs");
    let mut all = Map::new();
    for (stage, micros) in stages::run(&bench.world, "stages.yaml").await {
        println!("{stage:<24} {micros:>8.2}");
        note(&mut all, stage, Some(micros));
    }
    figures.insert("stage_us".into(), Value::Object(all));
}

/// One round of a load, and the CPU that the middle spent on it.
fn measure(load: &Load, middle: Option<&Process>) -> Round {
    let mut loading = start(load);
    let before = middle.map(Process::cpu_seconds);
    loading.go();
    let Outcome { calls, requests_per_second, p50_us, p99_us } = end(&mut loading);
    let cpu = middle.zip(before).map(|(middle, before)| middle.cpu_seconds() - before);
    Round { requests_per_second, p50_us, p99_us, cpu_us: cpu.map(|cpu| cpu * 1e6 / calls as f64) }
}

/// Starts a load; its connections are open when this returns.
fn start(load: &Load) -> Role {
    let mut role = Role::start("load", load);
    assert_eq!(role.line(), "ready\n");
    role
}

/// Waits for its end.
fn end(role: &mut Role) -> Outcome {
    serde_json::from_str(&role.line()).unwrap()
}

/// Puts them into another order (Fisher and Yates).
fn shuffle(order: &mut [usize]) {
    let random = RandomState::new();
    for last in (1..order.len()).rev() {
        let other = random.hash_one(last) % (last as u64 + 1);
        order.swap(last, usize::try_from(other).unwrap());
    }
}

impl Bench {
    /// Calls of a tool, at an address where that workload must be.
    fn load(&self, address: SocketAddr, workload: &str, tool: Tool, effort: Effort) -> Load {
        let agent = match tool {
            Tool::GetObject { .. } => "agent-demo",
            Tool::PostEntry | Tool::Spin => "agent-clerk",
        };
        Load {
            address,
            svid: self.world.path(if workload == "gateway" { agent } else { "gateway" }),
            server: self.world.id(workload).to_string(),
            http2: false,
            bearers: Vec::new(),
            call: Call::Tool(tool),
            every: Duration::ZERO,
            connections: CONNECTIONS,
            calls_before: 50,
            time: effort.time,
        }
    }

    /// The same with a token of now: tokens live shorter than a benchmark.
    fn with_token(&self, load: &Load) -> Load {
        let agent = if load.svid == self.world.path("agent-demo") { "agent/demo" } else { "agent/clerk" };
        Load { bearers: vec![self.world.token(agent)], ..load.clone() }
    }
}
