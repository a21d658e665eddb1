//! The list of an agent's tasks is its caller's own, answered from the store: an upstream's pages hold everybody's.

use crate::a2a::plan;
use serde_json::json;
use world::a2a::{Wire, task_in};
use world::{Answer, Plan, World};

#[tokio::test]
async fn an_agents_list_is_the_callers_own_and_its_total_says_no_more() {
    let world = World::with(plan()).await;
    for wire in [Wire::Rpc, Wire::Rest, Wire::Grpc] {
        let (alice, bob) =
            (world.caller("agent/clerk", "alice", wire), world.caller("agent/clerk", "bob", wire));
        for caller in [&alice, &alice, &bob, &alice] {
            caller.send("train", &json!({})).await;
        }
    }
    for wire in [Wire::Rpc, Wire::Rest, Wire::Grpc] {
        let alice = world.caller("agent/clerk", "alice", wire);
        let mut seen = Vec::new();
        let mut token = String::new();
        loop {
            let reply = alice.call("ListTasks", &json!({"pageSize": 4, "pageToken": token})).await;
            let answer = reply.json();
            let page = if wire == Wire::Rpc { &answer["result"] } else { &answer };
            assert_eq!(page["totalSize"], 9, "{reply:?}");
            let tasks = page["tasks"].as_array().unwrap();
            assert!(tasks.iter().all(|task| task.get("artifacts").is_none()), "they were not asked for");
            seen.extend(tasks.iter().map(|task| task["id"].as_str().unwrap().to_owned()));
            token = page["nextPageToken"].as_str().unwrap().to_owned();
            if token.is_empty() {
                break;
            }
        }
        seen.sort();
        let own = [0, 1, 3, 4, 5, 7, 8, 9, 11].map(|n| format!("task-{n:03}"));
        assert_eq!(seen, own);
        let nobody = world.caller("agent/auditor", "carol", wire).call("ListTasks", &json!({})).await;
        assert!(nobody.text.contains("\"totalSize\":0"), "{nobody:?}");
        for wrong in [json!({"pageSize": 101}), json!({"pageToken": "x"})] {
            let code = match wire {
                Wire::Rpc | Wire::Older => -32602,
                Wire::Rest | Wire::OlderRest => 400,
                Wire::Grpc => 3,
            };
            assert_eq!(alice.call("ListTasks", &wrong).await.code(), code);
        }
    }
}

#[tokio::test]
async fn a_list_shows_no_task_but_the_ones_that_were_asked_for() {
    let world = World::with(plan()).await;
    let alice = world.caller("agent/clerk", "alice", Wire::Rpc);
    alice.send("train", &json!({})).await;
    let bobs = task_in(&world.caller("agent/clerk", "bob", Wire::Rpc).send("train", &json!({})).await);
    world.trainer.answers(move |received| {
        let task = json!({"id": bobs, "contextId": "c", "status": {"state": "TASK_STATE_WORKING"}});
        Answer::Json(json!({"jsonrpc": "2.0", "id": received.json()["id"], "result": task}))
    });
    let listed = alice.call("ListTasks", &json!({})).await;
    assert_eq!(listed.refused_because(), "upstream_failed", "{listed:?}");
    let record = world.records("request").pop().unwrap();
    assert!(record["cause"].as_str().unwrap().contains("another task"), "{record}");
}

#[tokio::test]
async fn a_list_by_state_knows_what_nobody_watched() {
    let world = World::with(plan()).await;
    let alice = world.caller("agent/clerk", "alice", Wire::Rpc);
    let task = task_in(&alice.send("train", &json!({})).await);
    alice.send("train", &json!({})).await;
    world.trainer.answers(|received| {
        let (id, task) = (received.json()["id"].clone(), received.json()["params"]["id"].clone());
        let state = if task == "task-000" { "TASK_STATE_COMPLETED" } else { "TASK_STATE_WORKING" };
        let found = json!({"id": task, "contextId": "c", "status": {"state": state}});
        Answer::Json(json!({"jsonrpc": "2.0", "id": id, "result": found}))
    });
    let reply = alice.call("ListTasks", &json!({"status": "TASK_STATE_COMPLETED"})).await.json();
    assert_eq!(
        (&reply["result"]["totalSize"], &reply["result"]["tasks"][0]["id"]),
        (&json!(1), &json!(task))
    );
}

#[tokio::test]
async fn a_task_that_its_agent_has_no_more_is_in_no_list() {
    let world = World::with(plan()).await;
    let alice = world.caller("agent/clerk", "alice", Wire::Rest);
    alice.send("train", &json!({})).await;
    world.trainer.answers(world::a2a::agent()); // It was started anew, and remembers nothing.
    let reply = alice.call("ListTasks", &json!({})).await.json();
    assert_eq!((&reply["totalSize"], &reply["tasks"]), (&json!(0), &json!([])));
}

/// The agent's tasks work until it is asked for them, and are over then; those behind the first are over at once.
fn are_over_when_asked_for(world: &World) {
    let mut made = 0;
    world.trainer.answers(move |received| {
        let (id, params) = (received.json()["id"].clone(), received.json()["params"].clone());
        let asked = params["id"].as_str().map(str::to_owned);
        let task = asked.clone().unwrap_or_else(|| format!("task-{made:03}"));
        let over = asked.is_some() || made > 0;
        made += usize::from(asked.is_none());
        let (state, at) = if over { ("COMPLETED", "2026-06-01") } else { ("WORKING", "2026-01-01") };
        let status = json!({"state": format!("TASK_STATE_{state}"), "timestamp": format!("{at}T00:00:00Z")});
        let task = json!({"id": task, "contextId": "c", "status": status});
        let result = if asked.is_some() { task } else { json!({ "task": task }) };
        Answer::Json(json!({"jsonrpc": "2.0", "id": id, "result": result}))
    });
}

#[tokio::test]
async fn a_list_knows_what_nobody_watched_however_much_came_after_it() {
    let world = World::with(plan()).await;
    are_over_when_asked_for(&world);
    let alice = world.caller("agent/clerk", "alice", Wire::Rpc);
    for _ in 0..102 {
        alice.send("train", &json!({})).await;
    }
    let reached = world.trainer.received().len();
    let over = json!({"status": "TASK_STATE_COMPLETED", "pageSize": 1});
    assert_eq!(alice.call("ListTasks", &over).await.json()["result"]["totalSize"], 102);
    let asked = &world.trainer.received()[reached..];
    assert_eq!(asked.len(), 2, "the one that was not over, and the one that is shown");
}

#[tokio::test]
async fn a_list_of_what_changed_since_a_time_has_what_changed_unseen() {
    let world = World::with(plan()).await;
    are_over_when_asked_for(&world);
    let alice = world.caller("agent/clerk", "alice", Wire::Rpc);
    let task = task_in(&alice.send("train", &json!({})).await);
    let since = |at: &str| json!({ "statusTimestampAfter": format!("{at}T00:00:00Z") });
    let changed = alice.call("ListTasks", &since("2026-03-01")).await.json();
    let shown = (&changed["result"]["totalSize"], &changed["result"]["tasks"][0]["id"]);
    assert_eq!(shown, (&json!(1), &json!(task)));
    assert_eq!(alice.call("ListTasks", &since("2026-07-01")).await.json()["result"]["totalSize"], 0);
}

#[tokio::test]
async fn an_agent_is_asked_for_no_more_tasks_than_it_may_be() {
    let world = World::with(Plan { limits: "{tasks_asked_max: 2}", ..plan() }).await;
    let alice = world.caller("agent/clerk", "alice", Wire::Rpc);
    for _ in 0..3 {
        alice.send("train", &json!({})).await; // They work on.
    }
    let reached = world.trainer.received().len();
    let none = json!({"status": "TASK_STATE_COMPLETED"});
    assert_eq!(alice.call("ListTasks", &none).await.json()["result"]["totalSize"], 0);
    assert_eq!(world.trainer.received().len(), reached + 2);
}
