//! A server in a world, before an upstream.
#![allow(dead_code, clippy::unwrap_used, reason = "each test program uses its part, and ends by panicking")]

use crate::world::{Answer, World};
use certs::Clock;
use kit::Service;
use mcp_kubernetes::{Bounds, Cluster, Fence, Kubernetes, Limits};
use serde_json::Value;
use std::time::Duration;

pub(crate) const TOOLS: [&str; 14] = [
    "apply_manifest",
    "can_i",
    "delete",
    "events",
    "explain",
    "get",
    "get_pod_status",
    "list",
    "pod_logs",
    "rollout_restart",
    "rollout_status",
    "rollout_undo",
    "scale_deployment",
    "split_traffic",
];
pub(crate) const LIMITS: Limits = Limits {
    replicas_max: 50,
    documents_max: 2,
    page_items_max: 5,
    log_lines_max: 10,
    log_bytes_max: 1024,
    wait_max: Duration::from_secs(2),
};
pub(crate) const UID: &str = "0f8fad5b-d9cb-469f-a165-70867728950e";

/// A server that reaches the namespace `staging`, and Secrets beside the usual kinds.
pub(crate) async fn world(url: &str) -> World {
    let write = ["Secret", "ConfigMap", "Deployment.apps", "HTTPRoute.gateway.networking.k8s.io"];
    of_kinds(url, &["Pod", "Node"], &write).await
}

pub(crate) async fn of_kinds(url: &str, read: &[&str], write: &[&str]) -> World {
    let make = |_: &std::path::Path| {
        let bounds = Bounds { timeout: Duration::from_millis(300), bytes_max: 20_000 };
        let cluster = Cluster::new(&url.parse().unwrap(), None, bounds).unwrap();
        let owned = |all: &[&str]| all.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        let fence = Fence::new(&owned(&["staging"]), &owned(read), &owned(write)).unwrap();
        let manager = "mcp-kubernetes".to_owned();
        Service::new(mcp_kubernetes::NAME, Kubernetes::new(cluster, fence, manager, LIMITS, Clock::system()))
    };
    let scopes = [&["protocol", "resources"], &TOOLS[..]].concat();
    World::of(mcp_kubernetes::NAME, &scopes, make, |_, _| {}).await
}

/// Arguments, with others beside or in place of them.
pub(crate) fn with(mut arguments: Value, change: Value) -> Value {
    arguments.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
    arguments
}

pub(crate) fn code(answer: &Answer) -> &Value {
    &answer.body["result"]["structuredContent"]["error"]["code"]
}
