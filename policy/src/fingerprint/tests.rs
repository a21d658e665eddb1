//! What makes two documents look the same, and what does not.
#![allow(clippy::unwrap_used, reason = "a test ends by panicking")]

use serde_json::{Value, json};

use super::{BYTES_MAX, Fingerprint, fingerprint};
use crate::reads::Reads;

fn print(paths: &[&str], document: &Value) -> Fingerprint {
    let mut reads = Reads::nothing();
    paths.iter().for_each(|path| reads.add(&path.split('.').collect::<Vec<_>>()));
    fingerprint(&[b"x"], &reads, document).unwrap()
}

#[test]
fn what_is_not_read_changes_nothing_and_what_is_read_does() {
    let paths = ["a.b", "c"];
    let one = print(&paths, &json!({"a": {"b": 1, "x": 1}, "c": [1, {"d": null}], "y": 1}));
    let same = print(&paths, &json!({"a": {"b": 1, "x": [2]}, "c": [1, {"d": null}]}));
    assert_eq!(one, same);
    for other in [
        json!({"a": {"b": 2}, "c": [1, {"d": null}]}),
        json!({"a": {"b": "1"}, "c": [1, {"d": null}]}),
        json!({"a": {"b": 1}, "c": [1, {"d": false}]}),
        json!({"a": {"b": 1}, "c": [1, {"e": null}]}),
        json!({"a": {"b": 1}, "c": [[1], {"d": null}]}),
        json!({"a": {"b": 1}}),
        json!({"a": {}, "c": [1, {"d": null}]}),
        json!({"a": "b", "c": [1, {"d": null}]}),
        json!({"c": [1, {"d": null}]}),
    ] {
        assert_ne!(one, print(&paths, &other), "{other}");
    }
}

#[test]
fn no_two_documents_are_written_the_same() {
    let documents = [
        json!(null),
        json!(true),
        json!(false),
        json!(0),
        json!(-1),
        json!(0.0),
        json!(-0.0),
        json!(1),
        json!(1.0),
        json!(u64::MAX),
        json!(""),
        json!("0"),
        json!([]),
        json!({}),
        json!([[]]),
        json!([[], []]),
        json!([{}]),
        json!({"": {}}),
        json!({"a": "b"}),
        json!(["a", "b"]),
        json!(["ab"]),
        json!(["a", ["b"]]),
        json!([["a"], "b"]),
        json!({"a": {"b": 1}}),
        json!({"a": {}, "b": 1}),
        json!({"a": 1, "b": {}}),
        json!({"ab": 1}),
        json!("k\u{1}\0\0\0=a"),
        json!({"$serde_json::private::Number": "1"}),
    ];
    let mut prints: Vec<Fingerprint> = Vec::new();
    for document in &documents {
        let print = fingerprint(&[b"x"], &Reads::All, document).unwrap();
        assert!(!prints.contains(&print), "{document}");
        prints.push(print);
    }
}

#[test]
fn the_context_is_part_of_it() {
    let print = |context: &[&[u8]]| fingerprint(context, &Reads::All, &json!(1)).unwrap();
    assert_ne!(print(&[b"a", b"b"]), print(&[b"ab"]));
    assert_ne!(print(&[b"a", b"b"]), print(&[b"ab", b""]));
}

#[test]
fn what_is_too_large_has_none() {
    let long = json!("x".repeat(BYTES_MAX));
    assert_eq!(fingerprint(&[b"x"], &Reads::All, &long), None);
    let mut reads = Reads::nothing();
    reads.add(&["a"]);
    assert!(fingerprint(&[b"x"], &reads, &json!({"a": 1, "b": long})).is_some());
}
