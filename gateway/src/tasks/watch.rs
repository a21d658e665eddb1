//! What an answer shows belongs to its caller before the caller sees it. An agent that shows one principal another's
//! task has its answer broken off.

use super::store::{Claim, Seen};
use super::{Named, Owner, Store, StoreError};
use crate::audit::Shown;
use crate::authorize::Question;
use crate::config::PerOwner;
use protocol::a2a::{self, Binding, Call, Event, EventError, EventKind, Method, Version};
use std::time::SystemTime;

/// Watches the answer to one call.
#[derive(Debug)]
pub struct Watcher {
    store: Store,
    agent: String,
    owner: Owner,
    binding: Binding,
    version: Version,
    method: Method,
    /// The task that the call named.
    task: Option<String>,
    now: SystemTime,
    most: PerOwner,
    shown: Shown,
    /// What was noted last, so that most events of a stream cost nothing.
    noted: Option<Seen>,
}

/// Why an answer can't go on.
#[derive(Debug, thiserror::Error)]
pub enum WatchError {
    /// Nobody can say whose it is.
    #[error(transparent)]
    Event(#[from] EventError),
    /// It is another principal's.
    #[error("the agent showed a task or a context of another principal")]
    Foreign,
    /// It is about another task than the call.
    #[error("the agent answered about another task")]
    Other,
    /// A task without an id, or an event about none.
    #[error("the agent's answer names no task")]
    Nameless,
    /// The owner has as many tasks as one may.
    #[error("the owner has {max} tasks at the agent")]
    TooManyTasks {
        /// The limit.
        max: usize,
    },
    /// The owner has as many contexts as one may.
    #[error("the owner has {max} contexts, and tasks that the agent has forgotten")]
    TooManyContexts {
        /// The limit.
        max: usize,
    },
    /// Nobody can say.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Watcher {
    /// For the answer to a call.
    pub fn new(
        call: &Call,
        question: &Question<'_>,
        named: &Named,
        store: &Store,
        shown: Shown,
        most: PerOwner,
    ) -> Self {
        Self {
            store: store.clone(),
            agent: question.server.name().to_owned(),
            owner: named.owner_of_answer.clone(),
            binding: call.binding,
            version: call.version,
            method: call.method,
            task: call.task.clone(),
            now: question.now,
            most,
            shown,
            noted: None,
        }
    }

    /// Whether the answer is a stream of events.
    pub fn streams(&self) -> bool {
        self.method.row().streams
    }

    /// Whether it is one about a task that its caller knows: from the call, or from an event that went on.
    pub fn streams_a_known_task(&self) -> bool {
        let shown = || self.noted.as_ref().is_some_and(|noted| noted.task.is_some());
        self.streams() && (self.task.is_some() || shown())
    }

    /// Looks at an answer, or at one event of a stream: a body, or the data of an SSE event.
    ///
    /// # Errors
    /// [`WatchError`]: the caller must not see it.
    pub async fn saw(&mut self, bytes: &[u8]) -> Result<(), WatchError> {
        let event = a2a::event(self.binding, self.version, self.method, bytes)?;
        match event.kind {
            EventKind::Error | EventKind::Other => return Ok(()),
            EventKind::Message => {}
            EventKind::Task | EventKind::Status | EventKind::Artifact if event.task.is_none() => {
                return Err(WatchError::Nameless);
            }
            EventKind::Task | EventKind::Status | EventKind::Artifact => {}
        }
        if self.task.is_some() && event.task.is_some() && self.task != event.task {
            return Err(WatchError::Other);
        }
        if !self.knows(&event) {
            self.claim(&event).await?;
        }
        self.shown.event(&event);
        Ok(())
    }

    /// Whether the event says nothing that was not noted already.
    fn knows(&self, event: &Event) -> bool {
        let nameless = event.task.is_none() && event.context.is_none();
        nameless
            || self.noted.as_ref().is_some_and(|noted| {
                let moved = event.state.is_some() && event.state.as_deref() != noted.state.as_deref();
                noted.task == event.task && noted.context == event.context && !moved
            })
    }

    /// Makes what it shows its owner's, or finds that it is.
    async fn claim(&mut self, event: &Event) -> Result<(), WatchError> {
        let seen = seen(event, self.now);
        match self.store.saw(&self.agent, &self.owner, seen.clone(), self.most).await? {
            Claim::Owned => {
                self.noted = Some(seen);
                Ok(())
            }
            Claim::Foreign => Err(WatchError::Foreign),
            Claim::TooManyTasks => Err(WatchError::TooManyTasks { max: self.most.tasks_max }),
            Claim::TooManyContexts => Err(WatchError::TooManyContexts { max: self.most.contexts_max }),
        }
    }
}

/// What an event says of a task, for the store.
pub(crate) fn seen(event: &Event, now: SystemTime) -> Seen {
    let since_ms = event.since.as_deref().and_then(super::list::milliseconds);
    Seen {
        task: event.task.clone(),
        context: event.context.clone(),
        state: event.state.as_deref().map(str::to_owned),
        since_ms: since_ms.unwrap_or_else(|| super::list::since_1970(now)),
    }
}
