//! What a tool answers when it can't do what it was asked: a stable code, a sentence, and what to do about it.

use rmcp::ErrorData;
use rmcp::handler::server::tool::IntoCallToolResult;
use rmcp::model::{CallToolResponse, CallToolResult, ContentBlock, ErrorCode};
use serde_json::json;

/// A stable word for a kind of failure, `[a-z0-9_]{1,64}`: programs and metrics go by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Code(&'static str);

/// A tool's failure. It becomes a result with `isError`, `structuredContent: {"error": {code, message, fix}}` and the same
/// in one line of text. Its texts are for whoever called: what a system behind said belongs to the log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ToolError {
    code: Code,
    message: String,
    fix: String,
}

/// The arguments are not of the tool's input schema, or contradict each other.
pub const INVALID_ARGUMENTS: Code = Code::new("invalid_arguments");
/// A cursor that this server didn't give.
pub const BAD_CURSOR: Code = Code::new("bad_cursor");
/// The call took longer than `--request-timeout`.
pub const DEADLINE_EXCEEDED: Code = Code::new("deadline_exceeded");
/// The answer is longer than `--result-bytes-max`.
pub const RESULT_TOO_LARGE: Code = Code::new("result_too_large");
/// The caller took the call back.
pub const CANCELLED: Code = Code::new("cancelled");
/// The system behind the server did not answer as it should.
pub const UNAVAILABLE: Code = Code::new("unavailable");
/// The system behind the server does not allow the server to do that.
pub const FORBIDDEN: Code = Code::new("forbidden");
/// Any other failure.
pub const FAILED: Code = Code::new("failed");

impl Code {
    /// A code. In a `const` a wrong one does not compile.
    ///
    /// # Panics
    /// If it is none.
    pub const fn new(text: &'static str) -> Self {
        let bytes = text.as_bytes();
        assert!(!bytes.is_empty() && bytes.len() <= 64, "a code has 1 to 64 characters");
        let mut at = 0;
        while at < bytes.len() {
            let byte = bytes[at];
            assert!(
                byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_',
                "a code is [a-z0-9_]"
            );
            at += 1;
        }
        Self(text)
    }

    /// The word.
    pub const fn as_str(self) -> &'static str {
        self.0
    }
}

impl ToolError {
    /// A failure in words: a sentence without its full stop, and what whoever called can do.
    pub fn new(code: Code, message: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { code, message: message.into(), fix: fix.into() }
    }

    /// Its code.
    pub fn code(&self) -> Code {
        self.code
    }

    /// As the result of a tool call.
    pub fn result(&self) -> CallToolResult {
        let Self { code: Code(code), message, fix } = self;
        let mut result = CallToolResult::error(vec![ContentBlock::text(format!("{code}: {message}. {fix}"))]);
        result.structured_content = Some(json!({"error": {"code": code, "message": message, "fix": fix}}));
        result
    }

    /// As a JSON-RPC error, for methods that know no other: reading a resource, say.
    pub fn protocol(&self, code: ErrorCode) -> ErrorData {
        let data = json!({"code": self.code.0, "fix": self.fix});
        ErrorData::new(code, self.message.clone(), Some(data))
    }
}

impl IntoCallToolResult for ToolError {
    fn into_call_tool_result(self) -> Result<CallToolResponse, ErrorData> {
        Ok(self.result().into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_says_the_same_to_programs_and_to_models() {
        const FULL: Code = Code::new("disk_full");
        let result = ToolError::new(FULL, "there is no room", "Delete something").result();
        assert_eq!(result.is_error, Some(true));
        assert_eq!(
            result.structured_content,
            Some(
                json!({"error": {"code": "disk_full", "message": "there is no room", "fix": "Delete something"}})
            )
        );
        let text = result.content.first().and_then(|block| block.as_text()).map(|text| text.text.as_str());
        assert_eq!(text, Some("disk_full: there is no room. Delete something"));
    }

    #[test]
    fn a_code_is_one_word_of_small_letters() {
        for wrong in ["", "Not_found", "not found", "not-found", "é"] {
            assert!(std::panic::catch_unwind(|| Code::new(wrong)).is_err(), "{wrong}");
        }
        assert_eq!(Code::new("http_404").as_str(), "http_404");
    }
}
