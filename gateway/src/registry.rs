//! The list of agents: whom this caller may talk to. It is the question of a list, `visible`, asked of each agent.
//! No call goes anywhere: what the list says stands in the configuration, or is known here already.

pub mod health;
mod query;

pub use query::{Query, QueryError};

use crate::audit::Record;
use crate::authorize::{self, Question};
use crate::cards::Standing;
use crate::config::agents::Agent;
use crate::decode::{self, Call, DecodeError};
use crate::delegation;
use crate::identity::Caller;
use crate::observed::{Observed, Stage};
use crate::reply::Refusal;
use crate::request::Arrival;
use crate::route::ServerRoute;
use crate::state::{Gateway, State};
use crate::token::{self, SubjectToken, TokenError};
use crate::upstream::Answer;
use http::header::{CACHE_CONTROL, HeaderValue, VARY};
use policy::SkillInput;
use protocol::a2a::card::Card;
use protocol::a2a::{Binding, Version};
use serde::Serialize;
use serde_json::{Value, json};
use std::time::{Instant, SystemTime};

/// What the list's own request is called in records and metrics.
pub const METHOD: &str = "agents/list";

/// How long a caller may keep the list.
const KEPT: &str = "private, max-age=10";

/// Who asks, and of which snapshot.
pub struct Asker<'a> {
    /// The gateway.
    pub gateway: &'a Gateway,
    /// Its snapshot.
    pub state: &'a State,
    /// Who calls.
    pub caller: &'a Caller,
    /// The request.
    pub arrival: &'a Arrival,
    /// When.
    pub now: SystemTime,
}

/// An agent as the list shows it.
#[derive(Debug, Serialize)]
pub struct Listed<'a> {
    /// Its name.
    pub name: &'a str,
    /// Where it is called through the gateway.
    pub url: String,
    /// Where over gRPC, if that is a host of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grpc: Option<&'a str>,
    /// The bindings in which it may be.
    pub bindings: Vec<&'static str>,
    /// The versions in which it may be: its card's, or all where none is known.
    pub versions: Vec<&'static str>,
    /// Where its card is.
    pub card: String,
    /// `up`, `down` or `unknown`.
    pub health: &'static str,
    /// What its card says of it, if that is known.
    #[serde(flatten)]
    pub said: Option<Said>,
}

/// What an agent's card says of it.
#[derive(Clone, Debug, Serialize)]
pub struct Said {
    /// What it is for.
    pub description: String,
    /// What it can do.
    pub skills: Vec<Skill>,
}

/// One thing that an agent can do.
#[derive(Clone, Debug, Serialize)]
pub struct Skill {
    /// Its name among the agent's skills.
    pub id: String,
    /// Its name for people.
    pub name: String,
    /// Words to find it by.
    pub tags: Vec<String>,
}

impl Skill {
    /// The same as policy sees it.
    pub(crate) fn input(&self) -> SkillInput {
        SkillInput { id: self.id.clone(), tags: self.tags.clone() }
    }
}

impl Said {
    /// What of a card the list shows.
    pub fn of(card: &Card) -> Self {
        let text = |value: Option<&Value>| value.and_then(Value::as_str).unwrap_or_default().to_owned();
        let all = |value: Option<&Value>| value.and_then(Value::as_array).cloned().unwrap_or_default();
        let skill = |skill: Value| Skill {
            id: text(skill.get("id")),
            name: text(skill.get("name")),
            tags: all(skill.get("tags")).iter().map(|tag| text(Some(tag))).collect(),
        };
        let members = card.members();
        Self {
            description: text(members.get("description")),
            skills: all(members.get("skills")).into_iter().map(skill).collect(),
        }
    }
}

impl Asker<'_> {
    /// The list. Whoever may talk to nobody gets an empty one, and never hears who there is.
    ///
    /// # Errors
    /// [`Refusal`] of a token that is not accepted, a foreign origin, or a query that is not understood.
    pub async fn listed(&self, record: &mut Record, observed: &mut Observed) -> Result<Answer, Refusal> {
        let Self { gateway, state, caller, arrival, now } = *self;
        observed.begins(Stage::Token);
        let subject = token::optional(&arrival.headers, caller, &gateway.url, &state.issuers, now).await?;
        let subject = record.subject(subject);
        delegation::chain(caller, subject.as_ref(), gateway.limits.actors_max).map_err(TokenError::from)?;
        state.revocations.token(subject.as_ref(), now).map_err(TokenError::from)?;
        observed.begins(Stage::Decode);
        decode::let_in(arrival, &gateway.origins)?;
        record.lists_agents();
        let query = Query::read(arrival.uri.query()).map_err(DecodeError::from)?;
        observed.lists_agents();
        let shown = self.shown(&query, subject.as_ref()).await;
        record.listed(shown.len());
        let mut answer = Answer::json(json!({ "agents": shown }).to_string());
        answer.headers.insert(CACHE_CONTROL, HeaderValue::from_static(KEPT));
        answer.headers.insert(VARY, HeaderValue::from_static("Authorization"));
        Ok(answer)
    }

    /// Those of the agents that are asked for and that policy shows. What there is no time for isn't shown.
    async fn shown(&self, query: &Query, subject: Option<&SubjectToken>) -> Vec<Listed<'_>> {
        let Self { gateway, state, caller, arrival, now } = *self;
        let (began, mut pace) = (Instant::now(), gateway.lane.pace());
        let mut shown = Vec::new();
        for agent in state.agents.values() {
            let standing = state.cards.get(&agent.name);
            let listed = Listed::new(agent, &gateway.url, gateway.health.of(&agent.name), standing);
            if !query.asks_for(&listed) {
                continue;
            }
            if began.elapsed() > gateway.limits.decisions_timeout {
                tracing::warn!("the list of agents was cut: its decisions took too long");
                break;
            }
            pace.keep().await;
            let server = ServerRoute::to_see(agent, &gateway.url);
            let question =
                Question::new(arrival, caller, subject, &server, &Call::Card, &state.revocations, now)
                    .knowing(&state.cards, &state.policy);
            if authorize::shows_agent(&state.policy, &gateway.lane, &question, &gateway.limits).await {
                shown.push(listed);
            }
        }
        shown
    }
}

impl<'a> Listed<'a> {
    /// An agent behind the gateway at `url`.
    pub fn new(agent: &'a Agent, url: &str, health: &'static str, standing: Option<&Standing>) -> Self {
        let known = standing.and_then(Standing::versions).map(<[_]>::to_vec);
        let bindings = [Binding::JsonRpc, Binding::HttpJson, Binding::Grpc].into_iter();
        let here = format!("{url}/a2a/{}", agent.name);
        Self {
            name: &agent.name,
            card: format!("{here}/.well-known/agent-card.json"),
            url: here,
            grpc: agent.host.as_ref().map(|host| host.url.as_str()),
            bindings: bindings.filter(|b| agent.interface(*b).is_some()).map(Binding::as_str).collect(),
            versions: known.unwrap_or_else(|| vec![Version::V1_0.as_str(), Version::V0_3.as_str()]),
            health,
            said: standing.and_then(Standing::said).cloned(),
        }
    }
}
