#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test ends by panicking")]

use super::super::{HttpRequest, Limits, call};
use super::*;
use http::{HeaderMap, HeaderName, HeaderValue};

const OURS: &str = "https://gateway.example/push/x";

fn decoded(path: &str, version: &'static str, body: &[u8]) -> Call {
    let media = if path.starts_with("/lf.") { "application/grpc" } else { "application/json" };
    let mut headers = HeaderMap::new();
    headers.insert("content-type", HeaderValue::from_static(media));
    headers.insert(HeaderName::from_static("a2a-version"), HeaderValue::from_static(version));
    let request = HttpRequest { method: &http::Method::POST, path, query: None, headers: &headers, body };
    call(&request, &Limits::default()).unwrap()
}

/// Each place in which a configuration may stand, with something odd around it.
fn requests() -> Vec<(&'static str, &'static str, String)> {
    let config = r#"{ "token":"t\u00f6k" , "url" : "https://hooks.example/a?x=1", "authentication":{"credentials":"s3cret","scheme":"Bearer"}, "id":"p" }"#;
    let older = config.replace(r#""scheme":"Bearer""#, r#""schemes":["Bearer"]"#);
    let message = r#""message":{"messageId":"m","role":"ROLE_USER","parts":[{"text":"\u0068i"}]}"#;
    let older_message =
        r#""message":{"kind":"message","messageId":"m","role":"user","parts":[{"kind":"text","text":"hi"}]}"#;
    let rest_message = r#""request":{"messageId":"m","role":"ROLE_USER","content":[{"text":"hi"}]}"#;
    let rpc = |method: &str, params: &str| {
        format!("{{ \"jsonrpc\":\"2.0\",\"params\": {params}  ,\"method\":\"{method}\",\"id\":1}}\n")
    };
    let create = config.replacen("{", r#"{"taskId":"t", "#, 1);
    vec![
        (
            "",
            "1.0",
            rpc(
                "SendMessage",
                &format!(
                    r#"{{{message}, "configuration": {{"taskPushNotificationConfig":{config} ,"historyLength":1}} }}"#
                ),
            ),
        ),
        ("", "1.0", rpc("CreateTaskPushNotificationConfig", &create)),
        (
            "",
            "0.3",
            rpc(
                "message/send",
                &format!(r#"{{{older_message}, "configuration": {{"pushNotificationConfig":{older}}} }}"#),
            ),
        ),
        (
            "",
            "0.3",
            rpc(
                "tasks/pushNotificationConfig/set",
                &format!(r#"{{"taskId":"t","pushNotificationConfig": {older}}}"#),
            ),
        ),
        (
            "/message:send",
            "1.0",
            format!(r#"{{{message}, "configuration": {{"taskPushNotificationConfig":{config}}} }}"#),
        ),
        ("/tasks/t/pushNotificationConfigs", "1.0", config.to_owned()),
        (
            "/v1/message:send",
            "0.3",
            format!(r#"{{{rest_message}, "configuration": {{"push_notification":{older}}} }}"#),
        ),
        (
            "/v1/tasks/t/pushNotificationConfigs",
            "0.3",
            format!(r#"{{"parent":"tasks/t","config":{{"pushNotificationConfig":{older}}}}}"#),
        ),
        ("/v1/tasks/t/pushNotificationConfigs", "0.3", format!(r#"{{"push_notification_config":{older}}}"#)),
    ]
}

#[test]
fn only_the_configuration_is_changed_and_no_secret_is_left_in_it() {
    for (path, version, body) in requests() {
        let before = decoded(path, version, body.as_bytes());
        let push = before.push.clone().unwrap();
        assert_eq!(push.url, "https://hooks.example/a?x=1");
        assert_eq!(push.token.as_ref().map(Hidden::expose), Some("t\u{f6}k"));
        assert_eq!(push.credentials.as_ref().map(Hidden::expose), Some("s3cret"));
        assert!(!format!("{before:?}").contains("s3cret"), "a secret is printed");
        let changed = with_push_url(&before, body.as_bytes(), OURS).unwrap();
        let text = std::str::from_utf8(&changed).unwrap();
        assert!(!text.contains("s3cret") && !text.contains("t\\u00f6k") && !text.contains("hooks"), "{text}");
        let begins = body
            .find("{ \"token\"")
            .or(body.find("{\"taskId\":\"t\", \"token"))
            .or(body.find("{\"taskId\":\"t\",  \"token"));
        let begins = begins.unwrap_or_else(|| panic!("{body}"));
        assert_eq!(body.get(..begins), text.get(..begins), "what stands before it is as it was");
        let ends = body.find("\"p\" }").unwrap() + "\"p\" }".len();
        assert!(text.ends_with(&body[ends..]), "what stands behind it is as it was: {text}");
        let after = decoded(path, version, &changed).push.unwrap();
        assert_eq!((after.url.as_str(), after.id.as_deref()), (OURS, Some("p")));
        assert_eq!((after.token, after.credentials, after.schemes), (None, None, vec![]));
    }
}

#[test]
fn a_message_of_protobuf_is_changed_in_its_configuration_alone() {
    let config = json!({"url": "https://hooks.example/a", "token": "tok", "id": "p", "authentication": {"scheme": "Bearer", "credentials": "s3cret"}});
    let send = json!({"tenant": "trainer", "message": {"messageId": "m", "role": "ROLE_USER", "parts": [{"text": "hi"}]}, "configuration": {"historyLength": 3, "taskPushNotificationConfig": config}});
    let mut create = config.clone();
    create["taskId"] = "t".into();
    for (method, params) in [(Method::SendMessage, send), (Method::CreateTaskPushNotificationConfig, create)]
    {
        let body = grpc::frame(&grpc::request(method, params.as_object().unwrap())).unwrap();
        let path = format!("/{}/{}", grpc::SERVICE, method.name());
        let before = decoded(&path, "1.0", &body);
        let changed = with_push_url(&before, &body, OURS).unwrap();
        assert!(!changed.windows(6).any(|w| w == b"s3cret" || w == b"hooks."));
        let after = decoded(&path, "1.0", &changed);
        let push = after.push.unwrap();
        assert_eq!((push.url.as_str(), push.id.as_deref(), push.token), (OURS, Some("p"), None));
        assert_eq!(
            (after.task, after.message, after.configuration),
            (before.task, before.message, before.configuration)
        );
    }
}

#[test]
fn an_answer_shows_what_the_caller_wrote_and_nothing_else() {
    let push = |url: &str| {
        (url == OURS).then(|| Push {
            id: None,
            url: "https://hooks.example/a".to_owned(),
            schemes: vec!["Bearer".to_owned()],
            credentials: Some(Hidden::new("s3cret".to_owned())),
            token: Some(Hidden::new("tok".to_owned())),
        })
    };
    let rpc = |version, method: &str, params: &str| {
        let body = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{params}}}"#);
        decoded("", version, body.as_bytes())
    };
    let theirs = r#"{"taskId":"t","id":"q","url":"https://other.example/","token":"theirs"}"#;
    let ours = format!(r#"{{"taskId":"t","id":"p","url":"{OURS}","more":1,"token":"theirs"}}"#);
    let shown = json!({"taskId": "t", "id": "p", "url": "https://hooks.example/a", "token": "tok", "authentication": {"scheme": "Bearer", "credentials": "s3cret"}});

    let get = rpc("1.0", "GetTaskPushNotificationConfig", r#"{"taskId":"t","id":"p"}"#);
    let answer = |config: &str| format!(r#"{{"jsonrpc":"2.0","id":1,"result":{config}}}"#);
    let turned = with_configs(&get, answer(&ours).as_bytes(), &mut |url| push(url)).unwrap();
    assert_eq!(
        serde_json::from_slice::<Value>(&turned).unwrap(),
        json!({"jsonrpc": "2.0", "id": 1, "result": shown})
    );
    let foreign = with_configs(&get, answer(theirs).as_bytes(), &mut |url| push(url));
    assert!(matches!(foreign, Err(EventError::Config)));
    let refused = br#"{"jsonrpc":"2.0","id":1,"error":{"code":-32001,"message":"no"}}"#;
    let refusal = with_configs(&get, refused, &mut |url| push(url));
    assert!(matches!(refusal, Err(EventError::Config)), "what is not there and what is another's are one");

    let list = rpc("1.0", "ListTaskPushNotificationConfigs", r#"{"taskId":"t"}"#);
    assert_eq!(with_configs(&list, refused, &mut |url| push(url)).unwrap(), refused);
    let all = answer(&format!(r#"{{"configs":[{theirs},{ours}],"nextPageToken":"n","x":1}}"#));
    let turned = with_configs(&list, all.as_bytes(), &mut |url| push(url)).unwrap();
    let turned: Value = serde_json::from_slice(&turned).unwrap();
    assert_eq!(turned["result"], json!({"configs": [shown], "nextPageToken": "n"}));

    let older = rpc("0.3", "tasks/pushNotificationConfig/list", r#"{"id":"t"}"#);
    let all = answer(&format!(
        r#"[{{"taskId":"t","pushNotificationConfig":{{"url":"{OURS}","id":"p"}}}},{{"taskId":"t","pushNotificationConfig":{theirs}}}]"#
    ));
    let turned = with_configs(&older, all.as_bytes(), &mut |url| push(url)).unwrap();
    let turned: Value = serde_json::from_slice(&turned).unwrap();
    let authentication = json!({"schemes": ["Bearer"], "credentials": "s3cret"});
    let config = json!({"id": "p", "url": "https://hooks.example/a", "token": "tok", "authentication": authentication});
    assert_eq!(turned["result"], json!([{"taskId": "t", "pushNotificationConfig": config}]));

    let path = format!("/{}/GetTaskPushNotificationConfig", grpc::SERVICE);
    let asked = grpc::request(
        Method::GetTaskPushNotificationConfig,
        json!({"taskId": "t", "id": "p"}).as_object().unwrap(),
    );
    let get = decoded(&path, "1.0", &grpc::frame(&asked).unwrap());
    let agents: Value = serde_json::from_str(&ours).unwrap();
    let message = grpc::answer(get.method, agents.as_object().unwrap());
    let turned = with_configs(&get, &message, &mut |url| push(url)).unwrap();
    assert_eq!(Value::Object(grpc::answer_of(get.method, &turned).unwrap()), shown);
}

#[test]
fn what_an_agent_posts_is_an_event_of_one_task_or_nothing() {
    for (body, version, task) in [
        (
            r#"{"task":{"id":"t","contextId":"c","status":{"state":"TASK_STATE_WORKING"}}}"#,
            Version::V1_0,
            Some("t"),
        ),
        (
            r#"{"statusUpdate":{"taskId":"t","contextId":"c","status":{"state":"TASK_STATE_COMPLETED"}}}"#,
            Version::V1_0,
            Some("t"),
        ),
        (r#"{"message":{"messageId":"m","role":"ROLE_AGENT","parts":[]}}"#, Version::V1_0, None),
        (
            r#"{"kind":"task","id":"t","contextId":"c","status":{"state":"working"}}"#,
            Version::V0_3,
            Some("t"),
        ),
        (
            r#"{"kind":"status-update","taskId":"t","contextId":"c","final":true,"status":{"state":"completed"}}"#,
            Version::V0_3,
            Some("t"),
        ),
    ] {
        let (read, event) = pushed(body.as_bytes(), &json::Limits::default()).unwrap();
        assert_eq!((read, event.task.as_deref()), (version, task), "{body}");
    }
    for body in [
        "",
        "[]",
        "{}",
        "\"task\"",
        r#"{"task":{"id":"t"},"message":{}}"#,
        r#"{"task":{"id":"t","id":"u"}}"#,
        r#"{"task":{"id":"t"},"Task":{"id":"u"}}"#,
        r#"{"kind":"invoice","id":"t"}"#,
        r#"{"task":{"id":"t"}} trailing"#,
    ] {
        assert!(pushed(body.as_bytes(), &json::Limits::default()).is_err(), "{body}");
    }
}
