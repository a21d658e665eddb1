//! What rmcp asks of the server: who it is and its tools.

use crate::dispatch::Backends;
use crate::flags::{FlagsError, InferenceFlags, LimitFlags};
use crate::gpu::Gpus;
use rmcp::handler::server::router::tool::ToolRouter;
use rmcp::model::{Implementation, ServerCapabilities, ServerConfig, Tool};
use rmcp::{ServerHandler, tool_handler};
use std::sync::Arc;

/// The tools over the backends.
#[derive(Clone)]
pub struct Inference {
    pub(crate) backends: Arc<Backends>,
    pub(crate) limits: LimitFlags,
    pub(crate) gpus: Gpus,
    tools: Arc<ToolRouter<Self>>,
}

const INSTRUCTIONS: &str = "Language models. list_models says which there are and what each does; every call names its model. \
    chat with a schema answers with JSON of that schema, or with an error that has the text. A call that asks for progress \
    hears the text as it comes. Tokens and their cost stand in each result.";

impl Inference {
    /// Serves the backends of the flags. Embedded engines are loaded; no network is touched before the first look at a backend.
    ///
    /// # Errors
    /// [`FlagsError`], with all that is wrong.
    pub async fn from_flags(flags: &InferenceFlags, door: &kit::Flags) -> Result<Self, FlagsError> {
        let backends = Backends::new(flags.parts(door).await?, flags.limits.attempts_max);
        Ok(Self {
            backends: Arc::new(backends),
            limits: flags.limits,
            gpus: Gpus::default(),
            tools: Arc::new(Self::router()),
        })
    }

    /// Its tools, whatever the backends.
    pub fn tools() -> Vec<Tool> {
        Self::router().list_all()
    }

    /// Whether a backend is there.
    ///
    /// # Errors
    /// That none is.
    pub fn reachable(&self) -> Result<(), String> {
        let healthy = self
            .backends
            .all
            .iter()
            .any(|backend| backend.models.iter().any(|served| backend.health(served).why.is_none()));
        if healthy { Ok(()) } else { Err("no backend is healthy".to_owned()) }
    }

    fn router() -> ToolRouter<Self> {
        Self::writing() + Self::embedding() + Self::about()
    }
}

#[tool_handler(router = self.tools)]
impl ServerHandler for Inference {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
            .with_server_info(Implementation::new("mcp-inference", env!("CARGO_PKG_VERSION")))
            .with_instructions(INSTRUCTIONS)
    }
}
