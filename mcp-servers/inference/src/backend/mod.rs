//! One backend: what it serves, how it is, and how many calls are under way there.

pub(crate) mod failure;
pub(crate) mod load;
pub(crate) mod openai;
mod sse;

use crate::ask::{Ask, ModelName, Piece, Tokens, Use};
use crate::config::Served;
#[cfg(feature = "embedded")]
use crate::engine::{self, Engine};
use crate::told::Enforced;
use failure::Failure;
use load::Load;
use openai::OpenAi;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

/// After its first failure a backend comes last for so long; after each further one for twice as long.
const PAUSE: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// A backend.
#[derive(Debug)]
pub(crate) struct Backend {
    pub(crate) name: String,
    pub(crate) models: Vec<Served>,
    pub(crate) in_flight_max: usize,
    target: Target,
    in_flight: AtomicUsize,
    state: Mutex<State>,
}

/// Who does the work.
#[derive(Debug)]
pub(crate) enum Target {
    OpenAi(Box<OpenAi>),
    #[cfg(feature = "embedded")]
    Embedded(Engine),
}

/// An answer while it comes.
#[derive(Debug)]
pub(crate) enum Stream {
    OpenAi(Box<openai::Stream>),
    #[cfg(feature = "embedded")]
    Embedded(engine::Stream),
}

/// What is known of a backend.
#[derive(Clone, Debug, Default)]
struct State {
    failures: u32,
    down_until: Option<Instant>,
    why: Option<&'static str>,
    /// Why the last look at it failed.
    unseen: Option<&'static str>,
    models: Option<BTreeSet<String>>,
    load: Option<Seen>,
}

/// How busy it said it was, when, and how many of those calls were ours.
#[derive(Clone, Copy, Debug)]
struct Seen {
    load: Load,
    ours: usize,
    at: Instant,
}

/// How a backend is right now.
#[derive(Clone, Debug)]
pub(crate) struct Health {
    /// None where nothing speaks against it.
    pub(crate) why: Option<&'static str>,
    /// What it said of itself lately.
    pub(crate) load: Option<Load>,
    /// This server's own calls there.
    pub(crate) in_flight: usize,
    /// Calls that are worked on or wait, those of others included where that is known.
    pub(crate) demand: f64,
}

/// A call that is under way; it ends with the value.
#[derive(Debug)]
pub(crate) struct InFlight(Arc<Backend>);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Backend {
    pub(crate) fn new(name: String, models: Vec<Served>, in_flight_max: usize, target: Target) -> Arc<Self> {
        let backend = Arc::new(Self {
            name,
            models,
            in_flight_max,
            target,
            in_flight: AtomicUsize::new(0),
            state: Mutex::default(),
        });
        match &backend.target {
            Target::OpenAi(server) => {
                tokio::spawn(watched(Arc::downgrade(&backend), server.probe_interval()));
            }
            #[cfg(feature = "embedded")]
            Target::Embedded(_) => {}
        }
        backend
    }

    /// The model as it is served here.
    pub(crate) fn serves(&self, model: &ModelName) -> Option<&Served> {
        self.models.iter().find(|served| served.name == *model)
    }

    pub(crate) fn kind(&self) -> &'static str {
        match self.target {
            Target::OpenAi(_) => "openai",
            #[cfg(feature = "embedded")]
            Target::Embedded(_) => "embedded",
        }
    }

    /// Takes a place for a call; none where all are taken.
    pub(crate) fn enter(self: &Arc<Self>) -> Option<InFlight> {
        let taken = self.in_flight.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |count| {
            (count < self.in_flight_max).then_some(count + 1)
        });
        taken.ok().map(|_| InFlight(Arc::clone(self)))
    }

    /// How it is, for a model.
    pub(crate) fn health(&self, served: &Served) -> Health {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let in_flight = self.in_flight.load(Ordering::Relaxed);
        let lacking = state.models.as_ref().is_some_and(|models| !models.contains(&served.there));
        let why = state.why.filter(|_| state.down_until.is_some_and(|until| Instant::now() < until));
        let why = why.or(state.unseen).or(lacking.then_some("it does not list the model")).or(self.broken());
        let load = state.load.filter(|seen| seen.at.elapsed() < self.load_is_good_for());
        let demand = match load {
            Some(Seen { load, ours, .. }) => {
                load.running + load.waiting + in_flight.saturating_sub(ours) as f64
            }
            None => in_flight as f64,
        };
        Health { why, load: load.map(|seen| seen.load), in_flight, demand }
    }

    fn broken(&self) -> Option<&'static str> {
        match &self.target {
            Target::OpenAi(_) => None,
            #[cfg(feature = "embedded")]
            Target::Embedded(engine) => engine.ended().then_some("its engine has ended"),
        }
    }

    fn load_is_good_for(&self) -> Duration {
        match &self.target {
            Target::OpenAi(server) => server.probe_interval() * 3,
            #[cfg(feature = "embedded")]
            Target::Embedded(_) => Duration::ZERO,
        }
    }

    /// Asks for a text. How an answer is brought to be of a schema is known before it comes.
    pub(crate) async fn write(
        &self,
        ask: &Ask,
        served: &Served,
    ) -> Result<(Stream, Option<Enforced>), Failure> {
        match &self.target {
            Target::OpenAi(server) => {
                let how = if served.structured { Enforced::Requested } else { Enforced::Checked };
                let stream = server.write(ask, served).await?;
                Ok((Stream::OpenAi(Box::new(stream)), ask.schema.as_ref().map(|_| how)))
            }
            #[cfg(feature = "embedded")]
            Target::Embedded(engine) => {
                let (stream, how) = engine.write(ask)?;
                Ok((Stream::Embedded(stream), how))
            }
        }
    }

    /// Asks for vectors.
    pub(crate) async fn embed(
        &self,
        inputs: &[String],
        served: &Served,
    ) -> Result<(Vec<Vec<f32>>, Option<Tokens>), Failure> {
        match &self.target {
            Target::OpenAi(server) => server.embed(inputs, served).await,
            #[cfg(feature = "embedded")]
            Target::Embedded(engine) => engine.embed(inputs).await,
        }
    }

    /// Whether a schema has to be told to the model in words.
    pub(crate) fn wants_words(&self, served: &Served, of: Use) -> bool {
        of == Use::Chat && (!served.structured || self.kind() == "embedded")
    }

    pub(crate) fn did_well(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        (state.failures, state.down_until, state.why) = (0, None, None);
    }

    /// Notes what speaks against it.
    pub(crate) fn failed(&self, failure: &Failure) {
        let Some(why) = failure.against_it() else { return };
        tracing::warn!(backend = self.name, why, "a backend failed");
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let pause = PAUSE.saturating_mul(1 << state.failures.min(5)).min(PAUSE_MAX);
        state.failures = state.failures.saturating_add(1);
        state.why = Some(why);
        state.down_until = Some(Instant::now() + pause);
    }

    /// Looks at its health and its load.
    async fn probe(&self) {
        #[cfg_attr(
            not(feature = "embedded"),
            expect(irrefutable_let_patterns, reason = "there is one kind only")
        )]
        let Target::OpenAi(server) = &self.target else { return };
        match server.models().await {
            Ok(models) => {
                let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
                if state.unseen.take().is_some() {
                    tracing::info!(backend = self.name, "a backend is back");
                    (state.failures, state.down_until, state.why) = (0, None, None);
                }
                state.models = Some(models.into_iter().collect());
            }
            Err(failure) => {
                let Some(why) = failure.against_it() else { return };
                let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
                if state.unseen.replace(why).is_none() {
                    tracing::warn!(backend = self.name, why, "a backend can't be seen");
                }
                return;
            }
        }
        let ours = self.in_flight.load(Ordering::Relaxed);
        if let Some(load) = server.load().await {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            state.load = Some(Seen { load, ours, at: Instant::now() });
        }
    }
}

/// Looks at a backend again and again, as long as there is one.
async fn watched(backend: Weak<Backend>, interval: Duration) {
    while let Some(backend) = backend.upgrade() {
        backend.probe().await;
        drop(backend);
        tokio::time::sleep(interval).await;
    }
}

impl Stream {
    /// The next part of the text; the end comes last, and nothing behind it.
    pub(crate) async fn next(&mut self) -> Result<Option<Piece>, Failure> {
        match self {
            Self::OpenAi(stream) => stream.next().await,
            #[cfg(feature = "embedded")]
            Self::Embedded(stream) => stream.next().await,
        }
    }
}
