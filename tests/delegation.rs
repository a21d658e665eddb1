//! Agents that are called call onward, with the credential that they got: for the same person, for no more than that
//! allows, and every hop stands in the chain.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use world::agent::send;
use world::{Agent, Answer, Plan, Received, World, policies};

const ORCHESTRATOR: &str = "spiffe://bank.test/agent/orchestrator";
const DEPLOYER: &str = "spiffe://bank.test/agent/deployer";
const CLERK: &str = "spiffe://bank.test/agent/clerk";

/// Any workload may ask an agent; its credential says no more than these scopes.
fn ask(agent: &str, scopes: &[&str]) -> String {
    let scopes = json!({ "scopes": scopes });
    format!("package tools.{agent}.ask\n\nallow := true\n\nobligations := {scopes}\n")
}

/// Alice's clerk asks the orchestrator, that one the deployer, and that one the ledger, which looks at the chain.
fn plan() -> Plan {
    let on_the_ledger = format!(
        "package tools.ledger.post_entry

visible := true

allow if {{
	input.caller.spiffe_id == \"{DEPLOYER}\"
	input.subject.sub == \"alice\"
	input.actors == [\"{ORCHESTRATOR}\", \"{CLERK}\"]
}}
"
    );
    let all = ["orchestrator:ask", "deployer:ask", "ledger:post_entry"];
    let policy = vec![
        ("protocol.rego", policies::protocol()),
        ("tools/orchestrator/ask.rego", ask("orchestrator", &all)),
        ("tools/deployer/ask.rego", ask("deployer", &all[1..])),
        ("tools/ledger/post_entry.rego", on_the_ledger),
    ];
    Plan { policy, agents: &["orchestrator", "deployer"], ..Plan::default() }
}

/// The usual plan with other policy files.
fn plan_with(files: Vec<(&'static str, String)>) -> Plan {
    let mut plan = plan();
    plan.policy.retain(|(name, _)| files.iter().all(|(other, _)| name != other));
    plan.policy.extend(files);
    plan
}

fn bearer(received: &Received) -> String {
    received.headers["authorization"].to_str().unwrap().trim_start_matches("Bearer ").to_owned()
}

fn claims(token: &str) -> Value {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap()).unwrap()
}

/// An agent that does what it is asked by calling one tool, the same each time, and tells what came of it.
fn calls_onward(world: &World, name: &str, path: &'static str, tool: &'static str) {
    calls_in_turn(world, name, vec![(path, tool)], str::to_owned);
}

/// The same with another tool each time, the last one from then on; the credential is changed on the way.
fn calls_in_turn(
    world: &World,
    name: &str,
    calls: Vec<(&'static str, &'static str)>,
    change: fn(&str) -> String,
) {
    let own = world.agent(&format!("agent/{name}"));
    let mut calls = calls.into_iter().peekable();
    let mut last = None;
    world.agents[name].answers(move |received| {
        last = calls.next().or(last);
        let ((path, tool), id) = (last.unwrap(), received.json()["id"].clone());
        let next = own.clone().at(path).with_token(&change(&bearer(received)));
        let (answer, pieces) = mpsc::channel(1);
        tokio::spawn(async move {
            let said = told(&next, tool).await;
            let text = json!({"jsonrpc": "2.0", "id": id, "result": {"resultType": "complete", "content": [{"type": "text", "text": said}]}});
            let _ = answer.send(Ok(&*Box::leak(text.to_string().into_boxed_str()))).await;
        });
        Answer::Pieces(pieces)
    });
}

/// What an agent tells of a call: its result, or status and reason of its refusal.
async fn told(agent: &Agent, tool: &str) -> String {
    let reply = agent.call(tool, json!({})).await;
    if reply.json().get("error").is_some() {
        format!("{} {}", reply.status, reply.refused_because())
    } else {
        reply.result()
    }
}

/// Three hops: the clerk asks, each agent calls the next one.
async fn three_hops(plan: Plan) -> (World, String) {
    let world = World::with(plan).await;
    calls_onward(&world, "orchestrator", "/mcp/deployer", "ask");
    calls_onward(&world, "deployer", "/mcp/ledger", "post_entry");
    let said = told(&world.clerk().at("/mcp/orchestrator"), "ask").await;
    (world, said)
}

/// The record of the last hop that was refused: nothing reached the ledger.
fn refused(world: &World, caller: &str) -> Value {
    assert!(world.ledger.received().is_empty());
    let mut refused = world.records("request");
    refused.retain(|record| record.get("reason").is_some());
    assert_eq!(refused.len(), 1, "{refused:#?}");
    assert_eq!(refused[0]["caller"], caller);
    refused.remove(0)
}

#[tokio::test]
async fn a_person_is_served_over_three_hops_and_each_of_them_is_in_the_chain() {
    let (world, said) = three_hops(plan()).await;
    assert_eq!(said, "posted");
    let at = |name: &str| claims(&bearer(&world.agents[name].received()[0]));
    let (first, second, last) =
        (at("orchestrator"), at("deployer"), claims(&bearer(&world.ledger.received()[0])));
    for (credential, audience, scope, act) in [
        (&first, ORCHESTRATOR, "deployer:ask ledger:post_entry orchestrator:ask", json!({"sub": CLERK})),
        (
            &second,
            DEPLOYER,
            "deployer:ask ledger:post_entry",
            json!({"sub": ORCHESTRATOR, "act": {"sub": CLERK}}),
        ),
        (
            &last,
            "spiffe://bank.test/mcp/ledger",
            "ledger:post_entry",
            json!({"sub": DEPLOYER, "act": {"sub": ORCHESTRATOR, "act": {"sub": CLERK}}}),
        ),
    ] {
        assert_eq!(
            (&credential["sub"], &credential["aud"], &credential["scope"], &credential["act"]),
            (&json!("alice"), &json!(audience), &json!(scope), &act)
        );
    }
    assert!(first.get("cnf").is_none() && last.get("cnf").is_some(), "a server's is bound to the gateway");
    let records = world.records("request");
    let chain = |caller: &str| {
        let record = records.iter().find(|record| record["caller"] == caller).unwrap();
        (record["actors"].clone(), record["credential"]["audience"].clone(), record["subject"]["sub"].clone())
    };
    assert_eq!(chain(CLERK), (Value::Null, json!(ORCHESTRATOR), json!("alice")));
    assert_eq!(chain(ORCHESTRATOR), (json!([CLERK]), json!(DEPLOYER), json!("alice")));
    let last = (json!([ORCHESTRATOR, CLERK]), json!("spiffe://bank.test/mcp/ledger"), json!("alice"));
    assert_eq!(chain(DEPLOYER), last);
}

#[tokio::test]
async fn a_chain_is_as_deep_as_it_may_be_and_no_deeper() {
    let (_, said) = three_hops(Plan { limits: "{actors_max: 2}", ..plan() }).await;
    assert_eq!(said, "posted");
    let (world, said) = three_hops(Plan { limits: "{actors_max: 1}", ..plan() }).await;
    assert_eq!(said, "401 invalid_token");
    let cause = refused(&world, DEPLOYER)["cause"].to_string();
    assert!(cause.contains("the chain has 2 actors, and may have 1"), "{cause}");
}

#[tokio::test]
async fn an_agent_gets_no_scope_that_it_was_not_given() {
    let narrow = ask("orchestrator", &["orchestrator:ask", "deployer:ask", "ledger:read_balance"]);
    let deployer = ask("deployer", &["deployer:ask", "ledger:read_balance"]);
    let files = vec![("tools/orchestrator/ask.rego", narrow), ("tools/deployer/ask.rego", deployer)];
    let (world, said) = three_hops(plan_with(files)).await;
    assert_eq!(said, "502 scope_refused", "though the person's own token would open it");
    let record = refused(&world, DEPLOYER);
    assert_eq!(record["decision"], "permit");
    assert!(record["cause"].as_str().unwrap().contains("invalid_scope"), "{record}");
}

#[tokio::test]
async fn a_circle_ends_where_an_agent_would_be_called_twice_by_the_same() {
    let scopes = ["orchestrator:ask", "deployer:ask"];
    let plan = plan_with(vec![
        ("tools/orchestrator/ask.rego", ask("orchestrator", &scopes)),
        ("tools/deployer/ask.rego", ask("deployer", &scopes)),
    ]);
    let world = World::with(Plan { limits: "{actors_max: 8}", ..plan }).await;
    calls_onward(&world, "orchestrator", "/mcp/deployer", "ask");
    calls_onward(&world, "deployer", "/mcp/orchestrator", "ask");
    let said = told(&world.clerk().at("/mcp/orchestrator"), "ask").await;
    assert_eq!(said, "401 invalid_token");
    let record = refused(&world, ORCHESTRATOR);
    let cause = format!("{ORCHESTRATOR} has called {DEPLOYER} twice");
    assert!(record["cause"].as_str().unwrap().contains(&cause), "{record}");
    assert_eq!(world.agents["orchestrator"].received().len(), 2);
    assert_eq!(world.agents["deployer"].received().len(), 1);
}

#[tokio::test]
async fn the_same_agent_may_come_twice_called_by_different_ones() {
    let all = ["orchestrator:ask", "deployer:ask", "ledger:post_entry"];
    let again = format!(
        "package tools.ledger.post_entry\n\nallow if input.actors == [\"{DEPLOYER}\", \"{ORCHESTRATOR}\", \"{CLERK}\"]\n\nvisible := true\n"
    );
    let files =
        vec![("tools/ledger/post_entry.rego", again), ("tools/deployer/ask.rego", ask("deployer", &all))];
    let world = World::with(plan_with(files)).await;
    let calls = vec![("/mcp/deployer", "ask"), ("/mcp/ledger", "post_entry")];
    calls_in_turn(&world, "orchestrator", calls, str::to_owned);
    calls_onward(&world, "deployer", "/mcp/orchestrator", "ask");
    assert_eq!(told(&world.clerk().at("/mcp/orchestrator"), "ask").await, "posted");
    assert_eq!(world.agents["orchestrator"].received().len(), 2);
}

#[tokio::test]
async fn an_agent_that_changes_its_chain_is_refused() {
    let world = World::with(plan()).await;
    calls_onward(&world, "orchestrator", "/mcp/deployer", "ask");
    let without_the_clerk = |credential: &str| {
        let mut parts: Vec<String> = credential.split('.').map(ToOwned::to_owned).collect();
        let mut claims = claims(credential);
        claims["act"] = json!({ "sub": ORCHESTRATOR });
        parts[1] = URL_SAFE_NO_PAD.encode(claims.to_string());
        parts.join(".")
    };
    calls_in_turn(&world, "deployer", vec![("/mcp/ledger", "post_entry")], without_the_clerk);
    assert_eq!(told(&world.clerk().at("/mcp/orchestrator"), "ask").await, "401 invalid_token");
    let cause = refused(&world, DEPLOYER)["cause"].to_string();
    assert!(cause.contains("signature does not hold"), "{cause}");
}

#[tokio::test]
async fn a_credential_is_presented_by_the_agent_that_it_is_for_and_nobody_else() {
    let (world, said) = three_hops(plan()).await;
    assert_eq!(said, "posted");
    let before = world.ledger.received().len();
    let (for_deployer, for_ledger) =
        (bearer(&world.agents["deployer"].received()[0]), bearer(&world.ledger.received()[0]));
    for (thief, credential, why) in [
        ("agent/intern", &for_deployer, "another audience"),
        ("agent/orchestrator", &for_deployer, "another audience"),
        ("agent/clerk", &for_ledger, "another audience"),
        ("mcp/ledger", &for_ledger, "bound to another certificate"),
    ] {
        let thief = world.agent(thief).with_token(credential);
        assert_eq!(told(&thief, "post_entry").await, "401 invalid_token", "{why}");
        let record = world.records("request").pop().unwrap();
        assert!(record["cause"].as_str().unwrap().contains(why), "{record}");
    }
    assert_eq!(world.ledger.received().len(), before);
    let deployer = world.agent("agent/deployer").with_token(&for_deployer);
    assert_eq!(told(&deployer, "post_entry").await, "posted");
}

#[tokio::test]
async fn a_revoked_agent_ends_what_it_has_handed_on() {
    let (world, said) = three_hops(plan()).await;
    assert_eq!(said, "posted");
    let credential = bearer(&world.agents["deployer"].received()[0]);
    let deployer = world.agent("agent/deployer").with_token(&credential);
    world.revoke(&["--spiffe-id", "spiffe://bank.test/agent/intern"]).await;
    assert_eq!(told(&deployer, "post_entry").await, "posted");
    world.revoke(&["--spiffe-id", CLERK]).await;
    let before = world.ledger.received().len();
    assert_eq!(told(&deployer, "post_entry").await, "401 invalid_token");
    assert_eq!(world.ledger.received().len(), before);
    let record = world.records("request").pop().unwrap();
    assert!(record["cause"].as_str().unwrap().contains(&format!("workload {CLERK} is revoked")), "{record}");
}

#[tokio::test]
async fn nobody_is_sent_to_the_issuer_of_credentials_for_a_token() {
    let world = World::with(plan()).await;
    let metadata = "/.well-known/oauth-protected-resource/mcp/ledger";
    let document = send(world.clerk().request(reqwest::Method::GET, metadata)).await.json();
    assert_eq!(document["authorization_servers"], json!([format!("{}/oauth/users", world.origin)]));
}

#[tokio::test]
async fn a_configuration_that_would_not_see_its_chains_is_a_mistake() {
    let world = World::with(plan()).await;
    let path = world.path("sallyport.yaml");
    let good = std::fs::read_to_string(&path).unwrap();
    let problems = |text: String| {
        std::fs::write(&path, text).unwrap();
        let problems = gateway::config::load(&path).err().unwrap_or_default();
        problems.into_iter().map(|problem| problem.path).collect::<Vec<_>>()
    };
    assert!(problems(good.clone()).is_empty());
    assert_eq!(problems(good.replace("delegates: true", "delegates: false")), ["issuers.1.delegates"]);
    assert_eq!(problems(good.replace("limits: {}", "limits: {actors_max: 9}")), ["limits.actors_max"]);
    let both = good.replace("{audience: true}", "{audience: true, any: true}");
    assert_eq!(problems(both), ["issuers.1.presenter"]);
    std::fs::write(world.path("revoked.jsonl"), "nonsense").unwrap();
    assert_eq!(problems(good.clone()), ["revocations.file"]);
    std::fs::remove_file(world.path("revoked.jsonl")).unwrap();
    assert_eq!(problems(good), ["revocations.file"]);
}
