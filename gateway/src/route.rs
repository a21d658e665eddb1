//! Stage 7 of 9, and the signposts before it: which door a path names, and which upstream a permit opens.
//! In: a path, later a permit. Out: a [`Door`], later an [`Upstream`]. A server that isn't configured looks like one
//! whose every call is denied: the path goes on to the same stages and ends in the same words.

use crate::config::{Agent, Server};
use crate::identity::Caller;
use crate::metadata;
use crate::one_url;
use crate::push;
use crate::request::Arrival;
use crate::upstream::{Pool, Upstream};
use certs::Identity;
use http::Version;
use protocol::a2a::{self, Binding};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The servers of a snapshot, by name.
pub type Servers = BTreeMap<String, Arc<Server>>;
/// The agents of a snapshot, by name.
pub type Agents = BTreeMap<String, Arc<Agent>>;

/// What a path names.
#[derive(Debug)]
pub enum Door {
    /// RFC 9728 metadata of this resource URL.
    Metadata(String),
    /// The list of agents.
    Agents,
    /// The keys that agents' cards and events are signed with here.
    CardKeys,
    /// Where agents post events.
    Push,
    /// `/mcp`: all servers, of which the call says which.
    AllServers,
    /// `/mcp/<server>`, or `/a2a/<agent>` and what is below it.
    To(ServerRoute),
}

/// The endpoint of a server or an agent, whether or not there is one behind it.
#[derive(Clone, Debug)]
pub struct ServerRoute {
    name: String,
    url: String,
    server: Option<Arc<Server>>,
    agent: Option<AgentRoute>,
    /// Whether it is reached by the URL of all servers.
    one_url: bool,
    /// Whether no subject token is needed, though there is no one server that says so.
    open: bool,
}

/// What is more to say where an agent is called.
#[derive(Clone, Debug)]
pub struct AgentRoute {
    /// The agent, if there is one.
    pub agent: Option<Arc<Agent>>,
    /// The path behind the agent's own, as it came; the operation's.
    pub below: String,
    /// How the call is written.
    pub binding: Binding,
    /// The tenant at the agent itself, of a call over gRPC: all of it, or what stands behind the agent's name.
    pub tenant: Option<String>,
}

/// Why a path leads nowhere.
#[derive(Debug, thiserror::Error)]
pub enum RouteError {
    /// Not one of ours.
    #[error("the path names nothing here")]
    NotFound,
}

/// The list of agents.
const AGENTS: &str = "/a2a";
/// Where an agent's card is, below the agent's path (A2A 1.0 §8.2).
const CARD: &str = "/.well-known/agent-card.json";
/// The keys that the cards are signed with. It is the name of no agent.
pub const CARD_KEYS: &str = "/a2a/jwks.json";

/// Reads a path.
///
/// # Errors
/// [`RouteError::NotFound`].
pub fn door(servers: &Servers, agents: &Agents, url: &str, arrival: &Arrival) -> Result<Door, RouteError> {
    let path = arrival.uri.path();
    if let Some((name, below)) = agent_path(path) {
        return Ok(Door::To(to_agent(agents, url, name, below, None)));
    }
    if a2a::binding(path) == Binding::Grpc {
        return over_grpc(agents, url, arrival).map(Door::To);
    }
    if path == AGENTS && arrival.method == http::Method::GET {
        return Ok(Door::Agents);
    }
    if arrival.uri.query().is_some() {
        return Err(RouteError::NotFound); // Nothing else takes one, and an upstream must not see one that policy didn't.
    }
    if push::is_below(path) && arrival.method == http::Method::POST {
        return Ok(Door::Push);
    }
    if path == CARD_KEYS && arrival.method == http::Method::GET {
        return Ok(Door::CardKeys);
    }
    if metadata::is_below(path) {
        let resource = metadata::resource(url, path).filter(|_| arrival.method == http::Method::GET);
        return resource.map(Door::Metadata).ok_or(RouteError::NotFound);
    }
    if path == one_url::PATH {
        return Ok(Door::AllServers);
    }
    // A call by the URL of all servers may name none: a server that isn't there.
    let name = server_name(path).or(arrival.one_url.as_ref().map(|_| "")).ok_or(RouteError::NotFound)?;
    Ok(Door::To(ServerRoute { one_url: arrival.one_url.is_some(), ..ServerRoute::at(name, url, servers) }))
}

/// gRPC's paths are fixed, so there the host that is asked names the agent, or else the tenant does. A call that names nobody is
/// one to an agent that isn't there: who may call nobody must not learn which hosts are somebody's.
fn over_grpc(agents: &Agents, url: &str, arrival: &Arrival) -> Result<ServerRoute, RouteError> {
    if arrival.version != Version::HTTP_2 {
        return Err(RouteError::NotFound); // Its status is in trailers, which others would not be given.
    }
    let path = arrival.uri.path();
    let tenant = arrival.body.as_ref().ok().and_then(|body| a2a::tenant_of(path, body));
    let tenant = tenant.as_deref().filter(|tenant| !tenant.is_empty());
    let host = arrival.uri.authority().map(|authority| authority.host());
    let is_at = |agent: &&Arc<Agent>| agent.host.as_ref().zip(host).is_some_and(|(own, host)| own.is(host));
    if let Some(agent) = agents.values().find(is_at) {
        return Ok(to_agent(agents, url, &agent.name, path, tenant)); // The tenant is its own, whatever it is.
    }
    let named = tenant.map(by_tenant).filter(|(name, _)| crate::config::check::is_server_name(name));
    let (name, tenant) = named.unwrap_or_default();
    Ok(to_agent(agents, url, name, path, tenant))
}

/// The agent that a tenant names, and its own tenant: `<agent>`, or `<agent>/<tenant>`.
fn by_tenant(tenant: &str) -> (&str, Option<&str>) {
    tenant.split_once('/').map_or((tenant, None), |(agent, tenant)| (agent, Some(tenant)))
}

fn to_agent(agents: &Agents, url: &str, name: &str, below: &str, tenant: Option<&str>) -> ServerRoute {
    let agent = agents.get(name).cloned();
    let binding = a2a::binding(below);
    let tenant = tenant.map(str::to_owned);
    let route = AgentRoute { agent, below: below.to_owned(), binding, tenant };
    let interface = |agent: &Arc<Agent>| match route.is_card() {
        true => agent.first_interface().cloned(), // No call goes there; it says whose name is revoked.
        false => agent.interface(binding).cloned(),
    };
    let server = route.agent.as_ref().and_then(interface);
    let agent = Some(route);
    ServerRoute { name: name.to_owned(), url: url.to_owned(), server, agent, one_url: false, open: false }
}

fn server_name(path: &str) -> Option<&str> {
    path.strip_prefix("/mcp/").filter(|name| crate::config::check::is_server_name(name))
}

/// The agent that a path names, and what stands behind its name.
pub(crate) fn agent_path(path: &str) -> Option<(&str, &str)> {
    let rest = path.strip_prefix("/a2a/")?;
    let end = rest.find('/').unwrap_or(rest.len());
    let (name, below) = rest.split_at_checked(end)?;
    crate::config::check::is_server_name(name).then_some((name, below))
}

/// What of a path is the operation's, where it is a call to an agent.
pub(crate) fn operation_path(path: &str) -> Option<&str> {
    let is_grpc = a2a::binding(path) == Binding::Grpc;
    agent_path(path).map(|(_, below)| below).or(is_grpc.then_some(path))
}

/// Whether a path is one that a token can be for.
pub(crate) fn is_endpoint(path: &str) -> bool {
    path == one_url::PATH
        || server_name(path).is_some()
        || agent_path(path).is_some_and(|(_, below)| below.is_empty())
}

/// The upstream that a permit opens.
pub fn upstream<'p>(pool: &'p Pool, identity: &Arc<Identity>, server: Arc<Server>) -> Upstream<'p> {
    Upstream::new(pool, server, Arc::clone(identity))
}

/// The audiences whose tokens are for the gateway itself and no one server: its URL, and a credential made for the caller.
pub fn token_audiences(url: &str, caller: &Caller) -> Vec<String> {
    vec![url.to_owned(), caller.spiffe_id().to_owned()]
}

impl AgentRoute {
    /// Whether it is the agent's card that is asked for, and not the agent.
    pub fn is_card(&self) -> bool {
        self.below == CARD
    }
}

impl ServerRoute {
    /// The way to an agent, as far as it matters who may see it.
    pub fn to_see(agent: &Arc<Agent>, url: &str) -> Self {
        let (server, binding) = (agent.first_interface().cloned(), Binding::HttpJson);
        let route =
            AgentRoute { agent: Some(Arc::clone(agent)), below: String::new(), binding, tenant: None };
        let name = agent.name.clone();
        Self { name, url: url.to_owned(), server, agent: Some(route), one_url: false, open: false }
    }

    /// The way to a server, whether or not there is one.
    pub fn at(name: &str, url: &str, servers: &Servers) -> Self {
        let server = servers.get(name).cloned();
        Self { name: name.to_owned(), url: url.to_owned(), server, agent: None, one_url: false, open: false }
    }

    /// The URL of all servers, which is nobody's in particular. It is open without a token if each of them is.
    pub fn of_all(url: &str, servers: &Servers) -> Self {
        let open = !servers.is_empty() && servers.values().all(|server| !server.subject_required);
        Self { one_url: true, open, ..Self::at("", url, servers) }
    }

    /// The name in the path, or that of whom a call over gRPC is for; it may name nobody, and be empty then.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The server, if there is one.
    pub fn server(&self) -> Option<&Arc<Server>> {
        self.server.as_ref()
    }

    /// The audiences whose tokens open it: the gateway's URL, its own, and a credential made for the caller itself.
    pub fn token_audiences(&self, caller: &Caller) -> Vec<String> {
        if self.one_url {
            return vec![
                self.url.clone(),
                format!("{}{}", self.url, one_url::PATH),
                caller.spiffe_id().to_owned(),
            ];
        }
        let kind = if self.agent.is_some() { "a2a" } else { "mcp" };
        vec![self.url.clone(), format!("{}/{kind}/{}", self.url, self.name), caller.spiffe_id().to_owned()]
    }

    /// What is more to say of an agent; none for a server.
    pub fn agent(&self) -> Option<&AgentRoute> {
        self.agent.as_ref()
    }

    /// Whether a call needs a subject token; one to nobody does, like the default. A card is shown without one, too.
    pub fn subject_required(&self) -> bool {
        if self.agent.as_ref().is_some_and(AgentRoute::is_card) {
            return false;
        }
        !self.open && self.server.as_ref().is_none_or(|s| s.subject_required)
    }

    /// Whether keys in arguments may differ by case alone.
    pub fn case_variants_in_arguments(&self) -> bool {
        self.server.as_ref().is_some_and(|s| s.case_variants_in_arguments)
    }

    /// Whether clients may answer, because the server may ask.
    pub fn client_answers(&self) -> bool {
        self.server.as_ref().is_some_and(|s| !s.server_requests.is_empty())
    }
}
