//! What holds for any bytes that come as a call of A2A, or as an agent's answer to one.

#![allow(dead_code, reason = "each fuzz target calls one of them")]

use http::{HeaderMap, HeaderName, HeaderValue};
use protocol::a2a::card::{self, Card};
use protocol::a2a::{self, Binding, Call, HttpRequest, Limits, Method, Version};
use serde_json::Value;

fn decoded(
    method: &http::Method,
    path: &str,
    media: &'static str,
    version: &'static str,
    body: &[u8],
) -> Option<Call> {
    let mut headers = HeaderMap::new();
    headers.insert("content-type", HeaderValue::from_static(media));
    headers.insert(HeaderName::from_static("a2a-version"), HeaderValue::from_static(version));
    let (path, query) = path.split_once('?').map_or((path, None), |(path, query)| (path, Some(query)));
    match a2a::call(&HttpRequest { method, path, query, headers: &headers, body }, &Limits::default()) {
        Ok(call) => Some(call),
        Err(error) => {
            let reason = error.fault.reason();
            assert!(reason.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_')), "{reason}");
            assert!(error.fault.kind().codes().0 < 0);
            None
        }
    }
}

/// Where a call has a push configuration: with another URL in it, it is the same call without the secrets.
fn relayed(call: &Call, body: &[u8], again: impl Fn(&[u8]) -> Option<Call>) {
    if call.push.is_none() {
        return;
    }
    let Some(changed) = a2a::with_push_url(call, body, "https://g.example/push/x") else {
        panic!("its configuration is not found")
    };
    let Some(after) = again(&changed) else { panic!("it is no call any more") };
    let push = after.push.unwrap_or_else(|| unreachable!("it had a configuration"));
    assert_eq!((push.url.as_str(), push.token, push.credentials), ("https://g.example/push/x", None, None));
    assert_eq!(push.id, call.push.as_ref().and_then(|push| push.id.clone()));
    assert_eq!((&after.task, &after.context, &after.message), (&call.task, &call.context, &call.message));
}

/// A call over JSON-RPC is about the task and the context that any other parser reads in its body.
pub(crate) fn a2a_rpc(body: &[u8]) -> bool {
    let mut good = false;
    for version in ["1.0", "0.3"] {
        let Some(call) = decoded(&http::Method::POST, "", "application/json", version, body) else {
            continue;
        };
        relayed(&call, body, |body| decoded(&http::Method::POST, "", "application/json", version, body));
        let value = serde_json::from_slice::<Value>(body).unwrap_or_default();
        let params = &value["params"];
        let text = |value: &Value| value.as_str().filter(|text| !text.is_empty()).map(str::to_owned);
        if let Some(message) = &call.message {
            assert_eq!(call.task, text(&params["message"]["taskId"]));
            assert_eq!(call.context, text(&params["message"]["contextId"]));
            assert_eq!(Some(message.parts.len()), params["message"]["parts"].as_array().map(Vec::len));
        } else if call.method.names_a_task() {
            assert_eq!(call.task, text(&params["taskId"]).or(text(&params["id"])));
        }
        good = true;
    }
    good
}

/// A call over HTTP+JSON, as a line of method and path with the body behind it: the path that goes on is the same call.
pub(crate) fn a2a_rest(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    let Some(((method, path), body)) =
        text.split_once('\n').and_then(|(line, body)| Some((line.split_once(' ')?, body)))
    else {
        return false;
    };
    let Ok(method) = method.parse::<http::Method>() else { return false };
    let mut good = false;
    for version in ["1.0", "0.3"] {
        let again = |path: &str| decoded(&method, path, "application/json", version, body.as_bytes());
        let Some(call) = again(path).filter(|call| call.binding == Binding::HttpJson) else { continue };
        relayed(&call, body.as_bytes(), |body| decoded(&method, path, "application/json", version, body));
        let target =
            call.target.clone().unwrap_or_else(|| unreachable!("a call over HTTP+JSON has a target"));
        assert!(
            target.path.starts_with('/') && target.path.is_ascii() && !target.path.contains(['?', '#', '\\'])
        );
        let on =
            target.query.as_ref().map_or(target.path.clone(), |query| format!("{}?{query}", target.path));
        let Some(judged) = again(&on) else { panic!("what goes on is not the call: {on}") };
        assert_eq!((judged.method, &judged.task, &judged.tenant), (call.method, &call.task, &call.tenant));
        assert_eq!((judged.push_id, judged.target), (call.push_id, Some(target)));
        good = true;
    }
    good
}

/// A call over gRPC, whatever its method, as a whole body or as the message alone: without its tenant it is the same call.
pub(crate) fn a2a_grpc(bytes: &[u8]) -> bool {
    let mut good = false;
    if let Some(message) = a2a::unframed(bytes) {
        assert_eq!(a2a::frame(message).as_deref(), Some(bytes)); // One way to write a frame.
        good |= of_message(message);
    }
    for row in a2a::methods() {
        let path = format!("/{}/{}", a2a::SERVICE, row.name);
        let named = a2a::tenant_of(&path, bytes); // Of any bytes, before they are a call.
        let named = named.filter(|tenant| !tenant.is_empty());
        if let Some(call) = decoded(&http::Method::POST, &path, "application/grpc", "1.0", bytes) {
            assert_eq!((call.tenant, a2a::unframed(bytes).is_some()), (named, true));
        }
    }
    of_message(bytes) || good
}

fn of_message(message: &[u8]) -> bool {
    let mut good = false;
    for row in a2a::methods() {
        let path = format!("/{}/{}", a2a::SERVICE, row.name);
        let called = |message: &[u8]| {
            decoded(&http::Method::POST, &path, "application/grpc", "1.0", &a2a::frame(message)?)
        };
        let Some(call) = called(message) else { continue };
        if let Some(framed) = a2a::frame(message) {
            relayed(&call, &framed, |body| {
                decoded(&http::Method::POST, &path, "application/grpc", "1.0", body)
            });
        }
        let Ok(rest) = a2a::with_tenant(message, row.method, None) else { panic!("it was read before") };
        let Some(same) = called(&rest) else { panic!("it is another message without its tenant") };
        assert_eq!(same.tenant, None);
        assert_eq!((same.task, same.context, same.message), (call.task, call.context, call.message));
        good = true;
    }
    good
}

/// An agent's answer, whatever the question was; or an event that it posts.
pub(crate) fn a2a_answer(bytes: &[u8]) -> bool {
    let posted = a2a::pushed(bytes, &protocol::json::Limits::default());
    let mut good = posted.is_ok_and(|(_, event)| event.task.is_none_or(|task| !task.is_empty()));
    for path in ["/tasks/t/pushNotificationConfigs/p", "/tasks/t/pushNotificationConfigs"] {
        let asked = decoded(&http::Method::GET, path, "application/json", "1.0", b"");
        let asked = asked.unwrap_or_else(|| unreachable!("it is a call"));
        if let Ok(shown) = a2a::with_configs(&asked, bytes, &mut |_| None) {
            assert!(!String::from_utf8_lossy(&shown).contains("\"url\"")); // Nothing here is anybody's.
            good = true;
        }
    }
    for binding in [Binding::JsonRpc, Binding::HttpJson, Binding::Grpc] {
        for method in [Method::SendStreamingMessage, Method::GetTask] {
            for version in [Version::V1_0, Version::V0_3] {
                let Ok(event) = a2a::event(binding, version, method, bytes) else { continue };
                assert!(event.task.is_none_or(|task| !task.is_empty()));
                good = true;
            }
        }
    }
    good
}

/// A card, and its signatures' headers: what is signed is a card itself, whose signed form it is, and so is what a pin
/// holds to.
pub(crate) fn card(bytes: &[u8]) -> bool {
    let strict = protocol::json::Limits { depth_max: card::DEPTH_MAX };
    if protocol::json::check(bytes, &strict).is_err() {
        return false;
    }
    let Ok(value) = serde_json::from_slice::<Value>(bytes) else { return false };
    assert!(card::interfaces(&value).iter().all(|one| one.version.as_str().len() == 3));
    let Ok(read) = Card::read(&value) else { return false };
    let again = |form: &[u8]| {
        let value: Value = serde_json::from_slice(form).unwrap_or_else(|error| panic!("{error}"));
        Card::read(&value).unwrap_or_else(|error| panic!("{error}")) // What was signed is a card.
    };
    let Ok(form) = read.canonical() else { panic!("a card that was read can be signed") };
    assert_eq!(again(&form).canonical().ok().as_ref(), Some(&form));
    assert!(again(&form).signatures().is_empty()); // No signature covers signatures.
    let Ok(promised) = read.promised() else { panic!("a card that was read can be pinned") };
    assert_eq!(again(&promised).promised().ok(), Some(promised));
    for signature in read.signatures() {
        if let Ok(header) = signature.header() {
            assert!(!header.alg.is_empty() && !header.kid.is_empty());
        }
        assert!(signature.compact(&form).starts_with(&signature.protected));
    }
    true
}
