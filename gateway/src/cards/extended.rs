//! The card for those who are known to an agent (`GetExtendedAgentCard`): the agent's own answer, read and vouched for like
//! its public card, rewritten, and kept to the skills that policy shows to the caller.

use super::{CardError, Client, NotShown};
use crate::authorize::{self, Question};
use crate::config::agents::Agent;
use crate::state::{Gateway, State};
use crate::upstream::{Answer, AnswerBody};
use bytes::Bytes;
use http::HeaderValue;
use http::header::{CACHE_CONTROL, CONTENT_LENGTH, ETAG};
use protocol::a2a::card::{self, Card};
use protocol::a2a::{self, Binding, Call};
use serde_json::{Map, Value};

/// The answer as its caller may have it. A refusal of the agent goes on as it came.
///
/// # Errors
/// [`NotShown`].
pub async fn shown(
    gateway: &Gateway,
    state: &State,
    question: &Question<'_>,
    call: &Call,
    mut answer: Answer,
) -> Result<Answer, NotShown> {
    let agent = question.server.agent().and_then(|route| route.agent.as_ref()).ok_or(NotShown::NoAgent)?;
    let client = state.card_clients.get(&agent.name).ok_or(NotShown::NoAgent)?;
    let whole = answer.whole(agent.card.bytes_max).await?;
    let rewritten = match answer.status.is_success() {
        true => read(gateway, state, question, call, (agent, client), &whole).await,
        false => Ok(None),
    };
    let body = match rewritten.map_err(NotShown::Extended)? {
        Some(card) => {
            answer.headers.remove(ETAG);
            Bytes::from(a2a::result(call.binding, call.method, call.id.as_deref(), &card))
        }
        None => whole,
    };
    answer.headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    let trailers = answer.body.take_trailers();
    let body_length = HeaderValue::from(body.len());
    let body = match trailers {
        Some(status) => AnswerBody::whole(body).with_trailers(status), // gRPC: its end is not where a length says.
        None => {
            answer.headers.insert(CONTENT_LENGTH, body_length);
            AnswerBody::whole(body)
        }
    };
    Ok(Answer { body, ..answer })
}

async fn read(
    gateway: &Gateway,
    state: &State,
    question: &Question<'_>,
    call: &Call,
    (agent, client): (&Agent, &Client),
    whole: &[u8],
) -> Result<Option<Map<String, Value>>, CardError> {
    let message = match call.binding {
        Binding::Grpc => a2a::unframed(whole).ok_or(a2a::EventError::Kind)?,
        Binding::JsonRpc | Binding::HttpJson => whole,
    };
    let Some(mut raw) = card::in_answer(call.binding, message)? else { return Ok(None) };
    card::older::in_todays_words(&mut raw);
    let card = Card::read(&raw)?;
    client.verifier.verify(&card).await?;
    let skills =
        card.members().get("skills").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let ids: Vec<&str> = skills.iter().map(|skill| skill["id"].as_str().unwrap_or_default()).collect();
    let shown = authorize::skills_shown(&state.policy, &gateway.lane, question, &gateway.limits, &ids).await;
    let mut shown = shown.into_iter();
    let offered = card::interfaces(&raw);
    let pushes = gateway.push.serves(agent);
    gateway.cards.written(&card, &offered, agent, pushes, |_| shown.next().unwrap_or(false)).map(Some)
}
