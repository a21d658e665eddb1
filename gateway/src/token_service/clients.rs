//! Programs that registered themselves (RFC 7591): on this machine, without a secret, for a while. A registration proves
//! nothing, so all that it gives is a name to show and the loopback addresses that an answer may go to.

use super::{is_scope, random};
use protocol::json::Limits;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokens::SigningError;
use url::{Host, Url};

/// A registered program.
#[derive(Clone, Debug)]
pub(super) struct Client {
    /// What it calls itself.
    pub(super) name: String,
    redirects: Vec<Redirect>,
    used: SystemTime,
    /// Somebody's grant holds it until then.
    held: SystemTime,
}

/// An address on this machine that answers may be sent to (RFC 8252 §7.3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Redirect(Url);

/// Why a program isn't registered.
#[derive(Debug, thiserror::Error)]
pub(super) enum RegistrationError {
    /// Not JSON, or not of that form.
    #[error("the registration is not a JSON object as in RFC 7591")]
    Json(#[from] serde_json::Error),
    /// JSON that two readers could read in two ways.
    #[error("the registration's JSON is not strict")]
    Strict(#[from] protocol::json::JsonError),
    /// No redirect URI, too many, or one that leads elsewhere.
    #[error(
        "redirect_uris needs one to {max} URIs, each http, on 127.0.0.1, [::1] or localhost, without user and fragment"
    )]
    Redirects {
        /// The limit.
        max: usize,
    },
    /// Something that isn't served here.
    #[error("{0} asks for what is not served here")]
    Unserved(&'static str),
    /// Too long to be shown.
    #[error("client_name is longer than {NAME_MAX} characters")]
    Name,
    /// Too many of late.
    #[error("too many registrations; try again later")]
    TooMany,
    /// No random bytes.
    #[error("no identifier could be made")]
    Random(#[from] SigningError),
}

impl RegistrationError {
    /// The error code on the wire (RFC 7591 §3.2.2).
    pub(super) fn code(&self) -> &'static str {
        match self {
            Self::Redirects { .. } => "invalid_redirect_uri",
            Self::Json(_) | Self::Strict(_) | Self::Unserved(_) | Self::Name => "invalid_client_metadata",
            Self::TooMany => "temporarily_unavailable",
            Self::Random(_) => "server_error",
        }
    }
}

/// The registered programs.
#[derive(Debug)]
pub(super) struct Clients {
    by_id: BTreeMap<String, Client>,
    registered: VecDeque<SystemTime>,
    bounds: Bounds,
}

/// What they can use up.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    pub(super) clients_max: usize,
    pub(super) redirect_uris_max: usize,
    pub(super) per_minute: usize,
    pub(super) idle_max: Duration,
}

const NAME_MAX: usize = 100;
const MINUTE: Duration = Duration::from_secs(60);
const GRANT_TYPES: [&str; 2] = ["authorization_code", "refresh_token"];

/// What counts of a registration; the rest is passed over (RFC 7591 §2).
#[derive(Deserialize)]
struct Asked {
    #[serde(default)]
    redirect_uris: Vec<String>,
    client_name: Option<String>,
    token_endpoint_auth_method: Option<String>,
    grant_types: Option<Vec<String>>,
    response_types: Option<Vec<String>>,
    scope: Option<String>,
}

impl Clients {
    pub(super) fn new(bounds: Bounds) -> Self {
        Self { by_id: BTreeMap::new(), registered: VecDeque::new(), bounds }
    }

    /// Registers a program; gives the answer of RFC 7591 §3.2.1.
    ///
    /// # Errors
    /// [`RegistrationError`].
    pub(super) fn register(&mut self, body: &[u8], now: SystemTime) -> Result<Value, RegistrationError> {
        protocol::json::check(body, &Limits { depth_max: 8 })?;
        let asked: Asked = serde_json::from_slice(body)?;
        let redirects = self.redirects(&asked.redirect_uris)?;
        let name = asked.served()?;
        self.make_room(now)?;
        let id = random::text::<16>()?;
        let answer = json!({
            "client_id": id,
            "client_id_issued_at": now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs(),
            "client_name": name,
            "redirect_uris": asked.redirect_uris,
            "token_endpoint_auth_method": "none",
            "grant_types": GRANT_TYPES,
            "response_types": ["code"],
        });
        self.registered.push_back(now);
        self.by_id.insert(id, Client { name, redirects, used: now, held: now });
        Ok(answer)
    }

    /// A client that is still registered, which is used now.
    pub(super) fn used(&mut self, id: &str, now: SystemTime) -> Option<&Client> {
        let idle_max = self.bounds.idle_max;
        let client = self.by_id.get_mut(id).filter(|client| now < client.ends(idle_max))?;
        client.used = client.used.max(now);
        Some(client)
    }

    /// Keeps a client as long as a grant that somebody gave it.
    pub(super) fn hold(&mut self, id: &str, until: SystemTime) {
        if let Some(client) = self.by_id.get_mut(id) {
            client.held = client.held.max(until);
        }
    }

    fn redirects(&self, uris: &[String]) -> Result<Vec<Redirect>, RegistrationError> {
        let max = self.bounds.redirect_uris_max;
        let parsed: Option<Vec<_>> = uris.iter().map(|uri| Redirect::parse(uri)).collect();
        parsed.filter(|all| (1..=max).contains(&all.len())).ok_or(RegistrationError::Redirects { max })
    }

    /// Forgets who is over, and if that isn't enough the one that was idle for the longest. Those that somebody's grant
    /// holds come last, so that whoever only registers can displace one of them at most.
    fn make_room(&mut self, now: SystemTime) -> Result<(), RegistrationError> {
        while self.registered.front().is_some_and(|at| *at + MINUTE <= now) {
            self.registered.pop_front();
        }
        if self.registered.len() >= self.bounds.per_minute {
            return Err(RegistrationError::TooMany);
        }
        self.by_id.retain(|_, client| now < client.ends(self.bounds.idle_max));
        if self.by_id.len() < self.bounds.clients_max {
            return Ok(());
        }
        let oldest = self.by_id.iter().min_by_key(|(_, client)| (now < client.held, client.used));
        if let Some(id) = oldest.map(|(id, _)| id.clone()) {
            self.by_id.remove(&id);
        }
        Ok(())
    }
}

impl Asked {
    /// What it calls itself, if it asks for nothing else than what is served: no secret, the code flow.
    fn served(&self) -> Result<String, RegistrationError> {
        let all = |asked: &Option<Vec<String>>, served: &[&str]| {
            asked.iter().flatten().all(|one| served.contains(&one.as_str()))
        };
        if self.token_endpoint_auth_method.as_ref().is_some_and(|method| method != "none") {
            return Err(RegistrationError::Unserved("token_endpoint_auth_method"));
        }
        if !all(&self.grant_types, &GRANT_TYPES) {
            return Err(RegistrationError::Unserved("grant_types"));
        }
        if !all(&self.response_types, &["code"]) {
            return Err(RegistrationError::Unserved("response_types"));
        }
        if !self.scope.iter().flat_map(|scope| scope.split_whitespace()).all(is_scope) {
            return Err(RegistrationError::Unserved("scope"));
        }
        let name = self.client_name.clone().unwrap_or_else(|| "(no name)".into());
        if name.chars().count() > NAME_MAX { Err(RegistrationError::Name) } else { Ok(name) }
    }
}

impl Client {
    /// Whether answers may go there: a registered address, whatever its port (RFC 8252 §7.3).
    pub(super) fn answers_at(&self, redirect: &Redirect) -> bool {
        self.redirects.iter().any(|registered| registered.portless() == redirect.portless())
    }

    fn ends(&self, idle_max: Duration) -> SystemTime {
        (self.used + idle_max).max(self.held)
    }
}

impl Redirect {
    /// Reads one: `http`, on this machine, nothing in it that hides where it leads.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let url = Url::parse(text).ok()?;
        let loopback = match url.host()? {
            Host::Ipv4(ip) => ip.is_loopback(),
            Host::Ipv6(ip) => ip.is_loopback(),
            Host::Domain(name) => name == "localhost",
        };
        let plain = url.username().is_empty() && url.password().is_none() && url.fragment().is_none();
        (loopback && plain && url.scheme() == "http" && text.len() <= 2048).then_some(Self(url))
    }

    /// With an answer's parameters added.
    pub(super) fn with<'a>(&self, parameters: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
        let mut url = self.0.clone();
        url.query_pairs_mut().extend_pairs(parameters);
        url.into()
    }

    /// What a Content-Security-Policy calls it; IPv6 addresses can't be named there.
    pub(super) fn source(&self) -> String {
        match self.0.host() {
            Some(Host::Ipv6(_)) => "http:".into(),
            _ => self.0.origin().ascii_serialization(),
        }
    }

    fn portless(&self) -> Url {
        let mut url = self.0.clone();
        let _ = url.set_port(None); // It has a host, so a port may be taken away.
        url
    }
}

/// What a refused registration is told.
pub(super) fn told(error: &RegistrationError) -> Value {
    json!({ "error": error.code(), "error_description": error.to_string() })
}

#[cfg(test)]
mod tests;
