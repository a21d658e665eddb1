//! Back to an earlier template of a Deployment, as its ReplicaSets keep them.

use crate::cluster::Session;
use crate::error::KubernetesError;
use crate::fence::GroupKind;
use crate::kinds::Resource;
use crate::name::{Namespace, ObjectName};
use crate::rollout::deployments;
use crate::selector::LabelSelector;
use crate::server::Kubernetes;
use kit::Json;
use kube::core::params::{GetParams, ListParams, PostParams};
use rmcp::handler::server::wrapper::Parameters;
use rmcp::model::Extensions;
use rmcp::{tool, tool_router};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Where the cluster counts the templates of a Deployment.
const REVISION: &str = "deployment.kubernetes.io/revision";
/// The label that tells the pods of one template from those of another; the cluster's own.
const HASH: &str = "pod-template-hash";

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct UndoArguments {
    /// The Deployment's namespace
    namespace: Namespace,
    /// Its name
    name: ObjectName,
    /// The revision to go back to; the one before if not given
    #[schemars(range(min = 1))]
    to_revision: Option<u64>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Undone {
    namespace: String,
    name: String,
    /// The revision that it had
    from_revision: u64,
    /// The one whose template it has again
    to_revision: u64,
    /// The images of that template
    images: Vec<String>,
}

#[tool_router(router = undoing, vis = "pub(crate)")]
impl Kubernetes {
    /// Gives a Deployment the pod template of an earlier revision again.
    #[tool(
        title = "Undo a rollout",
        annotations(
            read_only_hint = false,
            destructive_hint = true,
            idempotent_hint = false,
            open_world_hint = false
        )
    )]
    async fn rollout_undo(
        &self,
        Parameters(asked): Parameters<UndoArguments>,
        extensions: Extensions,
    ) -> Result<Json<Undone>, KubernetesError> {
        let session = self.deployment_session(&asked.namespace, &extensions).await?;
        let what = deployments().told(Some(&asked.namespace), &asked.name);
        let requests = deployments().requests(Some(&asked.namespace));
        let told = |error: KubernetesError| error.of(&what, false);
        let get = requests.get(&asked.name, &GetParams::default());
        let mut deployment = session.object(get, &deployments()).await.map_err(told)?;
        if deployment["spec"]["paused"] == true {
            return Err(KubernetesError::Rejected(format!("{what} is paused")));
        }
        let templates = self.templates_of(&session, &asked.namespace, &deployment).await?;
        let current = revision(&deployment).unwrap_or(0);
        let (to, mut template) = earlier(templates, current, asked.to_revision, &what)?;
        if let Some(labels) = template["metadata"]["labels"].as_object_mut() {
            labels.remove(HASH);
        }
        let images = template["spec"]["containers"].as_array().into_iter().flatten();
        let images = images.filter_map(|container| Some(container["image"].as_str()?.to_owned())).collect();
        deployment["spec"]["template"] = template;
        // All of it with its resourceVersion: whoever was faster has not been overwritten.
        let manager = Some(self.field_manager.clone());
        let put = requests.replace(
            &asked.name,
            &PostParams { field_manager: manager, ..PostParams::default() },
            deployment.to_string().into_bytes(),
        );
        session.object(put, &deployments()).await.map_err(told)?;
        let undone = Undone {
            namespace: asked.namespace.to_string(),
            name: asked.name.to_string(),
            from_revision: current,
            to_revision: to,
            images,
        };
        Ok(Json::new(undone, format!("{what}: revision {current} -> the template of revision {to}")))
    }
}

impl Kubernetes {
    /// All templates that a Deployment has had, page by page: its selector may meet more ReplicaSets than its own.
    async fn templates_of(
        &self,
        session: &Session,
        namespace: &Namespace,
        deployment: &Value,
    ) -> Result<Vec<(u64, Value)>, KubernetesError> {
        let mut asked = ListParams {
            label_selector: labels(&deployment["spec"]["selector"]["matchLabels"])?,
            limit: Some(self.limits.page_items_max),
            ..ListParams::default()
        };
        let mut found = Vec::new();
        loop {
            let request = replica_sets().requests(Some(namespace)).list(&asked);
            let page: Value = session.json(request, "ReplicaSetList", Some("apps/v1")).await?;
            found.extend(templates(&page, &deployment["metadata"]["uid"]));
            match page["metadata"]["continue"].as_str() {
                None | Some("") => return Ok(found),
                Some(next) => asked.continue_token = Some(next.to_owned()),
            }
        }
    }
}

fn replica_sets() -> Resource {
    Resource {
        kind: GroupKind::new("ReplicaSet", "apps"),
        version: "v1".into(),
        plural: "replicasets".into(),
        namespaced: true,
    }
}

/// A Deployment's own selector, parsed like anybody's.
fn labels(wanted: &Value) -> Result<Option<String>, KubernetesError> {
    let pairs: Vec<_> = wanted
        .as_object()
        .into_iter()
        .flatten()
        .map(|(name, value)| format!("{name}={}", value.as_str().unwrap_or_default()))
        .collect();
    if pairs.is_empty() {
        return Ok(None);
    }
    let unusable = |_| KubernetesError::Unavailable("a selector that is none");
    LabelSelector::try_from(pairs.join(",")).map(|labels| Some(labels.to_string())).map_err(unusable)
}

fn revision(object: &Value) -> Option<u64> {
    object["metadata"]["annotations"][REVISION].as_str()?.parse().ok()
}

/// The templates that a Deployment has had, by revision. A ReplicaSet is its own by its owner's uid alone.
fn templates(list: &Value, uid: &Value) -> Vec<(u64, Value)> {
    let owned = |set: &&Value| {
        let owners = set["metadata"]["ownerReferences"].as_array();
        uid.is_string() && owners.into_iter().flatten().any(|o| o["controller"] == true && &o["uid"] == uid)
    };
    let sets = list["items"].as_array().into_iter().flatten().filter(owned);
    sets.filter_map(|set| Some((revision(set)?, set["spec"]["template"].clone()))).collect()
}

/// The template of the revision that is asked for, or of the one before the present one.
fn earlier(
    mut templates: Vec<(u64, Value)>,
    current: u64,
    asked: Option<u64>,
    what: &str,
) -> Result<(u64, Value), KubernetesError> {
    let none = |text: String| KubernetesError::NoRevision(text);
    templates.sort_by_key(|(number, _)| *number);
    match asked {
        Some(number) if number == current => Err(none(format!("{what} has revision {number} already"))),
        Some(number) => templates
            .into_iter()
            .find(|(found, _)| *found == number)
            .ok_or_else(|| none(format!("{what} has no revision {number}"))),
        None => templates
            .into_iter()
            .rfind(|(found, _)| *found < current)
            .ok_or_else(|| none(format!("{what} has no earlier revision"))),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test ends by panicking")]
    use super::*;
    use serde_json::json;

    #[test]
    fn the_revision_before_is_the_highest_below() {
        let all = || vec![(1, json!(1)), (4, json!(4)), (3, json!(3))];
        assert_eq!(earlier(all(), 4, None, "d").unwrap().0, 3);
        assert_eq!(earlier(all(), 4, Some(1), "d").unwrap().0, 1);
        for (current, asked) in [(4, Some(4)), (4, Some(2)), (1, None)] {
            assert!(matches!(earlier(all(), current, asked, "d"), Err(KubernetesError::NoRevision(_))));
        }
    }

    #[test]
    fn a_replica_set_of_somebody_else_is_no_revision() {
        let set = |uid: &str, controller: bool| {
            json!({"metadata": {"annotations": {REVISION: "1"},
                "ownerReferences": [{"uid": uid, "controller": controller}]}, "spec": {"template": 1}})
        };
        let list = json!({"items": [set("b", true), set("a", false), set("a", true)]});
        assert_eq!(templates(&list, &json!("a")).len(), 1);
        assert_eq!(templates(&list, &Value::Null).len(), 0);
    }
}
