//! Agents and clients of the official A2A SDKs, as programs.

use crate::components::{missing, root};
use certs::files::Paths;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use tokens::SigningKey;

/// Which SDK.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sdk {
    Python,
    JavaScript,
}

/// How an agent is started.
#[derive(Clone, Debug)]
pub struct Start {
    pub sdk: Sdk,
    /// What stands behind the certificate's flags.
    pub arguments: Vec<String>,
}

/// An agent that serves. It ends with this.
pub struct Peer {
    process: Child,
    /// Its URL for JSON-RPC and for HTTP+JSON.
    pub places: (String, String),
    pub url: String,
}

impl Sdk {
    pub const ALL: [Self; 2] = [Self::Python, Self::JavaScript];

    /// Whether both programs can be run; else it is said why not.
    pub fn all_here() -> bool {
        let here = Self::ALL.iter().all(|sdk| sdk.is_here());
        if !here {
            missing("the official A2A SDKs", "scripts/setup peers");
        }
        here
    }

    fn is_here(self) -> bool {
        match self {
            Self::Python => self.interpreter().exists(),
            Self::JavaScript => root().join("tests/peers/node/node_modules/@a2a-js/sdk").exists(),
        }
    }

    fn interpreter(self) -> PathBuf {
        let cache = std::env::var_os("SALLYPORT_CACHE").map(PathBuf::from).unwrap_or_else(|| {
            PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(".cache/sallyport")
        });
        match self {
            Self::Python => cache.join("peers/bin/python"),
            Self::JavaScript => "node".into(),
        }
    }

    fn command(self, program: &str) -> Command {
        let mut command = Command::new(self.interpreter());
        let script = match self {
            Self::Python => format!("tests/peers/python/{program}.py"),
            Self::JavaScript => format!("tests/peers/node/{program}.mjs"),
        };
        command.arg(root().join(script));
        command
    }

    /// One call of the SDK's client, as JSON lines.
    pub fn client(self, svid: &Paths, arguments: &[&str]) -> Vec<Value> {
        let output = self
            .command("a2a_client")
            .arg("--cert")
            .arg(&svid.certificate)
            .arg("--key")
            .arg(&svid.private_key)
            .arg("--ca")
            .arg(&svid.trust_bundle)
            .args(arguments)
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert!(!lines.is_empty(), "{self:?}: {}", String::from_utf8_lossy(&output.stderr));
        lines
    }
}

impl Start {
    /// Runs it with an SVID of the agent, and waits until it serves.
    pub fn run(&self, svid: &Paths) -> Peer {
        let mut process = self
            .sdk
            .command("a2a_agent")
            .arg("--cert")
            .arg(&svid.certificate)
            .arg("--key")
            .arg(&svid.private_key)
            .arg("--client-ca")
            .arg(&svid.trust_bundle)
            .arg("--until-stdin-closes")
            .args(&self.arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let ready: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}"));
        let url = ready["url"].as_str().unwrap().to_owned();
        Peer { process, places: (format!("{url}/rpc"), url.clone()), url }
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
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
