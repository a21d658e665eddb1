//! Stage 5 of 9: may this caller, for this person, make this call with these arguments.
//! In: caller, subject and call. Out: a permit, which only crate `policy` can make, or why not. The `input` document is built
//! here and nowhere else; `docs/policy-input.md` is its reference. Filtering a list is the same question, asked per item.

use crate::config::{Limits, Server};
use crate::identity::Caller;
use crate::request::Arrival;
use crate::route::ServerRoute;
use crate::token::SubjectToken;
use policy::{Decision, Denial, Entry, Permit, PolicySet};
use protocol::mcp::{Call, Item, ListKind, MessageError, ServerMessage, Target};
use serde_json::{Value, json};
use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Everything that a decision is about.
#[derive(Clone)]
pub struct Question<'a> {
    /// Who calls.
    pub caller: &'a Caller,
    /// On whose behalf.
    pub subject: Option<&'a SubjectToken>,
    /// Where to.
    pub server: &'a ServerRoute,
    /// What.
    pub call: &'a Call,
    now: SystemTime,
    principal: Value,
}

/// Why there is no permit. Both look the same from outside.
#[derive(Debug, thiserror::Error)]
pub enum AuthorizeError {
    /// Policy said no, or could not be asked.
    #[error("denied by policy: {}", .0.reason().code())]
    Denied(Denial),
    /// Policy would have let it pass, but there is no such server.
    #[error("no such server")]
    NoServer,
    /// Policy put conditions on the resources of one call that can't all be kept by one credential.
    #[error("the permits for the call's resources have different obligations")]
    Disagree,
    /// All the decisions that the call needs took longer than one may.
    #[error("the call's decisions took too long")]
    Budget,
    /// Policy chose an audience that isn't configured for the server.
    #[error("the policy's audience is not configured for this server")]
    Audience,
}

impl<'a> Question<'a> {
    /// Puts together what policy sees of caller, subject and request; the call's part is added for each item asked.
    pub fn new(
        arrival: &Arrival,
        caller: &'a Caller,
        subject: Option<&'a SubjectToken>,
        server: &'a ServerRoute,
        call: &'a Call,
        now: SystemTime,
    ) -> Self {
        let id = caller.id();
        let principal = json!({
            "caller": {
                "spiffe_id": id.to_string(),
                "trust_domain": id.trust_domain_name(),
                "path": id.path().split('/').skip(1).collect::<Vec<_>>(),
            },
            "subject": subject.map(|s| json!({
                "iss": s.claims().iss,
                "sub": s.claims().sub,
                "scopes": s.claims().scopes,
                "claims": s.claims().all,
            })),
            "actors": subject.map_or(&[][..], SubjectToken::actors),
            "session": null,
            "request": {
                "time": OffsetDateTime::from(now).format(&Rfc3339).unwrap_or_default(),
                "ip": arrival.ip.map(|ip| ip.to_string()),
                "trace_id": call.trace_parent.as_deref().and_then(trace_id),
            },
        });
        Self { caller, subject, server, call, now, principal }
    }

    /// How long what the decision rests on still holds: the caller's SVID, and the subject's token.
    fn basis_lasts(&self) -> Duration {
        let svid = self.caller.not_after();
        let ends = self.subject.map_or(svid, |subject| subject.ends().min(svid));
        ends.duration_since(self.now).unwrap_or_default()
    }

    /// The `input` for one thing that the call touches.
    fn input(&self, target: &One<'_>, arguments: Option<&Value>) -> Value {
        let mut call = json!({
            "protocol": "mcp",
            "version": self.call.version.as_str(),
            "method": self.call.method,
            "server": self.server.name(),
        });
        match target {
            One::Tool(name) => {
                call["tool"] =
                    json!({"name": name, "annotations": {}, "labels": [], "digest": null, "pinned": false});
            }
            One::Resource(uri) => call["resource"] = json!({ "uri": uri }),
            One::Prompt(name) => call["prompt"] = json!({ "name": name }),
            One::Protocol => {}
        }
        if let Some(arguments) = arguments {
            call["arguments"] = arguments.clone();
        }
        let mut input = self.principal.clone();
        input["call"] = call;
        input
    }

    fn ask<T>(
        &self,
        target: &One<'_>,
        arguments: Option<&Value>,
        ttl_max: Duration,
        answer: impl FnOnce(&policy::Question<'_>) -> T,
    ) -> T {
        let server = self.server.name();
        let entry = match target {
            One::Tool(name) => Entry::Tool { server, tool: name },
            One::Resource(_) => Entry::Resource { server },
            One::Prompt(_) => Entry::Prompt { server },
            One::Protocol => Entry::Protocol { server },
        };
        let input = self.input(target, arguments);
        answer(&policy::Question { entry, input: &input, now: self.now, permit_ttl_max: ttl_max })
    }
}

/// One thing that is asked about.
enum One<'a> {
    Tool(Cow<'a, str>),
    Resource(Cow<'a, str>),
    Prompt(Cow<'a, str>),
    Protocol,
}

/// Asks policy. A call that touches several resources needs all of them permitted.
///
/// # Errors
/// [`AuthorizeError`]; nothing has gone upstream.
pub fn permit(
    policy: &PolicySet,
    question: &Question<'_>,
    limits: &Limits,
) -> Result<(Permit, Arc<Server>), AuthorizeError> {
    let touched: Vec<One<'_>> = match &question.call.target {
        Target::Tool { name } => vec![One::Tool(name.into())],
        Target::Prompt { name } => vec![One::Prompt(name.into())],
        Target::Resource { uris } => uris.iter().map(|uri| One::Resource(uri.into())).collect(),
        Target::Protocol => vec![One::Protocol],
    };
    let ttl_max = limits.permit_ttl_max.min(question.basis_lasts());
    let mut permit: Option<Permit> = None;
    let began = Instant::now();
    for one in &touched {
        if began.elapsed() > limits.decisions_timeout {
            return Err(AuthorizeError::Budget);
        }
        match question.ask(one, question.call.arguments.as_ref(), ttl_max, |q| policy.decide(q)) {
            Decision::Permit(given) => match &permit {
                Some(other) if !same_obligations(other, &given) => return Err(AuthorizeError::Disagree),
                Some(other) if other.expires_at() <= given.expires_at() => {} // The one that ends first holds for all.
                _ => permit = Some(given),
            },
            Decision::Denial(denial) => return Err(AuthorizeError::Denied(denial)),
        }
    }
    let (Some(permit), Some(server)) = (permit, question.server.server()) else {
        return Err(AuthorizeError::NoServer);
    };
    if permit.audience().is_some_and(|audience| !server.audiences.contains(audience)) {
        return Err(AuthorizeError::Audience);
    }
    Ok((permit, Arc::clone(server)))
}

fn same_obligations(one: &Permit, other: &Permit) -> bool {
    (one.scopes(), one.audience(), one.audit()) == (other.scopes(), other.audience(), other.audit())
}

/// Whether an item of a list is shown.
type Keep = Box<dyn FnMut(ListKind, &Item<'_>) -> bool + Send>;

/// What keeps a list to the items that the principal may use. It outlives the request's stages: a list may come as a stream.
pub struct ListFilter {
    /// The protocol version of the answer.
    pub version: protocol::mcp::Version,
    keep: Keep,
}

/// The method of the stream that a 2025 session keeps open; answers that were missed elsewhere come on it again.
const SESSION_STREAM: &str = "session/stream";

/// The filter for the answer of a call that may bring a list; none for other calls.
pub fn list_filter(policy: &Arc<PolicySet>, question: &Question<'_>, limits: &Limits) -> Option<ListFilter> {
    if question.call.list.is_none() && question.call.method != SESSION_STREAM {
        return None;
    }
    let policy = Arc::clone(policy);
    let asker = Asker {
        caller: question.caller.clone(),
        server: question.server.clone(),
        call: question.call.clone(),
        now: question.now,
        principal: question.principal.clone(),
        ttl_max: limits.permit_ttl_max,
    };
    let (mut spent, most) = (Duration::ZERO, limits.decisions_timeout);
    let keep = Box::new(move |kind, item: &Item<'_>| {
        let began = Instant::now();
        let visible = spent <= most && asker.visible(&policy, kind, item); // What there is no time for isn't shown.
        spent += began.elapsed();
        visible
    });
    Some(ListFilter { version: question.call.version, keep })
}

impl ListFilter {
    /// A message with only those items of its lists that are shown; every other message as it came.
    ///
    /// # Errors
    /// [`MessageError`] for a list that can't be read: what can't be filtered doesn't pass.
    pub fn apply<'m>(&mut self, message: &ServerMessage<'m>) -> Result<Cow<'m, [u8]>, MessageError> {
        message.filtered(self.version, &mut *self.keep)
    }
}

impl std::fmt::Debug for ListFilter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ListFilter({})", self.version.as_str())
    }
}

/// A question that owns its parts.
struct Asker {
    caller: Caller,
    server: ServerRoute,
    call: Call,
    now: SystemTime,
    principal: Value,
    ttl_max: Duration,
}

impl Asker {
    fn visible(&self, policy: &PolicySet, kind: ListKind, item: &Item<'_>) -> bool {
        let question = Question {
            caller: &self.caller,
            subject: None, // What it says stands in `principal` already.
            server: &self.server,
            call: &self.call,
            now: self.now,
            principal: self.principal.clone(),
        };
        let key = item.key.clone();
        let one = match kind {
            ListKind::Tools => One::Tool(key),
            ListKind::Resources | ListKind::ResourceTemplates => One::Resource(key),
            ListKind::Prompts => One::Prompt(key),
        };
        question.ask(&one, None, self.ttl_max, |q| policy.visible(q))
    }
}

/// The trace that a W3C `traceparent` (version 00) belongs to.
fn trace_id(parent: &str) -> Option<&str> {
    parent.split('-').nth(1)
}
