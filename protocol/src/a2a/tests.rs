//! One call, written in every way; and what is refused in each of them.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test ends by panicking")]

mod pushes;

use super::*;
use serde_json::json;

const V1: (&str, &str) = ("a2a-version", "1.0");

/// Decodes a request whose body is JSON, or nothing.
fn http(method: &str, path: &str, headers: &[(&str, &str)], body: &Value) -> Result<Call, DecodeError> {
    let bytes = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
    raw(method, path, headers, "application/json", &bytes)
}

fn raw(
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    media: &str,
    body: &[u8],
) -> Result<Call, DecodeError> {
    let mut map = HeaderMap::new();
    map.insert("content-type", media.parse().unwrap());
    for (name, value) in headers {
        map.append(http::HeaderName::from_bytes(name.as_bytes()).unwrap(), value.parse().unwrap());
    }
    let (path, query) = path.split_once('?').map_or((path, None), |(path, query)| (path, Some(query)));
    let method = method.parse().unwrap();
    call(&HttpRequest { method: &method, path, query, headers: &map, body }, &Limits::default())
}

fn rpc(version: &[(&str, &str)], method: &str, params: &Value) -> Result<Call, DecodeError> {
    http("POST", "", version, &json!({"jsonrpc": "2.0", "id": 7, "method": method, "params": params}))
}

fn grpc_call(method: Method, params: &Value) -> Result<Call, DecodeError> {
    let message = wire::bytes(params.as_object().unwrap(), method.row().takes);
    let path = format!("/{SERVICE}/{}", method.name());
    raw("POST", &path, &[V1], "application/grpc", &frame(&message).unwrap())
}

fn fault(called: Result<Call, DecodeError>) -> Fault {
    called.unwrap_err().fault
}

/// What policy would see, which must not depend on how it was written.
fn same(one: &Call, other: &Call) {
    let parts = |call: &Call| {
        let Call {
            method, tenant, task, context, push_id, message, configuration, metadata, list, push, ..
        } = call.clone();
        (method, tenant, task, context, push_id, message, configuration, metadata, list, push)
    };
    assert_eq!(parts(one), parts(other));
}

fn message() -> Value {
    json!({
        "message": {
            "messageId": "m-1", "taskId": "t-1", "contextId": "c-1", "role": "ROLE_USER",
            "parts": [
                {"text": "hello"},
                {"raw": "QUJD", "filename": "abc.bin", "mediaType": "application/octet-stream"},
                {"url": "https://files.example/a"},
                {"data": {"rows": [1, 2.5, null, true, "x"]}},
            ],
            "metadata": {"skill": "train"}, "extensions": ["https://e.example/x"], "referenceTaskIds": ["t-0"],
        },
        "configuration": {
            "acceptedOutputModes": ["text/plain"], "historyLength": 3, "returnImmediately": true,
            "taskPushNotificationConfig": {
                "id": "p", "url": "https://hook.example/", "token": "secret",
                "authentication": {"scheme": "Bearer", "credentials": "secret"},
            },
        },
        "metadata": {"k": "v"},
    })
}

fn older_message() -> Value {
    json!({
        "message": {
            "kind": "message", "messageId": "m-1", "taskId": "t-1", "contextId": "c-1", "role": "user",
            "parts": [
                {"kind": "text", "text": "hello"},
                {"kind": "file", "file": {"bytes": "QUJD", "name": "abc.bin", "mimeType": "application/octet-stream"}},
                {"kind": "file", "file": {"uri": "https://files.example/a"}},
                {"kind": "data", "data": {"rows": [1, 2.5, null, true, "x"]}},
            ],
            "metadata": {"skill": "train"}, "extensions": ["https://e.example/x"], "referenceTaskIds": ["t-0"],
        },
        "configuration": {
            "acceptedOutputModes": ["text/plain"], "historyLength": 3, "blocking": false,
            "pushNotificationConfig": {
                "id": "p", "url": "https://hook.example/", "token": "secret",
                "authentication": {"schemes": ["Bearer"], "credentials": "secret"},
            },
        },
        "metadata": {"k": "v"},
    })
}

#[test]
fn a_message_is_the_same_call_in_every_binding_and_version() {
    let by_rpc = rpc(&[V1], "SendMessage", &message()).unwrap();
    same(&by_rpc, &http("POST", "/message:send", &[V1], &message()).unwrap());
    same(&by_rpc, &http("POST", "/message%3Asend", &[V1], &message()).unwrap());
    same(&by_rpc, &grpc_call(Method::SendMessage, &message()).unwrap());
    same(&by_rpc, &rpc(&[], "message/send", &older_message()).unwrap());
    let sent = by_rpc.message.unwrap();
    assert_eq!(sent.parts[1].content, Content::Bytes(3));
    assert_eq!(sent.parts[3].content, Content::Data(json!({"rows": [1, 2.5, null, true, "x"]})));
    assert_eq!((by_rpc.task.as_deref(), by_rpc.context.as_deref()), (Some("t-1"), Some("c-1")));
    assert_eq!(by_rpc.configuration.blocking, Some(false));
    assert!(!format!("{:?}", by_rpc.push.unwrap()).contains("secret"));
}

#[test]
fn the_older_rest_form_is_the_same_call() {
    let mut expected = older_message();
    expected["message"].as_object_mut().unwrap().remove("referenceTaskIds"); // Its REST form never had them.
    let expected = rpc(&[], "message/send", &expected).unwrap();
    let parts = json!([
        {"text": "hello"},
        {"file": {"file_with_bytes": "QUJD", "name": "abc.bin", "mime_type": "application/octet-stream"}},
        {"file": {"fileWithUri": "https://files.example/a"}},
        {"data": {"data": {"rows": [1, 2.5, null, true, "x"]}}},
    ]);
    let body = json!({
        "request": {
            "message_id": "m-1", "task_id": "t-1", "context_id": "c-1", "role": "ROLE_USER", "content": parts,
            "metadata": {"skill": "train"}, "extensions": ["https://e.example/x"],
        },
        "configuration": {
            "accepted_output_modes": ["text/plain"], "history_length": 3, "blocking": false,
            "push_notification": {
                "id": "p", "url": "https://hook.example/", "token": "secret",
                "authentication": {"schemes": ["Bearer"], "credentials": "secret"},
            },
        },
        "metadata": {"k": "v"},
    });
    let sent = http("POST", "/v1/message:send", &[], &body).unwrap();
    same(&expected, &sent);
    assert_eq!(sent.target.unwrap().path, "/v1/message:send");
}

#[test]
fn every_operation_is_the_same_call_in_every_binding() {
    use Method as M;
    let push = json!({"taskId": "t", "id": "p", "url": "https://h.example/"});
    for (method, params, http_method, path) in [
        (M::GetTask, json!({"id": "t", "historyLength": 2}), "GET", "/tasks/t?historyLength=2"),
        (M::CancelTask, json!({"id": "t", "metadata": {"a": 1}}), "POST", "/tasks/t:cancel"),
        (M::SubscribeToTask, json!({"id": "t"}), "GET", "/tasks/t:subscribe"),
        (M::SubscribeToTask, json!({"id": "t"}), "POST", "/tasks/t%3Asubscribe"),
        (
            M::ListTasks,
            json!({"contextId": "c d", "status": "TASK_STATE_WORKING", "pageSize": 5, "pageToken": "x+y",
                   "statusTimestampAfter": "2026-01-01T00:00:00Z", "includeArtifacts": true}),
            "GET",
            "/tasks?contextId=c+d&status=TASK_STATE_WORKING&pageSize=5&pageToken=x%2By\
             &statusTimestampAfter=2026-01-01T00%3A00%3A00Z&includeArtifacts=True",
        ),
        (M::CreateTaskPushNotificationConfig, push, "POST", "/tasks/t/pushNotificationConfigs"),
        (
            M::GetTaskPushNotificationConfig,
            json!({"taskId": "t", "id": "p"}),
            "GET",
            "/tasks/t/pushNotificationConfigs/p",
        ),
        (
            M::ListTaskPushNotificationConfigs,
            json!({"taskId": "t", "pageSize": 4}),
            "GET",
            "/tasks/t/pushNotificationConfigs?pageSize=4",
        ),
        (
            M::DeleteTaskPushNotificationConfig,
            json!({"taskId": "t", "id": "p"}),
            "DELETE",
            "/tasks/t/pushNotificationConfigs/p",
        ),
        (M::GetExtendedAgentCard, json!({}), "GET", "/extendedAgentCard"),
    ] {
        let by_rpc = rpc(&[V1], method.name(), &params).unwrap();
        assert_eq!(by_rpc.method, method);
        let body = if http_method == "POST" { params.clone() } else { Value::Null };
        same(&by_rpc, &http(http_method, path, &[V1], &body).unwrap());
        same(&by_rpc, &grpc_call(method, &params).unwrap());
    }
}

#[test]
fn the_older_names_of_tasks_are_the_same_calls() {
    for (older, params, today, same_params) in [
        (
            "tasks/get",
            json!({"id": "t", "historyLength": 1}),
            "GetTask",
            json!({"id": "t", "historyLength": 1}),
        ),
        ("tasks/cancel", json!({"id": "t"}), "CancelTask", json!({"id": "t"})),
        ("tasks/resubscribe", json!({"id": "t"}), "SubscribeToTask", json!({"id": "t"})),
        (
            "tasks/pushNotificationConfig/set",
            json!({"taskId": "t", "pushNotificationConfig": {"id": "p", "url": "https://h.example/"}}),
            "CreateTaskPushNotificationConfig",
            json!({"taskId": "t", "id": "p", "url": "https://h.example/"}),
        ),
        (
            "tasks/pushNotificationConfig/delete",
            json!({"id": "t", "pushNotificationConfigId": "p"}),
            "DeleteTaskPushNotificationConfig",
            json!({"taskId": "t", "id": "p"}),
        ),
        (
            "tasks/pushNotificationConfig/list",
            json!({"id": "t"}),
            "ListTaskPushNotificationConfigs",
            json!({"taskId": "t"}),
        ),
        ("agent/getAuthenticatedExtendedCard", Value::Null, "GetExtendedAgentCard", json!({})),
    ] {
        same(&rpc(&[], older, &params).unwrap(), &rpc(&[V1], today, &same_params).unwrap());
        assert_eq!(fault(rpc(&[V1], older, &params)), Fault::Method);
        assert_eq!(fault(rpc(&[], today, &same_params)), Fault::Method);
    }
}

#[test]
fn a_version_that_is_not_spoken_here_is_refused() {
    for (version, spoken) in [
        ("1.0", true),
        ("1.0.1", true),
        (" 1.0 ", true),
        ("1.1", false),
        ("2.0", false),
        ("1.0.x", false),
        ("1.0.", false),
    ] {
        let called = rpc(&[("a2a-version", version)], "GetTask", &json!({"id": "t"}));
        assert_eq!(called.is_ok(), spoken, "{version}");
    }
    assert!(http("GET", "/tasks/t?A2A-Version=1.0", &[], &Value::Null).is_ok());
    let empty = raw("POST", "/lf.a2a.v1.A2AService/GetTask", &[], "application/grpc", &frame(b"").unwrap());
    assert!(matches!(fault(empty), Fault::Version { .. }));
    assert!(matches!(
        fault(rpc(&[("a2a-version", "1.0"), ("a2a-version", "0.3")], "GetTask", &json!({"id": "t"}))),
        Fault::Header { .. }
    ));
}

#[test]
fn a_tenant_is_the_same_wherever_it_stands() {
    let by_path = http("GET", "/acme/tasks/t", &[V1], &Value::Null).unwrap();
    same(&by_path, &rpc(&[V1], "GetTask", &json!({"tenant": "acme", "id": "t"})).unwrap());
    assert_eq!(by_path.target.unwrap().path, "/acme/tasks/t");
    let both = |tenant: &str| {
        let mut body = message();
        body["tenant"] = tenant.into();
        http("POST", "/acme/message:send", &[V1], &body)
    };
    both("acme").unwrap();
    assert_eq!(fault(both("other")), Fault::Disagree { name: "tenant" });
    assert_eq!(
        fault(http("POST", "/tasks/t:cancel", &[V1], &json!({"id": "u"}))),
        Fault::Disagree { name: "id" }
    );
}

#[test]
fn a_path_goes_on_in_one_spelling_and_one_that_is_not_understood_does_not_go_on() {
    for (path, target) in [
        ("/tasks/a%20b", "/tasks/a%20b"),
        ("/tasks/a%3ab", "/tasks/a%3Ab"),
        ("/tasks/%74", "/tasks/t"),
        ("/v1/tasks/t", "/v1/tasks/t"), // In 1.0 that is a tenant.
    ] {
        assert_eq!(http("GET", path, &[V1], &Value::Null).unwrap().target.unwrap().path, target);
    }
    for path in [
        "/tasks/",
        "/tasks//",
        "/tasks/t/",
        "/tasks/t/x",
        "/tasks/%2e%2e",
        "/tasks/a%2Fb",
        "/tasks/%",
        "/tasks/%zz",
        "/tasks/%ff",
        "/x/y/tasks/t",
        "/tasks/t:cancel",
        "/tasks/..",
        "//tasks/t",
        "/unknown",
        "/tasks/t%00",
    ] {
        assert!(http("GET", path, &[V1], &Value::Null).is_err(), "{path}");
    }
}

#[test]
fn a_query_that_nobody_would_judge_is_refused() {
    http("GET", "/tasks?pageSize=1", &[V1], &Value::Null).unwrap();
    for query in [
        "pageSize=1&pageSize=1",
        "pageSize=x",
        "page_size=1",
        "tenant=a",
        "x=1",
        "pageSize",
        "status=WORKING",
    ] {
        assert_eq!(
            fault(http("GET", &format!("/tasks?{query}"), &[V1], &Value::Null)),
            Fault::Query,
            "{query}"
        );
    }
    assert_eq!(fault(http("GET", "/tasks/t?id=u", &[V1], &Value::Null)), Fault::Query);
    assert_eq!(fault(http("POST", "/message:send?x=1", &[V1], &message())), Fault::Query);
    assert_eq!(fault(http("POST", "?x=1", &[V1], &json!({}))), Fault::Path);
}

#[test]
fn a_message_that_can_not_be_judged_is_refused() {
    let sent = |change: &dyn Fn(&mut Value)| {
        let mut params = message();
        change(&mut params["message"]);
        rpc(&[V1], "SendMessage", &params)
    };
    sent(&|_| {}).unwrap();
    let changes: [&dyn Fn(&mut Value); 9] = [
        &|m| m["parts"] = json!([]),
        &|m| m["parts"] = json!([{}]),
        &|m| m["parts"] = json!([{"text": "a", "data": 1}]),
        &|m| m["parts"] = json!([{"file": {}}]),
        &|m| m["role"] = "ROLE_UNSPECIFIED".into(),
        &|m| m["messageId"] = "".into(),
        &|m| m["taskId"] = "a/b".into(),
        &|m| m["taskId"] = "x".repeat(513).into(),
        &|m| m["Parts"] = json!([]),
    ];
    for change in changes {
        assert!(sent(change).is_err());
    }
    for kind in [json!("file"), Value::Null, json!("Text")] {
        let mut params = older_message();
        params["message"]["parts"][0]["kind"] = kind;
        assert!(rpc(&[], "message/send", &params).is_err());
    }
}

#[test]
fn protobuf_that_two_readers_could_read_in_two_ways_is_refused() {
    let call = |message: &[u8]| {
        raw("POST", "/lf.a2a.v1.A2AService/GetTask", &[V1], "application/grpc", &frame(message).unwrap())
    };
    assert_eq!(call(b"\x12\x01t").unwrap().task.as_deref(), Some("t"));
    for (message, error) in [
        (&b"\x12\x01t\x12\x01u"[..], WireError::Repeated { name: "id" }),
        (b"\x12\x01t\x7a\x01u", WireError::Unknown { number: 15 }),
        (b"\x12\x02t", WireError::Cut),
        (b"\x12\x01\xff", WireError::Utf8 { name: "id" }),
        (b"\x10\x01", WireError::Malformed),
        (b"\x02\x01t", WireError::Malformed),
        (b"\x13\x14", WireError::Malformed),
        (b"\x12\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f", WireError::Malformed),
    ] {
        assert_eq!(fault(call(message)), Fault::Wire(error), "{message:?}");
    }
    for body in [&b""[..], b"\0\0\0\0", b"\x01\0\0\0\0", b"\0\0\0\0\x01", b"\0\0\0\0\0\0\0\0\0\0"] {
        let called = raw("POST", "/lf.a2a.v1.A2AService/GetTask", &[V1], "application/grpc", body);
        assert_eq!(fault(called), Fault::Frame);
    }
}

#[test]
fn another_tenant_is_written_and_every_other_byte_kept() {
    let message = wire::bytes(json!({"tenant": "data", "id": "t"}).as_object().unwrap(), &schema::GET_TASK);
    let other = with_tenant(&message, Method::GetTask, Some("acme")).unwrap();
    let none = with_tenant(&message, Method::GetTask, None).unwrap();
    let read = |bytes: &[u8]| {
        let reading = wire::Reading { strict: true, depth_max: 8 };
        Value::Object(wire::object(bytes, &schema::GET_TASK, reading).unwrap())
    };
    assert_eq!(read(&other), json!({"tenant": "acme", "id": "t"}));
    assert_eq!(read(&none), json!({"id": "t"}));
}

#[test]
fn a_request_that_is_none_keeps_its_id() {
    let error = rpc(&[V1], "DeleteEverything", &json!({})).unwrap_err();
    assert_eq!(error.id.unwrap().get(), "7");
    assert_eq!(error.fault.kind(), ErrorKind::MethodNotFound);
    for body in [
        json!([]),
        json!({"jsonrpc": "2.0", "method": "GetTask", "params": {"id": "t"}}),
        json!({"jsonrpc": "2.0", "id": null, "method": "GetTask", "params": {"id": "t"}}),
        json!({"jsonrpc": "2.0", "id": 1, "method": "GetTask", "params": {"id": "t"}, "extra": 1}),
        json!({"jsonrpc": "1.0", "id": 1, "method": "GetTask", "params": {"id": "t"}}),
    ] {
        assert_eq!(fault(http("POST", "", &[V1], &body)), Fault::Request, "{body}");
    }
}

#[test]
fn an_answer_says_whose_task_it_is_in_every_binding() {
    let task = json!({"id": "t", "contextId": "c", "status": {"state": "TASK_STATE_COMPLETED", "timestamp": "2026-01-01T00:00:00Z"},
                      "artifacts": [{"artifactId": "a", "parts": [{"text": "abc"}]}]});
    let send = json!({"task": task});
    let rpc = json!({"jsonrpc": "2.0", "id": 1, "result": send}).to_string();
    let grpc = wire::bytes(send.as_object().unwrap(), &schema::EVENT);
    let (v1, v03, m) = (Version::V1_0, Version::V0_3, Method::SendMessage);
    let by_rpc = event(Binding::JsonRpc, v1, m, rpc.as_bytes()).unwrap();
    assert_eq!((by_rpc.kind, by_rpc.task.as_deref(), by_rpc.is_final()), (EventKind::Task, Some("t"), true));
    assert!(by_rpc.artifact_bytes > 40);
    assert_eq!(event(Binding::HttpJson, v1, m, send.to_string().as_bytes()).unwrap(), by_rpc);
    assert_eq!(event(Binding::Grpc, v1, m, &grpc).unwrap(), by_rpc);
    let older = json!({"jsonrpc": "2.0", "id": 1, "result": {"kind": "status-update", "taskId": "t", "contextId": "c",
        "status": {"state": "input-required"}, "final": true}});
    let older =
        event(Binding::JsonRpc, v03, Method::SendStreamingMessage, older.to_string().as_bytes()).unwrap();
    assert_eq!((older.kind, older.state.as_deref()), (EventKind::Status, Some("TASK_STATE_INPUT_REQUIRED")));
    let failed =
        event(Binding::JsonRpc, v1, m, br#"{"jsonrpc":"2.0","id":1,"error":{"code":-32001}}"#).unwrap();
    assert_eq!(failed.kind, EventKind::Error);
    let long = format!(r#"{{"task":{{"id":"{}"}}}}"#, "t".repeat(513));
    for odd in [
        long.as_str(),
        r#"{"task":{"id":"a/b"}}"#,
        r#"{"task":{"id":"t"},"message":{}}"#,
        r#"{"task":{"id":"t","id":"u"}}"#,
        "{}",
        r#"{"task":{"id":"t"},"task":{}}"#,
    ] {
        assert!(event(Binding::HttpJson, v1, m, odd.as_bytes()).is_err(), "{odd}");
    }
}

#[test]
fn an_error_has_the_shape_of_its_binding() {
    let rpc = reply(Binding::JsonRpc, Version::V1_0, ErrorKind::TaskNotFound, None, "task_not_found");
    let body: Value = serde_json::from_slice(&rpc.body).unwrap();
    assert_eq!((rpc.status, &body["error"]["code"]), (200, &json!(-32001)));
    assert_eq!(body["error"]["data"][0]["reason"], "TASK_NOT_FOUND");
    let rest = reply(Binding::HttpJson, Version::V1_0, ErrorKind::Denied, None, "not_allowed");
    let body: Value = serde_json::from_slice(&rest.body).unwrap();
    assert_eq!((rest.status, &body["error"]["status"]), (403, &json!("PERMISSION_DENIED")));
    assert_eq!(body["error"]["details"][0]["metadata"]["reason"], "not_allowed");
    let grpc = reply(Binding::Grpc, Version::V1_0, ErrorKind::TaskNotFound, None, "task_not_found");
    assert_eq!((grpc.trailers[0].1.as_str(), grpc.body.len()), ("5", 0));
    assert_eq!(grpc.trailers[1].1, "there is no such task: task_not_found");
}

#[test]
fn a_result_of_the_gateways_own_is_read_back_from_each_binding() {
    let held = json!({"tasks": [{"id": "t", "contextId": "c", "status": {"state": "TASK_STATE_WORKING"}}], "totalSize": 1});
    let held = held.as_object().unwrap();
    let framed = result(Binding::Grpc, Method::ListTasks, None, held);
    let reading = wire::Reading { strict: true, depth_max: 16 };
    assert_eq!(&wire::object(unframed(&framed).unwrap(), &schema::TASKS, reading).unwrap(), held);
    let rpc: Value =
        serde_json::from_slice(&result(Binding::JsonRpc, Method::ListTasks, None, held)).unwrap();
    assert_eq!(rpc["result"]["totalSize"], 1);
}

#[test]
fn the_gateways_own_question_is_read_like_anybodys() {
    for binding in [Binding::JsonRpc, Binding::HttpJson] {
        let asked = get_task(binding, Some("acme"), "a b", Some(2));
        let (path, method) = match &asked.target {
            Some(target) => (format!("{}?{}", target.path, target.query.clone().unwrap()), "GET"),
            None => (String::new(), "POST"),
        };
        let call = raw(method, &path, &[V1], "application/json", &asked.body).unwrap();
        assert_eq!((call.tenant.as_deref(), call.task.as_deref()), (Some("acme"), Some("a b")));
        assert_eq!(call.configuration.history_length, Some(2));
    }
    let gone = br#"{"jsonrpc":"2.0","id":1,"error":{"code":-32001,"message":"x"}}"#;
    assert_eq!(task(Binding::JsonRpc, gone).unwrap(), None);
    assert!(
        task(Binding::JsonRpc, br#"{"jsonrpc":"2.0","id":1,"error":{"code":-32603,"message":"x"}}"#).is_err()
    );
    assert!(task(Binding::HttpJson, br#"{"id":"t"}"#).unwrap().is_some());
}
