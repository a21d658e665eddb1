//! Checks that neither the compiler nor clippy makes, over every file that git would commit.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, bail};

use crate::run;

/// Lines in a source file: a longer one holds a second noun.
const SOURCE_LINES_MAX: usize = 500;

/// Where crates may come from.
const CRATES_IO: &str = "registry+https://github.com/rust-lang/crates.io-index";

/// What is wrong, and where.
#[derive(Debug, PartialEq, Eq)]
struct Problem {
    place: String,
    what: String,
}

/// Prints every problem, and fails when there is one.
pub(crate) fn tidy() -> anyhow::Result<()> {
    let listing = run::output(Command::new("git").args([
        "ls-files",
        "-z",
        "--cached",
        "--others",
        "--exclude-standard",
    ]))?;
    let listing = String::from_utf8(listing).context("a file name is not UTF-8")?;
    let mut problems = Vec::new();
    let mut checked = 0;
    for path in listing.split('\0').filter(|path| Path::new(path).is_file()) {
        let bytes = fs::read(path).with_context(|| format!("cannot read {path}"))?;
        let Ok(text) = String::from_utf8(bytes) else { continue }; // An image, say.
        checked += 1;
        check(path, &text, &mut problems);
    }
    numbers_of_adrs(&listing, &mut problems);
    for problem in &problems {
        println!("{}: {}", problem.place, problem.what);
    }
    if !problems.is_empty() {
        bail!("{} problems", problems.len());
    }
    println!("tidy: {checked} files");
    Ok(())
}

/// All that is checked in one file.
fn check(path: &str, text: &str, problems: &mut Vec<Problem>) {
    if path == "LICENSE" {
        return;
    }
    for (number, line) in text.lines().enumerate() {
        let mut report = |what: &str| {
            problems.push(Problem { place: format!("{path}:{}", number + 1), what: what.to_owned() });
        };
        if mentions_a_foreign_place(line) {
            report("names a place of one machine");
        }
        if has_an_open_note(line) {
            report("a note to do something needs an issue number: (#12)");
        }
        if line.ends_with(' ') || line.ends_with('\t') {
            report("ends with a blank");
        }
    }
    let mut report = |what: String| problems.push(Problem { place: path.to_owned(), what });
    if path.ends_with(".rs") {
        let says_by_its_name = path.ends_with("/tests.rs");
        if !text.starts_with("//!") && !says_by_its_name {
            report("does not begin by saying what the file is for (//!)".to_owned());
        }
        let lines = text.lines().count();
        if path.contains("src/") && lines > SOURCE_LINES_MAX {
            report(format!("has {lines} lines, more than {SOURCE_LINES_MAX}: look for the second noun"));
        }
    }
    if path.starts_with("docs/adr/") {
        adr(text).into_iter().for_each(&mut report);
    }
    if path.ends_with("Cargo.lock") && text.lines().any(is_a_foreign_source) {
        report("has a crate from elsewhere than crates.io".to_owned());
    }
    if path.ends_with("package-lock.json") && text.contains("\"resolved\"") {
        report(
            "names a registry's host; npm install --omit-lockfile-registry-resolved writes none".to_owned(),
        );
    }
}

/// Whether a line names a folder beside the clone, or one that is only on somebody's machine.
fn mentions_a_foreign_place(line: &str) -> bool {
    let beside = ["..", "shared"].join("/");
    let homes = ["root", "home", "Users", "work"].map(|name| format!("/{name}/"));
    let begins_a_path = |at: usize| {
        !line[..at].ends_with(|before: char| before.is_alphanumeric() || "}.-_~*>".contains(before))
    };
    line.contains(&beside)
        || homes.iter().any(|home| line.match_indices(home.as_str()).any(|(at, _)| begins_a_path(at)))
}

/// Whether a line has a note to its writer without an issue's number.
fn has_an_open_note(line: &str) -> bool {
    let notes = [["TO", "DO"], ["FIX", "ME"], ["XX", "X"]].map(|halves| halves.concat());
    notes.iter().any(|note| {
        line.match_indices(note.as_str()).any(|(at, _)| {
            let (before, after) = (&line[..at], &line[at + note.len()..]);
            let is_word = !before.ends_with(|c: char| c.is_alphanumeric() || c == '_')
                && !after.starts_with(|c: char| c.is_alphanumeric() || c == '_');
            is_word && !numbered(after)
        })
    })
}

/// Whether a text begins with an issue's number, as in ` (#12)`.
fn numbered(text: &str) -> bool {
    let number = text.trim_start().strip_prefix("(#").and_then(|rest| rest.split_once(')'));
    number.is_some_and(|(number, _)| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Whether a line of Cargo.lock names a source that is not crates.io.
fn is_a_foreign_source(line: &str) -> bool {
    line.strip_prefix("source = ").is_some_and(|source| source.trim_matches('"') != CRATES_IO)
}

/// What a decision's page lacks.
fn adr(text: &str) -> Vec<String> {
    let mut lacking = Vec::new();
    if !text.starts_with("# ") {
        lacking.push("does not begin with its title".to_owned());
    }
    for heading in ["Status: ", "## Context", "## Decision", "## Cost"] {
        if !text.lines().any(|line| line.starts_with(heading)) {
            lacking.push(format!("lacks \"{}\"", heading.trim_end()));
        }
    }
    lacking
}

/// Decisions are numbered 0001, 0002 and so on, each number once.
fn numbers_of_adrs(listing: &str, problems: &mut Vec<Problem>) {
    let mut numbers: Vec<&str> = listing
        .split('\0')
        .filter_map(|path| path.strip_prefix("docs/adr/"))
        .map(|name| name.split_once('-').map_or(name, |(number, _)| number))
        .collect();
    numbers.sort_unstable();
    for (at, number) in numbers.iter().enumerate() {
        let due = format!("{:04}", at + 1);
        if *number != due {
            let what = format!("{number} stands where {due} is due");
            problems.push(Problem { place: "docs/adr".to_owned(), what });
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_home_folder_is_a_foreign_place() {
        let home = ["", "home", "someone", "key.pem"].join("/");
        assert!(mentions_a_foreign_place(&format!("cert: {home}")));
        assert!(mentions_a_foreign_place(&format!("see `{home}`")));
    }

    #[test]
    fn a_url_that_contains_the_word_is_not() {
        assert!(!mentions_a_foreign_place("https://example.com/home/page"));
        assert!(!mentions_a_foreign_place("spiffe://prod.example/work/agent"));
    }

    #[test]
    fn a_note_without_a_number_is_reported() {
        let note = ["TO", "DO"].concat();
        assert!(has_an_open_note(&format!("// {note}: later")));
        assert!(has_an_open_note(&format!("// {note} (#x): later")));
    }

    #[test]
    fn a_note_with_a_number_is_not() {
        let note = ["TO", "DO"].concat();
        assert!(!has_an_open_note(&format!("// {note} (#12): later")));
        assert!(!has_an_open_note("// a mastodon"));
    }

    #[test]
    fn a_decision_without_its_cost_is_reported() {
        let page = "# 0001: a title\n\nStatus: accepted\n\n## Context\n\n## Decision\n";
        assert_eq!(adr(page), ["lacks \"## Cost\""]);
        assert_eq!(adr(&format!("{page}\n## Cost\n")), [""; 0]);
    }

    #[test]
    fn a_crate_from_git_is_a_foreign_source() {
        assert!(is_a_foreign_source("source = \"git+https://example.com/x\""));
        assert!(!is_a_foreign_source(&format!("source = \"{CRATES_IO}\"")));
    }

    #[test]
    fn a_missing_number_among_the_decisions_is_reported_once() {
        let mut problems = Vec::new();
        numbers_of_adrs("docs/adr/0001-a.md\0docs/adr/0003-b.md\0docs/adr/0004-c.md\0", &mut problems);
        assert_eq!(problems.len(), 1);
        numbers_of_adrs("docs/adr/0001-a.md\0docs/adr/0002-b.md\0", &mut problems);
        assert_eq!(problems.len(), 1);
    }
}
