//! What is revoked before its time: workloads, subjects, tokens, sessions and tools, by name.
//! Each stage that learns a name asks the snapshot's set for it, and what streams asks again at each change ([`Hold`]).
//!
//! [`Gateway::revoke`](crate::state::Gateway::revoke) is the one way into a running gateway: it takes the whole current
//! set. Today a file gives it ([`file`]); another source would call the same function.

pub mod file;

use crate::authorize::Question;
use crate::config::Server;
use crate::digest;
use crate::identity::Caller;
use crate::token::SubjectToken;
use certs::{Clock, SpiffeId};
use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::future::pending;
use std::pin::pin;
use std::sync::Arc;
use std::time::SystemTime;
use tokens::{Authentic, Claims};
use tokio::sync::watch;

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

/// What was asked for is revoked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} is revoked")]
pub struct Revoked(pub Name<'static>);

/// The names that are revoked, each until a time or for good.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Revocations {
    names: HashMap<Name<'static>, Option<SystemTime>>,
    epoch: u64,
}

/// What an answer under way rests on. An open stream keeps it, so it holds no token.
#[derive(Debug)]
pub struct Basis {
    /// Who called.
    pub caller: Caller,
    /// What the subject's token said.
    pub token: Option<Arc<Authentic>>,
    /// The session's name, as in [`Name::Session`].
    pub session: Option<String>,
    /// Who was called.
    pub server: Option<Arc<Server>>,
    /// Which tool of it.
    pub tool: Option<String>,
}

/// Keeps an answer to what it rests on: it ends once any of that is revoked.
#[derive(Debug)]
pub struct Hold {
    basis: Basis,
    current: watch::Receiver<Arc<Revocations>>,
    clock: Clock,
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
        self.names == other.names
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

    /// One look where nothing is revoked, one for each name where something is.
    fn none_of<'n>(&self, names: impl IntoIterator<Item = Name<'n>>, now: SystemTime) -> Result<(), Revoked> {
        let revoked: &HashMap<Name<'n>, _> = &self.names;
        if revoked.is_empty() {
            return Ok(());
        }
        let holds = |name: &Name<'n>| {
            revoked.get(name).is_some_and(|until: &Option<SystemTime>| until.is_none_or(|until| now < until))
        };
        names.into_iter().find(holds).map_or(Ok(()), |name| Err(Revoked(name.into_owned())))
    }
}

/// The names in a token.
fn of_token(claims: &Claims) -> impl Iterator<Item = Name<'_>> {
    let subject = Name::Subject { iss: claims.iss.as_str().into(), sub: claims.sub.as_str().into() };
    let jti = claims.jti.as_deref().map(|jti| Name::Jti(jti.into()));
    let actors = claims.actors.iter().map(|actor| Name::SpiffeId(actor.as_str().into()));
    [subject].into_iter().chain(jti).chain(actors)
}

fn of_server(server: &Server) -> Name<'static> {
    Name::SpiffeId(server.spiffe_id.to_string().into())
}

impl Basis {
    /// What the answer to a question rests on, in a session of this name.
    pub fn of(question: &Question<'_>, session: Option<&str>) -> Self {
        let tool = question.call.tool().map(ToOwned::to_owned);
        Self {
            caller: question.caller.clone(),
            token: question.subject.map(SubjectToken::said),
            session: session.map(ToOwned::to_owned),
            server: question.server.server().cloned(),
            tool,
        }
    }

    fn names(&self) -> impl Iterator<Item = Name<'_>> {
        let token = self.token.iter().flat_map(|token| of_token(token.claims()));
        let session = self.session.as_deref().map(|digest| Name::Session(digest.into()));
        let server = self.server.as_deref().map(of_server);
        let tool = self
            .server
            .as_deref()
            .zip(self.tool.as_deref())
            .map(|(server, tool)| Name::Tool { server: server.name.as_str().into(), tool: tool.into() });
        let caller = Name::SpiffeId(self.caller.spiffe_id().into());
        [caller].into_iter().chain(token).chain(session).chain(server).chain(tool)
    }
}

impl Hold {
    /// Holds to what is revoked now and from now on.
    pub fn new(basis: Basis, mut current: watch::Receiver<Arc<Revocations>>, clock: Clock) -> Self {
        current.mark_changed(); // The list may have changed since the request took its snapshot.
        Self { basis, current, clock }
    }

    /// Waits for something, but no longer than until the basis is revoked.
    ///
    /// # Errors
    /// [`Revoked`]; what was waited for must not go on.
    pub async fn unless_revoked<T>(&mut self, awaited: impl Future<Output = T>) -> Result<T, Revoked> {
        if self.current.has_changed().unwrap_or(false) {
            self.judge()?; // Before what is awaited: it may be ready again and again.
        }
        let mut awaited = pin!(awaited);
        tokio::select! {
            biased;
            done = awaited.as_mut() => Ok(done),
            revoked = self.revoked() => Err(revoked),
        }
    }

    async fn revoked(&mut self) -> Revoked {
        while self.current.changed().await.is_ok() {
            if let Err(revoked) = self.judge() {
                return revoked;
            }
        }
        pending().await // The gateway has gone, and its streams go with it.
    }

    fn judge(&mut self) -> Result<(), Revoked> {
        let current = Arc::clone(&self.current.borrow_and_update());
        current.none_of(self.basis.names(), self.clock.now())
    }
}

#[cfg(test)]
mod tests;
