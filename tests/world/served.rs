//! One of our MCP servers as a process of its own, behind the gateway of a world.

use crate::{Plan, World, policies};
use certs::files::Paths;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// A server's program, and the flags that are its own.
#[derive(Clone)]
pub struct Served {
    /// Its name at the gateway, and behind `mcp/` in its SPIFFE ID.
    pub name: &'static str,
    pub program: PathBuf,
    /// What a person's token may open there: `<name>:<scope>`.
    pub scopes: &'static [&'static str],
    /// `ISSUER` in them is the token service's.
    pub flags: Vec<String>,
    /// Flags that name a file, and what stands in it.
    pub files: Vec<(&'static str, String)>,
}

/// The running server; it ends with the world.
pub struct Server {
    process: Child,
    pub name: &'static str,
    pub address: SocketAddr,
}

/// What a person's token opens at `s3`, in every world.
pub const S3_SCOPES: &[&str] =
    &["protocol", "resources", "list_objects", "get_object", "head_object", "put_object", "delete_object"];

/// A world whose clerk may do everything below `public/` of one bucket.
pub async fn s3(program: &Path, url: &str, bucket: &str, access_key: &str, secret_key: &str) -> World {
    let below_public = "package tools.s3

visible := true

allow if startswith(input.call.arguments.key, \"public/\")

allow if startswith(input.call.arguments.prefix, \"public/\")
";
    let flags = ["--store", "s3", "--allow-http", "--endpoint", url, "--buckets", bucket];
    let served = Served {
        name: "s3",
        program: program.into(),
        scopes: S3_SCOPES,
        flags: flags.map(ToOwned::to_owned).to_vec(),
        files: vec![("access-key-file", access_key.into()), ("secret-key-file", secret_key.into())],
    };
    let policy = vec![("protocol.rego", policies::protocol()), ("tools/s3.rego", below_public.to_owned())];
    World::with(Plan { policy, served: Some(served), ..Plan::default() }).await
}

impl Server {
    /// Starts it and reads where it listens.
    pub fn start(served: &Served, dir: &Path, svid: &Paths, domain: &str, issuer: &str) -> Self {
        let mut command = Command::new(&served.program);
        for (flag, text) in &served.files {
            let path = dir.join(flag);
            certs::files::write(&path, text.as_bytes(), 0o600).unwrap();
            command.arg(format!("--{flag}")).arg(path);
        }
        let mut process = command
            .args(served.flags.iter().map(|flag| flag.replace("ISSUER", issuer)))
            .args(["--listen", "127.0.0.1:0"])
            .arg("--certificate")
            .arg(&svid.certificate)
            .arg("--private-key")
            .arg(&svid.private_key)
            .arg("--trust-bundle")
            .arg(&svid.trust_bundle)
            .arg("--jwks")
            .arg(dir.join("credentials.jwks.json"))
            .args([
                "--issuer",
                issuer,
                "--gateway",
                &format!("spiffe://{domain}/gateway"),
                "--audience",
                &format!("spiffe://{domain}/mcp/{}", served.name),
            ])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line
            .trim()
            .strip_prefix("listening on https://")
            .unwrap_or_else(|| panic!("{line:?}"))
            .parse()
            .unwrap();
        Self { process, name: served.name, address }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
