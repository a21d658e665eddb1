//! What `sallyport up` puts into a new folder: demo data, the starter policy, and the gateway's configuration.

use super::servers::{self, Started};
use super::state::{Addresses, Dir, Workload};
use super::{TOKEN_TTL, UpError, echo, embedded};
use crate::token_service::SubjectClaims;
use certs::development::Domain;
use certs::{Clock, SpiffeId};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use tokens::Secret;

/// Bucket `demo`: one object that anybody may read, one that nobody may.
const DATA: [(&str, &str); 2] = [
    ("data/demo/public/hello.txt", "Hello from behind the gate.\n"),
    ("data/demo/private/salary.csv", "name,salary\nada,1\ngrace,2\n"),
];

include!(concat!(env!("OUT_DIR"), "/starter_policy.rs"));

/// The first list of servers.
pub const SERVERS: &str = include_str!("starter/servers.yaml");
/// The first list of language models.
pub const BACKENDS: &str = include_str!("starter/backends.yaml");

/// Where `scripts/setup inference` puts a small model.
pub fn model() -> PathBuf {
    let cache = std::env::var_os("SALLYPORT_CACHE").map(PathBuf::from);
    let home = || PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(".cache/sallyport");
    cache.unwrap_or_else(home).join("inference/smollm2.gguf")
}

/// The one development user, and what the user's sign-in would grant.
pub const USER: &str = "alice";
/// Scopes of that user's tokens.
pub const USER_SCOPES: [&str; 6] =
    ["agents:call", "inference:use", "kubernetes:read", "mlflow:read", "prometheus:read", "s3:read"];

/// A token of the one user for a workload to present, for all that is behind the gateway.
///
/// # Errors
/// [`UpError`].
pub fn user_token(
    dir: &Path,
    addresses: &Addresses,
    presenter: &SpiffeId,
    clock: &Clock,
) -> Result<Secret, UpError> {
    let claims = SubjectClaims {
        issuer: &addresses.users_issuer(),
        subject: USER,
        presenter,
        audience: &addresses.url,
        scopes: &USER_SCOPES.iter().map(|s| (*s).to_owned()).collect(),
        ttl: TOKEN_TTL,
    };
    embedded::subject_token(dir, &claims, clock.now())
}

/// Writes data and policy unless they are there.
///
/// # Errors
/// [`UpError`], which names the file.
pub fn write(dir: &Dir) -> Result<(), UpError> {
    for (name, text) in DATA {
        dir.write_once(name, text.as_bytes())?;
    }
    if dir.path("policies").exists() {
        return Ok(()); // All of it or nothing: a file that the user deleted stays deleted.
    }
    for (name, text) in STARTER_POLICY {
        dir.write_once(&format!("policies/{name}"), text.as_bytes())?;
    }
    Ok(())
}

/// The first list of workloads: whoever runs `up` is the demo agent.
pub fn workloads(domain: &Domain) -> String {
    format!(
        "# Which process is which workload: by user (`uid`), by program (`path`), or both. Read again whenever it changes.\n\
         - {{spiffe_id: spiffe://{}/{}, uid: {}}}\n",
        domain.name(),
        Workload::DemoAgent.path(),
        rustix::process::getuid().as_raw(),
    )
}

/// The token service's file: the development user, with a password of its own.
///
/// # Errors
/// [`UpError`] if there is no randomness to be had.
pub fn token_service(domain: &Domain) -> Result<String, UpError> {
    let (td, agent, password) = (domain.name(), Workload::DemoAgent.path(), tokens::sign::token_id()?);
    let scopes = USER_SCOPES.map(|scope| format!("{scope:?}")).join(", ");
    Ok(format!(
        "# The embedded token service: who may sign in, and what that gives. Read at each start of `sallyport up`.
# It holds passwords: only its owner may read it. Everything that may stand here: docs/token-service.md
users:
  {USER}:
    password: {password:?}
    scopes: [{scopes}]                   # what {USER} may give to a program
    agents: [\"spiffe://{td}/{agent}\"]   # the workloads that may act for {USER}
# workloads:                                            # tokens for workloads that act for themselves
#   \"spiffe://{td}/{agent}\": [\"s3:read\"]
"
    ))
}

/// What a subject's scopes open: at the servers of the list what it says, at the demo agent all that it does.
pub fn grants(list: &[Started]) -> BTreeMap<String, BTreeSet<String>> {
    let mut grants = servers::grants(list);
    let call = protocol::a2a::methods().iter().map(|row| format!("{}:{}", echo::NAME, row.name));
    grants.entry("agents:call".to_owned()).or_default().extend(call);
    grants
}

/// The gateway's configuration.
pub fn config(
    domain: &Domain,
    url: &str,
    (origin, sign_in): (&str, &str),
    (servers, echo): (&[(String, SocketAddr)], SocketAddr),
) -> String {
    let td = domain.name();
    let (gateway, service) = (Workload::Gateway.path(), Workload::TokenService.path());
    let (echo_id, name) = (Workload::Echo.path(), echo::NAME);
    let mut behind = String::new();
    for (name, address) in servers {
        let id = Workload::Mcp(name.clone()).path();
        let _ =
            write!(behind, "  {name}:\n    url: https://{address}/mcp\n    spiffe_id: spiffe://{td}/{id}\n"); // A String takes everything.
    }
    if behind.is_empty() {
        behind.push_str("  {}\n");
    }
    let listen = url.trim_start_matches("https://");
    format!(
        "# Written by `sallyport up` at each start. To change it, copy it and start the copy with `sallyport run --config`.
listen: {listen}
url: {url}
identity:
  certificate: svids/{gateway}/cert.pem
  private_key: svids/{gateway}/key.pem
  trust_bundle: svids/{gateway}/bundle.pem
issuers:
  - issuer: {sign_in}/oauth/users
    types: [at+jwt]
    presenter:
      claim: azp
    jwks:
      url: {origin}/oauth/users/jwks
      server:
        spiffe_id: spiffe://{td}/{service}
token_service:
  issuer: {origin}/oauth
  token_endpoint: {origin}/oauth/token
  server:
    spiffe_id: spiffe://{td}/{service}
  jwks:
    url: {origin}/oauth/jwks
    server:
      spiffe_id: spiffe://{td}/{service}
  actor_key: actor.key
servers:
{behind}agents:
  {name}:
    interfaces:
      jsonrpc: https://{echo}/a2a
      http_json: https://{echo}/rest
    spiffe_id: spiffe://{td}/{echo_id}
policy:
  dir: policies
audit:
  file: audit.jsonl
sessions:
  key_ring: sessions.keys
revocations:
  file: revoked.jsonl
admin:
  listen: 127.0.0.1:0
"
    )
}
