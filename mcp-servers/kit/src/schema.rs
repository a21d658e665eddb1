//! Tools as they are told to clients: with schemas that hold nothing that JSON Schema doesn't know.

use rmcp::model::{JsonObject, Tool};
use serde_json::Value;
use std::sync::Arc;

/// All tools as JSON, in the order of their names: what `--print-tools` prints, for pinning and for a server's snapshot.
pub fn tools_json(tools: impl IntoIterator<Item = Tool>) -> String {
    let mut tools: Vec<_> = tools.into_iter().map(plain_tool).collect();
    tools.sort_by(|a, b| a.name.cmp(&b.name));
    // A Value's members are sorted, so the text changes only where a tool does.
    let value = serde_json::to_value(tools).unwrap_or_default(); // Tools are JSON already.
    format!("{value:#}\n")
}

/// Takes away the formats of Rust's number types (`uint64` and the like), which validators warn of.
pub(crate) fn plain_tool(mut tool: Tool) -> Tool {
    tool.input_schema = plain(&tool.input_schema);
    tool.output_schema = tool.output_schema.as_ref().map(plain);
    tool
}

fn plain(schema: &Arc<JsonObject>) -> Arc<JsonObject> {
    let mut value = Value::Object(JsonObject::clone(schema));
    plain_numbers(&mut value);
    match value {
        Value::Object(object) => Arc::new(object),
        _ => Arc::clone(schema), // It was an object.
    }
}

/// In a schema and in the schemas inside of it; a property that is called `format` is a schema, and no text.
fn plain_numbers(schema: &mut Value) {
    match schema {
        Value::Object(members) => {
            let rusts =
                |format: &str| ["int", "uint", "float", "double"].iter().any(|kind| format.starts_with(kind));
            if members.get("format").and_then(Value::as_str).is_some_and(rusts) {
                members.remove("format");
            }
            for (name, member) in members {
                if !matches!(name.as_str(), "const" | "enum" | "default" | "examples") {
                    plain_numbers(member);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(plain_numbers),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_formats_of_rust_are_taken_away() {
        let mut schema = json!({"properties": {
            "size": {"type": "integer", "format": "uint64", "minimum": 0},
            "times": {"type": "array", "items": {"type": ["integer", "null"], "format": "int32"}},
            "at": {"type": "string", "format": "date-time"},
            "format": {"type": "string", "enum": ["int"], "default": {"format": "int"}},
        }});
        plain_numbers(&mut schema);
        assert_eq!(
            schema,
            json!({"properties": {
                "size": {"type": "integer", "minimum": 0},
                "times": {"type": "array", "items": {"type": ["integer", "null"]}},
                "at": {"type": "string", "format": "date-time"},
                "format": {"type": "string", "enum": ["int"], "default": {"format": "int"}},
            }})
        );
    }
}
