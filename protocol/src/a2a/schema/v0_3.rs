//! A2A 0.3: its JSON-RPC binding, whose types were JSON before they were protobuf. Members that ProtoJSON names
//! otherwise are what the `/v1` REST binding of that version sends.

use super::{Field, Kind, Message, field, list, message, of, one_of, text};

static FILE: Message = message(&[
    one_of(field(0, "bytes", Kind::Bytes)),
    one_of(text(0, "uri")),
    text(0, "mimeType"),
    text(0, "name"),
]);
static PART: Message = message(&[
    KIND,
    one_of(text(0, "text")),
    one_of(of(0, "file", &FILE)),
    one_of(field(0, "data", Kind::Struct)),
    field(0, "metadata", Kind::Struct),
]);
static MESSAGE: Message = message(&[
    KIND,
    text(0, "messageId"),
    text(0, "contextId"),
    text(0, "taskId"),
    text(0, "role"),
    list(of(0, "parts", &PART)),
    field(0, "metadata", Kind::Struct),
    list(text(0, "extensions")),
    list(text(0, "referenceTaskIds")),
]);
static AUTHENTICATION: Message = message(&[list(text(0, "schemes")), text(0, "credentials")]);
static PUSH: Message =
    message(&[text(0, "id"), text(0, "url"), text(0, "token"), of(0, "authentication", &AUTHENTICATION)]);
static CONFIGURATION: Message = message(&[
    list(text(0, "acceptedOutputModes")),
    of(0, "pushNotificationConfig", &PUSH),
    field(0, "historyLength", Kind::Int),
    field(0, "blocking", Kind::Bool),
]);
const KIND: Field = text(0, "kind");

pub(in crate::a2a) static SEND: Message = message(&[
    of(0, "message", &MESSAGE),
    of(0, "configuration", &CONFIGURATION),
    field(0, "metadata", Kind::Struct),
]);
pub(in crate::a2a) static GET_TASK: Message =
    message(&[text(0, "id"), field(0, "historyLength", Kind::Int), field(0, "metadata", Kind::Struct)]);
/// Cancel, resubscribe, and the list of a task's push configurations.
pub(in crate::a2a) static TASK_ID: Message = message(&[text(0, "id"), field(0, "metadata", Kind::Struct)]);
pub(in crate::a2a) static SET_PUSH: Message =
    message(&[text(0, "taskId"), of(0, "pushNotificationConfig", &PUSH)]);
pub(in crate::a2a) static ONE_PUSH: Message =
    message(&[text(0, "id"), text(0, "pushNotificationConfigId"), field(0, "metadata", Kind::Struct)]);
pub(in crate::a2a) static NOTHING: Message = message(&[]);

pub(in crate::a2a) mod rest {
    //! The `/v1` REST binding of A2A 0.3: the ProtoJSON of package `a2a.v1`, whose clients write a field by its JSON
    //! name or by its name in the `.proto` file.

    use super::super::{Kind, Message, ROLES, field, list, message, of, one_of, or, text};

    static FILE: Message = message(&[
        one_of(or(text(0, "fileWithUri"), "file_with_uri")),
        one_of(or(field(0, "fileWithBytes", Kind::Bytes), "file_with_bytes")),
        or(text(0, "mimeType"), "mime_type"),
        text(0, "name"),
    ]);
    static DATA: Message = message(&[field(0, "data", Kind::Struct)]);
    static PART: Message = message(&[
        one_of(text(0, "text")),
        one_of(of(0, "file", &FILE)),
        one_of(of(0, "data", &DATA)),
        field(0, "metadata", Kind::Struct),
    ]);
    static MESSAGE: Message = message(&[
        or(text(0, "messageId"), "message_id"),
        or(text(0, "contextId"), "context_id"),
        or(text(0, "taskId"), "task_id"),
        field(0, "role", Kind::Enum(&ROLES)),
        list(of(0, "content", &PART)),
        field(0, "metadata", Kind::Struct),
        list(text(0, "extensions")),
    ]);
    static AUTHENTICATION: Message = message(&[list(text(0, "schemes")), text(0, "credentials")]);
    static PUSH: Message =
        message(&[text(0, "id"), text(0, "url"), text(0, "token"), of(0, "authentication", &AUTHENTICATION)]);
    static CONFIGURATION: Message = message(&[
        or(list(text(0, "acceptedOutputModes")), "accepted_output_modes"),
        or(of(0, "pushNotification", &PUSH), "push_notification"),
        or(field(0, "historyLength", Kind::Int), "history_length"),
        field(0, "blocking", Kind::Bool),
    ]);
    static CONFIG: Message =
        message(&[text(0, "name"), or(of(0, "pushNotificationConfig", &PUSH), "push_notification_config")]);

    pub(in crate::a2a) static SEND: Message = message(&[
        or(of(0, "message", &MESSAGE), "request"),
        of(0, "configuration", &CONFIGURATION),
        field(0, "metadata", Kind::Struct),
    ]);
    pub(in crate::a2a) static CANCEL_TASK: Message = message(&[text(0, "name")]);
    /// Some clients send the configuration as the body, others the whole request.
    pub(in crate::a2a) static SET_PUSH: Message = message(&[
        text(0, "parent"),
        or(text(0, "configId"), "config_id"),
        one_of(of(0, "config", &CONFIG)),
        text(0, "name"),
        one_of(or(of(0, "pushNotificationConfig", &PUSH), "push_notification_config")),
    ]);
}
