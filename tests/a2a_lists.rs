//! The list of an agent's tasks is its caller's own, answered from the store: an upstream's pages hold everybody's.

use crate::a2a::plan;
use serde_json::json;
use world::a2a::{Wire, task_in};
use world::{Answer, World};

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
