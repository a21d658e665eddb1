//! Whatever people do at two gateways with one store, in any order and binding: nobody sees anything of another's, and what
//! is another's is answered like what never was.

use crate::a2a::{Dice, heard, on_a_task, plan};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use world::a2a::{Caller, Wire, message};
use world::{Agent, Plan, Reply, World};

/// Where the dice begin: each is another order of things.
const SEEDS: [u64; 3] = [0x5A11_7907, 0x0B0B_CAFE, 0xA11C_E500];
/// What is done in each of them.
const STEPS: usize = 150;
/// Two people, and one of them by another workload.
const PRINCIPALS: [(&str, &str); 3] =
    [("agent/clerk", "alice"), ("agent/clerk", "bob"), ("agent/auditor", "alice")];

/// Every way to name what is somebody's: each operation on a task, a message that refers to it, and one into its context;
/// and what everybody else hears then.
fn naming(task: &str, context: &str, wire: Wire) -> Vec<(&'static str, Value, &'static str)> {
    let says = |name: &str, value: Value| {
        let mut message = message("go on");
        message[name] = value;
        json!({ "message": message })
    };
    let on_it = on_a_task(task).into_iter();
    let mut all: Vec<_> = on_it.map(|(operation, params)| (operation, params, "task_not_found")).collect();
    for operation in ["SendMessage", "SendStreamingMessage"] {
        all.push((operation, says("contextId", json!(context)), "context_not_found"));
        if wire != Wire::OlderRest {
            all.push((operation, says("referenceTaskIds", json!([task])), "task_not_found"));
        }
    }
    all
}

fn result(answer: &Value) -> &Value {
    if answer["result"].is_object() { &answer["result"] } else { answer }
}

/// The task that an answer shows, a stream's in its first event, and the task's context.
fn shown(reply: &Reply) -> (String, String) {
    let first = reply.text.trim_start_matches("data: ").split("\n\n").next().unwrap();
    let answer: Value = serde_json::from_str(first).unwrap_or_else(|_| panic!("{reply:?}"));
    let task = &result(&answer)["task"];
    let task = if task.is_object() { task } else { result(&answer) };
    let text = |name: &str| task[name].as_str().unwrap_or_else(|| panic!("{reply:?}")).to_owned();
    (text("id"), text("contextId"))
}

/// All tasks that a caller's list has, page by page.
async fn listed(caller: &Caller) -> Vec<String> {
    let (mut ids, mut token) = (Vec::new(), String::new());
    loop {
        let reply = caller.call("ListTasks", &json!({"pageSize": 20, "pageToken": token})).await;
        let answer = reply.json();
        let page = result(&answer);
        let tasks = page["tasks"].as_array().into_iter().flatten(); // Protobuf writes no empty list.
        ids.extend(tasks.map(|task| task["id"].as_str().unwrap().to_owned()));
        token = page["nextPageToken"].as_str().unwrap_or_default().to_owned();
        if token.is_empty() {
            assert_eq!(page["totalSize"], ids.len(), "{reply:?}");
            ids.sort_unstable();
            return ids;
        }
    }
}

/// The world's gateway and another one that knows the same tasks.
pub(crate) async fn nobody_sees_anothers_tasks(world: &World, other: &str) {
    let asked = Arc::new(AtomicUsize::new(0)); // A fake keeps no more than so much of what it was asked.
    let (mut usual, count) = (world::a2a::agent(), Arc::clone(&asked));
    world.trainer.answers(move |received| {
        count.fetch_add(1, Ordering::SeqCst);
        usual(received)
    });
    let gateways = |(workload, person): &(&str, &'static str)| {
        let here = world.caller(workload, person, Wire::Rpc).agent;
        [here.clone(), here.to(other)]
    };
    let agents: Vec<[Agent; 2]> = PRINCIPALS.iter().map(gateways).collect();
    let mut begun: BTreeMap<String, (usize, String)> = BTreeMap::new();
    let mut denied = BTreeSet::new();
    for seed in SEEDS {
        let mut dice = Dice(seed);
        for step in 0..STEPS {
            let (who, wire) = (dice.below(PRINCIPALS.len()), Wire::ALL[dice.below(Wire::ALL.len())]);
            let caller = Caller { agent: agents[who][dice.below(2)].clone(), wire };
            let place = format!("step {step} of {seed:x}, {:?} over {wire:?}", PRINCIPALS[who]);
            let chance = dice.below(8);
            if begun.is_empty() || chance < 2 {
                let operation = ["SendMessage", "SendStreamingMessage"][dice.below(2)];
                let (task, context) =
                    shown(&caller.call(operation, &json!({"message": message("train")})).await);
                assert!(begun.insert(task, (who, context)).is_none(), "{place}: the agent's ids are its own");
                continue;
            }
            if chance == 2 && !wire.is_older() {
                let own: Vec<String> =
                    begun.iter().filter(|(_, (owner, _))| *owner == who).map(|(id, _)| id.clone()).collect();
                assert_eq!(listed(&caller).await, own, "{place}: all of one's own and nothing else");
                continue;
            }
            let task = begun.keys().nth(dice.below(begun.len())).unwrap().clone();
            let (owner, context) = begun[&task].clone();
            let ways = naming(&task, &context, wire);
            let way = dice.below(ways.len());
            let (operation, params, reason) = &ways[way];
            let before = asked.load(Ordering::SeqCst);
            let reply = caller.call(operation, params).await;
            if owner == who {
                assert!(!reply.is_refused(), "{place}: {operation} {params} {reply:?}");
                if operation.starts_with("Send") {
                    let (task, context) = shown(&reply);
                    assert_eq!(begun.entry(task).or_insert((who, context)).0, who, "{place}: {reply:?}");
                }
                continue;
            }
            let never = caller.call(operation, &naming("never-was", "never-was", wire)[way].1).await;
            assert_eq!(reply.refused_because(), *reason, "{place}: {operation} {params}");
            assert_eq!(heard(&reply), heard(&never), "{place}: {operation} {params}");
            assert_eq!(asked.load(Ordering::SeqCst), before, "{place}: the agent hears nothing of it");
            denied.insert((*operation, *reason, wire.as_str()));
        }
    }
    let told = |wire: Wire| denied.iter().filter(move |(.., over)| *over == wire.as_str()).count();
    assert!(Wire::ALL.into_iter().all(|wire| told(wire) > 3), "{denied:?}");
    for (operation, _, reason) in naming("", "", Wire::Rpc) {
        let is_it = |(one, why, _): &(&str, &str, &str)| (*one, *why) == (operation, reason);
        assert!(denied.iter().any(is_it), "{operation} {reason} {denied:?}");
    }
}

#[tokio::test(flavor = "multi_thread")] // One of the gateways is a process.
async fn two_people_at_two_gateways_never_see_each_others_tasks_whatever_they_do() {
    let world = World::with(Plan { tasks: "{sqlite: tasks.db}".into(), ..plan() }).await;
    let other = world.process("best_effort", |config| config);
    nobody_sees_anothers_tasks(&world, &other.url).await;
}
