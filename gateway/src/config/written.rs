//! The configuration file as it was read, for whoever follows it: the agents and where their events may go, which are swapped
//! while the gateway runs, and all the rest, which is read at the start.

use std::fmt;
use std::path::{Path, PathBuf};
use yaml_serde::Value;

/// A configuration file as it stood.
#[derive(Clone, Default, PartialEq)]
pub struct Written {
    path: PathBuf,
    agents: Value,
    targets: [Value; 2],
    rest: Value,
}

/// What of `push` is swapped.
const TARGETS: [&str; 2] = ["allow", "private_addresses"];

impl Written {
    /// Of a file, and what stands in it.
    pub fn new(path: &Path, text: &str) -> Self {
        let mut rest: Value = yaml_serde::from_str(text).unwrap_or_default(); // What can't be read is not taken up anyway.
        let agents = rest.as_mapping_mut().and_then(|all| all.remove("agents")).unwrap_or_default();
        let push = rest.as_mapping_mut().and_then(|all| all.get_mut("push")).and_then(Value::as_mapping_mut);
        let targets =
            push.map(|push| TARGETS.map(|name| push.remove(name).unwrap_or_default())).unwrap_or_default();
        Self { path: path.to_path_buf(), agents, targets, rest }
    }

    /// Which file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the agents are written as in another, and where their events may go.
    pub fn same_agents(&self, other: &Self) -> bool {
        (&self.agents, &self.targets) == (&other.agents, &other.targets)
    }

    /// Whether all the rest is.
    pub fn same_rest(&self, other: &Self) -> bool {
        self.rest == other.rest
    }
}

impl fmt::Debug for Written {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Written({})", self.path.display())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agents_and_the_rest_change_each_for_itself() {
        let of = |text: &str| Written::new(Path::new("c.yaml"), text);
        let usual = of("url: u\nagents: {a: {x: 1}}\nlimits: {}\n");
        for (text, same_agents, same_rest) in [
            ("limits: {}\nagents:\n  a:\n    x: 1\nurl: u # a remark\n", true, true),
            ("url: u\nagents: {a: {x: 2}}\nlimits: {}\n", false, true),
            ("url: u\nlimits: {}\n", false, true),
            ("url: u\nagents: {a: {x: 1}}\nlimits: {a: 1}\n", true, false),
            ("url: u\nagents: {b: {x: 1}}\n", false, false),
            ("url: u\nagents: {a: {x: 1}}\nlimits: {}\npush: {allow: [y]}\n", false, false), // There was no `push`.
        ] {
            let other = of(text);
            assert_eq!(
                (usual.same_agents(&other), usual.same_rest(&other)),
                (same_agents, same_rest),
                "{text}"
            );
        }
    }
}
