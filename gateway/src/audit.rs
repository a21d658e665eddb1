//! Stage 9 of 9: what happened, once for each request, on every exit.
//! A [`Record`] is opened first and written last, by its `Drop`: an answer that ends, a caller that hangs up and a
//! refusal all leave one line. `docs/audit-fields.md` explains every field. Tokens, credentials and arguments never stand here.

pub mod chain;
pub mod verify;
mod canonical;
mod digest;
mod facts;
mod shown;
mod sink;
mod trail;

pub use facts::Outcome;
pub use shown::Shown;
pub use sink::AuditError;
pub use trail::{Tip, tip_of};

use crate::config::{AuditMode, Limits};
use crate::decode::{Body, Call};
use crate::exchange::Credential;
use crate::identity::Caller;
use crate::one_url::{LeftOut, Through};
use crate::push;
use crate::registry;
use crate::request::Arrival;
use crate::revocation;
use crate::tasks::Owner;
use crate::token::SubjectToken;
use crate::upstream::{Answer, SESSION_ID};
use certs::Clock;
use facts::{Facts, Minted, Subject, Touched};
use http::Uri;
use policy::{AuditDetail, Permit};
use serde_json::value::RawValue;
use sink::{Room, Sink};
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use trail::Trail;

/// Takes records and appends them to the chain.
#[derive(Clone, Debug)]
pub struct Audit {
    sink: Arc<Sink>,
    clock: Clock,
    /// In mode `required`: how long a permit may wait until it is durable.
    required: Option<Duration>,
}

/// What is known of a request so far. Each stage adds its part; dropping it writes the line.
#[derive(Debug)]
pub struct Record {
    facts: Facts,
    audit: Audit,
    kind: &'static str,
    at: SystemTime,
    /// The JSON-RPC id, for the answer; it is the caller's text and not for the record.
    pub(crate) rpc_id: Option<Box<RawValue>>,
}

/// How the delivery of an event ended.
#[derive(Clone, Copy, Debug)]
pub struct Pushed<'a> {
    /// Whether it is there.
    pub delivered: bool,
    /// Of which agent, by its name here.
    pub agent: &'a str,
    /// Who asked for it.
    pub owner: &'a Owner,
    /// About which task.
    pub task: &'a str,
    /// Whither: the host alone.
    pub host: &'a str,
    /// How often it was tried.
    pub attempts: u64,
    /// What the target answered last.
    pub status: Option<u16>,
    /// Why it isn't there.
    pub cause: Option<&'a str>,
}

fn subject(owner: &Owner) -> Option<Subject> {
    let (iss, sub) = owner.iss.clone().zip(owner.sub.clone())?;
    Some(Subject { iss, sub, jti: None })
}

/// What of a URI stands in records. A push URL opens something for whoever is the agent.
fn shown(uri: &Uri) -> Uri {
    if push::is_below(uri.path()) { Uri::from_static("/push") } else { uri.clone() }
}

impl Audit {
    /// Opens the file and takes up its chain.
    ///
    /// # Errors
    /// [`std::io::Error`] if the file can't be opened for appending or holds something else, or the writer's thread can't
    /// be started.
    pub fn open_file(path: &Path, mode: AuditMode, limits: &Limits, clock: Clock) -> std::io::Result<Self> {
        let required = (mode == AuditMode::Required).then_some(limits.audit_timeout);
        let opened = Trail::open(path, required.is_some())?;
        let rests = required.is_none();
        let most = Room { records: limits.audit_queue_max, bytes: limits.audit_queue_bytes_max };
        let sink = Sink::start(opened.trail, opened.tip, most, rests, clock.clone())?;
        let audit = Self { sink: Arc::new(sink), clock, required };
        if opened.cut > 0 {
            let cause = format!("{} bytes of a record that was never finished were cut off", opened.cut);
            audit.event("half_record", &cause, audit.clock.now());
        }
        Ok(audit)
    }

    /// Opens the record of a request whose body has arrived.
    pub fn open(&self, arrival: &Arrival) -> Record {
        self.record("request", arrival)
    }

    /// Opens the record of what is asked of one server, for a request to all of them.
    pub fn open_part(&self, arrival: &Arrival) -> Record {
        self.record("part", arrival)
    }

    fn record(&self, kind: &'static str, arrival: &Arrival) -> Record {
        let facts = Facts {
            ip: arrival.ip,
            http_method: Some(arrival.method.clone()),
            uri: Some(shown(&arrival.uri)),
            ..Facts::default()
        };
        Record { facts, audit: self.clone(), kind, at: arrival.at, rpc_id: None }
    }

    /// Notes a connection that never became one: no request could have come of it.
    pub fn refused_connection(&self, ip: Option<IpAddr>, cause: String) {
        let facts = Facts { ip, cause: Some(cause), ..Facts::default() };
        self.sink.append(facts.line("connection", self.clock.now()), false);
    }

    /// Notes what happened to the gateway itself: a swap, a refused policy, its start and its end.
    pub fn event(&self, kind: &'static str, cause: &str, at: SystemTime) {
        let facts = Facts { cause: Some(cause.to_owned()), ..Facts::default() };
        self.sink.append(facts.line(kind, at), false);
    }

    /// Notes that another list of revocations is in use, of so many names.
    pub fn revocations_swapped(&self, count: usize, at: SystemTime) {
        let facts = Facts { count: u64::try_from(count).ok(), ..Facts::default() };
        self.sink.append(facts.line("revocations_swapped", at), false);
    }

    /// Notes what became of an agent's card.
    pub fn card(&self, kind: &'static str, agent: &str, cause: String, at: SystemTime) {
        let facts = Facts { server: Some(agent.to_owned()), cause: Some(cause), ..Facts::default() };
        self.sink.append(facts.line(kind, at), false);
    }

    /// Notes how the delivery of an event ended.
    pub fn pushed(&self, pushed: Pushed<'_>, at: SystemTime) {
        let kind = if pushed.delivered { "push_delivered" } else { "push_failed" };
        let facts = Facts {
            server: Some(pushed.agent.to_owned()),
            subject: subject(pushed.owner),
            target: Some(Touched::Pushed { task: pushed.task.to_owned(), host: pushed.host.to_owned() }),
            count: Some(pushed.attempts),
            status: pushed.status,
            cause: pushed.cause.map(ToOwned::to_owned),
            ..Facts::default()
        };
        self.sink.append(facts.line(kind, at), false);
    }

    /// Waits until every record handed over so far is stored, or storing it has failed.
    pub fn flush(&self) {
        self.sink.flush();
    }

    /// Whether a permit has to be durable before its call goes on.
    pub fn required(&self) -> bool {
        self.required.is_some()
    }

    /// Whether calls may go on. In mode `required` not while records can't be stored, or too many wait; else always.
    pub fn healthy(&self) -> bool {
        self.required.is_none() || (self.sink.working() && !self.sink.full())
    }

    /// Whether the last attempt to write succeeded, in either mode.
    pub fn working(&self) -> bool {
        self.sink.working()
    }

    /// How many records wait to be stored; at most `limits.audit_queue_max`, but for those of permitted calls.
    pub fn waiting(&self) -> usize {
        self.sink.waiting()
    }

    /// How many records were lost since the start, because there was no place for them.
    pub fn lost(&self) -> u64 {
        self.sink.lost()
    }
}

impl Record {
    /// Notes the caller.
    pub fn caller(&mut self, caller: Caller) -> Caller {
        self.facts.caller = Some(caller.spiffe_id().to_owned());
        caller
    }

    /// Notes on whose behalf, and by whose hands.
    pub fn subject(&mut self, subject: Option<SubjectToken>) -> Option<SubjectToken> {
        if let Some(token) = &subject {
            let claims = token.claims();
            self.facts.subject =
                Some(Subject { iss: claims.iss.clone(), sub: claims.sub.clone(), jti: claims.jti.clone() });
            self.facts.actors = token.actors().to_vec();
        }
        subject
    }

    /// Notes what is asked: names as they are, arguments as a digest; of a message to an agent, that of the whole body.
    pub fn call(&mut self, server: &str, call: Call, body: &Body) -> Call {
        self.facts.protocol = Some(call.protocol());
        self.facts.version = Some(call.version());
        self.facts.server = Some(server).filter(|name| !name.is_empty()).map(ToOwned::to_owned);
        self.facts.method = Some(call.method());
        self.rpc_id = call.id().map(ToOwned::to_owned);
        match &call {
            Call::Mcp(call) => {
                self.facts.target = Some(Touched::Mcp(call.target.clone()));
                self.facts.arguments = call.arguments.as_ref().map(digest::arguments);
                self.facts.session = call.session.as_deref().map(revocation::session);
            }
            Call::A2a(call) => {
                self.facts.target =
                    Some(Touched::Task { task: call.task.clone(), context: call.context.clone() });
                let body = body.as_ref().ok().filter(|_| call.message.is_some());
                self.facts.arguments = body.map(|body| crate::digest::text(&crate::digest::of(body)));
            }
            Call::Card => {}
        }
        call
    }

    /// Notes that the list of agents is asked for.
    pub fn lists_agents(&mut self) {
        self.facts.protocol = Some("a2a");
        self.facts.method = Some(registry::METHOD);
    }

    /// Notes that an agent posts an event.
    pub fn posts(&mut self, method: &'static str) {
        self.facts.protocol = Some("a2a");
        self.facts.method = Some(method);
    }

    /// Notes of which agent the event is, for whom, and about which task.
    pub fn relays(&mut self, agent: &str, owner: &Owner, task: Option<String>) {
        self.facts.server = Some(agent.to_owned());
        self.facts.subject = subject(owner);
        self.facts.target = Some(Touched::Task { task, context: None });
    }

    /// Notes how many of them were shown.
    pub fn listed(&mut self, items: usize) {
        self.facts.count = u64::try_from(items).ok();
    }

    /// Notes how many items of all servers were shown, and which servers were left out.
    pub(crate) fn listed_all(&mut self, items: usize, left_out: &[LeftOut]) {
        self.listed(items);
        if !left_out.is_empty() {
            let all: Vec<String> =
                left_out.iter().map(|left| format!("{} ({})", left.server, left.why.code())).collect();
            self.facts.cause = Some(bounded(format!("left out: {}", all.join(", "))));
        }
    }

    /// Notes the session that its caller knows, where that is one of the URL of all servers, and gives the server's.
    pub fn through(&mut self, through: Option<&Through>) -> Option<String> {
        let session = through.and_then(|through| through.session.clone())?;
        self.facts.session.replace(session)
    }

    /// Notes the session that an answer opened.
    pub fn answered(&mut self, answer: &Answer) {
        let opened = answer.headers.get(SESSION_ID).filter(|_| self.facts.session.is_none());
        if let Some(id) = opened.and_then(|id| id.to_str().ok()) {
            self.facts.session = Some(revocation::session(id));
        }
    }

    /// What an agent's answer shows will stand in the record: whoever watches the answer adds it up.
    pub fn shown(&mut self) -> Shown {
        self.facts.answer.get_or_insert_default().clone()
    }

    /// The session's digest, where there is one.
    pub fn in_session(&self) -> Option<&str> {
        self.facts.session.as_deref()
    }

    /// Notes a permit, and how much of the arguments its obligation wants kept.
    pub fn permit<T: Permitted>(&mut self, call: &Call, permitted: T) -> T {
        let permit: &Permit = permitted.permit();
        self.facts.decision = Some("permit");
        self.facts.package = Some(permit.package().to_owned());
        self.facts.policy = Some(permit.revision().to_owned());
        if permit.audit() == AuditDetail::Full {
            self.facts.arguments = match call {
                Call::Mcp(call) => call.arguments.as_ref().map(ToString::to_string), // As text: no number is rounded.
                Call::A2a(call) => {
                    call.message.as_ref().and_then(|message| serde_json::to_string(message).ok())
                }
                Call::Card => None,
            };
        }
        permitted
    }

    /// Notes the credential: for whom and for what, never itself.
    pub fn credential(&mut self, credential: Arc<Credential>) -> Arc<Credential> {
        self.facts.credential = Some(Minted {
            actor_recorded: credential.actor_recorded,
            audience: credential.audience.clone(),
            jti: credential.id.clone(),
            scopes: credential.scopes.clone(),
        });
        credential
    }

    /// In mode `required`: writes what is known as a record of kind `permit`, and returns when that can't be lost any more.
    /// Until then not a byte goes upstream. The request's own record will name it.
    ///
    /// # Errors
    /// [`AuditError`]: the call must not go on.
    pub async fn durable(&mut self) -> Result<(), AuditError> {
        let Some(timeout) = self.audit.required else { return Ok(()) };
        let (seq, stored) = self.audit.sink.permit(self.facts.line("permit", self.audit.clock.now()))?;
        self.facts.permit = Some(seq);
        match tokio::time::timeout(timeout, stored).await {
            Ok(Ok(true)) => Ok(()),
            Ok(_) => Err(AuditError::Failing),
            Err(_) => Err(AuditError::Timeout),
        }
    }

    /// Notes a refusal. The cause is for this record and the log; the caller hears the reason alone.
    pub fn refused(&mut self, reason: &str, cause: String) {
        self.facts.reason = Some(reason.to_owned());
        self.facts.cause = Some(bounded(cause));
    }

    /// Notes that policy's answer was no.
    pub fn denied(&mut self, package: Option<&str>, policy: Option<&str>) {
        self.facts.decision = Some("denial");
        self.facts.package = package.map(ToOwned::to_owned);
        self.facts.policy = policy.map(ToOwned::to_owned);
    }

    /// Notes the status that the caller gets.
    pub fn status(&mut self, status: http::StatusCode) {
        self.facts.status = Some(status.as_u16());
        self.facts.bytes = Some(0);
    }

    /// Counts bytes of the answer's body that were handed to the caller.
    pub fn sent(&mut self, bytes: usize) {
        let sent = self.facts.bytes.get_or_insert(0);
        *sent = sent.saturating_add(u64::try_from(bytes).unwrap_or(u64::MAX));
    }

    /// Notes how it ended; without it the caller has gone.
    pub fn ended(&mut self, outcome: Outcome, cause: Option<String>) {
        self.facts.outcome = Some(outcome);
        self.facts.cause = cause.map(bounded).or(self.facts.cause.take());
    }

    /// The method that was called, once it is known.
    pub fn method(&self) -> Option<&str> {
        self.facts.method
    }
}

/// The longest cause of a request's record, in bytes: what others say must not push out others' records.
const CAUSE_BYTES_MAX: usize = 8 * 1024;

fn bounded(mut cause: String) -> String {
    if cause.len() > CAUSE_BYTES_MAX {
        cause.truncate(cause.floor_char_boundary(CAUSE_BYTES_MAX));
        cause.push('…');
    }
    cause
}

/// What holds a permit.
pub trait Permitted {
    /// The permit.
    fn permit(&self) -> &Permit;
}

impl<T> Permitted for (Permit, T) {
    fn permit(&self) -> &Permit {
        &self.0
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        self.facts.outcome.get_or_insert(Outcome::CallerGone);
        let took = self.audit.clock.now().duration_since(self.at).unwrap_or_default();
        self.facts.duration_us = Some(u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
        let promised = self.facts.permit.is_some(); // Whoever let the call go on will have its end, too.
        self.audit.sink.append(self.facts.line(self.kind, self.at), promised);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_has_a_bound_and_ends_between_two_characters() {
        assert_eq!(bounded("why".into()), "why");
        let long = bounded("é".repeat(CAUSE_BYTES_MAX));
        assert_eq!(long.len(), CAUSE_BYTES_MAX + "…".len());
        assert!(long.ends_with("é…"));
    }
}
