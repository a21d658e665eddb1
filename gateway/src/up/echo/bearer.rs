//! The credential that a call to the demo agent brings: made by the embedded token service for this agent, and presented with
//! the certificate that it is bound to.

use crate::exchange::client::ACCESS_TOKEN_TYPE;
use crate::token_service::TokenService;
use certs::Peer;
use http::HeaderMap;
use http::header::AUTHORIZATION;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokens::{Claims, Expect, Keys};

/// Judges credentials.
pub(super) struct Bearer {
    service: Arc<TokenService>,
    expect: Expect,
}

/// Not a credential for this agent. Whoever asks learns no more.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NotAccepted;

impl Bearer {
    /// For the agent with this SPIFFE ID, which is its audience.
    pub(super) fn new(service: Arc<TokenService>, issuer: String, id: String) -> Self {
        let types = vec![ACCESS_TOKEN_TYPE.to_owned()];
        let expect = Expect { issuer, audiences: vec![id], types, leeway: Duration::from_secs(5) };
        Self { service, expect }
    }

    /// Reads and verifies the token (RFC 6750 §2.1, RFC 8705 §3).
    pub(super) fn claims(
        &self,
        headers: &HeaderMap,
        peer: &Peer,
        now: SystemTime,
    ) -> Result<Claims, NotAccepted> {
        let mut all = headers.get_all(AUTHORIZATION).iter();
        let (Some(value), None) = (all.next(), all.next()) else { return Err(NotAccepted) };
        let (scheme, token) =
            value.to_str().ok().and_then(|value| value.split_once(' ')).ok_or(NotAccepted)?;
        if !scheme.eq_ignore_ascii_case("bearer") {
            return Err(NotAccepted);
        }
        let keys = Keys::from_jwks(self.service.credential_jwks().to_string().as_bytes());
        let keys = keys.map_err(|_| NotAccepted)?;
        let claims = tokens::verify(token.trim(), &keys, &self.expect, now).map_err(|_| NotAccepted)?;
        match &claims.x5t_s256 {
            Some(print) if *print == tokens::x5t_s256(peer.thumbprint) => Ok(claims),
            _ => Err(NotAccepted),
        }
    }
}
