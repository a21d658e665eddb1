//! A JSON Schema that an answer has to satisfy: bounded, without references to anywhere else, and held against the answer.

use crate::error::InferenceError;
use jsonschema::{PatternOptions, Validator};
use serde_json::{Map, Value};
use std::fmt;

/// A schema that was read. References inside of it are written out.
pub(crate) struct Schema {
    value: Value,
    validator: Validator,
}

/// Characters of a schema as compact JSON.
const SCHEMA_CHARS_MAX: usize = 16 * 1024;
/// Values in a schema once its references are written out.
const VALUES_MAX: usize = 4_000;
const DEPTH_MAX: usize = 32;
/// Bytes of a regular expression's automaton.
const PATTERN_BYTES_MAX: usize = 256 * 1024;
/// Keywords that lead somewhere else, or that change what the others mean.
const REFUSED: [&str; 8] = [
    "$id",
    "$anchor",
    "$dynamicAnchor",
    "$dynamicRef",
    "$recursiveAnchor",
    "$recursiveRef",
    "$vocabulary",
    "id",
];
/// Keywords whose values are no schemas.
const VALUES: [&str; 4] = ["const", "enum", "default", "examples"];
const DEFINITIONS: [&str; 2] = ["$defs", "definitions"];

impl Schema {
    /// Reads a schema.
    ///
    /// # Errors
    /// `invalid_schema`, with what is wrong.
    pub(crate) fn parse(schema: &Map<String, Value>) -> Result<Self, InferenceError> {
        let wrong = |what: String| InferenceError::Schema(what);
        let root = Value::Object(schema.clone());
        if root.to_string().len() > SCHEMA_CHARS_MAX {
            return Err(wrong(format!("the schema has more than {SCHEMA_CHARS_MAX} characters")));
        }
        let mut left = VALUES_MAX;
        let mut value = written_out(&root, &root, 0, &mut left).map_err(wrong)?;
        if let Some(members) = value.as_object_mut() {
            members.retain(|name, _| !DEFINITIONS.contains(&name.as_str()));
        }
        let patterns =
            PatternOptions::regex().size_limit(PATTERN_BYTES_MAX).dfa_size_limit(PATTERN_BYTES_MAX);
        let options = jsonschema::options().with_pattern_options(patterns);
        let validator = options.build(&value).map_err(|error| {
            wrong(format!("at {:?}: {}", error.instance_path().to_string(), error.masked()))
        })?;
        Ok(Self { value, validator })
    }

    /// The schema, references written out.
    pub(crate) fn value(&self) -> &Value {
        &self.value
    }

    /// The answer as JSON.
    ///
    /// # Errors
    /// Where it doesn't fit, without its words.
    pub(crate) fn read(&self, answer: &str) -> Result<Value, String> {
        let value = serde_json::from_str::<Value>(answer.trim())
            .map_err(|error| format!("it is no JSON, at line {} column {}", error.line(), error.column()))?;
        let wrong = self.validator.iter_errors(&value).next();
        let wrong =
            wrong.map(|error| format!("at {:?}: {}", error.instance_path().to_string(), error.masked()));
        wrong.map_or(Ok(value), Err)
    }
}

impl fmt::Debug for Schema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Schema").field(&self.value).finish()
    }
}

/// A copy in which each `$ref` is what it names. `left` bounds the whole, so references that go round end.
fn written_out(root: &Value, value: &Value, depth: usize, left: &mut usize) -> Result<Value, String> {
    if *left == 0 || depth > DEPTH_MAX {
        return Err(format!(
            "it is too deep or, with its references written out, too long ({DEPTH_MAX} levels, {VALUES_MAX} values)"
        ));
    }
    *left -= 1;
    match value {
        Value::Array(items) => items
            .iter()
            .map(|item| written_out(root, item, depth + 1, left))
            .collect::<Result<_, _>>()
            .map(Value::Array),
        Value::Object(members) => {
            if let Some(reference) = members.get("$ref") {
                let name = reference.as_str().and_then(|text| text.strip_prefix('#'));
                let found = name.and_then(|pointer| root.pointer(pointer)).filter(|_| members.len() == 1);
                let found =
                    found.ok_or("a $ref stands alone and names a place in the schema, as #/$defs/name")?;
                return written_out(root, found, depth + 1, left);
            }
            let mut copy = Map::new();
            for (name, member) in members {
                if REFUSED.contains(&name.as_str()) && member.is_string() {
                    return Err(format!("{name} is not taken"));
                }
                if depth == 0 && DEFINITIONS.contains(&name.as_str()) {
                    continue; // They stand where they are named.
                }
                if VALUES.contains(&name.as_str()) {
                    copy.insert(name.clone(), member.clone());
                    continue;
                }
                copy.insert(name.clone(), written_out(root, member, depth + 1, left)?);
            }
            Ok(Value::Object(copy))
        }
        other => Ok(other.clone()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test ends by panicking")]
    use super::*;
    use serde_json::json;

    fn parse(value: Value) -> Result<Schema, InferenceError> {
        Schema::parse(value.as_object().unwrap())
    }

    #[test]
    fn references_are_written_out_and_the_answer_is_held_against_them() {
        let schema = parse(json!({
            "type": "object", "properties": {"a": {"$ref": "#/$defs/size"}, "b": {"$ref": "#/$defs/size"}},
            "required": ["a"], "$defs": {"size": {"type": "integer", "minimum": 1}},
        }))
        .unwrap();
        assert_eq!(schema.value()["properties"]["b"], json!({"type": "integer", "minimum": 1}));
        assert!(schema.value().get("$defs").is_none());
        assert_eq!(schema.read(" {\"a\": 1}\n").unwrap(), json!({"a": 1}));
        assert_eq!(schema.read("{\"a\": 0}").unwrap_err(), "at \"/a\": value is less than the minimum of 1");
        assert!(schema.read("Sure! {\"a\": 1}").unwrap_err().starts_with("it is no JSON"));
    }

    #[test]
    fn a_property_or_a_value_may_be_called_like_a_keyword() {
        let schema = json!({"type": "object", "properties": {"id": {"enum": ["a", {"id": "b"}]}}});
        assert!(parse(schema).unwrap().read("{\"id\": \"a\"}").is_ok());
    }

    #[test]
    fn what_leads_elsewhere_or_grows_without_end_is_no_schema() {
        let doubled: Map<String, Value> = (0..40)
            .map(|n| {
                (format!("d{n}"), json!({"allOf": vec![json!({"$ref": format!("#/$defs/d{}", n + 1)}); 2]}))
            })
            .chain([("d40".to_owned(), json!({}))])
            .collect();
        let mut deep = json!({"type": "string"});
        for _ in 0..40 {
            deep = json!({"type": "array", "items": deep});
        }
        for bad in [
            json!({"$ref": "https://example.org/schema.json"}),
            json!({"$ref": "file:///etc/passwd"}),
            json!({"$ref": "#"}),
            json!({"$ref": "#/$defs/none"}),
            json!({"$ref": 1}),
            json!({"$defs": {"a": {"$ref": "#/$defs/a"}}, "items": {"$ref": "#/$defs/a"}}),
            json!({"$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"items": {"$ref": "#/$defs/a"}}}, "items": {"$ref": "#/$defs/a"}}),
            json!({"$defs": doubled, "items": {"$ref": "#/$defs/d0"}}),
            json!({"$id": "https://example.org/x"}),
            json!({"items": {"id": "https://example.org/x"}}),
            json!({"$dynamicRef": "#x"}),
            json!({"type": "objekt"}),
            json!({"type": "string", "pattern": "("}),
            json!({"type": "string", "pattern": "(a+)+\\1"}),
            json!({"type": "string", "pattern": "(.{1,1000}){1000}"}),
            json!({"minLength": -1}),
            json!({"title": "a".repeat(20_000)}),
            deep,
        ] {
            assert!(parse(bad.clone()).is_err(), "{bad}");
        }
    }
}
