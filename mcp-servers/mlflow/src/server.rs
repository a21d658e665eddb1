//! What rmcp asks of the server: who it is, its tools, its resources, its prompts; and what all tools begin with.

use crate::client::Client;
use crate::error::MlflowError;
use crate::fence::Fence;
use crate::flags::{FlagsError, Limits, MlflowFlags};
use crate::names::{ExperimentName, ModelName, RunId};
use crate::wire::{Experiment, ExperimentFound, Model, ModelFound, Run, RunFound};
use crate::{prompts, resources};
use certs::Clock;
use rmcp::handler::server::router::tool::ToolRouter;
use rmcp::model::{
    GetPromptRequestParams, GetPromptResponse, Implementation, ListPromptsResult,
    ListResourceTemplatesResult, ListResourcesResult, PaginatedRequestParams, ReadResourceRequestParams,
    ReadResourceResponse, ServerCapabilities, ServerConfig, Tool,
};
use rmcp::service::RequestContext;
use rmcp::{ErrorData, RoleServer, ServerHandler, tool_handler};
use std::sync::Arc;
use std::time::UNIX_EPOCH;

/// The tools, resources and prompts over one MLflow.
#[derive(Clone)]
pub struct Mlflow {
    pub(crate) client: Client,
    pub(crate) fence: Fence,
    pub(crate) limits: Limits,
    clock: Clock,
    tools: Arc<ToolRouter<Self>>,
}

const INSTRUCTIONS: &str = "Experiments, runs, artifacts, registered models and traces of an MLflow. Experiments and models \
    go by their names. Filters are MLflow's own: metrics.loss < 0.2 AND tags.team = 'a'. Promote a model's version by an \
    alias (set_model_alias). Long lists come in pages (cursor, next_cursor).";

impl Mlflow {
    /// Serves an MLflow.
    pub fn new(client: Client, fence: Fence, limits: Limits, clock: Clock) -> Self {
        Self { client, fence, limits, clock, tools: Arc::new(Self::router()) }
    }

    /// Serves the MLflow of the flags. No network is touched.
    ///
    /// # Errors
    /// [`FlagsError`] names the flag.
    pub async fn from_flags(flags: &MlflowFlags, door: &kit::Flags) -> Result<Self, FlagsError> {
        let (client, fence, limits) = flags.parts(door).await?;
        Ok(Self::new(client, fence, limits, Clock::system()))
    }

    /// Its tools, whatever the MLflow.
    pub fn tools() -> Vec<Tool> {
        Self::router().list_all()
    }

    /// Whether MLflow answers.
    ///
    /// # Errors
    /// Why it doesn't.
    pub async fn reachable(&self) -> Result<(), MlflowError> {
        self.client.reachable().await
    }

    fn router() -> ToolRouter<Self> {
        Self::experiments()
            + Self::runs()
            + Self::logging()
            + Self::artifacts()
            + Self::models()
            + Self::versions()
            + Self::promotion()
            + Self::traces()
    }

    /// Milliseconds since 1970.
    pub(crate) fn now(&self) -> u64 {
        let since = self.clock.now().duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }

    /// An experiment by its name, within the fence. A database may find other spellings; they are other names here.
    pub(crate) async fn experiment(&self, name: &ExperimentName) -> Result<Experiment, MlflowError> {
        let missing = || MlflowError::NotFound(format!("experiment {:?}", name.as_str()));
        if !self.fence.has_experiment(name.as_str()) {
            return Err(missing());
        }
        let asked = vec![("experiment_name", name.to_string())];
        let found = self.client.get::<ExperimentFound>(&["experiments", "get-by-name"], asked).await;
        match found {
            Ok(found) if found.experiment.name == name.as_str() => Ok(found.experiment),
            Ok(_) | Err(MlflowError::NotFound(_)) => Err(missing()),
            Err(error) => Err(error),
        }
    }

    /// The name of the experiment that a run or trace belongs to, if that is within the fence and the one that its caller
    /// said; else the run is not there.
    pub(crate) async fn experiment_of(
        &self,
        id: &str,
        claimed: Option<&ExperimentName>,
        what: &'static str,
        missing: impl Fn() -> MlflowError,
    ) -> Result<String, MlflowError> {
        let asked = vec![("experiment_id", id.to_owned())];
        let found: ExperimentFound = self.client.get(&["experiments", "get"], asked).await?;
        let name = found.experiment.name;
        if !self.fence.has_experiment(&name) {
            return Err(missing());
        }
        match claimed {
            Some(claimed) if claimed.as_str() != name => Err(MlflowError::OtherExperiment(what)),
            _ => Ok(name),
        }
    }

    /// A run and the name of its experiment.
    pub(crate) async fn run(
        &self,
        id: &RunId,
        claimed: Option<&ExperimentName>,
    ) -> Result<(Run, String), MlflowError> {
        let missing = || MlflowError::NotFound(format!("run {id}"));
        let asked = vec![("run_id", id.to_string())];
        let found = self.client.get::<RunFound>(&["runs", "get"], asked).await;
        let run = match found {
            Ok(found) if found.run.info.run_id == id.as_str() => found.run,
            Ok(_) | Err(MlflowError::NotFound(_)) => return Err(missing()),
            Err(error) => return Err(error),
        };
        let experiment = self.experiment_of(&run.info.experiment_id, claimed, "run", missing).await?;
        Ok((run, experiment))
    }

    /// A look at a run before something is done to it, where there is something to look for.
    pub(crate) async fn may_touch(
        &self,
        id: &RunId,
        claimed: Option<&ExperimentName>,
    ) -> Result<(), MlflowError> {
        if claimed.is_none() && self.fence.is_open_to_experiments() {
            return Ok(());
        }
        self.run(id, claimed).await.map(drop)
    }

    /// A registered model, within the fence.
    pub(crate) async fn model(&self, name: &ModelName) -> Result<Model, MlflowError> {
        let missing = || MlflowError::NotFound(format!("model {:?}", name.as_str()));
        if !self.fence.has_model(name.as_str()) {
            return Err(missing());
        }
        let found = self
            .client
            .get::<ModelFound>(&["registered-models", "get"], vec![("name", name.to_string())])
            .await;
        match found {
            Ok(found) if found.registered_model.name == name.as_str() => Ok(found.registered_model),
            Ok(_) | Err(MlflowError::NotFound(_)) => Err(missing()),
            Err(error) => Err(error),
        }
    }
}

#[tool_handler(router = self.tools)]
impl ServerHandler for Mlflow {
    fn get_info(&self) -> ServerConfig {
        let all = ServerCapabilities::builder().enable_tools().enable_resources().enable_prompts().build();
        ServerConfig::new(all)
            .with_server_info(Implementation::new("mcp-mlflow", env!("CARGO_PKG_VERSION")))
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
        Ok(ListResourceTemplatesResult::with_all_items(resources::templates()))
    }

    async fn read_resource(
        &self,
        request: ReadResourceRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<ReadResourceResponse, ErrorData> {
        self.read_uri(&request.uri).await.map(Into::into).map_err(|e| e.protocol())
    }

    async fn list_prompts(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListPromptsResult, ErrorData> {
        Ok(ListPromptsResult::with_all_items(prompts::all()))
    }

    async fn get_prompt(
        &self,
        request: GetPromptRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<GetPromptResponse, ErrorData> {
        self.filled_prompt(&request.name, request.arguments).await.map(Into::into)
    }
}
