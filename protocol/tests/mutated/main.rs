//! Good input, spoiled in many small ways, always the same ones: what holds for any bytes holds here.

#![allow(clippy::unwrap_used, reason = "a test ends by panicking")]

mod a2a;
mod properties;

use std::fs;
use std::path::{Path, PathBuf};

const MUTATIONS: usize = 400;

/// Pieces that matter to some parser.
const PIECES: &[&[u8]] = &[
    b"\"",
    b"\\",
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b":",
    b"\r",
    b"\n",
    b"\r\n",
    b"\n\n",
    b" ",
    b"0",
    b"-",
    b"1e999",
    b"null",
    b"\\ud800",
    b"\\u0000",
    b"\xFF",
    b"\xEF\xBB\xBF",
    b"data:",
    b"\"name\":\"x\",",
    b"\"Name\":\"x\",",
    b"\"id\":1,",
    b"\"params\":{},",
    b"\"result\":{},",
    b"\"resultType\":\"input_required\",",
    b"18446744073709551616",
];

/// Numbers that look random and are the same in every run (xorshift64).
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % end.max(1) as u64) as usize
    }

    fn spoil(&mut self, bytes: &mut Vec<u8>) {
        let at = self.below(bytes.len());
        let end = at + self.below((bytes.len() - at).min(24));
        match self.below(5) {
            0 => bytes[at] = self.below(256) as u8,
            1 => drop(bytes.splice(at..at, PIECES[self.below(PIECES.len())].iter().copied())),
            2 => drop(bytes.drain(at..end)),
            3 => bytes.extend_from_within(at..end),
            _ => {
                let piece = bytes[at..end].to_vec();
                let to = self.below(bytes.len());
                bytes.splice(to..to, piece);
            }
        }
    }
}

/// Calls `property` with every seed of a fuzz target as it is, and spoiled once to four times. Good bytes and bad ones
/// must come by.
#[track_caller]
fn holds(target: &str, property: fn(&[u8]) -> bool) {
    let mut dice = Dice(0x5A11_7907);
    let (mut good, mut bad) = (0, 0);
    for seed in seeds(target) {
        assert!(property(&seed), "{}", String::from_utf8_lossy(&seed));
        for _ in 0..MUTATIONS {
            let mut bytes = seed.clone();
            for _ in 0..=dice.below(4) {
                if !bytes.is_empty() {
                    dice.spoil(&mut bytes);
                }
            }
            *if property(&bytes) { &mut good } else { &mut bad } += 1;
        }
    }
    assert!(good > MUTATIONS / 20 && bad > 0, "{good} good, {bad} bad");
}

/// What the fuzz target of this name begins with, in the same order everywhere.
fn seeds(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/seeds").join(target);
    let mut paths: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.iter().map(|path| fs::read(path).unwrap()).collect()
}

#[test]
fn the_scanner_accepts_nothing_that_another_parser_refuses() {
    holds("json", properties::json);
}

#[test]
fn a_call_is_what_another_parser_reads_in_the_body() {
    holds("call", properties::call);
}

#[test]
fn headers_are_read_as_they_are_or_refused() {
    holds("headers", properties::headers);
}

#[test]
fn a_name_in_the_place_of_another_changes_no_other_byte() {
    holds("rename", properties::rename);
}

#[test]
fn a_list_loses_what_goes_and_nothing_else() {
    holds("list", properties::list);
}

#[test]
fn an_answer_that_streams_by_hides_nothing() {
    holds("answer", properties::answer);
}

#[test]
fn a_stream_loses_no_byte_however_it_is_cut() {
    holds("events", properties::events);
}

#[test]
fn a_call_of_a2a_is_what_another_parser_reads_in_the_body() {
    holds("a2a_rpc", a2a::a2a_rpc);
}

#[test]
fn a_path_of_a2a_that_goes_on_is_the_call_that_was_judged() {
    holds("a2a_rest", a2a::a2a_rest);
}

#[test]
fn a_message_of_a2a_without_its_tenant_is_the_same_call() {
    holds("a2a_grpc", a2a::a2a_grpc);
}

#[test]
fn an_agents_answer_is_read_or_refused() {
    holds("a2a_answer", a2a::a2a_answer);
}

#[test]
fn what_a_card_is_signed_and_pinned_by_is_a_card_of_its_own() {
    holds("card", a2a::card);
}
