//! The tokens of a model: from text to their numbers, and from each number to its bytes. Special tokens, which begin and end
//! messages, are never made of text: what a caller writes is words, whatever it looks like.

use super::gguf::Gguf;
use candle_core::quantized::gguf_file::Value;
use candle_core::quantized::tokenizer::TokenizerFromGguf;
use std::collections::HashMap;
use tokenizers::Tokenizer;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::digits::Digits;
use tokenizers::pre_tokenizers::sequence::Sequence;

pub(super) struct Vocabulary {
    tokenizer: Tokenizer,
    /// The bytes of each token; none of a special one.
    bytes: Vec<Option<Vec<u8>>>,
    special: HashMap<String, u32>,
    /// What a text begins with, where the model wants that.
    begin: Option<u32>,
}

/// How text is cut before its parts become tokens: this engine knows these two ways.
const SMOLLM: &str = "smollm";
const GPT_2: &str = "gpt-2";

impl Vocabulary {
    pub(super) fn read(file: &Gguf) -> Result<Self, String> {
        let mut tokenizer = Tokenizer::from_gguf(&file.content).map_err(super::gguf::told)?;
        let words = ByteLevel::new(false, false, true);
        match file.text("tokenizer.ggml.pre") {
            Some(SMOLLM) => tokenizer
                .with_pre_tokenizer(Some(Sequence::new(vec![Digits::new(true).into(), words.into()]))),
            Some(GPT_2) => tokenizer.with_pre_tokenizer(Some(words)),
            other => {
                return Err(format!("its text is cut by {other:?}; this engine knows {SMOLLM} and {GPT_2}"));
            }
        };
        tokenizer.set_encode_special_tokens(true);
        let list = |key: &str| file.content.metadata.get(key).and_then(|value| value.to_vec().ok());
        let texts = list("tokenizer.ggml.tokens").ok_or("it has no tokens")?;
        let kinds = list("tokenizer.ggml.token_type").ok_or("it has no kinds of tokens")?;
        let (mut bytes, mut special, values) = (Vec::new(), HashMap::new(), byte_values());
        for (at, (text, kind)) in texts.iter().zip(kinds).enumerate() {
            let text = text.to_string().map_err(super::gguf::told)?;
            let is_word = matches!(kind, Value::I32(1) | Value::U32(1));
            let spelled = text.chars().map(|c| values.get(&c).copied()).collect::<Option<Vec<u8>>>();
            if !is_word && let Ok(at) = u32::try_from(at) {
                special.insert(text.clone(), at);
            }
            bytes.push(spelled.filter(|bytes| is_word && !bytes.is_empty()));
        }
        if bytes.len() != texts.len() {
            return Err("it has other tokens than kinds of them".to_owned());
        }
        let begin =
            file.token("tokenizer.ggml.bos_token_id").filter(|_| file.flag("tokenizer.ggml.add_bos_token"));
        Ok(Self { tokenizer, bytes, special, begin })
    }

    /// The tokens of a text, none of them special.
    pub(super) fn tokens(&self, text: &str) -> Result<Vec<u32>, &'static str> {
        let encoding =
            self.tokenizer.encode_fast(text, false).map_err(|_| "the text can't be made tokens")?;
        Ok(encoding.get_ids().to_vec())
    }

    pub(super) fn special(&self, text: &str) -> Option<u32> {
        self.special.get(text).copied()
    }

    pub(super) fn begin(&self) -> Option<u32> {
        self.begin
    }

    /// The bytes of a token; a special one has none, and ends a text.
    pub(super) fn bytes(&self, token: u32) -> Option<&[u8]> {
        self.bytes.get(usize::try_from(token).ok()?)?.as_deref()
    }
}

/// How a vocabulary of this kind writes bytes as characters: printable ones as they are, the others from U+0100 on.
fn byte_values() -> HashMap<char, u8> {
    let printable = |byte: u8| matches!(byte, 33..=126 | 161..=172 | 174..=255);
    let others = (0..=255_u8).filter(|byte| !printable(*byte));
    let shifted = others.zip(256_u32..).filter_map(|(byte, code)| Some((char::from_u32(code)?, byte)));
    (0..=255_u8).filter(|byte| printable(*byte)).map(|byte| (char::from(byte), byte)).chain(shifted).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_byte_has_its_character() {
        let values = byte_values();
        assert_eq!(values.len(), 256);
        for (c, byte) in [('A', b'A'), ('Ġ', b' '), ('Ċ', b'\n'), ('Ã', 0xc3), ('Ń', 0xad)] {
            assert_eq!(values.get(&c), Some(&byte), "{c}");
        }
    }
}
