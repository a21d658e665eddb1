//! An agent's events go where their caller wants them, if they may go there: by way of the gateway, signed, and the agent
//! learns neither where nor with which secrets.

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::Method;
use serde_json::{Value, json};
use std::time::Duration;
use tokens::{Expect, Keys};
use world::a2a::{Caller, Wire, message, task_in};
use world::agent::send;
use world::pushes::{
    CREDENTIALS, TOKEN, alice, ended, event, given, of_kind, plan, posts, registered, world,
};
use world::webhook::{Webhook, status};
use world::{Plan, Received, World, policies};

/// The claims of a signature, which must hold for what came, by the keys that the gateway serves.
async fn signed(world: &World, hook: &Webhook, received: &Received) -> Result<Value, tokens::TokenError> {
    let header = received.headers.get("x-sallyport-signature").or(received.headers.get("authorization"));
    let token = header.unwrap().to_str().unwrap().trim_start_matches("Bearer ").to_owned();
    let served = send(world.agent("agent/clerk").request(Method::GET, "/a2a/jwks.json")).await;
    let keys = Keys::from_jwks(served.text.as_bytes()).unwrap();
    let expect = Expect {
        issuer: world.url.clone(),
        audiences: vec![hook.url("/hooks/a")],
        types: vec!["a2a-push+jwt".into()],
        leeway: Duration::ZERO,
    };
    tokens::authentic(&token, &keys)?.judge(&expect, world.clock.now())?;
    let payload = URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap();
    Ok(serde_json::from_slice(&payload).unwrap())
}

fn hex(bytes: &[u8]) -> String {
    digest(&SHA256, bytes).as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test]
async fn an_event_goes_to_the_caller_and_the_agent_learns_neither_where_nor_with_what() {
    let hook = Webhook::start().await;
    let world = world(&hook).await;
    let secrets = json!({"token": TOKEN, "authentication": {"scheme": "Bearer", "credentials": CREDENTIALS}});
    let (task, path) = registered(&world, &hook, secrets).await;
    let to_agent = String::from_utf8(world.trainer.received().pop().unwrap().body.to_vec()).unwrap();
    for secret in [TOKEN, CREDENTIALS, "/hooks/a", "token", "authentication"] {
        assert!(!to_agent.contains(secret), "{secret} in {to_agent}");
    }
    let body = event(&task, 1);
    let reply = posts(&world, "agent/trainer", &path, &body).await;
    assert_eq!((reply.status, reply.text.as_str()), (202, ""));
    let received = hook.has_received(1).await.remove(0);
    assert_eq!((received.method.as_str(), received.path.as_str()), ("POST", "/hooks/a?key=1"));
    assert_eq!(received.body, body.to_string(), "byte for byte");
    let header = |name: &str| received.headers[name].to_str().unwrap();
    assert_eq!(header("content-type"), "application/a2a+json");
    assert_eq!(header("x-a2a-notification-token"), TOKEN);
    assert_eq!(header("authorization"), format!("Bearer {CREDENTIALS}"));
    let claims = signed(&world, &hook, &received).await.unwrap();
    assert_eq!((&claims["taskId"], &claims["iss"]), (&json!(task), &json!(world.url)));
    assert_eq!(claims["sub"], "trainer");
    assert_eq!(claims["request_body_sha256"], hex(&received.body));
    let seconds = |name: &str| claims[name].as_u64().unwrap();
    assert_eq!(seconds("exp") - seconds("iat"), 60);

    let records = ended(world).await;
    let post = &of_kind(&records, "request")[2];
    assert_eq!(
        (&post["method"], &post["server"], &post["status"]),
        (&json!("push"), &json!("trainer"), &json!(202))
    );
    assert_eq!((&post["path"], &post["subject"]["sub"]), (&json!("/push"), &json!("alice")));
    assert_eq!(post["target"], json!({"task": task}));
    let delivered = &of_kind(&records, "push_delivered")[0];
    assert_eq!(
        (&delivered["host"], &delivered["count"], &delivered["status"]),
        (&json!("127.0.0.1"), &json!(1), &json!(204))
    );
    assert_eq!((&delivered["server"], &delivered["target"]), (&json!("trainer"), &json!({"task": task})));
    assert!(delivered.get("cause").is_none() && of_kind(&records, "push_failed").is_empty());
}

#[tokio::test]
async fn without_credentials_of_the_callers_the_signature_is_the_authorization() {
    let hook = Webhook::start().await;
    let world = world(&hook).await;
    let (task, path) = registered(&world, &hook, json!({})).await;
    posts(&world, "agent/trainer", &path, &event(&task, 1)).await;
    let received = hook.has_received(1).await.remove(0);
    assert!(!received.headers.contains_key("x-sallyport-signature"));
    assert!(!received.headers.contains_key("x-a2a-notification-token"));
    signed(&world, &hook, &received).await.unwrap();
    let token = received.headers["authorization"].to_str().unwrap().to_owned();
    for changed in [token.replacen("Bearer e", "Bearer f", 1), format!("{}A", &token[..token.len() - 2])] {
        let mut headers = received.headers.clone();
        headers.insert("authorization", changed.parse().unwrap());
        let spoiled = Received { headers, ..received.clone() };
        assert!(signed(&world, &hook, &spoiled).await.is_err(), "a changed byte is refused");
    }
    world.clock.advance(Duration::from_secs(120));
    assert!(signed(&world, &hook, &received).await.is_err(), "it is good for a minute");
}

#[tokio::test]
async fn a_target_that_is_not_allowed_is_refused_before_the_agent_hears_of_it() {
    let hook = Webhook::start().await;
    let world = world(&hook).await;
    for wire in Wire::ALL {
        let alice = alice(&world, wire);
        let task = task_in(&alice.send("train", &json!({})).await);
        let mut reached = world.trainer.received().len();
        let port = hook.address.port();
        for (target, cause) in [
            (hook.url("/hook"), "below no prefix"),
            (hook.url("/hookss/a"), "below no prefix"),
            (hook.url("/hooks/../a"), "below no prefix"),
            (format!("https://localhost:{port}/hooks/a"), "below no prefix"),
            (hook.url("/hooks/a").replace("https:", "http:"), "not an https URL"),
            (hook.url("/hooks/%2e%2e%2fa"), "not an https URL"),
            ("https://169.254.169.254/hooks/latest".to_owned(), "at 169.254.169.254"),
            ("https://nowhere.invalid/hooks".to_owned(), "no address"),
        ] {
            let create = json!({"taskId": task, "url": target});
            let with = json!({"message": message("train"), "configuration": {"taskPushNotificationConfig": {"url": target}}});
            for (operation, params) in [("CreateTaskPushNotificationConfig", create), ("SendMessage", with)] {
                let reply = alice.call(operation, &params).await;
                assert_eq!(
                    reply.refused_because(),
                    "push_target_not_allowed",
                    "{target} {wire:?} {operation}"
                );
                let record = world.records("request").pop().unwrap();
                assert!(record["cause"].as_str().unwrap().contains(cause), "{record}");
                assert_eq!(record["decision"], "permit", "the policy had nothing against it");
            }
            assert_eq!(world.trainer.received().len(), reached, "the agent hears nothing of {target}");
        }
        let good = json!({"taskId": task, "url": hook.url("/hooks/a")});
        assert_eq!(alice.call("CreateTaskPushNotificationConfig", &good).await.status, 200, "its twin");
        reached += 1;
        assert_eq!(world.trainer.received().len(), reached);
    }
    assert!(hook.received().is_empty());
}

#[tokio::test]
async fn nothing_is_sent_anywhere_unless_somebody_has_said_where() {
    let hook = Webhook::start().await;
    let ca = hook.authorities().display().to_string();
    let only = format!("{{allow: [\"{}\"], ca_file: {ca}}}", hook.url("/hooks"));
    for (push, reason) in [("{}".to_owned(), "push_not_allowed"), (only, "push_target_not_allowed")] {
        let world = World::with(Plan { push, ..plan(&hook, "") }).await;
        let alice = alice(&world, Wire::Rpc);
        let task = task_in(&alice.send("train", &json!({})).await);
        let params = json!({"taskId": task, "url": hook.url("/hooks/a")});
        let reply = alice.call("CreateTaskPushNotificationConfig", &params).await;
        assert_eq!(reply.refused_because(), reason);
        assert_eq!(world.trainer.received().len(), 1);
    }
}

#[tokio::test]
async fn policy_judges_the_callers_own_url() {
    let hook = Webhook::start().await;
    let rule = "deny contains \"hook\" if {\n\tinput.call.push != null\n\tcontains(input.call.push.url, \"/hooks/b\")\n}";
    let world = World::with(Plan { policy: policies::trainer_with(rule), ..plan(&hook, "") }).await;
    let alice = alice(&world, Wire::Rpc);
    let task = task_in(&alice.send("train", &json!({})).await);
    let set = |path: &str| json!({"taskId": task, "url": hook.url(path)});
    assert_eq!(
        alice.call("CreateTaskPushNotificationConfig", &set("/hooks/b")).await.refused_because(),
        "hook"
    );
    assert_eq!(alice.call("CreateTaskPushNotificationConfig", &set("/hooks/a")).await.status, 200);
    assert_eq!(world.trainer.received().len(), 2);
}

#[tokio::test]
async fn whoever_the_url_is_not_for_finds_nothing_there() {
    let hook = Webhook::start().await;
    let world = World::with(plan(&hook, ", lifetime: 300s")).await;
    let (task, path) = registered(&world, &hook, json!({})).await;
    let bobs = task_in(&world.caller("agent/clerk", "bob", Wire::Rpc).send("train", &json!({})).await);
    let nothing = posts(&world, "agent/trainer", "/push/made-up", &event(&task, 1)).await;
    assert_eq!(nothing.status, 404);
    let mut changed = path.clone().into_bytes();
    let at = changed.len() - 8;
    changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
    let changed = String::from_utf8(changed).unwrap();
    let mut causes = Vec::new();
    for (workload, path, body, cause) in [
        ("agent/other", &path, event(&task, 1), "another workload's"),
        ("agent/clerk", &path, event(&task, 1), "another workload's"),
        ("agent/trainer", &changed, event(&task, 1), "does not open"),
        ("agent/trainer", &path[..path.len() - 1].to_owned(), event(&task, 1), "does not open"),
        ("agent/trainer", &path, event(&bobs, 1), "a task that the push URL is not for"),
        ("agent/trainer", &path, event("never-was", 1), "a task that the push URL is not for"),
        ("agent/trainer", &format!("{path}?x"), event(&task, 1), "names nothing"),
    ] {
        let reply = posts(&world, workload, path, &body).await;
        assert_eq!((reply.status, &reply.text), (404, &nothing.text), "{cause}");
        causes.push(cause);
    }
    assert_eq!(posts(&world, "agent/trainer", &path, &event(&task, 1)).await.status, 202, "their twin");
    world.revoke(&["--spiffe-id", "spiffe://bank.test/agent/clerk"]).await;
    let reply = posts(&world, "agent/trainer", &path, &event(&task, 2)).await;
    assert_eq!((reply.status, &reply.text), (404, &nothing.text));
    world.clock.advance(Duration::from_secs(301));
    let reply = posts(&world, "agent/trainer", &path, &event(&task, 3)).await;
    assert_eq!((reply.status, &reply.text), (404, &nothing.text));
    causes.extend(["is revoked", "has ended"]);
    hook.has_received(1).await;
    let records = ended(world).await;
    let refused: Vec<Value> =
        of_kind(&records, "request").into_iter().filter(|r| r["reason"] == "not_found").collect();
    let kept: Vec<&str> = refused.iter().skip(1).map(|record| record["cause"].as_str().unwrap()).collect();
    assert_eq!(kept.len(), causes.len());
    for (kept, cause) in kept.iter().zip(causes) {
        assert!(kept.contains(cause), "{kept}: {cause}");
    }
    assert!(
        refused
            .iter()
            .all(|record| record["path"] == "/push" || record["cause"].as_str().unwrap().contains("names"))
    );
    assert_eq!(hook.received().len(), 1, "and nothing of it went anywhere");
}

#[tokio::test]
async fn an_agent_that_is_not_called_any_more_is_not_heard_either() {
    let hook = Webhook::start().await;
    let pin = format!("card: {{digest: \"sha256:{}\"}}", "0".repeat(64));
    for change in ["push: \"off\"", "push: direct", pin.as_str()] {
        let world = world(&hook).await;
        let (task, path) = registered(&world, &hook, json!({})).await;
        let before = hook.received().len();
        assert_eq!(posts(&world, "agent/trainer", &path, &event(&task, 1)).await.status, 202);
        let config = world.path("sallyport.yaml");
        let text = std::fs::read_to_string(&config).unwrap();
        let id = "    spiffe_id: spiffe://bank.test/agent/trainer\n";
        let mut reloads = world.gateway.reloads();
        reloads.mark_unchanged();
        std::fs::write(&config, text.replacen(id, &format!("{id}    {change}\n"), 1)).unwrap();
        reloads.changed().await.unwrap();
        assert_eq!(posts(&world, "agent/trainer", &path, &event(&task, 2)).await.status, 404, "{change}");
        ended(world).await;
        assert_eq!(hook.received().len(), before + 1);
    }
}

#[tokio::test]
async fn what_is_no_event_is_not_taken() {
    let hook = Webhook::start().await;
    let world = World::with(plan(&hook, ", body_bytes_max: 1024")).await;
    let (task, path) = registered(&world, &hook, json!({})).await;
    let mut long = event(&task, 1);
    long["statusUpdate"]["metadata"]["text"] = "x".repeat(1024).into();
    for (body, status, reason) in [
        (json!({"invoice": {"id": task}}), 400, "invalid_event"),
        (json!({"message": {"messageId": "m", "role": "ROLE_AGENT", "parts": []}}), 400, "invalid_event"),
        (json!([event(&task, 1)]), 400, "invalid_event"),
        (long, 413, "body_too_long"),
    ] {
        let reply = posts(&world, "agent/trainer", &path, &body).await;
        assert_eq!((reply.status, reply.refused_because().as_str()), (status, reason));
    }
    let twice = format!("{{\"task\": {{\"id\": \"{task}\", \"id\": \"other\"}}}}");
    let reply = send(world.agent("agent/trainer").request(Method::POST, &path).body(twice)).await;
    assert_eq!(reply.refused_because(), "invalid_event");
    for good in [
        event(&task, 1),
        json!({"task": {"id": task, "contextId": "c", "status": {"state": "TASK_STATE_COMPLETED"}}}),
        json!({"kind": "task", "id": task, "contextId": "c", "status": {"state": "working"}}),
    ] {
        assert_eq!(posts(&world, "agent/trainer", &path, &good).await.status, 202);
    }
    let received = hook.has_received(3).await;
    let types: Vec<&str> = received.iter().map(|r| r.headers["content-type"].to_str().unwrap()).collect();
    assert_eq!(types, ["application/a2a+json", "application/a2a+json", "application/json"]);
}

#[tokio::test]
async fn an_event_of_a_task_that_nobody_has_seen_yet_is_its_callers() {
    let hook = Webhook::start().await;
    let world = world(&hook).await;
    let alice = alice(&world, Wire::Rpc);
    let with = json!({"message": message("train"), "configuration": {"taskPushNotificationConfig": {"url": hook.url("/hooks/a")}}});
    let task = task_in(&alice.call("SendMessage", &with).await);
    let path = given(&world);
    assert_eq!(posts(&world, "agent/trainer", &path, &event(&task, 1)).await.status, 202);
    // The agent posts about a task before it has answered with it.
    let post = json!({"statusUpdate": {"taskId": "early", "contextId": "early", "status": {"state": "TASK_STATE_WORKING"}}});
    assert_eq!(posts(&world, "agent/trainer", &path, &post).await.status, 202);
    let bob = world.caller("agent/clerk", "bob", Wire::Rpc);
    let get = json!({"id": "early"});
    assert_eq!(bob.call("GetTask", &get).await.refused_because(), "task_not_found");
    let bobs = task_in(&bob.send("train", &json!({})).await);
    let foreign = posts(&world, "agent/trainer", &path, &event(&bobs, 1)).await;
    assert_eq!(foreign.status, 404, "what is another's does not become the caller's");
    hook.has_received(2).await;
}

#[tokio::test]
async fn an_agents_card_promises_events_where_they_may_go_somewhere() {
    let hook = Webhook::start().await;
    for (push, more, promised) in [
        (plan(&hook, "").push, "", true),
        ("{}".to_owned(), "", false),
        ("{}".to_owned(), "push: direct", true),
        (plan(&hook, "").push, "push: \"off\"", false),
    ] {
        let more: &str = Box::leak(format!("{more}\n    card: {{refresh: 100ms}}").into_boxed_str());
        let world = World::with(Plan { push, trainer: Some(more), ..plan(&hook, "") }).await;
        world.trainer.shows(Some(json!({
            "name": "trainer", "description": "Trains.", "version": "1.0.0",
            "supportedInterfaces": [{"url": "https://t.internal/a2a", "protocolBinding": "JSONRPC", "protocolVersion": "1.0"}],
            "capabilities": {"pushNotifications": true}, "defaultInputModes": ["text/plain"], "defaultOutputModes": ["text/plain"],
            "skills": [],
        })));
        let mut reloads = world.gateway.reloads();
        while world.gateway.card("trainer").is_none_or(|card| !card.starts_with("sha256:")) {
            reloads.changed().await.unwrap();
        }
        let card =
            world.agent("agent/clerk").request(Method::GET, "/a2a/trainer/.well-known/agent-card.json");
        let card = send(card).await.json();
        assert_eq!(card["capabilities"]["pushNotifications"], promised, "{more} {card}");
    }
}

/// Every way in which the secrets of a configuration come by, and then all that was written.
#[tokio::test]
async fn the_secrets_of_a_configuration_are_written_nowhere() {
    let hook = Webhook::start().await;
    let world = World::with(plan(&hook, ", attempts: 2")).await;
    let process = world.process("required", |config| config);
    let token = world.token_with("agent/clerk", |claims| claims.subject = "alice");
    let agent = world.agent("agent/clerk").with_token(&token).to(&process.url);
    let alice = Caller { agent, wire: Wire::Rpc };
    let secrets = |target: String| json!({"url": target, "token": TOKEN, "authentication": {"scheme": "Bearer", "credentials": CREDENTIALS}});
    let with = |target| json!({"message": message("train"), "configuration": {"taskPushNotificationConfig": secrets(target)}});
    let refused = alice.call("SendMessage", &with(hook.url("/other"))).await;
    assert_eq!(refused.refused_because(), "push_target_not_allowed");
    let sent = alice.call("SendMessage", &with(hook.url("/hooks/a"))).await;
    let (task, path) = (task_in(&sent), given(&world));
    let mut create = secrets(hook.url("/hooks/b"));
    create["taskId"] = task.as_str().into();
    assert_eq!(alice.call("CreateTaskPushNotificationConfig", &create).await.status, 200);
    alice.call("ListTaskPushNotificationConfigs", &json!({"taskId": task})).await;
    let trainer = world.agent("agent/trainer").to(&process.url);
    for answer in [200, 503, 404] {
        hook.answers(move |_| status(answer));
        let before = hook.received().len();
        let post = trainer.request(Method::POST, &path).body(event(&task, 1).to_string());
        assert_eq!(send(post).await.status, 202);
        hook.has_received(before + if answer == 503 { 2 } else { 1 }).await;
    }
    let audit = process.audit.clone();
    let (ended, said) = process.terminate();
    assert!(ended.success());
    let kept = std::fs::read_to_string(audit).unwrap();
    assert_eq!(kept.matches("\"push_delivered\"").count(), 1);
    assert_eq!(kept.matches("\"push_failed\"").count(), 2);
    assert!(said.contains("a push is tried again"), "the log is talkative: {said}");
    for secret in [TOKEN, CREDENTIALS, "/hooks/a", path.as_str()] {
        for (place, text) in [("audit", &kept), ("log", &said)] {
            let line = text.lines().find(|line| line.contains(secret));
            assert!(line.is_none(), "{secret} stands in the {place}: {line:?}");
        }
    }
}
