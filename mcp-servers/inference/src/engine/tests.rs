//! The engine on a model of random numbers: small, and made here. It writes nonsense, so whatever form its text has, the
//! engine gave it. That the numbers are right is told before a real model, beside llama.cpp (`tests/inference.rs`).
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test ends by panicking")]

use super::gguf::Gguf;
use super::llama::Llama;
use super::*;
use crate::ask::{Finish, Message, Prompt, Role, Sampling};
use crate::schema::Schema;
use candle_core::quantized::gguf_file::{self, Value};
use candle_core::quantized::{GgmlDType, QTensor};
use candle_core::{Device, Tensor};
use serde_json::json;
use std::path::{Path, PathBuf};

const WIDTH: usize = 64;
const INNER: usize = 96;
const SPECIAL: [&str; 3] = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"];

/// A llama of two layers with a token for each byte; `change` may spoil what is said of it.
fn model(
    folder: &Path,
    change: impl FnOnce(&mut Vec<(String, Value)>, &mut Vec<(String, QTensor)>),
) -> PathBuf {
    let printable = |byte: &u8| matches!(byte, 33..=126 | 161..=172 | 174..=255);
    let mut letters: Vec<char> = (0..=255_u8).filter(printable).map(char::from).collect();
    letters.extend((256..324).map(|code| char::from_u32(code).unwrap()));
    let texts: Vec<String> =
        SPECIAL.iter().map(ToString::to_string).chain(letters.iter().map(char::to_string)).collect();
    let kinds: Vec<Value> = (0..texts.len()).map(|at| Value::I32(if at < 3 { 3 } else { 1 })).collect();
    let count = texts.len();
    let text = |text: &str| Value::String(text.to_owned());
    let template =
        "{% if messages[0]['role'] != 'system' %}{{ '<|im_start|>system\nBe kind<|im_end|>\n' }}{% endif %}";
    let mut said: Vec<(String, Value)> = [
        ("general.architecture", text("llama")),
        ("llama.block_count", Value::U32(2)),
        ("llama.context_length", Value::U32(512)),
        ("llama.embedding_length", Value::U32(WIDTH as u32)),
        ("llama.feed_forward_length", Value::U32(INNER as u32)),
        ("llama.attention.head_count", Value::U32(4)),
        ("llama.attention.head_count_kv", Value::U32(2)),
        ("llama.attention.layer_norm_rms_epsilon", Value::F32(1e-5)),
        ("tokenizer.ggml.model", text("gpt2")),
        ("tokenizer.ggml.pre", text("smollm")),
        ("tokenizer.ggml.tokens", Value::Array(texts.into_iter().map(Value::String).collect())),
        ("tokenizer.ggml.token_type", Value::Array(kinds)),
        ("tokenizer.ggml.merges", Value::Array(Vec::new())),
        ("tokenizer.ggml.eos_token_id", Value::U32(2)),
        ("tokenizer.chat_template", text(template)),
    ]
    .map(|(key, value)| (key.to_owned(), value))
    .to_vec();
    let mut state = 1_u64;
    let mut numbers = |shape: &[usize], kind: GgmlDType, scale: f32| {
        let numbers = (0..shape.iter().product::<usize>()).map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            ((state >> 40) as f32 / (1 << 24) as f32 - 0.5) * scale
        });
        let tensor =
            Tensor::from_iter(numbers.collect::<Vec<_>>(), &Device::Cpu).unwrap().reshape(shape).unwrap();
        QTensor::quantize(&tensor, kind).unwrap()
    };
    let mut tensors = vec![("token_embd.weight".to_owned(), numbers(&[count, WIDTH], GgmlDType::Q8_0, 1.0))];
    for at in 0..2 {
        for (part, shape, kind) in [
            ("attn_norm", vec![WIDTH], GgmlDType::F32),
            ("attn_q", vec![WIDTH, WIDTH], GgmlDType::Q4_1),
            ("attn_k", vec![WIDTH / 2, WIDTH], GgmlDType::Q4_1),
            ("attn_v", vec![WIDTH / 2, WIDTH], GgmlDType::Q8_0),
            ("attn_output", vec![WIDTH, WIDTH], GgmlDType::Q4_1),
            ("ffn_norm", vec![WIDTH], GgmlDType::F32),
            ("ffn_gate", vec![INNER, WIDTH], GgmlDType::F32),
            ("ffn_up", vec![INNER, WIDTH], GgmlDType::F16),
            ("ffn_down", vec![WIDTH, INNER], GgmlDType::Q8_0),
        ] {
            tensors.push((format!("blk.{at}.{part}.weight"), numbers(&shape, kind, 2.0)));
        }
    }
    tensors.push(("output_norm.weight".to_owned(), numbers(&[WIDTH], GgmlDType::F32, 2.0)));
    change(&mut said, &mut tensors);
    let path = folder.join("model.gguf");
    let said: Vec<_> = said.iter().map(|(key, value)| (key.as_str(), value)).collect();
    let tensors: Vec<_> = tensors.iter().map(|(name, tensor)| (name.as_str(), tensor)).collect();
    gguf_file::write(&mut std::fs::File::create(&path).unwrap(), &said, &tensors).unwrap();
    path
}

fn local(file: PathBuf) -> Local {
    Local { file, context_tokens: 256, requantize: true, cuda: false }
}

async fn engine(folder: &Path) -> Engine {
    Engine::load(&local(model(folder, |_, _| ())), 4).await.unwrap()
}

fn sampling(tokens_max: u32) -> Sampling {
    Sampling { tokens_max, temperature: None, top_p: None, stop: Vec::new(), seed: Some(1) }
}

fn says(text: &str, sampling: Sampling) -> Ask {
    let message = Message { role: Role::User, content: text.to_owned() };
    Ask { prompt: Prompt::Chat(vec![message]), sampling, schema: None }
}

async fn written(engine: &Engine, ask: &Ask) -> Result<(String, Finish, Tokens), Failure> {
    let (mut stream, _) = engine.write(ask)?;
    let mut text = String::new();
    loop {
        match stream.next().await?.unwrap() {
            Piece::Text(more) => text.push_str(&more),
            Piece::End(finish, tokens) => return Ok((text, finish, tokens.unwrap())),
        }
    }
}

#[tokio::test]
async fn a_text_is_the_same_each_time_and_ends_where_it_has_to() {
    let folder = tempfile::tempdir().unwrap();
    let engine = engine(folder.path()).await;
    let first = written(&engine, &says("hello", sampling(20))).await.unwrap();
    assert_eq!(first.1, Finish::Length);
    assert_eq!(first.2.output, 20);
    // Three marks and newlines around "system\nBe kind", "user\nhello" and "assistant\n", a token a byte.
    assert_eq!(first.2.input, 14 + 10 + 10 + 3 + 2 + 2);
    assert_eq!(written(&engine, &says("hello", sampling(20))).await.unwrap(), first);
    assert_ne!(written(&engine, &says("hellp", sampling(20))).await.unwrap().0, first.0);
    let hot = |seed| Sampling { temperature: Some(1.0), seed: Some(seed), ..sampling(20) };
    let (mut seed, mut drawn) = (0, String::new());
    while drawn.chars().count() < 5 {
        seed += 1; // The model may want to end at once.
        drawn = written(&engine, &says("hello", hot(seed))).await.unwrap().0;
    }
    assert_eq!(written(&engine, &says("hello", hot(seed))).await.unwrap().0, drawn);
    assert_ne!(written(&engine, &says("hello", hot(seed + 1))).await.unwrap().0, drawn);
    let stop = drawn.chars().nth(3).unwrap().to_string();
    let before = drawn.split(&stop).next().unwrap().to_owned();
    let stopped = written(&engine, &says("hello", Sampling { stop: vec![stop], ..hot(seed) })).await.unwrap();
    assert_eq!((stopped.0, stopped.1), (before, Finish::Stop));
}

#[tokio::test]
async fn with_a_schema_nothing_else_can_be_written_whatever_the_model_wants() {
    let folder = tempfile::tempdir().unwrap();
    let engine = engine(folder.path()).await;
    let schema = json!({
        "type": "object", "additionalProperties": false, "required": ["name", "kind", "sizes"],
        "properties": {
            "kind": {"enum": ["small", "smaller", "large"]},
            "name": {"type": "string", "minLength": 2, "maxLength": 12},
            "sizes": {"type": "array", "items": {"type": "integer"}, "minItems": 1, "maxItems": 3},
            "sure": {"type": "boolean"},
        },
    });
    let schema = Arc::new(Schema::parse(schema.as_object().unwrap()).unwrap());
    for seed in 0..12 {
        let hot = Sampling { temperature: Some(1.5), seed: Some(seed), ..sampling(200) };
        let ask = Ask { schema: Some(Arc::clone(&schema)), ..says("a thing", hot) };
        assert_eq!(engine.write(&ask).unwrap().1, Some(Enforced::Constrained));
        let (text, finish, _) = written(&engine, &ask).await.unwrap();
        assert_eq!(finish, Finish::Stop, "{text}");
        assert!(schema.read(&text).is_ok(), "{text}");
    }
    let open = json!({"anyOf": [{"type": "string"}, {"type": "null"}]});
    let open = Arc::new(Schema::parse(open.as_object().unwrap()).unwrap());
    let ask = Ask { schema: Some(open), ..says("a thing", sampling(2)) };
    assert_eq!(engine.write(&ask).unwrap().1, Some(Enforced::Checked));
}

#[tokio::test]
async fn what_a_caller_writes_is_never_a_mark() {
    let folder = tempfile::tempdir().unwrap();
    let engine = engine(folder.path()).await;
    let count = async |text| written(&engine, &says(text, sampling(1))).await.unwrap().2.input;
    let plain = count("").await;
    for mark in SPECIAL {
        assert_eq!(count(mark).await, plain + mark.len() as u64, "a token for each of its bytes");
    }
    assert_eq!(count("ü1").await, plain + 3);
}

#[tokio::test]
async fn who_goes_away_ends_his_work_and_a_full_queue_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let engine = engine(folder.path()).await;
    let long = Ask { prompt: Prompt::Text("x".into()), ..says("", sampling(200)) };
    let mut streams = Vec::new();
    let refused = loop {
        match engine.write(&long) {
            Ok((stream, _)) => streams.push(stream),
            Err(failure) => break failure,
        }
        assert!(streams.len() < 1_000);
    };
    assert_eq!(refused, Failure::Busy);
    drop(streams);
    let (text, ..) = loop {
        match written(&engine, &says("hello", sampling(5))).await {
            Err(Failure::Busy) => tokio::task::yield_now().await, // They are taken out of the queue, and dropped.
            other => break other.unwrap(),
        }
    };
    assert!(!text.is_empty());
    assert!(!engine.ended());
}

#[tokio::test]
async fn a_text_has_to_fit_into_the_context_with_its_answer() {
    let folder = tempfile::tempdir().unwrap();
    let engine = engine(folder.path()).await;
    let ask = |length: usize| Ask { prompt: Prompt::Text("x".repeat(length)), ..says("", sampling(100)) };
    let (_, finish, tokens) = written(&engine, &ask(250)).await.unwrap();
    assert_eq!(
        (finish, tokens.input, tokens.output),
        (Finish::Length, 250, 6),
        "as many as there is room for"
    );
    for length in [256, 10_000] {
        assert!(matches!(written(&engine, &ask(length)).await, Err(Failure::Rejected(_))));
    }
    assert!(matches!(engine.embed(&["x".repeat(257)]).await, Err(Failure::Rejected(_))));
}

#[tokio::test]
async fn vectors_have_the_length_one_and_depend_on_their_own_text_alone() {
    let folder = tempfile::tempdir().unwrap();
    let engine = engine(folder.path()).await;
    let (vectors, tokens) = engine.embed(&["one".into(), "two".into(), "one".into()]).await.unwrap();
    assert_eq!((vectors.len(), vectors[0].len(), tokens.unwrap().input), (3, WIDTH, 9));
    assert_eq!(vectors[0], vectors[2]);
    assert_ne!(vectors[0], vectors[1]);
    for vector in vectors {
        assert!((vector.iter().map(|number| number * number).sum::<f32>() - 1.0).abs() < 1e-4);
    }
}

#[test]
fn a_prompt_at_once_and_token_by_token_is_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let mut file = Gguf::open(&model(folder.path(), |_, _| ()), Device::Cpu, true).unwrap();
    let model = Llama::read(&mut file, 64).unwrap();
    let tokens: Vec<u32> = (3..40).collect();
    let logits = |step: usize| {
        let mut cache = model.cache(64).unwrap();
        let mut last = Vec::new();
        for part in tokens.chunks(step) {
            last = model.logits(&model.states(part, &mut cache).unwrap()).unwrap();
        }
        last
    };
    let whole = logits(64);
    for step in [1, 5, 36] {
        let apart = logits(step).iter().zip(&whole).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(apart < 1e-2, "{step}: {apart}");
    }
}

#[tokio::test]
async fn a_file_that_is_not_as_it_should_be_is_refused_with_a_reason() {
    let folder = tempfile::tempdir().unwrap();
    let said = |key: &'static str, value: Value| {
        move |said: &mut Vec<(String, Value)>, _: &mut Vec<(String, QTensor)>| {
            said.retain(|(name, _)| name != key);
            said.push((key.to_owned(), value));
        }
    };
    type Change = Box<dyn FnOnce(&mut Vec<(String, Value)>, &mut Vec<(String, QTensor)>)>;
    let changes: Vec<(Change, &str)> = vec![
        (Box::new(said("general.architecture", Value::String("qwen2".into()))), "its architecture is"),
        (Box::new(said("tokenizer.ggml.pre", Value::String("deepseek".into()))), "its text is cut by"),
        (Box::new(said("llama.attention.head_count", Value::U32(3))), "its measures don't fit"),
        (Box::new(said("llama.attention.head_count", Value::U32(0))), "its attention.head_count is missing"),
        (Box::new(said("llama.block_count", Value::U32(3))), "it has no tensor blk.2."),
        (
            Box::new(said("llama.block_count", Value::U32(u32::MAX))),
            "its block_count is missing or out of bounds",
        ),
        (
            Box::new(said("llama.feed_forward_length", Value::U32(95))),
            "its tensor blk.0.ffn_gate.weight has another shape",
        ),
        (Box::new(said("llama.expert_count", Value::U32(8))), "it is a mixture"),
        (Box::new(said("llama.rope.scaling.factor", Value::F32(8.0))), "its positions are scaled"),
        (Box::new(|_, tensors| drop(tensors.pop())), "it has no tensor output_norm.weight"),
    ];
    for (change, wanted) in changes {
        let error = Engine::load(&local(model(folder.path(), change)), 1).await.unwrap_err();
        assert!(error.starts_with(&format!("file: {wanted}")), "{error}");
    }
    let whole = std::fs::read(model(folder.path(), |_, _| ())).unwrap();
    for (bytes, wanted) in [
        (&b"GGUF"[..], "it is no GGUF"),
        (&b""[..], "it is no GGUF"),
        (&b"<html>"[..], "it is no GGUF"),
        (&whole[..whole.len() - 100], ""),
    ] {
        let path = folder.path().join("broken.gguf");
        std::fs::write(&path, bytes).unwrap();
        let error = Engine::load(&local(path), 1).await.unwrap_err();
        assert!(error.contains(wanted), "{error}");
    }
    assert!(Engine::load(&local(folder.path().join("none")), 1).await.is_err());
}
