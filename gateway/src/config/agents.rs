//! Agents, as they run.

pub use super::file::{ContextsFile as Contexts, PushFile as Push, TenantsFile as Tenants};

use super::Server;
use super::cards::CardAt;
use super::redis::RedisTasks;
use protocol::a2a::Binding;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// An A2A agent behind the gateway.
#[derive(Clone, Debug, PartialEq)]
pub struct Agent {
    /// Its name under `/a2a/`.
    pub name: String,
    /// The host by which callers may name it over gRPC.
    pub host: Option<Host>,
    /// Where it is spoken to over JSON-RPC.
    pub json_rpc: Option<Arc<Server>>,
    /// Where it is spoken to over HTTP+JSON.
    pub http_json: Option<Arc<Server>>,
    /// Where it is spoken to over gRPC.
    pub grpc: Option<Arc<Server>>,
    /// Who makes contexts.
    pub contexts: Contexts,
    /// Which tenants a call may name.
    pub tenants: Tenants,
    /// How callers name a skill.
    pub skill: Option<Skill>,
    /// How its events get to where callers want them.
    pub push: Push,
    /// How it is looked whether it answers; none: it isn't.
    pub health: Option<Health>,
    /// Its card.
    pub card: CardAt,
    /// The extensions that its card may require.
    pub extensions: BTreeSet<String>,
}

/// How callers name a skill.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Skill {
    /// By a member of the message's metadata.
    Member(String),
    /// By what the message's metadata has for an extension of this URI.
    Extension(String),
    /// By the tenant, which is the interface's; an empty one is none.
    Interface(BTreeMap<String, String>),
}

/// A host name of the gateway that is one agent's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    /// In lower case.
    pub name: String,
    /// The gateway's URL with that host.
    pub url: String,
}

/// How often it is looked whether an agent answers, and how long that may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Health {
    /// Between two looks.
    pub interval: Duration,
    /// For a connection.
    pub timeout: Duration,
}

/// Where it is kept whose tasks and contexts are.
#[derive(Clone, Debug)]
pub enum TasksIn {
    /// In this process.
    Memory,
    /// In an SQLite file, which gateways on one machine may share.
    Sqlite(PathBuf),
    /// In a Redis, which gateways on any machine may share.
    Redis(Box<RedisTasks>),
}

impl Host {
    /// Whether it is the host of a request; case says nothing.
    pub fn is(&self, host: &str) -> bool {
        self.name.eq_ignore_ascii_case(host)
    }
}

impl Agent {
    /// Where it is spoken to in its first binding; there is one.
    pub fn first_interface(&self) -> Option<&Arc<Server>> {
        [Binding::JsonRpc, Binding::HttpJson, Binding::Grpc].into_iter().find_map(|one| self.interface(one))
    }

    /// Whether its configuration speaks of a card: so it has one, and nobody calls it before that was read.
    pub fn expects_a_card(&self) -> bool {
        let vouched = self.card.keys.is_some() || !self.card.jku.is_empty();
        vouched || self.card.pin.is_some() || !self.extensions.is_empty()
    }

    /// Where it is spoken to in a binding.
    pub fn interface(&self, binding: Binding) -> Option<&Arc<Server>> {
        match binding {
            Binding::JsonRpc => self.json_rpc.as_ref(),
            Binding::HttpJson => self.http_json.as_ref(),
            Binding::Grpc => self.grpc.as_ref(),
        }
    }
}
