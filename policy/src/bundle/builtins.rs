//! Which built-in functions a policy may call. What the engine lacks, what reaches outside and what no budget can
//! bound is refused by name when the set loads: the engine would leave some of it silently undefined.

use std::time::SystemTime;

use regorus::{Engine, Value};

/// Numbers that `numbers.range` and `numbers.range_step` give at most.
const RANGE_MAX: usize = 10_000;

/// Why a built-in is refused, and what to use in its place.
pub(crate) struct Refused {
    pub(crate) why: &'static str,
    pub(crate) fix: &'static str,
}

const OUTSIDE: &str = "reaches outside of the policy engine";
const ENDLESS: &str = "can take more time or memory than any budget bounds";
const LACKING: &str = "is not in this engine";

/// Says why a name may not be called. None: no rule is against it, which doesn't mean that it exists.
pub(crate) fn refused(name: &str) -> Option<Refused> {
    let (why, fix) = match name {
        "http.send" | "net.lookup_ip_addr" => {
            (OUTSIDE, "put what it would fetch into data.json, or decide by the input")
        }
        "opa.runtime" => (OUTSIDE, "decide by the input and data.json"),
        "net.cidr_expand" => (ENDLESS, "use net.cidr_contains"),
        "graph.reachable_paths" => (ENDLESS, "use graph.reachable"),
        "units.parse" | "units.parse_bytes" => (ENDLESS, "use to_number and multiply"),
        "bits.lsh" => (ENDLESS, "multiply by a constant"),
        _ if name.starts_with("io.jwt.") => {
            (LACKING, "the gateway has verified the token: use input.subject")
        }
        _ if name.starts_with("rego.") => (LACKING, "remove the call"),
        _ if name.starts_with("crypto.") || name.starts_with("providers.") => {
            (LACKING, "decide by the input")
        }
        _ if name.starts_with("azure.") => (LACKING, "remove the call"),
        _ => return None,
    };
    Some(Refused { why, fix })
}

/// Whether the engine has a built-in of this name.
pub(crate) fn known(name: &str) -> bool {
    name == "print" || regorus::unstable::BUILTINS.contains_key(name)
}

/// Why one of our versions of a built-in gave no value.
#[derive(Debug, thiserror::Error)]
enum BuiltinError {
    #[error("wrong number of arguments")]
    Arguments,
    #[error("step must be a positive integer")]
    Step,
    #[error("a range has {RANGE_MAX} numbers at most")]
    Range,
}

/// Puts bounded versions in the place of built-ins that would take any amount of memory.
pub(crate) fn bound(engine: &mut Engine) -> Result<(), String> {
    let range = |args: Vec<Value>| match args.as_slice() {
        [from, to] => Ok(numbers(from.as_i64()?, to.as_i64()?, 1)?),
        _ => Err(BuiltinError::Arguments.into()),
    };
    let range_step = |args: Vec<Value>| match args.as_slice() {
        [from, to, step] => Ok(numbers(from.as_i64()?, to.as_i64()?, step.as_i64()?)?),
        _ => Err(BuiltinError::Arguments.into()),
    };
    engine
        .add_extension("numbers.range".to_owned(), 2, Box::new(range))
        .and_then(|()| engine.add_extension("numbers.range_step".to_owned(), 3, Box::new(range_step)))
        .map_err(|error| error.to_string())
}

/// The function whose answer is the time of the question.
pub(crate) const CLOCK: &str = "time.now_ns";

/// Whether a function's answer is another one each time.
pub(crate) fn varies(name: &str) -> bool {
    name == CLOCK || name.starts_with("rand.") || name.starts_with("uuid.")
}

/// Makes `time.now_ns()` say the time of the question.
pub(crate) fn set_clock(engine: &mut Engine, now: SystemTime) -> Result<(), String> {
    let since = now.duration_since(SystemTime::UNIX_EPOCH).map_err(|error| error.to_string())?;
    let nanoseconds = Value::from(since.as_nanos());
    let clock = move |_: Vec<Value>| Ok(nanoseconds.clone());
    engine.add_extension(CLOCK.to_owned(), 0, Box::new(clock)).map_err(|error| error.to_string())
}

/// The numbers from one bound to the other, both included, upward or downward.
fn numbers(from: i64, to: i64, step: i64) -> Result<Value, BuiltinError> {
    if step < 1 {
        return Err(BuiltinError::Step);
    }
    let signed = if from <= to { step } else { step.saturating_neg() };
    let mut values = Vec::new();
    let mut number = from;
    while (signed > 0 && number <= to) || (signed < 0 && number >= to) {
        if values.len() >= RANGE_MAX {
            return Err(BuiltinError::Range);
        }
        values.push(Value::from(number));
        match number.checked_add(signed) {
            Some(next) => number = next,
            None => break,
        }
    }
    Ok(Value::from(values))
}
