//! What the official A2A SDKs said to each other (`a2a/wire`), read by the decoder: every call of theirs is one, and
//! every answer says whose task it is.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test ends by panicking")]

use http::{HeaderMap, HeaderName, HeaderValue};
use protocol::a2a::{self, Binding, Call, Event, HttpRequest, Limits, Method};
use protocol::sse::Events;
use serde_json::Value;
use std::path::Path;

fn transcript(name: &str) -> Vec<Value> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/a2a/wire").join(format!("{name}.json"));
    let read: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    read["exchanges"].as_array().unwrap().clone()
}

fn headers(pairs: &Value) -> HeaderMap {
    let pair = |pair: &Value| {
        let name = pair[0].as_str().unwrap().to_ascii_lowercase();
        let value = HeaderValue::from_str(pair[1].as_str().unwrap()).unwrap();
        (HeaderName::try_from(name).unwrap(), value)
    };
    pairs.as_array().unwrap().iter().map(pair).collect()
}

fn read(request: &Value) -> Result<Call, a2a::DecodeError> {
    let path = request["path"].as_str().unwrap();
    let (path, query) = path.split_once('?').map_or((path, None), |(path, query)| (path, Some(query)));
    let path = path.strip_prefix("/rpc").unwrap_or(path);
    let method = request["method"].as_str().unwrap().parse().unwrap();
    let body = request["body"].as_str().unwrap_or_default().as_bytes();
    let headers = headers(&request["headers"]);
    a2a::call(&HttpRequest { method: &method, path, query, headers: &headers, body }, &Limits::default())
}

/// What an answer over HTTP says, event by event.
fn said(call: &Call, response: &Value) -> Vec<Event> {
    let body = response["body"].as_str().unwrap_or_default();
    let event = |bytes: &[u8]| {
        a2a::event(call.binding, call.version, call.method, bytes)
            .unwrap_or_else(|e| panic!("{e:?} {call:?} {body}"))
    };
    if !body.contains("data: ") {
        return if body.is_empty() { Vec::new() } else { vec![event(body.as_bytes())] };
    }
    let mut events = Events::new(1 << 20);
    let whole = events.push(body.as_bytes()).unwrap();
    whole.iter().filter_map(|one| one.data().map(|data| event(data.as_bytes()))).collect()
}

#[test]
fn every_call_of_the_official_clients_is_one_and_every_answer_says_whose_it_is() {
    for (name, least) in [
        ("js-jsonrpc-1.0", 10),
        ("js-jsonrpc-0.3", 8),
        ("js-rest-1.0", 10),
        ("js-rest-0.3", 8),
        ("python-jsonrpc-1.0", 10),
        ("python-jsonrpc-0.3", 8),
        ("python-rest-1.0", 10),
        ("python-rest-0.3", 6),
    ] {
        let (mut tasks, mut calls) = (0, 0);
        for exchange in transcript(name) {
            let request = &exchange["request"];
            if request["path"].as_str().unwrap().contains("/.well-known/") {
                continue;
            }
            let call = read(request).unwrap_or_else(|error| panic!("{name}: {error:?}\n{request}"));
            calls += 1;
            if exchange["response"]["status"].as_u64().is_some_and(|status| status < 300) {
                tasks +=
                    said(&call, &exchange["response"]).iter().filter(|event| event.task.is_some()).count();
            }
        }
        assert!(calls >= least && tasks > 8, "{name}: {calls} calls, {tasks} tasks");
    }
}

#[test]
fn every_call_over_grpc_is_one_and_every_message_back_is_read() {
    for name in ["js-grpc-1.0", "python-grpc-1.0"] {
        let (mut calls, mut tasks) = (0, 0);
        for exchange in transcript(name) {
            let bytes = |message: &Value| hex(message["hex"].as_str().unwrap());
            let mut headers = headers(&exchange["metadata"]);
            headers.insert("content-type", HeaderValue::from_static("application/grpc"));
            let body = a2a::frame(&bytes(&exchange["request"])).unwrap();
            let path = exchange["method"].as_str().unwrap();
            let request = HttpRequest {
                method: &http::Method::POST,
                path,
                query: None,
                headers: &headers,
                body: &body,
            };
            let call = a2a::call(&request, &Limits::default())
                .unwrap_or_else(|e| panic!("{name}: {e:?}\n{exchange}"));
            calls += 1;
            for response in exchange["responses"].as_array().unwrap() {
                let event = a2a::event(Binding::Grpc, call.version, call.method, &bytes(response)).unwrap();
                let of_a_list =
                    matches!(call.method, Method::ListTasks | Method::ListTaskPushNotificationConfigs);
                assert!(!of_a_list || event.task.is_none());
                tasks += usize::from(event.task.is_some());
            }
        }
        assert!(calls >= 10 && tasks > 8, "{name}: {calls} calls, {tasks} tasks");
    }
}

fn hex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

/// Requests that no SDK makes: those on which two servers differ are refused, or go on in one spelling.
#[test]
fn what_two_servers_read_in_two_ways_is_refused() {
    let mut refused = Vec::new();
    for exchange in transcript("crafted-python") {
        let what = exchange["what"].as_str().unwrap();
        if exchange["request"]["path"].as_str().unwrap().contains("/.well-known/") {
            continue;
        }
        match read(&exchange["request"]) {
            Err(error) => refused.push(format!("{what}: {}", error.fault.reason())),
            Ok(call) => refused.push(format!("{what}: {}", call.method.name())),
        }
    }
    let committed = include_str!("a2a/crafted.txt");
    assert_eq!(refused.join("\n"), committed.trim_end(), "read each line of it before you change it");
}
