//! What a URL of the relay holds: whose events, of which agent and task, and where to. Nobody else can read or make one.

use crate::cards;
use crate::config::agents;
use crate::revocation::{Provenance, Revoked};
use crate::session::key_ring::{KeyRing, PUSH};
use crate::state::State;
use crate::tasks::Owner;
use protocol::a2a::{Hidden, Push};
use serde::{Deserialize, Serialize};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Bytes of a caller's configuration that are sealed. The URL that comes of it is a third longer.
pub(super) const CONFIG_BYTES_MAX: usize = 4096;
/// Bytes of the names by which the caller's token could be revoked, which are sealed with it.
pub(super) const NAMES_BYTES_MAX: usize = 2048;

/// What is sealed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Seal {
    /// The agent's name here.
    pub(super) agent: String,
    /// Who asked for the events.
    pub(super) owner: Owner,
    /// Whose the tasks are: the same, or of another workload of the same person where policy shares them.
    pub(super) of: Owner,
    /// What the token of who asked can be revoked by.
    pub(super) by: Provenance,
    /// The one task. None: it wasn't there when it was asked for, so it is any of that owner's.
    pub(super) task: Option<String>,
    /// What the caller wrote.
    pub(super) push: Push,
    /// When it works no more, in whole seconds.
    pub(super) ends: SystemTime,
}

/// The same as it is written; it exists inside of these functions alone.
#[derive(Serialize, Deserialize)]
struct Written {
    a: String,
    o: (Option<String>, Option<String>, String),
    #[serde(skip_serializing_if = "Option::is_none")]
    w: Option<(Option<String>, Option<String>, String)>,
    #[serde(skip_serializing_if = "Option::is_none")]
    i: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    j: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    x: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    t: Option<String>,
    u: String,
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    s: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    c: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    k: Option<String>,
    e: u64,
}

/// Why nothing that is posted to a URL goes on, as things are. It is asked when an event comes, and at each attempt to
/// deliver one.
#[derive(Debug, thiserror::Error)]
pub enum Void {
    /// The agent isn't there any more, or its events don't go by the relay.
    #[error("the push URL is of an agent that does not use the relay")]
    Agent,
    /// It is not called either.
    #[error("the card of the push URL's agent is not the pinned one, or requires what is not configured")]
    Quarantined,
    /// Somebody else than the agent.
    #[error("the push URL is another workload's")]
    Caller,
    /// Its time is over.
    #[error("the push URL has ended")]
    Ended,
    /// Whoever asked for the events is revoked, or the token that asked, a workload that handed it on, or the agent.
    #[error(transparent)]
    Revoked(#[from] Revoked),
}

impl Seal {
    /// Whether it is good for what a workload posts.
    ///
    /// # Errors
    /// [`Void`].
    pub(super) fn holds(&self, state: &State, from: &str, now: SystemTime) -> Result<(), Void> {
        let agent = state.agents.get(&self.agent).ok_or(Void::Agent)?;
        if agent.first_interface().is_none_or(|server| server.spiffe_id.to_string() != from) {
            return Err(Void::Caller);
        }
        if agent.push != agents::Push::Relay {
            return Err(Void::Agent);
        }
        if !cards::is_heard(&state.cards, agent) {
            return Err(Void::Quarantined);
        }
        if self.ends <= now {
            return Err(Void::Ended);
        }
        Ok(state.revocations.relay([&self.owner, &self.of], &self.by, from, now)?)
    }

    /// Seals it. None: it can't be written, or there is no key.
    pub(super) fn seal(&self, ring: &KeyRing) -> Option<String> {
        let whose = |owner: &Owner| (owner.iss.clone(), owner.sub.clone(), owner.spiffe_id.clone());
        let exposed = |hidden: &Option<Hidden>| hidden.as_ref().map(|hidden| hidden.expose().to_owned());
        let issuer = self.by.subject.as_ref().map(|(iss, _)| iss);
        let written = Written {
            a: self.agent.clone(),
            i: issuer.filter(|iss| Some(*iss) != self.owner.iss.as_ref()).cloned(),
            o: whose(&self.owner),
            w: (self.of != self.owner).then(|| whose(&self.of)),
            j: self.by.jti.clone(),
            x: self.by.actors.clone(),
            t: self.task.clone(),
            u: self.push.url.clone(),
            s: self.push.schemes.clone(),
            c: exposed(&self.push.credentials),
            k: exposed(&self.push.token),
            e: self.ends.duration_since(UNIX_EPOCH).ok()?.as_secs(),
        };
        ring.seal_as(PUSH, serde_json::to_vec(&written).ok()?)
    }

    /// Opens one that a gateway with the same keys sealed.
    pub(super) fn open(ring: &KeyRing, text: &str) -> Option<Self> {
        let written: Written = serde_json::from_slice(&ring.open_as(PUSH, text)?).ok()?;
        let whose = |(iss, sub, spiffe_id)| Owner { iss, sub, spiffe_id };
        let owner = whose(written.o);
        let subject = written.i.or_else(|| owner.iss.clone()).zip(owner.sub.clone()); // By another issuer it has the same name.
        Some(Self {
            agent: written.a,
            of: written.w.map_or_else(|| owner.clone(), whose),
            owner,
            by: Provenance { subject, jti: written.j, actors: written.x },
            task: written.t,
            push: Push {
                id: None,
                url: written.u,
                schemes: written.s,
                credentials: written.c.map(Hidden::new),
                token: written.k.map(Hidden::new),
            },
            ends: UNIX_EPOCH.checked_add(Duration::from_secs(written.e))?,
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test ends by panicking")]
    use super::*;
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    fn seal() -> Seal {
        let owner = |path: &str| Owner {
            iss: Some("https://issuer.example".into()),
            sub: Some("alice".into()),
            spiffe_id: format!("spiffe://bank.test/{path}"),
        };
        Seal {
            agent: "trainer".into(),
            owner: owner("agent/auditor"),
            of: owner("agent/clerk"),
            by: Provenance {
                subject: Some(("https://credentials.example".into(), "alice".into())),
                jti: Some("token-1".into()),
                actors: vec!["spiffe://bank.test/agent/orchestrator".into()],
            },
            task: Some("t".into()),
            push: Push {
                id: None,
                url: "https://hooks.example/a".into(),
                schemes: vec!["Bearer".into()],
                credentials: Some(Hidden::new("s3cret".into())),
                token: Some(Hidden::new("tok".into())),
            },
            ends: UNIX_EPOCH + Duration::from_secs(1_800_000_000),
        }
    }

    #[test]
    fn what_is_sealed_opens_and_any_changed_byte_closes_it() {
        let ring = KeyRing::of_the_moment().unwrap();
        let text = seal().seal(&ring).unwrap();
        assert_eq!(Seal::open(&ring, &text), Some(seal()));
        assert!(!format!("{:?}", seal()).contains("s3cret"), "a secret is printed");
        let bytes = URL_SAFE_NO_PAD.decode(&text).unwrap();
        assert!(!bytes.windows(6).any(|w| w == b"s3cret"));
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            assert_eq!(Seal::open(&ring, &URL_SAFE_NO_PAD.encode(&changed)), None, "byte {at}");
            assert_eq!(Seal::open(&ring, &URL_SAFE_NO_PAD.encode(&bytes[..at])), None, "cut at {at}");
        }
        assert_eq!(Seal::open(&KeyRing::of_the_moment().unwrap(), &text), None, "another gateway's");
    }

    #[test]
    fn a_session_is_no_push_url_and_no_push_url_a_session() {
        let ring = KeyRing::of_the_moment().unwrap();
        assert_eq!(ring.open(&seal().seal(&ring).unwrap()), None);
        let session =
            ring.seal_as(1, serde_json::to_vec(&serde_json::json!({"a": "trainer"})).unwrap()).unwrap();
        assert_eq!(Seal::open(&ring, &session), None);
        let bytes = URL_SAFE_NO_PAD.decode(&session).unwrap();
        let renamed = [&[PUSH][..], &bytes[1..]].concat();
        assert_eq!(ring.open_as(PUSH, &URL_SAFE_NO_PAD.encode(renamed)), None, "the form is sealed with it");
    }
}
