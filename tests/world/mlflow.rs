//! A real MLflow over an empty folder, and its official Python client.

use crate::components::{installed, root};
use serde_json::Value;
use std::fs::File;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How long it may take to come up: it makes its tables first.
const PATIENCE: Duration = Duration::from_secs(120);

/// The server. It starts others of its own, so that it is ended as a group, with the value.
pub struct Mlflow {
    child: Child,
    address: SocketAddr,
    dir: TempDir,
}

impl Mlflow {
    /// None where it isn't installed, which is said.
    pub fn start() -> Option<Self> {
        let program = installed("mlflow", "mlflow")?;
        let dir = tempfile::tempdir().unwrap();
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let log = File::create(dir.path().join("log")).unwrap();
        let child = Command::new(program)
            .args(["server", "--host", "127.0.0.1", "--workers", "1", "--port", &address.port().to_string()])
            .arg("--backend-store-uri")
            .arg(format!("sqlite:///{}", dir.path().join("mlflow.db").display()))
            .arg("--artifacts-destination")
            .arg(dir.path().join("artifacts"))
            .env("MLFLOW_DISABLE_TELEMETRY", "true")
            .env("MLFLOW_SERVER_ENABLE_JOB_EXECUTION", "false")
            .current_dir(dir.path())
            .process_group(0)
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut mlflow = Self { child, address, dir };
        let deadline = Instant::now() + PATIENCE;
        while TcpStream::connect(address).is_err() {
            let ended = mlflow.child.try_wait().unwrap();
            assert!(ended.is_none() && Instant::now() < deadline, "it did not come up: {}", mlflow.log());
            std::thread::sleep(Duration::from_millis(50)); // Nothing says when it is up.
        }
        Some(mlflow)
    }

    /// Where it is.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What it wrote down: a line for each request, among others.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("log")).unwrap()
    }

    /// What the official client says.
    pub fn client(&self, words: &[&str]) -> Value {
        let python = installed("mlflow", "mlflow").unwrap().canonicalize().unwrap().with_file_name("python");
        let output = Command::new(python)
            .arg(root().join("tests/clients/mlflow/client.py"))
            .arg(self.url())
            .args(words)
            .env("MLFLOW_DISABLE_TELEMETRY", "true")
            .current_dir(self.dir.path())
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let said = String::from_utf8_lossy(&output.stdout);
        serde_json::from_str(said.lines().last().unwrap()).unwrap_or_else(|_| panic!("{said}"))
    }
}

impl Drop for Mlflow {
    fn drop(&mut self) {
        let group = i32::try_from(self.child.id()).ok().and_then(rustix::process::Pid::from_raw);
        if let Some(group) = group {
            let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        }
        let _ = self.child.wait();
    }
}
