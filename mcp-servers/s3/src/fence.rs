//! Which part of a bucket is served: everything, or what lies below some prefixes. Every object that a tool names is held
//! against it, and every list begins within it.

use crate::name::{Bucket, Key, NameError, Prefix};
use std::borrow::Cow;

/// Prefixes that objects must begin with, sorted and none within another. There is one at least.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fence(Cow<'static, [Prefix]>);

impl Fence {
    /// No fence: the empty prefix, which begins every key.
    pub const fn everything() -> Self {
        const EVERYTHING: &[Prefix] = &[Prefix::empty()];
        Self(Cow::Borrowed(EVERYTHING))
    }

    /// What is below a path of whole segments, as in `team-a/reports`. A slash at its end changes nothing.
    ///
    /// # Errors
    /// [`NameError`] names the first rule that it breaks.
    pub fn below(path: &str) -> Result<Self, NameError> {
        let path = Key::parse(path.strip_suffix('/').unwrap_or(path))?;
        Ok(Self(Cow::Owned(vec![Prefix::parse(&format!("{path}/"))?])))
    }

    /// What either of the two lets through.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        let mut both = [self.0.into_owned(), other.0.into_owned()].concat();
        both.sort_by(|a, b| a.as_str().cmp(b.as_str()));
        // The one that begins the other comes first.
        both.dedup_by(|later, first| later.as_str().starts_with(first.as_str()));
        Self(Cow::Owned(both))
    }

    /// Whether an object is served.
    pub fn admits(&self, key: &Key) -> bool {
        self.0.iter().any(|prefix| key.as_str().starts_with(prefix.as_str()))
    }

    /// What is left of a prefix that somebody asks for, in the order of keys; nothing if it is outside.
    pub fn within(&self, asked: &Prefix) -> Vec<Prefix> {
        if self.0.iter().any(|fence| asked.as_str().starts_with(fence.as_str())) {
            return vec![asked.clone()];
        }
        self.0.iter().filter(|fence| fence.as_str().starts_with(asked.as_str())).cloned().collect()
    }

    /// As an operator wrote it, for messages: `public/`, or `public/ or reports/`.
    pub fn told(&self) -> String {
        self.0.iter().map(Prefix::as_str).collect::<Vec<_>>().join(" or ")
    }
}

/// Reads `bucket` or `bucket/prefix`.
///
/// # Errors
/// [`NameError`] of the bucket or of the prefix.
pub(crate) fn served(text: &str) -> Result<(Bucket, Fence), NameError> {
    match text.split_once('/') {
        None | Some((_, "")) => Ok((Bucket::parse(text.trim_end_matches('/'))?, Fence::everything())),
        Some((bucket, path)) => Ok((Bucket::parse(bucket)?, Fence::below(path)?)),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test ends by panicking")]
    use super::*;

    fn within(fence: &Fence, asked: &str) -> Vec<String> {
        fence.within(&Prefix::parse(asked).unwrap()).iter().map(|p| p.as_str().to_owned()).collect()
    }

    #[test]
    fn a_fence_is_of_whole_segments() {
        let fence = Fence::below("team/a").unwrap();
        for (key, admitted) in [
            ("team/a/x", true),
            ("team/a/b/x", true),
            ("team/a", false),
            ("team/ab/x", false),
            ("team/x", false),
            ("other", false),
        ] {
            assert_eq!(fence.admits(&Key::parse(key).unwrap()), admitted, "{key}");
        }
        assert!(Fence::everything().admits(&Key::parse("any/thing").unwrap()));
        for wrong in ["", "/", "a//b", "../a", "a/..", "a\\b", "%2e%2e", "/a"] {
            assert!(Fence::below(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_list_begins_within_it() {
        let fence = Fence::below("team/b").unwrap().or(Fence::below("team/a/").unwrap());
        assert_eq!(within(&fence, ""), ["team/a/", "team/b/"]);
        assert_eq!(within(&fence, "team/"), ["team/a/", "team/b/"]);
        assert_eq!(within(&fence, "team/a"), ["team/a/"]);
        assert_eq!(within(&fence, "team/a/x"), ["team/a/x"]);
        assert_eq!(within(&fence, "team/ab"), Vec::<String>::new());
        assert_eq!(within(&fence, "other"), Vec::<String>::new());
        assert_eq!(within(&Fence::everything(), "x"), ["x"]);
    }

    #[test]
    fn a_fence_within_another_adds_nothing() {
        let fence = Fence::below("a/b").unwrap().or(Fence::below("a").unwrap());
        assert_eq!(fence, Fence::below("a").unwrap());
        assert_eq!(fence.or(Fence::everything()), Fence::everything());
    }

    #[test]
    fn a_bucket_may_have_a_prefix() {
        assert_eq!(served("demo").unwrap().1, Fence::everything());
        assert_eq!(served("demo/").unwrap().1, Fence::everything());
        assert_eq!(served("demo/public/").unwrap().1, Fence::below("public").unwrap());
        for wrong in ["", "/", "Demo", "demo//x", "demo/../x", "demo/x/../y"] {
            assert!(served(wrong).is_err(), "{wrong:?}");
        }
    }
}
