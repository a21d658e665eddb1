//! What a decision costs: from the cache, and made anew in sets of 10 to 10,000 packages. `cargo bench --package policy`.
//! Prints medians of rounds, and last one line of JSON.
#![allow(clippy::unwrap_used, reason = "a benchmark ends by panicking")]

use std::collections::BTreeMap;
use std::hint::black_box;
use std::time::{Duration, Instant, SystemTime};

use policy::{
    Asked, Budget, CallInput, CallerInput, Decision, Entry, Input, McpCallInput, Moment, PolicySet, Question,
    RequestInput, SourceFile, SubjectInput, ToolInput,
};
use serde_json::{Map, Value, json};

const ROUNDS: usize = 31;
const TOOLS: usize = 25;

const LIBRARY: &str = "package lib.paths\n\nunder(path, folder) if {\n\tis_string(path)\n\tstartswith(path, folder)\n\tnot contains(path, \"..\")\n}\n";
const GUARD: &str = "package guard\n\ndeny contains \"too_many_hops\" if count(input.actors) > 3\n";

fn source(path: String, text: String) -> SourceFile {
    SourceFile { path, text }
}

/// So many tools, 25 a server, each with rules like the starter's.
fn files(packages: usize) -> Vec<SourceFile> {
    let mut files =
        vec![source("lib/paths.rego".into(), LIBRARY.into()), source("guard/hops.rego".into(), GUARD.into())];
    for server in 0..packages.div_ceil(TOOLS) {
        let deny = "deny contains \"frozen\" if input.subject.sub == \"mallory\"";
        files.push(source(format!("tools/s{server}.rego"), format!("package tools.s{server}\n\n{deny}\n")));
    }
    for number in 0..packages {
        let (server, tool) = (number / TOOLS, number % TOOLS);
        let text = format!(
            "package tools.s{server}.t{tool}

import data.lib.paths

visible if {{
	input.caller.path == [\"agent\", \"demo\"]
	input.subject.sub
}}

allow if {{
	input.call.arguments.bucket == \"demo\"
	paths.under(input.call.arguments.key, \"public/\")
}}

obligations := {{\"scopes\": [\"s{server}:t{tool}\"]}}
"
        );
        files.push(source(format!("tools/s{server}/t{tool}.rego"), text));
    }
    files
}

/// Nanoseconds of one call: the median of rounds, each long enough to be told from noise.
fn median(mut call: impl FnMut()) -> f64 {
    let began = Instant::now();
    let mut calls = 0_u32;
    while began.elapsed() < Duration::from_millis(2) {
        call();
        calls += 1;
    }
    let mut rounds: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let began = Instant::now();
            (0..calls).for_each(|_| call());
            began.elapsed().as_secs_f64() * 1e9 / f64::from(calls)
        })
        .collect();
    rounds.sort_by(f64::total_cmp);
    rounds[ROUNDS / 2]
}

/// Resident memory of this process in MiB.
fn resident() -> f64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    line.split_whitespace().next().and_then(|kib| kib.parse::<f64>().ok()).unwrap_or_default() / 1024.0
}

fn main() {
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
    let claims: Map<String, Value> = json!({
        "iss": "https://idp.example", "sub": "alice", "aud": "https://gateway.example", "scope": "s3:read",
        "client_id": "spiffe://dev.sallyport/agent/demo", "iat": 1, "exp": 2, "jti": "e76C8HaXQDRNpNXMRrcWTA",
    })
    .as_object()
    .unwrap()
    .clone();
    let arguments = json!({"bucket": "demo", "key": "public/hello.txt", "note": "x".repeat(512)});
    let mut results = BTreeMap::new();
    for packages in [10, 100, 1_000, 10_000] {
        let files = files(packages);
        let (began, before) = (Instant::now(), resident());
        let set = PolicySet::compile(&files, Budget::default()).unwrap();
        let compiled = began.elapsed();
        let memory = resident() - before;
        let (server, tool) = (format!("s{}", (packages / 2) / TOOLS), format!("t{}", (packages / 2) % TOOLS));
        let input = Input {
            caller: CallerInput {
                spiffe_id: "spiffe://dev.sallyport/agent/demo",
                trust_domain: "dev.sallyport",
                path: &["agent", "demo"],
            },
            subject: Some(SubjectInput {
                iss: "https://idp.example",
                sub: "alice",
                scopes: &["s3:read"],
                groups: &[],
                tenant: None,
                claims: &claims,
            }),
            actors: &[],
            call: CallInput::Mcp(McpCallInput {
                protocol: "mcp",
                version: "2026-07-28",
                method: "tools/call",
                server: &server,
                tool: Some(ToolInput::named(&tool)),
                resource: None,
                prompt: None,
                arguments: Some(&arguments),
            }),
            session: (),
            request: RequestInput { time: Moment(now), ip: None, trace_id: None },
        };
        let question = Question {
            entry: Entry::Tool { server: &server, tool: &tool },
            input: &input,
            now,
            permit_ttl_max: Duration::from_secs(60),
            ends: now + Duration::from_secs(60),
            epoch: 0,
        };
        let ask = |set: &PolicySet| assert!(matches!(set.decide(black_box(&question)), Decision::Permit(_)));
        let decided = median(|| ask(&set));
        let set = set.with_cache(65_536);
        ask(&set);
        assert!(matches!(set.ask(&question), Asked::Answered(_)));
        let cached = median(|| ask(&set));
        println!(
            "{packages:>6} packages: decided {:>7.1} µs, from the cache {:>6.2} µs (1/{:.0}); compiled in {:>6.2} s, {memory:>6.1} MiB",
            decided / 1e3,
            cached / 1e3,
            decided / cached,
            compiled.as_secs_f64(),
        );
        results.insert(packages, (decided, cached));
    }
    let ((first, _), (last, cached)) = (results[&10], results[&10_000]);
    println!(
        "{}",
        json!({
            "decision_us_10": first / 1e3, "decision_us_10000": last / 1e3, "decision_cached_us": cached / 1e3,
            "decision_ratio_10000_to_10": last / first,
        })
    );
}
