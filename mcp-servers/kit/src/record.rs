//! What is kept of a request: a line of audit, counts, and a span. Its `Drop` writes all three, so every exit leaves them:
//! the last byte of the answer, a refusal, and a client that hangs up.

use crate::audit::{Audit, Line};
use crate::metrics::Metrics;
use crate::operation::Operation;
use crate::traces::{Ended, Traces};
use certs::Clock;
use http::{HeaderMap, StatusCode};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Instant, SystemTime};
use tokens::Authentic;

/// Where records go.
pub(crate) struct Desk {
    pub(crate) name: &'static str,
    pub(crate) audit: Audit,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) traces: Option<Traces>,
    pub(crate) clock: Clock,
}

/// What comes to be known of one request.
pub(crate) struct Record {
    desk: Arc<Desk>,
    began: SystemTime,
    started: Instant,
    headers: Option<HeaderMap>,
    operation: Option<Operation>,
    scope: Option<String>,
    token: Option<Arc<Authentic>>,
    note: Arc<Note>,
    status: Option<StatusCode>,
    refused: Option<&'static str>,
    complete: bool,
}

/// How the request went behind rmcp, which passes this along and knows nothing of it.
#[derive(Default)]
pub(crate) struct Note(Mutex<Option<Outcome>>);

#[derive(Clone)]
struct Outcome {
    code: String,
    tool_ran: bool,
    tool_failed: bool,
}

impl Note {
    /// It ended as this word says: `ok`, or why not.
    pub(crate) fn ended(&self, code: &str) {
        self.set(Outcome { code: code.to_owned(), tool_ran: false, tool_failed: false });
    }

    /// A tool of ours was called; `failed` is its error's code.
    pub(crate) fn tool_ended(&self, failed: Option<&str>) {
        let code = failed.unwrap_or("ok").to_owned();
        self.set(Outcome { code, tool_ran: true, tool_failed: failed.is_some() });
    }

    fn set(&self, outcome: Outcome) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(outcome);
    }

    fn get(&self) -> Option<Outcome> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Record {
    pub(crate) fn open(desk: &Arc<Desk>, headers: &HeaderMap) -> Self {
        desk.metrics.in_flight.inc();
        Self {
            desk: Arc::clone(desk),
            began: desk.clock.now(),
            started: Instant::now(),
            headers: desk.traces.is_some().then(|| headers.clone()),
            operation: None,
            scope: None,
            token: None,
            note: Arc::default(),
            status: None,
            refused: None,
            complete: false,
        }
    }

    pub(crate) fn token(&mut self, token: Arc<Authentic>) -> Arc<Authentic> {
        Arc::clone(self.token.insert(token))
    }

    pub(crate) fn operation(&mut self, operation: Operation, scope: &str) -> &Operation {
        self.scope = Some(scope.to_owned());
        self.operation.insert(operation)
    }

    pub(crate) fn note(&self) -> Arc<Note> {
        Arc::clone(&self.note)
    }

    /// An answer begins.
    pub(crate) fn answered(&mut self, status: StatusCode, refused: Option<&'static str>) {
        (self.status, self.refused) = (Some(status), refused);
    }

    /// The answer's last byte is out.
    pub(crate) fn complete(&mut self) {
        self.complete = true;
    }

    /// `ok`, or in a word why not.
    fn outcome(&self) -> Outcome {
        let word = |code: &str| Outcome { code: code.to_owned(), tool_ran: false, tool_failed: false };
        match (self.refused, self.note.get(), self.status) {
            (Some(refused), ..) => word(refused),
            (None, Some(outcome), _) => outcome,
            (None, None, None) => word("caller_gone"),
            (None, None, Some(_)) if !self.complete => word("caller_gone"),
            (None, None, Some(status)) if status.is_success() => word("ok"),
            (None, None, Some(_)) => word("rejected"), // By rmcp, which checks headers and sessions.
        }
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        let (took, outcome) = (self.started.elapsed(), self.outcome());
        let operation = self.operation.as_ref();
        let method = operation.and_then(|o| o.method.as_deref());
        let tool = operation.and_then(|o| o.tool.as_deref());
        let metrics = &self.desk.metrics;
        metrics.in_flight.dec();
        metrics.request(method, tool.filter(|_| outcome.tool_ran), &outcome.code, took);
        self.desk.audit.write(&Line {
            at: self.began,
            server: self.desk.name,
            claims: self.token.as_deref().map(Authentic::claims),
            method,
            tool,
            target: operation.and_then(|o| o.target.as_deref()),
            scope: self.scope.as_deref(),
            arguments: operation.and_then(|o| o.arguments.as_deref()),
            status: self.status.map(|status| status.as_u16()),
            outcome: &outcome.code,
            took,
        });
        if let (Some(traces), Some(headers)) = (&self.desk.traces, &self.headers) {
            traces.end(
                headers,
                &Ended {
                    began: self.began,
                    took,
                    method,
                    tool: tool.filter(|_| outcome.tool_ran),
                    id: operation.and_then(|o| o.id.as_deref()),
                    status: self.status,
                    outcome: &outcome.code,
                    tool_failed: outcome.tool_failed,
                },
            );
        }
    }
}
