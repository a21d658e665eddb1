//! One mapping of the file: each key is asked for by name, and what nobody asked for is a mistake, like everything else that
//! is not as it should be. Nothing ends the reading, so all mistakes come at once.

use serde_json::{Map, Value};
use std::ops::RangeInclusive;
use std::time::Duration;

/// What is wrong so far.
#[derive(Debug, Default)]
pub(super) struct Problems(pub(super) Vec<String>);

impl Problems {
    pub(super) fn add(&mut self, path: &str, what: impl std::fmt::Display) {
        self.0.push(format!("  {path}: {what}"));
    }
}

pub(super) struct Section<'v> {
    path: String,
    members: &'v Map<String, Value>,
    asked: Vec<&'static str>,
}

impl<'v> Section<'v> {
    /// A mapping at a path.
    pub(super) fn new(path: String, value: &'v Value, problems: &mut Problems) -> Option<Self> {
        let members = value.as_object();
        if members.is_none() {
            problems.add(&path, "give a mapping of keys to values");
        }
        Some(Self { path, members: members?, asked: Vec::new() })
    }

    pub(super) fn at(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    /// The value of a key; `null` is none.
    pub(super) fn get(&mut self, key: &'static str) -> Option<&'v Value> {
        self.asked.push(key);
        self.members.get(key).filter(|value| !value.is_null())
    }

    /// A value that a key has to have.
    pub(super) fn needed<T>(
        &self,
        key: &str,
        value: Option<T>,
        what: &str,
        problems: &mut Problems,
    ) -> Option<T> {
        if value.is_none() && self.members.get(key).is_none_or(Value::is_null) {
            problems.add(&self.at(key), format_args!("missing; give {what}"));
        }
        value
    }

    pub(super) fn text(&mut self, key: &'static str, problems: &mut Problems) -> Option<&'v str> {
        let value = self.get(key)?;
        let text = value.as_str().filter(|text| !text.is_empty());
        if text.is_none() {
            problems.add(&self.at(key), "give a text");
        }
        text
    }

    /// A text of which `parse` makes something.
    pub(super) fn parsed<T, E: std::fmt::Display>(
        &mut self,
        key: &'static str,
        problems: &mut Problems,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        let text = self.text(key, problems)?;
        parse(text).map_err(|error| problems.add(&self.at(key), error)).ok()
    }

    pub(super) fn flag(&mut self, key: &'static str, default: bool, problems: &mut Problems) -> bool {
        let Some(value) = self.get(key) else { return default };
        if !value.is_boolean() {
            problems.add(&self.at(key), "give true or false");
        }
        value.as_bool().unwrap_or(default)
    }

    pub(super) fn count(
        &mut self,
        key: &'static str,
        default: u64,
        range: RangeInclusive<u64>,
        problems: &mut Problems,
    ) -> usize {
        let number = match self.get(key) {
            None => Some(default),
            Some(value) => value.as_u64().filter(|number| range.contains(number)),
        };
        if number.is_none() {
            problems.add(
                &self.at(key),
                format_args!("give a whole number from {} to {}", range.start(), range.end()),
            );
        }
        usize::try_from(number.unwrap_or(default)).unwrap_or(usize::MAX)
    }

    pub(super) fn millis(&mut self, key: &'static str, default: u64, problems: &mut Problems) -> Duration {
        Duration::from_millis(self.count(key, default, 1..=3_600_000, problems) as u64)
    }

    pub(super) fn amount(&mut self, key: &'static str, problems: &mut Problems) -> Option<f64> {
        let value = self.get(key)?;
        let amount = value.as_f64().filter(|amount| (0.0..=1e9).contains(amount));
        if amount.is_none() {
            problems.add(&self.at(key), "give a number from 0 to 1,000,000,000");
        }
        amount
    }

    /// The items of a list that must not be empty.
    pub(super) fn list(&mut self, key: &'static str, problems: &mut Problems) -> &'v [Value] {
        let items = self.get(key).and_then(Value::as_array).filter(|items| !items.is_empty());
        if items.is_none() {
            problems.add(&self.at(key), "give a list with at least one item");
        }
        items.map_or(&[], Vec::as_slice)
    }

    /// Keys that nobody asked for.
    pub(super) fn done(self, problems: &mut Problems) {
        for name in self.members.keys().filter(|name| !self.asked.contains(&name.as_str())) {
            let known = self.asked.join(", ");
            problems.add(&self.at(name), format_args!("there is no such key here; there are {known}"));
        }
    }
}
