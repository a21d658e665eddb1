//! What of an object may be seen. Every object that leaves this server has passed here: the values of a Secret never do, nor
//! what other tools left in annotations that repeats them.

use crate::fence::GroupKind;
use serde_json::{Map, Value};

/// Annotations that repeat the whole object as somebody sent it.
const REPEATS: [&str; 2] =
    ["kubectl.kubernetes.io/last-applied-configuration", "objectset.rio.cattle.io/applied"];
/// What stands where a value was.
pub(crate) const WITHHELD: &str = "(withheld)";

/// An object as it may be seen: without the bookkeeping of the API server, and without a Secret's values.
pub(crate) fn shown(mut object: Value, kind: &GroupKind) -> Value {
    let secret = kind.is_secret() || is_secret(&object);
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("managedFields");
        if let Some(annotations) = metadata.get_mut("annotations").and_then(Value::as_object_mut) {
            annotations.retain(|name, _| !REPEATS.contains(&name.as_str()));
            if secret {
                // An annotation of another tool's may hold anything.
                annotations.values_mut().for_each(|value| *value = WITHHELD.into());
            }
        }
    }
    if secret && let Some(object) = object.as_object_mut() {
        withhold(object);
    }
    object
}

fn is_secret(object: &Value) -> bool {
    object["kind"] == "Secret" && object["apiVersion"] == "v1"
}

/// Of a Secret, what it is called, of which type it is and which keys it has stay; everything else is no part of it that
/// is known to hold no value.
fn withhold(object: &mut Map<String, Value>) {
    object.retain(|name, _| {
        matches!(
            name.as_str(),
            "apiVersion" | "kind" | "metadata" | "type" | "immutable" | "data" | "stringData"
        )
    });
    for (name, encoded) in [("data", true), ("stringData", false)] {
        let Some(values) = object.get_mut(name) else { continue };
        match values.as_object_mut() {
            Some(values) => values.values_mut().for_each(|value| *value = told_length(value, encoded)),
            None => *values = WITHHELD.into(),
        }
    }
}

fn told_length(value: &Value, encoded: bool) -> Value {
    let length = value.as_str().map(|text| if encoded { decoded_length(text) } else { text.len() });
    length.map_or(WITHHELD.into(), |length| format!("(withheld, {length} bytes)").into())
}

/// How many bytes a text in base64 stands for.
fn decoded_length(text: &str) -> usize {
    text.bytes().filter(|b| !b.is_ascii_whitespace() && *b != b'=').count() * 3 / 4
}

#[cfg(test)]
mod tests {
    #![allow(clippy::indexing_slicing, reason = "a test ends by panicking")]
    use super::*;
    use serde_json::json;

    #[test]
    fn of_a_secret_no_value_is_seen_wherever_it_stands() {
        let secret = json!({
            "apiVersion": "v1", "kind": "Secret", "type": "Opaque",
            "metadata": {
                "name": "db", "managedFields": [{"f": "hunter2"}],
                "annotations": {
                    "kubectl.kubernetes.io/last-applied-configuration": "{\"data\":{\"p\":\"aHVudGVyMg==\"}}",
                    "other": "hunter2",
                },
            },
            "data": {"p": "aHVudGVyMg==", "odd": ["hunter2"]},
            "stringData": {"q": "hunter2"},
            "other": {"p": "hunter2"},
        });
        for kind in [GroupKind::new("Secret", ""), GroupKind::new("Other", "x.test")] {
            let seen = shown(secret.clone(), &kind);
            let text = seen.to_string();
            assert!(!text.contains("hunter2") && !text.contains("aHVudGVyMg"), "{text}");
            assert_eq!(seen["data"]["p"], "(withheld, 7 bytes)");
            assert_eq!(seen["metadata"]["annotations"], json!({"other": WITHHELD}));
            assert_eq!(seen["type"], "Opaque");
        }
        let odd = shown(json!({"data": "aHVudGVyMg=="}), &GroupKind::new("Secret", ""));
        assert_eq!(odd, json!({"data": WITHHELD}), "a Secret by where it was asked for");
    }

    #[test]
    fn other_objects_lose_their_bookkeeping_alone() {
        let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {"a": "b"},
            "metadata": {"name": "m", "managedFields": [], "annotations": {REPEATS[0]: "{}", "x": "y"}}});
        let seen = shown(map, &GroupKind::new("ConfigMap", ""));
        assert_eq!(seen["data"]["a"], "b");
        assert_eq!(seen["metadata"], json!({"name": "m", "annotations": {"x": "y"}}));
    }
}
