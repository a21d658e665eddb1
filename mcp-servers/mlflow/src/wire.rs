//! What MLflow answers, as far as it is read, and how it is shown.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Keys and values.
pub(crate) type Texts = BTreeMap<String, String>;

#[derive(Debug, Deserialize)]
pub(crate) struct Pair {
    pub(crate) key: String,
    #[serde(default)]
    pub(crate) value: String,
}

#[derive(Debug, Deserialize)]
pub(crate) struct ExperimentFound {
    pub(crate) experiment: Experiment,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Experiment {
    pub(crate) experiment_id: String,
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) lifecycle_stage: String,
    creation_time: Option<i64>,
    last_update_time: Option<i64>,
    #[serde(default)]
    tags: Vec<Pair>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct RunFound {
    pub(crate) run: Run,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Run {
    pub(crate) info: RunInfo,
    #[serde(default)]
    pub(crate) data: RunData,
}

#[derive(Debug, Deserialize)]
pub(crate) struct RunInfo {
    pub(crate) run_id: String,
    pub(crate) experiment_id: String,
    #[serde(default)]
    pub(crate) run_name: String,
    #[serde(default)]
    pub(crate) status: String,
    start_time: Option<i64>,
    end_time: Option<i64>,
    #[serde(default)]
    pub(crate) artifact_uri: String,
    #[serde(default)]
    lifecycle_stage: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct RunData {
    pub(crate) metrics: Vec<Metric>,
    params: Vec<Pair>,
    tags: Vec<Pair>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Metric {
    pub(crate) key: String,
    pub(crate) value: Number,
    #[serde(default)]
    pub(crate) step: i64,
    timestamp: Option<i64>,
}

/// A number, or the word for what is none.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
#[schemars(inline)]
pub(crate) enum Number {
    /// A number
    Finite(f64),
    /// NaN, Infinity or -Infinity
    Word(String),
}

#[derive(Debug, Deserialize)]
pub(crate) struct ModelFound {
    pub(crate) registered_model: Model,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Model {
    pub(crate) name: String,
    #[serde(default)]
    description: String,
    creation_timestamp: Option<i64>,
    last_updated_timestamp: Option<i64>,
    #[serde(default)]
    latest_versions: Vec<Version>,
    #[serde(default)]
    tags: Vec<Pair>,
    #[serde(default)]
    pub(crate) aliases: Vec<AliasOf>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct AliasOf {
    pub(crate) alias: String,
    pub(crate) version: String,
}

#[derive(Debug, Deserialize)]
pub(crate) struct VersionFound {
    pub(crate) model_version: Version,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Version {
    pub(crate) name: String,
    pub(crate) version: String,
    #[serde(default)]
    current_stage: String,
    #[serde(default)]
    description: String,
    #[serde(default)]
    status: String,
    #[serde(default)]
    pub(crate) run_id: String,
    #[serde(default)]
    model_id: String,
    creation_timestamp: Option<i64>,
    last_updated_timestamp: Option<i64>,
    #[serde(default)]
    tags: Vec<Pair>,
    #[serde(default)]
    aliases: Vec<String>,
}

/// An experiment.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct ExperimentView {
    /// Its name: what tools take as `experiment`
    pub(crate) name: String,
    /// MLflow's number of it
    experiment_id: String,
    /// `active` or `deleted`
    state: String,
    /// When it was created, RFC 3339
    #[serde(skip_serializing_if = "Option::is_none")]
    created: Option<String>,
    /// When it was last changed, RFC 3339
    #[serde(skip_serializing_if = "Option::is_none")]
    updated: Option<String>,
    /// Its tags
    tags: Texts,
}

/// A run.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct RunView {
    /// Its id
    pub(crate) run_id: String,
    /// Its name
    name: String,
    /// The experiment that it belongs to
    experiment: String,
    /// `RUNNING`, `FINISHED`, `FAILED`, `KILLED` or `SCHEDULED`
    status: String,
    /// `active` or `deleted`
    state: String,
    /// When it began, RFC 3339
    #[serde(skip_serializing_if = "Option::is_none")]
    started: Option<String>,
    /// When it ended, RFC 3339
    #[serde(skip_serializing_if = "Option::is_none")]
    ended: Option<String>,
    /// The last value of each metric
    metrics: Vec<MetricView>,
    /// Its parameters
    params: Texts,
    /// Its tags
    tags: Texts,
}

/// One value of a metric.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct MetricView {
    /// The metric
    pub(crate) key: String,
    /// Its value; a text is NaN, Infinity or -Infinity
    pub(crate) value: Number,
    /// Its step
    step: i64,
    /// When, RFC 3339
    #[serde(skip_serializing_if = "Option::is_none")]
    time: Option<String>,
}

/// A registered model.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct ModelView {
    /// Its name
    pub(crate) name: String,
    /// What it is for
    description: String,
    /// When it was registered, RFC 3339
    #[serde(skip_serializing_if = "Option::is_none")]
    created: Option<String>,
    /// When it was last changed, RFC 3339
    #[serde(skip_serializing_if = "Option::is_none")]
    updated: Option<String>,
    /// Its tags
    tags: Texts,
    /// Each alias and the version that it stands for
    aliases: BTreeMap<String, u32>,
    /// The last version of each stage
    latest_versions: Vec<u32>,
}

/// A version of a registered model.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct VersionView {
    /// The registered model
    pub(crate) model: String,
    /// Its number
    pub(crate) version: u32,
    /// `None`, `Staging`, `Production` or `Archived`
    stage: String,
    /// `READY`, or why it isn't
    status: String,
    /// What is special about it
    description: String,
    /// The run that made it
    #[serde(skip_serializing_if = "Option::is_none")]
    run_id: Option<String>,
    /// The logged model that it was made of
    #[serde(skip_serializing_if = "Option::is_none")]
    logged_model_id: Option<String>,
    /// When it was registered, RFC 3339
    #[serde(skip_serializing_if = "Option::is_none")]
    created: Option<String>,
    /// When it was last changed, RFC 3339
    #[serde(skip_serializing_if = "Option::is_none")]
    updated: Option<String>,
    /// The aliases that stand for it
    pub(crate) aliases: Vec<String>,
    /// Its tags
    tags: Texts,
}

impl Experiment {
    pub(crate) fn view(self) -> ExperimentView {
        ExperimentView {
            name: self.name,
            experiment_id: self.experiment_id,
            state: self.lifecycle_stage,
            created: instant(self.creation_time),
            updated: instant(self.last_update_time),
            tags: texts(self.tags),
        }
    }
}

impl Run {
    /// `experiment` is the name of the one that it belongs to.
    pub(crate) fn view(self, experiment: String) -> RunView {
        let Self { info, data } = self;
        RunView {
            run_id: info.run_id,
            name: info.run_name,
            experiment,
            status: info.status,
            state: info.lifecycle_stage,
            started: instant(info.start_time),
            ended: instant(info.end_time),
            metrics: data.metrics.into_iter().map(Metric::view).collect(),
            params: texts(data.params),
            tags: texts(data.tags),
        }
    }
}

impl Metric {
    pub(crate) fn view(self) -> MetricView {
        MetricView { key: self.key, value: self.value, step: self.step, time: instant(self.timestamp) }
    }
}

impl Model {
    pub(crate) fn view(self) -> ModelView {
        let aliases = self.aliases.into_iter().map(|of| (of.alias, number(&of.version))).collect();
        ModelView {
            name: self.name,
            description: self.description,
            created: instant(self.creation_timestamp),
            updated: instant(self.last_updated_timestamp),
            tags: texts(self.tags),
            aliases,
            latest_versions: self.latest_versions.iter().map(|version| number(&version.version)).collect(),
        }
    }
}

impl Version {
    pub(crate) fn view(self) -> VersionView {
        let some = |text: String| Some(text).filter(|text| !text.is_empty());
        VersionView {
            model: self.name,
            version: number(&self.version),
            stage: self.current_stage,
            status: self.status,
            description: self.description,
            run_id: some(self.run_id),
            logged_model_id: some(self.model_id),
            created: instant(self.creation_timestamp),
            updated: instant(self.last_updated_timestamp),
            aliases: self.aliases,
            tags: texts(self.tags),
        }
    }
}

impl ModelView {
    /// Each alias and its version.
    pub(crate) fn aliases(&self) -> &BTreeMap<String, u32> {
        &self.aliases
    }
}

impl VersionView {
    /// In a few words.
    pub(crate) fn told(&self) -> String {
        let aliases = if self.aliases.is_empty() { "no alias".to_owned() } else { self.aliases.join(", ") };
        format!("{} version {}: {aliases}, stage {}", self.model, self.version, self.stage)
    }
}

/// MLflow writes versions as text. They are numbers; 0 is none of them.
pub(crate) fn number(version: &str) -> u32 {
    version.parse().unwrap_or_default()
}

fn texts(pairs: Vec<Pair>) -> Texts {
    pairs.into_iter().map(|pair| (pair.key, pair.value)).collect()
}

/// Milliseconds since 1970 as RFC 3339.
pub(crate) fn instant(milliseconds: Option<i64>) -> Option<String> {
    let nanoseconds = i128::from(milliseconds?).checked_mul(1_000_000)?;
    OffsetDateTime::from_unix_timestamp_nanos(nanoseconds).ok()?.format(&Rfc3339).ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test ends by panicking")]
    use super::*;
    use serde_json::json;

    #[test]
    fn a_run_is_read_with_little_or_with_much_in_it() {
        let run = |json| serde_json::from_value::<Run>(json).unwrap().view("demo".into());
        let bare = run(json!({"info": {"run_id": "a", "experiment_id": "1"}}));
        assert!(bare.metrics.is_empty() && bare.started.is_none());
        let full = run(json!({
            "info": {"run_id": "a", "experiment_id": "1", "start_time": 1795973246194_i64, "other": {}},
            "data": {"metrics": [{"key": "m", "value": "NaN", "timestamp": 1}, {"key": "n", "value": 1, "step": 2}]},
        }));
        assert_eq!(full.started.as_deref(), Some("2026-11-29T17:27:26.194Z"));
        assert_eq!(
            full.metrics.iter().map(|m| &m.value).collect::<Vec<_>>(),
            [&Number::Word("NaN".into()), &Number::Finite(1.0)]
        );
        assert_eq!(instant(Some(i64::MAX)), None);
    }
}
