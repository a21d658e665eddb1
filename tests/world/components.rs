//! Real programs that stories need: our own binaries, the official SDKs, an S3 server.

use crate::Agent;
use serde_json::Value;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// One of our own programs, as the last build left it beside this one.
pub fn program(name: &str) -> PathBuf {
    let path = std::env::current_exe().unwrap().parent().unwrap().parent().unwrap().join(name);
    assert!(path.exists(), "{} is not built: cargo build --workspace --bins --examples", path.display());
    path
}

/// Says loudly that a story can't be told here; in CI that is a failure.
pub fn missing(what: &str, fix: &str) {
    let required = std::env::var("SALLYPORT_COMPONENTS").is_ok_and(|v| v == "required");
    assert!(!required, "{what} is missing: {fix}");
    eprintln!("\n*** SKIPPED: {what} is missing. {fix}\n");
}

/// Where scripts/setup puts what it installs.
fn cache() -> Option<PathBuf> {
    std::env::var_os("SALLYPORT_CACHE")
        .map(PathBuf::from)
        .or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache/sallyport")))
}

/// A program that scripts/setup has installed.
pub fn installed(name: &str, part: &str) -> Option<PathBuf> {
    let path = cache().map(|cache| cache.join("bin").join(name)).filter(|path| path.exists());
    let skipped = cache().is_some_and(|cache| cache.join(format!("{part}.skipped")).exists());
    if path.is_none() && skipped {
        eprintln!("\n*** SKIPPED: {name} is missing, and scripts/setup may not install it here.\n");
    } else if path.is_none() {
        missing(name, &format!("scripts/setup {part}"));
    }
    path
}

/// A small language model's file, and the interpreter that has llama.cpp's server.
pub fn language_model() -> Option<(PathBuf, PathBuf)> {
    let folder = cache()?.join("inference");
    if crate::services::stamped(&folder) {
        return Some((folder.join("smollm2.gguf"), folder.join("llama/bin/python")));
    }
    missing("the language model", "scripts/setup inference");
    None
}

/// The interpreter with the official Python SDK.
pub fn python() -> Option<PathBuf> {
    let path = std::env::var_os("SALLYPORT_PYTHON")
        .map(PathBuf::from)
        .or_else(|| Some(cache()?.join("python/bin/python")))?;
    if path.exists() {
        return Some(path);
    }
    missing("the Python SDK", "scripts/setup python");
    None
}

/// The interpreter with Python's SDKs of AWS and of Azure Storage.
pub fn store_sdks() -> Option<PathBuf> {
    let path = cache()?.join("stores/bin/python");
    if path.exists() {
        return Some(path);
    }
    missing("the SDKs of AWS and of Azure Storage", "scripts/setup s3");
    None
}

/// The program of Azurite, for Node.
pub fn azurite() -> Option<PathBuf> {
    let path = root().join("tests/clients/azurite/node_modules/azurite/dist/src/blob/main.js");
    if path.exists() {
        return Some(path);
    }
    missing("Azurite", "scripts/setup s3");
    None
}

/// The folder with the official TypeScript SDKs.
pub fn node() -> Option<PathBuf> {
    let folder = root().join("tests/clients/node");
    if folder.join("node_modules/@modelcontextprotocol/client").exists() {
        return Some(folder);
    }
    missing("the TypeScript SDK", "scripts/setup node");
    None
}

/// The interpreter with the official Python SDK of A2A.
pub fn a2a_python() -> Option<PathBuf> {
    let path = std::env::var_os("SALLYPORT_PEERS")
        .map(PathBuf::from)
        .or_else(|| Some(cache()?.join("peers/bin/python")))?;
    if path.exists() {
        return Some(path);
    }
    missing("the Python SDK of A2A", "scripts/setup peers");
    None
}

/// Node, if the official JavaScript SDK of A2A is installed.
pub fn a2a_node() -> Option<PathBuf> {
    if root().join("tests/peers/node/node_modules/@a2a-js/sdk").exists() {
        return Some("node".into());
    }
    missing("the JavaScript SDK of A2A", "scripts/setup peers");
    None
}

/// That oidc-provider is installed.
pub fn oidc_provider() -> Option<Installed> {
    let folder = root().join("tests/clients/oidc-provider/node_modules");
    if crate::services::stamped(&folder) {
        return Some(Installed(folder));
    }
    missing("oidc-provider", "scripts/setup oidc-provider");
    None
}

/// Keycloak's folder.
pub fn keycloak() -> Option<Installed> {
    let folder = cache()?.join("keycloak");
    if crate::services::stamped(&folder) {
        return Some(Installed(folder));
    }
    // Java is not everybody's to install: setup says so, and that the story is not told.
    if cache()?.join("keycloak.skipped").exists() {
        eprintln!("\n*** SKIPPED: Keycloak is missing, and scripts/setup may not install Java here.\n");
    } else {
        missing("Keycloak", "scripts/setup keycloak");
    }
    None
}

/// The folder of something that scripts/setup has installed.
pub struct Installed(pub PathBuf);

/// The project's folder.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

/// `sallyport up` as a process of its own.
pub struct Sallyport {
    process: Child,
    dir: TempDir,
    pub env: HashMap<String, String>,
    pub ready_in: Duration,
    /// All that it has said, down to how to stop it.
    pub said: String,
}

impl Sallyport {
    pub fn up() -> Self {
        Self::up_in(tempfile::tempdir().unwrap())
    }

    /// With a list of servers of its own.
    pub fn with_servers(list: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("state")).unwrap();
        std::fs::write(dir.path().join("state/servers.yaml"), list).unwrap();
        Self::up_in(dir)
    }

    fn up_in(dir: TempDir) -> Self {
        let started = Instant::now();
        let process = Command::new(program("sallyport"))
            .args(["up", "--listen", "127.0.0.1:0", "--dir"])
            .arg(dir.path().join("state"))
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut up =
            Self { process, dir, env: HashMap::new(), ready_in: Duration::ZERO, said: String::new() };
        up.await_ready();
        up.ready_in = started.elapsed();
        let text = std::fs::read_to_string(up.path("agent.env")).unwrap();
        up.env = text
            .lines()
            .map(|line| line.strip_prefix("export ").unwrap().split_once('=').unwrap())
            .map(|(name, value)| (name.to_owned(), value.trim_matches('\'').to_owned()))
            .collect();
        up
    }

    /// The first line that it prints says that everything is up.
    fn await_ready(&mut self) {
        use std::io::{BufRead, BufReader};
        let mut lines = BufReader::new(self.process.stdout.take().unwrap());
        let mut line = String::new();
        lines.read_line(&mut line).unwrap();
        assert!(line.starts_with("sallyport is up: https://127.0.0.1:"), "{line:?}");
        while !line.ends_with("Stop with Ctrl-C.\n") {
            assert!(lines.read_line(&mut line).unwrap() > 0, "{line}");
        }
        self.said = line;
        std::thread::spawn(move || std::io::copy(&mut lines, &mut std::io::sink())); // A full pipe would stop it.
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join("state").join(name)
    }

    /// The development user's password, as the first start wrote it.
    pub fn password(&self) -> String {
        let text = std::fs::read_to_string(self.path("token-service.yaml")).unwrap();
        let line = text.lines().find(|line| line.contains("password:")).unwrap();
        line.split('"').nth(1).unwrap().to_owned()
    }

    /// What another command says of the same folder; it has to succeed.
    pub fn sallyport(&self, arguments: &[&str]) -> String {
        let mut command = Command::new(program("sallyport"));
        let output = command.args(arguments).arg("--dir").arg(self.path("")).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// Another token of the user's for the agent, with these scopes.
    pub fn token(&self, scopes: &str) -> String {
        self.sallyport(&["token", "--scope", scopes])
    }

    /// An agent with an SVID that is a folder's.
    pub fn agent(&self, svid: &Path, token: &str) -> Agent {
        certs::install_crypto();
        let read = |name: &str| std::fs::read_to_string(svid.join(name)).unwrap();
        let pem = (read("cert.pem"), read("key.pem"));
        let url = &self.env["SALLYPORT_URL"];
        Agent::from_pem(url, &read("bundle.pem"), Some((&pem.0, &pem.1)), &[b"http/1.1"]).with_token(token)
    }

    /// A client program with the agent's environment, its lines of JSON and its exit code.
    pub fn client(&self, program: &Path, arguments: &[&str]) -> Vec<Value> {
        client(&self.env, program, arguments)
    }

    /// Any program with the agent's environment.
    pub fn run(&self, program: &Path, arguments: &[&str]) -> Output {
        run(&self.env, program, arguments)
    }

    /// The audit records of one method.
    pub fn records(&self, method: &str) -> Vec<Value> {
        let text = std::fs::read_to_string(self.path("audit.jsonl")).unwrap();
        let all = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        all.filter(|record| record["method"] == method).collect()
    }

    /// Requests that a server has written down.
    pub fn heard_at(&self, server: &str) -> usize {
        let log = std::fs::read_to_string(self.path(&format!("mcp-{server}.log"))).unwrap();
        log.lines().filter(|line| line.contains("tools/call")).count()
    }

    /// What the S3 server has written of calls of a tool.
    pub fn heard(&self, tool: &str) -> usize {
        let log = std::fs::read_to_string(self.path("mcp-s3.log")).unwrap();
        log.lines().filter(|line| line.contains("tools/call") && line.contains(tool)).count()
    }

    /// SIGTERM, and how it ended.
    pub fn terminate(mut self) -> std::process::ExitStatus {
        terminate(&self.process);
        self.process.wait().unwrap()
    }
}

impl Drop for Sallyport {
    fn drop(&mut self) {
        if let Ok(None) = self.process.try_wait() {
            terminate(&self.process);
            let _ = self.process.wait();
        }
    }
}

/// What a client program says in JSON.
pub fn client(env: &HashMap<String, String>, program: &Path, arguments: &[&str]) -> Vec<Value> {
    let output = run(env, program, arguments);
    let text = String::from_utf8_lossy(&output.stdout);
    let lines: Vec<Value> = text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    assert!(!lines.is_empty(), "{output:?}");
    lines
}

fn run(env: &HashMap<String, String>, program: &Path, arguments: &[&str]) -> Output {
    Command::new(program).args(arguments).envs(env).current_dir(root()).output().unwrap()
}

/// SIGTERM.
pub fn terminate(process: &Child) {
    let id = rustix::process::Pid::from_raw(i32::try_from(process.id()).unwrap()).unwrap();
    rustix::process::kill_process(id, rustix::process::Signal::TERM).unwrap();
}
