//! Agents' cards. A card is read from the agent and verified, held to what is pinned, rewritten so that it leads here and
//! nowhere else, signed with the gateway's key, and shown to those to whom policy shows the agent.
//!
//! A card is what an agent says of itself. It decides nothing here but to refuse: an agent whose card isn't the pinned one,
//! or requires an extension that nobody has agreed to, is not called.

pub mod extended;
mod follow;
mod served;
mod verify;
mod written;

pub use follow::follow;
pub use served::{keys, public};
pub use verify::Verifier;
pub use written::Signer;

use crate::authorize::Question;
use crate::config::agents::Agent;
use crate::https::{Https, HttpsError};
use crate::jwks::JwksError;
use crate::registry::Said;
use crate::route::Agents;
use crate::upstream::UpstreamError;
use bytes::Bytes;
use certs::{Clock, SharedSource};
use http::HeaderValue;
use policy::CardInput;
use protocol::a2a::{self, Method, card};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use tokens::{SigningError, TokenError};

/// What is known of the agents' cards, by the agents' names.
pub type Cards = BTreeMap<String, Standing>;

/// What is known of an agent's card. An agent that is not among the [`Cards`] has not been heard yet.
#[derive(Clone, Debug)]
pub enum Standing {
    /// It is shown.
    Good(Arc<Shown>),
    /// It is not what the pin says.
    Quarantined,
    /// It can't be read, or nobody vouches for it. What it requires is what the last one required that was not refused;
    /// none: there was none.
    Refused(Option<Arc<BTreeSet<String>>>),
}

/// A card as it is shown.
#[derive(Debug)]
pub struct Shown {
    /// The rewritten card, signed by the gateway.
    body: Bytes,
    etag: HeaderValue,
    cache_control: HeaderValue,
    /// Of the agent's own card, as a pin has it.
    digest: String,
    /// The extensions that it requires of callers.
    required: Arc<BTreeSet<String>>,
    /// What of it the list of agents shows.
    said: Said,
    /// The versions that it offers by interfaces that are configured.
    versions: Vec<&'static str>,
    /// What of it policy sees: made once, looked at by each question that asks.
    input: CardInput,
}

impl Standing {
    /// What a card that is shown says of its agent.
    pub fn said(&self) -> Option<&Said> {
        match self {
            Self::Good(shown) => Some(&shown.said),
            Self::Quarantined | Self::Refused(_) => None,
        }
    }

    /// The versions that a card which is shown offers.
    pub fn versions(&self) -> Option<&[&'static str]> {
        match self {
            Self::Good(shown) => Some(&shown.versions),
            Self::Quarantined | Self::Refused(_) => None,
        }
    }

    /// What it requires of callers, as far as anybody knows.
    fn required(&self) -> Option<&Arc<BTreeSet<String>>> {
        match self {
            Self::Good(shown) => Some(&shown.required),
            Self::Refused(last) => last.as_ref(),
            Self::Quarantined => None,
        }
    }
}

/// What is wrong with a card that can't be read, or that nobody vouches for.
const REFUSED: &str = "refused";

/// How the agents' cards are read, by the agents' names.
pub type Clients = BTreeMap<String, Arc<Client>>;

/// How one agent's card is read.
#[derive(Debug)]
pub struct Client {
    https: Https,
    verifier: Verifier,
}

/// Why a card is not what can be shown.
#[derive(Debug, thiserror::Error)]
pub enum CardError {
    /// The agent doesn't give it.
    #[error("the card could not be fetched")]
    Fetch(#[from] HttpsError),
    /// Not JSON, or JSON that two readers could read in two ways.
    #[error("the card is not strict JSON")]
    Json(#[from] protocol::json::JsonError),
    /// Not JSON, or a number in it can't be written.
    #[error("the card is not JSON that can be written again")]
    Form(#[from] serde_json::Error),
    /// Not a card.
    #[error("the card can't be read")]
    Card(#[from] card::CardError),
    /// An answer that is none.
    #[error("the agent's answer has no card")]
    Answer(#[from] a2a::EventError),
    /// Nobody vouches for it.
    #[error("the card is not signed")]
    Unsigned,
    /// A signature of which nobody says how it was made.
    #[error("the card's signature can't be read")]
    Header(#[from] card::HeaderError),
    /// It names no key that is known here, and a `jku` is followed only if the configuration has it.
    #[error("the card's signature names neither a configured key nor an allowed jku")]
    NoKeys,
    /// The keys are not to be had.
    #[error("the keys of the card's signature can't be had")]
    Keys(#[from] JwksError),
    /// The signature doesn't hold.
    #[error("the card's signature does not hold")]
    Signature(#[from] TokenError),
    /// No interface of it leads through the gateway.
    #[error("the card offers no interface that is configured here")]
    Interfaces,
    /// It could not be signed.
    #[error("the card could not be signed")]
    Sign(#[from] SigningError),
}

/// Why a card isn't shown. To its caller it is not there.
#[derive(Debug, thiserror::Error)]
pub enum NotShown {
    /// No such agent.
    #[error("there is no such agent")]
    NoAgent,
    /// Policy doesn't show the agent to this caller.
    #[error("the policy does not show the agent to its caller")]
    Hidden,
    /// There is none that could be shown.
    #[error("the agent's card is {0}")]
    Standing(&'static str),
    /// The extended card that the agent gave is not one to go on.
    #[error("the agent's extended card can't go on")]
    Extended(#[source] CardError),
    /// The answer broke off.
    #[error(transparent)]
    Upstream(#[from] UpstreamError),
}

/// Why an agent isn't called, whatever policy says.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallRefused {
    /// Its card is not the pinned one, or was not to be had so far.
    #[error("the agent's card is not the pinned one")]
    Quarantined,
    /// Nobody can say what its card requires: it was refused and none before it was not, or its configuration speaks of a card
    /// and none was read so far.
    #[error("it is not known what the agent's card requires: {0}")]
    Unread(&'static str),
    /// Its card requires an extension that the agent's configuration doesn't name.
    #[error("the agent's card requires the extension {0}, which is not in its configuration")]
    UnknownExtension(String),
    /// The caller must declare an extension.
    #[error("the call does not declare the extension {0}, which the agent's card requires")]
    Undeclared(String),
}

impl Client {
    fn new(agent: &Agent, source: &SharedSource, clock: &Clock) -> Result<Self, HttpsError> {
        let id = crate::config::HttpsServer::SpiffeId(agent.card.spiffe_id.clone());
        let https = Https::new(&id, source, clock)?;
        Ok(Self { https, verifier: Verifier::new(&agent.card, source, clock)? })
    }
}

/// A client for each agent; those in `before` go on, where their agent is the same.
///
/// # Errors
/// [`HttpsError`] if authorities can't be read.
pub fn clients(
    agents: &Agents,
    before: (&Agents, &Clients),
    source: &SharedSource,
    clock: &Clock,
) -> Result<Clients, HttpsError> {
    let client = |(name, agent): (&String, &Arc<Agent>)| {
        let same = before.0.get(name).is_some_and(|other| Arc::ptr_eq(agent, other));
        let client = match before.1.get(name).filter(|_| same) {
            Some(client) => Arc::clone(client),
            None => Arc::new(Client::new(agent, source, clock)?),
        };
        Ok((name.clone(), client))
    };
    agents.iter().map(client).collect()
}

/// An agent's card, if it is there and the pinned one; else what is wrong with it.
fn good<'c>(cards: &'c Cards, agent: &Agent) -> Result<&'c Shown, &'static str> {
    match cards.get(&agent.name) {
        // The pin is this snapshot's, and may be another one than when the card was read.
        Some(Standing::Good(shown)) if agent.card.pin.as_ref().is_none_or(|pin| *pin == shown.digest) => {
            Ok(shown)
        }
        Some(Standing::Good(_) | Standing::Quarantined) => Err("quarantined"),
        Some(Standing::Refused(_)) => Err(REFUSED),
        None => Err("not read yet"),
    }
}

/// What a rule may ask about an agent's card, if one is shown.
pub fn said<'c>(cards: &'c Cards, agent: &Agent) -> Option<&'c CardInput> {
    good(cards, agent).ok().map(|shown| &shown.input)
}

/// What an agent's card requires of callers. A card that is refused changes nothing of what was required before. An agent
/// without a card requires nothing: it is one as long as none was read, unless its configuration speaks of a card.
fn required<'c>(cards: &'c Cards, agent: &Agent) -> Result<Option<&'c BTreeSet<String>>, CallRefused> {
    let wrong = match good(cards, agent) {
        Ok(shown) => return Ok(Some(&shown.required)),
        Err(wrong) => wrong,
    };
    let standing = cards.get(&agent.name);
    match standing.and_then(Standing::required) {
        _ if agent.card.pin.is_some() => Err(CallRefused::Quarantined),
        Some(last) => Ok(Some(last)),
        None if standing.is_none() && !agent.expects_a_card() => Ok(None),
        None => Err(CallRefused::Unread(wrong)),
    }
}

/// Whether an agent is heard that posts on its own: as long as it is called. Its card is the pinned one, or there is no pin,
/// and requires nothing that is not configured.
pub fn is_heard(cards: &Cards, agent: &Agent) -> bool {
    required(cards, agent)
        .is_ok_and(|required| required.is_none_or(|required| required.is_subset(&agent.extensions)))
}

/// Whether an agent's card lets a permitted call go on.
///
/// # Errors
/// [`CallRefused`]; nothing has gone upstream.
pub fn admit(cards: &Cards, question: &Question<'_>) -> Result<(), CallRefused> {
    let (Some(call), Some(route)) = (question.call.a2a(), question.server.agent()) else { return Ok(()) };
    let Some(agent) = &route.agent else { return Ok(()) };
    let Some(required) = required(cards, agent)? else { return Ok(()) };
    if let Some(unknown) = required.difference(&agent.extensions).next() {
        return Err(CallRefused::UnknownExtension(unknown.clone()));
    }
    if call.method == Method::GetExtendedAgentCard {
        return Ok(()); // It says what has to be declared.
    }
    match required.iter().find(|uri| !call.extensions.contains(uri)) {
        Some(undeclared) => Err(CallRefused::Undeclared(undeclared.clone())),
        None => Ok(()),
    }
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Good(shown) => f.write_str(&shown.digest),
            Self::Quarantined => f.write_str("quarantined"),
            Self::Refused(_) => f.write_str(REFUSED),
        }
    }
}
