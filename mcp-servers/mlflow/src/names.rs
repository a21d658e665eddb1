//! What callers call things: each kind of name is a type of its own, read out of the arguments before a tool sees them. A
//! name that MLflow, a database or a file system could take for another one is refused, whoever let it through before.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use std::borrow::Cow;
use std::fmt;

/// Why a name is refused: the whole rule that it breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct NameError(&'static str);

/// A kind of name: its length in characters, the rule in words, and the rule.
macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $min:literal to $max:literal, $words:literal, $rule:expr) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
        #[serde(try_from = "String")]
        pub(crate) struct $name(String);

        impl $name {
            pub(crate) fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = NameError;

            fn try_from(text: String) -> Result<Self, NameError> {
                let keeps: fn(&str) -> bool = $rule;
                let length = text.chars().take($max + 1).count();
                if ($min..=$max).contains(&length) && keeps(&text) { Ok(Self(text)) } else { Err(NameError($words)) }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({"type": "string", "minLength": $min, "maxLength": $max})
            }
        }
    };
}

name!(
    /// An experiment's name. Policy and fence know experiments by it, so tools take it in place of the number.
    ExperimentName, 1 to 500,
    "the name of an experiment has 1 to 500 characters, no unseen ones, and no space at its ends",
    is_plain
);
name!(
    /// A run's name; several may have the same.
    RunName, 1 to 250,
    "the name of a run has 1 to 250 characters, no unseen ones, and no space at its ends",
    is_plain
);
name!(
    /// A registered model's name.
    ModelName, 1 to 250,
    "the name of a model has 1 to 250 characters, no '/', no ':', no unseen ones, no space at its ends, and is not '.' or '..'",
    |text| is_plain(text) && !text.contains(['/', ':']) && !is_dots(text)
);
name!(
    /// What MLflow calls a run.
    RunId, 1 to 256,
    "the id of a run has up to 256 of a-z, A-Z, 0-9, '_' and '-', and begins with none of the last two",
    is_id
);
name!(
    /// What MLflow calls a trace.
    TraceId, 1 to 256,
    "the id of a trace has up to 256 of a-z, A-Z, 0-9, '_' and '-', and begins with none of the last two",
    is_id
);
name!(
    /// What MLflow calls a model that was logged, and perhaps not registered.
    LoggedModelId, 1 to 256,
    "the id of a logged model has up to 256 of a-z, A-Z, 0-9, '_' and '-', and begins with none of the last two",
    is_id
);
name!(
    /// The key of a metric or a parameter.
    Key, 1 to 250,
    "a key has 1 to 250 letters, digits, spaces and '_', '.', '-', ':', '/', no space at its ends, and no empty part, '.' or '..' between slashes",
    is_key
);
name!(
    /// The key of a tag that may be written: MLflow's own are its own, but for the note.
    TagKey, 1 to 250,
    "a tag's key has 1 to 250 letters, digits, spaces and '_', '.', '-', ':', '/', no space at its ends, no empty part, '.' or '..' between slashes, and no 'mlflow.' in front, but for mlflow.note.content",
    |text| is_key(text) && (text == "mlflow.note.content" || !text.to_ascii_lowercase().starts_with("mlflow."))
);
name!(
    /// An alias of a model's version.
    Alias, 1 to 255,
    "an alias has 1 to 255 of a-z, A-Z, 0-9, '_' and '-', and is neither 'latest' nor like 'v1'",
    is_alias
);
name!(
    /// A file or folder below a run's artifacts.
    ArtifactPath, 1 to 500,
    "a path has 1 to 500 characters, no empty part, '.' or '..' between slashes, no slash at its ends, no space at the ends of a part, and none of \\ % ? # : * \" < > | and unseen characters",
    is_path
);
name!(
    /// A parameter's value.
    ParamValue, 0 to 6000,
    "the value of a parameter has up to 6000 characters and no null character",
    has_no_null
);
name!(
    /// A tag's value.
    TagValue, 0 to 5000,
    "the value of a tag has up to 5000 characters and no null character",
    has_no_null
);
name!(
    /// What something is for.
    Description, 0 to 5000,
    "a description has up to 5000 characters and no null character",
    has_no_null
);

impl ArtifactPath {
    /// Its parts, none of which is empty or dots.
    pub(crate) fn segments(&self) -> impl Iterator<Item = &str> {
        self.0.split('/')
    }
}

fn is_plain(text: &str) -> bool {
    !text.chars().any(is_unseen) && text.trim() == text
}

fn is_dots(text: &str) -> bool {
    matches!(text, "." | "..")
}

fn is_id(text: &str) -> bool {
    let inner = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-');
    text.as_bytes().first().is_some_and(u8::is_ascii_alphanumeric) && text.bytes().all(inner)
}

/// MLflow treats keys as paths.
fn is_key(text: &str) -> bool {
    let known = |c: char| c.is_alphanumeric() || "_.-: /".contains(c);
    text.chars().all(known)
        && text.trim() == text
        && text.split('/').all(|part| !part.is_empty() && !is_dots(part))
}

fn is_alias(text: &str) -> bool {
    let version = text
        .strip_prefix(['v', 'V'])
        .is_some_and(|rest| rest.bytes().all(|b| b.is_ascii_digit()) && !rest.is_empty());
    let inner = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-');
    text.bytes().all(inner) && !version && !text.eq_ignore_ascii_case("latest")
}

fn is_path(text: &str) -> bool {
    !text.chars().any(|c| is_unseen(c) || "\\%?#:*\"<>|".contains(c))
        && text.split('/').all(|part| !part.is_empty() && !is_dots(part) && part.trim() == part)
}

fn has_no_null(text: &str) -> bool {
    !text.contains('\0')
}

/// Control characters, line and paragraph separators, direction marks, zero-width characters.
pub(crate) fn is_unseen(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reads<T: TryFrom<String>>(text: &str) -> bool {
        T::try_from(text.to_owned()).is_ok()
    }

    #[test]
    fn a_path_stays_below_its_run() {
        for good in ["model", "model/MLmodel", "a b/ü-1_2.txt", "...", ".hidden", "a..b/c"] {
            assert!(reads::<ArtifactPath>(good), "{good}");
        }
        for bad in [
            "",
            "/",
            "/etc/passwd",
            "a/",
            "a//b",
            ".",
            "..",
            "../x",
            "a/../../b",
            "a/..",
            "./a",
            "a/./b",
            "a\\..\\b",
            "%2e%2e/x",
            "a%2fb",
            "a%00",
            "a\0b",
            "a\nb",
            "a?b",
            "a#b",
            "file:a",
            "C:/x",
            "mlflow-artifacts:/1",
            "a /b",
            " a",
            "a\u{202e}b",
            "a\u{200b}",
            "*",
            "a|b",
            &"x".repeat(501),
        ] {
            assert!(!reads::<ArtifactPath>(bad), "{bad:?}");
        }
    }

    #[test]
    fn names_mean_one_thing() {
        for bad in ["", " a", "a ", "a\nb", "a\u{200b}b", "\u{feff}a"] {
            assert!(
                !reads::<ExperimentName>(bad) && !reads::<ModelName>(bad) && !reads::<RunName>(bad),
                "{bad:?}"
            );
        }
        for bad in ["a/b", "a:1", ".", ".."] {
            assert!(!reads::<ModelName>(bad), "{bad:?}");
        }
        assert!(reads::<ExperimentName>("/Shared/größe") && reads::<ModelName>("fraud detector"));
        assert!(reads::<ExperimentName>(&"x".repeat(500)) && !reads::<ExperimentName>(&"x".repeat(501)));
        for bad in ["", "-a", "_a", "a/b", "a b", "ä", "a.b", &"a".repeat(257), "../a", "a?x=1", "a&b"] {
            assert!(
                !reads::<RunId>(bad) && !reads::<TraceId>(bad) && !reads::<LoggedModelId>(bad),
                "{bad:?}"
            );
        }
        assert!(
            reads::<RunId>("b252fe03bea047cd94e8dd60bfeb073e")
                && reads::<TraceId>("tr-0c")
                && reads::<LoggedModelId>("m-1")
        );
    }

    #[test]
    fn keys_and_aliases_are_mlflows_and_no_wider() {
        for good in ["accuracy", "val/loss", "p50 latency", "a.b-c:d", "größe"] {
            assert!(reads::<Key>(good) && reads::<TagKey>(good), "{good}");
        }
        for bad in [
            "", "/a", "a/", "a//b", "a/../b", ".", "..", "a`b", "a\"b", "a'b", "a;b", "a%b", "a\nb", " a",
            "a=b",
        ] {
            assert!(!reads::<Key>(bad) && !reads::<TagKey>(bad), "{bad:?}");
        }
        assert!(
            !reads::<TagKey>("mlflow.user")
                && !reads::<TagKey>("MLflow.user")
                && reads::<TagKey>("mlflow.note.content")
        );
        for good in ["staging", "champion-2", "v", "v1a", "V_1"] {
            assert!(reads::<Alias>(good), "{good}");
        }
        for bad in ["", "latest", "Latest", "v1", "V20", "a b", "a/b", "ä", "a.b", "a@b"] {
            assert!(!reads::<Alias>(bad), "{bad:?}");
        }
        assert!(!reads::<TagValue>("\0") && reads::<TagValue>("") && reads::<ParamValue>("a\nb"));
    }
}
