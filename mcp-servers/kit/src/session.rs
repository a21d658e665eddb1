//! A session belongs to whom it was opened for. Its id on the wire is rmcp's with a keyed digest of the owner behind it,
//! so nothing is stored, and to everyone else the session does not exist.

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use tokens::Claims;

/// Seals session ids with a key that lives as long as the process, as the sessions do.
pub(crate) struct Sessions(hmac::Key);

impl Sessions {
    pub(crate) fn new() -> Result<Self, aws_lc_rs::error::Unspecified> {
        let mut key = [0; 32];
        aws_lc_rs::rand::fill(&mut key)?;
        Ok(Self(hmac::Key::new(hmac::HMAC_SHA256, &key)))
    }

    /// The id that the client gets to see.
    pub(crate) fn seal(&self, id: &str, owner: &Claims) -> String {
        let tag = hmac::sign(&self.0, &bound(id, owner));
        format!("{id}.{}", URL_SAFE_NO_PAD.encode(tag.as_ref()))
    }

    /// rmcp's id, if the session is this owner's.
    pub(crate) fn open<'s>(&self, sealed: &'s str, owner: &Claims) -> Option<&'s str> {
        let (id, tag) = sealed.rsplit_once('.')?;
        let tag = URL_SAFE_NO_PAD.decode(tag).ok()?;
        hmac::verify(&self.0, &bound(id, owner), &tag).ok()?;
        Some(id)
    }
}

/// The owner is issuer, subject and the workload that acts now; each with its length, so that no two owners look alike.
fn bound(id: &str, owner: &Claims) -> Vec<u8> {
    let actor = owner.actors.first().map_or("", String::as_str);
    let mut bytes = Vec::new();
    for part in [id, &owner.iss, &owner.sub, actor] {
        bytes.extend_from_slice(&part.len().to_be_bytes());
        bytes.extend_from_slice(part.as_bytes());
    }
    bytes
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test ends by panicking")]
    use super::*;

    fn owner(sub: &str, actor: &str) -> Claims {
        Claims {
            iss: "https://i.test".into(),
            sub: sub.into(),
            actors: vec![actor.into()],
            ..Claims::default()
        }
    }

    #[test]
    fn a_session_exists_for_its_owner_alone() {
        let sessions = Sessions::new().unwrap();
        let sealed = sessions.seal("b7-1", &owner("alice", "spiffe://d.test/a"));
        assert_eq!(sessions.open(&sealed, &owner("alice", "spiffe://d.test/a")), Some("b7-1"));
        assert_eq!(sessions.open(&sealed, &owner("bob", "spiffe://d.test/a")), None);
        assert_eq!(sessions.open(&sealed, &owner("alice", "spiffe://d.test/b")), None);
        assert_eq!(sessions.open("b7-1", &owner("alice", "spiffe://d.test/a")), None);
        assert_eq!(Sessions::new().unwrap().open(&sealed, &owner("alice", "spiffe://d.test/a")), None);
    }
}
