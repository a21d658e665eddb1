//! Registered models.

use crate::error::MlflowError;
use crate::experiments::{Tags, narrowed, orders, pairs, sparse};
use crate::filter::Entity;
use crate::names::{Description, ModelName};
use crate::page::{Wanted, next, told};
use crate::server::Mlflow;
use crate::wire::{Model, ModelFound, ModelView};
use kit::Json;
use rmcp::handler::server::wrapper::Parameters;
use rmcp::{tool, tool_router};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct SearchArguments {
    /// Only models whose names begin so. Policy may insist on this argument
    prefix: Option<ModelName>,
    /// MLflow's filter, as in `name LIKE 'fraud%' AND tags.team = 'a'`; by name and tags
    filter: Option<String>,
    /// By what to sort, as in `last_updated_timestamp DESC`, or by name
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
struct GetArguments {
    /// The model's name
    model: ModelName,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct CreateArguments {
    /// The new model's name
    model: ModelName,
    /// What it is for
    description: Option<Description>,
    /// Its tags
    #[serde(default)]
    tags: Tags,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Models {
    /// The models
    models: Vec<ModelView>,
    /// Give this as `cursor` for the next page; absent on the last one
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

#[derive(Deserialize)]
struct Found {
    #[serde(default)]
    registered_models: Vec<Model>,
    next_page_token: Option<String>,
}

#[tool_router(router = models, vis = "pub(crate)")]
impl Mlflow {
    /// Searches registered models.
    #[tool(
        title = "Search models",
        annotations(
            read_only_hint = true,
            destructive_hint = false,
            idempotent_hint = true,
            open_world_hint = false
        )
    )]
    async fn search_models(
        &self,
        Parameters(asked): Parameters<SearchArguments>,
    ) -> Result<Json<Models>, MlflowError> {
        let wanted = Wanted::read(asked.page_size, asked.cursor.as_deref(), self.limits.page_items_max)?;
        let prefix = asked.prefix.as_ref().map_or("", ModelName::as_str);
        let filter = narrowed(Entity::Models, asked.filter.as_deref(), prefix, true)?;
        let orders = orders(Entity::Models, asked.order_by.as_deref())?;
        let (mut found, next_cursor) = self.models_page(wanted, filter, orders).await?;
        found.retain(|model| model.name.starts_with(prefix));
        let models: Vec<_> = found.into_iter().map(Model::view).collect();
        let text = told(models.len(), "models", next_cursor.as_ref());
        Ok(Json::new(Models { models, next_cursor }, text))
    }

    /// Describes a registered model: its aliases, tags and latest versions.
    #[tool(
        title = "Get a model",
        annotations(
            read_only_hint = true,
            destructive_hint = false,
            idempotent_hint = true,
            open_world_hint = false
        )
    )]
    async fn get_model(
        &self,
        Parameters(asked): Parameters<GetArguments>,
    ) -> Result<Json<ModelView>, MlflowError> {
        let view = self.model(&asked.model).await?.view();
        let text = format!("the model {:?}", view.name);
        Ok(Json::new(view, text))
    }

    /// Registers a model, without a version yet.
    #[tool(
        title = "Create a model",
        annotations(
            read_only_hint = false,
            destructive_hint = false,
            idempotent_hint = false,
            open_world_hint = false
        )
    )]
    async fn create_model(
        &self,
        Parameters(asked): Parameters<CreateArguments>,
    ) -> Result<Json<ModelView>, MlflowError> {
        let name = asked.model;
        if !self.fence.has_model(name.as_str()) {
            return Err(MlflowError::Arguments("a model of that name can't be created here".into()));
        }
        let description = asked.description.as_ref().map(Description::as_str);
        let body = json!({"name": name.as_str(), "description": description, "tags": pairs(&asked.tags)?});
        let made = self.client.post::<ModelFound>(&["registered-models", "create"], &sparse(body)).await;
        let made = made.map_err(|error| match error {
            MlflowError::AlreadyExists(_) => MlflowError::AlreadyExists(format!("model {:?}", name.as_str())),
            error => error,
        })?;
        let view = made.registered_model.view();
        let text = format!("the model {:?} is registered", view.name);
        Ok(Json::new(view, text))
    }
}

impl Mlflow {
    /// One page of the models within the fence.
    pub(crate) async fn models_page(
        &self,
        wanted: Wanted,
        filter: Option<String>,
        orders: Option<Vec<String>>,
    ) -> Result<(Vec<Model>, Option<String>), MlflowError> {
        let mut query = vec![("max_results", wanted.count.to_string())];
        query.extend(filter.map(|filter| ("filter", filter)));
        query.extend(orders.into_iter().flatten().map(|order| ("order_by", order)));
        query.extend(wanted.token.map(|token| ("page_token", token)));
        let mut found: Found = self.client.get(&["registered-models", "search"], query).await?;
        found.registered_models.retain(|model| self.fence.has_model(&model.name));
        Ok((found.registered_models, next(found.next_page_token)))
    }
}
