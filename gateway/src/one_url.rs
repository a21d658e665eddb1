//! `/mcp`: all servers at one URL. A call names its server itself, as `<server>__<tool>`; lists are those of all servers,
//! merged. Nothing is decided here: whatever goes to a server goes through [`request`](crate::request) as if it had come to
//! `/mcp/<server>`, in the caller's name, so that this URL permits what that one does and nothing else.
//!
//! In the place of all stages behind the second; it runs them itself, once for each server that is asked.

mod list;
mod opened;
mod part;
mod to;

pub(crate) use list::LeftOut;
pub use opened::Opened;
pub use part::Unheard;

use crate::audit::Record;
use crate::authorize::{self, Question};
use crate::decode::{self, Call};
use crate::delegation;
use crate::identity::Caller;
use crate::observed::{Observed, Stage};
use crate::reply::Refusal;
use crate::request::{self, Arrival};
use crate::revocation::{Basis, Hold};
use crate::route::{RouteError, ServerRoute};
use crate::session::{self, Session};
use crate::state::{Gateway, State};
use crate::token::{self, SubjectToken, TokenError};
use crate::upstream::{Answer, AnswerBody, SESSION_ID};
use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_LENGTH, HeaderValue};
use http::{Method, StatusCode};
use policy::Denial;
use protocol::mcp::{self, MessageError, Target, Version};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use std::fmt::Display;
use std::sync::Arc;
use std::time::SystemTime;
use to::To;

/// The path.
pub const PATH: &str = "/mcp";
/// What stands between a server's name and a tool's. No server has it in its name.
pub const BETWEEN: &str = "__";
/// The longest name that is listed and called here, in bytes (MCP 2025-11-25 and later, Tool Names).
pub const NAME_BYTES_MAX: usize = 128;

/// What is asked at the URL, by whom.
pub struct Front<'a> {
    /// The gateway.
    pub gateway: &'a Gateway,
    /// Its snapshot.
    pub state: &'a Arc<State>,
    /// Who calls.
    pub caller: &'a Caller,
    /// The request.
    pub arrival: &'a Arrival,
    /// When.
    pub now: SystemTime,
}

/// Why it is not answered here.
#[derive(Debug, thiserror::Error)]
pub enum OneUrlError {
    /// It is a method of one server.
    #[error("{method} is not answered for all servers at once")]
    Method {
        /// Which.
        method: &'static str,
        /// The call's version.
        version: Version,
    },
    /// A GET: no server's messages come on a stream of their own here.
    #[error("there is no stream of all servers")]
    Stream,
    /// A call of 2025 outside a session, in which servers' sessions could be found again.
    #[error("the call is in no session")]
    NoSession,
    /// A list has one page here.
    #[error("a list of all servers has no second page")]
    Cursor,
    /// Policy lets the caller read the resource at more than one server.
    #[error("the resource may be read at {} servers: {}", .0.len(), .0.join(", "))]
    Ambiguous(Vec<String>),
    /// The server began no session.
    #[error("the server began no session: {}", .0.code())]
    Unopened(Unheard),
    /// A name could not be put in the place of another.
    #[error("the call could not be renamed")]
    Rename(#[from] MessageError),
}

/// A caller that has come in: in 2025 in a session of the gateway's own.
struct Entered<'a> {
    subject: Option<SubjectToken>,
    call: mcp::Call,
    session: Option<Session<'a>>,
}

impl<'a> Front<'a> {
    /// Answers, or has a server answer.
    ///
    /// # Errors
    /// [`Refusal`], in the same words as at `/mcp/<server>`.
    pub async fn answered(&self, record: &mut Record, observed: &mut Observed) -> Result<Answer, Refusal> {
        let named = To::named(self.arrival).map_err(decode::DecodeError::from)?;
        if let Some(to) = &named
            && to::is_stateless(self.arrival)
        {
            return self.onward(&to.arrival(None)?, record, observed).await;
        }
        let entered = self.entered(record, observed).await?;
        let to = match &entered.call.target {
            Target::Resource { .. } if to::is_routed(entered.call.method) => {
                Some(self.holder(&entered).await?)
            }
            _ => named,
        };
        let Some(to) = to else { return Box::pin(self.own(entered, record, observed)).await };
        if entered.call.version.is_stateless() {
            return self.onward(&to.arrival(None)?, record, observed).await;
        }
        Box::pin(self.in_session(&entered, &to, record, observed)).await
    }

    /// The stages up to the call, as for any server.
    async fn entered(&self, record: &mut Record, observed: &mut Observed) -> Result<Entered<'a>, Refusal> {
        let Self { gateway, state, caller, arrival, now } = *self;
        let route = ServerRoute::of_all(&gateway.url, &state.servers);
        observed.begins(Stage::Token);
        let subject = token::subject(&arrival.headers, caller, &route, &state.issuers, now).await?;
        let subject = record.subject(subject);
        delegation::chain(caller, subject.as_ref(), gateway.limits.actors_max).map_err(TokenError::from)?;
        state.revocations.token(subject.as_ref(), now).map_err(TokenError::from)?;
        observed.begins(Stage::Decode);
        let call = decode::call(arrival, &route, &gateway.origins, &gateway.limits)?;
        let call = record.call(route.name(), call, &arrival.body);
        observed.authorize(&call);
        let question =
            Question::new(arrival, caller, subject.as_ref(), &route, &call, &state.revocations, now);
        let session = session::open(&question, arrival, &state.sessions, &gateway.sessions, &gateway.limits)?;
        let Call::Mcp(call) = call else { return Err(RouteError::NotFound.into()) }; // There is no agent here.
        if arrival.method == Method::GET {
            return Err(OneUrlError::Stream.into());
        }
        match &session {
            None if !call.version.is_stateless() => return Err(OneUrlError::NoSession.into()),
            // Another replica may have opened it; here it counts as well, as what is kept for it does.
            Some(session) if call.method != "session/end" => {
                session.counted(gateway.limits.sessions_per_owner_max)?
            }
            _ => {}
        }
        Ok(Entered { subject, call, session })
    }

    /// What the gateway itself has to say.
    async fn own(
        &self,
        entered: Entered<'a>,
        record: &mut Record,
        observed: &mut Observed,
    ) -> Result<Answer, Refusal> {
        let Entered { call, session, .. } = &entered;
        let id = call.id.as_deref();
        match call.method {
            "initialize" => {
                let mut answer = result(id, &initialized(call.version));
                let own = HeaderValue::from_static(PATH); // Sealed it differs each time; what is in it says nothing.
                let session = session.as_ref().map(|session| session.accepted(Some(&own))).transpose();
                if let Some(shown) = session.map_err(crate::upstream::UpstreamError::from)?.flatten() {
                    answer.headers.insert(SESSION_ID, shown);
                }
                record.answered(&answer);
                Ok(answer)
            }
            "server/discover" => Ok(result(id, &discovered())),
            "ping" => Ok(result(id, &json!({}))),
            "session/end" => {
                if let (Some(session), Some(shown)) = (session, &call.session) {
                    session.accepted(None).map_err(crate::upstream::UpstreamError::from)?;
                    self.close(shown).await;
                }
                Ok(nothing(StatusCode::OK))
            }
            // Nobody waits for an answer, and no server is the one that is meant.
            method if method.starts_with("notifications/") => Ok(nothing(StatusCode::ACCEPTED)),
            method => match call.list {
                Some(kind) => self.list(&entered, kind, record, observed).await,
                None => Err(OneUrlError::Method { method, version: call.version }.into()),
            },
        }
    }

    /// A call of 2025, in the session that its server has begun for this caller, or begins now.
    async fn in_session(
        &self,
        entered: &Entered<'_>,
        to: &To<'_>,
        record: &mut Record,
        observed: &mut Observed,
    ) -> Result<Answer, Refusal> {
        let Some(shown) = &entered.call.session else { return Err(OneUrlError::NoSession.into()) };
        let begun = match self.gateway.opened.known(shown, &to.server) {
            Some(begun) => Some(begun),
            None if self.judged(entered, &to.server, to.call(&entered.call)).await.is_ok() => {
                self.opened(shown, &to.server, entered.call.version).await?
            }
            None => None, // The call will be refused, and its server hears nothing of it.
        };
        let answer = self.onward(&to.arrival(begun.as_ref())?, record, observed).await;
        record.session(shown);
        let gone = match &answer {
            Ok(answer) => answer.status == StatusCode::NOT_FOUND,
            Err(refusal) => matches!(refusal, Refusal::Session(_)),
        };
        if gone {
            self.gateway.opened.forget(shown, &to.server); // The next call begins another.
        }
        let mut answer = answer?;
        answer.headers.remove(SESSION_ID); // It is not the one that the caller knows.
        let tool = match to.call(&entered.call).target {
            Target::Tool { name } => Some(name),
            Target::Resource { .. } | Target::Prompt { .. } | Target::Protocol => None,
        };
        let basis = Basis {
            caller: self.caller.clone(),
            token: entered.subject.as_ref().map(SubjectToken::said),
            session: record.in_session().map(ToOwned::to_owned),
            server: self.state.servers.get(&to.server).cloned(),
            tool,
        };
        let judged = self.state.revocations.epoch();
        Ok(answer.held(Hold::new(basis, &self.gateway.revocations, judged, self.gateway.clock.clone())))
    }

    /// Whether policy permits a call at a server: asked before anything begins there for it, and again with the call.
    async fn judged(
        &self,
        entered: &Entered<'_>,
        server: &str,
        call: mcp::Call,
    ) -> Result<(), authorize::AuthorizeError> {
        let Self { gateway, state, caller, arrival, now } = *self;
        let route = ServerRoute::at(server, &gateway.url, &state.servers);
        let (call, subject) = (Call::Mcp(call), entered.subject.as_ref());
        let question = Question::new(arrival, caller, subject, &route, &call, &state.revocations, now);
        authorize::permit(&state.policy, &gateway.lane, &question, &gateway.limits).await.map(drop)
    }

    /// The server at which the caller may read a resource. URIs say nothing of servers, so policy says it.
    async fn holder(&self, entered: &Entered<'_>) -> Result<To<'a>, OneUrlError> {
        let (mut permitted, mut short) = (Vec::new(), Vec::new());
        for server in self.state.servers.keys() {
            match self.judged(entered, server, entered.call.clone()).await {
                Ok(()) => permitted.push(server.clone()),
                Err(authorize::AuthorizeError::Denied(denial)) if lacks_scopes(&denial) => {
                    short.push(server.clone());
                }
                Err(_) => {}
            }
        }
        let mut holders = if permitted.is_empty() { short } else { permitted };
        match holders.len() {
            0 | 1 => Ok(To::unnamed(self.arrival, holders.pop().unwrap_or_default())),
            _ => Err(OneUrlError::Ambiguous(holders)),
        }
    }

    /// The path of every other call, for a request as one server gets it.
    async fn onward(
        &self,
        arrival: &Arrival,
        record: &mut Record,
        observed: &mut Observed,
    ) -> Result<Answer, Refusal> {
        request::onward(self.gateway, self.state, arrival, record, observed).await
    }
}

fn lacks_scopes(denial: &Denial) -> bool {
    !denial.needs_scopes().is_empty()
}

/// What is there at this URL, whatever servers have: a list of what nobody has is empty.
fn capabilities() -> Value {
    json!({ "tools": {}, "prompts": {}, "resources": {}, "completions": {} })
}

fn server_info() -> Value {
    json!({ "name": "sallyport", "version": env!("CARGO_PKG_VERSION") })
}

fn initialized(version: Version) -> Value {
    json!({ "protocolVersion": version.as_str(), "capabilities": capabilities(), "serverInfo": server_info() })
}

fn discovered() -> Value {
    json!({
        "resultType": "complete",
        "supportedVersions": Version::ALL.map(Version::as_str),
        "capabilities": capabilities(),
        "ttlMs": 0,
        "cacheScope": "private",
        "_meta": { "io.modelcontextprotocol/serverInfo": server_info() },
    })
}

/// A result of the gateway's own.
fn result(id: Option<&RawValue>, result: &impl Display) -> Answer {
    let id = id.map_or("null", RawValue::get);
    let mut answer = Answer::json(format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{result}}}"#));
    answer.headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-store"));
    answer
}

fn nothing(status: StatusCode) -> Answer {
    let headers = [(CONTENT_LENGTH, HeaderValue::from(0))].into_iter().collect();
    Answer { status, headers, body: AnswerBody::whole(Bytes::new()) }
}
