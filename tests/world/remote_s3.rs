//! `mcp-s3` as a process of its own, over a real S3 endpoint.

use crate::{Plan, World, policies};
use certs::files::Paths;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// An S3 service and where its credentials are.
#[derive(Clone)]
pub struct Endpoint {
    pub program: PathBuf,
    pub url: String,
    pub bucket: String,
    pub access_key: String,
    pub secret_key: String,
}

/// The running server; it ends with the world.
pub struct Server {
    process: Child,
    pub address: SocketAddr,
}

/// A world whose clerk may do everything below `public/` of one bucket.
pub async fn start(program: &Path, url: &str, bucket: &str, access_key: &str, secret_key: &str) -> World {
    let below_public = "package tools.s3

visible := true

allow if startswith(input.call.arguments.key, \"public/\")

allow if startswith(input.call.arguments.prefix, \"public/\")
";
    let endpoint = Endpoint {
        program: program.into(),
        url: url.into(),
        bucket: bucket.into(),
        access_key: access_key.into(),
        secret_key: secret_key.into(),
    };
    let policy = vec![("protocol.rego", policies::protocol()), ("tools/s3.rego", below_public.to_owned())];
    World::with(Plan { policy, s3: Some(endpoint), ..Plan::default() }).await
}

impl Server {
    /// Starts it and reads where it listens.
    pub fn start(endpoint: &Endpoint, dir: &Path, svid: &Paths, domain: &str, issuer: &str) -> Self {
        let secret = |name: &str, text: &str| {
            let path = dir.join(name);
            certs::files::write(&path, text.as_bytes(), 0o600).unwrap();
            path
        };
        let mut process = Command::new(&endpoint.program)
            .args([
                "--listen",
                "127.0.0.1:0",
                "--store",
                "s3",
                "--allow-http",
                "--endpoint",
                &endpoint.url,
                "--buckets",
                &endpoint.bucket,
            ])
            .arg("--access-key-file")
            .arg(secret("access", &endpoint.access_key))
            .arg("--secret-key-file")
            .arg(secret("secret", &endpoint.secret_key))
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
                &format!("spiffe://{domain}/mcp/s3"),
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
        Self { process, address }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
