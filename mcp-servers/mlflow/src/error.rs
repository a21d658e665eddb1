//! Why there is no answer, in words that help whoever asked.

use kit::error::{BAD_CURSOR, FORBIDDEN, INVALID_ARGUMENTS, RESULT_TOO_LARGE, UNAVAILABLE};
use kit::{Code, ToolError};
use rmcp::ErrorData;
use rmcp::handler::server::tool::IntoCallToolResult;
use rmcp::model::{CallToolResponse, ErrorCode};

const ALREADY_EXISTS: Code = Code::new("already_exists");
const ARTIFACTS_ELSEWHERE: Code = Code::new("artifacts_elsewhere");
const INVALID_FILTER: Code = Code::new("invalid_filter");
const NOT_A_FILE: Code = Code::new("not_a_file");
const NOT_FOUND: Code = Code::new("not_found");
const OTHER_EXPERIMENT: Code = Code::new("other_experiment");
const REJECTED: Code = Code::new("rejected");
const TIMEOUT: Code = Code::new("timeout");
const UNSUPPORTED: Code = Code::new("unsupported");

/// Characters of MLflow's message that are passed on.
const MESSAGE_CHARS_MAX: usize = 300;

/// One variant for each thing that a caller can do something about, and one for the rest.
#[derive(Debug, PartialEq, thiserror::Error)]
pub enum MlflowError {
    /// Not a filter or an order that this server passes on. Nothing was sent.
    #[error("{what}, at character {position}")]
    Filter {
        /// What is wrong.
        what: String,
        /// Where, counted from 1.
        position: usize,
    },
    /// Arguments beyond what their schema says.
    #[error("{0}")]
    Arguments(String),
    /// A cursor that this server didn't give.
    #[error(transparent)]
    Cursor(#[from] kit::cursor::BadCursor),
    /// Not there, or not within the fence: the two look the same.
    #[error("there is no {0} here")]
    NotFound(String),
    /// It is there already.
    #[error("there is a {0} already")]
    AlreadyExists(String),
    /// The run or trace is not where its caller said.
    #[error("the {0} belongs to another experiment than the argument experiment says")]
    OtherExperiment(&'static str),
    /// MLflow understood, and won't.
    #[error("MLflow refuses it: {0}")]
    Rejected(String),
    /// A folder, where a file was asked for.
    #[error("{0:?} is a folder")]
    Folder(String),
    /// The run's artifacts are not behind MLflow, but in a store that only its own clients reach.
    #[error("MLflow does not serve the artifacts of this run")]
    Elsewhere,
    /// MLflow has no such API: an older or a newer one than 3.
    #[error("this MLflow can't do that")]
    Unsupported,
    /// More bytes than are read.
    #[error("the answer of MLflow has more than {max} bytes")]
    TooLarge {
        /// The bound.
        max: usize,
    },
    /// No answer in time.
    #[error("MLflow did not answer in time")]
    Timeout,
    /// MLflow refused our own credential.
    #[error("MLflow does not allow this server to do that")]
    Forbidden,
    /// Anything else that MLflow, or what stands before it, did; the word is for the log.
    #[error("MLflow did not answer as it should")]
    Unavailable(&'static str),
}

impl MlflowError {
    /// For whoever called. What only the operator should read goes to the log here.
    pub fn told(&self) -> ToolError {
        match self {
            Self::Unavailable(why) => tracing::warn!(why, "MLflow did not answer as it should"),
            Self::Forbidden => tracing::warn!("MLflow refused this server's credential"),
            _ => {}
        }
        let (code, fix) = self.advice();
        ToolError::new(code, self.to_string(), fix)
    }

    /// The code, and what whoever called can do.
    fn advice(&self) -> (Code, &'static str) {
        match self {
            Self::Filter { .. } => (INVALID_FILTER, "Correct it there; nothing was sent"),
            Self::Arguments(_) => (INVALID_ARGUMENTS, "Give the arguments as the tool's description says"),
            Self::Cursor(_) => (BAD_CURSOR, "Begin again without a cursor"),
            Self::NotFound(_) => (NOT_FOUND, "Look for it with one of the search tools"),
            Self::AlreadyExists(_) => (ALREADY_EXISTS, "Use it, or take another name"),
            Self::OtherExperiment(_) => (OTHER_EXPERIMENT, "Name the experiment that it belongs to"),
            Self::Rejected(_) => (REJECTED, "Change the call as the message says"),
            Self::Folder(_) => (NOT_A_FILE, "List it with list_artifacts"),
            Self::Elsewhere => (ARTIFACTS_ELSEWHERE, "Read them in the store where they are"),
            Self::Unsupported => (UNSUPPORTED, "Do without it: an alias in place of a stage, say"),
            Self::TooLarge { .. } => (RESULT_TOO_LARGE, "Ask for less: a smaller page or a filter"),
            Self::Timeout => (TIMEOUT, "Ask for less, or try again later"),
            Self::Forbidden => (FORBIDDEN, "Ask whoever runs this server to give its credential the right"),
            Self::Unavailable(_) => (UNAVAILABLE, "Try again later"),
        }
    }

    /// As a JSON-RPC error, for resources and prompts.
    pub fn protocol(&self) -> ErrorData {
        let code = match self {
            Self::NotFound(_) => ErrorCode::RESOURCE_NOT_FOUND,
            Self::Arguments(_) | Self::Cursor(_) => ErrorCode::INVALID_PARAMS,
            _ => ErrorCode::INTERNAL_ERROR,
        };
        self.told().protocol(code)
    }
}

impl IntoCallToolResult for MlflowError {
    fn into_call_tool_result(self) -> Result<CallToolResponse, ErrorData> {
        self.told().into_call_tool_result()
    }
}

/// The first line of MLflow's own message, of bounded length. What comes behind it may be SQL.
pub(crate) fn one_line(message: &str) -> String {
    let first = message.trim().lines().next().unwrap_or_default();
    let visible: String = first.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let line = visible.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(MESSAGE_CHARS_MAX) {
        Some((end, _)) => format!("{}…", line.get(..end).unwrap_or_default()),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_foreign_message_becomes_one_short_line() {
        assert_eq!(one_line("taken\u{1b}[31m  twice\n[SQL: INSERT INTO runs]"), "taken [31m twice");
        assert_eq!(one_line(&"ü".repeat(400)).chars().count(), MESSAGE_CHARS_MAX + 1);
    }
}
