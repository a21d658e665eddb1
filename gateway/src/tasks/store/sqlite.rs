//! Whose tasks are, in an SQLite database: in a file or in memory. Whoever asks commits what waits, the own question with it,
//! unless somebody else is at it: a question beside which there is no other changes no thread. What comes meanwhile is left to
//! a thread, which commits it together. So are those for which another process keeps the file locked, and checkpoints, which
//! wait for the disk.

mod rows;

use super::{Claim, Known, Names, Owner, Page, Query, Seen, StoreError};
use crate::config::PerOwner;
use rusqlite::{Connection, ErrorCode, TransactionBehavior};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::thread::Thread;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// Takes questions to the database.
#[derive(Clone, Debug)]
pub(super) struct Sqlite(Arc<Handle>);

/// The last one that goes lets the thread end.
#[derive(Debug)]
struct Handle {
    shared: Arc<Shared>,
    thread: Thread,
}

struct Shared {
    database: Mutex<Connection>,
    waiting: Mutex<Vec<Work>>,
    /// Questions since the last checkpoint.
    asked: AtomicUsize,
    /// Whether the last commit failed.
    failing: AtomicBool,
    closed: AtomicBool,
}

/// None: it failed, and has told so; nothing of it is to stay.
type Work = Box<dyn FnOnce(&Connection) -> Option<Done> + Send>;
/// Hands the result over, once it is committed.
type Done = Box<dyn FnOnce(Result<(), &str>) + Send>;

/// Questions that wait.
const WAITING_MAX: usize = 65_536;
/// Questions that one commit carries.
const BATCH_MAX: usize = 256;
/// How long one commit takes up further questions: a thread of the runtime does nothing else meanwhile.
const COMMIT_MAX: Duration = Duration::from_millis(20);
/// How long another process may keep the file locked.
const BUSY_MAX: Duration = Duration::from_secs(5);
/// Questions between two checkpoints. Each writes some five pages of 4 KiB: the log has some 80 MiB, unless somebody reads
/// the file for so long that it can't begin anew.
const CHECKPOINT_EVERY: usize = 4_096;
/// How long those who read the file may keep a log from beginning anew, while commits wait.
const CHECKPOINT_BUSY_MAX: Duration = Duration::from_millis(100);
/// Pages of the log from which on the operator is told.
const LOG_PAGES_WARN: i64 = 65_536;

impl Sqlite {
    /// Opens the database and starts its thread; without a path it is in memory.
    pub(super) fn open(path: Option<&Path>) -> Result<Self, StoreError> {
        let connect = || path.map_or_else(Connection::open_in_memory, Connection::open).map_err(failed);
        let database = connect()?;
        database.busy_timeout(BUSY_MAX).map_err(failed)?;
        rows::prepare(&database)?;
        let beside = path.map(|_| connect()).transpose()?; // Checkpoints of its own, beside the commits.
        let shared = Arc::new(Shared {
            database: Mutex::new(database),
            waiting: Mutex::default(),
            asked: AtomicUsize::new(0),
            failing: AtomicBool::new(false),
            closed: AtomicBool::new(false),
        });
        let keeper = Keeper { shared: Arc::clone(&shared), beside };
        let thread = std::thread::Builder::new().name("tasks".to_owned());
        let thread = thread.spawn(move || keeper.run()).map_err(|_| StoreError::Gone)?;
        Ok(Self(Arc::new(Handle { shared, thread: thread.thread().clone() })))
    }

    pub(super) async fn known(&self, agent: &str, names: Names) -> Result<Known, StoreError> {
        let agent = agent.to_owned();
        self.ask(move |database| {
            let one = |id: &String| rows::task(database, &agent, id);
            let mut known =
                Known { task: names.task.as_ref().map(one).transpose()?.flatten(), ..Known::default() };
            if let Some(context) = &names.context {
                known.context = rows::owner_of_context(database, &agent, context)?;
            }
            for reference in &names.references {
                known.references.extend(one(reference)?);
            }
            Ok(known)
        })
        .await
    }

    pub(super) async fn saw(
        &self,
        agent: &str,
        owner: &Owner,
        seen: Seen,
        most: PerOwner,
    ) -> Result<Claim, StoreError> {
        let (agent, owner) = (agent.to_owned(), owner.clone());
        self.ask(move |database| rows::claim(database, &agent, &owner, &seen, most)).await
    }

    pub(super) async fn claim_context(
        &self,
        agent: &str,
        owner: &Owner,
        context: &str,
        most: PerOwner,
    ) -> Result<Claim, StoreError> {
        let (agent, owner, context) = (agent.to_owned(), owner.clone(), context.to_owned());
        self.ask(move |database| rows::claim_context(database, &agent, &owner, &context, most)).await
    }

    pub(super) async fn page(&self, agent: &str, owner: &Owner, query: Query) -> Result<Page, StoreError> {
        let (agent, owner) = (agent.to_owned(), owner.clone());
        self.ask(move |database| rows::page(database, &agent, &owner, &query)).await
    }

    pub(super) async fn gone(&self, agent: &str, owner: &Owner, task: &str) -> Result<(), StoreError> {
        let (agent, owner, task) = (agent.to_owned(), owner.clone(), task.to_owned());
        self.ask(move |database| rows::gone(database, &agent, &owner, &task)).await
    }

    /// Whether it can be written to, as far as the last commit tells; where that failed it is asked anew.
    pub(super) async fn answers(&self) -> Result<(), StoreError> {
        match self.0.shared.failing.load(Ordering::Relaxed) {
            true => self.known("", Names::default()).await.map(drop),
            false => Ok(()),
        }
    }

    async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Connection) -> Result<T, rusqlite::Error> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (answer, answered) = oneshot::channel();
        let work: Work = Box::new(move |database| match question(database) {
            Ok(found) => Some(Box::new(move |committed: Result<(), &str>| {
                let _ = answer.send(committed.map(|()| found).map_err(str::to_owned)); // Who asked may have gone.
            })),
            Err(error) => {
                tracing::error!(%error, "the store of tasks could not answer a question");
                let _ = answer.send(Err(error.to_string()));
                None
            }
        });
        self.0.shared.push(work)?;
        self.0.commit();
        answered.await.map_err(|_| StoreError::Gone)?.map_err(StoreError::Sqlite)
    }
}

impl Handle {
    /// Commits what waits, once, unless somebody else is at it: they look again when they are done.
    fn commit(&self) {
        let Some(mut database) = self.shared.try_database() else { return };
        self.shared.commit(&mut database, Duration::ZERO);
        drop(database);
        if !self.shared.waiting().is_empty() || self.shared.is_due() {
            self.thread.unpark();
        }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.shared.closed.store(true, Ordering::Release);
        self.thread.unpark();
    }
}

impl Shared {
    fn push(&self, work: Work) -> Result<(), StoreError> {
        let mut waiting = self.waiting();
        if waiting.len() >= WAITING_MAX {
            return Err(StoreError::Gone);
        }
        waiting.push(work);
        Ok(())
    }

    fn waiting(&self) -> MutexGuard<'_, Vec<Work>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn database(&self) -> MutexGuard<'_, Connection> {
        self.database.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn try_database(&self) -> Option<MutexGuard<'_, Connection>> {
        match self.database.try_lock() {
            Ok(database) => Some(database),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    fn is_due(&self) -> bool {
        self.asked.load(Ordering::Relaxed) >= CHECKPOINT_EVERY
    }

    /// Commits what waits, as far as one commit carries it, and tells who asked. What finds the file locked for longer than
    /// `patience` goes on waiting; if that was the longest time there is, nothing that waits by then does.
    fn commit(&self, database: &mut Connection, patience: Duration) {
        let mut work = std::mem::take(&mut *self.waiting());
        if work.len() > BATCH_MAX {
            let rest = work.split_off(BATCH_MAX);
            self.put_back(rest);
        }
        if work.is_empty() {
            return;
        }
        let all = work.len();
        let mut done = Vec::with_capacity(all);
        let committed = in_one_commit(database, patience, &mut work, &mut done);
        self.asked.fetch_add(all.saturating_sub(work.len()), Ordering::Relaxed);
        let locked = committed.as_ref().is_err_and(is_locked) && done.is_empty();
        if locked && patience < BUSY_MAX {
            return self.put_back(work);
        }
        self.failing.store(committed.is_err(), Ordering::Relaxed);
        match committed.is_err() {
            true => self.waiting().clear(), // Else each batch of them would wait as long again.
            false => self.put_back(work),
        }
        let said = committed.map_err(|error| error.to_string());
        if let Err(error) = &said {
            tracing::error!(%error, "the store of tasks failed");
        }
        for tell in done {
            tell(said.as_ref().copied().map_err(String::as_str));
        }
    }

    /// In front of what came meanwhile.
    fn put_back(&self, mut work: Vec<Work>) {
        let mut waiting = self.waiting();
        work.append(&mut waiting);
        *waiting = work;
    }
}

fn in_one_commit(
    database: &mut Connection,
    patience: Duration,
    work: &mut Vec<Work>,
    done: &mut Vec<Done>,
) -> Result<(), rusqlite::Error> {
    database.busy_timeout(patience)?;
    let mut database = database.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let (began, mut taken) = (Instant::now(), 0);
    let alone = work.len() == 1;
    let mut rest = std::mem::take(work).into_iter();
    while (taken == 0 || began.elapsed() < COMMIT_MAX)
        && let Some(question) = rest.next()
    {
        taken += 1;
        if alone {
            done.extend(question(&database));
            break;
        }
        let apart = database.savepoint()?; // One that fails leaves the others as they are.
        if let Some(tell) = question(&apart) {
            apart.commit()?;
            done.push(tell);
        }
    }
    work.extend(rest);
    if alone && done.is_empty() { database.rollback() } else { database.commit() }
}

fn is_locked(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy)
}

fn failed(error: rusqlite::Error) -> StoreError {
    StoreError::Sqlite(error.to_string())
}

/// The thread.
struct Keeper {
    shared: Arc<Shared>,
    /// A second connection to a file.
    beside: Option<Connection>,
}

impl Keeper {
    /// Works until nobody can ask any more.
    fn run(self) {
        while !self.shared.closed.load(Ordering::Acquire) {
            while !self.shared.waiting().is_empty() && !self.shared.is_due() {
                self.shared.commit(&mut self.shared.database(), BUSY_MAX);
            }
            if self.shared.is_due() {
                self.shared.asked.store(0, Ordering::Relaxed);
                if let Some(beside) = &self.beside {
                    match self.checkpoint(beside) {
                        Ok(pages) if pages < LOG_PAGES_WARN => {}
                        Ok(pages) => tracing::warn!(
                            pages,
                            "the log of the store of tasks grows: somebody reads the file all the time"
                        ),
                        Err(error) => {
                            tracing::warn!(%error, "the log of the store of tasks could not be written back; it is tried again")
                        }
                    }
                }
            }
            if self.shared.waiting().is_empty() {
                std::thread::park();
            }
        }
    }

    /// Writes the log back into the file, so that it begins anew: most of it beside the commits, then, while they wait, what
    /// came meanwhile. The first commit of a log syncs it, so this one is made here too. Gives the pages that the log goes on
    /// with: none, unless somebody reads the file.
    fn checkpoint(&self, beside: &Connection) -> Result<i64, rusqlite::Error> {
        beside.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))?;
        let database = self.shared.database();
        database.busy_timeout(CHECKPOINT_BUSY_MAX)?;
        let read = |row: &rusqlite::Row<'_>| Ok((row.get::<_, bool>(0)?, row.get::<_, i64>(1)?));
        let (busy, pages) = database.query_row("PRAGMA wal_checkpoint(RESTART)", [], read)?;
        if busy {
            return Ok(pages);
        }
        match database.execute_batch(rows::STAMP) {
            Err(error) if is_locked(&error) => Ok(0), // Another process makes the first commit then.
            made => made.map(|()| 0),
        }
    }
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("waiting", &self.waiting().len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
