//! What stories of push notifications have in common.

use crate::a2a::{Caller, Wire, task_in};
use crate::agent::send;
use crate::webhook::Webhook;
use crate::{Plan, Reply, World, policies};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::Method;
use serde_json::{Map, Value, json};

pub const TOKEN: &str = "token-that-the-caller-gave";
pub const CREDENTIALS: &str = "credentials-that-the-caller-gave";

/// Events may go below `/hooks` of a receiver at a loopback address.
pub fn plan(hook: &Webhook, more: &str) -> Plan {
    let (allow, ca) = (hook.url("/hooks"), hook.authorities().display().to_string());
    Plan {
        policy: policies::trainer(),
        trainer: Some(""),
        push: format!(
            "{{allow: [\"{allow}\", \"https://169.254.169.254/hooks\", \"https://nowhere.invalid/hooks\"],
              private_addresses: [127.0.0.0/8], ca_file: {ca}, back_off: 1ms{more}}}"
        ),
        ..Plan::default()
    }
}

pub async fn world(hook: &Webhook) -> World {
    World::with(plan(hook, "")).await
}

pub fn alice(world: &World, wire: Wire) -> Caller {
    world.caller("agent/clerk", "alice", wire)
}

/// The same by a token of hers that says something else, too.
pub fn alice_with(world: &World, change: impl FnOnce(&mut Map<String, Value>)) -> Caller {
    let token = world.token("agent/clerk");
    let payload = URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap();
    let mut claims = serde_json::from_slice(&payload).unwrap();
    change(&mut claims);
    let token = world.keys.users.sign("at+jwt", &claims).unwrap();
    Caller { agent: world.agent("agent/clerk").with_token(token.expose()), wire: Wire::Rpc }
}

/// What the agent was given in the place of the caller's URL, in the last call that it got.
pub fn given(world: &World) -> String {
    let all = world.trainer.received();
    let text = String::from_utf8(all.last().unwrap().body.to_vec()).unwrap();
    let begins = text.find(&format!("{}/push/", world.url)).unwrap_or_else(|| panic!("{text}"));
    text[begins + world.url.len()..].split('"').next().unwrap().to_owned()
}

pub fn event(task: &str, more: u32) -> Value {
    json!({"statusUpdate": {"taskId": task, "contextId": "c", "status": {"state": "TASK_STATE_WORKING"}, "metadata": {"n": more}}})
}

/// A workload posts to the relay, as agents do.
pub async fn posts(world: &World, workload: &str, path: &str, body: &Value) -> Reply {
    let request =
        world.agent(workload).request(Method::POST, path).header("content-type", "application/json");
    send(request.body(body.to_string())).await
}

/// A task of alice's, with events that go to the receiver: its id, and what the agent posts to.
pub async fn registered(world: &World, hook: &Webhook, more: Value) -> (String, String) {
    registered_by(&alice(world, Wire::Rpc), world, hook, more).await
}

/// The same of somebody's.
pub async fn registered_by(who: &Caller, world: &World, hook: &Webhook, more: Value) -> (String, String) {
    let task = task_in(&who.send("train", &json!({})).await);
    let mut config = json!({"taskId": task, "url": hook.url("/hooks/a?key=1")});
    config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let reply = who.call("CreateTaskPushNotificationConfig", &config).await;
    assert_eq!(reply.json()["result"]["url"], config["url"], "{reply:?}");
    (task, given(world))
}

/// Ends the gateway, when all is delivered or has failed; all its records.
pub async fn ended(world: World) -> Vec<Value> {
    let audit = world.path("audit.jsonl");
    world.gateway.stop().await;
    let text = std::fs::read_to_string(audit).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

pub fn of_kind(records: &[Value], kind: &str) -> Vec<Value> {
    records.iter().filter(|record| record["kind"] == kind).cloned().collect()
}
