//! The tables, and what is asked of them. Each question is one transaction, or a part of one.

use crate::config::PerOwner;
use crate::tasks::store::{Claim, Owner, Page, Query, Seen, Task};
use rusqlite::{Connection, OptionalExtension, Row, params};

pub(super) const SCHEMA: &str = "
    PRAGMA journal_mode = WAL;
    PRAGMA synchronous = NORMAL;
    PRAGMA wal_autocheckpoint = 0;
    PRAGMA cache_size = -32768;
    CREATE TABLE IF NOT EXISTS tasks (
        agent TEXT NOT NULL, id TEXT NOT NULL, context TEXT, iss TEXT, sub TEXT, spiffe_id TEXT NOT NULL,
        state TEXT, since_ms INTEGER NOT NULL, gone INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (agent, id)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX IF NOT EXISTS tasks_of_owner ON tasks (spiffe_id, sub, iss, agent, since_ms DESC, id, context, state) WHERE gone = 0;
    CREATE TABLE IF NOT EXISTS contexts (
        agent TEXT NOT NULL, id TEXT NOT NULL, iss TEXT, sub TEXT, spiffe_id TEXT NOT NULL, PRIMARY KEY (agent, id)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS held (
        spiffe_id TEXT NOT NULL, sub TEXT, iss TEXT, agent TEXT NOT NULL, tasks INTEGER NOT NULL, others INTEGER NOT NULL
    ) STRICT;
    CREATE INDEX IF NOT EXISTS held_by_owner ON held (spiffe_id, sub, iss, agent);
    CREATE TRIGGER IF NOT EXISTS one_more AFTER INSERT ON tasks BEGIN
        UPDATE held SET tasks = tasks + 1
        WHERE spiffe_id = new.spiffe_id AND sub IS new.sub AND iss IS new.iss AND agent = new.agent;
    END;
    CREATE TRIGGER IF NOT EXISTS gone_or_back AFTER UPDATE OF gone ON tasks WHEN new.gone <> old.gone BEGIN
        UPDATE held SET tasks = tasks + old.gone - new.gone, others = others + new.gone - old.gone
        WHERE spiffe_id = new.spiffe_id AND sub IS new.sub AND iss IS new.iss AND agent = new.agent;
    END;
    CREATE TRIGGER IF NOT EXISTS one_context_more AFTER INSERT ON contexts BEGIN
        UPDATE held SET others = others + 1
        WHERE spiffe_id = new.spiffe_id AND sub IS new.sub AND iss IS new.iss AND agent = new.agent;
    END;
";

/// How many an owner has at an agent.
struct Held {
    tasks: u32,
    /// Contexts, and tasks that the agent has no more.
    others: u32,
}

pub(super) fn task(database: &Connection, agent: &str, id: &str) -> Result<Option<Task>, rusqlite::Error> {
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

pub(super) fn owner_of_context(
    database: &Connection,
    agent: &str,
    id: &str,
) -> Result<Option<Owner>, rusqlite::Error> {
    let sql = "SELECT iss, sub, spiffe_id FROM contexts WHERE agent = ?1 AND id = ?2";
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
    match owner_of_context(database, agent, context)? {
        Some(known) if known == *owner => return Ok(Claim::Owned),
        Some(_) => return Ok(Claim::Foreign),
        None => {}
    }
    if reaches(held(database, agent, owner)?.others, most.contexts_max) {
        return Ok(Claim::TooManyContexts);
    }
    let sql = "INSERT INTO contexts (agent, id, iss, sub, spiffe_id) VALUES (?1, ?2, ?3, ?4, ?5)";
    let values = params![agent, context, owner.iss, owner.sub, owner.spiffe_id];
    database.prepare_cached(sql)?.execute(values)?;
    Ok(Claim::Owned)
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
    let is_new = seen.task.is_some() && known.is_none();
    if is_new {
        let held = held(database, agent, owner)?;
        if reaches(held.tasks, most.tasks_max) {
            return Ok(Claim::TooManyTasks); // Before its context is anybody's.
        }
        if reaches(held.others, most.contexts_max) {
            return Ok(Claim::TooManyContexts); // It may be forgotten, too.
        }
    }
    if let Some(context) = &seen.context {
        let claimed = claim_context(database, agent, owner, context, most)?;
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

/// How many an owner has. The numbers go with what is counted, so that a new task costs the same however many there are.
fn held(database: &Connection, agent: &str, owner: &Owner) -> Result<Held, rusqlite::Error> {
    let sql =
        "SELECT tasks, others FROM held WHERE spiffe_id = ?1 AND sub IS ?2 AND iss IS ?3 AND agent = ?4";
    let whose = params![owner.spiffe_id, owner.sub, owner.iss, agent];
    let read = |row: &Row<'_>| Ok(Held { tasks: row.get(0)?, others: row.get(1)? });
    if let Some(known) = database.prepare_cached(sql)?.query_row(whose, read).optional()? {
        return Ok(known);
    }
    let sql = "INSERT INTO held (spiffe_id, sub, iss, agent, tasks, others) VALUES (?1, ?2, ?3, ?4, 0, 0)";
    database.prepare_cached(sql)?.execute(params![owner.spiffe_id, owner.sub, owner.iss, agent])?;
    Ok(Held { tasks: 0, others: 0 }) // Whoever has something has a row.
}

/// An owner's tasks at an agent that match: `?1` to `?7`. SQLite would look through those of all owners.
const MATCHING: &str =
    "FROM tasks INDEXED BY tasks_of_owner WHERE gone = 0 AND spiffe_id = ?1 AND sub IS ?2 AND iss IS ?3 AND agent = ?4
    AND (?5 IS NULL OR context = ?5) AND (?6 IS NULL OR state = ?6) AND (?7 IS NULL OR since_ms >= ?7)";

fn count(database: &Connection, agent: &str, owner: &Owner, query: &Query) -> Result<u32, rusqlite::Error> {
    let sql = format!("SELECT count(*) {MATCHING}");
    let values =
        params![owner.spiffe_id, owner.sub, owner.iss, agent, query.context, query.state, query.after_ms];
    database.prepare_cached(&sql)?.query_row(values, |row| row.get(0))
}

pub(super) fn page(
    database: &Connection,
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

pub(super) fn gone(
    database: &Connection,
    agent: &str,
    owner: &Owner,
    task: &str,
) -> Result<(), rusqlite::Error> {
    let sql = "UPDATE tasks SET gone = 1, state = NULL
               WHERE agent = ?1 AND id = ?2 AND spiffe_id = ?3 AND sub IS ?4 AND iss IS ?5";
    let values = params![agent, task, owner.spiffe_id, owner.sub, owner.iss];
    database.prepare_cached(sql)?.execute(values).map(drop)
}
