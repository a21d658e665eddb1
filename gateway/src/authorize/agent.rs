//! What policy sees of a call to an agent.

use super::{One, Question};
use crate::config::agents::Skill;
use crate::tasks::Owner;
use policy::{
    A2aCallInput, ConfigurationInput, ListInput, MessageInput, OwnerInput, PartInput, PushInput, TaskInput,
};
use protocol::a2a::{Binding, Call, Content, Part, Role};
use serde_json::{Map, Value};

impl<'a> Question<'a> {
    /// The part of the input that a call to an agent has.
    pub(super) fn agent_input<'s>(&'s self, call: &'s Call, one: One<'s>) -> A2aCallInput<'s> {
        let named = self.named.and_then(|named| named.task.as_ref());
        let task = named.map(|task| TaskInput {
            id: &task.id,
            context: task.context.as_deref(),
            state: task.state.as_deref(),
            owner: owner(&task.owner),
        });
        A2aCallInput {
            protocol: "a2a",
            version: call.version.as_str(),
            binding: call.binding.as_str(),
            method: call.method.name(),
            agent: self.server.name(),
            skill: match one {
                One::Skill(id) => Some(id),
                _ => self.skill(call),
            },
            tenant: call.tenant.as_deref(),
            context: call.context.as_deref().or(named.and_then(|task| task.context.as_deref())),
            task,
            message: call.message.as_ref().map(|message| MessageInput {
                id: &message.id,
                role: match message.role {
                    Role::User => "user",
                    Role::Agent => "agent",
                },
                parts: &self.parts,
                metadata: message.metadata.as_ref(),
                extensions: &message.extensions,
                references: &message.references,
            }),
            configuration: ConfigurationInput {
                blocking: call.configuration.blocking,
                history_length: call.configuration.history_length,
                output_modes: &call.configuration.output_modes,
            },
            push: call.push.as_ref().map(|push| PushInput {
                id: push.id.as_deref(),
                url: &push.url,
                schemes: &push.schemes,
            }),
            list: call.list.as_ref().map(|list| ListInput {
                status: list.status.as_deref(),
                page_size: list.page_size,
                after: list.after.as_deref(),
                include_artifacts: list.include_artifacts,
            }),
            metadata: call.metadata.as_ref(),
            extensions: &call.extensions,
            card: self.card,
        }
    }

    /// The same where only the agent's card is asked for.
    pub(super) fn card_input(&self) -> A2aCallInput<'_> {
        A2aCallInput {
            protocol: self.call.protocol(),
            version: self.call.version(),
            binding: Binding::HttpJson.as_str(),
            method: self.call.method(),
            agent: self.server.name(),
            skill: None,
            tenant: None,
            context: None,
            task: None,
            message: None,
            configuration: ConfigurationInput { blocking: None, history_length: None, output_modes: &[] },
            push: None,
            list: None,
            metadata: None,
            extensions: &[],
            card: self.card,
        }
    }

    /// The skill, where the agent's configuration says how callers name one.
    fn skill<'s>(&'s self, call: &'s Call) -> Option<&'s str> {
        let by = self.server.agent()?.agent.as_ref()?.skill.as_ref()?;
        let metadata = call.message.as_ref().and_then(|message| message.metadata.as_ref());
        match by {
            Skill::Member(name) => metadata?.get(name)?.as_str(),
            Skill::Extension(uri) => by_extension(metadata?, uri),
            Skill::Interface(skills) => {
                skills.get(call.tenant.as_deref().unwrap_or_default()).map(String::as_str)
            }
        }
    }
}

/// What a message's metadata says of the skill for an extension. Two that are not the same name none: nobody knows which of
/// them the agent reads.
fn by_extension<'m>(metadata: &'m Map<String, Value>, uri: &str) -> Option<&'m str> {
    let whole = metadata.get(uri).and_then(|said| said.as_str().or_else(|| said.get("skill")?.as_str()));
    let below = metadata.iter().find(|(name, _)| name.strip_prefix(uri) == Some("/skill"));
    match (whole, below.and_then(|(_, skill)| skill.as_str())) {
        (Some(one), Some(other)) if one != other => None,
        (one, other) => one.or(other),
    }
}

fn owner(owner: &Owner) -> OwnerInput<'_> {
    OwnerInput { iss: owner.iss.as_deref(), sub: owner.sub.as_deref(), spiffe_id: &owner.spiffe_id }
}

/// The parts of a call's message; a text that is longer than policy sees is left out, its length is not.
pub(super) fn parts(call: &Call, text_bytes_max: usize) -> Vec<PartInput<'_>> {
    let parts = call.message.iter().flat_map(|message| &message.parts);
    parts.map(|part| input(part, text_bytes_max)).collect()
}

fn input(part: &Part, text_bytes_max: usize) -> PartInput<'_> {
    let count = |bytes: usize| u64::try_from(bytes).ok();
    let nothing = PartInput {
        kind: "file",
        text: None,
        data: None,
        url: None,
        bytes: None,
        name: part.name.as_deref(),
        media_type: part.media_type.as_deref(),
        metadata: part.metadata.as_ref(),
    };
    match &part.content {
        Content::Text(text) => {
            let seen = Some(text.as_str()).filter(|text| text.len() <= text_bytes_max);
            PartInput { kind: "text", text: seen, bytes: count(text.len()), ..nothing }
        }
        Content::Bytes(bytes) => PartInput { bytes: count(*bytes), ..nothing },
        Content::Url(url) => PartInput { url: Some(url), ..nothing },
        Content::Data(data) => PartInput { kind: "data", data: Some(data), ..nothing },
    }
}
