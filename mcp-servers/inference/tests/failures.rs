//! Backends that do what they shouldn't: what callers hear of it, which other backend is asked, and when none is.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test ends by panicking")]

use before::{before_one, code, content, file, world, world_of};
use serde_json::{Value, json};
use std::time::Duration;
use upstream::{Behaviour, Upstream, nobody};

#[path = "../../kit/tests/world/mod.rs"]
mod world;
mod upstream;
mod before;

fn chat() -> Value {
    json!({"model": "m", "messages": [{"role": "user", "content": "word of the prompt"}]})
}

const SECRET: &str = "secret page of http://u:p@inner/";

#[tokio::test]
async fn a_backend_that_fails_is_told_in_our_words_and_none_of_its_own_are_passed_on() {
    use Behaviour::{Answers, BreaksOff, Closes, Empty, Endless, Fails, Silent, Stalls, Streams};
    let json_of = r#"{"choices":[{"message":{"content":"secret page of http://u:p@inner/"}}]}"#;
    let rows = [
        ("closes", Closes, "unavailable"),
        ("silent", Silent, "timeout"),
        ("500", Answers(500, SECRET), "unavailable"),
        ("502 HTML", Answers(502, "<html>secret page of http://u:p@inner/</html>"), "unavailable"),
        ("200 HTML", Answers(200, "<html>secret page of http://u:p@inner/</html>"), "unavailable"),
        ("no stream", Answers(200, json_of), "unavailable"),
        ("redirect", Answers(302, ""), "unavailable"),
        ("401", Answers(401, SECRET), "forbidden"),
        ("403", Answers(403, SECRET), "forbidden"),
        ("404", Answers(404, SECRET), "unavailable"),
        ("429", Answers(429, SECRET), "overloaded"),
        ("503", Answers(503, SECRET), "overloaded"),
        ("501", Answers(501, SECRET), "unavailable"),
        ("400 without form", Answers(400, SECRET), "unavailable"),
        ("400", Answers(400, r#"{"error":{"message":"the context\n is full"}}"#), "rejected"),
        ("half a head", Empty, "unavailable"),
        ("half an event", Streams("data: {\"choices\":[{\"delta\":{\"content\":\"secret pa"), "unavailable"),
        ("no JSON", Streams("data: secret page of http://u:p@inner/\n\n"), "unavailable"),
        (
            "an error at once",
            Streams("data: {\"error\":\"secret page of http://u:p@inner/\"}\n\n"),
            "unavailable",
        ),
        ("done without a reason", Streams("data: [DONE]\n\n"), "unavailable"),
        ("stalls midway", Stalls, "interrupted"),
        ("breaks off midway", BreaksOff, "interrupted"),
        ("fails midway", Fails, "interrupted"),
        ("endless", Endless, "interrupted"),
    ];
    let count = rows.len();
    for (what, behaviour, wanted) in rows {
        let answer = before_one((what, behaviour, wanted), ("chat", chat())).await;
        let said = &answer.body["result"]["structuredContent"];
        if wanted == "interrupted" {
            assert!(said["text"].as_str().unwrap().starts_with(if what == "endless" {
                "a a"
            } else {
                "two words"
            }));
            assert_eq!(said["usage"]["estimated"], json!(true), "{what}");
        }
        if wanted == "rejected" {
            assert_eq!(said["error"]["message"], "the backend won't do that: the context is full");
        }
    }
    println!("{count} failures");
}

#[tokio::test]
async fn a_backend_that_is_down_or_has_a_certificate_that_nobody_vouches_for_is_unavailable() {
    let up = Upstream::start(Behaviour::Says("hello")).await;
    let other = world_of(&up).await; // It speaks TLS, with an SVID.
    for url in [nobody(), format!("https://{}/v1", other.address), "https://nowhere.invalid/v1".to_owned()] {
        let world = world(&file(&[("a", &url)]), &[]).await;
        let mut gateway = world.connect("gateway").await.unwrap();
        let answer = gateway.tool(&world.token("alice", &[]), "chat", chat()).await;
        assert!(
            ["unavailable", "timeout"].contains(&code(&answer).as_str().unwrap()),
            "{url}: {}",
            answer.body
        );
        let status = gateway.tool(&world.token("alice", &[]), "model_status", json!({"model": "m"})).await;
        let status = &content(&status)["backends"][0];
        assert_eq!((&status["healthy"], status["reason"].is_string()), (&json!(false), true), "{url}");
    }
}

#[tokio::test]
async fn what_fails_before_its_first_token_is_tried_at_the_next_backend() {
    use Behaviour::{Answers, Closes, Empty, Silent, Streams};
    for (what, behaviour) in [
        ("closes", Closes),
        ("silent", Silent),
        ("500", Answers(500, SECRET)),
        ("HTML", Answers(200, "<html>")),
        ("401", Answers(401, SECRET)),
        ("404", Answers(404, SECRET)),
        ("429", Answers(429, SECRET)),
        ("empty", Empty),
        ("half an event", Streams("data: {\"choices\"")),
    ] {
        let bad = Upstream::start(behaviour).await;
        let good = Upstream::start(Behaviour::Says("hello")).await;
        let world = world(&file(&[("bad", &bad.url), ("good", &good.url)]), &[]).await;
        let mut gateway = world.connect("gateway").await.unwrap();
        let token = world.token("alice", &[]);
        let mut attempts = Vec::new();
        for _ in 0..2 {
            let answer = gateway.tool(&token, "chat", chat()).await;
            let found = content(&answer);
            assert_eq!((&found["text"], &found["backend"]), (&json!("hello"), &json!("good")), "{what}");
            attempts.push(found["attempts"].as_u64().unwrap());
        }
        assert_eq!((bad.heard().len(), good.heard().len()), (1, 2), "{what}: {attempts:?}");
    }
}

#[tokio::test]
async fn what_fails_after_its_first_token_is_not_tried_again() {
    for behaviour in [Behaviour::BreaksOff, Behaviour::Stalls, Behaviour::Fails] {
        let bad = Upstream::start(behaviour).await;
        let good = Upstream::start(Behaviour::Says("hello")).await;
        let world = world(&file(&[("bad", &bad.url), ("good", &good.url)]), &[]).await;
        let mut gateway = world.connect("gateway").await.unwrap();
        let answer = gateway.tool(&world.token("alice", &[]), "chat", chat()).await;
        assert_eq!(code(&answer), "interrupted", "{}", answer.body);
        assert_eq!((bad.heard().len(), good.heard().len()), (1, 0));
        let next = gateway.tool(&world.token("alice", &[]), "chat", chat()).await;
        assert_eq!(content(&next)["backend"], "good", "it comes last for a while");
    }
}

#[tokio::test]
async fn what_a_backend_refuses_as_wrong_is_not_tried_elsewhere() {
    let bad = Upstream::start(Behaviour::Answers(422, r#"{"message":"no"}"#)).await;
    let good = Upstream::start(Behaviour::Says("hello")).await;
    let world = world(&file(&[("bad", &bad.url), ("good", &good.url)]), &[]).await;
    let mut gateway = world.connect("gateway").await.unwrap();
    let answer = gateway.tool(&world.token("alice", &[]), "chat", chat()).await;
    assert_eq!(code(&answer), "rejected", "{}", answer.body);
    assert_eq!(good.heard().len(), 0);
}

#[tokio::test]
async fn as_many_backends_are_tried_as_the_flag_says() {
    let mut all = Vec::new();
    for _ in 0..4 {
        all.push(Upstream::start(Behaviour::Answers(500, SECRET)).await);
    }
    let named: Vec<_> =
        ["a", "b", "c", "d"].into_iter().zip(all.iter().map(|upstream| upstream.url.as_str())).collect();
    let world = world(&file(&named), &["--attempts-max", "2"]).await;
    let mut gateway = world.connect("gateway").await.unwrap();
    let answer = gateway.tool(&world.token("alice", &[]), "chat", chat()).await;
    assert_eq!(code(&answer), "unavailable");
    assert_eq!(all.iter().map(|upstream| upstream.heard().len()).sum::<usize>(), 2);
}

#[tokio::test]
async fn the_backend_that_says_it_is_less_busy_gets_the_calls() {
    let busy = Upstream::start(Behaviour::Says("busy")).await;
    let free = Upstream::start(Behaviour::Says("free")).await;
    *busy.load.lock().unwrap() = (3, 9);
    let world = world(&file(&[("busy", &busy.url), ("free", &free.url)]), &[]).await;
    let mut gateway = world.connect("gateway").await.unwrap();
    let token = world.token("alice", &[]);
    let seen = async |gateway: &mut world::Client, wanted: (f64, f64)| {
        for _ in 0..500 {
            let status = gateway.tool(&token, "model_status", json!({"model": "m"})).await;
            let all = content(&status)["backends"].as_array().unwrap();
            let of = |at: usize| all[at]["running"].as_f64().unwrap() + all[at]["waiting"].as_f64().unwrap();
            if all.iter().all(|one| one["load_from"] == "metrics") && (of(0), of(1)) == wanted {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("their metrics are never seen");
    };
    seen(&mut gateway, (12.0, 0.0)).await;
    for _ in 0..3 {
        assert_eq!(content(&gateway.tool(&token, "chat", chat()).await)["text"], "free");
    }
    (*busy.load.lock().unwrap(), *free.load.lock().unwrap()) = ((0, 0), (1, 1));
    seen(&mut gateway, (0.0, 2.0)).await;
    assert_eq!(content(&gateway.tool(&token, "chat", chat()).await)["text"], "busy");
}

#[tokio::test]
async fn a_backend_takes_as_many_calls_as_its_file_says() {
    let slow = Upstream::start(Behaviour::Silent).await;
    let yaml = file(&[("a", &slow.url)])
        .replace("timeout_ms: 1000, token_timeout_ms: 300", "in_flight_max: 1, timeout_ms: 1000");
    let yaml = yaml.replace(
        "in_flight_max: 1, timeout_ms: 1000",
        "in_flight_max: 1, timeout_ms: 1000, token_timeout_ms: 900",
    );
    let world = world(&yaml, &[]).await;
    let mut first = world.connect("gateway").await.unwrap();
    let mut second = world.connect("gateway").await.unwrap();
    let token = world.token("alice", &[]);
    let begun = tokio::spawn({
        let token = token.clone();
        async move { first.tool(&token, "chat", chat()).await }
    });
    while slow.heard().is_empty() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(code(&second.tool(&token, "chat", chat()).await), "overloaded");
    assert_eq!(slow.heard().len(), 1);
    assert_eq!(code(&begun.await.unwrap()), "timeout");
}

#[tokio::test]
async fn tokens_that_nobody_counts_are_estimated_and_that_is_said() {
    let upstream = Upstream::start(Behaviour::Uncounted("one two three")).await;
    let world = world_of(&upstream).await;
    let mut gateway = world.connect("gateway").await.unwrap();
    let answer = gateway.tool(&world.token("alice", &[]), "chat", chat()).await;
    let usage = json!({"input_tokens": 6, "output_tokens": 5, "total_tokens": 11, "estimated": true});
    assert_eq!(content(&answer)["usage"], usage);
}

#[tokio::test]
async fn the_program_sends_the_credential_of_its_file_and_logs_neither_that_nor_prompts() {
    use tokio::io::{AsyncBufReadExt, BufReader};
    let upstream = Upstream::start(Behaviour::Says("word of the answer")).await;
    let mut world = world_of(&upstream).await;
    let dir = world.dir.path().to_owned();
    let path = |name: &str| dir.join(name).display().to_string();
    std::fs::write(path("credential"), "open-sesame\n").unwrap();
    let yaml = file(&[("a", &upstream.url)]).replace(
        "timeout_ms: 1000,",
        &format!("timeout_ms: 1000, credential_file: '{}',", path("credential")),
    );
    std::fs::write(path("backends.yaml"), yaml).unwrap();
    let mut program = tokio::process::Command::new(env!("CARGO_BIN_EXE_mcp-inference"))
        .args(["--certificate", &path("inference/cert.pem"), "--private-key", &path("inference/key.pem")])
        .args(["--trust-bundle", &path("inference/bundle.pem"), "--jwks", &path("jwks.json")])
        .args(["--gateway", "spiffe://inference.test/gateway", "--issuer", "https://issuer.test"])
        .args(["--audience", "inference", "--backends", &path("backends.yaml")])
        .env("RUST_LOG", "trace")
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::from(std::fs::File::create(path("log")).unwrap()))
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(program.stdout.take().unwrap()).lines();
    let line = lines.next_line().await.unwrap().unwrap();
    let token = world.token("alice", &[]);
    world.address = line.strip_prefix("listening on https://").unwrap().parse().unwrap();
    let mut gateway = world.connect("gateway").await.unwrap();
    let answer = gateway.tool(&token, "chat", chat()).await;
    assert_eq!(content(&answer)["text"], "word of the answer");
    assert!(upstream.heard()[0].0.contains("authorization: bearer open-sesame"), "{:?}", upstream.heard());
    program.start_kill().unwrap();
    program.wait().await.unwrap();
    let log = std::fs::read_to_string(path("log")).unwrap();
    assert!(log.contains("chat"));
    for secret in ["sesame", "word of the prompt", "word of the answer", &token] {
        assert!(!log.contains(secret), "{secret} is in the log");
    }
}
