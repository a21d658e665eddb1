//! What rmcp asks of the server: who it is, its tools, its resources.

use crate::cluster::Cluster;
use crate::error::KubernetesError;
use crate::fence::Fence;
use crate::flags::{FlagsError, KubernetesFlags, Limits};
use crate::resources;
use certs::Clock;
use rmcp::handler::server::router::tool::ToolRouter;
use rmcp::model::{
    Implementation, ListResourceTemplatesResult, ListResourcesResult, PaginatedRequestParams,
    ReadResourceRequestParams, ReadResourceResponse, ServerCapabilities, ServerConfig, Tool,
};
use rmcp::service::RequestContext;
use rmcp::{ErrorData, RoleServer, ServerHandler, tool_handler};
use std::sync::Arc;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// The tools and resources over one cluster.
#[derive(Clone)]
pub struct Kubernetes {
    pub(crate) cluster: Cluster,
    pub(crate) fence: Arc<Fence>,
    pub(crate) field_manager: String,
    pub(crate) limits: Limits,
    clock: Clock,
    tools: Arc<ToolRouter<Self>>,
}

const INSTRUCTIONS: &str = "One Kubernetes cluster. list and get show objects, explain tells what fields mean, can_i \
    what the cluster allows. Before apply_manifest, look at its changes with dry_run. After a change, rollout_status \
    waits until it is done; rollout_undo takes it back. delete needs the uid that get shows. Values of Secrets are \
    never shown. Long lists come in pages (cursor, next_cursor).";

impl Kubernetes {
    /// Serves a cluster. `field_manager` is what the cluster notes as the author of changes.
    pub fn new(cluster: Cluster, fence: Fence, field_manager: String, limits: Limits, clock: Clock) -> Self {
        let (fence, tools) = (Arc::new(fence), Arc::new(Self::router()));
        Self { cluster, fence, field_manager, limits, clock, tools }
    }

    /// Serves the cluster of the flags. No network is touched.
    ///
    /// # Errors
    /// [`FlagsError`] names the flag.
    pub async fn from_flags(flags: &KubernetesFlags, door: &kit::Flags) -> Result<Self, FlagsError> {
        let (cluster, fence, limits) = flags.parts(door).await?;
        Ok(Self::new(cluster, fence, flags.field_manager.clone(), limits, Clock::system()))
    }

    /// Its tools, whatever the cluster.
    pub fn tools() -> Vec<Tool> {
        Self::router().list_all()
    }

    /// Whether the API server answers.
    ///
    /// # Errors
    /// Why it doesn't.
    pub async fn reachable(&self) -> Result<(), KubernetesError> {
        self.cluster.reachable().await
    }

    fn router() -> ToolRouter<Self> {
        Self::reading()
            + Self::pods()
            + Self::noticing()
            + Self::explaining()
            + Self::access()
            + Self::applying()
            + Self::deleting()
            + Self::rollouts()
            + Self::undoing()
            + Self::traffic()
    }

    /// RFC 3339, in seconds.
    pub(crate) fn now(&self) -> String {
        let now = OffsetDateTime::from(self.clock.now());
        now.replace_nanosecond(0).unwrap_or(now).format(&Rfc3339).unwrap_or_default() // Years of four digits can be told.
    }
}

#[tool_handler(router = self.tools)]
impl ServerHandler for Kubernetes {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().enable_resources().build())
            .with_server_info(Implementation::new("mcp-kubernetes", env!("CARGO_PKG_VERSION")))
            .with_instructions(INSTRUCTIONS)
    }

    async fn list_resources(
        &self,
        request: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListResourcesResult, ErrorData> {
        let cursor = request.and_then(|r| r.cursor);
        let page = self.list_resources_page(cursor.as_deref(), &context.extensions).await;
        page.map_err(|e| e.protocol())
    }

    async fn list_resource_templates(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListResourceTemplatesResult, ErrorData> {
        Ok(ListResourceTemplatesResult::with_all_items(resources::templates(&self.fence)))
    }

    async fn read_resource(
        &self,
        request: ReadResourceRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<ReadResourceResponse, ErrorData> {
        let read = self.read_deployment(&request.uri, &context.extensions).await;
        read.map(Into::into).map_err(|e| e.protocol())
    }
}
