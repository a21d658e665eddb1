//! What the kit costs a server: its own CPU for a call of 1 KiB, over 16 connections and in 16 sessions, and its memory
//! with 1,000 parallel sessions. The server is a process of its own, on the same machine as its callers.
//!
//!     cargo bench -p kit --bench door
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a benchmark ends by panicking")]

use clap::Parser;
use http::Method;
use kit::{Json, Service};
use rmcp::handler::server::wrapper::Parameters;
use rmcp::{ServerHandler, tool, tool_handler, tool_router};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Instant;
use world::{Client, World, modern};

#[path = "../tests/world/mod.rs"]
mod world;

const CONNECTIONS: usize = 16;
const CALLS: usize = 1_000;
const SESSIONS: usize = 1_000;

#[derive(Clone)]
struct Echo;

#[derive(Debug, Deserialize, Serialize, JsonSchema)]
struct Text {
    /// What comes back
    text: String,
}

#[tool_router]
impl Echo {
    /// Gives back what it got.
    #[tool]
    async fn echo(&self, Parameters(text): Parameters<Text>) -> Json<Text> {
        Json::new(text, "an echo")
    }
}

#[tool_handler]
impl ServerHandler for Echo {}

#[derive(Parser)]
struct Role {
    #[command(flatten)]
    door: kit::Flags,
}

fn main() {
    let files = getrlimit(Resource::Nofile).maximum; // A connection is a file, here and in the server.
    setrlimit(Resource::Nofile, Rlimit { current: files, maximum: files }).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let words: Vec<String> = std::env::args().collect();
    if words.get(1).is_some_and(|word| word == "role") {
        let role = Role::parse_from(words.iter().skip(1));
        runtime.block_on(kit::run(Service::new("bench", Echo), &role.door)).unwrap();
    } else {
        runtime.block_on(measured());
    }
}

async fn measured() {
    let mut world =
        World::of("bench", &["protocol", "echo"], |_| Service::new("bench", Echo), |_, _| {}).await;
    let mut server = started(&world);
    let mut line = String::new();
    BufReader::new(server.stdout.take().unwrap()).read_line(&mut line).unwrap();
    world.address = line.trim().strip_prefix("listening on https://").unwrap().parse().unwrap();
    let process = server.id();
    println!("memory at the start: {:.1} MiB", memory(process));

    let token = world.token("alice", &[]);
    for (era, in_sessions) in [("2026-07-28", false), ("2025-11-25", true)] {
        called(&world, &token, in_sessions, 50).await; // Warm.
        let (before, began) = (cpu(process), Instant::now());
        called(&world, &token, in_sessions, CALLS).await;
        let calls = CONNECTIONS * CALLS;
        let own = (cpu(process) - before) * 1e6 / f64::from(u32::try_from(calls).unwrap());
        let second = f64::from(u32::try_from(calls).unwrap()) / began.elapsed().as_secs_f64();
        println!("{era}: {own:.0} µs of the server's CPU a call, {second:.0} calls/s");
    }

    let before = memory(process);
    let mut open = Vec::new();
    let token = world.token("alice", &[]); // The first may have ended.
    for _ in 0..SESSIONS {
        let mut client = world.connect("gateway").await.unwrap();
        session(&mut client, &token).await;
        open.push(client);
    }
    println!("memory with {SESSIONS} sessions: {:.1} MiB ({before:.1} MiB before)", memory(process));
    drop(open);
    server.kill().unwrap();
    server.wait().unwrap();
}

fn started(world: &World) -> Child {
    let own = |name: &str| world.dir.path().join("bench").join(name);
    Command::new(std::env::current_exe().unwrap())
        .args([
            "role",
            "--end-with-stdin",
            "--listen",
            "127.0.0.1:0",
            "--connections-max",
            "2000",
            "--certificate",
        ])
        .arg(own("cert.pem"))
        .arg("--private-key")
        .arg(own("key.pem"))
        .arg("--trust-bundle")
        .arg(own("bundle.pem"))
        .args(["--gateway", "spiffe://bench.test/gateway", "--issuer", "https://issuer.test"])
        .args(["--audience", "bench", "--jwks"])
        .arg(world.dir.path().join("jwks.json"))
        .arg("--audit-file")
        .arg(world.dir.path().join("audit.jsonl"))
        .stdin(Stdio::piped()) // However this process ends, that one does, too.
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// So many calls over each connection.
async fn called(world: &World, token: &str, in_sessions: bool, count: usize) {
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..CONNECTIONS {
        let (mut client, token) = (world.connect("gateway").await.unwrap(), token.to_owned());
        tasks.spawn(async move {
            let params = json!({"name": "echo", "arguments": {"text": "x".repeat(1024)}});
            let session = if in_sessions { session(&mut client, &token).await } else { String::new() };
            for id in 0..count {
                let answer = if in_sessions {
                    let call = json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params});
                    let headers =
                        [("mcp-session-id", session.as_str()), ("mcp-protocol-version", "2025-11-25")];
                    client.send(Method::POST, Some(&token), &headers, call.to_string()).await.unwrap()
                } else {
                    let headers = [
                        ("mcp-protocol-version", "2026-07-28"),
                        ("mcp-method", "tools/call"),
                        ("mcp-name", "echo"),
                    ];
                    let call = modern("tools/call", params.clone()).to_string();
                    client.send(Method::POST, Some(&token), &headers, call).await.unwrap()
                };
                assert_eq!(answer.body["result"]["content"][0]["text"], Value::from("an echo"));
            }
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
}

/// Opens a session of 2025-11-25 and gives its id.
async fn session(client: &mut Client, token: &str) -> String {
    let hello = json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {
        "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "bench", "version": "1"}}});
    let opened = client.send(Method::POST, Some(token), &[], hello.to_string()).await.unwrap();
    let id = opened.headers["mcp-session-id"].to_str().unwrap().to_owned();
    let headers = [("mcp-session-id", id.as_str()), ("mcp-protocol-version", "2025-11-25")];
    let ready = json!({"jsonrpc": "2.0", "method": "notifications/initialized"}).to_string();
    client.send(Method::POST, Some(token), &headers, ready).await.unwrap();
    id
}

/// Seconds of CPU that a process has used. The kernel counts in hundredths.
fn cpu(process: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    let fields: Vec<_> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    let ticks = |at: usize| fields[at].parse::<f64>().unwrap();
    (ticks(11) + ticks(12)) / 100.0
}

/// Resident memory of a process, in MiB.
fn memory(process: u32) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1024.0
}
