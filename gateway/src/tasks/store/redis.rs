//! Whose tasks are, in a Redis that gateways share. Each question is one script, which Redis runs alone and at once: what
//! two gateways ask at the same time is answered one after the other. `redis/begin.lua` says what is kept how.
//!
//! The store has a random mark. A gateway remembers the one that it began with, and a store without it, or with another,
//! has lost what was in it: what the lost tasks' owners could do nobody may do, so nothing passes until a restart.

mod script;

use self::script::{Scripts, encoded, maybe, owner_of, place, row};
use super::{Claim, Known, Names, Owner, Page, Query, Seen, StoreError};
use crate::config::{PerOwner, RedisTasks};
use crate::redis::{Connection, Connector, RedisFailure};
use arc_swap::ArcSwapOption;
use certs::{Clock, SharedSource};
use redis::{ErrorKind, ServerErrorKind, Value, cmd};
use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::time::timeout;

/// Takes questions to a Redis.
pub(super) struct Redis {
    connector: Connector,
    /// What every key begins with: the prefix in braces.
    base: String,
    patience: Duration,
    /// What tells this store from another one.
    mark: OnceLock<String>,
    ready: ArcSwapOption<Ready>,
    /// Whoever holds it makes the connection that the others wait for.
    connecting: Mutex<()>,
}

/// A connection, and the scripts as they are called there.
struct Ready {
    connection: Connection,
    scripts: Scripts,
}

/// A question: which script, and what it is told.
struct Question<'q> {
    script: script::Name,
    agent: &'q str,
    words: Vec<String>,
}

/// The largest number that a script is told: doubles hold it.
const NUMBER_MAX: u64 = 1 << 53;

fn number(most: usize) -> String {
    u64::try_from(most).unwrap_or(NUMBER_MAX).min(NUMBER_MAX).to_string()
}

impl Redis {
    /// Without a connection yet.
    pub(super) fn new(
        tasks: &RedisTasks,
        identity: &SharedSource,
        clock: &Clock,
    ) -> Result<Self, RedisFailure> {
        Ok(Self {
            connector: Connector::new(tasks.at.clone(), identity, clock)?,
            base: format!("{{{}}}", tasks.prefix),
            patience: tasks.timeout,
            mark: OnceLock::new(),
            ready: ArcSwapOption::empty(),
            connecting: Mutex::new(()),
        })
    }

    pub(super) async fn answers(&self) -> Result<(), StoreError> {
        self.known("", Names::default()).await.map(drop)
    }

    pub(super) async fn known(&self, agent: &str, names: Names) -> Result<Known, StoreError> {
        let mut words = vec![maybe(names.task.as_deref()), maybe(names.context.as_deref())];
        words.extend(names.references);
        let answer = self.ask(Question { script: script::Name::Known, agent, words }).await?;
        let [tasks, owners, references] = script::parts(answer)?;
        let tasks = script::parts_of(tasks)?.into_iter().map(row).collect::<Result<Vec<_>, _>>()?;
        let owners = script::parts_of(owners)?.into_iter().map(|owner| {
            let [owner] = script::parts(owner)?;
            owner_of(owner)
        });
        Ok(Known {
            task: tasks.into_iter().next(),
            context: owners.collect::<Result<Vec<_>, _>>()?.into_iter().next(),
            references: script::parts_of(references)?.into_iter().map(row).collect::<Result<_, _>>()?,
        })
    }

    pub(super) async fn saw(
        &self,
        agent: &str,
        owner: &Owner,
        seen: Seen,
        most: PerOwner,
    ) -> Result<Claim, StoreError> {
        let words = vec![
            encoded(owner),
            maybe(seen.task.as_deref()),
            maybe(seen.context.as_deref()),
            maybe(seen.state.as_deref()),
            place(seen.since_ms),
            number(most.contexts_max),
            number(most.tasks_max),
        ];
        script::claim(self.ask(Question { script: script::Name::Saw, agent, words }).await?)
    }

    pub(super) async fn claim_context(
        &self,
        agent: &str,
        owner: &Owner,
        context: &str,
        most: PerOwner,
    ) -> Result<Claim, StoreError> {
        let words = vec![encoded(owner), context.to_owned(), number(most.contexts_max)];
        script::claim(self.ask(Question { script: script::Name::ClaimContext, agent, words }).await?)
    }

    pub(super) async fn page(&self, agent: &str, owner: &Owner, query: Query) -> Result<Page, StoreError> {
        let too_early = query.after_ms.and_then(|after| after.checked_sub(1)).map(place);
        let behind = query.behind.map(|(since_ms, id)| place(since_ms) + &id);
        let words = vec![
            encoded(owner),
            maybe(query.context.as_deref()),
            maybe(query.state.as_deref()),
            maybe(too_early.as_deref()),
            maybe(behind.as_deref()),
            query.limit.saturating_add(1).to_string(),
        ];
        let answer = self.ask(Question { script: script::Name::Page, agent, words }).await?;
        let [total, rows] = script::parts(answer)?;
        let total = script::text(total)?.parse().map_err(|_| StoreError::Nonsense)?;
        let mut tasks = script::parts_of(rows)?.into_iter().map(row).collect::<Result<Vec<_>, _>>()?;
        let more = tasks.len() > usize::try_from(query.limit).unwrap_or(usize::MAX);
        if more {
            tasks.pop();
        }
        Ok(Page { tasks, total, more })
    }

    pub(super) async fn gone(&self, agent: &str, owner: &Owner, task: &str) -> Result<(), StoreError> {
        let words = vec![encoded(owner), task.to_owned()];
        script::claim(self.ask(Question { script: script::Name::Gone, agent, words }).await?).map(drop)
    }

    /// One question within its time. After a failure the next one has a new connection: nobody knows what this one would
    /// answer, or whether the server behind it is still the one to ask.
    async fn ask(&self, question: Question<'_>) -> Result<Value, StoreError> {
        let mut used = None;
        let asked = timeout(self.patience, self.asked(&question, &mut used)).await;
        let answer = asked.unwrap_or(Err(RedisFailure::Timeout));
        if answer.is_err() {
            self.forget(used.as_ref());
        }
        match answer? {
            Value::Nil => Err(StoreError::Lost),
            answer => Ok(answer),
        }
    }

    async fn asked(
        &self,
        question: &Question<'_>,
        used: &mut Option<Arc<Ready>>,
    ) -> Result<Value, RedisFailure> {
        let answer = self.put(question, used).await;
        let Err(RedisFailure::Redis(error)) = &answer else { return answer };
        let flushed = error.kind() == ErrorKind::Server(ServerErrorKind::NoScript); // Its scripts are brought anew.
        if !flushed && !error.is_connection_dropped() {
            return answer;
        }
        self.forget(used.as_ref());
        self.put(question, used).await // A question that was heard already changes nothing the second time.
    }

    async fn put(
        &self,
        question: &Question<'_>,
        used: &mut Option<Arc<Ready>>,
    ) -> Result<Value, RedisFailure> {
        let ready = used.insert(self.ready().await?);
        let mut command = cmd("EVALSHA");
        command.arg(ready.scripts.hash(question.script)).arg(1).arg(self.mark_key());
        command.arg(self.mark.get()).arg(&self.base).arg(question.agent).arg(&question.words);
        Ok(command.query_async(&mut ready.connection.asks.clone()).await?)
    }

    fn mark_key(&self) -> String {
        format!("{}:store", self.base)
    }

    fn forget(&self, used: Option<&Arc<Ready>>) {
        if let Some(used) = used {
            self.ready.compare_and_swap(used, None); // Unless somebody has made a new one.
        }
    }

    fn at_hand(&self) -> Option<Arc<Ready>> {
        self.ready.load_full().filter(|ready| !ready.connection.is_over())
    }

    async fn ready(&self) -> Result<Arc<Ready>, RedisFailure> {
        if let Some(ready) = self.at_hand() {
            return Ok(ready);
        }
        let _alone = self.connecting.lock().await;
        if let Some(ready) = self.at_hand() {
            return Ok(ready);
        }
        let mut connection = self.connector.connect().await?;
        let scripts = Scripts::load(&mut connection.asks).await?;
        if self.mark.get().is_none() {
            let fresh = script::fresh_mark()?;
            let mut begin = cmd("EVALSHA");
            begin.arg(scripts.hash(script::Name::Mark)).arg(1).arg(self.mark_key()).arg(fresh);
            let mark: String = begin.query_async(&mut connection.asks).await?;
            let _ = self.mark.set(mark); // Nobody else is here.
        }
        let ready = Arc::new(Ready { connection, scripts });
        self.ready.store(Some(Arc::clone(&ready)));
        Ok(ready)
    }
}

impl fmt::Debug for Redis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Redis({} {})", self.connector.url(), self.base)
    }
}
