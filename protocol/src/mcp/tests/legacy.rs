//! 2025-03-26 to 2025-11-25, and what holds for every version.

use super::*;

const CALL: &str = r#"{"jsonrpc":"2.0","id":"7","method":"tools/call","params":{"name":"get_object","arguments":{"bucket":"demo","n":18446744073709551615}}}"#;
const PING: &str = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
const INITIALIZE: &str = r#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{}}}"#;

/// The same body with one word changed, once.
#[track_caller]
fn changed(body: &str, from: &str, to: &str) -> Request {
    assert!(body.contains(from), "{from} is not in {body}");
    Request::legacy(&body.replacen(from, to, 1))
}

#[test]
fn a_tool_call_is_read_from_the_body() {
    let call = Request::legacy(CALL).accepted();
    assert_eq!(call.version, Version::V2025_11_25);
    assert_eq!(call.method, "tools/call");
    assert_eq!(call.id.unwrap().get(), r#""7""#);
    assert_eq!(call.target, Target::Tool { name: "get_object".to_owned() });
    assert_eq!(call.arguments.unwrap(), json!({"bucket": "demo", "n": u64::MAX}));
    assert_eq!(call.session.as_deref(), Some("s-1"));
    assert_eq!(call.list, None);
}

#[test]
fn the_version_is_the_headers_or_the_oldest() {
    assert_eq!(Request::legacy(PING).accepted().version, Version::V2025_11_25);
    let june = Request::legacy(PING).header("mcp-protocol-version", "2025-06-18");
    assert_eq!(june.accepted().version, Version::V2025_06_18);
    let none = Request::legacy(PING).without("mcp-protocol-version");
    assert_eq!(none.accepted().version, Version::V2025_03_26);
    let unknown = Request::legacy(PING).header("mcp-protocol-version", "2025-06-19");
    assert_eq!(unknown.refused(), (400, -32022, "unsupported_version"));
    let data = unknown.decode().unwrap_err().data().unwrap();
    assert_eq!(data["requested"], "2025-06-19");
    assert_eq!(data["supported"], json!(["2026-07-28", "2025-11-25", "2025-06-18", "2025-03-26"]));
}

#[test]
fn initialize_proposes_its_version_and_has_no_session() {
    let open = |body: &str| Request::post(body);
    let call = open(INITIALIZE).accepted();
    assert_eq!((call.version, call.session), (Version::V2025_06_18, None));
    for unknown in ["2031-01-01", "2024-11-05", "2026-07-28"] {
        let call = open(&INITIALIZE.replace("2025-06-18", unknown)).accepted();
        assert_eq!(call.version, Version::V2025_11_25);
    }
    assert_eq!(
        open(INITIALIZE).header("mcp-session-id", "s").refused(),
        (400, -32600, "session_in_initialize")
    );
    let silent = open(&INITIALIZE.replace("protocolVersion", "protocol"));
    assert_eq!(silent.refused(), (400, -32602, "invalid_params"));
}

#[test]
fn a_get_opens_the_stream_and_a_delete_ends_the_session() {
    let call = Request::without_body(Method::GET).accepted();
    assert_eq!((call.method, call.session.as_deref()), ("session/stream", Some("s-1")));
    assert_eq!(call.target, Target::Protocol);
    assert_eq!(Request::without_body(Method::DELETE).accepted().method, "session/end");
    assert_eq!(Request::without_body(Method::DELETE).without("accept").accepted().method, "session/end");
    assert_eq!(Request::without_body(Method::PUT).refused(), (405, -32600, "method_not_allowed"));
    for method in [Method::GET, Method::DELETE] {
        let request = Request::without_body(method);
        let stateless = request.clone().header("mcp-protocol-version", "2026-07-28");
        assert_eq!(stateless.refused(), (405, -32600, "method_not_allowed"));
        let named = request.clone().header("mcp-name", "get_object");
        assert_eq!(named.refused(), (400, -32020, "header_mismatch"));
        let mut with_body = request;
        with_body.body = b"{}".to_vec();
        assert_eq!(with_body.refused(), (400, -32600, "unexpected_body"));
    }
    let json_only = Request::without_body(Method::GET).header("accept", "application/json");
    assert_eq!(json_only.refused(), (406, -32600, "not_acceptable"));
}

#[test]
fn a_message_can_not_pretend_to_be_a_get() {
    assert_eq!(Request::legacy(PING).accepted().method, "ping");
    assert_eq!(changed(PING, "ping", "session/end").refused(), (400, -32601, "unknown_method"));
}

#[test]
fn the_body_is_one_strict_json_object() {
    let of = |body: &str| Request::legacy(body).refused();
    assert_eq!(of(""), (400, -32700, "empty_body"));
    assert_eq!(of(" \n"), (400, -32700, "empty_body"));
    assert_eq!(of("{"), (400, -32700, "invalid_json"));
    assert_eq!(of(&format!("{PING}x")), (400, -32700, "trailing_bytes"));
    assert_eq!(of(&format!("[{PING}]")), (400, -32600, "batch_refused"));
    assert_eq!(of(r#""ping""#), (400, -32600, "not_an_object"));
    assert_eq!(of(&CALL.replace("demo\"", "demo\",\"bucket\":\"x\"")), (400, -32600, "duplicate_key"));
    assert_eq!(of(&CALL.replace("demo\"", "demo\",\"Bucket\":\"x\"")), (400, -32600, "case_variant_key"));
    assert_eq!(of(&CALL.replace("09551615", "09551616")), (400, -32600, "inexact_number"));
    let old = Request::post(&format!("[{PING}]"));
    assert_eq!(old.refused(), (400, -32600, "batch_refused"));
}

#[test]
fn a_server_may_allow_case_variants_in_its_arguments() {
    let mut request = Request::legacy(&CALL.replace("demo\"", "demo\",\"Bucket\":\"x\""));
    request.limits.case_variants_in_arguments = true;
    assert_eq!(request.accepted().arguments.unwrap()["Bucket"], "x");
    let mut request = Request::legacy(&CALL.replace("\"arguments\"", "\"Name\":\"put\",\"arguments\""));
    request.limits.case_variants_in_arguments = true;
    assert_eq!(request.refused(), (400, -32600, "case_variant_key"));
}

#[test]
fn a_key_that_only_a_careless_reader_would_take_for_the_right_one_is_refused() {
    Request::legacy(CALL).accepted();
    for (from, to) in [
        ("\"params\"", "\"Params\""),
        ("\"arguments\"", "\"Arguments\""),
        ("\"arguments\"", "\"argument\u{17F}\""),
        ("\"jsonrpc\"", "\"JSONRPC\""),
        ("\"id\"", "\"ID\""),
        ("\"name\"", "\"NAME\""),
        ("\"method\"", "\"Method\""),
    ] {
        assert_eq!(changed(CALL, from, to).refused(), (400, -32600, "case_variant_key"), "{to}");
    }
}

#[test]
fn unknown_keys_are_tolerated() {
    assert_eq!(changed(CALL, "\"id\"", "\"x\":[1],\"id\"").accepted().method, "tools/call");
    assert_eq!(changed(CALL, "\"name\"", "\"_meta\":{\"x\":null},\"name\"").accepted().method, "tools/call");
}

#[test]
fn a_parameter_that_policy_would_not_see_is_refused() {
    for name in ["x", "task", "inputResponses", "requestState"] {
        let call = changed(CALL, "\"name\"", &format!("\"{name}\":{{}},\"name\""));
        assert_eq!(call.refused(), (400, -32602, "unknown_parameter"), "{name}");
    }
    let list = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"cursor":"c","x":1}}"#;
    assert_eq!(Request::legacy(list).accepted().target, Target::Protocol);
}

#[test]
fn a_header_that_mirrors_an_argument_is_not_of_these_versions() {
    let call = Request::legacy(CALL);
    call.accepted();
    assert_eq!(call.header("mcp-param-bucket", "demo").refused(), (400, -32020, "header_mismatch"));
}

#[test]
fn the_envelope_is_json_rpc_2() {
    assert_eq!(changed(PING, "\"2.0\"", "\"1.0\"").refused(), (400, -32600, "jsonrpc_version"));
    assert_eq!(changed(PING, "\"2.0\"", "2.0").refused(), (400, -32600, "jsonrpc_version"));
    assert_eq!(changed(PING, "\"ping\"", "1").refused(), (400, -32600, "method_missing"));
    assert_eq!(changed(PING, "method", "mode").refused(), (400, -32600, "method_missing"));
    assert_eq!(changed(PING, ":1,", ":-1,").accepted().id.unwrap().get(), "-1");
    for id in ["null", "1.0", "1e3", "true", "[1]", "{}"] {
        assert_eq!(changed(PING, ":1,", &format!(":{id},")).refused(), (400, -32600, "invalid_id"), "{id}");
    }
    assert_eq!(changed(PING, "\"id\":1,", "").refused(), (400, -32600, "id_missing"));
    let notification = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;
    assert!(Request::legacy(notification).accepted().id.is_none());
    let with_id = changed(notification, "\"method\"", "\"id\":1,\"method\"");
    assert_eq!(with_id.refused(), (400, -32600, "id_unexpected"));
    for params in ["[]", "null", "\"x\""] {
        let request = changed(PING, "}", &format!(",\"params\":{params}}}"));
        assert_eq!(request.refused(), (400, -32602, "invalid_params"), "{params}");
    }
}

#[test]
fn an_answer_from_a_client_is_refused() {
    for answer in [
        r#"{"jsonrpc":"2.0","id":1,"result":{}}"#,
        r#"{"jsonrpc":"2.0","id":1,"error":{"code":1,"message":""}}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"ping","result":{}}"#,
    ] {
        assert_eq!(Request::legacy(answer).refused(), (400, -32600, "client_response_refused"));
    }
}

#[test]
fn an_answer_is_taken_where_the_server_may_ask() {
    let answering = |body: &str| {
        let mut request = Request::legacy(body);
        request.limits.client_answers = true;
        request
    };
    for answer in [
        r#"{"jsonrpc":"2.0","id":1,"result":{}}"#,
        r#"{"jsonrpc":"2.0","id":"a","error":{"code":1,"message":""}}"#,
    ] {
        let call = answering(answer).accepted();
        assert_eq!((call.method, call.target), ("session/answer", Target::Protocol));
        assert_eq!((call.id.is_none(), call.session.as_deref()), (true, Some("s-1")));
        assert_eq!(Request::legacy(answer).refused().2, "client_response_refused");
    }
    for odd in [
        r#"{"jsonrpc":"2.0","id":1,"method":"ping","result":{}}"#,
        r#"{"jsonrpc":"2.0","id":1,"params":{},"result":{}}"#,
        r#"{"jsonrpc":"2.0","id":null,"result":{}}"#,
        r#"{"jsonrpc":"2.0","result":{}}"#,
    ] {
        assert_eq!(answering(odd).refused().2, "client_response_refused", "{odd}");
    }
    let named = answering(r#"{"jsonrpc":"2.0","id":1,"result":{}}"#).header("mcp-method", "ping");
    assert_eq!(named.refused().2, "header_mismatch");
}

#[test]
fn a_refusal_knows_the_id_of_its_request() {
    let id = |request: Request| request.decode().unwrap_err().id().map(|id| id.get().to_owned());
    assert_eq!(id(changed(CALL, "tools/call", "tools/cell")).as_deref(), Some(r#""7""#));
    assert_eq!(id(changed(PING, "\"2.0\"", "\"1.0\"")).as_deref(), Some("1"));
    assert_eq!(id(Request::legacy(PING).also("mcp-name", "a").also("mcp-name", "b")).as_deref(), Some("1"));
    assert_eq!(id(changed(PING, ":1,", ":null,")), None);
    assert_eq!(id(Request::legacy("{")), None);
}

#[test]
fn methods_belong_to_their_version() {
    let of = |method: &str| changed(PING, "ping", method).refused();
    for method in
        ["server/discover", "subscriptions/listen", "tools/cal", "Ping", "sampling/createMessage", ""]
    {
        assert_eq!(of(method), (400, -32601, "unknown_method"), "{method}");
    }
    for method in ["tasks/get", "tasks/list", "tasks/result", "tasks/cancel"] {
        assert_eq!(of(method), (400, -32601, "tasks_not_supported"), "{method}");
    }
}

#[test]
fn targets_have_names_of_bounded_length() {
    let longest = "n".repeat(256);
    changed(CALL, "get_object", &longest).accepted();
    for name in [format!("\"{longest}n\""), "\"\"".to_owned(), "1".to_owned(), "null".to_owned()] {
        assert_eq!(
            changed(CALL, "\"get_object\"", &name).refused(),
            (400, -32602, "invalid_params"),
            "{name}"
        );
    }
    let read = r#"{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":"s3://demo/a"}}"#;
    let uris = vec!["s3://demo/a".to_owned()];
    for method in ["resources/read", "resources/subscribe", "resources/unsubscribe"] {
        let call = changed(read, "resources/read", method).accepted();
        assert_eq!(call.target, Target::Resource { uris: uris.clone() });
        assert_eq!(call.arguments, None);
    }
    changed(read, "s3://demo/a", &"u".repeat(8192)).accepted();
    let too_long = changed(read, "s3://demo/a", &"u".repeat(8193));
    assert_eq!(too_long.refused(), (400, -32602, "invalid_params"));
    assert_eq!(changed(read, "uri", "url").refused(), (400, -32602, "invalid_params"));
}

#[test]
fn arguments_are_an_object_or_absent() {
    let without = changed(CALL, r#","arguments":{"bucket":"demo","n":18446744073709551615}"#, "");
    assert_eq!(without.accepted().arguments, None);
    for arguments in ["null", "[]", "\"x\""] {
        let request = changed(CALL, r#"{"bucket":"demo","n":18446744073709551615}"#, arguments);
        assert_eq!(request.refused(), (400, -32602, "invalid_params"), "{arguments}");
    }
}

#[test]
fn a_completion_touches_what_it_refers_to() {
    let prompt = r#"{"jsonrpc":"2.0","id":1,"method":"completion/complete","params":{"ref":{"type":"ref/prompt","name":"p"},"argument":{"name":"a","value":"v"}}}"#;
    let call = Request::legacy(prompt).accepted();
    assert_eq!(call.target, Target::Prompt { name: "p".to_owned() });
    assert_eq!(call.arguments.unwrap(), json!({"name": "a", "value": "v"}));
    let resource = changed(prompt, r#""ref/prompt","name""#, r#""ref/resource","uri""#);
    assert_eq!(resource.accepted().target, Target::Resource { uris: vec!["p".to_owned()] });
    let context =
        changed(prompt, "\"argument\"", "\"context\":{\"arguments\":{\"b\":\"w\"}},\"argument\"").accepted();
    assert_eq!(context.arguments.unwrap()["context"], json!({"arguments": {"b": "w"}}));
    let hidden = changed(prompt, "\"argument\":{", "\"context\":{},\"argument\":{\"context\":1,");
    assert_eq!(hidden.refused(), (400, -32602, "invalid_params"));
    for (from, to) in
        [("ref/prompt", "ref/tool"), ("\"argument\"", "\"arg\""), ("\"name\":\"p\"", "\"uri\":\"p\"")]
    {
        assert_eq!(changed(prompt, from, to).refused(), (400, -32602, "invalid_params"), "{to}");
    }
}

#[test]
fn a_log_level_is_what_policy_sees_of_set_level() {
    let set = r#"{"jsonrpc":"2.0","id":1,"method":"logging/setLevel","params":{"level":"debug"}}"#;
    assert_eq!(Request::legacy(set).accepted().arguments.unwrap(), json!({"level": "debug"}));
    assert_eq!(changed(set, "\"debug\"", "7").refused(), (400, -32602, "invalid_params"));
}

#[test]
fn lists_say_of_what() {
    for (method, kind) in [
        ("tools/list", ListKind::Tools),
        ("resources/list", ListKind::Resources),
        ("resources/templates/list", ListKind::ResourceTemplates),
        ("prompts/list", ListKind::Prompts),
    ] {
        let call = changed(PING, "ping", method).accepted();
        assert_eq!((call.list, call.target), (Some(kind), Target::Protocol));
    }
}

#[test]
fn the_content_is_json_that_needs_no_unpacking() {
    let of = |name: &str, value: &str| Request::legacy(PING).header(name, value);
    for content_type in
        ["application/json", "Application/JSON; charset=UTF-8", "application/json;charset=\"utf-8\""]
    {
        of("content-type", content_type).accepted();
    }
    for content_type in [
        "application/json-rpc",
        "text/plain",
        "application/json; charset=utf-16",
        "application/json; x=y",
        "",
    ] {
        assert_eq!(
            of("content-type", content_type).refused(),
            (415, -32600, "content_type"),
            "{content_type}"
        );
    }
    assert_eq!(Request::legacy(PING).without("content-type").refused(), (415, -32600, "content_type"));
    of("content-encoding", "identity").accepted();
    for encoding in ["gzip", "identity, gzip", ""] {
        assert_eq!(
            of("content-encoding", encoding).refused(),
            (415, -32600, "content_encoding"),
            "{encoding}"
        );
    }
}

#[test]
fn the_client_reads_both_forms_of_an_answer() {
    let of = |value: &str| Request::legacy(PING).header("accept", value);
    for accept in [
        "text/event-stream,application/json",
        "*/*",
        "application/*;q=0.5, text/*",
        "application/json;q=1, */*;q=0.1",
        "TEXT/Event-Stream, Application/Json",
    ] {
        of(accept).accepted();
    }
    of("application/json").also("accept", "text/event-stream").accepted();
    for accept in
        ["application/json", "text/event-stream", "application/json;q=0, */*", "*/*;q=0", "*/json", ""]
    {
        assert_eq!(of(accept).refused(), (406, -32600, "not_acceptable"), "{accept}");
    }
    assert_eq!(Request::legacy(PING).without("accept").refused(), (406, -32600, "not_acceptable"));
}

#[test]
fn a_header_that_counts_stands_there_once() {
    for name in ["content-type", "mcp-protocol-version", "mcp-session-id"] {
        let value = Request::legacy(PING).headers.get(name).unwrap().to_str().unwrap().to_owned();
        Request::legacy(PING).header(name, &value).accepted();
        let twice = Request::legacy(PING).also(name, &value);
        assert_eq!(twice.refused(), (400, -32020, "header_repeated"), "{name}");
    }
    for (name, value) in [("mcp-method", "tools/call"), ("mcp-name", "get_object")] {
        Request::legacy(CALL).also(name, value).accepted();
        let twice = Request::legacy(CALL).also(name, value).also(name, value);
        assert_eq!(twice.refused(), (400, -32020, "header_repeated"), "{name}");
    }
}

#[test]
fn an_older_client_that_mirrors_its_body_has_to_do_it_right() {
    Request::legacy(CALL).header("mcp-method", "tools/call").header("mcp-name", "get_object").accepted();
    for (name, value) in [("mcp-method", "tools/list"), ("mcp-name", "put_object")] {
        assert_eq!(
            Request::legacy(CALL).header(name, value).refused(),
            (400, -32020, "header_mismatch"),
            "{name}"
        );
    }
    assert_eq!(Request::legacy(PING).header("mcp-name", "ping").refused(), (400, -32020, "header_mismatch"));
}

#[test]
fn a_session_id_is_visible_and_short() {
    let of = |value: &str| Request::legacy(PING).header("mcp-session-id", value);
    assert_eq!(of(&"x".repeat(2048)).accepted().session.unwrap().len(), 2048);
    assert_eq!(Request::legacy(PING).without("mcp-session-id").accepted().session, None);
    for session in ["x".repeat(2049), "a b".to_owned(), String::new()] {
        assert_eq!(of(&session).refused(), (400, -32600, "invalid_session_id"), "{session}");
    }
}

#[test]
fn only_a_well_formed_trace_parent_is_kept() {
    let good = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let of = |text: &str| {
        let body = changed(PING, "}", &format!(",\"params\":{{\"_meta\":{{\"traceparent\":\"{text}\"}}}}}}"));
        body.accepted().trace_parent
    };
    assert_eq!(of(good).as_deref(), Some(good));
    for bad in [
        good.to_uppercase(),
        good.replacen("00", "ff", 1),
        good.replace("b7ad6b7169203331", "0000000000000000"),
        format!("{good}-x"),
        good.replace("-01", ""),
    ] {
        assert_eq!(of(&bad), None, "{bad}");
    }
}
