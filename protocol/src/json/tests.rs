//! Each refused document stands beside its accepted twin.

use super::*;

fn reason(document: &str) -> &'static str {
    check(document.as_bytes(), &Limits::default()).map_or_else(|error| error.reason(), |()| "accepted")
}

#[track_caller]
fn twins(accepted: &str, refused: &str, why: &str) {
    assert_eq!(reason(accepted), "accepted", "{accepted}");
    assert_eq!(reason(refused), why, "{refused}");
}

#[test]
fn a_repeated_key_is_refused_at_any_depth_and_however_it_is_written() {
    twins(r#"{"a":1,"b":2}"#, r#"{"a":1,"a":2}"#, "duplicate_key");
    twins(r#"{"a":1,"\u0062":2}"#, r#"{"a":1,"\u0061":2}"#, "duplicate_key");
    twins(r#"[[{"x":{"":1,"a":{}}}]]"#, r#"[[{"x":{"":1,"":{}}}]]"#, "duplicate_key");
    twins(r#"{"a":{"k":1},"b":{"k":1}}"#, r#"{"a":{"k":1,"j":2,"k":1},"b":{}}"#, "duplicate_key");
    twins(r#"{"a":{"a":{"a":1}}}"#, r#"{"a":{"b":{"a":1}},"a":1}"#, "duplicate_key");
}

#[test]
fn keys_that_differ_in_case_only_are_refused() {
    twins(r#"{"name":1,"named":2}"#, r#"{"name":1,"Name":2}"#, "case_variant_key");
    twins(r#"{"k":1,"q":2}"#, "{\"k\":1,\"\u{212A}\":2}", "case_variant_key"); // The sign for kelvin.
    twins(r#"{"s":1,"z":2}"#, "{\"s\":1,\"\u{17F}\":2}", "case_variant_key"); // The long s.
    twins("{\"σ\":1,\"τ\":2}", "{\"σ\":1,\"ς\":2}", "case_variant_key");
    twins("{\"i\":1,\"j\":2}", "{\"i\":1,\"\u{130}\":2}", "case_variant_key");
    twins(r#"{"strasse":1,"straße":2}"#, r#"{"straße":1,"STRAßE":2}"#, "case_variant_key");
}

#[test]
fn below_the_arguments_of_a_call_case_may_be_all_that_differs() {
    let limits = Limits::default();
    let inside = br#"{"params":{"arguments":{"a":1,"A":[{"b":1,"B":2}]}}}"#;
    assert!(check_call(inside, &limits, true).is_ok());
    assert_eq!(check_call(inside, &limits, false).map_err(|e| e.reason()), Err("case_variant_key"));
    for outside in [
        r#"{"params":{"arguments":{},"x":{"a":1,"A":2}}}"#,
        r#"{"params":{"arguments":{},"Arguments":{}}}"#,
        r#"{"arguments":{"a":1,"A":2}}"#,
        r#"{"x":{"params":{"arguments":{"a":1,"A":2}}}}"#,
        r#"[{"params":{"arguments":{"a":1,"A":2}}}]"#,
    ] {
        let found = check_call(outside.as_bytes(), &limits, true).map_err(|e| e.reason());
        assert_eq!(found, Err("case_variant_key"), "{outside}");
    }
    let repeated = br#"{"params":{"arguments":{"a":1,"A":2,"a":3}}}"#;
    assert_eq!(check_call(repeated, &limits, true).map_err(|e| e.reason()), Err("duplicate_key"));
}

#[test]
fn half_a_surrogate_pair_is_refused() {
    twins(r#""\ud83d\ude00""#, r#""\ud83d""#, "lone_surrogate");
    twins(r#""\uD83D\uDE00""#, r#""\uD83D\u0041""#, "lone_surrogate");
    twins(r#""\ud83d\ude00""#, r#""\ude00\ud83d""#, "lone_surrogate");
    twins(r#"{"\ud83d\ude00":1}"#, r#"{"\ud83dx":1}"#, "lone_surrogate");
}

#[test]
fn numbers_that_would_come_out_different_are_refused() {
    twins("18446744073709551615", "18446744073709551616", "inexact_number");
    twins("-9223372036854775808", "-9223372036854775809", "inexact_number");
    twins("9007199254740993", "12345678901234567890123", "inexact_number");
    twins("1e308", "1e999", "inexact_number");
    twins("-1.5E+3", "-1.5E+333", "inexact_number");
    twins("0", "-0", "inexact_number");
    twins("0.1", "0.10000000000000000001", "inexact_number");
    twins("0.30000000000000004", "0.30000000000000003", "inexact_number");
    twins("9007199254740992.0", "9007199254740993.0", "inexact_number");
    twins("1e22", "9007199254740993e0", "inexact_number");
    twins("18446744073709550e-1", "18446744073709551e-1", "inexact_number");
    twins("5e-324", "1e-400", "inexact_number");
    twins("0.0e5", "4e-325", "inexact_number");
    twins("1.7976931348623157e308", "1.7976931348623159e308", "inexact_number");
    twins("700000000723000.2", "700000000723000.3", "inexact_number"); // Both are 700000000723000.25.
    twins("1e23", "1e99999999999999999999", "inexact_number");
    twins("-0.000000000000000012345e-5", "-1.00000000000000000001", "inexact_number");
    twins("100000000000000000000.0", "100000000000000000001.0", "inexact_number");
    twins("0.00000000000000000000e-99999999999999999999", "0.00000000000000000000e-", "invalid_json");
}

#[test]
fn the_grammar_of_rfc_8259_is_kept() {
    twins("[1,2]", "[1,2,]", "invalid_json");
    twins("[1,2]", "[,1]", "invalid_json");
    twins("[1,2]", "[1 2]", "invalid_json");
    twins(r#"{"a":1}"#, r#"{"a":1,}"#, "invalid_json");
    twins(r#"{"a":1}"#, r#"{"a" 1}"#, "invalid_json");
    twins(r#"{"a":1}"#, "{a:1}", "invalid_json");
    twins(r#"{"a":[]}"#, r#"{"a":[}"#, "invalid_json");
    twins(r#"{"a":{}}"#, r#"{"a":{]"#, "invalid_json");
    twins("10", "01", "trailing_bytes");
    twins("-1", "-", "invalid_json");
    twins("1.0", "1.", "invalid_json");
    twins("1.0", ".0", "invalid_json");
    twins("1e1", "1e", "invalid_json");
    twins("1", "+1", "invalid_json");
    twins("null", "nul", "invalid_json");
    twins("true", "True", "invalid_json");
    twins("false", "NaN", "invalid_json");
    twins(r#""\n""#, "\"\n\"", "invalid_json");
    twins(r#""\/""#, r#""\x""#, "invalid_json");
    twins(r#""\u00e9""#, r#""\u+0e9""#, "invalid_json");
    twins(r#""a""#, r#""a"#, "invalid_json");
    twins(" \t\r\n1 ", "\u{b}1", "invalid_json");
    twins("1", "", "invalid_json");
    twins("1", "/* one */1", "invalid_json");
}

#[test]
fn nothing_stands_before_or_behind_the_document() {
    twins("{}\n", "{}{}", "trailing_bytes");
    twins("{} ", "{}\0", "trailing_bytes");
    twins("{}", "{}]", "trailing_bytes");
    twins("{}", "\u{FEFF}{}", "byte_order_mark");
}

#[test]
fn text_that_is_not_utf_8_is_refused_where_it_breaks() {
    assert_eq!(check(b"\"\xC3\xA9\"", &Limits::default()), Ok(()));
    assert_eq!(check(b"\"\xC3\"", &Limits::default()), Err(JsonError::Utf8 { offset: 1 }));
    assert_eq!(check(b"\"\xED\xA0\x80\"", &Limits::default()), Err(JsonError::Utf8 { offset: 1 }));
}

#[test]
fn depth_is_bounded_and_a_deep_document_costs_no_stack() {
    let limits = Limits { depth_max: 3 };
    assert_eq!(check(b"[[{}]]", &limits), Ok(()));
    assert_eq!(check(b"[[{\"a\":[]}]]", &limits), Err(JsonError::Depth { offset: 7 }));
    let deep = "[".repeat(1_000_000);
    assert_eq!(reason(&deep), "too_deep");
    let deep = format!("{deep}{}", "]".repeat(1_000_000));
    assert_eq!(check(deep.as_bytes(), &Limits { depth_max: usize::MAX }), Ok(()));
}

#[test]
fn many_keys_cost_no_more_than_their_sorting() {
    let members: Vec<String> = (0..200_000).map(|n| format!("\"key{n}\":{n}")).collect();
    let document = format!("{{{}}}", members.join(","));
    assert_eq!(reason(&document), "accepted");
    let document = format!("{{{},\"key0\":0}}", members.join(","));
    assert_eq!(reason(&document), "duplicate_key");
}

#[test]
fn what_is_accepted_serde_json_reads_the_same_and_writes_again() {
    for document in [
        r#"{"a":[1,-1,18446744073709551615,-9223372036854775808],"b":{"c":"\u00e9"},"d":[true,false,null]}"#,
        r#"[[],{},"",0,{"a":{}},[{}]]"#,
    ] {
        assert_eq!(reason(document), "accepted");
        let value: serde_json::Value = serde_json::from_str(document).unwrap_or_default();
        let again: serde_json::Value = serde_json::from_str(&value.to_string()).unwrap_or_default();
        assert!(!value.is_null());
        assert_eq!(value, again);
    }
}

#[test]
fn members_are_found_by_their_exact_key_only() {
    let members = |text: &'static str| Members::of_text(text);
    let name = |text| members(text).map(|m| m.get("name").map(|v| v.map(|v| v.get().to_owned())));
    assert_eq!(name(r#"{"x":1,"name": [1] }"#), Some(Ok(Some("[1]".to_owned()))));
    assert_eq!(name(r#"{"n\u0061me":null}"#), Some(Ok(Some("null".to_owned()))));
    assert_eq!(name(r#"{"x":1}"#), Some(Ok(None)));
    assert_eq!(name(r#"{"name":1,"name":1}"#), Some(Err(MemberError::Duplicate)));
    assert_eq!(name(r#"{"Name":1}"#), Some(Err(MemberError::CaseVariant)));
    assert_eq!(name("[1]"), None);
}

#[test]
fn a_key_that_a_parser_reserves_for_itself_is_refused_however_it_is_written() {
    for key in
        ["$serde_json::private::RawValue", "$serde_json::private::Number", "\\u0024serde_json::private::x"]
    {
        for document in [format!(r#"{{"{key}":"1"}}"#), format!(r#"[{{"a":{{"{key}":"1"}}}}]"#)] {
            let refused = check(document.as_bytes(), &Limits::default());
            assert!(matches!(refused, Err(JsonError::ReservedKey { .. })), "{document}");
        }
    }
    assert_eq!(check(br#"{"serde_json::private::RawValue":"1"}"#, &Limits::default()), Ok(()));
}

#[test]
fn policys_reader_rounds_a_number_as_every_other_does() {
    for decimal in ["18446744073709550e-1", "-0.000000000000000012345e-5", "0.1", "1.7976931348623157e308"] {
        assert_eq!(serde_json::from_str::<f64>(decimal).ok(), decimal.parse().ok(), "{decimal}");
    }
}
