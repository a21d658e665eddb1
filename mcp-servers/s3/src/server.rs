//! What rmcp asks of the server: who it is, its tools, its resources.

use crate::resources;
use crate::store::Store;
use rmcp::handler::server::router::tool::ToolRouter;
use rmcp::model::{
    Implementation, ListResourceTemplatesResult, ListResourcesResult, PaginatedRequestParams,
    ReadResourceRequestParams, ReadResourceResponse, ServerCapabilities, ServerConfig, Tool,
};
use rmcp::service::RequestContext;
use rmcp::{ErrorData, RoleServer, ServerHandler, tool_handler};
use std::sync::Arc;

/// The tools and resources over a store.
#[derive(Clone)]
pub struct Objects {
    pub(crate) store: Store,
    tools: Arc<ToolRouter<Self>>,
}

const INSTRUCTIONS: &str = "Objects in buckets. Keys are written as they are, without percent-encoding and without '..'. \
    Long lists come in pages (cursor, next_cursor), long objects too (offset, next_offset).";

impl Objects {
    /// Serves a store.
    pub fn new(store: Store) -> Self {
        Self { store, tools: Arc::new(Self::tool_router()) }
    }

    /// Its tools, whatever the store.
    pub fn tools() -> Vec<Tool> {
        Self::tool_router().list_all()
    }
}

#[tool_handler(router = self.tools)]
impl ServerHandler for Objects {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().enable_resources().build())
            .with_server_info(Implementation::new("mcp-s3", env!("CARGO_PKG_VERSION")))
            .with_instructions(INSTRUCTIONS)
    }

    async fn list_resources(
        &self,
        request: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListResourcesResult, ErrorData> {
        let cursor = request.and_then(|r| r.cursor);
        self.list_resources_page(cursor.as_deref()).await.map_err(|e| e.protocol())
    }

    async fn list_resource_templates(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListResourceTemplatesResult, ErrorData> {
        Ok(ListResourceTemplatesResult::with_all_items(vec![resources::template()]))
    }

    async fn read_resource(
        &self,
        request: ReadResourceRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<ReadResourceResponse, ErrorData> {
        self.read_resource_whole(&request.uri).await.map(Into::into)
    }
}
