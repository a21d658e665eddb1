//! A real SPIRE: server and agent, over the world's own authority, so that what it issues and what the development trust
//! domain issues lead to one bundle.

use crate::svid_agent::SvidAgent;
use crate::{DOMAIN, World, components};
use std::collections::BTreeMap;
use std::fs::File;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

pub struct Spire {
    folder: PathBuf,
    programs: Programs,
    server: Child,
    agent: Option<Child>,
    /// Its entries, by the path of the SPIFFE ID: the program, and what SPIRE calls it while it is there.
    entries: BTreeMap<String, (PathBuf, Option<String>)>,
}

/// Where SPIRE is installed.
#[derive(Clone)]
pub struct Programs {
    pub server: PathBuf,
    pub agent: PathBuf,
}

impl Programs {
    /// None, said loudly: it isn't installed.
    pub fn installed() -> Option<Self> {
        Some(Self {
            server: components::installed("spire-server", "spire")?,
            agent: components::installed("spire-agent", "spire")?,
        })
    }
}

impl Spire {
    /// Starts both, with the authority in `ca`, and SVIDs that live for `ttl`.
    fn started(
        programs: &Programs,
        folder: &Path,
        ca: &Path,
        ttl: Duration,
        workloads: &[(&str, PathBuf)],
    ) -> Self {
        let folder = folder.to_path_buf();
        std::fs::create_dir_all(folder.join("keys")).unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let (at, ttl) = (folder.display(), ttl.as_secs());
        let server = format!(
            "server {{
  bind_address = \"127.0.0.1\"
  bind_port = \"{port}\"
  socket_path = \"{at}/server.sock\"
  trust_domain = \"{DOMAIN}\"
  data_dir = \"{at}/server\"
  log_level = \"WARN\"
  ca_ttl = \"24h\"
  default_x509_svid_ttl = \"{ttl}s\"
}}
plugins {{
  DataStore \"sql\" {{ plugin_data {{ database_type = \"sqlite3\" connection_string = \"{at}/server.db\" }} }}
  NodeAttestor \"join_token\" {{ plugin_data {{}} }}
  KeyManager \"memory\" {{ plugin_data {{}} }}
  UpstreamAuthority \"disk\" {{ plugin_data {{ cert_file_path = \"{ca}/ca.pem\" key_file_path = \"{ca}/ca.key\" }} }}
}}
",
            ca = ca.display()
        );
        let agent = format!(
            "agent {{
  data_dir = \"{at}/agent\"
  log_level = \"WARN\"
  server_address = \"127.0.0.1\"
  server_port = \"{port}\"
  socket_path = \"{at}/agent.sock\"
  trust_domain = \"{DOMAIN}\"
  insecure_bootstrap = true
}}
plugins {{
  NodeAttestor \"join_token\" {{ plugin_data {{}} }}
  KeyManager \"disk\" {{ plugin_data {{ directory = \"{at}/keys\" }} }}
  WorkloadAttestor \"unix\" {{ plugin_data {{ discover_workload_path = true }} }}
}}
"
        );
        std::fs::write(folder.join("server.conf"), server).unwrap();
        std::fs::write(folder.join("agent.conf"), agent).unwrap();
        let server = started(&programs.server, &folder.join("server.conf"), None, &folder.join("server.log"));
        let mut spire =
            Self { programs: programs.clone(), server, agent: None, folder, entries: BTreeMap::new() };
        spire.until_healthy(&spire.programs.server, "server.sock");
        let node = format!("spiffe://{DOMAIN}/node");
        let said = spire.ask(&["token", "generate", "-spiffeID", &node]);
        let token = said.split_whitespace().last().unwrap().to_owned();
        for (path, program) in workloads {
            spire.entries.insert((*path).to_owned(), (program.clone(), None));
            spire.learns(path);
        }
        spire.agent_comes(Some(&token));
        spire
    }

    fn learns(&mut self, path: &str) {
        let (program, _) = &self.entries[path];
        let said = self.ask(&[
            "entry",
            "create",
            "-parentID",
            &format!("spiffe://{DOMAIN}/node"),
            "-spiffeID",
            &format!("spiffe://{DOMAIN}/{path}"),
            "-selector",
            &format!("unix:path:{}", program.display()),
            "-dns",
            "localhost",
        ]);
        let id = said.lines().find_map(|line| line.strip_prefix("Entry ID")).unwrap();
        self.entries.get_mut(path).unwrap().1 = Some(id.trim_matches([' ', ':']).to_owned());
    }

    /// Hands the bundle (PEM) of another trust domain to a workload from now on, too, with all that it had handed it so far.
    pub fn federates(&self, path: &str, domains: &[(&str, &Path)]) {
        let id = format!("spiffe://{DOMAIN}/{path}");
        let (program, entry) = &self.entries[path];
        let node = format!("spiffe://{DOMAIN}/node");
        let selector = format!("unix:path:{}", program.display());
        let names: Vec<String> = domains.iter().map(|(name, _)| format!("spiffe://{name}")).collect();
        let entry = entry.as_deref().unwrap();
        let mut words = vec!["entry", "update", "-entryID", entry, "-parentID", &node, "-spiffeID", &id];
        words.extend(["-selector", &selector, "-dns", "localhost"]);
        for ((_, bundle), name) in domains.iter().zip(&names) {
            let bundle = bundle.display().to_string();
            self.ask(&["bundle", "set", "-id", name, "-format", "pem", "-path", &bundle]);
            words.extend(["-federatesWith", name]);
        }
        self.ask(&words);
    }

    /// Kills the agent.
    fn agent_goes(&mut self) {
        let mut agent = self.agent.take().unwrap();
        agent.kill().unwrap();
        agent.wait().unwrap();
    }

    /// Starts it; again, it proves itself by the keys that it has kept.
    fn agent_comes(&mut self, token: Option<&str>) {
        let (program, config) = (&self.programs.agent, self.folder.join("agent.conf"));
        self.agent = Some(started(program, &config, token, &self.folder.join("agent.log")));
        self.until_healthy(&self.programs.agent, "agent.sock");
    }

    fn ask(&self, words: &[&str]) -> String {
        let socket = self.folder.join("server.sock");
        let output =
            Command::new(&self.programs.server).args(words).arg("-socketPath").arg(socket).output().unwrap();
        assert!(output.status.success(), "{words:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    fn until_healthy(&self, program: &Path, socket: &str) {
        let healthy = || {
            let mut check = Command::new(program);
            check.arg("healthcheck").arg("-socketPath").arg(self.folder.join(socket));
            check.stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap().success()
        };
        for _ in 0..600 {
            if healthy() {
                return;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        let log = |name: &str| std::fs::read_to_string(self.folder.join(name)).unwrap_or_default();
        panic!("{socket} is not healthy:\n{}\n{}", log("server.log"), log("agent.log"));
    }
}

fn started(program: &Path, config: &Path, token: Option<&str>, log: &Path) -> Child {
    let log = File::options().create(true).append(true).open(log).unwrap();
    let mut command = Command::new(program);
    command.arg("run").arg("-config").arg(config);
    if let Some(token) = token {
        command.arg("-joinToken").arg(token);
    }
    command.stderr(log.try_clone().unwrap()).stdout(log).spawn().unwrap()
}

impl SvidAgent for Spire {
    const TTL: Duration = Duration::from_secs(60); // SPIRE gives none that are shorter.

    fn start(world: &World, workloads: &[(&str, PathBuf)]) -> Option<Self> {
        let (programs, ca) = (Programs::installed()?, world.path("ca"));
        Some(Self::started(&programs, &world.path("spire"), &ca, Self::TTL, workloads))
    }

    fn endpoint(&self) -> String {
        format!("unix:{}/agent.sock", self.folder.display())
    }

    async fn goes(&mut self) {
        self.agent_goes();
    }

    fn comes(&mut self) {
        self.agent_comes(None);
    }

    fn forgets(&mut self, path: &str) {
        let id = self.entries.get_mut(path).unwrap().1.take().unwrap();
        self.ask(&["entry", "delete", "-entryID", &id]);
    }

    fn knows(&mut self, path: &str) {
        self.learns(path);
    }
}

impl Drop for Spire {
    fn drop(&mut self) {
        for child in self.agent.iter_mut().chain([&mut self.server]) {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
