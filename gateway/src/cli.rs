//! The command line: what each command is for, and an example of it.

pub mod agents;
pub mod audit;
pub mod commands;
pub mod hints;
pub mod policy;
pub mod revoke;

use clap::{Args, Parser, Subcommand};
use std::net::SocketAddr;
use std::path::PathBuf;

/// A zero-trust gateway for AI agents: mTLS with SPIFFE, Rego on every call's arguments, a credential per tool.
#[derive(Debug, Parser)]
#[command(
    name = "sallyport",
    version,
    arg_required_else_help = true,
    after_help = "\
Start here:
  sallyport up                      everything on this machine, and the lines to try
  sallyport run --config FILE       a gateway from a configuration file"
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Start everything on this machine: trust domain, token service, S3 server, policy, gateway.
    #[command(after_help = "\
Examples:
  sallyport up                                    on 127.0.0.1:8443, state in ./.sallyport
  sallyport up --listen 127.0.0.1:0 --dir /tmp/s  on a free port, state elsewhere

Then, in another terminal: source .sallyport/agent.env
Edit .sallyport/policies/**.rego while it runs: each change is checked and used at once.")]
    Up(Up),
    /// Run a gateway from a configuration file.
    #[command(
        after_help = "Example:\n  sallyport run --config sallyport.yaml\n\nSIGTERM drains: no new connections, requests in flight end, the audit file is complete."
    )]
    Run(Config),
    /// Check a configuration file, and the policies it names; every mistake at once.
    #[command(
        after_help = "Example:\n  sallyport check --config sallyport.yaml\n\nExits with 0 if all is well, else with 1."
    )]
    Check(Config),
    /// Print a new subject token of a development user (needs the folder of `sallyport up`).
    #[command(
        after_help = "Examples:\n  export SALLYPORT_TOKEN=$(sallyport token)\n  sallyport token --user bob --scope s3:read --agent agent/other --server s3"
    )]
    Token(Token),
    /// Write an SVID of the development trust domain for another workload.
    #[command(
        after_help = "Example:\n  sallyport svid agent/other --out other/     cert.pem, key.pem and bundle.pem for spiffe://dev.sallyport/agent/other"
    )]
    Svid(Svid),
    /// Serve the development trust domain to SPIFFE libraries (`sallyport up` does it too).
    #[command(after_help = "\
Example:
  sallyport workload-api
  export SPIFFE_ENDPOINT_SOCKET=unix:$PWD/.sallyport/workload-api.sock

Who gets which SVID stands in .sallyport/workloads.yaml, by user and program; edit it while it runs:
  - {spiffe_id: spiffe://dev.sallyport/agent/demo, uid: 1000}
  - {spiffe_id: spiffe://dev.sallyport/agent/cron, uid: 1000, path: /usr/bin/python3.11}
  - {spiffe_id: spiffe://dev.sallyport/mcp/own, uid: 1000, hosts: [localhost, 127.0.0.1]}

For one machine. In production the Workload API is SPIRE's, or another implementation's.")]
    WorkloadApi(WorkloadApi),
    /// Try policies: check them, evaluate a query, run Rego tests.
    #[command(subcommand)]
    Policy(Policy),
    /// Revoke a workload, a subject, a token, a session or a tool; or list what is revoked.
    #[command(after_help = "\
Examples:
  sallyport revoke --file revoked.jsonl --spiffe-id spiffe://prod.example/agent/clerk
  sallyport revoke --file revoked.jsonl --subject https://idp.example alice --until 2026-11-21T10:00:00Z
  sallyport revoke --file revoked.jsonl --tool s3/put_object --undo
  sallyport revoke --file revoked.jsonl            prints the list
  sallyport revoke --config sallyport.yaml --jti t-1

A gateway whose configuration says `revocations: {file: revoked.jsonl}` holds to it within a second, open streams
included. With --config it is the list that the configuration names, also one in Redis. The audit names sessions by the digest that --session takes.")]
    Revoke(revoke::Revoke),
    /// Say which A2A agents you may talk to.
    #[command(subcommand)]
    Agents(agents::Agents),
    /// Verify a file of audit records: was it changed, and where.
    #[command(subcommand)]
    Audit(Audit),
    /// Print the JSON Schema of the configuration file.
    Schema,
}

/// `up`.
#[derive(Debug, Args)]
pub struct Up {
    /// Folder for keys, data, policies and audit; made if it isn't there.
    #[arg(long, default_value = ".sallyport")]
    pub dir: PathBuf,
    /// Address and port of the gateway; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:8443")]
    pub listen: SocketAddr,
}

/// A configuration file.
#[derive(Debug, Args)]
pub struct Config {
    /// The configuration file (YAML).
    #[arg(long)]
    pub config: PathBuf,
}

/// `token`.
#[derive(Debug, Args)]
pub struct Token {
    /// The folder of a running `sallyport up`.
    #[arg(long, default_value = ".sallyport")]
    pub dir: PathBuf,
    /// Whose token.
    #[arg(long, default_value = "alice")]
    pub user: String,
    /// What the user may do, separated by commas.
    #[arg(long, default_values = crate::up::starter::USER_SCOPES, value_delimiter = ',')]
    pub scope: Vec<String>,
    /// Path of the workload that may present it.
    #[arg(long, default_value = "agent/demo")]
    pub agent: String,
    /// Only for this server; else for every one behind the gateway.
    #[arg(long)]
    pub server: Option<String>,
    /// How long it is valid, in seconds.
    #[arg(long, default_value_t = 3600)]
    pub ttl_seconds: u64,
}

/// `svid`.
#[derive(Debug, Args)]
pub struct Svid {
    /// Path of the SPIFFE ID, as agent/other.
    pub path: String,
    /// Folder to write cert.pem, key.pem and bundle.pem into.
    #[arg(long)]
    pub out: PathBuf,
    /// The folder of `sallyport up`.
    #[arg(long, default_value = ".sallyport")]
    pub dir: PathBuf,
}

/// `workload-api`.
#[derive(Debug, Args)]
pub struct WorkloadApi {
    /// Folder of the trust domain; made if it isn't there.
    #[arg(long, default_value = ".sallyport")]
    pub dir: PathBuf,
    /// The socket; `workload-api.sock` in the folder without it.
    #[arg(long)]
    pub socket: Option<PathBuf>,
    /// The list of workloads; `workloads.yaml` in the folder without it.
    #[arg(long)]
    pub entries: Option<PathBuf>,
    /// How long an SVID lives, in seconds; it is renewed at half of that.
    #[arg(long, default_value_t = 3600, value_parser = clap::value_parser!(u64).range(2..=86_400))]
    pub ttl_seconds: u64,
}

/// `policy`.
#[derive(Debug, Subcommand)]
pub enum Policy {
    /// Run the Rego tests of a policy folder (rules `test_*` in packages `*_test`).
    #[command(
        after_help = "Examples:\n  sallyport policy test .sallyport/policies\n  sallyport policy test policies --run get_object\n\nExits with 0 if every test passed, else with 1."
    )]
    Test(PolicyTest),
    /// Evaluate a query with an input.
    #[command(
        after_help = "Examples:\n  sallyport policy eval --dir policies --input call.json data.tools.s3.get_object.allow\n  echo '{}' | sallyport policy eval --dir policies data.guard\n\nPrints the result as JSON. Exits with 0, with 3 if the query is undefined, with 1 on an error."
    )]
    Eval(PolicyEval),
    /// Check a policy folder, and say for each package what of the input its decisions read.
    #[command(
        after_help = "Example:\n  sallyport policy check .sallyport/policies\n\nExits with 0 if the set loads, else with 1."
    )]
    Check(PolicyCheck),
    /// Print the JSON Schema of the input document.
    Schema,
}

/// `policy check`.
#[derive(Debug, Args)]
pub struct PolicyCheck {
    /// The policy folder.
    #[arg(default_value = "policies")]
    pub dir: PathBuf,
}

/// `policy test`.
#[derive(Debug, Args)]
pub struct PolicyTest {
    /// The policy folder.
    #[arg(default_value = "policies")]
    pub dir: PathBuf,
    /// Only tests whose package and name contain this.
    #[arg(long)]
    pub run: Option<String>,
}

/// `policy eval`.
#[derive(Debug, Args)]
pub struct PolicyEval {
    /// What to evaluate, as data.tools.s3.get_object.allow.
    pub query: String,
    /// The policy folder.
    #[arg(long, default_value = "policies")]
    pub dir: PathBuf,
    /// The input document (JSON); without it, standard input.
    #[arg(long)]
    pub input: Option<PathBuf>,
}

/// `audit`.
#[derive(Debug, Subcommand)]
pub enum Audit {
    /// Hold a file of records against its hash chain, and name every place where it was damaged.
    #[command(after_help = "\
Examples:
  sallyport audit verify /var/log/sallyport/audit.jsonl
  sallyport audit verify audit.jsonl --expect 811:9f2c...   as `audit tip` printed it some time ago
  zcat audit-june.gz | sallyport audit verify - --from-hash 41d0...

It finds records that were changed, removed, moved or inserted. Two things a chain alone can't show: that its end was
cut off, and that all of it from some record on was written anew. For these, keep what `audit tip` prints where nobody
who can write the file can write, and give it back with --expect.

Exits with 0 if the chain is unbroken, with 1 if it is broken, with 2 if it can't be read.")]
    Verify(AuditVerify),
    /// Print where a file's chain ends, as SEQ:HASH; quick, whatever the file's length.
    #[command(after_help = "\
Example:
  sallyport audit tip audit.jsonl | ssh vault 'cat >> tips'

Later: sallyport audit verify audit.jsonl --expect \"$(ssh vault 'tail -n 1 tips')\"")]
    Tip(AuditTip),
}

/// `audit verify`.
#[derive(Debug, Args)]
pub struct AuditVerify {
    /// The file; `-` reads standard input.
    pub file: PathBuf,
    /// The file is a later part of a chain: the hash of the record before its first, 64 hex digits.
    #[arg(long, value_name = "HASH")]
    pub from_hash: Option<String>,
    /// This record has to be in it, with this hash.
    #[arg(long, value_name = "SEQ:HASH")]
    pub expect: Option<String>,
    /// Print the result as one JSON object.
    #[arg(long)]
    pub json: bool,
    /// Bytes of the longest line that is read.
    #[arg(long, default_value_t = 64 << 20, value_name = "BYTES")]
    pub line_bytes_max: usize,
}

/// `audit tip`.
#[derive(Debug, Args)]
pub struct AuditTip {
    /// The file.
    pub file: PathBuf,
}
