//! What a gateway says of itself: health, readiness, metrics, traces; and what it never says there.

use reqwest::Method;
use serde_json::json;
use std::future::Future;
use std::task::Poll;
use std::time::Duration;
use world::agent::send;
use world::watchers::{Collector, Prometheus, Span, promtool};
use world::{Agent, Plan, Reply, World};

/// A collector that nobody is.
const NOWHERE: &str = "{otlp: {endpoint: \"http://127.0.0.1:1\", timeout: 100ms}}";
const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const SPAN: &str = "b7ad6b7169203331";

async fn with_telemetry(telemetry: &str) -> World {
    World::with(Plan { telemetry: telemetry.into(), ..Plan::default() }).await
}

/// A call in the middle of somebody's trace.
async fn traced_call(clerk: &Agent, amount_cents: i64, flags: &str) -> Reply {
    let arguments = json!({"amount_cents": amount_cents, "note": "nobody-else-says-this"});
    let call = clerk.rpc("tools/call", json!({"name": "post_entry", "arguments": arguments}));
    send(call.header("traceparent", format!("00-{TRACE}-{SPAN}-{flags}")).header("tracestate", "a=b")).await
}

#[tokio::test]
async fn a_gateway_is_ready_until_its_identity_ends_and_lives_on() {
    let world = World::start().await;
    world.clerk().post_entry(1).await; // By now the issuer's keys are there.
    assert_eq!(world.probe().not_ready().await, (200, json!([])));
    world.clock.advance(Duration::from_secs(366 * 86_400));
    assert_eq!(world.probe().not_ready().await, (503, json!(["identity"])));
    assert_eq!(world.probe().get("/healthz").await.0, 200);
}

#[tokio::test]
async fn an_issuer_whose_keys_cannot_be_had_is_named() {
    let issuer = "  - {issuer: \"https://late.test\", presenter: {any: true}, jwks: {file: sallyport.yaml}}";
    let world = World::with(Plan { more_issuers: issuer, ..Plan::default() }).await;
    world.clerk().post_entry(1).await;
    assert_eq!(world.probe().not_ready().await, (503, json!(["issuer https://late.test"])));
}

#[tokio::test]
async fn a_gateway_that_stops_is_not_ready_while_a_request_in_flight_ends() {
    let world = World::start().await;
    let probe = world.probe();
    let events = world.ledger.streams();
    let call =
        world.clerk().rpc("tools/call", json!({"name": "post_entry", "arguments": {"amount_cents": 1}}));
    let mut stream = call.send().await.unwrap();
    assert_eq!(probe.not_ready().await, (200, json!([])));

    let mut stopping = Box::pin(world.gateway.stop());
    let begun = std::future::poll_fn(|cx| Poll::Ready(stopping.as_mut().poll(cx).is_pending())).await;
    assert!(begun, "a request is in flight");
    assert_eq!(probe.not_ready().await, (503, json!(["draining"])));
    assert_eq!(probe.get("/healthz").await.0, 200);

    drop(events);
    while stream.chunk().await.unwrap().is_some() {}
    stopping.await;
    assert!(probe.request(Method::GET, "/readyz").await.is_err(), "it is over");
}

#[tokio::test]
async fn the_admin_listener_answers_nothing_else_and_the_other_one_none_of_it() {
    let world = World::start().await;
    for (method, path, status) in [
        (Method::GET, "/nowhere", 404),
        (Method::GET, "/mcp/ledger", 404),
        (Method::POST, "/metrics", 405),
        (Method::DELETE, "/readyz", 405),
        (Method::HEAD, "/readyz", 200),
    ] {
        world.clerk().post_entry(1).await;
        let (found, _) = world.probe().request(method.clone(), path).await.unwrap();
        assert_eq!(found, status, "{method} {path}");
    }
    for path in ["/metrics", "/healthz", "/readyz"] {
        assert_eq!(send(world.clerk().request(Method::GET, path)).await.status, 404, "{path}");
    }
}

#[tokio::test]
async fn a_probe_that_says_nothing_keeps_the_next_one_waiting_and_no_longer_than_it_may() {
    let admin = "{listen: \"127.0.0.1:0\", connections_max: 1, timeout: 100ms}";
    let world = World::with(Plan { admin, ..Plan::default() }).await;
    let mut silent = tokio::net::TcpStream::connect(world.gateway.admin_address().unwrap()).await.unwrap();
    assert_eq!(world.probe().get("/healthz").await.0, 200);
    let mut said = Vec::new();
    tokio::io::AsyncReadExt::read_to_end(&mut silent, &mut said).await.unwrap();
    assert_eq!(said, b"", "it was closed");
}

#[tokio::test]
async fn the_admin_listener_can_be_off() {
    let world = World::with(Plan { admin: "{listen: off}", ..Plan::default() }).await;
    assert_eq!(world.gateway.admin_address(), None);
    assert_eq!(world.clerk().post_entry(1).await.result(), "posted");
}

#[tokio::test]
async fn what_happens_is_counted() {
    let world = World::start().await;
    let clerk = world.clerk_over(b"h2");
    clerk.post_entry(1).await;
    clerk.post_entry(1).await;
    clerk.post_entry(9999).await;
    world.agent("agent/clerk").post_entry(1).await;
    world
        .ledger
        .answers(|_| world::Answer::Raw(http::Response::builder().status(500).body(String::new()).unwrap()));
    clerk.post_entry(1).await;
    world.change_policy("tools/ledger/post_entry.rego", "package wrong").await;

    let (status, text) = world.probe().get("/metrics").await;
    assert_eq!(status, 200);
    for line in [
        "sallyport_requests_total{method=\"tools/call\",server=\"ledger\",status=\"2xx\"} 3",
        "sallyport_requests_total{method=\"tools/call\",server=\"ledger\",status=\"5xx\"} 1",
        "sallyport_requests_total{method=\"none\",server=\"ledger\",status=\"4xx\"} 1",
        "sallyport_request_duration_seconds_count{method=\"tools/call\",server=\"ledger\"} 4",
        "sallyport_decisions_total{decision=\"permit\",package=\"tools.ledger.post_entry\"} 3",
        "sallyport_decisions_total{decision=\"denial\",package=\"tools.ledger.post_entry\"} 1",
        "sallyport_denials_total{reason=\"not_allowed\"} 1",
        "sallyport_refusals_total{reason=\"token_required\",stage=\"token\"} 1",
        "sallyport_refusals_total{reason=\"upstream_failed\",stage=\"upstream\"} 1",
        "sallyport_stage_duration_seconds_count{stage=\"listener\"} 2",
        "sallyport_stage_duration_seconds_count{stage=\"identity\"} 5",
        "sallyport_stage_duration_seconds_count{stage=\"authorize\"} 4",
        "sallyport_stage_duration_seconds_count{stage=\"upstream\"} 3",
        "sallyport_exchanges_total{outcome=\"fetched\"} 1",
        "sallyport_exchanges_total{outcome=\"hit\"} 2",
        "sallyport_exchange_duration_seconds_count 1",
        "sallyport_upstream_dials_total{outcome=\"connected\"} 1",
        "sallyport_requests_in_flight 0",
        "sallyport_reloads_total{kind=\"policy\",outcome=\"refused\"} 1",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} is missing:\n{text}");
    }
}

#[tokio::test]
async fn connections_are_counted_while_they_are_there() {
    let world = World::start().await;
    let raw = world.raw("agent/clerk").await;
    let clerk = world.clerk_over(b"http/1.1");
    clerk.post_entry(1).await;
    assert_eq!(world.probe().metric("sallyport_connections").await, Some(2.0));
    assert_eq!(world.probe().metric("sallyport_upstream_connections").await, Some(1.0));
    assert_eq!(world.probe().metric("sallyport_upstream_connections_idle").await, Some(1.0));
    drop(raw);
    let nobody = Agent::from_pem(&world.url, &world.trust_bundle(), None, &[b"http/1.1"]);
    assert!(nobody.post("/mcp/ledger", String::new()).send().await.is_err());
    assert_eq!(world.probe().metric("sallyport_handshakes_refused_total{reason=\"tls\"}").await, Some(1.0));
}

#[tokio::test]
async fn no_word_of_a_callers_is_a_label() {
    let world = World::start().await;
    let clerk = world.clerk();
    clerk.call("tool-of-nobody", json!({"argument-of-nobody": "value-of-nobody"})).await;
    send(clerk.request(Method::GET, "/path-of-nobody")).await;
    send(clerk.clone().at("/mcp/server-of-nobody").rpc("tools/list", json!({}))).await;
    send(clerk.rpc("method/of-nobody", json!({}))).await;
    let (_, text) = world.probe().get("/metrics").await;
    assert!(text.contains("server=\"other\""), "{text}");
    assert!(!text.contains("nobody"), "{text}");
}

#[tokio::test]
async fn what_goes_upstream_is_of_the_callers_trace_and_has_our_span_as_its_parent() {
    for (flags, sent) in [("01", "01"), ("00", "00")] {
        let world = with_telemetry(NOWHERE).await;
        assert_eq!(traced_call(&world.clerk(), 1, flags).await.result(), "posted");
        let parent = world.ledger.received()[0].headers["traceparent"].to_str().unwrap().to_owned();
        let fields: Vec<&str> = parent.split('-').collect();
        assert_eq!((fields[0], fields[1], fields[3]), ("00", TRACE, sent));
        assert_ne!(fields[2], SPAN);
        assert_eq!(world.ledger.received()[0].headers["tracestate"], "a=b");
    }
}

#[tokio::test]
async fn without_a_collector_the_callers_trace_goes_on_as_it_came() {
    let world = World::start().await;
    traced_call(&world.clerk(), 1, "01").await;
    let received = world.ledger.received();
    assert_eq!(received[0].headers["traceparent"], format!("00-{TRACE}-{SPAN}-01"));
}

#[tokio::test]
async fn a_trace_of_the_message_comes_before_one_of_the_headers() {
    let world = with_telemetry(NOWHERE).await;
    let other = "1".repeat(32);
    let parent = format!("00-{other}-{SPAN}-01");
    let mut body = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {
        "name": "post_entry", "arguments": {"amount_cents": 1}, "_meta": world::agent::meta()}});
    body["params"]["_meta"]["traceparent"] = json!(parent);
    let call = world
        .clerk()
        .post("/mcp/ledger", body.to_string())
        .header("mcp-protocol-version", "2026-07-28")
        .header("mcp-method", "tools/call")
        .header("mcp-name", "post_entry")
        .header("traceparent", format!("00-{TRACE}-{SPAN}-01"))
        .header("tracestate", "a=b");
    assert_eq!(send(call).await.result(), "posted");
    let received = &world.ledger.received()[0];
    assert_eq!(received.headers["traceparent"].to_str().unwrap().split('-').nth(1), Some(other.as_str()));
    assert!(!received.headers.contains_key("tracestate"), "which is the other trace's");
    assert_eq!(received.json(), body, "the body goes on as it came");
}

#[tokio::test]
async fn a_real_collector_gets_the_spans_of_a_call_in_the_callers_trace() {
    let Some(collector) = Collector::start() else { return };
    let world = with_telemetry(&collector.telemetry(0.0)).await;
    let (clerk, token) = (world.clerk(), world.token("agent/clerk"));
    clerk.clone().with_token(&token).post_entry(1).await; // In nobody's trace, and such are not sampled here.
    assert_eq!(traced_call(&clerk, 1, "01").await.result(), "posted");
    assert_eq!(traced_call(&clerk, 9999, "01").await.refused_because(), "not_allowed");
    let received = world.ledger.received();
    let sent = received[1].headers["traceparent"].to_str().unwrap().split('-').nth(2).unwrap().to_owned();
    let credential = received[1].headers["authorization"].to_str().unwrap().to_owned();
    world.gateway.stop().await; // Which delivers what is left.

    let stages = ["identity", "route", "token", "decode", "authorize", "exchange", "upstream"];
    let (log, spans) = collector.printed(stages.len() + 1 + 5 + 1);
    assert_eq!(spans.len(), 14, "{log}");
    assert!(spans.iter().all(|span| span.get("Trace ID") == Some(TRACE)));
    let (permitted, denied) = (&spans[7], &spans[13]);
    for request in [permitted, denied] {
        assert_eq!(request.get("Parent ID"), Some(SPAN));
        assert_eq!(request.get("Kind"), Some("SPAN_KIND_SERVER"));
        assert_eq!(request.get("mcp.method.name"), Some("tools/call"));
        assert_eq!(request.get("gen_ai.tool.name"), Some("post_entry"));
        assert_eq!(request.get("sallyport.server"), Some("ledger"));
    }
    assert_eq!(permitted.get("Name"), Some("tools/call post_entry"));
    assert_eq!(
        (permitted.get("Status code"), permitted.get("error.type")),
        (Some("STATUS_CODE_UNSET"), None)
    );
    assert_eq!(denied.get("Name"), Some("tools/call"), "what is not permitted names nothing");
    assert_eq!(
        (denied.get("Status code"), denied.get("error.type")),
        (Some("STATUS_CODE_ERROR"), Some("not_allowed"))
    );

    let named =
        |spans: &[Span]| spans.iter().map(|span| span.get("Name").unwrap().to_owned()).collect::<Vec<_>>();
    assert_eq!(named(&spans[..7]), stages);
    assert_eq!(named(&spans[8..13]), stages[..5]);
    assert!(spans[..7].iter().all(|stage| stage.get("Parent ID") == permitted.get("ID")));
    assert!(spans[8..13].iter().all(|stage| stage.get("Parent ID") == denied.get("ID")));
    assert_eq!((spans[6].get("ID"), spans[6].get("Kind")), (Some(sent.as_str()), Some("SPAN_KIND_CLIENT")));
    for secret in ["nobody-else-says-this", &token, credential.trim_start_matches("Bearer ")] {
        assert!(!log.contains(secret));
    }
}

#[tokio::test]
async fn a_real_collector_gets_a_trace_that_begins_here() {
    let Some(collector) = Collector::start() else { return };
    let world = with_telemetry(&collector.telemetry(1.0)).await;
    let clerk = world.clerk();
    traced_call(&clerk, 1, "00").await; // Its caller says that it isn't to be traced.
    clerk.post_entry(1).await;
    let sent = world.ledger.received()[1].headers["traceparent"].to_str().unwrap().to_owned();
    world.gateway.stop().await;
    let (log, spans) = collector.printed(8);
    assert_eq!(spans.len(), 8, "{log}");
    assert_eq!(spans[7].get("Parent ID"), Some(""));
    let traced = format!("00-{}-{}-01", spans[7].get("Trace ID").unwrap(), spans[6].get("ID").unwrap());
    assert_eq!(sent, traced);
}

#[tokio::test]
async fn a_collector_that_never_answers_holds_nobody_up() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap();
    let world =
        with_telemetry(&format!("{{otlp: {{endpoint: \"http://{address}\", timeout: 200ms}}}}")).await;
    assert_eq!(world.clerk().post_entry(1).await.result(), "posted");
    world.gateway.stop().await; // It ends, with the spans undelivered.
    assert!(silent.accept().is_ok(), "it was tried");
}

#[tokio::test]
async fn a_real_prometheus_scrapes_a_gateway_and_answers() {
    let world = World::start().await;
    world.clerk().post_entry(1).await;
    let Some(prometheus) = Prometheus::start(&world) else { return };
    let result = prometheus.query("sallyport_requests_total{method=\"tools/call\"}").await;
    let labels = &result[0]["metric"];
    assert_eq!(
        (&labels["job"], &labels["server"], &labels["status"]),
        (&json!("sallyport"), &json!("ledger"), &json!("2xx"))
    );
    assert_eq!(result[0]["value"][1], "1");
    assert_eq!(prometheus.query("up").await[0]["value"][1], "1");
    let ends = prometheus.query("sallyport_svid_expiry_timestamp_seconds - time() > 0").await;
    assert_eq!(ends.as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_real_promtool_has_nothing_to_say_of_the_metrics() {
    let world = World::start().await;
    let clerk = world.clerk();
    clerk.post_entry(1).await;
    clerk.post_entry(9999).await;
    world.agent("agent/clerk").post_entry(1).await;
    let (_, text) = world.probe().get("/metrics").await;
    let Some(said) = promtool(&text) else { return };
    assert!(said.status.success() && said.stderr.is_empty() && said.stdout.is_empty(), "{said:?}\n{text}");
    let Some(twin) = promtool("# TYPE sallyport_requests counter\nsallyport_requests 1\n") else { return };
    assert!(!twin.stderr.is_empty(), "it does complain of what is not as it should be");
}
