//! Sessions at the URL of all servers (before 2026-07-28): how they end, and those behind them, whatever a server does.

use crate::one_url::{at_one_url, names, policy, serves as stateless, three};
use crate::one_url_sessions::{VERSION, call, methods, post, session, with_sessions, world};
use http::{Method, Response};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use world::agent::send;
use world::{Agent, Answer, Plan, Received, Reply, World};

async fn end(agent: &Agent, id: &str) -> Reply {
    let end = agent.request(Method::DELETE, "/mcp").header("mcp-protocol-version", VERSION);
    send(end.header("mcp-session-id", id)).await
}

async fn list(agent: &Agent, id: &str) -> Reply {
    send(post(agent, Some(id), "tools/list", &json!({}))).await
}

/// Accepts a session in a version.
fn accepts(received: &Received, version: &str) -> Answer {
    let said =
        json!({"protocolVersion": version, "capabilities": {}, "serverInfo": {"name": "n", "version": "1"}});
    let body = json!({"jsonrpc": "2.0", "id": received.json()["id"], "result": said});
    let answer =
        Response::builder().header("content-type", "application/json").header("mcp-session-id", "odd");
    Answer::Raw(answer.body(body.to_string()).unwrap())
}

fn is(received: &Received, method: &str) -> bool {
    received.method == Method::POST && received.json()["method"] == method
}

#[tokio::test]
async fn a_session_that_a_server_accepts_and_spoils_is_ended_and_takes_no_place() {
    let world = world(Plan { limits: "{sessions_per_owner_max: 2}", ..Plan::default() }).await;
    let clerk = at_one_url(&world, "agent/clerk");
    let id = session(&clerk).await;
    world.agents["vault"].answers(|received| match received.method {
        Method::DELETE => Answer::Raw(Response::builder().status(405).body(String::new()).unwrap()),
        _ => accepts(received, "1999-01-01"),
    });
    for _ in 0..3 {
        let reply = call(&clerk, &id, "vault__ask", 1).await;
        assert_eq!((reply.status, reply.refused_because().as_str()), (502, "upstream_failed"));
        assert_eq!(methods(&world.agents["vault"]).pop().unwrap(), "DELETE");
    }
    assert_eq!(call(&clerk, &id, "notes__ask", 1).await.result(), "notes-1", "there is a place");
}

#[tokio::test]
async fn a_server_that_forgets_its_sessions_uses_up_no_places() {
    let world = world(Plan { limits: "{sessions_per_owner_max: 2}", ..Plan::default() }).await;
    let clerk = at_one_url(&world, "agent/clerk");
    let id = session(&clerk).await;
    for _ in 0..3 {
        with_sessions(&world.agents["vault"], "vault", "ask"); // It starts again, and knows of none.
        let first = call(&clerk, &id, "vault__ask", 1).await;
        let second = call(&clerk, &id, "vault__ask", 1).await;
        assert!(first.status == 404 || first.result() == "vault-1", "{first:?}");
        assert_eq!(second.result(), "vault-1");
    }
}

#[tokio::test]
async fn an_ended_session_is_gone_and_those_behind_it_whatever_servers_say() {
    let world = world(Plan { limits: "{sessions_per_owner_max: 2}", ..Plan::default() }).await;
    let clerk = at_one_url(&world, "agent/clerk");
    let id = session(&clerk).await;
    assert_eq!(call(&clerk, &id, "vault__ask", 1).await.result(), "vault-1");
    world.agents["vault"]
        .answers(|_| Answer::Raw(Response::builder().status(500).body(String::new()).unwrap()));
    assert_eq!(end(&clerk, &id).await.status, 200);
    for reply in [
        send(post(&clerk, Some(&id), "ping", &json!({}))).await,
        call(&clerk, &id, "notes__ask", 1).await,
        list(&clerk, &id).await,
        end(&clerk, &id).await,
    ] {
        assert_eq!((reply.status, reply.refused_because().as_str()), (404, "session_not_found"));
    }
    assert!(world.agents["notes"].received().is_empty());
    assert_eq!(world.records("request").pop().unwrap()["reason"], "session_not_found");
    let next = session(&clerk).await;
    assert_eq!(call(&clerk, &next, "notes__ask", 1).await.result(), "notes-1", "both places are free");
}

#[tokio::test]
async fn a_server_that_has_started_again_is_listed_in_the_session_that_there_is() {
    let world = world(Plan::default()).await;
    let clerk = at_one_url(&world, "agent/clerk");
    let id = session(&clerk).await;
    let all = ["ledger__post_entry", "notes__ask", "vault__ask"];
    assert_eq!(names(&list(&clerk, &id).await.json()["result"]), all);
    with_sessions(&world.agents["vault"], "vault", "ask"); // It knows of no session.
    let listed = list(&clerk, &id).await.json()["result"].clone();
    assert_eq!((names(&listed).as_slice(), &listed["_meta"]), (&all.map(String::from)[..], &Value::Null));
    let asked = methods(&world.agents["vault"]);
    assert_eq!(asked[3..], ["tools/list", "initialize", "notifications/initialized", "tools/list"]);
    world.agents["vault"].answers(|received| match is(received, "initialize") {
        true => accepts(received, VERSION),
        false => Answer::Raw(Response::builder().status(404).body(String::new()).unwrap()),
    });
    assert_eq!(
        names(&list(&clerk, &id).await.json()["result"]),
        all[..2],
        "it is asked so once, and not for ever"
    );
    assert_eq!(world.records("request").pop().unwrap()["cause"], "left out: vault (failed)");
}

#[tokio::test]
async fn a_call_waits_for_the_beginning_of_its_session_no_longer_than_a_list_may() {
    let world = world(Plan { limits: "{merged_list_timeout: 300ms}", ..Plan::default() }).await;
    let clerk = at_one_url(&world, "agent/clerk");
    let id = session(&clerk).await;
    let (held, _closed) = mpsc::channel(1);
    world.agents["vault"].answers(move |_| Answer::Silence(held.clone()));
    let reply = call(&clerk, &id, "vault__ask", 1).await;
    assert_eq!((reply.status, reply.refused_because().as_str()), (504, "upstream_timeout"));
    assert_eq!(methods(&world.agents["vault"]), ["initialize"]);
    assert_eq!(world.records("request").pop().unwrap()["reason"], "upstream_timeout");
}

#[tokio::test]
async fn nobody_waits_for_the_end_of_what_a_server_says_to_a_notification() {
    let world = world(Plan::default()).await;
    let clerk = at_one_url(&world, "agent/clerk");
    let id = session(&clerk).await;
    let (events, stream) = mpsc::channel(1);
    let mut stream = Some(stream);
    world.agents["vault"].answers(move |received| {
        if is(received, "notifications/initialized") {
            return Answer::Events(stream.take().unwrap());
        }
        if is(received, "initialize") {
            accepts(received, VERSION)
        } else {
            stateless(received, "vault", &["ask"])
        }
    });
    assert_eq!(call(&clerk, &id, "vault__ask", 1).await.result(), "vault");
    drop(events);
}

/// A world in whose vault a session takes as long to begin as whoever has the other end wants.
async fn slow_to_begin()
-> (World, mpsc::UnboundedReceiver<mpsc::Sender<Result<&'static str, std::io::Error>>>) {
    let world = three(Plan { audit: "required", ..Plan::default() }).await;
    let (asked, waits) = mpsc::unbounded_channel();
    world.agents["vault"].answers(move |received| {
        if !is(received, "initialize") {
            return stateless(received, "vault", &["ask"]);
        }
        let (pieces, answer) = mpsc::channel(1);
        asked.send(pieces).unwrap();
        Answer::Pieces(answer)
    });
    (world, waits)
}

const BEGUN: &str = r#"{"jsonrpc":"2.0","id":1,"result":{"protocolVersion":"2025-11-25","capabilities":{},"serverInfo":{"name":"n","version":"1"}}}"#;

#[tokio::test]
async fn a_call_is_judged_by_what_holds_once_its_session_has_begun() {
    let withdrawn = "package tools.vault.ask\n\nallow if input.caller.path[1] == \"nobody\"\n";
    for (what, reason) in [("nothing", ""), ("policy", "not_allowed"), ("session", "session_not_found")] {
        let (world, mut waits) = slow_to_begin().await;
        let clerk = at_one_url(&world, "agent/clerk");
        let id = session(&clerk).await;
        let meanwhile = async {
            let pieces = waits.recv().await.unwrap();
            match what {
                "policy" => world.change_policy("tools/vault/ask.rego", withdrawn).await,
                "session" => world.revoke(&["--session", &id]).await,
                _ => {}
            }
            let _ = pieces.send(Ok(BEGUN)).await; // It may have been given up.
        };
        let (reply, ()) = tokio::join!(call(&clerk, &id, "vault__ask", 1), meanwhile);
        if reason.is_empty() {
            assert_eq!(reply.result(), "vault");
            continue;
        }
        assert_eq!(reply.refused_because(), reason, "{what}");
        assert!(!methods(&world.agents["vault"]).contains(&"tools/call".to_owned()), "{what}");
        assert_eq!(world.records("request").pop().unwrap()["reason"], reason, "{what}");
    }
}

#[tokio::test]
async fn every_record_of_a_session_names_the_one_that_its_client_knows() {
    let world = world(Plan { audit: "required", ..Plan::default() }).await;
    let clerk = at_one_url(&world, "agent/clerk");
    let id = session(&clerk).await;
    assert_eq!(call(&clerk, &id, "vault__ask", 1).await.result(), "vault-1");
    assert_eq!(list(&clerk, &id).await.status, 200);
    assert_eq!(end(&clerk, &id).await.status, 200);
    let name = world.records("request")[0]["session"].clone();
    assert!(name.is_string());
    for kind in ["request", "permit", "part"] {
        let records = world.records(kind);
        assert!(records.len() >= 4, "{kind}");
        for record in records {
            assert_eq!(record["session"], name, "{record}");
        }
    }
}

#[tokio::test]
async fn a_list_that_is_gathered_for_a_session_that_is_revoked_meanwhile_is_not_shown() {
    let world = three(Plan { policy: policy(), ..Plan::default() }).await;
    let clerk = at_one_url(&world, "agent/clerk");
    for what in ["nothing", "session", "caller"] {
        let (asked, mut waits) = mpsc::unbounded_channel();
        world.agents["vault"].answers(move |received| {
            if is(received, "initialize") {
                return accepts(received, VERSION);
            }
            if !is(received, "tools/list") {
                return stateless(received, "vault", &["ask"]);
            }
            let (pieces, answer) = mpsc::channel(1);
            asked.send(pieces).unwrap();
            Answer::Pieces(answer)
        });
        let id = session(&clerk).await;
        let meanwhile = async {
            let pieces = waits.recv().await.unwrap();
            match what {
                "session" => world.revoke(&["--session", &id]).await,
                "caller" => world.revoke(&["--spiffe-id", &world.id("agent/clerk").to_string()]).await,
                _ => {}
            }
            let _ = pieces.send(Ok(r#"{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"ask"}]}}"#)).await;
        };
        let (reply, ()) = tokio::join!(list(&clerk, &id), meanwhile);
        match what {
            "session" => {
                assert_eq!((reply.status, reply.refused_because().as_str()), (404, "session_not_found"))
            }
            "caller" => {
                assert_eq!((reply.status, reply.refused_because().as_str()), (403, "identity_not_valid"))
            }
            _ => assert!(names(&reply.json()["result"]).contains(&"vault__ask".to_owned()), "{}", reply.text),
        }
    }
}

#[tokio::test]
async fn a_session_whose_beginning_was_given_up_takes_no_place_and_ends_with_its_clients() {
    let limits = "{sessions_per_owner_max: 2, merged_list_timeout: 300ms}";
    let world = world(Plan { limits, ..Plan::default() }).await;
    let clerk = at_one_url(&world, "agent/clerk");
    let id = session(&clerk).await;
    let (held, _closed) = mpsc::channel(1);
    world.agents["vault"].answers(move |received| {
        if received.method == Method::DELETE {
            return Answer::Raw(Response::builder().status(200).body(String::new()).unwrap());
        }
        if is(received, "initialize") { accepts(received, VERSION) } else { Answer::Silence(held.clone()) }
    });
    for _ in 0..2 {
        let reply = call(&clerk, &id, "vault__ask", 1).await;
        assert_eq!((reply.status, reply.refused_because().as_str()), (504, "upstream_timeout"));
    }
    assert_eq!(call(&clerk, &id, "notes__ask", 1).await.result(), "notes-1", "there is a place");
    let ended = || methods(&world.agents["vault"]).iter().filter(|method| *method == "DELETE").count();
    assert_eq!(ended(), 0);
    assert_eq!(end(&clerk, &id).await.status, 200);
    assert_eq!(ended(), 2);
}
