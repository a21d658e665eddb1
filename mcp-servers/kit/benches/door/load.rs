//! Calls, as the gateway sends them: over connections of its own, one call under way on each.

use crate::subject::Subject;
use crate::world::{Client, modern};
use http::Method;
use serde_json::{Value, json};

pub(crate) const CONNECTIONS: usize = 16;

/// So many calls over each connection. Gives the length of an answer.
pub(crate) async fn called(subject: &Subject, in_sessions: bool, count: usize) -> usize {
    let (token, connector) = (subject.world.token("alice", &[]), subject.world.connector("gateway"));
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..CONNECTIONS {
        let mut client = subject.world.connect_by(&connector).await.unwrap();
        let (token, tool, arguments) = (token.clone(), subject.tool, subject.arguments.clone());
        tasks.spawn(async move {
            let params = json!({"name": tool, "arguments": arguments});
            let session = if in_sessions { session(&mut client, &token).await } else { String::new() };
            let mut bytes = 0;
            for id in 0..count {
                let (headers, call) = if in_sessions {
                    let call = json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params});
                    (vec![("mcp-session-id", session.as_str()), ("mcp-protocol-version", "2025-11-25")], call)
                } else {
                    let headers = vec![
                        ("mcp-protocol-version", "2026-07-28"),
                        ("mcp-method", "tools/call"),
                        ("mcp-name", tool),
                    ];
                    (headers, modern("tools/call", params.clone()))
                };
                let answer = client.send(Method::POST, Some(&token), &headers, call.to_string()).await;
                let answer = answer.unwrap_or_else(|error| panic!("{tool}: {error}"));
                let result = &answer.body["result"];
                assert!(
                    result["structuredContent"].is_object() && result["isError"] != Value::Bool(true),
                    "{tool}: {}",
                    answer.text
                );
                bytes = answer.text.len();
            }
            if in_sessions {
                let headers = [("mcp-session-id", session.as_str()), ("mcp-protocol-version", "2025-11-25")];
                let ended = client.send(Method::DELETE, Some(&token), &headers, String::new()).await.unwrap();
                assert!(ended.status.is_success(), "{}", ended.text);
            }
            bytes
        });
    }
    let mut bytes = 0;
    while let Some(done) = tasks.join_next().await {
        bytes = done.unwrap();
    }
    bytes
}

/// Opens so many sessions, each on a connection of its own.
pub(crate) async fn sessions(subject: &Subject, count: usize) -> Vec<Client> {
    let (token, connector) = (subject.world.token("alice", &[]), subject.world.connector("gateway"));
    let mut open = Vec::new();
    for _ in 0..count {
        let mut client = subject.world.connect_by(&connector).await.unwrap();
        session(&mut client, &token).await;
        open.push(client);
    }
    open
}

/// Opens a session of 2025-11-25 and gives its id.
async fn session(client: &mut Client, token: &str) -> String {
    let hello = json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {
        "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "bench", "version": "1"}}});
    let opened = client.send(Method::POST, Some(token), &[], hello.to_string()).await.unwrap();
    let id = opened.headers["mcp-session-id"].to_str().unwrap().to_owned();
    let headers = [("mcp-session-id", id.as_str()), ("mcp-protocol-version", "2025-11-25")];
    let ready = json!({"jsonrpc": "2.0", "method": "notifications/initialized"}).to_string();
    client.send(Method::POST, Some(token), &headers, ready).await.unwrap();
    id
}
