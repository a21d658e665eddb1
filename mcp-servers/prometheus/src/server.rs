//! What rmcp asks of the server: who it is, its tools, its resources.

use crate::alertmanager::Alertmanager;
use crate::client::Client;
use crate::error::PrometheusError;
use crate::fence::Fence;
use crate::flags::{FlagsError, Limits, PrometheusFlags};
use certs::Clock;
use rmcp::handler::server::router::tool::ToolRouter;
use rmcp::model::{Implementation, ServerCapabilities, ServerConfig, Tool};
use rmcp::{ServerHandler, tool_handler};
use std::sync::Arc;
use std::time::UNIX_EPOCH;

/// The tools and resources over one Prometheus, and over its Alertmanager where there is one.
#[derive(Clone)]
pub struct Metrics {
    pub(crate) client: Client,
    pub(crate) alertmanager: Option<Alertmanager>,
    pub(crate) fence: Fence,
    pub(crate) limits: Limits,
    clock: Clock,
    tools: Arc<ToolRouter<Self>>,
}

const INSTRUCTIONS: &str = "Metrics of a Prometheus, read only. label_values of __name__ has the names of metrics, metadata \
    what they mean. For a range of times analyze says trend, quantiles and jumps in numbers; query_range has the points. \
    alerts is what Prometheus found, alertmanager_alerts whom that is told, silences what is kept from them and why. Long lists come in pages (cursor, next_cursor).";

impl Metrics {
    /// Serves a Prometheus.
    pub fn new(client: Client, fence: Fence, limits: Limits, clock: Clock) -> Self {
        Self { client, alertmanager: None, fence, limits, clock, tools: Arc::new(Self::router()) }
    }

    /// With an Alertmanager. Without one its two tools say that there is none.
    #[must_use]
    pub fn with_alertmanager(self, alertmanager: Option<Alertmanager>) -> Self {
        Self { alertmanager, ..self }
    }

    /// Serves the systems of the flags. No network is touched.
    ///
    /// # Errors
    /// [`FlagsError`] names the flag.
    pub async fn from_flags(flags: &PrometheusFlags, door: &kit::Flags) -> Result<Self, FlagsError> {
        let (client, fence, limits) = flags.parts(door).await?;
        let alertmanager = flags.alertmanager(door).await?;
        Ok(Self::new(client, fence, limits, Clock::system()).with_alertmanager(alertmanager))
    }

    /// Its tools, whatever is behind.
    pub fn tools() -> Vec<Tool> {
        Self::router().list_all()
    }

    /// Whether Prometheus answers. Whether Alertmanager does isn't asked: without it most of the tools work.
    ///
    /// # Errors
    /// Why it doesn't.
    pub async fn reachable(&self) -> Result<(), PrometheusError> {
        self.client.reachable().await
    }

    fn router() -> ToolRouter<Self> {
        Self::queries() + Self::lists() + Self::state() + Self::alerting()
    }

    /// Unix seconds.
    pub(crate) fn now(&self) -> f64 {
        self.clock.now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as f64 / 1000.0
    }
}

#[tool_handler(router = self.tools)]
impl ServerHandler for Metrics {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().enable_resources().build())
            .with_server_info(Implementation::new("mcp-prometheus", env!("CARGO_PKG_VERSION")))
            .with_instructions(INSTRUCTIONS)
    }

    kit::answer_resources!();
}
