//! Agents and callers on the official A2A SDKs, each a process of its own. What they understand of a command line and
//! what they print is in tests/peers.

use crate::components::{a2a_node, a2a_python, root};
use crate::{DOMAIN, HOST, World};
use certs::development::paths_in;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use tokens::SigningKey;
use tokio::task::block_in_place;

/// An official SDK.
#[derive(Clone, Debug)]
pub struct Sdk {
    pub name: &'static str,
    program: PathBuf,
    agent: &'static str,
    client: &'static str,
    /// What an agent on it is told beside where it finds its certificate, and whose tokens it takes.
    pub arguments: Vec<String>,
}

impl Sdk {
    pub fn python() -> Option<Self> {
        let (agent, client) = ("tests/peers/python/a2a_agent.py", "tests/peers/python/a2a_client.py");
        Some(Self {
            name: "Python",
            program: a2a_python()?,
            agent,
            client,
            arguments: vec!["--legacy".into()],
        })
    }

    pub fn javascript() -> Option<Self> {
        let (agent, client) = ("tests/peers/node/a2a_agent.mjs", "tests/peers/node/a2a_client.mjs");
        Some(Self {
            name: "JavaScript",
            program: a2a_node()?,
            agent,
            client,
            arguments: vec!["--legacy".into()],
        })
    }

    /// Both; none unless both are installed.
    pub fn all() -> Option<[Self; 2]> {
        Some([Self::python()?, Self::javascript()?])
    }

    fn command(&self, script: &str) -> Command {
        let mut command = Command::new(&self.program);
        command.env("NODE_NO_WARNINGS", "1");
        command.arg(script).current_dir(root()).stdin(Stdio::piped()).stdout(Stdio::piped());
        command
    }
}

/// How an SDK is told to speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tongue {
    /// `jsonrpc`, `rest` or `grpc`.
    pub binding: &'static str,
    /// `1.0` or `0.3`.
    pub version: &'static str,
}

impl Tongue {
    pub const ALL: [Self; 5] = [
        Self { binding: "jsonrpc", version: "1.0" },
        Self { binding: "rest", version: "1.0" },
        Self { binding: "grpc", version: "1.0" },
        Self { binding: "jsonrpc", version: "0.3" },
        Self { binding: "rest", version: "0.3" },
    ];
}

/// An agent: it wants the gateway's certificate, and a token for itself from the world's token service.
pub struct Peer {
    child: Child,
    /// Where it speaks JSON-RPC, HTTP+JSON and gRPC.
    pub interfaces: [String; 3],
    record: PathBuf,
    lines: BufReader<ChildStdout>,
}

impl Peer {
    /// Starts it with what the world has written for `agent/trainer`.
    pub(crate) fn start(sdk: &Sdk, dir: &Path) -> Self {
        let record = dir.join("peer.jsonl");
        let svid = paths_in(&dir.join("agent-trainer"));
        let mut child = sdk
            .command(sdk.agent)
            .args(&sdk.arguments)
            .args(["--grpc", "--until-stdin-closes", "--audience"])
            .arg(format!("spiffe://{DOMAIN}/agent/trainer"))
            .arg("--jwks")
            .arg(dir.join("credentials.jwks.json"))
            .arg("--cert")
            .arg(svid.certificate)
            .arg("--key")
            .arg(svid.private_key)
            .arg("--client-ca")
            .arg(svid.trust_bundle)
            .arg("--record")
            .arg(&record)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        let ready = line(&mut lines);
        let (url, grpc) = (ready["url"].as_str().unwrap(), ready["grpc"].as_str().unwrap());
        let interfaces = [format!("{url}/rpc"), url.to_owned(), format!("https://{grpc}")];
        Self { child, interfaces, record, lines }
    }

    /// Waits until somebody hangs up before the end of an answer; the path of the request.
    pub fn sees_a_caller_go(&mut self) -> String {
        line(&mut self.lines)["gone"].as_str().unwrap().to_owned()
    }

    /// The calls that it got, those included that it refused; the gateway's looks at its card are none.
    pub fn received(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(&self.record).unwrap_or_default();
        let all = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        all.filter(|call| !call["path"].as_str().is_some_and(|path| path.contains("/.well-known/"))).collect()
    }

    /// Ends it in the middle of whatever it does.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The next line that a program prints.
fn line(lines: &mut BufReader<ChildStdout>) -> Value {
    let mut line = String::new();
    block_in_place(|| lines.read_line(&mut line).unwrap()); // The gateway answers in this process.
    serde_json::from_str(&line).unwrap_or_else(|e| panic!("{e}: {line:?}"))
}

/// A caller: one process, and one call after another.
pub struct Client {
    child: Child,
    input: Option<ChildStdin>,
    lines: BufReader<ChildStdout>,
}

/// What it heard of one call.
#[derive(Debug)]
pub struct Heard {
    /// Whether it was answered.
    pub ok: bool,
    /// Each event's line; of a refusal the last one is the SDK's error.
    pub events: Vec<Value>,
}

impl World {
    /// A workload that acts for a person, at the trainer, on an SDK.
    pub fn client(&self, sdk: &Sdk, tongue: Tongue, workload: &str, person: &'static str) -> Client {
        let token = self.token_with(workload, |claims| claims.subject = person);
        Client::start(self, sdk, tongue, workload, Some(&token))
    }

    /// What an SDK's client makes of one command of its command line, as the clerk; `card` and its like, which a session has not.
    pub fn once(&self, sdk: &Sdk, arguments: &[&str]) -> Value {
        let mut command = sdk.command(sdk.client);
        presenting(&mut command, &self.path("agent-clerk"), None).args(arguments);
        let output = block_in_place(|| command.output().unwrap());
        let text = String::from_utf8(output.stdout).unwrap();
        let line =
            text.lines().next().unwrap_or_else(|| panic!("{}", String::from_utf8_lossy(&output.stderr)));
        serde_json::from_str(line).unwrap()
    }

    /// What google-adk's RemoteA2aAgent makes of some turns, with the agent's card in a file. Python's SDK is beside it.
    pub fn adk(&self, python: &Sdk, card: &Path, workload: &str, turns: &[&str]) -> Vec<Value> {
        self.agent(workload);
        let svid = self.path(&workload.replace('/', "-"));
        let mut command = python.command("tests/peers/python/adk_client.py");
        presenting(&mut command, &svid, Some(&self.token(workload))).arg("--card").arg(card).args(turns);
        let output = block_in_place(|| command.output().unwrap());
        let text = String::from_utf8(output.stdout).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

impl Sdk {
    /// What PyJWT makes of a push notification: the text of a program's answer, with what it is asked as JSON.
    pub fn verifies(&self, came: &Value) -> Value {
        let mut child = self.command("tests/peers/python/verify_push.py").spawn().unwrap();
        write!(child.stdin.take().unwrap(), "{came}").unwrap();
        let output = block_in_place(|| child.wait_with_output().unwrap());
        serde_json::from_slice(&output.stdout).unwrap()
    }
}

/// What every program takes: the workload's certificate, and the person's token.
fn presenting<'a>(command: &'a mut Command, svid: &Path, token: Option<&str>) -> &'a mut Command {
    for (flag, file) in [("--ca", "bundle.pem"), ("--cert", "cert.pem"), ("--key", "key.pem")] {
        command.arg(flag).arg(svid.join(file));
    }
    command.args(token.into_iter().flat_map(|token| ["--token", token]))
}

impl Client {
    /// Starts one with any token, or none.
    pub fn start(world: &World, sdk: &Sdk, tongue: Tongue, workload: &str, token: Option<&str>) -> Self {
        let tenant = if tongue.binding == "grpc" { "trainer" } else { "" }; // There no path can name the agent.
        Self::told(world, sdk, &["--tenant", tenant], tongue, workload, token)
    }

    /// Starts one that names the trainer by its host, over gRPC: that is what it asks for, and finds in the certificate.
    pub fn at_the_host(world: &World, sdk: &Sdk, workload: &str, tenant: &str) -> Self {
        let (how, token) = (["--authority", HOST, "--tenant", tenant], world.token(workload));
        Self::told(world, sdk, &how, Tongue { binding: "grpc", version: "1.0" }, workload, Some(&token))
    }

    fn told(
        world: &World,
        sdk: &Sdk,
        how: &[&str],
        tongue: Tongue,
        workload: &str,
        token: Option<&str>,
    ) -> Self {
        world.agent(workload); // Its SVID is written.
        let svid = world.path(&workload.replace('/', "-"));
        let mut command = sdk.command(sdk.client);
        command.args(how).args([
            "--direct",
            "--binding",
            tongue.binding,
            "--version",
            tongue.version,
            "--url",
        ]);
        command.arg(format!("{}/a2a/trainer", world.url));
        let mut child = presenting(&mut command, &svid, token).arg("session").spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap());
        Self { input: child.stdin.take(), lines, child }
    }

    /// Makes a call and hears all of its answer.
    pub fn does(&mut self, words: &[&str]) -> Heard {
        self.begins(words);
        self.hears_to_the_end()
    }

    /// All that is still to come of a call's answer.
    pub fn hears_to_the_end(&mut self) -> Heard {
        let mut events = Vec::new();
        loop {
            let line = self.hears();
            if line["event"] == "end" {
                return Heard { ok: line["ok"].as_bool().unwrap(), events };
            }
            events.push(line);
        }
    }

    /// Makes a call and hears nothing yet.
    pub fn begins(&mut self, words: &[&str]) {
        writeln!(self.input.as_mut().unwrap(), "{}", Value::from(words)).unwrap();
    }

    /// The next event of a call.
    pub fn hears(&mut self) -> Value {
        line(&mut self.lines)
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.input = None; // That ends it.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Heard {
    /// The task that the last event shows or tells of.
    pub fn task(&self) -> String {
        let value = &self.events.last().unwrap_or_else(|| panic!("nothing: {self:?}"))["value"];
        let id = value["taskId"].as_str().or(value["id"].as_str());
        id.unwrap_or_else(|| panic!("no task: {self:?}")).to_owned()
    }

    /// The SDK's error.
    pub fn error(&self) -> &Value {
        let last = self.events.last().unwrap_or_else(|| panic!("nothing: {self:?}"));
        assert_eq!((self.ok, &last["event"]), (false, &Value::from("error")), "{self:?}");
        last
    }
}

/// A key as the SDKs read it: a private JWK in a file, and the JWK set that verifies what it signs.
pub fn signing_jwk(key: &SigningKey, folder: &Path) -> (PathBuf, PathBuf) {
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let set = SigningKey::jwks([key]);
    let mut jwk = set["keys"][0].clone();
    let der = key.to_pkcs8();
    // RFC 5915: version 1, then the private key as 32 octets.
    let begins = [0x02, 0x01, 0x01, 0x04, 0x20];
    let at = der.windows(begins.len()).position(|window| window == begins).unwrap() + begins.len();
    jwk["d"] = URL_SAFE_NO_PAD.encode(&der[at..at + 32]).into();
    jwk["alg"] = json!("ES256");
    let (private, public) = (folder.join("signing.jwk"), folder.join("signing.jwks.json"));
    std::fs::write(&private, jwk.to_string()).unwrap();
    std::fs::write(&public, set.to_string()).unwrap();
    (private, public)
}
