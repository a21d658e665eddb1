//! The S3 server through the gate before Azurite, Microsoft's emulator of Azure Storage; what came of it is looked at by
//! Microsoft's own SDK. The server has a signature of one container, and no key of the account.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use world::components::{self, program, root};
use world::served::{self, BELOW_PUBLIC};
use world::{Agent, Reply};

const ACCOUNT: &str = "storyaccount";
/// Made up, and base64 as Azurite wants it.
const KEY: &str = "c3RvcmllcyBhcmUgdG9sZCB3aXRoIHRoaXMga2V5";

struct Azurite {
    process: Child,
    python: PathBuf,
    url: String,
    _folder: tempfile::TempDir,
}

impl Azurite {
    fn start() -> Option<Self> {
        let (script, python) = (components::azurite()?, components::store_sdks()?);
        let folder = tempfile::tempdir().unwrap();
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let process = Command::new("node")
            .arg(script)
            .args([
                "--blobHost",
                "127.0.0.1",
                "--blobPort",
                &address.port().to_string(),
                "--silent",
                "--disableTelemetry",
            ])
            .args(["--skipApiVersionCheck", "--location"])
            .arg(folder.path())
            .env("AZURITE_ACCOUNTS", format!("{ACCOUNT}:{KEY}"))
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let url = format!("http://{address}/{ACCOUNT}");
        let azurite = Self { process, python, url, _folder: folder };
        let deadline = Instant::now() + Duration::from_secs(30);
        while TcpStream::connect(address).is_err() {
            assert!(Instant::now() < deadline, "Azurite doesn't listen");
            std::thread::sleep(Duration::from_millis(20));
        }
        Some(azurite)
    }

    fn sdk(&self, arguments: &[&str]) -> Value {
        let script = root().join("tests/clients/s3/azure_client.py");
        let output = Command::new(&self.python)
            .arg(script)
            .args(arguments)
            .env("SALLYPORT_AZURE_URL", &self.url)
            .env("SALLYPORT_AZURE_ACCOUNT", ACCOUNT)
            .env("SALLYPORT_AZURE_KEY", KEY)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        serde_json::from_str(&said)
            .unwrap_or_else(|_| panic!("{said} {}", String::from_utf8_lossy(&output.stderr)))
    }

    fn text(&self, key: &str) -> String {
        let found = self.sdk(&["get", "models", key]);
        String::from_utf8(STANDARD.decode(found["base64"].as_str().unwrap()).unwrap()).unwrap()
    }
}

impl Drop for Azurite {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn content(reply: &Reply) -> Value {
    let mut reply = reply.json();
    assert_eq!(reply["result"]["isError"], json!(false), "{reply}");
    reply["result"]["structuredContent"].take()
}

fn code(reply: &Reply) -> Value {
    reply.json()["result"]["structuredContent"]["error"]["code"].clone()
}

fn on(key: &str, more: Value) -> Value {
    let mut arguments = json!({"bucket": "models", "key": key});
    arguments.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    arguments
}

#[tokio::test]
async fn blobs_of_one_container_come_and_go_through_the_gate() {
    let Some(azurite) = Azurite::start() else { return };
    let signature = azurite.sdk(&["container", "models"]);
    let flags = [
        "--store",
        "az://models",
        "--account",
        ACCOUNT,
        "--endpoint",
        &azurite.url,
        "--allow-http",
        "--part-bytes",
        "5242880",
    ];
    let files = [("sas-file", signature.as_str().unwrap())];
    let world = served::s3_with(&program("mcp-s3"), &flags, &files, BELOW_PUBLIC).await;
    let agent: Agent = world.clerk().at("/mcp/s3");

    let put = json!({"content": "id,name\n1,Ada\n", "content_type": "text/csv", "if_none_match": "*"});
    let written = content(&agent.call("put_object", on("public/a b.csv", put.clone())).await);
    assert_eq!(azurite.text("public/a b.csv"), "id,name\n1,Ada\n");
    assert_eq!(azurite.sdk(&["get", "models", "public/a b.csv"])["type"], "text/csv");
    let denied = agent.call("put_object", on("private/a b.csv", put.clone())).await;
    assert_eq!(denied.refused_because(), "not_allowed");
    assert_eq!(world.records("request").last().unwrap()["decision"], "denial");
    assert_eq!(azurite.sdk(&["keys", "models"]), json!(["public/a b.csv"]));
    assert_eq!(code(&agent.call("put_object", on("public/a b.csv", put)).await), "exists");
    let change =
        json!({"content": "id,name\n2,Grace\n", "content_type": "text/csv", "if_match": written["etag"]});
    content(&agent.call("put_object", on("public/a b.csv", change.clone())).await);
    assert_eq!(code(&agent.call("put_object", on("public/a b.csv", change)).await), "changed");

    let read =
        content(&agent.call("get_object", on("public/a b.csv", json!({"offset": 3, "length": 4}))).await);
    assert_eq!((&read["content"], &read["content_type"]), (&json!("name"), &json!("text/csv")));
    let table = content(&agent.call("preview_table", on("public/a b.csv", json!({}))).await);
    assert_eq!(table["rows"], json!([["2", "Grace"]]));
    let copy = json!({"from_bucket": "models", "from_key": "public/a b.csv", "to_bucket": "models", "to_key": "public/c.csv"});
    content(&agent.call("copy_object", copy).await);
    assert_eq!(azurite.text("public/c.csv"), "id,name\n2,Grace\n");
    let list = content(&agent.call("list_objects", json!({"bucket": "models", "prefix": "public/"})).await);
    assert_eq!(list["objects"].as_array().unwrap().len(), 2);
    assert_eq!(code(&agent.call("list_versions", on("public/c.csv", json!({}))).await), "not_supported");

    let whole = "0123456789".repeat(600_000);
    let id = content(&agent.call("start_upload", on("public/big", json!({}))).await)["upload_id"].clone();
    for (at, piece) in [&whole[..3_000_000], &whole[3_000_000..]].iter().enumerate() {
        let arguments = json!({"upload_id": id, "offset": at * 3_000_000, "content": piece});
        content(&agent.call("upload_part", on("public/big", arguments)).await);
    }
    content(&agent.call("complete_upload", on("public/big", json!({"upload_id": id}))).await);
    assert!(azurite.text("public/big") == whole);

    content(&agent.call("delete_object", on("public/c.csv", json!({}))).await);
    assert_eq!(azurite.sdk(&["get", "models", "public/c.csv"]), json!(null));
    assert_eq!(code(&agent.call("get_object", on("public/c.csv", json!({}))).await), "not_found");
}
