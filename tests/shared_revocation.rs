//! One list of revocations in a real Redis, and the gateways that hold to it, whether Redis is there or not.

use serde_json::{Value, json};
use std::time::Duration;
use world::redis::{self, Redis};
use world::{Agent, Plan, World};

/// A world whose list is in Redis, with what else its configuration says of that; none if Redis isn't installed.
async fn world(options: &'static str) -> Option<World> {
    let redis = redis::installed()?;
    Some(World::with(Plan { redis: Some((redis, options)), ..Plan::default() }).await)
}

/// The same with a list that revokes nothing that anybody uses, and that the gateway has read.
async fn world_with_a_list(options: &'static str) -> Option<(World, Redis)> {
    let mut world = world(options).await?;
    revoked(&world, &["--tool", "ledger/never_called"]).await;
    let redis = world.redis.take().unwrap();
    Some((world, redis))
}

async fn until(mut is_so: impl AsyncFnMut() -> bool) {
    while !is_so().await {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Revokes, and waits until this world's gateway holds to it.
async fn revoked(world: &World, arguments: &[&str]) {
    let mut reloads = world.gateway.reloads();
    reloads.mark_unchanged();
    world.revoke_shared(arguments);
    reloads.changed().await.unwrap();
}

async fn source_is_up(world: &World) -> bool {
    world.probe().metric("sallyport_revocations_source_up").await == Some(1.0)
}

async fn heard(agent: &Agent) -> (u16, String) {
    let reply = agent.post_entry(1).await;
    (reply.status, if reply.text.contains("posted") { "posted".into() } else { reply.refused_because() })
}

fn refused(status: u16, reason: &str) -> (u16, String) {
    (status, reason.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_command_revokes_ends_at_every_gateway() {
    let Some((world, _redis)) = world_with_a_list("").await else { return };
    let mut other = world.process("best_effort", |config| config);
    let url = other.url.clone();
    let clerks = || [world.clerk(), world.clerk().to(&url)];
    for clerk in clerks() {
        assert_eq!(heard(&clerk).await, (200, "posted".into()));
    }
    let events = world.ledger.streams();
    let call = json!({"name": "post_entry", "arguments": {"amount_cents": 5}});
    let mut stream = clerks()[1].rpc("tools/call", call).send().await.unwrap();
    events.send(Ok("data: {}\n\n")).await.unwrap();
    assert!(stream.chunk().await.unwrap().is_some());
    let before = world.ledger.received().len();
    revoked(&world, &["--tool", "ledger/post_entry"]).await;
    assert!(stream.chunk().await.is_err(), "an open stream ends");
    tokio::task::block_in_place(|| other.says("revocations swapped count=2"));
    for clerk in clerks() {
        assert_eq!(heard(&clerk).await, refused(200, "not_allowed"));
    }
    assert_eq!(world.ledger.received().len(), before, "nothing went upstream");
    let record = world.records("request").pop().unwrap();
    assert_eq!(record["cause"], "not authorized: tool ledger/post_entry is revoked");

    world.ledger.answers(world::server::usual);
    revoked(&world, &["--tool", "ledger/post_entry", "--undo"]).await;
    until(async || heard(&clerks()[1]).await.1 == "posted").await;
    assert_eq!(heard(&clerks()[0]).await, (200, "posted".into()));
}

#[tokio::test]
async fn nothing_passes_before_the_list_was_read_once() {
    let Some(world) = world("").await else { return };
    let clerk = world.clerk();
    assert_eq!(heard(&clerk).await, refused(503, "revocations_unavailable"));
    until(async || world.probe().not_ready().await == (503, json!(["revocations"]))).await; // The keys have come by then.
    assert!(world.ledger.received().is_empty());
    let cause = world.only_record()["cause"].clone();
    assert_eq!(cause, "the connection's identity does not hold: what is revoked is not known");
    assert_eq!(world.records("revocations_refused")[0]["cause"], "it is not there");

    revoked(&world, &["--tool", "ledger/never_called"]).await;
    assert_eq!(heard(&world.clerk()).await, (200, "posted".into()));
    assert_eq!(world.probe().not_ready().await, (200, json!([])));
}

#[tokio::test]
async fn while_redis_is_away_what_is_known_holds_and_the_gateway_says_so() {
    let Some((world, mut redis)) = world_with_a_list("stale_after: 1s").await else { return };
    revoked(&world, &["--spiffe-id", "spiffe://bank.test/agent/intern"]).await;
    assert!(source_is_up(&world).await);
    redis.goes();
    until(async || !source_is_up(&world).await).await;
    until(async || world.records("revocations_away").len() == 1).await;
    assert_eq!(heard(&world.clerk()).await, (200, "posted".into()));
    let intern = world.agent("agent/intern").with_token(&world.token("agent/intern"));
    assert_eq!(heard(&intern).await, refused(403, "identity_not_valid"));
    assert_eq!(world.probe().not_ready().await, (200, json!([])));

    redis.comes();
    until(async || source_is_up(&world).await).await;
    assert_eq!(world.records("revocations_back").len(), 1);
    assert_eq!(heard(&world.clerk()).await, (200, "posted".into()));
}

#[tokio::test]
async fn a_gateway_may_be_told_not_to_be_ready_while_redis_is_away() {
    let options = "stale_after: 1s, when_away: not_ready";
    let Some((world, mut redis)) = world_with_a_list(options).await else { return };
    redis.goes();
    until(async || world.probe().not_ready().await == (503, json!(["revocations"]))).await;
    assert_eq!(heard(&world.clerk()).await, (200, "posted".into()), "and yet it serves");
    redis.comes();
    until(async || world.probe().not_ready().await.0 == 200).await;
}

#[tokio::test]
async fn a_gateway_may_be_told_to_refuse_while_redis_is_away() {
    let options = "stale_after: 1s, when_away: refuse";
    let Some((world, mut redis)) = world_with_a_list(options).await else { return };
    let events = world.ledger.streams();
    let call = json!({"name": "post_entry", "arguments": {"amount_cents": 5}});
    let mut stream = world.clerk().rpc("tools/call", call).send().await.unwrap();
    events.send(Ok("data: {}\n\n")).await.unwrap();
    stream.chunk().await.unwrap();
    redis.goes();
    assert!(stream.chunk().await.is_err(), "an open stream ends, too");
    world.ledger.answers(world::server::usual);
    assert_eq!(heard(&world.clerk()).await, refused(503, "revocations_unavailable"));
    assert_eq!(world.probe().not_ready().await, (503, json!(["revocations"])));
    redis.comes();
    until(async || heard(&world.clerk()).await.1 == "posted").await;
}

#[tokio::test]
async fn a_redis_that_lost_its_data_takes_nothing_back() {
    let Some((world, mut redis)) = world_with_a_list("").await else { return };
    revoked(&world, &["--tool", "ledger/post_entry"]).await;
    redis.goes();
    until(async || !source_is_up(&world).await).await;
    redis.comes_empty();
    until(async || !world.records("revocations_refused").is_empty()).await;
    assert_eq!(heard(&world.clerk()).await, refused(200, "not_allowed"));
    revoked(&world, &["--tool", "ledger/never_called"]).await;
    assert_eq!(heard(&world.clerk()).await, (200, "posted".into()), "whoever writes a new list means it");
}

#[tokio::test]
async fn many_who_write_at_once_lose_no_entry() {
    let Some((world, _redis)) = world_with_a_list("").await else { return };
    let writers: Vec<_> =
        (0..6).map(|n| world.revoke_command(&["--jti", &format!("t-{n}")]).spawn().unwrap()).collect();
    for mut writer in writers {
        assert!(writer.wait().unwrap().success());
    }
    let list = world.revoke_shared(&[]);
    let entries: Vec<Value> = list.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(entries.len(), 7, "{list}");
    assert!((0..6).all(|n| entries.contains(&json!({"jti": format!("t-{n}")}))), "{list}");
    let undone = world.revoke_command(&["--jti", "t-9", "--undo"]).output().unwrap();
    assert!(!undone.status.success(), "it is not on the list");
}

#[tokio::test]
async fn on_one_machine_tls_may_be_left_out() {
    let Some((world, redis)) = world_with_a_list("").await else { return };
    let plain = |config: String| {
        let by_tls = format!("rediss://127.0.0.1:{}", redis.port);
        config.replace(&by_tls, &format!("redis://127.0.0.1:{}", redis.plain_port))
    };
    let other = world.process("best_effort", plain);
    let clerk = world.clerk().to(&other.url);
    assert_eq!(heard(&clerk).await, (200, "posted".into()));
    let mut reloads = world.gateway.reloads();
    reloads.mark_unchanged();
    let mut command = std::process::Command::new(world::components::program("sallyport"));
    command.args(["revoke", "--tool", "ledger/post_entry", "--config"]).arg(world.path("process.yaml"));
    assert!(command.status().unwrap().success());
    reloads.changed().await.unwrap();
    assert_eq!(heard(&world.clerk()).await, refused(200, "not_allowed"));
    // A call that is under way when the list comes is broken off, and is no answer.
    until(async || {
        let call = json!({"name": "post_entry", "arguments": {"amount_cents": 1}});
        let Ok(response) = clerk.rpc("tools/call", call).send().await else { return false };
        response.text().await.is_ok_and(|text| text.contains("not_allowed"))
    })
    .await;
}

#[tokio::test]
async fn a_redis_that_is_another_workload_is_told_nothing() {
    let Some(world) = world("username: nobody").await else { return };
    assert_eq!(
        heard(&world.clerk()).await,
        refused(503, "revocations_unavailable"),
        "a user that it does not know"
    );
    let away = world.records("revocations_away");
    assert!(away[0]["cause"].as_str().unwrap().contains("uthentication"), "{away:?}");

    let usual = std::fs::read_to_string(world.path("sallyport.yaml")).unwrap();
    let another = usual.replace("spiffe://bank.test/redis", "spiffe://bank.test/other");
    std::fs::write(world.path("sallyport.yaml"), another.replace(", username: nobody", "")).unwrap();
    let output = world.revoke_command(&["--jti", "t-1"]).output().unwrap();
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("no connection by TLS"), "{said}");
    std::fs::write(world.path("sallyport.yaml"), usual.replace(", username: nobody", "")).unwrap();
    world.revoke_shared(&["--jti", "t-1"]);
}

#[tokio::test]
async fn a_redis_is_written_so_that_what_it_is_told_passes_no_network_in_the_clear() {
    let world = World::start().await;
    let path = world.path("sallyport.yaml");
    let usual = std::fs::read_to_string(&path).unwrap();
    let problems = |revocations: &str| {
        let text =
            usual.replace("revocations: {file: revoked.jsonl}", &format!("revocations: {revocations}"));
        std::fs::write(&path, text).unwrap();
        gateway::config::load(&path).err().unwrap_or_default()
    };
    for (url, good) in [
        ("redis://127.0.0.1:6379", true),
        ("redis://[::1]", true),
        ("redis://localhost/2", true),
        ("rediss://redis.example/1", true),
        ("redis://redis.example:6379", false),
        ("redis://10.0.0.1", false),
        ("redis://127.0.0.1.example", false),
        ("rediss:///1", false),
        ("http://127.0.0.1", false),
        ("rediss://redis.example/one", false),
        ("rediss://redis.example/-1", false),
        ("rediss://redis.example?db=1", false),
        ("rediss://clerk:secret@redis.example", false),
    ] {
        let found = problems(&format!("{{redis: {{url: \"{url}\"}}}}"));
        assert_eq!(found.is_empty(), good, "{url}: {found:?}");
        assert!(found.iter().all(|problem| problem.path == "revocations.redis.url"), "{found:?}");
        assert!(!format!("{found:?}").contains("secret"), "a password is not repeated: {found:?}");
    }
    std::fs::write(world.path("open.password"), "x").unwrap();
    let url = "url: \"rediss://redis.example\"";
    for (revocations, path) in [
        (format!("{{file: revoked.jsonl, redis: {{{url}}}}}"), "revocations"),
        (format!("{{redis: {{{url}, password_file: open.password}}}}"), "revocations.redis.password_file"),
        (format!("{{redis: {{{url}, stale_after: 0s}}}}"), "revocations.redis.stale_after"),
        (
            format!("{{redis: {{{url}, server: {{spiffe_id: nobody}}}}}}"),
            "revocations.redis.server.spiffe_id",
        ),
    ] {
        let found = problems(&revocations);
        assert_eq!(found.iter().map(|problem| problem.path.as_str()).collect::<Vec<_>>(), [path]);
    }
}
