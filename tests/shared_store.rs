//! Whose tasks are is told alike by every kind of store: in memory, in a file, in a real Redis.

use crate::a2a::Dice;
use certs::Clock;
use gateway::config::{PerOwner, TasksIn};
use gateway::tasks::Owner;
use gateway::tasks::store::{Claim, Names, Query, Seen, Store, StoreError};
use std::time::Duration;
use world::{Plan, Redis, World, redis};

/// A world with a Redis for tasks, if that is installed.
async fn world(options: &'static str) -> World {
    let tasks_in_redis = redis::installed().map(|program| (program, options));
    World::with(Plan { tasks_in_redis, ..Plan::default() }).await
}

fn opened(world: &World, place: &TasksIn) -> Store {
    Store::open(place, &world.source("gateway"), &Clock::system()).unwrap()
}

/// As the world's gateway opens it, once more.
fn in_redis(world: &World) -> Option<Store> {
    let config = gateway::config::load(&world.path("sallyport.yaml")).unwrap();
    Some(opened(world, &config.tasks)).filter(Store::is_shared)
}

/// One of each kind.
async fn each() -> (World, Vec<Store>) {
    let world = world("").await;
    let places = [TasksIn::Memory, TasksIn::Sqlite(world.path("tasks.db"))];
    let stores = places.iter().map(|place| opened(&world, place)).chain(in_redis(&world)).collect();
    (world, stores)
}

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

fn most(n: usize) -> PerOwner {
    PerOwner { tasks_max: n, contexts_max: 2 * n }
}

fn all() -> Query {
    Query { limit: 9, ..Query::default() }
}

#[tokio::test]
async fn a_task_and_its_context_belong_to_who_saw_them_first() {
    let (_world, stores) = each().await;
    for store in stores {
        let (alice, bob) = (owner("alice"), owner("bob"));
        assert_eq!(store.saw("a", &alice, seen("t", "c", "W", 1), most(9)).await.unwrap(), Claim::Owned);
        assert_eq!(store.saw("a", &bob, seen("t", "d", "W", 1), most(9)).await.unwrap(), Claim::Foreign);
        assert_eq!(store.saw("a", &bob, seen("u", "c", "W", 1), most(9)).await.unwrap(), Claim::Foreign);
        assert_eq!(store.saw("b", &bob, seen("t", "c", "W", 1), most(9)).await.unwrap(), Claim::Owned);
        let known = store.known("a", named("t", "c")).await.unwrap();
        assert_eq!((known.task.unwrap().owner, known.context.unwrap()), (alice.clone(), alice));
        let nothing = store.known("a", named("u", "d")).await.unwrap();
        assert!(nothing.task.is_none() && nothing.context.is_none(), "a refused claim leaves nothing behind");
    }
}

#[tokio::test]
async fn a_workload_that_acts_for_itself_is_an_owner_of_its_own() {
    let (_world, stores) = each().await;
    for store in stores {
        let itself = Owner { iss: None, sub: None, ..owner("") };
        store.saw("a", &itself, seen("t", "c", "W", 1), most(9)).await.unwrap();
        assert_eq!(store.page("a", &itself, all()).await.unwrap().total, 1);
        for other in [owner(""), Owner { iss: Some(String::new()), sub: Some(String::new()), ..owner("") }] {
            assert_eq!(store.page("a", &other, all()).await.unwrap().total, 0);
            assert_eq!(
                store.saw("a", &other, seen("t", "c", "W", 1), most(9)).await.unwrap(),
                Claim::Foreign
            );
        }
    }
}

#[tokio::test]
async fn pages_hold_an_owners_tasks_and_each_once() {
    let (_world, stores) = each().await;
    for store in stores {
        for n in 0..7_i64 {
            let (who, state) =
                (owner(if n == 3 { "bob" } else { "alice" }), if n % 2 == 0 { "W" } else { "C" });
            let task = seen(&format!("t{n}"), &format!("c{n}"), state, n / 2);
            store.saw("a", &who, task, most(9)).await.unwrap();
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
        let working = Query { state: Some("W".into()), after_ms: Some(1), ..all() };
        assert_eq!(store.page("a", &owner("alice"), working).await.unwrap().total, 3);
    }
}

#[tokio::test]
async fn an_owner_has_so_many_tasks_and_no_more() {
    let (_world, stores) = each().await;
    for store in stores {
        for n in 0..2 {
            store.saw("a", &owner("alice"), seen(&format!("t{n}"), "c", "W", n), most(2)).await.unwrap();
        }
        let one_more = store.saw("a", &owner("alice"), seen("t2", "c", "W", 1), most(2)).await.unwrap();
        let again = store.saw("a", &owner("alice"), seen("t1", "c", "C", 5), most(2)).await.unwrap();
        assert_eq!((one_more, again), (Claim::TooManyTasks, Claim::Owned));
        let refused = store.saw("a", &owner("alice"), seen("t5", "e", "W", 1), most(2)).await.unwrap();
        let context = store.known("a", named("t5", "e")).await.unwrap().context;
        assert_eq!((refused, context), (Claim::TooManyTasks, None), "what is refused leaves nothing behind");
        store.gone("a", &owner("alice"), "t0").await.unwrap();
        let for_the_one = store.saw("a", &owner("alice"), seen("t3", "c", "W", 1), most(2)).await.unwrap();
        let one_more = store.saw("a", &owner("alice"), seen("t4", "c", "W", 1), most(2)).await.unwrap();
        assert_eq!((for_the_one, one_more), (Claim::Owned, Claim::TooManyTasks));
        store.saw("a", &owner("alice"), seen("t0", "c", "C", 9), most(2)).await.unwrap(); // It is there again.
        store.gone("a", &owner("alice"), "t1").await.unwrap();
        let one_more = store.saw("a", &owner("alice"), seen("t4", "c", "W", 1), most(2)).await.unwrap();
        assert_eq!(one_more, Claim::TooManyTasks);
        let other = store.saw("a", &owner("bob"), seen("t2", "d", "W", 1), most(2)).await.unwrap();
        assert_eq!(other, Claim::Owned);
    }
}

#[tokio::test]
async fn an_owner_has_so_many_contexts_and_forgotten_tasks_and_no_more() {
    let (_world, stores) = each().await;
    for store in stores {
        let most = PerOwner { tasks_max: 9, contexts_max: 2 };
        let saw = async |who: &str, task: &str, context: &str, since_ms| {
            store.saw("a", &owner(who), seen(task, context, "W", since_ms), most).await.unwrap()
        };
        assert_eq!(
            (saw("alice", "t0", "c0", 0).await, saw("alice", "t1", "c1", 0).await),
            (Claim::Owned, Claim::Owned)
        );
        assert_eq!(
            (saw("alice", "t2", "c2", 0).await, saw("alice", "t1", "c1", 5).await),
            (Claim::TooManyContexts, Claim::Owned)
        );
        let claimed = store.claim_context("a", &owner("alice"), "c3", most).await.unwrap();
        let others = store.claim_context("a", &owner("bob"), "c3", most).await.unwrap();
        assert_eq!((claimed, others), (Claim::TooManyContexts, Claim::Owned));
        saw("bob", "t3", "c3", 0).await;
        store.gone("a", &owner("bob"), "t3").await.unwrap();
        store.gone("a", &owner("bob"), "t3").await.unwrap(); // Forgotten once, however often that is heard.
        assert_eq!(saw("bob", "t4", "c4", 0).await, Claim::TooManyContexts);
        assert_eq!(saw("bob", "t4", "c3", 0).await, Claim::TooManyContexts, "it may be forgotten, too");
        saw("bob", "t3", "c3", 5).await; // It is there again.
        assert_eq!(saw("bob", "t4", "c4", 0).await, Claim::Owned);
    }
}

#[tokio::test]
async fn two_gateways_with_one_store_know_the_same_owners() {
    let (world, stores) = each().await;
    let file = TasksIn::Sqlite(world.path("tasks.db"));
    let again = || [Some(opened(&world, &file)), in_redis(&world)].into_iter().flatten();
    for (one, other) in stores.iter().skip(1).zip(again()) {
        one.saw("a", &owner("alice"), seen("t", "c", "W", 1), most(9)).await.unwrap();
        assert_eq!(
            other.saw("a", &owner("bob"), seen("t", "d", "W", 1), most(9)).await.unwrap(),
            Claim::Foreign
        );
    }
    drop(stores);
    for store in again() {
        assert!(store.known("a", named("t", "c")).await.unwrap().task.is_some(), "and so after a restart");
    }
}

/// Texts that only a careless key would take for each other.
const TEXTS: [&str; 9] = ["", "t", ":", "1:t", "t:", "=", "é", "a\0b", "10:spiffe://"];
const TIMES: [i64; 6] = [0, -5, 7, 1_763_683_200_000, i64::MIN, i64::MAX];

/// One question at random, and the answer as text.
async fn asked(store: &Store, dice: &mut Dice) -> String {
    let one_of = |dice: &mut Dice| TEXTS[dice.below(TEXTS.len())].to_owned();
    let maybe = |dice: &mut Dice| (dice.below(3) > 0).then(|| TEXTS[dice.below(TEXTS.len())].to_owned());
    let (agent, who) = (["a", "a-1"][dice.below(2)], dice.below(5));
    let owner = match who {
        0 => Owner { iss: None, sub: None, ..owner("") },
        1 => Owner { iss: None, ..owner("") },
        2 => Owner { iss: Some(String::new()), ..owner("") },
        3 => owner("alice"),
        _ => owner("bob"),
    };
    let since_ms = TIMES[dice.below(TIMES.len())];
    match dice.below(8) {
        0 => {
            let references = (0..dice.below(4)).map(|_| one_of(dice)).collect();
            let names = Names { task: maybe(dice), context: maybe(dice), references };
            format!("{:?}", store.known(agent, names).await.unwrap())
        }
        1 => format!("{:?}", store.claim_context(agent, &owner, &one_of(dice), most(4)).await.unwrap()),
        2 => format!("{:?}", store.gone(agent, &owner, &one_of(dice)).await),
        3 | 4 => {
            let behind = maybe(dice).map(|id| (TIMES[dice.below(TIMES.len())], id));
            let query = Query {
                context: maybe(dice).filter(|_| who % 2 == 0),
                state: maybe(dice).filter(|_| who == 1),
                after_ms: Some(since_ms).filter(|_| dice.below(2) == 0),
                behind,
                limit: u32::try_from(dice.below(4)).unwrap(),
            };
            format!("{:?}", store.page(agent, &owner, query).await.unwrap())
        }
        _ => {
            let seen = Seen { task: maybe(dice), context: maybe(dice), state: maybe(dice), since_ms };
            format!("{:?}", store.saw(agent, &owner, seen, most(2 + dice.below(4))).await.unwrap())
        }
    }
}

#[tokio::test]
async fn whatever_is_asked_every_store_gives_the_same_answer() {
    let (_world, stores) = each().await;
    for game in 1..=3_u64 {
        let mut all: Vec<Vec<String>> = Vec::new();
        for store in &stores {
            let mut dice = Dice(0x7A5C_5000 + game);
            let mut answers = Vec::new();
            for _ in 0..700 {
                answers.push(asked(store, &mut dice).await);
            }
            all.push(answers);
        }
        for other in &all[1..] {
            for (at, (one, other)) in all[0].iter().zip(other).enumerate() {
                assert_eq!(one, other, "game {game}, question {at}");
            }
        }
        let said = |word: &str| all[0].iter().filter(|answer| answer.contains(word)).count();
        assert!(said("Owned") > 30 && said("Foreign") > 30 && said("Task {") > 30, "a game worth playing");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_who_see_a_task_at_once_one_owns_it() {
    let (world, stores) = each().await;
    for store in stores.into_iter().skip(1) {
        let file = TasksIn::Sqlite(world.path("tasks.db"));
        let other = if store.is_shared() { in_redis(&world).unwrap() } else { opened(&world, &file) };
        for round in 0..10 {
            let task = format!("t{round}");
            let claims: Vec<_> = (0..8)
                .map(|n| {
                    let (store, task) =
                        (if n % 2 == 0 { store.clone() } else { other.clone() }, task.clone());
                    tokio::spawn(async move {
                        store
                            .saw("a", &owner(&format!("p{n}")), seen(&task, &task, "W", 1), most(99))
                            .await
                            .unwrap()
                    })
                })
                .collect();
            let mut owned = Vec::new();
            for (n, claim) in claims.into_iter().enumerate() {
                if claim.await.unwrap() == Claim::Owned {
                    owned.push(format!("p{n}"));
                }
            }
            let known = store.known("a", named(&task, &task)).await.unwrap();
            assert_eq!(owned, [known.task.unwrap().owner.sub.unwrap()]);
            assert_eq!(owned, [known.context.unwrap().sub.unwrap()]);
        }
    }
}

/// A store in Redis with a task of alice's in it.
async fn with_a_task(options: &'static str) -> Option<(World, Redis, Store)> {
    let mut world = world(options).await;
    let store = in_redis(&world)?;
    store.saw("a", &owner("alice"), seen("t", "c", "W", 1), most(9)).await.unwrap();
    let redis = world.redis.take().unwrap();
    Some((world, redis, store))
}

fn said(error: &StoreError) -> String {
    gateway::config::problems::chain(error)
}

#[tokio::test]
async fn a_redis_that_cannot_write_or_is_late_or_has_something_else_decides_nothing() {
    let Some((_world, redis, store)) = with_a_task("timeout: 300ms").await else { return };
    redis.told("SCRIPT FLUSH");
    assert!(store.known("a", named("t", "c")).await.unwrap().task.is_some(), "scripts are brought again");

    redis.told("REPLICAOF 127.0.0.1 1");
    let refused = store.saw("a", &owner("bob"), seen("u", "d", "W", 1), most(9)).await.unwrap_err();
    assert!(said(&refused).to_lowercase().contains("read only"), "{refused:?}");
    redis.told("REPLICAOF NO ONE");
    assert!(store.known("a", named("u", "d")).await.unwrap().task.is_none(), "nothing was done");

    redis.told("CLIENT PAUSE 900 ALL");
    let late = store.known("a", named("t", "c")).await.unwrap_err();
    assert!(said(&late).contains("no answer in time"), "{late:?}");
    while store.answers().await.is_err() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }

    redis.told("SET {sallyport:tasks}:task:1:ax text");
    let wrong = store.known("a", named("x", "c")).await.unwrap_err();
    assert!(said(&wrong).contains("WRONGTYPE") || said(&wrong).contains("wrong kind"), "{wrong:?}");
    redis.told("SET {sallyport:tasks}:context:1:anobodys nobody");
    let nobodys = store.known("a", named("t", "nobodys")).await.unwrap_err();
    assert!(matches!(nobodys, StoreError::Nonsense), "{nobodys:?}");
    assert!(store.known("a", named("t", "c")).await.unwrap().task.is_some());
}

#[tokio::test]
async fn a_redis_that_has_lost_its_data_is_noticed_and_makes_nothing_anybody_elses() {
    let Some((world, mut redis, store)) = with_a_task("").await else { return };
    redis.goes();
    let away = store.known("a", named("t", "c")).await.unwrap_err();
    assert!(said(&away).contains("the store of tasks failed: "), "{away:?}");
    redis.comes();
    assert!(store.known("a", named("t", "c")).await.unwrap().task.is_some(), "it has kept it");

    redis.goes();
    redis.comes_empty();
    let bob = owner("bob");
    for _ in 0..2 {
        assert!(matches!(store.answers().await, Err(StoreError::Lost)));
        assert!(matches!(store.claim_context("a", &bob, "c", most(9)).await, Err(StoreError::Lost)));
        assert!(matches!(store.saw("a", &bob, seen("t", "c", "W", 1), most(9)).await, Err(StoreError::Lost)));
        assert!(matches!(store.page("a", &bob, all()).await, Err(StoreError::Lost)));
    }
    let anew = in_redis(&world).unwrap(); // As a gateway that is started again.
    assert!(anew.known("a", named("t", "c")).await.unwrap().task.is_none());
    assert!(
        matches!(store.answers().await, Err(StoreError::Lost)),
        "another one began anew, this one did not"
    );
}

#[tokio::test]
async fn two_prefixes_are_two_stores() {
    let Some((world, _redis, store)) = with_a_task("").await else { return };
    let path = world.path("sallyport.yaml");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replace("tasks: {redis: {", "tasks: {redis: {prefix: sallyport:tasks/2, "))
        .unwrap();
    let other = in_redis(&world).unwrap();
    assert!(other.known("a", named("t", "c")).await.unwrap().task.is_none());
    assert_eq!(other.saw("a", &owner("bob"), seen("t", "c", "W", 1), most(9)).await.unwrap(), Claim::Owned);
    assert_eq!(store.known("a", named("t", "c")).await.unwrap().task.unwrap().owner, owner("alice"));
}
