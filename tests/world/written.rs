//! What a world writes before it starts: the gateway's configuration, and the token service's settings.

use crate::{DOMAIN, McpServer, Plan, Redis, redis, served, workload_api};
use certs::development::Domain;
use gateway::token_service::{Settings, users_issuer};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::Path;

pub(crate) fn settings(
    domain: &Domain,
    url: &str,
    origin: &str,
    agents: &[&str],
    served: &[served::Served],
) -> Settings {
    let of =
        |server: &str, all: &[&str]| all.iter().map(|s| format!("{server}:{s}")).collect::<BTreeSet<_>>();
    let mut scopes = of("ledger", &["post_entry", "read_balance", "protocol", "resources", "prompts"]);
    scopes.extend(of("s3", served::S3_SCOPES));
    let mut servers = vec!["ledger", "s3"];
    for served in served {
        scopes.extend(of(served.name, served.scopes));
        servers.push(served.name);
    }
    let asked = ["ask", "SendMessage", "protocol", "resources", "prompts"];
    scopes.extend(agents.iter().flat_map(|agent| asked.map(|operation| format!("{agent}:{operation}"))));
    scopes.extend(protocol::a2a::methods().iter().map(|row| format!("trainer:{}", row.name)));
    let agents: BTreeSet<_> = agents
        .iter()
        .chain(&["trainer"])
        .map(|agent| domain.id(&format!("agent/{agent}")).unwrap().to_string())
        .collect();
    let resources = servers.iter().map(|server| format!("{url}/mcp/{server}"));
    let audiences = servers.iter().map(|server| domain.id(&format!("mcp/{server}")).unwrap().to_string());
    Settings {
        origin: origin.into(),
        gateway: domain.id("gateway").unwrap(),
        resources: resources.chain([url.to_owned(), format!("{url}/mcp")]).collect(),
        audiences: audiences.chain(agents.clone()).collect(),
        agents,
        grants: BTreeMap::from([("bookkeeping".to_owned(), scopes.clone())]),
        workload_grants: BTreeMap::from([(domain.id("agent/robot").unwrap().to_string(), scopes)]),
        downstream: BTreeMap::new(),
    }
}

/// Where the list of revocations is.
pub(crate) fn revocations(plan: &Plan, redis: Option<&Redis>) -> String {
    match (&plan.redis, redis) {
        (Some((_, options)), Some(redis)) => format!("revocations: {}", at(redis, options)),
        _ => "revocations: {file: revoked.jsonl}".into(),
    }
}

/// Where it is kept whose tasks are, if the plan doesn't say.
pub(crate) fn tasks(plan: &Plan, redis: Option<&Redis>) -> String {
    match (&plan.tasks_in_redis, redis) {
        (Some((_, options)), Some(redis)) => format!("tasks: {}", at(redis, options)),
        _ => "tasks: {}".into(),
    }
}

fn at(redis: &Redis, options: &str) -> String {
    let (port, file, options) = (redis.port, redis::PASSWORD_FILE, options.trim());
    let options = if options.is_empty() { String::new() } else { format!(", {options}") };
    format!(
        "{{redis: {{url: \"rediss://127.0.0.1:{port}\", server: {{spiffe_id: \"spiffe://{DOMAIN}/{}\"}}, password_file: {file}{options}}}}}",
        redis::WORKLOAD
    )
}

/// The A2A agents beside the trainer.
pub(crate) fn a2a_agents(plan: &Plan, agents: &BTreeMap<&str, McpServer>) -> String {
    let line = |name: &&str| {
        let (at, id) = (agents[name].address, format!("spiffe://{DOMAIN}/agent/{name}"));
        format!(
            "\n  {name}: {{interfaces: {{jsonrpc: \"https://{at}/a2a\"}}, spiffe_id: {id}, health: {{interval: 0s}}}}"
        )
    };
    plan.a2a.iter().map(line).collect()
}

/// The servers beside the ledger.
pub(crate) fn servers(plan: &Plan, served: &[served::Server], agents: &BTreeMap<&str, McpServer>) -> String {
    let line = |name: &str, kind: &str, at: SocketAddr| {
        format!("  {name}: {{url: \"https://{at}/mcp\", spiffe_id: \"spiffe://{DOMAIN}/{kind}/{name}\"}}\n")
    };
    let agents = agents.iter().filter(|(name, _)| plan.agents.contains(name));
    let agents = agents.map(|(name, agent)| line(name, "agent", agent.address));
    served.iter().map(|server| line(server.name, "mcp", server.address)).chain(agents).collect()
}

pub(crate) fn config(
    plan: &Plan,
    dir: &Path,
    (url, origin, sign_in): (&str, &str, Option<&str>),
    (ledger, [rpc, rest, grpc]): (SocketAddr, &[String; 3]),
    (servers, a2a): (&str, &str),
) -> String {
    let none = if a2a.is_empty() { "{}" } else { "" };
    let trainer = plan.trainer.map_or(none.to_owned(), |more| {
        format!(
            "
  trainer:
    interfaces: {{jsonrpc: \"{rpc}\", http_json: \"{rest}\", grpc: \"{grpc}\"}}
    spiffe_id: spiffe://{DOMAIN}/agent/trainer
    {more}",
            more = more.replace("LEDGER", &ledger.to_string())
        )
    });
    let (tasks, push) = (&plan.tasks, &plan.push);
    let (users, presenter) =
        sign_in.map_or((users_issuer(origin), "client_id"), |at| (users_issuer(at), "azp"));
    let (subject, limits, presenters, audit, more_issuers) =
        (plan.subject, plan.limits, plan.presenters, plan.audit, plan.more_issuers);
    let server_requests = plan.server_requests;
    let credentials = if plan.agents.is_empty() && plan.trainer.is_none() && a2a.is_empty() {
        String::new()
    } else {
        let subjects_of = if plan.subjects_of { format!("subjects_of: \"{users}\"") } else { String::new() };
        format!(
            "  - issuer: {origin}/oauth
    types: [at+jwt]
    leeway: 0s
    presenter: {{audience: true}}
    delegates: true
    {subjects_of}
    jwks: {{url: \"{origin}/oauth/jwks\", refresh: 1s, server: {{spiffe_id: \"spiffe://{DOMAIN}/token-service\"}}}}"
        )
    };
    let (types, issuer_options) = (plan.types, plan.issuer_options);
    let users_jwks =
        if plan.discovery { String::new() } else { format!("url: \"{origin}/oauth/users/jwks\", ") };
    let (admin, telemetry) = (plan.admin, &plan.telemetry);
    let policy_options = plan.policy_options;
    let identity = match &plan.workload_api {
        Some(_) => format!("{{workload_api: \"unix:{}\"}}", dir.join(workload_api::SOCKET).display()),
        None => {
            "{certificate: gateway/cert.pem, private_key: gateway/key.pem, trust_bundle: gateway/bundle.pem}"
                .into()
        }
    };
    let trust_domains = &plan.trust_domains;
    format!(
        "listen: 127.0.0.1:0
url: {url}
identity: {identity}
trust_domains: {trust_domains}
issuers:
  - issuer: {users}
    types: [{types}]
    leeway: 0s
    presenter: {{claim: {presenter}, map: {{{presenters}}}}}
    {issuer_options}
    jwks: {{{users_jwks}refresh: 1s, server: {{spiffe_id: \"spiffe://{DOMAIN}/token-service\"}}}}
{more_issuers}
{credentials}
token_service:
  issuer: {origin}/oauth
  token_endpoint: {origin}/oauth/token
  server: {{spiffe_id: \"spiffe://{DOMAIN}/token-service\"}}
  jwks: {{url: \"{origin}/oauth/jwks\", refresh: 1s, server: {{spiffe_id: \"spiffe://{DOMAIN}/token-service\"}}}}
  actor_key: actor.key
servers:
  ledger:
    url: https://{ledger}/mcp
    spiffe_id: spiffe://{DOMAIN}/mcp/ledger
    subject: {subject}
    server_requests: [{server_requests}]
{servers}
agents: {trainer}{a2a}
tasks: {tasks}
push: {push}
policy: {{dir: policies{policy_options}}}
audit: {{file: audit.jsonl, mode: {audit}}}
sessions: {{key_ring: sessions.keys}}
revocations: {{file: revoked.jsonl}}
admin: {admin}
telemetry: {telemetry}
limits: {limits}
"
    )
}
