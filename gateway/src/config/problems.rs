//! All the mistakes of a configuration, each with its path and the fix, instead of the first.

use std::fmt;
use std::ops::RangeInclusive;
use std::time::Duration;

/// One mistake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where, as `servers.s3.url`.
    pub path: String,
    /// What is wrong.
    pub wrong: String,
    /// What to write instead.
    pub fix: String,
}

/// The mistakes found so far.
#[derive(Debug, Default)]
pub struct Problems(Vec<Problem>);

impl Problems {
    /// Notes a mistake.
    pub fn add(&mut self, path: impl Into<String>, wrong: impl fmt::Display, fix: impl fmt::Display) {
        self.0.push(Problem { path: path.into(), wrong: wrong.to_string(), fix: fix.to_string() });
    }

    /// Parses text, or notes why not.
    pub fn parse<T: std::str::FromStr>(&mut self, path: &str, text: &str, fix: &str) -> Option<T>
    where
        T::Err: fmt::Display,
    {
        text.parse().map_err(|error: T::Err| self.add(path, format!("{text:?}: {error}"), fix)).ok()
    }

    /// Unwraps a result, or notes its error and the errors behind it.
    pub fn take<T, E: std::error::Error>(
        &mut self,
        path: &str,
        result: Result<T, E>,
        fix: &str,
    ) -> Option<T> {
        result.map_err(|error| self.add(path, chain(&error), fix)).ok()
    }

    /// A duration like `250ms`, `30s`, `5m`, `1h`, within a range; `default` where nothing is written.
    pub fn duration(
        &mut self,
        path: &str,
        text: Option<&str>,
        default: Duration,
        range: RangeInclusive<Duration>,
    ) -> Duration {
        let Some(text) = text else { return default };
        match parse_duration(text) {
            Some(found) if range.contains(&found) => found,
            Some(_) => self.out_of_range(
                path,
                text,
                format!("{:?}", range.start()),
                format!("{:?}", range.end()),
                default,
            ),
            None => {
                self.add(
                    path,
                    format!("{text:?} is not a duration"),
                    "write a number and a unit, as 250ms, 30s, 5m or 1h",
                );
                default
            }
        }
    }

    /// A number within a range; `default` where nothing is written.
    pub fn number(
        &mut self,
        path: &str,
        found: Option<u64>,
        default: usize,
        range: RangeInclusive<usize>,
    ) -> usize {
        let Some(found) = found else { return default };
        match usize::try_from(found) {
            Ok(number) if range.contains(&number) => number,
            _ => self.out_of_range(
                path,
                &found.to_string(),
                range.start().to_string(),
                range.end().to_string(),
                default,
            ),
        }
    }

    fn out_of_range<T>(&mut self, path: &str, found: &str, least: String, most: String, default: T) -> T {
        self.add(path, format!("{found} is out of range"), format!("choose between {least} and {most}"));
        default
    }

    /// All of them.
    pub fn into_vec(self) -> Vec<Problem> {
        self.0
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}\n    fix: {}", self.path, self.wrong, self.fix)
    }
}

/// An error with the errors behind it, on one line.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        next = cause.source();
    }
    text
}

fn parse_duration(text: &str) -> Option<Duration> {
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = text.split_at_checked(digits)?;
    let number: u64 = number.parse().ok()?;
    match unit {
        "ms" => Some(Duration::from_millis(number)),
        "s" => Some(Duration::from_secs(number)),
        "m" => number.checked_mul(60).map(Duration::from_secs),
        "h" => number.checked_mul(3600).map(Duration::from_secs),
        _ => None,
    }
}
