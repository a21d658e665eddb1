//! How a talk becomes tokens. A GGUF file has a program for that (in Jinja), which is not run: this engine knows ChatML, by
//! its marks, and reads out of the program the system message that stands for a missing one.

use super::vocabulary::Vocabulary;
use crate::ask::{Message, Role};

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ChatMl {
    /// The system message of a talk that has none.
    system: Option<String>,
}

const START: &str = "<|im_start|>";
const END: &str = "<|im_end|>";

impl ChatMl {
    /// None where the file's talks are of another kind.
    pub(super) fn find(program: &str) -> Option<Self> {
        if !program.contains(START) || !program.contains(END) {
            return None;
        }
        let program = program.replace("\\n", "\n");
        let missing = format!("'{START}system\n");
        let system = program.split(&missing).nth(1).and_then(|rest| rest.split(END).next());
        let plain = |text: &&str| !text.contains(['\'', '{', '}']);
        Some(Self { system: system.filter(plain).map(ToOwned::to_owned) })
    }

    /// The tokens of a talk, up to where the model has to speak.
    pub(super) fn tokens(&self, messages: &[Message], words: &Vocabulary) -> Result<Vec<u32>, &'static str> {
        let missing = "the model's file lacks the tokens that its talks are made of";
        let (start, end) = (words.special(START).ok_or(missing)?, words.special(END).ok_or(missing)?);
        let mut tokens = Vec::new();
        let mut say = |role: &str, text: &str| -> Result<(), &'static str> {
            tokens.push(start);
            tokens.extend(words.tokens(&format!("{role}\n{text}"))?);
            tokens.push(end);
            tokens.extend(words.tokens("\n")?);
            Ok(())
        };
        if let (Some(system), Some(first)) = (&self.system, messages.first())
            && first.role != Role::System
        {
            say("system", system)?;
        }
        for message in messages {
            let role = match message.role {
                Role::System => "system",
                Role::User => "user",
                Role::Assistant => "assistant",
            };
            say(role, &message.content)?;
        }
        tokens.push(start);
        tokens.extend(words.tokens("assistant\n")?);
        Ok(tokens)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_system_message_for_talks_without_one_is_found() {
        let with = "{% if messages[0]['role'] != 'system' %}{{ '<|im_start|>system\nBe kind<|im_end|>\n' }}{% endif %}";
        assert_eq!(ChatMl::find(with), Some(ChatMl { system: Some("Be kind".into()) }));
        assert_eq!(ChatMl::find(&with.replace('\n', "\\n")), ChatMl::find(with));
        let without = "{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>'}}";
        assert_eq!(ChatMl::find(without), Some(ChatMl { system: None }));
        let made = "{{ '<|im_start|>system\n' + tools + '<|im_end|>' }}";
        assert_eq!(ChatMl::find(made), Some(ChatMl { system: None }));
        assert_eq!(ChatMl::find("[INST] {{ x }} [/INST]"), None);
    }
}
