//! Calls to agents through the official A2A SDKs on both sides: real agents behind the gateway, real clients in front of it.
//! Each allowed call has a twin, one word away, of which the agent hears nothing.

use reqwest::Method;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use world::agent::send;
use world::sdks::{Client, Heard, Sdk, Tongue};
use world::webhook::Webhook;
use world::{HOST, Plan, World, components, policies};

const HOOK: &str = "https://hook.example/";

fn plan(agent: &Sdk) -> Plan {
    Plan {
        policy: policies::trainer(),
        trainer: Some("push: direct"),
        sdk: Some(agent.clone()),
        ..Plan::default()
    }
}

/// How many requests the agent got.
fn reached(world: &World) -> usize {
    world.sdk_agent.as_ref().unwrap().received().len()
}

/// Where an SDK's error tells the program why: in its data or its text, or by the HTTP status alone.
fn told(error: &Value, reason: &str) -> Option<&'static str> {
    let data = [&error["data"], &error["metadata"]].into_iter().any(|data| data.to_string().contains(reason));
    let text = error["message"].as_str().unwrap();
    match () {
        () if data => Some("data"),
        () if text.contains(reason) => Some("text"),
        () if text.contains("401") => Some("status"),
        () => None,
    }
}

/// One workload's calls, and what became of those that were refused.
struct Caller<'a> {
    world: &'a World,
    client: Client,
}

impl<'a> Caller<'a> {
    fn new(world: &'a World, sdk: &Sdk, tongue: Tongue, workload: &str, person: &'static str) -> Self {
        Self { world, client: world.client(sdk, tongue, workload, person) }
    }

    fn does(&mut self, words: &[&str]) -> Heard {
        let heard = self.client.does(words);
        assert!(heard.ok, "{words:?}: {heard:?}");
        heard
    }

    fn is_refused(&mut self, words: &[&str], reason: &'static str) {
        let before = reached(self.world);
        let heard = self.client.does(words);
        let error = heard.error();
        assert!(told(error, reason).is_some(), "{words:?}: {error}");
        if reason == "task_not_found" {
            assert_eq!(error["type"], "TaskNotFoundError", "{words:?}: {error}");
        }
        assert_eq!(reached(self.world), before, "the agent hears nothing of {words:?}");
    }
}

/// The texts of a stream's artifacts, in its order.
fn texts(heard: &Heard) -> Vec<&str> {
    let artifacts = heard.events.iter().filter(|event| event["event"] == "artifactUpdate");
    artifacts.map(|event| event["value"]["artifact"]["parts"][0]["text"].as_str().unwrap()).collect()
}

/// The state of the task that was heard of last.
fn state(heard: &Heard) -> &str {
    heard.events.last().unwrap()["value"]["status"]["state"].as_str().unwrap()
}

async fn tells_the_story(agent: Option<Sdk>, client: Option<Sdk>) {
    let (Some(agent), Some(client)) = (agent, client) else { return };
    let world = World::with(plan(&agent)).await;
    for tongue in Tongue::ALL {
        let caller = |workload, person| Caller::new(&world, &client, tongue, workload, person);
        let (mut alice, mut bob) = (caller("agent/clerk", "alice"), caller("agent/clerk", "bob"));
        let mut stranger = caller("agent/stranger", "alice");

        assert_eq!(state(&alice.does(&["send", "echo keep it"])), "TASK_STATE_COMPLETED");
        alice.is_refused(&["send", "echo delete it"], "delete");
        stranger.is_refused(&["send", "echo keep it"], "not_allowed");

        let stream = alice.does(&["stream", "chunks 5 keep"]);
        assert_eq!(texts(&stream), ["0 keep", "1 keep", "2 keep", "3 keep", "4 keep"], "{tongue:?}");
        assert_eq!(state(&stream), "TASK_STATE_COMPLETED");
        alice.is_refused(&["stream", "chunks 5 delete"], "delete");

        let task = alice.does(&["send", "hold on", "--return-immediately"]).task();
        for (other, hears) in [(&mut bob, "task_not_found"), (&mut stranger, "not_allowed")] {
            other.is_refused(&["get", &task], hears);
            other.is_refused(&["cancel", &task], hears);
            other.is_refused(&["subscribe", &task], hears);
            other.is_refused(&["push-set", &task, HOOK], hears);
            other.is_refused(&["send", "echo keep it", "--task", &task], hears);
        }
        alice.is_refused(&["get", "never-was"], "task_not_found");
        assert_eq!(alice.does(&["get", &task]).task(), task);
        if tongue.version == "1.0" {
            let list = alice.does(&["list"]).events.remove(0);
            let listed: Vec<&Value> = list["value"]["tasks"].as_array().unwrap().iter().collect();
            assert!(listed.iter().any(|listed| listed["id"] == task.as_str()), "{list}");
            assert!(
                bob.does(&["list"]).events[0]["value"].get("tasks").is_none_or(|tasks| *tasks == json!([]))
            );
            stranger.is_refused(&["list"], "not_allowed");
        }
        // Over 0.3's HTTP+JSON the two SDKs do not understand each other here, with or without a gateway.
        if tongue != (Tongue { binding: "rest", version: "0.3" }) || agent.name == client.name {
            let set = alice.does(&["push-set", &task, HOOK]).events.remove(0);
            assert_eq!(set["value"]["url"], HOOK, "{set}");
        }
        let first = alice.does(&["subscribe", &task, "--stop-after", "1"]);
        assert_eq!(first.events[0]["value"]["id"], task.as_str(), "{first:?}");
        assert_eq!(state(&alice.does(&["cancel", &task])), "TASK_STATE_CANCELED");
    }
    let received = world.sdk_agent.as_ref().unwrap().received();
    assert!(received.iter().all(|request| request["refused"].is_null()), "each came with a credential");
    let mut kept: BTreeMap<String, usize> = BTreeMap::new();
    for record in world.records("request").iter().filter(|record| record["reason"].is_string()) {
        *kept.entry(record["reason"].as_str().unwrap().to_owned()).or_default() += 1;
    }
    let wanted = [("delete", 5 * 2), ("not_allowed", 5 * 6 + 3), ("task_not_found", 5 * 6)];
    assert_eq!(kept, BTreeMap::from(wanted.map(|(reason, count)| (reason.to_owned(), count))));
}

#[tokio::test(flavor = "multi_thread")] // Processes ask what this one serves; so in all of these.
async fn an_agent_in_python_is_called_from_python() {
    tells_the_story(Sdk::python(), Sdk::python()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_in_python_is_called_from_javascript() {
    tells_the_story(Sdk::python(), Sdk::javascript()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_in_javascript_is_called_from_python() {
    tells_the_story(Sdk::javascript(), Sdk::python()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_in_javascript_is_called_from_javascript() {
    tells_the_story(Sdk::javascript(), Sdk::javascript()).await;
}

/// An SDK's own sender posts a task's events, and the receiver that the caller named verifies each of them with PyJWT.
async fn events_arrive(agent: Option<Sdk>) {
    let (Some(agent), Some(python)) = (agent, Sdk::python()) else { return };
    let hook = Webhook::start().await;
    let (allow, ca) = (hook.url("/hooks"), hook.authorities().display().to_string());
    let push =
        format!("{{allow: [\"{allow}\"], private_addresses: [127.0.0.1], ca_file: {ca}, back_off: 10ms}}");
    let world = World::with(Plan { trainer: Some(""), push, ..plan(&agent) }).await;
    let served = send(world.agent("agent/clerk").request(Method::GET, "/a2a/jwks.json")).await.json();
    for tongue in Tongue::ALL {
        let mut alice = Caller::new(&world, &python, tongue, "agent/clerk", "alice");
        let target = hook.url(&format!("/hooks/{}-{}", tongue.binding, tongue.version));
        let before = hook.received().len();
        alice.is_refused(&["send", "echo keep it", "--push", &hook.url("/other")], "push_target_not_allowed");
        let task = alice.does(&["send", "echo keep it", "--push", &target]).task();
        let mut received = hook.has_received(before + 1).await;
        while !String::from_utf8_lossy(&received.last().unwrap().body).to_lowercase().contains("completed") {
            received = hook.has_received(received.len() + 1).await;
        }
        for one in &received[before..] {
            assert_eq!(one.headers["x-a2a-notification-token"], "opaque", "{} {tongue:?}", agent.name);
            let token = one.headers["authorization"].to_str().unwrap().trim_start_matches("Bearer ");
            let body = String::from_utf8(one.body.to_vec()).unwrap();
            let mut came = json!({"jwks": served, "issuer": world.url, "audience": target, "token": token, "body": body});
            let verified = python.verifies(&came);
            assert_eq!(
                (&verified["ok"], &verified["claims"]["taskId"]),
                (&json!(true), &json!(task)),
                "{verified}"
            );
            came["body"] = format!("{body} ").into();
            assert_eq!(python.verifies(&came)["ok"], false, "the twin: a byte more");
        }
        let held = alice.does(&["send", "hold on", "--return-immediately"]).task();
        alice.is_refused(&["push-set", &held, &hook.url("/other")], "push_target_not_allowed");
        if tongue != (Tongue { binding: "rest", version: "0.3" }) || agent.name == python.name {
            let set = alice.does(&["push-set", &held, &target]).events.remove(0);
            assert_eq!(set["value"]["url"], target, "{set}");
            assert_eq!(set["value"]["authentication"]["credentials"], "secret", "{set}");
        }
    }
    assert!(hook.received().iter().all(|one| one.path.starts_with("/hooks/")));
    let given = world.sdk_agent.as_ref().unwrap().received();
    let text = given.iter().map(Value::to_string).collect::<String>();
    assert!(!text.contains("opaque") && !text.contains("/hooks/"), "the agent never learns where");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_events_of_an_agent_in_python_arrive_signed_where_they_may_go() {
    events_arrive(Sdk::python()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_events_of_an_agent_in_javascript_arrive_signed_where_they_may_go() {
    events_arrive(Sdk::javascript()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_sees_that_the_caller_of_a_stream_has_gone() {
    let Some(sdks) = Sdk::all() else { return };
    for agent in &sdks {
        let mut world = World::with(plan(agent)).await;
        for (client, tongue) in sdks.iter().flat_map(|client| Tongue::ALL.map(|tongue| (client, tongue))) {
            let mut alice = world.client(client, tongue, "agent/clerk", "alice");
            let heard = alice.does(&["stream", "pace 1000 20 x", "--stop-after", "4"]);
            let last = heard.events.last().map(|event| event["event"].clone());
            assert_eq!(last, Some("hung-up".into()), "{} {tongue:?}: {heard:?}", client.name);
            world.sdk_agent.as_mut().unwrap().sees_a_caller_go();
            let record = world.records("request").pop().unwrap();
            assert_eq!(record["outcome"], "caller_gone", "{} {tongue:?} {record}", client.name);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_caller_of_a_stream_hears_an_error_when_the_agent_stops() {
    let Some(sdks) = Sdk::all() else { return };
    for agent in &sdks {
        let mut world = World::with(plan(agent)).await;
        let all = sdks.iter().flat_map(|client| Tongue::ALL.map(|tongue| (client, tongue)));
        let mut streams: Vec<(&str, Tongue, Client)> = all
            .map(|(sdk, tongue)| (sdk.name, tongue, world.client(sdk, tongue, "agent/clerk", "alice")))
            .collect();
        for (.., client) in &mut streams {
            client.begins(&["stream", "pace 1000 20 x"]);
            assert_ne!(client.hears()["event"], "error");
        }
        world.sdk_agent.as_mut().unwrap().kill();
        for (name, tongue, client) in &mut streams {
            let last = client.hears_to_the_end();
            let error = last.error();
            assert!(!error["message"].as_str().unwrap().is_empty(), "{name} {tongue:?} {error}");
        }
        let records = world.records("request");
        assert_eq!(records.len(), streams.len());
        assert!(records.iter().all(|record| record["outcome"] == "answer_broken"), "{records:#?}");
    }
}

/// What each SDK makes of a refusal, as the table in docs/refusals.md has it.
#[tokio::test(flavor = "multi_thread")]
async fn the_documents_say_what_the_sdks_make_of_a_refusal() {
    let Some(sdks) = Sdk::all() else { return };
    let mut world = World::with(plan(&sdks[0])).await;
    let mut cells: BTreeMap<(usize, usize), Vec<String>> = BTreeMap::new();
    let rows = ["delete", "task_not_found", "context_not_found", "token_required", "upstream_failed"];
    for (row, reason) in rows.into_iter().enumerate() {
        if reason == "upstream_failed" {
            world.sdk_agent.as_mut().unwrap().kill();
        }
        for (column, tongue) in Tongue::ALL.into_iter().enumerate() {
            for sdk in &sdks {
                let mut client = match reason {
                    "token_required" => Client::start(&world, sdk, tongue, "agent/clerk", None),
                    _ => world.client(sdk, tongue, "agent/clerk", "alice"),
                };
                let heard = client.does(match reason {
                    "delete" => &["send", "delete it"],
                    "task_not_found" => &["get", "never-was"],
                    "context_not_found" => &["send", "keep it", "--context", "made-up"],
                    _ => &["send", "keep it"],
                });
                let error = heard.error();
                let place = told(error, reason).unwrap_or_else(|| panic!("{} loses it: {error}", sdk.name));
                let kind = error["type"].as_str().unwrap();
                cells.entry((row, column)).or_default().push(format!("`{kind}`, {place}"));
            }
        }
    }
    let lines = cells.iter().map(|((row, column), cells)| {
        let Tongue { binding, version } = Tongue::ALL[*column];
        let binding = match binding {
            "rest" => "HTTP+JSON",
            "grpc" => "gRPC",
            _ => "JSON-RPC",
        };
        format!("| `{}` | {binding} | {version} | {} |", rows[*row], cells.join(" | "))
    });
    let table = lines.collect::<Vec<_>>().join("\n");
    let document = std::fs::read_to_string(components::root().join("docs/refusals.md")).unwrap();
    assert!(document.contains(&table), "docs/refusals.md should have:\n{table}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_of_googles_adk_calls_another_through_the_gateway() {
    let Some(sdks) = Sdk::all() else { return };
    for agent in &sdks {
        let world = World::with(plan(agent)).await;
        let card = json!({
            "name": "trainer", "description": "Trains.", "version": "1.0.0",
            "supportedInterfaces": [{"url": format!("{}/a2a/trainer", world.url), "protocolBinding": "JSONRPC", "protocolVersion": "1.0"}],
            "capabilities": {"streaming": true}, "defaultInputModes": ["text/plain"], "defaultOutputModes": ["text/plain"],
            "skills": [{"id": "echo", "name": "Echo", "description": "Says what it is told.", "tags": ["demo"]}],
        });
        let file = world.path("card.json");
        std::fs::write(&file, card.to_string()).unwrap();
        let said = world.adk(&sdks[0], &file, "agent/clerk", &["echo keep it"]);
        assert_eq!(said.last().unwrap(), &json!({"event": "end", "ok": true}), "{said:#?}");
        assert!(said.iter().any(|line| line["text"] == "keep it"), "{said:#?}");
        let before = reached(&world);
        let denied = world.adk(&sdks[0], &file, "agent/clerk", &["echo delete it"]);
        assert_eq!(denied.last().unwrap(), &json!({"event": "end", "ok": false}));
        assert!(denied[0]["error"].as_str().unwrap().contains("denied: delete"), "{denied:#?}");
        assert_eq!(reached(&world), before);
        let record = world.records("request").pop().unwrap();
        assert_eq!((&record["decision"], &record["reason"]), (&json!("denial"), &json!("delete")));
    }
}

/// The host is what the SDK asks for, and what it looks for in the gateway's certificate; the tenant is the agent's own then.
#[tokio::test(flavor = "multi_thread")]
async fn an_agent_is_called_at_its_host_from_python() {
    let (Some(agent), Some(python)) = (Sdk::python(), Sdk::python()) else { return };
    let world = World::with(Plan { trainer: Some("host: trainer.gateway.test"), ..plan(&agent) }).await;
    assert!(std::fs::read_to_string(world.path("sallyport.yaml")).unwrap().contains(HOST));
    for tenant in ["", "coach"] {
        let mut alice = Client::at_the_host(&world, &python, "agent/clerk", tenant);
        let task = alice.does(&["send", "echo keep it"]).task();
        assert_eq!(alice.does(&["get", &task]).task(), task);
        let reached = reached(&world);
        let denied = alice.does(&["send", "echo delete it"]);
        assert_eq!(told(denied.error(), "delete"), Some("text"));
        let mut stranger = Client::at_the_host(&world, &python, "agent/stranger", tenant);
        assert!(told(stranger.does(&["get", &task]).error(), "not_allowed").is_some());
        assert_eq!(self::reached(&world), reached, "the agent hears nothing of them");
    }
    let received = world.sdk_agent.as_ref().unwrap().received();
    let tenants: Vec<&Value> = received.iter().map(|request| &request["ids"]["tenant"]).collect();
    assert_eq!(tenants, [&Value::Null, &Value::Null, &json!("coach"), &json!("coach")], "{received:#?}");
    let records = world.records("request");
    assert!(records.iter().all(|record| record["server"] == "trainer"), "{records:#?}");
    let reasons: Vec<&str> = records.iter().filter_map(|record| record["reason"].as_str()).collect();
    assert_eq!(reasons, ["delete", "not_allowed"].repeat(2));
}
