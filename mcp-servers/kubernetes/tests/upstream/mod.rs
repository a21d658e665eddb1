//! An upstream on a socket: an API server with a little in it, or something that isn't one.
#![allow(dead_code, clippy::unwrap_used, reason = "each test program uses its part, and ends by panicking")]

use serde_json::{Value, json};
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

#[derive(Clone, Debug)]
pub(crate) enum Behaviour {
    Kubernetes,
    /// An API server each of whose watches has the next of these lines. One whose last line has no end is cut off there.
    Watches(Vec<String>),
    Down,
    Silent,
    Half,
    Closes,
    /// Status, content type and body, whatever is asked.
    Says(u16, &'static str, String),
}

pub(crate) struct Upstream {
    pub(crate) url: String,
    heard: Arc<Mutex<Vec<String>>>,
    instead: Instead,
}

/// How requests begin that get another body, with status 200, than an API server's.
type Instead = Arc<Mutex<Option<(&'static str, &'static str)>>>;

/// What stands in the one Secret, and in base64.
pub(crate) const SECRET: &str = "hunter2";
pub(crate) const SECRET_ENCODED: &str = "aHVudGVyMg==";

impl Upstream {
    pub(crate) async fn start(behaviour: Behaviour) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(([127, 0, 0, 1], 0).into()).unwrap();
        let url = format!("http://{}/", socket.local_addr().unwrap());
        let heard = Arc::new(Mutex::new(Vec::new()));
        let instead = Instead::default();
        let upstream = Self { url, heard: Arc::clone(&heard), instead: Arc::clone(&instead) };
        if matches!(behaviour, Behaviour::Down) {
            std::mem::forget(socket); // Nobody listens there, and nobody else gets the port.
        } else {
            let listener = socket.listen(64).unwrap();
            tokio::spawn(async move {
                while let Ok((stream, _)) = listener.accept().await {
                    tokio::spawn(serve(stream, behaviour.clone(), Arc::clone(&heard), Arc::clone(&instead)));
                }
            });
        }
        upstream
    }

    /// Method, target, credential and body of each request.
    pub(crate) fn heard(&self) -> Vec<String> {
        self.heard.lock().unwrap().clone()
    }

    /// From now on requests that begin so, as they are heard, get this body; all others what they got before.
    pub(crate) fn instead(&self, of: Option<(&'static str, &'static str)>) {
        *self.instead.lock().unwrap() = of;
    }
}

async fn serve(
    mut stream: TcpStream,
    behaviour: Behaviour,
    heard: Arc<Mutex<Vec<String>>>,
    instead: Instead,
) {
    let mut bytes = Vec::new();
    let text = loop {
        if stream.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
            return;
        }
        let text = String::from_utf8(bytes.clone()).unwrap();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let header =
            |name: &str| head.lines().find_map(|line| line.to_lowercase().strip_prefix(name).map(|_| line));
        let length = header("content-length: ").map_or(0, |line| line[16..].trim().parse().unwrap());
        if body.len() >= length {
            let target: Vec<_> = head.lines().next().unwrap().split(' ').take(2).collect();
            let credential = header("authorization: ").unwrap_or_default();
            break format!("{}\n{credential}\n{body}", target.join(" "));
        }
    };
    heard.lock().unwrap().push(text.clone());
    let (status, kind, body, length) = match behaviour {
        Behaviour::Watches(all) if text.contains("watch=true") => {
            let watches = heard.lock().unwrap().iter().filter(|text| text.contains("watch=true")).count();
            let lines = all.get(watches - 1).cloned().unwrap_or_default();
            let length = lines.len() + usize::from(!lines.ends_with('\n'));
            (200, "application/json", lines, Some(length))
        }
        Behaviour::Kubernetes | Behaviour::Watches(_) => {
            let instead = *instead.lock().unwrap();
            let (status, kind, body) = match instead.filter(|(begins, _)| text.starts_with(*begins)) {
                Some((_, body)) => (200, "application/json", body.to_owned()),
                None => answer(&text),
            };
            (status, kind, body, None)
        }
        Behaviour::Says(status, kind, body) => (status, kind, body, None),
        Behaviour::Half => (200, "application/json", "{\"kind\":\"Sec".into(), Some(1000)),
        Behaviour::Silent => return std::future::pending().await,
        Behaviour::Closes | Behaviour::Down => return,
    };
    let length = length.unwrap_or(body.len());
    let reply = format!(
        "HTTP/1.1 {status} X\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\nlocation: /elsewhere\r\nconnection: close\r\n\r\n{body}"
    );
    let _ = stream.write_all(reply.as_bytes()).await;
}

/// In it are the Deployment `web` and a route to it, the Secret `db` and a pod with a log, in the namespace `staging`.
fn answer(request: &str) -> (u16, &'static str, String) {
    let target = request.lines().next().unwrap();
    let (method, target) = target.split_once(' ').unwrap();
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let body = request.splitn(3, '\n').nth(2).unwrap();
    let group = |name: &str| {
        let version = json!({"groupVersion": format!("{name}/v1"), "version": "v1"});
        json!({"kind": "APIGroup", "apiVersion": "v1", "name": name, "versions": [version], "preferredVersion": version})
    };
    let resources = |version: &str, all: &[(&str, &str, bool)]| {
        let all = all
            .iter()
            .map(|(name, kind, namespaced)| json!({"name": name, "kind": kind, "namespaced": namespaced}));
        let mut list =
            json!({"kind": "APIResourceList", "groupVersion": version, "resources": all.collect::<Vec<_>>()});
        if version != "v1" {
            list["apiVersion"] = json!("v1"); // That of the core has none.
        }
        list
    };
    let table = json!({
        "kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": {"continue": "next-page", "remainingItemCount": 7},
        "columnDefinitions": [{"name": "Name", "priority": 0}, {"name": "Data", "priority": 0}, {"name": "Extra", "priority": 1}],
        "rows": [{"cells": ["db", 1, "x"], "object": {"metadata": {"name": "db", "namespace": "staging",
            "annotations": {"a": SECRET}}}}],
    });
    let found: Value = match path {
        "/version" => json!({"major": "1"}),
        "/api/v1" => resources(
            "v1",
            &[
                ("secrets", "Secret", true),
                ("configmaps", "ConfigMap", true),
                ("nodes", "Node", false),
                ("pods", "Pod", true),
            ],
        ),
        "/apis/apps" => group("apps"),
        "/apis/apps/v1" => {
            resources("apps/v1", &[("deployments/scale", "Scale", true), ("deployments", "Deployment", true)])
        }
        "/apis/gateway.networking.k8s.io" => group("gateway.networking.k8s.io"),
        "/apis/gateway.networking.k8s.io/v1" => {
            resources("gateway.networking.k8s.io/v1", &[("httproutes", "HTTPRoute", true)])
        }
        "/apis/gateway.networking.k8s.io/v1/namespaces/staging/httproutes/web" => json!({
            "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": {"name": "web", "namespace": "staging"},
            "spec": {"rules": [{"backendRefs": [{"name": "web", "weight": 1}]}]},
        }),
        "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews" => json!({
            "apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview", "metadata": {}, "spec": {},
            "status": {"allowed": true},
        }),
        "/openapi/v3/api/v1" => json!({"openapi": "3.0.0", "components": {"schemas": {"Pod": {
            "type": "object", "x-kubernetes-group-version-kind": [{"group": "", "version": "v1", "kind": "Pod"}],
        }}}}),
        "/apis/apps/v1/namespaces/staging/deployments/web" => json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": "web", "namespace": "staging", "uid": "u", "resourceVersion": "5", "managedFields": [{"manager": "kubectl"}],
                "annotations": {"deployment.kubernetes.io/revision": "4"}},
        }),
        "/apis/apps/v1/namespaces/staging/replicasets" if query.contains("continue=older") => {
            json!({"apiVersion": "apps/v1", "kind": "ReplicaSetList", "metadata": {},
                "items": [replica_set("u", "3", "web:3"), replica_set("u", "2", "web:2")]})
        }
        "/apis/apps/v1/namespaces/staging/replicasets" => json!({
            "apiVersion": "apps/v1", "kind": "ReplicaSetList", "metadata": {"continue": "older"},
            "items": [replica_set("u", "4", "web:4"), replica_set("other", "3", "other:3")],
        }),
        "/apis/apps/v1/namespaces/staging/deployments" => json!({
            "apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadataList", "metadata": {},
            "items": [{"metadata": {"name": "web", "namespace": "staging"}}],
        }),
        "/api/v1/namespaces/staging/pods/web-1" => {
            json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web-1", "namespace": "staging"}})
        }
        "/api/v1/namespaces/staging/events" => {
            json!({"apiVersion": "v1", "kind": "EventList", "metadata": {}, "items": [
                event("v1", "Pod", "web-1"), event("apps/v1", "Deployment", "web"), event("v1", "ConfigMap", "web"),
                event("v1", "Deployment", "of-the-core"), {"metadata": {}, "involvedObject": {"kind": "Node", "name": "a"}},
            ]})
        }
        "/apis/apps/v1/namespaces/staging/deployments/web/scale" => json!({
            "apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": {"name": "web", "namespace": "staging"},
            "spec": {"replicas": 3},
        }),
        "/api/v1/namespaces/staging/secrets/db" if method == "GET" => secret(SECRET_ENCODED),
        "/api/v1/namespaces/staging/secrets/db" if body.contains("wrong") => {
            let message = format!("Secret \"db\" is invalid: Invalid value: {SECRET:?}");
            return status(422, "Invalid", &message);
        }
        "/api/v1/namespaces/staging/secrets/db" => secret("bmV3"),
        "/api/v1/namespaces/staging/secrets/sealed" => {
            let mut sealed = secret(SECRET_ENCODED);
            sealed["metadata"]["name"] = json!("sealed");
            sealed["immutable"] = json!(true);
            sealed
        }
        "/api/v1/namespaces/staging/secrets" => table,
        "/api/v1/namespaces/staging/pods/web-1/log" => {
            let lines: String = (0..20).map(|i| format!("line {i}\n")).collect();
            return (200, "text/plain", if query.contains("tailLines=2") { "a\nb\n".into() } else { lines });
        }
        _ => return status(404, "NotFound", "the server could not find the requested resource"),
    };
    (200, "application/json", found.to_string())
}

fn status(code: u16, reason: &str, message: &str) -> (u16, &'static str, String) {
    let status = json!({"apiVersion": "v1", "kind": "Status", "status": "Failure", "code": code, "reason": reason, "message": message});
    (code, "application/json", status.to_string())
}

fn replica_set(owner: &str, revision: &str, image: &str) -> Value {
    json!({
        "metadata": {
            "annotations": {"deployment.kubernetes.io/revision": revision},
            "ownerReferences": [{"uid": owner, "controller": true}],
        },
        "spec": {"template": {"spec": {"containers": [{"name": "app", "image": image}]}}},
    })
}

fn event(version: &str, kind: &str, name: &str) -> Value {
    json!({"metadata": {}, "involvedObject": {"apiVersion": version, "kind": kind, "name": name}, "reason": "Seen"})
}

fn secret(value: &str) -> Value {
    let applied = format!("{{\"stringData\":{{\"password\":\"{SECRET}\"}}}}");
    json!({
        "apiVersion": "v1", "kind": "Secret", "type": "Opaque", "data": {"password": value},
        "metadata": {"name": "db", "namespace": "staging", "uid": "0f8fad5b-d9cb-469f-a165-70867728950e", "resourceVersion": "7",
            "annotations": {"kubectl.kubernetes.io/last-applied-configuration": applied, "other": SECRET}},
    })
}
