//! What decides which version is used: aliases, and stages where MLflow still has them. Tools of their own, so that the
//! right to promote can be given apart from all others, and by the alias or stage.

use crate::error::MlflowError;
use crate::names::{Alias, ModelName};
use crate::server::Mlflow;
use crate::wire::{Model, VersionFound, VersionView, number};
use kit::Json;
use rmcp::handler::server::wrapper::Parameters;
use rmcp::{tool, tool_router};
use schemars::JsonSchema;
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use serde_json::json;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct SetArguments {
    /// The registered model's name
    model: ModelName,
    /// The alias, as in `staging`
    alias: Alias,
    /// The number of the version that it shall stand for
    #[schemars(range(min = 1))]
    version: u32,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct DeleteArguments {
    /// The registered model's name
    model: ModelName,
    /// The alias
    alias: Alias,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct StageArguments {
    /// The registered model's name
    model: ModelName,
    /// The version's number
    #[schemars(range(min = 1))]
    version: u32,
    /// Its new stage
    stage: Stage,
    /// Whether other versions in that stage are archived; not if not given
    #[serde(default)]
    archive_others: bool,
}

#[derive(Clone, Copy, Debug, Deserialize, Serialize, JsonSchema)]
#[schemars(inline)]
enum Stage {
    None,
    Staging,
    Production,
    Archived,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Moved {
    /// The registered model
    model: String,
    /// The alias
    alias: String,
    /// The version that it stands for now; absent if for none
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<u32>,
    /// The version that it stood for before; absent if for none
    #[serde(skip_serializing_if = "Option::is_none")]
    before: Option<u32>,
}

#[tool_router(router = promotion, vis = "pub(crate)")]
impl Mlflow {
    /// Lets an alias stand for a version of a model: it is promoted, and the version of before loses the alias.
    #[tool(
        title = "Set a model's alias",
        annotations(
            read_only_hint = false,
            destructive_hint = true,
            idempotent_hint = true,
            open_world_hint = false
        )
    )]
    async fn set_model_alias(
        &self,
        Parameters(asked): Parameters<SetArguments>,
    ) -> Result<Json<Moved>, MlflowError> {
        let before = before(&self.model(&asked.model).await?, &asked.alias);
        self.version(&asked.model, asked.version).await?;
        let body = json!({
            "name": asked.model.as_str(), "alias": asked.alias.as_str(), "version": asked.version.to_string(),
        });
        let _: IgnoredAny = self.client.post(&["registered-models", "alias"], &body).await?;
        let text = format!("{} of {} is version {}", asked.alias, asked.model, asked.version);
        Ok(Json::new(moved(&asked.model, &asked.alias, Some(asked.version), before), text))
    }

    /// Takes an alias away from a model. One that isn't there is no error.
    #[tool(
        title = "Delete a model's alias",
        annotations(
            read_only_hint = false,
            destructive_hint = true,
            idempotent_hint = true,
            open_world_hint = false
        )
    )]
    async fn delete_model_alias(
        &self,
        Parameters(asked): Parameters<DeleteArguments>,
    ) -> Result<Json<Moved>, MlflowError> {
        let before = before(&self.model(&asked.model).await?, &asked.alias);
        if before.is_some() {
            let body = json!({"name": asked.model.as_str(), "alias": asked.alias.as_str()});
            self.client.delete(&["registered-models", "alias"], &body).await?;
        }
        let text = format!("{} has no alias {}", asked.model, asked.alias);
        Ok(Json::new(moved(&asked.model, &asked.alias, None, before), text))
    }

    /// Moves a version of a model to a stage, on servers that still have stages. Aliases have taken their place.
    #[tool(
        title = "Move a version to a stage",
        annotations(
            read_only_hint = false,
            destructive_hint = true,
            idempotent_hint = true,
            open_world_hint = false
        )
    )]
    async fn transition_model_stage(
        &self,
        Parameters(asked): Parameters<StageArguments>,
    ) -> Result<Json<VersionView>, MlflowError> {
        self.version(&asked.model, asked.version).await?;
        let body = json!({
            "name": asked.model.as_str(), "version": asked.version.to_string(),
            "stage": asked.stage, "archive_existing_versions": asked.archive_others,
        });
        let moved: VersionFound = self.client.post(&["model-versions", "transition-stage"], &body).await?;
        let view = moved.model_version.view();
        let text = view.told();
        Ok(Json::new(view, text))
    }
}

fn before(model: &Model, alias: &Alias) -> Option<u32> {
    model.aliases.iter().find(|of| of.alias == alias.as_str()).map(|of| number(&of.version))
}

fn moved(model: &ModelName, alias: &Alias, version: Option<u32>, before: Option<u32>) -> Moved {
    Moved { model: model.to_string(), alias: alias.to_string(), version, before }
}
