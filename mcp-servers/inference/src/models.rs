//! The tools that say which models there are, how their backends are, and what the GPUs do.

use crate::ask::Use;
use crate::config::Price;
use crate::error::InferenceError;
use crate::gpu::GpuStatus;
use crate::server::Inference;
use crate::write::model;
use kit::Json;
use kit::cursor::{self, BadCursor};
use rmcp::handler::server::wrapper::Parameters;
use rmcp::{tool, tool_router};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct PageArguments {
    /// `next_cursor` of the page before
    cursor: Option<String>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct StatusArguments {
    /// The model's name, as list_models has it
    model: String,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct NoArguments {}

#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Models {
    /// The models, in the order of their names
    models: Vec<Listed>,
    /// How many there are on all pages
    total: usize,
    /// Give this as `cursor` for the next page; absent on the last one
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct Listed {
    /// Its name
    name: String,
    /// What it does
    uses: Vec<Use>,
    /// How many backends have it
    backends: usize,
    /// Whether one of them is healthy
    healthy: bool,
    /// What tokens cost at its cheapest backend
    #[serde(skip_serializing_if = "Option::is_none")]
    price: Option<Priced>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct Priced {
    /// A million tokens of what is given
    input_per_million: f64,
    /// A million tokens of what comes back
    output_per_million: f64,
    /// In which money
    currency: String,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct ModelStatus {
    /// The model
    model: String,
    /// Its backends, as the file has them
    backends: Vec<Status>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct Status {
    /// Its name
    name: String,
    /// openai or embedded
    kind: String,
    /// What the model does there
    uses: Vec<Use>,
    /// Whether nothing speaks against it
    healthy: bool,
    /// What speaks against it; absent where nothing does
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// This server's own calls there
    in_flight: usize,
    /// How many of them it takes
    in_flight_max: usize,
    /// Whose word the next two are: metrics of the backend, or own where it has none and only this server's calls are known
    load_from: LoadFrom,
    /// Calls that are worked on
    running: f64,
    /// Calls that wait
    waiting: f64,
    /// How full its cache of keys and values is, 0 to 1; absent where it doesn't say
    #[serde(skip_serializing_if = "Option::is_none")]
    cache: Option<f64>,
}

#[derive(Clone, Copy, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
enum LoadFrom {
    Metrics,
    Own,
}

#[tool_router(router = about, vis = "pub(crate)")]
impl Inference {
    /// Lists the models that can be asked for, what each does and costs.
    #[tool(
        title = "List models",
        annotations(
            read_only_hint = true,
            destructive_hint = false,
            idempotent_hint = true,
            open_world_hint = false
        )
    )]
    async fn list_models(
        &self,
        Parameters(asked): Parameters<PageArguments>,
    ) -> Result<Json<Models>, InferenceError> {
        let begin = match asked.cursor.as_deref() {
            None => 0,
            Some(cursor) => cursor::parse(cursor)?.parse::<usize>().map_err(|_| BadCursor)?,
        };
        let mut all: BTreeMap<&str, Listed> = BTreeMap::new();
        for backend in &self.backends.all {
            for served in &backend.models {
                let name = served.name.as_str();
                let listed = all.entry(name).or_insert_with(|| Listed {
                    name: name.to_owned(),
                    uses: Vec::new(),
                    backends: 0,
                    healthy: false,
                    price: None,
                });
                listed.backends += 1;
                listed.healthy |= backend.health(served).why.is_none();
                for of in &served.uses {
                    if !listed.uses.contains(of) {
                        listed.uses.push(*of);
                    }
                }
                let cheaper = |priced: &Priced, price: &Price| {
                    price.input_per_million + price.output_per_million
                        < priced.input_per_million + priced.output_per_million
                };
                if let Some(price) = &served.price
                    && listed.price.as_ref().is_none_or(|priced| cheaper(priced, price))
                {
                    listed.price = Some(Priced {
                        input_per_million: price.input_per_million,
                        output_per_million: price.output_per_million,
                        currency: price.currency.clone(),
                    });
                }
            }
        }
        let (total, max) = (all.len(), self.limits.page_items_max as usize);
        let end = begin.saturating_add(max);
        let next_cursor = (end < total).then(|| cursor::after(&end.to_string()));
        let models: Vec<_> = all.into_values().skip(begin).take(max).collect();
        let names = models.iter().map(|listed| listed.name.as_str()).collect::<Vec<_>>().join(", ");
        let more = if next_cursor.is_some() { ", and there are more (next_cursor)" } else { "" };
        let line = format!("{} of {total} models{more}: {names}", models.len());
        Ok(Json::new(Models { models, total, next_cursor }, line))
    }

    /// Says how the backends of a model are: healthy or why not, and how busy.
    #[tool(
        title = "Model status",
        annotations(
            read_only_hint = true,
            destructive_hint = false,
            idempotent_hint = true,
            open_world_hint = false
        )
    )]
    async fn model_status(
        &self,
        Parameters(asked): Parameters<StatusArguments>,
    ) -> Result<Json<ModelStatus>, InferenceError> {
        let model = model(&asked.model)?;
        let mut backends = Vec::new();
        for backend in &self.backends.all {
            let Some(served) = backend.serves(&model) else { continue };
            let health = backend.health(served);
            let running = health.load.map_or(health.in_flight as f64, |load| load.running);
            backends.push(Status {
                name: backend.name.clone(),
                kind: backend.kind().to_owned(),
                uses: served.uses.clone(),
                healthy: health.why.is_none(),
                reason: health.why.map(ToOwned::to_owned),
                in_flight: health.in_flight,
                in_flight_max: backend.in_flight_max,
                load_from: if health.load.is_some() { LoadFrom::Metrics } else { LoadFrom::Own },
                running,
                waiting: health.load.map_or(0.0, |load| load.waiting),
                cache: health.load.and_then(|load| load.cache),
            });
        }
        if backends.is_empty() {
            return Err(InferenceError::UnknownModel(model.to_string()));
        }
        let healthy = backends.iter().filter(|status| status.healthy).count();
        let line = format!("{model}: {healthy} of {} backends healthy", backends.len());
        Ok(Json::new(ModelStatus { model: model.to_string(), backends }, line))
    }

    /// Says what the GPUs of this server's own machine do; where there are none, it says that.
    #[tool(
        title = "GPU status",
        annotations(
            read_only_hint = true,
            destructive_hint = false,
            idempotent_hint = true,
            open_world_hint = false
        )
    )]
    async fn gpu_status(
        &self,
        Parameters(_): Parameters<NoArguments>,
    ) -> Result<Json<GpuStatus>, InferenceError> {
        let gpus = self.gpus.clone();
        let status = tokio::task::spawn_blocking(move || gpus.status()).await;
        let status = status.map_err(|_| InferenceError::Unavailable("the driver could not be asked"))?;
        let line = status.line();
        Ok(Json::new(status, line))
    }
}
