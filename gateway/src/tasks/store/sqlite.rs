//! Whose tasks are, in an SQLite database: in a file or in memory. One thread owns it; what waits for it together is
//! committed together.

use super::{Claim, Known, Names, Owner, Page, Query, Seen, StoreError, Task};
use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};
use std::path::Path;
use std::sync::mpsc;
use std::time::Duration;
use tokio::sync::oneshot;

/// Takes questions to the database's thread.
#[derive(Clone, Debug)]
pub(super) struct Sqlite {
    jobs: mpsc::SyncSender<Job>,
}

type Work = Box<dyn FnOnce(&Transaction<'_>) -> Result<Done, rusqlite::Error> + Send>;
/// Hands the result over, once it is committed.
type Done = Box<dyn FnOnce(Result<(), &str>) + Send>;

struct Job(Work);

/// Jobs that wait.
const WAITING_MAX: usize = 65_536;
/// Jobs that one commit carries.
const BATCH_MAX: usize = 256;
/// How long another process may keep the file locked.
const BUSY_MAX: Duration = Duration::from_secs(5);

const SCHEMA: &str = "
    PRAGMA journal_mode = WAL;
    PRAGMA synchronous = NORMAL;
    CREATE TABLE IF NOT EXISTS tasks (
        agent TEXT NOT NULL, id TEXT NOT NULL, context TEXT, iss TEXT, sub TEXT, spiffe_id TEXT NOT NULL,
        state TEXT, since_ms INTEGER NOT NULL, gone INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (agent, id)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX IF NOT EXISTS tasks_of_owner ON tasks (spiffe_id, sub, iss, agent, since_ms DESC, id) WHERE gone = 0;
    CREATE TABLE IF NOT EXISTS contexts (
        agent TEXT NOT NULL, id TEXT NOT NULL, iss TEXT, sub TEXT, spiffe_id TEXT NOT NULL, PRIMARY KEY (agent, id)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS held (
        spiffe_id TEXT NOT NULL, sub TEXT, iss TEXT, agent TEXT NOT NULL, tasks INTEGER NOT NULL
    ) STRICT;
    CREATE INDEX IF NOT EXISTS held_by_owner ON held (spiffe_id, sub, iss, agent);
    CREATE TRIGGER IF NOT EXISTS one_more AFTER INSERT ON tasks BEGIN
        UPDATE held SET tasks = tasks + 1
        WHERE spiffe_id = new.spiffe_id AND sub IS new.sub AND iss IS new.iss AND agent = new.agent;
    END;
    CREATE TRIGGER IF NOT EXISTS gone_or_back AFTER UPDATE OF gone ON tasks WHEN new.gone <> old.gone BEGIN
        UPDATE held SET tasks = tasks + old.gone - new.gone
        WHERE spiffe_id = new.spiffe_id AND sub IS new.sub AND iss IS new.iss AND agent = new.agent;
    END;
";

impl Sqlite {
    /// Opens the database and starts its thread; without a path it is in memory.
    pub(super) fn open(path: Option<&Path>) -> Result<Self, StoreError> {
        let connection = path.map_or_else(Connection::open_in_memory, Connection::open);
        let connection = connection.map_err(failed)?;
        connection.busy_timeout(BUSY_MAX).map_err(failed)?;
        connection.execute_batch(SCHEMA).map_err(failed)?;
        let (jobs, waiting) = mpsc::sync_channel(WAITING_MAX);
        let thread = std::thread::Builder::new().name("tasks".to_owned());
        thread.spawn(move || serve(connection, &waiting)).map_err(|_| StoreError::Gone)?;
        Ok(Self { jobs })
    }

    pub(super) async fn known(&self, agent: &str, names: Names) -> Result<Known, StoreError> {
        let agent = agent.to_owned();
        self.ask(move |database| {
            let one = |id: &String| task(database, &agent, id);
            let mut known =
                Known { task: names.task.as_ref().map(one).transpose()?.flatten(), ..Known::default() };
            if let Some(context) = &names.context {
                known.context = owner_of_context(database, &agent, context)?;
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
        tasks_max: usize,
    ) -> Result<Claim, StoreError> {
        let (agent, owner) = (agent.to_owned(), owner.clone());
        self.ask(move |database| claim(database, &agent, &owner, &seen, tasks_max)).await
    }

    pub(super) async fn claim_context(
        &self,
        agent: &str,
        owner: &Owner,
        context: &str,
    ) -> Result<Claim, StoreError> {
        let (agent, owner, context) = (agent.to_owned(), owner.clone(), context.to_owned());
        self.ask(move |database| claim_context(database, &agent, &owner, &context)).await
    }

    pub(super) async fn page(&self, agent: &str, owner: &Owner, query: Query) -> Result<Page, StoreError> {
        let (agent, owner) = (agent.to_owned(), owner.clone());
        self.ask(move |database| page(database, &agent, &owner, &query)).await
    }

    pub(super) async fn gone(&self, agent: &str, owner: &Owner, task: &str) -> Result<(), StoreError> {
        let (agent, owner, task) = (agent.to_owned(), owner.clone(), task.to_owned());
        self.ask(move |database| {
            let sql = "UPDATE tasks SET gone = 1, state = NULL
                       WHERE agent = ?1 AND id = ?2 AND spiffe_id = ?3 AND sub IS ?4 AND iss IS ?5";
            database.prepare_cached(sql)?.execute(params![
                agent,
                task,
                owner.spiffe_id,
                owner.sub,
                owner.iss
            ])?;
            Ok(())
        })
        .await
    }

    async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Transaction<'_>) -> Result<T, rusqlite::Error> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (answer, answered) = oneshot::channel();
        let work: Work = Box::new(move |database| {
            let found = question(database)?;
            Ok(Box::new(move |committed: Result<(), &str>| {
                let _ = answer.send(committed.map(|()| found).map_err(str::to_owned)); // Who asked may have gone.
            }))
        });
        self.jobs.try_send(Job(work)).map_err(|_| StoreError::Gone)?;
        answered.await.map_err(|_| StoreError::Gone)?.map_err(StoreError::Sqlite)
    }
}

fn failed(error: rusqlite::Error) -> StoreError {
    StoreError::Sqlite(error.to_string())
}

/// Answers until nobody can ask any more.
fn serve(mut connection: Connection, waiting: &mpsc::Receiver<Job>) {
    while let Ok(first) = waiting.recv() {
        let batch = std::iter::once(first).chain(waiting.try_iter().take(BATCH_MAX));
        let jobs: Vec<Job> = batch.collect();
        let mut done = Vec::with_capacity(jobs.len());
        let committed = in_one_commit(&mut connection, jobs, &mut done);
        let said = committed.map_err(|error| error.to_string());
        if let Err(error) = &said {
            tracing::error!(%error, "the store of tasks failed");
        }
        for tell in done {
            tell(match &said {
                Ok(()) => Ok(()),
                Err(error) => Err(error),
            });
        }
    }
}

fn in_one_commit(
    connection: &mut Connection,
    jobs: Vec<Job>,
    done: &mut Vec<Done>,
) -> Result<(), rusqlite::Error> {
    let database = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    for Job(work) in jobs {
        done.push(work(&database)?); // One that fails takes the others with it; each of them is told.
    }
    database.commit()
}

fn task(database: &Transaction<'_>, agent: &str, id: &str) -> Result<Option<Task>, rusqlite::Error> {
    let sql =
        "SELECT id, context, iss, sub, spiffe_id, state, since_ms FROM tasks WHERE agent = ?1 AND id = ?2";
    database.prepare_cached(sql)?.query_row(params![agent, id], row).optional()
}

fn row(row: &Row<'_>) -> Result<Task, rusqlite::Error> {
    Ok(Task {
        id: row.get(0)?,
        context: row.get(1)?,
        owner: Owner { iss: row.get(2)?, sub: row.get(3)?, spiffe_id: row.get(4)? },
        state: row.get(5)?,
        since_ms: row.get(6)?,
    })
}

fn owner_of_context(
    database: &Transaction<'_>,
    agent: &str,
    id: &str,
) -> Result<Option<Owner>, rusqlite::Error> {
    let sql = "SELECT iss, sub, spiffe_id FROM contexts WHERE agent = ?1 AND id = ?2";
    let owner = |row: &Row<'_>| Ok(Owner { iss: row.get(0)?, sub: row.get(1)?, spiffe_id: row.get(2)? });
    database.prepare_cached(sql)?.query_row(params![agent, id], owner).optional()
}

fn claim_context(
    database: &Transaction<'_>,
    agent: &str,
    owner: &Owner,
    context: &str,
) -> Result<Claim, rusqlite::Error> {
    match owner_of_context(database, agent, context)? {
        Some(known) if known == *owner => return Ok(Claim::Owned),
        Some(_) => return Ok(Claim::Foreign),
        None => {}
    }
    let sql = "INSERT INTO contexts (agent, id, iss, sub, spiffe_id) VALUES (?1, ?2, ?3, ?4, ?5)";
    let values = params![agent, context, owner.iss, owner.sub, owner.spiffe_id];
    database.prepare_cached(sql)?.execute(values)?;
    Ok(Claim::Owned)
}

fn claim(
    database: &Transaction<'_>,
    agent: &str,
    owner: &Owner,
    seen: &Seen,
    tasks_max: usize,
) -> Result<Claim, rusqlite::Error> {
    let known = seen.task.as_ref().map(|id| task(database, agent, id)).transpose()?.flatten();
    if known.as_ref().is_some_and(|known| known.owner != *owner) {
        return Ok(Claim::Foreign);
    }
    let is_new = seen.task.is_some() && known.is_none();
    if is_new && usize::try_from(held(database, agent, owner)?).unwrap_or(usize::MAX) >= tasks_max {
        return Ok(Claim::TooMany); // Before its context is anybody's.
    }
    if let Some(context) = &seen.context {
        let claimed = claim_context(database, agent, owner, context)?;
        if claimed != Claim::Owned {
            return Ok(claimed);
        }
    }
    match (&seen.task, known) {
        (None, _) => {}
        (Some(id), Some(known)) => {
            let moved = seen.state.is_some() && (seen.state != known.state || seen.since_ms > known.since_ms);
            if moved {
                let sql = "UPDATE tasks SET state = ?3, since_ms = ?4, gone = 0 WHERE agent = ?1 AND id = ?2";
                database.prepare_cached(sql)?.execute(params![agent, id, seen.state, seen.since_ms])?;
            }
        }
        (Some(id), None) => {
            let sql = "INSERT INTO tasks (agent, id, context, iss, sub, spiffe_id, state, since_ms)
                       VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
            let (iss, sub, spiffe_id) = (&owner.iss, &owner.sub, &owner.spiffe_id);
            let values = params![agent, id, seen.context, iss, sub, spiffe_id, seen.state, seen.since_ms];
            database.prepare_cached(sql)?.execute(values)?;
        }
    }
    Ok(Claim::Owned)
}

/// How many tasks an owner has at an agent. They are counted once; from then on the number goes with the tasks, so that a new
/// one costs the same however many there are.
fn held(database: &Transaction<'_>, agent: &str, owner: &Owner) -> Result<u32, rusqlite::Error> {
    let sql = "SELECT tasks FROM held WHERE spiffe_id = ?1 AND sub IS ?2 AND iss IS ?3 AND agent = ?4";
    let whose = params![owner.spiffe_id, owner.sub, owner.iss, agent];
    let known = database.prepare_cached(sql)?.query_row(whose, |row| row.get(0)).optional()?;
    if let Some(tasks) = known {
        return Ok(tasks);
    }
    let tasks = count(database, agent, owner, &Query::default())?;
    let sql = "INSERT INTO held (spiffe_id, sub, iss, agent, tasks) VALUES (?1, ?2, ?3, ?4, ?5)";
    let values = params![owner.spiffe_id, owner.sub, owner.iss, agent, tasks];
    database.prepare_cached(sql)?.execute(values)?;
    Ok(tasks)
}

/// An owner's tasks at an agent that match: `?1` to `?7`. SQLite would look through those of all owners.
const MATCHING: &str =
    "FROM tasks INDEXED BY tasks_of_owner WHERE gone = 0 AND spiffe_id = ?1 AND sub IS ?2 AND iss IS ?3 AND agent = ?4
    AND (?5 IS NULL OR context = ?5) AND (?6 IS NULL OR state = ?6) AND (?7 IS NULL OR since_ms >= ?7)";

fn count(
    database: &Transaction<'_>,
    agent: &str,
    owner: &Owner,
    query: &Query,
) -> Result<u32, rusqlite::Error> {
    let sql = format!("SELECT count(*) {MATCHING}");
    let values =
        params![owner.spiffe_id, owner.sub, owner.iss, agent, query.context, query.state, query.after_ms];
    database.prepare_cached(&sql)?.query_row(values, |row| row.get(0))
}

fn page(
    database: &Transaction<'_>,
    agent: &str,
    owner: &Owner,
    query: &Query,
) -> Result<Page, rusqlite::Error> {
    let sql = format!(
        "SELECT id, context, iss, sub, spiffe_id, state, since_ms {MATCHING}
         AND (?8 IS NULL OR since_ms < ?8 OR (since_ms = ?8 AND id > ?9)) ORDER BY since_ms DESC, id LIMIT ?10"
    );
    let (behind_ms, behind_id) = query.behind.clone().unzip();
    let one_more = query.limit.saturating_add(1);
    let values = params![
        owner.spiffe_id,
        owner.sub,
        owner.iss,
        agent,
        query.context,
        query.state,
        query.after_ms,
        behind_ms,
        behind_id,
        one_more
    ];
    let mut tasks = database
        .prepare_cached(&sql)?
        .query_map(values, row)?
        .collect::<Result<Vec<Task>, rusqlite::Error>>()?;
    let more = tasks.len() > usize::try_from(query.limit).unwrap_or(usize::MAX);
    if more {
        tasks.pop();
    }
    Ok(Page { tasks, total: count(database, agent, owner, query)?, more })
}
