//! Stories run against real clients and servers, and the count of what passed.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use anyhow::{Context, bail};

use crate::component;
use crate::run;

/// How long the load on a world with SPIRE goes on, over ten renewals; in CI it is one.
const SPIRE_LOAD_SECONDS: &str = "300";

/// What the test runner counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Tally {
    passed: u32,
    failed: u32,
}

/// Runs the stories of one component. None at all counts as a failure: a filter that matches nothing must show.
pub(crate) fn interop(name: &str) -> anyhow::Result<()> {
    let (component, filter) = match name {
        "s3" => (Some(component::start("s3")?), "s3:: s3_store:: s3_azure::"),
        "clients" => (None, "real_client"),
        "sight" => (None, "sight::"),
        "mlflow" => (None, "mlflow::"),
        "prometheus" => (None, "prometheus:: prometheus_starter::"),
        "kubernetes" => (None, "kubernetes::"),
        "inference" => (None, "inference::"),
        "spire" => (None, "spire"),
        "a2a" => (None, "a2a_peers:: cards::what_the_gateway_signs"),
        "redis" => (None, "shared_revocation:: shared_store:: shared_tasks::"),
        "conformance" => (None, "mcp_conformance:: mcp_s3_speaks"),
        "oidc-provider" => (None, "oidc_provider"),
        "keycloak" => (None, "keycloak"),
        _ => bail!(
            "no such component: {name}; there are s3, mlflow, prometheus, kubernetes, inference, clients, a2a, sight, spire, redis, conformance, oidc-provider and keycloak"
        ),
    };
    run::succeed(Command::new("cargo").args(["build", "--workspace", "--bins", "--examples"]))?; // The stories start them.
    let mut command = Command::new("cargo");
    command
        .args(["test", "--workspace", "--test", "stories", "--", "--nocapture"])
        .args(filter.split(' '))
        .env("SALLYPORT_COMPONENTS", "required")
        .env("SALLYPORT_SPIRE_SECONDS", SPIRE_LOAD_SECONDS);
    if let Some(component) = &component {
        command.envs(component.environment.iter().cloned());
    }
    let (tally, succeeded) = counted(&mut command)?;
    drop(component);
    println!("\n{name}: {} passed, {} failed", tally.passed, tally.failed);
    if !succeeded || tally.failed > 0 {
        bail!("{name}: stories failed");
    }
    if tally.passed == 0 {
        bail!("{name}: no story's name contains {filter}");
    }
    Ok(())
}

/// Runs a command beside a component.
pub(crate) fn with(name: &str, command: &[&str]) -> anyhow::Result<()> {
    let component = component::start(name)?;
    let (program, arguments) = command.split_first().context("there is no command")?;
    run::succeed(Command::new(program).args(arguments).envs(component.environment.iter().cloned()))
}

/// Runs a test command, passes its output on, and counts.
fn counted(command: &mut Command) -> anyhow::Result<(Tally, bool)> {
    let child = command.stdout(Stdio::piped()).spawn();
    let mut child = child.with_context(|| format!("cannot start {}", run::spelled(command)))?;
    let stdout = child.stdout.take().context("the test runner has no output")?;
    let mut tally = Tally::default();
    for line in BufReader::new(stdout).lines() {
        let line = line.context("cannot read the test runner's output")?;
        println!("{line}");
        if let Some(counted) = result_line(&line) {
            tally.passed += counted.passed;
            tally.failed += counted.failed;
        }
    }
    let status = child.wait().context("cannot wait for the test runner")?;
    Ok((tally, status.success()))
}

/// Reads `test result: ok. 3 passed; 0 failed; ...`, as libtest ends each binary.
fn result_line(line: &str) -> Option<Tally> {
    let (_, counts) = line.strip_prefix("test result: ")?.split_once(". ")?;
    let count = |what: &str| counts.split("; ").find_map(|part| part.strip_suffix(what)?.trim().parse().ok());
    Some(Tally { passed: count("passed")?, failed: count("failed")? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_line_is_counted() {
        let line = "test result: FAILED. 12 passed; 3 failed; 1 ignored; 0 measured; 7 filtered out; finished in 0.02s";
        assert_eq!(result_line(line), Some(Tally { passed: 12, failed: 3 }));
    }

    #[test]
    fn another_line_is_not() {
        assert_eq!(result_line("test a_result_line_is_counted ... ok"), None);
    }
}
