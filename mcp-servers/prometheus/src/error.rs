//! Why there is no answer, in words that help whoever asked.

use crate::upstream::System;
use kit::error::{BAD_CURSOR, FORBIDDEN, INVALID_ARGUMENTS, RESULT_TOO_LARGE, UNAVAILABLE};
use kit::{Code, ToolError};
use rmcp::ErrorData;
use rmcp::handler::server::tool::IntoCallToolResult;
use rmcp::model::{CallToolResponse, ErrorCode};

const INVALID_QUERY: Code = Code::new("invalid_query");
const METRIC_NOT_NAMED: Code = Code::new("metric_not_named");
const NO_ALERTMANAGER: Code = Code::new("no_alertmanager");
const QUERY_FAILED: Code = Code::new("query_failed");
const TIMEOUT: Code = Code::new("timeout");
const TOO_MANY_SERIES: Code = Code::new("too_many_series");
const UNKNOWN_METRIC: Code = Code::new("unknown_metric");

/// Characters of somebody else's message that are passed on.
const MESSAGE_CHARS_MAX: usize = 300;

/// One variant for each thing that a caller can do something about, and one for the rest.
#[derive(Debug, thiserror::Error)]
pub enum PrometheusError {
    /// Not PromQL, or not PromQL that can be fenced. Nothing was sent.
    #[error("{what}, at character {position}")]
    Query {
        /// What is wrong.
        what: String,
        /// Where, counted from 1.
        position: usize,
    },
    /// PromQL that this server does not pass on.
    #[error("{0}")]
    Unsupported(String),
    /// The query reads more than its caller said. Nothing was sent.
    #[error("the query reads {0}, which its argument metrics does not name")]
    NotNamed(String),
    /// Arguments beyond what their schema says.
    #[error("{0}")]
    Arguments(String),
    /// A cursor that this server didn't give.
    #[error(transparent)]
    Cursor(#[from] kit::cursor::BadCursor),
    /// Prometheus understood, and can't.
    #[error("Prometheus can't answer the query: {0}")]
    Failed(String),
    /// No such metric, or none within the fence: the two look the same.
    #[error("there is no metric {0:?} here")]
    UnknownMetric(String),
    /// More series than an answer may have.
    #[error("the answer has {found} series, and {max} are allowed")]
    TooManySeries {
        /// How many there are.
        found: usize,
        /// The bound.
        max: usize,
    },
    /// There is no Alertmanager behind this server.
    #[error("this server has no Alertmanager behind it")]
    NoAlertmanager,
    /// More bytes than are read.
    #[error("the answer of {system} has more than {max} bytes")]
    TooLarge {
        /// Whose.
        system: System,
        /// The bound.
        max: usize,
    },
    /// No answer in time.
    #[error("{0} did not answer in time")]
    Timeout(System),
    /// It refused our own credential.
    #[error("{0} does not allow this server to do that")]
    Forbidden(System),
    /// Anything else that it, or what stands before it, did; the word is for the log.
    #[error("{0} did not answer as it should")]
    Unavailable(System, &'static str),
}

impl PrometheusError {
    /// For whoever called. What only the operator should read goes to the log here, without queries.
    pub fn told(&self) -> ToolError {
        match self {
            Self::Unavailable(system, why) => tracing::warn!(%system, why, "no answer as it should be"),
            Self::Forbidden(system) => tracing::warn!(%system, "it refused this server's credential"),
            _ => {}
        }
        let (code, fix) = self.advice();
        ToolError::new(code, self.to_string(), fix)
    }

    /// The code, and what whoever called can do.
    fn advice(&self) -> (Code, &'static str) {
        match self {
            Self::Query { .. } => (INVALID_QUERY, "Correct the PromQL there; nothing was sent"),
            Self::Unsupported(_) => (INVALID_QUERY, "Write the query without that; nothing was sent"),
            Self::NotNamed(_) => {
                (METRIC_NOT_NAMED, "Name in metrics each metric that the query reads, and select by name")
            }
            Self::Arguments(_) => (INVALID_ARGUMENTS, "Give the arguments as the tool's description says"),
            Self::Cursor(_) => (BAD_CURSOR, "Begin again without a cursor"),
            Self::Failed(_) => (QUERY_FAILED, "Change the query as the message says"),
            Self::UnknownMetric(_) => {
                (UNKNOWN_METRIC, "See label_values of __name__ for the metrics there are")
            }
            Self::TooManySeries { .. } => {
                (TOO_MANY_SERIES, "Aggregate with sum by (...) or topk, or add label matchers")
            }
            Self::NoAlertmanager => {
                (NO_ALERTMANAGER, "Ask whoever runs this server to start it with --alertmanager")
            }
            Self::TooLarge { system: System::Prometheus, .. } => {
                (RESULT_TOO_LARGE, "Ask for fewer series, a shorter range or a longer step")
            }
            Self::TooLarge { system: System::Alertmanager, .. } => {
                (RESULT_TOO_LARGE, "Ask for fewer alerts, by matchers with =; of silences there are too many")
            }
            Self::Timeout(System::Prometheus) => {
                (TIMEOUT, "Ask for a shorter range, a longer step or fewer series")
            }
            Self::Timeout(System::Alertmanager) => (TIMEOUT, "The same call may work later"),
            Self::Forbidden(_) => (FORBIDDEN, "Ask whoever runs this server to allow it there"),
            Self::Unavailable(..) => (UNAVAILABLE, "The same call may work later"),
        }
    }

    /// For methods that know JSON-RPC errors alone.
    pub fn protocol(&self) -> ErrorData {
        let code = match self {
            Self::UnknownMetric(_) => ErrorCode::RESOURCE_NOT_FOUND,
            Self::Arguments(_) | Self::Cursor(_) => ErrorCode::INVALID_PARAMS,
            _ => ErrorCode::INTERNAL_ERROR,
        };
        self.told().protocol(code)
    }
}

impl IntoCallToolResult for PrometheusError {
    fn into_call_tool_result(self) -> Result<CallToolResponse, ErrorData> {
        self.told().into_call_tool_result()
    }
}

/// Somebody else's message as one line of bounded length, without what it quotes: there may be a URL in it.
pub(crate) fn without_quotes(message: &str) -> String {
    let mut inside = false;
    let kept: String = message
        .chars()
        .filter(|c| {
            let quote = *c == '"';
            inside ^= quote;
            quote || !inside
        })
        .collect();
    one_line(&kept)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_foreign_message_becomes_one_short_line() {
        assert_eq!(one_line("a\r\n\tb\u{1b}[31m  c"), "a b [31m c");
        assert_eq!(one_line(&"ü".repeat(400)).chars().count(), MESSAGE_CHARS_MAX + 1);
        let message = "Get \"http://u:p@host/metrics?token=x\": dial tcp: refused";
        assert_eq!(without_quotes(message), "Get \"\": dial tcp: refused");
    }
}
