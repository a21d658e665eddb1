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

/// It and all five, or those that are named, each before the stand-in of its system; the store of `mcp-s3` is a folder.
pub(crate) async fn all(named: &[String]) -> Vec<Subject> {
    let mut program = Command::new(std::env::current_exe().unwrap());
    program.arg("stub");
    let mut stub = piped(program);
    let at = format!("http://{}", line(&mut stub));
    std::mem::forget(stub); // It ends with this process: its standard input does.
    let unknown = named.iter().find(|named| calls().iter().all(|(name, ..)| named != name));
    assert!(unknown.is_none(), "there is no server {unknown:?}");
    let mut subjects = vec![kit().await];
    for (name, call, what) in calls() {
        if !named.is_empty() && !named.iter().any(|named| named == name) {
            continue;
        }
        let own = |dir: &Path| match name {
            "mlflow" => vec!["--mlflow".to_owned(), at.clone()],
            "kubernetes" => vec!["--server".to_owned(), at.clone()],
            "s3" => folder(dir),
            "prometheus" => vec!["--prometheus".to_owned(), at.clone()],
            _ => backends(dir, &at),
        };
        subjects.push(five(name, call, own).await.called(&what));
    }
    subjects
}

/// What is asked of which server, and the name of its row.
fn calls() -> Vec<(&'static str, (&'static str, Value), String)> {
    let pod = json!({"kind": "ConfigMap", "namespace": stub::NAMESPACE, "name": stub::CONFIG_MAP});
    let chat = |model: &str| json!({"model": model, "messages": [{"role": "user", "content": "Say something of 1 KiB."}]});
    let many = format!(", {} events", stub::TOKENS);
    [
        ("mlflow", "get_run", json!({"run_id": stub::RUN}), ", 2 requests"),
        ("mlflow", "get_model", json!({"model": stub::MODEL}), ""),
        ("kubernetes", "get", pod, ""),
        ("s3", "get_object", json!({"bucket": "demo", "key": "text.txt"}), ""),
        ("prometheus", "query_instant", json!({"query": "up"}), ""),
        ("inference", "chat", chat("whole"), ", 1 event"),
        ("inference", "chat", chat("tokens"), &many),
    ]
    .map(|(name, tool, arguments, more)| (name, (tool, arguments), format!("{name} {tool}{more}")))
    .to_vec()
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
