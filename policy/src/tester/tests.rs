#![allow(clippy::unwrap_used, reason = "a test ends by panicking")]

use super::{Outcome, run};
use crate::SourceFile;

fn outcomes(test: &str) -> Vec<(String, Outcome, String)> {
    let policy = "package tools.s3\n\nallow if input.n == 1\n";
    let test = format!("package tools.s3_test\n\nimport data.tools.s3\n\n{test}\n");
    let files = [("tools/s3.rego", policy), ("tools/s3_test.rego", test.as_str())]
        .map(|(path, text)| SourceFile { path: path.into(), text: text.into() });
    let report = run(&files, None).unwrap();
    report.cases.into_iter().map(|case| (case.name, case.outcome, case.note)).collect()
}

fn outcome(test: &str) -> Outcome {
    let found = outcomes(test);
    assert_eq!(found.len(), 1, "{found:?}");
    found[0].1
}

#[test]
fn true_passes_and_everything_else_fails() {
    assert_eq!(outcome("test_x if s3.allow with input as {\"n\": 1}"), Outcome::Passed);
    assert_eq!(outcome("test_x if s3.allow with input as {\"n\": 2}"), Outcome::Failed);
    assert_eq!(outcome("test_x := false"), Outcome::Failed);
    assert_eq!(outcome("test_x := 7"), Outcome::Failed);
}

#[test]
fn an_error_is_an_error_and_a_todo_is_skipped() {
    assert_eq!(outcome("test_x if to_number(\"x\") == 1"), Outcome::Error);
    assert_eq!(outcome("todo_test_x if false"), Outcome::Skipped);
    assert_eq!(outcome("test_x(n) if n == 1"), Outcome::Error);
}

#[test]
fn rules_that_are_no_tests_are_not_run() {
    assert_eq!(outcomes("helper := false\nattest_x := false"), []);
}

#[test]
fn two_tests_of_one_name_are_two_tests() {
    let found = outcomes("test_x if true\ntest_x if false");
    assert_eq!(found[0].1, Outcome::Passed);
    assert_eq!((found[1].0.as_str(), found[1].1), ("test_x#2", Outcome::Failed));
}

const TABLE: &str = r#"test_x[name] if {
    some name, case in {"one": {"n": 1, "want": true}, "two": {"n": SECOND, "want": true}}
    s3.allow == case.want with input as {"n": case.n}
}"#;

#[test]
fn a_sub_case_that_vanishes_fails_its_test() {
    assert_eq!(outcome(&TABLE.replace("SECOND", "1")), Outcome::Passed);
    let found = outcomes(&TABLE.replace("SECOND", "2"));
    assert_eq!(found[0].1, Outcome::Failed);
    assert_eq!(found[0].2, r#"1 of 2 sub-cases failed: ["two"]"#);
}

#[test]
fn sub_cases_may_be_named_in_other_ways() {
    for (test, want) in [
        ("cases := {\"a\": 1, \"b\": N}\ntest_x[name] if { some name\n n := cases[name]\n n == 1 }", "b"),
        ("cases := {\"a\": 1, \"b\": N}\ntest_x contains name if { some name, n in cases; n == 1 }", "b"),
        ("test_x[kind][name] if { some kind in [\"k\"]; some name, n in {\"b\": N}; n == 1 }", "b"),
        ("test_x[name] if { some c in [{\"name\": \"b\", \"n\": N}]; name := c.name; c.n == 1 }", "b"),
        ("test_x[name] := n == 1 if some name, n in {\"a\": 1, \"b\": N}", "b"),
        ("test_x[\"b\"] if N == 1", "b"),
        ("test_x[name] if { n := N; name := \"b\"; n == 1 }", "b"),
        ("test_x[name] if { p := `a`; [_, name] := [p, \"b\"]; N == 1 }", "b"),
        ("test_x[sprintf(\"%s!\", [c])] if { some c, n in {\"b\": N}; n == 1 }", "b!"),
        ("test_x[name] if {\n some name, n in {\n  \"a\": 1, # one\n  \"b\": N,\n }\n n == 1\n}", "b"),
    ] {
        let found = outcomes(&test.replace('N', "1"));
        assert_eq!(found[0].1, Outcome::Passed, "{test}: {found:?}");
        let found = outcomes(&test.replace('N', "2"));
        assert_eq!(found[0].1, Outcome::Failed, "{test}");
        assert!(found[0].2.contains(&format!("{want:?}")), "{test}: {found:?}");
    }
}

#[test]
fn sub_cases_that_cannot_be_counted_are_an_error() {
    assert_eq!(outcome("c := {\"a\": 1, \"b\": 2}\ntest_x[name] if c[name] == 1"), Outcome::Error);
    assert_eq!(outcome("test_x[name] if some name, n in {}"), Outcome::Failed);
}

#[test]
fn a_filter_chooses_tests_by_name() {
    let text = "package guard_test\ntest_one if true\ntest_two if true\n";
    let files = [SourceFile { path: "guard/base_test.rego".into(), text: text.into() }];
    let report = run(&files, Some("guard_test.test_two")).unwrap();
    assert_eq!((report.passed(), report.failed(), report.skipped()), (1, 0, 0));
}

#[test]
fn what_a_test_prints_stands_in_its_note() {
    let found = outcomes("test_x if { print(\"here\", 7); false }");
    assert!(found[0].2.contains("here 7"), "{found:?}");
}
