//! One task, and the gateways that know whose it is: two processes with a real Redis between them, whether it is there or not.

use crate::a2a::{heard, on_a_task, plan};
use crate::a2a_interleaved::nobody_sees_anothers_tasks;
use serde_json::{Value, json};
use std::time::Duration;
use world::a2a::{Caller, Wire, task_in};
use world::process::Process;
use world::{Plan, Redis, World, redis};

/// A world whose tasks are in Redis; none if that isn't installed.
async fn world(options: &'static str) -> Option<World> {
    let program = redis::installed()?;
    Some(World::with(Plan { tasks_in_redis: Some((program, options)), ..plan() }).await)
}

/// The same and its Redis.
async fn world_and_redis(options: &'static str) -> Option<(World, Redis)> {
    let mut world = world(options).await?;
    let redis = world.redis.take().unwrap();
    Some((world, redis))
}

/// A second gateway with the same configuration.
fn replica(world: &World) -> Process {
    world.process("best_effort", |config| config)
}

fn at(url: &str, caller: Caller) -> Caller {
    Caller { agent: caller.agent.to(url), ..caller }
}

async fn until(mut is_so: impl AsyncFnMut() -> bool) {
    while !is_so().await {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

async fn store_is_up(world: &World) -> bool {
    world.probe().metric("sallyport_tasks_store_up").await == Some(1.0)
}

fn result(wire: Wire, answer: &Value) -> Value {
    if matches!(wire, Wire::Rpc | Wire::Older) { answer["result"].clone() } else { answer.clone() }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_begun_at_one_gateway_is_its_owners_at_the_other_and_nobody_elses() {
    let Some(world) = world("").await else { return };
    let other = replica(&world);
    for wire in Wire::ALL {
        let here = |person| world.caller("agent/clerk", person, wire);
        let there = |person| at(&other.url, here(person));
        let task = task_in(&here("alice").send("train", &json!({})).await);
        let reached = world.trainer.received().len();
        for (operation, params) in on_a_task(&task) {
            let never = on_a_task("never-was").into_iter().find(|(name, _)| *name == operation).unwrap().1;
            let twin = there("bob").call(operation, &params).await;
            assert_eq!(twin.refused_because(), "task_not_found", "{operation} {wire:?}");
            assert_eq!(
                heard(&twin),
                heard(&there("bob").call(operation, &never).await),
                "{operation} {wire:?}"
            );
            assert_eq!(
                heard(&twin),
                heard(&here("bob").call(operation, &never).await),
                "{operation} {wire:?}"
            );
        }
        assert_eq!(world.trainer.received().len(), reached, "the agent hears nothing of it");
        let read = there("alice").call("GetTask", &json!({ "id": task })).await;
        assert_eq!(task_in(&read), task, "{wire:?} {read:?}");
        if !wire.is_older() {
            let listed = result(wire, &there("alice").call("ListTasks", &json!({})).await.json());
            let ids: Vec<&Value> =
                listed["tasks"].as_array().unwrap().iter().map(|task| &task["id"]).collect();
            assert!(ids.contains(&&json!(task)) && listed["totalSize"] == ids.len(), "{wire:?} {listed}");
            let twins = result(wire, &there("bob").call("ListTasks", &json!({})).await.json());
            let none = twins["tasks"].as_array().is_none_or(Vec::is_empty); // Protobuf doesn't write it then.
            assert!(none && twins["totalSize"] == 0, "{wire:?} {twins}");
        }
        let cancelled = there("alice").call("CancelTask", &json!({ "id": task })).await;
        assert_eq!(task_in(&cancelled), task, "{wire:?} {cancelled:?}");
        let read = here("alice").call("GetTask", &json!({ "id": task })).await;
        assert!(read.text.to_lowercase().contains("canceled"), "{wire:?} {read:?}");
    }
    let records = other.requests();
    let denied = records.iter().filter(|record| record["reason"] == "task_not_found");
    let anothers = denied.filter(|record| record["cause"].as_str().unwrap().contains("another principal's"));
    assert_eq!(anothers.count(), on_a_task("").len() * Wire::ALL.len(), "the audit there knows why");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_people_at_two_processes_never_see_each_others_tasks_whatever_they_do() {
    let Some(world) = world("").await else { return };
    let other = replica(&world);
    nobody_sees_anothers_tasks(&world, &other.url).await;
}

#[tokio::test]
async fn while_redis_is_away_no_task_is_made_read_or_listed_and_then_all_is_as_before() {
    let Some((world, mut redis)) = world_and_redis("timeout: 1s").await else { return };
    let alice = |wire| world.caller("agent/clerk", "alice", wire);
    let task = task_in(&alice(Wire::Rpc).send("train", &json!({})).await);
    assert!(store_is_up(&world).await);
    redis.goes();
    until(async || !store_is_up(&world).await).await;
    let (reached, records) = (world.trainer.received().len(), world.records("request").len());
    for wire in Wire::ALL {
        let mut calls = vec![
            alice(wire).send("train", &json!({})).await,
            alice(wire).call("GetTask", &json!({ "id": task })).await,
        ];
        if !wire.is_older() {
            calls.push(alice(wire).call("ListTasks", &json!({})).await);
        }
        for reply in calls {
            let (status, code) = match wire {
                Wire::Rest => (503, 503),
                Wire::OlderRest => (503, -32033),
                Wire::Grpc => (200, 14),
                Wire::Rpc | Wire::Older => (200, -32033),
            };
            assert_eq!(reply.refused_because(), "tasks_unavailable", "{wire:?} {reply:?}");
            assert_eq!((reply.status, reply.code()), (status, code), "{wire:?} {reply:?}");
        }
        let stranger = world.caller("agent/stranger", "alice", wire).send("train", &json!({})).await;
        assert_eq!(stranger.refused_because(), "not_allowed", "who may not call learns nothing of it");
    }
    assert_eq!(world.trainer.received().len(), reached, "the agent hears nothing");
    let all = world.records("request");
    for record in all.iter().skip(records).filter(|record| record["reason"] == "tasks_unavailable") {
        assert!(
            record["cause"].as_str().unwrap().contains("the store of tasks failed: no connection"),
            "{record}"
        );
    }
    redis.comes();
    until(async || store_is_up(&world).await).await;
    let read = alice(Wire::Rest).call("GetTask", &json!({ "id": task })).await;
    assert_eq!(task_in(&read), task);
    let twin = world.caller("agent/clerk", "bob", Wire::Rest).call("GetTask", &json!({ "id": task })).await;
    assert_eq!(twin.refused_because(), "task_not_found");

    redis.goes();
    redis.comes_empty();
    let lost = alice(Wire::Rest).call("GetTask", &json!({ "id": task })).await;
    assert_eq!(lost.refused_because(), "tasks_unavailable");
    let cause = world.records("request").pop().unwrap()["cause"].clone();
    assert!(cause.as_str().unwrap().contains("has lost what was in it"), "{cause}");
    let anew = replica(&world);
    let read = at(&anew.url, alice(Wire::Rest)).call("GetTask", &json!({ "id": task })).await;
    assert_eq!(read.refused_because(), "task_not_found", "its owner has lost it, too");
}

#[tokio::test]
async fn an_answer_whose_owner_cannot_be_noted_is_kept_back() {
    let Some((world, mut redis)) = world_and_redis("timeout: 1s").await else { return };
    let mut usual = world::a2a::agent();
    world.trainer.answers(move |received| {
        redis.goes(); // While the agent works.
        usual(received)
    });
    let alice = world.caller("agent/clerk", "alice", Wire::Rpc);
    let reply = alice.send("train", &json!({})).await;
    assert_eq!(reply.refused_because(), "tasks_unavailable");
    assert!(!reply.text.contains("task-000"), "{reply:?}");
    assert_eq!(world.trainer.received().len(), 1);
}

#[tokio::test]
async fn a_configuration_says_where_replicas_keep_whose_tasks_are() {
    let world = World::with(plan()).await;
    let path = world.path("sallyport.yaml");
    let usual = std::fs::read_to_string(&path).unwrap();
    std::fs::write(world.path("open.password"), "x").unwrap();
    let problems = |text: String| {
        std::fs::write(&path, text).unwrap();
        let found = gateway::config::load(&path).err().unwrap_or_default();
        found.into_iter().map(|problem| problem.path).collect::<Vec<_>>()
    };
    let url = "url: \"rediss://redis.example\"";
    for (tasks, mistakes) in [
        (format!("{{redis: {{{url}}}}}"), &[][..]),
        (format!("{{redis: {{{url}, prefix: \"a:b/c\", timeout: 500ms, username: u}}}}"), &[]),
        ("{sqlite: tasks.db}".into(), &[]),
        (format!("{{sqlite: tasks.db, redis: {{{url}}}}}"), &["tasks"]),
        ("{redis: {url: \"redis://redis.example\"}}".into(), &["tasks.redis.url"]),
        (format!("{{redis: {{{url}, password_file: open.password}}}}"), &["tasks.redis.password_file"]),
        (format!("{{redis: {{{url}, timeout: 1m}}}}"), &["tasks.redis.timeout"]),
        (format!("{{redis: {{{url}, prefix: \"\"}}}}"), &["tasks.redis.prefix"]),
        (format!("{{redis: {{{url}, prefix: \"a}}b\"}}}}"), &["tasks.redis.prefix"]),
        (format!("{{redis: {{{url}, server: {{spiffe_id: nobody}}}}}}"), &["tasks.redis.server.spiffe_id"]),
    ] {
        assert_eq!(problems(usual.replace("tasks: {}", &format!("tasks: {tasks}"))), mistakes, "{tasks}");
    }
    let with = |tasks: &str, cards: &str, sessions: &str, replicas: &str| {
        usual
            .replace("tasks: {}", &format!("tasks: {tasks}\n{replicas}\n{cards}"))
            .replace("sessions: {key_ring: sessions.keys}", &format!("sessions: {sessions}"))
    };
    let (redis, key, ring) =
        (format!("{{redis: {{{url}}}}}"), "cards: {key: actor.key}", "{key_ring: sessions.keys}");
    let sqlite = "{sqlite: tasks.db}";
    for (tasks, cards, sessions, replicas, mistakes) in [
        (redis.as_str(), key, ring, "replicas: 2", &[][..]),
        (sqlite, key, ring, "replicas: 1", &[]),
        (sqlite, "", "{}", "", &[]),
        (sqlite, key, ring, "replicas: 2", &["tasks"]),
        ("{}", key, ring, "replicas: 2", &["tasks"]),
        (redis.as_str(), "", ring, "replicas: 2", &["cards.key"]),
        (redis.as_str(), key, "{}", "replicas: 2", &["sessions.key_ring"]),
        ("{}", "", "{}", "replicas: 3", &["tasks", "cards.key", "sessions.key_ring"]),
        (redis.as_str(), key, ring, "replicas: 0", &["replicas"]),
    ] {
        assert_eq!(
            problems(with(tasks, cards, sessions, replicas)),
            mistakes,
            "{tasks} {cards} {sessions} {replicas}"
        );
    }
    let no_agents = |text: String| {
        let start = text.find("\nagents: ").unwrap();
        let end = text.find("\ntasks: ").unwrap();
        format!("{}\nagents: {{}}{}", &text[..start], &text[end..])
    };
    assert_eq!(problems(no_agents(with("{}", "", ring, "replicas: 2"))), [] as [&str; 0], "nothing to share");
}

#[tokio::test]
async fn agents_that_come_to_replicas_wait_for_the_store_that_these_share() {
    let plan = Plan { policy: world::policies::trainer(), ..Plan::default() };
    let world = World::with(plan).await;
    let path = world.path("sallyport.yaml");
    let usual = std::fs::read_to_string(&path).unwrap();
    let trainer = format!(
        "agents: {{trainer: {{spiffe_id: \"spiffe://bank.test/agent/trainer\", interfaces: {{jsonrpc: \"https://{}/a2a\"}}}}}}",
        world.trainer.address
    );
    let shared = "tasks: {redis: {url: \"redis://127.0.0.1:1\"}}\nreplicas: 2\ncards: {key: actor.key}";
    let mut reloads = world.gateway.reloads();
    reloads.mark_unchanged();
    std::fs::write(&path, usual.replace("agents: {}", &trainer).replace("tasks: {}", shared)).unwrap();
    reloads.changed().await.unwrap();
    let refused = world.records("agents_refused");
    assert!(refused[0]["cause"].as_str().unwrap().contains("is opened at the start"), "{refused:?}");
    let heard = world.caller("agent/clerk", "alice", Wire::Rpc).send("train", &json!({})).await;
    assert_eq!(heard.refused_because(), "not_allowed");
    assert!(world.trainer.received().is_empty());
}
