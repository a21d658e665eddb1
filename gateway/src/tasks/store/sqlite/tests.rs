#![allow(clippy::unwrap_used, reason = "a test ends by panicking")]

use super::*;
use rusqlite::StatementStatus;
use std::path::PathBuf;

fn opened() -> (tempfile::TempDir, PathBuf, Sqlite) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("tasks.db");
    let store = Sqlite::open(Some(&path)).unwrap();
    (dir, path, store)
}

fn alice() -> Owner {
    Owner { iss: None, sub: Some("alice".into()), spiffe_id: "spiffe://a.test/clerk".into() }
}

async fn saw(store: &Sqlite, task: &str) -> Result<Claim, StoreError> {
    let seen = Seen { task: Some(task.into()), ..Seen::default() };
    store.saw("a", &alice(), seen, PerOwner::UNBOUNDED).await
}

/// Another process that writes.
fn locked(path: &Path) -> Connection {
    let other = Connection::open(path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    other
}

#[tokio::test]
async fn a_file_that_another_process_keeps_locked_stops_no_thread_of_the_runtime() {
    let (_dir, path, store) = opened();
    let other = locked(&path);
    let asked = tokio::spawn({
        let store = store.clone();
        async move { saw(&store, "t").await }
    });
    for _ in 0..20 {
        tokio::time::sleep(Duration::from_millis(5)).await; // The only thread that there is goes on.
        assert!(!asked.is_finished());
    }
    other.execute_batch("COMMIT").unwrap();
    assert_eq!(asked.await.unwrap().unwrap(), Claim::Owned);
}

#[tokio::test]
async fn a_question_that_fails_leaves_those_that_are_committed_with_it_alone() {
    let (_dir, path, store) = opened();
    let other = locked(&path);
    let (one, two) = (store.clone(), store.clone());
    let broken = async {
        store
            .ask(|database| {
                database.execute("INSERT INTO contexts (agent, id, owner) VALUES ('a', 'c', 1)", [])?;
                database.execute("INSERT INTO nowhere VALUES (1)", [])
            })
            .await
    };
    let free = async {
        tokio::time::sleep(Duration::from_millis(30)).await;
        other.execute_batch("COMMIT").unwrap();
    };
    let (first, failed, last, ()) = tokio::join!(saw(&one, "t1"), broken, saw(&two, "t2"), free);
    assert_eq!((first.unwrap(), last.unwrap()), (Claim::Owned, Claim::Owned));
    assert!(matches!(failed, Err(StoreError::Sqlite(why)) if why.contains("nowhere")));
    let names = Names { task: Some("t1".into()), context: Some("c".into()), references: vec!["t2".into()] };
    let known = store.known("a", names).await.unwrap();
    assert!(known.task.is_some() && known.references.len() == 1);
    assert!(known.context.is_none(), "what the one that failed had done is undone");
}

#[tokio::test]
async fn the_log_begins_anew_unless_somebody_reads_the_file() {
    let (_dir, path, store) = opened();
    let log = || path.with_extension("db-wal").metadata().unwrap().len();
    let round = async |name: &str| {
        for n in 0..=CHECKPOINT_EVERY {
            saw(&store, &format!("{name}{n}")).await.unwrap();
        }
    };
    round("a").await;
    round("b").await;
    let usual = log();
    let reader = Connection::open(&path).unwrap();
    reader.execute_batch("BEGIN; SELECT count(*) FROM tasks").unwrap();
    round("c").await;
    round("d").await;
    assert!(log() > usual, "what is read can't be written over");
    reader.execute_batch("COMMIT").unwrap();
    drop(reader);
    round("e").await;
    let held = log();
    for again in ["f", "g", "h", "i", "j", "k"] {
        round(again).await; // The keeper may come late; a log that goes on has more with each round.
        if log() < held + usual / 4 {
            return;
        }
    }
    panic!("it has not begun anew: {} {held}", log());
}

#[tokio::test]
async fn a_store_that_failed_says_so_until_it_does_not() {
    let (_dir, path, store) = opened();
    store.answers().await.unwrap();
    store.0.shared.failing.store(true, Ordering::Relaxed);
    let other = locked(&path);
    let asked = tokio::spawn({
        let store = store.clone();
        async move { store.answers().await }
    });
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(!asked.is_finished(), "it is asked anew, and does not answer");
    other.execute_batch("COMMIT").unwrap();
    asked.await.unwrap().unwrap();
    assert!(!store.0.shared.failing.load(Ordering::Relaxed));
}

#[test]
fn a_statement_is_planned_once_and_not_for_each_id() {
    let database = Connection::open_in_memory().unwrap();
    rows::prepare(&database).unwrap();
    for id in ["t1", "t2", "t3"] {
        let seen = Seen { task: Some(id.into()), context: Some(id.into()), ..Seen::default() };
        assert_eq!(rows::claim(&database, "a", &alice(), &seen, PerOwner::UNBOUNDED).unwrap(), Claim::Owned);
        assert!(rows::task(&database, "a", id).unwrap().is_some());
    }
    let statement = database.prepare_cached(rows::TASK).unwrap();
    assert!(statement.get_status(StatementStatus::Run) > 3);
    assert_eq!(statement.get_status(StatementStatus::RePrepare), 0);
}

#[tokio::test]
async fn a_file_of_another_version_is_left_as_it_is() {
    let (_dir, path, store) = opened();
    saw(&store, "t").await.unwrap();
    drop(store);
    assert!(Sqlite::open(Some(&path)).is_ok(), "its own file");
    let other = path.with_extension("other");
    Connection::open(&other).unwrap().execute_batch("CREATE TABLE tasks (agent TEXT)").unwrap();
    assert!(matches!(Sqlite::open(Some(&other)), Err(StoreError::Version)));
}

#[test]
fn two_that_begin_with_one_new_file_both_do() {
    for _ in 0..20 {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("tasks.db");
        let both =
            [path.clone(), path].map(|path| std::thread::spawn(move || Sqlite::open(Some(&path)).map(drop)));
        for one in both {
            one.join().unwrap().unwrap();
        }
    }
}
