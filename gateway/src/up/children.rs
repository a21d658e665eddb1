//! The servers that `sallyport up` starts as processes of their own.

use super::servers::Started;
use super::state::{Dir, Workload};
use crate::token_service::{self, listener};
use certs::IdentityError;
use certs::development::Domain;
use rustix::process::{Pid, Signal, kill_process};
use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child as Process, ChildStdin, Command};

/// A running server.
#[derive(Debug)]
pub struct Child {
    name: String,
    process: Process,
    _stdin: Option<ChildStdin>, // Held: waiting for the process would close it, and so end it.
    address: SocketAddr,
    log: PathBuf,
}

/// Why it doesn't run.
#[derive(Debug, thiserror::Error)]
pub enum ChildError {
    /// Its program can't be started.
    #[error("{program} can't be started")]
    Program {
        /// Which.
        program: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Its log file can't be written.
    #[error("{path} can't be written")]
    Log {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// It didn't say where it listens.
    #[error("the server {name} did not start; its log is {log}")]
    NotReady {
        /// Which.
        name: String,
        /// Its log.
        log: PathBuf,
    },
    /// It ended by itself.
    #[error("the server {name} has ended; its log is {log}")]
    Ended {
        /// Which.
        name: String,
        /// Its log.
        log: PathBuf,
    },
    /// Its SPIFFE ID can't be named.
    #[error("the server's SPIFFE ID can't be named")]
    Identity(#[from] IdentityError),
}

/// How long it may take to say where it listens.
const READY: Duration = Duration::from_secs(30);
/// How long it may take to end after SIGTERM.
const END: Duration = Duration::from_secs(5);

impl Child {
    /// Starts it and waits until it listens. `origin` is the token service's.
    ///
    /// # Errors
    /// [`ChildError`].
    pub async fn start(
        program: &Path,
        started: &Started,
        dir: &Dir,
        domain: &Domain,
        origin: &str,
    ) -> Result<Self, ChildError> {
        let name = started.name.clone();
        let log = dir.path(&format!("mcp-{name}.log"));
        let wrong = |source| ChildError::Log { path: log.clone(), source };
        let file = File::options().create(true).append(true).open(&log).map_err(wrong)?;
        let workload = started.workload();
        let svid = dir.svid(&workload);
        let mut command = Command::new(program);
        command
            .current_dir(dir.path(""))
            .args(["--listen", "127.0.0.1:0", "--allowed-hosts", "127.0.0.1", "--end-with-stdin"])
            .arg("--certificate")
            .arg(&svid.certificate)
            .arg("--private-key")
            .arg(&svid.private_key)
            .arg("--trust-bundle")
            .arg(&svid.trust_bundle)
            .arg("--jwks")
            .arg(dir.path("credentials.jwks.json"))
            .args(["--issuer", &token_service::issuer(origin)])
            .args(["--gateway", &domain.id(&Workload::Gateway.path())?.to_string()])
            .args(["--audience", &domain.id(&workload.path())?.to_string()])
            .args(&started.args);
        if let Some(system) = &started.downstream {
            let endpoint = format!("{origin}{}", listener::TOKEN);
            command
                .args(["--token-endpoint", &endpoint, "--downstream-audience", system])
                .args(["--token-server", &domain.id(&Workload::TokenService.path())?.to_string()]);
        }
        let mut process = command
            .stdin(Stdio::piped()) // It ends with its standard input, should this process be killed.
            .stdout(Stdio::piped())
            .stderr(file)
            .kill_on_drop(true)
            .process_group(0) // Ctrl-C reaches the parent alone, which stops its children in order.
            .spawn()
            .map_err(|source| ChildError::Program { program: program.to_path_buf(), source })?;
        match tokio::time::timeout(READY, listening(&mut process)).await {
            Ok(Some(address)) => Ok(Self { _stdin: process.stdin.take(), name, process, address, log }),
            _ => Err(ChildError::NotReady { name, log }),
        }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns when it has ended by itself.
    pub async fn ended(&mut self) -> ChildError {
        let _ = self.process.wait().await; // However it ended, it isn't there.
        ChildError::Ended { name: self.name.clone(), log: self.log.clone() }
    }

    /// Asks it to end, and ends it if it doesn't.
    pub async fn stop(mut self) {
        let id = self.process.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        if let Some(id) = id {
            let _ = kill_process(id, Signal::TERM); // It may have ended in between.
        }
        if tokio::time::timeout(END, self.process.wait()).await.is_err() {
            let _ = self.process.kill().await; // It may have ended in between.
        }
    }
}

async fn listening(process: &mut Process) -> Option<SocketAddr> {
    let mut lines = BufReader::new(process.stdout.take()?).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        if let Some(address) = line.strip_prefix("listening on https://") {
            tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} }); // A full pipe would stop it.
            return address.trim().parse().ok();
        }
    }
    None
}
