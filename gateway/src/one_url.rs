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
use crate::authorize::{self, AuthorizeError, Question, TimeLeft};
use crate::decode::{self, Call};
use crate::delegation;
use crate::identity::{Caller, IdentityError};
use crate::observed::{Observed, Stage};
use crate::reply::Refusal;
use crate::request::{self, Arrival};
use crate::revocation;
use crate::route::{RouteError, ServerRoute};
use crate::session::{self, Owner, Session, SessionError};
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

/// What a request to all servers gives to each that it becomes to one of them.
#[derive(Clone, Debug, Default)]
pub struct Through {
    /// The name of the session that its caller knows, as in [`Name::Session`](revocation::Name::Session).
    pub session: Option<String>,
    /// The time for decisions, where several requests share it.
    pub time: Option<Arc<TimeLeft>>,
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
    /// Policy lets the caller read the resource at more than one server, or would with more scopes.
    #[error("the resource may be read at {} servers: {}", .0.len(), .0.join(", "))]
    Ambiguous(Vec<String>),
    /// Too many lists are being put together.
    #[error("{max} lists of all servers are being put together")]
    Busy {
        /// The limit.
        max: usize,
    },
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
            return self.onward(self.state, &to.arrival(None, Through::default())?, record, observed).await;
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
            return self.onward(self.state, &to.arrival(None, Through::default())?, record, observed).await;
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
        if let Some(shown) = call.session.as_deref()
            && gateway.opened.is_ended(shown)
        {
            return Err(SessionError::Ended.into());
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
                    self.close(&entered, shown).await;
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
        let mut state = Arc::clone(self.state);
        let begun = match self.gateway.opened.known(shown, &to.server) {
            Some(begun) => Some(begun),
            None if self.judged(entered, &to.server, to.call(&entered.call)).await.is_ok() => {
                let opened = self.opened(entered, shown, &to.server).await;
                self.still_holds(entered)?;
                state = self.gateway.state(); // The server took its time: the call is judged by what holds now.
                opened?
            }
            None => None, // The call will be refused, and its server hears nothing of it.
        };
        let arrival = to.arrival(begun.as_ref(), Through::in_session(shown))?;
        let answer = self.onward(&state, &arrival, record, observed).await;
        let gone = match &answer {
            Ok(answer) => answer.status == StatusCode::NOT_FOUND,
            Err(refusal) => matches!(refusal, Refusal::Session(_)),
        };
        if gone && let Some(begun) = &begun {
            self.forget(entered, shown, &to.server, begun); // The next call begins another.
        }
        let mut answer = answer?;
        answer.headers.remove(SESSION_ID); // It is not the one that the caller knows.
        Ok(answer)
    }

    /// Whether all that the request rests on is good still, after others were waited for.
    fn still_holds(&self, entered: &Entered<'_>) -> Result<(), Refusal> {
        let (revoked, now) = (self.gateway.revocations.current(), self.gateway.clock.now());
        revoked.caller(self.caller, now).map_err(IdentityError::from)?;
        revoked.token(entered.subject.as_ref(), now).map_err(TokenError::from)?;
        let Some(shown) = &entered.call.session else { return Ok(()) };
        revoked.session(shown, now).map_err(SessionError::from)?;
        if self.gateway.opened.is_ended(shown) { Err(SessionError::Ended.into()) } else { Ok(()) }
    }

    /// Whose the servers' sessions are.
    fn owner(&self, entered: &Entered<'_>) -> Owner {
        Owner::new(self.caller, entered.subject.as_ref())
    }

    /// Whether policy permits a call at a server: asked before anything begins there for it, and again with the call.
    async fn judged(
        &self,
        entered: &Entered<'_>,
        server: &str,
        call: mcp::Call,
    ) -> Result<(), AuthorizeError> {
        let Self { gateway, state, caller, arrival, now } = *self;
        let route = ServerRoute::at(server, &gateway.url, &state.servers);
        let (call, subject) = (Call::Mcp(call), entered.subject.as_ref());
        let question = Question::new(arrival, caller, subject, &route, &call, &state.revocations, now);
        authorize::permit(&state.policy, &gateway.lane, &question, &gateway.limits).await.map(drop)
    }

    /// The server at which the caller may read a resource. URIs say nothing of servers, so policy says it: each server's,
    /// since where one could not be asked, the resource may be that server's.
    async fn holder(&self, entered: &Entered<'_>) -> Result<To<'a>, Refusal> {
        let all = async {
            let (mut holders, mut pace) = (Vec::new(), self.gateway.lane.pace());
            for server in self.state.servers.keys() {
                pace.keep().await;
                match self.judged(entered, server, entered.call.clone()).await {
                    Ok(()) => holders.push(server.clone()),
                    Err(AuthorizeError::Denied(denial)) if lacks_scopes(&denial) => {
                        holders.push(server.clone());
                    }
                    Err(error) if error.is_decided() => {}
                    Err(error) => return Err(error),
                }
            }
            Ok(holders)
        };
        let holders = tokio::time::timeout(self.gateway.limits.decisions_timeout, all).await;
        let mut holders = holders.map_err(|_| AuthorizeError::Budget)??;
        match holders.len() {
            0 | 1 => Ok(To::unnamed(self.arrival, holders.pop().unwrap_or_default())),
            _ => Err(OneUrlError::Ambiguous(holders).into()),
        }
    }

    /// The path of every other call, for a request as one server gets it.
    async fn onward(
        &self,
        state: &Arc<State>,
        arrival: &Arrival,
        record: &mut Record,
        observed: &mut Observed,
    ) -> Result<Answer, Refusal> {
        request::onward(self.gateway, state, arrival, record, observed).await
    }
}

impl Through {
    /// In a session, by its id as its caller knows it.
    fn in_session(shown: &str) -> Self {
        Self { session: Some(revocation::session(shown)), time: None }
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
    of_ours(format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{result}}}"#))
}

fn of_ours(document: String) -> Answer {
    let mut answer = Answer::json(document);
    answer.headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-store"));
    answer
}

fn nothing(status: StatusCode) -> Answer {
    let headers = [(CONTENT_LENGTH, HeaderValue::from(0))].into_iter().collect();
    Answer { status, headers, body: AnswerBody::whole(Bytes::new()) }
}
