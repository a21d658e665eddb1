//! The policy set as its users meet it: decision tables, problems at load, the starter policy, the documentation.
#![allow(clippy::unwrap_used, reason = "a test ends by panicking")]

mod cache;
mod cases;
mod documentation;
mod groups;
mod load;
mod safety;
mod starter;

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use policy::{Entry, Question, SourceFile};
use serde_json::Value;

const MINUTE: Duration = Duration::from_secs(60);

/// A question that is asked at the beginning of 1970, of what holds for a minute.
fn question<'a>(entry: Entry<'a>, input: &'a Value) -> Question<'a, Value> {
    let now = SystemTime::UNIX_EPOCH;
    Question { entry, input, now, permit_ttl_max: MINUTE, ends: now + MINUTE, epoch: 0 }
}

/// A folder of this repository, by its path from the crate.
fn folder(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// All files below a folder as the files of a policy set.
fn files(root: &Path) -> Vec<SourceFile> {
    let mut found = Vec::new();
    let mut waiting = vec![root.to_path_buf()];
    while let Some(place) = waiting.pop() {
        for entry in std::fs::read_dir(&place).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                waiting.push(path);
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap();
            found.push(SourceFile {
                path: path.strip_prefix(root).unwrap().to_str().unwrap().to_owned(),
                text,
            });
        }
    }
    found
}

fn source(path: &str, text: &str) -> SourceFile {
    SourceFile { path: path.to_owned(), text: text.to_owned() }
}
