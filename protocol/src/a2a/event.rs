//! What an agent answers, as far as the gateway has to know it: whose task it is, in which state, how large its artifacts
//! are. The answer itself goes on as it came.

use super::read::{ID_BYTES_MAX, is_id};
use super::wire::{self, Reading};
use super::{Binding, Method, Version};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;

/// An answer, or one event of a stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Event {
    /// What it is.
    pub kind: EventKind,
    /// The task that it is about.
    pub task: Option<String>,
    /// Its context.
    pub context: Option<String>,
    /// The task's state, as 1.0 names it.
    pub state: Option<Cow<'static, str>>,
    /// When the state began; RFC 3339, as the agent says.
    pub since: Option<String>,
    /// Bytes of the artifacts in it, as JSON.
    pub artifact_bytes: usize,
}

/// What an answer is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EventKind {
    /// A task, whole.
    Task,
    /// A message.
    Message,
    /// A change of a task's state.
    Status,
    /// A part of a task's result.
    Artifact,
    /// An error of the agent.
    Error,
    /// Something that is about no task: a list, a configuration, nothing.
    #[default]
    Other,
}

/// Why nobody can say what an answer is.
#[derive(Debug, thiserror::Error)]
pub enum EventError {
    /// Not JSON of the binding; or a member that counts stands there twice.
    #[error("the answer is not one of the protocol")]
    Json(#[from] serde_json::Error),
    /// Not the method's message.
    #[error("the answer is not the method's message")]
    Wire(#[from] super::WireError),
    /// A task or a context whose id no call could name.
    #[error("the answer has an id that is too long, or can't stand in every binding")]
    Id,
    /// Several things at once, or none.
    #[error("the answer is several things at once, or none")]
    Kind,
    /// A push configuration that the caller never made here.
    #[error("the answer has a push configuration that is not the caller's")]
    Config,
}

/// Reads an answer: a body, the data of an SSE event, or a gRPC message without its frame.
///
/// # Errors
/// [`EventError`]: the answer can't go on, as nobody knows whose it is.
pub fn event(binding: Binding, version: Version, method: Method, bytes: &[u8]) -> Result<Event, EventError> {
    match binding {
        Binding::JsonRpc => {
            let answer: Answer<'_> = serde_json::from_slice(bytes)?;
            match (answer.result, answer.error) {
                (Some(result), None) => read(result.get(), version, method, version == Version::V0_3),
                (None, Some(_)) => Ok(Event { kind: EventKind::Error, ..Event::default() }),
                (None, None) => read("null", version, method, false), // Good for what is answered with nothing.
                (Some(_), Some(_)) => Err(EventError::Kind),
            }
        }
        Binding::HttpJson => {
            let text = std::str::from_utf8(bytes).map_err(|_| EventError::Kind)?;
            read(text, version, method, false)
        }
        Binding::Grpc => {
            let object =
                wire::object(bytes, method.row().answers, Reading { strict: false, depth_max: 128 })?;
            read(&serde_json::to_string(&object)?, version, method, false)
        }
    }
}

/// Reads it, and refuses ids that no call could name: what is kept, and said in records, has a bound.
pub(super) fn read(text: &str, version: Version, method: Method, tagged: bool) -> Result<Event, EventError> {
    let event = told(text, version, method, tagged)?;
    let fits = |id: &Option<String>| id.as_deref().is_none_or(|id| is_id(id, "id", ID_BYTES_MAX).is_ok());
    if fits(&event.task) && fits(&event.context) { Ok(event) } else { Err(EventError::Id) }
}

/// `tagged`: the thing stands there itself and says its `kind`, as in 0.3 over JSON-RPC.
fn told(text: &str, version: Version, method: Method, tagged: bool) -> Result<Event, EventError> {
    match method {
        Method::GetTask | Method::CancelTask => {
            let task: Thing<'_> = serde_json::from_str(text)?;
            Ok(task.into_task(version))
        }
        Method::SendMessage | Method::SendStreamingMessage | Method::SubscribeToTask if tagged => {
            let thing: Thing<'_> = serde_json::from_str(text)?;
            match thing.kind.as_deref() {
                Some("task") => Ok(thing.into_task(version)),
                Some("message") => Ok(thing.into_event(EventKind::Message, version)),
                Some("status-update") => Ok(thing.into_event(EventKind::Status, version)),
                Some("artifact-update") => Ok(thing.into_event(EventKind::Artifact, version)),
                _ => Err(EventError::Kind),
            }
        }
        Method::SendMessage | Method::SendStreamingMessage | Method::SubscribeToTask => {
            let held: Held<'_> = serde_json::from_str(text)?;
            match held {
                Held { task: Some(task), message: None, status_update: None, artifact_update: None } => {
                    Ok(task.into_task(version))
                }
                Held { task: None, message: Some(message), status_update: None, artifact_update: None } => {
                    Ok(message.into_event(EventKind::Message, version))
                }
                Held { task: None, message: None, status_update: Some(update), artifact_update: None } => {
                    Ok(update.into_event(EventKind::Status, version))
                }
                Held { task: None, message: None, status_update: None, artifact_update: Some(update) } => {
                    Ok(update.into_event(EventKind::Artifact, version))
                }
                _ => Err(EventError::Kind),
            }
        }
        Method::ListTasks
        | Method::CreateTaskPushNotificationConfig
        | Method::GetTaskPushNotificationConfig
        | Method::ListTaskPushNotificationConfigs
        | Method::DeleteTaskPushNotificationConfig
        | Method::GetExtendedAgentCard => Ok(Event::default()),
    }
}

#[derive(Deserialize)]
struct Answer<'a> {
    #[serde(borrow)]
    result: Option<&'a RawValue>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
}

/// One of them is there.
#[derive(Deserialize)]
struct Held<'a> {
    #[serde(borrow)]
    task: Option<Thing<'a>>,
    #[serde(borrow)]
    message: Option<Thing<'a>>,
    #[serde(borrow, rename = "statusUpdate")]
    status_update: Option<Thing<'a>>,
    #[serde(borrow, rename = "artifactUpdate")]
    artifact_update: Option<Thing<'a>>,
}

/// A task, a message or an update: what counts of them has the same names.
#[derive(Deserialize)]
struct Thing<'a> {
    #[serde(borrow)]
    kind: Option<Cow<'a, str>>,
    #[serde(borrow)]
    id: Option<Cow<'a, str>>,
    #[serde(borrow, rename = "taskId")]
    task: Option<Cow<'a, str>>,
    #[serde(borrow, rename = "contextId")]
    context: Option<Cow<'a, str>>,
    #[serde(borrow)]
    status: Option<Status<'a>>,
    #[serde(borrow)]
    artifact: Option<&'a RawValue>,
    #[serde(borrow)]
    artifacts: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Status<'a> {
    #[serde(borrow)]
    state: Option<Cow<'a, str>>,
    #[serde(borrow)]
    timestamp: Option<Cow<'a, str>>,
}

impl Thing<'_> {
    fn into_task(self, version: Version) -> Event {
        let task = filled(self.id.as_deref());
        Event { task, ..self.into_event(EventKind::Task, version) }
    }

    fn into_event(self, kind: EventKind, version: Version) -> Event {
        let state = self
            .status
            .as_ref()
            .and_then(|status| status.state.as_deref())
            .map(|state| named(state, version));
        let since = self.status.as_ref().and_then(|status| status.timestamp.as_deref()).map(str::to_owned);
        let bytes = [self.artifact, self.artifacts].into_iter().flatten().map(|raw| raw.get().len()).sum();
        let (task, context) = (filled(self.task.as_deref()), filled(self.context.as_deref()));
        Event { kind, task, context, state, since, artifact_bytes: bytes }
    }
}

fn filled(text: Option<&str>) -> Option<String> {
    text.filter(|text| !text.is_empty()).map(str::to_owned)
}

/// A state by its name in 1.0.
fn named(state: &str, version: Version) -> Cow<'static, str> {
    let today = match (version, state) {
        (Version::V0_3, "submitted") => "TASK_STATE_SUBMITTED",
        (Version::V0_3, "working") => "TASK_STATE_WORKING",
        (Version::V0_3, "completed") => "TASK_STATE_COMPLETED",
        (Version::V0_3, "failed") => "TASK_STATE_FAILED",
        (Version::V0_3, "canceled" | "TASK_STATE_CANCELLED") => "TASK_STATE_CANCELED",
        (Version::V0_3, "input-required") => "TASK_STATE_INPUT_REQUIRED",
        (Version::V0_3, "rejected") => "TASK_STATE_REJECTED",
        (Version::V0_3, "auth-required") => "TASK_STATE_AUTH_REQUIRED",
        (Version::V0_3, "unknown") => "TASK_STATE_UNSPECIFIED",
        (_, other) => {
            return super::schema::STATES
                .iter()
                .find(|known| **known == other)
                .map_or_else(|| Cow::Owned(other.chars().take(64).collect()), |known| Cow::Borrowed(*known));
        }
    };
    Cow::Borrowed(today)
}

impl Event {
    /// Whether the task is over, and won't change any more.
    pub fn is_final(&self) -> bool {
        self.state.as_deref().is_some_and(is_final)
    }
}

/// Whether a state is one that a task stays in (A2A 1.0 §4.1.3).
pub fn is_final(state: &str) -> bool {
    matches!(
        state,
        "TASK_STATE_COMPLETED" | "TASK_STATE_FAILED" | "TASK_STATE_CANCELED" | "TASK_STATE_REJECTED"
    )
}
