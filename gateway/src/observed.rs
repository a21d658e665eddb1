//! What metrics and traces learn of a request, stage by stage. It rides with the record, and is over when that is.
//!
//! One reading of the monotonic clock at each stage's beginning serves both. Names of servers come from the
//! configuration, names of methods from the decoder's table; what else a caller says stays out of the metrics.

use crate::audit::Outcome;
use crate::config::Server;
use crate::decode::Call;
use crate::metrics::{Counted, Metrics};
use crate::push;
use crate::registry;
use crate::request::Arrival;
use crate::route::ServerRoute;
use crate::state::Gateway;
use crate::traces::{Called, Ended, Trace};
use http::{HeaderValue, StatusCode};
use policy::Permit;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The stages of the path that are timed; `lib.rs` lists them. The first one is a connection's; of the audit it is the wait
/// until a permit is on disk, in its mode `required`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "lib.rs says what each is")]
pub enum Stage {
    Listener,
    Identity,
    Route,
    Token,
    Decode,
    Authorize,
    Exchange,
    Audit,
    Upstream,
}

/// When a stage began and ended.
pub type Span = (Instant, Instant);

/// A request as metrics and traces see it. Dropping it counts it.
#[derive(Debug)]
pub struct Observed {
    metrics: Arc<Metrics>,
    trace: Option<Box<Trace>>,
    _in_flight: Counted,
    began: Instant,
    stage: Option<Stage>,
    since: Instant,
    spans: [Option<Span>; Stage::ALL.len()],
    server: ServerLabel,
    method: &'static str,
    status: Option<StatusCode>,
    outcome: Outcome,
}

/// A server by its configured name.
#[derive(Debug)]
enum ServerLabel {
    None,
    Unknown,
    Known(Arc<Server>),
}

impl Stage {
    /// All of them, in the order in which a request meets them.
    pub const ALL: [Self; 9] = [
        Self::Listener,
        Self::Identity,
        Self::Route,
        Self::Token,
        Self::Decode,
        Self::Authorize,
        Self::Exchange,
        Self::Audit,
        Self::Upstream,
    ];

    /// Its name in labels and spans.
    pub fn name(self) -> &'static str {
        match self {
            Self::Listener => "listener",
            Self::Identity => "identity",
            Self::Route => "route",
            Self::Token => "token",
            Self::Decode => "decode",
            Self::Authorize => "authorize",
            Self::Exchange => "exchange",
            Self::Audit => "audit",
            Self::Upstream => "upstream",
        }
    }
}

impl Observed {
    /// A request whose body has arrived; stage identity begins.
    pub fn open(gateway: &Gateway, arrival: &Arrival) -> Self {
        let now = Instant::now();
        Self {
            metrics: Arc::clone(&gateway.metrics),
            trace: gateway.traces.as_ref().map(|traces| Box::new(traces.begin(arrival))),
            _in_flight: Counted::new(&gateway.metrics.requests_in_flight),
            began: arrival.began,
            stage: Some(Stage::Identity),
            since: now,
            spans: [None; Stage::ALL.len()],
            server: ServerLabel::None,
            method: "none",
            status: None,
            outcome: Outcome::CallerGone,
        }
    }

    /// The stage that was under way has ended, and this one begins.
    pub fn begins(&mut self, stage: Stage) {
        self.turn(Some(stage));
    }

    /// The server is known; stage token begins.
    pub fn token(&mut self, server: &ServerRoute) {
        self.server =
            server.server().map_or(ServerLabel::Unknown, |server| ServerLabel::Known(Arc::clone(server)));
        self.begins(Stage::Token);
    }

    /// The call is known; stage authorize begins.
    pub fn authorize(&mut self, call: &Call) {
        self.method = call.method();
        if let Some(trace) = &mut self.trace {
            trace.call(call);
        }
        self.begins(Stage::Authorize);
    }

    /// The list of agents is asked for; stage authorize begins.
    pub fn lists_agents(&mut self) {
        self.method = registry::METHOD;
        self.begins(Stage::Authorize);
    }

    /// An agent posts an event; stage decode begins.
    pub fn posts(&mut self) {
        self.method = push::METHOD;
        self.begins(Stage::Decode);
    }

    /// The call is permitted; stage exchange begins.
    pub fn exchange(&mut self, permit: &Permit) {
        self.metrics.permit(permit.package());
        if let Some(trace) = &mut self.trace {
            trace.permitted();
        }
        self.begins(Stage::Exchange);
    }

    /// Stage upstream begins; what goes with the call as `traceparent`, if traces are made here.
    pub fn upstream(&mut self) -> Option<HeaderValue> {
        self.begins(Stage::Upstream);
        self.trace.as_mut().and_then(|trace| trace.header())
    }

    /// A stage refused. Of a denial by policy, `package` is who denied, if anybody could be asked.
    pub fn refused(&mut self, stage: Stage, reason: &str, package: Option<&str>) {
        if stage == Stage::Authorize {
            self.metrics.denial(package, reason);
        } else {
            self.metrics.refusal(stage, reason);
        }
        if let Some(trace) = &mut self.trace {
            trace.refused(reason);
        }
    }

    /// The answer begins; so far it was the stages' time.
    pub fn answered(&mut self, status: StatusCode) {
        self.status = Some(status);
        self.turn(None);
    }

    /// How it ended; without it the caller has gone.
    pub fn ended(&mut self, outcome: Outcome) {
        self.outcome = outcome;
    }

    fn turn(&mut self, next: Option<Stage>) {
        let now = Instant::now();
        if let Some(stage) = self.stage {
            self.metrics.stage(stage, now.saturating_duration_since(self.since));
            self.spans[stage as usize] = Some((self.since, now));
        }
        (self.stage, self.since) = (next, now);
    }

    fn server(&self) -> &str {
        match &self.server {
            ServerLabel::None => "none",
            ServerLabel::Unknown => "other",
            ServerLabel::Known(server) => &server.name,
        }
    }
}

impl Drop for Observed {
    fn drop(&mut self) {
        if self.stage.is_some() {
            self.turn(None); // The caller has gone in the middle of it.
        }
        let now = Instant::now();
        let took: Duration = now.saturating_duration_since(self.began);
        self.metrics.request(self.server(), self.method, self.status.map_or(0, |s| s.as_u16()), took);
        if let Some(trace) = self.trace.take() {
            let called = Called { server: self.server(), method: self.method };
            let ended = Ended { began: self.began, at: now, status: self.status, outcome: self.outcome };
            trace.end(&called, &ended, &self.spans);
        }
    }
}
