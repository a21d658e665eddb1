//! The fuzz targets, run by libFuzzer with the stable compiler: the flags by which cargo-fuzz asks for coverage need no
//! nightly one. Inputs that reached something new are kept, and one that fails is saved and named.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};

use anyhow::{Context, bail};

use crate::run;

/// Every decoder of bytes from outside; `fuzz/src/main.rs` says what each one is.
const TARGETS: [&str; 17] = [
    "json",
    "call",
    "headers",
    "list",
    "rename",
    "answer",
    "events",
    "a2a_rpc",
    "a2a_rest",
    "a2a_grpc",
    "a2a_answer",
    "card",
    "jws",
    "token",
    "peer",
    "bundle",
    "spiffe_id",
];

/// How long a target runs unless it is said.
const SECONDS: u32 = 60;

/// Targets that run at once.
const AT_ONCE: usize = 2;

/// Counters and comparisons for libFuzzer, in every crate that is linked.
const FLAGS: &str = "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1";

/// What one target did.
struct Running {
    target: &'static str,
    log: PathBuf,
    child: Child,
}

/// Runs one target, or all of them.
pub(crate) fn fuzz(words: &[&str]) -> anyhow::Result<()> {
    let (targets, seconds) = arguments(words)?;
    let program = build()?;
    let mut failed = Vec::new();
    for targets in targets.chunks(AT_ONCE) {
        let running: Vec<Running> =
            targets.iter().map(|target| start(&program, target, seconds)).collect::<Result<_, _>>()?;
        for mut target in running {
            let status = target.child.wait().context("cannot wait for a target")?;
            if !report(&target, status)? {
                failed.push(target.target);
            }
        }
    }
    if failed.is_empty() { Ok(()) } else { bail!("failed: {}", failed.join(", ")) }
}

/// `[TARGET] [--seconds N]`.
fn arguments(words: &[&str]) -> anyhow::Result<(Vec<&'static str>, u32)> {
    let (name, rest) = match words {
        [name, rest @ ..] if !name.starts_with('-') => (Some(*name), rest),
        rest => (None, rest),
    };
    let seconds = match rest {
        [] => SECONDS,
        ["--seconds", seconds] => seconds.parse().context("--seconds wants a number")?,
        _ => bail!("fuzz [TARGET] [--seconds N]"),
    };
    let targets: Vec<&str> =
        TARGETS.into_iter().filter(|target| name.is_none_or(|name| name == *target)).collect();
    if targets.is_empty() {
        bail!("no such target; there are {}", TARGETS.join(", "));
    }
    Ok((targets, seconds))
}

/// Builds the targets. With `--target` the flags stay away from build scripts and procedural macros.
fn build() -> anyhow::Result<PathBuf> {
    let version = run::output(Command::new("rustc").arg("-vV"))?;
    let version = String::from_utf8(version).context("rustc -vV is not UTF-8")?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: ")).context("rustc has no host")?;
    let folder = folder()?;
    run::succeed(
        Command::new("cargo")
            .args(["build", "--release", "--locked", "--manifest-path", "fuzz/Cargo.toml", "--target", host])
            .arg("--target-dir")
            .arg(&folder)
            .env("RUSTFLAGS", FLAGS),
    )?;
    Ok(folder.join(host).join("release/fuzz"))
}

/// Where the build, the inputs that were found and the logs are.
fn folder() -> anyhow::Result<PathBuf> {
    let target = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| run::root().map(|r| r.join("target")), |t| Ok(t.into()));
    Ok(target?.join("fuzz"))
}

/// Starts a target on the inputs that were found before, and on the seeds.
fn start(program: &Path, target: &'static str, seconds: u32) -> anyhow::Result<Running> {
    let folder = folder()?;
    let (corpus, failures) = (folder.join("corpus").join(target), folder.join("failures"));
    for folder in [&corpus, &failures] {
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    }
    let path = folder.join(format!("{target}.log"));
    let log = File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
    let child = Command::new(program)
        .arg(format!("-max_total_time={seconds}"))
        .args(["-timeout=10", "-rss_limit_mb=2048", "-max_len=16384", "-print_final_stats=1"])
        .arg(format!("-artifact_prefix={}/{target}-", failures.display()))
        .arg(corpus)
        .arg(run::root()?.join("fuzz/seeds").join(target))
        .env("FUZZ_TARGET", target)
        .stdout(log.try_clone().context("cannot share the log")?)
        .stderr(log)
        .spawn()
        .with_context(|| format!("cannot start {}", program.display()))?;
    Ok(Running { target, log: path, child })
}

/// A line for a target that went well, and the end of its log for one that did not. Whether it went well.
fn report(target: &Running, status: ExitStatus) -> anyhow::Result<bool> {
    let log = fs::read(&target.log).context("cannot read a log")?;
    let log = String::from_utf8_lossy(&log);
    let runs = log.lines().find_map(|line| line.strip_prefix("stat::number_of_executed_units:"));
    if let (true, Some(runs)) = (status.success(), runs) {
        let reached =
            log.lines().rev().find(|line| line.contains(" cov: ")).and_then(|line| line.split_once(" cov: "));
        let reached = reached.map_or("", |(_, rest)| rest.split_whitespace().next().unwrap_or_default());
        println!("fuzz {:8} {:>10} runs, {reached} places reached", target.target, runs.trim());
        return Ok(true);
    }
    let tail: Vec<&str> = log.lines().rev().take(40).collect();
    for line in tail.into_iter().rev() {
        println!("{line}");
    }
    println!(
        "fuzz {:8} FAILED ({status}); what it failed on is named above, all of it in {}",
        target.target,
        target.log.display()
    );
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_and_a_time_may_be_named() {
        let named = |words: &[&str]| arguments(words).ok();
        assert_eq!(named(&[]), Some((TARGETS.to_vec(), 60)));
        assert_eq!(named(&["call"]), Some((vec!["call"], 60)));
        assert_eq!(named(&["call", "--seconds", "5"]), Some((vec!["call"], 5)));
        assert_eq!(named(&["--seconds", "5"]), Some((TARGETS.to_vec(), 5)));
        assert_eq!(named(&["cell"]), None);
        assert_eq!(named(&["call", "--seconds"]), None);
    }
}
