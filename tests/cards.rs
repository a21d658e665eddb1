//! An agent's card is what it says of itself. The gateway believes what somebody vouches for, leads every caller to itself,
//! shows it to whom policy shows the agent, and calls no agent that is not what it was pinned to be.

use reqwest::Method;
use serde_json::{Value, json};
use tokens::{Keys, SigningKey};
use world::a2a::{Wire, message, task_in};
use world::agent::send;
use world::sdks::{Sdk, signing_jwk};
use world::{Answer, Plan, Reply, World, policies};

const CARD: &str = "/a2a/trainer/.well-known/agent-card.json";

/// The clerk sees the trainer and may call it, and of its skills sees what is not the private one.
fn plan(more: &str) -> Plan {
    let text = "package agents.trainer

visible if {
	input.caller.path[1] == \"clerk\"
	input.call.skill in {null, \"echo\"}
}

allow if input.caller.path[1] == \"clerk\"
";
    let more = format!("push: direct\n    {more}");
    Plan {
        policy: vec![("protocol.rego", policies::protocol()), ("agents/trainer.rego", text.into())],
        trainer: Some(Box::leak(more.into_boxed_str())),
        ..Plan::default()
    }
}

/// A card as an agent writes it, with more in it than anybody should pass on.
fn card() -> Value {
    json!({
        "name": "trainer", "description": "Trains models.", "version": "1.0.0", "x-internal": "https://10.0.0.7/",
        "supportedInterfaces": [
            {"url": "https://trainer.internal/a2a", "protocolBinding": "JSONRPC", "protocolVersion": "1.0"},
            {"url": "https://trainer.internal/rest", "protocolBinding": "HTTP+JSON", "protocolVersion": "1.0"},
            {"url": "https://trainer.internal:50051", "protocolBinding": "GRPC", "protocolVersion": "1.0"},
            {"url": "https://trainer.internal/a2a", "protocolBinding": "JSONRPC", "protocolVersion": "0.3"},
        ],
        "url": "https://trainer.internal/a2a", "preferredTransport": "JSONRPC", "protocolVersion": "0.3.0",
        "capabilities": {"streaming": true, "extendedAgentCard": true},
        "securitySchemes": {"idp": {"oauth2SecurityScheme": {"oauth2MetadataUrl": "https://idp.internal/"}}},
        "securityRequirements": [{"schemes": {"idp": {"list": ["train"]}}}],
        "defaultInputModes": ["text/plain"], "defaultOutputModes": ["text/plain"],
        "skills": [
            {"id": "echo", "name": "Echo", "description": "Says it again.", "tags": ["demo"]},
            {"id": "hold", "name": "Hold", "description": "Holds.", "tags": ["private"]},
        ],
    })
}

/// The same card, signed.
fn signed(mut card: Value, key: &SigningKey, jku: &str) -> Value {
    let payload = protocol::a2a::card::Card::read(&card).unwrap().canonical().unwrap();
    let (protected, signature) = key.sign_detached(jku, &payload).unwrap();
    card["signatures"] = json!([{"protected": protected, "signature": signature}]);
    card
}

/// Waits until what is known of the trainer's card is as it should be.
async fn until(world: &World, what: impl Fn(Option<&str>) -> bool) {
    let mut changes = world.gateway.reloads();
    changes.wait_for(|_| what(world.gateway.card("trainer").as_deref())).await.unwrap();
}

fn is_good(standing: Option<&str>) -> bool {
    standing.is_some_and(|standing| standing.starts_with("sha256:"))
}

async fn get(world: &World, workload: &str, path: &str) -> Reply {
    send(world.agent(workload).request(Method::GET, path)).await
}

/// Whether the gateway's own key vouches for a card.
async fn vouched_for(world: &World, card: &Value) -> bool {
    let keys = get(world, "agent/clerk", "/a2a/jwks.json").await;
    let keys = Keys::from_jwks(keys.text.as_bytes()).unwrap();
    let card = protocol::a2a::card::Card::read(card).unwrap();
    let [signature] = card.signatures() else { panic!("{card:?}") };
    let header = signature.header().unwrap();
    assert_eq!(header.jku, Some(format!("{}/a2a/jwks.json", world.url)));
    tokens::jws::signed_document(&signature.compact(&card.canonical().unwrap()), &keys).is_ok()
}

fn only_through_the_gateway(world: &World, card: &Value) {
    let text = card.to_string();
    for secret in ["internal", "idp", "50051"] {
        assert!(!text.contains(secret), "{secret}: {text}");
    }
    for interface in card["supportedInterfaces"].as_array().unwrap() {
        let (path, tenant) = if interface["protocolBinding"] == "GRPC" {
            ("", json!("trainer")) // Its paths are fixed, so that the tenant names the agent.
        } else {
            ("/a2a/trainer", Value::Null)
        };
        assert_eq!(
            (&interface["url"], &interface["tenant"]),
            (&json!(format!("{}{path}", world.url)), &tenant)
        );
    }
}

#[tokio::test]
async fn a_card_leads_to_the_gateway_and_the_gateway_vouches_for_it() {
    let world = World::with(plan("card: {refresh: 100ms}")).await;
    world.trainer.shows(Some(signed(
        card(),
        &SigningKey::generate().unwrap(),
        "https://trainer.internal/keys",
    )));
    until(&world, is_good).await;
    let reply = get(&world, "agent/clerk", CARD).await;
    assert_eq!((reply.status, reply.header("content-type")), (200, Some("application/json")));
    let shown = reply.json();
    only_through_the_gateway(&world, &shown);
    let spoken: Vec<_> = shown["supportedInterfaces"].as_array().unwrap().iter().collect();
    let spoken: Vec<_> =
        spoken.iter().map(|one| (&one["protocolBinding"], &one["protocolVersion"])).collect();
    assert_eq!(
        json!(spoken),
        json!([["JSONRPC", "1.0"], ["HTTP+JSON", "1.0"], ["GRPC", "1.0"], ["JSONRPC", "0.3"]])
    );
    let older = [&shown["url"], &shown["preferredTransport"], &shown["protocolVersion"]];
    assert_eq!(json!(older), json!([format!("{}/a2a/trainer", world.url), "JSONRPC", "0.3.0"]));
    assert_eq!(shown["skills"].as_array().unwrap().len(), 2, "a public card has them all");
    assert!(vouched_for(&world, &shown).await);
    let mut changed = shown.clone();
    changed["description"] = "Trains model5.".into();
    assert!(!vouched_for(&world, &changed).await, "one byte is another");
    let record = world.records("request").into_iter().find(|record| record["path"] == CARD).unwrap();
    assert_eq!((&record["method"], &record["server"]), (&json!("GetAgentCard"), &json!("trainer")));
    assert!(world.trainer.received().is_empty(), "the agent is asked for its card by the gateway alone");
}

#[tokio::test]
async fn a_card_is_there_for_whom_policy_shows_the_agent_and_for_nobody_else() {
    let world = World::with(plan("card: {refresh: 100ms}")).await;
    world.trainer.shows(Some(card()));
    until(&world, is_good).await;
    let clerk = send(world.clerk().request(Method::GET, CARD)).await;
    assert_eq!(clerk.status, 200, "with a token as without");
    let spoiled = world.agent("agent/clerk").with_token("none");
    assert_eq!(send(spoiled.request(Method::GET, CARD)).await.status, 401, "but not with a bad one");
    let stranger = get(&world, "agent/stranger", CARD).await;
    let nobody = get(&world, "agent/clerk", &CARD.replace("trainer", "nobody")).await;
    assert_eq!((stranger.status, stranger.refused_because()), (404, "not_found".into()));
    assert_eq!((stranger.status, &stranger.text), (nobody.status, &nobody.text));
    let causes: Vec<Value> = world.records("request").iter().map(|record| record["cause"].clone()).collect();
    assert!(causes.iter().any(|cause| cause.to_string().contains("does not show the agent")), "{causes:?}");
}

#[tokio::test]
async fn a_card_that_a_caller_has_is_not_sent_again_until_it_is_another() {
    let world = World::with(plan("card: {refresh: 100ms}")).await;
    world.trainer.shows(Some(card()));
    until(&world, is_good).await;
    let first = get(&world, "agent/clerk", CARD).await;
    let etag = first.header("etag").unwrap().to_owned();
    assert!(first.header("cache-control").unwrap().starts_with("private"));
    let again = |etag: String| {
        send(world.agent("agent/clerk").request(Method::GET, CARD).header("if-none-match", etag))
    };
    let known = again(format!("\"other\", W/{etag}")).await;
    assert_eq!((known.status, known.text.as_str(), known.header("etag")), (304, "", Some(etag.as_str())));
    assert_eq!(again("\"other\"".into()).await.status, 200);
    let known = world.gateway.card("trainer");
    let mut other = card();
    other["description"] = "Trains models well.".into();
    world.trainer.shows(Some(other));
    until(&world, |standing| standing != known.as_deref()).await;
    assert_eq!(again(etag).await.status, 200);
    let changed = world.records("card_changed");
    let cause = format!("{} to {}", known.unwrap(), world.gateway.card("trainer").unwrap());
    assert_eq!((&changed[0]["cause"], &changed[0]["server"]), (&json!(cause), &json!("trainer")));
}

#[tokio::test]
async fn a_card_for_which_nobody_vouches_is_not_served() {
    let folder = tempfile::tempdir().unwrap();
    let key = SigningKey::generate().unwrap();
    let file = folder.path().join("keys.json");
    std::fs::write(&file, SigningKey::jwks([&key]).to_string()).unwrap();
    let more = format!("card: {{refresh: 100ms, keys: {{file: \"{}\", refresh: 1s}}}}", file.display());
    let world = World::with(plan(&more)).await;
    let other = SigningKey::generate().unwrap();
    let mut changed = signed(card(), &key, "https://keys.test/");
    changed["description"] = "Trains model5.".into();
    for (bad, why) in [
        (card(), "the card is not signed"),
        (signed(card(), &other, "https://keys.test/"), "no key"),
        (changed, "signature"),
    ] {
        world.trainer.shows(Some(signed(card(), &key, "https://keys.test/")));
        until(&world, is_good).await;
        assert_eq!(get(&world, "agent/clerk", CARD).await.status, 200);
        world.trainer.shows(Some(bad));
        until(&world, |standing| standing == Some("refused")).await;
        assert_eq!(get(&world, "agent/clerk", CARD).await.refused_because(), "not_found");
        let refused = world.records("card_refused").pop().unwrap();
        assert!(refused["cause"].as_str().unwrap().contains(why), "{refused}");
    }
    let (_, metrics) = world.probe().get("/metrics").await;
    assert!(metrics.contains("sallyport_reloads_total{kind=\"card\",outcome=\"refused\"} 3"), "{metrics}");
    let called = world.caller("agent/clerk", "alice", Wire::Rpc).send("train", &json!({})).await;
    assert_eq!(called.status, 200, "nothing was pinned, so the agent is called");
}

#[tokio::test]
async fn a_jku_is_followed_where_the_configuration_has_it_and_nowhere_else() {
    let server = "server: {spiffe_id: \"spiffe://bank.test/mcp/ledger\"}, refresh: 1s";
    let more = format!("card: {{refresh: 100ms, jku: [{{url: \"https://LEDGER/keys\", {server}}}]}}");
    let world = World::with(plan(&more)).await;
    let key = SigningKey::generate().unwrap();
    let published = SigningKey::jwks([&key]);
    world.ledger.answers(move |_| Answer::Json(published.clone()));
    let at = |path: &str| format!("https://{}/{path}", world.ledger.address);
    world.trainer.shows(Some(signed(card(), &key, &at("other"))));
    until(&world, |standing| standing == Some("refused")).await;
    assert!(world.ledger.received().is_empty(), "what a card names is not asked");
    world.trainer.shows(Some(signed(card(), &key, &at("keys"))));
    until(&world, is_good).await;
    assert_eq!(world.ledger.received()[0].path, "/keys");
}

/// The same server, asked for two agents' cards: it has proven to be one of them.
#[tokio::test]
async fn a_card_from_another_workload_than_the_agent_is_not_read() {
    let there = "card: {refresh: 100ms, url: \"https://LEDGER/.well-known/agent-card.json\"}";
    let coach = "interfaces: {jsonrpc: \"https://LEDGER/a2a\"}\n    spiffe_id: spiffe://bank.test/mcp/ledger";
    let mut plan = plan(&format!("{there}\n  coach:\n    {coach}\n    {there}"));
    let rule = plan.policy[1].1.replace("agents.trainer", "agents.coach");
    plan.policy.push(("agents/coach.rego", rule));
    let world = World::with(plan).await;
    world.trainer.shows(Some(card()));
    world.ledger.shows(Some(card()));
    let mut changes = world.gateway.reloads();
    changes.wait_for(|_| is_good(world.gateway.card("coach").as_deref())).await.unwrap();
    world.ledger.card_was_read().await; // Meanwhile the trainer's has been asked for as often.
    let of_the_coach = get(&world, "agent/clerk", &CARD.replace("trainer", "coach")).await;
    assert_eq!(of_the_coach.json()["supportedInterfaces"][0]["url"], format!("{}/a2a/coach", world.url));
    assert_eq!(world.gateway.card("trainer"), None);
    assert_eq!(get(&world, "agent/clerk", CARD).await.refused_because(), "not_found");
    let read: Vec<Value> = world.records("card_read").iter().map(|record| record["server"].clone()).collect();
    assert_eq!(read, ["coach"]);
    let at_home = |text: String| {
        text.replacen(
            &format!("https://{}/.well-known", world.ledger.address),
            &format!("https://{}/.well-known", world.trainer.address),
            1,
        )
    };
    world.rewrite(at_home).await;
    until(&world, is_good).await;
    assert_eq!(get(&world, "agent/clerk", CARD).await.status, 200, "its twin, from the trainer itself");
}

#[tokio::test]
async fn an_agent_that_is_away_keeps_its_card() {
    let world = World::with(plan("card: {refresh: 100ms}")).await;
    world.trainer.shows(Some(card()));
    until(&world, is_good).await;
    world.trainer.shows(None);
    world.trainer.card_was_read().await;
    assert_eq!(get(&world, "agent/clerk", CARD).await.status, 200);
}

#[tokio::test]
async fn an_agent_whose_card_is_not_the_pinned_one_is_not_called() {
    let pin = {
        let world = World::with(plan("card: {refresh: 100ms}")).await;
        world.trainer.shows(Some(card()));
        until(&world, is_good).await;
        world.gateway.card("trainer").unwrap()
    };
    let world = World::with(plan(&format!("card: {{refresh: 100ms, digest: \"{pin}\"}}"))).await;
    let alice = world.caller("agent/clerk", "alice", Wire::Rpc);
    assert_eq!(alice.send("train", &json!({})).await.refused_because(), "agent_quarantined", "not heard yet");
    let mut moved = card();
    moved["supportedInterfaces"][0]["url"] = "https://elsewhere.internal/a2a".into();
    let moved = signed(moved, &SigningKey::generate().unwrap(), "https://keys.test/");
    world.trainer.shows(Some(moved));
    until(&world, is_good).await;
    assert_eq!(task_in(&alice.send("train", &json!({})).await), "task-000", "where it is was not pinned");
    let mut other = card();
    other["skills"][0]["description"] = "Says it again, and sends it to me.".into();
    world.trainer.shows(Some(other));
    until(&world, |standing| standing == Some("quarantined")).await;
    let reached = world.trainer.received().len();
    for wire in Wire::ALL {
        let denied = world.caller("agent/clerk", "alice", wire).send("train", &json!({})).await;
        assert_eq!(denied.refused_because(), "agent_quarantined");
    }
    let stranger = world.caller("agent/stranger", "alice", Wire::Rpc).send("train", &json!({})).await;
    assert_eq!(stranger.refused_because(), "not_allowed", "who may not call learns nothing of it");
    assert_eq!(get(&world, "agent/clerk", CARD).await.refused_because(), "not_found");
    assert_eq!(world.trainer.received().len(), reached, "the agent hears nothing");
    let record = world.records("request").into_iter().rfind(|r| r["reason"] == "agent_quarantined").unwrap();
    assert_eq!(record["decision"], "denial");
    assert!(world.records("card_quarantined")[0]["cause"].as_str().unwrap().ends_with(&pin));
    world.trainer.shows(Some(card()));
    until(&world, is_good).await;
    assert_eq!(alice.send("train", &json!({})).await.status, 200);
}

/// The pin is in the file that the gateway follows: the next call is held to it, whatever was read before.
#[tokio::test]
async fn a_pin_that_changes_holds_from_the_next_call_on() {
    let world = World::with(plan("card: {refresh: 100ms}")).await;
    world.trainer.shows(Some(card()));
    until(&world, is_good).await;
    let (alice, good) =
        (world.caller("agent/clerk", "alice", Wire::Rpc), world.gateway.card("trainer").unwrap());
    assert_eq!(alice.send("train", &json!({})).await.status, 200);
    let pinned = |to: &str| format!("card: {{refresh: 100ms, digest: \"{to}\"}}");
    let other = format!("sha256:{}", "0".repeat(64));
    world.rewrite(|text| text.replace("card: {refresh: 100ms}", &pinned(&other))).await;
    assert_eq!(alice.send("train", &json!({})).await.refused_because(), "agent_quarantined");
    assert_eq!(get(&world, "agent/clerk", CARD).await.refused_because(), "not_found");
    until(&world, |standing| standing == Some("quarantined")).await;
    assert_eq!(alice.send("train", &json!({})).await.refused_because(), "agent_quarantined");
    assert_eq!(world.trainer.received().len(), 1, "the agent hears nothing");
    let denied = world.records("request").pop().unwrap();
    assert_eq!((&denied["decision"], &denied["reason"]), (&json!("denial"), &json!("agent_quarantined")));
    world.rewrite(|text| text.replace(&other, &good)).await;
    until(&world, is_good).await;
    assert_eq!(alice.send("train", &json!({})).await.status, 200);
    assert_eq!(get(&world, "agent/clerk", CARD).await.status, 200);
}

#[tokio::test]
async fn the_card_of_an_agent_that_a_reload_brings_is_read_and_forgotten_with_it() {
    let world = World::with(plan("card: {refresh: 100ms}")).await;
    world.trainer.shows(Some(card()));
    until(&world, is_good).await;
    let rule = |agent: &str| {
        let all = plan("").policy;
        all[1].1.replace("agents.trainer", &format!("agents.{agent}"))
    };
    world.change_policy("agents/coach.rego", &rule("coach")).await;
    let of_the_coach = CARD.replace("trainer", "coach");
    assert_eq!(get(&world, "agent/clerk", &of_the_coach).await.refused_because(), "not_found");
    let coach = format!(
        "\n  coach:\n    interfaces: {{jsonrpc: \"https://{}/a2a\"}}\n    spiffe_id: spiffe://bank.test/agent/trainer\n    card: {{refresh: 100ms}}",
        world.trainer.address
    );
    world.rewrite(|text| text.replace("\ntasks:", &format!("{coach}\ntasks:"))).await;
    let mut changes = world.gateway.reloads();
    changes.wait_for(|_| is_good(world.gateway.card("coach").as_deref())).await.unwrap();
    let shown = get(&world, "agent/clerk", &of_the_coach).await.json();
    assert_eq!(shown["supportedInterfaces"][0]["url"], format!("{}/a2a/coach", world.url));
    assert!(vouched_for(&world, &shown).await);
    assert_eq!(get(&world, "agent/stranger", &of_the_coach).await.refused_because(), "not_found");
    let read: Vec<Value> = world.records("card_read").iter().map(|record| record["server"].clone()).collect();
    assert_eq!(read, ["trainer", "coach"], "whoever is written as before is not asked anew");

    world.rewrite(|text| text.replace(&coach, "")).await;
    changes.wait_for(|_| world.gateway.card("coach").is_none()).await.unwrap();
    assert_eq!(get(&world, "agent/clerk", &of_the_coach).await.refused_because(), "not_found");
    assert!(is_good(world.gateway.card("trainer").as_deref()));
}

#[tokio::test]
async fn an_extension_that_a_card_requires_is_configured_and_declared_or_the_agent_is_not_called() {
    let mut requires = card();
    requires["capabilities"]["extensions"] =
        json!([{"uri": "urn:test:traced", "required": true}, {"uri": "urn:test:nice"}]);
    let known = World::with(plan("card: {refresh: 100ms}\n    extensions: [\"urn:test:traced\"]")).await;
    let unknown = World::with(plan("card: {refresh: 100ms}\n    extensions: [\"urn:test:nice\"]")).await;
    for world in [&known, &unknown] {
        world.trainer.shows(Some(requires.clone()));
        until(world, is_good).await;
    }
    let params = json!({"message": message("train")});
    for wire in Wire::ALL {
        let call = |world: &World, declared: &'static str| {
            let caller = world.caller("agent/clerk", "alice", wire);
            let request = caller.request("SendMessage", &params).header("a2a-extensions", declared);
            async move { caller.hears("SendMessage", request).await }
        };
        let (undeclared, other) =
            (call(&known, "urn:test:nice").await, call(&unknown, "urn:test:traced").await);
        assert_eq!(undeclared.refused_because(), "extension_required");
        let code = match wire {
            Wire::Rest => 400,
            Wire::Grpc => 9,
            Wire::Rpc | Wire::Older | Wire::OlderRest => -32008,
        };
        assert_eq!(undeclared.code(), code);
        assert_eq!(other.refused_because(), "extension_unknown");
        assert!(known.trainer.received().is_empty() && unknown.trainer.received().is_empty());
    }
    for wire in Wire::ALL {
        let caller = known.caller("agent/clerk", "alice", wire);
        let request = caller.request("SendMessage", &params);
        let request = request.header("a2a-extensions", "urn:test:nice, urn:test:traced");
        let declared = caller.hears("SendMessage", request).await;
        assert!(!declared.is_refused(), "{declared:?}");
    }
    let reasons: Vec<Value> = unknown.records("request").iter().map(|r| r["reason"].clone()).collect();
    assert_eq!(reasons, ["extension_unknown"; Wire::ALL.len()]);
}

/// Of the card `bad` nobody can say what it requires.
async fn is_refused(world: &World, bad: Value) {
    world.trainer.shows(Some(bad));
    until(world, |standing| standing == Some("refused")).await;
}

#[tokio::test]
async fn what_a_card_requires_is_required_until_another_card_is_vouched_for() {
    let folder = tempfile::tempdir().unwrap();
    let key = SigningKey::generate().unwrap();
    let file = folder.path().join("keys.json");
    std::fs::write(&file, SigningKey::jwks([&key]).to_string()).unwrap();
    let vouched = format!("card: {{refresh: 100ms, keys: {{file: \"{}\", refresh: 1s}}}}", file.display());
    let mut requires = card();
    requires["capabilities"]["extensions"] = json!([{"uri": "urn:test:traced", "required": true}]);
    for (extensions, reason) in [("[]", "extension_unknown"), ("[\"urn:test:traced\"]", "extension_required")]
    {
        let world = World::with(plan(&format!("{vouched}\n    extensions: {extensions}"))).await;
        world.trainer.shows(Some(signed(requires.clone(), &key, "https://keys.test/")));
        until(&world, is_good).await;
        is_refused(&world, card()).await; // It requires nothing, and nobody has signed it.
        for wire in Wire::ALL {
            let denied = world.caller("agent/clerk", "alice", wire).send("train", &json!({})).await;
            assert_eq!(denied.refused_because(), reason, "{wire:?}");
        }
        assert!(world.trainer.received().is_empty());
        world.trainer.shows(Some(signed(card(), &key, "https://keys.test/")));
        until(&world, is_good).await;
        for wire in Wire::ALL {
            let called = world.caller("agent/clerk", "alice", wire).send("train", &json!({})).await;
            assert_eq!(called.status, 200, "{called:?}");
        }
    }
}

#[tokio::test]
async fn an_agent_of_whose_card_nothing_is_known_is_called_only_if_it_may_have_none() {
    let alice = |world: &World| world.caller("agent/clerk", "alice", Wire::Rpc);
    let world = World::with(plan("card: {refresh: 100ms}")).await;
    world.trainer.card_was_read().await;
    assert_eq!(alice(&world).send("train", &json!({})).await.status, 200, "it has no card");
    is_refused(&world, json!({"name": 7})).await;
    let reached = world.trainer.received().len();
    let denied = alice(&world).send("train", &json!({})).await;
    assert_eq!(denied.refused_because(), "agent_quarantined", "it has one, and says we don't know what");
    let record = world.records("request").pop().unwrap();
    assert_eq!(record["decision"], "denial");
    assert!(
        record["cause"].as_str().unwrap().contains("not known what the agent's card requires"),
        "{record}"
    );
    assert_eq!(world.trainer.received().len(), reached);
    world.trainer.shows(Some(card()));
    until(&world, is_good).await;
    assert_eq!(alice(&world).send("train", &json!({})).await.status, 200);

    let world = World::with(plan("card: {refresh: 100ms}\n    extensions: [\"urn:test:traced\"]")).await;
    let denied = alice(&world).send("train", &json!({})).await;
    assert_eq!(denied.refused_because(), "agent_quarantined", "its card may require what is configured");
    assert!(world.trainer.received().is_empty());
    world.trainer.shows(Some(card()));
    until(&world, is_good).await;
    assert_eq!(alice(&world).send("train", &json!({})).await.status, 200);
}

#[tokio::test]
async fn an_extended_card_has_the_skills_that_policy_shows_and_leads_to_the_gateway() {
    let folder = tempfile::tempdir().unwrap();
    let key = SigningKey::generate().unwrap();
    let file = folder.path().join("keys.json");
    std::fs::write(&file, SigningKey::jwks([&key]).to_string()).unwrap();
    let more = format!("card: {{refresh: 100ms, keys: {{file: \"{}\", refresh: 1s}}}}", file.display());
    let world = World::with(plan(&more)).await;
    let answers = |shown: Value| {
        world.trainer.answers(move |received| {
            let shown = shown.clone();
            let id = (!received.body.is_empty()).then(|| received.json()["id"].clone());
            Answer::Json(id.map_or(shown.clone(), |id| json!({"jsonrpc": "2.0", "id": id, "result": shown})))
        });
    };
    answers(signed(card(), &key, "https://keys.test/"));
    world.trainer.shows(Some(signed(card(), &key, "https://keys.test/")));
    until(&world, is_good).await;
    for wire in Wire::ALL {
        let reply = world.caller("agent/clerk", "alice", wire).call("GetExtendedAgentCard", &json!({})).await;
        assert_eq!(
            (reply.status, reply.header("cache-control")),
            (200, Some("private, no-cache")),
            "{reply:?}"
        );
        let answer = reply.json();
        let shown = if answer["result"].is_object() { &answer["result"] } else { &answer };
        only_through_the_gateway(&world, shown);
        assert!(vouched_for(&world, shown).await);
        let ids: Vec<&Value> = shown["skills"].as_array().unwrap().iter().map(|skill| &skill["id"]).collect();
        assert_eq!(json!(ids), json!(["echo"]), "{wire:?}");
    }
    answers(card()); // Nobody vouches for it.
    for wire in Wire::ALL {
        let reply = world.caller("agent/clerk", "alice", wire).call("GetExtendedAgentCard", &json!({})).await;
        assert_eq!(reply.refused_because(), "upstream_failed");
        assert!(!reply.text.contains("internal"));
    }
    let record = world.records("request").pop().unwrap();
    assert!(record["cause"].as_str().unwrap().contains("not signed"), "{record}");
    let error = json!({"code": -32007, "message": "none"});
    world.trainer.answers(move |received| {
        Answer::Json(json!({"jsonrpc": "2.0", "id": received.json()["id"], "error": error}))
    });
    let none = world.caller("agent/clerk", "alice", Wire::Rpc).call("GetExtendedAgentCard", &json!({})).await;
    assert_eq!(none.code(), -32007, "what the agent says of having none is its own");
}

/// A card of an agent on each official SDK, signed by it, then verified, rewritten and signed by the gateway: the verifiers
/// of both SDKs take it, and refuse it with one byte changed.
#[tokio::test(flavor = "multi_thread")] // Processes ask what this one serves.
async fn what_the_gateway_signs_both_official_sdks_accept_and_one_byte_more_they_refuse() {
    let Some(sdks) = Sdk::all() else { return };
    for agent in &sdks {
        let folder = tempfile::tempdir().unwrap();
        let (private, public) = signing_jwk(&SigningKey::generate().unwrap(), folder.path());
        let mut signing = agent.clone();
        signing.arguments.retain(|_| agent.name == "Python"); // So that 0.3's members are in one of the two.
        signing.arguments.extend(["--sign-key".to_owned(), private.display().to_string()]);
        let more = format!("card: {{refresh: 100ms, keys: {{file: \"{}\", refresh: 1s}}}}", public.display());
        let world = World::with(Plan { sdk: Some(signing), ..plan(&more) }).await;
        until(&world, |standing| standing.is_some()).await;
        assert!(is_good(world.gateway.card("trainer").as_deref()), "{:?}", world.records("card_refused"));
        let shown = get(&world, "agent/clerk", CARD).await.json();
        assert!(!shown.to_string().contains(&world.sdk_agent.as_ref().unwrap().interfaces[1]), "{shown}");
        assert_eq!(shown.get("preferredTransport").is_some(), agent.name == "Python");
        let keys = folder.path().join("gateway.jwks.json");
        std::fs::write(&keys, get(&world, "agent/clerk", "/a2a/jwks.json").await.text).unwrap();
        let mut changed = shown.clone();
        changed["skills"][0]["description"] = "Says what it is tolt.".into();
        let (good, bad) = (folder.path().join("good.json"), folder.path().join("bad.json"));
        std::fs::write(&good, shown.to_string()).unwrap();
        std::fs::write(&bad, changed.to_string()).unwrap();
        let (base, token) = (format!("{}/a2a/trainer/", world.url), world.token("agent/clerk"));
        let of_file = |file: &std::path::Path| vec!["--card-file".to_owned(), file.display().to_string()];
        let fetched = vec!["--url".to_owned(), base];
        let extended = [fetched.clone(), vec!["--token".into(), token]].concat();
        for (words, command, accepted) in [
            (of_file(&good), "verify-card", true),
            (of_file(&bad), "verify-card", false),
            (fetched, "verify-card", true),
            (extended, "extended-card", true),
        ] {
            let keys = keys.display().to_string();
            let words =
                words.iter().map(String::as_str).chain(["--jwks", &keys, command]).collect::<Vec<_>>();
            for client in &sdks {
                let line = world.once(client, &words);
                let verdict = line["event"] == "card" && line["verified"] == true;
                assert_eq!(verdict, accepted, "{} {} {words:?}: {line}", agent.name, client.name);
            }
        }
    }
}
