//! What rmcp asks of the server: who it is, its tools, its resources.

use crate::store::Store;
use crate::upload::Uploads;
use rmcp::handler::server::router::tool::ToolRouter;
use rmcp::model::{Implementation, ServerCapabilities, ServerConfig, Tool};
use rmcp::{ServerHandler, tool_handler};
use std::sync::Arc;

/// The tools and resources over a store.
#[derive(Clone)]
pub struct Objects {
    pub(crate) store: Store,
    pub(crate) uploads: Uploads,
    tools: Arc<ToolRouter<Self>>,
}

const INSTRUCTIONS: &str = "Objects in buckets. Keys are written as they are, without percent-encoding and without '..'. \
    Long lists come in pages (cursor, next_cursor), long objects too (offset, next_offset). To see what is in a file begin with \
    preview_text or preview_table. What doesn't fit into one call is written with start_upload, upload_part, complete_upload.";

impl Objects {
    /// Serves a store.
    pub fn new(store: Store) -> Self {
        Self { store, uploads: Uploads::default(), tools: Arc::new(Self::router()) }
    }

    /// Its tools, whatever the store.
    pub fn tools() -> Vec<Tool> {
        Self::router().list_all()
    }

    pub(crate) fn router() -> ToolRouter<Self> {
        Self::reads() + Self::previews() + Self::changes() + Self::uploads()
    }
}

#[tool_handler(router = self.tools)]
impl ServerHandler for Objects {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().enable_resources().build())
            .with_server_info(Implementation::new("mcp-s3", env!("CARGO_PKG_VERSION")))
            .with_instructions(INSTRUCTIONS)
    }

    kit::answer_resources!();
}

#[cfg(test)]
mod tests;
