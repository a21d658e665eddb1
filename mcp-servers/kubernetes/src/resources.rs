//! Deployments as resources, `cluster://deployments/{namespace}/{name}`.

use crate::error::KubernetesError;
use crate::fence::Fence;
use crate::name::{Namespace, ObjectName};
use crate::rollout::deployments;
use crate::server::Kubernetes;
use crate::shown::shown;
use kit::cursor;
use kube::core::params::{GetParams, ListParams};
use rmcp::model::{
    Extensions, ListResourcesResult, ReadResourceResult, Resource, ResourceContents, ResourceTemplate,
};
use serde::Deserialize;

const PREFIX: &str = "cluster://deployments/";

/// The one template, where Deployments may be read.
pub(crate) fn templates(fence: &Fence) -> Vec<ResourceTemplate> {
    fence.reads(&deployments().kind).map(|()| template()).into_iter().collect()
}

fn template() -> ResourceTemplate {
    ResourceTemplate::new("cluster://deployments/{namespace}/{name}", "deployment")
        .with_title("A Deployment")
        .with_description("A Deployment as it is, with its status")
        .with_mime_type("application/json")
}

/// A page of objects, of which their names are enough.
#[derive(Deserialize)]
struct Names {
    metadata: Next,
    items: Option<Vec<Item>>, // Where there is none the API server writes null.
}

#[derive(Deserialize)]
struct Next {
    #[serde(rename = "continue")]
    next: Option<String>,
}

#[derive(Deserialize)]
struct Item {
    metadata: Named,
}

#[derive(Deserialize)]
struct Named {
    name: String,
    namespace: String,
}

impl Kubernetes {
    /// One page of the Deployments within the fence. A cursor is the number of the namespace, and where in it.
    pub(crate) async fn list_resources_page(
        &self,
        cursor: Option<&str>,
        extensions: &Extensions,
    ) -> Result<ListResourcesResult, KubernetesError> {
        let cursor = cursor.map(cursor::parse).transpose()?.unwrap_or_else(|| "0 ".into());
        let (number, token) = cursor.split_once(' ').ok_or(KubernetesError::Cursor)?;
        let number: usize = number.parse().map_err(|_| KubernetesError::Cursor)?;
        if self.fence.reads(&deployments().kind).is_err() {
            return Ok(ListResourcesResult::with_all_items(Vec::new()));
        }
        let namespaces: Vec<Option<&Namespace>> = match self.fence.namespaces() {
            None => vec![None],
            Some(all) => all.iter().map(Some).collect(),
        };
        let namespace = namespaces.get(number).ok_or(KubernetesError::Cursor)?;
        let parameters = ListParams {
            limit: Some(self.limits.page_items_max),
            continue_token: Some(token.to_owned()).filter(|token| !token.is_empty()),
            ..ListParams::default()
        };
        let session = self.cluster.session(extensions).await?;
        let request = deployments().requests(*namespace).list_metadata(&parameters);
        let found: Names = session.json(request, "PartialObjectMetadataList", Some("meta.k8s.io/v1")).await?;
        let resource = |Item { metadata: Named { name, namespace } }| {
            Resource::new(format!("{PREFIX}{namespace}/{name}"), format!("{namespace}/{name}"))
        };
        let mut result = ListResourcesResult::with_all_items(
            found.items.unwrap_or_default().into_iter().map(resource).collect(),
        );
        let next = found.metadata.next.filter(|next| !next.is_empty());
        result.next_cursor = match next {
            Some(next) => Some(cursor::after(&format!("{number} {next}"))),
            None if number + 1 < namespaces.len() => Some(cursor::after(&format!("{} ", number + 1))),
            None => None,
        };
        Ok(result)
    }

    /// One Deployment.
    pub(crate) async fn read_deployment(
        &self,
        uri: &str,
        extensions: &Extensions,
    ) -> Result<ReadResourceResult, KubernetesError> {
        let wrong = || KubernetesError::Arguments(format!("a resource is {PREFIX}namespace/name"));
        let (namespace, name) =
            uri.strip_prefix(PREFIX).and_then(|rest| rest.split_once('/')).ok_or_else(wrong)?;
        let namespace = Namespace::try_from(namespace.to_owned()).map_err(|_| wrong())?;
        let name = ObjectName::try_from(name.to_owned()).map_err(|_| wrong())?;
        let resource = deployments();
        self.fence.namespace(&namespace)?;
        self.fence.reads(&resource.kind)?;
        let session = self.cluster.session(extensions).await?;
        let what = resource.told(Some(&namespace), &name);
        let request = resource.requests(Some(&namespace)).get(&name, &GetParams::default());
        let object = session.object(request, &resource).await.map_err(|error| error.of(&what, false))?;
        let text = shown(object, &resource.kind).to_string();
        let contents = ResourceContents::text(text, uri).with_mime_type("application/json");
        Ok(ReadResourceResult::new(vec![contents]))
    }
}
