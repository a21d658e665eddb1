//! The embedded engine beside llama.cpp's own server: the same file, one thread each, in turns, through the same door. Tokens
//! a second once the first has come, and the time until it comes, for a short and a long prompt; medians of rounds.
//!
//!     scripts/setup inference && cargo xtask bench inference
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a benchmark ends by panicking")]

use clap::Parser;
use kit::Service;
use mcp_inference::{Inference, InferenceFlags};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use world::World;

#[path = "../../kit/tests/world/mod.rs"]
mod world;

const ROUNDS: usize = 7;
const TOKENS: u32 = 64;
const ENGINES: [&str; 2] = ["embedded", "llama.cpp"];

#[derive(Parser)]
struct Flags {
    #[command(flatten)]
    door: kit::Flags,
    #[command(flatten)]
    inference: InferenceFlags,
}

/// What one call took.
struct Measured {
    tokens_per_second: f64,
    first_token_ms: f64,
    input_tokens: f64,
}

fn main() {
    mcp_inference::restarted_with(1).unwrap(); // As the program itself does it.
    let folder = installed();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    runtime.block_on(measured(&folder));
}

/// Where `scripts/setup inference` puts the model and the server.
fn installed() -> PathBuf {
    let cache = std::env::var_os("SALLYPORT_CACHE").map(PathBuf::from);
    let cache =
        cache.unwrap_or_else(|| PathBuf::from(std::env::var_os("HOME").unwrap()).join(".cache/sallyport"));
    let folder = cache.join("inference");
    assert!(folder.join("smollm2.gguf").exists(), "there is no model: scripts/setup inference");
    folder
}

/// llama.cpp's server, and where it is.
fn llama(folder: &Path) -> (Child, String) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/peers/llama/server.py");
    let mut process = Command::new(folder.join("llama/bin/python"))
        .arg(script)
        .args([folder.join("smollm2.gguf").as_os_str(), "model".as_ref()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(process.stdout.take().unwrap()).lines().map_while(Result::ok);
    let url = lines.find_map(|line| line.strip_prefix("listening on ").map(ToOwned::to_owned)).unwrap();
    (process, url)
}

async fn measured(folder: &Path) {
    certs::install_crypto();
    let (mut process, url) = llama(folder);
    let scratch = tempfile::tempdir().unwrap();
    let file = scratch.path().join("backends.yaml");
    let model = folder.join("smollm2.gguf");
    let text = format!(
        "backends:\n  - {{name: here, engine: embedded, file: '{}', model: embedded}}\n  \
         - {{name: there, url: '{url}/v1', metrics: none, probe_interval_ms: 3600000, models: [{{name: llama.cpp, as: model}}]}}\n",
        model.display()
    );
    std::fs::write(&file, text).unwrap();
    let flags = Flags::parse_from(
        ["bench", "--certificate", "c", "--private-key", "k", "--trust-bundle", "b", "--jwks", "j"]
            .into_iter()
            .chain(["--gateway", "spiffe://d.test/gateway", "--issuer", "i", "--audience", "a", "--backends"])
            .chain([file.to_str().unwrap()]),
    );
    let inference = Inference::from_flags(&flags.inference, &flags.door).await.unwrap();
    let service = |_: &Path| Service::new(mcp_inference::NAME, inference);
    let world = World::of(mcp_inference::NAME, &["complete"], service, |_, _| {}).await;
    let mut gateway = world.connect("gateway").await.unwrap();

    println!("{TOKENS} tokens, greedy, one thread each, {ROUNDS} rounds in turns");
    println!(
        "{:<10} {:<6} {:>9} {:>20} {:>22}",
        "engine", "prompt", "tokens", "tokens/s (span)", "first token ms (span)"
    );
    let mut figures = serde_json::Map::new();
    for (prompt, sentences) in [("short", 2), ("long", 28)] {
        let mut all: [Vec<Measured>; 2] = [Vec::new(), Vec::new()];
        for round in 0..=ROUNDS {
            for (at, engine) in ENGINES.iter().enumerate() {
                let token = world.token("alice", &[]);
                let text = text_of(round, sentences);
                let arguments =
                    json!({"model": engine, "prompt": text, "max_tokens": TOKENS, "temperature": 0});
                let answer = gateway.tool(&token, "complete", arguments).await;
                let found = &answer.body["result"]["structuredContent"];
                assert_eq!(answer.body["result"]["isError"], json!(false), "{}", answer.body);
                if round > 0 {
                    all[at].push(one(found)); // The first round warms both.
                }
            }
        }
        let mut medians = Vec::new();
        for (engine, rounds) in ENGINES.iter().zip(&all) {
            let (speed, first) = (of(rounds, |m| m.tokens_per_second), of(rounds, |m| m.first_token_ms));
            let tokens = of(rounds, |m| m.input_tokens)[1];
            println!(
                "{engine:<10} {prompt:<6} {tokens:>9.0} {:>8.1} ({:>4.0}-{:<4.0}) {:>10.0} ({:>4.0}-{:<4.0})",
                speed[1], speed[0], speed[2], first[1], first[0], first[2]
            );
            figures.insert(format!("{engine} {prompt} tokens/s"), json!((speed[1] * 10.0).round() / 10.0));
            figures.insert(format!("{engine} {prompt} first ms"), json!(first[1]));
            medians.push((speed[1], first[1]));
        }
        println!(
            "embedded / llama.cpp, {prompt}: tokens/s {:.2}, first token {:.2}",
            medians[0].0 / medians[1].0,
            medians[0].1 / medians[1].1
        );
    }
    println!("\n{}", Value::Object(figures));
    process.kill().unwrap();
    process.wait().unwrap();
}

/// No two rounds begin alike: llama.cpp would remember the beginning.
fn text_of(round: usize, sentences: usize) -> String {
    let names = ["Ada", "Grace", "Alan", "Edsger", "Barbara", "Donald", "Frances", "Niklaus"];
    let name = names[round % names.len()];
    let begin = format!("{name} went to the sea with {round} friends. ");
    begin.clone()
        + &format!("They saw ships, gulls and a lighthouse, and {name} wrote it down. ").repeat(sentences)
        + "Then"
}

fn one(found: &Value) -> Measured {
    let number = |pointer: &str| found.pointer(pointer).unwrap().as_f64().unwrap();
    let first_token_ms = number("/timing/first_token_ms");
    let seconds = (number("/timing/total_ms") - first_token_ms) / 1000.0;
    let tokens_per_second = (number("/usage/output_tokens") - 1.0) / seconds;
    Measured { tokens_per_second, first_token_ms, input_tokens: number("/usage/input_tokens") }
}

/// The least, the median and the most.
fn of(rounds: &[Measured], figure: impl Fn(&Measured) -> f64) -> [f64; 3] {
    let mut all: Vec<f64> = rounds.iter().map(figure).collect();
    all.sort_by(f64::total_cmp);
    [all[0], all[all.len() / 2], all[all.len() - 1]]
}
