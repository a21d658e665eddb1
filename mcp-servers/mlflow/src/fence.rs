//! Which experiments and models there are for this server. To its callers the others do not exist.

/// Names, or beginnings of names, of what may be touched; no name at all is everything.
#[derive(Clone, Debug, Default)]
pub struct Fence {
    experiments: Vec<Pattern>,
    models: Vec<Pattern>,
}

#[derive(Clone, Debug, PartialEq)]
enum Pattern {
    Exactly(String),
    Beginning(String),
}

/// A name that can't be one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is neither a name nor the beginning of names with a * behind it")]
pub struct FenceError(String);

impl Fence {
    /// A fence of names, or of beginnings with a `*` behind them.
    ///
    /// # Errors
    /// [`FenceError`] for one that is empty or has a `*` elsewhere: a mistake here would be a wider fence.
    pub fn parse(experiments: &[String], models: &[String]) -> Result<Self, FenceError> {
        let all = |names: &[String]| names.iter().map(|name| Pattern::parse(name)).collect::<Result<_, _>>();
        Ok(Self { experiments: all(experiments)?, models: all(models)? })
    }

    /// Whether nothing is fenced off of the experiments: then nobody has to ask what a run's is called.
    pub(crate) fn is_open_to_experiments(&self) -> bool {
        self.experiments.is_empty()
    }

    pub(crate) fn has_experiment(&self, name: &str) -> bool {
        holds(&self.experiments, name)
    }

    pub(crate) fn has_model(&self, name: &str) -> bool {
        holds(&self.models, name)
    }
}

fn holds(patterns: &[Pattern], name: &str) -> bool {
    patterns.is_empty() || patterns.iter().any(|pattern| pattern.holds(name))
}

impl Pattern {
    fn parse(text: &str) -> Result<Self, FenceError> {
        let (name, beginning) = text.strip_suffix('*').map_or((text, false), |name| (name, true));
        if name.is_empty() || name.contains('*') || name.trim() != name {
            return Err(FenceError(text.to_owned()));
        }
        Ok(if beginning { Self::Beginning(name.to_owned()) } else { Self::Exactly(name.to_owned()) })
    }

    fn holds(&self, name: &str) -> bool {
        match self {
            Self::Exactly(exactly) => name == exactly,
            Self::Beginning(beginning) => name.starts_with(beginning),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test ends by panicking")]
    use super::*;

    #[test]
    fn a_fence_holds_names_and_beginnings_and_nothing_beside() {
        let fence = Fence::parse(&["demo".into(), "team-*".into()], &["fraud*".into()]).unwrap();
        for (name, within) in [
            ("demo", true),
            ("team-a", true),
            ("team-", true),
            ("demo2", false),
            ("Demo", false),
            ("team", false),
            ("my-team-a", false),
            ("", false),
        ] {
            assert_eq!(fence.has_experiment(name), within, "{name}");
        }
        assert!(fence.has_model("fraud-2") && !fence.has_model("demo") && !fence.is_open_to_experiments());
        assert!(Fence::default().has_model("x") && Fence::default().is_open_to_experiments());
        for wrong in ["", "*", "a*b", "**", " a", "a *"] {
            assert!(Fence::parse(&[wrong.into()], &[]).is_err(), "{wrong:?}");
        }
    }
}
