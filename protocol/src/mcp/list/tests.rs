//! Lists, with what is kept and what is refused.

#![allow(clippy::unwrap_used, reason = "a test ends by panicking")]

use super::*;
use crate::mcp::ServerMessage;

const TOOLS: &str = r#"{"jsonrpc":"2.0", "id":1,"result" : {"nextCursor":"n","tools":[ {"name":"a","x":12345678901234567890123} ,{"n\u0061me":"b", "inputSchema":{"Name":1,"name":2}}],"ttlMs":1.0},"later":1e999}"#;

fn filtered(version: Version, body: &str, names: &[&str]) -> Result<String, MessageError> {
    let message = ServerMessage::read(body.as_bytes())?;
    let bytes = message.filtered(version, &mut |_, item| names.contains(&&*item.key))?;
    Ok(String::from_utf8(bytes.into_owned()).unwrap())
}

fn legacy(body: &str, names: &[&str]) -> Result<String, MessageError> {
    filtered(Version::V2025_11_25, body, names)
}

fn stateless(body: &str, names: &[&str]) -> Result<String, MessageError> {
    filtered(Version::V2026_07_28, body, names)
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
        let answer = legacy(body, &["a"]).unwrap();
        assert_eq!(answer.matches('}').count(), 3, "{answer}");
        assert_eq!(legacy(body, &["a", "b"]).unwrap(), body);
        let message = ServerMessage::read(body.as_bytes()).unwrap();
        let none = message.filtered(Version::V2025_11_25, &mut |of, _| of != kind).unwrap();
        assert!(String::from_utf8_lossy(&none).contains("[]"), "{kind:?}");
    }
}

#[test]
fn lists_of_all_kinds_in_one_answer_are_filtered_at_once() {
    let body = r#"{"result":{"prompts":[{"name":"b"}], "resourceTemplates":[{"uriTemplate":"a"},{"uriTemplate":"b"}],"tools":[{"name":"a"}],"resources":[{"uri":"b"},{"uri":"a"}]}}"#;
    let kept = r#"{"result":{"prompts":[], "resourceTemplates":[{"uriTemplate":"a"}],"tools":[{"name":"a"}],"resources":[{"uri":"a"}]}}"#;
    assert_eq!(legacy(body, &["a"]).unwrap(), kept);
    let private = stateless(body, &["a"]).unwrap();
    assert_eq!(private, kept.replace(r#""result":{"#, r#""result":{"cacheScope":"private","#));
    let broken = body.replace(r#"[{"name":"b"}]"#, "1");
    assert_eq!(legacy(&broken, &["a"]), Err(MessageError::List));
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
        assert_eq!(stateless(repeated, &["a"]), Err(MessageError::DuplicateKey), "{repeated}");
    }
    for variant in [
        r#"{"Result":{"tools":[{"name":"b"}]}}"#,
        r#"{"result":{"Tools":[{"name":"b"}]}}"#,
        r#"{"result":{"tools":[],"TOOLS":[{"name":"b"}]}}"#,
        r#"{"result":{"tools":[{"name":"a","Name":"b"}]}}"#,
    ] {
        assert_eq!(stateless(variant, &["a"]), Err(MessageError::CaseVariant), "{variant}");
    }
}

#[test]
fn what_can_not_be_read_does_not_pass() {
    for (body, why) in [
        ("", MessageError::NotAMessage),
        ("[]", MessageError::NotAMessage),
        (r#"[{"result":{"tools":[{"name":"b"}]}}]"#, MessageError::NotAMessage),
        (r#"{"result":{"tools":[]}} x"#, MessageError::NotAMessage),
        (r#"{"result":[{"name":"b"}]}"#, MessageError::Result),
        (r#"{"result":{"tools":{"name":"b"}}}"#, MessageError::List),
        (r#"{"result":{"tools":null}}"#, MessageError::List),
        (r#"{"result":{"tools":["b"]}}"#, MessageError::Item),
        (r#"{"result":{"tools":[{"title":"b"}]}}"#, MessageError::Item),
        (r#"{"result":{"tools":[{"name":1}]}}"#, MessageError::Item),
        (r#"{"result":{"tools":[{"name":"\ud800"}]}}"#, MessageError::Item),
    ] {
        assert_eq!(stateless(body, &["a", "b"]), Err(why), "{body}");
    }
    assert_eq!(ServerMessage::read(b"{\"result\":\"\xFF\"}").err(), Some(MessageError::NotAMessage));
}
