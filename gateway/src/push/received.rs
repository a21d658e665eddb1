//! What an agent posts to a URL of the relay. To everybody but the agent that the URL was made for, and to that one for
//! anything that the URL is not for, there is nothing at it.

use super::METHOD;
use super::delivery::Delivery;
use super::lines::Full;
use super::seal::{Seal, Void};
use crate::audit::Record;
use crate::decode::{self, BodyError, DecodeError};
use crate::digest;
use crate::identity::Caller;
use crate::observed::{Observed, Stage};
use crate::reply::Refusal;
use crate::request::Arrival;
use crate::state::{Gateway, State};
use crate::tasks::store::Claim;
use crate::tasks::{StoreError, watch};
use crate::upstream::{Answer, AnswerBody};
use bytes::Bytes;
use http::header::CONTENT_LENGTH;
use http::{HeaderMap, HeaderValue, StatusCode};
use protocol::a2a::{self, Event, EventError};
use protocol::json;
use std::sync::Arc;
use std::time::SystemTime;
use url::Url;

/// What the paths of these URLs begin with.
pub(super) const PATH: &str = "/push/";

/// Whether a path is one of the relay's. What stands behind is for nobody's eyes, and in no record.
pub fn is_below(path: &str) -> bool {
    path.starts_with(PATH)
}

/// A request to the relay.
pub struct Post<'a> {
    /// The gateway.
    pub gateway: &'a Gateway,
    /// Its snapshot.
    pub state: &'a State,
    /// Who posts.
    pub caller: &'a Caller,
    /// The request.
    pub arrival: &'a Arrival,
    /// When.
    pub now: SystemTime,
}

/// Why an event is not taken. From outside all that are about the URL are one.
#[derive(Debug, thiserror::Error)]
pub enum PushError {
    /// No key of the ring opens it: made up, changed, or sealed with a key that is gone.
    #[error("the push URL does not open")]
    Unsealed,
    /// It opens, and is good for nothing.
    #[error(transparent)]
    Void(#[from] Void),
    /// It is about a task that the URL is not for.
    #[error("the event is about a task that the push URL is not for")]
    Task,
    /// Not an event.
    #[error("the body is no event of A2A")]
    Event(#[from] EventError),
    /// The owner has as many tasks as one may.
    #[error("the owner has as many tasks at the agent as one may")]
    TooMany,
    /// Nobody can say whose the task is.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Too much waits.
    #[error("there is no place for one more push notification")]
    Full,
}

impl Post<'_> {
    /// Takes an event up, and answers before it is delivered.
    ///
    /// # Errors
    /// [`Refusal`]; nothing is sent anywhere.
    pub async fn taken(self, record: &mut Record, observed: &mut Observed) -> Result<Answer, Refusal> {
        observed.posts();
        record.posts(METHOD);
        let path = self.arrival.uri.path();
        let sealed = path.strip_prefix(PATH).unwrap_or_default();
        let seal = self.opened(sealed)?;
        record.relays(&seal.agent, &seal.owner, seal.task.clone());
        let body = decode::let_in(self.arrival, &self.gateway.origins)?;
        let settings = &self.gateway.push.sending().settings;
        if body.len() > settings.body_bytes_max {
            return Err(DecodeError::from(BodyError::TooLong { max: settings.body_bytes_max }).into());
        }
        let limits = json::Limits { depth_max: self.gateway.limits.json_depth_max };
        let (version, event) = a2a::pushed(&body, &limits).map_err(PushError::from)?;
        let task = self.of_seal(&seal, event).await?;
        record.relays(&seal.agent, &seal.owner, Some(task.clone()));
        if self.gateway.audit.required() {
            observed.begins(Stage::Audit);
            record.durable().await?;
        }
        let url = Url::parse(&seal.push.url).ok();
        let host = url.as_ref().and_then(Url::host_str).unwrap_or_default().to_owned();
        let from = self.caller.spiffe_id().to_owned();
        let sending = Arc::clone(self.gateway.push.sending());
        let delivery = Delivery { sending, seal, from, task, version, body, host, attempts: 0 };
        let put = self.gateway.push.put(digest::of(sealed.as_bytes()), delivery);
        put.map_err(|Full| PushError::Full)?;
        let headers = HeaderMap::from_iter([(CONTENT_LENGTH, HeaderValue::from(0))]);
        Ok(Answer { status: StatusCode::ACCEPTED, headers, body: AnswerBody::whole(Bytes::new()) })
    }

    /// What the URL holds, if it is the caller's to post to.
    fn opened(&self, sealed: &str) -> Result<Seal, PushError> {
        let seal = Seal::open(&self.state.sessions, sealed).ok_or(PushError::Unsealed)?;
        seal.holds(self.state, self.caller.spiffe_id(), self.now)?;
        Ok(seal)
    }

    /// The task of an event, if it is the seal's. One that nobody has seen yet becomes the owner's: an agent posts before
    /// it has answered, and this is its word as its answer is.
    async fn of_seal(&self, seal: &Seal, event: Event) -> Result<String, PushError> {
        let task = event.task.clone().ok_or(PushError::Event(EventError::Kind))?;
        if seal.task.as_ref().is_some_and(|only| *only != task) {
            return Err(PushError::Task);
        }
        let (seen, most) = (watch::seen(&event, self.now), self.gateway.limits.per_owner);
        match self.gateway.tasks.saw(&seal.agent, &seal.of, seen, most).await? {
            Claim::Owned => Ok(task),
            Claim::Foreign => Err(PushError::Task),
            Claim::TooManyTasks | Claim::TooManyContexts => Err(PushError::TooMany),
        }
    }
}
