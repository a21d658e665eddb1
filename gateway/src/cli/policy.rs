//! `sallyport policy`: what a policy's author asks while writing it.

use super::{PolicyCheck, PolicyEval, PolicyTest};
use crate::reload::{listed, read_sources};
use anyhow::{Context, anyhow};
use policy::tester::{self, Outcome};
use policy::{Budget, PolicySet, SourceFile};
use std::io::{IsTerminal, Read, stdout};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

/// The exit code of a query that is undefined.
const UNDEFINED: u8 = 3;
/// A person waits for the answer, so that a policy may take longer than a request's.
const BUDGET: Budget = Budget { evaluation: Duration::from_secs(5) };

/// Runs the tests and prints a table of them.
///
/// # Errors
/// If the folder can't be read or the policies don't load.
pub fn test(args: &PolicyTest) -> anyhow::Result<ExitCode> {
    let report = tester::run(&sources(&args.dir)?, args.run.as_deref())
        .map_err(|problems| anyhow!("{}", listed(&problems)))?;
    let colour = stdout().is_terminal();
    for case in &report.cases {
        let (word, sgr) = match case.outcome {
            Outcome::Passed => ("PASS", "32"),
            Outcome::Failed => ("FAIL", "31"),
            Outcome::Error => ("ERROR", "31"),
            Outcome::Skipped => ("SKIP", "33"),
        };
        let word = if colour { format!("\x1b[{sgr}m{word:5}\x1b[0m") } else { format!("{word:5}") };
        println!("{word} {}.{} ({:.1} ms)", case.package, case.name, case.duration.as_secs_f64() * 1000.0);
        if !case.note.is_empty() {
            println!("      {}", case.note);
        }
    }
    println!("{} passed, {} failed, {} skipped", report.passed(), report.failed(), report.skipped());
    Ok(ExitCode::from(u8::from(report.failed() > 0)))
}

/// Evaluates a query and prints its result.
///
/// # Errors
/// If folder or input can't be read, the policies don't load, or the evaluation fails.
pub fn eval(args: &PolicyEval) -> anyhow::Result<ExitCode> {
    let set = PolicySet::compile(&sources(&args.dir)?, BUDGET)
        .map_err(|problems| anyhow!("{}", listed(&problems)))?;
    let mut text = String::new();
    match &args.input {
        Some(path) => {
            text =
                std::fs::read_to_string(path).with_context(|| format!("{} can't be read", path.display()))?
        }
        None => {
            std::io::stdin().read_to_string(&mut text).context("standard input can't be read")?;
        }
    }
    let input = serde_json::from_str(&text).context("the input is not JSON")?;
    match set.eval(&args.query, &input)? {
        Some(result) => {
            println!("{}", serde_json::to_string_pretty(&result)?);
            Ok(ExitCode::SUCCESS)
        }
        None => {
            eprintln!("undefined");
            Ok(ExitCode::from(UNDEFINED))
        }
    }
}

/// Compiles the set and prints what each package reads.
///
/// # Errors
/// If the folder can't be read or the policies don't load.
pub fn check(args: &PolicyCheck) -> anyhow::Result<ExitCode> {
    let set = PolicySet::compile(&sources(&args.dir)?, BUDGET)
        .map_err(|problems| anyhow!("{}", listed(&problems)))?;
    for reads in set.reads() {
        println!("{}", reads.package);
        for path in &reads.input {
            println!("    {path}");
        }
        if let Some(varies) = reads.varies {
            println!("    decided anew each time: {varies} is another one in each request");
        }
    }
    println!("{} is good, revision {}", args.dir.display(), set.revision());
    Ok(ExitCode::SUCCESS)
}

/// Prints the JSON Schema of the input document.
///
/// # Errors
/// If it can't be written as JSON.
pub fn schema() -> anyhow::Result<ExitCode> {
    println!("{}", serde_json::to_string_pretty(&policy::input_schema())?);
    Ok(ExitCode::SUCCESS)
}

fn sources(dir: &Path) -> anyhow::Result<Vec<SourceFile>> {
    read_sources(dir).with_context(|| format!("the policies in {} can't be read", dir.display()))
}
