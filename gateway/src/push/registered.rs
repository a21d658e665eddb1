//! A caller asks for a task's events: its target is judged, and sealed into a URL of the gateway. The agent gets that URL
//! and no secret; the caller, when it asks for its configurations, gets back what it wrote.

use super::attempt::shown as headers_of;
use super::outbox::Sending;
use super::received::PATH;
use super::seal::{CONFIG_BYTES_MAX, NAMES_BYTES_MAX, Seal};
use super::target::TargetError;
use crate::authorize::Question;
use crate::config::agents::{Agent, Push};
use crate::reply::Refusal;
use crate::request::Arrival;
use crate::revocation::Provenance;
use crate::state::{Gateway, State};
use crate::tasks::watch::WatchError;
use crate::tasks::{Named, TaskError};
use crate::upstream::{Answer, AnswerBody, UpstreamError};
use bytes::Bytes;
use http::HeaderValue;
use http::header::CONTENT_LENGTH;
use protocol::a2a::{self, Binding, Call, EventError, Hidden, Method};

/// The body that goes to the agent in the place of the caller's. None: nothing is asked for that the relay does.
///
/// # Errors
/// [`TaskError::Target`]; nothing has gone upstream.
pub async fn registered(
    gateway: &Gateway,
    state: &State,
    question: &Question<'_>,
    named: Option<&Named>,
    arrival: &Arrival,
) -> Result<Option<Bytes>, TaskError> {
    let (Some(call), Some(named), Some(agent)) = (question.call.a2a(), named, relays(question)) else {
        return Ok(None);
    };
    let Some(push) = &call.push else { return Ok(None) };
    let sending = gateway.push.sending();
    judged(sending, push).await?;
    let by = Provenance::of(question.subject);
    if by.bytes() > NAMES_BYTES_MAX {
        return Err(TargetError::Names { max: NAMES_BYTES_MAX }.into());
    }
    let ends = question.now + sending.settings.lifetime;
    let seal = Seal {
        agent: agent.name.clone(),
        owner: named.owner.clone(),
        of: named.owner_of_answer.clone(),
        by,
        task: call.task.clone(),
        push: push.clone(),
        ends,
    };
    let sealed = seal.seal(&state.sessions).ok_or(TargetError::Unwritable)?;
    let body = arrival.body.as_ref().map_err(|_| TargetError::Unwritable)?;
    let body = a2a::with_push_url(call, body, &format!("{}{PATH}{sealed}", gateway.url));
    Ok(Some(body.ok_or(TargetError::Unwritable)?))
}

/// The agent of a question, if its events go by the relay.
fn relays<'q>(question: &'q Question<'_>) -> Option<&'q Agent> {
    let agent = question.server.agent()?.agent.as_deref()?;
    (agent.push == Push::Relay).then_some(agent)
}

/// Whether events may go there: now, and every delivery asks again.
async fn judged(sending: &Sending, push: &a2a::Push) -> Result<(), TargetError> {
    let hidden = |hidden: &Option<Hidden>| hidden.as_ref().map_or(0, |hidden| hidden.expose().len());
    let schemes: usize = push.schemes.iter().map(|scheme| scheme.len() + 8).sum();
    if push.url.len() + schemes + hidden(&push.credentials) + hidden(&push.token) > CONFIG_BYTES_MAX {
        return Err(TargetError::TooLong { max: CONFIG_BYTES_MAX });
    }
    headers_of(push)?;
    let targets = sending.targets.load_full();
    let url = targets.allowed(&push.url)?;
    let found = tokio::time::timeout(sending.settings.timeout, targets.addresses(&url)).await;
    found.map_err(|_| TargetError::NoAddress)?.map(drop)
}

/// An answer about configurations, as the caller wrote them. Any other answer goes on as it is, but for the agent's refusal
/// of one: its words could tell whether there is another's.
///
/// # Errors
/// [`TaskError::NoConfig`]: the one that was asked for is not the caller's, or not there; both sound alike. [`UpstreamError`]:
/// it can't be read, or it shows a configuration that is not the caller's where none was asked for.
pub async fn shown(
    gateway: &Gateway,
    state: &State,
    question: &Question<'_>,
    named: &Named,
    call: &Call,
    mut answer: Answer,
) -> Result<Answer, Refusal> {
    let is_one = call.method == Method::GetTaskPushNotificationConfig;
    let about = matches!(
        call.method,
        Method::CreateTaskPushNotificationConfig
            | Method::GetTaskPushNotificationConfig
            | Method::ListTaskPushNotificationConfigs
    );
    let Some(agent) = relays(question).filter(|_| about) else { return Ok(answer) };
    if !answer.status.is_success() {
        return if is_one { Err(TaskError::NoConfig.into()) } else { Ok(answer) };
    }
    let whole = answer.whole(gateway.limits.list_bytes_max).await?;
    let prefix = format!("{}{PATH}", gateway.url);
    let mut owned = |url: &str| {
        let seal = Seal::open(&state.sessions, url.strip_prefix(&prefix)?)?;
        let same_task = seal.task.is_none() || seal.task == call.task;
        (seal.agent == agent.name && seal.owner == named.owner && same_task).then_some(seal.push)
    };
    let read = |error| match error {
        EventError::Config if is_one => Refusal::from(TaskError::NoConfig),
        error => UpstreamError::from(WatchError::from(error)).into(),
    };
    let body = match call.binding {
        Binding::Grpc if whole.is_empty() && is_one => return Err(TaskError::NoConfig.into()),
        Binding::Grpc if whole.is_empty() => whole, // A refusal, which stands in its status.
        Binding::Grpc => {
            let message = a2a::unframed(&whole).ok_or(UpstreamError::Grpc)?;
            let message = a2a::with_configs(call, message, &mut owned).map_err(read)?;
            a2a::frame(&message).ok_or(UpstreamError::Grpc)?
        }
        Binding::JsonRpc | Binding::HttpJson => {
            a2a::with_configs(call, &whole, &mut owned).map_err(read)?.into()
        }
    };
    let length = HeaderValue::from(body.len());
    let body = match answer.body.take_trailers() {
        Some(status) => AnswerBody::whole(body).with_trailers(status), // gRPC: its end is not where a length says.
        None => {
            answer.headers.insert(CONTENT_LENGTH, length);
            AnswerBody::whole(body)
        }
    };
    Ok(Answer { body, ..answer })
}
