//! What is written into a run, until it is finished.

use crate::error::MlflowError;
use crate::experiments::{PAIRS_MAX, Tags, pairs};
use crate::names::{ExperimentName, Key, ParamValue, RunId};
use crate::server::Mlflow;
use kit::Json;
use rmcp::handler::server::wrapper::Parameters;
use rmcp::{tool, tool_router};
use schemars::JsonSchema;
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Most values of metrics in one call, as in MLflow.
const METRICS_MAX: usize = 1000;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct MetricsArguments {
    /// The run's id
    run_id: RunId,
    /// The experiment that it belongs to; it is refused if it belongs to another one. Policy may insist on this argument
    experiment: Option<ExperimentName>,
    /// The values
    #[schemars(length(min = 1, max = 1000))]
    metrics: Vec<MetricArgument>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
struct MetricArgument {
    /// The metric
    key: Key,
    /// Its value
    value: f64,
    /// The step that it was measured at; 0 if not given
    #[serde(default)]
    step: i64,
    /// When, in milliseconds since 1970; now if not given
    timestamp_ms: Option<u64>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ParamsArguments {
    /// The run's id
    run_id: RunId,
    /// The experiment that it belongs to; it is refused if it belongs to another one. Policy may insist on this argument
    experiment: Option<ExperimentName>,
    /// The parameters. One that is there already can't get another value
    #[schemars(extend("minProperties" = 1, "maxProperties" = 100))]
    params: BTreeMap<Key, ParamValue>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct TagsArguments {
    /// The run's id
    run_id: RunId,
    /// The experiment that it belongs to; it is refused if it belongs to another one. Policy may insist on this argument
    experiment: Option<ExperimentName>,
    /// The tags. One that is there already gets the new value. Those of MLflow (`mlflow.`) can't be set, but for
    /// `mlflow.note.content`
    #[schemars(extend("minProperties" = 1, "maxProperties" = 100))]
    tags: Tags,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct FinishArguments {
    /// The run's id
    run_id: RunId,
    /// The experiment that it belongs to; it is refused if it belongs to another one. Policy may insist on this argument
    experiment: Option<ExperimentName>,
    /// How it ended; `FINISHED` if not given
    status: Option<Ended>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
#[schemars(inline)]
pub(crate) enum Ended {
    #[default]
    Finished,
    Failed,
    Killed,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Logged {
    /// The run's id
    run_id: String,
    /// How many entries were written
    written: usize,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Finished {
    /// The run's id
    run_id: String,
    /// How it ended
    status: Ended,
}

#[tool_router(router = logging, vis = "pub(crate)")]
impl Mlflow {
    /// Adds values of metrics to a run.
    #[tool(
        title = "Log metrics",
        annotations(
            read_only_hint = false,
            destructive_hint = false,
            idempotent_hint = false,
            open_world_hint = false
        )
    )]
    async fn log_metrics(
        &self,
        Parameters(asked): Parameters<MetricsArguments>,
    ) -> Result<Json<Logged>, MlflowError> {
        let now = self.now();
        let metrics: Vec<_> = asked
            .metrics
            .iter()
            .map(|metric| {
                let timestamp = metric.timestamp_ms.unwrap_or(now);
                json!({"key": metric.key.as_str(), "value": metric.value, "step": metric.step, "timestamp": timestamp})
            })
            .collect();
        if asked.metrics.iter().any(|metric| metric.timestamp_ms.is_some_and(|ms| ms > i64::MAX as u64)) {
            return Err(MlflowError::Arguments("timestamp_ms is beyond all times".into()));
        }
        self.log(&asked.run_id, asked.experiment.as_ref(), "metrics", metrics, METRICS_MAX).await
    }

    /// Adds parameters to a run. A parameter has one value for ever.
    #[tool(
        title = "Log parameters",
        annotations(
            read_only_hint = false,
            destructive_hint = false,
            idempotent_hint = true,
            open_world_hint = false
        )
    )]
    async fn log_params(
        &self,
        Parameters(asked): Parameters<ParamsArguments>,
    ) -> Result<Json<Logged>, MlflowError> {
        let pair = |(key, value): (&Key, &ParamValue)| json!({"key": key.as_str(), "value": value.as_str()});
        let params = asked.params.iter().map(pair).collect();
        self.log(&asked.run_id, asked.experiment.as_ref(), "params", params, PAIRS_MAX).await
    }

    /// Sets tags of a run.
    #[tool(
        title = "Set a run's tags",
        annotations(
            read_only_hint = false,
            destructive_hint = true,
            idempotent_hint = true,
            open_world_hint = false
        )
    )]
    async fn set_run_tags(
        &self,
        Parameters(asked): Parameters<TagsArguments>,
    ) -> Result<Json<Logged>, MlflowError> {
        let tags = pairs(&asked.tags)?;
        self.log(&asked.run_id, asked.experiment.as_ref(), "tags", tags, PAIRS_MAX).await
    }

    /// Ends a run.
    #[tool(
        title = "Finish a run",
        annotations(
            read_only_hint = false,
            destructive_hint = true,
            idempotent_hint = true,
            open_world_hint = false
        )
    )]
    async fn finish_run(
        &self,
        Parameters(asked): Parameters<FinishArguments>,
    ) -> Result<Json<Finished>, MlflowError> {
        self.may_touch(&asked.run_id, asked.experiment.as_ref()).await?;
        let status = asked.status.unwrap_or_default();
        let body = json!({"run_id": asked.run_id.as_str(), "status": status, "end_time": self.now()});
        let done = self.client.post::<IgnoredAny>(&["runs", "update"], &body).await;
        done.map_err(|error| of_run(error, &asked.run_id))?;
        let text = format!("the run {} has ended", asked.run_id);
        Ok(Json::new(Finished { run_id: asked.run_id.to_string(), status }, text))
    }
}

impl Mlflow {
    async fn log(
        &self,
        run_id: &RunId,
        experiment: Option<&ExperimentName>,
        kind: &str,
        entries: Vec<Value>,
        max: usize,
    ) -> Result<Json<Logged>, MlflowError> {
        let written = entries.len();
        if !(1..=max).contains(&written) {
            return Err(MlflowError::Arguments(format!("there are 1 to {max} {kind} in one call")));
        }
        self.may_touch(run_id, experiment).await?;
        let body = json!({"run_id": run_id.as_str(), kind: entries});
        let done = self.client.post::<IgnoredAny>(&["runs", "log-batch"], &body).await;
        done.map_err(|error| of_run(error, run_id))?;
        let text = format!("{written} {kind} are in the run {run_id}");
        Ok(Json::new(Logged { run_id: run_id.to_string(), written }, text))
    }
}

fn of_run(error: MlflowError, id: &RunId) -> MlflowError {
    match error {
        MlflowError::NotFound(_) => MlflowError::NotFound(format!("run {id}")),
        error => error,
    }
}
