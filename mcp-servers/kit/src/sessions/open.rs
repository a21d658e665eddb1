//! One open session: what its client has asked and not heard yet, and which stream each message of the server belongs to.

use super::events::{EventId, Events, Reader};
use super::transport::SessionTransport;
use super::{SessionError, Times};
use crate::error::CANCELLED;
use crate::guard;
use crate::record::Note;
use rmcp::ErrorData;
use rmcp::model::{
    ClientJsonRpcMessage, ClientNotification, GetExtensions, GetMeta, JsonRpcMessage, ProgressToken,
    RequestId, ServerJsonRpcMessage, ServerNotification,
};
use rmcp::service::OriginatingRequestId;
use serde_json::json;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::mpsc::OwnedPermit;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout_at};

/// Messages that wait for the handler before their HTTP requests wait, too. rmcp's service takes each as it comes and works on
/// it in a task of its own, so there is hardly ever one.
const INBOX_MAX: usize = 16;
/// Calls under way in a session. A client can leave one and go on, and the call goes on, too: that must have an end.
pub(super) const CALLS_MAX: usize = 256;
/// Ids of calls that were taken back, which are not used again (MCP has each once in a session). The service may still be
/// ending such a call, and would take a new one of its id for it.
const TAKEN_BACK_MAX: usize = 256;

/// A client's session, shared by the HTTP requests in it and the service behind it.
pub(super) struct Session {
    times: Times,
    desk: Mutex<Desk>,
}

/// What changes.
struct Desk {
    /// To the handler. Nothing: the session is over.
    inbox: Option<mpsc::Sender<Box<ClientJsonRpcMessage>>>,
    hello: Hello,
    calls: Vec<Call>,
    /// The youngest.
    taken_back: VecDeque<RequestId>,
    /// What belongs to no call. Most sessions never have it.
    standalone: Option<Arc<Events>>,
    /// The number of the next call.
    next: u64,
    /// When the session ends unless it is used.
    until: Instant,
}

/// How far its `initialize` is.
enum Hello {
    Awaited,
    Asked(RequestId, oneshot::Sender<ServerJsonRpcMessage>),
    Answered,
}

/// A request of the client that has not been answered.
struct Call {
    id: RequestId,
    progress: Option<ProgressToken>,
    events: Arc<Events>,
    /// Its record's.
    note: Option<Arc<Note>>,
}

impl Call {
    /// Ends it without an answer. The record is told first: it closes with the stream.
    fn cut(self) {
        if let Some(note) = &self.note {
            note.ended(CANCELLED.as_str());
        }
        self.events.end();
    }
}

impl Session {
    pub(super) fn open(times: Times) -> (Arc<Self>, SessionTransport) {
        let (inbox, outbox) = mpsc::channel(INBOX_MAX);
        let desk = Desk {
            inbox: Some(inbox),
            hello: Hello::Awaited,
            calls: Vec::new(),
            taken_back: VecDeque::new(),
            standalone: None,
            next: 0,
            until: Instant::now() + times.opening,
        };
        let session = Arc::new(Self { times, desk: Mutex::new(desk) });
        (Arc::clone(&session), SessionTransport::new(session, outbox))
    }

    fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn is_over(&self) -> bool {
        self.desk().inbox.is_none()
    }

    pub(super) fn until(&self) -> Instant {
        self.desk().until
    }

    /// Ends it, and all of its streams. The service hears of it by its inbox.
    pub(super) fn end(&self) {
        self.desk().end();
    }

    /// Ends it, if nobody has used it for its time.
    pub(super) fn ends_if_idle(&self) -> bool {
        let mut desk = self.desk();
        let idle = desk.until <= Instant::now();
        if idle {
            desk.end(); // From here on it isn't found.
        }
        idle
    }

    /// The desk of a session that is in use now.
    fn used(&self) -> Result<MutexGuard<'_, Desk>, SessionError> {
        let mut desk = self.desk();
        if desk.inbox.is_none() {
            return Err(SessionError::Over);
        }
        if matches!(desk.hello, Hello::Answered) {
            desk.until = Instant::now() + self.times.idle;
        }
        Ok(desk)
    }

    /// A place in the handler's queue. It is taken before anything is noted, so that a client that leaves while it waits leaves
    /// nothing behind.
    async fn place(&self) -> Result<OwnedPermit<Box<ClientJsonRpcMessage>>, SessionError> {
        let inbox = self.desk().inbox.clone().ok_or(SessionError::Over)?;
        inbox.reserve_owned().await.map_err(|_| SessionError::Over)
    }

    /// Hands the first message over and waits for its answer, for as long as a session may take to open.
    pub(super) async fn initialize(
        &self,
        message: ClientJsonRpcMessage,
    ) -> Result<ServerJsonRpcMessage, SessionError> {
        let JsonRpcMessage::Request(request) = &message else { return Err(SessionError::NoRequest) };
        let (answer, answered) = oneshot::channel();
        let place = self.place().await?;
        {
            let mut desk = self.used()?;
            if !matches!(desk.hello, Hello::Awaited) {
                return Err(SessionError::NotTheFirst);
            }
            desk.hello = Hello::Asked(request.id.clone(), answer);
            place.send(Box::new(message));
        }
        match timeout_at(self.until(), answered).await {
            Ok(answer) => answer.map_err(|_| SessionError::Over),
            Err(_) => {
                self.end();
                Err(SessionError::Over)
            }
        }
    }

    /// Hands a request over. Its stream ends with its answer.
    pub(super) async fn call(&self, message: ClientJsonRpcMessage) -> Result<Reader, SessionError> {
        let JsonRpcMessage::Request(request) = &message else { return Err(SessionError::NoRequest) };
        let place = self.place().await?;
        let mut desk = self.used()?;
        let events = Events::of_request(desk.next);
        desk.next += 1;
        let reader = events.join(None);
        let note = guard::note(request.request.extensions());
        if let Some((code, why)) = desk.refuses(&request.id) {
            if let Some(note) = note {
                note.ended(code);
            }
            let error = ErrorData::invalid_request(why, Some(json!({"reason": code})));
            events.push(ServerJsonRpcMessage::error(error, Some(request.id.clone())));
            events.end();
            return Ok(reader);
        }
        let progress = request.request.get_meta().get_progress_token();
        desk.calls.push(Call { id: request.id.clone(), progress, events, note });
        place.send(Box::new(message));
        Ok(reader)
    }

    /// Hands over what has no answer. A call that the client takes back has none either: its stream ends here.
    pub(super) async fn accept(&self, message: ClientJsonRpcMessage) -> Result<(), SessionError> {
        let place = self.place().await?;
        let mut desk = self.used()?;
        if let JsonRpcMessage::Notification(notification) = &message
            && let ClientNotification::CancelledNotification(taken_back) = &notification.notification
            && let Some(id) = &taken_back.params.request_id
            && let Some(call) = desk.done(id)
        {
            if desk.taken_back.len() >= TAKEN_BACK_MAX {
                desk.taken_back.pop_front();
            }
            desk.taken_back.push_back(call.id.clone());
            call.cut();
        }
        place.send(Box::new(message));
        Ok(())
    }

    /// Reads what belongs to no call, and what there was of it since somebody last did.
    pub(super) fn listen(&self) -> Result<Reader, SessionError> {
        Ok(self.used()?.standalone().join(None))
    }

    /// Reads on behind an event of a call that is under way, or of the session's own stream. An answer that was sent into a
    /// broken connection is gone, as it is with rmcp's own manager: it may be long, and nobody may ever come for it.
    pub(super) fn resume(&self, last: &str) -> Result<Reader, SessionError> {
        let last: EventId = last.parse().map_err(|_| SessionError::NoSuchEvent)?;
        let mut desk = self.used()?;
        if last.request.is_none() {
            return Ok(desk.standalone().join(Some(last.event)));
        }
        let call = desk.calls.iter().find(|call| call.events.request() == last.request);
        call.and_then(|call| call.events.take_over(last.event)).ok_or(SessionError::NoSuchEvent)
    }

    /// Puts a message of the server into its stream. Gives the stream, if the sender may have to wait for its reader.
    pub(super) fn route(&self, message: ServerJsonRpcMessage) -> Result<Option<Arc<Events>>, SessionError> {
        let mut desk = self.used()?;
        if let Some(message) = desk.greeted(message)? {
            return Ok(desk.route(message));
        }
        desk.until = Instant::now() + self.times.idle;
        Ok(None)
    }
}

impl Desk {
    /// Takes the answer to `initialize` out of the server's messages. If its client has gone, nobody knows the session's id.
    fn greeted(
        &mut self,
        message: ServerJsonRpcMessage,
    ) -> Result<Option<ServerJsonRpcMessage>, SessionError> {
        if !matches!(&self.hello, Hello::Asked(id, _) if answers(&message) == Some(id)) {
            return Ok(Some(message));
        }
        if let Hello::Asked(_, answer) = std::mem::replace(&mut self.hello, Hello::Answered)
            && answer.send(message).is_err()
        {
            self.end();
            return Err(SessionError::Over);
        }
        Ok(None)
    }

    fn route(&mut self, message: ServerJsonRpcMessage) -> Option<Arc<Events>> {
        let call = match &message {
            JsonRpcMessage::Response(_) | JsonRpcMessage::Error(_) => {
                match answers(&message).and_then(|id| self.done(id)) {
                    Some(Call { events, .. }) => {
                        events.push(message);
                        events.end();
                    }
                    None => tracing::debug!("an answer that nobody waits for"),
                }
                return None;
            }
            JsonRpcMessage::Request(request) => {
                let origin = request.request.extensions().get::<OriginatingRequestId>();
                origin.and_then(|origin| self.call(|call| call.id == origin.0))
            }
            JsonRpcMessage::Notification(notification) => match &notification.notification {
                ServerNotification::ProgressNotification(progress) => {
                    let token = Some(&progress.params.progress_token);
                    // Of a call that is over, nobody hears any more.
                    Some(self.call(|call| call.progress.as_ref() == token)?)
                }
                _ => None,
            },
        };
        let events = call.unwrap_or_else(|| Arc::clone(self.standalone()));
        events.push(message);
        Some(events)
    }

    /// Why there can be no call of this id: a code for the record and the client, and a sentence for the client.
    fn refuses(&self, id: &RequestId) -> Option<(&'static str, &'static str)> {
        // rmcp's service would take the two for one and give either's answer to the other.
        if self.taken_back.contains(id) || self.calls.iter().any(|call| call.id == *id) {
            let why = "a request with this id is under way in the session, or was taken back";
            return Some(("request_id_in_use", why));
        }
        (self.calls.len() >= CALLS_MAX)
            .then_some(("too_many_requests", "too many requests are under way in the session"))
    }

    fn call(&self, is: impl Fn(&Call) -> bool) -> Option<Arc<Events>> {
        self.calls.iter().find(|call| is(call)).map(|call| Arc::clone(&call.events))
    }

    /// Takes a call off: nothing more belongs to it.
    fn done(&mut self, id: &RequestId) -> Option<Call> {
        let at = self.calls.iter().position(|call| call.id == *id)?;
        let call = self.calls.swap_remove(at);
        if self.calls.is_empty() {
            self.calls = Vec::new(); // An idle session keeps no room.
        }
        Some(call)
    }

    fn end(&mut self) {
        self.inbox = None;
        self.hello = Hello::Answered; // Whoever waits for it hears that nothing comes.
        std::mem::take(&mut self.calls).into_iter().for_each(Call::cut);
        if let Some(standalone) = self.standalone.take() {
            standalone.end();
        }
    }

    fn standalone(&mut self) -> &Arc<Events> {
        self.standalone.get_or_insert_with(Events::standalone)
    }
}

/// The request that a message answers.
fn answers(message: &ServerJsonRpcMessage) -> Option<&RequestId> {
    match message {
        JsonRpcMessage::Response(response) => Some(&response.id),
        JsonRpcMessage::Error(error) => error.id.as_ref(),
        JsonRpcMessage::Request(_) | JsonRpcMessage::Notification(_) => None,
    }
}
