//! `sallyport audit verify`: every way to damage a file of records, and what is said of it.

use serde_json::{Value, json};
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use world::World;
use world::components::program;

/// A gateway's file, line by line, in a folder that is its own.
struct File {
    lines: Vec<String>,
    path: PathBuf,
    _dir: tempfile::TempDir,
}

/// Six records: the start, and five calls.
async fn file() -> File {
    let world = World::start().await;
    let clerk = world.clerk();
    for n in 0..5 {
        assert_eq!(clerk.post_entry(n).await.status, 200);
    }
    assert_eq!(world.audit().len(), 6);
    let text = std::fs::read_to_string(world.path("audit.jsonl")).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("audit.jsonl");
    File { lines: text.lines().map(|line| format!("{line}\n")).collect(), path, _dir: dir }
}

impl File {
    /// What is said of the file as its lines are now: exit code, and what stands before the summary.
    fn verify(&self, options: &[&str]) -> (i32, Vec<String>) {
        std::fs::write(&self.path, self.lines.concat()).unwrap();
        let output = sallyport(&["verify", self.path.to_str().unwrap()], options);
        let text = String::from_utf8(output.stdout).unwrap();
        let said = text.lines().take_while(|line| line.starts_with("line ")).map(ToOwned::to_owned);
        (output.status.code().unwrap(), said.collect())
    }

    fn hash(&self, line: usize) -> String {
        serde_json::from_str::<Value>(&self.lines[line]).unwrap()["hash"].as_str().unwrap().to_owned()
    }

    fn tip(&self) -> String {
        std::fs::write(&self.path, self.lines.concat()).unwrap();
        let output = sallyport(&["tip", self.path.to_str().unwrap()], &[]);
        assert!(output.status.success());
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }
}

fn sallyport(command: &[&str], options: &[&str]) -> Output {
    Command::new(program("sallyport")).arg("audit").args(command).args(options).output().unwrap()
}

fn broken(said: &str) -> (i32, Vec<String>) {
    (1, vec![said.to_owned()])
}

const UNBROKEN: (i32, Vec<String>) = (0, vec![]);

#[tokio::test]
async fn a_whole_file_is_unbroken_and_its_tip_is_printed() {
    let file = file().await;
    assert_eq!(file.verify(&[]), UNBROKEN);
    assert_eq!(file.tip(), format!("5:{}", file.hash(5)));
    let text = String::from_utf8(sallyport(&["verify", file.path.to_str().unwrap()], &[]).stdout).unwrap();
    assert_eq!(
        text,
        format!(
            "{}: unbroken, 6 record(s)\nIt ends at 5:{}\nits last record is not `stopped`: the gateway is running or was \
             killed, or the end was cut off.\nKeep that elsewhere: the end of a file can only be missed by who knows it \
             (--expect).\n",
            file.path.display(),
            file.hash(5)
        )
    );
}

#[tokio::test]
async fn one_changed_byte_is_named() {
    let mut file = file().await;
    file.lines[3] = file.lines[3].replace("\"status\":200", "\"status\":201");
    assert_eq!(file.verify(&[]), broken("line 4: changed: the hash of seq 3 is not that of what it holds"));
}

#[tokio::test]
async fn a_removed_line_is_named() {
    let mut file = file().await;
    file.lines.remove(2);
    assert_eq!(file.verify(&[]), broken("line 3: removed: before this line, seq 2 is missing"));
    file.lines.remove(2);
    assert_eq!(file.verify(&[]), broken("line 3: removed: before this line, seq 2 to 3 are missing"));
}

#[tokio::test]
async fn swapped_lines_are_named() {
    let mut file = file().await;
    file.lines.swap(2, 3);
    assert_eq!(file.verify(&[]), broken("line 4: moved: seq 2 belongs further up"));
}

#[tokio::test]
async fn an_inserted_line_is_named() {
    let mut file = file().await;
    let copy = file.lines[1].clone();
    file.lines.insert(4, copy);
    let said = "line 5: inserted: seq 1 was there before; one of the two doesn't belong here";
    assert_eq!(file.verify(&[]), broken(said));
}

#[tokio::test]
async fn a_cut_end_is_named_to_who_kept_the_tip() {
    let mut file = file().await;
    let tip = file.tip();
    assert_eq!(file.verify(&["--expect", &tip]), UNBROKEN);
    file.lines.truncate(4);
    assert_eq!(file.verify(&[]), UNBROKEN, "the chain alone does not show it");
    let said = "line 5: cut: seq 5 is not in the file, which has to hold it";
    assert_eq!(file.verify(&["--expect", &tip]), broken(said));
}

#[tokio::test]
async fn a_half_line_at_the_end_is_named() {
    let mut file = file().await;
    file.lines[5].truncate(100);
    let (code, said) = file.verify(&[]);
    assert_eq!((code, said.len()), (1, 1));
    assert!(
        said[0].starts_with("line 6: half a line, 100 bytes: the gateway is writing it, was killed"),
        "{said:?}"
    );
}

#[tokio::test]
async fn appended_garbage_is_named() {
    let mut file = file().await;
    file.lines.push("{\"kind\":\"request\"}\n".into());
    assert_eq!(file.verify(&[]), broken("line 7: can't be read: not a record"));
}

#[tokio::test]
async fn a_file_that_begins_in_the_middle_needs_the_hash_before_it() {
    let mut file = file().await;
    let before = file.hash(2);
    file.lines.drain(..3);
    let said = "line 1: begins in the middle, with seq 3: give the hash of the record before it, if you kept it (--from-hash)";
    assert_eq!(file.verify(&[]), broken(said));
    assert_eq!(file.verify(&["--from-hash", &before]), UNBROKEN);
}

#[tokio::test]
async fn programs_get_the_same_as_json() {
    let mut file = file().await;
    file.lines.remove(2);
    std::fs::write(&file.path, file.lines.concat()).unwrap();
    let output = sallyport(&["verify", file.path.to_str().unwrap(), "--json"], &[]);
    assert_eq!(output.status.code(), Some(1));
    let said: Value = serde_json::from_slice(&output.stdout).unwrap();
    let damage =
        json!([{"line": 3, "code": "removed", "text": "removed: before this line, seq 2 is missing"}]);
    assert_eq!(
        said,
        json!({"file": file.path, "unbroken": false, "records": 5, "tip": {"seq": 5, "hash": file.hash(4)},
            "stopped": false, "damage": damage, "more": 0})
    );
}

#[tokio::test]
async fn standard_input_is_verified_too() {
    use std::io::Write;
    let file = file().await;
    let mut child = Command::new(program("sallyport"))
        .args(["audit", "verify", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(file.lines.concat().as_bytes()).unwrap();
    assert!(child.wait().unwrap().success());
}

#[test]
fn what_cannot_be_read_is_an_exit_code_of_its_own() {
    for (command, options) in [
        (["verify", "/nowhere/audit.jsonl"], &[][..]),
        (["verify", "/"], &[]),
        (["tip", "/nowhere/audit.jsonl"], &[]),
        (["verify", "/dev/null"], &["--expect", "5"]),
        (["verify", "/dev/null"], &["--from-hash", "ABCD"]),
    ] {
        let output = sallyport(&command, options);
        assert_eq!(output.status.code(), Some(2), "{command:?}");
        assert!(!output.stderr.is_empty() && output.stdout.is_empty());
    }
}
