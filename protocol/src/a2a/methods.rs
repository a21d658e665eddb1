//! A2A's operations: what each is called in every binding and version, what it takes, and what it answers.

use super::schema::{self, Message, v0_3};
use super::{Binding, Version};

/// An operation, by its name in A2A 1.0 (§5.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Method {
    /// A message; the answer is a message or a task.
    SendMessage,
    /// A message; the answer is a stream of events.
    SendStreamingMessage,
    /// A task's state.
    GetTask,
    /// The caller's tasks; not in 0.3.
    ListTasks,
    /// Ends a task.
    CancelTask,
    /// The events of a task from now on.
    SubscribeToTask,
    /// Has a task's events sent to a URL.
    CreateTaskPushNotificationConfig,
    /// One such configuration.
    GetTaskPushNotificationConfig,
    /// All of a task.
    ListTaskPushNotificationConfigs,
    /// Ends one.
    DeleteTaskPushNotificationConfig,
    /// The agent's card for those who are known to it.
    GetExtendedAgentCard,
}

/// A row of the table of operations.
#[derive(Clone, Copy, Debug)]
pub struct MethodRow {
    /// The operation.
    pub method: Method,
    /// Its name in 1.0, over JSON-RPC and gRPC.
    pub name: &'static str,
    /// Its name over JSON-RPC in 0.3; none if 0.3 doesn't have it.
    pub older: Option<&'static str>,
    /// Whether the answer is a stream.
    pub streams: bool,
    pub(super) takes: &'static Message,
    pub(super) older_takes: &'static Message,
    pub(super) answers: &'static Message,
}

use Method as M;

/// Every operation.
static METHODS: [MethodRow; 11] = [
    row(M::SendMessage, "SendMessage", Some("message/send"), &schema::SEND, &v0_3::SEND, &schema::EVENT),
    streaming(M::SendStreamingMessage, "SendStreamingMessage", "message/stream", &schema::SEND, &v0_3::SEND),
    row(M::GetTask, "GetTask", Some("tasks/get"), &schema::GET_TASK, &v0_3::GET_TASK, &schema::TASK),
    row(M::ListTasks, "ListTasks", None, &schema::LIST_TASKS, &v0_3::NOTHING, &schema::TASKS),
    row(
        M::CancelTask,
        "CancelTask",
        Some("tasks/cancel"),
        &schema::CANCEL_TASK,
        &v0_3::TASK_ID,
        &schema::TASK,
    ),
    streaming(M::SubscribeToTask, "SubscribeToTask", "tasks/resubscribe", &schema::SUBSCRIBE, &v0_3::TASK_ID),
    row(
        M::CreateTaskPushNotificationConfig,
        "CreateTaskPushNotificationConfig",
        Some("tasks/pushNotificationConfig/set"),
        &schema::PUSH_CONFIG,
        &v0_3::SET_PUSH,
        &schema::PUSH_CONFIG,
    ),
    row(
        M::GetTaskPushNotificationConfig,
        "GetTaskPushNotificationConfig",
        Some("tasks/pushNotificationConfig/get"),
        &schema::ONE_PUSH_CONFIG,
        &v0_3::ONE_PUSH,
        &schema::PUSH_CONFIG,
    ),
    row(
        M::ListTaskPushNotificationConfigs,
        "ListTaskPushNotificationConfigs",
        Some("tasks/pushNotificationConfig/list"),
        &schema::LIST_PUSH_CONFIGS,
        &v0_3::TASK_ID,
        &schema::PUSH_CONFIGS,
    ),
    row(
        M::DeleteTaskPushNotificationConfig,
        "DeleteTaskPushNotificationConfig",
        Some("tasks/pushNotificationConfig/delete"),
        &schema::ONE_PUSH_CONFIG,
        &v0_3::ONE_PUSH,
        &schema::EMPTY,
    ),
    row(
        M::GetExtendedAgentCard,
        "GetExtendedAgentCard",
        Some("agent/getAuthenticatedExtendedCard"),
        &schema::EXTENDED_CARD,
        &v0_3::NOTHING,
        &schema::CARD,
    ),
];

const fn row(
    method: Method,
    name: &'static str,
    older: Option<&'static str>,
    takes: &'static Message,
    older_takes: &'static Message,
    answers: &'static Message,
) -> MethodRow {
    MethodRow { method, name, older, streams: false, takes, older_takes, answers }
}

const fn streaming(
    method: Method,
    name: &'static str,
    older: &'static str,
    takes: &'static Message,
    older_takes: &'static Message,
) -> MethodRow {
    MethodRow { method, name, older: Some(older), streams: true, takes, older_takes, answers: &schema::EVENT }
}

/// Every operation, for documents and tests.
pub fn methods() -> &'static [MethodRow] {
    &METHODS
}

impl Method {
    /// Its row.
    pub fn row(self) -> &'static MethodRow {
        let [first, ..] = &METHODS;
        METHODS.iter().find(|row| row.method == self).unwrap_or(first) // Each has one; a test holds that.
    }

    /// Its name in 1.0.
    pub fn name(self) -> &'static str {
        self.row().name
    }

    /// The operation that a JSON-RPC method is in a version.
    pub(super) fn of_rpc(name: &str, version: Version) -> Option<Self> {
        let named = |row: &&MethodRow| match version {
            Version::V1_0 => row.name == name,
            Version::V0_3 => row.older == Some(name),
        };
        METHODS.iter().find(named).map(|row| row.method)
    }

    /// What it takes, as JSON of a binding and version.
    pub(super) fn takes(self, binding: Binding, version: Version) -> &'static Message {
        match (version, binding) {
            (Version::V1_0, _) => self.row().takes,
            (Version::V0_3, Binding::HttpJson) => match self {
                Self::SendMessage | Self::SendStreamingMessage => &v0_3::rest::SEND,
                Self::CancelTask => &v0_3::rest::CANCEL_TASK,
                Self::CreateTaskPushNotificationConfig => &v0_3::rest::SET_PUSH,
                _ => &v0_3::NOTHING,
            },
            (Version::V0_3, _) => self.row().older_takes,
        }
    }

    /// Whether it is about where a task's events are sent.
    pub fn is_about_pushes(self) -> bool {
        matches!(
            self,
            Self::CreateTaskPushNotificationConfig
                | Self::GetTaskPushNotificationConfig
                | Self::ListTaskPushNotificationConfigs
                | Self::DeleteTaskPushNotificationConfig
        )
    }

    /// Whether it names a task that has to be there already.
    pub fn names_a_task(self) -> bool {
        !matches!(
            self,
            Self::SendMessage | Self::SendStreamingMessage | Self::ListTasks | Self::GetExtendedAgentCard
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_method_has_one_row_and_is_found_by_its_names() {
        for row in methods() {
            assert_eq!(row.method.row().name, row.name);
            assert_eq!(format!("{:?}", row.method), row.name);
            assert_eq!(Method::of_rpc(row.name, Version::V1_0), Some(row.method));
            assert_eq!(Method::of_rpc(row.name, Version::V0_3), None);
            if let Some(older) = row.older {
                assert_eq!(Method::of_rpc(older, Version::V0_3), Some(row.method));
                assert_eq!(Method::of_rpc(older, Version::V1_0), None);
            }
        }
    }
}
