//! The project's chores that are more than one line. `cargo xtask --help` says which.
//! Nothing here is part of the product, and nothing here is needed to build it.

mod component;
mod fuzz;
mod interop;
mod manifests;
mod run;
mod tidy;

use std::process::{Command, ExitCode};

use anyhow::{Context, bail};

const HELP: &str = "\
The chores of Sallyport that are more than one line.

usage: cargo xtask CHORE

  interop s3         start versitygw with an empty bucket, run mcp-s3's stories against it, stop it
  interop mlflow     run mcp-mlflow's stories against a real MLflow, and its official client
  interop prometheus run mcp-prometheus's stories against a real Prometheus and Alertmanager
  interop kubernetes run mcp-kubernetes's stories against a real API server
  interop inference  run mcp-inference's stories on a small model and against llama.cpp's own server
  interop clients    run the stories of the official Python and TypeScript MCP SDKs
  interop a2a        run the stories of the official A2A SDKs, Python's and JavaScript's, as agents and as callers
  interop sight      run the stories of health, metrics and traces, with a real Prometheus and a real collector
  interop redis      run the stories of gateways that share revocations, and whose tasks are, in a real Redis
  interop conformance
                     run the conformance kit of MCP against an example on our kit and mcp-s3, directly and through the gateway
  interop oidc-provider, interop keycloak
                     run the stories of a real token service: credentials exchanged, narrowed, refused
  with s3 -- CMD...  start versitygw, run a command that finds it by SALLYPORT_S3_*, stop it
  bench [--quick] [rows | ROW | agent | streams | idle | handshakes | stages]...
                     what the gateway costs, beside Pingora's stock proxying, Envoy and bare rustls: docs/performance.md
  bench inference    the embedded engine beside llama.cpp's own server, on the same file
  bench servers [NAME]...
                     what each MCP server, or only s3, mlflow and so on, costs of its own, before a stand-in of its system, beside
                     the kit alone. Builds target/release/mcp-inference without its embedded engine
  fuzz [TARGET] [--seconds N]
                     run every fuzz target, or one, for a minute or so many seconds each
  tidy               check what the compiler and clippy do not: file sizes, headers, TODOs, ADRs, lock files
  manifests [--check]
                     write deploy/kubernetes/policy.yaml from the starter policies, or check all manifests
  schema [--check]   write the JSON Schemas of the configuration and of a policy's input as the code gives them, or
                     check that they are that

interop and with need what `scripts/setup clients peers s3 mlflow inference sight h2spec conformance spire redis oidc-provider keycloak kubernetes` installs,
bench what `scripts/setup bench` does, manifests --check what `scripts/setup checks` does.

examples:
  cargo xtask tidy
  cargo xtask fuzz call --seconds 3600
  scripts/setup s3 && cargo xtask interop s3
  cargo xtask with s3 -- cargo test --package stories s3_endpoint
  scripts/setup bench && cargo xtask bench
";

/// The MCP servers.
const SERVERS: [&str; 5] = ["mcp-inference", "mcp-kubernetes", "mcp-mlflow", "mcp-prometheus", "mcp-s3"];

/// Where the generated JSON Schemas live, and the commands that print them.
const SCHEMAS: [(&str, &[&str]); 2] =
    [("deploy/config.schema.json", &["schema"]), ("docs/policy-input.schema.json", &["policy", "schema"])];

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match chore(&words) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Does the chore that the command line names.
fn chore(words: &[&str]) -> anyhow::Result<()> {
    std::env::set_current_dir(run::root()?).context("cannot enter the repository's root")?;
    match words {
        [] | ["help" | "-h" | "--help", ..] => {
            print!("{HELP}");
            Ok(())
        }
        ["interop", name] => interop::interop(name),
        ["with", name, "--", command @ ..] if !command.is_empty() => interop::with(name, command),
        ["bench", "inference"] => run::succeed(Command::new("cargo").args([
            "bench",
            "--package",
            "mcp-inference",
            "--bench",
            "engine",
        ])),
        ["bench", "servers", names @ ..] => bench_servers(names),
        ["bench", words @ ..] => bench(words),
        ["fuzz", words @ ..] => fuzz::fuzz(words),
        ["tidy"] => tidy::tidy(),
        ["manifests"] => manifests::write(),
        ["manifests", "--check"] => manifests::check(),
        ["schema"] => SCHEMAS
            .iter()
            .try_for_each(|(file, command)| std::fs::write(file, schema(command)?).context(*file)),
        ["schema", "--check"] => SCHEMAS.iter().try_for_each(|(file, command)| check_schema(file, command)),
        _ => bail!("no such chore: {}; see cargo xtask --help", words.join(" ")),
    }
}

/// Builds what the benchmark starts, and runs it. The stock proxy is a workspace of its own, which shares the build folder.
fn bench(words: &[&str]) -> anyhow::Result<()> {
    let folder = std::env::var_os("CARGO_TARGET_DIR").unwrap_or("target".into());
    let release = || {
        let mut cargo = Command::new("cargo");
        cargo.args(["build", "--release"]);
        cargo
    };
    run::succeed(release().args(["--workspace", "--bins", "--bench", "path"]))?;
    run::succeed(
        release()
            .args(["--locked", "--manifest-path", "benches/stock/Cargo.toml", "--target-dir"])
            .arg(folder),
    )?;
    run::succeed(Command::new("cargo").args(["bench", "--workspace", "--bench", "path", "--"]).args(words))
}

/// Builds the MCP servers, and measures them. The embedded engine takes long to build and has a benchmark of its own. Both
/// times the packages are the same, so that their dependencies are built once.
fn bench_servers(names: &[&str]) -> anyhow::Result<()> {
    let cargo = |verb: &[&str]| {
        let mut cargo = Command::new("cargo");
        cargo.args(verb).args(["--no-default-features", "--package", "kit"]);
        for server in SERVERS {
            cargo.args(["--package", server]);
        }
        cargo
    };
    run::succeed(cargo(&["build", "--release"]).args(["--bins", "--bench", "door"]))?;
    run::succeed(cargo(&["bench"]).args(["--bench", "door", "--", "servers"]).args(names))
}

/// A JSON Schema, as the gateway's own types give it.
fn schema(command: &[&str]) -> anyhow::Result<Vec<u8>> {
    run::output(
        Command::new("cargo")
            .args(["run", "--quiet", "--package", "gateway", "--bin", "sallyport", "--"])
            .args(command),
    )
}

/// Checks that a committed schema is what the code gives.
fn check_schema(file: &str, command: &[&str]) -> anyhow::Result<()> {
    let committed = std::fs::read(file).with_context(|| file.to_owned())?;
    if committed != schema(command)? {
        bail!("{file} is not what the code gives; run cargo xtask schema and commit it");
    }
    println!("{file} is what the code gives");
    Ok(())
}
