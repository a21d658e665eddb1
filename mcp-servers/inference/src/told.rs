//! What the tools give back: texts, vectors, and what they cost.

use crate::ask::{Finish, ModelName, Tokens};
use crate::config::Price;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;
use std::time::Duration;

/// Tokens of a call.
#[derive(Clone, Copy, Debug, Serialize, JsonSchema)]
pub(crate) struct Usage {
    /// Tokens of what was given
    input_tokens: u64,
    /// Tokens of what came back
    output_tokens: u64,
    /// Both
    total_tokens: u64,
    /// True where the backend counts no tokens: then a token is three bytes, begun ones count
    estimated: bool,
}

/// What that costs by the operator's price list.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct Cost {
    /// How much
    amount: f64,
    /// Of what, as in USD
    currency: String,
}

#[derive(Clone, Copy, Debug, Serialize, JsonSchema)]
pub(crate) struct Timing {
    /// From the call to the first text, milliseconds
    pub(crate) first_token_ms: u64,
    /// From the call to the end, milliseconds
    pub(crate) total_ms: u64,
}

/// How an answer was brought to be of the schema. It was held against the schema in each case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
#[cfg_attr(not(feature = "embedded"), expect(dead_code, reason = "only the embedded engine has these"))]
pub(crate) enum Enforced {
    /// The embedded engine could write nothing else.
    Constrained,
    /// The embedded engine could write this form only; some keywords (a pattern, a minimum) were only checked.
    Partly,
    /// The backend was asked for it by `response_format`; how it does that, it does not say.
    Requested,
    /// The model was asked for it in words.
    Checked,
}

/// What was made before a call failed.
#[derive(Debug, Serialize)]
pub struct Kept {
    pub(crate) model: String,
    pub(crate) text: String,
    pub(crate) usage: Usage,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cost: Option<Cost>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Written {
    /// The model, as it was asked for
    pub(crate) model: String,
    /// The backend that answered
    pub(crate) backend: String,
    /// The text
    pub(crate) text: String,
    /// Why it ended
    pub(crate) finish: Finish,
    /// Tokens
    pub(crate) usage: Usage,
    /// What they cost; absent where the model has no price
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cost: Option<Cost>,
    /// Times
    pub(crate) timing: Timing,
    /// Backends that were tried, the one that answered included
    pub(crate) attempts: u32,
    /// The text as JSON; absent where no schema was asked for
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) json: Option<Value>,
    /// How it was brought to be of the schema; absent where none was asked for
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) schema: Option<Enforced>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Embedded {
    /// The model, as it was asked for
    pub(crate) model: String,
    /// The backend that answered
    pub(crate) backend: String,
    /// A vector for each input, in their order
    pub(crate) vectors: Vec<Vec<f32>>,
    /// Numbers in a vector
    pub(crate) dimensions: usize,
    /// Tokens
    pub(crate) usage: Usage,
    /// What they cost; absent where the model has no price
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cost: Option<Cost>,
    /// Backends that were tried, the one that answered included
    pub(crate) attempts: u32,
}

/// Bytes that are taken for a token where nobody counts.
const BYTES_A_TOKEN: usize = 3;

impl Usage {
    /// As counted, or by the bytes.
    pub(crate) fn new(counted: Option<Tokens>, input_bytes: usize, output_bytes: usize) -> Self {
        let guess = |bytes: usize| u64::try_from(bytes.div_ceil(BYTES_A_TOKEN)).unwrap_or(u64::MAX);
        let Tokens { input, output } =
            counted.unwrap_or_else(|| Tokens { input: guess(input_bytes), output: guess(output_bytes) });
        let total_tokens = input.saturating_add(output);
        Self { input_tokens: input, output_tokens: output, total_tokens, estimated: counted.is_none() }
    }

    /// By a price list.
    pub(crate) fn cost(&self, price: Option<&Price>) -> Option<Cost> {
        let price = price?;
        let million = 1e6;
        let amount = (self.input_tokens as f64 * price.input_per_million
            + self.output_tokens as f64 * price.output_per_million)
            / million;
        Some(Cost { amount, currency: price.currency.clone() })
    }

    pub(crate) fn line(&self) -> String {
        let about = if self.estimated { "about " } else { "" };
        format!("{about}{} + {} tokens", self.input_tokens, self.output_tokens)
    }
}

impl Kept {
    pub(crate) fn new(model: &ModelName, text: String, usage: Usage, price: Option<&Price>) -> Self {
        Self { model: model.to_string(), text, usage, cost: usage.cost(price) }
    }
}

pub(crate) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test ends by panicking")]
    use super::*;

    #[test]
    fn tokens_that_nobody_counted_are_guessed_and_all_are_paid_for() {
        let price = Price { input_per_million: 0.5, output_per_million: 2.0, currency: "EUR".into() };
        let counted = Usage::new(Some(Tokens { input: 1_000, output: 250 }), 1, 1);
        assert_eq!(counted.cost(Some(&price)).unwrap().amount, 0.001);
        assert!(!counted.estimated && counted.total_tokens == 1_250);
        let guessed = Usage::new(None, 10, 0);
        assert!(guessed.estimated && guessed.input_tokens == 4 && guessed.output_tokens == 0);
        assert!(guessed.cost(None).is_none());
    }
}
