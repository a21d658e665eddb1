//! The whole server on a socket: who is let in, with what token, to do what.
#![allow(clippy::unwrap_used, reason = "a test ends by panicking")]

use http::{Method, Request, StatusCode};
use http_body_util::Full;
use kit::Service;
use mcp_s3::Objects;
use serde_json::{Value, json};
use std::net::SocketAddr;
use world::{World, modern};

#[path = "../../kit/tests/world/mod.rs"]
mod world;
mod server;

use server::{scopes, store};

const GATEWAY: &str = "spiffe://s3.test/gateway";

async fn world() -> World {
    world_with(|_| {}).await
}

async fn world_with(change: impl FnOnce(&mut kit::Flags)) -> World {
    let make = |dir: &std::path::Path| {
        for (path, text) in [("public/hello.txt", "hello"), ("private/salary.csv", "alice,1")] {
            let path = dir.join("buckets/demo").join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let root = dir.join("buckets").display().to_string();
        Service::new(mcp_s3::NAME, Objects::new(store(&["--root", &root])))
    };
    World::of(mcp_s3::NAME, &scopes(), make, |flags, _| change(flags)).await
}

#[tokio::test]
async fn the_gateway_reads_an_object_with_a_token_for_it() {
    let world = world().await;
    let mut gateway = world.connect("gateway").await.unwrap();
    let token = world.token("alice", &[]);
    let tools = gateway.modern(&token, "tools/list", json!({})).await;
    assert_eq!(tools.status, StatusCode::OK, "{}", tools.body);
    assert_eq!(tools.body["result"]["tools"].as_array().unwrap().len(), 13);
    let read = gateway.tool(&token, "get_object", json!({"bucket": "demo", "key": "public/hello.txt"})).await;
    let pinned: Value = serde_json::from_str(include_str!("../tools.json")).unwrap();
    assert_eq!(tools.body["result"]["tools"], pinned, "what --print-tools prints is what clients are told");
    assert_eq!(read.body["result"]["content"], json!([{"type": "text", "text": "hello"}]), "{}", read.body);
    assert_eq!(read.body["result"]["structuredContent"]["total_size"], json!(5));
    let put = gateway
        .tool(&token, "put_object", json!({"bucket": "demo", "key": "new.txt", "content": "new"}))
        .await;
    assert_eq!(put.body["result"]["structuredContent"]["uri"], json!("s3://demo/new.txt"), "{}", put.body);
    assert_eq!(std::fs::read_to_string(world.dir.path().join("buckets/demo/new.txt")).unwrap(), "new");
    let discover = gateway.modern(&token, "server/discover", json!({})).await;
    assert_eq!(discover.status, StatusCode::OK, "{}", discover.body);
}

#[tokio::test]
async fn nobody_but_the_gateway_finishes_a_handshake() {
    let world = world().await;
    let token = world.token("alice", &[]);
    let body = modern("tools/list", json!({})).to_string();
    let refused = match world.connect("agent/demo").await {
        Err(_) => true,
        Ok(mut agent) => agent.send(Method::POST, Some(&token), &[], body.clone()).await.is_err(),
    };
    assert!(refused);
    let mut gateway = world.connect("gateway").await.unwrap();
    assert!(gateway.send(Method::POST, Some(&token), &[], body).await.is_ok());
}

#[tokio::test]
async fn a_token_for_somebody_else_is_refused_and_the_challenge_says_no_more_than_that() {
    let world = world().await;
    let mut gateway = world.connect("gateway").await.unwrap();
    let good = gateway.modern(&world.token("alice", &[]), "tools/list", json!({})).await;
    assert_eq!(good.status, StatusCode::OK);
    for change in [
        ("aud", json!("mlflow")),
        ("iss", json!("https://other.test")),
        ("cnf", json!({"x5t#S256": "AAAA"})),
        ("cnf", Value::Null),
    ] {
        let refused = gateway.modern(&world.token("alice", &[change]), "tools/list", json!({})).await;
        assert_eq!(refused.status, StatusCode::UNAUTHORIZED);
        assert_eq!(refused.headers["www-authenticate"], r#"Bearer error="invalid_token""#);
        assert_eq!(
            refused.body["error"],
            json!({"code": -32001, "message": "invalid token", "data": {"reason": "invalid_token"}})
        );
    }
    let none =
        gateway.send(Method::POST, None, &[], modern("tools/list", json!({})).to_string()).await.unwrap();
    assert_eq!(
        (none.status, none.headers["www-authenticate"].to_str().unwrap()),
        (StatusCode::UNAUTHORIZED, "Bearer")
    );
}

#[tokio::test]
async fn a_token_that_is_bound_to_no_certificate_is_accepted_where_that_is_asked_for() {
    let world = world_with(|flags| flags.accept_unbound_tokens = true).await;
    let mut gateway = world.connect("gateway").await.unwrap();
    for (cnf, status) in
        [(Value::Null, StatusCode::OK), (json!({"x5t#S256": "AAAA"}), StatusCode::UNAUTHORIZED)]
    {
        let answer = gateway.modern(&world.token("alice", &[("cnf", cnf)]), "tools/list", json!({})).await;
        assert_eq!(answer.status, status, "{}", answer.body);
    }
}

#[tokio::test]
async fn each_operation_needs_its_own_scope() {
    let world = world().await;
    let mut gateway = world.connect("gateway").await.unwrap();
    let object = json!({"bucket": "demo", "key": "public/hello.txt"});
    let only = |scope: &str| world.token("alice", &[("scope", json!(scope))]);
    let read = gateway.tool(&only("s3:get_object"), "get_object", object.clone()).await;
    assert_eq!(read.body["result"]["isError"], json!(false), "{}", read.body);
    let deleted = gateway.tool(&only("s3:get_object"), "delete_object", object).await;
    assert_eq!(deleted.status, StatusCode::FORBIDDEN);
    assert_eq!(
        deleted.headers["www-authenticate"],
        r#"Bearer error="insufficient_scope", scope="s3:delete_object""#
    );
    assert_eq!((&deleted.body["id"], &deleted.body["error"]["code"]), (&json!(1), &json!(-32003)));
    assert_eq!(deleted.body["error"]["data"]["reason"], json!("insufficient_scope"));
    assert!(world.dir.path().join("buckets/demo/public/hello.txt").exists());
    let uri = json!({"uri": "s3://demo/public/hello.txt"});
    let resource = gateway.modern(&only("s3:resources"), "resources/read", uri.clone()).await;
    assert_eq!(resource.body["result"]["contents"][0]["text"], json!("hello"), "{}", resource.body);
    let refused = gateway.modern(&only("s3:get_object"), "resources/read", uri).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    let refused = gateway.modern(&only("s3:get_object"), "tools/list", json!({})).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn a_key_that_climbs_is_an_error_that_says_why() {
    let world = world().await;
    let mut gateway = world.connect("gateway").await.unwrap();
    let token = world.token("alice", &[]);
    for key in ["public/../private/salary.csv", "public/%2e%2e/private/salary.csv", "public//hello.txt"] {
        let refused = gateway.tool(&token, "get_object", json!({"bucket": "demo", "key": key})).await;
        assert_eq!(refused.body["result"]["isError"], json!(true), "{}", refused.body);
        assert!(
            refused.body["result"]["content"][0]["text"].as_str().unwrap().contains("key"),
            "{}",
            refused.body
        );
        assert_eq!(refused.body["result"]["structuredContent"]["error"]["code"], json!("invalid_name"));
        let refused =
            gateway.modern(&token, "resources/read", json!({"uri": format!("s3://demo/{key}")})).await;
        assert_eq!(refused.body["error"]["code"], json!(-32602), "{}", refused.body);
    }
    let absent = gateway.modern(&token, "resources/read", json!({"uri": "s3://demo/absent"})).await;
    assert_eq!(absent.body["error"]["code"], json!(-32602), "{}", absent.body);
}

#[tokio::test]
async fn resources_are_listed_and_have_a_template() {
    let world = world().await;
    let mut gateway = world.connect("gateway").await.unwrap();
    let token = world.token("alice", &[]);
    let listed = gateway.modern(&token, "resources/list", json!({})).await;
    let uris: Vec<_> =
        listed.body["result"]["resources"].as_array().unwrap().iter().map(|r| r["uri"].clone()).collect();
    assert_eq!(json!(uris), json!(["s3://demo/private/salary.csv", "s3://demo/public/hello.txt"]));
    assert_eq!(listed.body["result"]["cacheScope"], json!("private"));
    let templates = gateway.modern(&token, "resources/templates/list", json!({})).await;
    assert_eq!(
        templates.body["result"]["resourceTemplates"][0]["uriTemplate"],
        json!("s3://{bucket}/{+key}")
    );
}

#[tokio::test]
async fn a_session_of_2025_works_for_its_owner_and_for_nobody_else() {
    let world = world().await;
    let mut gateway = world.connect("gateway").await.unwrap();
    let (alice, bob) = (world.token("alice", &[]), world.token("bob", &[]));
    let hello = json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {
        "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}});
    let opened = gateway.send(Method::POST, Some(&alice), &[], hello.to_string()).await.unwrap();
    assert_eq!(opened.body["result"]["protocolVersion"], json!("2025-11-25"), "{}", opened.body);
    let id = opened.headers["mcp-session-id"].to_str().unwrap().to_owned();
    let session = [("mcp-session-id", id.as_str()), ("mcp-protocol-version", "2025-11-25")];
    let ready = json!({"jsonrpc": "2.0", "method": "notifications/initialized"}).to_string();
    let ready = gateway.send(Method::POST, Some(&alice), &session, ready).await.unwrap();
    assert_eq!(ready.status, StatusCode::ACCEPTED);
    let call = json!({"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": {
        "name": "list_objects", "arguments": {"bucket": "demo", "prefix": "public/"}}})
    .to_string();
    let listed = gateway.send(Method::POST, Some(&alice), &session, call.clone()).await.unwrap();
    assert_eq!(
        listed.body["result"]["structuredContent"]["objects"][0]["key"],
        json!("public/hello.txt"),
        "{}",
        listed.body
    );
    assert!(listed.body["result"].get("resultType").is_none(), "2025-11-25 knows no resultType");
    let strange = gateway.send(Method::POST, Some(&bob), &session, call.clone()).await.unwrap();
    assert_eq!(strange.status, StatusCode::NOT_FOUND);
    let few = world.token("alice", &[("scope", json!("s3:protocol"))]);
    let refused = gateway.send(Method::POST, Some(&few), &session, call.clone()).await.unwrap();
    assert_eq!(refused.status, StatusCode::FORBIDDEN, "a session carries no scopes");
    let ended = gateway.send(Method::DELETE, Some(&alice), &session, String::new()).await.unwrap();
    assert_eq!(ended.status, StatusCode::ACCEPTED);
    let gone = gateway.send(Method::POST, Some(&alice), &session, call).await.unwrap();
    assert_eq!(gone.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_body_that_is_too_long_twofold_or_encoded_is_refused() {
    let world = world().await;
    let token = world.token("alice", &[]);
    let call = |content: &str| {
        modern(
            "tools/call",
            json!({"name": "put_object", "arguments": {"bucket": "demo", "key": "k", "content": content}}),
        )
        .to_string()
    };
    let headers =
        [("mcp-protocol-version", "2026-07-28"), ("mcp-method", "tools/call"), ("mcp-name", "put_object")];
    let mut gateway = world.connect("gateway").await.unwrap();
    let short = gateway.send(Method::POST, Some(&token), &headers, call(&"x".repeat(9_000))).await.unwrap();
    assert_eq!(short.status, StatusCode::OK, "{}", short.body);
    let twofold = call("x").replacen('{', r#"{"method":"ping","#, 1);
    let refused = gateway.send(Method::POST, Some(&token), &headers, twofold).await.unwrap();
    assert_eq!((refused.status, &refused.body["error"]["code"]), (StatusCode::BAD_REQUEST, &json!(-32600)));
    let encoded = [headers[0], headers[1], headers[2], ("content-encoding", "gzip")];
    let refused = gateway.send(Method::POST, Some(&token), &encoded, call("x")).await.unwrap();
    assert_eq!(refused.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    let foreign = [headers[0], headers[1], headers[2], ("origin", "https://evil.test")];
    let refused = gateway.send(Method::POST, Some(&token), &foreign, call("x")).await.unwrap();
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    let wrong = [headers[0], headers[1], ("mcp-name", "get_object")];
    let refused = gateway.send(Method::POST, Some(&token), &wrong, call("x")).await.unwrap();
    assert_eq!((refused.status, &refused.body["error"]["code"]), (StatusCode::BAD_REQUEST, &json!(-32020)));
    let long = gateway.send(Method::POST, Some(&token), &headers, call(&"x".repeat(10_000))).await.unwrap();
    assert_eq!(long.status, StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test]
async fn a_server_told_to_stop_ends_though_a_stream_is_open() {
    let world = world().await;
    let mut gateway = world.connect("gateway").await.unwrap();
    let token = world.token("alice", &[]);
    let hello = json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {
        "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}});
    let opened = gateway.send(Method::POST, Some(&token), &[], hello.to_string()).await.unwrap();
    let id = opened.headers["mcp-session-id"].to_str().unwrap().to_owned();
    let session = [("mcp-session-id", id.as_str()), ("mcp-protocol-version", "2025-11-25")];
    let ready = json!({"jsonrpc": "2.0", "method": "notifications/initialized"}).to_string();
    gateway.send(Method::POST, Some(&token), &session, ready).await.unwrap();
    let stream = Request::get("/mcp")
        .header("host", &gateway.host)
        .header("accept", "text/event-stream")
        .header("authorization", format!("Bearer {token}"))
        .header("mcp-session-id", &id)
        .body(Full::default())
        .unwrap();
    let stream = gateway.send.send_request(stream).await.unwrap();
    assert_eq!(stream.status(), StatusCode::OK);
    world.stop.send(()).unwrap();
    world.server.await.unwrap();
    assert!(tokio::net::TcpStream::connect(world.address).await.is_err());
}

#[tokio::test]
async fn a_certificate_that_ends_while_its_connection_is_open_is_no_longer_accepted() {
    let world = world().await;
    let mut gateway = world.connect("gateway").await.unwrap();
    let token = world.token("alice", &[]);
    assert_eq!(gateway.modern(&token, "tools/list", json!({})).await.status, StatusCode::OK);
    world.clock.advance(certs::development::SVID_TTL);
    let refused = gateway.modern(&token, "tools/list", json!({})).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    assert_eq!(refused.body["error"]["data"]["reason"], json!("peer_not_accepted"));
    assert_eq!(refused.headers["connection"], "close");
}

#[tokio::test]
async fn the_program_prints_its_address_logs_no_arguments_and_ends_at_sigterm() {
    use tokio::io::{AsyncBufReadExt, BufReader};
    let world = world().await;
    let dir = world.dir.path().to_owned();
    let file = |name: &str| dir.join(name).display().to_string();
    let mut program = tokio::process::Command::new(env!("CARGO_BIN_EXE_mcp-s3"))
        .args(["--certificate", &file("s3/cert.pem"), "--private-key", &file("s3/key.pem")])
        .args([
            "--trust-bundle",
            &file("s3/bundle.pem"),
            "--gateway",
            GATEWAY,
            "--issuer",
            "https://issuer.test",
        ])
        .args(["--audience", "s3", "--jwks", &file("jwks.json"), "--root", &file("buckets")])
        .stdout(std::process::Stdio::piped())
        .env("RUST_LOG", "trace")
        .stderr(std::process::Stdio::from(std::fs::File::create(file("log")).unwrap()))
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(program.stdout.take().unwrap()).lines();
    let line = lines.next_line().await.unwrap().unwrap();
    let address: SocketAddr = line.strip_prefix("listening on https://").unwrap().parse().unwrap();
    let world = World { address, ..world };
    let mut gateway = world.connect("gateway").await.unwrap();
    let token = world.token("alice", &[]);
    let read =
        gateway.tool(&token, "head_object", json!({"bucket": "demo", "key": "public/hello.txt"})).await;
    assert_eq!(read.body["result"]["structuredContent"]["size"], json!(5), "{}", read.body);
    let signalled =
        std::process::Command::new("kill").arg(program.id().unwrap().to_string()).status().unwrap();
    assert!(signalled.success());
    assert_eq!(program.wait().await.unwrap().code(), Some(0));
    assert_eq!(lines.next_line().await.unwrap(), None);
    let log = std::fs::read_to_string(file("log")).unwrap();
    for said in ["tools/call", "head_object", "alice", "spiffe://s3.test/agent/demo", "status", "sha256:"] {
        assert!(log.contains(said), "{said} is not in the log");
    }
    assert!(!log.contains("hello.txt"), "an argument is in the log");
    assert!(
        !log.contains(&token) && !log.contains(token.rsplit('.').next().unwrap()),
        "the token is in the log"
    );
}
