//! The whole server on a socket: what callers hear of good and bad arguments, and what goes to a backend.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test ends by panicking")]

use before::{code, content, file, inference, world, world_of};
use http::StatusCode;
use serde_json::{Value, json};
use upstream::{Behaviour, Upstream};

#[path = "../../kit/tests/world/mod.rs"]
mod world;
mod upstream;
mod before;

fn talk(text: &str) -> Value {
    json!([{"role": "user", "content": text}])
}

#[tokio::test]
async fn the_tools_are_those_that_were_committed() {
    let upstream = Upstream::start(Behaviour::Says("hello")).await;
    let world = world_of(&upstream).await;
    let mut gateway = world.connect("gateway").await.unwrap();
    let tools = gateway.modern(&world.token("alice", &[]), "tools/list", json!({})).await;
    let pinned: Value = serde_json::from_str(include_str!("../tools.json")).unwrap();
    assert_eq!(tools.body["result"]["tools"], pinned, "--print-tools prints what clients are told");
    let all = pinned.as_array().unwrap();
    assert_eq!(all.len(), 6);
    assert!(all.iter().all(|tool| tool["annotations"]["readOnlyHint"] == json!(true)));
    assert!(all.iter().all(|tool| tool["outputSchema"].is_object()));
}

#[tokio::test]
async fn bad_arguments_are_told_and_nothing_is_sent() {
    let upstream = Upstream::start(Behaviour::Says("hello")).await;
    let world = world_of(&upstream).await;
    let mut gateway = world.connect("gateway").await.unwrap();
    let token = world.token("alice", &[]);
    let chat = |change: Value| {
        let mut arguments = json!({"model": "m", "messages": talk("hi")});
        arguments.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        arguments
    };
    let complete = |change: Value| {
        let mut arguments = json!({"model": "m", "prompt": "Once"});
        arguments.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        arguments
    };
    let (invalid, unknown, schema) = ("invalid_arguments", "unknown_model", "invalid_schema");
    let cases = [
        ("chat", json!({}), invalid),
        ("chat", json!({"model": "m"}), invalid),
        ("chat", json!({"messages": talk("hi")}), invalid),
        ("chat", chat(json!({"model": 1})), invalid),
        ("chat", chat(json!({"model": ["m"]})), invalid),
        ("chat", chat(json!({"model": ""})), invalid),
        ("chat", chat(json!({"model": " m"})), invalid),
        ("chat", chat(json!({"model": "m\n"})), invalid),
        ("chat", chat(json!({"model": "m\u{0}"})), invalid),
        ("chat", chat(json!({"model": "../m"})), invalid),
        ("chat", chat(json!({"model": "a/../m"})), invalid),
        ("chat", chat(json!({"model": "m%2f"})), invalid),
        ("chat", chat(json!({"model": "м"})), invalid),
        ("chat", chat(json!({"model": "m?x=1"})), invalid),
        ("chat", chat(json!({"model": "m".repeat(129)})), invalid),
        ("chat", chat(json!({"model": "M"})), unknown),
        ("chat", chat(json!({"model": "there"})), unknown),
        ("chat", chat(json!({"model": "m2"})), unknown),
        ("chat", chat(json!({"model": "v"})), "not_supported"),
        ("chat", chat(json!({"messages": []})), invalid),
        ("chat", chat(json!({"messages": "hi"})), invalid),
        ("chat", chat(json!({"messages": [{"role": "user"}]})), invalid),
        ("chat", chat(json!({"messages": [{"role": "root", "content": "hi"}]})), invalid),
        ("chat", chat(json!({"messages": [{"role": "tool", "content": "hi"}]})), invalid),
        ("chat", chat(json!({"messages": [{"role": "user", "content": ""}]})), invalid),
        ("chat", chat(json!({"messages": [{"role": "user", "content": ["hi"]}]})), invalid),
        ("chat", chat(json!({"messages": [{"role": "user", "content": "hi", "name": "x"}]})), invalid),
        ("chat", chat(json!({"messages": talk("a\u{0}b")})), invalid),
        ("chat", chat(json!({"messages": talk(&"x".repeat(2_001))})), invalid),
        ("chat", chat(json!({"messages": vec![json!({"role": "user", "content": "x"}); 101]})), invalid),
        ("chat", chat(json!({"max_tokens": 0})), invalid),
        ("chat", chat(json!({"max_tokens": 101})), invalid),
        ("chat", chat(json!({"max_tokens": -1})), invalid),
        ("chat", chat(json!({"max_tokens": 1.5})), invalid),
        ("chat", chat(json!({"max_tokens": "10"})), invalid),
        ("chat", chat(json!({"max_tokens": 4_294_967_296_u64})), invalid),
        ("chat", chat(json!({"temperature": -0.1})), invalid),
        ("chat", chat(json!({"temperature": 2.1})), invalid),
        ("chat", chat(json!({"temperature": 1e308})), invalid),
        ("chat", chat(json!({"top_p": 0})), invalid),
        ("chat", chat(json!({"top_p": 1.01})), invalid),
        ("chat", chat(json!({"stop": "END"})), invalid),
        ("chat", chat(json!({"stop": [""]})), invalid),
        ("chat", chat(json!({"stop": ["a", "b", "c", "d", "e"]})), invalid),
        ("chat", chat(json!({"stop": ["x".repeat(65)]})), invalid),
        ("chat", chat(json!({"seed": -1})), invalid),
        ("chat", chat(json!({"seed": 1e20})), invalid),
        ("chat", chat(json!({"stream": true})), invalid),
        ("chat", chat(json!({"tools": []})), invalid),
        ("chat", chat(json!({"backend": "http://elsewhere"})), invalid),
        ("chat", chat(json!({"schema": "object"})), invalid),
        ("chat", chat(json!({"schema": {"type": "objekt"}})), schema),
        ("chat", chat(json!({"schema": {"$ref": "http://127.0.0.1/schema"}})), schema),
        ("chat", chat(json!({"schema": {"$ref": "file:///etc/passwd"}})), schema),
        ("chat", chat(json!({"schema": {"$ref": "#"}})), schema),
        ("chat", chat(json!({"schema": {"pattern": "(a+)+\\1"}})), schema),
        ("complete", json!({}), invalid),
        ("complete", complete(json!({"prompt": ""})), invalid),
        ("complete", complete(json!({"prompt": ["Once"]})), invalid),
        ("complete", complete(json!({"prompt": "x".repeat(2_001)})), invalid),
        ("complete", complete(json!({"prompt": "ü".repeat(1_001)})), invalid),
        ("complete", complete(json!({"max_tokens": 101})), invalid),
        ("complete", complete(json!({"schema": {}})), invalid),
        ("complete", complete(json!({"model": "none"})), unknown),
        ("embed", json!({"model": "v"}), invalid),
        ("embed", json!({"model": "v", "input": "text"}), invalid),
        ("embed", json!({"model": "v", "input": []}), invalid),
        ("embed", json!({"model": "v", "input": [""]}), invalid),
        ("embed", json!({"model": "v", "input": [1]}), invalid),
        ("embed", json!({"model": "v", "input": vec!["x"; 65]}), invalid),
        ("embed", json!({"model": "v", "input": vec!["x".repeat(100); 21]}), invalid),
        ("embed", json!({"model": "m", "input": ["x"]}), "not_supported"),
        ("list_models", json!({"cursor": "***"}), "bad_cursor"),
        ("list_models", json!({"cursor": 1}), invalid),
        ("model_status", json!({}), invalid),
        ("model_status", json!({"model": "../m"}), invalid),
        ("model_status", json!({"model": "none"}), unknown),
        ("gpu_status", json!({"index": 0}), invalid),
    ];
    for (tool, arguments, wanted) in &cases {
        let answer = gateway.tool(&token, tool, arguments.clone()).await;
        assert_eq!(code(&answer), wanted, "{tool} {arguments}: {}", answer.body);
    }
    assert_eq!(upstream.heard().len(), 0);
    let good = gateway.tool(&token, "chat", chat(json!({}))).await;
    assert_eq!(content(&good)["text"], "hello");
    assert_eq!(upstream.heard().len(), 1);
    println!("{} bad inputs", cases.len());
}

#[tokio::test]
async fn a_call_goes_out_as_it_was_meant_and_its_cost_comes_back() {
    let upstream = Upstream::start(Behaviour::Says("one two three")).await;
    let world = world_of(&upstream).await;
    let mut gateway = world.connect("gateway").await.unwrap();
    let token = world.token("alice", &[]);
    let asked = json!({
        "model": "m", "messages": [{"role": "system", "content": "Count"}, {"role": "user", "content": "Go <|im_end|>"}],
        "max_tokens": 9, "temperature": 0.5, "top_p": 0.9, "stop": ["four"], "seed": 7,
    });
    let answer = gateway.tool(&token, "chat", asked.clone()).await;
    let found = content(&answer);
    assert_eq!((&found["text"], &found["finish"]), (&json!("one two three"), &json!("stop")));
    assert_eq!(
        found["usage"],
        json!({"input_tokens": 11, "output_tokens": 5, "total_tokens": 16, "estimated": false})
    );
    assert_eq!(found["cost"], json!({"amount": 0.021, "currency": "USD"}));
    assert_eq!(
        (&found["model"], &found["backend"], &found["attempts"]),
        (&json!("m"), &json!("a"), &json!(1))
    );
    let (head, body) = upstream.heard().remove(0);
    assert!(head.starts_with("post /v1/chat/completions ") && !head.contains("authorization"), "{head}");
    let sent = json!({
        "model": "there", "messages": asked["messages"], "max_tokens": 9, "temperature": 0.5, "top_p": 0.9,
        "stop": ["four"], "seed": 7, "stream": true, "stream_options": {"include_usage": true},
    });
    assert_eq!(body, sent);

    let answer = gateway.tool(&token, "complete", json!({"model": "m", "prompt": "Once"})).await;
    assert_eq!(content(&answer)["text"], "one two three");
    let (head, body) = upstream.heard().remove(1);
    assert!(head.starts_with("post /v1/completions "), "{head}");
    assert_eq!((&body["prompt"], &body["max_tokens"]), (&json!("Once"), &json!(100)));

    let answer = gateway.tool(&token, "embed", json!({"model": "v", "input": ["a", "b"]})).await;
    let found = content(&answer);
    assert_eq!((&found["vectors"], &found["dimensions"]), (&json!([[0.0, 0.5], [1.0, 0.5]]), &json!(2)));
    assert_eq!((&found["usage"]["input_tokens"], found.get("cost")), (&json!(7), None));
    assert_eq!(
        upstream.heard()[2].1,
        json!({"model": "vectors", "input": ["a", "b"], "encoding_format": "float"})
    );
}

#[tokio::test]
async fn a_text_comes_as_progress_and_its_parts_are_the_whole() {
    let upstream = Upstream::start(Behaviour::Says("one two three four")).await;
    let world = world_of(&upstream).await;
    let mut gateway = world.connect("gateway").await.unwrap();
    let params = json!({
        "name": "chat", "arguments": {"model": "m", "messages": talk("hi")}, "_meta": {"progressToken": "p"},
    });
    let answer = gateway.modern(&world.token("alice", &[]), "tools/call", params).await;
    let events = answer.text.lines().filter_map(|line| line.strip_prefix("data:"));
    let events: Vec<Value> = events.filter_map(|data| serde_json::from_str(data.trim()).ok()).collect();
    let told: Vec<_> = events.iter().filter(|event| event["method"] == "notifications/progress").collect();
    let text: String = told.iter().map(|event| event["params"]["message"].as_str().unwrap()).collect();
    assert_eq!(text, "one two three four");
    assert!(told.len() >= 2, "the first word is told at once");
    assert!(
        told.windows(2)
            .all(|two| two[0]["params"]["progress"].as_f64() < two[1]["params"]["progress"].as_f64())
    );
    assert_eq!(content(&answer)["text"], "one two three four");
}

#[tokio::test]
async fn an_answer_is_of_its_schema_or_it_is_an_error_that_has_the_text() {
    let schema = json!({"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]});
    let good = Upstream::start(Behaviour::Says("{\"n\": 3}")).await;
    let world_a = world_of(&good).await;
    let mut gateway = world_a.connect("gateway").await.unwrap();
    let asked = json!({"model": "m", "messages": talk("hi"), "schema": schema});
    let answer = gateway.tool(&world_a.token("alice", &[]), "chat", asked.clone()).await;
    let found = content(&answer);
    assert_eq!((&found["json"], &found["schema"]), (&json!({"n": 3}), &json!("requested")));
    let sent = &good.heard()[0].1;
    assert_eq!(sent["response_format"]["json_schema"]["schema"], schema);
    assert_eq!(sent["messages"], talk("hi"), "the backend does it, so nobody tells the model");

    let plain = file(&[("a", &good.url)]).replace("structured: true", "structured: false");
    let world_b = world(&plain, &[]).await;
    let mut gateway = world_b.connect("gateway").await.unwrap();
    let answer = gateway.tool(&world_b.token("alice", &[]), "chat", asked.clone()).await;
    assert_eq!(content(&answer)["schema"], "checked");
    let sent = &good.heard()[1].1;
    assert!(sent.get("response_format").is_none());
    assert!(sent["messages"][0]["content"].as_str().unwrap().contains("\"required\":[\"n\"]"), "{sent}");

    let bad = Upstream::start(Behaviour::Says("{\"n\": \"three\"}")).await;
    let world_c = world_of(&bad).await;
    let mut gateway = world_c.connect("gateway").await.unwrap();
    let answer = gateway.tool(&world_c.token("alice", &[]), "chat", asked).await;
    assert_eq!(code(&answer), "schema_mismatch");
    let kept = &answer.body["result"]["structuredContent"];
    assert_eq!((&kept["text"], &kept["usage"]["total_tokens"]), (&json!("{\"n\": \"three\"}"), &json!(16)));
    assert_eq!(kept["cost"]["amount"], json!(0.021), "it was made, and is paid for");
    assert!(kept["error"]["message"].as_str().unwrap().contains("at \"/n\""), "{kept}");
}

#[tokio::test]
async fn models_outside_of_the_fence_are_not_there() {
    let upstream = Upstream::start(Behaviour::Says("hello")).await;
    let world = world(&file(&[("a", &upstream.url)]), &["--models", "v,x*"]).await;
    let mut gateway = world.connect("gateway").await.unwrap();
    let token = world.token("alice", &[]);
    let listed = gateway.tool(&token, "list_models", json!({})).await;
    assert_eq!(content(&listed)["models"].as_array().unwrap().len(), 1);
    assert_eq!(content(&listed)["models"][0]["name"], "v");
    let fenced = gateway.tool(&token, "chat", json!({"model": "m", "messages": talk("hi")})).await;
    let absent = gateway.tool(&token, "chat", json!({"model": "n", "messages": talk("hi")})).await;
    let said = |answer: &world::Answer| answer.body["result"].to_string();
    assert_eq!(said(&fenced).replace("\\\"m\\\"", "X"), said(&absent).replace("\\\"n\\\"", "X"));
    assert_eq!(upstream.heard().len(), 0);
    let one = gateway.tool(&token, "embed", json!({"model": "v", "input": ["a"]})).await;
    assert_eq!(content(&one)["dimensions"], 2);
}

#[tokio::test]
async fn the_lists_say_what_there_is_page_by_page() {
    let upstream = Upstream::start(Behaviour::Says("hello")).await;
    let yaml = file(&[("a", &upstream.url), ("b", &upstream.url)]);
    let world = world(&yaml, &["--page-items-max", "1"]).await;
    let mut gateway = world.connect("gateway").await.unwrap();
    let token = world.token("alice", &[]);
    let first = gateway.tool(&token, "list_models", json!({})).await;
    let found = content(&first);
    assert_eq!((&found["total"], &found["models"][0]["name"]), (&json!(2), &json!("m")));
    assert_eq!(
        found["models"][0]["price"],
        json!({"input_per_million": 1000.0, "output_per_million": 2000.0, "currency": "USD"})
    );
    assert_eq!(
        (&found["models"][0]["backends"], &found["models"][0]["uses"]),
        (&json!(2), &json!(["chat", "complete"]))
    );
    let rest = gateway.tool(&token, "list_models", json!({"cursor": found["next_cursor"]})).await;
    assert_eq!(content(&rest)["models"][0]["name"], "v");
    assert!(content(&rest).get("next_cursor").is_none());
    let status = gateway.tool(&token, "model_status", json!({"model": "m"})).await;
    let backends = content(&status)["backends"].as_array().unwrap();
    assert_eq!(backends.len(), 2);
    assert_eq!((&backends[0]["name"], &backends[0]["kind"]), (&json!("a"), &json!("openai")));
    let gpu = gateway.tool(&token, "gpu_status", json!({})).await;
    let gpu = content(&gpu);
    assert_eq!(gpu["available"] == json!(false), gpu["reason"].is_string(), "{gpu}");
    assert_eq!(gpu["available"] == json!(true), !gpu["gpus"].as_array().unwrap().is_empty(), "{gpu}");
}

#[tokio::test]
async fn only_the_gateway_with_a_token_of_the_tools_scope_gets_in() {
    let upstream = Upstream::start(Behaviour::Says("hello")).await;
    let world = world_of(&upstream).await;
    let mut gateway = world.connect("gateway").await.unwrap();
    let chat = json!({"model": "m", "messages": talk("hi")});
    let only = world.token("alice", &[("scope", json!("inference:chat"))]);
    assert_eq!(content(&gateway.tool(&only, "chat", chat.clone()).await)["text"], "hello");
    for tool in ["complete", "embed", "gpu_status"] {
        assert_eq!(gateway.tool(&only, tool, json!({})).await.status, StatusCode::FORBIDDEN, "{tool}");
    }
    for change in [("aud", json!("s3")), ("exp", json!(1)), ("iss", json!("https://other.test"))] {
        let refused = gateway.tool(&world.token("alice", &[change]), "chat", chat.clone()).await;
        assert_eq!(refused.status, StatusCode::UNAUTHORIZED);
    }
    let body = world::modern("tools/list", json!({})).to_string();
    let refused = match world.connect("agent/demo").await {
        Err(_) => true,
        Ok(mut agent) => agent.send(http::Method::POST, Some(&only), &[], body).await.is_err(),
    };
    assert!(refused);
    assert_eq!(upstream.heard().len(), 1);
}

#[tokio::test]
async fn what_is_wrong_with_the_file_is_told_at_start() {
    let told = async |yaml: &str| inference(yaml, &[]).await.err().unwrap().to_string();
    let said = told(
        "backends:\n  - {name: a, url: 'https://h.test/v1', ca_file: /none, models: [{name: m}]}\n  \
         - {name: b, url: 'https://h.test/v1', credential_file: /none, models: [{name: m}]}\n",
    )
    .await;
    assert!(
        said.contains("backends[0].ca_file: ") && said.contains("backends[1].credential_file: "),
        "{said}"
    );
    let said = told("backends:\n  - {name: a, url: nowhere, models: []}\n").await;
    assert!(said.contains("2 things to mend") && said.contains("backends[0].url: give http://"), "{said}");
    let said = told("backends:\n  - {name: a, engine: embedded, file: /none, model: m}\n").await;
    assert!(said.contains("backends[0].file: /none: "), "{said}");
}
