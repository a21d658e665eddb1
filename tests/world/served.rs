//! One of our MCP servers as a process of its own, behind the gateway of a world.

use crate::{Plan, World, policies};
use certs::files::Paths;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

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
pub const S3_SCOPES: &[&str] = &[
    "protocol",
    "resources",
    "prompts",
    "list_objects",
    "get_object",
    "head_object",
    "list_versions",
    "preview_text",
    "preview_table",
    "put_object",
    "copy_object",
    "delete_object",
    "start_upload",
    "upload_part",
    "complete_upload",
    "abort_upload",
];

/// A world whose clerk may do everything below `public/` of one bucket.
pub async fn s3(program: &Path, url: &str, bucket: &str, access_key: &str, secret_key: &str) -> World {
    let bucket = format!("s3://{bucket}");
    let flags = ["--store", &bucket, "--allow-http", "--endpoint", url];
    s3_with(
        program,
        &flags,
        &[("access-key-file", access_key), ("secret-key-file", secret_key)],
        BELOW_PUBLIC,
    )
    .await
}

/// Everything below `public/`, whatever a tool calls it.
pub const BELOW_PUBLIC: &str = "package tools.s3

visible := true

allow if startswith(input.call.arguments.key, \"public/\")

allow if startswith(input.call.arguments.prefix, \"public/\")

allow if {
	startswith(input.call.arguments.from_key, \"public/\")
	startswith(input.call.arguments.to_key, \"public/\")
}
";

/// The S3 server with flags of one's own, files for them, and a policy for its tools.
pub async fn s3_with(program: &Path, flags: &[&str], files: &[(&'static str, &str)], policy: &str) -> World {
    let mut files: Vec<_> = files.iter().map(|(flag, text)| (*flag, (*text).to_owned())).collect();
    files.push(("audit-file", String::new()));
    let served = Served {
        name: "s3",
        program: program.into(),
        scopes: S3_SCOPES,
        flags: flags.iter().map(|flag| (*flag).to_owned()).collect(),
        files,
    };
    let resources = "package resources.s3\n\nvisible := true\n\nallow if contains(input.call.resource.uri, \"/public/\")\n";
    let policy = vec![
        ("protocol.rego", policies::protocol()),
        ("tools/s3.rego", policy.to_owned()),
        ("resources/s3.rego", resources.to_owned()),
    ];
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

/// How many requests a world's server has written down, once there are so many: it writes behind its answer.
pub async fn heard(world: &World, least: usize) -> usize {
    for _ in 0..500 {
        let count = std::fs::read_to_string(world.path("audit-file")).unwrap().lines().count();
        if count >= least {
            return count;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("there are no {least} lines");
}
