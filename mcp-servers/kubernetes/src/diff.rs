//! What differs between two states of an object, field by field.

use crate::error::shortened;
use crate::fence::GroupKind;
use crate::shown::{WITHHELD, shown};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeSet;

/// A field that has another value than before.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub(crate) struct Change {
    /// Where: `spec.template.spec.containers[web].image`
    pub(crate) path: String,
    /// What was there as JSON; absent where there was nothing
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) before: Option<String>,
    /// What is there as JSON; absent where there is nothing any more
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) after: Option<String>,
}

/// The longest list of changes; what is beyond is counted.
const CHANGES_MAX: usize = 100;
/// The longest value that is told, in characters.
const VALUE_CHARS_MAX: usize = 300;

/// The changes from one state of an object to the next, and how many there are. What the API server keeps for itself is
/// left out. Of a Secret all that was `sent` is told as a change: whether it is one would tell whether a guess is right.
pub(crate) fn changes(before: &Value, after: &Value, sent: &Value, kind: &GroupKind) -> (Vec<Change>, usize) {
    let mut found = Vec::new();
    walk(&comparable(before, kind), &comparable(after, kind), &mut String::new(), &mut found);
    if kind.is_secret() {
        secret_keys(before, after, sent, &mut found);
    }
    let count = found.len();
    found.truncate(CHANGES_MAX);
    (found, count)
}

/// What a change of it would be a change of the object.
fn comparable(object: &Value, kind: &GroupKind) -> Value {
    let mut object = shown(object.clone(), kind);
    if let Some(fields) = object.as_object_mut() {
        fields.remove("status");
        if kind.is_secret() {
            fields.remove("data");
            fields.remove("stringData");
        }
    }
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        for own in ["resourceVersion", "generation", "uid", "creationTimestamp"] {
            metadata.remove(own);
        }
    }
    object
}

/// Keys of a Secret that come, go or were sent. Their values are not looked at. The API server turns `stringData` into `data`.
fn secret_keys(before: &Value, after: &Value, sent: &Value, found: &mut Vec<Change>) {
    let keys = |object: &Value, part: &str| {
        object[part].as_object().into_iter().flatten().map(|(key, _)| key.clone()).collect::<BTreeSet<_>>()
    };
    let (before, after) = (keys(before, "data"), keys(after, "data"));
    let sent = &keys(sent, "data") | &keys(sent, "stringData");
    let withheld = |is_there: bool| is_there.then(|| WITHHELD.to_owned());
    for key in &before | &after {
        let (was, is) = (before.contains(&key), after.contains(&key));
        if was != is || sent.contains(&key) {
            found.push(Change { path: format!("data.{key}"), before: withheld(was), after: withheld(is) });
        }
    }
}

fn walk(before: &Value, after: &Value, path: &mut String, found: &mut Vec<Change>) {
    if before == after {
        return;
    }
    let length = path.len();
    match (before, after) {
        (Value::Object(a), Value::Object(b)) => {
            let keys = a.keys().chain(b.keys().filter(|key| !a.contains_key(*key)));
            for key in keys {
                if !path.is_empty() {
                    path.push('.');
                }
                path.push_str(key);
                walk(a.get(key).unwrap_or(&Value::Null), b.get(key).unwrap_or(&Value::Null), path, found);
                path.truncate(length);
            }
        }
        (Value::Array(a), Value::Array(b)) if !a.is_empty() && !b.is_empty() => {
            let (a, b) = (items(a), items(b));
            let names = a.iter().map(|(name, _)| name);
            let new =
                b.iter().map(|(name, _)| name).filter(|name| !a.iter().any(|(other, _)| other == *name));
            let of = |all: &[(String, &Value)], name: &str| {
                all.iter().find(|(other, _)| other == name).map_or(Value::Null, |(_, value)| (*value).clone())
            };
            for name in names.chain(new) {
                path.push_str(&format!("[{name}]"));
                walk(&of(&a, name), &of(&b, name), path, found);
                path.truncate(length);
            }
        }
        _ => found.push(Change { path: path.clone(), before: told(before), after: told(after) }),
    }
}

/// The items of a list by their names, where each has one of its own, else by their places.
fn items(list: &[Value]) -> Vec<(String, &Value)> {
    let names: Vec<_> = list.iter().filter_map(|item| item.get("name").and_then(Value::as_str)).collect();
    let distinct: BTreeSet<_> = names.iter().collect();
    let by_name = names.len() == list.len() && distinct.len() == names.len();
    let named = |(place, _): (usize, &Value)| match names.get(place) {
        Some(name) if by_name => (*name).to_owned(),
        _ => place.to_string(),
    };
    list.iter().enumerate().map(|found| (named(found), found.1)).collect()
}

fn told(value: &Value) -> Option<String> {
    (!value.is_null()).then(|| shortened(&value.to_string(), VALUE_CHARS_MAX))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::indexing_slicing, reason = "a test ends by panicking")]
    use super::*;
    use serde_json::json;

    fn of(kind: &str, before: &Value, after: &Value) -> Vec<(String, Option<String>, Option<String>)> {
        let changes = changes(before, after, &Value::Null, &GroupKind::new(kind, "")).0;
        changes.into_iter().map(|c| (c.path, c.before, c.after)).collect()
    }

    #[test]
    fn a_change_is_told_where_it_is() {
        let before = json!({"metadata": {"name": "w", "resourceVersion": "1", "generation": 1}, "status": {"x": 1},
            "spec": {"replicas": 2, "containers": [{"name": "a", "image": "x:1"}, {"name": "b"}], "args": ["p", "q"]}});
        let after = json!({"metadata": {"name": "w", "resourceVersion": "2", "generation": 2, "labels": {"l": "m"}},
            "spec": {"replicas": 3, "containers": [{"name": "b"}, {"name": "a", "image": "x:2"}], "args": ["p"]}});
        let text = |text: &str| Some(text.to_owned());
        assert_eq!(
            of("Deployment", &before, &after),
            [
                ("metadata.labels".into(), None, text("{\"l\":\"m\"}")),
                ("spec.args[1]".into(), text("\"q\""), None),
                ("spec.containers[a].image".into(), text("\"x:1\""), text("\"x:2\"")),
                ("spec.replicas".into(), text("2"), text("3")),
            ]
        );
        assert_eq!(of("Deployment", &before, &before), []);
    }

    #[test]
    fn of_a_secret_is_told_what_was_sent_and_never_whether_it_is_another_value() {
        let secret = |data: Value| json!({"type": "Opaque", "data": data});
        let before = secret(json!({"a": "aHVudGVyMQ==", "other": "c2FtZQ==", "gone": "Z29uZQ=="}));
        let after = |a: &str| secret(json!({"a": a, "other": "c2FtZQ==", "new": "bmV3"}));
        let withheld = || Some(WITHHELD.to_owned());
        for sent in [
            json!({"data": {"a": "x", "new": "bmV3"}}),
            json!({"stringData": {"a": "x"}, "data": {"new": "bmV3"}}),
        ] {
            for guess in ["aHVudGVyMQ==", "aHVudGVyMg=="] {
                let (changes, count) = changes(&before, &after(guess), &sent, &GroupKind::new("Secret", ""));
                let told: Vec<_> = changes.into_iter().map(|c| (c.path, c.before, c.after)).collect();
                assert_eq!(
                    told,
                    [
                        ("data.a".into(), withheld(), withheld()),
                        ("data.gone".into(), withheld(), None),
                        ("data.new".into(), None, withheld()),
                    ]
                );
                assert_eq!(count, 3);
            }
        }
    }

    #[test]
    fn changes_are_bounded_and_counted() {
        let many = |n: usize| json!({"data": (0..200).map(|i| (format!("k{i}"), (i + n).into())).collect::<serde_json::Map<_, _>>()});
        let (told, count) = changes(&many(0), &many(1), &Value::Null, &GroupKind::new("ConfigMap", ""));
        assert_eq!((told.len(), count), (CHANGES_MAX, 200));
        let long = json!({"data": {"a": "x".repeat(1000)}});
        let short = json!({"data": {"a": ""}});
        let (told, _) = changes(&short, &long, &Value::Null, &GroupKind::new("ConfigMap", ""));
        assert_eq!(told[0].after.as_ref().map(|text| text.chars().count()), Some(VALUE_CHARS_MAX + 1));
    }
}
