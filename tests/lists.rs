//! Listed if and only if callable.

use serde_json::{Value, json};
use tokio::sync::mpsc;
use world::agent::send;
use world::{Answer, World, server};

async fn names(world: &World) -> Vec<String> {
    let reply = send(world.clerk().rpc("tools/list", json!({}))).await;
    let list = reply.json();
    assert_eq!(list["result"]["cacheScope"], "private", "a filtered list is nobody else's");
    list["result"]["tools"]
        .as_array()
        .unwrap()
        .iter()
        .map(|t| t["name"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn a_list_shows_what_may_be_called() {
    let world = World::start().await;
    assert_eq!(names(&world).await, ["post_entry"]);
    let other = world.agent("agent/intern").with_token(&world.token("agent/intern"));
    let list = send(other.rpc("tools/list", json!({}))).await.json();
    assert_eq!(list["result"]["tools"], json!([]));
}

#[tokio::test]
async fn what_the_list_says_of_a_tool_survives() {
    let world = World::start().await;
    let reply = send(world.clerk().rpc("tools/list", json!({}))).await;
    assert!(reply.text.contains("12345678901234567890"), "{}", reply.text);
}

#[tokio::test]
async fn a_list_inside_an_event_stream_is_filtered_too() {
    let world = World::start().await;
    world.ledger.answers(|received| {
        let (events, stream) = mpsc::channel(8);
        let list =
            json!({"jsonrpc": "2.0", "id": received.json()["id"], "result": server::list()}).to_string();
        let (first, second) = list.split_at(60);
        let text: &'static str = Box::leak(
            format!(": hello\n\nevent: message\nid: 1\ndata: {first}{second}\n\n").into_boxed_str(),
        );
        let (one, two) = text.split_at(80); // An event may arrive in pieces.
        events.try_send(Ok(one)).unwrap();
        events.try_send(Ok(two)).unwrap();
        Answer::Events(stream)
    });
    assert_eq!(names(&world).await, ["post_entry"]);
}

#[tokio::test]
async fn lists_in_a_stream_come_one_by_one_each_filtered_and_private() {
    let world = World::start().await;
    let events = world.ledger.streams();
    let mut response = world.clerk().rpc("tools/list", json!({})).send().await.unwrap();
    let list = json!({"jsonrpc": "2.0", "id": 7, "result": server::list()});
    let event: &'static str = Box::leak(format!("data: {list}\n\n").into_boxed_str());
    for _ in 0..3 {
        events.send(Ok(event)).await.unwrap(); // The next one is sent only when this one has been heard.
        let heard = response.chunk().await.unwrap().unwrap();
        let heard: Value = serde_json::from_slice(heard.strip_prefix(b"data: ").unwrap()).unwrap();
        assert_eq!(heard["result"]["cacheScope"], "private");
        assert_eq!(heard["result"]["tools"].as_array().unwrap().len(), 1);
    }
}

#[tokio::test]
async fn a_list_that_cannot_be_read_does_not_pass() {
    for body in [r#"{"jsonrpc":"2.0","id":7,"result":{"tools":{"post_entry":1}}}"#, "not json"] {
        let world = World::start().await;
        world.ledger.answers(move |_| {
            Answer::Raw(
                http::Response::builder()
                    .header("content-type", "application/json")
                    .body(body.to_owned())
                    .unwrap(),
            )
        });
        let reply = send(world.clerk().rpc("tools/list", json!({}))).await;
        assert_eq!((reply.status, reply.refused_because().as_str()), (502, "upstream_failed"));
    }
}

#[tokio::test]
async fn a_tool_that_is_not_listed_cannot_be_called() {
    let hidden = "package tools.ledger.post_entry\n\nvisible := false\n\nallow := true\n";
    let world = World::with_policy(world::policies::with_post_entry(hidden)).await;
    assert_eq!(names(&world).await, Vec::<String>::new());
    assert_eq!(world.clerk().post_entry(1).await.refused_because(), "not_allowed");
    let received: Vec<Value> = world.ledger.received().iter().map(|r| r.json()["method"].clone()).collect();
    assert_eq!(received, ["tools/list"]);
}

#[tokio::test]
async fn a_list_that_comes_again_on_the_sessions_stream_is_filtered_too() {
    let world = World::start().await;
    world.ledger.answers(|_| {
        let (events, stream) = mpsc::channel(8);
        let list = json!({"jsonrpc": "2.0", "id": 3, "result": server::list()});
        let other =
            json!({"jsonrpc": "2.0", "method": "notifications/message", "params": {"data": "read_balance"}});
        for message in [list, other] {
            let text: &'static str = Box::leak(format!("data: {message}\n\n").into_boxed_str());
            events.try_send(Ok(text)).unwrap();
        }
        Answer::Events(stream)
    });
    let stream =
        world.clerk().request(reqwest::Method::GET, "/mcp/ledger").header("accept", "text/event-stream");
    let reply = send(stream.header("mcp-protocol-version", "2025-11-25")).await;
    assert!(
        reply.text.contains("post_entry") && !reply.text.contains("\"name\":\"read_balance\""),
        "{}",
        reply.text
    );
    assert!(reply.text.contains("\"data\":\"read_balance\""), "other messages pass: {}", reply.text);
}

#[tokio::test]
async fn a_list_is_filtered_whatever_the_status_says() {
    for status in [201, 206, 400, 404] {
        let world = World::start().await;
        world.ledger.answers(move |received| {
            let list =
                json!({"jsonrpc": "2.0", "id": received.json()["id"], "result": server::list()}).to_string();
            Answer::Raw(
                http::Response::builder()
                    .status(status)
                    .header("content-type", "application/json")
                    .body(list)
                    .unwrap(),
            )
        });
        assert_eq!(names(&world).await, ["post_entry"], "{status}");
    }
}

#[tokio::test]
async fn a_list_in_a_line_that_only_a_lenient_reader_takes_for_data_does_not_pass() {
    for odd in ["DATA: ", " data: ", "data : ", ": ", "id: x\u{2028}data: ", "event: message\u{c}data: "] {
        let world = World::start().await;
        world.ledger.answers(move |received| {
            let (events, stream) = mpsc::channel(8);
            let list = json!({"jsonrpc": "2.0", "id": received.json()["id"], "result": server::list()});
            let text = format!("{odd}{list}\nid: 5\nretry: 10\ndata: {list}\n\n");
            events.try_send(Ok(&*Box::leak(text.into_boxed_str()))).unwrap();
            Answer::Events(stream)
        });
        let reply = send(world.clerk().rpc("tools/list", json!({}))).await;
        assert!(!reply.text.contains("read_balance"), "{odd:?}: {}", reply.text);
        assert!(
            reply.text.contains("post_entry") && reply.text.contains("id: 5\nretry: 10\n"),
            "{}",
            reply.text
        );
    }
}

#[tokio::test]
async fn a_list_of_another_kind_in_the_same_answer_is_filtered_too() {
    let world = World::start().await;
    world.ledger.answers(|received| {
        let mut result = server::list();
        result["resources"] = json!([{"uri": "ledger://private", "name": "private"}]);
        Answer::Json(json!({"jsonrpc": "2.0", "id": received.json()["id"], "result": result}))
    });
    let reply = send(world.clerk().rpc("tools/list", json!({}))).await;
    assert_eq!(reply.json()["result"]["resources"], json!([]), "{}", reply.text);
}
