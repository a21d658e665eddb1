//! From a schema to its grammar.

use super::{Field, Grammar, Node};
use serde_json::{Map, Value};

/// Characters of a text and items of a list where the schema has no bound: a small model goes on and on.
const CHARS_MAX: usize = 1_000;
const ITEMS_MAX: usize = 32;
/// Keywords that say nothing of what is written.
const SILENT: [&str; 10] = [
    "$comment",
    "$schema",
    "default",
    "deprecated",
    "description",
    "examples",
    "readOnly",
    "title",
    "type",
    "writeOnly",
];

/// A schema that no grammar is made of.
struct Unknown;

struct Compiler {
    nodes: Vec<Node>,
    whole: bool,
}

impl Grammar {
    /// None where the schema leaves the form open (no type, several types, `anyOf` and the like).
    pub(in crate::engine) fn compile(schema: &Value) -> Option<Self> {
        let mut compiler = Compiler { nodes: Vec::new(), whole: true };
        let root = compiler.node(schema).ok()?;
        Some(Self { nodes: compiler.nodes, root, whole: compiler.whole })
    }
}

impl Compiler {
    fn node(&mut self, schema: &Value) -> Result<usize, Unknown> {
        let schema = schema.as_object().ok_or(Unknown)?;
        let node = if let Some(value) = schema.get("const") {
            self.knows(schema, &["const"]);
            Node::OneOf(vec![value.to_string().into_bytes()])
        } else if let Some(values) = schema.get("enum") {
            self.knows(schema, &["enum"]);
            let values = values.as_array().filter(|values| !values.is_empty()).ok_or(Unknown)?;
            Node::OneOf(values.iter().map(|value| value.to_string().into_bytes()).collect())
        } else {
            match schema.get("type").and_then(Value::as_str) {
                Some("object") => self.object(schema)?,
                Some("array") => self.array(schema)?,
                Some("string") => {
                    self.knows(schema, &["minLength", "maxLength"]);
                    let (min, max) = bounds(schema, "minLength", "maxLength", CHARS_MAX)?;
                    Node::Text { min, max }
                }
                Some("integer") => self.plain(schema, Node::Number { integer: true }),
                Some("number") => self.plain(schema, Node::Number { integer: false }),
                Some("boolean") => self.plain(schema, Node::OneOf(vec![b"true".to_vec(), b"false".to_vec()])),
                Some("null") => self.plain(schema, Node::OneOf(vec![b"null".to_vec()])),
                _ => return Err(Unknown),
            }
        };
        self.nodes.push(node);
        Ok(self.nodes.len() - 1)
    }

    fn object(&mut self, schema: &Map<String, Value>) -> Result<Node, Unknown> {
        self.knows(schema, &["properties", "required", "additionalProperties"]);
        let none = Map::new();
        let properties = match schema.get("properties") {
            None => &none,
            Some(properties) => properties.as_object().ok_or(Unknown)?,
        };
        let required = match schema.get("required") {
            None => &[],
            Some(names) => names.as_array().ok_or(Unknown)?.as_slice(),
        };
        if !required.iter().all(|name| name.as_str().is_some_and(|name| properties.contains_key(name))) {
            return Err(Unknown);
        }
        let mut fields = Vec::new();
        for (name, property) in properties {
            let key = format!("{}:", Value::from(name.as_str())).into_bytes();
            fields.push(Field {
                key,
                value: self.node(property)?,
                required: required.iter().any(|required| required == name),
            });
        }
        Ok(Node::Object(fields))
    }

    fn array(&mut self, schema: &Map<String, Value>) -> Result<Node, Unknown> {
        if schema.contains_key("prefixItems") {
            return Err(Unknown);
        }
        self.knows(schema, &["items", "minItems", "maxItems"]);
        let item = self.node(schema.get("items").ok_or(Unknown)?)?;
        let (min, max) = bounds(schema, "minItems", "maxItems", ITEMS_MAX)?;
        Ok(Node::Array { item, min, max })
    }

    fn plain(&mut self, schema: &Map<String, Value>, node: Node) -> Node {
        self.knows(schema, &[]);
        node
    }

    /// A keyword that is neither one of these nor silent is left to the check at the end.
    fn knows(&mut self, schema: &Map<String, Value>, keywords: &[&str]) {
        self.whole &=
            schema.keys().all(|name| keywords.contains(&name.as_str()) || SILENT.contains(&name.as_str()));
    }
}

/// The least and the most of something; where there is no most, a usual one.
fn bounds(
    schema: &Map<String, Value>,
    min: &str,
    max: &str,
    usual: usize,
) -> Result<(usize, usize), Unknown> {
    let bound = |name: &str| match schema.get(name) {
        None => Ok(None),
        Some(value) => value.as_u64().and_then(|bound| usize::try_from(bound).ok()).map(Some).ok_or(Unknown),
    };
    let least = bound(min)?.unwrap_or(0);
    let most = bound(max)?.unwrap_or(usual.max(least));
    if least <= most { Ok((least, most)) } else { Err(Unknown) }
}
