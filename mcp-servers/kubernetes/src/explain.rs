//! What a kind's fields mean, from the OpenAPI documents that the cluster itself publishes.

use crate::cluster::plain;
use crate::error::{KubernetesError, shortened};
use crate::kinds::Resource;
use crate::name::{FieldPath, KindName};
use crate::server::Kubernetes;
use kit::Json;
use rmcp::handler::server::wrapper::Parameters;
use rmcp::model::Extensions;
use rmcp::{tool, tool_router};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ExplainArguments {
    /// The kind, as in `Deployment`
    kind: KindName,
    /// A field of it, as in `spec.template.spec`; the kind itself if not given
    path: Option<FieldPath>,
}

#[derive(Debug, PartialEq, Serialize, JsonSchema)]
pub(crate) struct Explained {
    /// `apps/v1`
    api_version: String,
    /// `Deployment.spec`
    path: String,
    /// `Object`, `[]string`, …
    #[serde(rename = "type")]
    kind: String,
    description: String,
    /// Its fields, if it has any
    fields: Vec<Field>,
}

#[derive(Debug, PartialEq, Serialize, JsonSchema)]
struct Field {
    name: String,
    #[serde(rename = "type")]
    kind: String,
    required: bool,
    description: String,
}

/// Longest description of what is explained, and of one of its fields, in characters.
const DESCRIPTION_CHARS_MAX: usize = 2000;
const FIELD_CHARS_MAX: usize = 300;
/// References that lead to references: no document of an API server has so many.
const REFERENCES_MAX: usize = 8;
const SCHEMAS: &str = "#/components/schemas/";

#[tool_router(router = explaining, vis = "pub(crate)")]
impl Kubernetes {
    /// Tells what a kind or one of its fields is for, of which type, and which fields are in it.
    #[tool(
        title = "Explain a kind or field",
        annotations(
            read_only_hint = true,
            destructive_hint = false,
            idempotent_hint = true,
            open_world_hint = false
        )
    )]
    async fn explain(
        &self,
        Parameters(asked): Parameters<ExplainArguments>,
        extensions: Extensions,
    ) -> Result<Json<Explained>, KubernetesError> {
        let kind = self.fence.readable(&asked.kind)?;
        let session = self.cluster.session(&extensions).await?;
        let resource = session.resource(&kind).await?;
        let document = session.untyped(plain(&format!("/openapi/v3{}", resource.root()))).await?;
        if !document["openapi"].is_string() {
            return Err(KubernetesError::Unavailable("a document that is not OpenAPI's"));
        }
        let explained = explained(&document, &resource, asked.path.as_ref())?;
        let text = format!("{}: {}, {} fields", explained.path, explained.kind, explained.fields.len());
        Ok(Json::new(explained, text))
    }
}

fn explained(
    document: &Value,
    resource: &Resource,
    path: Option<&FieldPath>,
) -> Result<Explained, KubernetesError> {
    let schemas = &document["components"]["schemas"];
    let mut schema = of_kind(schemas, resource)
        .ok_or_else(|| KubernetesError::NotFound(format!("description of {}", resource.kind)))?;
    let mut told = schema;
    let mut place = resource.kind.kind.clone();
    for name in path.iter().flat_map(|path| path.split('.')) {
        let unknown = || KubernetesError::NotFound(format!("field {name} in {place}"));
        told = fields_of(schemas, schema).get(name).ok_or_else(unknown)?;
        schema = resolved(schemas, told);
        place = format!("{place}.{name}");
    }
    let inner = fields_of(schemas, schema);
    let required = inner_schema(schemas, schema)["required"].as_array().cloned().unwrap_or_default();
    let field = |(name, field): (&String, &Value)| Field {
        name: name.clone(),
        kind: type_of(schemas, field),
        required: required.iter().any(|r| r == name.as_str()),
        description: described(schemas, field, FIELD_CHARS_MAX),
    };
    Ok(Explained {
        api_version: resource.api_version(),
        path: place,
        kind: type_of(schemas, told),
        description: described(schemas, told, DESCRIPTION_CHARS_MAX),
        fields: inner.as_object().into_iter().flatten().map(field).collect(),
    })
}

fn of_kind<'a>(schemas: &'a Value, resource: &Resource) -> Option<&'a Value> {
    let is = |schema: &Value| {
        schema["x-kubernetes-group-version-kind"].as_array().into_iter().flatten().any(|gvk| {
            gvk["group"] == resource.kind.group.as_str()
                && gvk["version"] == resource.version.as_str()
                && gvk["kind"] == resource.kind.kind.as_str()
        })
    };
    schemas.as_object()?.values().find(|schema| is(schema))
}

/// A schema itself, where it is a reference to another one.
fn resolved<'a>(schemas: &'a Value, mut schema: &'a Value) -> &'a Value {
    for _ in 0..REFERENCES_MAX {
        let reference =
            schema.get("$ref").or_else(|| schema["allOf"].get(0).and_then(|first| first.get("$ref")));
        let Some(name) = reference.and_then(Value::as_str).and_then(|text| text.strip_prefix(SCHEMAS)) else {
            return schema;
        };
        schema = &schemas[name];
    }
    schema
}

/// The schema of what is in a list or a map, or else the schema.
fn inner_schema<'a>(schemas: &'a Value, schema: &'a Value) -> &'a Value {
    let schema = resolved(schemas, schema);
    let inner =
        schema.get("items").or_else(|| schema.get("additionalProperties").filter(|inner| inner.is_object()));
    inner.map_or(schema, |inner| resolved(schemas, inner))
}

fn fields_of<'a>(schemas: &'a Value, schema: &'a Value) -> &'a Value {
    &inner_schema(schemas, schema)["properties"]
}

fn type_of(schemas: &Value, schema: &Value) -> String {
    let schema = resolved(schemas, schema);
    if let Some(items) = schema.get("items") {
        return format!("[]{}", type_of_one(schemas, items));
    }
    if let Some(inner) = schema.get("additionalProperties").filter(|inner| inner.is_object()) {
        return format!("map[string]{}", type_of_one(schemas, inner));
    }
    type_of_one(schemas, schema)
}

fn type_of_one(schemas: &Value, schema: &Value) -> String {
    let schema = resolved(schemas, schema);
    match schema["type"].as_str() {
        Some("object") | None if schema.get("oneOf").is_none() => "Object".into(),
        Some(kind) => kind.into(),
        None => "integer or string".into(),
    }
}

fn described(schemas: &Value, schema: &Value, max: usize) -> String {
    let own = schema["description"].as_str();
    let text = own.or_else(|| resolved(schemas, schema)["description"].as_str()).unwrap_or_default();
    shortened(text, max)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test ends by panicking")]
    use super::*;
    use crate::fence::GroupKind;
    use serde_json::json;

    fn document() -> Value {
        json!({"components": {"schemas": {
            "Web": {
                "description": "A web", "type": "object",
                "x-kubernetes-group-version-kind": [{"group": "x.test", "version": "v1", "kind": "Web"}],
                "properties": {"spec": {"description": "What is wanted", "allOf": [{"$ref": "#/components/schemas/Spec"}]}},
            },
            "Spec": {
                "description": "A spec", "type": "object", "required": ["hosts"],
                "properties": {
                    "hosts": {"type": "array", "items": {"type": "string"}, "description": "Its hosts"},
                    "parts": {"type": "array", "items": {"allOf": [{"$ref": "#/components/schemas/Part"}]}},
                    "labels": {"type": "object", "additionalProperties": {"type": "string"}},
                    "port": {"oneOf": [{"type": "integer"}, {"type": "string"}]},
                    "loop": {"$ref": "#/components/schemas/Loop"},
                },
            },
            "Part": {"type": "object", "properties": {"name": {"type": "string"}}},
            "Loop": {"$ref": "#/components/schemas/Loop"},
        }}})
    }

    fn explain(path: &str) -> Result<Explained, KubernetesError> {
        let kind = GroupKind::new("Web", "x.test");
        let resource = Resource { kind, version: "v1".into(), plural: "webs".into(), namespaced: true };
        let path =
            Some(path).filter(|path| !path.is_empty()).map(|p| FieldPath::try_from(p.to_owned()).unwrap());
        explained(&document(), &resource, path.as_ref())
    }

    #[test]
    fn fields_are_found_through_references_lists_and_maps() {
        assert_eq!(explain("").unwrap().description, "A web");
        let spec = explain("spec").unwrap();
        assert_eq!((spec.path.as_str(), spec.description.as_str()), ("Web.spec", "What is wanted"));
        let types: Vec<_> =
            spec.fields.iter().map(|f| (f.name.as_str(), f.kind.as_str(), f.required)).collect();
        assert_eq!(
            types,
            [
                ("hosts", "[]string", true),
                ("labels", "map[string]string", false),
                ("loop", "Object", false),
                ("parts", "[]Object", false),
                ("port", "integer or string", false),
            ]
        );
        assert_eq!(explain("spec.parts.name").unwrap().kind, "string");
    }

    #[test]
    fn a_field_that_is_not_there_is_told() {
        for (path, wanted) in [
            ("spec.nothing", "there is no field nothing in Web.spec"),
            ("spec.hosts.a", "there is no field a in Web.spec.hosts"),
            ("spec.loop.a", "there is no field a in Web.spec.loop"),
        ] {
            assert_eq!(explain(path).unwrap_err().to_string(), wanted);
        }
    }
}
