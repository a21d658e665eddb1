//! What a watched answer gives away, cut anywhere.

use super::*;

/// What is seen at the end, with the text in one piece and byte by byte.
#[track_caller]
fn seen(text: &str) -> Result<(bool, bool), MessageError> {
    let whole = watched(text, text.len().max(1));
    for size in 1..8 {
        assert_eq!(watched(text, size), whole, "{text} in pieces of {size}");
    }
    whole
}

fn watched(text: &str, size: usize) -> Result<(bool, bool), MessageError> {
    let mut watch = Watch::default();
    text.as_bytes().chunks(size).try_for_each(|chunk| watch.push(chunk))?;
    watch.finish()?;
    Ok((watch.asks(), watch.is_complete()))
}

const ASKS: Result<(bool, bool), MessageError> = Ok((true, false));

#[test]
fn a_plain_answer_asks_for_nothing() {
    for text in [
        "",
        "{}",
        r#" { "jsonrpc" : "2.0" , "id" : 1 , "result" : { } } "#,
        r#"{"jsonrpc":"2.0","id":"{\"method\"","error":{"code":-1,"message":"method","method":1}}"#,
        r#"{"id":1,"result":{"a":[{"method":"ping","resultType":"input_required"}],"b":{"result":{}}}}"#,
        r#"{"id":1,"result":{"text":"\\\"resultType\":\"input_required\"","n":-1.5e3,"t":true,"x":null}}"#,
        r#"{"id":1,"result":[{"resultType":"input_required"}]}"#,
        r#"{"resultType":"input_required"}"#,
    ] {
        assert_eq!(seen(text), Ok((false, false)), "{text}");
    }
    assert_eq!(seen(r#"{"result":{"resultType":"complete","content":[]}}"#), Ok((false, true)));
}

#[test]
fn a_result_that_requires_input_is_seen_wherever_it_says_so() {
    for text in [
        r#"{"id":1,"result":{"resultType":"input_required"}}"#,
        r#"{"result":{"content":[1,{"a":"b"}],"n":1,"resultType" : "input_required"},"id":1}"#,
        r#"{"result":{"r\u0065sultType":"input\u005frequired"}}"#,
        r#"{"Result":{"RESULTTYPE":"Input_Required"}}"#,
        r#"{"result":{},"result":{"resultType":"input_required"}}"#,
    ] {
        assert_eq!(seen(text), ASKS, "{text}");
    }
    let both = r#"{"result":{"resultType":"complete","resultType":"input_required"}}"#;
    assert_eq!(seen(both), Ok((true, true)));
}

#[test]
fn a_request_in_the_place_of_an_answer_is_seen() {
    for text in [
        r#"{"jsonrpc":"2.0","id":1,"method":"sampling/createMessage","params":{}}"#,
        r#"{"id":1,"result":{"a":1},"METHOD":"ping"}"#,
        r#"{"id":1,"\u006dethod":"ping"}"#,
    ] {
        assert_eq!(seen(text), ASKS, "{text}");
    }
}

#[test]
fn what_is_no_single_message_does_not_go_on() {
    for text in [
        r#"[{"id":1,"method":"ping"}]"#,
        "\u{FEFF}{}",
        "{}{}",
        r#"{} {"id":1,"method":"ping"}"#,
        r#"{"a":1"#,
        r#"{"a""#,
        r#"{"a" "b"}"#,
        r#"{"a":1,}"#,
        r#"{'a':1}"#,
        r#"{"a":1]"#,
        r#"{"a":b}"#,
        r#"{"a":1:2}"#,
        "{\0\"\0a\0",
        "null",
        "data: {}",
    ] {
        assert_eq!(seen(text), Err(MessageError::NotAMessage), "{text}");
    }
}

#[test]
fn a_word_of_any_length_costs_no_memory() {
    let mut watch = Watch::default();
    let long = "x".repeat(1_000_000);
    assert_eq!(watch.push(format!(r#"{{"{long}":"{long}","a":{{"b":"{long}"}}"#).as_bytes()), Ok(()));
    assert!(watch.word.capacity() <= 2 * WORD_BYTES_MAX, "{}", watch.word.capacity());
    assert_eq!((watch.asks(), watch.push(br#","method":"ping"}"#), watch.asks()), (false, Ok(()), true));
}
