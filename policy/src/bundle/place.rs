//! Where a file may stand in a policy set, and which package it must then be.

/// What a file is to the gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// It answers questions: below `tools`, `resources`, `prompts`, `protocol`, `agents`.
    Entry,
    /// Its denials hold for every call.
    Guard,
    /// Rules that other files use.
    Library,
    /// Tests; no decision ever sees them.
    Test,
}

/// The package that a Rego file must declare, and its role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) package: Vec<String>,
    pub(crate) role: Role,
}

/// Why a file may not stand where it does, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Misplaced {
    pub(crate) message: String,
    pub(crate) fix: String,
}

/// The top names of packages. Data may not define them.
pub(crate) const ROOTS: [&str; 7] = ["tools", "resources", "prompts", "protocol", "agents", "guard", "lib"];

/// Whether a path is one that can stand in a set at all: relative, `/` separators, no `.` or `..`.
pub(crate) fn well_formed(path: &str) -> bool {
    !path.is_empty()
        && !path.contains('\\')
        && !path.chars().any(char::is_control)
        && path.split('/').all(|segment| !matches!(segment, "" | "." | ".."))
}

/// The place of a Rego file, from its path without `.rego`.
pub(crate) fn of_rego(stem: &str) -> Result<Place, Misplaced> {
    let segments: Vec<&str> = stem.split('/').collect();
    let test = stem.ends_with("_test");
    let (root, rest) = match segments.as_slice() {
        [] => ("", [].as_slice()),
        [root, rest @ ..] => (*root, rest),
    };
    let bare = if rest.is_empty() { root.strip_suffix("_test").unwrap_or(root) } else { root };
    let package: Vec<String> = segments.iter().map(|segment| (*segment).to_owned()).collect();
    let answering = |role| Place { package: package.clone(), role: if test { Role::Test } else { role } };
    match (bare, rest) {
        ("protocol", [] | [_]) => Ok(answering(Role::Entry)),
        ("resources" | "prompts" | "agents", [_]) | ("tools", [_] | [_, _]) => Ok(answering(Role::Entry)),
        ("guard", _) if test => Ok(Place { package: vec!["guard_test".to_owned()], role: Role::Test }),
        ("guard", _) => Ok(Place { package: vec!["guard".to_owned()], role: Role::Guard }),
        ("lib", [_, ..]) => Ok(answering(Role::Library)),
        ("tools" | "resources" | "prompts" | "agents" | "lib", []) => Err(Misplaced {
            message: format!("{bare} is a folder, not a package of its own"),
            fix: format!("move the rules to {bare}/<name>.rego"),
        }),
        ("tools" | "resources" | "prompts" | "protocol" | "agents", _) => Err(Misplaced {
            message: format!("nothing asks a package this deep below {bare}"),
            fix: "keep tools/<server>/<tool>.rego and <kind>/<name>.rego; put helpers below lib/".to_owned(),
        }),
        _ => Err(Misplaced {
            message: format!("{root:?} is not a part of a policy set"),
            fix: format!("put the file below one of {}", ROOTS.join(", ")),
        }),
    }
}

/// A package or rule in Rego's own spelling: `tools.s3["get-object"]`.
///
/// It is also the engine's canonical spelling, so it needs no parsing when it is asked.
pub(crate) fn spelled(segments: &[String]) -> String {
    let mut text = String::new();
    for segment in segments {
        let mut bytes = segment.bytes();
        let plain = bytes.next().is_some_and(|first| first.is_ascii_alphabetic() || first == b'_')
            && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        if plain {
            if !text.is_empty() {
                text.push('.');
            }
            text.push_str(segment);
        } else {
            text.push('[');
            text.push_str(&serde_json::Value::from(segment.as_str()).to_string());
            text.push(']');
        }
    }
    text
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test ends by panicking")]

    use super::{Role, of_rego, spelled, well_formed};

    fn package(stem: &str) -> (String, Role) {
        let place = of_rego(stem).unwrap();
        (spelled(&place.package), place.role)
    }

    #[test]
    fn a_path_is_its_package() {
        assert_eq!(package("tools/s3"), ("tools.s3".into(), Role::Entry));
        assert_eq!(package("tools/s3/get_object"), ("tools.s3.get_object".into(), Role::Entry));
        assert_eq!(package("tools/s3/get-object"), (r#"tools.s3["get-object"]"#.into(), Role::Entry));
        assert_eq!(package("tools/s3/a.b"), (r#"tools.s3["a.b"]"#.into(), Role::Entry));
        assert_eq!(package("tools/s3/get_object_test"), ("tools.s3.get_object_test".into(), Role::Test));
        assert_eq!(package("protocol"), ("protocol".into(), Role::Entry));
        assert_eq!(package("protocol_test"), ("protocol_test".into(), Role::Test));
        assert_eq!(package("guard/deep/down"), ("guard".into(), Role::Guard));
        assert_eq!(package("guard/base_test"), ("guard_test".into(), Role::Test));
        assert_eq!(package("lib/text/paths"), ("lib.text.paths".into(), Role::Library));
    }

    #[test]
    fn a_file_that_nothing_would_ask_is_refused() {
        for stem in ["tools", "tools/s3/get_object/more", "agents/a/b", "policy", "authz/x", "lib", "tool/s3"]
        {
            assert!(of_rego(stem).is_err(), "{stem}");
        }
    }

    #[test]
    fn a_path_that_climbs_is_refused() {
        assert!(well_formed("tools/s3.rego"));
        for path in ["", "/tools/s3.rego", "tools/../guard/x.rego", "tools//s3.rego", "tools\\s3.rego"] {
            assert!(!well_formed(path), "{path}");
        }
    }
}
