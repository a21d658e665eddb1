//! Who there is to talk to, for this caller: an agent is listed if policy shows it, and who may see nobody hears of nobody.

use reqwest::Method;
use serde_json::{Value, json};
use world::agent::send;
use world::{Agent, Plan, Reply, World, policies};

fn plan() -> Plan {
    Plan { policy: policies::trainer_for("clerk"), trainer: Some(""), ..Plan::default() }
}

async fn list(agent: &Agent, query: &str) -> Reply {
    send(agent.request(Method::GET, &format!("/a2a{query}"))).await
}

fn names(reply: &Reply) -> Vec<String> {
    assert_eq!(reply.status, 200, "{reply:?}");
    let agents = reply.json()["agents"].as_array().unwrap().clone();
    agents.iter().map(|agent| agent["name"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn whoever_may_talk_to_an_agent_finds_it_and_nobody_else_does() {
    let world = World::with(plan()).await;
    let reply = list(&world.clerk(), "").await;
    let url = format!("{}/a2a/trainer", world.url);
    let listed = json!({"agents": [{
        "name": "trainer",
        "url": url,
        "bindings": ["JSONRPC", "HTTP+JSON"],
        "versions": ["1.0", "0.3"],
        "card": format!("{url}/.well-known/agent-card.json"),
        "health": "unknown",
    }]});
    assert_eq!(reply.json(), listed);
    assert!(reply.header("cache-control").unwrap().starts_with("private"), "a list is nobody else's");
    let auditor = world.agent("agent/auditor").with_token(&world.token("agent/auditor"));
    assert_eq!(names(&list(&auditor, "").await), [""; 0], "and no 403, which would say that there is somebody");
    assert_eq!(world.trainer.received().len(), 0, "an agent is not asked whether it wants to be found");
    let records = world.records("request");
    let told = |r: &Value| (r["method"].clone(), r["count"].clone(), r["status"].clone(), r["caller"].clone());
    let of = |path: &str| json!(world.id(path).to_string());
    let wanted = [("agent/clerk", 1), ("agent/auditor", 0)];
    let wanted = wanted.map(|(path, count)| (json!("agents/list"), json!(count), json!(200), of(path)));
    assert_eq!(records.iter().map(told).collect::<Vec<_>>(), wanted);
    assert_eq!(records[0]["subject"]["sub"], "alice");
}

#[tokio::test]
async fn a_list_needs_no_token_but_takes_no_bad_one() {
    let world = World::with(plan()).await;
    let clerk = world.agent("agent/clerk");
    assert_eq!(names(&list(&clerk, "").await), [""; 0], "the policy shows the trainer to whom acts for a person");
    for wrong in ["x.y.z".to_owned(), world.token("agent/auditor")] {
        let reply = list(&clerk.clone().with_token(&wrong), "").await;
        assert_eq!((reply.status, reply.refused_because()), (401, "invalid_token".into()));
        assert!(reply.header("www-authenticate").unwrap().contains("invalid_token"));
    }
    let one_server = world.token_with("agent/clerk", |claims| claims.audience = "https://elsewhere.test");
    assert_eq!(list(&clerk.with_token(&one_server), "").await.status, 401);
}

#[tokio::test]
async fn agents_are_searched_and_a_query_is_understood_or_refused() {
    let world = World::with(plan()).await;
    let clerk = world.clerk();
    for (query, found) in [("?", true), ("?q=RAIN", true), ("?q=snow", false), ("?tag=ml", false), ("?skill=fit", false)] {
        assert_eq!(names(&list(&clerk, query).await).len(), usize::from(found), "{query}");
    }
    for query in ["?name=trainer", "?q=a&q=b", "?q=", "?q=%ff", "?q=train&limit=1"] {
        let reply = list(&clerk, query).await;
        assert_eq!((reply.status, reply.refused_because()), (400, "query_not_understood".into()), "{query}");
    }
    let foreign = send(clerk.request(Method::GET, "/a2a").header("origin", "https://page.test")).await;
    assert_eq!(foreign.refused_because(), "origin_not_allowed");
    for (method, path) in [(Method::POST, "/a2a"), (Method::DELETE, "/a2a"), (Method::GET, "/a2a/")] {
        assert_eq!(send(clerk.request(method, path)).await.status, 404, "{path}");
    }
}

#[tokio::test]
async fn an_agent_that_is_revoked_is_not_found_and_what_policy_hides_neither() {
    let world = World::with(plan()).await;
    assert_eq!(names(&list(&world.clerk(), "").await), ["trainer"]);
    world.change_policy("agents/trainer.rego", "package agents.trainer\n\nallow if true\n\nvisible := false\n").await;
    assert_eq!(names(&list(&world.clerk(), "").await), [""; 0]);
    world.change_policy("agents/trainer.rego", "package agents.trainer\n\nallow if true\n\nvisible := true\n").await;
    assert_eq!(names(&list(&world.clerk(), "").await), ["trainer"]);
    world.revoke(&["--spiffe-id", &world.id("agent/trainer").to_string()]).await;
    assert_eq!(names(&list(&world.clerk(), "").await), [""; 0]);
}
