//! What a tool gives: a value for programs, and one short line for a model to read.

use rmcp::ErrorData;
use rmcp::handler::server::tool::IntoCallToolResult;
use rmcp::model::{CallToolResponse, CallToolResult, ContentBlock};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Serialize;
use std::borrow::Cow;

/// A tool's result: `structuredContent` of the value's type, and a text twin that is not the JSON once more. Named as
/// rmcp's own, which `#[tool]` knows by name: the type of the value becomes the tool's output schema.
#[derive(Clone, Debug)]
pub struct Json<T> {
    value: T,
    text: Vec<String>,
}

impl<T> Json<T> {
    /// A value and the line that says what it is.
    pub fn new(value: T, text: impl Into<String>) -> Self {
        Self { value, text: vec![text.into()] }
    }

    /// With another block of text.
    #[must_use]
    pub fn and(mut self, text: impl Into<String>) -> Self {
        self.text.push(text.into());
        self
    }

    /// The value.
    pub fn value(&self) -> &T {
        &self.value
    }
}

impl<T: JsonSchema> JsonSchema for Json<T> {
    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        T::json_schema(generator)
    }
}

impl<T: Serialize + JsonSchema + 'static> IntoCallToolResult for Json<T> {
    fn into_call_tool_result(self) -> Result<CallToolResponse, ErrorData> {
        let Ok(value) = serde_json::to_value(self.value) else {
            return Err(ErrorData::internal_error("the result is no JSON", None)); // A map with keys that are no text, say.
        };
        let mut result = CallToolResult::success(self.text.into_iter().map(ContentBlock::text).collect());
        result.structured_content = Some(value);
        Ok(result.into())
    }
}
