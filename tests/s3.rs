//! The S3 server behind the gate: the starter policy's refusals, a real S3 endpoint, and MCP's conformance kit.

use crate::mcp_conformance::{SCENARIOS, twice};
use serde_json::{Value, json};
use world::agent::send;
use world::components::{self, Sallyport, program};
use world::served::{S3_SCOPES, Served};
use world::{Agent, Reply};

/// Of "a piece".
const PIECE_SHA256: &str = "97d1170964d05ab10cd77e190a7ce132331c471540f01b44cf6853e7907c6237";

fn demo_agent(up: &Sallyport) -> Agent {
    let read = |name: &str| std::fs::read_to_string(&up.env[name]).unwrap();
    certs::install_crypto();
    let (bundle, certificate, key) = (read("SALLYPORT_CA"), read("SALLYPORT_CERT"), read("SALLYPORT_KEY"));
    let agent =
        Agent::from_pem(&up.env["SALLYPORT_URL"], &bundle, Some((&certificate, &key)), &[b"http/1.1"]);
    agent.with_token(&up.env["SALLYPORT_TOKEN"]).at("/mcp/s3")
}

async fn read_resource(agent: &Agent, uri: &str) -> Reply {
    send(agent.rpc("resources/read", json!({ "uri": uri }))).await
}

fn refused(reply: &Reply) -> bool {
    reply.json()["error"]["data"]["reason"] == "not_allowed"
}

#[tokio::test]
async fn the_starter_policy_lets_the_demo_agent_read_what_is_public() {
    let up = Sallyport::up();
    let agent = demo_agent(&up);
    let list = agent.call("list_objects", json!({"bucket": "demo", "prefix": "public/"})).await;
    assert!(list.text.contains("public/hello.txt") && !list.text.contains("salary"), "{}", list.text);
    let hello = agent.call("get_object", json!({"bucket": "demo", "key": "public/hello.txt"})).await;
    assert!(hello.text.contains("Hello from behind the gate."), "{}", hello.text);
    let piece = agent
        .call("get_object", json!({"bucket": "demo", "key": "public/hello.txt", "offset": 6, "length": 4}))
        .await;
    assert!(piece.text.contains("from") && !piece.text.contains("Hello"), "{}", piece.text);
    assert!(
        read_resource(&agent, "s3://demo/public/hello.txt")
            .await
            .text
            .contains("Hello from behind the gate.")
    );
}

#[tokio::test]
async fn the_starter_policy_refuses_everything_else() {
    let up = Sallyport::up();
    let agent = demo_agent(&up);
    for arguments in [
        json!({"bucket": "demo"}),
        json!({"bucket": "demo", "prefix": ""}),
        json!({"bucket": "demo", "prefix": "private/"}),
        json!({"bucket": "other", "prefix": "public/"}),
    ] {
        assert!(refused(&agent.call("list_objects", arguments.clone()).await), "{arguments}");
    }
    for key in [
        "private/salary.csv",
        "public/../private/salary.csv",
        "public/%2e%2e/private/salary.csv",
        "public//hello.txt",
        "public/./hello.txt",
        "PUBLIC/hello.txt",
        "/public/hello.txt",
    ] {
        assert!(refused(&agent.call("get_object", json!({"bucket": "demo", "key": key})).await), "{key}");
    }
    for uri in [
        "s3://demo/private/salary.csv",
        "s3://demo/public/../private/salary.csv",
        "s3://demo/public/%2e%2e/private/salary.csv",
        "S3://demo/private/salary.csv",
    ] {
        assert!(refused(&read_resource(&agent, uri).await), "{uri}");
    }
    assert!(refused(
        &agent.call("put_object", json!({"bucket": "demo", "key": "public/x", "content": "x"})).await
    ));
    assert!(refused(
        &agent.call("delete_object", json!({"bucket": "demo", "key": "public/hello.txt"})).await
    ));
    assert_eq!(
        (up.heard("get_object"), up.heard("put_object"), up.heard("delete_object"), up.heard("list_objects")),
        (0, 0, 0, 0)
    );
    assert!(
        up.records("tools/call")
            .iter()
            .chain(&up.records("resources/read"))
            .all(|r| r["decision"] == "denial")
    );
}

/// Waits for so many records of calls: each is written a moment after its answer was heard.
async fn kept(up: &Sallyport, count: usize) {
    while up.records("tools/call").len() < count {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
}

/// One call of each tool that changes something, and its twin: a word of it leads out of the agent's own prefix.
#[tokio::test]
async fn the_starter_policy_lets_the_demo_agent_write_below_its_own_prefix() {
    let up = Sallyport::up();
    let reads = demo_agent(&up);
    let writes = demo_agent(&up).with_token(&up.token("s3:read,s3:write"));
    let in_store = |key: &str| std::fs::read_to_string(up.path("data/demo").join(key)).ok();
    let hello = in_store("public/hello.txt");
    let own = |name: &str| format!("public/agent-demo/{name}");
    let mut upload = json!("");
    for (tool, key, more, other) in [
        ("put_object", own("a.txt"), json!({"content": "a note", "if_none_match": "*"}), "public/a.txt"),
        ("copy_object", own("b.txt"), json!({"if_none_match": "*"}), "public/hello.txt"),
        ("delete_object", own("a.txt"), json!({}), "public/hello.txt"),
        ("start_upload", own("uploads/c"), json!({}), "public/agent-demo/c"),
        ("upload_part", own("uploads/c"), json!({"offset": 0, "content": "a piece"}), "public/agent-demo/c"),
        ("complete_upload", own("uploads/c"), json!({"sha256": PIECE_SHA256}), "public/agent-demo/c"),
        ("start_upload", own("uploads/c"), json!({}), "private/c"),
        ("abort_upload", own("uploads/c"), json!({}), "private/c"),
    ] {
        let id = upload.clone();
        let arguments = |key: &str| {
            let mut all = match tool {
                "copy_object" => {
                    json!({"from_bucket": "demo", "from_key": "public/hello.txt", "to_bucket": "demo", "to_key": key})
                }
                _ => json!({"bucket": "demo", "key": key}),
            };
            if ["upload_part", "complete_upload", "abort_upload"].contains(&tool) {
                all["upload_id"] = id.clone();
            }
            all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            all
        };
        let before = (up.heard(tool), up.records("tools/call").len());
        let twin = writes.call(tool, arguments(other)).await;
        assert!(refused(&twin), "{tool} {}", twin.text);
        let lacking = reads.call(tool, arguments(&key)).await;
        assert_eq!(
            (lacking.status, lacking.refused_because().as_str()),
            (403, "insufficient_scope"),
            "{tool}"
        );
        assert_eq!(up.heard(tool), before.0, "the server hears of neither");
        let done = writes.call(tool, arguments(&key)).await;
        assert!(
            done.json()["result"]["isError"] != true && done.json()["error"].is_null(),
            "{tool} {}",
            done.text
        );
        if tool == "start_upload" {
            upload = done.json()["result"]["structuredContent"]["upload_id"].clone();
        }
        kept(&up, before.1 + 3).await;
        let decided: Vec<Value> =
            up.records("tools/call")[before.1..].iter().map(|record| record["decision"].clone()).collect();
        assert_eq!(decided, ["denial", "denial", "permit"], "{tool}");
        assert_eq!(up.heard(tool), before.0 + 1, "{tool}");
        assert_eq!(in_store("public/hello.txt"), hello, "{tool}");
        assert_eq!((in_store("public/a.txt"), in_store("private/c")), (None, None), "{tool}");
        if tool == "put_object" {
            assert_eq!(in_store(&key).as_deref(), Some("a note"));
            let again = writes.call(tool, arguments(&key)).await;
            kept(&up, before.1 + 4).await;
            assert_eq!(again.json()["result"]["isError"], true, "it was there already: {}", again.text);
        }
    }
    assert_eq!(in_store(&own("a.txt")), None, "it was deleted");
    assert_eq!(in_store(&own("b.txt")), hello);
    assert_eq!(in_store(&own("uploads/c")).as_deref(), Some("a piece"));
}

#[tokio::test]
async fn the_s3_server_takes_nobody_but_the_gateway() {
    let up = Sallyport::up();
    let config = std::fs::read_to_string(up.path("sallyport.yaml")).unwrap();
    let url = config
        .lines()
        .find_map(|l| l.trim().strip_prefix("url: https://").filter(|u| u.ends_with("/mcp")))
        .unwrap();
    let read = |name: &str| std::fs::read_to_string(&up.env[name]).unwrap();
    certs::install_crypto();
    let (bundle, certificate, key) = (read("SALLYPORT_CA"), read("SALLYPORT_CERT"), read("SALLYPORT_KEY"));
    let origin = format!("https://{}", url.trim_end_matches("/mcp"));
    let agent = Agent::from_pem(&origin, &bundle, Some((&certificate, &key)), &[b"http/1.1"])
        .with_token(&up.env["SALLYPORT_TOKEN"])
        .at("/mcp");
    assert!(agent.rpc("tools/list", json!({})).send().await.is_err());
    let gateway = |name: &str| std::fs::read_to_string(up.path("svids/gateway").join(name)).unwrap();
    let as_gateway =
        Agent::from_pem(&origin, &bundle, Some((&gateway("cert.pem"), &gateway("key.pem"))), &[b"http/1.1"]);
    let refused =
        send(as_gateway.with_token(&up.env["SALLYPORT_TOKEN"]).at("/mcp").rpc("tools/list", json!({}))).await;
    assert_eq!(refused.status, 401, "the person's own token is not the server's");
}

/// `mcp-s3` against an S3 service that checks signatures, through a gateway of its own.
#[tokio::test]
async fn s3_endpoint_objects_come_and_go_through_the_gate() {
    let Ok(endpoint) = std::env::var("SALLYPORT_S3_ENDPOINT") else {
        return components::missing("an S3 service", "cargo xtask interop s3");
    };
    let env = |name: &str| std::env::var(name).unwrap();
    let world = world::served::s3(
        &program("mcp-s3"),
        &endpoint,
        &env("SALLYPORT_S3_BUCKET"),
        &env("SALLYPORT_S3_ACCESS_KEY"),
        &env("SALLYPORT_S3_SECRET_KEY"),
    )
    .await;
    let (agent, bucket) = (world.clerk().at("/mcp/s3"), env("SALLYPORT_S3_BUCKET"));
    let call = async |tool: &str, arguments: Value| agent.call(tool, arguments).await;

    let put =
        call("put_object", json!({"bucket": bucket, "key": "public/report.txt", "content": "all is well"}))
            .await;
    assert!(put.json()["result"]["isError"] != json!(true) && put.json()["error"].is_null(), "{}", put.text);
    let denied =
        call("put_object", json!({"bucket": bucket, "key": "private/report.txt", "content": "all is well"}))
            .await;
    assert!(refused(&denied), "{}", denied.text);
    let head = call("head_object", json!({"bucket": bucket, "key": "public/report.txt"})).await;
    assert!(head.text.contains("11"), "{}", head.text);
    let piece =
        call("get_object", json!({"bucket": bucket, "key": "public/report.txt", "offset": 4, "length": 2}))
            .await;
    assert_eq!(piece.result(), "is");
    let list = call("list_objects", json!({"bucket": bucket, "prefix": "public/"})).await;
    assert!(list.text.contains("public/report.txt"), "{}", list.text);
    let once = call(
        "put_object",
        json!({"bucket": bucket, "key": "public/report.txt", "content": "again", "if_none_match": "*"}),
    )
    .await;
    assert_eq!(once.json()["result"]["isError"], json!(true), "{}", once.text);
    call("delete_object", json!({"bucket": bucket, "key": "public/report.txt"})).await;
    let gone = call("get_object", json!({"bucket": bucket, "key": "public/report.txt"})).await;
    assert_eq!(gone.json()["result"]["isError"], json!(true), "{}", gone.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn mcp_s3_speaks_as_the_conformance_kit_wants_it_directly_and_through_the_gateway() {
    let Some(node) = components::installed("node22", "conformance") else { return };
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("demo")).unwrap();
    std::fs::write(folder.path().join("demo/hello.txt"), "hello").unwrap();
    let served = Served {
        name: "s3",
        program: program("mcp-s3"),
        scopes: S3_SCOPES,
        flags: vec!["--root".to_owned(), folder.path().display().to_string()],
        files: Vec::new(),
    };
    twice(&node, served, &SCENARIOS, &[]).await;
}
