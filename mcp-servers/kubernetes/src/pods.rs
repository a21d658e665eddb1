//! Pods: how they are, and what they say.

use crate::cluster::Lines;
use crate::error::{KubernetesError, one_line};
use crate::fence::GroupKind;
use crate::kinds::Resource;
use crate::name::{Container, Namespace, ObjectName};
use crate::server::Kubernetes;
use k8s_openapi::api::core::v1::{ContainerState, ContainerStatus, Pod};
use kit::{Json, Progress};
use kube::core::params::GetParams;
use kube::core::subresource::LogParams;
use rmcp::handler::server::wrapper::Parameters;
use rmcp::model::Extensions;
use rmcp::{tool, tool_router};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// Lines that are asked for if nobody says how many.
const TAIL: u32 = 100;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct PodArguments {
    /// The pod's namespace
    namespace: Namespace,
    /// Its name
    name: ObjectName,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct LogArguments {
    /// The pod's namespace
    namespace: Namespace,
    /// Its name
    name: ObjectName,
    /// Which of its containers; needed where it has several
    container: Option<Container>,
    /// So many of the last lines, 100 if not given
    #[schemars(range(min = 1))]
    tail_lines: Option<u32>,
    /// Only lines of the last so many seconds
    #[schemars(range(min = 1))]
    since_seconds: Option<u32>,
    /// Those of the container before its last restart
    #[serde(default)]
    previous: bool,
    /// With the time before each line
    #[serde(default)]
    timestamps: bool,
    /// Waits so long for further lines, and tells each as progress
    #[schemars(range(min = 1))]
    follow_seconds: Option<u32>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct PodStatus {
    namespace: String,
    name: String,
    uid: String,
    /// Pending, Running, Succeeded, Failed or Unknown
    phase: String,
    /// Whether all its containers are ready
    ready: bool,
    /// Restarts of all its containers
    restarts: i64,
    /// The node that it is on
    node: Option<String>,
    /// Its address
    ip: Option<String>,
    /// Since when, RFC 3339
    started: Option<String>,
    /// Why it is in its phase, where the cluster says so
    reason: Option<String>,
    /// Conditions that don't hold, and why
    not_met: Vec<Condition>,
    /// Its containers, those that run before the others first
    containers: Vec<ContainerTold>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Condition {
    /// What should hold
    pub(crate) condition: String,
    /// Why it doesn't
    pub(crate) reason: String,
}

#[derive(Debug, Serialize, JsonSchema)]
struct ContainerTold {
    name: String,
    image: String,
    ready: bool,
    restarts: i32,
    /// waiting, running or terminated, and why
    state: String,
    /// How it ended the last time, if it did
    #[serde(skip_serializing_if = "Option::is_none")]
    last_end: Option<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Log {
    /// The lines, the oldest first
    lines: Vec<String>,
    /// Whether there are more than are told
    truncated: bool,
}

#[tool_router(router = pods, vis = "pub(crate)")]
impl Kubernetes {
    /// Tells how a pod is: its phase, what is not met, and each container's state, restarts and last end.
    #[tool(
        title = "Get a pod's status",
        annotations(
            read_only_hint = true,
            destructive_hint = false,
            idempotent_hint = true,
            open_world_hint = false
        )
    )]
    async fn get_pod_status(
        &self,
        Parameters(asked): Parameters<PodArguments>,
        extensions: Extensions,
    ) -> Result<Json<PodStatus>, KubernetesError> {
        self.fence.namespace(&asked.namespace)?;
        self.fence.reads(&pods().kind)?;
        let session = self.cluster.session(&extensions).await?;
        let request = pods().requests(Some(&asked.namespace)).get(&asked.name, &GetParams::default());
        let what = format!("pod {}/{}", asked.namespace, asked.name);
        let pod: Pod = session.typed(request).await.map_err(|error| error.of(&what, false))?;
        let status = told(pod);
        let ready = if status.ready { "ready" } else { "not ready" };
        let text = format!("{what}: {}, {ready}, {} restarts", status.phase, status.restarts);
        Ok(Json::new(status, text))
    }

    /// Reads the last lines of a container's log, and waits for further ones if asked to.
    #[tool(
        title = "Read a pod's log",
        annotations(
            read_only_hint = true,
            destructive_hint = false,
            idempotent_hint = true,
            open_world_hint = false
        )
    )]
    async fn pod_logs(
        &self,
        Parameters(asked): Parameters<LogArguments>,
        progress: Progress,
        extensions: Extensions,
    ) -> Result<Json<Log>, KubernetesError> {
        self.fence.namespace(&asked.namespace)?;
        self.fence.reads(&pods().kind)?;
        let numbers = [asked.tail_lines, asked.since_seconds, asked.follow_seconds];
        if numbers.contains(&Some(0)) {
            return Err(KubernetesError::Arguments(
                "tail_lines, since_seconds and follow_seconds are 1 or more".into(),
            ));
        }
        if asked.previous && asked.follow_seconds.is_some() {
            return Err(KubernetesError::Arguments("a log that has ended can't be followed".into()));
        }
        let lines_max = self.limits.log_lines_max;
        let parameters = LogParams {
            container: asked.container.map(|name| name.to_string()),
            follow: asked.follow_seconds.is_some(),
            limit_bytes: Some(i64::from(self.limits.log_bytes_max)),
            previous: asked.previous,
            since_seconds: asked.since_seconds.map(i64::from),
            tail_lines: Some(i64::from(asked.tail_lines.unwrap_or(TAIL).min(lines_max))),
            timestamps: asked.timestamps,
            ..LogParams::default()
        };
        let session = self.cluster.session(&extensions).await?;
        let request = pods().requests(Some(&asked.namespace)).logs(&asked.name, &parameters);
        let what = format!("pod {}/{}", asked.namespace, asked.name);
        let bytes_max = self.limits.log_bytes_max as usize;
        let lines = session.lines(request, bytes_max).await.map_err(|error| error.of(&what, false))?;
        let wait = asked.follow_seconds.map_or(self.limits.wait_max, |seconds| {
            Duration::from_secs(seconds.into()).min(self.limits.wait_max)
        });
        let log = self.collected(lines, wait, asked.follow_seconds.is_some().then_some(&progress)).await?;
        let text = format!(
            "{what}: {} lines{}",
            log.lines.len(),
            if log.truncated { ", and there are more" } else { "" }
        );
        Ok(Json::new(log, text))
    }
}

impl Kubernetes {
    /// The lines that come within the time and the bounds. Who follows hears of each.
    async fn collected(
        &self,
        mut lines: Lines,
        wait: Duration,
        follower: Option<&Progress>,
    ) -> Result<Log, KubernetesError> {
        let (end, mut log, mut bytes) =
            (Instant::now() + wait, Log { lines: Vec::new(), truncated: false }, 0);
        while let Ok(line) = timeout_at(end, lines.next()).await {
            let Some(line) = line? else { return Ok(log) };
            bytes += line.len() + 1;
            if log.lines.len() >= self.limits.log_lines_max as usize
                || bytes > self.limits.log_bytes_max as usize
            {
                log.truncated = true;
                return Ok(log);
            }
            let line = visible(&line);
            if let Some(progress) = follower {
                progress.tell(log.lines.len() as f64 + 1.0, None, &one_line(&line)).await;
            }
            log.lines.push(line);
        }
        log.truncated = follower.is_none(); // Not followed, and yet not at its end in time.
        Ok(log)
    }
}

/// Pods are where they have been since the first version of the API.
fn pods() -> Resource {
    Resource {
        kind: GroupKind::new("Pod", ""),
        version: "v1".into(),
        plural: "pods".into(),
        namespaced: true,
    }
}

/// A line as text that does nothing to a terminal.
fn visible(line: &[u8]) -> String {
    let text = String::from_utf8_lossy(line);
    text.trim_end_matches('\r')
        .chars()
        .map(|c| if c.is_control() && c != '\t' { '\u{fffd}' } else { c })
        .collect()
}

fn told(pod: Pod) -> PodStatus {
    let (metadata, spec, status) =
        (pod.metadata, pod.spec.unwrap_or_default(), pod.status.unwrap_or_default());
    let first = status.init_container_statuses.unwrap_or_default();
    let all: Vec<_> = first.into_iter().chain(status.container_statuses.unwrap_or_default()).collect();
    let unmet =
        status.conditions.unwrap_or_default().into_iter().filter(|condition| condition.status != "True");
    let unmet: Vec<_> = unmet
        .map(|found| {
            let why = [found.reason, found.message].into_iter().flatten().collect::<Vec<_>>().join(": ");
            Condition { condition: found.type_, reason: one_line(&why) }
        })
        .collect();
    let why: Vec<_> = [status.reason, status.message].into_iter().flatten().collect();
    PodStatus {
        namespace: metadata.namespace.unwrap_or_default(),
        name: metadata.name.unwrap_or_default(),
        uid: metadata.uid.unwrap_or_default(),
        phase: status.phase.unwrap_or_else(|| "Unknown".into()),
        ready: !all.is_empty() && !unmet.iter().any(|found| found.condition == "Ready"),
        restarts: all.iter().map(|container| i64::from(container.restart_count)).sum(),
        node: spec.node_name,
        ip: status.pod_ip,
        started: status.start_time.map(|time| time.0.to_string()),
        reason: (!why.is_empty()).then(|| one_line(&why.join(": "))),
        not_met: unmet,
        containers: all.into_iter().map(container).collect(),
    }
}

fn container(status: ContainerStatus) -> ContainerTold {
    let last_end =
        status.last_state.filter(|state| state.terminated.is_some()).map(|state| state_told(&state));
    ContainerTold {
        name: status.name,
        image: status.image,
        ready: status.ready,
        restarts: status.restart_count,
        state: status.state.map_or_else(|| "waiting".into(), |state| state_told(&state)),
        last_end,
    }
}

fn state_told(state: &ContainerState) -> String {
    if let Some(end) = &state.terminated {
        let why = end.reason.as_deref().unwrap_or("for no reason that is known");
        return one_line(&format!("terminated: {why}, exit code {}", end.exit_code));
    }
    if state.running.is_some() {
        return "running".into();
    }
    let waiting = state.waiting.as_ref();
    let why = waiting
        .map(|w| [w.reason.as_deref(), w.message.as_deref()].into_iter().flatten().collect::<Vec<_>>());
    match why {
        Some(why) if !why.is_empty() => one_line(&format!("waiting: {}", why.join(": "))),
        _ => "waiting".into(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test ends by panicking")]
    use super::*;
    use serde_json::json;

    #[test]
    fn a_pods_troubles_are_told() {
        let pod: Pod = serde_json::from_value(json!({
            "metadata": {"name": "web", "namespace": "staging", "uid": "u"},
            "spec": {"containers": [], "nodeName": "n1"},
            "status": {
                "phase": "Running", "startTime": "2026-11-29T10:00:00Z",
                "conditions": [{"type": "Ready", "status": "False", "reason": "ContainersNotReady", "message": "app\nwaits"},
                    {"type": "PodScheduled", "status": "True"}],
                "containerStatuses": [{
                    "name": "app", "image": "x:1", "imageID": "", "ready": false, "restartCount": 3,
                    "state": {"waiting": {"reason": "CrashLoopBackOff"}},
                    "lastState": {"terminated": {"exitCode": 137, "reason": "OOMKilled"}},
                }],
            },
        }))
        .unwrap();
        let told = serde_json::to_value(told(pod)).unwrap();
        assert_eq!(
            (&told["ready"], &told["restarts"], &told["node"]),
            (&json!(false), &json!(3), &json!("n1"))
        );
        assert_eq!(
            told["not_met"],
            json!([{"condition": "Ready", "reason": "ContainersNotReady: app waits"}])
        );
        assert_eq!(told["containers"][0]["state"], "waiting: CrashLoopBackOff");
        assert_eq!(told["containers"][0]["last_end"], "terminated: OOMKilled, exit code 137");
        assert_eq!(told["started"], "2026-11-29T10:00:00Z");
    }

    #[test]
    fn a_line_does_nothing_to_a_terminal() {
        assert_eq!(visible(b"a\tb\x1b[31mc\xff\r"), "a\tb\u{fffd}[31mc\u{fffd}");
    }
}
