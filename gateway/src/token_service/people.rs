//! What the flows for people share: who may sign in, which programs have registered, what was allowed, and the tokens that
//! come of it. It is all in memory but for the keys and the list of revocations.

use super::clients::{Bounds, Clients};
use super::grants::{Ended, Grants};
use super::settings::Embedded;
use super::users::Failures;
use super::withdrawn::Withdrawn;
use super::{random, users_issuer};
use crate::audit::Audit;
use certs::Clock;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use tokens::{Secret, SigningError};

/// The flows for people, and for workloads that act for themselves.
#[derive(Debug)]
pub struct People {
    pub(super) origin: String,
    pub(super) issuer: String,
    pub(super) settings: Embedded,
    pub(super) withdrawn: Withdrawn,
    /// What binds a login form to the browser that it was given to; made at the start.
    pub(super) form_key: Secret,
    state: Mutex<State>,
    audit: OnceLock<Audit>,
    clock: Clock,
}

/// What changes from request to request.
#[derive(Debug)]
pub(super) struct State {
    pub(super) clients: Clients,
    pub(super) grants: Grants,
    pub(super) failures: Failures,
}

impl People {
    /// The flows at an origin (as `https://127.0.0.1:9001`, the listener that asks for no certificate). Tokens that end
    /// before their time are written to `revocations`, the list that the gateway follows.
    ///
    /// # Errors
    /// [`SigningError::Generate`] if there is no randomness to be had.
    pub fn new(
        origin: &str,
        settings: Embedded,
        revocations: Option<PathBuf>,
        clock: Clock,
    ) -> Result<Self, SigningError> {
        let (limits, lifetimes) = (settings.limits, settings.lifetimes);
        let bounds = Bounds {
            clients_max: limits.clients_max,
            redirect_uris_max: limits.redirect_uris_max,
            per_minute: limits.registrations_per_minute,
            idle_max: lifetimes.client,
        };
        let state = State {
            clients: Clients::new(bounds),
            grants: Grants::new(limits.codes_max, limits.grants_max, lifetimes.code),
            failures: Failures::new(limits.sign_in_failures_max, limits.sign_in_failures_within),
        };
        Ok(Self {
            origin: origin.to_owned(),
            issuer: users_issuer(origin),
            settings,
            withdrawn: Withdrawn::new(revocations),
            form_key: Secret::new(random::text::<32>()?),
            state: Mutex::new(state),
            audit: OnceLock::new(),
            clock,
        })
    }

    /// Where records of what is issued and refused go from now on.
    pub(crate) fn record_in(&self, audit: Audit) {
        let _ = self.audit.set(audit); // There is one gateway; a second one changes nothing.
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Leaves a record, and a line in the log.
    pub(super) fn note(&self, kind: &'static str, what: &str) {
        tracing::info!(kind, what, "token service");
        if let Some(audit) = self.audit.get() {
            audit.event(kind, what, self.clock.now());
        }
    }

    /// Ends access tokens before their time.
    ///
    /// # Errors
    /// [`std::io::Error`] if the gateway's list can't be written: here they have ended, at the gateway not yet.
    pub(super) fn withdraw(&self, ended: &Ended) -> std::io::Result<()> {
        self.withdrawn.add(ended, self.clock.now())
    }
}
