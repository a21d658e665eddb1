//! Where it is kept whose tasks and contexts are: in SQLite, for one machine, or in a Redis that many share. An owner never
//! changes, and what was never seen belongs to nobody. Both answer alike, which the stories of shared_store.rs hold them to.

mod redis;
mod sqlite;

use self::redis::Redis;
use self::sqlite::Sqlite;
use super::Owner;
use crate::config::{PerOwner, TasksIn};
use crate::redis::RedisFailure;
use certs::{Clock, SharedSource};
use std::sync::Arc;

/// Answers whose a task is. A question to Redis is boxed: each request under way would keep room for one.
#[derive(Clone, Debug)]
pub struct Store(Kept);

#[derive(Clone, Debug)]
enum Kept {
    Sqlite(Sqlite),
    Redis(Arc<Redis>),
}

/// A task as the store knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Task {
    /// As the agent made it.
    pub id: String,
    /// As the agent made it.
    pub context: Option<String>,
    /// Whose it is.
    pub owner: Owner,
    /// The state that was last seen, as 1.0 names it.
    pub state: Option<String>,
    /// Milliseconds since 1970 at which it began, as far as is known.
    pub since_ms: i64,
}

/// What a call names at an agent.
#[derive(Clone, Debug, Default)]
pub struct Names {
    /// Its task.
    pub task: Option<String>,
    /// Its context.
    pub context: Option<String>,
    /// The tasks that it refers to.
    pub references: Vec<String>,
}

/// What of that is there.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// The task.
    pub task: Option<Task>,
    /// The context's owner.
    pub context: Option<Owner>,
    /// Those that are there of the tasks referred to.
    pub references: Vec<Task>,
}

/// What an answer showed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// A task.
    pub task: Option<String>,
    /// A context; the task's, if there is one.
    pub context: Option<String>,
    /// The task's state.
    pub state: Option<String>,
    /// Since when, in milliseconds since 1970.
    pub since_ms: i64,
}

/// What became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// It is the owner's: from now on, or already.
    Owned,
    /// It is somebody else's.
    Foreign,
    /// The owner has as many tasks as one may.
    TooManyTasks,
    /// The owner has as many contexts as one may.
    TooManyContexts,
}

/// Which of an owner's tasks.
#[derive(Clone, Debug, Default)]
pub struct Query {
    /// Of this context.
    pub context: Option<String>,
    /// Of this state.
    pub state: Option<String>,
    /// Changed at this time or later, in milliseconds since 1970.
    pub after_ms: Option<i64>,
    /// Behind this place: time and id of the last task of the page before.
    pub behind: Option<(i64, String)>,
    /// How many.
    pub limit: u32,
}

/// A page of an owner's tasks, the ones that changed last first.
#[derive(Clone, Debug, Default)]
pub struct Page {
    /// The tasks.
    pub tasks: Vec<Task>,
    /// How many there are in all.
    pub total: u32,
    /// Whether there are more behind these.
    pub more: bool,
}

/// The store can't say.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// The database failed.
    #[error("the store of tasks failed: {0}")]
    Sqlite(String),
    /// The file is of another version of Sallyport, or none of its own.
    #[error("the file is not a store of tasks of this version; name another file, or move this one away")]
    Version,
    /// Its thread has ended, or more waits for it than may.
    #[error("the store of tasks does not answer")]
    Gone,
    /// Redis gives no answer.
    #[error("the store of tasks failed")]
    Redis(#[source] Arc<RedisFailure>),
    /// What Redis has is another store than the one that this gateway began with.
    #[error("the store of tasks has lost what was in it; a restart begins anew")]
    Lost,
    /// Redis said something that no question of ours is answered with.
    #[error("the store of tasks gave an answer that is none")]
    Nonsense,
}

impl From<RedisFailure> for StoreError {
    fn from(failure: RedisFailure) -> Self {
        Self::Redis(Arc::new(failure))
    }
}

impl Store {
    /// Opens it. A Redis is connected to with the first question; `identity` is what is shown to one that asks.
    ///
    /// # Errors
    /// [`StoreError`] if the file can't be opened, or is none of ours; if the authorities for a Redis can't be used.
    pub fn open(place: &TasksIn, identity: &SharedSource, clock: &Clock) -> Result<Self, StoreError> {
        Ok(Self(match place {
            TasksIn::Memory => Kept::Sqlite(Sqlite::open(None)?),
            TasksIn::Sqlite(path) => Kept::Sqlite(Sqlite::open(Some(path))?),
            TasksIn::Redis(tasks) => Kept::Redis(Arc::new(Redis::new(tasks, identity, clock)?)),
        }))
    }

    /// Whether gateways on other machines can have the same.
    pub fn is_shared(&self) -> bool {
        matches!(self.0, Kept::Redis(_))
    }

    /// Whether it answers; one that isn't shared is asked only if it failed the last time.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn answers(&self) -> Result<(), StoreError> {
        match &self.0 {
            Kept::Sqlite(sqlite) => sqlite.answers().await,
            Kept::Redis(redis) => Box::pin(redis.answers()).await,
        }
    }

    /// Looks up what a call names at an agent.
    ///
    /// # Errors
    /// [`StoreError`]: nobody knows whose it is, so the call must not go on.
    pub async fn known(&self, agent: &str, names: Names) -> Result<Known, StoreError> {
        match &self.0 {
            Kept::Sqlite(sqlite) => sqlite.known(agent, names).await,
            Kept::Redis(redis) => Box::pin(redis.known(agent, names)).await,
        }
    }

    /// Notes what an answer showed to an owner.
    ///
    /// # Errors
    /// [`StoreError`]: it is not known whose it is, so the answer must not go on.
    pub async fn saw(
        &self,
        agent: &str,
        owner: &Owner,
        seen: Seen,
        most: PerOwner,
    ) -> Result<Claim, StoreError> {
        match &self.0 {
            Kept::Sqlite(sqlite) => sqlite.saw(agent, owner, seen, most).await,
            Kept::Redis(redis) => Box::pin(redis.saw(agent, owner, seen, most)).await,
        }
    }

    /// Makes a context a caller's that nobody has.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn claim_context(
        &self,
        agent: &str,
        owner: &Owner,
        context: &str,
        most: PerOwner,
    ) -> Result<Claim, StoreError> {
        match &self.0 {
            Kept::Sqlite(sqlite) => sqlite.claim_context(agent, owner, context, most).await,
            Kept::Redis(redis) => Box::pin(redis.claim_context(agent, owner, context, most)).await,
        }
    }

    /// A page of an owner's tasks at an agent.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn page(&self, agent: &str, owner: &Owner, query: Query) -> Result<Page, StoreError> {
        match &self.0 {
            Kept::Sqlite(sqlite) => sqlite.page(agent, owner, query).await,
            Kept::Redis(redis) => Box::pin(redis.page(agent, owner, query)).await,
        }
    }

    /// Leaves a task out of lists that its agent has no more. It stays its owner's.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn gone(&self, agent: &str, owner: &Owner, task: &str) -> Result<(), StoreError> {
        match &self.0 {
            Kept::Sqlite(sqlite) => sqlite.gone(agent, owner, task).await,
            Kept::Redis(redis) => Box::pin(redis.gone(agent, owner, task)).await,
        }
    }
}
