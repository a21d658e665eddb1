//! A list of revocations in Redis, which several gateways share: a hash with an entry of [`super::file`] in each field, and
//! in the field `version` a number that counts the changes. `sallyport revoke --config` writes it.
//!
//! The number is asked for several times a second, and the list is read when it is another one. That notices a server that
//! has gone without a word as soon as one that was changed, and a list that was changed while nobody listened, too. A hash
//! without the number is no list: a server that has lost its data must not be an amnesty.

use super::file::{RevocationsError, line};
use super::{Revocations, source};
use crate::config::{RedisList, WhenAway};
use crate::https::HttpsError;
use crate::redis::{Connection, Connector, RedisFailure};
use crate::state::Gateway;
use certs::{Clock, SharedSource};
use redis::aio::MultiplexedConnection;
use redis::{FromRedisValue, Pipeline, RedisError, cmd};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout};

/// How often the number is asked for: streams have to end within a second.
const INTERVAL: Duration = Duration::from_millis(250);
/// How often the list is read whatever its number is: an older one may have been restored.
const WHOLE: Duration = Duration::from_secs(60);
/// How long a look may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often a change is tried while others change the list, too.
const TRIES: usize = 32;
/// The field that counts the changes.
const VERSION: &str = "version";
/// Stands for the number of a list that isn't there: Redis counts from 1.
const NO_LIST: i64 = 0;

/// Why there is no list from Redis, or no change of it.
#[derive(Debug, thiserror::Error)]
pub enum RedisListError {
    /// It gives no answer.
    #[error(transparent)]
    Away(#[from] RedisFailure),
    /// What it gave is no list.
    #[error(transparent)]
    List(#[from] RevocationsError),
    /// Others have changed the list each time that it was about to be changed.
    #[error("others are changing the list at the same time")]
    Contended,
}

/// A Redis with a list in it.
pub struct Client {
    list: RedisList,
    connector: Connector,
    entries_max: usize,
    connection: Option<Connection>,
}

impl Client {
    /// A client that has not connected yet. `identity` is what is shown to a server that asks for a certificate.
    ///
    /// # Errors
    /// [`HttpsError`] if the server's authorities can't be used.
    pub fn new(
        list: RedisList,
        identity: &SharedSource,
        clock: &Clock,
        entries_max: usize,
    ) -> Result<Self, HttpsError> {
        let connector = Connector::new(list.at.clone(), identity, clock)?;
        Ok(Self { list, connector, entries_max, connection: None })
    }

    /// The list as it is now.
    ///
    /// # Errors
    /// [`RedisListError`].
    pub async fn read(&mut self) -> Result<Revocations, RedisListError> {
        let found: HashMap<String, String> = self.asked(cmd("HGETALL").arg(&self.list.key)).await?;
        if !found.contains_key(VERSION) {
            return Err(RevocationsError::NoList.into());
        }
        let entries = found.iter().filter(|(field, _)| *field != VERSION);
        let text: String = entries.map(|(_, entry)| format!("{entry}\n")).collect();
        Ok(Revocations::parse(&text, self.entries_max)?)
    }

    /// Changes the list, which is empty where there is none, so that no change of others is lost.
    ///
    /// # Errors
    /// [`RedisListError`], or what `change` says; the list is as it was.
    pub async fn change<E: From<RedisListError>>(
        &mut self,
        mut change: impl FnMut(&mut Revocations) -> Result<(), E>,
    ) -> Result<Revocations, E> {
        for _ in 0..TRIES {
            self.asked::<()>(cmd("WATCH").arg(&self.list.key)).await?;
            let before = match self.read().await {
                Err(RedisListError::List(RevocationsError::NoList)) => Revocations::default(),
                read => read?,
            };
            let mut after = before.clone();
            change(&mut after)?;
            if self.written(&before, &after).await? {
                return Ok(after);
            }
        }
        Err(RedisListError::Contended.into())
    }

    /// Writes the difference; false if somebody else has changed the list since it was read.
    async fn written(&mut self, before: &Revocations, after: &Revocations) -> Result<bool, RedisListError> {
        let key = self.list.key.clone();
        let mut all = Pipeline::new();
        all.atomic().cmd("HINCRBY").arg(&key).arg(VERSION).arg(1).ignore();
        for (name, _) in before.entries().filter(|(name, _)| after.until(name).is_none()) {
            all.cmd("HDEL").arg(&key).arg(line(name, None)).ignore();
        }
        for (name, until) in after.entries().filter(|(name, until)| before.until(name) != Some(*until)) {
            all.cmd("HSET").arg(&key).arg(line(name, None)).arg(line(name, until)).ignore();
        }
        let connection = self.connected().await?;
        let done: Option<()> = in_time(all.query_async(connection)).await?;
        Ok(done.is_some())
    }

    async fn asked<T: FromRedisValue>(&mut self, command: &redis::Cmd) -> Result<T, RedisListError> {
        let connection = self.connected().await?;
        let answer = in_time(command.query_async(connection)).await;
        if answer.is_err() {
            self.connection = None; // Nobody knows what it would answer next.
        }
        Ok(answer?)
    }

    async fn connected(&mut self) -> Result<&mut MultiplexedConnection, RedisListError> {
        let connection = match self.connection.take() {
            Some(connection) => connection,
            None => {
                timeout(PATIENCE, self.connector.connect()).await.map_err(|_| RedisFailure::Timeout)??
            }
        };
        Ok(&mut self.connection.insert(connection).asks)
    }
}

async fn in_time<T>(answer: impl Future<Output = Result<T, RedisError>>) -> Result<T, RedisFailure> {
    Ok(timeout(PATIENCE, answer).await.map_err(|_| RedisFailure::Timeout)??)
}

/// What a gateway knows of its list.
pub struct Follower {
    client: Client,
    /// The list's number, and when all of it was read last.
    read: Option<(i64, Instant)>,
    /// When the source answered last.
    answered: Instant,
    up: bool,
}

impl Follower {
    /// A follower that knows nothing yet.
    pub fn new(client: Client) -> Self {
        Self { client, read: None, answered: Instant::now(), up: true }
    }

    /// Looks again and again. What is known stays while the source is away, as long as the configuration lets it.
    pub async fn follow(mut self, gateway: Arc<Gateway>) {
        loop {
            self.looks(&gateway).await;
            sleep(INTERVAL).await;
        }
    }

    /// One look, and what becomes of it.
    pub async fn looks(&mut self, gateway: &Gateway) {
        let left = (self.answered + self.client.list.stale_after).saturating_duration_since(Instant::now());
        let patience = if left.is_zero() { PATIENCE } else { PATIENCE.min(left) };
        let looked = timeout(patience, self.look()).await.unwrap_or(Err(RedisFailure::Timeout.into()));
        let place = self.client.list.at.url.as_str();
        match looked {
            Ok(None) => {}
            Ok(Some(list)) => source::swap(gateway, list),
            Err(RedisListError::List(error)) => source::refuse(gateway, place, &error), // It answers, if with nonsense.
            Err(error) => return self.is_away(gateway, &crate::config::problems::chain(&error)),
        }
        self.answered = Instant::now();
        source::answers(gateway, std::mem::replace(&mut self.up, true), None);
        gateway.revocations.set_overdue(false);
    }

    /// The list, if it may be another one than before.
    async fn look(&mut self) -> Result<Option<Revocations>, RedisListError> {
        let mut ask = cmd("HGET");
        let found: Option<i64> = self.client.asked(ask.arg(&self.client.list.key).arg(VERSION)).await?;
        let version = found.unwrap_or(NO_LIST);
        if self.read.is_some_and(|(read, at)| read == version && at.elapsed() < WHOLE) {
            return Ok(None);
        }
        let list = self.client.read().await;
        if matches!(list, Ok(_) | Err(RedisListError::List(_))) {
            self.read = Some((version, Instant::now())); // A mistake is told once.
        }
        list.map(Some)
    }

    fn is_away(&mut self, gateway: &Gateway, cause: &str) {
        (self.client.connection, self.read) = (None, None); // What comes back may be another one.
        source::answers(gateway, std::mem::replace(&mut self.up, false), Some(cause));
        let stale = self.answered.elapsed() >= self.client.list.stale_after;
        match self.client.list.when_away {
            WhenAway::GoOn => {}
            WhenAway::NotReady => gateway.revocations.set_overdue(stale),
            WhenAway::Refuse if stale => source::swap(gateway, Revocations::unknown()),
            WhenAway::Refuse => {}
        }
    }
}
