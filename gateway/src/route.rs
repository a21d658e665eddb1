//! Stage 7 of 9, and the signposts before it: which door a path names, and which upstream a permit opens.
//! In: a path, later a permit. Out: a [`Door`], later an [`Upstream`]. A server that isn't configured looks like one
//! whose every call is denied: the path goes on to the same stages and ends in the same words.

use crate::config::Server;
use crate::identity::Caller;
use crate::metadata;
use crate::request::Arrival;
use crate::upstream::{Pool, Upstream};
use certs::Identity;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The servers of a snapshot, by name.
pub type Servers = BTreeMap<String, Arc<Server>>;

/// What a path names.
#[derive(Debug)]
pub enum Door {
    /// RFC 9728 metadata of this resource URL.
    Metadata(String),
    /// `/mcp/<server>`.
    Mcp(ServerRoute),
}

/// A server's endpoint, whether or not there is a server behind it.
#[derive(Clone, Debug)]
pub struct ServerRoute {
    name: String,
    url: String,
    server: Option<Arc<Server>>,
}

/// Why a path leads nowhere.
#[derive(Debug, thiserror::Error)]
pub enum RouteError {
    /// Not one of ours.
    #[error("the path names nothing here")]
    NotFound,
}

/// Reads a path.
///
/// # Errors
/// [`RouteError::NotFound`].
pub fn door(servers: &Servers, url: &str, arrival: &Arrival) -> Result<Door, RouteError> {
    let path = arrival.uri.path();
    if arrival.uri.query().is_some() {
        return Err(RouteError::NotFound); // Nothing here takes one, and an upstream must not see one that policy didn't.
    }
    if metadata::is_below(path) {
        let resource = metadata::resource(url, path).filter(|_| arrival.method == http::Method::GET);
        return resource.map(Door::Metadata).ok_or(RouteError::NotFound);
    }
    let name = server_name(path).ok_or(RouteError::NotFound)?;
    let server = servers.get(name).cloned();
    Ok(Door::Mcp(ServerRoute { name: name.to_owned(), url: url.to_owned(), server }))
}

/// The server that a path names.
pub(crate) fn server_name(path: &str) -> Option<&str> {
    path.strip_prefix("/mcp/").filter(|name| crate::config::check::is_server_name(name))
}

/// The upstream that a permit opens.
pub fn upstream<'p>(pool: &'p Pool, identity: &Arc<Identity>, server: Arc<Server>) -> Upstream<'p> {
    Upstream::new(pool, server, Arc::clone(identity))
}

impl ServerRoute {
    /// The name in the path.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The server, if there is one.
    pub fn server(&self) -> Option<&Arc<Server>> {
        self.server.as_ref()
    }

    /// The audiences whose tokens open it: the gateway's URL, its own, and a credential made for the caller itself.
    pub fn token_audiences(&self, caller: &Caller) -> Vec<String> {
        vec![self.url.clone(), format!("{}/mcp/{}", self.url, self.name), caller.spiffe_id().to_owned()]
    }

    /// Whether a call needs a subject token; one to no server does, like the default.
    pub fn subject_required(&self) -> bool {
        self.server.as_ref().is_none_or(|s| s.subject_required)
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
