//! Selectors as callers write them, parsed into what they require and written anew: no text of a caller's becomes a
//! selector of the cluster's.

use crate::name::{NameError, is_subdomain};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use std::borrow::Cow;
use std::fmt;

/// Requirements on labels, all of which hold: `app=web,tier!=db,track in (a, b),!old`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct LabelSelector(Vec<LabelRequirement>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum LabelRequirement {
    Is { key: String, value: String, not: bool },
    In { key: String, values: Vec<String>, not: bool },
    Has { key: String, not: bool },
}

/// Requirements on fields, all of which hold: `status.phase=Running,metadata.name!=a`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct FieldSelector(Vec<FieldRequirement>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct FieldRequirement {
    field: String,
    value: String,
    not: bool,
}

/// The longest selector that is read, in bytes.
const BYTES_MAX: usize = 1024;
const LABELS: NameError =
    NameError("labels are written as app=web,tier!=db,track in (a, b),track notin (c),key,!key");
const FIELDS: NameError = NameError("fields are written as status.phase=Running,metadata.name!=web");

impl TryFrom<String> for LabelSelector {
    type Error = NameError;

    fn try_from(text: String) -> Result<Self, NameError> {
        let parts = pieces(&text).filter(|parts| !parts.is_empty()).ok_or(LABELS)?;
        parts.into_iter().map(|part| requirement(part).ok_or(LABELS)).collect::<Result<_, _>>().map(Self)
    }
}

/// Cuts at commas outside of parentheses. None for what is too long or not closed.
fn pieces(text: &str) -> Option<Vec<&str>> {
    if text.len() > BYTES_MAX {
        return None;
    }
    let (mut parts, mut begin, mut open) = (Vec::new(), 0, false);
    for (at, c) in text.char_indices() {
        match c {
            '(' if !open => open = true,
            ')' if open => open = false,
            '(' | ')' => return None,
            ',' if !open => {
                parts.push(text.get(begin..at)?.trim());
                begin = at + 1;
            }
            _ => {}
        }
    }
    parts.push(text.get(begin..)?.trim());
    (!open).then_some(parts)
}

fn requirement(part: &str) -> Option<LabelRequirement> {
    if let Some(list) = part.strip_suffix(')') {
        let (head, list) = list.split_once('(')?;
        let mut words = head.split_whitespace();
        let (key, word) = (words.next()?, words.next()?);
        let not = match (word, words.next()) {
            ("in", None) => false,
            ("notin", None) => true,
            _ => return None,
        };
        let values: Vec<_> = list.split(',').map(|value| value.trim().to_owned()).collect();
        let good = is_label_key(key) && values.iter().all(|value| is_label_value(value));
        return good.then(|| LabelRequirement::In { key: key.to_owned(), values, not });
    }
    if let Some(key) = part.strip_prefix('!') {
        return is_label_key(key.trim())
            .then(|| LabelRequirement::Has { key: key.trim().to_owned(), not: true });
    }
    let Some((key, not, value)) = equation(part) else {
        return is_label_key(part).then(|| LabelRequirement::Has { key: part.to_owned(), not: false });
    };
    let good = is_label_key(key) && is_label_value(value);
    good.then(|| LabelRequirement::Is { key: key.to_owned(), value: value.to_owned(), not })
}

/// `a=b`, `a==b`, `a!=b`.
fn equation(part: &str) -> Option<(&str, bool, &str)> {
    let (key, value) = part.split_once('=')?;
    let (key, not) = key.strip_suffix('!').map_or((key, false), |key| (key, true));
    let value = if not { value } else { value.strip_prefix('=').unwrap_or(value) };
    Some((key.trim(), not, value.trim()))
}

/// A name of 63 characters at most, and before a slash, if there is one, a domain.
fn is_label_key(text: &str) -> bool {
    let (prefix, name) = text.split_once('/').map_or((None, text), |(prefix, name)| (Some(prefix), name));
    prefix.is_none_or(is_subdomain) && !name.is_empty() && is_label_value(name)
}

/// Empty, or 63 letters, digits, `-`, `_` and `.`, of which the first and the last are letters or digits.
fn is_label_value(text: &str) -> bool {
    let ends = |c: char| c.is_ascii_alphanumeric();
    text.len() <= 63
        && (text.is_empty() || (text.starts_with(ends) && text.ends_with(ends)))
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
}

impl fmt::Display for LabelSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, requirement) in self.0.iter().enumerate() {
            if number > 0 {
                f.write_str(",")?;
            }
            match requirement {
                LabelRequirement::Is { key, value, not } => {
                    write!(f, "{key}{}={value}", if *not { "!" } else { "" })?
                }
                LabelRequirement::Has { key, not } => write!(f, "{}{key}", if *not { "!" } else { "" })?,
                LabelRequirement::In { key, values, not } => {
                    write!(f, "{key} {} ({})", if *not { "notin" } else { "in" }, values.join(","))?;
                }
            }
        }
        Ok(())
    }
}

impl TryFrom<String> for FieldSelector {
    type Error = NameError;

    fn try_from(text: String) -> Result<Self, NameError> {
        if text.len() > BYTES_MAX {
            return Err(FIELDS);
        }
        let parse = |part: &str| {
            let (field, not, value) = equation(part).ok_or(FIELDS)?;
            let field_holds = !field.is_empty()
                && field
                    .split('.')
                    .all(|name| !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric()));
            let value_holds = value
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'/' | b':'));
            if !field_holds || !value_holds {
                return Err(FIELDS);
            }
            Ok(FieldRequirement { field: field.to_owned(), value: value.to_owned(), not })
        };
        text.split(',').map(|part| parse(part.trim())).collect::<Result<_, _>>().map(Self)
    }
}

impl fmt::Display for FieldSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let told: Vec<_> = self
            .0
            .iter()
            .map(|r| format!("{}{}={}", r.field, if r.not { "!" } else { "" }, r.value))
            .collect();
        f.write_str(&told.join(","))
    }
}

impl JsonSchema for LabelSelector {
    fn schema_name() -> Cow<'static, str> {
        "LabelSelector".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "minLength": 1, "maxLength": BYTES_MAX})
    }
}

impl JsonSchema for FieldSelector {
    fn schema_name() -> Cow<'static, str> {
        "FieldSelector".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "minLength": 3, "maxLength": BYTES_MAX})
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test ends by panicking")]
    use super::*;

    #[test]
    fn selectors_are_written_anew_as_they_were_meant() {
        for (text, anew) in [
            ("app=web", "app=web"),
            (" app == web , tier != db ", "app=web,tier!=db"),
            ("track in (a, b),!old,new", "track in (a,b),!old,new"),
            ("k8s.io/name notin (x)", "k8s.io/name notin (x)"),
            ("empty=", "empty="),
            ("v in (,a)", "v in (,a)"),
        ] {
            assert_eq!(LabelSelector::try_from(text.to_owned()).unwrap().to_string(), anew);
        }
        for (text, anew) in [
            ("status.phase=Running", "status.phase=Running"),
            ("metadata.name != a.b, spec.nodeName==n", "metadata.name!=a.b,spec.nodeName=n"),
        ] {
            assert_eq!(FieldSelector::try_from(text.to_owned()).unwrap().to_string(), anew);
        }
    }

    #[test]
    fn what_is_no_selector_is_refused() {
        let long = "a".repeat(64);
        for wrong in [
            "",
            ",",
            "a=b,",
            "a=b&limit=1",
            "a in (b",
            "a in b)",
            "a in ((b))",
            "a on (b)",
            "a=b=c",
            "=b",
            "a=b c",
            "!",
            "-a=b",
            "a=-b",
            "a/b/c=d",
            "ä=b",
            "a=ü",
            "a=b\u{0}",
            "a=b\nc",
            "a in (b) c",
            "a not in (b)",
            "!!a",
            "a!b",
            &long,
            &"a,".repeat(600),
        ] {
            assert!(LabelSelector::try_from(wrong.to_owned()).is_err(), "{wrong:?}");
        }
        for wrong in [
            "",
            "a",
            "a=b,",
            "=b",
            "a..b=c",
            "a=b&c",
            "a=b\\,c",
            "a b=c",
            "a=ü",
            "a=(b)",
            &"a=b,".repeat(400),
        ] {
            assert!(FieldSelector::try_from(wrong.to_owned()).is_err(), "{wrong:?}");
        }
    }
}
