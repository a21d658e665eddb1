//! The project's chores that are more than one line. `cargo xtask --help` says which.
//! Nothing here is part of the product, and nothing here is needed to build it.

mod component;
mod fuzz;
mod interop;
mod run;
mod tidy;

use std::process::{Command, ExitCode};

use anyhow::{Context, bail};

const HELP: &str = "\
The chores of Sallyport that are more than one line.

usage: cargo xtask CHORE

  interop s3         start versitygw with an empty bucket, run mcp-s3's stories against it, stop it
  interop clients    run the stories of the official Python and TypeScript MCP SDKs
  with s3 -- CMD...  start versitygw, run a command that finds it by SALLYPORT_S3_*, stop it
  bench [FILTER]     time decode, decide and the whole path
  fuzz [TARGET] [--seconds N]
                     run every fuzz target, or one, for a minute or so many seconds each
  tidy               check what the compiler and clippy do not: file sizes, headers, TODOs, ADRs, lock files
  schema [--check]   write deploy/config.schema.json as `sallyport schema` gives it, or check that it is that

interop and with need what `scripts/setup clients s3` installs.

examples:
  cargo xtask tidy
  cargo xtask fuzz call --seconds 3600
  scripts/setup s3 && cargo xtask interop s3
  cargo xtask with s3 -- cargo test --package stories s3_endpoint
";

/// Where the generated JSON Schema of the configuration lives.
const SCHEMA: &str = "deploy/config.schema.json";

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
        ["bench", filter @ ..] => {
            run::succeed(Command::new("cargo").args([
                "build",
                "--release",
                "--workspace",
                "--bins",
                "--bench",
                "path",
            ]))?;
            run::succeed(
                Command::new("cargo").args(["bench", "--workspace", "--bench", "path", "--"]).args(filter),
            )
        }
        ["fuzz", words @ ..] => fuzz::fuzz(words),
        ["tidy"] => tidy::tidy(),
        ["schema"] => Ok(std::fs::write(SCHEMA, schema()?).context(SCHEMA)?),
        ["schema", "--check"] => check_schema(),
        _ => bail!("no such chore: {}; see cargo xtask --help", words.join(" ")),
    }
}

/// The JSON Schema of the configuration, as the gateway's own types give it.
fn schema() -> anyhow::Result<Vec<u8>> {
    run::output(
        Command::new("cargo")
            .args(["run", "--quiet", "--package", "gateway", "--bin", "sallyport"])
            .args(["--", "schema"]),
    )
}

/// Checks that the committed schema is what the code gives.
fn check_schema() -> anyhow::Result<()> {
    let committed = std::fs::read(SCHEMA).context(SCHEMA)?;
    if committed != schema()? {
        bail!("{SCHEMA} is not what the code gives; run cargo xtask schema and commit it");
    }
    println!("{SCHEMA} is what the code gives");
    Ok(())
}
