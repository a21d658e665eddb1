//! Follows the cards of the agents: what one says becomes part of the next snapshot. An agent that is away for a while keeps
//! the card that it had; one that is new, or written anew, is asked at once.

use super::{CardError, Cards, Client, Shown, Standing};
use crate::audit::chain::hex;
use crate::config::agents::Agent;
use crate::config::problems::chain;
use crate::digest;
use crate::registry::{Said, Skill};
use crate::state::Gateway;
use bytes::Bytes;
use http::{HeaderName, HeaderValue};
use policy::CardInput;
use protocol::a2a::Version;
use protocol::a2a::card::{self, Card, Interface};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;

/// How soon an agent is asked again that has not been heard yet; then after twice as long, up to its `refresh`.
const FIRST: Duration = Duration::from_secs(1);

/// A card that was read and vouched for.
struct Read {
    raw: Value,
    card: Card,
    digest: String,
}

/// Follows the cards of each snapshot's agents, as long as the gateway runs.
pub async fn follow(gateway: Arc<Gateway>) {
    let mut reloads = gateway.reloads.subscribe();
    let mut followed: BTreeMap<String, (Arc<Agent>, JoinSet<()>)> = BTreeMap::new();
    loop {
        let state = gateway.state();
        let is_there =
            |agent: &Arc<Agent>| state.agents.get(&agent.name).is_some_and(|other| Arc::ptr_eq(agent, other));
        for (_, (_, mut follower)) in followed.extract_if(.., |_, (agent, _)| !is_there(agent)) {
            follower.shutdown().await; // So that it says nothing after this.
        }
        if state.cards.keys().any(|name| !state.agents.contains_key(name)) {
            gateway.swap(|next| {
                let cards = next.cards.iter().filter(|(name, _)| next.agents.contains_key(*name));
                next.cards =
                    Arc::new(cards.map(|(name, card)| (name.clone(), card.clone())).collect::<Cards>());
            });
        }
        for (agent, client) in state.agents.values().zip(state.card_clients.values()) {
            followed.entry(agent.name.clone()).or_insert_with(|| {
                let one = one(Arc::clone(&gateway), Arc::clone(agent), Arc::clone(client));
                (Arc::clone(agent), JoinSet::from_iter([one]))
            });
        }
        if reloads.changed().await.is_err() {
            return;
        }
    }
}

/// Follows one agent's card.
async fn one(gateway: Arc<Gateway>, agent: Arc<Agent>, client: Arc<Client>) {
    let known = match gateway.state().cards.get(&agent.name) {
        Some(Standing::Good(shown)) => Some(shown.digest.clone()),
        _ => None,
    };
    let mut follower = Follower { gateway: &gateway, agent: &agent, known, last: None, said: String::new() };
    let mut pause = FIRST;
    loop {
        follower.look(&client).await;
        if gateway.state().cards.contains_key(&agent.name) {
            pause = agent.card.refresh;
        }
        tokio::time::sleep(pause.min(agent.card.refresh)).await;
        pause = pause.saturating_mul(2);
    }
}

struct Follower<'g> {
    gateway: &'g Gateway,
    agent: &'g Agent,
    /// The digest of the last card that was good.
    known: Option<String>,
    /// The digest of the bytes that the present standing comes from.
    last: Option<digest::Digest>,
    /// What was said last of a card that isn't one, so that it is said once.
    said: String,
}

impl Follower<'_> {
    async fn look(&mut self, client: &Client) {
        let at = &self.agent.card;
        let version = (HeaderName::from_static("a2a-version"), HeaderValue::from_static("1.0"));
        let timeout = self.gateway.limits.response_timeout;
        let bytes = match client.https.get_with(&at.url, Some(version), timeout, at.bytes_max).await {
            Ok(bytes) => bytes,
            Err(error) => return self.absent(&error.into()),
        };
        match read(&bytes, client).await {
            Err(error) if error.is_absence() => self.absent(&error),
            Err(error) => self.refused(&error, None),
            Ok(_) if self.last == Some(self.rests_on(&bytes)) => self.said.clear(),
            Ok(read) => {
                self.last = Some(self.rests_on(&bytes));
                self.judged(&read);
            }
        }
    }

    fn judged(&mut self, read: &Read) {
        match &self.agent.card.pin {
            Some(pin) if *pin != read.digest => {
                tracing::error!(
                    agent = self.agent.name,
                    digest = read.digest,
                    pin,
                    "the card is not the pinned one"
                );
                self.record("card_quarantined", format!("{}, pinned is {pin}", read.digest));
                self.stands(Standing::Quarantined, "quarantined");
            }
            _ => match self.shown(read) {
                Err(error) => self.refused(&error, Some(&read.card)),
                Ok(shown) => {
                    tracing::info!(agent = self.agent.name, digest = read.digest, "a card is in use");
                    match self.known.replace(read.digest.clone()) {
                        Some(known) if known != read.digest => {
                            self.record("card_changed", format!("{known} to {}", read.digest));
                        }
                        _ => self.record("card_read", read.digest.clone()),
                    }
                    self.stands(Standing::Good(Arc::new(shown)), "swapped");
                }
            },
        }
    }

    /// What decides how the card is shown.
    fn rests_on(&self, bytes: &[u8]) -> digest::Digest {
        let pushes = self.gateway.push.serves(self.agent);
        digest::of_parts([bytes, &[u8::from(pushes)]])
    }

    fn shown(&self, read: &Read) -> Result<Shown, CardError> {
        let offered = card::interfaces(&read.raw);
        let pushes = self.gateway.push.serves(self.agent);
        let written = self.gateway.cards.written(&read.card, &offered, self.agent, pushes, |_| true)?;
        let body = serde_json::to_vec(&written)?;
        let said = Said::of(&read.card);
        let text = |text: String| HeaderValue::try_from(text).map_err(|_| CardError::Interfaces);
        Ok(Shown {
            etag: text(format!("\"{}\"", hex(&digest::of(&body))))?,
            cache_control: text(format!("private, max-age={}", self.agent.card.refresh.as_secs()))?,
            body: Bytes::from(body),
            digest: read.digest.clone(),
            required: Arc::new(required(&read.card)),
            versions: versions(&offered, self.agent),
            input: CardInput { skills: said.skills.iter().map(Skill::input).collect() },
            said,
        })
    }

    /// A card that can't be had leaves the last one in place.
    fn absent(&mut self, error: &CardError) {
        let said = chain(error);
        if self.said != said {
            tracing::warn!(
                agent = self.agent.name,
                cause = said,
                "the card can't be read, the last one stays"
            );
            self.said = said;
        }
    }

    /// A card that can't be shown takes the last one's place: that one is not what the agent says any more. What it required
    /// stays required, unless there is another card that somebody vouches for.
    fn refused(&mut self, error: &CardError, vouched_for: Option<&Card>) {
        let said = chain(error);
        let state = self.gateway.state();
        let standing = state.cards.get(&self.agent.name);
        let last = || standing.and_then(Standing::required).cloned();
        let known = vouched_for.map(|card| Arc::new(required(card))).or_else(last);
        if self.said != said {
            tracing::error!(agent = self.agent.name, cause = said, "the card is refused");
            self.last = None;
            self.record("card_refused", said.clone());
        } else if matches!(standing, Some(Standing::Refused(stands)) if *stands == known) {
            return;
        }
        self.stands(Standing::Refused(known), "refused");
        self.said = said;
    }

    fn stands(&mut self, standing: Standing, outcome: &'static str) {
        self.said.clear();
        self.gateway.metrics.reload("card", outcome);
        self.gateway.swap(|state| {
            let mut cards = Cards::clone(&state.cards);
            cards.insert(self.agent.name.clone(), standing.clone());
            state.cards = Arc::new(cards);
        });
    }

    fn record(&self, kind: &'static str, cause: String) {
        self.gateway.audit.card(kind, &self.agent.name, cause, self.gateway.clock.now());
    }
}

async fn read(bytes: &[u8], client: &Client) -> Result<Read, CardError> {
    protocol::json::check(bytes, &protocol::json::Limits { depth_max: card::DEPTH_MAX })?;
    let mut raw: Value = serde_json::from_slice(bytes)?;
    card::older::in_todays_words(&mut raw);
    let card = Card::read(&raw)?;
    client.verifier.verify(&card).await?;
    let digest = digest::text(&digest::of(&card.promised()?));
    Ok(Read { raw, card, digest })
}

/// The versions in which an agent is called by the interfaces that are both offered and configured.
fn versions(offered: &[Interface], agent: &Agent) -> Vec<&'static str> {
    let reached = |one: &&Interface| agent.interface(one.binding).is_some();
    let spoken = |version: &Version| offered.iter().filter(reached).any(|one| one.version == *version);
    [Version::V1_0, Version::V0_3].into_iter().filter(spoken).map(Version::as_str).collect()
}

/// The extensions that a card requires of callers.
fn required(card: &Card) -> BTreeSet<String> {
    let extensions = card.members().get("capabilities").and_then(|all| all.get("extensions"));
    let extensions = extensions.and_then(Value::as_array).into_iter().flatten();
    let required = extensions.filter(|one| one.get("required") == Some(&Value::Bool(true)));
    required.map(|one| one.get("uri").and_then(Value::as_str).unwrap_or_default().to_owned()).collect()
}
