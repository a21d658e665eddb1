//! Whose a 2025 session is. The upstream's session id never reaches a client: what the client gets is that id sealed
//! together with the session's owner, server and end, so that every replica can open it and nobody else can use it.
//! To everyone but its owner, a session does not exist.
//!
//! Between stages 4 and 5: the caller's id becomes the upstream's. Behind stage 8: the upstream's becomes the caller's.

pub mod count;
pub mod key_ring;

pub use count::{Counts, Reserved};
pub use key_ring::{KeyRing, KeyRingError};

use crate::authorize::Question;
use crate::config::Limits;
use crate::digest::{self, Digest};
use crate::identity::Caller;
use crate::request::Arrival;
use crate::revocation::Revoked;
use crate::token::SubjectToken;
use crate::upstream::LAST_EVENT_ID;
use http::{HeaderValue, Method};
use key_ring::Sealed;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// Whom a session belongs to: a digest of issuer, subject and the caller's SPIFFE ID.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Owner(pub(crate) Digest);

/// The session of one call: opened on the way up, sealed on the way down.
#[derive(Debug)]
pub struct Session<'g> {
    ring: Arc<KeyRing>,
    counts: &'g Counts,
    owner: Owner,
    server: Digest,
    ends: bool,
    now: SystemTime,
    ttl: Duration,
    /// Its place among its owner's, while it is being opened.
    place: Option<Reserved<'g>>,
    /// As the caller knows it, and as the upstream does.
    known: Option<(HeaderValue, HeaderValue)>,
}

/// Why there is no such session. From outside all of them are one.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// No key of the ring opens it: made up, changed, or sealed with a key that is gone.
    #[error("the session id does not open")]
    Unsealed,
    /// It belongs to another principal.
    #[error("the session is another principal's")]
    Owner,
    /// It belongs to another server.
    #[error("the session is another server's")]
    Server,
    /// Its time is over.
    #[error("the session has ended")]
    Ended,
    /// It is revoked.
    #[error(transparent)]
    Revoked(#[from] Revoked),
    /// `Last-Event-ID` names a stream that only a session says the owner of.
    #[error("Last-Event-ID without a session")]
    NoSession,
    /// The owner has as many as one may.
    #[error("the owner has {max} sessions open")]
    TooMany {
        /// The limit.
        max: usize,
    },
}

/// The upstream gave a session id that can't be sealed: not text, or longer than one may be.
#[derive(Debug, thiserror::Error)]
#[error("the upstream's session id can't be sealed")]
pub struct Unsealable;

/// Opens the session that a call is in; none where it is in none and begins none.
///
/// # Errors
/// [`SessionError`]; nothing has gone upstream.
pub fn open<'g>(
    question: &Question<'_>,
    arrival: &Arrival,
    ring: &Arc<KeyRing>,
    counts: &'g Counts,
    limits: &Limits,
) -> Result<Option<Session<'g>>, SessionError> {
    let Some(call) = question.call.mcp() else { return Ok(None) };
    let begins = call.method == "initialize";
    if call.session.is_none() && !begins {
        let resumes = arrival.method == Method::GET && arrival.headers.contains_key(LAST_EVENT_ID);
        return if resumes { Err(SessionError::NoSession) } else { Ok(None) };
    }
    let mut session = Session {
        ring: Arc::clone(ring),
        counts,
        owner: Owner::new(question.caller, question.subject),
        server: digest::of_parts([question.server.name().as_bytes()]),
        ends: call.method == "session/end",
        now: question.now,
        ttl: limits.session_ttl_max,
        place: None,
        known: None,
    };
    if begins {
        let max = limits.sessions_per_owner_max;
        let latest = session.now + session.ttl;
        let place = counts.reserve(session.owner, max, latest, session.now);
        session.place = Some(place.ok_or(SessionError::TooMany { max })?);
    }
    if let Some(shown) = &call.session {
        session.known = Some(session.opened(shown)?);
        question.revocations.session(shown, question.now)?;
    }
    Ok(Some(session))
}

impl Session<'_> {
    fn opened(&self, shown: &str) -> Result<(HeaderValue, HeaderValue), SessionError> {
        let sealed = self.ring.open(shown).ok_or(SessionError::Unsealed)?;
        if sealed.owner != self.owner.0 {
            return Err(SessionError::Owner);
        }
        if sealed.server != self.server {
            return Err(SessionError::Server);
        }
        if sealed.ends <= self.now {
            return Err(SessionError::Ended);
        }
        let header = |text: &str| HeaderValue::try_from(text).map_err(|_| SessionError::Unsealed);
        Ok((header(shown)?, header(&sealed.session)?))
    }

    /// Counts a known session among its owner's, if it isn't there yet: another replica has opened it, or it was ended.
    ///
    /// # Errors
    /// [`SessionError::TooMany`].
    pub fn counted(&self, max: usize) -> Result<(), SessionError> {
        let Some((shown, _)) = &self.known else { return Ok(()) };
        let counted = self.counts.count(self.owner, shown.as_bytes(), max, (self.now + self.ttl, self.now));
        if counted { Ok(()) } else { Err(SessionError::TooMany { max }) }
    }

    /// The id that the upstream knows, if the call is in a session.
    pub fn upstream(&self) -> Option<&HeaderValue> {
        self.known.as_ref().map(|(_, upstream)| upstream)
    }

    /// The id that the caller is given, once the upstream has accepted the call: the known one where the upstream repeats
    /// it, a new one where the call opens a session. Any other is not the caller's to know.
    ///
    /// # Errors
    /// [`Unsealable`] for an upstream's new id that is no session id.
    pub fn accepted(&self, upstream: Option<&HeaderValue>) -> Result<Option<HeaderValue>, Unsealable> {
        if let Some((shown, known)) = &self.known {
            if self.ends {
                self.counts.remove(self.owner, shown.as_bytes());
            }
            return Ok((Some(known) == upstream).then(|| shown.clone()));
        }
        match upstream {
            Some(id) => self.sealed(id).ok_or(Unsealable).map(Some),
            None => Ok(None),
        }
    }

    fn sealed(&self, upstream: &HeaderValue) -> Option<HeaderValue> {
        let session = upstream.to_str().ok()?.to_owned();
        let ends = self.now.checked_add(self.ttl)?;
        let sealed = self.ring.seal(&Sealed { session, owner: self.owner.0, server: self.server, ends })?;
        self.place.as_ref()?.opened(&sealed, ends);
        HeaderValue::try_from(sealed).ok()
    }
}

impl Owner {
    /// The owner that a principal is.
    pub fn new(caller: &Caller, subject: Option<&SubjectToken>) -> Self {
        let claims = subject.map(SubjectToken::claims);
        let (iss, sub) = claims.map(|c| (c.iss.as_str(), c.sub.as_str())).unwrap_or_default();
        Self(digest::of_parts([iss, sub, caller.spiffe_id()].map(str::as_bytes)))
    }
}
