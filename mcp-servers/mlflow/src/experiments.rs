//! Experiments: what runs belong to.

use crate::error::MlflowError;
use crate::filter::{Entity, Filter, Order};
use crate::names::{ExperimentName, TagKey, TagValue};
use crate::page::{Wanted, next, told};
use crate::server::Mlflow;
use crate::wire::{Experiment, ExperimentView};
use kit::Json;
use rmcp::handler::server::wrapper::Parameters;
use rmcp::{tool, tool_router};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Tags as arguments have them.
pub(crate) type Tags = BTreeMap<TagKey, TagValue>;

/// Most tags or parameters in one call, as in MLflow.
pub(crate) const PAIRS_MAX: usize = 100;
/// Most fields to sort by.
const ORDERS_MAX: usize = 5;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct SearchArguments {
    /// Only experiments whose names begin so. Policy may insist on this argument
    prefix: Option<ExperimentName>,
    /// MLflow's filter, as in `name LIKE 'team-%' AND tags.stage = 'x'`; by name, experiment_id, creation_time,
    /// last_update_time and tags
    filter: Option<String>,
    /// By what to sort, as in `last_update_time DESC`
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

/// Of experiments and runs.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub(crate) enum State {
    #[default]
    Active,
    Deleted,
    All,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct GetArguments {
    /// The experiment's name
    experiment: ExperimentName,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct CreateArguments {
    /// The new experiment's name
    experiment: ExperimentName,
    /// Its tags
    #[serde(default)]
    tags: Tags,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Experiments {
    /// The experiments
    experiments: Vec<ExperimentView>,
    /// Give this as `cursor` for the next page; absent on the last one
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Created {
    /// The experiment's name
    experiment: String,
    /// MLflow's number of it
    experiment_id: String,
}

#[derive(Deserialize)]
struct Found {
    #[serde(default)]
    experiments: Vec<Experiment>,
    next_page_token: Option<String>,
}

#[derive(Deserialize)]
struct Id {
    experiment_id: String,
}

#[tool_router(router = experiments, vis = "pub(crate)")]
impl Mlflow {
    /// Searches experiments.
    #[tool(
        title = "Search experiments",
        annotations(
            read_only_hint = true,
            destructive_hint = false,
            idempotent_hint = true,
            open_world_hint = false
        )
    )]
    async fn search_experiments(
        &self,
        Parameters(asked): Parameters<SearchArguments>,
    ) -> Result<Json<Experiments>, MlflowError> {
        let wanted = Wanted::read(asked.page_size, asked.cursor.as_deref(), self.limits.page_items_max)?;
        let prefix = asked.prefix.as_ref().map_or("", ExperimentName::as_str);
        let body = json!({
            "filter": narrowed(Entity::Experiments, asked.filter.as_deref(), prefix, true)?,
            "order_by": orders(Entity::Experiments, asked.order_by.as_deref())?,
            "view_type": asked.state.unwrap_or_default().view_type(),
            "max_results": wanted.count,
            "page_token": wanted.token,
        });
        let mut found: Found = self.client.post(&["experiments", "search"], &sparse(body)).await?;
        found.experiments.retain(|experiment| {
            experiment.name.starts_with(prefix) && self.fence.has_experiment(&experiment.name)
        });
        let next_cursor = next(found.next_page_token);
        let experiments: Vec<_> = found.experiments.into_iter().map(Experiment::view).collect();
        let text = told(experiments.len(), "experiments", next_cursor.as_ref());
        Ok(Json::new(Experiments { experiments, next_cursor }, text))
    }

    /// Describes an experiment.
    #[tool(
        title = "Get an experiment",
        annotations(
            read_only_hint = true,
            destructive_hint = false,
            idempotent_hint = true,
            open_world_hint = false
        )
    )]
    async fn get_experiment(
        &self,
        Parameters(asked): Parameters<GetArguments>,
    ) -> Result<Json<ExperimentView>, MlflowError> {
        let view = self.experiment(&asked.experiment).await?.view();
        let text = format!("the experiment {:?}", view.name);
        Ok(Json::new(view, text))
    }

    /// Creates an experiment.
    #[tool(
        title = "Create an experiment",
        annotations(
            read_only_hint = false,
            destructive_hint = false,
            idempotent_hint = false,
            open_world_hint = false
        )
    )]
    async fn create_experiment(
        &self,
        Parameters(asked): Parameters<CreateArguments>,
    ) -> Result<Json<Created>, MlflowError> {
        let name = asked.experiment;
        if !self.fence.has_experiment(name.as_str()) {
            return Err(MlflowError::Arguments("an experiment of that name can't be created here".into()));
        }
        let body = json!({"name": name.as_str(), "tags": pairs(&asked.tags)?});
        let made = self.client.post::<Id>(&["experiments", "create"], &body).await;
        let made = made.map_err(|error| match error {
            MlflowError::AlreadyExists(_) => {
                MlflowError::AlreadyExists(format!("experiment {:?}", name.as_str()))
            }
            error => error,
        })?;
        let text = format!("the experiment {:?} is there", name.as_str());
        Ok(Json::new(Created { experiment: name.to_string(), experiment_id: made.experiment_id }, text))
    }
}

impl State {
    pub(crate) fn view_type(self) -> &'static str {
        match self {
            Self::Active => "ACTIVE_ONLY",
            Self::Deleted => "DELETED_ONLY",
            Self::All => "ALL",
        }
    }
}

/// A filter as it is sent.
pub(crate) fn filter(entity: Entity, text: Option<&str>) -> Result<Option<String>, MlflowError> {
    text.map(|text| Filter::parse(entity, text).map(|filter| filter.to_string())).transpose()
}

/// A filter as it is sent, with a name that there is to keep to.
pub(crate) fn narrowed(
    entity: Entity,
    text: Option<&str>,
    name: &str,
    beginning: bool,
) -> Result<Option<String>, MlflowError> {
    let asked = text.map(|text| Filter::parse(entity, text)).transpose()?;
    let named = Some(name).filter(|name| !name.is_empty());
    let named = named.and_then(|name| Filter::named(entity, name, beginning));
    let both = match (asked, named) {
        (Some(asked), Some(named)) => Some(asked.and(named)),
        (asked, named) => asked.or(named),
    };
    Ok(both.map(|filter| filter.to_string()))
}

/// Orders as they are sent.
pub(crate) fn orders(entity: Entity, texts: Option<&[String]>) -> Result<Option<Vec<String>>, MlflowError> {
    let Some(texts) = texts else { return Ok(None) };
    if texts.len() > ORDERS_MAX {
        return Err(MlflowError::Arguments(format!("order_by has {ORDERS_MAX} fields at most")));
    }
    let orders: Result<_, _> =
        texts.iter().map(|text| Order::parse(entity, text).map(|order| order.to_string())).collect();
    orders.map(Some)
}

/// Tags as MLflow takes them.
pub(crate) fn pairs(tags: &Tags) -> Result<Vec<Value>, MlflowError> {
    if tags.len() > PAIRS_MAX {
        return Err(MlflowError::Arguments(format!("there are {PAIRS_MAX} tags at most in one call")));
    }
    Ok(tags.iter().map(|(key, value)| json!({"key": key.as_str(), "value": value.as_str()})).collect())
}

/// Without the members that are null: MLflow checks what is there.
pub(crate) fn sparse(mut body: Value) -> Value {
    if let Some(members) = body.as_object_mut() {
        members.retain(|_, member| !member.is_null());
    }
    body
}
