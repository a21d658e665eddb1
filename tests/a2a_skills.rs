//! Rules about an agent's skills: what its card says that it can do, and which of that a caller names, where the configuration
//! says how.

use serde_json::{Value, json};
use world::a2a::{Wire, message};
use world::{Plan, World, policies};

/// Denies whatever doesn't match the schema of inputs. A second is enough, wherever the tests run.
const GUARD: &str = "package guard

deny contains \"off_schema\" if not json.match_schema(input, data.input_schema)[0]
";

fn plan(rule: &str, trainer: &str) -> Plan {
    let rule = format!("package agents.trainer\n\nvisible := true\n\n{rule}\n");
    let schema = json!({ "input_schema": policy::input_schema() }).to_string();
    let policy = vec![
        ("protocol.rego", policies::protocol()),
        ("agents/trainer.rego", rule),
        ("guard/schema.rego", GUARD.to_owned()),
        ("data.json", schema),
    ];
    let trainer = Some(&*Box::leak(format!("push: direct\n    {trainer}").into_boxed_str()));
    Plan { policy, trainer, policy_options: ", budget: 1s", ..Plan::default() }
}

fn card(skills: Value) -> Value {
    json!({
        "name": "trainer", "description": "Trains models.", "version": "1.0.0", "skills": skills,
        "supportedInterfaces": [
            {"url": "https://trainer.internal/a2a", "protocolBinding": "JSONRPC", "protocolVersion": "1.0"},
        ],
        "capabilities": {}, "defaultInputModes": ["text/plain"], "defaultOutputModes": ["text/plain"],
    })
}

/// Has the trainer show a card, and waits until it is in use.
async fn shows(world: &World, card: Value) {
    let known = world.gateway.card("trainer");
    world.trainer.shows(Some(card));
    world.gateway.reloads().wait_for(|_| world.gateway.card("trainer") != known).await.unwrap();
}

/// What becomes of a message over a binding: the reason of its refusal, or nothing.
async fn refused(world: &World, wire: Wire, params: &Value) -> Option<String> {
    let reached = world.trainer.received().len();
    let reply = world.caller("agent/clerk", "alice", wire).call("SendMessage", params).await;
    let is_refused = reply.status != 200 || reply.json().get("error").is_some();
    let heard = world.trainer.received().len() - reached;
    assert_eq!(heard, usize::from(!is_refused), "{wire:?} {reply:?}");
    is_refused.then(|| {
        let reason = reply.refused_because();
        assert_eq!(world.records("request").pop().unwrap()["reason"], json!(reason));
        reason
    })
}

#[tokio::test]
async fn a_rule_sees_what_the_agents_card_says_it_can_do() {
    let rule = "allow if {\n\tsome skill in input.call.card.skills\n\tskill.id == \"fit\"\n\t\"gpu\" in skill.tags\n}";
    let world = World::with(plan(rule, "card: {refresh: 100ms}")).await;
    let says = json!({"message": message("train")});
    let skill =
        |id: &str, tags: Value| json!({"id": id, "name": "Fit", "description": "Fits.", "tags": tags});
    world.trainer.card_was_read().await;
    for wire in Wire::ALL {
        assert_eq!(refused(&world, wire, &says).await.as_deref(), Some("not_allowed"), "there is no card");
    }
    let other = skill("plot", json!(["gpu"]));
    shows(&world, card(json!([other, skill("fit", json!(["ml", "gpu"]))]))).await;
    for wire in Wire::ALL {
        assert_eq!(refused(&world, wire, &says).await, None, "{wire:?}");
    }
    shows(&world, card(json!([other, skill("fit", json!(["ml", "cpu"]))]))).await;
    for wire in Wire::ALL {
        assert_eq!(refused(&world, wire, &says).await.as_deref(), Some("not_allowed"), "{wire:?}");
    }
    shows(&world, json!({"name": 7})).await;
    assert_eq!(
        refused(&world, Wire::Rpc, &says).await.as_deref(),
        Some("not_allowed"),
        "a card that is refused is none"
    );
}

/// The clerk may have the trainer do anything but delete, if it says what.
const NAMED: &str = "allow if input.call.skill == \"train\"";

#[tokio::test]
async fn a_skill_is_what_the_message_says_for_the_extension_that_the_configuration_names() {
    let world = World::with(plan(NAMED, "skill: {extension: \"https://e.example/skill/v1\"}")).await;
    let (uri, below) = ("https://e.example/skill/v1", "https://e.example/skill/v1/skill");
    for wire in Wire::ALL {
        for (metadata, reason) in [
            (json!({uri: "train"}), None),
            (json!({uri: {"skill": "train", "level": 7}}), None),
            (json!({below: "train"}), None),
            (json!({below: "train", uri: {"skill": "train"}}), None),
            (json!({uri: "delete"}), Some("not_allowed")),
            (json!({uri: {"skill": "delete"}}), Some("not_allowed")),
            (json!({below: "train", uri: {"skill": "delete"}}), Some("not_allowed")),
            (json!({"skill": "train"}), Some("not_allowed")),
            (json!({"https://e.example/skill/v2": "train"}), Some("not_allowed")),
            (json!({uri: ["train"]}), Some("not_allowed")),
        ] {
            let mut message = message("x");
            message["metadata"] = metadata.clone();
            let heard = refused(&world, wire, &json!({ "message": message })).await;
            assert_eq!(heard.as_deref(), reason, "{wire:?} {metadata}");
        }
    }
}

#[tokio::test]
async fn a_skill_is_that_of_the_interface_which_its_tenant_tells() {
    let by_tenant = World::with(plan(NAMED, "skill: {interfaces: {fast: train, slow: delete}}")).await;
    let by_url = World::with(plan(NAMED, "skill: {interfaces: {\"\": train}}")).await;
    let says = |tenant: &str| json!({"message": message("x"), "tenant": tenant});
    let untold = json!({"message": message("x")});
    let denied = Some("not_allowed".to_owned());
    for wire in [Wire::Rpc, Wire::Rest, Wire::Grpc] {
        assert_eq!(refused(&by_tenant, wire, &says("fast")).await, None, "{wire:?}");
        assert_eq!(refused(&by_tenant, wire, &says("slow")).await, denied);
        assert_eq!(refused(&by_tenant, wire, &says("other")).await, denied, "it names no skill");
        assert_eq!(refused(&by_url, wire, &says("fast")).await, denied);
    }
    for wire in Wire::ALL {
        assert_eq!(refused(&by_tenant, wire, &untold).await, denied);
        assert_eq!(refused(&by_url, wire, &untold).await, None, "{wire:?}");
    }
}

#[tokio::test]
async fn how_callers_name_a_skill_is_said_in_one_way() {
    let world = World::with(plan(NAMED, "skill: skill_id")).await;
    let written = std::fs::read_to_string(world.path("sallyport.yaml")).unwrap();
    let path = world.path("other.yaml");
    for (skill, wrong) in [
        ("skill_id", false),
        ("{extension: \"https://e.example/skill\"}", false),
        ("{interfaces: {fast: train, \"\": plan}}", false),
        ("\"\"", true),
        ("{}", true),
        ("{extension: \"\"}", true),
        ("{interfaces: {}}", true),
        ("{interfaces: {fast: \"\"}}", true),
        ("{extension: \"https://e.example/skill\", interfaces: {fast: train}}", true),
    ] {
        let text = written.replace("skill: skill_id", &format!("skill: {skill}"));
        std::fs::write(&path, text.replace("limits: {}", "limits: {tasks_asked_max: 0}")).unwrap();
        let found = gateway::config::load(&path).err().unwrap_or_default();
        let paths: Vec<&str> = found.iter().map(|problem| problem.path.as_str()).collect();
        let all = ["agents.trainer.skill", "limits.tasks_asked_max"];
        assert_eq!(paths.len(), 1 + usize::from(wrong), "{skill}: {found:?}");
        assert!(paths.iter().all(|path| all.contains(path)), "{skill}: {found:?}");
    }
}
