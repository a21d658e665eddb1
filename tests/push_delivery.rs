//! An event on its way to its receiver: again and again, in its order, and no further than it may go.

use serde_json::{Value, json};
use world::a2a::{Wire, task_in};
use world::pushes::{alice, ended, event, given, of_kind, plan, posts, registered, registered_by};
use world::webhook::{Webhook, status};
use world::{Plan, Received, World};

#[tokio::test]
async fn a_receiver_that_fails_is_asked_again_and_one_that_says_no_is_not() {
    let hook = Webhook::start().await;
    let world = World::with(plan(&hook, ", attempts: 4")).await;
    let (task, path) = registered(&world, &hook, json!({})).await;
    for answers in [vec![503, 429, 200], vec![500; 4], vec![404], vec![302], vec![307]] {
        let before = hook.received().len();
        let mut rest = answers.clone().into_iter();
        let elsewhere = hook.url("/elsewhere");
        hook.answers(move |_| {
            let answer =
                http::Response::builder().status(rest.next().unwrap()).header("location", &elsewhere);
            Some(answer.body(()).unwrap())
        });
        posts(&world, "agent/trainer", &path, &event(&task, 1)).await;
        let received = hook.has_received(before + answers.len()).await;
        assert!(received.iter().all(|received| received.path == "/hooks/a?key=1"), "no redirect is followed");
        let bodies: Vec<_> = received[before..].iter().map(|received| &received.body).collect();
        assert!(bodies.windows(2).all(|pair| pair[0] == pair[1]));
    }
    let records = ended(world).await;
    let ends: Vec<(&str, u64, u64)> = records
        .iter()
        .filter(|record| record["kind"].as_str().unwrap().starts_with("push_"))
        .map(|r| (r["kind"].as_str().unwrap(), r["count"].as_u64().unwrap(), r["status"].as_u64().unwrap()))
        .collect();
    assert_eq!(
        ends,
        [
            ("push_delivered", 3, 200),
            ("push_failed", 4, 500),
            ("push_failed", 1, 404),
            ("push_failed", 1, 302),
            ("push_failed", 1, 307)
        ]
    );
    assert_eq!(hook.received().len(), 3 + 4 + 1 + 1 + 1);
}

#[tokio::test]
async fn events_of_one_url_keep_their_order_and_others_do_not_wait_for_them() {
    let hook = Webhook::start().await;
    let world = World::with(plan(&hook, ", timeout: 500ms, attempts: 100")).await;
    let (task, first) = registered(&world, &hook, json!({})).await;
    let (other, second) = registered(&world, &hook, json!({})).await;
    let mut refused = 0;
    let (slow, only) = (task.clone(), task.clone());
    hook.answers(move |received| {
        let is_first = received.json()["statusUpdate"]["taskId"] == slow.as_str();
        refused += usize::from(is_first);
        if is_first && refused <= 3 { None } else { status(200) }
    });
    for n in 0..4 {
        assert_eq!(posts(&world, "agent/trainer", &first, &event(&task, n)).await.status, 202);
    }
    assert_eq!(posts(&world, "agent/trainer", &second, &event(&other, 9)).await.status, 202);
    let received = hook.has_received(3 + 4 + 1).await;
    let of = |task: &str| -> Vec<u64> {
        let all = received.iter().map(Received::json).filter(|event| event["statusUpdate"]["taskId"] == task);
        all.map(|event| event["statusUpdate"]["metadata"]["n"].as_u64().unwrap()).collect()
    };
    assert_eq!(of(&only), [0, 0, 0, 0, 1, 2, 3], "one after the other, and each until it is there");
    assert_eq!(of(&other), [9]);
    let place =
        received.iter().position(|received| received.json()["statusUpdate"]["taskId"] == other.as_str());
    assert!(place.unwrap() < 4, "the other one did not wait");
}

#[tokio::test]
async fn where_too_much_waits_the_agent_is_asked_to_come_again() {
    let hook = Webhook::start().await;
    let world = World::with(plan(&hook, ", queue_max: 8")).await;
    let (task, path) = registered(&world, &hook, json!({})).await;
    hook.answers(|_| None);
    assert_eq!(posts(&world, "agent/trainer", &path, &event(&task, 0)).await.status, 202);
    hook.has_received(1).await; // It is under way, and stays so.
    assert_eq!(posts(&world, "agent/trainer", &path, &event(&task, 1)).await.status, 202);
    let full = posts(&world, "agent/trainer", &path, &event(&task, 2)).await;
    assert_eq!(
        (full.status, full.refused_because().as_str()),
        (503, "push_queue_full"),
        "an eighth is all for one URL"
    );
    assert_eq!(full.header("retry-after"), Some("1"));
    let (other, second) = registered(&world, &hook, json!({})).await;
    let full = posts(&world, "agent/trainer", &second, &event(&other, 0)).await;
    assert_eq!(full.refused_because(), "push_queue_full", "a quarter is all for one owner");
    let bob = world.caller("agent/clerk", "bob", Wire::Rpc);
    let (bobs, third) = registered_by(&bob, &world, &hook, json!({})).await;
    let mut bobs = event(&bobs, 0);
    bobs["statusUpdate"]["contextId"] = "of-bob".into();
    assert_eq!(posts(&world, "agent/trainer", &third, &bobs).await.status, 202, "others have theirs");

    let world = World::with(plan(&hook, ", queue_max: 1")).await;
    let (task, path) = registered(&world, &hook, json!({})).await;
    let (other, second) = registered(&world, &hook, json!({})).await;
    assert_eq!(posts(&world, "agent/trainer", &path, &event(&task, 0)).await.status, 202);
    let full = posts(&world, "agent/trainer", &second, &event(&other, 0)).await;
    assert_eq!(full.refused_because(), "push_queue_full", "there is one place for all");
}

#[tokio::test]
async fn whoever_is_revoked_gets_no_event_that_waits() {
    let hook = Webhook::start().await;
    let world = World::with(plan(&hook, ", attempts: 100, back_off_max: 50ms")).await;
    let (task, path) = registered(&world, &hook, json!({})).await;
    hook.answers(|_| status(503));
    assert_eq!(posts(&world, "agent/trainer", &path, &event(&task, 0)).await.status, 202);
    hook.has_received(1).await;
    world.revoke(&["--spiffe-id", "spiffe://bank.test/agent/clerk"]).await;
    let records = ended(world).await;
    let failed = of_kind(&records, "push_failed");
    assert!(failed[0]["cause"].as_str().unwrap().contains("is revoked"), "{failed:?}");
    assert!(failed[0]["count"].as_u64().unwrap() < 100);
}

#[tokio::test]
async fn what_waits_when_the_gateway_is_told_to_stop_is_delivered_or_has_its_record() {
    let hook = Webhook::start().await;
    let world = World::with(Plan { limits: "{drain_timeout: 3s}", ..plan(&hook, "") }).await;
    let (task, path) = registered(&world, &hook, json!({})).await;
    let (stuck, other) = registered(&world, &hook, json!({})).await;
    let never = stuck.clone();
    hook.answers(move |received| {
        if received.json()["statusUpdate"]["taskId"] == never.as_str() { None } else { status(200) }
    });
    for n in 0..2 {
        assert_eq!(posts(&world, "agent/trainer", &other, &event(&stuck, n)).await.status, 202);
        assert_eq!(posts(&world, "agent/trainer", &path, &event(&task, n)).await.status, 202);
    }
    let records = ended(world).await;
    let of = |kind| -> Vec<Value> {
        of_kind(&records, kind).iter().map(|r| r["target"]["task"].clone()).collect()
    };
    assert_eq!((of("push_delivered"), of("push_failed")), (vec![json!(task); 2], vec![json!(stuck); 2]));
    let failed = of_kind(&records, "push_failed");
    assert!(failed.iter().all(|record| record["cause"] == "the gateway was told to stop"), "{failed:?}");
    assert_eq!(records.last().unwrap()["kind"], "stopped");
}

#[tokio::test]
async fn a_target_is_judged_again_at_each_delivery() {
    let hook = Webhook::start().await;
    let world = World::with(plan(&hook, ", attempts: 100, back_off_max: 50ms")).await;
    let (task, path) = registered(&world, &hook, json!({})).await;
    hook.answers(|_| status(503));
    assert_eq!(posts(&world, "agent/trainer", &path, &event(&task, 0)).await.status, 202);
    hook.has_received(2).await;
    let config = world.path("sallyport.yaml");
    let text = std::fs::read_to_string(&config).unwrap();
    let mut reloads = world.gateway.reloads();
    reloads.mark_unchanged();
    std::fs::write(&config, text.replace("/hooks\", \"https://169", "/elsewhere\", \"https://169")).unwrap();
    reloads.changed().await.unwrap();
    let after = hook.received().len();
    assert_eq!(posts(&world, "agent/trainer", &path, &event(&task, 1)).await.status, 202);
    let records = ended(world).await;
    let failed = of_kind(&records, "push_failed");
    assert_eq!(failed.len(), 2);
    assert!(
        failed.iter().all(|record| record["cause"].as_str().unwrap().contains("below no prefix")),
        "{failed:?}"
    );
    assert!(hook.received().len() <= after + 1, "no more than what was under way");
}

/// A name says nothing of where it leads: what counts are its addresses, as they are judged at that moment.
#[tokio::test]
async fn a_name_is_sent_to_as_long_as_its_addresses_may_be_reached() {
    let hook = Webhook::start().await;
    let (ca, at) = (hook.authorities().display().to_string(), hook.address.port());
    let by_name = format!("https://localhost:{at}/hooks");
    let private = ", private_addresses: [127.0.0.0/8, \"::1\"]";
    let push = |private: &str| {
        format!("{{allow: [\"{by_name}\"], ca_file: {ca}, back_off: 1ms, attempts: 2{private}}}")
    };
    let world = World::with(Plan { push: push(private), ..plan(&hook, "") }).await;
    let alice = alice(&world, Wire::Rpc);
    let task = task_in(&alice.send("train", &json!({})).await);
    let create = json!({"taskId": task, "url": format!("{by_name}/a")});
    assert!(!alice.call("CreateTaskPushNotificationConfig", &create).await.is_refused());
    let path = given(&world);
    assert_eq!(posts(&world, "agent/trainer", &path, &event(&task, 0)).await.status, 202);
    assert_eq!(hook.has_received(1).await[0].path, "/hooks/a");

    world.rewrite(|text| text.replace(private, "")).await;
    let reached = world.trainer.received().len();
    let again = alice.call("CreateTaskPushNotificationConfig", &create).await;
    assert_eq!(again.refused_because(), "push_target_not_allowed");
    let record = world.records("request").pop().unwrap();
    assert!(record["cause"].as_str().unwrap().contains("which is not to be reached"), "{record}");
    assert_eq!(world.trainer.received().len(), reached, "the agent hears nothing of it");
    assert_eq!(posts(&world, "agent/trainer", &path, &event(&task, 1)).await.status, 202);
    let records = ended(world).await;
    let failed = of_kind(&records, "push_failed");
    assert_eq!((failed.len(), &failed[0]["host"]), (1, &json!("localhost")), "{failed:?}");
    assert!(failed[0]["cause"].as_str().unwrap().contains("which is not to be reached"), "{failed:?}");
    assert_eq!((of_kind(&records, "push_delivered").len(), hook.received().len()), (1, 1));
}
