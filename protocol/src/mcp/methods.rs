//! Every method that is passed on, by era. The decoder reads this table, and so does the test of `docs/mcp-methods.md`.
//! Sources: `schema.ts` of 2025-03-26 to 2026-07-28, union `ClientRequest` and `ClientNotification`.

use super::{Fault, ListKind, Version};

/// One method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MethodRow {
    /// As it is written on the wire; an answer, a GET and a DELETE have names of ours.
    pub method: &'static str,
    /// How it comes.
    pub form: Form,
    /// Whether 2025-03-26, 2025-06-18 and 2025-11-25 have it.
    pub legacy: bool,
    /// Whether 2026-07-28 has it.
    pub stateless: bool,
    /// What it touches.
    pub target: TargetKind,
    /// What policy sees of its parameters beside the target.
    pub arguments: Arguments,
    /// Whether it is answered by a list.
    pub list: Option<ListKind>,
}

/// How a method comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// A message with an id.
    Request,
    /// A message without.
    Notification,
    /// A message that answers a request of the server.
    Answer,
    /// An HTTP GET.
    Get,
    /// An HTTP DELETE.
    Delete,
}

/// Which [`Target`](super::Target) a method has, and where its name stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TargetKind {
    /// `params.name`.
    Tool,
    /// `params.uri`.
    Resource,
    /// `params.name`.
    Prompt,
    /// `params.ref`: a prompt by name or a resource by URI.
    Reference,
    /// `params.notifications.resourceSubscriptions`: resources, or the protocol if there are none.
    Subscriptions,
    /// Nothing in particular.
    Protocol,
}

/// What of the parameters becomes [`Call::arguments`](super::Call::arguments).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arguments {
    /// Nothing.
    None,
    /// `params.arguments`, an object or absent.
    Arguments,
    /// `params.argument`, an object.
    Argument,
    /// `params.level`, as `{"level": …}`.
    Level,
    /// `params.notifications`, an object.
    Notifications,
}

const BOTH: (bool, bool) = (true, true);
const LEGACY: (bool, bool) = (true, false);
const STATELESS: (bool, bool) = (false, true);

const fn row(
    method: &'static str,
    (legacy, stateless): (bool, bool),
    form: Form,
    target: TargetKind,
    arguments: Arguments,
) -> MethodRow {
    MethodRow { method, form, legacy, stateless, target, arguments, list: None }
}

const fn list(method: &'static str, list: ListKind) -> MethodRow {
    MethodRow { list: Some(list), ..row(method, BOTH, Form::Request, TargetKind::Protocol, Arguments::None) }
}

const METHODS: &[MethodRow] = &[
    row("tools/call", BOTH, Form::Request, TargetKind::Tool, Arguments::Arguments),
    list("tools/list", ListKind::Tools),
    row("resources/read", BOTH, Form::Request, TargetKind::Resource, Arguments::None),
    row("resources/subscribe", LEGACY, Form::Request, TargetKind::Resource, Arguments::None),
    row("resources/unsubscribe", LEGACY, Form::Request, TargetKind::Resource, Arguments::None),
    list("resources/list", ListKind::Resources),
    list("resources/templates/list", ListKind::ResourceTemplates),
    row("prompts/get", BOTH, Form::Request, TargetKind::Prompt, Arguments::Arguments),
    list("prompts/list", ListKind::Prompts),
    row("completion/complete", BOTH, Form::Request, TargetKind::Reference, Arguments::Argument),
    row(
        "subscriptions/listen",
        STATELESS,
        Form::Request,
        TargetKind::Subscriptions,
        Arguments::Notifications,
    ),
    row("server/discover", STATELESS, Form::Request, TargetKind::Protocol, Arguments::None),
    row("initialize", LEGACY, Form::Request, TargetKind::Protocol, Arguments::None),
    row("ping", LEGACY, Form::Request, TargetKind::Protocol, Arguments::None),
    row("logging/setLevel", LEGACY, Form::Request, TargetKind::Protocol, Arguments::Level),
    row("notifications/initialized", LEGACY, Form::Notification, TargetKind::Protocol, Arguments::None),
    row("notifications/cancelled", LEGACY, Form::Notification, TargetKind::Protocol, Arguments::None),
    row("notifications/progress", LEGACY, Form::Notification, TargetKind::Protocol, Arguments::None),
    row(
        "notifications/roots/list_changed",
        LEGACY,
        Form::Notification,
        TargetKind::Protocol,
        Arguments::None,
    ),
    row("session/answer", LEGACY, Form::Answer, TargetKind::Protocol, Arguments::None),
    row("session/stream", LEGACY, Form::Get, TargetKind::Protocol, Arguments::None),
    row("session/end", LEGACY, Form::Delete, TargetKind::Protocol, Arguments::None),
];

/// Every method that is passed on; what isn't here is refused.
pub fn methods() -> &'static [MethodRow] {
    METHODS
}

/// The row of a method as it came: a message can't name what only an answer, a GET or a DELETE does.
pub(super) fn row_of(method: &str, version: Version, message: bool) -> Result<&'static MethodRow, Fault> {
    let row = METHODS.iter().find(|row| {
        let in_era = if version.is_stateless() { row.stateless } else { row.legacy };
        in_era && row.method == method && message == matches!(row.form, Form::Request | Form::Notification)
    });
    match row {
        Some(row) => Ok(row),
        None if method.starts_with("tasks/") || method.starts_with("notifications/tasks/") => {
            Err(Fault::Tasks { version })
        }
        None => Err(Fault::UnknownMethod { version }),
    }
}
