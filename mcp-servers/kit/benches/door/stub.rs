//! A stand-in of the systems behind the servers: it answers at once what the real one would, in plain HTTP/1.1 over
//! connections that it keeps, so that a server's own work is what is measured.

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use std::convert::Infallible;
use std::fmt::Write;
use std::sync::Arc;
use tokio::net::TcpListener;

pub(crate) const RUN: &str = "0123456789abcdef0123456789abcdef";
pub(crate) const MODEL: &str = "ranker";
pub(crate) const NAMESPACE: &str = "staging";
pub(crate) const CONFIG_MAP: &str = "settings";
/// Events of an answer that comes as a model writes it, a token each: 1 KiB of text.
pub(crate) const TOKENS: usize = 256;

const JSON: &str = "application/json";
const EVENTS: &str = "text/event-stream";

/// Every answer, made once.
struct Answers {
    json: Vec<(&'static str, Bytes)>,
    whole: Bytes,
    tokens: Bytes,
}

/// Serves until standard input ends; the address is its first line.
pub(crate) async fn serve() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    println!("{}", listener.local_addr().unwrap());
    let (open, mut ended) = tokio::sync::oneshot::channel::<()>();
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink()); // An error ends it, too.
        drop(open);
    });
    let answers = Arc::new(Answers { json: said(), whole: events(1, 1024), tokens: events(TOKENS, 4) });
    loop {
        let (tcp, _) = tokio::select! {
            _ = &mut ended => return,
            accepted = listener.accept() => accepted.unwrap(),
        };
        tcp.set_nodelay(true).unwrap();
        let answers = Arc::clone(&answers);
        let service = service_fn(move |request| {
            let answers = Arc::clone(&answers);
            async move { Ok::<_, Infallible>(answers.to(request).await) }
        });
        tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(tcp), service));
    }
}

impl Answers {
    async fn to(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let (head, body) = request.into_parts();
        let asked = body.collect().await.unwrap().to_bytes();
        let (kind, bytes) = match head.uri.path() {
            "/v1/chat/completions" => {
                let asked: Value = serde_json::from_slice(&asked).unwrap();
                (EVENTS, if asked["model"] == "tokens" { &self.tokens } else { &self.whole })
            }
            path => match self.json.iter().find(|(known, _)| *known == path) {
                Some((_, bytes)) => (JSON, bytes),
                None => {
                    let mut missing = Response::new(Full::default());
                    *missing.status_mut() = StatusCode::NOT_FOUND;
                    return missing;
                }
            },
        };
        Response::builder().header(CONTENT_TYPE, kind).body(Full::from(bytes.clone())).unwrap()
    }
}

/// What is asked for by a path alone.
fn said() -> Vec<(&'static str, Bytes)> {
    let pairs = |name: &str, count: usize| -> Vec<Value> {
        (0..count)
            .map(|n| json!({"key": format!("{name}_{n}"), "value": format!("value of {name} {n}")}))
            .collect()
    };
    let metrics: Vec<Value> = (0..6)
        .map(|n| json!({"key": format!("metric_{n}"), "value": 0.125, "timestamp": 1_764_400_000_000u64, "step": n}))
        .collect();
    let run = json!({"run": {
        "info": {
            "run_id": RUN, "run_uuid": RUN, "experiment_id": "1", "run_name": "rank", "status": "FINISHED",
            "user_id": "alice", "start_time": 1_764_400_000_000u64, "end_time": 1_764_400_100_000u64,
            "artifact_uri": format!("mlflow-artifacts:/1/{RUN}/artifacts"), "lifecycle_stage": "active",
        },
        "data": {"metrics": metrics, "params": pairs("param", 6), "tags": pairs("tag", 4)},
        "inputs": {}, "outputs": {},
    }});
    let experiment = json!({"experiment": {
        "experiment_id": "1", "name": "ranking", "artifact_location": "mlflow-artifacts:/1", "lifecycle_stage": "active",
        "creation_time": 1_764_400_000_000u64, "last_update_time": 1_764_400_000_000u64,
    }});
    let model = json!({"registered_model": {
        "name": MODEL, "creation_timestamp": 1_764_400_000_000u64, "last_updated_timestamp": 1_764_400_000_000u64,
        "description": "Ranks. ".repeat(60), "tags": pairs("tag", 6), "aliases": [{"alias": "champion", "version": "3"}],
        "latest_versions": [],
    }});
    let resources = json!({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": "v1", "resources": [
        {"name": "configmaps", "singularName": "configmap", "namespaced": true, "kind": "ConfigMap", "verbs": ["get", "list"]},
    ]});
    let config_map = json!({"kind": "ConfigMap", "apiVersion": "v1",
        "metadata": {"name": CONFIG_MAP, "namespace": NAMESPACE, "uid": "6d2f7c9e-3f38-4a49-9c0f-0f4bd1e6a001",
            "resourceVersion": "42", "creationTimestamp": "2026-11-29T12:00:00Z", "labels": {"app": "rank"}},
        "data": (0..12).map(|n| (format!("key-{n}"), json!("a value of some length, some 60 characters or so: 0123456789")))
            .collect::<serde_json::Map<_, _>>(),
    });
    let series: Vec<Value> = (0..6)
        .map(|n| {
            let labels = json!({"__name__": "up", "instance": format!("10.0.0.{n}:9100"), "job": "node", "namespace": "ml", "pod": format!("rank-{n}")});
            json!({"metric": labels, "value": [1_764_400_000.123, "1"]})
        })
        .collect();
    let vector = json!({"status": "success", "data": {"resultType": "vector", "result": series}});
    let models = json!({"object": "list", "data": [
        {"id": "whole", "object": "model", "created": 0, "owned_by": "stub"},
        {"id": "tokens", "object": "model", "created": 0, "owned_by": "stub"},
    ]});
    [
        ("/api/2.0/mlflow/runs/get", run),
        ("/api/2.0/mlflow/experiments/get", experiment),
        ("/api/2.0/mlflow/registered-models/get", model),
        ("/api/v1", resources),
        ("/api/v1/namespaces/staging/configmaps/settings", config_map),
        ("/api/v1/query", vector),
        ("/v1/models", models),
    ]
    .map(|(path, answer)| (path, Bytes::from(answer.to_string())))
    .to_vec()
}

/// A chat's answer in so many events of so many letters each, as vLLM writes them.
fn events(count: usize, letters: usize) -> Bytes {
    let mut text = String::new();
    let chunk = |choices: Value, usage: Value| {
        json!({"id": "chatcmpl-0123456789abcdef", "object": "chat.completion.chunk", "created": 1_764_400_000, "model": "stub",
            "choices": choices, "usage": usage})
    };
    for n in 0..count {
        let last = n + 1 == count;
        let choice = json!([{"index": 0, "delta": {"content": "x".repeat(letters)}, "logprobs": null,
            "finish_reason": if last { json!("stop") } else { Value::Null }}]);
        write!(text, "data: {}\n\n", chunk(choice, Value::Null)).unwrap();
    }
    let usage = json!({"prompt_tokens": 20, "completion_tokens": TOKENS, "total_tokens": 20 + TOKENS});
    write!(text, "data: {}\n\ndata: [DONE]\n\n", chunk(json!([]), usage)).unwrap();
    Bytes::from(text)
}
