//! Every tool of the S3 server through the gate, before a real S3 service; what came of it is looked at by AWS's own SDK.

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use std::path::Path;
use std::process::Command;
use world::components::{self, program, root};
use world::served::{self, BELOW_PUBLIC, heard};
use world::{Agent, Reply, World, policies};

/// A bucket of its own for each story, and the SDK beside the gate.
struct Story {
    python: std::path::PathBuf,
    bucket: String,
}

impl Story {
    /// None where there is no S3 service or no SDK; then that is said.
    fn of(bucket: &str, versions: bool) -> Option<Self> {
        if std::env::var("SALLYPORT_S3_ENDPOINT").is_err() {
            components::missing("an S3 service", "cargo xtask interop s3");
            return None;
        }
        let story =
            Self { python: components::store_sdks()?, bucket: format!("{bucket}-{}", std::process::id()) };
        story.sdk(&["bucket", &story.bucket, if versions { "versions" } else { "" }]);
        Some(story)
    }

    fn sdk(&self, arguments: &[&str]) -> Value {
        let script = root().join("tests/clients/s3/s3_client.py");
        let output = Command::new(&self.python).arg(script).args(arguments).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        serde_json::from_str(&said)
            .unwrap_or_else(|_| panic!("{said} {}", String::from_utf8_lossy(&output.stderr)))
    }

    /// An object as the SDK reads it.
    fn get(&self, key: &str) -> Value {
        self.sdk(&["get", &self.bucket, key])
    }

    fn text(&self, key: &str) -> String {
        String::from_utf8(STANDARD.decode(self.get(key)["base64"].as_str().unwrap()).unwrap()).unwrap()
    }

    async fn world(&self, fence: &str, policy: &str) -> World {
        let env = |name: &str| std::env::var(name).unwrap();
        let (store, endpoint) = (format!("s3://{}{fence}", self.bucket), env("SALLYPORT_S3_ENDPOINT"));
        let flags = ["--store", &store, "--allow-http", "--endpoint", &endpoint, "--part-bytes", "5242880"];
        let keys = [
            ("access-key-file", env("SALLYPORT_S3_ACCESS_KEY")),
            ("secret-key-file", env("SALLYPORT_S3_SECRET_KEY")),
        ];
        let keys = keys.each_ref().map(|(flag, text)| (*flag, text.as_str()));
        served::s3_with(&program("mcp-s3"), &flags, &keys, policy).await
    }

    /// Arguments on an object, with some more.
    fn on(&self, key: &str, more: Value) -> Value {
        let mut arguments = json!({"bucket": self.bucket, "key": key});
        arguments.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        arguments
    }
}

fn clerk(world: &World) -> Agent {
    world.clerk().at("/mcp/s3")
}

fn content(reply: &Reply) -> Value {
    let mut reply = reply.json();
    assert_eq!(reply["result"]["isError"], json!(false), "{reply}");
    reply["result"]["structuredContent"].take()
}

fn code(reply: &Reply) -> Value {
    reply.json()["result"]["structuredContent"]["error"]["code"].clone()
}

fn sha256(bytes: &[u8]) -> String {
    digest(&SHA256, bytes).as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A refusal's three witnesses: what the caller heard, what the server didn't, what the gateway kept.
async fn refused(world: &World, agent: &Agent, tool: &str, arguments: Value) {
    let before = heard(world, 0).await;
    let reply = agent.call(tool, arguments).await;
    assert_eq!(reply.refused_because(), "not_allowed", "{tool} {}", reply.text);
    assert_eq!(heard(world, before).await, before, "{tool}");
    let records = world.records("request");
    let last = records.last().unwrap();
    assert_eq!((&last["decision"], &last["target"]["tool"]), (&json!("denial"), &json!(tool)), "{last}");
}

#[tokio::test]
async fn what_is_written_through_the_gate_is_what_the_sdk_reads() {
    let Some(story) = Story::of("written", false) else { return };
    let world = story.world("", BELOW_PUBLIC).await;
    let agent = clerk(&world);
    let text = "id,name\n1,Ada\n2,Gr\u{fc}n\n";
    let digest = sha256(text.as_bytes());
    let put = json!({"content": text, "content_type": "text/csv", "sha256": digest, "if_none_match": "*"});
    let written =
        content(&agent.call("put_object", story.on("public/a b/gr\u{fc}n%.csv", put.clone())).await);
    let found = story.get("public/a b/gr\u{fc}n%.csv");
    assert_eq!(story.text("public/a b/gr\u{fc}n%.csv"), text);
    assert_eq!((&found["type"], &found["etag"]), (&json!("text/csv"), &written["etag"]), "{found}");
    let kept = STANDARD.decode(found["sha256"].as_str().unwrap()).unwrap();
    assert_eq!(
        kept.iter().map(|b| format!("{b:02x}")).collect::<String>(),
        digest,
        "the store has checked it, too"
    );
    refused(&world, &agent, "put_object", story.on("private/a b/gr\u{fc}n%.csv", put.clone())).await;

    let again = agent.call("put_object", story.on("public/a b/gr\u{fc}n%.csv", put)).await;
    assert_eq!(code(&again), "exists");
    let wrong = json!({"content": "other", "sha256": digest});
    assert_eq!(code(&agent.call("put_object", story.on("public/new", wrong)).await), "checksum_mismatch");
    let key = "public/state.json";
    let first = content(&agent.call("put_object", story.on(key, json!({"content": "{\"n\": 1}"}))).await);
    let second = json!({"content": "{\"n\": 2}", "if_match": first["etag"]});
    content(&agent.call("put_object", story.on(key, second.clone())).await);
    assert_eq!(code(&agent.call("put_object", story.on(key, second)).await), "changed");
    assert_eq!(story.text(key), "{\"n\": 2}");
    assert_eq!(story.sdk(&["keys", &story.bucket]), json!(["public/a b/gr\u{fc}n%.csv", key]));

    let read = content(&agent.call("get_object", story.on("public/a b/gr\u{fc}n%.csv", json!({}))).await);
    assert_eq!(
        (&read["content"], &read["content_type"], &read["sha256"]),
        (&json!(text), &json!("text/csv"), &json!(digest))
    );
    let head = content(&agent.call("head_object", story.on("public/a b/gr\u{fc}n%.csv", json!({}))).await);
    assert_eq!(
        (&head["sha256"], &head["size"], &head["content_type"]),
        (&json!(digest), &json!(text.len()), &json!("text/csv"))
    );
    refused(&world, &agent, "head_object", story.on("private/a b/gr\u{fc}n%.csv", json!({}))).await;
    let lines = content(
        &agent.call("preview_text", story.on("public/a b/gr\u{fc}n%.csv", json!({"lines": 2}))).await,
    );
    assert_eq!(
        (&lines["text"], &lines["more"], &lines["charset"]),
        (&json!("id,name\n1,Ada\n"), &json!(true), &json!("utf-8"))
    );
    refused(&world, &agent, "preview_text", story.on("private/x.csv", json!({}))).await;
    content(&agent.call("delete_object", story.on(key, json!({}))).await);
    assert_eq!(story.get(key)["error"], "NoSuchKey");
    refused(&world, &agent, "delete_object", story.on("private/state.json", json!({}))).await;

    let listed = world::agent::send(agent.rpc("resources/list", json!({}))).await;
    assert!(listed.text.contains("/public/a%20b/gr%C3%BCn%25.csv"), "{}", listed.text);
    let uri = format!("s3://{}/public/a%20b/gr%C3%BCn%25.csv", story.bucket);
    let read = world::agent::send(agent.rpc("resources/read", json!({ "uri": uri }))).await;
    assert_eq!(read.json()["result"]["contents"][0]["text"], json!(text), "{}", read.text);
    let denied =
        world::agent::send(agent.rpc("resources/read", json!({ "uri": uri.replace("public", "private") })))
            .await;
    assert_eq!(denied.refused_because(), "not_allowed");
}

#[tokio::test]
async fn versions_are_listed_read_and_brought_back() {
    let Some(story) = Story::of("versions", true) else { return };
    let world = story.world("", BELOW_PUBLIC).await;
    let agent = clerk(&world);
    let key = "public/model.txt";
    for text in ["one", "two", "three"] {
        content(&agent.call("put_object", story.on(key, json!({"content": text}))).await);
    }
    content(
        &agent.call("put_object", story.on("public/model.txt.bak", json!({"content": "another key"}))).await,
    );
    let page = content(&agent.call("list_versions", story.on(key, json!({}))).await);
    let oldest = page["versions"][2]["version"].clone();
    let read = content(&agent.call("get_object", story.on(key, json!({"version": oldest}))).await);
    assert_eq!((&read["content"], &read["version"]), (&json!("one"), &oldest));
    let bring = |to: &str| json!({"from_bucket": story.bucket, "from_key": key, "from_version": oldest, "to_bucket": story.bucket, "to_key": to});
    refused(&world, &agent, "copy_object", bring("private/model.txt")).await;
    content(&agent.call("copy_object", bring(key)).await);
    assert_eq!(story.text(key), "one", "it is back");
    // versitygw 1.7.0 has no object behind a deletion any more, whoever writes it, so this comes last.
    content(&agent.call("delete_object", story.on(key, json!({}))).await);
    assert_eq!(code(&agent.call("get_object", story.on(key, json!({}))).await), "not_found");

    let mut all = Vec::new();
    let mut cursor = json!({"page_size": 2});
    loop {
        let page = content(&agent.call("list_versions", story.on(key, cursor)).await);
        all.extend(page["versions"].as_array().unwrap().clone());
        if page["next_cursor"].is_null() {
            break;
        }
        cursor = json!({"page_size": 2, "cursor": page["next_cursor"]});
    }
    let told: Vec<_> = all.iter().map(|v| json!([v["is_deletion"], v["is_latest"], v["size"]])).collect();
    let there = |size: u64| json!([false, false, size]);
    assert_eq!(told, [json!([true, true, null]), there(3), there(5), there(3), there(3)]);
    let sdks = story.sdk(&["versions", &story.bucket, key]);
    let ours: Vec<_> =
        all.iter().filter(|v| v["is_deletion"] == json!(false)).map(|v| v["version"].clone()).collect();
    assert_eq!((json!(ours), json!(1)), (sdks["versions"].clone(), sdks["deletions"].clone()));
    refused(&world, &agent, "list_versions", story.on("private/model.txt", json!({}))).await;
    let unknown = story.on(key, json!({"version": "01AN4Z07BY79KA1307SR9X4MV3"}));
    assert_eq!(agent.call("get_object", unknown).await.json()["result"]["isError"], json!(true));
}

#[tokio::test]
async fn an_object_that_fits_into_no_call_goes_up_in_parts() {
    let Some(story) = Story::of("parts", false) else { return };
    let world = story.world("", BELOW_PUBLIC).await;
    let agent = clerk(&world);
    let whole: Vec<u8> = (0..7_000_000_u32).map(|i| (i % 251) as u8).collect();
    let key = "public/big.bin";
    let started = content(
        &agent.call("start_upload", story.on(key, json!({"content_type": "application/x-weights"}))).await,
    );
    refused(&world, &agent, "start_upload", story.on("private/big.bin", json!({}))).await;
    let id = &started["upload_id"];
    let mut offset = json!(0);
    for piece in whole.chunks(1_500_000) {
        let piece = json!({
            "upload_id": id, "offset": offset, "content_base64": STANDARD.encode(piece), "sha256": sha256(piece),
        });
        offset = content(&agent.call("upload_part", story.on(key, piece)).await)["next_offset"].clone();
    }
    refused(
        &world,
        &agent,
        "upload_part",
        story.on("private/big.bin", json!({"upload_id": id, "offset": 0, "content": "x"})),
    )
    .await;
    assert_eq!(story.get(key)["error"], "NoSuchKey", "it appears at the end");
    assert_eq!(story.sdk(&["uploads", &story.bucket]), json!([key]), "one part is there");
    refused(&world, &agent, "complete_upload", story.on("private/big.bin", json!({"upload_id": id}))).await;
    let done = json!({"upload_id": id, "sha256": sha256(&whole)});
    let done = content(&agent.call("complete_upload", story.on(key, done)).await);
    assert_eq!(done["size"], json!(whole.len()));
    let found = story.get(key);
    assert!(
        STANDARD.decode(found["base64"].as_str().unwrap()).unwrap() == whole,
        "the SDK reads what was sent"
    );
    assert_eq!(found["type"], "application/x-weights");
    assert!(found["etag"].as_str().unwrap().ends_with("-2\""), "two parts: {}", found["etag"]);

    // One that is given up, and one with another digest, leave nothing.
    for end in ["abort_upload", "complete_upload"] {
        let id =
            content(&agent.call("start_upload", story.on("public/no.bin", json!({}))).await)["upload_id"]
                .clone();
        let mut offset = 0;
        for piece in whole[..6_000_000].chunks(3_000_000) {
            let arguments = json!({"upload_id": id, "offset": offset, "content_base64": STANDARD.encode(&piece[..2_900_000])});
            content(&agent.call("upload_part", story.on("public/no.bin", arguments)).await);
            offset += 2_900_000;
        }
        let arguments = match end {
            "abort_upload" => json!({"upload_id": id}),
            _ => json!({"upload_id": id, "sha256": sha256(b"")}),
        };
        if end == "abort_upload" {
            refused(&world, &agent, end, story.on("private/no.bin", arguments.clone())).await;
        }
        let reply = agent.call(end, story.on("public/no.bin", arguments)).await;
        assert_eq!(
            code(&reply),
            if end == "abort_upload" { json!(null) } else { json!("checksum_mismatch") }
        );
        let mut open = json!(["?"]);
        for _ in 0..50 {
            open = story.sdk(&["uploads", &story.bucket]);
            if open == json!([]) {
                break;
            }
        }
        assert_eq!(
            (open, story.get("public/no.bin")["error"].clone()),
            (json!([]), json!("NoSuchKey")),
            "{end}"
        );
    }
}

#[tokio::test]
async fn objects_are_copied_by_the_store_and_on_conditions() {
    let Some(story) = Story::of("copies", false) else { return };
    let world = story.world("", BELOW_PUBLIC).await;
    let agent = clerk(&world);
    let from = json!({"content": "weights", "content_type": "application/x-weights"});
    content(&agent.call("put_object", story.on("public/from", from)).await);
    let copy = |from: &str, to: &str, more: Value| {
        let mut arguments =
            json!({"from_bucket": story.bucket, "from_key": from, "to_bucket": story.bucket, "to_key": to});
        arguments.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        arguments
    };
    for to in ["public/to", "public/on a condition"] {
        let more = if to == "public/to" { json!({}) } else { json!({"if_none_match": "*"}) };
        content(&agent.call("copy_object", copy("public/from", to, more)).await);
        assert_eq!(
            (story.text(to), story.get(to)["type"].clone()),
            ("weights".to_owned(), json!("application/x-weights"))
        );
    }
    let taken =
        agent.call("copy_object", copy("public/from", "public/to", json!({"if_none_match": "*"}))).await;
    assert_eq!(code(&taken), "exists");
    refused(&world, &agent, "copy_object", copy("private/from", "public/to", json!({}))).await;
    refused(&world, &agent, "copy_object", copy("public/from", "private/to", json!({}))).await;
    assert_eq!(
        story.sdk(&["keys", &story.bucket]),
        json!(["public/from", "public/on a condition", "public/to"])
    );
}

#[tokio::test]
async fn tables_that_the_sdk_wrote_are_previewed() {
    let Some(story) = Story::of("tables", false) else { return };
    let world = story.world("", BELOW_PUBLIC).await;
    let agent = clerk(&world);
    let pyarrow = root().join("mcp-servers/s3/src/table/pyarrow.parquet");
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let put = |key: &str, path: &Path| story.sdk(&["put", &story.bucket, key, &path.display().to_string()]);
    put("public/p.parquet", &pyarrow);
    put("private/p.parquet", &pyarrow);
    put("public/c.csv", &file("c.csv", "id,name\n1,Ada\n2,Grace\n"));
    put("public/l.jsonl", &file("l.jsonl", "{\"id\": 1}\n{\"id\": 2, \"ok\": true}\n"));
    put("public/broken.parquet", &file("broken.parquet", "PAR1 and no more PAR1"));
    let table = content(
        &agent
            .call(
                "preview_table",
                story.on("public/p.parquet", json!({"rows": 2, "columns": ["id", "label"]})),
            )
            .await,
    );
    assert_eq!((&table["row_count"], &table["rows"]), (&json!(1000), &json!([[0, "cat"], [1, null]])));
    assert_eq!(
        (&table["columns"][3]["name"], &table["columns"][3]["type"]),
        (&json!("at"), &json!("timestamp"))
    );
    refused(&world, &agent, "preview_table", story.on("private/p.parquet", json!({"rows": 2}))).await;
    let table = content(&agent.call("preview_table", story.on("public/c.csv", json!({}))).await);
    assert_eq!((&table["row_count"], &table["rows"][1]), (&json!(2), &json!(["2", "Grace"])));
    let table = content(&agent.call("preview_table", story.on("public/l.jsonl", json!({}))).await);
    assert_eq!((&table["row_count"], &table["shown"]), (&json!(2), &json!(["id", "ok"])));
    assert_eq!(
        code(&agent.call("preview_table", story.on("public/broken.parquet", json!({}))).await),
        "bad_table"
    );
    assert_eq!(code(&agent.call("preview_text", story.on("public/p.parquet", json!({}))).await), "not_text");
}

/// A policy that allows everything, and a server that serves one prefix.
#[tokio::test]
async fn no_policy_leads_beyond_the_fence() {
    let Some(story) = Story::of("fenced", false) else { return };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x");
    std::fs::write(&path, "alice,1").unwrap();
    for key in ["public/hello.csv", "public-not/x.csv", "private/salary.csv", "top.csv"] {
        story.sdk(&["put", &story.bucket, key, &path.display().to_string()]);
    }
    let world = story.world("/public", "package tools.s3\n\nvisible := true\n\nallow := true\n").await;
    let agent = clerk(&world);
    content(&agent.call("get_object", story.on("public/hello.csv", json!({}))).await);
    for key in ["public-not/x.csv", "private/salary.csv", "top.csv", "nothing"] {
        for (tool, more) in [
            ("get_object", json!({})),
            ("head_object", json!({})),
            ("list_versions", json!({})),
            ("preview_text", json!({})),
            ("preview_table", json!({"format": "csv"})),
            ("put_object", json!({"content": "x"})),
            ("start_upload", json!({})),
            ("delete_object", json!({})),
        ] {
            assert_eq!(code(&agent.call(tool, story.on(key, more)).await), "fenced", "{tool} {key}");
        }
        for (from, to) in [(key, "public/copy"), ("public/hello.csv", key)] {
            let copy = json!({"from_bucket": story.bucket, "from_key": from, "to_bucket": story.bucket, "to_key": to});
            assert_eq!(code(&agent.call("copy_object", copy).await), "fenced", "{from} to {to}");
        }
    }
    for prefix in ["", "pub", "public/"] {
        let list =
            content(&agent.call("list_objects", json!({"bucket": story.bucket, "prefix": prefix})).await);
        let keys: Vec<_> = list["objects"].as_array().unwrap().iter().map(|o| o["key"].clone()).collect();
        assert_eq!(json!(keys), json!(["public/hello.csv"]), "{prefix:?}");
    }
    for prefix in ["private/", "public-"] {
        let list = agent.call("list_objects", json!({"bucket": story.bucket, "prefix": prefix})).await;
        assert_eq!(code(&list), "fenced", "{prefix}");
    }
    let all = ["private/salary.csv", "public-not/x.csv", "public/hello.csv", "top.csv"];
    assert_eq!(story.sdk(&["keys", &story.bucket]), json!(all));
    assert_eq!(story.text("private/salary.csv"), "alice,1");
}

/// A secret that the store doesn't know: the server says so, and no more.
#[tokio::test]
async fn a_credential_that_the_store_refuses_is_told_as_such() {
    let Some(story) = Story::of("refused", false) else { return };
    let (store, endpoint) =
        (format!("s3://{}", story.bucket), std::env::var("SALLYPORT_S3_ENDPOINT").unwrap());
    let flags = ["--store", &store, "--allow-http", "--endpoint", &endpoint];
    let key = std::env::var("SALLYPORT_S3_ACCESS_KEY").unwrap();
    let keys = [("access-key-file", key.as_str()), ("secret-key-file", "of-nobody")];
    let world = served::s3_with(&program("mcp-s3"), &flags, &keys, BELOW_PUBLIC).await;
    let agent = clerk(&world);
    for (tool, more) in
        [("get_object", json!({})), ("list_versions", json!({})), ("put_object", json!({"content": "x"}))]
    {
        let reply = agent.call(tool, story.on("public/x", more)).await;
        assert_eq!(code(&reply), "forbidden", "{tool} {}", reply.text);
        assert!(!reply.text.contains(&key) && !reply.text.contains(&endpoint), "{}", reply.text);
    }
}

#[test]
fn the_policy_of_the_s3_servers_readme_passes_its_tests() {
    assert_eq!(policies::of_readme("s3", "s3"), 3);
}
