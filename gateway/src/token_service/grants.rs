//! What people have allowed: a code that was given, the grant that it became, and the one refresh token that continues it.
//! In memory alone, as digests: a restart ends them all, and people sign in again.

use super::random::{self, same};
use crate::digest::{self, Digest};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, SystemTime};
use tokens::{Secret, SigningError};

/// What somebody has allowed whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Allowed {
    /// The person.
    pub(super) user: String,
    /// The workload that may present what comes of it.
    pub(super) agent: String,
    /// The registered program that asked.
    pub(super) client: String,
    /// The one resource that it is for.
    pub(super) resource: String,
    /// What the program may do.
    pub(super) scopes: BTreeSet<String>,
}

/// A code, as it was given.
#[derive(Clone, Debug)]
struct Code {
    ends: SystemTime,
    state: CodeState,
}

#[derive(Clone, Debug)]
enum CodeState {
    Given {
        allowed: Allowed,
        redirect: String,
        challenge: String,
        grant_ends: SystemTime,
    },
    /// It is over; the grant that it gave, if it gave one.
    Used(Option<String>),
}

#[derive(Debug)]
struct Grant {
    allowed: Allowed,
    ends: SystemTime,
    refresh: Digest,
    /// Access tokens that may still hold: their `jti` and their end.
    issued: Vec<(String, SystemTime)>,
}

/// Access tokens that are to hold no longer: their `jti` and the end that they had.
pub type Ended = Vec<(String, SystemTime)>;

/// What a code or a refresh token gives.
#[derive(Debug)]
pub(super) struct Given {
    /// The grant's name.
    pub(super) id: String,
    /// What was allowed.
    pub(super) allowed: Allowed,
    /// Nothing that comes of it may hold longer.
    pub(super) ends: SystemTime,
    /// The refresh token that continues it.
    pub(super) refresh: Secret,
}

/// Why a code or a refresh token gives nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum GivesNothing {
    #[error("the code is not known, or over")]
    Code,
    #[error("the code was presented before: all that it gave has ended")]
    CodeAgain(Ended),
    #[error("the code is another client's")]
    OthersCode,
    #[error("the redirect_uri is not the one that the code was given for")]
    Redirect,
    #[error("the code_verifier does not fit the code_challenge")]
    Verifier,
    #[error("the refresh token is not known, or over")]
    Refresh,
    #[error("the refresh token was used before: all that it was part of has ended")]
    RefreshAgain(Ended),
    #[error("the refresh token is another client's")]
    OthersRefresh,
    #[error("what was allowed has ended meanwhile")]
    Ended,
    #[error("the resource is not the one that was allowed")]
    Resource,
    #[error("the scope is more than what was allowed")]
    Scope,
    #[error("too many grants are open; try again later")]
    Full,
    #[error("no random bytes are to be had")]
    Random,
}

impl From<SigningError> for GivesNothing {
    fn from(_: SigningError) -> Self {
        Self::Random
    }
}

/// How a client presents a code.
pub(super) struct Presented<'a> {
    pub(super) client: &'a str,
    pub(super) redirect: &'a str,
    pub(super) verifier: &'a str,
    pub(super) resource: Option<&'a str>,
}

/// All codes and grants.
#[derive(Debug)]
pub(super) struct Grants {
    codes: HashMap<Digest, Code>,
    grants: HashMap<String, Grant>,
    codes_max: usize,
    grants_max: usize,
    code_ttl: Duration,
}

impl Grants {
    pub(super) fn new(codes_max: usize, grants_max: usize, code_ttl: Duration) -> Self {
        Self { codes: HashMap::new(), grants: HashMap::new(), codes_max, grants_max, code_ttl }
    }

    /// A code for what somebody has just allowed until `grant_ends`, bound to a redirect URI and a challenge (RFC 7636).
    ///
    /// # Errors
    /// [`GivesNothing::Full`].
    pub(super) fn code(
        &mut self,
        allowed: Allowed,
        redirect: &str,
        challenge: &str,
        grant_ends: SystemTime,
        now: SystemTime,
    ) -> Result<String, GivesNothing> {
        self.forget_ended(now);
        let waiting =
            self.codes.values().filter(|code| matches!(code.state, CodeState::Given { .. })).count();
        if waiting >= self.codes_max || self.grants.len() >= self.grants_max {
            return Err(GivesNothing::Full);
        }
        let code = random::text::<32>()?;
        let (redirect, challenge) = (redirect.to_owned(), challenge.to_owned());
        let state = CodeState::Given { allowed, redirect, challenge, grant_ends };
        self.codes.insert(digest::of(code.as_bytes()), Code { ends: now + self.code_ttl, state });
        Ok(code)
    }

    /// Takes a code, once: whoever presents it wrongly has ended it, whoever presents it again has ended what it gave
    /// (RFC 6749 §4.1.2).
    ///
    /// # Errors
    /// [`GivesNothing`].
    pub(super) fn redeem(
        &mut self,
        code: &str,
        by: &Presented<'_>,
        now: SystemTime,
    ) -> Result<Given, GivesNothing> {
        self.forget_ended(now);
        let key = digest::of(code.as_bytes());
        let known = self.codes.get_mut(&key).ok_or(GivesNothing::Code)?;
        let (allowed, redirect, challenge, ends) =
            match std::mem::replace(&mut known.state, CodeState::Used(None)) {
                CodeState::Used(None) => return Err(GivesNothing::CodeAgain(Vec::new())),
                CodeState::Used(Some(id)) => return Err(GivesNothing::CodeAgain(self.end(&id))),
                CodeState::Given { allowed, redirect, challenge, grant_ends } => {
                    (allowed, redirect, challenge, grant_ends)
                }
            };
        if known.ends <= now {
            return Err(GivesNothing::Code);
        }
        if allowed.client != by.client {
            return Err(GivesNothing::OthersCode);
        }
        if redirect != by.redirect {
            return Err(GivesNothing::Redirect);
        }
        if !fits(&challenge, by.verifier) {
            return Err(GivesNothing::Verifier);
        }
        if by.resource.is_some_and(|resource| resource != allowed.resource) {
            return Err(GivesNothing::Resource);
        }
        let (id, secret) = (random::text::<16>()?, random::text::<32>()?);
        known.state = CodeState::Used(Some(id.clone()));
        let grant = Grant {
            allowed: allowed.clone(),
            ends,
            refresh: digest::of(secret.as_bytes()),
            issued: Vec::new(),
        };
        self.grants.insert(id.clone(), grant);
        Ok(Given { refresh: Secret::new(format!("{id}.{secret}")), id, allowed, ends })
    }

    /// Changes a refresh token for the next one. One that was changed before ends the grant: two have it, and which of them
    /// is the right one nobody can say (RFC 9700 §4.14.2). `scopes` may be fewer than were allowed, for this once.
    ///
    /// # Errors
    /// [`GivesNothing`].
    pub(super) fn refresh(
        &mut self,
        token: &str,
        client: &str,
        resource: Option<&str>,
        scopes: Option<BTreeSet<String>>,
        now: SystemTime,
    ) -> Result<Given, GivesNothing> {
        self.forget_ended(now);
        let (id, secret) = token.split_once('.').ok_or(GivesNothing::Refresh)?;
        let grant = self.grants.get_mut(id).ok_or(GivesNothing::Refresh)?;
        if !same(&grant.refresh, &digest::of(secret.as_bytes())) {
            return Err(GivesNothing::RefreshAgain(self.end(id)));
        }
        if grant.allowed.client != client {
            return Err(GivesNothing::OthersRefresh);
        }
        if resource.is_some_and(|resource| resource != grant.allowed.resource) {
            return Err(GivesNothing::Resource);
        }
        let mut allowed = grant.allowed.clone();
        if let Some(scopes) = scopes {
            if scopes.is_empty() || !scopes.is_subset(&allowed.scopes) {
                return Err(GivesNothing::Scope);
            }
            allowed.scopes = scopes;
        }
        let next = random::text::<32>()?;
        grant.refresh = digest::of(next.as_bytes());
        let refresh = Secret::new(format!("{id}.{next}"));
        Ok(Given { id: id.to_owned(), allowed, ends: grant.ends, refresh })
    }

    /// Notes an access token that a grant has given, so that it can end with it.
    ///
    /// # Errors
    /// [`GivesNothing::Ended`] if somebody has ended the grant while the token was signed: nobody is to have it.
    pub(super) fn note(
        &mut self,
        id: &str,
        jti: String,
        ends: SystemTime,
        now: SystemTime,
    ) -> Result<(), GivesNothing> {
        let grant = self.grants.get_mut(id).ok_or(GivesNothing::Ended)?;
        grant.issued.retain(|(_, ends)| now < *ends);
        grant.issued.push((jti, ends));
        Ok(())
    }

    /// Ends the grant that a client's refresh token continues, as it wishes. None if there is no such grant.
    ///
    /// # Errors
    /// [`GivesNothing::OthersRefresh`].
    pub(super) fn revoke(&mut self, token: &str, client: &str) -> Result<Option<Ended>, GivesNothing> {
        let Some((id, _)) = token.split_once('.') else { return Ok(None) };
        match self.grants.get(id) {
            None => Ok(None),
            Some(grant) if grant.allowed.client != client => Err(GivesNothing::OthersRefresh),
            Some(_) => Ok(Some(self.end(id))),
        }
    }

    fn end(&mut self, id: &str) -> Ended {
        self.grants.remove(id).map(|grant| grant.issued).unwrap_or_default()
    }

    /// A used code is remembered as long as what it gave.
    fn forget_ended(&mut self, now: SystemTime) {
        self.grants.retain(|_, grant| now < grant.ends);
        self.codes.retain(|_, code| {
            now < code.ends
                || matches!(&code.state, CodeState::Used(Some(id)) if self.grants.contains_key(id))
        });
    }
}

/// Whether a verifier gives the challenge (RFC 7636 §4.6, S256).
fn fits(challenge: &str, verifier: &str) -> bool {
    let unreserved = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'~');
    let formed = (43..=128).contains(&verifier.len()) && verifier.bytes().all(unreserved);
    let gives = URL_SAFE_NO_PAD.encode(digest::of(verifier.as_bytes()));
    formed && same(gives.as_bytes(), challenge.as_bytes())
}

#[cfg(test)]
mod tests;
