//! What is asked of a model and what it gives, whichever backend it is at.

use crate::schema::Schema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;

/// The name of a model as callers and configurations write it: 1 to 128 letters, digits and `._:/@+-`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ModelName(String);

const MODEL_NAME_CHARS_MAX: usize = 128;

impl ModelName {
    /// Reads one.
    ///
    /// # Errors
    /// What a name looks like, in words.
    pub(crate) fn parse(text: &str) -> Result<Self, &'static str> {
        let known = |c: char| c.is_ascii_alphanumeric() || "._:/@+-".contains(c);
        let plain = text.starts_with(|c: char| c.is_ascii_alphanumeric()) && text.chars().all(known);
        let segments = text.split('/').all(|segment| !matches!(segment, "" | "." | ".."));
        if plain && segments && text.len() <= MODEL_NAME_CHARS_MAX {
            Ok(Self(text.to_owned()))
        } else {
            Err("a model's name has 1 to 128 letters, digits and ._:/@+- and begins with a letter or digit")
        }
    }

    /// The name.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ModelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a model can be used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum Use {
    /// Answers messages.
    Chat,
    /// Goes on with a text.
    Complete,
    /// Turns texts into vectors.
    Embed,
}

/// Whose words a message has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub(crate) enum Role {
    /// What holds for the whole talk.
    System,
    /// Whoever asks.
    User,
    /// The model.
    Assistant,
}

/// One message of a talk.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
pub(crate) struct Message {
    /// Whose words these are
    pub role: Role,
    /// The words
    #[schemars(length(min = 1))]
    pub content: String,
}

/// What the model begins with.
#[derive(Clone, Debug)]
pub(crate) enum Prompt {
    /// A talk, the newest message last.
    Chat(Vec<Message>),
    /// A text to go on with.
    Text(String),
}

impl Prompt {
    /// Bytes of its texts.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::Chat(messages) => messages.iter().map(|message| message.content.len()).sum(),
            Self::Text(text) => text.len(),
        }
    }
}

/// How tokens are chosen.
#[derive(Clone, Debug)]
pub(crate) struct Sampling {
    /// Tokens at most.
    pub tokens_max: u32,
    /// 0 takes the likeliest token always. The backend's own if not given.
    pub temperature: Option<f64>,
    /// Chooses among the likeliest tokens that have this probability together.
    pub top_p: Option<f64>,
    /// The text ends before any of these.
    pub stop: Vec<String>,
    /// The same seed gives the same text where a backend can do that.
    pub seed: Option<u32>,
}

/// A text that is wanted.
#[derive(Clone, Debug)]
pub(crate) struct Ask {
    /// What it begins with.
    pub prompt: Prompt,
    /// How it is made.
    pub sampling: Sampling,
    /// The JSON that it has to be.
    pub schema: Option<Arc<Schema>>,
}

/// Why a text ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub(crate) enum Finish {
    /// The model was done, or came to one of `stop`.
    Stop,
    /// There were as many tokens as allowed.
    Length,
    /// The backend says something else, or nothing.
    Other,
}

/// Tokens that a call used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tokens {
    /// Of what was given.
    pub input: u64,
    /// Of what came back.
    pub output: u64,
}

/// A part of a text as it comes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    /// More text, never empty.
    Text(String),
    /// The end. Tokens where the backend counts them.
    End(Finish, Option<Tokens>),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_has_a_plain_name() {
        for good in
            ["smollm2", "meta-llama/Llama-3.1-8B-Instruct", "qwen2.5:7b", "a@b", "a+b", &"a".repeat(128)]
        {
            assert!(ModelName::parse(good).is_ok(), "{good}");
        }
        let long = "a".repeat(129);
        for bad in [
            "", " ", "-a", ".", "..", "/a", "a/", "a//b", "a/../b", "a/./b", "a b", "a\n", "a\0", "ä", "а",
            "a?b", "a%2fb", "a\\b", "{a}", &long,
        ] {
            assert!(ModelName::parse(bad).is_err(), "{bad:?}");
        }
    }
}
