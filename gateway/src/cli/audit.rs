//! `sallyport audit`: is the file of records what the gateway wrote.

use super::{AuditTip, AuditVerify};
use crate::audit::chain::{Hash, hex, unhex};
use crate::audit::tip_of;
use crate::audit::verify::{Expect, Report, verify, written};
use anyhow::{Context, bail};
use serde_json::json;
use std::fs::File;
use std::io::{BufReader, IsTerminal, Read, stderr, stdin};
use std::path::Path;
use std::process::ExitCode;

/// The exit code of a file whose chain is broken.
const BROKEN: u8 = 1;
/// The exit code where there was nothing to judge.
const NOT_READ: u8 = 2;
/// Progress is shown about once for so many bytes.
const PROGRESS: u64 = 64 << 20;

/// Verifies a file and says what is wrong with it.
///
/// # Errors
/// None: what can't be read is an exit code of its own.
pub fn check(args: &AuditVerify) -> anyhow::Result<ExitCode> {
    match report(args) {
        Ok(report) => {
            if args.json {
                println!("{}", as_json(&args.file, &report));
            } else {
                print(&args.file, &report);
            }
            Ok(if report.damage.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(BROKEN) })
        }
        Err(error) => {
            eprintln!("sallyport: {error:#}");
            Ok(ExitCode::from(NOT_READ))
        }
    }
}

/// Prints where a file's chain ends, to be kept elsewhere.
///
/// # Errors
/// None: what can't be read is an exit code of its own.
pub fn tip(args: &AuditTip) -> anyhow::Result<ExitCode> {
    match tip_of(&args.file) {
        Ok(tip) if tip.next > 0 => {
            println!("{}", written(&tip));
            Ok(ExitCode::SUCCESS)
        }
        Ok(_) => {
            eprintln!("sallyport: {} holds no record yet", args.file.display());
            Ok(ExitCode::from(NOT_READ))
        }
        Err(error) => {
            eprintln!("sallyport: {} can't be read: {error}", args.file.display());
            Ok(ExitCode::from(NOT_READ))
        }
    }
}

fn report(args: &AuditVerify) -> anyhow::Result<Report> {
    let expect = Expect {
        from: args.from_hash.as_deref().map(hash).transpose().context("--from-hash")?,
        record: args.expect.as_deref().map(record).transpose().context("--expect")?,
    };
    let cannot = || format!("{} can't be read", args.file.display());
    let (input, length): (Box<dyn Read>, u64) = if args.file == Path::new("-") {
        (Box::new(stdin().lock()), 0)
    } else {
        let file = File::open(&args.file).with_context(cannot)?;
        let length = file.metadata().with_context(cannot)?.len();
        (Box::new(file), length)
    };
    let progress = progress(length);
    verify(BufReader::with_capacity(1 << 20, input), expect, args.line_bytes_max, progress)
        .with_context(cannot)
}

/// Says how far it is, where somebody watches and it takes a while.
fn progress(length: u64) -> impl FnMut(usize) {
    let watched = stderr().is_terminal() && length > PROGRESS;
    let (mut done, mut said) = (0_u64, 0_u64);
    move |bytes| {
        done += u64::try_from(bytes).unwrap_or_default();
        if watched && (done - said > PROGRESS || bytes == 0) {
            said = done;
            eprint!("\r{:3} %", done.saturating_mul(100) / length.max(1));
            if bytes == 0 {
                eprintln!();
            }
        }
    }
}

fn hash(text: &str) -> anyhow::Result<Hash> {
    unhex(text).with_context(|| format!("{text:?} is not 64 lower-case hex digits"))
}

fn record(text: &str) -> anyhow::Result<(u64, Hash)> {
    let Some((seq, digits)) = text.split_once(':') else {
        bail!("{text:?} is not SEQ:HASH, as `sallyport audit tip` prints it");
    };
    Ok((seq.parse().with_context(|| format!("{seq:?} is not a record's number"))?, hash(digits)?))
}

fn print(file: &Path, report: &Report) {
    let file = file.display();
    for damage in &report.damage {
        println!("line {}: {}", damage.line, damage.what);
    }
    if report.more > 0 {
        println!("and {} more", report.more);
    }
    let state = if report.damage.is_empty() { "unbroken" } else { "BROKEN" };
    println!("{file}: {state}, {} record(s)", report.records);
    let Some(tip) = &report.tip else { return };
    let ends = if report.stopped {
        "its last record says that the gateway stopped"
    } else {
        "its last record is not `stopped`: the gateway is running or was killed, or the end was cut off"
    };
    println!("It ends at {}\n{ends}.", written(tip));
    if report.damage.is_empty() {
        println!("Keep that elsewhere: the end of a file can only be missed by who knows it (--expect).");
    }
}

fn as_json(file: &Path, report: &Report) -> serde_json::Value {
    let damage: Vec<_> = report
        .damage
        .iter()
        .map(|d| json!({"line": d.line, "code": d.what.code(), "text": d.what.to_string()}))
        .collect();
    json!({
        "file": file.display().to_string(),
        "unbroken": report.damage.is_empty(),
        "records": report.records,
        "tip": report.tip.map(|tip| json!({"seq": tip.next.saturating_sub(1), "hash": hex(&tip.hash)})),
        "stopped": report.stopped,
        "damage": damage,
        "more": report.more,
    })
}
