//! What is revoked before its time: workloads, subjects, tokens, sessions and tools, by name.
//! Each stage that learns a name asks the snapshot's set for it, and what streams asks again at each change ([`Hold`]).
//!
//! [`Gateway::revoke`](crate::state::Gateway::revoke) is the one way into a running gateway: it takes the whole current
//! set, which a file gives ([`file`]), or a Redis that several gateways share ([`redis`]).

pub mod file;
pub mod live;
pub mod redis;
pub mod source;

pub use live::{Basis, Hold, Live};
pub use source::Source;

use crate::config::Server;
use crate::digest;
use crate::identity::Caller;
use crate::tasks::Owner;
use crate::token::SubjectToken;
use certs::SpiffeId;
use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;
use tokens::Claims;

/// What can be revoked.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Name<'a> {
    /// A workload: as the caller, as the server that is called, or anywhere in a token's chain of actors.
    SpiffeId(Cow<'a, str>),
    /// All of a subject's tokens.
    Subject {
        /// Who vouches for it.
        iss: Cow<'a, str>,
        /// The person or service.
        sub: Cow<'a, str>,
    },
    /// One token, by its `jti`; whoever issued it.
    Jti(Cow<'a, str>),
    /// A session: `sha256:` and the digest of its id as the client knows it, in hex.
    Session(Cow<'a, str>),
    /// One tool of a server.
    Tool {
        /// The name after `/mcp/`.
        server: Cow<'a, str>,
        /// The tool's own.
        tool: Cow<'a, str>,
    },
}

/// A text that names nothing which could be revoked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not {want}")]
pub struct NotAName {
    text: String,
    want: &'static str,
}

/// What was asked for is revoked, for all that is known.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Revoked {
    /// It is on the list.
    #[error("{0} is revoked")]
    Listed(Name<'static>),
    /// Nobody can say what is on the list, so that everything may be.
    #[error("what is revoked is not known")]
    Unknown,
}

/// What a token can be revoked by, for what outlives the request and keeps no token.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Provenance {
    /// Its `iss` and `sub`.
    pub subject: Option<(String, String)>,
    /// Its `jti`.
    pub jti: Option<String>,
    /// The workloads that handed it on.
    pub actors: Vec<String>,
}

/// The names that are revoked, each until a time or for good.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Revocations {
    names: HashMap<Name<'static>, Option<SystemTime>>,
    unknown: bool,
    epoch: u64,
}

impl Name<'static> {
    /// A workload by its SPIFFE ID.
    ///
    /// # Errors
    /// [`NotAName`].
    pub fn spiffe_id(text: &str) -> Result<Self, NotAName> {
        match SpiffeId::new(text) {
            Ok(id) => Ok(Self::SpiffeId(id.to_string().into())),
            Err(_) => Err(NotAName::new(text, "a SPIFFE ID, as spiffe://prod.example/agent/clerk")),
        }
    }

    /// A subject by its issuer and name.
    ///
    /// # Errors
    /// [`NotAName`] if either is empty.
    pub fn subject(iss: &str, sub: &str) -> Result<Self, NotAName> {
        let part = |text: &str| some(text, "the name of an issuer or a subject");
        Ok(Self::Subject { iss: part(iss)?, sub: part(sub)? })
    }

    /// A token by its `jti`.
    ///
    /// # Errors
    /// [`NotAName`] if it is empty.
    pub fn jti(text: &str) -> Result<Self, NotAName> {
        Ok(Self::Jti(some(text, "a token's jti")?))
    }

    /// A session by its id as the client knows it, or by the digest of that as the audit has it.
    ///
    /// # Errors
    /// [`NotAName`] if it is empty, or a digest that is none.
    pub fn session(text: &str) -> Result<Self, NotAName> {
        let want = "a session id, or sha256: and 64 hex digits";
        let Some(digits) = text.strip_prefix(digest::SCHEME) else {
            return some(text, want).map(|id| Self::Session(session(&id).into()));
        };
        let hex = digits.len() == 64 && digits.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        if hex { Ok(Self::Session(text.to_owned().into())) } else { Err(NotAName::new(text, want)) }
    }

    /// A tool, as `s3/get_object`.
    ///
    /// # Errors
    /// [`NotAName`] if the server's name can't be one, or the tool's is missing.
    pub fn tool(text: &str) -> Result<Self, NotAName> {
        match text.split_once('/') {
            Some((server, tool)) if crate::config::check::is_server_name(server) && !tool.is_empty() => {
                Ok(Self::Tool { server: server.to_owned().into(), tool: tool.to_owned().into() })
            }
            _ => Err(NotAName::new(text, "a server's and a tool's name, as s3/get_object")),
        }
    }
}

fn some(text: &str, want: &'static str) -> Result<Cow<'static, str>, NotAName> {
    if text.is_empty() { Err(NotAName::new(text, want)) } else { Ok(text.to_owned().into()) }
}

impl NotAName {
    fn new(text: &str, want: &'static str) -> Self {
        Self { text: text.to_owned(), want }
    }
}

/// The name of a session: the digest of its id as the client knows it.
pub fn session(id: &str) -> String {
    digest::text(&digest::of(id.as_bytes()))
}

impl Name<'_> {
    fn into_owned(self) -> Name<'static> {
        let own = |text: Cow<'_, str>| Cow::Owned(text.into_owned());
        match self {
            Self::SpiffeId(id) => Name::SpiffeId(own(id)),
            Self::Subject { iss, sub } => Name::Subject { iss: own(iss), sub: own(sub) },
            Self::Jti(jti) => Name::Jti(own(jti)),
            Self::Session(digest) => Name::Session(own(digest)),
            Self::Tool { server, tool } => Name::Tool { server: own(server), tool: own(tool) },
        }
    }
}

impl fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SpiffeId(id) => write!(f, "workload {id}"),
            Self::Subject { iss, sub } => write!(f, "subject {sub} of {iss}"),
            Self::Jti(jti) => write!(f, "token {jti}"),
            Self::Session(digest) => write!(f, "session {digest}"),
            Self::Tool { server, tool } => write!(f, "tool {server}/{tool}"),
        }
    }
}

impl Revocations {
    /// How many names are revoked.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// The set of which nobody knows what is in it: to be on the safe side, everything.
    pub fn unknown() -> Self {
        Self { unknown: true, ..Self::default() }
    }

    /// Whether it is known what is in it.
    pub fn is_known(&self) -> bool {
        !self.unknown
    }

    /// Counts the changes of a running gateway's set.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// The same set as the one that follows after another.
    pub(crate) fn after(mut self, before: &Self) -> Self {
        self.epoch = before.epoch + 1;
        self
    }

    /// Whether the same names are revoked, until the same times.
    pub fn same(&self, other: &Self) -> bool {
        (self.unknown, &self.names) == (other.unknown, &other.names)
    }

    /// Whether the caller is revoked.
    ///
    /// # Errors
    /// [`Revoked`].
    pub fn caller(&self, caller: &Caller, now: SystemTime) -> Result<(), Revoked> {
        self.none_of([Name::SpiffeId(caller.spiffe_id().into())], now)
    }

    /// Whether a token is revoked: itself, its subject, or a workload that handed it on.
    ///
    /// # Errors
    /// [`Revoked`].
    pub fn token(&self, subject: Option<&SubjectToken>, now: SystemTime) -> Result<(), Revoked> {
        self.none_of(subject.into_iter().flat_map(|token| of_token(token.claims())), now)
    }

    /// Whether a session is revoked, by its id as the client knows it.
    ///
    /// # Errors
    /// [`Revoked`].
    pub fn session(&self, id: &str, now: SystemTime) -> Result<(), Revoked> {
        self.none_of([id].into_iter().map(|id| Name::Session(session(id).into())), now)
    }

    /// Whether a tool is revoked.
    ///
    /// # Errors
    /// [`Revoked`].
    pub fn tool(&self, server: &str, tool: &str, now: SystemTime) -> Result<(), Revoked> {
        self.none_of([Name::Tool { server: server.into(), tool: tool.into() }], now)
    }

    /// Whether the workload behind a server's name is revoked.
    ///
    /// # Errors
    /// [`Revoked`].
    pub fn server(&self, server: Option<&Arc<Server>>, now: SystemTime) -> Result<(), Revoked> {
        self.none_of(server.into_iter().map(|server| of_server(server)), now)
    }

    /// Whether the events of an agent may not go to who asked for them: who asked, the token that did, whose the tasks are,
    /// or the agent is revoked.
    ///
    /// # Errors
    /// [`Revoked`].
    pub fn relay(
        &self,
        owners: [&Owner; 2],
        by: &Provenance,
        agent: &str,
        now: SystemTime,
    ) -> Result<(), Revoked> {
        let subject = |owner: &Owner| {
            let (iss, sub) = owner.iss.clone().zip(owner.sub.clone())?;
            Some(Name::Subject { iss: iss.into(), sub: sub.into() })
        };
        let [one, other] = owners.map(|owner| owner.spiffe_id.as_str());
        let workloads = [one, other, agent].map(|id| Name::SpiffeId(id.into()));
        self.none_of(owners.into_iter().filter_map(subject).chain(workloads).chain(by.names()), now)
    }

    /// One look where nothing is revoked, one for each name where something is.
    fn none_of<'n>(&self, names: impl IntoIterator<Item = Name<'n>>, now: SystemTime) -> Result<(), Revoked> {
        if self.unknown {
            return Err(Revoked::Unknown);
        }
        let revoked: &HashMap<Name<'n>, _> = &self.names;
        if revoked.is_empty() {
            return Ok(());
        }
        let holds = |name: &Name<'n>| {
            revoked.get(name).is_some_and(|until: &Option<SystemTime>| until.is_none_or(|until| now < until))
        };
        names.into_iter().find(holds).map_or(Ok(()), |name| Err(Revoked::Listed(name.into_owned())))
    }
}

impl Provenance {
    /// Of a token; without one there is nothing.
    pub fn of(subject: Option<&SubjectToken>) -> Self {
        subject.map(SubjectToken::claims).map_or_else(Self::default, |claims| Self {
            subject: Some((claims.iss.clone(), claims.sub.clone())),
            jti: claims.jti.clone(),
            actors: claims.actors.clone(),
        })
    }

    /// The length of what the token says beside its subject.
    pub fn bytes(&self) -> usize {
        self.jti.iter().chain(&self.actors).map(String::len).sum()
    }

    fn names(&self) -> impl Iterator<Item = Name<'_>> {
        let subject = self.subject.as_ref();
        let subject = subject.map(|(iss, sub)| Name::Subject { iss: iss.into(), sub: sub.into() });
        subject.into_iter().chain(names(self.jti.as_deref(), &self.actors))
    }
}

/// The names in a token.
fn of_token(claims: &Claims) -> impl Iterator<Item = Name<'_>> {
    let subject = Name::Subject { iss: claims.iss.as_str().into(), sub: claims.sub.as_str().into() };
    [subject].into_iter().chain(names(claims.jti.as_deref(), &claims.actors))
}

fn names<'a>(jti: Option<&'a str>, actors: &'a [String]) -> impl Iterator<Item = Name<'a>> {
    let actors = actors.iter().map(|actor| Name::SpiffeId(actor.as_str().into()));
    jti.map(|jti| Name::Jti(jti.into())).into_iter().chain(actors)
}

fn of_server(server: &Server) -> Name<'static> {
    Name::SpiffeId(server.spiffe_id.to_string().into())
}

#[cfg(test)]
mod tests;
