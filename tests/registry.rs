//! Who there is to talk to, for this caller: an agent is listed if policy shows it, and who may see nobody hears of nobody.

use reqwest::Method;
use serde_json::{Value, json};
use world::agent::send;
use world::{Agent, Plan, Reply, World, policies};

fn plan() -> Plan {
    Plan {
        policy: policies::trainer_for("clerk"),
        trainer: Some("health: {interval: 0s}"),
        ..Plan::default()
    }
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
        "bindings": ["JSONRPC", "HTTP+JSON", "GRPC"],
        "versions": ["1.0", "0.3"],
        "card": format!("{url}/.well-known/agent-card.json"),
        "health": "unknown",
    }]});
    assert_eq!(reply.json(), listed);
    assert!(reply.header("cache-control").unwrap().starts_with("private"), "a list is nobody else's");
    let auditor = world.agent("agent/auditor").with_token(&world.token("agent/auditor"));
    assert_eq!(
        names(&list(&auditor, "").await),
        [""; 0],
        "and no 403, which would say that there is somebody"
    );
    assert_eq!(world.trainer.received().len(), 0, "an agent is not asked whether it wants to be found");
    let records = world.records("request");
    let told =
        |r: &Value| (r["method"].clone(), r["count"].clone(), r["status"].clone(), r["caller"].clone());
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
    assert_eq!(
        names(&list(&clerk, "").await),
        [""; 0],
        "the policy shows the trainer to whom acts for a person"
    );
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
    for (query, found) in
        [("?", true), ("?q=RAIN", true), ("?q=snow", false), ("?tag=ml", false), ("?skill=fit", false)]
    {
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
async fn an_agent_is_found_by_what_its_card_says() {
    let world = World::with(plan()).await;
    let skill = json!({"id": "fit", "name": "Fit", "description": "Fits a model.", "tags": ["ml"]});
    world.trainer.shows(Some(json!({
        "name": "trainer", "description": "Trains models.", "version": "1.0.0", "skills": [skill],
        "supportedInterfaces": [
            {"url": "https://trainer.internal/a2a", "protocolBinding": "JSONRPC", "protocolVersion": "1.0"},
        ],
        "capabilities": {}, "defaultInputModes": ["text/plain"], "defaultOutputModes": ["text/plain"],
    })));
    let mut changes = world.gateway.reloads();
    changes.wait_for(|_| world.gateway.card("trainer").is_some()).await.unwrap();
    for (query, found) in [
        ("?tag=ml", true),
        ("?tag=mlx", false),
        ("?skill=fit", true),
        ("?q=models", true),
        ("?q=modelx", false),
    ] {
        assert_eq!(names(&list(&world.clerk(), query).await).len(), usize::from(found), "{query}");
    }
    let listed = list(&world.clerk(), "").await.json();
    assert_eq!(listed["agents"][0]["skills"], json!([{"id": "fit", "name": "Fit", "tags": ["ml"]}]));
    assert_eq!(listed["agents"][0]["versions"], json!(["1.0"]), "in no other it says that it can be called");
}

#[tokio::test]
async fn an_agent_that_is_revoked_is_not_found_and_what_policy_hides_neither() {
    let world = World::with(plan()).await;
    assert_eq!(names(&list(&world.clerk(), "").await), ["trainer"]);
    world
        .change_policy("agents/trainer.rego", "package agents.trainer\n\nallow if true\n\nvisible := false\n")
        .await;
    assert_eq!(names(&list(&world.clerk(), "").await), [""; 0]);
    world
        .change_policy("agents/trainer.rego", "package agents.trainer\n\nallow if true\n\nvisible := true\n")
        .await;
    assert_eq!(names(&list(&world.clerk(), "").await), ["trainer"]);
    world.revoke(&["--spiffe-id", &world.id("agent/trainer").to_string()]).await;
    assert_eq!(names(&list(&world.clerk(), "").await), [""; 0]);
}

#[tokio::test]
async fn agents_come_and_go_without_a_restart_and_a_mistake_changes_nothing() {
    let world = World::with(plan()).await;
    let clerk = world.clerk();
    let call = async |name: &str| {
        let message = world::a2a::message("hello");
        let body =
            json!({"jsonrpc": "2.0", "id": 7, "method": "SendMessage", "params": {"message": message}});
        send(clerk.post(&format!("/a2a/{name}"), body.to_string()).header("a2a-version", "1.0")).await
    };
    let policy = &policies::trainer_for("clerk")[1].1;
    world.change_policy("agents/coach.rego", &policy.replace("agents.trainer", "agents.coach")).await;
    assert_eq!(call("coach").await.refused_because(), "not_allowed");
    let with_coach = |text: String| {
        let scopes = "    scopes: {SendMessage: [\"trainer:SendMessage\"]}\n";
        let at = text.find("  trainer:\n").unwrap();
        let (before, trainer) = text.split_at(at);
        let (trainer, after) = trainer.split_once("tasks:").unwrap();
        let coach = format!("{}\n{scopes}", trainer.replace("  trainer:", "  coach:").trim_end());
        format!("{before}{trainer}{coach}tasks:{after}")
    };
    world.rewrite(with_coach).await;
    assert_eq!(names(&list(&clerk, "").await), ["coach", "trainer"]);
    assert!(call("coach").await.json()["result"]["task"].is_object());

    world.rewrite(|text| text.replace("  coach:\n", "  Coach:\n")).await;
    assert_eq!(names(&list(&clerk, "").await), ["coach", "trainer"], "the last good ones stay");
    let reached = world.trainer.received().len();
    world
        .rewrite(|text| {
            let (before, rest) = text.split_once("  Coach:\n").unwrap();
            format!("{before}tasks:{}", rest.split_once("tasks:").unwrap().1)
        })
        .await;
    assert_eq!(names(&list(&clerk, "").await), ["trainer"]);
    assert_eq!(call("coach").await.refused_because(), "not_allowed");
    assert_eq!(world.trainer.received().len(), reached, "who was taken off hears nothing more");

    let told = |kind: &str| -> Vec<String> {
        world.records(kind).iter().map(|r| r["cause"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(told("agents_swapped"), ["coach, trainer", "trainer"]);
    let refused = told("agents_refused");
    assert!(refused.len() == 1 && refused[0].starts_with("agents.Coach: "), "{refused:?}");
}

#[tokio::test]
async fn an_agent_that_is_down_is_said_to_be_and_is_tried_all_the_same() {
    let plan = Plan { trainer: Some("health: {interval: 100ms, timeout: 1s}"), ..plan() };
    let world = World::with(plan).await;
    let health =
        async || list(&world.clerk(), "").await.json()["agents"][0]["health"].as_str().unwrap().to_owned();
    let becomes = async |wanted: &str| {
        while health().await != wanted {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    becomes("up").await;
    let metrics = async || {
        let (_, text) = world.probe().get("/metrics").await;
        text.lines().find(|line| line.starts_with("sallyport_agent_up{")).unwrap_or_default().to_owned()
    };
    assert_eq!(metrics().await, "sallyport_agent_up{agent=\"trainer\"} 1");
    world.trainer.stop();
    becomes("down").await;
    assert_eq!(metrics().await, "sallyport_agent_up{agent=\"trainer\"} 0");
    let message = json!({"message": world::a2a::message("hello")});
    let called =
        world.caller("agent/clerk", "alice", world::a2a::Wire::Rpc).call("SendMessage", &message).await;
    assert!(called.refused_because().starts_with("upstream_"), "no health denies a call: {called:?}");
    let down = world.records("agent_down");
    assert_eq!(down.len(), 1);
    assert!(down[0]["cause"].as_str().unwrap().starts_with("trainer: "), "{down:?}");
    world.rewrite(|text| text.replace("interval: 100ms", "interval: 0s")).await;
    becomes("unknown").await;
    assert_eq!(metrics().await, "");
}

#[tokio::test]
async fn how_often_it_is_looked_whether_an_agent_answers_has_bounds() {
    let world = World::with(plan()).await;
    let written = std::fs::read_to_string(world.path("sallyport.yaml")).unwrap();
    let path = world.path("other.yaml");
    for (health, wrong) in [
        ("{interval: 100ms, timeout: 60s}", None),
        ("{interval: 99ms}", Some("agents.trainer.health.interval")),
        ("{interval: 25h}", Some("agents.trainer.health.interval")),
        ("{interval: often}", Some("agents.trainer.health.interval")),
        ("{interval: 0s, timeout: 61s}", Some("agents.trainer.health.timeout")),
    ] {
        std::fs::write(&path, written.replace("{interval: 0s}", health)).unwrap();
        let found = gateway::config::load(&path).err().unwrap_or_default();
        assert_eq!(found.first().map(|problem| problem.path.as_str()), wrong, "{health}: {found:?}");
    }
}
