//! llama.cpp's own server on the small model, as a process of its own, and its own API without us in between.

use crate::components::{language_model, root};
use crate::watchers::plain;
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

/// The running server; it ends with the value.
pub struct Llama {
    process: Child,
    /// Without a path.
    pub url: String,
    /// What it wants to be told by who calls it.
    key: String,
}

/// The model's file. None where it isn't installed, which is said.
pub fn model() -> Option<PathBuf> {
    Some(language_model()?.0)
}

impl Llama {
    /// One that calls its model by a name. None where it isn't installed, which is said.
    pub fn start(alias: &str, options: &[&str]) -> Option<Self> {
        let (model, python) = language_model()?;
        let mut process = Command::new(python)
            .arg(root().join("tests/peers/llama/server.py"))
            .arg(model)
            .arg(alias)
            .args(options)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines().map_while(Result::ok);
        let url = lines.find_map(|line| line.strip_prefix("listening on ").map(ToOwned::to_owned)).unwrap();
        std::thread::spawn(move || lines.for_each(drop)); // A full pipe would stop it.
        let key = options.iter().skip_while(|option| **option != "--key").nth(1).copied().unwrap_or_default();
        Some(Self { process, url, key: key.to_owned() })
    }

    /// Ends it at once, whatever it does.
    pub fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// What its own API answers.
    pub async fn post(&self, path: &str, body: &Value) -> Value {
        let request = plain().post(format!("{}{path}", self.url)).body(body.to_string());
        let request = request.header("content-type", "application/json").bearer_auth(&self.key);
        let answer = request.send().await.unwrap();
        serde_json::from_str(&answer.text().await.unwrap()).unwrap()
    }

    /// A number of its metrics.
    pub async fn counted(&self, name: &str) -> f64 {
        let request = plain().get(format!("{}/metrics", self.url)).bearer_auth(&self.key);
        let page = request.send().await.unwrap().text().await.unwrap();
        let line = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no {name}: {page}")).parse().unwrap()
    }
}

impl Drop for Llama {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
