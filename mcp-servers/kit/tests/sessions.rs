//! Sessions of 2025-11-25, as a client of a server sees them.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test ends by panicking")]

use http::{Method, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use kit::{Flags, Progress, Service};
use rmcp::{ServerHandler, tool, tool_handler, tool_router};
use serde_json::{Value, json};
use std::path::Path;
use tokio::sync::watch;
use world::{Client, World};

mod world;

#[derive(Clone)]
struct Fixture {
    /// How many calls of `wait` are running.
    running: watch::Sender<usize>,
    /// How far they may go: each says so when it has got there, and ends at 3.
    may: watch::Sender<u8>,
}

struct Running(watch::Sender<usize>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.send_modify(|running| *running -= 1);
    }
}

#[tool_router]
impl Fixture {
    /// Goes as far as it may.
    #[tool]
    async fn wait(&self, progress: Progress) -> String {
        self.running.send_modify(|running| *running += 1);
        let _running = Running(self.running.clone());
        let mut may = self.may.subscribe();
        for step in 1..=3 {
            may.wait_for(|may| *may >= step).await.unwrap();
            progress.tell(step.into(), None, "going").await;
        }
        "there".to_owned()
    }

    /// Has a mistake in it.
    #[tool]
    async fn fall(&self) -> String {
        panic!("nobody reads this");
    }
}

#[tool_handler]
impl ServerHandler for Fixture {}

struct Bench {
    world: World,
    running: watch::Receiver<usize>,
    may: watch::Sender<u8>,
    token: String,
    session: String,
}

impl Bench {
    async fn start() -> Self {
        let (running, seen) = watch::channel(0);
        let may = watch::Sender::new(0);
        let service = Service::new("fixture", Fixture { running, may: may.clone() });
        let change = |flags: &mut Flags, dir: &Path| {
            flags.observe.audit_file = Some(dir.join("audit.jsonl"));
            flags.limits.sessions_max = 2;
        };
        let world = World::of("fixture", &["protocol", "wait", "fall"], |_| service, change).await;
        let token = world.token("alice", &[]);
        let hello = json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {
            "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}});
        let mut client = world.connect("gateway").await.unwrap();
        let opened = client.send(Method::POST, Some(&token), &[], hello.to_string()).await.unwrap();
        assert_eq!(opened.body["id"], json!(0), "{}", opened.text);
        let session = opened.headers["mcp-session-id"].to_str().unwrap().to_owned();
        Self { world, running: seen, may, token, session }
    }

    /// Sends something in the session, over a connection of its own.
    async fn begin(
        &self,
        method: Method,
        last: Option<&str>,
        body: String,
    ) -> (Client, StatusCode, Incoming) {
        let mut client = self.world.connect("gateway").await.unwrap();
        let mut headers =
            vec![("mcp-session-id", self.session.as_str()), ("mcp-protocol-version", "2025-11-25")];
        headers.extend(last.map(|last| ("last-event-id", last)));
        let request = client.request(method, Some(&self.token), &headers, body);
        let (parts, body) = client.send.send_request(request).await.unwrap().into_parts();
        (client, parts.status, body)
    }

    /// How the only call of a tool ended, by the audit.
    async fn outcome(&self, tool: &str) -> Value {
        for lines in 1.. {
            let lines = self.world.audit(lines).await;
            if let Some(line) = lines.iter().find(|line| line["tool"] == json!(tool)) {
                return line["outcome"].clone();
            }
        }
        unreachable!("there are not so many lines, and that ends the test")
    }

    async fn call(&mut self, id: u32) -> (Client, StatusCode, Incoming) {
        let running = *self.running.borrow();
        let params = json!({"name": "wait", "_meta": {"progressToken": format!("p{id}")}});
        let call = json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params});
        let begun = self.begin(Method::POST, None, call.to_string()).await;
        self.running.wait_for(|now| *now > running).await.unwrap();
        begun
    }
}

/// The next event of a stream: its id, and its message.
async fn event(body: &mut Incoming) -> (String, Value) {
    let frame = body.frame().await.unwrap().unwrap().into_data().unwrap();
    let text = String::from_utf8(frame.to_vec()).unwrap();
    let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default().trim();
    (field("id:").to_owned(), serde_json::from_str(field("data:")).unwrap_or_default())
}

async fn rest(body: Incoming) -> String {
    String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap()
}

#[tokio::test]
async fn two_calls_of_a_session_hear_of_themselves_alone() {
    let mut bench = Bench::start().await;
    let (_first, _, first) = bench.call(1).await;
    let (_second, _, second) = bench.call(2).await;
    bench.may.send_replace(3);
    for (body, own, other) in [(rest(first).await, 1, 2), (rest(second).await, 2, 1)] {
        assert_eq!(body.matches(&format!("\"progressToken\":\"p{own}\"")).count(), 3, "{body}");
        assert!(body.contains(&format!("\"id\":{own},")) && !body.contains(&format!("p{other}")), "{body}");
        assert!(!body.contains(&format!("\"id\":{other},")), "{body}");
    }
}

#[tokio::test]
async fn a_client_that_loses_a_stream_reads_on_behind_the_last_event_that_it_saw() {
    let mut bench = Bench::start().await;
    let (client, _, mut body) = bench.call(1).await;
    bench.may.send_replace(1);
    assert_eq!(event(&mut body).await.1, Value::Null, "an id to resume behind");
    let (seen, message) = event(&mut body).await;
    assert_eq!(message["params"]["progress"], json!(1.0));
    drop((client, body));
    bench.may.send_replace(2);
    let (_client, status, mut body) = bench.begin(Method::GET, Some(&seen), String::new()).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(event(&mut body).await.1["params"]["progress"], json!(2.0));
    bench.may.send_replace(3);
    let body = rest(body).await;
    assert!(body.contains("\"progress\":3.0") && body.contains("there"), "{body}");
    let (_client, status, body) = bench.begin(Method::GET, Some(&seen), String::new()).await;
    assert_eq!((status, rest(body).await.as_str()), (StatusCode::OK, ""), "the call is answered");
}

#[tokio::test]
async fn a_session_that_is_deleted_ends_what_waits_in_it() {
    let mut bench = Bench::start().await;
    let (_call, _, call) = bench.call(1).await;
    let (_listener, status, mut own) = bench.begin(Method::GET, None, String::new()).await;
    assert_eq!((status, event(&mut own).await), (StatusCode::OK, ("0".to_owned(), Value::Null)));
    let (_client, status, _) = bench.begin(Method::DELETE, None, String::new()).await;
    assert_eq!(status, StatusCode::ACCEPTED);
    let (call, own) = tokio::join!(rest(call), rest(own));
    assert!(!call.contains("\"id\":1") && own.is_empty(), "{call} {own}");
    let list = json!({"jsonrpc": "2.0", "id": 2, "method": "tools/list"}).to_string();
    assert_eq!(bench.begin(Method::POST, None, list).await.1, StatusCode::NOT_FOUND);
    assert_eq!(bench.begin(Method::GET, None, String::new()).await.1, StatusCode::NOT_FOUND);
    bench.running.wait_for(|running| *running == 0).await.unwrap();
    assert_eq!(bench.outcome("wait").await, json!("cancelled"));
}

#[tokio::test]
async fn a_call_under_an_id_that_is_in_use_is_refused() {
    let mut bench = Bench::start().await;
    let (_first, _, first) = bench.call(1).await;
    let list = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list"}).to_string();
    let (_second, _, second) = bench.begin(Method::POST, None, list.clone()).await;
    let second = rest(second).await;
    assert!(second.contains("-32600") && second.contains("\"id\":1"), "{second}");
    let refused =
        |line: &Value| line["method"] == json!("tools/list") && line["outcome"] == json!("request_id_in_use");
    assert!(bench.world.audit(2).await.iter().any(refused));
    bench.may.send_replace(3);
    assert!(rest(first).await.contains("there"));
    let (_again, _, again) = bench.begin(Method::POST, None, list).await;
    assert!(rest(again).await.contains("\"tools\":"));
}

#[tokio::test]
async fn a_tool_that_makes_a_mistake_answers_all_the_same() {
    let bench = Bench::start().await;
    let call = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "fall"}});
    let (_client, _, body) = bench.begin(Method::POST, None, call.to_string()).await;
    let body = rest(body).await;
    assert!(body.contains("\"isError\":true") && !body.contains("nobody reads"), "{body}");
    assert_eq!(bench.outcome("fall").await, json!("failed"));
}

#[tokio::test]
async fn where_as_many_sessions_are_open_as_may_be_another_one_is_refused() {
    let bench = Bench::start().await;
    let hello = json!({"jsonrpc": "2.0", "id": 5, "method": "initialize", "params": {
        "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}});
    for (status, reason) in [(StatusCode::OK, ""), (StatusCode::SERVICE_UNAVAILABLE, "too_many_sessions")] {
        let mut client = bench.world.connect("gateway").await.unwrap();
        let opened = client.send(Method::POST, Some(&bench.token), &[], hello.to_string()).await.unwrap();
        assert_eq!((opened.status, opened.body["id"].clone()), (status, json!(5)), "{}", opened.text);
        assert!(opened.text.contains(reason));
    }
}
