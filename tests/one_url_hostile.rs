//! All servers at one URL, where one of them means no good: it spoils its own part of a list and nobody else's.

use crate::one_url::{at_one_url, names, not_found, policy, serves, three};
use http::Method;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use world::agent::send;
use world::{Answer, McpServer, Plan, Received, Reply, World};

async fn list(world: &World) -> Reply {
    send(at_one_url(world, "agent/clerk").rpc("tools/list", json!({}))).await
}

fn result(received: &Received, result: &Value) -> Answer {
    Answer::Json(json!({"jsonrpc": "2.0", "id": received.json()["id"], "result": result}))
}

fn cause(world: &World) -> Value {
    world.records("request").pop().unwrap()["cause"].clone()
}

fn asked(server: &McpServer) -> usize {
    server
        .received()
        .iter()
        .filter(|r| r.method == Method::POST && r.json()["method"] == "tools/list")
        .count()
}

#[tokio::test]
async fn a_server_that_writes_the_gateways_refusals_has_failed() {
    let world = three(Plan::default()).await;
    for (status, code, reason) in [
        (200, -32004, "audit_unavailable"),
        (404, -32004, "audit_unavailable"),
        (200, -32003, "not_allowed"),
        (200, -32006, "invalid_token"),
        (200, -32005, "too_many_sessions"),
        (404, -32600, "session_not_found"),
    ] {
        world.agents["vault"].answers(move |received| {
            let error = json!({"code": code, "message": "denied", "data": {"reason": reason}});
            let body = json!({"jsonrpc": "2.0", "id": received.json()["id"], "error": error});
            let answer = http::Response::builder().status(status).header("content-type", "application/json");
            Answer::Raw(answer.body(body.to_string()).unwrap())
        });
        let reply = list(&world).await;
        assert_eq!(reply.status, 200, "{code} {reason}: {}", reply.text);
        let listed = &reply.json()["result"];
        assert_eq!(names(listed), ["ledger__post_entry", "notes__ask"], "{code} {reason}");
        assert_eq!(listed["_meta"], json!({"dev.sallyport/incomplete": true}), "{code} {reason}");
        assert_eq!(cause(&world), "left out: vault (failed)");
    }
    world.agents["vault"].answers(|received| not_found(&received.json()));
    assert_eq!(list(&world).await.json()["result"]["_meta"], Value::Null, "it may have no such list");
}

/// A list whose one tool has a long title, and which goes on and on if it is said to.
fn long(received: &Received, tool: &str, bytes: usize, goes_on: bool) -> Answer {
    let mut listed = json!({"tools": [{"name": tool, "title": "x".repeat(bytes)}]});
    if goes_on {
        listed["nextCursor"] = json!("more");
    }
    result(received, &listed)
}

#[tokio::test]
async fn a_server_with_a_long_list_takes_nobodys_room() {
    let world = three(Plan { limits: "{merged_list_bytes_max: 6000}", ..Plan::default() }).await;
    world.ledger.answers(|received| long(received, "post_entry", 4000, false));
    let all = ["ledger__post_entry", "notes__ask", "vault__ask"];
    assert_eq!(names(&list(&world).await.json()["result"]), all, "what others leave of theirs may be had");
    world.ledger.answers(|received| long(received, "post_entry", 5700, false));
    assert_eq!(names(&list(&world).await.json()["result"]), all[1..]);
    assert_eq!(cause(&world), "left out: ledger (too_long)");
    world.agents["vault"].answers(|received| long(received, "ask", 2500, false));
    world.ledger.answers(|received| long(received, "post_entry", 2500, false));
    assert_eq!(names(&list(&world).await.json()["result"]), all, "two of them, too");
}

#[tokio::test]
async fn pages_are_asked_for_only_while_there_is_room() {
    let world = three(Plan { limits: "{merged_list_bytes_max: 6000}", ..Plan::default() }).await;
    world.agents["vault"].answers(|received| long(received, "ask", 1500, true));
    assert_eq!(names(&list(&world).await.json()["result"]), ["ledger__post_entry", "notes__ask"]);
    assert_eq!(cause(&world), "left out: vault (too_long)");
    let asked = asked(&world.agents["vault"]);
    assert!(asked <= 6, "{asked} pages of 1500 bytes, of 6000 and not of 32 times that");
}

#[tokio::test]
async fn policy_has_its_time_once_for_a_list_and_each_server_its_share() {
    let mut policy = policy();
    let slow = "\tsome a in numbers.range(1, 300)\n\tsome b in numbers.range(1, 300)\n\ta * b == 0 - count(input.call.tool.name)\n";
    policy.push(("tools/vault.rego", format!("package tools.vault\n\nvisible if {{\n{slow}}}\n")));
    let options = ", budget: 1s";
    let limits = "{decisions_timeout: 300ms}";
    let plan =
        Plan { policy, agents: &["notes", "vault"], policy_options: options, limits, ..Plan::default() };
    let world = World::with(plan).await;
    world.agents["notes"].answers(|received| serves(received, "notes", &["ask"]));
    world.agents["vault"].answers(|received| {
        let page: usize = received.json()["params"]["cursor"].as_str().map_or(0, |at| at.parse().unwrap());
        let tools: Vec<_> = (0..50).map(|n| json!({"name": format!("slow{page}x{n}")})).collect();
        result(received, &json!({"tools": tools, "nextCursor": (page + 1).to_string()}))
    });
    let listed = list(&world).await.json()["result"].clone();
    assert_eq!(names(&listed), ["ledger__post_entry", "notes__ask"]);
    assert_eq!(listed["_meta"], json!({"dev.sallyport/incomplete": true}));
    assert_eq!(cause(&world), "left out: vault (undecided)");
    assert!(asked(&world.agents["vault"]) < 32, "not each page has all of the time");
}

#[tokio::test]
async fn so_many_lists_are_put_together_at_once() {
    let world = three(Plan { limits: "{merged_lists_max: 1}", ..Plan::default() }).await;
    let (asked, mut waits) = mpsc::unbounded_channel();
    world.agents["vault"].answers(move |_| {
        let (pieces, answer) = mpsc::channel(1);
        asked.send(pieces).unwrap();
        Answer::Pieces(answer)
    });
    let another = async {
        let pieces = waits.recv().await.unwrap();
        let refused = list(&world).await;
        pieces.send(Ok(r#"{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"ask"}]}}"#)).await.unwrap();
        refused
    };
    let (first, refused) = tokio::join!(list(&world), another);
    assert_eq!(names(&first.json()["result"]).len(), 3);
    assert_eq!((refused.status, refused.refused_because().as_str()), (503, "too_many_lists"));
    assert_eq!(refused.header("retry-after"), Some("1"));
    assert_eq!(world.records("request")[0]["reason"], "too_many_lists");
    assert_eq!(world.records("part").len(), 3, "nobody was asked for it");
    world.agents["vault"].answers(|received| serves(received, "vault", &["ask"]));
    assert_eq!(list(&world).await.status, 200);
}

#[tokio::test]
async fn what_servers_list_twice_is_said_once_in_the_record() {
    let mut all = policy();
    for server in ["notes", "vault"] {
        let name = format!("resources/{server}.rego");
        all.push((
            Box::leak(name.into_boxed_str()),
            format!("package resources.{server}\n\nallow := true\n"),
        ));
    }
    let world = World::with(Plan { policy: all, agents: &["notes", "vault"], ..Plan::default() }).await;
    world.ledger.answers(|received| not_found(&received.json()));
    let listed = async |notes: usize, vault: usize| {
        for (server, count) in [("notes", notes), ("vault", vault)] {
            world.agents[server].answers(move |received| {
                let own = json!({"uri": format!("doc://{server}"), "name": "n"});
                let mut resources = vec![own.clone(), own];
                resources.resize(2 + count, json!({"uri": "doc://both", "name": "n"}));
                result(received, &json!({ "resources": resources }))
            });
        }
        let reply = send(at_one_url(&world, "agent/clerk").rpc("resources/list", json!({}))).await;
        let resources = reply.json()["result"]["resources"].as_array().unwrap().clone();
        resources.iter().map(|r| r["uri"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let own = ["doc://notes", "doc://notes", "doc://vault", "doc://vault"];
    assert_eq!(listed(2000, 1).await, own);
    assert_eq!(cause(&world), "left out: notes (ambiguous), vault (ambiguous)");
    assert_eq!(listed(0, 0).await, own, "one server may list one twice");
    assert_eq!(cause(&world), Value::Null);
}

#[tokio::test]
async fn a_resource_is_read_nowhere_while_one_servers_policy_cannot_say_whose_it_is() {
    let fails = "allow if to_number(input.call.resource.uri) == 1\n";
    let slow = "allow if {\n\tsome a in numbers.range(1, 5000)\n\tsome b in numbers.range(1, 5000)\n\ta * b == -1\n}\n";
    let scoped = "needs_scopes contains \"more\"\n\nallow if input.call.resource.uri == \"doc://vault\"\n";
    let denies = "allow if input.call.resource.uri == \"doc://notes\"\n";
    for (notes, status, reason) in [
        (denies, 200, ""),
        (fails, 200, "policy_error"),
        (slow, 200, "policy_budget"),
        (scoped, 400, "ambiguous_resource"),
    ] {
        let mut all = policy();
        all.push(("resources/notes.rego", format!("package resources.notes\n\n{notes}")));
        all.push(("resources/vault.rego", "package resources.vault\n\nallow := true\n".into()));
        let world = World::with(Plan { policy: all, agents: &["notes", "vault"], ..Plan::default() }).await;
        world.agents["vault"].answers(|received| result(received, &json!({"contents": []})));
        let agent = at_one_url(&world, "agent/clerk");
        let reply = send(agent.rpc("resources/read", json!({"uri": "doc://vault"}))).await;
        assert_eq!(reply.status, status, "{notes}: {}", reply.text);
        if reason.is_empty() {
            assert_eq!(reply.json()["result"], json!({"contents": []}));
            continue;
        }
        assert_eq!(reply.refused_because(), reason);
        assert!(world.agents["vault"].received().is_empty(), "{reason}");
        assert_eq!(world.only_record()["reason"], reason);
    }
}
