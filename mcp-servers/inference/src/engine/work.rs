//! What the engine's thread does: one job after the other.

use super::gguf::{Gguf, told};
use super::grammar::Machine;
use super::llama::{Cache, Llama};
use super::sampler::Sampler;
use super::template::ChatMl;
use super::text::Text;
use super::vocabulary::Vocabulary;
use crate::ask::{Finish, Piece, Prompt, Sampling, Tokens};
use crate::backend::failure::Failure;
use crate::config::Local;
use candle_core::{Device, Tensor};
use std::hash::{BuildHasher, RandomState};
use std::sync::mpsc::Receiver;
use tokio::sync::{mpsc, oneshot};

/// Vectors of texts, and how many tokens those have.
pub(super) type Vectors = Result<(Vec<Vec<f32>>, Tokens), Failure>;

/// Something to do.
pub(super) enum Job {
    Write {
        prompt: Prompt,
        sampling: Sampling,
        grammar: Option<Machine>,
        out: mpsc::UnboundedSender<Result<Piece, Failure>>,
    },
    Embed {
        inputs: Vec<String>,
        out: oneshot::Sender<Vectors>,
    },
}

pub(super) struct Worker {
    model: Llama,
    words: Vocabulary,
    talks: Option<ChatMl>,
    context: usize,
}

/// Tokens of a prompt between two looks at whether somebody still waits.
const STEP: usize = 64;

impl Worker {
    pub(super) fn load(local: &Local) -> Result<Self, String> {
        let device = if local.cuda { Device::new_cuda(0).map_err(told)? } else { Device::Cpu };
        let mut file = Gguf::open(&local.file, device, local.requantize)?;
        let context = file.shape()?.context.min(local.context_tokens);
        let words = Vocabulary::read(&file)?;
        let talks = file.text("tokenizer.chat_template").and_then(ChatMl::find);
        let model = Llama::read(&mut file, context)?;
        Ok(Self { model, words, talks, context })
    }

    /// Works until nobody can ask any more.
    pub(super) fn run(&mut self, jobs: &Receiver<Job>) {
        while let Ok(job) = jobs.recv() {
            match job {
                Job::Write { prompt, sampling, grammar, out } => {
                    if let Err(failure) = self.write(&prompt, &sampling, grammar, &out) {
                        drop(out.send(Err(failure)));
                    }
                }
                Job::Embed { inputs, out } => {
                    let vectors = self.embed(&inputs, &out);
                    drop(out.send(vectors));
                }
            }
        }
    }

    fn write(
        &self,
        prompt: &Prompt,
        sampling: &Sampling,
        mut grammar: Option<Machine>,
        out: &mpsc::UnboundedSender<Result<Piece, Failure>>,
    ) -> Result<(), Failure> {
        let tokens = self.tokens(prompt)?;
        let room = self.context.saturating_sub(tokens.len());
        if room == 0 {
            return Err(self.too_long(tokens.len()));
        }
        let most = room.min(usize::try_from(sampling.tokens_max).unwrap_or(usize::MAX));
        let mut cache = self.model.cache(tokens.len() + most).map_err(broken)?;
        let Some(states) = self.seen(&tokens, &mut cache, || out.is_closed(), |_| ())? else { return Ok(()) };
        let mut logits = self.model.logits(&states).map_err(broken)?;
        let mut sampler = Sampler::new(sampling, RandomState::new().hash_one(0_u8));
        let (mut text, mut count) = (Text::new(sampling.stop.clone()), 0);
        let finish = loop {
            let chosen = sampler.next(&logits, |token| self.admits(grammar.as_ref(), token));
            // A special token is the end, whichever it is; none at all can't be where a grammar is one.
            let Some((token, bytes)) = chosen.and_then(|token| Some((token, self.words.bytes(token)?)))
            else {
                break Finish::Stop;
            };
            count += 1;
            let (more, ended) = text.take(bytes);
            if !more.is_empty() && out.send(Ok(Piece::Text(more))).is_err() {
                return Ok(());
            }
            if let Some(machine) = &mut grammar {
                machine.take_all(bytes);
            }
            if ended || grammar.as_ref().is_some_and(Machine::is_done) {
                break Finish::Stop;
            }
            if count == most {
                break Finish::Length;
            }
            if out.is_closed() {
                return Ok(());
            }
            let states = self.model.states(&[token], &mut cache).map_err(broken)?;
            logits = self.model.logits(&states).map_err(broken)?;
        };
        let rest = text.rest();
        if !rest.is_empty() {
            drop(out.send(Ok(Piece::Text(rest))));
        }
        let tokens = Tokens { input: tokens.len() as u64, output: count as u64 };
        drop(out.send(Ok(Piece::End(finish, Some(tokens)))));
        Ok(())
    }

    /// Whether a token may come: with a grammar its bytes have to go on in it, and the end has to be one.
    fn admits(&self, grammar: Option<&Machine>, token: u32) -> bool {
        let Some(machine) = grammar else { return true };
        match self.words.bytes(token) {
            Some(bytes) => machine.would_take(bytes),
            None => machine.may_end(),
        }
    }

    fn tokens(&self, prompt: &Prompt) -> Result<Vec<u32>, Failure> {
        let refused = |what: &str| Failure::Rejected(what.to_owned());
        let mut tokens: Vec<u32> = self.words.begin().into_iter().collect();
        tokens.extend(match prompt {
            Prompt::Text(text) => self.words.tokens(text).map_err(refused)?,
            Prompt::Chat(messages) => {
                let talks = self.talks.as_ref();
                let talks =
                    talks.ok_or_else(|| refused("the model's file has no talks in ChatML; use complete"))?;
                talks.tokens(messages, &self.words).map_err(refused)?
            }
        });
        Ok(tokens)
    }

    /// What the model makes of tokens, some at a time; `each` gets every part, the last part comes back. None where nobody
    /// waits any more.
    fn seen(
        &self,
        tokens: &[u32],
        cache: &mut Cache,
        gone: impl Fn() -> bool,
        mut each: impl FnMut(&Tensor),
    ) -> Result<Option<Tensor>, Failure> {
        let mut last = None;
        for step in tokens.chunks(STEP) {
            if gone() {
                return Ok(None);
            }
            let states = self.model.states(step, cache).map_err(broken)?;
            each(&states);
            last = Some(states);
        }
        last.map(Some).ok_or(Failure::Rejected("there is no text".to_owned()))
    }

    /// The mean of what the model makes of each text's tokens, of length 1.
    fn embed(&self, inputs: &[String], out: &oneshot::Sender<Vectors>) -> Vectors {
        let (mut vectors, mut count) = (Vec::new(), 0);
        for input in inputs {
            let tokens = self.tokens(&Prompt::Text(input.clone()))?;
            if tokens.len() > self.context {
                return Err(self.too_long(tokens.len()));
            }
            count += tokens.len();
            let mut cache = self.model.cache(tokens.len()).map_err(broken)?;
            let mut parts = Vec::new();
            if self
                .seen(&tokens, &mut cache, || out.is_closed(), |states| parts.push(states.clone()))?
                .is_none()
            {
                return Err(Failure::Busy); // Nobody hears it.
            }
            let mean =
                Tensor::cat(&parts, 0).and_then(|all| all.mean(0)).and_then(|mean| mean.to_vec1::<f32>());
            let mean = mean.map_err(broken)?;
            let length = mean.iter().map(|number| number * number).sum::<f32>().sqrt().max(f32::MIN_POSITIVE);
            vectors.push(mean.into_iter().map(|number| number / length).collect());
        }
        Ok((vectors, Tokens { input: count as u64, output: 0 }))
    }

    fn too_long(&self, found: usize) -> Failure {
        Failure::Rejected(format!(
            "the text has {found} tokens, and the model sees {} with its answer",
            self.context
        ))
    }
}

fn broken(error: candle_core::Error) -> Failure {
    tracing::warn!(error = told(error), "the engine can't compute");
    Failure::Broken("the engine can't compute")
}
