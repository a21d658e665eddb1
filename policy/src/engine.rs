//! Asks the Rego engine, under one budget for all that one question asks, and tells undefined from an error.

use std::collections::BTreeSet;
use std::num::NonZeroU32;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant, SystemTime};

use regorus::utils::limits::ExecutionTimerConfig;
use regorus::{Engine, LimitError, Value};
use serde::Serialize;

use crate::bundle;

/// Steps of the evaluator between two looks at the clock.
const STEPS_BETWEEN_CHECKS: NonZeroU32 = NonZeroU32::MIN.saturating_add(31);

/// Why a rule has no answer. An undefined rule has one: [`Value::Undefined`].
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The time for the question is spent.
    Budget,
    /// The evaluator's own words; for the audit only.
    Error(String),
}

/// Why `PolicySet::eval` has no result.
#[derive(Debug, thiserror::Error)]
pub enum EvalError {
    /// The input can't be held, or the query fails.
    #[error("the query failed: {0}")]
    Query(String),
    /// The time for one question was spent.
    #[error("the query took more than its budget")]
    Budget,
}

impl From<Failure> for EvalError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Budget => Self::Budget,
            Failure::Error(text) => Self::Query(text),
        }
    }
}

/// One question's engine. All that is asked of it shares one deadline.
pub(crate) struct Asker {
    engine: Engine,
    deadline: Instant,
}

impl Asker {
    /// A clone of the prepared engine; it shares modules and data with it.
    pub(crate) fn new(prepared: &Engine, evaluation: Duration) -> Result<Self, Failure> {
        let deadline = Instant::now().checked_add(evaluation);
        let deadline = deadline.ok_or_else(|| Failure::Error("the budget has no end".to_owned()))?;
        Ok(Self { engine: prepared.clone(), deadline })
    }

    /// Makes `time.now_ns()` say this time.
    pub(crate) fn set_clock(&mut self, now: SystemTime) -> Result<(), Failure> {
        bundle::set_clock(&mut self.engine, now).map_err(Failure::Error)
    }

    /// What the next rules see as `input`.
    pub(crate) fn set_input(&mut self, input: Value) {
        self.engine.set_input(input);
    }

    /// The value of a rule that is known to exist, by its canonical path.
    pub(crate) fn rule(&mut self, path: &str) -> Result<Value, Failure> {
        self.within_budget(|engine| {
            engine.eval_rule(path.to_owned()).map_err(|error| match error.downcast_ref::<LimitError>() {
                Some(LimitError::TimeLimitExceeded { .. }) => Failure::Budget,
                _ => Failure::Error(format!("{error:#}")),
            })
        })
    }

    /// The value of a query's last expression.
    pub(crate) fn query(&mut self, query: &str) -> Result<Value, Failure> {
        self.within_budget(|engine| {
            let results = engine.eval_query(query.to_owned(), false);
            let results = results.map_err(|error| match error.downcast_ref::<LimitError>() {
                Some(LimitError::TimeLimitExceeded { .. }) => Failure::Budget,
                _ => Failure::Error(format!("{error:#}")),
            })?;
            let last = results.result.first().and_then(|result| result.expressions.last());
            Ok(last.map_or(Value::Undefined, |expression| expression.value.clone()))
        })
    }

    fn within_budget<T>(
        &mut self,
        ask: impl FnOnce(&mut Engine) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let limit = self.deadline.saturating_duration_since(Instant::now());
        if limit.is_zero() {
            return Err(Failure::Budget);
        }
        let config = ExecutionTimerConfig { limit, check_interval: STEPS_BETWEEN_CHECKS };
        self.engine.set_execution_timer_config(config);
        let engine = &mut self.engine;
        // A built-in that panics must not end the caller's task; the engine is this question's own.
        let answer = catch_unwind(AssertUnwindSafe(|| ask(engine)))
            .unwrap_or_else(|_| Err(Failure::Error("the evaluator panicked".to_owned())));
        // The evaluator looks at the clock between steps only, and an error inside of a function loses its kind.
        if Instant::now() >= self.deadline { Err(Failure::Budget) } else { answer }
    }
}

/// The engine's form of any document.
pub(crate) fn document<D: Serialize>(document: &D) -> Result<Value, String> {
    let json = serde_json::to_value(document).map_err(|error| error.to_string())?;
    value(&json).map_err(|failure| EvalError::from(failure).to_string())
}

/// The same input with more scopes of the subject, if there is one.
pub(crate) fn with_scopes(input: &Value, more: &BTreeSet<String>) -> Value {
    let mut granted = input.clone();
    if let Ok(input) = granted.as_object_mut()
        && let Some(subject) = input.get_mut(&Value::from("subject"))
        && let Ok(subject) = subject.as_object_mut()
    {
        let has = subject.get(&Value::from("scopes")).and_then(|scopes| scopes.as_array().ok());
        let mut scopes: BTreeSet<Value> =
            has.map(|scopes| scopes.iter().cloned()).into_iter().flatten().collect();
        scopes.extend(more.iter().map(|scope| Value::from(scope.as_str())));
        subject.insert(Value::from("scopes"), Value::from(scopes.into_iter().collect::<Vec<_>>()));
    }
    granted
}

/// The engine's form of a JSON document: every object an object, every number exact or refused.
pub(crate) fn value(json: &serde_json::Value) -> Result<Value, Failure> {
    Ok(match json {
        serde_json::Value::Null => Value::Null,
        serde_json::Value::Bool(bool) => Value::from(*bool),
        serde_json::Value::String(text) => Value::from(text.as_str()),
        serde_json::Value::Number(number) => match (number.as_u64(), number.as_i64()) {
            (Some(number), _) => Value::from(number),
            (None, Some(number)) => Value::from(number),
            (None, None) => Value::from_json_str(&number.to_string())
                .map_err(|error| Failure::Error(error.to_string()))?,
        },
        serde_json::Value::Array(items) => {
            Value::from(items.iter().map(value).collect::<Result<Vec<_>, _>>()?)
        }
        serde_json::Value::Object(fields) => {
            let mut object = Value::new_object();
            let inner = object.as_object_mut().map_err(|error| Failure::Error(error.to_string()))?;
            for (key, field) in fields {
                inner.insert(Value::from(key.as_str()), value(field)?);
            }
            object
        }
    })
}

/// The same input without `call.arguments`, as a list has it.
pub(crate) fn without_arguments(input: &Value) -> Value {
    let mut stripped = input.clone();
    if let Ok(input) = stripped.as_object_mut()
        && let Some(call) = input.get_mut(&Value::from("call"))
        && let Ok(call) = call.as_object_mut()
    {
        call.remove(&Value::from("arguments"));
    }
    stripped
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test ends by panicking")]

    use regorus::Value;
    use serde_json::json;

    use super::{value, without_arguments};

    #[test]
    fn an_object_whose_key_serde_uses_itself_stays_an_object() {
        let converted = value(&json!({"$serde_json::private::Number": "7"})).unwrap();
        assert!(converted.as_object().unwrap().get(&Value::from("$serde_json::private::Number")).is_some());
    }

    #[test]
    fn numbers_keep_their_value() {
        let numbers = json!([u64::MAX, i64::MIN, 0.1, -3]);
        let text = value(&numbers).unwrap().to_json_str().unwrap();
        assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap(), numbers);
    }

    #[test]
    fn only_the_arguments_are_taken_away() {
        let input = value(&json!({"call": {"arguments": {"a": 1}, "server": "s3"}, "arguments": 1})).unwrap();
        let left = value(&json!({"call": {"server": "s3"}, "arguments": 1})).unwrap();
        assert_eq!(without_arguments(&input), left);
        assert_ne!(input, left);
    }
}
