//! Why there is no answer, in words that help whoever asked.

use crate::ask::Use;
use crate::told::Kept;
use kit::error::{BAD_CURSOR, FORBIDDEN, INVALID_ARGUMENTS, RESULT_TOO_LARGE, UNAVAILABLE};
use kit::{Code, ToolError};
use rmcp::ErrorData;
use rmcp::handler::server::tool::IntoCallToolResult;
use rmcp::model::CallToolResponse;

const INTERRUPTED: Code = Code::new("interrupted");
const INVALID_SCHEMA: Code = Code::new("invalid_schema");
const NOT_SUPPORTED: Code = Code::new("not_supported");
const OVERLOADED: Code = Code::new("overloaded");
const REJECTED: Code = Code::new("rejected");
const SCHEMA_MISMATCH: Code = Code::new("schema_mismatch");
const TIMEOUT: Code = Code::new("timeout");
const UNKNOWN_MODEL: Code = Code::new("unknown_model");

/// Characters of somebody else's message that are passed on.
const MESSAGE_CHARS_MAX: usize = 300;

/// One variant for each thing that a caller can do something about, and one for the rest.
#[derive(Debug, thiserror::Error)]
pub enum InferenceError {
    /// Arguments beyond what their schema says. Nothing was sent.
    #[error("{0}")]
    Arguments(String),
    /// A cursor that this server didn't give.
    #[error(transparent)]
    Cursor(#[from] kit::cursor::BadCursor),
    /// A schema for the answer that is none, or not taken. Nothing was sent.
    #[error("the schema can't be used: {0}")]
    Schema(String),
    /// No such model, or none that this server may serve: the two look the same.
    #[error("there is no model {0:?} here")]
    UnknownModel(String),
    /// No backend does that with the model.
    #[error("the model {model:?} is not served for {}", used(*.of))]
    Unsupported {
        /// The model.
        model: String,
        /// For what.
        of: Use,
    },
    /// All backends of the model have as many calls as they take.
    #[error("every backend of the model is busy")]
    Overloaded,
    /// A backend understood, and won't; its message.
    #[error("the backend won't do that: {0}")]
    Rejected(String),
    /// The answer broke off once it had begun.
    #[error("the answer broke off: {why}")]
    Interrupted {
        /// How.
        why: &'static str,
        /// What there is of it.
        kept: Box<Kept>,
    },
    /// The answer is not of the schema.
    #[error("the answer is not of the schema, {what}")]
    Mismatch {
        /// Where not.
        what: String,
        /// The answer.
        kept: Box<Kept>,
    },
    /// More bytes than are read.
    #[error("the answer has more than {max} bytes")]
    TooLarge {
        /// The bound.
        max: usize,
    },
    /// No answer in time.
    #[error("no backend answered in time")]
    Timeout,
    /// The backends refused our own credential.
    #[error("the backend does not allow this server to do that")]
    Forbidden,
    /// Anything else that backends, or what stands before them, did; the word is for the log.
    #[error("no backend of the model answered as it should")]
    Unavailable(&'static str),
}

fn used(of: Use) -> &'static str {
    match of {
        Use::Chat => "chat",
        Use::Complete => "complete",
        Use::Embed => "embed",
    }
}

impl InferenceError {
    /// For whoever called. What only the operator should read goes to the log here, without prompts.
    pub fn told(&self) -> ToolError {
        match self {
            Self::Unavailable(why) | Self::Interrupted { why, .. } => {
                tracing::warn!(why, "a backend did not answer as it should");
            }
            Self::Forbidden => tracing::warn!("a backend refused this server's credential"),
            _ => {}
        }
        let (code, fix) = self.advice();
        ToolError::new(code, self.to_string(), fix)
    }

    /// The code, and what whoever called can do.
    fn advice(&self) -> (Code, &'static str) {
        match self {
            Self::Arguments(_) => (INVALID_ARGUMENTS, "Give the arguments as the tool's description says"),
            Self::Cursor(_) => (BAD_CURSOR, "Begin again without a cursor"),
            Self::Schema(_) => (INVALID_SCHEMA, "Correct the schema as the message says; nothing was sent"),
            Self::UnknownModel(_) => (UNKNOWN_MODEL, "See list_models for the models there are"),
            Self::Unsupported { .. } => (NOT_SUPPORTED, "See list_models for what each model does"),
            Self::Overloaded => (OVERLOADED, "Call again in some seconds"),
            Self::Rejected(_) => (REJECTED, "Change the call as the message says"),
            Self::Interrupted { .. } => (INTERRUPTED, "What came of it is in text; the same call may work"),
            Self::Mismatch { .. } => (
                SCHEMA_MISMATCH,
                "The answer is in text; ask for more tokens, a simpler schema, or in other words",
            ),
            Self::TooLarge { .. } => (RESULT_TOO_LARGE, "Ask for fewer tokens or inputs"),
            Self::Timeout => (TIMEOUT, "Ask for fewer tokens or with a shorter prompt, or call again later"),
            Self::Forbidden => (FORBIDDEN, "Ask whoever runs this server to allow it at the backend"),
            Self::Unavailable(_) => (UNAVAILABLE, "The same call may work later; see model_status"),
        }
    }

    /// What was made before it failed: it has been computed, and paid for.
    fn kept(&self) -> Option<&Kept> {
        match self {
            Self::Interrupted { kept, .. } | Self::Mismatch { kept, .. } => Some(kept),
            _ => None,
        }
    }
}

impl IntoCallToolResult for InferenceError {
    fn into_call_tool_result(self) -> Result<CallToolResponse, ErrorData> {
        let mut result = self.told().result();
        if let (Some(kept), Some(content)) =
            (self.kept(), result.structured_content.as_mut().and_then(|content| content.as_object_mut()))
            && let Ok(serde_json::Value::Object(members)) = serde_json::to_value(kept)
        {
            content.extend(members);
        }
        Ok(result.into())
    }
}

/// Somebody else's message as one line of bounded length.
pub(crate) fn one_line(message: &str) -> String {
    let visible: String = message.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let line = visible.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(MESSAGE_CHARS_MAX) {
        Some((end, _)) => format!("{}…", line.get(..end).unwrap_or_default()),
        None => line,
    }
}
