//! Who owns what, in one store and in two.
#![allow(clippy::unwrap_used, reason = "a test ends by panicking")]

use super::*;

fn owner(name: &str) -> Owner {
    let spiffe_id = "spiffe://prod.example/agent/clerk".to_owned();
    Owner { iss: Some("https://idp.example".into()), sub: Some(name.into()), spiffe_id }
}

fn seen(task: &str, context: &str, state: &str, since_ms: i64) -> Seen {
    let text = |text: &str| Some(text.to_owned());
    Seen { task: text(task), context: text(context), state: text(state), since_ms }
}

fn named(task: &str, context: &str) -> Names {
    Names { task: Some(task.to_owned()), context: Some(context.to_owned()), references: Vec::new() }
}

#[tokio::test]
async fn a_task_and_its_context_belong_to_who_saw_them_first() {
    let store = Store::open(&TasksIn::Memory).unwrap();
    let (alice, bob) = (owner("alice"), owner("bob"));
    assert_eq!(store.saw("a", &alice, seen("t", "c", "W", 1), 9).await.unwrap(), Claim::Owned);
    assert_eq!(store.saw("a", &bob, seen("t", "d", "W", 1), 9).await.unwrap(), Claim::Foreign);
    assert_eq!(store.saw("a", &bob, seen("u", "c", "W", 1), 9).await.unwrap(), Claim::Foreign);
    assert_eq!(store.saw("b", &bob, seen("t", "c", "W", 1), 9).await.unwrap(), Claim::Owned);
    let known = store.known("a", named("t", "c")).await.unwrap();
    assert_eq!((known.task.unwrap().owner, known.context.unwrap()), (alice.clone(), alice));
    let nothing = store.known("a", named("u", "d")).await.unwrap();
    assert!(nothing.task.is_none() && nothing.context.is_none(), "a refused claim leaves nothing behind");
}

#[tokio::test]
async fn a_workload_that_acts_for_itself_is_an_owner_of_its_own() {
    let store = Store::open(&TasksIn::Memory).unwrap();
    let itself = Owner { iss: None, sub: None, ..owner("") };
    store.saw("a", &itself, seen("t", "c", "W", 1), 9).await.unwrap();
    assert_eq!(store.page("a", &itself, Query { limit: 9, ..Query::default() }).await.unwrap().total, 1);
    assert_eq!(store.page("a", &owner(""), Query { limit: 9, ..Query::default() }).await.unwrap().total, 0);
    assert_eq!(store.saw("a", &owner("alice"), seen("t", "c", "W", 1), 9).await.unwrap(), Claim::Foreign);
}

#[tokio::test]
async fn pages_hold_an_owners_tasks_and_each_once() {
    let store = Store::open(&TasksIn::Memory).unwrap();
    for n in 0..7_i64 {
        let (who, state) = (owner(if n == 3 { "bob" } else { "alice" }), if n % 2 == 0 { "W" } else { "C" });
        store.saw("a", &who, seen(&format!("t{n}"), &format!("c{n}"), state, n / 2), 9).await.unwrap();
    }
    let mut query = Query { limit: 2, ..Query::default() };
    let mut found = Vec::new();
    loop {
        let page = store.page("a", &owner("alice"), query.clone()).await.unwrap();
        assert_eq!(page.total, 6);
        found.extend(page.tasks.iter().map(|task| task.id.clone()));
        let Some(last) = page.tasks.last().filter(|_| page.more) else { break };
        query.behind = Some((last.since_ms, last.id.clone()));
    }
    assert_eq!(found, ["t6", "t4", "t5", "t2", "t0", "t1"]);
    let working = Query { state: Some("W".into()), after_ms: Some(1), limit: 9, ..Query::default() };
    assert_eq!(store.page("a", &owner("alice"), working).await.unwrap().total, 3);
}

#[tokio::test]
async fn an_owner_has_so_many_tasks_and_no_more() {
    let store = Store::open(&TasksIn::Memory).unwrap();
    for n in 0..2 {
        store.saw("a", &owner("alice"), seen(&format!("t{n}"), "c", "W", n), 2).await.unwrap();
    }
    let one_more = store.saw("a", &owner("alice"), seen("t2", "c", "W", 1), 2).await.unwrap();
    let again = store.saw("a", &owner("alice"), seen("t1", "c", "C", 5), 2).await.unwrap();
    assert_eq!((one_more, again), (Claim::TooMany, Claim::Owned));
    store.gone("a", &owner("alice"), "t0").await.unwrap();
    let for_the_one = store.saw("a", &owner("alice"), seen("t2", "c", "W", 1), 2).await.unwrap();
    let one_more = store.saw("a", &owner("alice"), seen("t3", "c", "W", 1), 2).await.unwrap();
    assert_eq!((for_the_one, one_more), (Claim::Owned, Claim::TooMany));
    store.saw("a", &owner("alice"), seen("t0", "c", "C", 9), 2).await.unwrap(); // It is there again.
    store.gone("a", &owner("alice"), "t1").await.unwrap();
    let one_more = store.saw("a", &owner("alice"), seen("t3", "c", "W", 1), 2).await.unwrap();
    assert_eq!(one_more, Claim::TooMany);
}

#[tokio::test]
async fn two_gateways_with_one_file_know_the_same_owners() {
    let folder = tempfile::tempdir().unwrap();
    let place = TasksIn::Sqlite(folder.path().join("tasks.db"));
    let (one, other) = (Store::open(&place).unwrap(), Store::open(&place).unwrap());
    one.saw("a", &owner("alice"), seen("t", "c", "W", 1), 9).await.unwrap();
    assert_eq!(other.saw("a", &owner("bob"), seen("t", "d", "W", 1), 9).await.unwrap(), Claim::Foreign);
    drop((one, other));
    let again = Store::open(&place).unwrap();
    assert!(again.known("a", named("t", "c")).await.unwrap().task.is_some(), "and so after a restart");
}
