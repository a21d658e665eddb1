//! Which backend gets a call, and what happens when it fails: the least busy healthy one is asked first, and until the first
//! token has come the next one may be asked. After that nothing is tried again: the caller has heard the beginning.

use crate::ask::{Ask, Message, ModelName, Piece, Prompt, Role, Tokens, Use};
use crate::backend::failure::Failure;
use crate::backend::{Backend, InFlight, Stream};
use crate::config::Served;
use crate::error::InferenceError;
use crate::told::Enforced;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The backends.
#[derive(Debug)]
pub(crate) struct Backends {
    pub(crate) all: Vec<Arc<Backend>>,
    pub(crate) attempts_max: u32,
    turn: AtomicUsize,
}

/// An answer that has begun.
#[derive(Debug)]
pub(crate) struct Begun {
    pub(crate) backend: Arc<Backend>,
    pub(crate) served: Served,
    pub(crate) stream: Stream,
    pub(crate) first: Option<Piece>,
    pub(crate) schema: Option<Enforced>,
    pub(crate) attempts: u32,
    /// Its place at the backend.
    pub(crate) _place: InFlight,
}

/// Vectors, and who made them.
#[derive(Debug)]
pub(crate) struct Vectors {
    pub(crate) backend: Arc<Backend>,
    pub(crate) served: Served,
    pub(crate) vectors: Vec<Vec<f32>>,
    pub(crate) tokens: Option<Tokens>,
    pub(crate) attempts: u32,
}

/// What routing looks at.
#[derive(Clone, Copy, Debug)]
struct Candidate {
    healthy: bool,
    /// Calls under way and waiting, of how many it takes.
    busy: f64,
}

impl Backends {
    pub(crate) fn new(all: Vec<Arc<Backend>>, attempts_max: u32) -> Self {
        Self { all, attempts_max, turn: AtomicUsize::new(0) }
    }

    /// Every backend of a model that does what is wanted, the best first.
    fn ordered(&self, model: &ModelName, of: Use) -> Result<Vec<(Arc<Backend>, Served)>, InferenceError> {
        let of_model = self.all.iter().filter_map(|backend| Some((backend, backend.serves(model)?)));
        let mut found: Vec<_> = of_model.collect();
        if found.is_empty() {
            return Err(InferenceError::UnknownModel(model.to_string()));
        }
        found.retain(|(_, served)| served.uses.contains(&of));
        if found.is_empty() {
            return Err(InferenceError::Unsupported { model: model.to_string(), of });
        }
        let candidates: Vec<_> = found
            .iter()
            .map(|(backend, served)| {
                let health = backend.health(served);
                Candidate {
                    healthy: health.why.is_none(),
                    busy: health.demand / backend.in_flight_max as f64,
                }
            })
            .collect();
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let order = order(&candidates, turn).into_iter().filter_map(|at| found.get(at));
        Ok(order.map(|(backend, served)| (Arc::clone(backend), (*served).clone())).collect())
    }

    fn tries(&self, model: &ModelName, of: Use) -> Result<Tries, InferenceError> {
        let left = self.ordered(model, of)?.into_iter();
        Ok(Tries { left, attempts: 0, attempts_max: self.attempts_max, told: Failure::Busy })
    }

    /// Begins a text.
    pub(crate) async fn write(&self, model: &ModelName, of: Use, ask: &Ask) -> Result<Begun, InferenceError> {
        let mut tries = self.tries(model, of)?;
        while let Some((backend, served, place)) = tries.next() {
            match begun(&backend, &served, of, ask).await {
                Ok((stream, schema, first)) => {
                    backend.did_well();
                    let attempts = tries.attempts;
                    return Ok(Begun { backend, served, stream, first, schema, attempts, _place: place });
                }
                Err(failure) => tries.failed(&backend, failure)?,
            }
        }
        Err(tries.told.ends())
    }

    /// Makes vectors.
    pub(crate) async fn embed(
        &self,
        model: &ModelName,
        inputs: &[String],
    ) -> Result<Vectors, InferenceError> {
        let mut tries = self.tries(model, Use::Embed)?;
        while let Some((backend, served, _place)) = tries.next() {
            match backend.embed(inputs, &served).await {
                Ok((vectors, tokens)) => {
                    backend.did_well();
                    return Ok(Vectors { backend, served, vectors, tokens, attempts: tries.attempts });
                }
                Err(failure) => tries.failed(&backend, failure)?,
            }
        }
        Err(tries.told.ends())
    }
}

/// The backends of a model in turn, until one does it. What failed before its first token is tried at the next one.
struct Tries {
    left: std::vec::IntoIter<(Arc<Backend>, Served)>,
    attempts: u32,
    attempts_max: u32,
    /// What the caller hears if none does it.
    told: Failure,
}

impl Tries {
    /// The next one that takes a call, and the call's place there.
    fn next(&mut self) -> Option<(Arc<Backend>, Served, InFlight)> {
        if self.attempts >= self.attempts_max {
            return None;
        }
        let found = self.left.find_map(|(backend, served)| {
            let place = backend.enter()?;
            Some((backend, served, place))
        })?;
        self.attempts += 1;
        Some(found)
    }

    /// Notes a failure, and is one where another backend would do no better.
    fn failed(&mut self, backend: &Backend, failure: Failure) -> Result<(), InferenceError> {
        backend.failed(&failure);
        if !failure.may_be_tried_elsewhere() {
            return Err(failure.ends());
        }
        // The first one was the best one, so its failure says most; that one is busy says least.
        if self.told == Failure::Busy {
            self.told = failure;
        }
        Ok(())
    }
}

/// An answer up to its first token.
async fn begun(
    backend: &Backend,
    served: &Served,
    of: Use,
    ask: &Ask,
) -> Result<(Stream, Option<Enforced>, Option<Piece>), Failure> {
    let worded = if backend.wants_words(served, of) { worded(ask) } else { None };
    let (mut stream, schema) = backend.write(worded.as_ref().unwrap_or(ask), served).await?;
    let first = stream.next().await?;
    Ok((stream, schema, first))
}

/// The best first: healthy ones before others, then the least busy, and equals take turns.
fn order(candidates: &[Candidate], turn: usize) -> Vec<usize> {
    let count = candidates.len().max(1);
    let mut order: Vec<usize> = (0..candidates.len()).collect();
    order.rotate_left(turn.checked_rem(count).unwrap_or(0));
    let key = |at: &usize| candidates.get(*at).map_or((true, f64::MAX), |c| (!c.healthy, c.busy));
    order.sort_by(|a, b| {
        let (a, b) = (key(a), key(b));
        a.0.cmp(&b.0).then(a.1.total_cmp(&b.1))
    });
    order
}

/// The same talk, with the schema in words: none where no schema is wanted.
fn worded(ask: &Ask) -> Option<Ask> {
    let schema = ask.schema.as_ref()?;
    let words =
        format!("Answer with one JSON value of this JSON Schema, and nothing else: {}", schema.value());
    let Prompt::Chat(messages) = &ask.prompt else { return None };
    let mut messages = messages.clone();
    match messages.first_mut() {
        Some(first) if first.role == Role::System => first.content = format!("{}\n\n{words}", first.content),
        _ => messages.insert(0, Message { role: Role::System, content: words }),
    }
    Some(Ask { prompt: Prompt::Chat(messages), ..ask.clone() })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test ends by panicking")]
    use super::*;

    fn candidate(healthy: bool, busy: f64) -> Candidate {
        Candidate { healthy, busy }
    }

    #[test]
    fn healthy_ones_come_first_then_the_least_busy_and_equals_take_turns() {
        let all = [candidate(false, 0.0), candidate(true, 0.5), candidate(true, 0.25), candidate(true, 0.25)];
        assert_eq!(order(&all, 0), [2, 3, 1, 0]);
        assert_eq!(order(&all, 3), [3, 2, 1, 0]);
        assert_eq!(order(&[], 7), [0; 0]);
        let one = [candidate(false, f64::NAN)];
        assert_eq!(order(&one, usize::MAX), [0]);
    }
}
