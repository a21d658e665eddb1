//! Stage 2 of 9: who is at the other end of this connection, now.
//! In: a handshake that may be hours old. Out: a [`Caller`].
//! The verifier has judged the chain once; expiry and bundle are asked again on each request.

use crate::listener::Handshake;
use crate::revocation::Revoked;
use certs::tls::{PeerError, judge};
use certs::{Identity, Peer, SpiffeId};
use std::sync::Arc;
use std::time::SystemTime;

/// The calling workload, as its X.509-SVID names it, and as it was judged for this request. Only this file can make one.
#[derive(Clone, Debug)]
pub struct Caller(Arc<Named>);

/// Whom a handshake named. It says nothing about now.
#[derive(Debug)]
pub struct Named {
    id: SpiffeId,
    spiffe_id: String,
    thumbprint: String,
    not_after: SystemTime,
}

/// Why a connection names nobody any more.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The SVID ran out while the connection was open.
    #[error("the caller's SVID has expired since the handshake")]
    Expired,
    /// The gateway's own SVID ran out, and nobody has renewed it.
    #[error("the gateway's own SVID has expired")]
    OwnExpired,
    /// The trust bundle has changed, and the chain no longer leads to it.
    #[error("the caller's chain no longer verifies")]
    Withdrawn(#[source] PeerError),
    /// It is revoked.
    #[error(transparent)]
    Revoked(#[from] Revoked),
}

/// Judges the connection's identity again: SVID still valid, bundle still holds (asked once for each generation of it).
///
/// # Errors
/// [`IdentityError`]; the connection ends with the answer.
pub fn caller(handshake: &Handshake, ours: &Identity, now: SystemTime) -> Result<Caller, IdentityError> {
    if now >= handshake.named.not_after {
        return Err(IdentityError::Expired);
    }
    if now >= ours.svid.peer().not_after {
        return Err(IdentityError::OwnExpired);
    }
    if !handshake.judged_under(ours.generation) {
        judge(&handshake.chain, &ours.bundles, now).map_err(IdentityError::Withdrawn)?;
        handshake.note_judged(ours.generation);
    }
    Ok(Caller(Arc::clone(&handshake.named)))
}

impl Named {
    /// What is asked of a peer again and again, worked out once for its connection.
    pub(crate) fn new(peer: &Peer) -> Self {
        Self {
            id: peer.id.clone(),
            spiffe_id: peer.id.to_string(),
            thumbprint: tokens::x5t_s256(peer.thumbprint),
            not_after: peer.not_after,
        }
    }

    /// The end of its SVID.
    pub(crate) fn not_after(&self) -> SystemTime {
        self.not_after
    }
}

impl Caller {
    /// Its SPIFFE ID.
    pub fn id(&self) -> &SpiffeId {
        &self.0.id
    }

    /// The same as text: each stage writes it somewhere.
    pub fn spiffe_id(&self) -> &str {
        &self.0.spiffe_id
    }

    /// SHA-256 of its certificate, base64url: what a token's `cnf.x5t#S256` must be (RFC 8705 §3.1).
    pub fn thumbprint(&self) -> &str {
        &self.0.thumbprint
    }

    /// The end of its SVID.
    pub fn not_after(&self) -> SystemTime {
        self.0.not_after
    }
}
