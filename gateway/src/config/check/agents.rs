//! The agents, checked.

use super::{Checker, is_server_name};
use crate::config::Server;
use crate::config::agents::{Agent, Health, Host, Skill};
use crate::config::file::{AgentFile, HealthFile, ServerFile, SkillByFile, SkillFile};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use url::Url;

impl Checker<'_> {
    pub(super) fn agent(&mut self, name: &str, file: &AgentFile, gateway: Option<&Url>) -> Option<Agent> {
        let path = format!("agents.{name}");
        if !is_server_name(name) {
            self.problems.add(
                &path,
                "is not a name that fits into a URL",
                "use a-z, 0-9 and '-', at most 63, beginning with a letter",
            );
        }
        let of = &file.interfaces;
        if of.jsonrpc.is_none() && of.http_json.is_none() && of.grpc.is_none() {
            self.problems.add(
                format!("{path}.interfaces"),
                "has no interface, so nobody can talk to the agent",
                "write `jsonrpc: https://host:port/path`, `http_json: …` or `grpc: …`",
            );
        }
        for operation in file.scopes.keys() {
            if !protocol::a2a::methods().iter().any(|row| row.name == operation) {
                self.problems.add(
                    format!("{path}.scopes.{operation}"),
                    "is no operation of A2A 1.0",
                    "write one of the names in docs/a2a-methods.md, as SendMessage",
                );
            }
        }
        let host = self.host(&path, file, gateway);
        let skill = file.skill.as_ref().and_then(|skill| self.skill(&format!("{path}.skill"), skill));
        let mut interface = |key: &str, url: &Option<String>| {
            url.as_ref()
                .map(|url| self.interface(name, &format!("{path}.interfaces.{key}"), url, file))
                .transpose()
        };
        let json_rpc = interface("jsonrpc", &file.interfaces.jsonrpc).ok();
        let http_json = interface("http_json", &file.interfaces.http_json).ok();
        let grpc = interface("grpc", &file.interfaces.grpc).ok();
        let (json_rpc, http_json, grpc) = (json_rpc?, http_json?, grpc?);
        let first = json_rpc.as_ref().or(http_json.as_ref()).or(grpc.as_ref())?;
        let card = self.card(name, file, first);
        Some(Agent {
            name: name.to_owned(),
            host,
            json_rpc,
            http_json,
            grpc,
            contexts: file.contexts,
            tenants: file.tenants,
            skill,
            push: file.push,
            health: self.health(&format!("{path}.health"), &file.health),
            card: card?,
            extensions: file.extensions.iter().cloned().collect(),
        })
    }

    /// How callers name a skill. None: a problem was noted.
    fn skill(&mut self, path: &str, file: &SkillFile) -> Option<Skill> {
        let skill = match file {
            SkillFile::Member(name) => Some(Skill::Member(name.clone())),
            SkillFile::By(SkillByFile { extension: Some(uri), interfaces }) if interfaces.is_empty() => {
                Some(Skill::Extension(uri.clone()))
            }
            SkillFile::By(SkillByFile { extension: None, interfaces }) if !interfaces.is_empty() => {
                Some(Skill::Interface(interfaces.clone()))
            }
            SkillFile::By(_) => {
                let fix = "write one of the two, as `{extension: https://…}` or `{interfaces: {gpu: train}}`";
                self.problems.add(path, "names neither or both of `extension` and `interfaces`", fix);
                None
            }
        };
        let empty = match &skill {
            Some(Skill::Member(name) | Skill::Extension(name)) => name.is_empty(),
            Some(Skill::Interface(skills)) => skills.values().any(String::is_empty),
            None => false,
        };
        if empty {
            self.problems.add(
                path,
                "is empty, or names a skill that is",
                "write a name, or leave `skill` out",
            );
        }
        skill
    }

    /// The host that is the agent's. Without the gateway's own URL, which is a problem already, there is none.
    fn host(&mut self, path: &str, file: &AgentFile, gateway: Option<&Url>) -> Option<Host> {
        let (at, name) = (format!("{path}.host"), file.host.as_ref()?);
        if !is_host_name(name) {
            let fix = "write a DNS name in lower case, without a port, as trainer.gateway.example";
            self.problems.add(at.clone(), format!("{name:?} is no host name"), fix);
        }
        if file.interfaces.grpc.is_none() {
            let fix =
                "write `interfaces.grpc`, or leave `host` out: paths name the agent in the other bindings";
            self.problems.add(at.clone(), "names a host, but the agent has no gRPC interface", fix);
        }
        let mut url = gateway?.clone();
        if url.host_str() == Some(name) {
            let fix = "give the agent a name of its own, as trainer.gateway.example";
            self.problems.add(at, "is the gateway's own host", fix);
        }
        url.set_host(Some(name)).ok()?; // That it is no host name has been noted.
        Some(Host { name: name.clone(), url: url.as_str().trim_end_matches('/').to_owned() })
    }

    /// A host is one agent's.
    pub(super) fn hosts(&mut self, agents: &BTreeMap<String, AgentFile>) {
        let mut whose = BTreeMap::new();
        for (name, host) in agents.iter().filter_map(|(name, file)| Some((name, file.host.as_ref()?))) {
            if let Some(other) = whose.insert(host.to_ascii_lowercase(), name) {
                let fix = "give each agent a host of its own";
                self.problems.add(format!("agents.{name}.host"), format!("is also that of {other}"), fix);
            }
        }
    }

    /// One interface. All of an agent's have its SPIFFE ID and its audience. `Err`: a problem was noted.
    fn interface(&mut self, name: &str, at: &str, url: &str, file: &AgentFile) -> Result<Arc<Server>, ()> {
        let as_server = ServerFile {
            url: url.to_owned(),
            spiffe_id: file.spiffe_id.clone(),
            audience: file.audience.clone(),
            audiences: file.audiences.clone(),
            subject: file.subject,
            scopes: file.scopes.clone(),
            case_variants_in_arguments: false,
            server_requests: Vec::new(),
        };
        let server: Option<Server> = self.upstream(name, &format!("agents.{name}"), at, &as_server);
        server.map(Arc::new).ok_or(())
    }

    /// Often enough to be news, and not so often that it is a load.
    fn health(&mut self, path: &str, file: &HealthFile) -> Option<Health> {
        let (least, most) = (Duration::from_millis(100), Duration::from_secs(86_400));
        let at = format!("{path}.timeout");
        let timeout = Duration::from_secs(5);
        let timeout = self.problems.duration(&at, file.timeout.as_deref(), timeout, least..=least * 600);
        if file.interval.as_deref() == Some("0s") {
            return None;
        }
        let (at, usual) = (format!("{path}.interval"), Duration::from_secs(30));
        let interval = self.problems.duration(&at, file.interval.as_deref(), usual, least..=most);
        Some(Health { interval, timeout })
    }
}

/// A name of DNS that has a dot in it and is no IP address (RFC 1123 §2.1), in lower case.
fn is_host_name(name: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    };
    let as_in_a_url = |url: Url| url.domain() == Some(name); // What reads as an address there is none.
    name.len() <= 253
        && name.contains('.')
        && name.split('.').all(is_label)
        && Url::parse(&format!("https://{name}/")).is_ok_and(as_in_a_url)
}
