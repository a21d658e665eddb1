//! An upstream on a socket: an MLflow with a little in it, or something that isn't one.
#![allow(clippy::unwrap_used, reason = "a test ends by panicking")]

use serde_json::{Value, json};
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

#[derive(Clone, Debug)]
pub(crate) enum Behaviour {
    Mlflow,
    Down,
    Silent,
    Half,
    Closes,
    Says(u16, String),
}

pub(crate) struct Upstream {
    pub(crate) url: String,
    heard: Arc<Mutex<Vec<String>>>,
}

/// The `Authorization` of a request, where it stands in what was heard.
pub(crate) fn credential(heard: &str) -> Option<&str> {
    heard.split_once("authorization: ").map(|(_, rest)| rest.lines().next().unwrap())
}

impl Upstream {
    pub(crate) async fn start(behaviour: Behaviour) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(([127, 0, 0, 1], 0).into()).unwrap();
        let url = format!("http://{}/", socket.local_addr().unwrap());
        let heard = Arc::new(Mutex::new(Vec::new()));
        let upstream = Self { url, heard: Arc::clone(&heard) };
        if matches!(behaviour, Behaviour::Down) {
            std::mem::forget(socket); // Nobody listens there, and nobody else gets the port.
        } else {
            let listener = socket.listen(64).unwrap();
            tokio::spawn(async move {
                while let Ok((stream, _)) = listener.accept().await {
                    tokio::spawn(serve(stream, behaviour.clone(), Arc::clone(&heard)));
                }
            });
        }
        upstream
    }

    /// Method, path, query, body and credential of each request.
    pub(crate) fn heard(&self) -> Vec<String> {
        self.heard.lock().unwrap().clone()
    }
}

async fn serve(mut stream: TcpStream, behaviour: Behaviour, heard: Arc<Mutex<Vec<String>>>) {
    let mut bytes = Vec::new();
    let (text, target) = loop {
        if stream.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
            return;
        }
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head
            .to_lowercase()
            .split("content-length: ")
            .nth(1)
            .map_or(0, |l| l.lines().next().unwrap().parse().unwrap());
        if body.len() >= length {
            let credential = head.lines().find(|line| line.to_lowercase().starts_with("authorization: "));
            let line = head.lines().next().unwrap().strip_suffix(" HTTP/1.1").unwrap();
            let target = line.split(' ').nth(1).unwrap().to_owned();
            break (format!("{line} {body}\n{}", credential.unwrap_or_default()), target);
        }
    };
    heard.lock().unwrap().push(text);
    let (status, body, length) = match behaviour {
        Behaviour::Mlflow => answer(&target),
        Behaviour::Says(status, body) => (status, body, None),
        Behaviour::Half => (200, "{\"experiments\":[{\"experi".into(), Some(1000)),
        Behaviour::Silent => return std::future::pending().await,
        Behaviour::Closes | Behaviour::Down => return,
    };
    let length = length.unwrap_or(body.len());
    let reply = format!(
        "HTTP/1.1 {status} X\r\ncontent-length: {length}\r\nlocation: /elsewhere\r\nconnection: close\r\n\r\n{body}"
    );
    let _ = stream.write_all(reply.as_bytes()).await;
}

/// In it are the experiments `demo` (1) and `secret` (2), each with a run, `a1` and `b2`, and the models `fraud`, with two
/// versions and the alias `staging`, and `hidden`.
fn answer(target: &str) -> (u16, String, Option<usize>) {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let has = |pair: &str| query.split('&').any(|found| found == pair);
    let missing =
        || (404, json!({"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "none at /srv/mlflow"}));
    let experiment = |id: &str, name: &str| json!({"experiment_id": id, "name": name, "artifact_location": "s3://secret-bucket", "lifecycle_stage": "active"});
    let run = |id: &str, experiment: &str| {
        json!({"info": {
            "run_id": id, "experiment_id": experiment, "status": "FINISHED", "run_name": id,
            "artifact_uri": format!("mlflow-artifacts:/{experiment}/{id}/artifacts"), "lifecycle_stage": "active",
        }, "data": {"metrics": [{"key": "loss", "value": 0.25, "timestamp": 1, "step": 3}], "params": [{"key": "lr", "value": "0.1"}]}})
    };
    let version = |name: &str, number: &str, run: &str| {
        json!({"name": name, "version": number, "current_stage": "None", "status": "READY", "run_id": run,
            "source": "s3://secret-bucket/model", "aliases": ["staging"]})
    };
    let model = |name: &str| json!({"name": name, "latest_versions": [version(name, "2", "a1")], "aliases": [{"alias": "staging", "version": "1"}]});
    let trace = |experiment: &str| {
        json!({"trace_id": format!("tr-{experiment}"), "state": "OK",
            "trace_location": {"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": experiment}}})
    };
    let span = json!({"span_id": "AAA=", "name": "root", "start_time_unix_nano": 1_000_000, "end_time_unix_nano": 3_000_000,
        "attributes": [{"key": "k", "value": {"string_value": "v"}}], "status": {"code": "STATUS_CODE_OK"}});
    let path = path.strip_prefix("/api/").unwrap_or_default();
    if path.starts_with("2.0/mlflow-artifacts/artifacts/") {
        return (200, if path.ends_with("/text.txt") { "0123456789".into() } else { String::new() }, None);
    }
    let (status, body): (u16, Value) = match path
        .strip_prefix("2.0/mlflow/")
        .or(path.strip_prefix("3.0/mlflow/"))
        .unwrap_or("")
    {
        "experiments/search" => {
            let all = json!([experiment("1", "demo"), experiment("2", "secret")]);
            (200, json!({"experiments": all, "next_page_token": "more"}))
        }
        "experiments/get-by-name" if has("experiment_name=demo") => {
            (200, json!({"experiment": experiment("1", "demo")}))
        }
        "experiments/get-by-name" if has("experiment_name=DEMO") => {
            (200, json!({"experiment": experiment("1", "demo")}))
        }
        "experiments/get-by-name" if has("experiment_name=secret") => {
            (200, json!({"experiment": experiment("2", "secret")}))
        }
        "experiments/get" if has("experiment_id=1") => (200, json!({"experiment": experiment("1", "demo")})),
        "experiments/get" => (200, json!({"experiment": experiment("2", "secret")})),
        "experiments/create" => (200, json!({"experiment_id": "3"})),
        "runs/create" => (200, json!({"run": run("a1", "1")})),
        "runs/search" => (200, json!({"runs": [run("a1", "1"), run("b2", "2")]})),
        "runs/get" if has("run_id=a1") => (200, json!({"run": run("a1", "1")})),
        "runs/get" if has("run_id=b2") => (200, json!({"run": run("b2", "2")})),
        "metrics/get-history" => (
            200,
            json!({"metrics": [{"key": "loss", "value": "NaN", "timestamp": 1}], "next_page_token": "more"}),
        ),
        "artifacts/list" => (
            200,
            json!({"files": [{"path": "text.txt", "file_size": 10}, {"path": "model", "is_dir": true}]}),
        ),
        "registered-models/create" => (200, json!({"registered_model": model("fraud")})),
        "registered-models/get" if has("name=fraud") => (200, json!({"registered_model": model("fraud")})),
        "registered-models/get" if has("name=hidden") => (200, json!({"registered_model": model("hidden")})),
        "registered-models/search" => (200, json!({"registered_models": [model("fraud"), model("hidden")]})),
        "model-versions/get" if has("version=9") => missing(),
        "model-versions/get" if has("name=fraud") && has("version=2") => {
            (200, json!({"model_version": version("fraud", "2", "b2")}))
        }
        "model-versions/get" if has("name=fraud") => {
            (200, json!({"model_version": version("fraud", "1", "a1")}))
        }
        "model-versions/search" => {
            (200, json!({"model_versions": [version("fraud", "1", "a1"), version("hidden", "1", "b2")]}))
        }
        "model-versions/create" | "model-versions/transition-stage" => {
            (200, json!({"model_version": version("fraud", "2", "a1")}))
        }
        "logged-models/m-1" => (
            200,
            json!({"model": {"info": {"experiment_id": "1", "artifact_uri": "mlflow-artifacts:/1/models/m-1"}}}),
        ),
        "logged-models/m-2" => (
            200,
            json!({"model": {"info": {"experiment_id": "2", "artifact_uri": "mlflow-artifacts:/2/models/m-2"}}}),
        ),
        "traces/search" => (200, json!({"traces": [trace("1"), trace("2")]})),
        "traces/get" if has("trace_id=tr-1") => {
            (200, json!({"trace": {"trace_info": trace("1"), "spans": [span, span]}}))
        }
        "traces/get" if has("trace_id=tr-2") => {
            (200, json!({"trace": {"trace_info": trace("2"), "spans": []}}))
        }
        "runs/log-batch"
        | "runs/update"
        | "registered-models/alias"
        | "model-versions/set-tag"
        | "model-versions/delete-tag" => (200, json!({})),
        _ => missing(),
    };
    (status, body.to_string(), None)
}
