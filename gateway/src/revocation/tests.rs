#![allow(clippy::unwrap_used, reason = "a test ends by panicking")]

use super::file::time;
use super::*;
use std::time::{Duration, UNIX_EPOCH};

const ALL: &str = r#"# a workload, a subject, a token, a session and a tool

{"spiffe_id": "spiffe://bank.test/agent/clerk"}
{"subject": {"iss": "https://idp.test", "sub": "alice"}, "until": "2026-11-21T10:00:00Z"}
{"jti": "t-1"}
{"session": "c2Vzc2lvbg"}
{"tool": "ledger/post/entry"}
"#;

fn list(text: &str) -> Revocations {
    Revocations::parse(text, 10).unwrap()
}

fn tool<'a>(server: &'a str, tool: &'a str) -> Name<'a> {
    Name::Tool { server: server.into(), tool: tool.into() }
}

#[test]
fn a_list_that_is_written_reads_the_same() {
    let list = list(ALL);
    assert_eq!((list.len(), list.text().lines().count()), (5, 5));
    assert_eq!(Revocations::parse(&list.text(), 10).unwrap(), list);
    assert!(list.text().contains(&session("c2Vzc2lvbg")), "of a session its digest alone");
    assert!(!list.text().contains("c2Vzc2lvbg"));
}

#[test]
fn what_is_on_the_list_is_revoked_and_what_differs_by_a_word_is_not() {
    let list = list(ALL);
    let subject = |iss: &'static str, sub: &'static str| Name::Subject { iss: iss.into(), sub: sub.into() };
    for (name, revoked) in [
        (Name::SpiffeId("spiffe://bank.test/agent/clerk".into()), true),
        (Name::SpiffeId("spiffe://bank.test/agent/clerk2".into()), false),
        (subject("https://idp.test", "alice"), true),
        (subject("https://idp.test", "bob"), false),
        (subject("https://other.test", "alice"), false),
        (Name::Jti("t-1".into()), true),
        (Name::Jti("t-2".into()), false),
        (Name::Session(session("c2Vzc2lvbg").into()), true),
        (Name::Session(session("c2Vzc2lvbh").into()), false),
        (tool("ledger", "post/entry"), true),
        (tool("ledger", "post"), false),
        (tool("ledgers", "post/entry"), false),
    ] {
        let asked = list.none_of([name.clone()], UNIX_EPOCH);
        assert_eq!(asked, if revoked { Err(Revoked::Listed(name)) } else { Ok(()) });
    }
}

#[test]
fn a_revocation_holds_until_its_end() {
    let list = list(ALL);
    let end = time("2026-11-21T10:00:00Z").unwrap();
    let alice = || [Name::Subject { iss: "https://idp.test".into(), sub: "alice".into() }];
    assert!(list.none_of(alice(), end - Duration::from_nanos(1)).is_err());
    assert!(list.none_of(alice(), end).is_ok());
    let mut later = list.clone();
    later.forget_ended(end);
    assert_eq!(later.len(), 4);
}

#[test]
fn of_two_ends_of_one_name_the_later_holds() {
    let line = |end: &str| format!("{{\"jti\": \"t\"{end}}}\n");
    let (first, second) = (", \"until\": \"2026-01-01T00:00:00Z\"", ", \"until\": \"2027-01-01T00:00:00Z\"");
    for (two, one) in
        [([first, second], second), ([second, first], second), ([first, ""], ""), (["", first], "")]
    {
        assert_eq!(list(&two.map(line).concat()), list(&line(one)));
    }
}

#[test]
fn a_list_with_one_line_that_is_no_entry_is_none() {
    for bad in [
        "nonsense",
        "{}",
        r#"{"until": "2026-11-21T10:00:00Z"}"#,
        r#"{"jti": "a", "tool": "s3/get_object"}"#,
        r#"{"jti": "a", "jti": "b"}"#,
        r#"{"jti": ""}"#,
        r#"{"jti": "a", "because": "x"}"#,
        r#"{"jti": "a", "until": "tomorrow"}"#,
        r#"{"spiffe_id": "https://bank.test/agent"}"#,
        r#"{"subject": {"iss": "", "sub": "alice"}}"#,
        r#"{"subject": {"iss": "https://idp.test"}}"#,
        r#"{"session": "sha256:abc"}"#,
        r#"{"tool": "get_object"}"#,
        r#"{"tool": "S3/get_object"}"#,
        r#"{"tool": "s3/"}"#,
    ] {
        let error = Revocations::parse(&format!("{ALL}{bad}\n"), 10).err().unwrap();
        assert_eq!(error.to_string(), "line 8", "{bad}");
    }
    assert!(Revocations::parse(ALL, 4).is_err(), "more than may be");
}

#[test]
fn a_new_list_is_another_epoch() {
    let first = list(ALL);
    let second = list("").after(&first);
    assert_eq!((first.epoch(), second.epoch(), second.clone().after(&second).epoch()), (0, 1, 2));
}

#[test]
fn events_end_with_each_name_of_the_token_that_asked_for_them() {
    let owner = Owner {
        iss: Some("https://people.test".into()),
        sub: Some("alice".into()),
        spiffe_id: "spiffe://bank.test/agent/auditor".into(),
    };
    let by = Provenance {
        subject: Some(("https://tokens.test".into(), "alice".into())), // Of credentials, for people of the other.
        jti: Some("t-1".into()),
        actors: vec!["spiffe://bank.test/agent/orchestrator".into()],
    };
    let trainer = "spiffe://bank.test/agent/trainer";
    let asked = |line: &str| list(line).relay([&owner, &owner], &by, trainer, UNIX_EPOCH).is_ok();
    for (revoked, other) in [
        ("{\"subject\": {\"iss\": \"https://tokens.test\", \"sub\": \"alice\"}}", "bob"),
        ("{\"subject\": {\"iss\": \"https://people.test\", \"sub\": \"alice\"}}", "bob"),
        ("{\"jti\": \"t-1\", \"until\": \"2026-11-21T10:00:00Z\"}", "t-2"),
        ("{\"spiffe_id\": \"spiffe://bank.test/agent/orchestrator\"}", "oracle"),
        ("{\"spiffe_id\": \"spiffe://bank.test/agent/trainer\"}", "coach"),
    ] {
        assert!(!asked(revoked), "{revoked}");
        let name =
            ["alice", "t-1", "orchestrator", "trainer"].into_iter().find(|name| revoked.contains(name));
        assert!(asked(&revoked.replace(name.unwrap(), other)), "{revoked} of {other}");
    }
}
