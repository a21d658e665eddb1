//! What is revoked now, for what outlives a request: an answer that streams rests on names that may be revoked meanwhile.
//! Most answers are here before anything could have changed: those cost the reading of a number.

use super::{Name, Revocations, Revoked, of_server, of_token};
use crate::authorize::Question;
use crate::config::Server;
use crate::identity::Caller;
use crate::token::SubjectToken;
use certs::Clock;
use std::future::pending;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use tokens::Authentic;
use tokio::sync::watch;

/// The set that holds now. Its changes are told to whoever waits for something.
#[derive(Debug)]
pub struct Live {
    current: watch::Sender<Arc<Revocations>>,
    /// That of the current set, at the latest in a moment.
    epoch: AtomicU64,
    /// Whether the set's source has been away for longer than it should.
    overdue: AtomicBool,
}

/// What an answer under way rests on. An open stream keeps it, so it holds no token.
#[derive(Debug)]
pub struct Basis {
    /// Who called.
    pub caller: Caller,
    /// What the subject's token said.
    pub token: Option<Arc<Authentic>>,
    /// The sessions' names, as in [`Name::Session`]: the server's, and that of the URL of all servers that it belongs to.
    pub sessions: Vec<String>,
    /// Who was called.
    pub server: Option<Arc<Server>>,
    /// Which tool of it.
    pub tool: Option<String>,
}

/// Keeps an answer to what it rests on: it ends once any of that is revoked.
#[derive(Debug)]
pub struct Hold {
    basis: Basis,
    live: Arc<Live>,
    /// The epoch of the set under which the basis was found good last.
    judged: u64,
    /// From the first time on that something had to be waited for.
    changes: Option<watch::Receiver<Arc<Revocations>>>,
    clock: Clock,
}

impl Live {
    /// Begins with a set.
    pub fn new(first: Arc<Revocations>) -> Self {
        let epoch = AtomicU64::new(first.epoch());
        Self { epoch, current: watch::Sender::new(first), overdue: AtomicBool::new(false) }
    }

    /// Whether it is known what is revoked, lately enough to serve.
    pub fn is_ready(&self) -> bool {
        self.current.borrow().is_known() && !self.overdue.load(Ordering::Relaxed)
    }

    pub(super) fn set_overdue(&self, overdue: bool) {
        self.overdue.store(overdue, Ordering::Relaxed);
    }

    /// The set that holds now.
    pub fn current(&self) -> Arc<Revocations> {
        Arc::clone(&self.current.borrow())
    }

    /// Holds to another set from now on.
    pub(crate) fn swap(&self, next: Arc<Revocations>) {
        let epoch = next.epoch();
        self.current.send_replace(next);
        self.epoch.store(epoch, Ordering::Release);
    }
}

impl Basis {
    /// What the answer to a question rests on, in sessions of these names.
    pub fn of(question: &Question<'_>, sessions: [Option<&str>; 2]) -> Self {
        let tool = question.call.tool().map(ToOwned::to_owned);
        let sessions = sessions.into_iter().flatten().map(ToOwned::to_owned).collect();
        Self {
            caller: question.caller.clone(),
            token: question.subject.map(SubjectToken::said),
            sessions,
            server: question.server.server().cloned(),
            tool,
        }
    }

    fn names(&self) -> impl Iterator<Item = Name<'_>> {
        let token = self.token.iter().flat_map(|token| of_token(token.claims()));
        let sessions = self.sessions.iter().map(|digest| Name::Session(digest.as_str().into()));
        let server = self.server.as_deref().map(of_server);
        let tool = self
            .server
            .as_deref()
            .zip(self.tool.as_deref())
            .map(|(server, tool)| Name::Tool { server: server.name.as_str().into(), tool: tool.into() });
        let caller = Name::SpiffeId(self.caller.spiffe_id().into());
        [caller].into_iter().chain(token).chain(sessions).chain(server).chain(tool)
    }
}

impl Hold {
    /// Holds to what is revoked from now on; under the set of this epoch the basis was found good.
    pub fn new(basis: Basis, live: &Arc<Live>, judged: u64, clock: Clock) -> Self {
        Self { basis, live: Arc::clone(live), judged, changes: None, clock }
    }

    /// Waits for something, but no longer than until the basis is revoked.
    ///
    /// # Errors
    /// [`Revoked`]; what was waited for must not go on.
    pub async fn unless_revoked<T>(&mut self, awaited: impl Future<Output = T>) -> Result<T, Revoked> {
        if self.live.epoch.load(Ordering::Acquire) != self.judged {
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
        while self.changes().changed().await.is_ok() {
            if let Err(revoked) = self.judge() {
                return revoked;
            }
        }
        pending().await // The set has gone with its gateway, and the streams go, too.
    }

    fn changes(&mut self) -> &mut watch::Receiver<Arc<Revocations>> {
        self.changes.get_or_insert_with(|| {
            let mut changes = self.live.current.subscribe();
            changes.mark_changed(); // It may have changed since the epoch was looked at.
            changes
        })
    }

    fn judge(&mut self) -> Result<(), Revoked> {
        let current = self.live.current();
        current.none_of(self.basis.names(), self.clock.now())?;
        self.judged = current.epoch();
        Ok(())
    }
}
