//! Stage 9 of 9: what happened, once for each request, on every exit.
//! A [`Record`] is opened first and written last, by its `Drop`: an answer that ends, a caller that hangs up and a
//! refusal all leave one line. `docs/audit-fields.md` explains every field. Tokens, credentials and arguments never stand here.

pub mod chain;

use crate::exchange::Credential;
use crate::identity::Caller;
use crate::request::Arrival;
use crate::token::SubjectToken;
use certs::Clock;
use chain::Sink;
use policy::{AuditDetail, Permit};
use protocol::mcp::{Call, Target};
use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Takes records and appends them to the chain.
#[derive(Clone, Debug)]
pub struct Audit {
    sink: Arc<Sink>,
    clock: Clock,
}

/// What is known of a request so far. Each stage adds its part; dropping it writes the line.
#[derive(Debug)]
pub struct Record {
    entry: Entry,
    audit: Audit,
    at: SystemTime,
    /// The JSON-RPC id, for the answer; it is the caller's text and not for the record.
    pub(crate) rpc_id: Option<Box<RawValue>>,
}

/// The fields of a line, less those of the chain. What is not known is left out.
#[derive(Debug, Default, Serialize)]
struct Entry {
    kind: &'static str,
    time: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    ip: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    caller: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    actors: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    http_method: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    protocol: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    server: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    method: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    arguments: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    decision: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    package: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    policy: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    credential: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    outcome: Option<Outcome>,
    #[serde(skip_serializing_if = "Option::is_none")]
    duration_us: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cause: Option<String>,
}

/// How a request ended for its caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The last byte of the answer was handed to the caller.
    Complete,
    /// The caller hung up before that.
    CallerGone,
    /// The upstream broke off, or the permit ended, in the middle of the answer.
    AnswerBroken,
}

impl Audit {
    /// Opens the file and takes up its chain.
    ///
    /// # Errors
    /// [`std::io::Error`] if the file can't be opened for appending, or the writer's thread can't be started.
    pub fn open_file(path: &Path, queue_max: usize, clock: Clock) -> std::io::Result<Self> {
        Ok(Self { sink: Arc::new(Sink::open(path, queue_max)?), clock })
    }

    /// Opens the record of a request whose body has arrived.
    pub fn open(&self, arrival: &Arrival) -> Record {
        let entry = Entry {
            ip: arrival.ip.map(|ip| ip.to_string()),
            http_method: Some(arrival.method.to_string()),
            path: Some(arrival.uri.path().to_owned()),
            ..self.entry("request", arrival.at)
        };
        Record { entry, audit: self.clone(), at: arrival.at, rpc_id: None }
    }

    /// Notes a connection that never became one: no request could have come of it.
    pub fn refused_connection(&self, ip: Option<IpAddr>, cause: String) {
        let entry = self.entry("connection", self.clock.now());
        self.append(&Entry { ip: ip.map(|ip| ip.to_string()), cause: Some(cause), ..entry });
    }

    /// Notes what happened to the gateway itself: a swap, a refused policy, its start and its end.
    pub fn event(&self, kind: &'static str, cause: &str, at: SystemTime) {
        self.append(&Entry { cause: Some(cause.to_owned()), ..self.entry(kind, at) });
    }

    /// Whether records can be written.
    pub fn healthy(&self) -> bool {
        true
    }

    /// How many records wait to be written.
    pub fn waiting(&self) -> usize {
        0
    }

    /// How many records were lost since the start.
    pub fn lost(&self) -> u64 {
        0
    }

    /// Waits until every record handed over so far is in the file.
    pub fn flush(&self) {
        self.sink.flush();
    }

    fn entry(&self, kind: &'static str, at: SystemTime) -> Entry {
        let time = OffsetDateTime::from(at).format(&Rfc3339).unwrap_or_default();
        Entry { kind, time, ..Entry::default() }
    }

    fn append(&self, entry: &Entry) {
        match serde_json::to_value(entry) {
            Ok(Value::Object(fields)) => self.sink.append(fields),
            _ => tracing::error!("an audit record could not be built"), // Strings and numbers always can.
        }
    }
}

impl Record {
    /// Notes the caller.
    pub fn caller(&mut self, caller: Caller) -> Caller {
        self.entry.caller = Some(caller.id().to_string());
        caller
    }

    /// Notes on whose behalf, and by whose hands.
    pub fn subject(&mut self, subject: Option<SubjectToken>) -> Option<SubjectToken> {
        if let Some(token) = &subject {
            let claims = token.claims();
            self.entry.subject =
                Some(serde_json::json!({"iss": claims.iss, "sub": claims.sub, "jti": claims.jti}));
            self.entry.actors = Some(token.actors().to_vec()).filter(|actors| !actors.is_empty());
        }
        subject
    }

    /// Notes what is asked: names as they are, arguments as a digest.
    pub fn call(&mut self, server: &str, call: Call) -> Call {
        self.entry.protocol = Some("mcp");
        self.entry.version = Some(call.version.as_str());
        self.entry.server = Some(server.to_owned());
        self.entry.method = Some(call.method.clone());
        self.entry.target = match &call.target {
            Target::Tool { name } => Some(serde_json::json!({ "tool": name })),
            Target::Resource { uris } => Some(serde_json::json!({ "resources": uris })),
            Target::Prompt { name } => Some(serde_json::json!({ "prompt": name })),
            Target::Protocol => None,
        };
        self.entry.arguments = call.arguments.as_ref().map(digest);
        self.rpc_id.clone_from(&call.id);
        call
    }

    /// Notes a permit, and how much of the arguments its obligation wants kept.
    pub fn permit<T: Permitted>(&mut self, call: &Call, permitted: T) -> T {
        let permit: &Permit = permitted.permit();
        self.entry.decision = Some("permit");
        self.entry.package = Some(permit.package().to_owned());
        self.entry.policy = Some(permit.revision().to_owned());
        if permit.audit() == AuditDetail::Full {
            self.entry.arguments = call.arguments.as_ref().map(ToString::to_string); // As text: no number is rounded.
        }
        permitted
    }

    /// Notes the credential: for whom and for what, never itself.
    pub fn credential(&mut self, credential: Credential) -> Credential {
        self.entry.credential = Some(serde_json::json!({
            "audience": credential.audience, "scopes": credential.scopes, "jti": credential.id,
        }));
        credential
    }

    /// Notes a refusal. The cause is for this record and the log; the caller hears the reason alone.
    pub fn refused(&mut self, reason: &str, cause: String) {
        self.entry.reason = Some(reason.to_owned());
        self.entry.cause = Some(cause);
    }

    /// Notes that policy's answer was no.
    pub fn denied(&mut self, package: Option<&str>, policy: Option<&str>) {
        self.entry.decision = Some("denial");
        self.entry.package = package.map(ToOwned::to_owned);
        self.entry.policy = policy.map(ToOwned::to_owned);
    }

    /// Notes the status that the caller gets.
    pub fn status(&mut self, status: http::StatusCode) {
        self.entry.status = Some(status.as_u16());
        self.entry.bytes = Some(0);
    }

    /// Counts bytes of the answer's body that were handed to the caller.
    pub fn sent(&mut self, bytes: usize) {
        let sent = self.entry.bytes.get_or_insert(0);
        *sent = sent.saturating_add(u64::try_from(bytes).unwrap_or(u64::MAX));
    }

    /// Notes how it ended; without it the caller has gone.
    pub fn ended(&mut self, outcome: Outcome, cause: Option<String>) {
        self.entry.outcome = Some(outcome);
        self.entry.cause = cause.or(self.entry.cause.take());
    }

    /// The method that was called, once it is known.
    pub fn method(&self) -> Option<&str> {
        self.entry.method.as_deref()
    }
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
        self.entry.outcome.get_or_insert(Outcome::CallerGone);
        let took = self.audit.clock.now().duration_since(self.at).unwrap_or_default();
        self.entry.duration_us = Some(u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
        self.audit.append(&self.entry);
    }
}

/// SHA-256 over the arguments as compact JSON with sorted keys: the same arguments, the same digest, whatever a number's size.
fn digest(arguments: &Value) -> String {
    let text = arguments.to_string();
    format!(
        "sha256:{}",
        chain::hex(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, text.as_bytes()).as_ref())
    )
}
