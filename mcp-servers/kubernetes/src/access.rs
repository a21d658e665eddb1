//! Whether the caller may do something, by the cluster's own word.

use crate::error::KubernetesError;
use crate::name::{KindName, Namespace, ObjectName, Subresource, Verb};
use crate::server::Kubernetes;
use k8s_openapi::Resource as _;
use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec,
};
use kit::Json;
use kube::core::params::PostParams;
use rmcp::handler::server::wrapper::Parameters;
use rmcp::model::Extensions;
use rmcp::{tool, tool_router};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct CanIArguments {
    /// What would be done: get, list, watch, create, update, patch, delete, …
    verb: Verb,
    /// To what kind, as in `Deployment`
    kind: KindName,
    /// In which namespace; in all if not given
    namespace: Option<Namespace>,
    /// To the object of this name; to any if not given
    name: Option<ObjectName>,
    /// To this part of it, as `scale` or `log`
    subresource: Option<Subresource>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Answer {
    /// Whether the cluster would allow it; policy and this server's fence may still not
    allowed: bool,
}

const PATH: &str = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";

#[tool_router(router = access, vis = "pub(crate)")]
impl Kubernetes {
    /// Asks the cluster whether it would allow something on behalf of this caller. Nothing is changed.
    #[tool(
        title = "May I",
        annotations(
            read_only_hint = true,
            destructive_hint = false,
            idempotent_hint = true,
            open_world_hint = false
        )
    )]
    async fn can_i(
        &self,
        Parameters(asked): Parameters<CanIArguments>,
        extensions: Extensions,
    ) -> Result<Json<Answer>, KubernetesError> {
        let kind = self.fence.readable(&asked.kind)?;
        match &asked.namespace {
            Some(namespace) => self.fence.namespace(namespace)?,
            None => self.fence.whole_cluster()?,
        }
        let session = self.cluster.session(&extensions).await?;
        let resource = session.resource(&kind).await?;
        let attributes = ResourceAttributes {
            group: Some(kind.group.clone()),
            version: Some(resource.version.clone()),
            resource: Some(resource.plural.clone()),
            verb: Some(asked.verb.to_string()),
            namespace: asked.namespace.as_ref().map(ToString::to_string),
            name: asked.name.as_ref().map(ToString::to_string),
            subresource: asked.subresource.as_ref().map(ToString::to_string),
            ..ResourceAttributes::default()
        };
        let review = SelfSubjectAccessReview {
            spec: SelfSubjectAccessReviewSpec { resource_attributes: Some(attributes), ..Default::default() },
            ..Default::default()
        };
        let body = serde_json::to_vec(&review)
            .map_err(|_| KubernetesError::Unavailable("the question can't be written"))?;
        let request = kube::core::Request::new(PATH).create(&PostParams::default(), body);
        let (kind_asked, version) = (SelfSubjectAccessReview::KIND, SelfSubjectAccessReview::API_VERSION);
        let review: SelfSubjectAccessReview = session.json(request, kind_asked, Some(version)).await?;
        let status = review.status.ok_or(KubernetesError::Unavailable("a review without its outcome"))?;
        let allowed = status.allowed && !status.denied.unwrap_or(false);
        let part = asked.subresource.map(|part| format!("/{part}")).unwrap_or_default();
        let place = asked.namespace.map(|namespace| format!(" in {namespace}")).unwrap_or_default();
        let told = if allowed { "yes" } else { "no" };
        Ok(Json::new(Answer { allowed }, format!("{told}: {} {}{part}{place}", asked.verb, kind.kind)))
    }
}
