//! Runs: begun, searched, read, and the history of their metrics.

use crate::error::MlflowError;
use crate::experiments::{State, Tags, filter, orders, pairs, sparse};
use crate::filter::Entity;
use crate::names::{ExperimentName, Key, RunId, RunName};
use crate::page::{Wanted, next, told};
use crate::server::Mlflow;
use crate::wire::{Metric, MetricView, Run, RunFound, RunView};
use kit::Json;
use rmcp::handler::server::wrapper::Parameters;
use rmcp::model::Extensions;
use rmcp::{tool, tool_router};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::collections::BTreeMap;

/// Most experiments that are searched at once.
pub(crate) const EXPERIMENTS_MAX: usize = 20;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct CreateArguments {
    /// The name of the experiment that the run belongs to
    experiment: ExperimentName,
    /// The run's name; MLflow makes one up if not given
    name: Option<RunName>,
    /// Its tags
    #[serde(default)]
    tags: Tags,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct SearchArguments {
    /// The names of the experiments to search
    #[schemars(length(min = 1, max = 20))]
    experiments: Vec<ExperimentName>,
    /// MLflow's filter, as in `metrics.loss < 0.2 AND params.optimizer = 'adam' AND status = 'FINISHED'`
    filter: Option<String>,
    /// By what to sort, as in `metrics.loss ASC`
    #[schemars(length(max = 5))]
    order_by: Option<Vec<String>>,
    /// Which: `active` if not given
    state: Option<State>,
    /// How many at most
    #[schemars(range(min = 1))]
    page_size: Option<u32>,
    /// `next_cursor` of the page before
    cursor: Option<String>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct GetArguments {
    /// The run's id
    run_id: RunId,
    /// The experiment that it belongs to; it is refused if it belongs to another one. Policy may insist on this argument
    experiment: Option<ExperimentName>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct HistoryArguments {
    /// The run's id
    run_id: RunId,
    /// The experiment that it belongs to; it is refused if it belongs to another one. Policy may insist on this argument
    experiment: Option<ExperimentName>,
    /// The metric
    metric: Key,
    /// How many values at most
    #[schemars(range(min = 1))]
    page_size: Option<u32>,
    /// `next_cursor` of the page before
    cursor: Option<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Runs {
    /// The runs
    runs: Vec<RunView>,
    /// Give this as `cursor` for the next page; absent on the last one
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct History {
    /// The run's id
    run_id: String,
    /// The values, in the order that MLflow keeps them in
    values: Vec<MetricView>,
    /// Give this as `cursor` for the next page; absent on the last one
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

#[derive(Deserialize)]
struct Found {
    #[serde(default)]
    runs: Vec<Run>,
    next_page_token: Option<String>,
}

#[derive(Deserialize)]
struct Values {
    #[serde(default)]
    metrics: Vec<Metric>,
    next_page_token: Option<String>,
}

#[tool_router(router = runs, vis = "pub(crate)")]
impl Mlflow {
    /// Begins a run in an experiment. Whose call it was stands in its tags `mlflow.user` and `sallyport.actor`.
    #[tool(
        title = "Create a run",
        annotations(
            read_only_hint = false,
            destructive_hint = false,
            idempotent_hint = false,
            open_world_hint = false
        )
    )]
    async fn create_run(
        &self,
        Parameters(asked): Parameters<CreateArguments>,
        extensions: Extensions,
    ) -> Result<Json<RunView>, MlflowError> {
        let mut tags = pairs(&asked.tags)?;
        let experiment = self.experiment(&asked.experiment).await?;
        if let Some(claims) = kit::claims(&extensions) {
            tags.push(json!({"key": "mlflow.user", "value": claims.sub}));
            tags.extend(claims.actors.first().map(|actor| json!({"key": "sallyport.actor", "value": actor})));
        }
        let body = json!({
            "experiment_id": experiment.experiment_id,
            "run_name": asked.name.as_ref().map(RunName::as_str),
            "start_time": self.now(),
            "tags": tags,
        });
        let made: RunFound = self.client.post(&["runs", "create"], &sparse(body)).await?;
        let view = made.run.view(experiment.name);
        let text = format!("the run {} is begun", view.run_id);
        Ok(Json::new(view, text))
    }

    /// Searches the runs of some experiments.
    #[tool(
        title = "Search runs",
        annotations(
            read_only_hint = true,
            destructive_hint = false,
            idempotent_hint = true,
            open_world_hint = false
        )
    )]
    async fn search_runs(
        &self,
        Parameters(asked): Parameters<SearchArguments>,
    ) -> Result<Json<Runs>, MlflowError> {
        let wanted = Wanted::read(asked.page_size, asked.cursor.as_deref(), self.limits.page_items_max)?;
        let filter = filter(Entity::Runs, asked.filter.as_deref())?;
        let order_by = orders(Entity::Runs, asked.order_by.as_deref())?;
        let names = self.experiment_ids(&asked.experiments).await?;
        let body = json!({
            "experiment_ids": names.keys().collect::<Vec<_>>(),
            "filter": filter,
            "order_by": order_by,
            "run_view_type": asked.state.unwrap_or_default().view_type(),
            "max_results": wanted.count,
            "page_token": wanted.token,
        });
        let found: Found = self.client.post(&["runs", "search"], &sparse(body)).await?;
        let next_cursor = next(found.next_page_token);
        let named = |run: Run| {
            let name = names.get(&run.info.experiment_id)?.clone();
            Some(run.view(name))
        };
        let runs: Vec<_> = found.runs.into_iter().filter_map(named).collect();
        let text = told(runs.len(), "runs", next_cursor.as_ref());
        Ok(Json::new(Runs { runs, next_cursor }, text))
    }

    /// Describes a run: its status, the last value of each metric, its parameters and tags.
    #[tool(
        title = "Get a run",
        annotations(
            read_only_hint = true,
            destructive_hint = false,
            idempotent_hint = true,
            open_world_hint = false
        )
    )]
    async fn get_run(
        &self,
        Parameters(asked): Parameters<GetArguments>,
    ) -> Result<Json<RunView>, MlflowError> {
        let (run, experiment) = self.run(&asked.run_id, asked.experiment.as_ref()).await?;
        let text = format!("the run {} of {experiment:?} is {}", run.info.run_id, run.info.status);
        Ok(Json::new(run.view(experiment), text))
    }

    /// Reads all values of one metric of a run.
    #[tool(
        title = "History of a metric",
        annotations(
            read_only_hint = true,
            destructive_hint = false,
            idempotent_hint = true,
            open_world_hint = false
        )
    )]
    async fn get_metric_history(
        &self,
        Parameters(asked): Parameters<HistoryArguments>,
    ) -> Result<Json<History>, MlflowError> {
        let wanted = Wanted::read(asked.page_size, asked.cursor.as_deref(), self.limits.page_items_max)?;
        self.run(&asked.run_id, asked.experiment.as_ref()).await?; // Of a run that isn't there MLflow says: no values.
        let mut query = vec![
            ("run_id", asked.run_id.to_string()),
            ("metric_key", asked.metric.to_string()),
            ("max_results", wanted.count.to_string()),
        ];
        query.extend(wanted.token.map(|token| ("page_token", token)));
        let found: Values = self.client.get(&["metrics", "get-history"], query).await?;
        let next_cursor = next(found.next_page_token);
        let values: Vec<_> = found.metrics.into_iter().map(Metric::view).collect();
        let text = told(values.len(), &format!("values of {}", asked.metric), next_cursor.as_ref());
        Ok(Json::new(History { run_id: asked.run_id.to_string(), values, next_cursor }, text))
    }
}

impl Mlflow {
    /// The ids of experiments that are within the fence, with their names.
    pub(crate) async fn experiment_ids(
        &self,
        names: &[ExperimentName],
    ) -> Result<BTreeMap<String, String>, MlflowError> {
        if names.is_empty() || names.len() > EXPERIMENTS_MAX {
            return Err(MlflowError::Arguments(format!("name 1 to {EXPERIMENTS_MAX} experiments")));
        }
        let mut ids = BTreeMap::new();
        for name in names {
            let found = self.experiment(name).await?;
            ids.insert(found.experiment_id, found.name);
        }
        Ok(ids)
    }
}
