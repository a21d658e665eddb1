//! Lists: which items of an answer are shown. Filtering is the same question as a call's, asked for each item.

use super::lane::Lane;
use super::{One, Question};
use crate::config::Limits;
use crate::decode::Call;
use crate::identity::Caller;
use crate::revocation::Live;
use crate::route::ServerRoute;
use parking_lot::Mutex;
use policy::PolicySet;
use protocol::mcp::{ListKind, MessageError, ServerMessage, Version};
use std::borrow::Cow;
use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};
use tokens::Claims;

/// What keeps a list to the items that the principal may use. It outlives the request's stages: a list may come as a stream.
pub struct ListFilter {
    /// The protocol version of the answer.
    pub version: Version,
    asker: Box<Asker>,
    policy: Arc<PolicySet>,
    lane: Arc<Lane>,
    /// A list may come long after the request.
    revocations: Arc<Live>,
    permit_ttl_max: Duration,
    time: Arc<TimeLeft>,
}

/// What is left of the time for the decisions of one request, or of several that are one to their caller.
#[derive(Debug)]
pub struct TimeLeft(Mutex<(Duration, bool)>);

/// A question that owns its parts.
struct Asker {
    caller: Caller,
    subject: Option<(Claims, Vec<String>)>,
    server: ServerRoute,
    call: Call,
    ip: Option<IpAddr>,
    now: SystemTime,
    ends: SystemTime,
}

/// The method of the stream that a 2025 session keeps open; answers that were missed elsewhere come on it again.
const SESSION_STREAM: &str = "session/stream";

/// The filter for the answer of a call that may bring a list; none for other calls. `time`: if it is not the call's own.
pub fn list_filter(
    policy: &Arc<PolicySet>,
    lane: &Arc<Lane>,
    question: &Question<'_>,
    revocations: &Arc<Live>,
    limits: &Limits,
    time: Option<&Arc<TimeLeft>>,
) -> Option<ListFilter> {
    let call = question.call.mcp()?;
    if call.list.is_none() && call.method != SESSION_STREAM {
        return None;
    }
    let asker = Box::new(Asker {
        caller: question.caller.clone(),
        subject: question.says.map(|(claims, actors)| (claims.clone(), actors.to_vec())),
        server: question.server.clone(),
        call: question.call.clone(),
        ip: question.ip,
        now: question.now,
        ends: question.ends,
    });
    Some(ListFilter {
        version: call.version,
        asker,
        policy: Arc::clone(policy),
        lane: Arc::clone(lane),
        revocations: Arc::clone(revocations),
        permit_ttl_max: limits.permit_ttl_max,
        time: time.map_or_else(|| Arc::new(TimeLeft::new(limits.decisions_timeout)), Arc::clone),
    })
}

impl ListFilter {
    /// A message with only those items of its lists that are shown; every other message as it came.
    ///
    /// # Errors
    /// [`MessageError`] for a list that can't be read: what can't be filtered doesn't pass.
    pub async fn apply<'m>(&mut self, message: &ServerMessage<'m>) -> Result<Cow<'m, [u8]>, MessageError> {
        let mut items: Vec<(ListKind, String)> = Vec::new();
        let whole = message.filtered(self.version, &mut |kind, item| {
            items.push((kind, item.key.clone().into_owned()));
            true
        })?;
        if items.is_empty() {
            return Ok(whole);
        }
        let shown = self.shown(items).await;
        message.filtered(self.version, &mut |kind, item| {
            shown.contains(&(kind.list_key(), item.key.clone().into_owned()))
        })
    }

    /// Those of the items that are shown. What there is no time for isn't.
    async fn shown(&self, items: Vec<(ListKind, String)>) -> HashSet<(&'static str, String)> {
        let asker = &self.asker;
        let subject = asker.subject.as_ref().map(|(claims, actors)| (claims, actors.as_slice()));
        let revocations = self.revocations.current();
        let question = Question::about(
            (&asker.caller, subject, None),
            (&asker.server, &asker.call, asker.ip),
            &revocations,
            (asker.now, asker.ends),
        );
        let mut pace = self.lane.pace();
        let mut shown = HashSet::new();
        for (kind, key) in items {
            if !self.time.is_left() {
                break;
            }
            pace.keep().await;
            let began = Instant::now(); // Others' turns are not on its account.
            let one = match kind {
                ListKind::Tools => One::Tool(&key),
                ListKind::Resources | ListKind::ResourceTemplates => One::Resource(&key),
                ListKind::Prompts => One::Prompt(&key),
            };
            if let One::Tool(tool) = one
                && revocations.tool(asker.server.name(), tool, asker.now).is_err()
            {
                continue;
            }
            let input = question.input(one, None);
            let asked = question.asked(one, &input, self.permit_ttl_max);
            if self.lane.shows(&self.policy, &asked, asker.caller.id()).await {
                shown.insert((kind.list_key(), key));
            }
            self.time.used(began.elapsed());
        }
        shown
    }
}

impl TimeLeft {
    /// All of it.
    pub fn new(all: Duration) -> Self {
        Self(Mutex::new((all, false)))
    }

    /// How much there is.
    pub fn left(&self) -> Duration {
        self.0.lock().0
    }

    /// Whether something was not decided for want of it.
    pub fn has_run_out(&self) -> bool {
        self.0.lock().1
    }

    /// Whether there is some for another decision; that there was none is remembered.
    fn is_left(&self) -> bool {
        let mut left = self.0.lock();
        left.1 |= left.0.is_zero();
        !left.0.is_zero()
    }

    fn used(&self, used: Duration) {
        let mut left = self.0.lock();
        left.0 = left.0.saturating_sub(used);
    }
}

impl std::fmt::Debug for ListFilter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ListFilter({})", self.version.as_str())
    }
}
