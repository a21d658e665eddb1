//! Names as callers write them, each a type that holds nothing else: what reaches a path of the API is one of these.
//! A wrong one never reaches a tool; the caller hears `invalid_arguments`.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use std::borrow::Cow;
use std::fmt;
use std::ops::Deref;

/// Why a text is no name. It says what one looks like, and not what was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct NameError(pub(crate) &'static str);

/// A type of text that is checked when it is read, and how it is told to clients.
macro_rules! text {
    ($(#[$doc:meta])* $name:ident, $max:literal, $pattern:literal, $wrong:literal, $check:expr) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
        #[serde(try_from = "String")]
        pub(crate) struct $name(String);

        impl Deref for $name {
            type Target = str;

            fn deref(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = NameError;

            fn try_from(text: String) -> Result<Self, NameError> {
                let check: fn(&str) -> bool = $check;
                if text.len() <= $max && check(&text) { Ok(Self(text)) } else { Err(NameError($wrong)) }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn inline_schema() -> bool {
                true
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({"type": "string", "pattern": $pattern, "maxLength": $max})
            }
        }
    };
}

text!(
    /// A namespace: a DNS label (RFC 1123).
    Namespace, 63, "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$",
    "a namespace is up to 63 small letters, digits and hyphens, as in staging", is_label
);
text!(
    /// An object's name: a DNS subdomain (RFC 1123). Names of RBAC, with their colons, are not served.
    ObjectName, 253, "^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$",
    "a name is up to 253 small letters, digits, hyphens and dots, as in checkout-7d4f", is_subdomain
);
text!(
    /// A container's name: a DNS label.
    Container, 63, "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$",
    "a container is up to 63 small letters, digits and hyphens, as in app", is_label
);
text!(
    /// The UID of an object.
    Uid, 36, "^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$",
    "a uid is 36 characters as get shows it", is_uid
);
text!(
    /// The version of an object, opaque but for its form.
    ResourceVersion, 32, "^[0-9]+$",
    "a resource_version is digits, as get shows it", |text| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
);
text!(
    /// A verb of the API, as `can_i` asks about.
    Verb, 32, "^[a-z]+$",
    "a verb is small letters, as in list", |text| !text.is_empty() && text.bytes().all(|b| b.is_ascii_lowercase())
);
text!(
    /// A part of an object that has a path of its own, as `scale`.
    Subresource, 32, "^[a-z]+$",
    "a subresource is small letters, as in scale", |text| !text.is_empty() && text.bytes().all(|b| b.is_ascii_lowercase())
);
text!(
    /// A field by its names: `spec.template.spec.containers`.
    FieldPath, 256, "^[A-Za-z$][A-Za-z0-9_$-]*(\\.[A-Za-z$][A-Za-z0-9_$-]*)*$",
    "a path is names of fields with dots between them, as in spec.template.spec", is_field_path
);
text!(
    /// A kind as the tools take it: `Deployment`, or with its group where two groups have one: `Deployment.apps`.
    KindName, 317, "^[A-Z][A-Za-z0-9]*(\\.[a-z0-9]([-a-z0-9.]*[a-z0-9])?)?$",
    "a kind is written as Deployment, or with its group as Deployment.apps", is_kind_name
);

pub(crate) fn is_label(text: &str) -> bool {
    let ends = |byte: Option<&u8>| byte.is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    let bytes = text.as_bytes();
    bytes.len() <= 63
        && ends(bytes.first())
        && ends(bytes.last())
        && bytes.iter().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || *b == b'-')
}

pub(crate) fn is_subdomain(text: &str) -> bool {
    text.len() <= 253 && text.split('.').all(is_label)
}

pub(crate) fn is_kind(text: &str) -> bool {
    text.len() <= 63
        && text.starts_with(|c: char| c.is_ascii_uppercase())
        && text.bytes().all(|b| b.is_ascii_alphanumeric())
}

/// `v1`, `v2beta3`.
pub(crate) fn is_version(text: &str) -> bool {
    let digits = |text: &str| {
        !text.is_empty()
            && text.len() <= 3
            && text.bytes().all(|b| b.is_ascii_digit())
            && !text.starts_with('0')
    };
    let Some(rest) = text.strip_prefix('v') else { return false };
    let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    let (major, stage) = rest.split_at(end);
    let stage =
        stage.strip_prefix("alpha").or_else(|| stage.strip_prefix("beta")).map_or(stage.is_empty(), digits);
    digits(major) && stage
}

fn is_uid(text: &str) -> bool {
    let parts: Vec<_> = text.split('-').collect();
    parts.iter().map(|part| part.len()).eq([8, 4, 4, 4, 12])
        && text.bytes().all(|b| b == b'-' || b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

fn is_field_path(text: &str) -> bool {
    text.split('.').all(|name| {
        name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '$')
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'$'))
    })
}

fn is_kind_name(text: &str) -> bool {
    match text.split_once('.') {
        None => is_kind(text),
        Some((kind, group)) => is_kind(kind) && is_subdomain(group),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_name_is_none() {
        let long = "a".repeat(64);
        for wrong in
            ["", "A", "-a", "a-", "a_b", "a.b", "a/b", "..", "a b", "ä", "a\u{0}", "a%2f", "a?b", &long]
        {
            assert!(Namespace::try_from(wrong.to_owned()).is_err(), "{wrong:?}");
        }
        for wrong in ["", ".", "..", "a..b", "a/../b", "a.", "A", "a:b", &"a.".repeat(130)] {
            assert!(ObjectName::try_from(wrong.to_owned()).is_err(), "{wrong:?}");
        }
        for wrong in ["", "deployment", "Deployment.", "Deployment./", "Deployment.apps/v1", "Dép", "D.A"] {
            assert!(KindName::try_from(wrong.to_owned()).is_err(), "{wrong:?}");
        }
        for wrong in ["", "x", "0f8fad5b-d9cb-469f-a165-70867728950", "0F8FAD5B-D9CB-469F-A165-70867728950E"]
        {
            assert!(Uid::try_from(wrong.to_owned()).is_err(), "{wrong:?}");
        }
        for wrong in ["", ".", "spec.", "spec..a", "spec[0]", "1a", "a b", "../x"] {
            assert!(FieldPath::try_from(wrong.to_owned()).is_err(), "{wrong:?}");
        }
        for wrong in ["", "1", "v", "v0", "v1x", "v1alpha", "v1/..", "v1beta0", "v12345"] {
            assert!(!is_version(wrong), "{wrong:?}");
        }
    }

    #[test]
    fn names_are_names() {
        assert!(Namespace::try_from("ml-prod".to_owned()).is_ok());
        assert!(ObjectName::try_from("a.b-c.9".to_owned()).is_ok());
        assert!(KindName::try_from("HTTPRoute.gateway.networking.k8s.io".to_owned()).is_ok());
        assert!(Uid::try_from("0f8fad5b-d9cb-469f-a165-70867728950e".to_owned()).is_ok());
        assert!(FieldPath::try_from("spec.template.x-kubernetes-$ref".to_owned()).is_ok());
        assert!(["v1", "v2beta3", "v1alpha1", "v12"].into_iter().all(is_version));
    }
}
