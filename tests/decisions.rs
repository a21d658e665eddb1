//! Policy that errs, loops, is missing or is changed: whatever can't be decided is denied.

use serde_json::json;
use world::agent::send;
use world::{Plan, World, policies};

/// A call under this policy for posting is denied with this reason.
async fn is_denied(text: &str, reason: &str) {
    let world = World::with_policy(policies::with_post_entry(text)).await;
    let reply = world.clerk().post_entry(1).await;
    assert_eq!(reply.refused_because(), reason, "{text}");
    assert!(world.ledger.received().is_empty());
    let record = world.only_record();
    assert_eq!((&record["decision"], &record["reason"]), (&json!("denial"), &json!(reason)));
}

const HEAD: &str = "package tools.ledger.post_entry\n\nvisible := true\n\n";

#[tokio::test]
async fn undefined_is_no() {
    is_denied(&format!("{HEAD}allow if input.call.arguments.no_such == 1\n"), "not_allowed").await;
}

#[tokio::test]
async fn only_true_is_yes() {
    is_denied(&format!("{HEAD}allow := \"true\"\n"), "policy_error").await;
    let world = World::with_policy(policies::with_post_entry(&format!("{HEAD}allow := true\n"))).await;
    assert_eq!(world.clerk().post_entry(1).await.result(), "posted");
}

#[tokio::test]
async fn an_error_of_a_built_in_is_no() {
    is_denied(
        &format!("{HEAD}allow if to_number(\"one\") == 1\n\nallow if not to_number(\"one\") == 2\n"),
        "policy_error",
    )
    .await;
}

#[tokio::test]
async fn a_policy_that_does_not_end_is_no() {
    let slow = "allow if {\n\tsome a in numbers.range(1, 5000)\n\tsome b in numbers.range(1, 5000)\n\ta * b == -1\n}\n";
    is_denied(&format!("{HEAD}{slow}"), "policy_budget").await;
}

#[tokio::test]
async fn a_reason_of_the_policys_own_reaches_the_caller() {
    is_denied(&format!("{HEAD}allow := true\n\ndeny contains \"books_are_closed\" if input.call.arguments.amount_cents > 0\n"), "books_are_closed").await;
}

#[tokio::test]
async fn a_guard_holds_for_every_call() {
    let mut policy = policies::ledger();
    policy.push((
        "guard/freeze.rego",
        "package guard\n\ndeny contains \"frozen\" if input.subject.sub == \"alice\"\n".into(),
    ));
    let world = World::with_policy(policy).await;
    assert_eq!(world.clerk().post_entry(1).await.refused_because(), "frozen");
    assert!(world.ledger.received().is_empty());
}

#[tokio::test]
async fn an_obligation_that_is_not_known_is_no() {
    is_denied(
        &format!("{HEAD}allow := true\n\nobligations := {{\"colour\": \"blue\"}}\n"),
        "unknown_obligation",
    )
    .await;
}

#[tokio::test]
async fn an_obligation_chooses_scopes_and_keeps_arguments() {
    let text = format!(
        "{HEAD}allow := true\n\nobligations := {{\"scopes\": [\"ledger:read_balance\"], \"audit\": \"full\"}}\n"
    );
    let world = World::with_policy(policies::with_post_entry(&text)).await;
    assert_eq!(world.clerk().post_entry(1).await.result(), "posted");
    let record = world.only_record();
    assert_eq!(record["credential"]["scopes"], json!(["ledger:read_balance"]));
    assert_eq!(record["arguments"], r#"{"amount_cents":1}"#);
}

#[tokio::test]
async fn an_audience_that_is_not_configured_is_no() {
    is_denied(
        &format!("{HEAD}allow := true\n\nobligations := {{\"audience\": \"https://elsewhere.test\"}}\n"),
        "policy_error",
    )
    .await;
}

#[tokio::test]
async fn a_changed_policy_is_used_at_once_and_a_broken_one_never() {
    let world = World::start().await;
    let clerk = world.clerk();
    assert_eq!(clerk.post_entry(500).await.result(), "posted");

    world
        .change_policy(
            "tools/ledger/post_entry.rego",
            &policies::post_entry("input.call.arguments.amount_cents <= 100"),
        )
        .await;
    assert_eq!(clerk.post_entry(500).await.refused_because(), "not_allowed");
    let revision = world.gateway.policy_revision();

    world
        .change_policy("tools/ledger/post_entry.rego", "package tools.ledger.post_entry\n\nallow if {{{\n")
        .await;
    assert_eq!(world.gateway.policy_revision(), revision, "the last good set stays");
    assert_eq!(clerk.post_entry(500).await.refused_because(), "not_allowed");
    assert_eq!(clerk.post_entry(100).await.result(), "posted");
    assert_eq!(world.records("policy_swapped").len(), 1);
    assert!(world.records("policy_refused")[0]["cause"].as_str().unwrap().contains("post_entry.rego"));
}

#[tokio::test]
async fn resources_whose_conditions_differ_are_not_subscribed_to_in_one_call() {
    let by_uri = "package resources.ledger

visible := true

allow := true

obligations := {\"scopes\": [\"ledger:resources\"], \"audit\": audit}

default audit := \"digest\"

audit := \"full\" if endswith(input.call.resource.uri, \"secret\")
";
    let mut policy = policies::ledger();
    policy.push(("resources/ledger.rego", by_uri.into()));
    let world = World::with_policy(policy).await;
    let listen = async |uris: serde_json::Value| {
        send(
            world
                .clerk()
                .rpc("subscriptions/listen", json!({"notifications": {"resourceSubscriptions": uris}})),
        )
        .await
    };
    assert_eq!(listen(json!(["l://a", "l://b"])).await.status, 200);
    assert_eq!(listen(json!(["l://a", "l://secret"])).await.refused_because(), "policy_error");
    assert_eq!(world.ledger.received().len(), 1);
}

#[tokio::test]
async fn many_slow_decisions_share_one_time() {
    let slow = "package resources.ledger

visible := true

allow if {
	input.call.resource.uri
	not never
}

never if {
	some a in numbers.range(1, 60)
	some b in numbers.range(1, 60)
	a * b == -1
}
";
    let mut policy = policies::ledger();
    policy.push(("resources/ledger.rego", slow.into()));
    let world = World::with(Plan { policy, limits: "{decisions_timeout: 10ms}", ..Plan::default() }).await;
    let listen = async |count: usize| {
        let uris: Vec<_> = (0..count).map(|number| format!("l://{number}")).collect();
        send(
            world
                .clerk()
                .rpc("subscriptions/listen", json!({"notifications": {"resourceSubscriptions": uris}})),
        )
        .await
    };
    assert_eq!(listen(32).await.refused_because(), "policy_budget");
    assert!(world.ledger.received().is_empty());
    assert_eq!(listen(1).await.status, 200);
}

/// A policy for the clerk's posting that reads the scopes of its subject.
fn needing(scope: &str) -> Vec<(&'static str, String)> {
    let text = format!(
        "package tools.ledger.post_entry

visible if input.caller.path == [\"agent\", \"clerk\"]

allow if input.call.arguments.amount_cents <= 1000

needs_scopes contains \"{scope}\"
"
    );
    policies::with_post_entry(&text)
}

#[tokio::test]
async fn a_call_that_lacks_a_scope_hears_which() {
    let world = World::with_policy(needing("ledger_writing")).await;
    let reply = world.clerk().post_entry(1).await;
    assert_eq!((reply.status, reply.refused_because().as_str()), (403, "insufficient_scope"));
    assert_eq!(reply.json()["error"]["data"]["scopes"], json!(["ledger_writing"]));
    let metadata = format!("{}/.well-known/oauth-protected-resource/mcp/ledger", world.url);
    let challenge = format!(
        "Bearer resource_metadata=\"{metadata}\", error=\"insufficient_scope\", scope=\"ledger_writing\""
    );
    assert_eq!(reply.header("www-authenticate"), Some(challenge.as_str()));
    assert!(world.ledger.received().is_empty());
    let record = world.only_record();
    assert_eq!((&record["decision"], &record["reason"]), (&json!("denial"), &json!("insufficient_scope")));

    // The scope that alice's token has.
    let world = World::with_policy(needing("bookkeeping")).await;
    assert_eq!(world.clerk().post_entry(1).await.result(), "posted");
}

#[tokio::test]
async fn nobody_is_sent_for_a_scope_that_would_not_help() {
    let world = World::with_policy(needing("ledger_writing")).await;
    for reply in [
        world.clerk().post_entry(1001).await,
        world.agent("agent/intern").with_token(&world.token("agent/intern")).post_entry(1).await,
    ] {
        assert_eq!((reply.status, reply.refused_because().as_str()), (200, "not_allowed"));
        assert_eq!(reply.header("www-authenticate"), None);
    }
    assert!(world.ledger.received().is_empty());
}

/// Nobody else's: only the clerk's calls loop.
const LOOPS_FOR_THE_CLERK: &str = "package tools.ledger.post_entry

visible := true

allow if input.caller.path == [\"agent\", \"intern\"]

allow if {
	input.caller.path == [\"agent\", \"clerk\"]
	some a in numbers.range(1, 9999)
	some b in numbers.range(1, 9999)
	a * b == -1
}
";

#[tokio::test]
async fn a_policy_that_loops_slows_nobody_else() {
    let mut policy = policies::with_post_entry(LOOPS_FOR_THE_CLERK);
    let other_tool = LOOPS_FOR_THE_CLERK.replace("post_entry", "void_entry");
    policy.push(("tools/ledger/void_entry.rego", other_tool));
    let options = ", budget: 500ms";
    let limits = "{slow_decisions_max: 1, slow_queue_max: 32}";
    let world = World::with(Plan { policy, policy_options: options, limits, ..Plan::default() }).await;
    let intern = world.agent("agent/intern").with_token(&world.token("agent/intern"));
    assert_eq!(intern.post_entry(1).await.result(), "posted");

    // A caller's share of the lane is four places, whatever it calls; three more find none.
    let (said, mut heard) = tokio::sync::mpsc::unbounded_channel();
    for number in 0..7 {
        let (clerk, said) = (world.clerk(), said.clone());
        let tool = if number % 2 == 0 { "post_entry" } else { "void_entry" };
        let call = json!({"name": tool, "arguments": {"amount_cents": 1}});
        tokio::spawn(async move { said.send(send(clerk.rpc("tools/call", call)).await.refused_because()) });
    }
    for _ in 0..4 {
        assert_eq!(heard.recv().await.unwrap(), "policy_budget"); // The three, and the first that had its turn.
    }
    for number in 0..10 {
        assert_eq!(intern.post_entry(number).await.result(), "posted");
    }
    assert!(heard.len() < 3, "the last of the clerk's calls still waits for its turn");
    drop(said);
    while let Some(reason) = heard.recv().await {
        assert_eq!(reason, "policy_budget");
    }
    assert_eq!(world.ledger.received().len(), 11);
}

#[tokio::test]
async fn a_list_that_loops_slows_nobody_else_and_shows_nothing() {
    let visible = "package tools.ledger.post_entry

visible if {
	some a in numbers.range(1, 9999)
	some b in numbers.range(1, 9999)
	a * b == -1
}

allow := true
";
    let world = World::with(Plan {
        policy: policies::with_post_entry(visible),
        limits: "{decisions_timeout: 200ms}",
        ..Plan::default()
    })
    .await;
    let list = send(world.clerk().rpc("tools/list", json!({}))).await.json();
    assert_eq!(list["result"]["tools"], json!([]));
}
