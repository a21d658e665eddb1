//! The part of `input` that a call to an A2A agent has.

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value};

/// A call to an A2A agent. It is the same whatever binding and version it was written in.
#[derive(Clone, Copy, Debug, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct A2aCallInput<'a> {
    /// `a2a`.
    #[schemars(extend("const" = "a2a"))]
    pub protocol: &'a str,
    /// The protocol's version: `1.0` or `0.3`.
    pub version: &'a str,
    /// `JSONRPC`, `HTTP+JSON` or `GRPC`.
    pub binding: &'a str,
    /// The operation, as 1.0 names it: `SendMessage`, `GetTask` and so on. `GetAgentCard` where `visible` is asked for
    /// the agent's public card.
    pub method: &'a str,
    /// The agent's name in the gateway's configuration, whether or not there is such an agent.
    pub agent: &'a str,
    /// The agent's skill, where the configuration says how callers name one: by the message's metadata, or by the interface. And
    /// where `visible` is asked for each skill of an extended card.
    pub skill: Option<&'a str>,
    /// The tenant that the call names.
    pub tenant: Option<&'a str>,
    /// The task that it is about, or goes on with. Null: none, so that a message begins one.
    pub task: Option<TaskInput<'a>>,
    /// The context that it names, or that its task is in.
    pub context: Option<&'a str>,
    /// The message that it brings. Absent in every other operation, and in every question of `visible`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<MessageInput<'a>>,
    /// How the answer should be.
    pub configuration: ConfigurationInput<'a>,
    /// Where the task's events should be sent. Null: nowhere.
    pub push: Option<PushInput<'a>>,
    /// What a list is asked for. Absent in every other operation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub list: Option<ListInput<'a>>,
    /// What the caller says beside the message, as it came. Null: nothing.
    pub metadata: Option<&'a Map<String, Value>>,
    /// The extensions that the caller declares (`A2A-Extensions`), in its order.
    pub extensions: &'a [String],
    /// The agent's public card. Null: there is none that is shown, or no rule of the package looks at it.
    pub card: Option<&'a CardInput>,
}

/// What of an agent's card a rule may ask about. It is the agent's word; whoever signed the card vouches for it, where the
/// configuration says who may. No longer than the card itself may be (`card.bytes_max`).
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct CardInput {
    /// What the agent can do, in the card's order.
    pub skills: Vec<SkillInput>,
}

/// A skill of an agent.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct SkillInput {
    /// Its name among the agent's skills.
    pub id: String,
    /// Its tags, in their order.
    pub tags: Vec<String>,
}

/// A task that is there for the caller.
#[derive(Clone, Copy, Debug, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct TaskInput<'a> {
    /// Its id, as the agent made it.
    pub id: &'a str,
    /// Its context, if the agent said one.
    pub context: Option<&'a str>,
    /// The state that was last seen, as `TASK_STATE_WORKING`. Null: none was seen.
    pub state: Option<&'a str>,
    /// Whose it is. Another workload than the caller only if both call for the same person: then the permit must carry
    /// the obligation `{"tasks": "subject"}`, or the task is not there.
    pub owner: OwnerInput<'a>,
}

/// Whose a task is: who began it, and for whom.
#[derive(Clone, Copy, Debug, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct OwnerInput<'a> {
    /// Who issued the subject's token, or, where that hands on another issuer's people (`subjects_of`), the other one. Null: the
    /// workload acted for itself.
    pub iss: Option<&'a str>,
    /// The person or service. Null: the workload acted for itself.
    pub sub: Option<&'a str>,
    /// The workload.
    pub spiffe_id: &'a str,
}

/// A message.
#[derive(Clone, Copy, Debug, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct MessageInput<'a> {
    /// Its author made it up.
    pub id: &'a str,
    /// `user` or `agent`.
    pub role: &'a str,
    /// Its parts; at least one.
    pub parts: &'a [PartInput<'a>],
    /// As its author wrote it. Null: none.
    pub metadata: Option<&'a Map<String, Value>>,
    /// URIs of the extensions that it uses.
    pub extensions: &'a [String],
    /// Other tasks that it refers to; each one is there for the caller.
    pub references: &'a [String],
}

/// A part of a message: text, a file or data. What it is not is null.
#[derive(Clone, Copy, Debug, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct PartInput<'a> {
    /// `text`, `file` or `data`.
    pub kind: &'a str,
    /// The text. Null where it has more than `limits.a2a_text_bytes_max` bytes, so that a rule which looks into it denies.
    pub text: Option<&'a str>,
    /// The data.
    pub data: Option<&'a Value>,
    /// A file's URL. The gateway never asks it for anything.
    pub url: Option<&'a str>,
    /// Bytes of a text, or of a file that stands in the message. Null: a file somewhere else, or data.
    pub bytes: Option<u64>,
    /// A file's name, as its author says.
    pub name: Option<&'a str>,
    /// Its media type, as its author says.
    pub media_type: Option<&'a str>,
    /// As its author wrote it. Null: none.
    pub metadata: Option<&'a Map<String, Value>>,
}

/// How the answer should be.
#[derive(Clone, Copy, Debug, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct ConfigurationInput<'a> {
    /// Whether the answer waits until the task rests. Null: the caller didn't say.
    pub blocking: Option<bool>,
    /// Messages of the task's history in the answer. Null: the caller didn't say.
    pub history_length: Option<i32>,
    /// Media types that the caller takes; empty: it didn't say.
    pub output_modes: &'a [String],
}

/// Where a task's events should be sent.
#[derive(Clone, Copy, Debug, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct PushInput<'a> {
    /// The configuration's id. Null: the agent makes one.
    pub id: Option<&'a str>,
    /// The URL.
    pub url: &'a str,
    /// How the sender proves itself there, as `Bearer`. The secrets themselves are never here.
    pub schemes: &'a [String],
}

/// What a list of tasks is asked for. It holds the caller's own whatever this says.
#[derive(Clone, Copy, Debug, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct ListInput<'a> {
    /// Tasks of this state only.
    pub status: Option<&'a str>,
    /// Tasks on a page.
    pub page_size: Option<i32>,
    /// Changed since.
    pub after: Option<&'a str>,
    /// Whether they come with their artifacts.
    pub include_artifacts: bool,
}
