//! Backends that make no vectors, or wrong ones: what callers hear of it, which other backend is asked, and when none is.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test ends by panicking")]

use before::{before_one, code, content, file, world};
use serde_json::{Value, json};
use upstream::{Behaviour, Upstream};

#[path = "../../kit/tests/world/mod.rs"]
mod world;
mod upstream;
mod before;

const SECRET: &str = "secret page of http://u:p@inner/";

/// A call for two vectors.
fn two() -> Value {
    json!({"model": "v", "input": ["a", "b"]})
}

/// An answer with these vectors, and a word of the backend's own.
fn answer(vectors: Value) -> &'static str {
    json!({"data": vectors, "model": SECRET, "usage": {"prompt_tokens": 7}}).to_string().leak()
}

/// What a backend does with that call, and what the caller hears where there is no other.
fn rows() -> Vec<(&'static str, Behaviour, &'static str)> {
    use Behaviour::{Answers, Closes, Silent, Stalls, Streams};
    let good = json!([{"index": 0, "embedding": [0.5, 1.0]}, {"index": 1, "embedding": [0.5, 2.0]}]);
    let made = |vectors: Value| Answers(200, answer(vectors));
    vec![
        ("closes", Closes, "unavailable"),
        ("silent", Silent, "timeout"),
        ("stalls midway", Stalls, "timeout"),
        ("500", Answers(500, SECRET), "unavailable"),
        ("401", Answers(401, SECRET), "forbidden"),
        ("404", Answers(404, SECRET), "unavailable"),
        ("429", Answers(429, SECRET), "overloaded"),
        ("200 HTML", Answers(200, "<html>secret page of http://u:p@inner/</html>"), "unavailable"),
        (
            "half a body",
            Streams(r#"{"model":"secret page of http://u:p@inner/","data":[{"ind"#),
            "unavailable",
        ),
        ("a body without its end", Streams(answer(good)), "unavailable"),
        ("no vectors", made(json!([])), "unavailable"),
        ("one vector for two inputs", made(json!([{"index": 0, "embedding": [0.5]}])), "unavailable"),
        (
            "three vectors for two inputs",
            made(json!([
                {"index": 0, "embedding": [0.5]}, {"index": 1, "embedding": [0.5]}, {"index": 2, "embedding": [0.5]},
            ])),
            "unavailable",
        ),
        (
            "indices 0 and 0",
            made(json!([{"index": 0, "embedding": [0.5]}, {"index": 0, "embedding": [0.5]}])),
            "unavailable",
        ),
        (
            "indices 0 and 2",
            made(json!([{"index": 0, "embedding": [0.5]}, {"index": 2, "embedding": [0.5]}])),
            "unavailable",
        ),
        (
            "a vector without an index",
            made(json!([{"index": 0, "embedding": [0.5]}, {"embedding": [0.5]}])),
            "unavailable",
        ),
        (
            "vectors of different lengths",
            made(json!([{"index": 0, "embedding": [0.5]}, {"index": 1, "embedding": [0.5, 1.0]}])),
            "unavailable",
        ),
        (
            "empty vectors",
            made(json!([{"index": 0, "embedding": []}, {"index": 1, "embedding": []}])),
            "unavailable",
        ),
        (
            "numbers beyond all that are told",
            made(json!([{"index": 0, "embedding": [1e39]}, {"index": 1, "embedding": [1e39]}])),
            "unavailable",
        ),
        (
            "words for numbers",
            made(json!([{"index": 0, "embedding": [SECRET]}, {"index": 1, "embedding": [SECRET]}])),
            "unavailable",
        ),
    ]
}

#[tokio::test]
async fn a_backend_that_makes_no_vectors_is_told_in_our_words_and_none_of_its_own_are_passed_on() {
    let rows = rows();
    let count = rows.len();
    for (what, behaviour, wanted) in rows {
        before_one((what, behaviour, wanted), ("embed", two())).await;
    }
    println!("{count} failures");
}

#[tokio::test]
async fn vectors_that_one_backend_does_not_make_are_asked_of_the_next_one() {
    for (what, behaviour, _) in rows() {
        let bad = Upstream::start(behaviour).await;
        let good = Upstream::start(Behaviour::Says("hello")).await;
        let world = world(&file(&[("bad", &bad.url), ("good", &good.url)]), &[]).await;
        let mut gateway = world.connect("gateway").await.unwrap();
        let answer = gateway.tool(&world.token("alice", &[]), "embed", two()).await;
        let found = content(&answer);
        assert_eq!(found["vectors"], json!([[0.0, 0.5], [1.0, 0.5]]), "{what}");
        assert_eq!((&found["backend"], &found["attempts"]), (&json!("good"), &json!(2)), "{what}");
        assert_eq!((bad.heard().len(), good.heard().len()), (1, 1), "{what}");
        assert!(!answer.text.contains("secret") && !answer.text.contains("u:p"), "{what}: {}", answer.text);
    }
}

#[tokio::test]
async fn vectors_that_no_other_backend_would_make_are_not_asked_of_one() {
    let long = vec![0.5; 400];
    let long = answer(json!([{"index": 0, "embedding": long}, {"index": 1, "embedding": long}]));
    for (what, behaviour, wanted) in [
        ("longer than is read", Behaviour::Answers(200, long), "result_too_large"),
        ("refused as wrong", Behaviour::Answers(422, r#"{"message":"no"}"#), "rejected"),
    ] {
        let bad = Upstream::start(behaviour).await;
        let good = Upstream::start(Behaviour::Says("hello")).await;
        let named = file(&[("bad", &bad.url), ("good", &good.url)]);
        let world = world(&named, &["--response-bytes-max", "1024"]).await;
        let mut gateway = world.connect("gateway").await.unwrap();
        let answer = gateway.tool(&world.token("alice", &[]), "embed", two()).await;
        assert_eq!(code(&answer), wanted, "{what}: {}", answer.body);
        assert_eq!((bad.heard().len(), good.heard().len()), (1, 0), "{what}");
    }
}
