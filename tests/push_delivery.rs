//! An event on its way to its receiver: again and again, in its order, and no further than it may go.

use gateway::token_service::users_issuer;
use serde_json::{Value, json};
use world::a2a::{Wire, task_in};
use world::pushes::{
    alice, alice_with, ended, event, given, of_kind, plan, posts, registered, registered_by,
};
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
async fn what_an_event_rests_on_is_revoked_and_it_goes_nowhere_any_more() {
    for (kind, revoked, twin) in [
        ("--spiffe-id", "spiffe://bank.test/agent/clerk", "spiffe://bank.test/agent/clerks"),
        ("--spiffe-id", "spiffe://bank.test/agent/front", "spiffe://bank.test/agent/fronts"),
        ("--subject", "alice", "bob"),
        ("--jti", "", "another"),
    ] {
        let hook = Webhook::start().await;
        let world = World::with(plan(&hook, ", attempts: 100, back_off_max: 200ms")).await;
        let mut jti = String::new();
        let clerk = alice_with(&world, |claims| {
            jti = claims["jti"].as_str().unwrap().to_owned();
            claims.insert("act".into(), json!({"sub": "spiffe://bank.test/agent/front"}));
        });
        let (task, path) = registered_by(&clerk, &world, &hook, json!({})).await;
        hook.answers(|_| status(503));
        assert_eq!(posts(&world, "agent/trainer", &path, &event(&task, 0)).await.status, 202);
        hook.has_received(1).await;
        let revoke = async |name: &str| match kind {
            "--subject" => world.revoke(&[kind, &users_issuer(&world.origin), name]).await,
            _ => world.revoke(&[kind, name]).await,
        };
        revoke(twin).await;
        let before = hook.received().len();
        hook.has_received(before + 2).await; // It is still tried.
        assert_eq!(posts(&world, "agent/trainer", &path, &event(&task, 1)).await.status, 202);

        let revoked = if kind == "--jti" { jti.as_str() } else { revoked };
        revoke(revoked).await;
        let nothing = posts(&world, "agent/trainer", "/push/made-up", &event(&task, 2)).await;
        let reply = posts(&world, "agent/trainer", &path, &event(&task, 2)).await;
        assert_eq!((reply.status, &reply.text), (404, &nothing.text), "{revoked}");
        let records = ended(world).await;
        let failed = of_kind(&records, "push_failed");
        assert_eq!(failed.len(), 2, "{revoked}: both that waited");
        for record in [&failed[0], &failed[1], of_kind(&records, "request").last().unwrap()] {
            let cause = record["cause"].as_str().unwrap();
            assert!(cause.contains(revoked) && cause.contains("is revoked"), "{record}");
        }
        assert!(failed[0]["count"].as_u64().unwrap() < 100);
        let tried: Vec<Value> = hook.received().iter().map(Received::json).collect();
        assert!(tried.iter().all(|tried| *tried == event(&task, 0)), "the second one never left");
    }
}

#[tokio::test]
async fn what_waits_for_an_agent_that_is_not_heard_any_more_goes_nowhere() {
    let id = "    spiffe_id: spiffe://bank.test/agent/trainer\n";
    let with = |more: String| (id, format!("{id}    {more}\n"));
    let pin = format!("card: {{digest: \"sha256:{}\"}}", "0".repeat(64));
    for ((from, to), cause) in [
        (("\n  trainer:\n", "\n  trainers:\n".to_owned()), Some("does not use the relay")),
        (with("push: \"off\"".to_owned()), Some("does not use the relay")),
        (with("push: direct".to_owned()), Some("does not use the relay")),
        ((id, id.replace("agent/trainer", "agent/trainers")), Some("another workload's")),
        (with(pin), Some("not the pinned one")),
        (with("contexts: claim".to_owned()), None),
    ] {
        let hook = Webhook::start().await;
        let world = World::with(plan(&hook, ", attempts: 100, back_off_max: 200ms")).await;
        let (task, path) = registered(&world, &hook, json!({})).await;
        hook.answers(|_| status(503));
        for n in 0..2 {
            assert_eq!(posts(&world, "agent/trainer", &path, &event(&task, n)).await.status, 202);
        }
        hook.has_received(1).await;
        world.rewrite(|text| text.replacen(from, &to, 1)).await;
        let gone = posts(&world, "agent/trainer", &path, &event(&task, 2)).await.status;
        assert_eq!(gone, if cause.is_some() { 404 } else { 202 }, "{to}: as at the arrival");
        if cause.is_none() {
            hook.answers(|_| status(200));
        }
        let records = ended(world).await;
        let (failed, there) = (of_kind(&records, "push_failed"), of_kind(&records, "push_delivered"));
        let Some(cause) = cause else {
            assert_eq!((failed.len(), there.len()), (0, 3), "{to}: its twin is delivered");
            continue;
        };
        assert_eq!((failed.len(), there.len()), (2, 0), "{to}");
        assert!(failed.iter().all(|r| r["cause"].as_str().unwrap().contains(cause)), "{failed:?}");
        let tried: Vec<Value> = hook.received().iter().map(Received::json).collect();
        assert!(tried.iter().all(|tried| *tried == event(&task, 0)), "{to}: the second one never left");
    }
}

#[tokio::test]
async fn what_waits_for_an_agent_whose_card_is_quarantined_goes_nowhere() {
    let hook = Webhook::start().await;
    let plan = plan(&hook, ", attempts: 100, back_off_max: 200ms");
    let world = World::with(Plan { trainer: Some("card: {refresh: 100ms}"), ..plan }).await;
    let card = |description: &str| {
        json!({
            "name": "trainer", "description": description, "version": "1.0.0", "capabilities": {"pushNotifications": true},
            "supportedInterfaces": [{"url": "https://t.internal/a2a", "protocolBinding": "JSONRPC", "protocolVersion": "1.0"}],
            "defaultInputModes": ["text/plain"], "defaultOutputModes": ["text/plain"], "skills": [],
        })
    };
    let stands = async |wanted: &dyn Fn(&str) -> bool| {
        let mut reloads = world.gateway.reloads();
        while world.gateway.card("trainer").is_none_or(|card| !wanted(&card)) {
            reloads.changed().await.unwrap();
        }
        world.gateway.card("trainer").unwrap()
    };
    world.trainer.shows(Some(card("Trains.")));
    let digest = stands(&|card| card.starts_with("sha256:")).await;
    let pinned = format!("card: {{refresh: 100ms, digest: \"{digest}\"}}");
    world.rewrite(|text| text.replacen("card: {refresh: 100ms}", &pinned, 1)).await;
    let (task, path) = registered(&world, &hook, json!({})).await;
    hook.answers(|_| status(503));
    assert_eq!(posts(&world, "agent/trainer", &path, &event(&task, 0)).await.status, 202);
    hook.has_received(2).await; // With the pinned card it is tried again and again.
    world.trainer.shows(Some(card("Trains, and reads your mail.")));
    stands(&|card| card == "quarantined").await;
    assert_eq!(posts(&world, "agent/trainer", &path, &event(&task, 1)).await.status, 404);
    let records = ended(world).await;
    let failed = of_kind(&records, "push_failed");
    assert_eq!(failed.len(), 1);
    assert!(failed[0]["cause"].as_str().unwrap().contains("not the pinned one"), "{failed:?}");
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
