//! What a server costs: its own CPU for a call whose answer has some 1 KiB, over 16 connections and in 16 sessions, and its
//! memory with 1,000 parallel sessions. Each server is a process of its own, on the same machine as its callers.
//!
//!     cargo bench -p kit --bench door      # the kit alone: a server with one tool that gives back what it got
//!     cargo xtask bench servers            # and the five servers, each before a stand-in of its system (stub.rs)
//!     cargo xtask bench servers s3 mlflow  # of them these
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a benchmark ends by panicking")]

use clap::Parser;
use kit::{Json, Service};
use rmcp::handler::server::wrapper::Parameters;
use rmcp::{ServerHandler, tool, tool_handler, tool_router};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use subject::Subject;

mod load;
mod servers;
mod stub;
mod subject;
#[path = "../../tests/world/mod.rs"]
mod world;

const ROUNDS: usize = 3;
/// Calls of a round, over each of 16 connections.
const CALLS: usize = 500;
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

/// What one server's calls took, in each round: µs of its own CPU, in both eras.
#[derive(Default)]
struct Row {
    modern: Vec<f64>,
    in_sessions: Vec<f64>,
    answer_bytes: usize,
}

fn main() {
    let files = getrlimit(Resource::Nofile).maximum; // A connection is a file, here and in the server.
    setrlimit(Resource::Nofile, Rlimit { current: files, maximum: files }).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let words: Vec<String> = std::env::args().filter(|word| word != "--bench").collect();
    match words.get(1).map(String::as_str) {
        Some("role") => {
            let role = Role::parse_from(words.iter().skip(1));
            runtime.block_on(kit::run(Service::new("bench", Echo), &role.door)).unwrap();
        }
        Some("stub") => runtime.block_on(stub::serve()),
        Some("servers") => runtime.block_on(async { measured(servers::all(&words[2..]).await).await }),
        _ => runtime.block_on(async { measured(vec![servers::kit().await]).await }),
    }
}

/// Every server once a round, in both eras; the first is the one that the others are compared with.
async fn measured(subjects: Vec<Subject>) {
    let mut rows: Vec<Row> = subjects.iter().map(|_| Row::default()).collect();
    for (subject, row) in subjects.iter().zip(&mut rows) {
        row.answer_bytes = load::called(subject, false, 50).await; // Warm.
        load::called(subject, true, 50).await;
    }
    for _ in 0..ROUNDS {
        for (subject, row) in subjects.iter().zip(&mut rows) {
            row.modern.push(own_cpu(subject, false).await);
            row.in_sessions.push(own_cpu(subject, true).await);
        }
    }
    let calls = ROUNDS * CALLS * load::CONNECTIONS;
    println!(
        "own CPU in µs a call, the median of {ROUNDS} rounds and the slowest, {calls} calls in all; and × the kit"
    );
    println!("{:<28} {:>9} {:>20} {:>6} {:>20} {:>6}", "", "answer, B", "2026-07-28", "×", "2025-11-25", "×");
    let kit = (median(&rows[0].modern), median(&rows[0].in_sessions));
    for (subject, row) in subjects.iter().zip(&rows) {
        let (modern, in_sessions) = (median(&row.modern), median(&row.in_sessions));
        println!(
            "{:<28} {:>9} {modern:>12.0} ({:>5.0}) {:>6.2} {in_sessions:>12.0} ({:>5.0}) {:>6.2}",
            subject.what,
            row.answer_bytes,
            slowest(&row.modern),
            modern / kit.0,
            slowest(&row.in_sessions),
            in_sessions / kit.1,
        );
    }
    println!("\nMiB resident after that, and with {SESSIONS} sessions more, each on a connection of its own");
    let mut before = "";
    for subject in &subjects {
        if std::mem::replace(&mut before, subject.world.name) == subject.world.name {
            continue; // The same program with another call.
        }
        let (alone, open) = (subject.memory(), load::sessions(subject, SESSIONS).await);
        println!("{:<28} {alone:>9.1} {:>9.1}", subject.world.name, subject.memory());
        drop(open);
    }
}

/// Microseconds of the server's own CPU for a call.
async fn own_cpu(subject: &Subject, in_sessions: bool) -> f64 {
    let before = subject.cpu();
    load::called(subject, in_sessions, CALLS).await;
    (subject.cpu() - before) * 1e6 / f64::from(u32::try_from(CALLS * load::CONNECTIONS).unwrap())
}

fn median(rounds: &[f64]) -> f64 {
    let mut sorted = rounds.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}

fn slowest(rounds: &[f64]) -> f64 {
    rounds.iter().copied().fold(0.0, f64::max)
}
