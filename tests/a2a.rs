//! A call to an agent is decided and owned like any other, however it is written. Whose a task is, nobody else can tell.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderMap, HeaderValue};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use world::a2a::{Wire, message, task_in};
use world::agent::send;
use world::{Answer, Plan, Received, Reply, World, policies};

pub(crate) fn plan() -> Plan {
    Plan { policy: policies::trainer(), trainer: Some("push: direct"), ..Plan::default() }
}

/// Every operation on a task, with parameters as 1.0 has them.
pub(crate) fn on_a_task(task: &str) -> Vec<(&'static str, Value)> {
    let mut goes_on = message("go on");
    goes_on["taskId"] = task.into();
    vec![
        ("GetTask", json!({ "id": task })),
        ("SubscribeToTask", json!({ "id": task })),
        ("CreateTaskPushNotificationConfig", json!({"taskId": task, "url": "https://hook.example/"})),
        ("GetTaskPushNotificationConfig", json!({"taskId": task, "id": "p"})),
        ("ListTaskPushNotificationConfigs", json!({ "taskId": task })),
        ("DeleteTaskPushNotificationConfig", json!({"taskId": task, "id": "p"})),
        ("SendMessage", json!({ "message": goes_on })),
        ("SendStreamingMessage", json!({ "message": goes_on })),
        ("CancelTask", json!({ "id": task })),
    ]
}

/// All that a caller hears, over gRPC the status in the header fields included. Only the time may be another.
pub(crate) fn heard(reply: &Reply) -> (u16, HeaderMap, String) {
    let mut headers = reply.headers.clone();
    headers.remove("date");
    (reply.status, headers, reply.text.clone())
}

#[tokio::test]
async fn a_task_is_there_for_its_owner_and_for_nobody_else_in_every_operation_and_binding() {
    let world = World::with(plan()).await;
    let owner = |wire| world.caller("agent/clerk", "alice", wire);
    for wire in Wire::ALL {
        let task = task_in(&owner(wire).send("train", &json!({})).await);
        for (operation, params) in on_a_task(&task) {
            let reached = world.trainer.received().len();
            let never = on_a_task("never-was").into_iter().find(|(name, _)| *name == operation).unwrap().1;
            let nothing = owner(wire).call(operation, &never).await;
            for (workload, person) in
                [("agent/clerk", "bob"), ("agent/auditor", "alice"), ("agent/auditor", "bob")]
            {
                let other = world.caller(workload, person, wire).call(operation, &params).await;
                assert_eq!(
                    other.refused_because(),
                    "task_not_found",
                    "{operation} {wire:?} {workload} {person}"
                );
                assert_eq!(heard(&other), heard(&nothing), "what never was and what is another's are one");
            }
            assert_eq!(world.trainer.received().len(), reached, "the agent hears nothing of it");
            let own = owner(wire).call(operation, &params).await;
            assert!(!own.is_refused(), "{operation} {wire:?} {own:?}");
            assert_eq!(world.trainer.received().len(), reached + 1);
        }
    }
    let refused = |cause: &str| {
        let all = world.records("request");
        all.iter()
            .filter(|r| r["reason"] == "task_not_found" && r["cause"].as_str().unwrap().contains(cause))
            .count()
    };
    let (operations, wires) = (on_a_task("").len(), Wire::ALL.len());
    assert_eq!(
        refused("there is no such task"),
        operations * wires,
        "the audit knows which of the two it was"
    );
    assert_eq!(refused("another principal's"), operations * wires * 2);
    assert_eq!(refused("another workload's"), operations * wires);
}

#[tokio::test]
async fn a_rule_sees_what_is_said_and_one_word_more_is_denied() {
    let world = World::with(plan()).await;
    for wire in Wire::ALL {
        let alice = world.caller("agent/clerk", "alice", wire);
        let reached = world.trainer.received().len();
        assert_eq!(alice.send("keep the model", &json!({})).await.status, 200);
        let denied = alice.send("delete the model", &json!({})).await;
        assert_eq!(denied.refused_because(), "delete");
        let (status, code) = match wire {
            Wire::Rest => (403, 403),
            Wire::OlderRest => (403, -32030),
            Wire::Grpc => (200, 7),
            Wire::Rpc | Wire::Older => (200, -32030),
        };
        assert_eq!((denied.status, denied.code()), (status, code));
        let stranger = world.caller("agent/stranger", "alice", wire).send("keep the model", &json!({})).await;
        assert_eq!(stranger.refused_because(), "not_allowed");
        assert_eq!(world.trainer.received().len(), reached + 1);
    }
    let records = world.records("request");
    let denied: Vec<&Value> = records.iter().filter(|record| record["reason"] == "delete").collect();
    assert_eq!(denied.len(), Wire::ALL.len());
    assert!(
        denied
            .iter()
            .all(|r| r["protocol"] == "a2a" && r["server"] == "trainer" && r["method"] == "SendMessage")
    );
}

#[tokio::test]
async fn what_is_longer_than_policy_sees_is_denied_by_a_rule_that_looks_into_it() {
    let world = World::with(Plan { limits: "{a2a_text_bytes_max: 8}", ..plan() }).await;
    let alice = world.caller("agent/clerk", "alice", Wire::Rpc);
    assert_eq!(alice.send("12345678", &json!({})).await.status, 200);
    assert_eq!(alice.send("123456789", &json!({})).await.refused_because(), "policy_error");
    assert_eq!(world.trainer.received().len(), 1);
}

#[tokio::test]
async fn an_agent_that_is_not_there_answers_like_one_that_may_not_be_called() {
    let (world, without) = (World::with(plan()).await, World::with(Plan { trainer: None, ..plan() }).await);
    for wire in Wire::ALL {
        let send = ("SendMessage", json!({"message": message("train")}));
        let push = json!({"message": message("x"), "configuration": {"taskPushNotificationConfig": {"url": "https://h.example/"}}});
        let mut operations = on_a_task("never-was");
        operations.extend([send, ("SendMessage", push)]);
        for (operation, params) in operations {
            let denied = world.caller("agent/stranger", "alice", wire).call(operation, &params).await;
            let unknown = without.caller("agent/stranger", "alice", wire).call(operation, &params).await;
            assert_eq!(denied.refused_because(), "not_allowed", "{operation} {wire:?}");
            assert_eq!(heard(&denied), heard(&unknown), "{operation} {wire:?}");
        }
    }
    assert!(world.trainer.received().is_empty());
}

#[tokio::test]
async fn a_context_is_its_callers_and_none_is_made_up() {
    let world = World::with(plan()).await;
    for wire in Wire::ALL {
        let (alice, bob) =
            (world.caller("agent/clerk", "alice", wire), world.caller("agent/clerk", "bob", wire));
        let task = task_in(&alice.send("train", &json!({})).await);
        let context = task.replace("task", "context");
        assert_eq!(alice.send("more", &json!({ "contextId": context })).await.status, 200);
        let reached = world.trainer.received().len();
        let other = bob.send("more", &json!({ "contextId": context })).await;
        let made_up = bob.send("more", &json!({"contextId": "made-up"})).await;
        assert_eq!(other.refused_because(), "context_not_found");
        assert_eq!(heard(&other), heard(&made_up));
        let apart = alice.send("more", &json!({"contextId": "context-000", "taskId": task})).await;
        assert_eq!(apart.is_refused(), task != "task-000");
        let refers = |task: &str| json!({"referenceTaskIds": [task]});
        if wire == Wire::OlderRest {
            let refused = alice.send("like that", &refers(&task)).await;
            assert_eq!(refused.refused_because(), "unknown_parameter", "it has no references");
            continue;
        }
        assert_eq!(bob.send("like that", &refers(&task)).await.refused_because(), "task_not_found");
        assert_eq!(world.trainer.received().len(), reached + usize::from(task == "task-000"));
        assert_eq!(alice.send("like that", &refers(&task)).await.status, 200);
    }
}

#[tokio::test]
async fn a_context_that_nobody_has_becomes_its_callers_where_the_configuration_says_so() {
    let world = World::with(Plan { trainer: Some("contexts: claim"), ..plan() }).await;
    for wire in Wire::ALL {
        let caller = |workload, person| world.caller(workload, person, wire);
        let (alice, bob) = (caller("agent/clerk", "alice"), caller("agent/clerk", "bob"));
        let mine = json!({"contextId": format!("mine over {wire:?}")});
        let reached = world.trainer.received().len();
        let denied = caller("agent/stranger", "alice").send("train", &mine).await;
        assert_eq!(denied.refused_because(), "not_allowed", "{wire:?}: who may not call claims nothing");
        assert!(!alice.send("train", &mine).await.is_refused(), "{wire:?}");
        let other = bob.send("train", &mine).await;
        assert_eq!(other.refused_because(), "context_not_found", "{wire:?}");
        assert!(!alice.send("train", &mine).await.is_refused(), "{wire:?}");
        assert_eq!(world.trainer.received().len(), reached + 2);
        let record =
            world.records("request").into_iter().rfind(|record| record["reason"] == "context_not_found");
        let cause = record.unwrap()["cause"].as_str().unwrap().to_owned();
        assert!(cause.contains("the context is not the caller's"), "{cause}");
    }
}

#[tokio::test]
async fn agents_of_one_person_share_a_task_where_policy_says_so() {
    let shared = "obligations := {\"tasks\": \"subject\"}";
    let world = World::with(Plan { policy: policies::trainer_with(shared), ..plan() }).await;
    let task = task_in(&world.caller("agent/clerk", "alice", Wire::Rpc).send("train", &json!({})).await);
    for wire in Wire::ALL {
        let get = json!({ "id": task });
        let auditor = world.caller("agent/auditor", "alice", wire);
        assert_eq!(task_in(&auditor.call("GetTask", &get).await), task);
        let other = world.caller("agent/auditor", "bob", wire).call("GetTask", &get).await;
        assert_eq!(other.refused_because(), "task_not_found");
    }
    let auditor = world.caller("agent/auditor", "alice", Wire::Rpc);
    assert_eq!(auditor.send("go on", &json!({ "taskId": task })).await.status, 200);
    let listed = auditor.call("ListTasks", &json!({})).await.json();
    assert_eq!(listed["result"]["totalSize"], 0, "it is still the clerk's");
}

#[tokio::test]
async fn a_stream_goes_by_event_by_event_and_ends_where_it_shows_another_ones_task() {
    let world = World::with(plan()).await;
    for wire in Wire::ALL {
        let alice = world.caller("agent/clerk", "alice", wire);
        let stream = alice.call("SendStreamingMessage", &json!({"message": message("train")})).await;
        let media_type = if wire == Wire::Grpc { "application/grpc" } else { "text/event-stream" };
        assert_eq!((stream.status, stream.header("content-type")), (200, Some(media_type)));
        assert_eq!(stream.text.matches("data: ").count(), 2, "{stream:?}");
        let shown = world.records("request").pop().unwrap()["answer"].clone();
        let artifacts = json!([{"artifactId": "a", "parts": [{"text": "x"}]}]).to_string().len();
        assert_eq!((&shown["events"], &shown["artifact_bytes"]), (&json!(2), &json!(artifacts)), "{shown}");
        assert_eq!(shown["state"], "TASK_STATE_WORKING");
        assert!(stream.text.contains(&format!("\"{}\"", shown["task"].as_str().unwrap())), "{shown}");
    }
    let bobs = task_in(&world.caller("agent/clerk", "bob", Wire::Rpc).send("train", &json!({})).await);
    let shown = json!({"jsonrpc": "2.0", "id": 7, "result": {"statusUpdate": {"taskId": bobs, "contextId": "c", "status": {"state": "TASK_STATE_WORKING"}}}});
    world.trainer.says(&[shown]);
    let alice = world.caller("agent/clerk", "alice", Wire::Rpc);
    let request = alice.request("SendStreamingMessage", &json!({"message": message("train")}));
    let heard = async { request.send().await?.text().await };
    assert!(heard.await.is_err(), "the stream breaks off before the event");
    let record = world.records("request").pop().unwrap();
    assert_eq!(record["outcome"], "answer_broken");
    assert!(record["cause"].as_str().unwrap().contains("another principal"), "{record}");
    assert_eq!(record["answer"], Value::Null, "what was not shown is not told");
}

#[tokio::test]
async fn an_agent_that_shows_one_caller_anothers_task_is_not_heard() {
    let world = World::with(plan()).await;
    let bobs = task_in(&world.caller("agent/clerk", "bob", Wire::Rpc).send("train", &json!({})).await);
    let answers = [
        json!({"task": {"id": bobs, "contextId": "c", "status": {"state": "TASK_STATE_WORKING"}}}),
        json!({"message": {"messageId": "m", "contextId": bobs.replace("task", "context"), "role": "ROLE_AGENT", "parts": []}}),
        json!({"task": {"contextId": "c"}}),
        json!({}),
    ];
    for answer in answers {
        world.trainer.answers(move |received| {
            Answer::Json(json!({"jsonrpc": "2.0", "id": received.json()["id"], "result": answer}))
        });
        let heard = world.caller("agent/clerk", "alice", Wire::Rpc).send("train", &json!({})).await;
        assert_eq!(heard.refused_because(), "upstream_failed", "{heard:?}");
        assert!(!heard.text.contains(&bobs));
    }
}

#[tokio::test]
async fn a_refusal_of_the_agent_shows_no_task_of_another() {
    let world = World::with(plan()).await;
    let bobs = task_in(&world.caller("agent/clerk", "bob", Wire::Rpc).send("train", &json!({})).await);
    let refuses = |body: Value| {
        world.trainer.answers(move |_| {
            let answer = http::Response::builder().status(404).header("content-type", "application/json");
            Answer::Raw(answer.body(body.to_string()).unwrap())
        });
    };
    let alice = world.caller("agent/clerk", "alice", Wire::Rest);
    refuses(json!({"error": {"code": 404, "status": "NOT_FOUND", "message": "no such model"}}));
    let refused = alice.send("train", &json!({})).await;
    assert!(refused.status == 404 && refused.text.contains("no such model"), "{refused:?}");
    refuses(json!({"task": {"id": bobs, "contextId": "c", "status": {"state": "TASK_STATE_WORKING"}}}));
    let shown = alice.send("train", &json!({})).await;
    assert_eq!(shown.refused_because(), "upstream_failed", "{shown:?}");
    assert!(!shown.text.contains(&bobs));
    let record = world.records("request").pop().unwrap();
    assert!(record["cause"].as_str().unwrap().contains("another principal"), "{record}");
}

#[tokio::test]
async fn what_is_no_call_is_refused_in_the_shape_of_its_binding() {
    let world = World::with(plan()).await;
    let alice = world.clerk();
    let v1 = |request: reqwest::RequestBuilder| request.header("a2a-version", "1.0");
    let rpc = |body: &str| v1(alice.post("/a2a/trainer", body.to_owned()));
    for (request, status, code, reason) in [
        (rpc("{"), 400, -32700, "invalid_json"),
        (
            rpc(r#"{"jsonrpc":"2.0","id":1,"method":"tasks/get","params":{"id":"t"}}"#),
            200,
            -32601,
            "unknown_method",
        ),
        (
            rpc(r#"{"jsonrpc":"2.0","id":1,"method":"GetTask","params":{"id":"t","x":1}}"#),
            200,
            -32602,
            "unknown_parameter",
        ),
        (rpc("{}").header("a2a-version", "2.0"), 400, -32600, "invalid_request"),
        (v1(alice.request(Method::GET, "/a2a/trainer/tasks/t/x")), 404, 404, "unknown_path"),
        (v1(alice.request(Method::GET, "/a2a/trainer/tasks?x=1")), 400, 400, "invalid_query"),
        (v1(alice.post("/a2a/trainer/message:send", "{}".into())), 400, 400, "invalid_params"),
        (
            alice.request(Method::GET, "/a2a/trainer/tasks/t").header("a2a-version", "9"),
            400,
            400,
            "unsupported_version",
        ),
    ] {
        let reply = send(request).await;
        assert_eq!((reply.status, reply.code(), reply.refused_because().as_str()), (status, code, reason));
    }
    let without = send(v1(world.agent("agent/clerk").request(Method::GET, "/a2a/trainer/tasks/t"))).await;
    assert_eq!((without.status, without.refused_because().as_str()), (401, "token_required"));
    let challenge = without.header("www-authenticate").unwrap();
    assert!(challenge.contains("/.well-known/oauth-protected-resource/a2a/trainer\""), "{challenge}");
    assert!(world.trainer.received().is_empty());
}

/// The version may stand in the query (A2A 1.0 §3.6.1): the call is of that version, and so is the refusal.
#[tokio::test]
async fn a_version_in_the_query_counts_as_one_in_the_header_does() {
    let world = World::with(plan()).await;
    let alice = world.clerk();
    let rpc = |query: &str, method: &str| {
        let body =
            json!({"jsonrpc": "2.0", "id": 7, "method": method, "params": {"message": message("delete")}});
        send(alice.post(&format!("/a2a/trainer{query}"), body.to_string()))
    };
    let denied = rpc("?A2A-Version=1.0", "SendMessage").await;
    assert_eq!(denied.json()["error"]["data"][0]["metadata"]["reason"], "delete", "{denied:?}");
    let rest = send(alice.request(Method::GET, "/a2a/trainer/tasks/t?A2A-Version=1.0")).await;
    assert_eq!(rest.json()["error"]["details"][0]["metadata"]["reason"], "task_not_found", "{rest:?}");
    let older = send(alice.request(Method::GET, "/a2a/trainer/v1/tasks/t?A2A-Version=0.3")).await;
    assert_eq!((&older.json()["type"], older.status), (&json!("TaskNotFoundError"), 404), "{older:?}");
    for query in ["?A2A-Version=0.3", "?A2A-Version="] {
        assert_eq!(rpc(query, "SendMessage").await.json()["error"]["data"]["reason"], "unknown_method");
    }
    assert_eq!(rpc("?A2A-Version=2.0", "SendMessage").await.code(), -32009);
    for query in ["?", "?x=1", "?A2A-Version", "?A2A-Version=1.0&x=1", "?A2A-Version=1.0&A2A-Version=1.0"] {
        assert_eq!(rpc(query, "SendMessage").await.refused_because(), "unknown_path", "{query}");
    }
    assert!(world.trainer.received().is_empty());
    let body =
        json!({"jsonrpc": "2.0", "id": 7, "method": "SendMessage", "params": {"message": message("train")}});
    let sent = send(alice.post("/a2a/trainer?A2A-Version=1.0", body.to_string())).await;
    assert_eq!(task_in(&sent), "task-000");
    let received = world.trainer.received().pop().unwrap();
    assert_eq!((&*received.path, received.headers["a2a-version"].to_str().unwrap()), ("/a2a", "1.0"));
}

#[tokio::test]
async fn a_version_that_is_not_spoken_has_an_error_of_its_own_in_every_binding() {
    let world = World::with(plan()).await;
    let params = json!({"message": message("train")});
    let hears = async |wire: Wire, version: &'static str| {
        let alice = world.caller("agent/clerk", "alice", wire);
        let asked =
            HeaderMap::from_iter([("a2a-version".parse().unwrap(), HeaderValue::from_static(version))]);
        alice.hears("SendMessage", alice.request("SendMessage", &params).headers(asked)).await
    };
    let mut refused = Vec::new();
    for wire in Wire::ALL {
        refused.extend(["2.0", "9", "0.2.5", "one"].map(|version| (wire, version)));
    }
    refused.extend([(Wire::Grpc, "0.3"), (Wire::Grpc, "")]); // 0.3 is not spoken over gRPC.
    for (wire, version) in &refused {
        let reply = hears(*wire, *version).await;
        let told = match wire {
            Wire::Rpc | Wire::Older => (200, -32009),
            Wire::Rest | Wire::OlderRest => (400, 400), // In the shape of the latest: who knows what it would read?
            Wire::Grpc => (200, 9),
        };
        assert_eq!(reply.refused_because(), "unsupported_version", "{wire:?} {version}");
        assert_eq!((reply.status, reply.code()), told, "{wire:?} {version}");
    }
    assert!(world.trainer.received().is_empty());
    let records = world.records("request");
    let kept = records.iter().filter(|record| record["reason"] == "unsupported_version");
    assert_eq!(kept.count(), refused.len());
    for (wire, version) in
        [(Wire::Rpc, "1.0"), (Wire::Rest, "1.0"), (Wire::Grpc, "1.0.1"), (Wire::Older, "0.3.0")]
    {
        assert!(!hears(wire, version).await.is_refused(), "{wire:?} {version}: its twin");
    }
}

#[tokio::test]
async fn nothing_of_the_caller_goes_on_but_what_the_agent_needs() {
    let world = World::with(plan()).await;
    let alice = world.caller("agent/clerk", "alice", Wire::Rest);
    let request = alice.request("SendMessage", &json!({"message": message("train")}));
    let request = request.header("a2a-extensions", "https://e.example/x").header("cookie", "a=b");
    assert_eq!(send(request.header("x-forwarded-for", "10.0.0.1")).await.status, 200);
    let received = world.trainer.received().pop().unwrap();
    assert_eq!(received.path, "/rest/message:send");
    assert_eq!(received.headers["a2a-extensions"], "https://e.example/x");
    let bearer = received.headers["authorization"].to_str().unwrap();
    assert!(!bearer.contains(&world.token("agent/clerk")));
    assert!(!received.headers.contains_key("cookie") && !received.headers.contains_key("x-forwarded-for"));
}

#[tokio::test]
async fn a_caller_hears_which_extensions_the_agent_used_and_nothing_of_its_other_headers() {
    let world = World::with(plan()).await;
    world.trainer.answers(|received| {
        let task = json!({"id": "t", "contextId": "c", "status": {"state": "TASK_STATE_WORKING"}});
        let older = json!({"kind": "task", "id": "t", "contextId": "c", "status": {"state": "working"}});
        let answer = match received.body.is_empty() || !received.json()["jsonrpc"].is_string() {
            true => json!({"task": task}),
            false => {
                let is_older = received.json()["method"] == "message/send";
                let result = if is_older { older } else { json!({"task": task}) };
                json!({"jsonrpc": "2.0", "id": received.json()["id"], "result": result})
            }
        };
        let says = http::Response::builder().header("content-type", "application/json");
        let says = says.header("a2a-extensions", "urn:test:a").header("a2a-extensions", "urn:test:b");
        let says = says.header("a2a-version", "1.0").header("set-cookie", "a=b").header("x-powered-by", "us");
        Answer::Raw(says.body(answer.to_string()).unwrap())
    });
    for wire in Wire::ALL {
        let caller = world.caller("agent/clerk", "alice", wire);
        let request = caller.request("SendMessage", &json!({"message": message("train")}));
        let reply =
            caller.hears("SendMessage", request.header("a2a-extensions", "urn:test:a,urn:test:b")).await;
        assert_eq!((reply.status, task_in(&reply).as_str()), (200, "t"), "{wire:?}");
        let used: Vec<&str> =
            reply.headers.get_all("a2a-extensions").iter().map(|uri| uri.to_str().unwrap()).collect();
        assert_eq!(
            (used, reply.header("a2a-version")),
            (vec!["urn:test:a", "urn:test:b"], Some("1.0")),
            "{wire:?}"
        );
        assert!(reply.header("set-cookie").is_none() && reply.header("x-powered-by").is_none(), "{wire:?}");
        let received = world.trainer.received().pop().unwrap();
        assert_eq!(received.headers["a2a-extensions"], "urn:test:a,urn:test:b");
    }
}

/// What an agent without push notifications is asked in vain: A2A's own error, whoever asks (A2A 1.0 §3.3.4).
#[tokio::test]
async fn push_notifications_are_not_supported_where_nobody_may_have_them() {
    for trainer in ["push: \"off\"", "push: relay"] {
        let world = World::with(Plan { trainer: Some(trainer), ..plan() }).await; // Of `push.allow` it says nothing.
        for wire in Wire::ALL {
            let (alice, bob) =
                (world.caller("agent/clerk", "alice", wire), world.caller("agent/clerk", "bob", wire));
            let task = task_in(&alice.send("train", &json!({})).await);
            let hook = json!({"url": "https://hook.example/"});
            let with =
                json!({"message": message("train"), "configuration": {"taskPushNotificationConfig": hook}});
            let mut asked = on_a_task(&task);
            asked.retain(|(operation, _)| operation.contains("Push"));
            asked.push(("SendMessage", with));
            assert_eq!(asked.len(), 5);
            let reached = world.trainer.received().len();
            for (operation, params) in &asked {
                let code = match wire {
                    Wire::Rest => 400,
                    Wire::Grpc => 9,
                    Wire::Rpc | Wire::Older | Wire::OlderRest => -32003,
                };
                for caller in [&alice, &bob] {
                    let refused = caller.call(operation, params).await;
                    assert_eq!(
                        (refused.code(), refused.refused_because().as_str()),
                        (code, "push_not_allowed"),
                        "{operation} {wire:?} {trainer}"
                    );
                    let record = world.records("request").pop().unwrap();
                    assert_eq!(record["reason"], "push_not_allowed");
                }
                let stranger = world.caller("agent/stranger", "alice", wire).call(operation, params).await;
                assert_eq!(
                    stranger.refused_because(),
                    "not_allowed",
                    "who may not call learns nothing of it"
                );
            }
            assert_eq!(world.trainer.received().len(), reached, "the agent hears nothing");
        }
    }
}

/// The trainer posts an entry with the credential that came with the message, and tells what came of it.
fn posts_an_entry(world: &World) {
    let own = world.agent("agent/trainer");
    world.trainer.answers(move |received| {
        let bearer =
            received.headers["authorization"].to_str().unwrap().trim_start_matches("Bearer ").to_owned();
        let (next, id) = (own.clone().with_token(&bearer), received.json()["id"].clone());
        let (answer, pieces) = mpsc::channel(1);
        tokio::spawn(async move {
            let reply = next.post_entry(5).await;
            let refused = reply.json().get("error").is_some();
            let said = if refused { reply.refused_because() } else { reply.result() };
            let message =
                json!({"messageId": "m", "contextId": "c", "role": "ROLE_AGENT", "parts": [{"text": said}]});
            let text = json!({"jsonrpc": "2.0", "id": id, "result": {"message": message}}).to_string();
            let _ = answer.send(Ok(&*Box::leak(text.into_boxed_str()))).await;
        });
        Answer::Pieces(pieces)
    });
}

fn claims(token: &str) -> Value {
    let part = token.trim_start_matches("Bearer ").split('.').nth(1).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

#[tokio::test]
async fn an_agent_calls_onward_with_the_credential_that_it_got_and_its_scopes_only_shrink() {
    let (clerk, trainer) = ("spiffe://bank.test/agent/clerk", "spiffe://bank.test/agent/trainer");
    let ledger = format!(
        "package tools.ledger.post_entry\n\nvisible := true\n\nallow if {{\n\tinput.caller.spiffe_id == \"{trainer}\"\n\t\
         input.subject.sub == \"alice\"\n\tinput.actors == [\"{clerk}\"]\n}}\n"
    );
    let plan = |scopes: &str| {
        let mut policy = policies::trainer_with(&format!("obligations := {{\"scopes\": [{scopes}]}}"));
        policy.push(("tools/ledger/post_entry.rego", ledger.clone()));
        Plan { policy, ..plan() }
    };
    let world = World::with(plan("\"trainer:SendMessage\", \"ledger:post_entry\"")).await;
    posts_an_entry(&world);
    let said = world.caller("agent/clerk", "alice", Wire::Rpc).send("train", &json!({})).await;
    assert!(said.text.contains("posted"), "{said:?}");
    let shown = |received: &Received| claims(received.headers["authorization"].to_str().unwrap());
    let (first, second) = (shown(&world.trainer.received()[0]), shown(&world.ledger.received()[0]));
    for (credential, audience, scope, act) in [
        (&first, trainer, "ledger:post_entry trainer:SendMessage", json!({"sub": clerk})),
        (
            &second,
            "spiffe://bank.test/mcp/ledger",
            "ledger:post_entry",
            json!({"sub": trainer, "act": {"sub": clerk}}),
        ),
    ] {
        assert_eq!((&credential["sub"], &credential["aud"]), (&json!("alice"), &json!(audience)));
        assert_eq!((&credential["scope"], &credential["act"]), (&json!(scope), &act));
    }
    let narrow = World::with(plan("\"trainer:SendMessage\"")).await;
    posts_an_entry(&narrow);
    let said = narrow.caller("agent/clerk", "alice", Wire::Rpc).send("train", &json!({})).await;
    assert!(said.text.contains("scope_refused"), "{said:?}");
    assert!(narrow.ledger.received().is_empty());
}

/// Numbers that look random and are the same in every run (xorshift64).
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % end as u64) as usize
    }
}
