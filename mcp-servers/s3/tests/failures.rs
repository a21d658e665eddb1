//! The server before a store that does what none should: what callers hear of it, and how soon.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test ends by panicking")]

use behaviour::{Behaviour, Upstream};
use kit::Service;
use mcp_s3::Objects;
use serde_json::{Value, json};
use server::{scopes, store};
use std::path::Path;
use std::time::{Duration, Instant};
use world::World;

#[path = "../../kit/tests/world/mod.rs"]
mod world;
mod behaviour;
mod server;

const SECRET: &str = "secret words of http://inner/";

async fn world(url: &str) -> World {
    let make = |dir: &Path| {
        std::fs::write(dir.join("key"), "AKEXAMPLE").unwrap();
        let key = dir.join("key").display().to_string();
        let flags = [
            "--store",
            "s3://demo",
            "--endpoint",
            url,
            "--allow-http",
            "--access-key-file",
            &key,
            "--secret-key-file",
            &key,
            "--store-timeout-ms",
            "300",
            "--table-bytes-max",
            "2048",
        ];
        Service::new(mcp_s3::NAME, Objects::new(store(&flags)))
    };
    World::of(mcp_s3::NAME, &scopes(), make, |_, _| {}).await
}

fn object(more: Value) -> Value {
    let mut arguments = json!({"bucket": "demo", "key": "a.csv"});
    arguments.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    arguments
}

fn code(answer: &world::Answer) -> &Value {
    &answer.body["result"]["structuredContent"]["error"]["code"]
}

fn calls() -> Vec<(&'static str, Value)> {
    vec![
        ("list_objects", json!({"bucket": "demo"})),
        ("get_object", object(json!({}))),
        ("head_object", object(json!({}))),
        ("list_versions", object(json!({}))),
        ("preview_text", object(json!({}))),
        ("preview_table", object(json!({}))),
        ("preview_table", object(json!({"format": "parquet"}))),
        ("put_object", object(json!({"content": "x"}))),
        ("put_object", object(json!({"content": "x", "if_none_match": "*"}))),
        ("copy_object", json!({"from_bucket": "demo", "from_key": "a", "to_bucket": "demo", "to_key": "b"})),
        ("delete_object", object(json!({}))),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_fails_is_unavailable_and_none_of_its_words_are_passed_on() {
    let html = format!("<html>{SECRET}</html>");
    let xml = |code: &str| format!("<Error><Code>{code}</Code><Message>{SECRET}</Message></Error>");
    for (behaviour, wanted) in [
        (Behaviour::Down, "unavailable"),
        (Behaviour::Silent, "unavailable"),
        (Behaviour::Closes, "unavailable"),
        (Behaviour::Half, "unavailable"),
        (Behaviour::Says(500, html.clone()), "unavailable"),
        (Behaviour::Says(503, xml("SlowDown")), "unavailable"),
        (Behaviour::Says(200, html.clone()), "unavailable"),
        (Behaviour::Says(302, html.clone()), "unavailable"),
        (Behaviour::Says(403, xml("AccessDenied")), "forbidden"),
        (Behaviour::Says(401, html.clone()), "forbidden"),
    ] {
        let upstream = Upstream::start(behaviour.clone()).await;
        let world = world(&upstream.url).await;
        let mut gateway = world.connect("gateway").await.unwrap();
        let token = world.token("alice", &[]);
        for (tool, arguments) in calls() {
            let begin = Instant::now();
            let answer = gateway.tool(&token, tool, arguments.clone()).await;
            let took = begin.elapsed();
            // The head is the whole answer to these, and half an answer has it.
            let told = matches!(tool, "put_object" | "head_object") && matches!(behaviour, Behaviour::Half);
            let wanted = if told { Value::Null } else { json!(wanted) };
            assert_eq!(code(&answer), &wanted, "{behaviour:?} {tool} {arguments}: {}", answer.body);
            assert!(!answer.body.to_string().contains("secret words"), "{}", answer.body);
            assert!(took < Duration::from_secs(12), "{behaviour:?} {tool}: {took:?}");
        }
        for (method, params) in
            [("resources/list", json!({})), ("resources/read", json!({"uri": "s3://demo/a.csv"}))]
        {
            let begin = Instant::now();
            let answer = gateway.modern(&token, method, params).await;
            let took = begin.elapsed();
            let error = &answer.body["error"];
            let told = (&error["code"], &error["data"]["code"]);
            assert_eq!(told, (&json!(-32603), &json!(wanted)), "{behaviour:?} {method}: {}", answer.body);
            assert!(!answer.text.contains("secret words"), "{}", answer.text);
            assert!(took < Duration::from_secs(12), "{behaviour:?} {method}: {took:?}");
        }
        let started = gateway.tool(&token, "start_upload", object(json!({}))).await;
        let id = &started.body["result"]["structuredContent"]["upload_id"];
        let piece = object(json!({"upload_id": id, "offset": 0, "content": "x"}));
        let taken = gateway.tool(&token, "upload_part", piece).await;
        assert_eq!(code(&taken), &Value::Null, "a piece this short is kept: {}", taken.body);
        let end = gateway.tool(&token, "complete_upload", object(json!({"upload_id": id}))).await;
        let wanted = if matches!(behaviour, Behaviour::Half) { Value::Null } else { json!(wanted) };
        assert_eq!(code(&end), &wanted, "{behaviour:?}: {}", end.body);
        assert!(!end.text.contains("secret words"), "{}", end.text);
        println!("{behaviour:?}: {wanted}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_nobody_knows_is_refused_until_it_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let (upstream, certificate) = Upstream::tls(Behaviour::Says(200, LIST.to_owned())).await;
    let ca = dir.path().join("ca.pem");
    std::fs::write(&ca, certificate).unwrap();
    let ca = ca.display().to_string();
    for (flags, is_error) in [(vec![], true), (vec!["--store-ca", ca.as_str()], false)] {
        let make = |dir: &Path| {
            std::fs::write(dir.join("key"), "AKEXAMPLE").unwrap();
            let key = dir.join("key").display().to_string();
            let all = [
                "--store",
                "s3://demo",
                "--endpoint",
                &upstream.url,
                "--access-key-file",
                &key,
                "--secret-key-file",
                &key,
            ];
            Service::new(mcp_s3::NAME, Objects::new(store(&[&all[..], &flags].concat())))
        };
        let world = World::of(mcp_s3::NAME, &scopes(), make, |_, _| {}).await;
        let mut gateway = world.connect("gateway").await.unwrap();
        let answer =
            gateway.tool(&world.token("alice", &[]), "list_objects", json!({"bucket": "demo"})).await;
        assert_eq!(answer.body["result"]["isError"], json!(is_error), "{}", answer.body);
        if is_error {
            assert_eq!(answer.body["result"]["structuredContent"]["error"]["code"], "unavailable");
            assert_eq!(upstream.heard(), Vec::<String>::new(), "it hears nothing of the key");
        }
    }
}

const LIST: &str = "<ListBucketResult><Name>demo</Name><IsTruncated>false</IsTruncated><Contents><Key>a.csv</Key>\
    <LastModified>2026-01-01T00:00:00.000Z</LastModified><ETag>\"e\"</ETag><Size>1</Size></Contents></ListBucketResult>";

#[tokio::test(flavor = "multi_thread")]
async fn what_the_store_answers_in_excess_is_not_taken() {
    let upstream = Upstream::start(Behaviour::Long).await;
    let world = world(&upstream.url).await;
    let mut gateway = world.connect("gateway").await.unwrap();
    let answer = gateway.tool(&world.token("alice", &[]), "get_object", object(json!({"length": 10}))).await;
    assert_eq!(answer.body["result"]["structuredContent"]["error"]["code"], "unavailable", "{}", answer.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn content_that_is_not_what_the_store_has_a_checksum_of_is_refused() {
    let right = "LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ="; // Of "hello".
    let wrong = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";
    for (checksum, is_error) in [(Some(right), false), (Some(wrong), true), (None, false)] {
        let upstream = Upstream::start(Behaviour::Hello(checksum)).await;
        let world = world(&upstream.url).await;
        let mut gateway = world.connect("gateway").await.unwrap();
        let token = world.token("alice", &[]);
        let answer = gateway.tool(&token, "get_object", object(json!({}))).await;
        assert_eq!(answer.body["result"]["isError"], json!(is_error), "{}", answer.body);
        let code = &answer.body["result"]["structuredContent"]["error"]["code"];
        assert_eq!(*code, if is_error { json!("checksum_mismatch") } else { json!(null) });
        let part = gateway.tool(&token, "get_object", object(json!({"length": 2}))).await;
        assert_eq!(part.body["result"]["structuredContent"]["content"], "he", "{}", part.body);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_store_hears_no_token_and_the_log_no_key() {
    let upstream = Upstream::start(Behaviour::Hello(None)).await;
    let world = world(&upstream.url).await;
    let mut gateway = world.connect("gateway").await.unwrap();
    let token = world.token("alice", &[]);
    for (tool, arguments) in calls() {
        gateway.tool(&token, tool, arguments).await;
    }
    let heard = upstream.heard();
    assert!(!heard.is_empty());
    for request in &heard {
        assert!(request.contains("AWS4-HMAC-SHA256 Credential=AKEXAMPLE/"), "{request}");
        assert!(!request.contains("Bearer") && !request.contains(&token), "{request}");
        assert!(!request.to_lowercase().contains("x-amz-signature"), "no URL carries a signature");
    }
    assert!(heard.iter().any(|request| request.contains("/demo?versions=")), "{heard:?}");
}
