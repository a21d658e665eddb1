//! Bad arguments of every tool: told with a stable code, and nothing of it done.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test ends by panicking")]

use http::StatusCode;
use kit::Service;
use mcp_s3::Objects;
use serde_json::{Value, json};
use server::{scopes, store};
use std::collections::BTreeMap;
use std::path::Path;
use world::World;

#[path = "../../kit/tests/world/mod.rs"]
mod world;
mod server;

async fn world() -> World {
    let make = |dir: &Path| {
        for (path, text) in [
            ("demo/public/hello.txt", "hello"),
            ("demo/public/table.csv", "a,b\n1,2\n"),
            ("demo/public/bytes.bin", "\0\u{1}"),
            ("demo/private/salary.csv", "alice,1"),
            ("other/x.txt", "x"),
        ] {
            let path = dir.join("buckets").join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let root = dir.join("buckets").display().to_string();
        let flags = ["--root", &root, "--buckets", "demo/public", "--upload-bytes-max", "1000"];
        Service::new(mcp_s3::NAME, Objects::new(store(&flags)))
    };
    World::of(mcp_s3::NAME, &scopes(), make, |_, _| {}).await
}

/// Every file and what is in it.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.insert(path.display().to_string(), std::fs::read(&path).unwrap());
        }
    }
    found
}

fn code(answer: &world::Answer) -> Value {
    answer.body["result"]["structuredContent"]["error"]["code"].clone()
}

/// Arguments on an object, with some changed.
fn on(key: &str, change: Value) -> Value {
    let mut arguments = json!({"bucket": "demo", "key": key});
    arguments.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
    arguments
}

fn copy(change: Value) -> Value {
    let mut arguments = json!({
        "from_bucket": "demo", "from_key": "public/hello.txt", "to_bucket": "demo", "to_key": "public/copy",
    });
    arguments.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
    arguments
}

const HELLO: &str = "public/hello.txt";

fn cases() -> Vec<(&'static str, Value, &'static str)> {
    let invalid = "invalid_arguments";
    let long = format!("public/{}", "k".repeat(1024));
    vec![
        // Types, and what is not there.
        ("list_objects", json!({}), invalid),
        ("list_objects", json!({"bucket": 1}), invalid),
        ("list_objects", json!({"bucket": "demo", "prefix": "public/", "recursive": true}), invalid),
        ("get_object", json!({"bucket": "demo"}), invalid),
        ("get_object", json!({"key": HELLO}), invalid),
        ("get_object", json!({"bucket": "demo", "key": null}), invalid),
        ("get_object", json!({"bucket": "demo", "key": [HELLO]}), invalid),
        ("get_object", on(HELLO, json!({"offset": -1})), invalid),
        ("get_object", on(HELLO, json!({"offset": "0"})), invalid),
        ("get_object", on(HELLO, json!({"offset": 1.5})), invalid),
        ("get_object", on(HELLO, json!({"offset": 1e300})), invalid),
        // Bounds.
        ("get_object", on(HELLO, json!({"length": 0})), invalid),
        ("get_object", on(HELLO, json!({"length": 1_000_000_000})), "too_large"),
        ("get_object", on(HELLO, json!({"offset": u64::MAX})), "out_of_range"),
        ("get_object", on(HELLO, json!({"offset": 5})), "out_of_range"),
        ("list_objects", json!({"bucket": "demo", "page_size": 0}), invalid),
        ("list_objects", json!({"bucket": "demo", "page_size": 100_000}), "too_large"),
        ("list_objects", json!({"bucket": "demo", "cursor": "***"}), "bad_cursor"),
        ("list_objects", json!({"bucket": "demo", "cursor": "a".repeat(5000)}), "bad_cursor"),
        ("preview_text", on(HELLO, json!({"lines": 0})), invalid),
        ("preview_text", on(HELLO, json!({"lines": 10_001})), "too_large"),
        ("preview_table", on("public/table.csv", json!({"rows": 201})), "too_large"),
        ("preview_table", on("public/table.csv", json!({"columns": vec!["a"; 51]})), "too_large"),
        // Names: traversal, encoding, Unicode, length.
        ("get_object", on("../other/x.txt", json!({})), "invalid_name"),
        ("get_object", on("public/../private/salary.csv", json!({})), "invalid_name"),
        ("get_object", on("public/%2e%2e/private/salary.csv", json!({})), "invalid_name"),
        ("get_object", on("public\\..\\private\\salary.csv", json!({})), "invalid_name"),
        ("get_object", on("/etc/passwd", json!({})), "invalid_name"),
        ("get_object", on("public//hello.txt", json!({})), "invalid_name"),
        ("get_object", on("public/hello.txt\u{0}", json!({})), "invalid_name"),
        ("get_object", on("public/\u{202e}txt.olleh", json!({})), "invalid_name"),
        ("get_object", on(&long, json!({})), "invalid_name"),
        ("get_object", on("", json!({})), "invalid_name"),
        ("get_object", json!({"bucket": "../buckets/demo", "key": HELLO}), "invalid_name"),
        ("get_object", json!({"bucket": "DEMO", "key": HELLO}), "invalid_name"),
        ("get_object", json!({"bucket": "demo?versions", "key": HELLO}), "invalid_name"),
        ("list_objects", json!({"bucket": "demo", "prefix": "public/../"}), "invalid_name"),
        ("delete_object", on("public/..", json!({})), "invalid_name"),
        ("put_object", on("public/a\nb", json!({"content": "x"})), "invalid_name"),
        ("copy_object", copy(json!({"from_key": "public/../private/salary.csv"})), "invalid_name"),
        ("copy_object", copy(json!({"to_key": "public/../../other/y"})), "invalid_name"),
        ("start_upload", on("public/%2e%2e/x", json!({})), "invalid_name"),
        // Outside of what is served: there or not, it is the same.
        ("get_object", on("private/salary.csv", json!({})), "fenced"),
        ("get_object", on("private/nothing", json!({})), "fenced"),
        ("get_object", on("publicity", json!({})), "fenced"),
        ("head_object", on("private/salary.csv", json!({})), "fenced"),
        ("list_versions", on("private/salary.csv", json!({})), "fenced"),
        ("preview_text", on("private/salary.csv", json!({})), "fenced"),
        ("preview_table", on("private/salary.csv", json!({})), "fenced"),
        ("put_object", on("private/new", json!({"content": "x"})), "fenced"),
        ("delete_object", on("private/salary.csv", json!({})), "fenced"),
        ("start_upload", on("private/new", json!({})), "fenced"),
        ("copy_object", copy(json!({"from_key": "private/salary.csv"})), "fenced"),
        ("copy_object", copy(json!({"to_key": "private/copy"})), "fenced"),
        ("list_objects", json!({"bucket": "demo", "prefix": "private/"}), "fenced"),
        ("get_object", json!({"bucket": "other", "key": "x.txt"}), "no_bucket"),
        ("list_objects", json!({"bucket": "other"}), "no_bucket"),
        ("copy_object", copy(json!({"to_bucket": "other"})), "no_bucket"),
        ("copy_object", copy(json!({"from_bucket": "other", "from_key": "x.txt"})), "no_bucket"),
        ("get_object", on("public/nothing", json!({})), "not_found"),
        ("copy_object", copy(json!({"from_key": "public/nothing"})), "not_found"),
        // Content, headers and conditions.
        ("put_object", on("public/new", json!({})), invalid),
        ("put_object", on("public/new", json!({"content": "a", "content_base64": "YQ=="})), invalid),
        ("put_object", on("public/new", json!({"content_base64": "YQ"})), invalid),
        ("put_object", on("public/new", json!({"content_base64": "Y\nQ=="})), invalid),
        ("put_object", on("public/new", json!({"content": "a", "content_type": "text"})), invalid),
        (
            "put_object",
            on("public/new", json!({"content": "a", "content_type": "a/b\r\nx-amz-acl: public-read"})),
            invalid,
        ),
        ("put_object", on("public/new", json!({"content": "a", "content_type": "text/\u{e4}"})), invalid),
        ("put_object", on("public/new", json!({"content": "a", "sha256": "abc"})), invalid),
        (
            "put_object",
            on("public/new", json!({"content": "a", "sha256": "0".repeat(64)})),
            "checksum_mismatch",
        ),
        ("put_object", on(HELLO, json!({"content": "a", "if_none_match": "*"})), "exists"),
        ("put_object", on(HELLO, json!({"content": "a", "if_none_match": "\"x\""})), invalid),
        ("put_object", on(HELLO, json!({"content": "a", "if_match": "\"x\""})), "changed"),
        ("put_object", on(HELLO, json!({"content": "a", "if_match": "*"})), invalid),
        ("put_object", on(HELLO, json!({"content": "a", "if_match": "\"x\", \"y\""})), invalid),
        ("put_object", on(HELLO, json!({"content": "a", "if_match": "x", "if_none_match": "*"})), invalid),
        ("put_object", on("public", json!({"content": "a"})), "fenced"),
        ("put_object", on("public/hello.txt/x", json!({"content": "a"})), "unplaceable"),
        ("copy_object", copy(json!({"to_key": HELLO})), invalid),
        ("copy_object", copy(json!({"from_version": "1&acl"})), invalid),
        ("copy_object", copy(json!({"from_version": "1"})), "not_supported"),
        ("copy_object", copy(json!({"key": HELLO})), invalid),
        // Versions, formats, uploads.
        ("get_object", on(HELLO, json!({"version": "1"})), "not_supported"),
        ("get_object", on(HELLO, json!({"version": "1&acl"})), invalid),
        ("head_object", on(HELLO, json!({"version": ""})), invalid),
        ("list_versions", on(HELLO, json!({})), "not_supported"),
        ("preview_text", on("public/bytes.bin", json!({})), "not_text"),
        ("preview_table", on(HELLO, json!({})), invalid),
        ("preview_table", on(HELLO, json!({"format": "xlsx"})), invalid),
        ("preview_table", on(HELLO, json!({"format": "parquet"})), "bad_table"),
        ("preview_table", on(HELLO, json!({"format": "jsonl"})), "bad_table"),
        ("preview_table", on("public/table.csv", json!({"delimiter": "ab"})), invalid),
        ("preview_table", on("public/table.csv", json!({"delimiter": "\u{e4}"})), invalid),
        ("preview_table", on("public/table.csv", json!({"format": "tsv", "delimiter": ";"})), invalid),
        (
            "upload_part",
            on("public/new", json!({"upload_id": "x", "offset": 0, "content": "a"})),
            "no_upload",
        ),
        ("complete_upload", on("public/new", json!({"upload_id": "../x"})), "no_upload"),
        ("complete_upload", on("public/new", json!({})), invalid),
        ("abort_upload", on("public/new", json!({"upload_id": ""})), "no_upload"),
    ]
}

#[tokio::test]
async fn bad_arguments_are_told_and_nothing_is_done() {
    let world = world().await;
    let mut gateway = world.connect("gateway").await.unwrap();
    let token = world.token("alice", &[]);
    let root = world.dir.path().join("buckets");
    let before = files(&root);
    let cases = cases();
    for (tool, arguments, wanted) in &cases {
        let answer = gateway.tool(&token, tool, arguments.clone()).await;
        assert_eq!(code(&answer), *wanted, "{tool} {arguments}: {}", answer.body);
        let text = answer.body["result"].to_string();
        assert!(!text.contains("alice,1") && !text.contains(&root.display().to_string()), "{text}");
    }
    println!("{} bad inputs", cases.len());
    assert!(cases.len() >= 50);
    let tools: std::collections::BTreeSet<_> = cases.iter().map(|(tool, ..)| *tool).collect();
    assert_eq!(tools.len(), 13, "every tool has some");
    assert_eq!(files(&root), before);
    for uri in [
        "s3://demo/private/salary.csv",
        "s3://other/x.txt",
        "s3://demo/public/../private/salary.csv",
        "s3://demo",
    ] {
        let answer = gateway.modern(&token, "resources/read", json!({"uri": uri})).await;
        assert_eq!(answer.body["error"]["code"], json!(-32602), "{uri}: {}", answer.body);
    }
    let good = gateway.tool(&token, "get_object", on(HELLO, json!({}))).await;
    assert_eq!(good.body["result"]["isError"], json!(false), "{}", good.body);
}

#[tokio::test]
async fn each_tool_needs_its_own_scope_and_a_token_for_this_server() {
    let world = world().await;
    let mut gateway = world.connect("gateway").await.unwrap();
    let only = |scope: &str| world.token("alice", &[("scope", json!(scope))]);
    let start = gateway.tool(&only("s3:start_upload"), "start_upload", on("public/up", json!({}))).await;
    let id = start.body["result"]["structuredContent"]["upload_id"].clone();
    let upload = |more: Value| {
        let mut arguments = on("public/up", more);
        arguments["upload_id"] = id.clone();
        arguments
    };
    // Each with what its own scope gets: the tool's answer, be it that a folder has no versions.
    let calls = [
        ("list_objects", json!({"bucket": "demo"}), Value::Null),
        ("get_object", on(HELLO, json!({})), Value::Null),
        ("head_object", on(HELLO, json!({})), Value::Null),
        ("list_versions", on(HELLO, json!({})), json!("not_supported")),
        ("preview_text", on(HELLO, json!({})), Value::Null),
        ("preview_table", on("public/table.csv", json!({})), Value::Null),
        ("put_object", on("public/new", json!({"content": "x"})), Value::Null),
        ("copy_object", copy(json!({})), Value::Null),
        ("start_upload", on("public/new", json!({})), Value::Null),
        ("upload_part", upload(json!({"offset": 0, "content": "x"})), Value::Null),
        ("complete_upload", upload(json!({})), Value::Null),
        ("abort_upload", upload(json!({})), json!("no_upload")),
        ("delete_object", on("public/new", json!({})), Value::Null),
    ];
    let named: std::collections::BTreeSet<_> = calls.iter().map(|(tool, ..)| *tool).collect();
    assert_eq!(named.len(), Objects::tools().len(), "every tool");
    for (tool, arguments, wanted) in &calls {
        let right = gateway.tool(&only(&format!("s3:{tool}")), tool, arguments.clone()).await;
        assert!(right.status == StatusCode::OK && code(&right) == *wanted, "{tool}: {}", right.body);
        for wrong in ["s3:protocol", "s3:get", &format!("mlflow:{tool}"), &format!("s3:{tool}s")] {
            let refused = gateway.tool(&only(wrong), tool, arguments.clone()).await;
            assert_eq!(refused.status, StatusCode::FORBIDDEN, "{tool} with {wrong}");
        }
        for change in [("aud", json!("mlflow")), ("exp", json!(1)), ("iss", json!("https://other.test"))] {
            let refused = gateway.tool(&world.token("alice", &[change]), tool, arguments.clone()).await;
            assert_eq!(refused.status, StatusCode::UNAUTHORIZED, "{tool}");
        }
    }
}

#[tokio::test]
async fn an_upload_is_made_in_calls_of_its_owner() {
    let world = world().await;
    let mut gateway = world.connect("gateway").await.unwrap();
    let (alice, bob) = (world.token("alice", &[]), world.token("bob", &[]));
    let started =
        gateway.tool(&alice, "start_upload", on("public/big.csv", json!({"content_type": "text/csv"}))).await;
    let id = started.body["result"]["structuredContent"]["upload_id"].clone();
    assert!(id.is_string(), "{}", started.body);
    let piece = |offset: u64, text: &str| {
        on("public/big.csv", json!({"upload_id": id, "offset": offset, "content": text}))
    };
    let first = gateway.tool(&alice, "upload_part", piece(0, "a,b\n")).await;
    assert_eq!(first.body["result"]["structuredContent"]["next_offset"], json!(4), "{}", first.body);
    let strange = gateway.tool(&bob, "upload_part", piece(4, "1,2\n")).await;
    assert_eq!(code(&strange), "no_upload");
    let gap = gateway.tool(&alice, "upload_part", piece(5, "1,2\n")).await;
    assert_eq!(code(&gap), "out_of_range");
    let long = gateway.tool(&alice, "upload_part", piece(4, &"x".repeat(1000))).await;
    assert_eq!(code(&long), "too_large");
    gateway.tool(&alice, "upload_part", piece(4, "1,2\n")).await;
    let file = world.dir.path().join("buckets/demo/public/big.csv");
    assert!(!file.exists(), "it appears at the end");
    let end = on("public/big.csv", json!({"upload_id": id}));
    assert_eq!(code(&gateway.tool(&bob, "complete_upload", end.clone()).await), "no_upload");
    let done = gateway.tool(&alice, "complete_upload", end.clone()).await;
    assert_eq!(done.body["result"]["structuredContent"]["size"], json!(8), "{}", done.body);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "a,b\n1,2\n");
    assert_eq!(code(&gateway.tool(&alice, "abort_upload", end).await), "no_upload");
}
