//! Deployments: how many replicas, a fresh start of all, and how far the cluster is with what was asked.

use crate::cluster::Session;
use crate::error::{KubernetesError, one_line};
use crate::fence::GroupKind;
use crate::kinds::Resource;
use crate::name::{Namespace, ObjectName};
use crate::server::Kubernetes;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::autoscaling::v1::Scale;
use kit::{Json, Progress};
use kube::core::WatchEvent;
use kube::core::params::{GetParams, Patch, PatchParams, WatchParams};
use rmcp::handler::server::wrapper::Parameters;
use rmcp::model::Extensions;
use rmcp::{tool, tool_router};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// What makes the pods of a Deployment be made anew: the annotation that kubectl sets, too.
const RESTARTED_AT: &str = "kubectl.kubernetes.io/restartedAt";
/// How long rollout_status waits if nobody says.
const WAIT: Duration = Duration::from_secs(30);
/// The longest event of a watch, in bytes.
const EVENT_BYTES_MAX: usize = 4 << 20;
/// A watch that ends at once is not begun anew at once.
const PAUSE: Duration = Duration::from_millis(500);

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ScaleArguments {
    /// The Deployment's namespace
    namespace: Namespace,
    /// Its name
    name: ObjectName,
    /// How many pods it shall have
    replicas: u32,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Scaled {
    namespace: String,
    name: String,
    /// How many pods it should have before
    before: i32,
    /// How many it shall have now
    replicas: i32,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct DeploymentArguments {
    /// The Deployment's namespace
    namespace: Namespace,
    /// Its name
    name: ObjectName,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Restarted {
    namespace: String,
    name: String,
    /// When, RFC 3339
    restarted_at: String,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct StatusArguments {
    /// The Deployment's namespace
    namespace: Namespace,
    /// Its name
    name: ObjectName,
    /// Waits so long for the rollout to end, 30 if not given; 0 looks once
    wait_seconds: Option<u32>,
}

/// How far a rollout is.
#[derive(Debug, PartialEq, Serialize, JsonSchema)]
pub(crate) struct Rollout {
    namespace: String,
    name: String,
    state: State,
    /// What is waited for, or what went wrong
    message: String,
    /// Pods that there shall be
    wanted: i32,
    /// Pods of the newest template
    updated: i32,
    /// Pods that are available
    available: i32,
    /// Pods of any template
    total: i32,
    /// Counted by the cluster with each new template
    revision: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
enum State {
    /// All pods are of the newest template and available
    Done,
    /// It goes on
    Progressing,
    /// The cluster has given up waiting
    Failed,
}

#[tool_router(router = rollouts, vis = "pub(crate)")]
impl Kubernetes {
    /// Says how many pods a Deployment shall have.
    #[tool(
        title = "Scale a Deployment",
        annotations(
            read_only_hint = false,
            destructive_hint = true,
            idempotent_hint = true,
            open_world_hint = false
        )
    )]
    async fn scale_deployment(
        &self,
        Parameters(asked): Parameters<ScaleArguments>,
        extensions: Extensions,
    ) -> Result<Json<Scaled>, KubernetesError> {
        if asked.replicas > self.limits.replicas_max {
            let text = format!("replicas is {} at most here", self.limits.replicas_max);
            return Err(KubernetesError::Arguments(text));
        }
        let session = self.deployment_session(&asked.namespace, &extensions).await?;
        let what = deployments().told(Some(&asked.namespace), &asked.name);
        let requests = deployments().requests(Some(&asked.namespace));
        let told = |error: KubernetesError| error.of(&what, false);
        let before: Scale =
            session.typed(requests.get_subresource("scale", &asked.name)).await.map_err(told)?;
        let patch = Patch::Merge(json!({"spec": {"replicas": asked.replicas}}));
        let request = requests.patch_subresource("scale", &asked.name, &self.patching(), &patch);
        let after: Scale = session.typed(request).await.map_err(told)?;
        let replicas = |scale: Scale| scale.spec.and_then(|spec| spec.replicas).unwrap_or(0);
        let (before, replicas) = (replicas(before), replicas(after));
        let scaled =
            Scaled { namespace: asked.namespace.to_string(), name: asked.name.to_string(), before, replicas };
        Ok(Json::new(scaled, format!("{what}: {before} -> {replicas} replicas")))
    }

    /// Makes all pods of a Deployment anew, by its own strategy.
    #[tool(
        title = "Restart a Deployment",
        annotations(
            read_only_hint = false,
            destructive_hint = true,
            idempotent_hint = false,
            open_world_hint = false
        )
    )]
    async fn rollout_restart(
        &self,
        Parameters(asked): Parameters<DeploymentArguments>,
        extensions: Extensions,
    ) -> Result<Json<Restarted>, KubernetesError> {
        let session = self.deployment_session(&asked.namespace, &extensions).await?;
        let what = deployments().told(Some(&asked.namespace), &asked.name);
        let at = self.now();
        let patch = json!({"spec": {"template": {"metadata": {"annotations": {RESTARTED_AT: &at}}}}});
        let requests = deployments().requests(Some(&asked.namespace));
        let request = requests.patch(&asked.name, &self.patching(), &Patch::Strategic(patch));
        let _: Deployment = session.typed(request).await.map_err(|error| error.of(&what, false))?;
        let restarted = Restarted {
            namespace: asked.namespace.to_string(),
            name: asked.name.to_string(),
            restarted_at: at,
        };
        Ok(Json::new(restarted, format!("{what} starts anew; rollout_status tells how far it is")))
    }

    /// Watches the rollout of a Deployment until it is done, has failed, or the time to wait is over.
    #[tool(
        title = "Follow a rollout",
        annotations(
            read_only_hint = true,
            destructive_hint = false,
            idempotent_hint = true,
            open_world_hint = false
        )
    )]
    async fn rollout_status(
        &self,
        Parameters(asked): Parameters<StatusArguments>,
        progress: Progress,
        extensions: Extensions,
    ) -> Result<Json<Rollout>, KubernetesError> {
        self.fence.namespace(&asked.namespace)?;
        self.fence.reads(&deployments().kind)?;
        let session = self.cluster.session(&extensions).await?;
        let wait = asked.wait_seconds.map_or(WAIT, |seconds| Duration::from_secs(seconds.into()));
        let end = Instant::now() + wait.min(self.limits.wait_max);
        let rollout = followed(&session, &asked.namespace, &asked.name, end, &progress).await?;
        let text = format!("{}/{}: {}", rollout.namespace, rollout.name, rollout.message);
        Ok(Json::new(rollout, text))
    }
}

impl Kubernetes {
    /// The cluster for a change of a Deployment, if that is within the fence.
    pub(crate) async fn deployment_session(
        &self,
        namespace: &Namespace,
        extensions: &Extensions,
    ) -> Result<Session, KubernetesError> {
        self.fence.namespace(namespace)?;
        self.fence.writes(&deployments().kind)?;
        self.cluster.session(extensions).await
    }

    fn patching(&self) -> PatchParams {
        PatchParams { field_manager: Some(self.field_manager.clone()), ..PatchParams::default() }
    }
}

/// Deployments are in apps/v1 since 2017, and nowhere else any more.
pub(crate) fn deployments() -> Resource {
    Resource {
        kind: GroupKind::new("Deployment", "apps"),
        version: "v1".into(),
        plural: "deployments".into(),
        namespaced: true,
    }
}

/// Looks, then watches from there; where a watch ends or is cut off before its time, looks again.
async fn followed(
    session: &Session,
    namespace: &Namespace,
    name: &ObjectName,
    end: Instant,
    progress: &Progress,
) -> Result<Rollout, KubernetesError> {
    let requests = deployments().requests(Some(namespace));
    let what = deployments().told(Some(namespace), name);
    let named = |deployment: &Deployment| deployment.metadata.name.as_deref() == Some(&**name);
    let mut told = 0.0;
    loop {
        let found = session.typed(requests.get(name, &GetParams::default())).await;
        let deployment: Deployment = found.map_err(|error| error.of(&what, false))?;
        let version = deployment.metadata.resource_version.clone().unwrap_or_default();
        let mut seen = rollout(deployment);
        let left = end.saturating_duration_since(Instant::now());
        if seen.state != State::Progressing || left.is_zero() {
            return Ok(seen);
        }
        told += 1.0;
        progress.tell(told, None, &seen.message).await;
        let seconds = u32::try_from(left.as_secs()).unwrap_or(u32::MAX).saturating_add(1);
        let watch = WatchParams::default().fields(&format!("metadata.name={name}")).timeout(seconds);
        let mut lines = session.lines(requests.watch(&watch, &version), EVENT_BYTES_MAX).await?;
        loop {
            let Ok(line) = timeout_at(end, lines.next()).await else { return Ok(seen) };
            let Ok(Some(line)) = line else { break };
            match serde_json::from_slice::<WatchEvent<Deployment>>(&line) {
                Ok(WatchEvent::Added(deployment) | WatchEvent::Modified(deployment))
                    if named(&deployment) =>
                {
                    let now = rollout(deployment);
                    if now.message != seen.message {
                        told += 1.0;
                        progress.tell(told, None, &now.message).await;
                    }
                    seen = now;
                    if seen.state != State::Progressing {
                        return Ok(seen);
                    }
                }
                Ok(WatchEvent::Deleted(deployment)) if named(&deployment) => {
                    return Err(KubernetesError::NotFound(what));
                }
                Ok(WatchEvent::Bookmark(_)) => {}
                Ok(WatchEvent::Error(_)) => break, // Too old: it is looked at again.
                _ => return Err(KubernetesError::Unavailable("a watch that tells no events")),
            }
        }
        tokio::time::sleep(PAUSE.min(end.saturating_duration_since(Instant::now()))).await;
    }
}

/// How far a Deployment is: it is done when the cluster has seen its latest form, and all its pods are of that.
fn rollout(deployment: Deployment) -> Rollout {
    let (metadata, status) = (deployment.metadata, deployment.status.unwrap_or_default());
    let wanted = deployment.spec.and_then(|spec| spec.replicas).unwrap_or(1);
    let updated = status.updated_replicas.unwrap_or(0);
    let available = status.available_replicas.unwrap_or(0);
    let total = status.replicas.unwrap_or(0);
    let gave_up = status.conditions.iter().flatten().find(|condition| {
        condition.type_ == "Progressing" && condition.reason.as_deref() == Some("ProgressDeadlineExceeded")
    });
    let (state, message) = if metadata.generation > status.observed_generation {
        (State::Progressing, "the cluster has not seen its latest form yet".to_owned())
    } else if let Some(condition) = gave_up {
        (State::Failed, one_line(condition.message.as_deref().unwrap_or("its deadline is over")))
    } else if updated < wanted {
        (State::Progressing, format!("{updated} of {wanted} pods are of the newest template"))
    } else if total > updated {
        (State::Progressing, format!("{} old pods have still to end", total - updated))
    } else if available < updated {
        (State::Progressing, format!("{available} of {updated} pods are available"))
    } else {
        (State::Done, format!("done: {available} of {wanted} pods are available"))
    };
    let revision = metadata.annotations.and_then(|mut all| all.remove("deployment.kubernetes.io/revision"));
    Rollout {
        namespace: metadata.namespace.unwrap_or_default(),
        name: metadata.name.unwrap_or_default(),
        state,
        message,
        wanted,
        updated,
        available,
        total,
        revision,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test ends by panicking")]
    use super::*;

    #[test]
    fn a_rollout_is_done_when_all_pods_are_new_and_available() {
        let state = |generation: i64, status: serde_json::Value| {
            let deployment = json!({
                "metadata": {"name": "w", "namespace": "n", "generation": generation},
                "spec": {"replicas": 3, "selector": {}, "template": {}},
                "status": status,
            });
            rollout(serde_json::from_value(deployment).unwrap()).state
        };
        let all = |updated, available, replicas| json!({"observedGeneration": 2, "updatedReplicas": updated, "availableReplicas": available, "replicas": replicas});
        assert_eq!(state(2, all(3, 3, 3)), State::Done);
        assert_eq!(state(3, all(3, 3, 3)), State::Progressing, "its latest form is not seen yet");
        assert_eq!(state(2, all(2, 2, 3)), State::Progressing);
        assert_eq!(state(2, all(3, 3, 4)), State::Progressing, "an old pod is there");
        assert_eq!(state(2, all(3, 2, 3)), State::Progressing);
        let mut failed = all(1, 0, 4);
        failed["conditions"] =
            json!([{"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"}]);
        assert_eq!(state(2, failed), State::Failed);
    }
}
