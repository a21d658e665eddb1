//! The open sessions of the MCP versions before 2026-07-28: where a client's messages reach the handler, and the handler's
//! messages the stream that they belong to. Whose session an id is has been settled by then (`session`).
//!
//! rmcp brings a manager of its own. A session's queues there have room for 32 messages by value from its beginning, which is
//! half of a session's memory, though it mostly lies idle. Here an idle session has a queue of pointers and nothing else
//! (`docs/adr/0013`).

mod events;
mod open;
mod transport;
#[cfg(test)]
mod tests;

use events::Reader;
use futures_util::Stream;
use open::Session;
use rmcp::model::{ClientJsonRpcMessage, ServerJsonRpcMessage};
use rmcp::transport::common::server_side_http::{ServerSseMessage, SessionId, session_id};
use rmcp::transport::streamable_http_server::session::SessionManager;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use transport::SessionTransport;

/// All that are open, by rmcp's id.
pub(crate) struct OpenSessions {
    held: Mutex<HashMap<SessionId, Arc<Session>>>,
    most: usize,
    times: Times,
}

/// How long a session lives that nobody uses, and how long its answers wait.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Times {
    /// Until its `initialize` is answered.
    pub(crate) opening: Duration,
    /// After its last message in either direction. A stream that is merely open is no use: its client may be long gone.
    pub(crate) idle: Duration,
    /// For so long the head of an answer waits for what is in it. A call that is over by then goes out in one piece; of one that
    /// takes longer, its client knows by then where to resume.
    pub(crate) beginning: Duration,
}

/// Why a session doesn't do what it is asked to.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SessionError {
    /// As many are open as may be.
    #[error("too many sessions are open")]
    TooMany,
    /// Nobody has it, or has it any more.
    #[error("there is no such session")]
    Unknown,
    /// It ended while it was asked.
    #[error("the session is over")]
    Over,
    /// What has been answered can't be resumed, and neither can what never was.
    #[error("there is no such event to resume behind")]
    NoSuchEvent,
    /// A second `initialize`, or something else in its place.
    #[error("a session begins with one initialize")]
    NotTheFirst,
    /// What is no request has no stream of its own.
    #[error("only a request is answered")]
    NoRequest,
}

const IDLE_MIN: Duration = Duration::from_secs(5 * 60);
const IDLE_MAX: Duration = Duration::from_secs(24 * 60 * 60);

impl Times {
    /// Of a server whose calls may take so long: a call may be silent until then, and its session ends later.
    pub(crate) fn of(request_timeout: Duration) -> Self {
        let idle = request_timeout.saturating_mul(2).clamp(IDLE_MIN, IDLE_MAX);
        Self { opening: Duration::from_secs(60), idle, beginning: Duration::from_millis(20) }
    }
}

impl OpenSessions {
    pub(crate) fn new(most: usize, times: Times) -> Self {
        Self { held: Mutex::default(), most, times }
    }

    /// Whether as many are open as may be.
    pub(crate) fn is_full(&self) -> bool {
        self.held().len() >= self.most
    }

    fn held(&self) -> MutexGuard<'_, HashMap<SessionId, Arc<Session>>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn session(&self, id: &SessionId) -> Result<Arc<Session>, SessionError> {
        self.held().get(id).cloned().ok_or(SessionError::Unknown)
    }
}

/// rmcp asks `has_session` before it passes on what a client says in a session, and `close_session` when the session's
/// service has ended, however it did.
impl SessionManager for OpenSessions {
    type Error = SessionError;
    type Transport = SessionTransport;

    async fn create_session(&self) -> Result<(SessionId, SessionTransport), SessionError> {
        let id = session_id();
        let (session, transport) = Session::open(self.times);
        let mut held = self.held();
        if held.len() >= self.most {
            return Err(SessionError::TooMany); // Most are turned away before, and hear it better (`request`).
        }
        held.insert(Arc::clone(&id), session);
        Ok((id, transport))
    }

    async fn initialize_session(
        &self,
        id: &SessionId,
        message: ClientJsonRpcMessage,
    ) -> Result<ServerJsonRpcMessage, SessionError> {
        self.session(id)?.initialize(message).await
    }

    async fn has_session(&self, id: &SessionId) -> Result<bool, SessionError> {
        Ok(self.session(id).is_ok_and(|session| !session.is_over()))
    }

    async fn close_session(&self, id: &SessionId) -> Result<(), SessionError> {
        let closed = self.held().remove(id);
        if let Some(session) = closed {
            session.end();
        }
        Ok(())
    }

    async fn create_stream(
        &self,
        id: &SessionId,
        message: ClientJsonRpcMessage,
    ) -> Result<impl Stream<Item = ServerSseMessage> + Send + Sync + 'static, SessionError> {
        let reader = self.session(id)?.call(message).await?;
        reader.begun(self.times.beginning).await;
        Ok(reader.stream())
    }

    async fn accept_message(
        &self,
        id: &SessionId,
        message: ClientJsonRpcMessage,
    ) -> Result<(), SessionError> {
        self.session(id)?.accept(message).await
    }

    async fn create_standalone_stream(
        &self,
        id: &SessionId,
    ) -> Result<impl Stream<Item = ServerSseMessage> + Send + Sync + 'static, SessionError> {
        self.session(id)?.listen().map(Reader::stream)
    }

    async fn resume(
        &self,
        id: &SessionId,
        last_event_id: String,
    ) -> Result<impl Stream<Item = ServerSseMessage> + Send + Sync + 'static, SessionError> {
        self.session(id)?.resume(&last_event_id).map(Reader::stream)
    }
}
