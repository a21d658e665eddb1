//! The server before a bucket that speaks Google's XML API: a small one of ours, since no emulator that could be had writes
//! by that API.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test ends by panicking")]

use kit::Service;
use mcp_s3::Objects;
use serde_json::{Value, json};
use server::{scopes, store};
use std::path::Path;
use world::World;

#[path = "../../kit/tests/world/mod.rs"]
mod world;
mod bucket;
mod server;

/// An account that asks nobody for a token.
const ACCOUNT: &str =
    r#"{"private_key": "", "private_key_id": "", "client_email": "", "disable_oauth": true}"#;

fn on(key: &str, more: Value) -> Value {
    let mut arguments = json!({"bucket": "models", "key": key});
    arguments.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    arguments
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_of_google_come_and_go() {
    let url = bucket::start().await;
    let make = |dir: &Path| {
        std::fs::write(dir.join("account"), ACCOUNT).unwrap();
        let account = dir.join("account").display().to_string();
        let flags = [
            "--store",
            "gs://models/public",
            "--endpoint",
            &url,
            "--allow-http",
            "--service-account-file",
            &account,
            "--part-bytes",
            "5242880",
        ];
        Service::new(mcp_s3::NAME, Objects::new(store(&flags)))
    };
    let limits = |flags: &mut kit::Flags, _: &Path| flags.limits.body_bytes_max = 8 << 20;
    let world = World::of(mcp_s3::NAME, &scopes(), make, limits).await;
    let mut gateway = world.connect("gateway").await.unwrap();
    let token = world.token("alice", &[]);
    let mut call = async |tool: &str, arguments: Value| {
        let mut answer = gateway.tool(&token, tool, arguments.clone()).await;
        let result = &mut answer.body["result"];
        let code = result["structuredContent"]["error"]["code"].as_str().map(str::to_owned);
        match code {
            Some(code) => Err(code),
            None => {
                assert_eq!(result["isError"], json!(false), "{tool} {arguments}");
                Ok(result["structuredContent"].take())
            }
        }
    };
    let csv = |text: &str| json!({"content": text, "content_type": "text/csv", "if_none_match": "*"});
    call("put_object", on("public/a b.csv", csv("id,name\n1,Ada\n"))).await.unwrap();
    assert_eq!(call("put_object", on("public/a b.csv", csv("x"))).await, Err("exists".to_owned()));
    assert_eq!(call("put_object", on("private/a b.csv", csv("x"))).await, Err("fenced".to_owned()));
    let head = call("head_object", on("public/a b.csv", json!({}))).await.unwrap();
    assert_eq!((&head["size"], &head["content_type"]), (&json!(14), &json!("text/csv")), "{head}");
    let change =
        json!({"content": "id,name\n2,Grace\n", "content_type": "text/csv", "if_match": head["etag"]});
    call("put_object", on("public/a b.csv", change.clone())).await.unwrap();
    assert_eq!(call("put_object", on("public/a b.csv", change)).await, Err("changed".to_owned()));
    let piece = call("get_object", on("public/a b.csv", json!({"offset": 3, "length": 4}))).await.unwrap();
    assert_eq!(piece["content"], "name");
    let table = call("preview_table", on("public/a b.csv", json!({}))).await.unwrap();
    assert_eq!((&table["rows"], &table["row_count"]), (&json!([["2", "Grace"]]), &json!(1)));
    let copy = json!({"from_bucket": "models", "from_key": "public/a b.csv", "to_bucket": "models", "to_key": "public/c.csv"});
    call("copy_object", copy).await.unwrap();
    let whole = "0123456789".repeat(600_000);
    let id = call("start_upload", on("public/big", json!({}))).await.unwrap()["upload_id"].clone();
    for (at, part) in [&whole[..3_000_000], &whole[3_000_000..]].iter().enumerate() {
        let arguments = json!({"upload_id": id, "offset": at * 3_000_000, "content": part});
        call("upload_part", on("public/big", arguments)).await.unwrap();
    }
    let done = call("complete_upload", on("public/big", json!({"upload_id": id}))).await.unwrap();
    assert_eq!(done["size"], json!(6_000_000));
    let end = call("get_object", on("public/big", json!({"offset": 5_999_990}))).await.unwrap();
    assert_eq!(end["content"], "0123456789");
    let list = call("list_objects", json!({"bucket": "models"})).await.unwrap();
    let keys: Vec<_> = list["objects"].as_array().unwrap().iter().map(|o| o["key"].clone()).collect();
    assert_eq!(json!(keys), json!(["public/a b.csv", "public/big", "public/c.csv"]));
    assert_eq!(call("list_versions", on("public/c.csv", json!({}))).await, Err("not_supported".to_owned()));
    for key in ["public/a b.csv", "public/big", "public/c.csv"] {
        call("delete_object", on(key, json!({}))).await.unwrap();
        assert_eq!(call("get_object", on(key, json!({}))).await, Err("not_found".to_owned()));
    }
}
