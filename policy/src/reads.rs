//! Which parts of a document a decision reads: the paths that its rules name, as a tree.

use std::collections::BTreeMap;

/// A part of the input document, by what is read of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reads {
    /// All of it.
    All,
    /// Only these members; none: nothing of it.
    Members(BTreeMap<String, Reads>),
}

impl Reads {
    /// Nothing is read.
    pub(crate) fn nothing() -> Self {
        Self::Members(BTreeMap::new())
    }

    /// Notes that all at and below a path is read.
    pub(crate) fn add<S: AsRef<str>>(&mut self, path: &[S]) {
        let Some((first, rest)) = path.split_first() else {
            *self = Self::All;
            return;
        };
        if let Self::Members(members) = self {
            members.entry(first.as_ref().to_owned()).or_insert_with(Self::nothing).add(rest);
        }
    }

    /// What is read of a member. None: nothing.
    pub(crate) fn member(&self, name: &str) -> Option<&Self> {
        match self {
            Self::All => Some(self),
            Self::Members(members) => members.get(name),
        }
    }

    /// Whether anything at, below or around a path is read.
    pub(crate) fn touches(&self, path: &[&str]) -> bool {
        match path.split_first() {
            None => true,
            Some((first, rest)) => self.member(first).is_some_and(|below| below.touches(rest)),
        }
    }

    /// The paths that are read, each from `start`.
    pub(crate) fn paths(&self, start: &str) -> Vec<String> {
        match self {
            Self::All => vec![start.to_owned()],
            Self::Members(members) => {
                members.iter().flat_map(|(name, below)| below.paths(&format!("{start}.{name}"))).collect()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Reads;

    #[test]
    fn the_shorter_of_two_paths_holds_the_longer() {
        let mut reads = Reads::nothing();
        assert!(!reads.touches(&["call"]) && reads.paths("input").is_empty());
        reads.add(&["call", "arguments", "key"]);
        reads.add(&["caller", "path"]);
        assert_eq!(reads.paths("input"), ["input.call.arguments.key", "input.caller.path"]);
        assert!(reads.touches(&["call", "arguments"]) && reads.touches(&["caller", "path", "0"]));
        assert!(!reads.touches(&["call", "method"]));
        reads.add(&["call"]);
        assert_eq!(reads.paths("input"), ["input.call", "input.caller.path"]);
        assert!(reads.touches(&["call", "method"]));
        reads.add::<&str>(&[]);
        assert_eq!(reads, Reads::All);
    }
}
