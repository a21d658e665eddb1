//! What schemars writes that JSON Schema doesn't know.

use schemars::Schema;
use schemars::transform::{Transform, transform_subschemas};

/// Takes away the formats of Rust's number types (`uint64` and the like), which validators warn of. To be named on each
/// type of a tool's input and output: `#[schemars(transform = kit::plain_numbers)]`.
pub fn plain_numbers(schema: &mut Schema) {
    let rusts = |format: &str| ["int", "uint", "float", "double"].iter().any(|kind| format.starts_with(kind));
    if schema.get("format").and_then(|f| f.as_str()).is_some_and(rusts) {
        schema.remove("format");
    }
    transform_subschemas(&mut PlainNumbers, schema);
}

struct PlainNumbers;

impl Transform for PlainNumbers {
    fn transform(&mut self, schema: &mut Schema) {
        plain_numbers(schema);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test ends by panicking")]
    use super::*;
    use serde_json::json;

    #[test]
    fn only_formats_of_rust_are_taken_away() {
        let mut schema = Schema::try_from(json!({"properties": {
            "size": {"type": "integer", "format": "uint64", "minimum": 0},
            "times": {"type": "array", "items": {"type": ["integer", "null"], "format": "int32"}},
            "at": {"type": "string", "format": "date-time"},
        }}))
        .unwrap();
        plain_numbers(&mut schema);
        assert_eq!(
            schema.as_value(),
            &json!({"properties": {
                "size": {"type": "integer", "minimum": 0},
                "times": {"type": "array", "items": {"type": ["integer", "null"]}},
                "at": {"type": "string", "format": "date-time"},
            }})
        );
    }
}
