//! What `sallyport up` puts into a new folder: demo data, the starter policy, and the gateway's configuration.

use super::state::{Addresses, Dir, Workload};
use super::{TOKEN_TTL, UpError, echo, embedded};
use crate::token_service::SubjectClaims;
use certs::development::Domain;
use certs::{Clock, SpiffeId};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::Path;
use tokens::Secret;

/// Bucket `demo`: one object that anybody may read, one that nobody may.
const DATA: [(&str, &str); 2] = [
    ("data/demo/public/hello.txt", "Hello from behind the gate.\n"),
    ("data/demo/private/salary.csv", "name,salary\nada,1\ngrace,2\n"),
];

include!(concat!(env!("OUT_DIR"), "/starter_policy.rs"));

/// The one development user, and what the user's sign-in would grant.
pub const USER: &str = "alice";
/// Scopes of that user's tokens.
pub const USER_SCOPES: [&str; 2] = ["agents:call", "s3:read"];

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

/// What a subject's scopes open: at the S3 server to read, and to hold a session while doing so; at the demo agent all that
/// it does.
pub fn grants() -> BTreeMap<String, BTreeSet<String>> {
    let scopes = |all: &[&str]| all.iter().map(|s| (*s).to_owned()).collect::<BTreeSet<_>>();
    let read = scopes(&[
        "s3:protocol",
        "s3:resources",
        "s3:prompts",
        "s3:list_objects",
        "s3:get_object",
        "s3:head_object",
        "s3:list_versions",
        "s3:preview_text",
        "s3:preview_table",
    ]);
    let write = scopes(&[
        "s3:put_object",
        "s3:copy_object",
        "s3:delete_object",
        "s3:start_upload",
        "s3:upload_part",
        "s3:complete_upload",
        "s3:abort_upload",
    ]);
    let call = protocol::a2a::methods().iter().map(|row| format!("{}:{}", echo::NAME, row.name)).collect();
    BTreeMap::from([
        ("agents:call".to_owned(), call),
        ("s3:read".to_owned(), read),
        ("s3:write".to_owned(), write),
    ])
}

/// The gateway's configuration.
pub fn config(
    domain: &Domain,
    url: &str,
    (origin, sign_in): (&str, &str),
    (s3, echo): (SocketAddr, SocketAddr),
) -> String {
    let td = domain.name();
    let (gateway, service) = (Workload::Gateway.path(), Workload::TokenService.path());
    let (s3_id, echo_id, name) = (Workload::McpS3.path(), Workload::Echo.path(), echo::NAME);
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
  s3:
    url: https://{s3}/mcp
    spiffe_id: spiffe://{td}/{s3_id}
agents:
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
