//! Label matchers outside of PromQL: as calls give them, and as silences have them.

use crate::fence::is_label_name;
use promql_parser::label::{MatchOp, Matcher};
use promql_parser::parser::token::{T_EQL, T_EQL_REGEX, T_NEQ, T_NEQ_REGEX};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The longest value of a matcher that a call gives.
const VALUE_CHARS_MAX: usize = 500;

/// A matcher as it is written down.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct LabelMatcher {
    /// The label, as in `namespace`
    pub(crate) label: String,
    /// How its value is compared; `=~` and `!~` take a regular expression of the whole value
    #[serde(default)]
    pub(crate) op: Comparison,
    /// The value or regular expression
    pub(crate) value: String,
}

/// How a value is compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(inline)]
pub(crate) enum Comparison {
    #[default]
    #[serde(rename = "=")]
    Is,
    #[serde(rename = "!=")]
    IsNot,
    #[serde(rename = "=~")]
    Like,
    #[serde(rename = "!~")]
    Unlike,
}

/// A matcher that a call gives, which has been found to be one.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "LabelMatcher")]
pub(crate) struct Asked(pub(crate) Matcher);

/// Why a call's matcher is none.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MatcherError {
    #[error("label is a name of letters, digits and _")]
    Label,
    #[error("the value of a matcher has {VALUE_CHARS_MAX} characters at most, and no control characters")]
    Value,
    #[error("the value of a matcher is no regular expression")]
    Pattern,
}

impl TryFrom<LabelMatcher> for Asked {
    type Error = MatcherError;

    fn try_from(LabelMatcher { label, op, value }: LabelMatcher) -> Result<Self, MatcherError> {
        if !is_label_name(&label) {
            return Err(MatcherError::Label);
        }
        if value.chars().count() > VALUE_CHARS_MAX || value.chars().any(char::is_control) {
            return Err(MatcherError::Value);
        }
        let (id, is_pattern) = match op {
            Comparison::Is => (T_EQL, false),
            Comparison::IsNot => (T_NEQ, false),
            Comparison::Like => (T_EQL_REGEX, true),
            Comparison::Unlike => (T_NEQ_REGEX, true),
        };
        let made = |value| Matcher::new_matcher(id, label.clone(), value).map_err(|_| MatcherError::Pattern);
        if is_pattern {
            // It is put between parentheses and anchors. What closes the parentheses itself, `a)|(b`, would escape the
            // anchors; with those the other way round it is no expression.
            made(format!("){value}("))?;
        }
        made(value).map(Self)
    }
}

impl LabelMatcher {
    /// Whether whatever satisfies this satisfies the other, too. Where that isn't plain, no.
    pub(crate) fn implies(&self, other: &Matcher) -> bool {
        let same = self.op == Comparison::from(&other.op) && self.value == other.value;
        self.label == other.name && (same || self.op == Comparison::Is && other.is_match(&self.value))
    }
}

impl From<&MatchOp> for Comparison {
    fn from(op: &MatchOp) -> Self {
        match op {
            MatchOp::Equal => Self::Is,
            MatchOp::NotEqual => Self::IsNot,
            MatchOp::Re(_) => Self::Like,
            MatchOp::NotRe(_) => Self::Unlike,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test ends by panicking")]
    use super::*;
    use crate::fence::Fence;
    use serde_json::json;

    fn matcher(label: &str, op: &str, value: &str) -> LabelMatcher {
        serde_json::from_value(json!({"label": label, "op": op, "value": value})).unwrap()
    }

    #[test]
    fn what_is_no_matcher_is_refused() {
        for (label, op, value) in [
            ("", "=", "x"),
            ("a b", "=", "x"),
            ("a\"}", "=", "x"),
            ("näme", "=", "x"),
            ("a", "=", "x\n"),
            ("a", "=", "x\u{0}"),
            ("a", "=", &"x".repeat(501)),
            ("a", "=~", "("),
            ("a", "=~", "a)|(b"),
            ("a", "!~", "a)|(?:b"),
            ("a", "=~", "x\\"),
            ("a", "=~", "*"),
            ("a", "=~", "(?P<"),
            ("a", "=~", "x{1000}{1000}{1000}"),
        ] {
            assert!(Asked::try_from(matcher(label, op, value)).is_err(), "{label}{op}{value}");
        }
        for (op, value, yes, no) in [
            ("=", "a)|(b", "a)|(b", "a"),
            ("!=", "x", "y", "x"),
            ("=~", "ml|ops", "ml", "mlx"),
            ("=~", "(a|b)c", "bc", "b"),
            ("!~", "a.*", "b", "ab"),
            ("=", "", "", "x"),
            ("=", "ü\"\\", "ü\"\\", "ü"),
        ] {
            let Asked(made) = Asked::try_from(matcher("a", op, value)).unwrap();
            assert!(made.is_match(yes) && !made.is_match(no), "{op}{value}");
        }
        assert!(
            serde_json::from_value::<LabelMatcher>(json!({"label": "a", "op": "==", "value": ""})).is_err()
        );
    }

    #[test]
    fn a_silence_is_within_a_fence_only_where_that_is_plain() {
        let all = |silence: &[(&str, &str, &str)]| -> Vec<_> {
            silence.iter().map(|(label, op, value)| matcher(label, op, value)).collect()
        };
        let name = ("alertname", "=", "Up");
        for (fence, silence, told) in [
            ("namespace=\"ml\"", vec![name, ("namespace", "=", "ml")], true),
            ("namespace=\"ml\"", vec![("namespace", "=", "ml"), ("namespace", "=~", ".*")], true),
            ("namespace=\"ml\"", vec![], false),
            ("namespace=\"ml\"", vec![name], false),
            ("namespace=\"ml\"", vec![name, ("namespace", "=", "ops")], false),
            ("namespace=\"ml\"", vec![name, ("namespace", "=", "")], false),
            ("namespace=\"ml\"", vec![name, ("namespace", "!=", "ops")], false),
            ("namespace=\"ml\"", vec![name, ("namespace", "!=", "ml")], false),
            ("namespace=\"ml\"", vec![name, ("namespace", "=~", "ml|ops")], false),
            ("namespace=\"ml\"", vec![name, ("namespace", "=~", "ml")], false),
            ("namespace=\"ml\"", vec![name, ("name_space", "=", "ml")], false),
            ("namespace=~\"ml.*\"", vec![("namespace", "=", "ml-dev")], true),
            ("namespace=~\"ml.*\"", vec![("namespace", "=~", "ml.*")], true),
            ("namespace=~\"ml.*\"", vec![("namespace", "!~", "ml.*")], false),
            ("namespace=~\"ml.*\"", vec![("namespace", "=~", "m.*")], false),
            ("namespace!=\"ops\"", vec![("namespace", "=", "ml")], true),
            ("namespace!=\"ops\"", vec![("namespace", "!=", "ops")], true),
            ("namespace!=\"ops\"", vec![("namespace", "=", "ops")], false),
            ("namespace!=\"ops\"", vec![name], false),
            ("namespace=\"ml\",team=\"a\"", vec![("namespace", "=", "ml"), ("team", "=", "a")], true),
            ("namespace=\"ml\",team=\"a\"", vec![("namespace", "=", "ml")], false),
        ] {
            let fence = Fence::parse(&[fence.to_owned()]).unwrap();
            assert_eq!(fence.covers(&all(&silence)), told, "{fence:?} {silence:?}");
        }
        assert!(Fence::default().covers(&all(&[name])));
    }
}
