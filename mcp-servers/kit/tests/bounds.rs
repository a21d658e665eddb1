//! What the kit puts around a server's own code: time, size, pages, progress, cancellation, and what is left of a request.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test ends by panicking")]

use http::{Method, StatusCode};
use http_body_util::BodyExt;
use kit::{Code, Json, Limits, Progress, Service, ToolError};
use rmcp::handler::server::wrapper::Parameters;
use rmcp::model::{ListResourceTemplatesResult, PaginatedRequestParams, ResourceTemplate};
use rmcp::model::{ServerCapabilities, ServerConfig};
use rmcp::service::RequestContext;
use rmcp::{ErrorData, RoleServer, ServerHandler, tool, tool_handler, tool_router};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::watch;
use world::{World, modern};

mod world;

const ALL: [&str; 8] = ["protocol", "resources", "long", "fail", "words", "hang", "wait", "count"];

#[derive(Clone)]
struct Fixture {
    /// How many calls of `hang` and `wait` are running, and how many have ended.
    hanging: watch::Sender<(usize, usize)>,
    /// Whether those of `wait` may end.
    go: watch::Sender<bool>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct LongArguments {
    /// How many bytes
    bytes: usize,
}

#[derive(Debug, Serialize, JsonSchema)]
struct Text {
    /// So many bytes
    text: String,
}

struct Hanging(watch::Sender<(usize, usize)>);

impl Drop for Hanging {
    fn drop(&mut self) {
        self.0.send_modify(|(running, dropped)| (*running, *dropped) = (*running - 1, *dropped + 1));
    }
}

#[tool_router]
impl Fixture {
    /// Gives a text of so many bytes.
    #[tool]
    async fn long(&self, Parameters(asked): Parameters<LongArguments>) -> Json<Text> {
        Json::new(Text { text: "x".repeat(asked.bytes) }, format!("{} bytes", asked.bytes))
    }

    /// Fails as its author meant it to.
    #[tool]
    async fn fail(&self) -> Result<Json<Text>, ToolError> {
        const EMPTY: Code = Code::new("shelf_empty");
        Err(ToolError::new(EMPTY, "the shelf is empty", "Fill it"))
    }

    /// Fails in words alone.
    #[tool]
    async fn words(&self) -> Result<String, String> {
        Err("no luck".to_owned())
    }

    /// Never ends by itself.
    #[tool]
    async fn hang(&self) -> String {
        self.hanging.send_modify(|(running, _)| *running += 1);
        let _running = Hanging(self.hanging.clone());
        std::future::pending().await
    }

    /// Ends when it may, and says so as it begins.
    #[tool]
    async fn wait(&self, progress: Progress) -> String {
        self.hanging.send_modify(|(running, _)| *running += 1);
        let _running = Hanging(self.hanging.clone());
        progress.tell(0.0, None, "waiting").await;
        self.go.subscribe().wait_for(|may| *may).await.map(|_| "done".to_owned()).unwrap()
    }

    /// Counts to three, and says so as it goes.
    #[tool]
    async fn count(&self, progress: Progress) -> String {
        for done in 1..=3 {
            progress.tell(f64::from(done), Some(3.0), "counting").await;
        }
        format!("done, heard: {}", progress.is_wanted())
    }
}

#[tool_handler]
impl ServerHandler for Fixture {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().enable_resources().build())
    }

    async fn list_resource_templates(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListResourceTemplatesResult, ErrorData> {
        let all = ["b", "a", "c"].map(|name| ResourceTemplate::new(format!("x://{name}/{{id}}"), name));
        Ok(ListResourceTemplatesResult::with_all_items(all.to_vec()))
    }
}

struct Bench {
    world: World,
    hanging: watch::Receiver<(usize, usize)>,
    go: watch::Sender<bool>,
    reachable: Arc<AtomicBool>,
    token: String,
}

async fn bench() -> Bench {
    bench_with(|limits| limits.request_timeout = Duration::from_secs(1)).await
}

async fn bench_with(change: impl FnOnce(&mut Limits)) -> Bench {
    let (hanging, seen) = watch::channel((0, 0));
    let go = watch::Sender::new(false);
    let reachable = Arc::new(AtomicBool::new(true));
    let there = Arc::clone(&reachable);
    let service = Service::new("fixture", Fixture { hanging, go: go.clone() }).reachable_if(move || {
        let answer = if there.load(Ordering::Relaxed) { Ok(()) } else { Err("gone".to_owned()) };
        async move { answer }
    });
    let world = World::of(
        "fixture",
        &ALL,
        |_| service,
        |flags, dir| {
            flags.limits.result_bytes_max = 4_000;
            flags.limits.list_items_max = 2;
            change(&mut flags.limits);
            flags.observe.audit_file = Some(dir.join("audit.jsonl"));
            flags.observe.admin_listen = Some(([127, 0, 0, 1], 0).into());
        },
    )
    .await;
    let token = world.token("alice", &[("jti", json!("t-1"))]);
    Bench { world, hanging: seen, go, reachable, token }
}

fn error_of(body: &Value) -> (&Value, &Value) {
    (&body["result"]["isError"], &body["result"]["structuredContent"]["error"]["code"])
}

#[tokio::test]
async fn failures_have_a_code_a_sentence_and_a_fix_and_protocol_mistakes_are_protocol_errors() {
    let Bench { world, token, .. } = bench().await;
    let mut gateway = world.connect("gateway").await.unwrap();
    let failed = gateway.tool(&token, "fail", json!({})).await.body;
    assert_eq!(
        failed["result"]["structuredContent"],
        json!({"error": {"code": "shelf_empty", "message": "the shelf is empty", "fix": "Fill it"}})
    );
    let text = "shelf_empty: the shelf is empty. Fill it";
    assert_eq!(failed["result"]["content"], json!([{"type": "text", "text": text}]));
    let words = gateway.tool(&token, "words", json!({})).await.body;
    assert_eq!(error_of(&words), (&json!(true), &json!("failed")));
    for arguments in [json!({}), json!({"bytes": -1}), json!({"bytes": "9"}), json!({"bytes": 1, "more": 1})]
    {
        let wrong = gateway.tool(&token, "long", arguments.clone()).await.body;
        assert_eq!(error_of(&wrong), (&json!(true), &json!("invalid_arguments")), "{arguments}: {wrong}");
    }
    let prompts = world.token("alice", &[("scope", json!("fixture:prompts"))]);
    let undeclared = gateway.modern(&prompts, "prompts/list", json!({})).await.body;
    assert_eq!(undeclared["error"]["code"], json!(-32601), "{undeclared}");
    let scoped = world.token("alice", &[("scope", json!("fixture:nothing"))]);
    let unknown = gateway.tool(&scoped, "nothing", json!({})).await.body;
    assert_eq!(unknown["error"]["code"], json!(-32602), "{unknown}");
}

#[tokio::test]
async fn a_value_has_a_short_twin_in_text_and_a_result_is_bounded() {
    let Bench { world, token, .. } = bench().await;
    let mut gateway = world.connect("gateway").await.unwrap();
    let short = gateway.tool(&token, "long", json!({"bytes": 3})).await.body;
    assert_eq!(short["result"]["structuredContent"], json!({"text": "xxx"}), "{short}");
    assert_eq!(short["result"]["content"], json!([{"type": "text", "text": "3 bytes"}]));
    let fits = gateway.tool(&token, "long", json!({"bytes": 3_500})).await.body;
    assert_eq!(fits["result"]["isError"], json!(false), "{fits}");
    let long = gateway.tool(&token, "long", json!({"bytes": 4_000})).await.body;
    assert_eq!(error_of(&long), (&json!(true), &json!("result_too_large")), "{long}");
    assert!(long.to_string().len() < 1_000);
}

#[tokio::test]
async fn lists_come_in_pages_and_a_foreign_cursor_is_refused() {
    let Bench { world, token, .. } = bench().await;
    let mut gateway = world.connect("gateway").await.unwrap();
    for (method, list, key, wanted) in [
        ("tools/list", "tools", "name", json!(["count", "fail", "hang", "long", "wait", "words"])),
        (
            "resources/templates/list",
            "resourceTemplates",
            "uriTemplate",
            json!(["x://a/{id}", "x://b/{id}", "x://c/{id}"]),
        ),
    ] {
        let (mut seen, mut cursor, mut pages) = (Vec::new(), None::<String>, 0);
        loop {
            let params = cursor.as_ref().map_or(json!({}), |cursor| json!({"cursor": cursor}));
            let page = gateway.modern(&token, method, params).await.body;
            let items = page["result"][list].as_array().unwrap();
            assert!(items.len() <= 2);
            seen.extend(items.iter().map(|item| item[key].clone()));
            pages += 1;
            cursor = page["result"]["nextCursor"].as_str().map(str::to_owned);
            if cursor.is_none() {
                break;
            }
        }
        assert_eq!(
            (Value::from(seen), pages),
            (wanted.clone(), wanted.as_array().unwrap().len().div_ceil(2))
        );
        let refused = gateway.modern(&token, method, json!({"cursor": "***"})).await.body;
        assert_eq!(
            (&refused["error"]["code"], &refused["error"]["data"]["code"]),
            (&json!(-32602), &json!("bad_cursor")),
            "{refused}"
        );
    }
}

#[tokio::test]
async fn schemas_are_told_without_the_formats_of_rust() {
    let Bench { world, token, .. } = bench().await;
    let mut gateway = world.connect("gateway").await.unwrap();
    let cursor = kit::cursor::after("hang");
    let page = gateway.modern(&token, "tools/list", json!({ "cursor": cursor })).await.body;
    let long = &page["result"]["tools"][0];
    let bytes = &long["inputSchema"]["properties"]["bytes"];
    assert_eq!(bytes, &json!({"description": "How many bytes", "type": "integer", "minimum": 0}), "{long}");
    assert_eq!(long["outputSchema"]["required"], json!(["text"]));
}

#[tokio::test]
async fn progress_reaches_whoever_asked_for_it_and_nobody_else() {
    let Bench { world, token, .. } = bench().await;
    let mut gateway = world.connect("gateway").await.unwrap();
    let quiet = gateway.tool(&token, "count", json!({})).await;
    assert_eq!(quiet.headers["content-type"], "application/json");
    assert_eq!(quiet.body["result"]["content"][0]["text"], json!("done, heard: false"));
    let asked = json!({"name": "count", "arguments": {}, "_meta": {"progressToken": "p7"}});
    let told = gateway.modern(&token, "tools/call", asked).await;
    assert_eq!(told.headers["content-type"], "text/event-stream", "{}", told.text);
    assert_eq!(told.text.matches("notifications/progress").count(), 3, "{}", told.text);
    assert!(told.text.contains(r#""progressToken":"p7""#), "{}", told.text);
    assert_eq!(told.body["result"]["content"][0]["text"], json!("done, heard: true"));
}

#[tokio::test]
async fn a_call_that_takes_too_long_is_ended_and_so_is_the_tool() {
    let Bench { world, token, mut hanging, .. } = bench().await;
    let mut gateway = world.connect("gateway").await.unwrap();
    let late = gateway.tool(&token, "hang", json!({})).await.body;
    assert_eq!(error_of(&late), (&json!(true), &json!("deadline_exceeded")), "{late}");
    hanging.wait_for(|seen| *seen == (0, 1)).await.unwrap();
}

#[tokio::test]
async fn a_caller_that_hangs_up_takes_the_tool_along() {
    let Bench { world, token, mut hanging, .. } = bench().await;
    let mut gateway = world.connect("gateway").await.unwrap();
    let call = tokio::spawn(async move { gateway.tool(&token, "hang", json!({})).await });
    hanging.wait_for(|(running, _)| *running == 1).await.unwrap();
    call.abort();
    hanging.wait_for(|seen| *seen == (0, 1)).await.unwrap();
    let line = world.audit(1).await.remove(0);
    assert_eq!((&line["outcome"], &line["tool"]), (&json!("caller_gone"), &json!("hang")));
}

#[tokio::test]
async fn a_call_of_a_session_that_is_cancelled_is_ended() {
    let Bench { world, token, mut hanging, .. } = bench().await;
    let mut gateway = world.connect("gateway").await.unwrap();
    let hello = json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {
        "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}});
    let opened = gateway.send(Method::POST, Some(&token), &[], hello.to_string()).await.unwrap();
    let id = opened.headers["mcp-session-id"].to_str().unwrap().to_owned();
    let session = [("mcp-session-id", id.as_str()), ("mcp-protocol-version", "2025-11-25")];
    let ready = json!({"jsonrpc": "2.0", "method": "notifications/initialized"}).to_string();
    gateway.send(Method::POST, Some(&token), &session, ready).await.unwrap();
    let call = json!({"jsonrpc": "2.0", "id": 9, "method": "tools/call", "params": {"name": "hang"}});
    let request = gateway.request(Method::POST, Some(&token), &session, call.to_string());
    let stream = gateway.send.send_request(request).await.unwrap();
    hanging.wait_for(|(running, _)| *running == 1).await.unwrap();
    let mut other = world.connect("gateway").await.unwrap();
    let cancel = json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 9}});
    let taken = other.send(Method::POST, Some(&token), &session, cancel.to_string()).await.unwrap();
    assert_eq!(taken.status, StatusCode::ACCEPTED);
    hanging.wait_for(|seen| *seen == (0, 1)).await.unwrap();
    drop(stream);
    let lines = world.audit(4).await;
    let said = |method: &str| {
        let line = lines.iter().find(|line| line["method"] == json!(method)).unwrap();
        line["outcome"].clone()
    };
    assert_eq!((said("initialize"), said("notifications/cancelled")), (json!("ok"), json!("ok")));
}

#[tokio::test]
async fn every_request_leaves_a_line_that_says_who_and_what_and_never_an_argument() {
    let Bench { world, token, .. } = bench().await;
    let mut gateway = world.connect("gateway").await.unwrap();
    let chain = json!({"sub": "spiffe://fixture.test/b", "act": {"sub": "spiffe://fixture.test/a"}});
    let delegated = world.token("bob", &[("act", chain), ("jti", json!("t-2"))]);
    gateway.tool(&token, "long", json!({"bytes": 1_234})).await;
    gateway.tool(&delegated, "fail", json!({})).await;
    gateway.tool(&world.token("eve", &[("aud", json!("other"))]), "fail", json!({})).await;
    gateway.modern(&token, "resources/read", json!({"uri": "x://secret/1"})).await;
    let lines = world.audit(4).await;
    let pick =
        |line: &Value, keys: &[&str]| -> Vec<Value> { keys.iter().map(|key| line[*key].clone()).collect() };
    assert_eq!(
        pick(
            &lines[0],
            &["server", "subject", "actors", "token", "method", "tool", "scope", "status", "outcome"]
        ),
        [
            json!("fixture"),
            json!("alice"),
            json!(["spiffe://fixture.test/agent/demo"]),
            json!("t-1"),
            json!("tools/call"),
            json!("long"),
            json!("fixture:long"),
            json!(200),
            json!("ok"),
        ]
    );
    assert!(lines[0]["arguments_digest"].as_str().unwrap().starts_with("sha256:"));
    assert_eq!(lines[1]["actors"], json!(["spiffe://fixture.test/b", "spiffe://fixture.test/a"]));
    assert_eq!(
        pick(&lines[1], &["subject", "token", "outcome"]),
        [json!("bob"), json!("t-2"), json!("shelf_empty")]
    );
    assert_eq!(
        pick(&lines[2], &["subject", "status", "outcome"]),
        [Value::Null, json!(401), json!("token_audience")]
    );
    assert!(lines[3]["target_digest"].as_str().unwrap().starts_with("sha256:"));
    let text = std::fs::read_to_string(world.dir.path().join("audit.jsonl")).unwrap();
    assert!(!text.contains("1234") && !text.contains("secret/1") && !text.contains(&token));
}

#[tokio::test]
async fn the_admin_listener_says_how_the_server_is() {
    let Bench { world, token, reachable, .. } = bench().await;
    let mut gateway = world.connect("gateway").await.unwrap();
    gateway.tool(&token, "fail", json!({})).await;
    gateway.send(Method::POST, None, &[], modern("tools/list", json!({})).to_string()).await.unwrap();
    world.audit(2).await;
    assert_eq!(world.admin("/healthz").await.0, StatusCode::OK);
    assert_eq!(world.admin("/readyz").await, (StatusCode::OK, r#"{"not_ready":[],"ready":true}"#.to_owned()));
    let (status, text) = world.admin("/metrics").await;
    assert_eq!(status, StatusCode::OK);
    for line in [
        r#"mcp_server_requests_total{method="tools/call",outcome="shelf_empty",tool="fail"} 1"#,
        r#"mcp_server_requests_total{method="none",outcome="token_missing",tool=""} 1"#,
        r#"mcp_server_request_duration_seconds_count{method="tools/call",tool="fail"} 1"#,
        "mcp_server_connections 1",
        "mcp_server_requests_in_flight 0",
    ] {
        assert!(text.contains(line), "{line} is not in\n{text}");
    }
    reachable.store(false, Ordering::Relaxed);
    assert_eq!(
        world.admin("/readyz").await,
        (StatusCode::SERVICE_UNAVAILABLE, r#"{"not_ready":["backend"],"ready":false}"#.to_owned())
    );
    reachable.store(true, Ordering::Relaxed);
    std::fs::write(world.dir.path().join("jwks.json"), "{").unwrap();
    for _ in 0..500 {
        if world.admin("/readyz").await.1.contains("keys") {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(world.admin("/readyz").await.1, r#"{"not_ready":["keys"],"ready":false}"#);
    world.clock.advance(certs::development::SVID_TTL);
    assert!(world.admin("/readyz").await.1.contains("identity"));
    assert_eq!(world.admin("/other").await.0, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn refused_handshakes_are_counted() {
    let Bench { world, token, .. } = bench().await;
    if let Ok(mut stranger) = world.connect("agent/demo").await {
        let body = modern("tools/list", json!({})).to_string();
        assert!(stranger.send(Method::POST, Some(&token), &[], body).await.is_err());
    }
    let wanted = r#"mcp_server_handshakes_refused_total{reason="refused"} 1"#;
    for _ in 0..500 {
        if world.admin("/metrics").await.1.contains(wanted) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("it is not counted");
}

#[tokio::test]
async fn a_stream_that_is_read_to_its_end_is_ok_and_one_that_is_left_is_not() {
    let Bench { world, token, mut hanging, .. } = bench_with(|_| {}).await;
    let mut gateway = world.connect("gateway").await.unwrap();
    let asked = json!({"name": "count", "arguments": {}, "_meta": {"progressToken": 1}});
    let whole = gateway.begin(&token, "tools/call", asked).await;
    whole.into_body().collect().await.unwrap();
    assert_eq!(world.audit(1).await[0]["outcome"], json!("ok"));
    let asked = json!({"name": "wait", "arguments": {}, "_meta": {"progressToken": 2}});
    let left = gateway.begin(&token, "tools/call", asked).await;
    assert_eq!(left.headers()["content-type"], "text/event-stream");
    drop((left, gateway));
    assert_eq!(world.audit(2).await[1]["outcome"], json!("caller_gone"));
    hanging.wait_for(|seen| *seen == (0, 1)).await.unwrap();
}

/// Tells a world's server to stop.
fn stop(world: &mut World) {
    let (other, _) = tokio::sync::oneshot::channel();
    std::mem::replace(&mut world.stop, other).send(()).unwrap();
}

#[tokio::test]
async fn a_server_told_to_stop_answers_the_calls_that_it_has_and_takes_no_others() {
    let Bench { mut world, token, mut hanging, go, .. } = bench_with(|_| {}).await;
    let mut gateway = world.connect("gateway").await.unwrap();
    let call = tokio::spawn(async move { gateway.tool(&token, "wait", json!({})).await });
    hanging.wait_for(|(running, _)| *running == 1).await.unwrap();
    assert_eq!(world.admin("/readyz").await.0, StatusCode::OK);
    stop(&mut world);
    // Longer than what it ends at once takes: it waits for the call.
    assert!(tokio::time::timeout(Duration::from_secs(2), &mut world.server).await.is_err());
    let draining = r#"{"not_ready":["draining"],"ready":false}"#.to_owned();
    assert_eq!(world.admin("/readyz").await, (StatusCode::SERVICE_UNAVAILABLE, draining));
    assert!(world.connect("gateway").await.is_err());
    go.send_replace(true);
    let answer = call.await.unwrap();
    assert_eq!(answer.body["result"]["content"][0]["text"], json!("done"), "{}", answer.text);
    world.server.await.unwrap();
}

#[tokio::test]
async fn a_call_that_outlasts_the_drain_is_cut_off() {
    let Bench { mut world, token, mut hanging, .. } =
        bench_with(|limits| limits.drain_timeout = Duration::from_millis(100)).await;
    let mut gateway = world.connect("gateway").await.unwrap();
    let call = tokio::spawn(async move { gateway.tool(&token, "wait", json!({})).await });
    hanging.wait_for(|(running, _)| *running == 1).await.unwrap();
    stop(&mut world);
    world.server.await.unwrap();
    hanging.wait_for(|seen| *seen == (0, 1)).await.unwrap();
    call.abort();
}

#[tokio::test]
async fn a_host_that_is_not_ours_is_refused_where_ours_are_named_and_an_origin_always() {
    let named = |names: &'static [&'static str]| {
        let (hanging, _) = watch::channel((0, 0));
        World::of(
            "fixture",
            &ALL,
            |_| Service::new("fixture", Fixture { hanging, go: watch::Sender::new(false) }),
            |flags, _| flags.allowed_hosts = names.iter().map(|name| (*name).to_owned()).collect(),
        )
    };
    for (names, wanted) in [
        (&["127.0.0.1"][..], StatusCode::OK),
        (&["fixture.test"], StatusCode::FORBIDDEN),
        (&[], StatusCode::OK),
    ] {
        let world = named(names).await;
        let mut gateway = world.connect("gateway").await.unwrap();
        let token = world.token("alice", &[]);
        assert_eq!(gateway.modern(&token, "tools/list", json!({})).await.status, wanted, "{names:?}");
        let headers = [
            ("mcp-protocol-version", "2026-07-28"),
            ("mcp-method", "tools/list"),
            ("origin", "https://fixture.test"),
        ];
        let body = modern("tools/list", json!({})).to_string();
        let foreign = gateway.send(Method::POST, Some(&token), &headers, body).await.unwrap();
        assert_eq!(foreign.status, StatusCode::FORBIDDEN);
    }
}
