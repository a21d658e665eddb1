//! The stable code of a denial: the only thing about it that may leave the gateway.

use std::borrow::Cow;
use std::fmt;

/// Characters that a reason may have at most.
const CHARACTERS_MAX: usize = 64;

/// A denial's code: `[a-z0-9_]{1,64}`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Reason(Cow<'static, str>);

impl Reason {
    /// No package answers, `allow` isn't true, or the thing isn't visible: one code, so that they look the same.
    pub const NOT_ALLOWED: Self = Self(Cow::Borrowed("not_allowed"));
    /// The policy failed to decide: a built-in's error, a value of the wrong type, a reason that is none.
    pub const POLICY_ERROR: Self = Self(Cow::Borrowed("policy_error"));
    /// The time for the question was spent before an answer.
    pub const POLICY_BUDGET: Self = Self(Cow::Borrowed("policy_budget"));
    /// The call would be allowed with scopes that the subject lacks.
    pub const INSUFFICIENT_SCOPE: Self = Self(Cow::Borrowed("insufficient_scope"));
    /// The policy sets a condition that the gateway doesn't know.
    pub const UNKNOWN_OBLIGATION: Self = Self(Cow::Borrowed("unknown_obligation"));

    /// Reads a reason that a policy gave; none if it isn't of the form.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let formed = (1..=CHARACTERS_MAX).contains(&text.len())
            && text.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_'));
        formed.then(|| Self(Cow::Owned(text.to_owned())))
    }

    /// The code.
    pub fn code(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

#[cfg(test)]
mod tests {
    use super::Reason;

    #[test]
    fn a_reason_is_lower_case_letters_digits_and_underscores() {
        assert!(Reason::parse("outside_office_hours_2").is_some());
        for text in ["", "Outside", "outside hours", "outside-hours", "außen", "a\n"] {
            assert_eq!(Reason::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn a_reason_has_64_characters_at_most() {
        assert!(Reason::parse(&"a".repeat(64)).is_some());
        assert!(Reason::parse(&"a".repeat(65)).is_none());
    }
}
