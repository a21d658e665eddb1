//! The tools that make text: `chat` and `complete`. The text comes in pieces; who asked for progress hears them.

use crate::ask::{Ask, Finish, Message, ModelName, Piece, Prompt, Sampling, Use};
use crate::dispatch::Begun;
use crate::error::InferenceError;
use crate::schema::Schema;
use crate::server::Inference;
use crate::told::{Kept, Timing, Usage, Written, millis};
use kit::{Json, Progress};
use rmcp::handler::server::wrapper::Parameters;
use rmcp::{tool, tool_router};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Progress is told this often at most.
const INTERVAL: Duration = Duration::from_millis(100);
const STOPS_MAX: usize = 4;
const STOP_CHARS_MAX: usize = 64;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ChatArguments {
    /// The model's name, as list_models has it
    model: String,
    /// The talk, the newest message last
    messages: Vec<Message>,
    /// Most tokens of the answer. Policy may bound it
    #[schemars(range(min = 1))]
    max_tokens: Option<u32>,
    /// 0 takes the likeliest word always; up to 2. The backend's own if not given, and 0 at the embedded engine
    #[schemars(range(min = 0, max = 2))]
    temperature: Option<f64>,
    /// Chooses among the likeliest words that have this probability together
    #[schemars(range(min = 0, max = 1))]
    top_p: Option<f64>,
    /// Up to 4 texts; the answer ends before any of them
    #[schemars(length(max = 4))]
    stop: Option<Vec<String>>,
    /// The same seed gives the same answer where the backend can do that
    seed: Option<u32>,
    /// A JSON Schema: the answer is JSON of it, or the call fails and the error has the text. References only within it
    schema: Option<Map<String, Value>>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct CompleteArguments {
    /// The model's name, as list_models has it
    model: String,
    /// The text to go on with
    prompt: String,
    /// Most tokens of the answer. Policy may bound it
    #[schemars(range(min = 1))]
    max_tokens: Option<u32>,
    /// 0 takes the likeliest word always; up to 2. The backend's own if not given, and 0 at the embedded engine
    #[schemars(range(min = 0, max = 2))]
    temperature: Option<f64>,
    /// Chooses among the likeliest words that have this probability together
    #[schemars(range(min = 0, max = 1))]
    top_p: Option<f64>,
    /// Up to 4 texts; the answer ends before any of them
    #[schemars(length(max = 4))]
    stop: Option<Vec<String>>,
    /// The same seed gives the same answer where the backend can do that
    seed: Option<u32>,
}

#[tool_router(router = writing, vis = "pub(crate)")]
impl Inference {
    /// Asks a model to answer a talk. Give a schema to get JSON.
    #[tool(
        title = "Chat",
        annotations(
            read_only_hint = true,
            destructive_hint = false,
            idempotent_hint = false,
            open_world_hint = false
        )
    )]
    async fn chat(
        &self,
        Parameters(asked): Parameters<ChatArguments>,
        progress: Progress,
    ) -> Result<Json<Written>, InferenceError> {
        let model = model(&asked.model)?;
        let count = self.limits.messages_max as usize;
        if asked.messages.is_empty() || asked.messages.len() > count {
            return Err(wrong(format!("give 1 to {count} messages")));
        }
        if asked.messages.iter().any(|message| message.content.is_empty()) {
            return Err(wrong("a message's content is not empty"));
        }
        self.fits(asked.messages.iter().map(|message| message.content.as_str()))?;
        let sampling =
            self.sampling(asked.max_tokens, asked.temperature, asked.top_p, asked.stop, asked.seed)?;
        let schema = asked.schema.as_ref().map(Schema::parse).transpose()?.map(Arc::new);
        let ask = Ask { prompt: Prompt::Chat(asked.messages), sampling, schema };
        self.written(&model, Use::Chat, &ask, &progress).await
    }

    /// Lets a model go on with a text, without a talk around it.
    #[tool(
        title = "Complete",
        annotations(
            read_only_hint = true,
            destructive_hint = false,
            idempotent_hint = false,
            open_world_hint = false
        )
    )]
    async fn complete(
        &self,
        Parameters(asked): Parameters<CompleteArguments>,
        progress: Progress,
    ) -> Result<Json<Written>, InferenceError> {
        let model = model(&asked.model)?;
        if asked.prompt.is_empty() {
            return Err(wrong("the prompt is not empty"));
        }
        self.fits([asked.prompt.as_str()])?;
        let sampling =
            self.sampling(asked.max_tokens, asked.temperature, asked.top_p, asked.stop, asked.seed)?;
        let ask = Ask { prompt: Prompt::Text(asked.prompt), sampling, schema: None };
        self.written(&model, Use::Complete, &ask, &progress).await
    }
}

/// A model's name.
pub(crate) fn model(text: &str) -> Result<ModelName, InferenceError> {
    ModelName::parse(text).map_err(wrong)
}

pub(crate) fn wrong(what: impl Into<String>) -> InferenceError {
    InferenceError::Arguments(what.into())
}

impl Inference {
    /// Whether texts are within their bound together. A NUL has no place in any.
    pub(crate) fn fits<'a>(&self, texts: impl IntoIterator<Item = &'a str>) -> Result<(), InferenceError> {
        let max = self.limits.prompt_bytes_max as usize;
        let mut bytes = 0_usize;
        for text in texts {
            bytes = bytes.saturating_add(text.len());
            if text.contains('\0') {
                return Err(wrong("a text has no character NUL"));
            }
        }
        if bytes > max {
            Err(wrong(format!("there are {bytes} bytes of text, and {max} are allowed")))
        } else {
            Ok(())
        }
    }

    fn sampling(
        &self,
        tokens: Option<u32>,
        temperature: Option<f64>,
        top_p: Option<f64>,
        stop: Option<Vec<String>>,
        seed: Option<u32>,
    ) -> Result<Sampling, InferenceError> {
        let max = self.limits.output_tokens_max;
        let tokens_max = tokens.unwrap_or(self.limits.output_tokens.min(max));
        if tokens_max == 0 || tokens_max > max {
            return Err(wrong(format!("max_tokens is from 1 to {max}")));
        }
        if temperature.is_some_and(|number| !(0.0..=2.0).contains(&number)) {
            return Err(wrong("temperature is from 0 to 2"));
        }
        if top_p.is_some_and(|number| number <= 0.0 || number > 1.0) {
            return Err(wrong("top_p is more than 0 and at most 1"));
        }
        let stop = stop.unwrap_or_default();
        let fits = |text: &String| {
            !text.is_empty() && text.chars().count() <= STOP_CHARS_MAX && !text.contains('\0')
        };
        if stop.len() > STOPS_MAX || !stop.iter().all(fits) {
            return Err(wrong(format!(
                "stop has up to {STOPS_MAX} texts of 1 to {STOP_CHARS_MAX} characters"
            )));
        }
        Ok(Sampling { tokens_max, temperature, top_p, stop, seed })
    }

    async fn written(
        &self,
        model: &ModelName,
        of: Use,
        ask: &Ask,
        progress: &Progress,
    ) -> Result<Json<Written>, InferenceError> {
        let started = Instant::now();
        let begun = self.backends.write(model, of, ask).await?;
        let first_token = started.elapsed();
        let (backend, served, attempts, schema) =
            (begun.backend.name.clone(), begun.served.clone(), begun.attempts, begun.schema);
        let input_bytes = ask.prompt.bytes();
        let (text, finish, counted) = self.heard(model, begun, ask, progress).await?;
        let usage = Usage::new(counted, input_bytes, text.len());
        let json = match &ask.schema {
            None => None,
            Some(schema) => match schema.read(&text) {
                Ok(value) => Some(value),
                Err(what) => {
                    let ended = if finish == Finish::Length { " (it ended at max_tokens)" } else { "" };
                    let kept = Box::new(Kept::new(model, text, usage, served.price.as_ref()));
                    return Err(InferenceError::Mismatch { what: format!("{what}{ended}"), kept });
                }
            },
        };
        let line = format!("{text}\n({model} at {backend}, {})", usage.line());
        let timing = Timing { first_token_ms: millis(first_token), total_ms: millis(started.elapsed()) };
        let written = Written {
            model: model.to_string(),
            backend,
            text,
            finish,
            usage,
            cost: usage.cost(served.price.as_ref()),
            timing,
            attempts,
            json,
            schema,
        };
        Ok(Json::new(written, line))
    }

    /// Reads an answer to its end, and tells of it on the way.
    async fn heard(
        &self,
        model: &ModelName,
        mut begun: Begun,
        ask: &Ask,
        progress: &Progress,
    ) -> Result<(String, Finish, Option<crate::ask::Tokens>), InferenceError> {
        let max = self.limits.response_bytes_max as usize;
        let (mut text, mut pieces, mut told) = (String::new(), 0_u32, 0_usize);
        let mut spoke: Option<Instant> = None;
        let mut piece = Ok(begun.first.take());
        loop {
            let why = match piece {
                Ok(Some(Piece::Text(more))) if text.len() + more.len() <= max => {
                    text.push_str(&more);
                    pieces = pieces.saturating_add(1);
                    if progress.is_wanted() && spoke.is_none_or(|at| at.elapsed() >= INTERVAL) {
                        let fresh = text.get(told..).unwrap_or_default();
                        progress
                            .tell(f64::from(pieces), Some(f64::from(ask.sampling.tokens_max)), fresh)
                            .await;
                        (told, spoke) = (text.len(), Some(Instant::now()));
                    }
                    piece = begun.stream.next().await;
                    continue;
                }
                Ok(Some(Piece::End(finish, counted))) => {
                    let rest = text.get(told..).unwrap_or_default();
                    if !rest.is_empty() && progress.is_wanted() {
                        progress
                            .tell(f64::from(pieces) + 0.5, Some(f64::from(ask.sampling.tokens_max)), rest)
                            .await;
                    }
                    return Ok((text, finish, counted));
                }
                Ok(Some(Piece::Text(_))) => "it is longer than allowed",
                Ok(None) => "the backend went away",
                Err(failure) => {
                    begun.backend.failed(&failure);
                    failure.broke_off()
                }
            };
            let usage = Usage::new(None, ask.prompt.bytes(), text.len());
            let kept = Kept::new(model, text, usage, begun.served.price.as_ref());
            return Err(InferenceError::Interrupted { why, kept: Box::new(kept) });
        }
    }
}
