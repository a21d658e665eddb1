//! From a person to a tool over agents that speak A2A: each calls onward through the gateway with the credential that it got.
//! Who acted grows with each hop, what may be done shrinks, and a circle ends where it would begin again.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use world::a2a::{Caller, Wire, message, task_in};
use world::agent::send;
use world::{Agent, Answer, Plan, Received, World, components, policies};

const CLERK: &str = "spiffe://bank.test/agent/clerk";
const ORCHESTRATOR: &str = "spiffe://bank.test/agent/orchestrator";
const DEPLOYER: &str = "spiffe://bank.test/agent/deployer";
const MONITORING: &str = "spiffe://bank.test/agent/monitoring";

/// What an agent does when it is called.
#[derive(Clone, Copy)]
enum Next {
    /// It sends a message to another agent.
    Agent(&'static str),
    /// It posts an entry.
    Post,
    /// It is content.
    Rest,
}

/// Anybody may send a message to an agent; its credential says no more than these scopes.
fn agent(name: &str, scopes: &[&str]) -> String {
    let scopes = json!({ "scopes": scopes });
    format!(
        "package agents.{name}\n\nallow if input.call.method == \"SendMessage\"\n\nobligations := {scopes}\n"
    )
}

/// Entries are posted for alice by the deployer, whom the orchestrator called, whom the clerk called, and by nobody else.
fn ledger() -> String {
    format!(
        "package tools.ledger.post_entry\n\nvisible := true\n\nallow if {{\n\tinput.caller.spiffe_id == \"{DEPLOYER}\"\n\t\
         input.subject.sub == \"alice\"\n\tinput.actors == [\"{ORCHESTRATOR}\", \"{CLERK}\"]\n}}\n"
    )
}

const ALL: [&str; 3] = ["orchestrator:SendMessage", "deployer:SendMessage", "ledger:post_entry"];

fn plan() -> Plan {
    let policy = vec![
        ("protocol.rego", policies::protocol()),
        ("agents/orchestrator.rego", agent("orchestrator", &ALL)),
        ("agents/deployer.rego", agent("deployer", &ALL[1..])),
        ("tools/ledger/post_entry.rego", ledger()),
    ];
    Plan { policy, a2a: &["orchestrator", "deployer", "monitoring"], ..Plan::default() }
}

/// The usual plan with other policies for the agents.
fn plan_with(agents: Vec<(&'static str, String)>) -> Plan {
    let mut plan = plan();
    plan.policy.retain(|(name, _)| agents.iter().all(|(other, _)| name != other));
    plan.policy.extend(agents);
    plan
}

fn bearer(received: &Received) -> String {
    received.headers["authorization"].to_str().unwrap().trim_start_matches("Bearer ").to_owned()
}

fn claims(token: &str) -> Value {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap()).unwrap()
}

/// What comes of an agent's call: what it was told, or the reason of its refusal.
async fn told(agent: &Agent, next: Next) -> String {
    let reply = match next {
        Next::Rest => return "done".into(),
        Next::Post => agent.post_entry(5).await,
        Next::Agent(name) => {
            let params = json!({"message": message("go on")});
            let body = json!({"jsonrpc": "2.0", "id": 7, "method": "SendMessage", "params": params});
            send(agent.post(&format!("/a2a/{name}"), body.to_string()).header("a2a-version", "1.0")).await
        }
    };
    match (reply.json().get("error"), next) {
        (Some(_), _) => reply.refused_because(),
        (None, Next::Agent(_)) => {
            reply.json()["result"]["message"]["parts"][0]["text"].as_str().unwrap().to_owned()
        }
        (None, _) => reply.result(),
    }
}

/// An agent that does one thing each time that it is called, the last one from then on, and tells what came of it.
fn does(world: &World, name: &str, in_turn: Vec<Next>) {
    let (own, mut in_turn) = (world.agent(&format!("agent/{name}")), in_turn.into_iter().peekable());
    world.agents[name].answers(move |received| {
        let next = if in_turn.len() > 1 { in_turn.next() } else { in_turn.peek().copied() }.unwrap();
        let (own, id) = (own.clone().with_token(&bearer(received)), received.json()["id"].clone());
        let (answer, pieces) = mpsc::channel(1);
        tokio::spawn(async move {
            let said = told(&own, next).await;
            let message = json!({"messageId": "m", "role": "ROLE_AGENT", "parts": [{"text": said}]});
            let text = json!({"jsonrpc": "2.0", "id": id, "result": {"message": message}}).to_string();
            let _ = answer.send(Ok(&*Box::leak(text.into_boxed_str()))).await;
        });
        Answer::Pieces(pieces)
    });
}

/// The clerk asks the orchestrator, that one the deployer, and that one posts an entry.
async fn three_hops(plan: Plan) -> (World, String) {
    let world = World::with(plan).await;
    does(&world, "orchestrator", vec![Next::Agent("deployer")]);
    does(&world, "deployer", vec![Next::Post]);
    let said = told(&world.clerk(), Next::Agent("orchestrator")).await;
    (world, said)
}

/// How often each agent was called.
fn called<const N: usize>(world: &World, names: [&str; N]) -> [usize; N] {
    names.map(|name| world.agents[name].received().len())
}

/// The one refusal: by whom, of whom, and why.
fn refused(world: &World) -> (Value, Value, Value, String) {
    let mut records = world.records("request");
    records.retain(|record| record.get("reason").is_some());
    let [record] = records.as_slice() else { panic!("{records:#?}") };
    let cause = record["cause"].as_str().unwrap_or_default().to_owned();
    (record["caller"].clone(), record["server"].clone(), record["decision"].clone(), cause)
}

/// Everyone's name in a chain, the last one to act first.
fn acts(claims: &Value) -> Vec<&str> {
    let mut actor = &claims["act"];
    let mut names = Vec::new();
    while let Some(name) = actor["sub"].as_str() {
        names.push(name);
        actor = &actor["act"];
    }
    names
}

/// A token as a line of the table in docs/delegation.md.
fn line(world: &World, whose: &str, claims: &Value) -> String {
    let short = |text: &str| text.replace("spiffe://bank.test/", "").replace(&world.url, "the gateway");
    let acts = acts(claims).join(", ");
    let text = |name: &str| short(claims[name].as_str().unwrap());
    format!("| {whose} | {} | {} | {} | {} |", text("sub"), text("aud"), short(&acts), text("scope"))
}

#[tokio::test]
async fn from_a_person_over_two_agents_to_a_tool_each_token_says_for_whom_it_is_and_who_acted() {
    let (world, said) = three_hops(plan()).await;
    assert_eq!(said, "posted");
    let got = |name: &str| claims(&bearer(&world.agents[name].received()[0]));
    let tokens = [
        ("the clerk, from alice", claims(&world.token("agent/clerk"))),
        ("orchestrator", got("orchestrator")),
        ("deployer", got("deployer")),
        ("ledger", claims(&bearer(&world.ledger.received()[0]))),
    ];
    for ((_, token), (audience, act, scope)) in tokens.iter().zip([
        (world.url.as_str(), vec![], "bookkeeping"),
        (ORCHESTRATOR, vec![CLERK], "deployer:SendMessage ledger:post_entry orchestrator:SendMessage"),
        (DEPLOYER, vec![ORCHESTRATOR, CLERK], "deployer:SendMessage ledger:post_entry"),
        ("spiffe://bank.test/mcp/ledger", vec![DEPLOYER, ORCHESTRATOR, CLERK], "ledger:post_entry"),
    ]) {
        assert_eq!((&token["sub"], &token["aud"]), (&json!("alice"), &json!(audience)));
        assert_eq!((acts(token), &token["scope"]), (act, &json!(scope)));
    }
    let head = "| held by | `sub` | `aud` | `act` | `scope` |\n|---|---|---|---|---|";
    let lines = tokens.iter().map(|(whose, token)| line(&world, whose, token));
    let table = [head.to_owned()].into_iter().chain(lines).collect::<Vec<_>>().join("\n");
    println!("{table}");
    let document = std::fs::read_to_string(components::root().join("docs/delegation.md")).unwrap();
    assert!(document.contains(&table), "docs/delegation.md should have:\n{table}");

    let records = world.records("request");
    let hop = |caller: &str| {
        let record = records.iter().find(|record| record["caller"] == caller).unwrap();
        (record["protocol"].clone(), record["actors"].clone(), record["subject"]["sub"].clone())
    };
    assert_eq!(hop(CLERK), (json!("a2a"), Value::Null, json!("alice")));
    assert_eq!(hop(ORCHESTRATOR), (json!("a2a"), json!([CLERK]), json!("alice")));
    assert_eq!(hop(DEPLOYER), (json!("mcp"), json!([ORCHESTRATOR, CLERK]), json!("alice")));
}

#[tokio::test]
async fn a_rule_at_the_tool_sees_everyone_who_acted() {
    let world = World::with(plan()).await;
    does(&world, "deployer", vec![Next::Post]);
    let past_the_orchestrator = told(&world.clerk(), Next::Agent("deployer")).await;
    assert_eq!(past_the_orchestrator, "not_allowed");
    assert!(world.ledger.received().is_empty());
    let (caller, server, decision, _) = refused(&world);
    assert_eq!((caller, server, decision), (json!(DEPLOYER), json!("ledger"), json!("denial")));
}

#[tokio::test]
async fn an_agent_gets_no_scope_onward_that_it_was_not_given() {
    // The deployer's credential would say more than the orchestrator's.
    let (world, said) =
        three_hops(plan_with(vec![("agents/orchestrator.rego", agent("orchestrator", &ALL[..2]))])).await;
    assert_eq!(said, "scope_refused", "though the person's own token would open it");
    assert_eq!(called(&world, ["orchestrator", "deployer"]), [1, 0]);
    let (caller, server, decision, cause) = refused(&world);
    assert_eq!((caller, server, decision), (json!(ORCHESTRATOR), json!("deployer"), json!("permit")));
    assert!(cause.contains("invalid_scope"), "{cause}");

    // The deployer has less than the tool takes.
    let (world, said) =
        three_hops(plan_with(vec![("agents/deployer.rego", agent("deployer", &ALL[1..2]))])).await;
    assert_eq!(said, "scope_refused");
    assert!(world.ledger.received().is_empty());
    let (caller, server, _, cause) = refused(&world);
    assert_eq!((caller, server), (json!(DEPLOYER), json!("ledger")));
    assert!(cause.contains("invalid_scope"), "{cause}");
}

#[tokio::test]
async fn a_chain_of_agents_is_as_deep_as_it_may_be_and_no_deeper() {
    let (_, said) = three_hops(Plan { limits: "{actors_max: 2}", ..plan() }).await;
    assert_eq!(said, "posted");
    let (world, said) = three_hops(Plan { limits: "{actors_max: 1}", ..plan() }).await;
    assert_eq!(said, "invalid_token");
    assert!(world.ledger.received().is_empty());
    let (caller, _, _, cause) = refused(&world);
    assert_eq!(caller, DEPLOYER);
    assert!(cause.contains("the chain has 2 actors, and may have 1"), "{cause}");
}

/// Two agents, each of which may call the other.
fn two(one: &'static str, other: &'static str) -> Plan {
    let scopes = [one, other].map(|name| format!("{name}:SendMessage"));
    let scopes: Vec<&str> = scopes.iter().map(String::as_str).collect();
    let file = |name: &str| &*Box::leak(format!("agents/{name}.rego").into_boxed_str());
    let policy = vec![(file(one), agent(one, &scopes)), (file(other), agent(other, &scopes))];
    Plan { limits: "{actors_max: 8}", ..plan_with(policy) }
}

#[tokio::test]
async fn a_loop_ends_at_its_repeated_edge() {
    let world = World::with(two("orchestrator", "deployer")).await;
    does(&world, "orchestrator", vec![Next::Agent("deployer")]);
    does(&world, "deployer", vec![Next::Agent("orchestrator")]);
    assert_eq!(told(&world.clerk(), Next::Agent("orchestrator")).await, "invalid_token");
    assert_eq!(called(&world, ["orchestrator", "deployer"]), [2, 1], "the deployer hears of it once");
    let (caller, server, decision, cause) = refused(&world);
    assert_eq!((caller, server, decision), (json!(ORCHESTRATOR), json!("deployer"), json!("permit")));
    assert!(cause.contains(&format!("{ORCHESTRATOR} has called {DEPLOYER} twice")), "{cause}");
}

#[tokio::test]
async fn whoever_is_asked_back_may_answer_and_may_not_ask_again() {
    for (then, said, heard) in
        [(Next::Rest, "done", [2, 1]), (Next::Agent("orchestrator"), "invalid_token", [2, 1])]
    {
        let world = World::with(two("monitoring", "orchestrator")).await;
        does(&world, "monitoring", vec![Next::Agent("orchestrator"), then]);
        does(&world, "orchestrator", vec![Next::Agent("monitoring")]);
        assert_eq!(told(&world.clerk(), Next::Agent("monitoring")).await, said);
        assert_eq!(called(&world, ["monitoring", "orchestrator"]), heard);
        let last = claims(&bearer(&world.agents["monitoring"].received()[1]));
        assert_eq!(acts(&last), [ORCHESTRATOR, MONITORING, CLERK]);
        if said == "invalid_token" {
            let (caller, server, _, cause) = refused(&world);
            assert_eq!((caller, server), (json!(MONITORING), json!("orchestrator")));
            assert!(cause.contains(&format!("{MONITORING} has called {ORCHESTRATOR} twice")), "{cause}");
        }
    }
}

/// The clerk asks the orchestrator for somebody: what the orchestrator then calls onward with.
async fn handed_to_the_orchestrator(world: &World, person: &'static str, wire: Wire) -> Caller {
    does(world, "orchestrator", vec![Next::Rest]);
    let clerk = world.caller("agent/clerk", person, wire);
    assert_eq!(told(&clerk.agent, Next::Agent("orchestrator")).await, "done");
    let credential = bearer(world.agents["orchestrator"].received().last().unwrap());
    Caller { agent: world.agent("agent/orchestrator").with_token(&credential), wire }
}

/// The clerk begins a task for alice at the trainer; the orchestrator, whom the clerk called, asks for it.
#[tokio::test]
async fn an_agent_in_a_chain_sees_its_persons_task_where_policy_says_so() {
    let shares = "obligations := {\"tasks\": \"subject\"} if input.caller.path[1] == \"orchestrator\"\n\ndefault obligations := {}";
    let with = |obligations: &str, subjects_of| {
        let rule = format!(
            "package agents.trainer\n\nallow if input.caller.path[1] in {{\"clerk\", \"orchestrator\"}}\n\n{obligations}\n"
        );
        let policy = vec![
            (
                "agents/orchestrator.rego",
                agent("orchestrator", &["orchestrator:SendMessage", "trainer:GetTask"]),
            ),
            ("agents/trainer.rego", rule),
        ];
        Plan { trainer: Some(""), subjects_of, ..plan_with(policy) }
    };
    let shared = World::with(with(shares, true)).await;
    let (kept, apart) = (World::with(with("", true)).await, World::with(with(shares, false)).await);
    for wire in Wire::ALL {
        for (world, person, sees) in [
            (&shared, "alice", true),
            (&shared, "bob", false),
            (&kept, "alice", false),
            (&apart, "alice", false),
        ] {
            let task = task_in(&world.caller("agent/clerk", "alice", wire).send("train", &json!({})).await);
            let orchestrator = handed_to_the_orchestrator(world, person, wire).await;
            let reached = world.trainer.received().len();
            let reply = orchestrator.call("GetTask", &json!({ "id": task })).await;
            if sees {
                assert_eq!(task_in(&reply), task);
                let credential = claims(&bearer(world.trainer.received().last().unwrap()));
                assert_eq!(
                    (acts(&credential), &credential["sub"]),
                    (vec![ORCHESTRATOR, CLERK], &json!("alice"))
                );
            } else {
                assert_eq!(reply.refused_because(), "task_not_found", "{wire:?} {person}");
                assert_eq!(world.trainer.received().len(), reached, "the agent hears nothing");
                assert_eq!(world.records("request").pop().unwrap()["reason"], "task_not_found");
            }
        }
    }
}
