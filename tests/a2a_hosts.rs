//! Over gRPC an agent may have a host name of the gateway for itself. The host says who is called, and the tenant is the agent's.

use crate::a2a::heard;
use reqwest::Method;
use serde_json::{Value, json};
use world::a2a::{Wire, message, task_in};
use world::agent::send;
use world::grpc::asked;
use world::{HOST, Plan, World, policies};

/// The trainer has a host, and beside it is another agent that has none.
const HOSTS: &str = "host: trainer.gateway.test
    card: {refresh: 100ms}
  coach:
    interfaces: {grpc: \"https://LEDGER\"}
    spiffe_id: spiffe://bank.test/mcp/ledger
    scopes: {SendMessage: [\"ledger:post_entry\"]}
    health: {interval: 0s}";

fn plan() -> Plan {
    let mut policy = policies::trainer();
    policy.push(("agents/coach.rego", "package agents.coach\n\nallow if true\n".into()));
    Plan { policy, trainer: Some(HOSTS), ..Plan::default() }
}

/// A message, from a caller with this tenant.
fn sent(tenant: &str) -> Value {
    json!({"message": message("train"), "tenant": tenant})
}

fn last_record(world: &World) -> Value {
    world.records("request").pop().unwrap()
}

#[tokio::test]
async fn an_agent_is_called_at_its_host_and_the_tenant_goes_on_as_it_came() {
    let world = World::with(plan()).await;
    let port = world.gateway.address().port();
    for authority in [HOST.to_owned(), format!("{HOST}:{port}"), "Trainer.GATEWAY.test:1".into()] {
        for tenant in ["", "trainer", "trainer/two", "coach", "a tenant / of its own"] {
            let reply = asked(&world, "agent/clerk", &authority, "SendMessage", &sent(tenant)).await;
            assert!(task_in(&reply).starts_with("task-"), "{authority} {tenant}: {reply:?}");
            let received = world.trainer.received().pop().unwrap().json();
            let found = received["params"]["tenant"].as_str().unwrap_or_default();
            assert_eq!(found, tenant, "{authority}");
            assert_eq!(
                (&last_record(&world)["server"], &last_record(&world)["decision"]),
                (&json!("trainer"), &json!("permit"))
            );
        }
    }
}

#[tokio::test]
async fn at_a_host_that_is_nobodys_the_tenant_names_the_agent_and_nobody_hears_which_hosts_there_are() {
    let world = World::with(plan()).await;
    let near = "trainers.gateway.test";
    let named = asked(&world, "agent/clerk", near, "SendMessage", &sent("trainer/two")).await;
    assert!(task_in(&named).starts_with("task-"), "{named:?}");
    assert_eq!(world.trainer.received()[0].json()["params"]["tenant"], "two");
    // The same words to two hosts: at its own they are for the trainer, at the other for the coach.
    let there = asked(&world, "agent/clerk", near, "SendMessage", &sent("coach")).await;
    assert_eq!(
        (last_record(&world)["server"].clone(), there.code()),
        (json!("coach"), 14),
        "that one speaks no gRPC"
    );
    assert_eq!(world.trainer.received().len(), 1);

    for tenant in ["", "nobody", "Not-a-name", "trainer"] {
        let here = asked(&world, "agent/stranger", HOST, "SendMessage", &sent(tenant)).await;
        let denied = last_record(&world);
        let there = asked(&world, "agent/stranger", near, "SendMessage", &sent(tenant)).await;
        assert_eq!((here.code(), here.refused_because()), (7, "not_allowed".into()), "{tenant}");
        assert_eq!(heard(&here), heard(&there), "{tenant}");
        assert_eq!((&denied["server"], &denied["decision"]), (&json!("trainer"), &json!("denial")));
    }
    let unnamed = asked(&world, "agent/clerk", near, "SendMessage", &sent("")).await;
    assert_eq!((unnamed.code(), unnamed.refused_because()), (7, "not_allowed".into()));
    assert_eq!(last_record(&world)["server"], json!(null));
    assert_eq!(world.trainer.received().len(), 1, "the agent hears nothing of them");
}

#[tokio::test]
async fn a_task_is_one_whether_its_agent_is_named_by_host_or_by_tenant() {
    let world = World::with(plan()).await;
    let task = task_in(&asked(&world, "agent/clerk", HOST, "SendMessage", &sent("")).await);
    for wire in Wire::ALL {
        let alice = world.caller("agent/clerk", "alice", wire).call("GetTask", &json!({"id": task})).await;
        assert_eq!(task_in(&alice), task, "{wire:?}");
    }
    let reached = world.trainer.received().len();
    let other = asked(&world, "agent/auditor", HOST, "GetTask", &json!({"id": task})).await;
    assert_eq!(other.refused_because(), "task_not_found");
    assert_eq!(world.trainer.received().len(), reached);
}

#[tokio::test]
async fn grpc_is_spoken_over_http2_and_no_other() {
    let world = World::with(plan()).await;
    for (alpn, status) in [(&b"h2"[..], "0"), (b"http/1.1", "12")] {
        let alice = world::a2a::Caller { agent: world.clerk_over(alpn), wire: Wire::Grpc };
        let response = alice.request("SendMessage", &sent("")).send().await.unwrap();
        let told = response.headers().get("grpc-status").map(|status| status.to_str().unwrap().to_owned());
        assert_eq!(told.as_deref().unwrap_or("0"), status);
    }
    assert_eq!(world.trainer.received().len(), 1);
    assert_eq!(last_record(&world)["reason"], "not_found");
}

#[tokio::test]
async fn card_and_list_say_the_host() {
    let world = World::with(plan()).await;
    let interface =
        |url: &str, binding: &str| json!({"url": url, "protocolBinding": binding, "protocolVersion": "1.0"});
    world.trainer.shows(Some(json!({
        "name": "trainer", "description": "Trains.", "version": "1.0.0", "skills": [], "capabilities": {},
        "defaultInputModes": ["text/plain"], "defaultOutputModes": ["text/plain"],
        "supportedInterfaces": [interface("https://t.internal/a2a", "JSONRPC"), interface("https://t.internal:5", "GRPC")],
    })));
    world.gateway.reloads().wait_for(|_| world.gateway.card("trainer").is_some()).await.unwrap();
    let get = async |path: &str| send(world.clerk().request(Method::GET, path)).await.json();
    let card = get("/a2a/trainer/.well-known/agent-card.json").await;
    let port = world.gateway.address().port();
    let at_the_host = format!("https://{HOST}:{port}");
    let wanted =
        [interface(&format!("{}/a2a/trainer", world.url), "JSONRPC"), interface(&at_the_host, "GRPC")];
    assert_eq!(card["supportedInterfaces"], json!(wanted));
    let listed = get("/a2a").await;
    let grpc: Vec<&Value> = listed["agents"].as_array().unwrap().iter().map(|agent| &agent["grpc"]).collect();
    assert_eq!(grpc, [&Value::Null, &json!(at_the_host)], "the coach is named by the tenant");
}

#[tokio::test]
async fn a_host_is_a_name_of_its_own_and_one_agents() {
    let world = World::with(plan()).await;
    let written = std::fs::read_to_string(world.path("sallyport.yaml")).unwrap();
    let problems = |text: String| -> Vec<String> {
        std::fs::write(world.path("other.yaml"), text).unwrap();
        let problems = gateway::config::load(&world.path("other.yaml")).err().unwrap_or_default();
        problems.into_iter().map(|problem| problem.path).collect()
    };
    let with =
        |host: &str| problems(written.replace("host: trainer.gateway.test", &format!("host: {host:?}")));
    for good in ["trainer.gateway.test", "t.x", "a-1.2b.example", "xn--bcher-kva.example"] {
        assert_eq!(with(good), [""; 0], "{good}");
    }
    let long = format!("{}.example", "a".repeat(64));
    for bad in [
        "",
        "trainer",
        "Trainer.example",
        "-a.example",
        "a-.example",
        "a..example",
        "a.example.",
        "a_b.example",
        "a.example:1",
        "10.0.0.7",
        "a.0x7",
        "https://a.example",
        "bücher.example",
        &long,
    ] {
        assert_eq!(with(bad), ["agents.trainer.host"], "{bad}");
    }
    let twice = written.replace("  coach:\n", "  coach:\n    host: TRAINER.gateway.test\n");
    assert_eq!(problems(twice), ["agents.coach.host", "agents.trainer.host"], "in capitals, and not its own");
    let own = written.replace("url: https://127.0.0.1", "url: https://trainer.gateway.test");
    assert_eq!(problems(own), ["agents.trainer.host"]);
    let interfaces = written.lines().find(|line| line.contains("jsonrpc:")).unwrap();
    let without = written
        .replace(interfaces, interfaces.split(", grpc").next().unwrap())
        .replace("/rest\"", "/rest\"}");
    assert_eq!(problems(without), ["agents.trainer.host"], "no gRPC, no host");
}
