#![allow(clippy::unwrap_used, reason = "a test ends by panicking")]
use super::*;
use serde_json::{Value, json};

fn compile(schema: Value) -> Option<Grammar> {
    Grammar::compile(&schema)
}

/// Whether a text is taken to its end.
fn takes(schema: &Value, text: &str) -> bool {
    let mut machine = compile(schema.clone()).unwrap().machine();
    let taken = text.bytes().all(|byte| machine.take(byte));
    taken && machine.may_end()
}

#[test]
fn only_json_of_the_schema_is_taken() {
    let person = json!({
        "type": "object",
        "properties": {
            "age": {"type": "integer"}, "ages": {"type": "number"}, "name": {"type": "string", "minLength": 1, "maxLength": 5},
            "tags": {"type": "array", "items": {"enum": ["a", "ab"]}, "minItems": 1, "maxItems": 2},
        },
        "required": ["name"],
    });
    let one = |kind: &str| json!({"type": kind});
    let rows: [(&Value, &[&str], &[&str]); 9] = [
        (
            &person,
            &[
                "{\"name\":\"Ada\"}",
                "{\"age\":-7,\"name\":\"ü\\n\"}",
                "{\"ages\":0.5,\"name\":\"a\",\"tags\":[\"ab\",\"a\"]}",
                "{\"name\":\"日本語のa\",\"tags\":[\"a\"]}",
            ],
            &[
                "{}",
                "{\"name\":\"\"}",
                "{\"name\":\"abcdef\"}",
                "{\"name\":\"a\"",
                "{\"name\":\"a\",}",
                "{,\"name\":\"a\"}",
                "{\"name\":\"a\",\"age\":1}",
                "{\"age\":01,\"name\":\"a\"}",
                "{\"age\":1.5,\"name\":\"a\"}",
                "{\"agf\":1,\"name\":\"a\"}",
                "{\"name\":\"a\",\"tags\":[]}",
                "{\"name\":\"a\",\"tags\":[\"a\",\"a\",\"a\"]}",
                "{\"name\":\"a\"}}",
                "{ \"name\":\"a\"}",
                "{\"name\":\"\u{1}\"}",
                "{\"name\":\"\\u0041\"}",
                "Sure: {\"name\":\"a\"}",
            ],
        ),
        (&one("integer"), &["0", "-1", "123"], &["", "-", "00", "1.0", "1e5", "+1", "1234567890123456"]),
        (&one("number"), &["0.25", "-0.0", "7"], &[".5", "1.", "1.5.5", "NaN"]),
        (&one("boolean"), &["true", "false"], &["tru", "True", "truefalse"]),
        (&one("null"), &["null"], &["nil"]),
        (&json!({"enum": [1, 12, "x"]}), &["1", "12", "\"x\""], &["2", "121", "\"x"]),
        (&json!({"const": {"a": [1]}}), &["{\"a\":[1]}"], &["{\"a\":[2]}"]),
        (&json!({"type": "object"}), &["{}"], &["{\"a\":1}"]),
        (
            &json!({"type": "array", "items": {"type": "array", "items": {"type": "integer"}}}),
            &["[]", "[[],[1,2]]"],
            &["[1]", "[[1,]]", "[,]"],
        ),
    ];
    for (schema, good, bad) in rows {
        for text in good {
            assert!(takes(schema, text), "{schema} {text}");
            serde_json::from_str::<Value>(text).unwrap();
        }
        for text in bad {
            assert!(!takes(schema, text), "{schema} {text}");
        }
    }
}

#[test]
fn bytes_that_are_no_characters_are_not_taken() {
    for bad in [
        b"\"\x80\"".as_slice(),
        b"\"\xc0\xaf\"",
        b"\"\xed\xa0\x80\"",
        b"\"\xf5\x80\x80\x80\"",
        b"\"\xc3\"",
        b"\"\xe0\x80\x80\"",
    ] {
        let machine = compile(json!({"type": "string"})).unwrap().machine();
        assert!(!machine.would_take(bad), "{bad:?}");
    }
}

#[test]
fn it_says_whether_it_says_all() {
    let whole = |schema| compile(schema).unwrap().is_whole();
    assert!(whole(
        json!({"type": "object", "properties": {"a": {"type": "string", "title": "A"}}, "additionalProperties": false})
    ));
    assert!(!whole(json!({"type": "string", "pattern": "^a"})));
    assert!(!whole(json!({"type": "object", "properties": {"a": {"type": "integer", "minimum": 3}}})));
    for open in [
        json!({}),
        json!(true),
        json!({"type": ["string", "null"]}),
        json!({"anyOf": [{"type": "string"}]}),
        json!({"enum": []}),
        json!({"type": "array"}),
        json!({"type": "array", "items": true}),
        json!({"type": "array", "prefixItems": [{"type": "string"}], "items": {"type": "string"}}),
        json!({"type": "object", "required": ["a"]}),
        json!({"type": "string", "minLength": 3, "maxLength": 2}),
    ] {
        assert!(compile(open.clone()).is_none(), "{open}");
    }
}
