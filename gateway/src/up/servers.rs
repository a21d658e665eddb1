//! The MCP servers that `sallyport up` starts, as `servers.yaml` in its folder lists them: a program, its flags, and the
//! systems that it is before.

use super::children::{Child, ChildError};
use super::state::{Dir, Workload};
use super::{UpError, starter};
use crate::config;
use crate::https;
use certs::development::Domain;
use http::Method;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::net::TcpStream;
use url::{Position, Url};

/// The list in the state folder.
pub const FILE: &str = "servers.yaml";
/// How long it is tried whether a system answers.
const ANSWERS: Duration = Duration::from_secs(2);
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
    /// Where the systems that it is before say that they are well.
    pub before: Vec<Url>,
    /// Who its system is in a token, if that takes ours.
    pub downstream: Option<String>,
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
    /// What is where each of its systems should be.
    pub found: Vec<Found>,
}

/// What is where a system should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// It says that it is well.
    Well,
    /// Something that speaks TLS, as far as can be told: who it is, is for its server to find out.
    Listens,
    /// Something that says otherwise.
    Unwell,
    /// Nothing.
    Nothing,
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

    /// What it is before.
    fn told(&self, found: &[Found]) -> String {
        if self.before.is_empty() {
            let alone = || format!("ready: {}", self.args.join(" "));
            return self.needs.as_ref().map_or_else(alone, |file| format!("ready, with {}", file.display()));
        }
        let all = self.before.iter().zip(found).map(|(url, found)| {
            let origin = &url[..Position::BeforePath];
            match found {
                Found::Well => format!("before {origin}"),
                Found::Listens => format!("before what listens at {origin}"),
                Found::Unwell => format!("NOT WELL, or something else: {url} doesn't answer as it should"),
                Found::Nothing => format!("NOTHING LISTENS at {origin}: start it there, or change {FILE}"),
            }
        });
        all.collect::<Vec<_>>().join("; ")
    }

    async fn found(&self) -> Vec<Found> {
        futures_util::future::join_all(self.before.iter().map(found)).await
    }
}

async fn found(url: &Url) -> Found {
    let (Some(host), Some(port)) = (url.host_str(), url.port_or_known_default()) else {
        return Found::Nothing;
    };
    let connect = TcpStream::connect((host.trim_matches(['[', ']']), port));
    let Ok(Ok(tcp)) = tokio::time::timeout(ANSWERS, connect).await else { return Found::Nothing };
    if url.scheme() != "http" {
        return Found::Listens;
    }
    let asked = https::head_of(tcp, https::request(Method::GET, url, None));
    let answer = tokio::time::timeout(ANSWERS, asked).await;
    let well = answer.is_ok_and(|head| head.is_ok_and(|head| head.status.is_success()));
    if well { Found::Well } else { Found::Unwell }
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
    /// Starts all of a list whose program is here. `origin` is the token service's.
    ///
    /// # Errors
    /// [`ChildError`]; those that were started by then are ended.
    pub async fn start(
        list: Vec<Started>,
        dir: &Dir,
        domain: &Domain,
        origin: &str,
    ) -> Result<Self, ChildError> {
        let mut servers = Self::default();
        for started in list {
            match started.ready() {
                Ok(program) => {
                    let child = Child::start(&program, &started, dir, domain, origin).await?;
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
            let what = started.told(found);
            format!("/mcp/{:<12} {what}", started.name)
        });
        let missing =
            self.missing.iter().map(|(started, why)| format!("/mcp/{:<12} NOT STARTED: {why}", started.name));
        running.chain(missing).collect()
    }
}
