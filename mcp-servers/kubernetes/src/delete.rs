//! Deleting one object, and only the one that was looked at.

use crate::error::KubernetesError;
use crate::name::{KindName, Namespace, ObjectName, ResourceVersion, Uid};
use crate::server::Kubernetes;
use kit::Json;
use kube::core::params::{DeleteParams, Preconditions, PropagationPolicy};
use rmcp::handler::server::wrapper::Parameters;
use rmcp::model::Extensions;
use rmcp::{tool, tool_router};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct DeleteArguments {
    /// The kind, as in `Deployment`
    kind: KindName,
    /// Its namespace; none for a kind that is in none
    namespace: Option<Namespace>,
    /// Its name
    name: ObjectName,
    /// Its metadata.uid, as get shows it: another object that has the name by now is not deleted
    uid: Uid,
    /// Its metadata.resourceVersion: it is not deleted if it was changed since
    resource_version: Option<ResourceVersion>,
    /// What becomes of the objects that belong to it, as the Pods of a Deployment
    #[serde(default)]
    dependents: Dependents,
    /// Tries it, and deletes nothing
    #[serde(default)]
    dry_run: bool,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
enum Dependents {
    /// They are deleted after it
    #[default]
    Background,
    /// They are deleted before it
    Foreground,
    /// They stay
    Orphan,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Deleted {
    kind: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    namespace: Option<String>,
    name: String,
    /// Whether nothing was deleted
    dry_run: bool,
    /// Whether it is gone; else it goes when its finalizers have done their work
    gone: bool,
}

#[tool_router(router = deleting, vis = "pub(crate)")]
impl Kubernetes {
    /// Deletes one object: the one with this uid, and no other of its name.
    #[tool(
        title = "Delete an object",
        annotations(
            read_only_hint = false,
            destructive_hint = true,
            idempotent_hint = true,
            open_world_hint = false
        )
    )]
    async fn delete(
        &self,
        Parameters(asked): Parameters<DeleteArguments>,
        extensions: Extensions,
    ) -> Result<Json<Deleted>, KubernetesError> {
        let kind = self.fence.writable(&asked.kind)?;
        let namespace = asked.namespace.as_ref();
        namespace.map_or(Ok(()), |namespace| self.fence.namespace(namespace))?;
        let session = self.cluster.session(&extensions).await?;
        let resource = session.resource(&kind).await?;
        resource.admit(&self.fence, namespace)?;
        let preconditions = Preconditions {
            uid: Some(asked.uid.to_string()),
            resource_version: asked.resource_version.map(|version| version.to_string()),
        };
        let parameters = DeleteParams {
            dry_run: asked.dry_run,
            preconditions: Some(preconditions),
            propagation_policy: Some(match asked.dependents {
                Dependents::Background => PropagationPolicy::Background,
                Dependents::Foreground => PropagationPolicy::Foreground,
                Dependents::Orphan => PropagationPolicy::Orphan,
            }),
            ..DeleteParams::default()
        };
        let what = resource.told(namespace, &asked.name);
        let request = resource.requests(namespace).delete(&asked.name, &parameters);
        let gone = session.deleted(request, &resource).await;
        let gone = gone.map_err(|error| error.of(&what, kind.is_secret()))? && !asked.dry_run;
        let told = if asked.dry_run { "would be deleted" } else { "is deleted" };
        let deleted = Deleted {
            kind: kind.to_string(),
            namespace: namespace.map(ToString::to_string),
            name: asked.name.to_string(),
            dry_run: asked.dry_run,
            gone,
        };
        Ok(Json::new(deleted, format!("{what} {told}")))
    }
}
