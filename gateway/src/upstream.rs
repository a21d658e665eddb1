//! Stage 8 of 9: the call goes out, the answer comes back.
//! In: permit, credential and request. Out: an [`Answer`], its head by allow list, its body streamed as it arrives.
//! Nothing is sent without a [`Permit`], and what is sent carries the credential and nothing of the caller's.

pub mod agent;
pub mod body;
pub mod filter;
pub(crate) mod grpc;
mod multiplexed;
pub mod pool;

pub use body::AnswerBody;
pub use pool::Pool;

use crate::authorize::ListFilter;
use crate::config::Server;
use crate::exchange::Credential;
use crate::request::Arrival;
use crate::revocation::{Hold, Revoked};
use crate::session::{Session, Unsealable};
use crate::tasks::Watcher;
use crate::tasks::watch::WatchError;
use bytes::Bytes;
use certs::Identity;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Request, StatusCode};
use http_body_util::Full;
use hyper::body::Body;
use policy::Permit;
use protocol::a2a::{Binding, Call};
use std::sync::Arc;
use std::time::SystemTime;

/// A server that a permit opened, with the identity that is shown to it.
#[derive(Debug)]
pub struct Upstream<'p> {
    pool: &'p Pool,
    server: Arc<Server>,
    identity: Arc<Identity>,
}

/// An answer on its way to the caller.
#[derive(Debug)]
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// Its header fields, already filtered.
    pub headers: HeaderMap,
    /// Its body, as it arrives.
    pub body: AnswerBody,
}

/// Why there is no answer, or only the beginning of one.
#[derive(Debug, thiserror::Error)]
pub enum UpstreamError {
    /// No TCP connection.
    #[error("no connection to the upstream")]
    Connect(#[source] std::io::Error),
    /// TLS failed; most often the upstream isn't the workload that it should be.
    #[error("no TLS with the upstream")]
    Tls(#[source] std::io::Error),
    /// TLS could not be configured.
    #[error("TLS toward the upstream could not be configured")]
    Configuration(#[from] rustls::Error),
    /// The URL's host can't be connected to.
    #[error("the upstream's host can't be connected to")]
    Host,
    /// A new connection was closed before it took a call.
    #[error("the upstream closed the connection at once")]
    Closed,
    /// A gRPC answer that isn't one: no status at its end, or messages that can't be told apart.
    #[error("the upstream's gRPC answer can't be read")]
    Grpc,
    /// HTTP failed before or while the answer came.
    #[error("the upstream's answer broke off")]
    Http(#[from] hyper::Error),
    /// Nothing came in time.
    #[error("the upstream did not answer in time")]
    Timeout,
    /// It refused our credential, or answered with what isn't the caller's business.
    #[error("the upstream answered {0}")]
    Status(StatusCode),
    /// An answer of which it can't be said what it holds.
    #[error("the upstream's answer can't be judged")]
    Message(#[from] protocol::mcp::MessageError),
    /// It asks something of the client, and may not.
    #[error("the upstream asks the client for what its configuration does not allow")]
    ServerRequest,
    /// An event stream that can't be split.
    #[error("the upstream's event stream can't be read")]
    Events(#[from] protocol::sse::SseError),
    /// A result that is no message, or of which nobody can say what the client takes it for.
    #[error("the upstream's answer is neither JSON nor an event stream")]
    MediaType,
    /// A list that is longer than may be held.
    #[error("the upstream's answer is too long to be judged")]
    TooLong,
    /// An agent's answer that can't be judged, or that is not its caller's.
    #[error(transparent)]
    Task(#[from] WatchError),
    /// A session id that can't be sealed.
    #[error(transparent)]
    Session(#[from] Unsealable),
    /// The permit, the subject token or the caller's SVID ran out while the answer streamed.
    #[error("the stream's permit has ended")]
    PermitEnded,
    /// Something that the answer rests on was revoked while it streamed.
    #[error("the answer may not go on")]
    Revoked(#[from] Revoked),
}

pub(crate) const SESSION_ID: HeaderName = HeaderName::from_static("mcp-session-id");
pub(crate) const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// What of a request goes on. All else stays: credentials, cookies, identities that somebody claims, hop-by-hop fields.
const REQUEST_HEADERS: [HeaderName; 8] = [
    header::ACCEPT,
    header::CONTENT_TYPE,
    LAST_EVENT_ID,
    HeaderName::from_static("mcp-method"),
    HeaderName::from_static("mcp-name"),
    HeaderName::from_static("mcp-protocol-version"),
    HeaderName::from_static("traceparent"),
    HeaderName::from_static("tracestate"),
];
/// Headers that mirror tool parameters (MCP SEP-2243) go on as they came.
const PARAM_HEADERS: &str = "mcp-param-";

/// What of a response comes back. No cookies, no challenges, no word about other ways to the server.
const RESPONSE_HEADERS: [HeaderName; 9] = [
    HeaderName::from_static("a2a-extensions"),
    HeaderName::from_static("a2a-version"),
    header::ALLOW,
    header::CACHE_CONTROL,
    header::CONTENT_LENGTH,
    header::CONTENT_TYPE,
    header::RETRY_AFTER,
    HeaderName::from_static("mcp-protocol-version"),
    HeaderName::from_static("x-accel-buffering"),
];

/// A permitted call on its way, by its protocol.
#[derive(Debug)]
pub enum Going<'c> {
    /// To a server: in its session, and with what keeps a list to what the caller may use.
    Server(Option<Box<Session<'c>>>, Option<ListFilter>),
    /// To an agent.
    Agent(Box<ToAgent<'c>>),
}

/// A permitted call on its way to an agent.
#[derive(Debug)]
pub struct ToAgent<'c> {
    /// What is asked.
    pub call: &'c Call,
    /// What the answer shows becomes the caller's.
    pub watcher: Watcher,
    /// The body in the place of the caller's, if there is one.
    pub body: Option<Bytes>,
}

impl<'p> Upstream<'p> {
    /// Names the server and who we are to it.
    pub fn new(pool: &'p Pool, server: Arc<Server>, identity: Arc<Identity>) -> Self {
        Self { pool, server, identity }
    }

    /// Sends a permitted call and returns when the answer begins. The permit and the credential are used up by it.
    ///
    /// # Errors
    /// [`UpstreamError`]. A call that has left is never sent twice: only the server knows what it has done with it.
    pub async fn send(
        self,
        permit: Permit,
        credential: Arc<Credential>,
        going: Going<'_>,
        arrival: &Arrival,
        trace: Option<HeaderValue>,
    ) -> Result<Answer, UpstreamError> {
        if let Going::Agent(to) = &going
            && to.call.binding == Binding::Grpc
        {
            return self.send_grpc(permit, &credential, going, arrival, trace).await;
        }
        let request = match &going {
            Going::Server(session, _) => self.request(&credential, session.as_deref(), arrival, trace),
            Going::Agent(to) => {
                agent::request(&self.server, &credential, to.call, (arrival, to.body.as_ref()), trace)
            }
        };
        let (response, lease) = self.pool.send(&self.server, &self.identity, request).await?;
        let (head, incoming) = response.into_parts();
        if !passes(head.status) {
            return Err(UpstreamError::Status(head.status));
        }
        let mut headers = filtered(&head.headers, &RESPONSE_HEADERS, None);
        headers.remove(header::CONTENT_LENGTH); // What it says besides another framing is nobody's length.
        if let Some(length) = incoming.size_hint().exact() {
            headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
        }
        let until = permit.expires_at().min(lease.until()); // A stream ends with its permit, and before either SVID.
        let body = AnswerBody::upstream(incoming, lease, self.pool.deadline(until));
        let answer = Answer { status: head.status, headers, body };
        let bytes_max = self.pool.held_bytes_max;
        match going {
            Going::Server(session, list) => {
                let rules = filter::Rules { allowed: self.server.server_requests.clone(), bytes_max, list };
                let mut judged = rules.judge(answer).await;
                // One that the call opens is open only if the caller will hear of it.
                let accepts = |s: &Session<'_>| judged.is_ok() || s.upstream().is_some();
                if let Some(session) = session.filter(|s| head.status.is_success() && accepts(s))
                    && let Some(id) = session.accepted(head.headers.get(SESSION_ID))?
                    && let Ok(answer) = &mut judged
                {
                    answer.headers.insert(SESSION_ID, id);
                }
                judged
            }
            Going::Agent(to) => agent::judged(answer, to.watcher, bytes_max).await,
        }
    }

    async fn send_grpc(
        self,
        permit: Permit,
        credential: &Credential,
        going: Going<'_>,
        arrival: &Arrival,
        trace: Option<HeaderValue>,
    ) -> Result<Answer, UpstreamError> {
        let Going::Agent(to) = going else { return Err(UpstreamError::Grpc) };
        let ToAgent { call, watcher, body } = *to;
        let request = grpc::request(&self.server, credential, call, (arrival, body.as_ref()), trace)?;
        let (response, lasts) = self.pool.send_grpc(&self.server, &self.identity, request).await?;
        let (head, incoming) = response.into_parts();
        if head.status != StatusCode::OK {
            return Err(UpstreamError::Status(head.status));
        }
        let deadline = self.pool.deadline(permit.expires_at().min(lasts));
        grpc::judged(&head.headers, incoming, watcher, self.pool.held_bytes_max, deadline).await
    }

    fn request(
        &self,
        credential: &Credential,
        session: Option<&Session<'_>>,
        arrival: &Arrival,
        trace: Option<HeaderValue>,
    ) -> Request<Full<Bytes>> {
        let body = arrival.body.clone().unwrap_or_default();
        let mut headers = filtered(&arrival.headers, &REQUEST_HEADERS, Some(PARAM_HEADERS));
        if arrival.method != Method::GET {
            headers.remove(LAST_EVENT_ID); // It resumes a stream, and means nothing on a call.
        }
        if let Some(id) = session.and_then(Session::upstream) {
            headers.insert(SESSION_ID, id.clone());
        }
        traced(&mut headers, trace);
        headers.insert(header::AUTHORIZATION, credential.bearer.clone());
        headers.insert(header::HOST, self.server.host.clone());
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = arrival.method.clone();
        *request.uri_mut() = self.server.target.clone();
        *request.headers_mut() = headers;
        request
    }
}

impl Answer {
    /// The same answer, which ends once anything that it rests on is revoked.
    pub fn held(self, hold: Hold) -> Self {
        Self { body: self.body.held(hold), ..self }
    }

    /// All of its body, which must be no longer than this.
    ///
    /// # Errors
    /// [`UpstreamError`].
    pub(crate) async fn whole(&mut self, bytes_max: usize) -> Result<Bytes, UpstreamError> {
        filter::collected(self, bytes_max).await
    }

    /// A document of the gateway's own.
    pub fn json(document: String) -> Self {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(document.len()));
        Self { status: StatusCode::OK, headers, body: AnswerBody::whole(document.into()) }
    }
}

/// What the caller may see of the upstream's state: results, and the protocol's own refusals. A 401 or 403 is about our
/// credential and not the caller's, a redirect would lead around the gateway, a 5xx is the upstream's to explain to us.
fn passes(status: StatusCode) -> bool {
    status.is_success()
        || (status.is_client_error()
            && !matches!(
                status,
                StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::PROXY_AUTHENTICATION_REQUIRED
            ))
}

/// Two trace parents are none (W3C Trace Context §3.2), and ours stands in the place of the caller's.
fn traced(headers: &mut HeaderMap, ours: Option<HeaderValue>) {
    for trace in ["traceparent", "tracestate"] {
        if headers.get_all(trace).iter().count() > 1 {
            headers.remove(trace);
        }
    }
    let Some(ours) = ours else { return };
    let of = |parent: &HeaderValue| parent.as_bytes().get(3..35).map(<[u8]>::to_vec);
    if headers.get("traceparent").and_then(of) != of(&ours) {
        headers.remove("tracestate"); // It belongs to the other trace.
    }
    headers.insert("traceparent", ours);
}

fn filtered(from: &HeaderMap, names: &[HeaderName], prefix: Option<&str>) -> HeaderMap {
    let mut kept = HeaderMap::with_capacity(16); // What is kept, and what is added; no growing on the way.
    for name in names {
        kept.extend(from.get_all(name).iter().map(|value| (name.clone(), value.clone())));
    }
    if let Some(prefix) = prefix {
        let more = from.iter().filter(|(name, _)| name.as_str().starts_with(prefix));
        kept.extend(more.map(|(name, value)| (name.clone(), value.clone())));
    }
    kept
}

/// When a stream ends at the latest, on the runtime's clock.
pub(crate) fn deadline(until: SystemTime, now: SystemTime) -> tokio::time::Instant {
    tokio::time::Instant::now() + until.duration_since(now).unwrap_or_default()
}
