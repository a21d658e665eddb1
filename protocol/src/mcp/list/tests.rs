//! Lists, with what is kept and what is refused.

#![allow(clippy::unwrap_used, reason = "a test ends by panicking")]

use super::*;

const TOOLS: &str = r#"{"jsonrpc":"2.0", "id":1,"result" : {"nextCursor":"n","tools":[ {"name":"a","x":12345678901234567890123} ,{"n\u0061me":"b", "inputSchema":{"Name":1,"name":2}}],"ttlMs":1.0},"later":1e999}"#;

fn filtered(kind: ListKind, version: Version, body: &str, names: &[&str]) -> Result<String, ListError> {
    let bytes = filter_list(kind, version, body.as_bytes(), &mut |item| names.contains(&&*item.key))?;
    Ok(String::from_utf8(bytes).unwrap())
}

fn legacy(body: &str, names: &[&str]) -> Result<String, ListError> {
    filtered(ListKind::Tools, Version::V2025_11_25, body, names)
}

fn stateless(body: &str, names: &[&str]) -> Result<String, ListError> {
    filtered(ListKind::Tools, Version::V2026_07_28, body, names)
}

#[test]
fn what_is_kept_stays_byte_for_byte() {
    assert_eq!(legacy(TOOLS, &["a", "b"]).unwrap(), TOOLS);
    let without_b = r#"{"jsonrpc":"2.0", "id":1,"result" : {"nextCursor":"n","tools":[{"name":"a","x":12345678901234567890123}],"ttlMs":1.0},"later":1e999}"#;
    assert_eq!(legacy(TOOLS, &["a"]).unwrap(), without_b);
    let without_a = r#"{"jsonrpc":"2.0", "id":1,"result" : {"nextCursor":"n","tools":[{"n\u0061me":"b", "inputSchema":{"Name":1,"name":2}}],"ttlMs":1.0},"later":1e999}"#;
    assert_eq!(legacy(TOOLS, &["b"]).unwrap(), without_a);
    assert!(legacy(TOOLS, &[]).unwrap().contains(r#""tools":[],"ttlMs":1.0"#));
}

#[test]
fn a_filtered_list_is_private_in_the_stateless_version_only() {
    for (scope, names) in [("public", &["a"][..]), ("public", &[]), ("private", &["a"])] {
        let body = format!(r#"{{"result":{{"cacheScope":"{scope}" ,"tools":[{{"name":"a"}}]}}}}"#);
        let answer = stateless(&body, names).unwrap();
        assert!(answer.starts_with(r#"{"result":{"cacheScope":"private" ,"tools":["#), "{answer}");
        assert!(legacy(&body, &["a"]).unwrap().contains(scope));
    }
    let behind = r#"{"result":{"tools":[{"name":"a"}],"cacheScope":null}}"#;
    assert_eq!(stateless(behind, &[]).unwrap(), r#"{"result":{"tools":[],"cacheScope":"private"}}"#);
    let missing = r#"{"result":{ "tools":[]}}"#;
    assert_eq!(stateless(missing, &[]).unwrap(), r#"{"result":{"cacheScope":"private", "tools":[]}}"#);
}

#[test]
fn each_kind_has_its_own_key() {
    for (kind, body) in [
        (ListKind::Tools, r#"{"result":{"tools":[{"name":"a"},{"name":"b"}]}}"#),
        (ListKind::Prompts, r#"{"result":{"prompts":[{"name":"a"},{"name":"b"}]}}"#),
        (ListKind::Resources, r#"{"result":{"resources":[{"name":"b","uri":"a"},{"name":"a","uri":"b"}]}}"#),
        (
            ListKind::ResourceTemplates,
            r#"{"result":{"resourceTemplates":[{"uriTemplate":"a"},{"uriTemplate":"b"}]}}"#,
        ),
    ] {
        let answer = filtered(kind, Version::V2025_11_25, body, &["a"]).unwrap();
        assert_eq!(answer.matches('}').count(), 3, "{answer}");
        let all = filtered(kind, Version::V2025_11_25, body, &["a", "b"]).unwrap();
        assert_eq!(all, body);
    }
}

#[test]
fn what_holds_no_list_passes_unchanged() {
    for body in [
        r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32603,"message":"tools"}}"#,
        r#"{"jsonrpc":"2.0","id":1,"result":{}}"#,
        r#"{"jsonrpc":"2.0","id":1,"result":null,"error":{}}"#,
        r#"{"jsonrpc":"2.0","method":"notifications/message","params":{"tools":[{"name":"b"}]}}"#,
    ] {
        assert_eq!(stateless(body, &["a"]).unwrap(), body);
    }
}

#[test]
fn a_list_that_two_readers_see_differently_does_not_pass() {
    let pairs = [
        (
            r#"{"result":{"tools":[]},"results":1}"#,
            r#"{"result":{"tools":[]},"result":{"tools":[{"name":"b"}]}}"#,
        ),
        (r#"{"result":{"tools":[],"x":1}}"#, r#"{"result":{"tools":[],"tools":[{"name":"b"}]}}"#),
        (r#"{"result":{"tools":[{"name":"a","x":1}]}}"#, r#"{"result":{"tools":[{"name":"a","name":"b"}]}}"#),
        (
            r#"{"result":{"tools":[{"name":"a"}],"cacheScope":1}}"#,
            r#"{"result":{"tools":[],"cacheScope":1,"cacheScope":1}}"#,
        ),
    ];
    for (passes, repeated) in pairs {
        assert!(stateless(passes, &["a"]).is_ok(), "{passes}");
        assert_eq!(stateless(repeated, &["a"]), Err(ListError::DuplicateKey), "{repeated}");
    }
    for variant in [
        r#"{"Result":{"tools":[{"name":"b"}]}}"#,
        r#"{"result":{"Tools":[{"name":"b"}]}}"#,
        r#"{"result":{"tools":[],"TOOLS":[{"name":"b"}]}}"#,
        r#"{"result":{"tools":[{"name":"a","Name":"b"}]}}"#,
    ] {
        assert_eq!(stateless(variant, &["a"]), Err(ListError::CaseVariant), "{variant}");
    }
}

#[test]
fn what_can_not_be_read_does_not_pass() {
    for (body, why) in [
        ("", ListError::NotAMessage),
        ("[]", ListError::NotAMessage),
        (r#"[{"result":{"tools":[{"name":"b"}]}}]"#, ListError::NotAMessage),
        (r#"{"result":{"tools":[]}} x"#, ListError::NotAMessage),
        (r#"{"result":[{"name":"b"}]}"#, ListError::Result),
        (r#"{"result":{"tools":{"name":"b"}}}"#, ListError::List),
        (r#"{"result":{"tools":null}}"#, ListError::List),
        (r#"{"result":{"tools":["b"]}}"#, ListError::Item),
        (r#"{"result":{"tools":[{"title":"b"}]}}"#, ListError::Item),
        (r#"{"result":{"tools":[{"name":1}]}}"#, ListError::Item),
        (r#"{"result":{"tools":[{"name":"\ud800"}]}}"#, ListError::Item),
    ] {
        assert_eq!(stateless(body, &["a", "b"]), Err(why), "{body}");
    }
    let broken = filter_list(ListKind::Tools, Version::V2026_07_28, b"{\"result\":\"\xFF\"}", &mut |_| true);
    assert_eq!(broken, Err(ListError::NotAMessage));
}
