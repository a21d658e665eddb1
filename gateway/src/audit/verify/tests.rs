//! Every way to damage a file, and what is said of it.
#![allow(clippy::unwrap_used, reason = "a test ends by panicking")]

use super::super::facts::Facts;
use super::*;
use std::time::UNIX_EPOCH;

/// A whole file, line by line, each with its line end.
fn file(count: u64) -> Vec<Vec<u8>> {
    let mut tip = Hash::default();
    (0..count)
        .map(|seq| {
            let mut line = Vec::new();
            let facts = Facts { cause: Some(format!("nr {seq}\n")), ..Facts::default() };
            facts.line("request", UNIX_EPOCH).seal(seq, &mut tip, &mut line);
            line
        })
        .collect()
}

fn hash_of(line: &[u8]) -> Hash {
    place(line.strip_suffix(b"\n").unwrap()).unwrap().hash
}

fn with(lines: &[Vec<u8>], expect: Expect) -> Vec<(u64, What)> {
    let report = verify(lines.concat().as_slice(), expect, 4096, |_| {}).unwrap();
    report.damage.into_iter().map(|d| (d.line, d.what)).collect()
}

fn damage(lines: &[Vec<u8>]) -> Vec<(u64, What)> {
    with(lines, Expect::default())
}

#[test]
fn a_whole_file_is_unbroken() {
    for count in [0, 1, 2, 50] {
        assert_eq!(damage(&file(count)), []);
    }
    let lines = file(3);
    let report = verify(lines.concat().as_slice(), Expect::default(), 4096, |_| {}).unwrap();
    assert_eq!((report.records, report.tip.unwrap().next), (3, 3));
}

#[test]
fn a_changed_record_is_named() {
    let mut lines = file(9);
    let text = String::from_utf8(file(9)[4].clone()).unwrap().replace("nr 4", "nr 5");
    lines[4] = text.into_bytes();
    assert_eq!(damage(&lines), [(5, What::Changed { seq: 4 })]);
}

#[test]
fn removed_records_are_named_by_their_numbers() {
    let mut lines = file(9);
    lines.remove(3);
    assert_eq!(damage(&lines), [(4, What::Removed { from: 3, to: 3 })]);
    lines.drain(4..6);
    assert_eq!(
        damage(&lines),
        [(4, What::Removed { from: 3, to: 3 }), (5, What::Removed { from: 5, to: 6 })]
    );
}

#[test]
fn moved_records_are_named() {
    let mut lines = file(9);
    lines.swap(3, 4);
    assert_eq!(damage(&lines), [(5, What::Moved { seq: 3 })]);
    let mut lines = file(9);
    let last = lines.pop().unwrap();
    lines.insert(1, last);
    let found = damage(&lines);
    assert!(
        found.len() >= 7 && found.iter().all(|(_, what)| matches!(what, What::Moved { .. })),
        "{found:?}"
    );
}

#[test]
fn inserted_lines_are_named() {
    let mut lines = file(9);
    let copy = lines[2].clone();
    lines.insert(6, copy);
    assert_eq!(damage(&lines), [(7, What::Repeated { seq: 2 })]);
    let mut lines = file(9);
    lines.insert(6, b"{}\n".to_vec());
    assert_eq!(damage(&lines), [(7, What::Unreadable(Unreadable::NotARecord))]);
    lines.insert(9, b"garbage\n".to_vec());
    assert_eq!(damage(&lines).len(), 2);
}

#[test]
fn a_forged_record_that_is_whole_in_itself_does_not_join() {
    let mut lines = file(9);
    let (mut forged, mut tip) = (Vec::new(), hash_of(&lines[3]));
    Facts::default().line("request", UNIX_EPOCH).seal(4, &mut tip, &mut forged);
    lines[4] = forged;
    assert_eq!(damage(&lines), [(6, What::NotJoined { seq: 5 })]);
}

#[test]
fn a_cut_end_is_found_by_who_knows_the_tip() {
    let lines = file(9);
    let expect = |seq: u64, line: &[u8]| Expect { record: Some((seq, hash_of(line))), ..Expect::default() };
    assert_eq!(with(&lines, expect(8, &lines[8])), []);
    assert_eq!(with(&lines, expect(5, &lines[5])), [], "the file may have grown since");
    assert_eq!(damage(&lines[..7]), [], "a chain alone does not show it");
    assert_eq!(with(&lines[..7], expect(8, &lines[8])), [(8, What::Cut { seq: 8 })]);
    assert_eq!(with(&lines, expect(8, &lines[7])), [(9, What::Rewritten { seq: 8 })]);
}

#[test]
fn half_a_line_at_the_end_is_named_as_that() {
    let mut lines = file(3);
    lines[2].truncate(20);
    assert_eq!(damage(&lines), [(3, What::Half { bytes: 20 })]);
    let mut lines = file(3);
    lines[2].pop();
    assert!(matches!(damage(&lines)[..], [(3, What::Half { .. })]), "a record without its line end");
}

#[test]
fn a_file_that_begins_in_the_middle_needs_the_hash_before_it() {
    let lines = file(9);
    assert_eq!(damage(&lines[4..]), [(1, What::Begins { seq: 4 })]);
    let from = |line: &[u8]| Expect { from: Some(hash_of(line)), ..Expect::default() };
    assert_eq!(with(&lines[4..], from(&lines[3])), []);
    assert_eq!(with(&lines[4..], from(&lines[2])), [(1, What::NotJoined { seq: 4 })]);
}

#[test]
fn a_line_that_is_too_long_is_not_held() {
    let mut lines = file(4);
    lines.insert(2, [b"x".repeat(100_000), b"\n".to_vec()].concat());
    assert_eq!(damage(&lines), [(3, What::TooLong { max: 4096 })]);
}

#[test]
fn any_changed_byte_is_found_on_its_line() {
    let whole = file(3).concat();
    let mut at_line = 1;
    for at in 0..whole.len() {
        for change in [1, 0x20, 0x80] {
            let mut bytes = whole.clone();
            bytes[at] ^= change;
            let report = verify(bytes.as_slice(), Expect::default(), 4096, |_| {}).unwrap();
            let first = report.damage.first().unwrap_or_else(|| panic!("byte {at} ^ {change} was not found"));
            assert_eq!(first.line, at_line, "byte {at} ^ {change}: {:?}", report.damage);
        }
        at_line += u64::from(whole[at] == b'\n');
    }
}

#[test]
fn any_removed_or_added_byte_is_found() {
    let whole = file(3).concat();
    for at in 0..whole.len() {
        for byte in [None, Some(b'0'), Some(b' '), Some(b'\n')] {
            let mut bytes = whole.clone();
            match byte {
                None => drop(bytes.remove(at)),
                Some(byte) => bytes.insert(at, byte),
            }
            if bytes == whole {
                continue;
            }
            let report = verify(bytes.as_slice(), Expect::default(), 4096, |_| {}).unwrap();
            assert!(!report.damage.is_empty(), "byte {at}, {byte:?}");
        }
    }
}

#[test]
fn a_verifier_takes_any_bytes() {
    // A small generator of our own: the same bytes on every run.
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let whole = file(4);
    let mut verifier = Verifier::new(Expect::default());
    for _ in 0..20_000 {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let mut line = whole[(state >> 60) as usize % 4].clone();
        let at = (state >> 20) as usize % line.len();
        line[at] = (state >> 8) as u8;
        line.truncate((state >> 40) as usize % 600);
        verifier.check(&line);
    }
    assert_eq!(verifier.end(0).damage.len(), DAMAGE_MAX);
}
