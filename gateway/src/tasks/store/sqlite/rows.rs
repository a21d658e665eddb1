//! The tables, and what is asked of them. Each question is one transaction, or a part of one.

use super::{BUSY_MAX, failed, is_locked};
use crate::config::PerOwner;
use crate::tasks::store::{Claim, Owner, Page, Query, Seen, StoreError, Task};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OptionalExtension, Row, Transaction, TransactionBehavior, params};
use std::time::{Duration, Instant};

/// Of the tables below. A file of another one is left alone.
const VERSION: i64 = 2;

/// Between two looks whether a new file is still locked.
const BUSY_LOOK: Duration = Duration::from_millis(5);

/// Says the version, and writes to the file in any case.
pub(super) const STAMP: &str = "PRAGMA user_version = 2";

/// No more pages are cached: where a tree's pages are put in order (a page that is full, now and then), SQLite goes through
/// all of them at the commit.
const PRAGMAS: &str = "
    PRAGMA journal_mode = WAL;
    PRAGMA synchronous = NORMAL;
    PRAGMA wal_autocheckpoint = 0;
    PRAGMA cache_size = -8192;
";

/// An owner at an agent is one row, which counts what is theirs there, so that a new task costs the same however many there
/// are. What is theirs has the row's number: rows are short, and a commit writes whole pages.
const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS owners (
        number INTEGER PRIMARY KEY, agent TEXT NOT NULL, spiffe_id TEXT NOT NULL, sub TEXT, iss TEXT,
        tasks INTEGER NOT NULL DEFAULT 0, others INTEGER NOT NULL DEFAULT 0
    ) STRICT;
    CREATE INDEX IF NOT EXISTS owners_by_name ON owners (spiffe_id, sub, iss, agent);
    CREATE TABLE IF NOT EXISTS tasks (
        agent TEXT NOT NULL, id TEXT NOT NULL, context TEXT, owner INTEGER NOT NULL REFERENCES owners,
        state TEXT, since_ms INTEGER NOT NULL, gone INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (agent, id)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX IF NOT EXISTS tasks_of_owner ON tasks (owner, since_ms DESC, id, context, state) WHERE gone = 0;
    CREATE TABLE IF NOT EXISTS contexts (
        agent TEXT NOT NULL, id TEXT NOT NULL, owner INTEGER NOT NULL REFERENCES owners, PRIMARY KEY (agent, id)
    ) STRICT, WITHOUT ROWID;
    CREATE TRIGGER IF NOT EXISTS gone_or_back AFTER UPDATE OF gone ON tasks WHEN new.gone <> old.gone BEGIN
        UPDATE owners SET tasks = tasks + old.gone - new.gone, others = others + new.gone - old.gone
        WHERE number = new.owner;
    END;
";

/// Makes the tables in a new file, in one transaction: another gateway may begin with the same file.
///
/// # Errors
/// [`StoreError`], as for a file of another version.
pub(super) fn prepare(database: &Connection) -> Result<(), StoreError> {
    let until = Instant::now() + BUSY_MAX;
    while let Err(error) = database.execute_batch(PRAGMAS) {
        if !is_locked(&error) || Instant::now() > until {
            return Err(failed(error));
        }
        std::thread::sleep(BUSY_LOOK); // Another gateway turns the file to its log; SQLite waits for anything but that.
    }
    // Else a statement that a partial index might serve is planned anew for every value that is bound to it.
    database.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true).map_err(failed)?;
    let made = Transaction::new_unchecked(database, TransactionBehavior::Immediate).map_err(failed)?;
    let number = |sql| made.query_row(sql, [], |row| row.get::<_, i64>(0)).map_err(failed);
    let is_new = number("SELECT count(*) FROM sqlite_schema")? == 0;
    if !is_new && number("PRAGMA user_version")? != VERSION {
        return Err(StoreError::Version);
    }
    made.execute_batch(SCHEMA).and_then(|()| made.execute_batch(STAMP)).map_err(failed)?;
    made.commit().map_err(failed)
}

/// An owner at an agent.
struct Holder {
    number: i64,
    tasks: u32,
    /// Contexts, and tasks that the agent has no more.
    others: u32,
}

/// A task and whose it is.
pub(super) const TASK: &str =
    "SELECT id, context, iss, sub, spiffe_id, state, since_ms FROM tasks JOIN owners ON number = owner
     WHERE tasks.agent = ?1 AND id = ?2";

pub(super) fn task(database: &Connection, agent: &str, id: &str) -> Result<Option<Task>, rusqlite::Error> {
    database.prepare_cached(TASK)?.query_row(params![agent, id], row).optional()
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

pub(super) fn owner_of_context(
    database: &Connection,
    agent: &str,
    id: &str,
) -> Result<Option<Owner>, rusqlite::Error> {
    let sql = "SELECT iss, sub, spiffe_id FROM contexts JOIN owners ON number = owner
               WHERE contexts.agent = ?1 AND id = ?2";
    let owner = |row: &Row<'_>| Ok(Owner { iss: row.get(0)?, sub: row.get(1)?, spiffe_id: row.get(2)? });
    database.prepare_cached(sql)?.query_row(params![agent, id], owner).optional()
}

pub(super) fn claim_context(
    database: &Connection,
    agent: &str,
    owner: &Owner,
    context: &str,
    most: PerOwner,
) -> Result<Claim, rusqlite::Error> {
    let seen = Seen { context: Some(context.to_owned()), ..Seen::default() };
    claim(database, agent, owner, &seen, most)
}

fn reaches(number: u32, most: usize) -> bool {
    usize::try_from(number).unwrap_or(usize::MAX) >= most
}

pub(super) fn claim(
    database: &Connection,
    agent: &str,
    owner: &Owner,
    seen: &Seen,
    most: PerOwner,
) -> Result<Claim, rusqlite::Error> {
    let known = seen.task.as_ref().map(|id| task(database, agent, id)).transpose()?.flatten();
    if known.as_ref().is_some_and(|known| known.owner != *owner) {
        return Ok(Claim::Foreign);
    }
    let holder = holder(database, agent, owner)?;
    let (tasks, others) = holder.as_ref().map_or((0, 0), |holder| (holder.tasks, holder.others));
    let is_new = seen.task.is_some() && known.is_none();
    if is_new && reaches(tasks, most.tasks_max) {
        return Ok(Claim::TooManyTasks);
    }
    if is_new && reaches(others, most.contexts_max) {
        return Ok(Claim::TooManyContexts); // It may be forgotten, too.
    }
    let is_new_context = match &seen.context {
        Some(id) => match owner_of_context(database, agent, id)? {
            Some(whose) if whose == *owner => false,
            Some(_) => return Ok(Claim::Foreign),
            None if reaches(others, most.contexts_max) => return Ok(Claim::TooManyContexts),
            None => true,
        },
        None => false,
    };
    // All is decided, and nothing was written.
    if is_new || is_new_context {
        let number = holder.map_or_else(|| new_holder(database, agent, owner), |holder| Ok(holder.number))?;
        if is_new_context {
            let sql = "INSERT INTO contexts (agent, id, owner) VALUES (?1, ?2, ?3)";
            database.prepare_cached(sql)?.execute(params![agent, seen.context, number])?;
        }
        if is_new {
            let sql = "INSERT INTO tasks (agent, id, context, owner, state, since_ms) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
            let values = params![agent, seen.task, seen.context, number, seen.state, seen.since_ms];
            database.prepare_cached(sql)?.execute(values)?;
        }
        let sql = "UPDATE owners SET tasks = tasks + ?2, others = others + ?3 WHERE number = ?1";
        database.prepare_cached(sql)?.execute(params![number, is_new, is_new_context])?;
    }
    if let Some(known) = known
        && seen.state.is_some()
        && (seen.state != known.state || seen.since_ms > known.since_ms)
    {
        let sql = "UPDATE tasks SET state = ?3, since_ms = ?4, gone = 0 WHERE agent = ?1 AND id = ?2";
        database.prepare_cached(sql)?.execute(params![agent, known.id, seen.state, seen.since_ms])?;
    }
    Ok(Claim::Owned)
}

fn new_holder(database: &Connection, agent: &str, owner: &Owner) -> Result<i64, rusqlite::Error> {
    let sql = "INSERT INTO owners (spiffe_id, sub, iss, agent) VALUES (?1, ?2, ?3, ?4)";
    database.prepare_cached(sql)?.execute(params![owner.spiffe_id, owner.sub, owner.iss, agent])?;
    Ok(database.last_insert_rowid())
}

fn holder(database: &Connection, agent: &str, owner: &Owner) -> Result<Option<Holder>, rusqlite::Error> {
    let sql = "SELECT number, tasks, others FROM owners
               WHERE spiffe_id = ?1 AND sub IS ?2 AND iss IS ?3 AND agent = ?4";
    let read = |row: &Row<'_>| Ok(Holder { number: row.get(0)?, tasks: row.get(1)?, others: row.get(2)? });
    let whose = params![owner.spiffe_id, owner.sub, owner.iss, agent];
    database.prepare_cached(sql)?.query_row(whose, read).optional()
}

/// An owner's tasks at an agent that match: `?1` to `?4`.
const MATCHING: &str = "FROM tasks INDEXED BY tasks_of_owner WHERE gone = 0 AND owner = ?1
    AND (?2 IS NULL OR context = ?2) AND (?3 IS NULL OR state = ?3) AND (?4 IS NULL OR since_ms >= ?4)";

pub(super) fn page(
    database: &Connection,
    agent: &str,
    owner: &Owner,
    query: &Query,
) -> Result<Page, rusqlite::Error> {
    let Some(holder) = holder(database, agent, owner)? else { return Ok(Page::default()) };
    let sql = format!(
        "SELECT id, context, state, since_ms {MATCHING}
         AND (?5 IS NULL OR since_ms < ?5 OR (since_ms = ?5 AND id > ?6)) ORDER BY since_ms DESC, id LIMIT ?7"
    );
    let (behind_ms, behind_id) = query.behind.clone().unzip();
    let one_more = query.limit.saturating_add(1);
    let (number, context, state, after_ms) = (holder.number, &query.context, &query.state, query.after_ms);
    let read = |row: &Row<'_>| {
        Ok(Task {
            id: row.get(0)?,
            context: row.get(1)?,
            owner: owner.clone(),
            state: row.get(2)?,
            since_ms: row.get(3)?,
        })
    };
    let mut tasks = database
        .prepare_cached(&sql)?
        .query_map(params![number, context, state, after_ms, behind_ms, behind_id, one_more], read)?
        .collect::<Result<Vec<Task>, rusqlite::Error>>()?;
    let more = tasks.len() > usize::try_from(query.limit).unwrap_or(usize::MAX);
    if more {
        tasks.pop();
    }
    let sql = format!("SELECT count(*) {MATCHING}");
    let total = database
        .prepare_cached(&sql)?
        .query_row(params![number, context, state, after_ms], |row| row.get(0))?;
    Ok(Page { tasks, total, more })
}

pub(super) fn gone(
    database: &Connection,
    agent: &str,
    owner: &Owner,
    task: &str,
) -> Result<(), rusqlite::Error> {
    let Some(holder) = holder(database, agent, owner)? else { return Ok(()) };
    let sql = "UPDATE tasks SET gone = 1, state = NULL WHERE agent = ?1 AND id = ?2 AND owner = ?3";
    database.prepare_cached(sql)?.execute(params![agent, task, holder.number]).map(drop)
}
