//! The embedded token service's own file as it runs: checked, bounded, nothing left to interpret.

use super::keys::Rotation;
use super::users::User;
use certs::SpiffeId;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Who may sign in, and what that gives.
#[derive(Clone, Debug)]
pub struct Embedded {
    /// People, by name.
    pub users: BTreeMap<String, User>,
    /// What workloads may get for themselves.
    pub workloads: BTreeMap<SpiffeId, BTreeSet<String>>,
    /// How signing keys follow each other.
    pub keys: Rotation,
    /// How long what is issued holds.
    pub lifetimes: Lifetimes,
    /// What clients can use up.
    pub limits: EmbeddedLimits,
}

/// How long what is issued holds.
#[derive(Clone, Copy, Debug)]
pub struct Lifetimes {
    /// A code.
    pub code: Duration,
    /// An access token.
    pub access_token: Duration,
    /// A grant, from the sign-in on.
    pub grant: Duration,
    /// A client that nobody uses.
    pub client: Duration,
}

/// What clients can use up.
#[derive(Clone, Copy, Debug)]
#[expect(missing_docs, reason = "the configuration's `EmbeddedLimitsFile` explains each")]
pub struct EmbeddedLimits {
    pub clients_max: usize,
    pub redirect_uris_max: usize,
    pub registrations_per_minute: usize,
    pub codes_max: usize,
    pub grants_max: usize,
    pub sign_in_failures_max: usize,
    pub sign_in_failures_within: Duration,
    pub connections_max: usize,
    pub body_bytes_max: usize,
    pub timeout: Duration,
}
