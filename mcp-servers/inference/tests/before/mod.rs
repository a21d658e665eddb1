//! The whole server on a socket, before backends of a file that the test writes.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test ends by panicking")]
#![allow(dead_code, unreachable_pub, reason = "each test program uses its part")]

use crate::upstream::{Behaviour, Upstream};
use crate::world::{Answer, World};
use clap::Parser;
use kit::Service;
use mcp_inference::{FlagsError, Inference, InferenceFlags};
use serde_json::Value;
use std::time::{Duration, Instant};

pub const ALL: [&str; 7] =
    ["protocol", "chat", "complete", "embed", "list_models", "model_status", "gpu_status"];

#[derive(Parser)]
struct Command {
    #[command(flatten)]
    door: kit::Flags,
    #[command(flatten)]
    inference: InferenceFlags,
}

/// The tools over a file of backends, with some flags.
pub async fn inference(yaml: &str, flags: &[&str]) -> Result<Inference, FlagsError> {
    certs::install_crypto();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("backends.yaml");
    std::fs::write(&file, yaml).unwrap();
    let door =
        ["mcp-inference", "--certificate", "c", "--private-key", "k", "--trust-bundle", "b", "--jwks", "j"];
    let door =
        door.iter().chain(&["--gateway", "spiffe://d.test/gateway", "--issuer", "i", "--audience", "a"]);
    let path = file.display().to_string();
    let all = door.copied().chain(["--backends", path.as_str()]).chain(flags.iter().copied());
    let command = Command::try_parse_from(all).unwrap();
    Inference::from_flags(&command.inference, &command.door).await
}

/// A server over a file of backends, with some flags.
pub async fn world(yaml: &str, flags: &[&str]) -> World {
    let inference = inference(yaml, flags).await.unwrap_or_else(|error| panic!("{error}"));
    World::of(mcp_inference::NAME, &ALL, |_| Service::new(mcp_inference::NAME, inference), |_, _| {}).await
}

/// A file of these backends, each with the models `m`, which it calls `there`, and `v`.
pub fn file(backends: &[(&str, &str)]) -> String {
    let one = |(name, url): &(&str, &str)| {
        format!(
            "  - {{name: {name}, url: '{url}', timeout_ms: 1000, token_timeout_ms: 300, probe_interval_ms: 50,\n     models: \
             [{{name: m, as: there, structured: true, price: {{input_per_million: 1000, output_per_million: 2000}}}}, {{name: v, as: vectors, uses: [embed]}}]}}\n"
        )
    };
    format!("backends:\n{}", backends.iter().map(one).collect::<String>())
}

pub async fn world_of(upstream: &Upstream) -> World {
    world(&file(&[("a", &upstream.url)]), &["--output-tokens-max", "100", "--prompt-bytes-max", "2000"]).await
}

pub fn code(answer: &Answer) -> &Value {
    &answer.body["result"]["structuredContent"]["error"]["code"]
}

pub fn content(answer: &Answer) -> &Value {
    assert_eq!(answer.body["result"]["isError"], serde_json::json!(false), "{}", answer.body);
    &answer.body["result"]["structuredContent"]
}

/// What a caller hears before one backend that fails: this code, soon, after one try, and nothing of a backend's secrets.
pub async fn before_one(
    (what, behaviour, wanted): (&str, Behaviour, &str),
    (tool, arguments): (&str, Value),
) -> Answer {
    let upstream = Upstream::start(behaviour).await;
    let world = world_of(&upstream).await;
    let mut gateway = world.connect("gateway").await.unwrap();
    let started = Instant::now();
    let answer = gateway.tool(&world.token("alice", &[]), tool, arguments).await;
    assert_eq!(code(&answer), wanted, "{what}: {}", answer.body);
    assert!(!answer.text.contains("secret") && !answer.text.contains("u:p"), "{what}: {}", answer.text);
    assert!(started.elapsed() < Duration::from_secs(4), "{what}");
    assert_eq!(upstream.heard().len(), 1, "{what}: one backend, one try");
    answer
}
