//! The whole path beside a direct call: the same `tools/call` at 64 connections, straight to the server and through a
//! gateway process, in turns, in one run. Prints requests per second of both, their ratio, and the gateway's CPU a call.
//!
//!     cargo xtask bench
#![allow(clippy::unwrap_used, reason = "a benchmark ends by panicking")]

use bytes::Bytes;
use certs::{Clock, SharedSource};
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use world::World;

const CONNECTIONS: usize = 64;
const ROUND: Duration = Duration::from_secs(4);
const ROUNDS: usize = 3;
const BODY: &str = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"post_entry","arguments":{"amount_cents":5,"note":"a line of text as an agent would write it"},"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}"#;

/// Where a load goes, and as whom.
#[derive(Clone)]
struct Target {
    address: SocketAddr,
    tls: Arc<rustls::ClientConfig>,
    path: &'static str,
    bearer: String,
}

fn main() {
    certs::install_crypto();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(run());
}

async fn run() {
    let world = World::start().await;
    let (gateway, address) = gateway_process(&world);
    let target = |address, me: &str, them: &str, path, bearer| Target {
        address,
        tls: tls(&world, me, them),
        path,
        bearer,
    };
    world.agent("agent/clerk"); // Writes the SVID that the load shows.
    let direct = target(world.ledger.address, "gateway", "mcp/ledger", "/mcp", String::from("none"));
    let through = target(address, "agent/clerk", "gateway", "/mcp/ledger", world.token("agent/clerk"));
    load(&through, Duration::from_secs(1)).await; // Warms pool and credential.

    let (mut straight, mut gated, mut cpu) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        straight.push(load(&direct, ROUND).await);
        let before = cpu_seconds(&gateway);
        let calls = load(&through, ROUND).await;
        cpu.push((cpu_seconds(&gateway) - before) * 1e6 / (calls * ROUND.as_secs_f64()));
        gated.push(calls);
    }
    let (straight, gated, cpu) = (median(straight), median(gated), median(cpu));
    println!("direct            {straight:9.0} requests/s");
    println!("through sallyport {gated:9.0} requests/s   ratio {:.2}", gated / straight);
    println!("gateway CPU       {cpu:9.0} µs a call");
    println!("gateway memory    {:9.1} MiB resident after the load", resident_mib(&gateway));
    stop(gateway);
}

/// The gateway as a process of its own, from the world's configuration; load and server stay in this one.
fn gateway_process(world: &World) -> (Child, SocketAddr) {
    let config = std::fs::read_to_string(world.path("sallyport.yaml"))
        .unwrap()
        .replace("audit.jsonl", "bench-audit.jsonl");
    std::fs::write(world.path("bench.yaml"), config).unwrap();
    let program = world::components::program("sallyport");
    let mut process = Command::new(program)
        .args(["run", "--config"])
        .arg(world.path("bench.yaml"))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
    (process, line.trim().strip_prefix("listening on https://").unwrap().parse().unwrap())
}

fn tls(world: &World, me: &str, them: &str) -> Arc<rustls::ClientConfig> {
    let paths = certs::development::paths_in(&world.path(&me.replace('/', "-")));
    let source: SharedSource = certs::files::FileSource::open(paths).unwrap();
    let mut config = certs::tls::client_config(source, world.id(them), Clock::system()).unwrap();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Arc::new(config)
}

/// Requests a second that were answered as they should be; any other answer ends the benchmark.
async fn load(target: &Target, time: Duration) -> f64 {
    let until = Instant::now() + time;
    let tasks: Vec<_> = (0..CONNECTIONS).map(|_| tokio::spawn(caller(target.clone(), until))).collect();
    let mut calls = 0u32;
    for task in tasks {
        calls += task.await.unwrap();
    }
    f64::from(calls) / time.as_secs_f64()
}

async fn caller(target: Target, until: Instant) -> u32 {
    let tcp = TcpStream::connect(target.address).await.unwrap();
    tcp.set_nodelay(true).unwrap();
    let name = rustls::pki_types::ServerName::IpAddress(target.address.ip().into());
    let tls = TlsConnector::from(target.tls).connect(name, tcp).await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(tls)).await.unwrap();
    tokio::spawn(connection);
    let mut calls = 0;
    while Instant::now() < until {
        let request = Request::post(target.path)
            .header("host", "bench")
            .header("authorization", format!("Bearer {}", target.bearer))
            .header("content-type", "application/json")
            .header("accept", "application/json, text/event-stream")
            .header("mcp-protocol-version", "2026-07-28")
            .header("mcp-method", "tools/call")
            .header("mcp-name", "post_entry")
            .body(Full::new(Bytes::from_static(BODY.as_bytes())))
            .unwrap();
        let response = sender.send_request(request).await.unwrap();
        assert_eq!(response.status(), 200);
        let body = response.into_body().collect().await.unwrap().to_bytes();
        assert!(body.windows(6).any(|w| w == b"posted"), "{body:?}");
        calls += 1;
    }
    calls
}

/// User and system time of a process, in seconds (proc(5), fields 14 and 15, in hundredths).
fn cpu_seconds(process: &Child) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", process.id())).unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) / 100.0
}

fn resident_mib(process: &Child) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", process.id())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1024.0
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn stop(mut process: Child) {
    world::components::terminate(&process);
    process.wait().unwrap();
}
