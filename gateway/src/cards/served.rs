//! Serves an agent's card, and the keys that verify it. To a caller to whom policy doesn't show the agent there is none.

use super::{NotShown, Shown, good};
use crate::authorize::{self, Question};
use crate::request::Arrival;
use crate::state::{Gateway, State};
use crate::upstream::{Answer, AnswerBody};
use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use http::{HeaderMap, HeaderValue, StatusCode};

/// The JWK set that the cards of this gateway are verified with.
pub fn keys(gateway: &Gateway) -> Answer {
    let mut answer = Answer::json(gateway.cards.jwks().to_string());
    answer.headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, max-age=60"));
    answer
}

/// The card of the agent that is asked for.
///
/// # Errors
/// [`NotShown`]: all look the same from outside.
pub async fn public(
    gateway: &Gateway,
    state: &State,
    question: &Question<'_>,
    arrival: &Arrival,
) -> Result<Answer, NotShown> {
    if !authorize::shows_agent(&state.policy, &gateway.lane, question, &gateway.limits).await {
        return Err(NotShown::Hidden);
    }
    let agent = question.server.agent().and_then(|route| route.agent.as_ref()).ok_or(NotShown::NoAgent)?;
    let shown = good(&state.cards, agent).map_err(NotShown::Standing)?;
    Ok(answer(shown, &arrival.headers))
}

fn answer(shown: &Shown, asked: &HeaderMap) -> Answer {
    let mut headers = HeaderMap::new();
    headers.insert(ETAG, shown.etag.clone());
    headers.insert(CACHE_CONTROL, shown.cache_control.clone());
    if is_known(asked, &shown.etag) {
        return Answer { status: StatusCode::NOT_MODIFIED, headers, body: AnswerBody::whole(Bytes::new()) };
    }
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CONTENT_LENGTH, HeaderValue::from(shown.body.len()));
    Answer { status: StatusCode::OK, headers, body: AnswerBody::whole(shown.body.clone()) }
}

/// Whether the caller has it already (RFC 9110 §13.1.2; the comparison is the weak one).
fn is_known(asked: &HeaderMap, etag: &HeaderValue) -> bool {
    let lists = asked.get_all(IF_NONE_MATCH).iter().filter_map(|list| list.to_str().ok());
    let mut tags = lists.flat_map(|list| list.split(',')).map(str::trim);
    tags.any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag).as_bytes() == etag.as_bytes())
}
