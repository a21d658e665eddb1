//! 2026-07-28: what the headers claim is what the body says.

use super::*;

const META: &str = r#""_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientInfo":{},"io.modelcontextprotocol/clientCapabilities":{}}"#;

fn post(method: &str, params: &str) -> Request {
    let comma = if params.is_empty() { "" } else { "," };
    let body =
        format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{{{META}{comma}{params}}}}}"#);
    Request::post(&body).header("mcp-protocol-version", "2026-07-28").header("mcp-method", method)
}

fn tool() -> Request {
    post("tools/call", r#""name":"get_object","arguments":{"key":"public/a"}"#)
        .header("mcp-name", "get_object")
}

fn with_body(request: &Request, from: &str, to: &str) -> Request {
    let body = String::from_utf8(request.body.clone()).unwrap();
    assert!(body.contains(from), "{from} is not in {body}");
    Request { body: body.replacen(from, to, 1).into_bytes(), ..request.clone() }
}

#[test]
fn a_tool_call_says_everything_twice() {
    let call = tool().accepted();
    assert_eq!((call.version, call.session), (Version::V2026_07_28, None));
    assert_eq!(call.target, Target::Tool { name: "get_object".to_owned() });
    assert_eq!(call.arguments.unwrap(), json!({"key": "public/a"}));
}

#[test]
fn a_header_that_says_other_than_the_body_is_refused() {
    for (name, value) in [
        ("mcp-protocol-version", "2025-11-25"),
        ("mcp-protocol-version", "2031-01-01"),
        ("mcp-method", "tools/list"),
        ("mcp-method", "Tools/Call"),
        ("mcp-name", "put_object"),
        ("mcp-name", "Get_object"),
    ] {
        assert_eq!(tool().header(name, value).refused(), (400, -32020, "header_mismatch"), "{name}: {value}");
    }
    for name in ["mcp-protocol-version", "mcp-method", "mcp-name"] {
        assert_eq!(tool().without(name).refused(), (400, -32020, "header_missing"), "{name}");
        let twice = tool().also(name, tool().headers.get(name).unwrap().to_str().unwrap());
        assert_eq!(twice.refused(), (400, -32020, "header_repeated"), "{name}");
    }
    assert_eq!(tool().decode().map(|_| ()).map_err(|e| e.reason()), Ok(()));
}

#[test]
fn white_space_around_a_header_is_not_part_of_it() {
    tool().header("mcp-name", "get_object \t").accepted();
}

#[test]
fn what_is_not_safe_in_a_header_comes_in_base64() {
    let read = |name: &str| post("resources/read", r#""uri":"s3://demo/é""#).header("mcp-name", name);
    let uris = vec!["s3://demo/é".to_owned()];
    assert_eq!(read("=?base64?czM6Ly9kZW1vL8Op?=").accepted().target, Target::Resource { uris });
    for (name, reason) in [
        ("=?base64?czM6Ly9kZW1vL2U=?=", "header_mismatch"),
        ("=?BASE64?czM6Ly9kZW1vL8Op?=", "header_mismatch"),
        ("=?base64?czM6Ly9kZW1vL8Op=?=", "header_encoding"),
        ("=?base64?czM6 Ly9k?=", "header_encoding"),
        ("=?base64?/w==?=", "header_encoding"),
    ] {
        assert_eq!(read(name).refused(), (400, -32020, reason), "{name}");
    }
    let mut raw = read("x");
    raw.headers.insert("mcp-name", HeaderValue::from_bytes("s3://demo/é".as_bytes()).unwrap());
    assert_eq!(raw.refused(), (400, -32020, "header_encoding"));
}

#[test]
fn mirrored_parameters_pass_if_they_say_nothing_new() {
    tool().header("mcp-param-key", "=?base64?cHVibGljL2E=?=").accepted();
    tool().header("mcp-param-key", "public/a").accepted();
    assert_eq!(tool().header("mcp-param-key", "private/a").refused(), (400, -32020, "header_mismatch"));
    assert_eq!(tool().header("mcp-param-n", "1").refused(), (400, -32020, "header_mismatch"));
    let broken = tool().header("mcp-param-key", "=?base64?cHVibGljL2E?=");
    assert_eq!(broken.refused(), (400, -32020, "header_encoding"));
    let twice = tool().also("mcp-param-key", "public/a").also("mcp-param-key", "private/a");
    assert_eq!(twice.refused(), (400, -32020, "header_repeated"));
}

#[test]
fn the_required_meta_is_there() {
    let key = |key: &str| format!("\"io.modelcontextprotocol/{key}\"");
    let list = post("tools/list", "");
    list.accepted();
    with_body(&list, &key("clientInfo"), "\"x\"").accepted();
    let missing = (400, -32602, "meta_missing");
    assert_eq!(with_body(&list, &key("clientCapabilities"), "\"x\"").refused(), missing);
    assert_eq!(with_body(&list, &key("protocolVersion"), "\"x\"").refused(), missing);
    let wrong = (400, -32602, "invalid_params");
    assert_eq!(with_body(&list, "Capabilities\":{}", "Capabilities\":1").refused(), wrong);
    assert_eq!(with_body(&list, "Version\":\"2026-07-28\"", "Version\":2026").refused(), wrong);
    let variant = with_body(&list, "/protocolVersion", "/ProtocolVersion");
    assert_eq!(variant.refused(), (400, -32600, "case_variant_key"));
}

#[test]
fn another_version_is_refused_with_those_that_are_spoken() {
    for version in ["2026-07-29", "2025-11-25"] {
        let list =
            with_body(&post("tools/list", ""), "2026-07-28", version).header("mcp-protocol-version", version);
        assert_eq!(list.refused(), (400, -32022, "unsupported_version"));
        let error = list.decode().unwrap_err();
        assert_eq!(error.data().unwrap()["requested"], version);
        assert_eq!(error.data().unwrap()["supported"][0], "2026-07-28");
        assert_eq!(error.id().unwrap().get(), "1");
    }
}

#[test]
fn there_are_no_sessions() {
    let list = post("tools/list", "");
    assert_eq!(list.accepted().session, None);
    assert_eq!(list.header("mcp-session-id", "s-1").refused(), (400, -32600, "session_in_stateless_call"));
}

#[test]
fn methods_of_the_older_versions_are_unknown() {
    post("server/discover", "").accepted();
    for method in [
        "initialize",
        "ping",
        "logging/setLevel",
        "resources/subscribe",
        "resources/unsubscribe",
        "notifications/cancelled",
        "notifications/initialized",
        "session/stream",
        "tools/cal",
    ] {
        assert_eq!(post(method, "").refused(), (404, -32601, "unknown_method"), "{method}");
    }
    assert_eq!(post("tasks/get", "").refused(), (404, -32601, "tasks_not_supported"));
}

#[test]
fn a_subscription_touches_the_resources_it_names() {
    let listen =
        |notifications: &str| post("subscriptions/listen", &format!("\"notifications\":{notifications}"));
    let call = listen(r#"{"toolsListChanged":true}"#).accepted();
    assert_eq!(call.target, Target::Protocol);
    assert_eq!(call.arguments.unwrap(), json!({"toolsListChanged": true}));
    assert_eq!(listen(r#"{"resourceSubscriptions":[]}"#).accepted().target, Target::Protocol);
    let uris = vec!["s3://demo/a".to_owned(), "s3://demo/b".to_owned()];
    let call = listen(r#"{"resourceSubscriptions":["s3://demo/a","s3://demo/b"]}"#).accepted();
    assert_eq!(call.target, Target::Resource { uris });
    let many = |count: usize| listen(&json!({"resourceSubscriptions": vec!["u"; count]}).to_string());
    many(32).accepted();
    let wrong = (400, -32602, "invalid_params");
    assert_eq!(many(33).refused(), wrong);
    for notifications in [
        "null",
        "[]",
        r#"{"resourceSubscriptions":"s3://demo/a"}"#,
        r#"{"resourceSubscriptions":[1]}"#,
        r#"{"resourceSubscriptions":[""]}"#,
        r#"{"resourceSubscriptions":null}"#,
    ] {
        assert_eq!(listen(notifications).refused(), wrong, "{notifications}");
    }
    let variant = listen(r#"{"ResourceSubscriptions":["s3://demo/a"]}"#);
    assert_eq!(variant.refused(), (400, -32600, "case_variant_key"));
    assert_eq!(post("subscriptions/listen", "").refused(), wrong);
}

#[test]
fn a_name_where_nothing_is_named_is_refused() {
    post("tools/list", "").accepted();
    assert_eq!(post("tools/list", "").header("mcp-name", "x").refused(), (400, -32020, "header_mismatch"));
    let complete = post(
        "completion/complete",
        r#""ref":{"type":"ref/prompt","name":"p"},"argument":{"name":"a","value":""}"#,
    );
    complete.accepted();
    complete.clone().header("mcp-name", "p").accepted();
    assert_eq!(complete.header("mcp-name", "q").refused(), (400, -32020, "header_mismatch"));
}

#[test]
fn what_a_server_asked_for_is_said_in_the_next_call_where_it_may_ask() {
    for member in [r#""inputResponses":{"q":{"action":"accept"}}"#, r#""requestState":"x""#] {
        let mut call = with_body(&tool(), r#""name":"#, &format!(r#"{member},"name":"#));
        assert_eq!(call.refused().2, "unknown_parameter");
        call.limits.client_answers = true;
        assert_eq!(call.accepted().target, Target::Tool { name: "get_object".to_owned() });
        assert_eq!(with_body(&call, r#""name":"#, r#""task":{},"name":"#).refused().2, "unknown_parameter");
    }
    let mut answer = Request::post(r#"{"jsonrpc":"2.0","id":1,"result":{}}"#);
    answer.limits.client_answers = true;
    assert_eq!(
        answer.clone().header("mcp-protocol-version", "2026-07-28").refused().2,
        "client_response_refused"
    );
    assert_eq!(answer.header("mcp-protocol-version", "2025-11-25").accepted().method, "session/answer");
}
