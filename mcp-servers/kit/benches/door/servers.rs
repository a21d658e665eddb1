//! The servers, and what each is asked: something that its callers ask often, with an answer of some 1 KiB.

use crate::stub;
use crate::subject::{Subject, line, piped};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A server that is the kit and nothing else.
pub(crate) async fn kit() -> Subject {
    let mut program = Command::new(std::env::current_exe().unwrap());
    program.arg("role");
    let echo = ("echo", json!({"text": "x".repeat(1024)}));
    Subject::start(program, "bench", echo, |_| Vec::new()).await.called("the kit alone")
}

/// It and all five, each before the stand-in of its system; the store of `mcp-s3` is a folder.
pub(crate) async fn all() -> Vec<Subject> {
    let mut program = Command::new(std::env::current_exe().unwrap());
    program.arg("stub");
    let mut stub = piped(program);
    let at = format!("http://{}", line(&mut stub));
    std::mem::forget(stub); // It ends with this process: its standard input does.
    let with = |flag: &str| vec![flag.to_owned(), at.clone()];
    let pod = json!({"kind": "ConfigMap", "namespace": stub::NAMESPACE, "name": stub::CONFIG_MAP});
    let chat = |model: &str| json!({"model": model, "messages": [{"role": "user", "content": "Say something of 1 KiB."}]});
    vec![
        kit().await,
        five("mlflow", ("get_run", json!({"run_id": stub::RUN})), |_| with("--mlflow"))
            .await
            .called("mlflow get_run, 2 requests"),
        five("mlflow", ("get_model", json!({"model": stub::MODEL})), |_| with("--mlflow")).await,
        five("kubernetes", ("get", pod), |_| with("--server")).await,
        five("s3", ("get_object", json!({"bucket": "demo", "key": "text.txt"})), folder).await,
        five("prometheus", ("query_instant", json!({"query": "up"})), |_| with("--prometheus")).await,
        five("inference", ("chat", chat("whole")), |dir| backends(dir, &at))
            .await
            .called("inference chat, 1 event"),
        five("inference", ("chat", chat("tokens")), |dir| backends(dir, &at))
            .await
            .called(&format!("inference chat, {} events", stub::TOKENS)),
    ]
}

async fn five(
    name: &'static str,
    call: (&'static str, Value),
    own: impl FnOnce(&Path) -> Vec<String>,
) -> Subject {
    let program = release().join(format!("mcp-{name}"));
    assert!(program.exists(), "{} is not there; cargo xtask bench servers builds it", program.display());
    Subject::start(Command::new(program), name, call, own).await
}

/// Where cargo puts programs: this one is in `deps` below it.
fn release() -> PathBuf {
    std::env::current_exe().unwrap().parent().and_then(Path::parent).unwrap().to_owned()
}

fn folder(dir: &Path) -> Vec<String> {
    let root = dir.join("store");
    std::fs::create_dir_all(root.join("demo")).unwrap();
    std::fs::write(root.join("demo/text.txt"), "x".repeat(1024)).unwrap();
    vec!["--root".to_owned(), root.display().to_string()]
}

fn backends(dir: &Path, at: &str) -> Vec<String> {
    let file = dir.join("backends.yaml");
    let backend = json!({"name": "stub", "url": format!("{at}/v1"), "metrics": "none",
        "models": [{"name": "whole"}, {"name": "tokens"}]});
    std::fs::write(&file, json!({"backends": [backend]}).to_string()).unwrap(); // JSON is YAML.
    vec!["--backends".to_owned(), file.display().to_string()]
}
