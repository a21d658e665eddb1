//! Files as a gateway finds them.
#![allow(clippy::unwrap_used, reason = "a test ends by panicking")]

use super::super::facts::Facts;
use super::*;
use std::path::PathBuf;
use std::time::UNIX_EPOCH;

fn lines(count: u64) -> (Vec<u8>, Tip) {
    let (mut out, mut hash) = (Vec::new(), Hash::default());
    for seq in 0..count {
        Facts::default().line("x", UNIX_EPOCH).seal(seq, &mut hash, &mut out);
    }
    (out, Tip { next: count, hash })
}

fn file(bytes: &[u8]) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("audit.jsonl");
    std::fs::write(&path, bytes).unwrap();
    (dir, path)
}

#[test]
fn a_chain_goes_on_where_its_file_ends() {
    for count in [0, 1, 2, 1000] {
        let (bytes, tip) = lines(count);
        let (_dir, path) = file(&bytes);
        let opened = Trail::open(&path, true).unwrap();
        assert_eq!((opened.tip, opened.cut), (tip, 0));
        assert_eq!(tip_of(&path).unwrap(), tip);
    }
}

#[test]
fn a_half_line_is_cut_off_and_a_record_that_only_lacks_its_line_end_stays() {
    let (two, tip) = lines(2);
    let (three, tip_of_three) = lines(3);
    for end in two.len() + 1..three.len() {
        let (_dir, path) = file(&three[..end]);
        let opened = Trail::open(&path, false).unwrap();
        let found = std::fs::read(&path).unwrap();
        if end == three.len() - 1 {
            assert_eq!((opened.tip, opened.cut, found == three), (tip_of_three, 0, true));
        } else {
            let cut = u64::try_from(end - two.len()).unwrap();
            assert_eq!((opened.tip, opened.cut, found == two), (tip, cut, true), "cut at {end}");
        }
    }
}

#[test]
fn a_long_line_at_the_end_is_found() {
    let (mut bytes, mut tip) = lines(3);
    let facts = Facts { arguments: Some("x".repeat(200_000)), ..Facts::default() };
    facts.line("request", UNIX_EPOCH).seal(3, &mut tip.hash, &mut bytes);
    let (_dir, path) = file(&bytes);
    assert_eq!(tip_of(&path).unwrap(), Tip { next: 4, hash: tip.hash });
}

#[test]
fn a_line_that_is_no_record_is_left_for_the_verifier() {
    let (mut bytes, tip) = lines(2);
    bytes.extend_from_slice(b"garbage\n");
    let (_dir, path) = file(&bytes);
    let opened = Trail::open(&path, false).unwrap();
    assert_eq!((opened.tip, opened.cut), (tip, 0));
    assert_eq!(std::fs::read(&path).unwrap(), bytes);
}

#[test]
fn a_file_of_something_else_is_not_touched() {
    for other in [&b"# notes\nmine\n"[..], b"{\"half\":", b"\n", b"x"] {
        let (_dir, path) = file(other);
        assert_eq!(Trail::open(&path, false).unwrap_err().kind(), ErrorKind::InvalidData);
        assert_eq!(std::fs::read(&path).unwrap(), other);
    }
}

#[test]
fn a_file_has_one_writer() {
    let (_dir, path) = file(b"");
    let first = Trail::open(&path, false).unwrap();
    assert!(Trail::open(&path, false).is_err());
    drop(first);
    assert!(Trail::open(&path, false).is_ok());
}
