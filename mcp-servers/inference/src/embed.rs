//! The tool that makes vectors of texts.

use crate::dispatch::Vectors;
use crate::error::InferenceError;
use crate::server::Inference;
use crate::told::{Embedded, Usage};
use crate::write::{model, wrong};
use kit::Json;
use rmcp::handler::server::wrapper::Parameters;
use rmcp::{tool, tool_router};
use schemars::JsonSchema;
use serde::Deserialize;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct EmbedArguments {
    /// The model's name, as list_models has it
    model: String,
    /// The texts
    #[schemars(length(min = 1))]
    input: Vec<String>,
}

#[tool_router(router = embedding, vis = "pub(crate)")]
impl Inference {
    /// Turns texts into vectors, one for each, in their order.
    #[tool(
        title = "Embed",
        annotations(
            read_only_hint = true,
            destructive_hint = false,
            idempotent_hint = true,
            open_world_hint = false
        )
    )]
    async fn embed(
        &self,
        Parameters(asked): Parameters<EmbedArguments>,
    ) -> Result<Json<Embedded>, InferenceError> {
        let model = model(&asked.model)?;
        let count = self.limits.inputs_max as usize;
        if asked.input.is_empty() || asked.input.len() > count {
            return Err(wrong(format!("give 1 to {count} inputs")));
        }
        if asked.input.iter().any(String::is_empty) {
            return Err(wrong("an input is not empty"));
        }
        self.fits(asked.input.iter().map(String::as_str))?;
        let made = self.backends.embed(&model, &asked.input).await?;
        let Vectors { backend, served, vectors, tokens: counted, attempts } = made;
        let bytes = asked.input.iter().map(String::len).sum();
        let usage = Usage::new(counted, bytes, 0);
        let dimensions = vectors.first().map_or(0, Vec::len);
        let line = format!("{} vectors of {dimensions} numbers ({})", vectors.len(), usage.line());
        let embedded = Embedded {
            model: model.to_string(),
            backend: backend.name.clone(),
            vectors,
            dimensions,
            usage,
            cost: usage.cost(served.price.as_ref()),
            attempts,
        };
        Ok(Json::new(embedded, line))
    }
}
