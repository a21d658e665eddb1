//! Where a task's events go, as it is asked for and shown: however it is written, to whom it belongs and to nobody else.

use reqwest::Method;
use serde_json::{Value, json};
use world::a2a::{Wire, message, older_push, task_in};
use world::agent::send;
use world::pushes::{CREDENTIALS, TOKEN, alice, alice_with, event, given, plan, posts, registered, world};
use world::webhook::Webhook;
use world::{Plan, Reply, World, policies};

/// Each way to write a configuration: to ask for a new task's events, and for those of one that is there.
#[tokio::test]
async fn a_configuration_is_relayed_however_it_is_written_and_shown_to_its_owner_alone() {
    let hook = Webhook::start().await;
    let world = world(&hook).await;
    let config = json!({"url": hook.url("/hooks/a"), "token": TOKEN, "authentication": {"scheme": "Bearer", "credentials": CREDENTIALS}});
    for wire in Wire::ALL {
        let (alice, bob) = (alice(&world, wire), world.caller("agent/clerk", "bob", wire));
        let with =
            json!({"message": message("train"), "configuration": {"taskPushNotificationConfig": config}});
        let sent = alice.call("SendMessage", &with).await;
        assert_eq!(sent.status, 200, "{wire:?} {sent:?}");
        let task = task_in(&sent);
        let of_send = given(&world);
        let mut create = config.clone();
        create["taskId"] = task.as_str().into();
        let created = alice.call("CreateTaskPushNotificationConfig", &create).await;
        let of_create = given(&world);
        let agents = String::from_utf8_lossy(&world.trainer.received().pop().unwrap().body).into_owned();
        assert!(!agents.contains(TOKEN) && !agents.contains(CREDENTIALS), "{wire:?} {agents}");
        for path in [&of_send, &of_create] {
            let before = hook.received().len();
            assert_eq!(posts(&world, "agent/trainer", path, &event(&task, 1)).await.status, 202, "{wire:?}");
            let received = hook.has_received(before + 1).await.pop().unwrap();
            assert_eq!(received.headers["x-a2a-notification-token"], TOKEN);
        }
        let named = json!({"taskId": task, "id": "p"});
        let got = alice.call("GetTaskPushNotificationConfig", &named).await;
        let listed = alice.call("ListTaskPushNotificationConfigs", &json!({"taskId": task})).await;
        for reply in [&created, &got, &listed] {
            assert_eq!(reply.status, 200, "{wire:?} {reply:?}");
            assert_eq!(shown(reply), config_of(wire, &config), "{wire:?} {reply:?}");
            assert!(!reply.text.contains("/push/"), "{reply:?}");
        }
        for (operation, params) in [
            ("CreateTaskPushNotificationConfig", create.clone()),
            ("GetTaskPushNotificationConfig", named.clone()),
            ("ListTaskPushNotificationConfigs", json!({"taskId": task})),
            ("DeleteTaskPushNotificationConfig", named.clone()),
        ] {
            let reached = world.trainer.received().len();
            let other = bob.call(operation, &params).await;
            assert_eq!(other.refused_because(), "task_not_found", "{wire:?} {operation}");
            assert_eq!(world.trainer.received().len(), reached);
        }
        assert_eq!(alice.call("DeleteTaskPushNotificationConfig", &named).await.status, 200);
        // Now the agent has only one that was never made here.
        let listed = alice.call("ListTaskPushNotificationConfigs", &json!({"taskId": task})).await;
        assert!(listed.status == 200 && !listed.text.contains("agent.example"), "{wire:?} {listed:?}");
        let foreign = alice.call("GetTaskPushNotificationConfig", &named).await;
        assert!(!foreign.text.contains("agent.example"), "{wire:?} {foreign:?}");
        assert_eq!(foreign.refused_because(), "task_not_found", "{wire:?}");
    }
}

/// The URL keeps what its token can be revoked by; one for which there is no room is asked for in vain.
#[tokio::test]
async fn a_token_that_names_itself_at_too_great_length_asks_for_no_events() {
    let hook = Webhook::start().await;
    let world = world(&hook).await;
    let with = json!({"message": message("train"), "configuration": {"taskPushNotificationConfig": {"url": hook.url("/hooks/a")}}});
    for (bytes, fits) in [(2048, true), (2049, false)] {
        let clerk = alice_with(&world, |claims| drop(claims.insert("jti".into(), "j".repeat(bytes).into())));
        let reached = world.trainer.received().len();
        let reply = clerk.call("SendMessage", &with).await;
        assert_eq!(world.trainer.received().len(), reached + usize::from(fits), "{bytes}");
        if fits {
            let (task, path) = (task_in(&reply), given(&world));
            assert_eq!(posts(&world, "agent/trainer", &path, &event(&task, 1)).await.status, 202);
            continue;
        }
        assert_eq!(reply.refused_because(), "push_target_not_allowed");
        let record = world.records("request").pop().unwrap();
        assert!(record["cause"].as_str().unwrap().contains("are longer than 2048 bytes"), "{record}");
    }
    assert_eq!(hook.has_received(1).await.len(), 1);
}

/// Two agents of one person share a task, and not where its events go.
#[tokio::test]
async fn another_ones_configuration_of_a_shared_task_is_as_one_that_never_was() {
    let hook = Webhook::start().await;
    let shared = policies::trainer_with("obligations := {\"tasks\": \"subject\"}");
    let world = World::with(Plan { policy: shared, ..plan(&hook, "") }).await;
    let (task, _) = registered(&world, &hook, json!({"token": TOKEN})).await;
    let named = |config: &str| json!({"taskId": task, "id": config});
    let get = "GetTaskPushNotificationConfig";
    for wire in Wire::ALL {
        let own = alice(&world, wire).call(get, &named("p")).await;
        assert_eq!(shown(&own)["url"], hook.url("/hooks/a?key=1"), "{wire:?} {own:?}");
        let auditor = world.caller("agent/auditor", "alice", wire);
        assert_eq!(auditor.call("GetTask", &json!({"id": task})).await.status, 200, "{wire:?}: it is shared");
        let bytes = async |config: &str| {
            let heard = auditor.request(get, &named(config)).send().await.unwrap();
            let mut headers = heard.headers().clone();
            headers.remove("date");
            (heard.status(), headers, heard.bytes().await.unwrap())
        };
        let anothers = bytes("p").await;
        assert_eq!(anothers, bytes("never-was").await, "{wire:?}");
        let (at_agent, kept) = (world.trainer.received().len(), world.records("request").len());
        let heard = auditor.call(get, &named("p")).await;
        assert_eq!(heard.refused_because(), "task_not_found", "{wire:?}");
        assert!(!heard.text.contains("/hooks/") && !heard.text.contains("/push/"), "{heard:?}");
        assert_eq!(world.trainer.received().len(), at_agent + 1, "only the agent knows whose it is");
        let record = world.records("request").swap_remove(kept);
        assert_eq!(record["reason"], "task_not_found");
        assert!(record["cause"].as_str().unwrap().contains("push configuration"), "{record}");
        let listed = auditor.call("ListTaskPushNotificationConfigs", &json!({"taskId": task})).await;
        assert!(listed.status == 200 && !listed.text.contains("hooks"), "{wire:?} {listed:?}");
    }
}

/// A configuration in an answer, whatever is around it.
fn shown(reply: &Reply) -> Value {
    let answer = reply.json();
    let result = if answer.get("result").is_some() { &answer["result"] } else { &answer };
    let one = if result.is_array() { &result[0] } else { result };
    let one = if one["configs"].is_array() { &one["configs"][0] } else { one };
    let mut one =
        if one["pushNotificationConfig"].is_object() { &one["pushNotificationConfig"] } else { one }.clone();
    for name in ["id", "taskId"] {
        one.as_object_mut().unwrap().remove(name);
    }
    one
}

fn config_of(wire: Wire, config: &Value) -> Value {
    if wire.is_older() { older_push(config) } else { config.clone() }
}

#[tokio::test]
async fn the_older_rest_form_is_relayed_too() {
    let hook = Webhook::start().await;
    let world = world(&hook).await;
    let token = world.token_with("agent/clerk", |claims| claims.subject = "alice");
    let clerk = world.agent("agent/clerk").with_token(&token);
    let config = older_push(
        &json!({"url": hook.url("/hooks/a"), "token": TOKEN, "authentication": {"scheme": "Bearer", "credentials": CREDENTIALS}}),
    );
    let body = |config: &Value| json!({"message": {"messageId": "m", "role": "ROLE_USER", "content": [{"text": "train"}]}, "configuration": {"pushNotification": config}});
    let say = |config: &Value| clerk.post("/a2a/trainer/v1/message:send", body(config).to_string());
    let reached = world.trainer.received().len();
    let mut foreign = config.clone();
    foreign["url"] = hook.url("/other").into();
    assert_eq!(send(say(&foreign)).await.refused_because(), "push_target_not_allowed");
    assert_eq!(world.trainer.received().len(), reached);
    let sent = send(say(&config)).await;
    assert_eq!(sent.status, 200, "{sent:?}");
    let task = task_in(&sent);
    let path = given(&world);
    let create = json!({"parent": format!("tasks/{task}"), "config": {"pushNotificationConfig": config}});
    let at = format!("/a2a/trainer/v1/tasks/{task}/pushNotificationConfigs");
    let created = send(clerk.post(&at, create.to_string())).await;
    assert_eq!(shown(&created), config, "{created:?}");
    let of_create = given(&world);
    let got = send(clerk.request(Method::GET, &format!("{at}/p"))).await;
    assert_eq!(shown(&got), config, "{got:?}");
    for path in [path, of_create] {
        let older = json!({"kind": "task", "id": task, "contextId": "c", "status": {"state": "working"}});
        assert_eq!(posts(&world, "agent/trainer", &path, &older).await.status, 202);
    }
    let received = hook.has_received(2).await;
    assert!(
        received.iter().all(|received| received.headers["authorization"] == format!("Bearer {CREDENTIALS}"))
    );
}
