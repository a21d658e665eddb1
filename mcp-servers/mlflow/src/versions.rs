//! Versions of registered models: made of a run's artifacts or of a logged model, read, searched, tagged.

use crate::error::MlflowError;
use crate::experiments::{Tags, narrowed, orders, pairs, sparse};
use crate::filter::Entity;
use crate::names::{
    Alias, ArtifactPath, Description, ExperimentName, LoggedModelId, ModelName, RunId, TagKey,
};
use crate::page::{Wanted, next, told};
use crate::server::Mlflow;
use crate::wire::{Version, VersionFound, VersionView, number};
use kit::Json;
use rmcp::handler::server::wrapper::Parameters;
use rmcp::{tool, tool_router};
use schemars::JsonSchema;
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use serde_json::json;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct CreateArguments {
    /// The registered model's name
    model: ModelName,
    /// The run that made it; then `path` is needed
    run_id: Option<RunId>,
    /// The folder below the run's artifacts that holds the model
    path: Option<ArtifactPath>,
    /// In place of `run_id` and `path`: a logged model of MLflow 3
    logged_model_id: Option<LoggedModelId>,
    /// The experiment that the run or logged model belongs to; it is refused if it belongs to another one. Policy may insist on
    /// this argument
    experiment: Option<ExperimentName>,
    /// What is special about it
    description: Option<Description>,
    /// Its tags
    #[serde(default)]
    tags: Tags,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct GetArguments {
    /// The registered model's name
    model: ModelName,
    /// The version's number; either this or `alias`
    #[schemars(range(min = 1))]
    version: Option<u32>,
    /// An alias that stands for it; either this or `version`
    alias: Option<Alias>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct SearchArguments {
    /// Only versions of this model. Policy may insist on this argument
    model: Option<ModelName>,
    /// MLflow's filter, as in `name = 'fraud' AND tags.validated = 'yes'`; by name, run_id, version_number and tags
    filter: Option<String>,
    /// By what to sort, as in `version_number DESC`
    #[schemars(length(max = 5))]
    order_by: Option<Vec<String>>,
    /// How many at most
    #[schemars(range(min = 1))]
    page_size: Option<u32>,
    /// `next_cursor` of the page before
    cursor: Option<String>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct TagsArguments {
    /// The registered model's name
    model: ModelName,
    /// The version's number
    #[schemars(range(min = 1))]
    version: u32,
    /// The tags. One that is there already gets the new value
    #[schemars(extend("minProperties" = 1, "maxProperties" = 20))]
    tags: Tags,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct DeleteTagArguments {
    /// The registered model's name
    model: ModelName,
    /// The version's number
    #[schemars(range(min = 1))]
    version: u32,
    /// The tag
    key: TagKey,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Versions {
    /// The versions
    versions: Vec<VersionView>,
    /// Give this as `cursor` for the next page; absent on the last one
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

#[derive(Deserialize)]
struct Found {
    #[serde(default)]
    model_versions: Vec<Version>,
    next_page_token: Option<String>,
}

#[derive(Deserialize)]
struct LoggedFound {
    model: Logged,
}

#[derive(Deserialize)]
struct Logged {
    info: LoggedInfo,
}

#[derive(Deserialize)]
struct LoggedInfo {
    experiment_id: String,
    artifact_uri: String,
    source_run_id: Option<String>,
}

/// MLflow sets them one by one.
const TAGS_MAX: usize = 20;

#[tool_router(router = versions, vis = "pub(crate)")]
impl Mlflow {
    /// Registers a new version of a model, out of a folder of a run's artifacts or of a logged model.
    #[tool(
        title = "Create a model version",
        annotations(
            read_only_hint = false,
            destructive_hint = false,
            idempotent_hint = false,
            open_world_hint = false
        )
    )]
    async fn create_model_version(
        &self,
        Parameters(asked): Parameters<CreateArguments>,
    ) -> Result<Json<VersionView>, MlflowError> {
        let tags = pairs(&asked.tags)?;
        let experiment = asked.experiment.as_ref();
        let (source, run_id, logged) = match (&asked.run_id, &asked.path, &asked.logged_model_id) {
            (Some(run_id), Some(path), None) => {
                self.model(&asked.model).await?;
                let (run, _) = self.run(run_id, experiment).await?;
                // Where the run's artifacts are is MLflow's word; only what is below comes from the caller.
                (format!("{}/{path}", run.info.artifact_uri), Some(run.info.run_id), None)
            }
            (None, None, Some(id)) => {
                self.model(&asked.model).await?;
                let found = self.logged_model(id, experiment).await?;
                (found.artifact_uri, found.source_run_id, Some(id.to_string()))
            }
            _ => {
                return Err(MlflowError::Arguments("give either run_id and path, or logged_model_id".into()));
            }
        };
        let description = asked.description.as_ref().map(Description::as_str);
        let body = json!({
            "name": asked.model.as_str(), "source": source, "run_id": run_id, "model_id": logged,
            "description": description, "tags": tags,
        });
        let made: VersionFound = self.client.post(&["model-versions", "create"], &sparse(body)).await?;
        let view = made.model_version.view();
        let text = format!("{} has version {}", view.model, view.version);
        Ok(Json::new(view, text))
    }

    /// Describes a version of a model: its aliases, stage, tags and where it comes from.
    #[tool(
        title = "Get a model version",
        annotations(
            read_only_hint = true,
            destructive_hint = false,
            idempotent_hint = true,
            open_world_hint = false
        )
    )]
    async fn get_model_version(
        &self,
        Parameters(asked): Parameters<GetArguments>,
    ) -> Result<Json<VersionView>, MlflowError> {
        let version = match (asked.version, &asked.alias) {
            (Some(version), None) => version,
            (None, Some(alias)) => {
                let model = self.model(&asked.model).await?;
                let of = model.aliases.iter().find(|of| of.alias == alias.as_str());
                let missing = || {
                    MlflowError::NotFound(format!("alias {alias} of the model {:?}", asked.model.as_str()))
                };
                number(&of.ok_or_else(missing)?.version)
            }
            _ => return Err(MlflowError::Arguments("give either version or alias".into())),
        };
        let view = self.version(&asked.model, version).await?.view();
        let text = view.told();
        Ok(Json::new(view, text))
    }

    /// Searches the versions of one model, or of all.
    #[tool(
        title = "Search model versions",
        annotations(
            read_only_hint = true,
            destructive_hint = false,
            idempotent_hint = true,
            open_world_hint = false
        )
    )]
    async fn search_model_versions(
        &self,
        Parameters(asked): Parameters<SearchArguments>,
    ) -> Result<Json<Versions>, MlflowError> {
        let wanted = Wanted::read(asked.page_size, asked.cursor.as_deref(), self.limits.page_items_max)?;
        let mut query = vec![("max_results", wanted.count.to_string())];
        let only = asked.model.as_ref().map_or("", ModelName::as_str);
        let filter = narrowed(Entity::Versions, asked.filter.as_deref(), only, false)?;
        query.extend(filter.map(|filter| ("filter", filter)));
        let orders = orders(Entity::Versions, asked.order_by.as_deref())?;
        query.extend(orders.into_iter().flatten().map(|order| ("order_by", order)));
        query.extend(wanted.token.map(|token| ("page_token", token)));
        let mut found: Found = self.client.get(&["model-versions", "search"], query).await?;
        found.model_versions.retain(|version| {
            (only.is_empty() || version.name == only) && self.fence.has_model(&version.name)
        });
        let next_cursor = next(found.next_page_token);
        let versions: Vec<_> = found.model_versions.into_iter().map(Version::view).collect();
        let text = told(versions.len(), "versions", next_cursor.as_ref());
        Ok(Json::new(Versions { versions, next_cursor }, text))
    }

    /// Sets tags of a model's version.
    #[tool(
        title = "Set a version's tags",
        annotations(
            read_only_hint = false,
            destructive_hint = true,
            idempotent_hint = true,
            open_world_hint = false
        )
    )]
    async fn set_model_version_tags(
        &self,
        Parameters(asked): Parameters<TagsArguments>,
    ) -> Result<Json<VersionView>, MlflowError> {
        if !(1..=TAGS_MAX).contains(&asked.tags.len()) {
            return Err(MlflowError::Arguments(format!("there are 1 to {TAGS_MAX} tags in one call")));
        }
        self.version(&asked.model, asked.version).await?;
        for (key, value) in &asked.tags {
            let body = json!({
                "name": asked.model.as_str(), "version": asked.version.to_string(),
                "key": key.as_str(), "value": value.as_str(),
            });
            let _: IgnoredAny = self.client.post(&["model-versions", "set-tag"], &body).await?;
        }
        let view = self.version(&asked.model, asked.version).await?.view();
        let text = format!("{} tags are set; {}", asked.tags.len(), view.told());
        Ok(Json::new(view, text))
    }

    /// Takes a tag from a model's version. One that isn't there is no error.
    #[tool(
        title = "Delete a version's tag",
        annotations(
            read_only_hint = false,
            destructive_hint = true,
            idempotent_hint = true,
            open_world_hint = false
        )
    )]
    async fn delete_model_version_tag(
        &self,
        Parameters(asked): Parameters<DeleteTagArguments>,
    ) -> Result<Json<VersionView>, MlflowError> {
        self.version(&asked.model, asked.version).await?;
        let body = json!({
            "name": asked.model.as_str(), "version": asked.version.to_string(), "key": asked.key.as_str(),
        });
        self.client.delete(&["model-versions", "delete-tag"], &body).await?;
        let view = self.version(&asked.model, asked.version).await?.view();
        let text = format!("the tag is gone; {}", view.told());
        Ok(Json::new(view, text))
    }
}

impl Mlflow {
    /// A version of a model, within the fence.
    pub(crate) async fn version(&self, model: &ModelName, version: u32) -> Result<Version, MlflowError> {
        let missing =
            || MlflowError::NotFound(format!("version {version} of the model {:?}", model.as_str()));
        if !self.fence.has_model(model.as_str()) || version == 0 {
            return Err(missing());
        }
        let query = vec![("name", model.to_string()), ("version", version.to_string())];
        match self.client.get::<VersionFound>(&["model-versions", "get"], query).await {
            Ok(found) if found.model_version.name == model.as_str() => Ok(found.model_version),
            Ok(_) | Err(MlflowError::NotFound(_)) => Err(missing()),
            Err(error) => Err(error),
        }
    }

    async fn logged_model(
        &self,
        id: &LoggedModelId,
        claimed: Option<&ExperimentName>,
    ) -> Result<LoggedInfo, MlflowError> {
        let missing = || MlflowError::NotFound(format!("logged model {id}"));
        let info = match self.client.get::<LoggedFound>(&["logged-models", id.as_str()], Vec::new()).await {
            Ok(found) => found.model.info,
            Err(MlflowError::NotFound(_)) => return Err(missing()),
            Err(error) => return Err(error),
        };
        self.experiment_of(&info.experiment_id, claimed, "logged model", missing).await?;
        Ok(info)
    }
}
