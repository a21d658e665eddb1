//! What a server may ask for, and the same one word away.

#![allow(clippy::unwrap_used, reason = "a test ends by panicking")]

use super::*;

fn unasked(text: &str, allowed: &[ServerRequest]) -> Result<Option<Unasked>, MessageError> {
    ServerMessage::read(text.as_bytes())?.unasked(allowed)
}

const KNOWN: [(&str, ServerRequest); 4] = [
    ("ping", ServerRequest::Ping),
    ("sampling/createMessage", ServerRequest::Sampling),
    ("elicitation/create", ServerRequest::Elicitation),
    ("roots/list", ServerRequest::Roots),
];

#[test]
fn a_request_needs_leave_for_its_own_kind() {
    for (method, kind) in KNOWN {
        let request = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{{}}}}"#);
        assert_eq!(unasked(&request, &[]), Ok(Some(Unasked::Request)));
        for (_, other) in KNOWN {
            let expected = (other != kind).then_some(Unasked::Request);
            assert_eq!(unasked(&request, &[other]), Ok(expected), "{method} {other:?}");
        }
    }
}

#[test]
fn what_no_version_knows_is_never_asked() {
    let all = KNOWN.map(|(_, kind)| kind);
    for method in [r#""tasks/get""#, r#""Sampling/createMessage""#, r#""tools/call""#, "7", "null"] {
        let request = format!(r#"{{"id":1,"method":{method}}}"#);
        assert_eq!(unasked(&request, &all), Ok(Some(Unasked::Request)), "{method}");
    }
}

#[test]
fn a_notification_and_a_plain_answer_ask_for_nothing() {
    for passes in [
        r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"id":1}}"#,
        r#"{"jsonrpc":"2.0","id":1,"result":{"resultType":"complete","method":"ping"}}"#,
        r#"{"jsonrpc":"2.0","id":1,"result":{"structuredContent":{"resultType":"input_required"}}}"#,
        r#"{"jsonrpc":"2.0","id":1,"result":[]}"#,
        r#"{"jsonrpc":"2.0","id":1,"error":{"code":-1,"message":"input_required"}}"#,
    ] {
        assert_eq!(unasked(passes, &[]), Ok(None), "{passes}");
    }
}

#[test]
fn a_request_that_hides_behind_an_answer_or_without_an_id_worth_the_name_is_one() {
    for hidden in [
        r#"{"id":null,"method":"ping"}"#,
        r#"{"id":1,"result":{},"method":"ping"}"#,
        r#"{"result":{},"method":"notifications/progress"}"#,
        r#"{"id":1,"m\u0065thod":"ping"}"#,
    ] {
        assert_eq!(unasked(hidden, &[]), Ok(Some(Unasked::Request)), "{hidden}");
    }
    assert_eq!(unasked(r#"{"id":1,"Method":"ping"}"#, &[]), Err(MessageError::CaseVariant));
    let twice = r#"{"id":1,"method":"notifications/x","method":"ping"}"#;
    assert_eq!(unasked(twice, &[]), Err(MessageError::DuplicateKey));
    assert_eq!(unasked(r#"[{"id":1,"method":"ping"}]"#, &[]), Err(MessageError::NotAMessage));
}

#[test]
fn an_input_that_a_result_requires_needs_the_same_leave() {
    let result = |inputs: &str| format!(r#"{{"id":1,"result":{{"resultType":"input_required"{inputs}}}}}"#);
    let elicits = result(r#","inputRequests":{"q":{"method":"elicitation/create","params":{}}}"#);
    assert_eq!(unasked(&elicits, &[]), Ok(Some(Unasked::Input)));
    assert_eq!(unasked(&elicits, &[ServerRequest::Sampling]), Ok(Some(Unasked::Input)));
    assert_eq!(unasked(&elicits, &[ServerRequest::Elicitation]), Ok(None));
    let both =
        result(r#","inputRequests":{"q":{"method":"elicitation/create"},"r":{"method":"roots/list"}}"#);
    assert_eq!(unasked(&both, &[ServerRequest::Elicitation]), Ok(Some(Unasked::Input)));
    assert_eq!(unasked(&both, &[ServerRequest::Roots, ServerRequest::Elicitation]), Ok(None));
    let again = result(r#","requestState":"x""#);
    assert_eq!(unasked(&again, &[]), Ok(Some(Unasked::Input)));
    assert_eq!(unasked(&again, &[ServerRequest::Roots]), Ok(None));
    for odd in [r#","inputRequests":[]"#, r#","inputRequests":{"q":1}"#, r#","inputRequests":{"q":{}}"#] {
        assert_eq!(unasked(&result(odd), &[ServerRequest::Roots]), Err(MessageError::Inputs), "{odd}");
    }
}
