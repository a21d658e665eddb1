//! Under what conditions a permit holds: the policy's `obligations`, read strictly.
//! A condition that is not understood, or not of its type, is a denial: dropping it would widen the permit.

use std::num::NonZeroU64;
use std::time::Duration;

use regorus::Value;

/// How much of a call the audit keeps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AuditDetail {
    /// Digests of the arguments.
    #[default]
    Digest,
    /// The arguments themselves.
    Full,
}

/// To whom a task is there, beside its owner.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TaskOwners {
    /// To nobody.
    #[default]
    Principal,
    /// To every workload that calls for the same person.
    Subject,
}

/// What a policy demands of the gateway.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Obligations {
    /// Scopes to ask of the token service: sorted, none twice, never empty.
    pub(crate) scopes: Option<Vec<String>>,
    pub(crate) audience: Option<String>,
    pub(crate) ttl: Option<Duration>,
    pub(crate) audit: AuditDetail,
    pub(crate) tasks: TaskOwners,
    /// No condition, but what the call needs: those who touch several things at once are told all of it.
    pub(crate) needs_scopes: Vec<String>,
}

/// Why obligations can't be met.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ObligationError {
    #[error("obligations is undefined, which says nothing about the conditions")]
    Undefined,
    #[error("obligations is {0}, not an object")]
    NotAnObject(&'static str),
    #[error("there is no obligation {0}")]
    Unknown(String),
    #[error("obligation {name} must be {form}")]
    Form { name: &'static str, form: &'static str },
}

/// Reads the value of a package's rule `obligations`.
pub(crate) fn obligations(value: &Value) -> Result<Obligations, ObligationError> {
    let object = match value {
        Value::Undefined => return Err(ObligationError::Undefined),
        other => other.as_object().map_err(|_| ObligationError::NotAnObject(kind(other)))?,
    };
    let mut read = Obligations::default();
    for (name, value) in object.iter_sorted() {
        match name.as_string().map(|name| name.as_ref()) {
            Ok("scopes") => read.scopes = Some(scopes(value)?),
            Ok("audience") => read.audience = Some(audience(value)?),
            Ok("ttl_seconds") => read.ttl = Some(ttl(value)?),
            Ok("audit") => read.audit = audit(value)?,
            Ok("tasks") => read.tasks = tasks(value)?,
            _ => return Err(ObligationError::Unknown(name.to_string())),
        }
    }
    Ok(read)
}

fn scopes(value: &Value) -> Result<Vec<String>, ObligationError> {
    let form = ObligationError::Form { name: "scopes", form: "an array or set of scope tokens, not empty" };
    let items: Vec<&Value> = match value {
        Value::Array(items) => items.iter().collect(),
        Value::Set(items) => items.iter().collect(),
        _ => return Err(form),
    };
    let tokens: Option<Vec<String>> = items.into_iter().map(scope_token).collect();
    let mut tokens = tokens.filter(|tokens| !tokens.is_empty()).ok_or(form)?;
    tokens.sort();
    tokens.dedup();
    Ok(tokens)
}

/// A scope token: printable ASCII without space, `"` and `\` (RFC 6749 §3.3).
pub(crate) fn scope_token(value: &Value) -> Option<String> {
    let token = value.as_string().ok()?;
    let formed =
        !token.is_empty() && token.bytes().all(|byte| matches!(byte, 0x21 | 0x23..=0x5b | 0x5d..=0x7e));
    formed.then(|| token.to_string())
}

fn audience(value: &Value) -> Result<String, ObligationError> {
    match value.as_string() {
        Ok(audience) if !audience.is_empty() => Ok(audience.to_string()),
        _ => Err(ObligationError::Form { name: "audience", form: "a string, not empty" }),
    }
}

fn ttl(value: &Value) -> Result<Duration, ObligationError> {
    let seconds = value.as_u64().ok().and_then(NonZeroU64::new);
    let form = ObligationError::Form { name: "ttl_seconds", form: "a positive integer" };
    seconds.map(|seconds| Duration::from_secs(seconds.get())).ok_or(form)
}

fn audit(value: &Value) -> Result<AuditDetail, ObligationError> {
    match value.as_string().map(|text| text.as_ref()) {
        Ok("full") => Ok(AuditDetail::Full),
        Ok("digest") => Ok(AuditDetail::Digest),
        _ => Err(ObligationError::Form { name: "audit", form: "\"full\" or \"digest\"" }),
    }
}

fn tasks(value: &Value) -> Result<TaskOwners, ObligationError> {
    match value.as_string().map(|text| text.as_ref()) {
        Ok("principal") => Ok(TaskOwners::Principal),
        Ok("subject") => Ok(TaskOwners::Subject),
        _ => Err(ObligationError::Form { name: "tasks", form: "\"principal\" or \"subject\"" }),
    }
}

/// A value's type in words, for the audit.
pub(crate) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Set(_) => "a set",
        Value::Object(_) => "an object",
        Value::Undefined => "undefined",
    }
}
