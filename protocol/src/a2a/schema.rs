//! What A2A's messages hold, as tables. One table serves all bindings of a version: the protobuf reader ([`super::wire`])
//! and the check of JSON ([`super::shape`]) both read it, so that a member which isn't here is refused in each of them;
//! for a card, [`super::card`] does.
//!
//! Names are those of ProtoJSON, numbers those of `a2a.proto` (A2A 1.0.1, package `lf.a2a.v1`).

mod card;
pub(super) mod v0_3;

pub(super) use card::CARD;

/// A message and its fields.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) fields: &'static [Field],
}

/// A field.
#[derive(Clone, Copy, Debug)]
pub(super) struct Field {
    /// Its number on the protobuf wire; 0 where a message is only ever JSON.
    pub(super) number: u32,
    /// Its name in JSON.
    pub(super) name: &'static str,
    /// Another name that JSON may have it under; empty where there is none.
    pub(super) alias: &'static str,
    pub(super) kind: Kind,
    /// A list of such values.
    pub(super) repeated: bool,
    /// Of the fields of a message that are marked so, one may be there.
    pub(super) one_of: bool,
    /// proto3's `optional`: its default says something too, where it is written.
    pub(super) optional: bool,
}

/// What a field holds.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    /// `string`.
    Text,
    /// `bytes`: base64 in JSON.
    Bytes,
    /// `bool`.
    Bool,
    /// `int32`.
    Int,
    /// An enum, its names by number from 0.
    Enum(&'static [&'static str]),
    /// `google.protobuf.Struct`: an object.
    Struct,
    /// `google.protobuf.Value`: anything.
    Value,
    /// `google.protobuf.Timestamp`: RFC 3339 in JSON.
    Timestamp,
    /// Another message.
    Message(&'static Message),
    /// `map<string, …>`: an object of such values.
    Map(&'static Kind),
}

impl Message {
    /// The field of a JSON member.
    pub(super) fn named(&self, name: &str) -> Option<&'static Field> {
        self.fields
            .iter()
            .find(|field| field.name == name || (!field.alias.is_empty() && field.alias == name))
    }

    /// The field of a number.
    pub(super) fn numbered(&self, number: u32) -> Option<&'static Field> {
        self.fields.iter().find(|field| field.number == number)
    }
}

const fn field(number: u32, name: &'static str, kind: Kind) -> Field {
    Field { number, name, alias: "", kind, repeated: false, one_of: false, optional: false }
}

const fn text(number: u32, name: &'static str) -> Field {
    field(number, name, Kind::Text)
}

const fn list(field: Field) -> Field {
    Field { repeated: true, ..field }
}

const fn one_of(field: Field) -> Field {
    Field { one_of: true, ..field }
}

const fn optional(field: Field) -> Field {
    Field { optional: true, ..field }
}

const fn or(field: Field, alias: &'static str) -> Field {
    Field { alias, ..field }
}

const fn of(number: u32, name: &'static str, message: &'static Message) -> Field {
    field(number, name, Kind::Message(message))
}

const fn message(fields: &'static [Field]) -> Message {
    Message { fields }
}

/// `TaskState`, by number.
pub(super) static STATES: [&str; 9] = [
    "TASK_STATE_UNSPECIFIED",
    "TASK_STATE_SUBMITTED",
    "TASK_STATE_WORKING",
    "TASK_STATE_COMPLETED",
    "TASK_STATE_FAILED",
    "TASK_STATE_CANCELED",
    "TASK_STATE_INPUT_REQUIRED",
    "TASK_STATE_REJECTED",
    "TASK_STATE_AUTH_REQUIRED",
];
/// `Role`, by number.
pub(super) static ROLES: [&str; 3] = ["ROLE_UNSPECIFIED", "ROLE_USER", "ROLE_AGENT"];

static PART: Message = message(&[
    one_of(text(1, "text")),
    one_of(field(2, "raw", Kind::Bytes)),
    one_of(text(3, "url")),
    one_of(field(4, "data", Kind::Value)),
    field(5, "metadata", Kind::Struct),
    text(6, "filename"),
    text(7, "mediaType"),
]);
static MESSAGE: Message = message(&[
    text(1, "messageId"),
    text(2, "contextId"),
    text(3, "taskId"),
    field(4, "role", Kind::Enum(&ROLES)),
    list(of(5, "parts", &PART)),
    field(6, "metadata", Kind::Struct),
    list(text(7, "extensions")),
    list(text(8, "referenceTaskIds")),
]);
static AUTHENTICATION: Message = message(&[text(1, "scheme"), text(2, "credentials")]);
/// Also the request of `CreateTaskPushNotificationConfig`.
pub(super) static PUSH_CONFIG: Message = message(&[
    text(1, "tenant"),
    text(2, "id"),
    text(3, "taskId"),
    text(4, "url"),
    text(5, "token"),
    of(6, "authentication", &AUTHENTICATION),
]);
/// Where a push configuration stands in the configuration of a message.
pub(super) const PUSH_IN_CONFIGURATION: u32 = 2;
static CONFIGURATION: Message = message(&[
    list(text(1, "acceptedOutputModes")),
    of(PUSH_IN_CONFIGURATION, "taskPushNotificationConfig", &PUSH_CONFIG),
    field(3, "historyLength", Kind::Int),
    field(4, "returnImmediately", Kind::Bool),
]);

/// `SendMessage` and `SendStreamingMessage`.
pub(super) static SEND: Message = message(&[
    text(1, "tenant"),
    of(2, "message", &MESSAGE),
    of(3, "configuration", &CONFIGURATION),
    field(4, "metadata", Kind::Struct),
]);
pub(super) static GET_TASK: Message =
    message(&[text(1, "tenant"), text(2, "id"), field(3, "historyLength", Kind::Int)]);
pub(super) static LIST_TASKS: Message = message(&[
    text(1, "tenant"),
    text(2, "contextId"),
    field(3, "status", Kind::Enum(&STATES)),
    field(4, "pageSize", Kind::Int),
    text(5, "pageToken"),
    field(6, "historyLength", Kind::Int),
    field(7, "statusTimestampAfter", Kind::Timestamp),
    field(8, "includeArtifacts", Kind::Bool),
]);
pub(super) static CANCEL_TASK: Message =
    message(&[text(1, "tenant"), text(2, "id"), field(3, "metadata", Kind::Struct)]);
pub(super) static SUBSCRIBE: Message = message(&[text(1, "tenant"), text(2, "id")]);
/// One push configuration of a task: to get it, and to delete it.
pub(super) static ONE_PUSH_CONFIG: Message = message(&[text(1, "tenant"), text(2, "taskId"), text(3, "id")]);
pub(super) static LIST_PUSH_CONFIGS: Message =
    message(&[text(1, "taskId"), field(2, "pageSize", Kind::Int), text(3, "pageToken"), text(4, "tenant")]);
pub(super) static EXTENDED_CARD: Message = message(&[text(1, "tenant")]);

static STATUS: Message = message(&[
    field(1, "state", Kind::Enum(&STATES)),
    of(2, "message", &MESSAGE),
    field(3, "timestamp", Kind::Timestamp),
]);
static ARTIFACT: Message = message(&[
    text(1, "artifactId"),
    text(2, "name"),
    text(3, "description"),
    list(of(4, "parts", &PART)),
    field(5, "metadata", Kind::Struct),
    list(text(6, "extensions")),
]);
/// What `GetTask` and `CancelTask` answer.
pub(super) static TASK: Message = message(&[
    text(1, "id"),
    text(2, "contextId"),
    of(3, "status", &STATUS),
    list(of(4, "artifacts", &ARTIFACT)),
    list(of(5, "history", &MESSAGE)),
    field(6, "metadata", Kind::Struct),
]);
static STATUS_UPDATE: Message = message(&[
    text(1, "taskId"),
    text(2, "contextId"),
    of(3, "status", &STATUS),
    field(4, "metadata", Kind::Struct),
]);
static ARTIFACT_UPDATE: Message = message(&[
    text(1, "taskId"),
    text(2, "contextId"),
    of(3, "artifact", &ARTIFACT),
    field(4, "append", Kind::Bool),
    field(5, "lastChunk", Kind::Bool),
    field(6, "metadata", Kind::Struct),
]);
/// What `SendMessage` answers, and each event of a stream.
pub(super) static EVENT: Message = message(&[
    one_of(of(1, "task", &TASK)),
    one_of(of(2, "message", &MESSAGE)),
    one_of(of(3, "statusUpdate", &STATUS_UPDATE)),
    one_of(of(4, "artifactUpdate", &ARTIFACT_UPDATE)),
]);
/// What `ListTasks` answers.
pub(super) static TASKS: Message = message(&[
    list(of(1, "tasks", &TASK)),
    text(2, "nextPageToken"),
    field(3, "pageSize", Kind::Int),
    field(4, "totalSize", Kind::Int),
]);
/// What `ListTaskPushNotificationConfigs` answers.
pub(super) static PUSH_CONFIGS: Message =
    message(&[list(of(1, "configs", &PUSH_CONFIG)), text(2, "nextPageToken")]);
/// What `DeleteTaskPushNotificationConfig` answers.
pub(super) static EMPTY: Message = message(&[]);
