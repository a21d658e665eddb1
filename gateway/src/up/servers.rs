//! The MCP servers that `sallyport up` starts, as `servers.yaml` in its folder lists them: a program, its flags, and the
//! systems that it is before.

use super::children::{Child, ChildError};
use super::state::{Dir, Workload};
use super::{UpError, starter};
use crate::config;
use certs::development::Domain;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::net::TcpStream;
use url::Url;

/// The list in the state folder.
pub const FILE: &str = "servers.yaml";
/// How long it is tried whether a system listens.
const LISTENS: Duration = Duration::from_secs(2);
/// What every server has beside its tools.
const BESIDE_TOOLS: [&str; 3] = ["protocol", "resources", "prompts"];

/// A server of the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Started {
    /// Its name at the gateway, and behind `mcp/` in its SPIFFE ID.
    pub name: String,
    /// Its program.
    pub program: PathBuf,
    /// Its own flags.
    pub args: Vec<String>,
    /// The systems that it is before.
    pub before: Vec<Url>,
    /// A file without which it can't start.
    pub needs: Option<PathBuf>,
    /// What a person's scope opens: its tools.
    pub scopes: BTreeMap<String, BTreeSet<String>>,
}

/// One that runs.
#[derive(Debug)]
pub struct Running {
    /// As it was listed.
    pub started: Started,
    /// The process.
    pub child: Child,
    /// Whether something listens where each of its systems should be.
    pub found: Vec<bool>,
}

/// What there is of the list.
#[derive(Debug, Default)]
pub struct Servers {
    /// Those that run.
    pub running: Vec<Running>,
    /// Those that are not started, and why.
    pub missing: Vec<(Started, String)>,
}

impl Started {
    /// Who it is.
    pub fn workload(&self) -> Workload {
        Workload::Mcp(self.name.clone())
    }

    /// Its program, beside this one or on the PATH; none if it is at neither place.
    fn program(&self) -> Option<PathBuf> {
        if self.program.components().count() > 1 {
            return std::path::absolute(&self.program).ok().filter(|path| is_program(path));
        }
        let beside = std::env::current_exe().ok().and_then(|me| Some(me.parent()?.to_path_buf()));
        let path = std::env::var_os("PATH").unwrap_or_default();
        let folders = beside.into_iter().chain(std::env::split_paths(&path));
        let found = folders.map(|folder| folder.join(&self.program)).find(|path| is_program(path));
        found.and_then(|path| std::path::absolute(path).ok()) // It runs in another folder.
    }

    /// Its program, or what it lacks.
    fn ready(&self) -> Result<PathBuf, String> {
        let Some(program) = self.program() else {
            return Err(format!("{} is neither beside sallyport nor on the PATH", self.program.display()));
        };
        match &self.needs {
            Some(file) if !file.exists() => {
                Err(format!("{} is not there; {FILE} and docs/up.md say what it is", file.display()))
            }
            _ => Ok(program),
        }
    }

    /// What it is before, and where there should be something and nothing is.
    fn told(&self, found: &[bool]) -> String {
        let places = |wanted: bool| {
            let all = self.before.iter().zip(found).filter(|(_, found)| **found == wanted);
            let all: Vec<_> = all.map(|(url, _)| url.as_str().trim_end_matches('/')).collect();
            (!all.is_empty()).then(|| all.join(" and "))
        };
        let there = places(true).map(|all| format!("before {all}"));
        let missing =
            places(false).map(|all| format!("NOTHING LISTENS at {all}: start it there, or change {FILE}"));
        there.into_iter().chain(missing).collect::<Vec<_>>().join("; ")
    }

    async fn found(&self) -> Vec<bool> {
        futures_util::future::join_all(self.before.iter().map(listens)).await
    }
}

async fn listens(url: &Url) -> bool {
    let (Some(host), Some(port)) = (url.host_str(), url.port_or_known_default()) else { return false };
    let connect = TcpStream::connect((host.trim_matches(['[', ']']), port));
    tokio::time::timeout(LISTENS, connect).await.is_ok_and(|tcp| tcp.is_ok())
}

/// Reads the list; the first time, writes the usual one.
///
/// # Errors
/// [`UpError`].
pub fn listed(dir: &Dir) -> Result<Vec<Started>, UpError> {
    let model = starter::model().display().to_string();
    for (name, text) in [(FILE, starter::SERVERS), ("backends.yaml", starter::BACKENDS)] {
        dir.write_once(name, text.replace("{model}", &model).as_bytes())?;
    }
    config::load_servers(&dir.path(FILE)).map_err(UpError::Config)
}

/// What the scopes of a person open at the servers of a list: tools, and what every server has beside them.
pub fn grants(list: &[Started]) -> BTreeMap<String, BTreeSet<String>> {
    let mut grants: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for started in list {
        for (scope, tools) in &started.scopes {
            let all = tools.iter().map(String::as_str).chain(BESIDE_TOOLS);
            let all = all.map(|tool| format!("{}:{tool}", started.name));
            grants.entry(scope.clone()).or_default().extend(all);
        }
    }
    grants
}

fn is_program(path: &Path) -> bool {
    path.metadata().is_ok_and(|what| what.is_file() && what.permissions().mode() & 0o111 != 0)
}

impl Servers {
    /// Starts all of a list whose program is here.
    ///
    /// # Errors
    /// [`ChildError`]; those that were started by then are ended.
    pub async fn start(
        list: Vec<Started>,
        dir: &Dir,
        domain: &Domain,
        issuer: &str,
    ) -> Result<Self, ChildError> {
        let mut servers = Self::default();
        for started in list {
            match started.ready() {
                Ok(program) => {
                    let child = Child::start(&program, &started, dir, domain, issuer).await?;
                    let found = started.found().await;
                    servers.running.push(Running { started, child, found });
                }
                Err(why) => servers.missing.push((started, why)),
            }
        }
        Ok(servers)
    }

    /// Name and address of each that runs.
    pub fn addresses(&self) -> Vec<(String, SocketAddr)> {
        self.running.iter().map(|one| (one.started.name.clone(), one.child.address())).collect()
    }

    /// Returns when one of them has ended by itself.
    pub async fn ended(&mut self) -> ChildError {
        let all = self.running.iter_mut().map(|one| Box::pin(one.child.ended()));
        let all: Vec<_> = all.collect();
        if all.is_empty() {
            return std::future::pending().await;
        }
        futures_util::future::select_all(all).await.0
    }

    /// Asks all of them to end, and ends those that don't.
    pub async fn stop(self) {
        futures_util::future::join_all(self.running.into_iter().map(|one| one.child.stop())).await;
    }

    /// A line for each server: where it is, and before what.
    pub fn told(&self) -> Vec<String> {
        let running = self.running.iter().map(|Running { started, found, .. }| {
            let what = match started.before.is_empty() {
                true => "ready".to_owned(),
                false => started.told(found),
            };
            format!("/mcp/{:<12} {what}", started.name)
        });
        let missing =
            self.missing.iter().map(|(started, why)| format!("/mcp/{:<12} NOT STARTED: {why}", started.name));
        running.chain(missing).collect()
    }
}
