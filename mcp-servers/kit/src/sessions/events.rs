//! The events of one stream. They wait here for whoever reads it, and the youngest stay, so that a client that lost its
//! connection can read on behind the last one that it saw.

use futures_util::{Stream, stream};
use rmcp::model::ServerJsonRpcMessage;
use rmcp::transport::common::server_side_http::ServerSseMessage;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::timeout;

/// Events that stay for a client that resumes the stream. As many may wait for a slow reader before the tool behind them waits,
/// too: `Events::room`.
pub(super) const EVENTS_KEPT_MAX: usize = 16;
/// Events of a stream that somebody reads, and reads too slowly for whoever doesn't wait for room. Then the oldest go.
const UNREAD_MAX: usize = 256;
/// After which a client that lost a stream comes back. rmcp says the same on the streams that it begins itself.
const RETRY: Duration = Duration::from_secs(3);

/// One stream's, from its first to its last.
pub(super) struct Events {
    /// The number of the request in its session; the session's own stream has none.
    request: Option<u64>,
    state: Mutex<State>,
    changed: Notify,
}

struct State {
    /// The youngest. What has no message only tells the client an id to resume behind.
    kept: VecDeque<Option<Arc<ServerJsonRpcMessage>>>,
    /// The number of the next event.
    next: u64,
    /// The number of the first that nobody has read.
    unread: u64,
    readers: usize,
    /// Grows when a reader takes the stream from those before it.
    turn: u64,
    ended: bool,
}

/// Which event, as a client says it in `Last-Event-ID`: its number, behind that of the request, if it belongs to one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct EventId {
    pub(super) request: Option<u64>,
    pub(super) event: u64,
}

/// Reads a stream, as the body of an answer.
pub(super) struct Reader {
    events: Arc<Events>,
    turn: u64,
}

impl Events {
    /// A request's. It begins with an id, so that it can be resumed before there is anything to say.
    pub(super) fn of_request(number: u64) -> Arc<Self> {
        Self::new(Some(number), VecDeque::from([None]), 0)
    }

    /// The session's own. rmcp begins it, with the event 0.
    pub(super) fn standalone() -> Arc<Self> {
        Self::new(None, VecDeque::new(), 1)
    }

    fn new(request: Option<u64>, kept: VecDeque<Option<Arc<ServerJsonRpcMessage>>>, first: u64) -> Arc<Self> {
        let next = first + kept.len() as u64;
        let state = State { kept, next, unread: first, readers: 0, turn: 0, ended: false };
        Arc::new(Self { request, state: Mutex::new(state), changed: Notify::new() })
    }

    pub(super) fn request(&self) -> Option<u64> {
        self.request
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state());
        self.changed.notify_waiters();
    }

    pub(super) fn push(&self, message: ServerJsonRpcMessage) {
        self.change(|state| {
            state.kept.push_back(Some(Arc::new(message)));
            state.next += 1;
            state.trim();
        });
    }

    /// There will be no more. What is there can still be read.
    pub(super) fn end(&self) {
        self.change(|state| state.ended = true);
    }

    /// Returns when no more events wait than may, or when there is nobody to wait for.
    pub(super) async fn room(&self) {
        loop {
            let changed = self.changed.notified();
            if self.state().has_room() {
                return;
            }
            changed.await;
        }
    }

    /// A reader beside those that there are: each event goes to one of them, as MCP wants it. Where there is none, it reads on
    /// behind the event named.
    pub(super) fn join(self: &Arc<Self>, after: Option<u64>) -> Reader {
        let mut state = self.state();
        if let Some(after) = after.filter(|_| state.readers == 0) {
            state.rewind(after);
        }
        state.readers += 1;
        Reader { events: Arc::clone(self), turn: state.turn }
    }

    /// A reader in place of the others, whose connections may be dead without anybody knowing.
    pub(super) fn take_over(self: &Arc<Self>, after: u64) -> Option<Reader> {
        let mut turn = None;
        self.change(|state| {
            if after < state.next {
                state.rewind(after);
                state.turn += 1;
                state.readers = 1;
                turn = Some(state.turn);
            }
        });
        turn.map(|turn| Reader { events: Arc::clone(self), turn })
    }
}

impl State {
    /// The number of the oldest that is kept.
    fn first(&self) -> u64 {
        self.next - self.kept.len() as u64
    }

    fn has_begun(&self) -> bool {
        self.ended || self.kept.iter().any(Option::is_some)
    }

    fn has_room(&self) -> bool {
        self.ended || self.readers == 0 || self.next - self.unread <= EVENTS_KEPT_MAX as u64
    }

    /// Forgets the oldest. Where somebody reads, nothing that is unread, as long as there is an end to it.
    fn trim(&mut self) {
        let is_over = |state: &Self| state.readers == 0 || state.first() < state.unread;
        while self.kept.len() > UNREAD_MAX || (self.kept.len() > EVENTS_KEPT_MAX && is_over(self)) {
            self.kept.pop_front();
        }
        self.unread = self.unread.max(self.first());
    }

    fn rewind(&mut self, after: u64) {
        self.unread = after.saturating_add(1).clamp(self.first(), self.next);
    }

    fn take(&mut self) -> Option<(u64, Option<Arc<ServerJsonRpcMessage>>)> {
        let number = self.unread;
        let at = usize::try_from(number - self.first()).ok()?;
        let message = self.kept.get(at)?.clone();
        self.unread += 1;
        self.trim();
        Some((number, message))
    }
}

impl Reader {
    /// Returns when there is a message to read, when there will be none, or when it has waited so long.
    pub(super) async fn begun(&self, within: Duration) {
        let begun = async {
            loop {
                let changed = self.events.changed.notified();
                if self.events.state().has_begun() {
                    return;
                }
                changed.await;
            }
        };
        let _ = timeout(within, begun).await; // Either will do.
    }

    /// What the client gets to read.
    pub(super) fn stream(self) -> impl Stream<Item = ServerSseMessage> + Send + Sync + 'static {
        stream::unfold(self, async |reader| reader.next().await.map(|event| (event, reader)))
    }

    /// The next event; `None` behind the last, and when another reader took over.
    pub(super) async fn next(&self) -> Option<ServerSseMessage> {
        loop {
            let changed = self.events.changed.notified();
            {
                let mut state = self.events.state();
                if state.turn != self.turn {
                    return None;
                }
                if let Some((event, message)) = state.take() {
                    drop(state);
                    self.events.changed.notify_waiters(); // There is room.
                    let id = EventId { request: self.events.request, event }.to_string();
                    return Some(written(id, message));
                }
                if state.ended {
                    return None;
                }
            }
            changed.await;
        }
    }
}

fn written(id: String, message: Option<Arc<ServerJsonRpcMessage>>) -> ServerSseMessage {
    let mut event = ServerSseMessage::default();
    event.event_id = Some(id);
    event.retry = message.is_none().then_some(RETRY);
    event.message = message;
    event
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.events.change(|state| {
            if state.turn == self.turn {
                state.readers -= 1;
                state.trim();
            }
        });
    }
}

impl std::fmt::Display for EventId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.request {
            Some(request) => write!(f, "{request}.{}", self.event),
            None => write!(f, "{}", self.event),
        }
    }
}

impl std::str::FromStr for EventId {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(match text.split_once('.') {
            Some((request, event)) => Self { request: Some(request.parse()?), event: event.parse()? },
            None => Self { request: None, event: text.parse()? },
        })
    }
}
