//! Stage 5 of 9: may this caller, for this person, make this call with these arguments.
//! In: caller, subject and call. Out: a permit, which only crate `policy` can make, or why not. The `input` document is filled
//! here and nowhere else; `docs/policy-input.md` is its reference. Filtering a list is the same question, asked per item.

mod agent;
pub mod lane;
pub mod list;
mod sight;

pub use lane::Lane;
pub use list::{ListFilter, TimeLeft, list_filter};
pub use sight::{shows_agent, skills_shown};

use crate::cards::{self, CallRefused, Cards};
use crate::config::{Limits, Server};
use crate::decode::Call;
use crate::identity::Caller;
use crate::request::Arrival;
use crate::revocation::{Revocations, Revoked};
use crate::route::ServerRoute;
use crate::tasks::Named;
use crate::token::SubjectToken;
use lane::Busy;
use policy::{
    CallInput, CallerInput, CardInput, Decision, Denial, Entry, Input, McpCallInput, Moment, PartInput,
    Permit, PolicySet, PromptInput, Reason, RequestInput, ResourceInput, SubjectInput, ToolInput,
};
use protocol::mcp::{self, Target};
use serde_json::Value;
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};
use tokens::Claims;

/// Everything that a decision is about.
pub struct Question<'a> {
    /// Who calls.
    pub caller: &'a Caller,
    /// On whose behalf.
    pub subject: Option<&'a SubjectToken>,
    /// Where to.
    pub server: &'a ServerRoute,
    /// What.
    pub call: &'a Call,
    /// What the subject's token says, and the actors that it is believed in.
    says: Option<(&'a Claims, &'a [String])>,
    ip: Option<IpAddr>,
    /// When it is asked.
    pub now: SystemTime,
    /// When what the decision rests on ends: the caller's SVID, or the subject's token.
    ends: SystemTime,
    /// What is revoked.
    pub revocations: &'a Revocations,
    path: Vec<&'a str>,
    scopes: Vec<&'a str>,
    /// What of it is there for the caller; of a call to an agent.
    named: Option<&'a Named>,
    parts: Vec<PartInput<'a>>,
    /// The agent's card, if a rule looks at it.
    card: Option<&'a CardInput>,
}

/// Why there is no permit. All look the same from outside as a denial.
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
    /// A slow decision found no place, or waited too long for its turn.
    #[error("the decision could not be made in time")]
    Busy(#[from] Busy),
    /// Policy chose an audience that isn't configured for the server.
    #[error("the policy's audience is not configured for this server")]
    Audience,
    /// The tool is revoked, or the server.
    #[error(transparent)]
    Revoked(#[from] Revoked),
    /// Policy would have let it pass, but the agent's card forbids it.
    #[error(transparent)]
    Card(#[from] CallRefused),
}

impl AuthorizeError {
    /// Whether it is a no, and not merely the lack of a yes because nobody could decide.
    pub fn is_decided(&self) -> bool {
        match self {
            Self::Denied(denial) => {
                ![Reason::POLICY_ERROR, Reason::POLICY_BUDGET, Reason::UNKNOWN_OBLIGATION]
                    .contains(denial.reason())
            }
            Self::NoServer | Self::Card(_) | Self::Revoked(Revoked::Listed(_)) => true,
            Self::Revoked(Revoked::Unknown)
            | Self::Disagree
            | Self::Budget
            | Self::Busy(_)
            | Self::Audience => false,
        }
    }
}

/// One thing that is asked about.
#[derive(Clone, Copy, Debug)]
enum One<'a> {
    Tool(&'a str),
    Resource(&'a str),
    Prompt(&'a str),
    Protocol,
    Agent,
    /// One of an agent's skills, by its id.
    Skill(&'a str),
}

/// A caller, what its subject's token says, and the token itself.
type Who<'a> = (&'a Caller, Option<(&'a Claims, &'a [String])>, Option<&'a SubjectToken>);

impl<'a> Question<'a> {
    /// Puts together what policy sees of caller, subject and request; the call's part is added for each item asked.
    pub fn new(
        arrival: &Arrival,
        caller: &'a Caller,
        subject: Option<&'a SubjectToken>,
        server: &'a ServerRoute,
        call: &'a Call,
        revocations: &'a Revocations,
        now: SystemTime,
    ) -> Self {
        let says = subject.map(|subject| (subject.claims(), subject.actors()));
        let svid = caller.not_after();
        let ends = subject.map_or(svid, |subject| subject.ends().min(svid));
        Self::about((caller, says, subject), (server, call, arrival.ip), revocations, (now, ends))
    }

    fn about(
        (caller, says, subject): Who<'a>,
        (server, call, ip): (&'a ServerRoute, &'a Call, Option<IpAddr>),
        revocations: &'a Revocations,
        (now, ends): (SystemTime, SystemTime),
    ) -> Self {
        let id = caller.id();
        Self {
            caller,
            subject,
            server,
            call,
            says,
            ip,
            now,
            ends,
            revocations,
            path: id.path().split('/').skip(1).collect(),
            scopes: says.iter().flat_map(|(claims, _)| &claims.scopes).map(String::as_str).collect(),
            named: None,
            parts: Vec::new(),
            card: None,
        }
    }

    /// The same question, with the card of the agent that it is about, if policy looks at it.
    pub fn knowing(self, cards: &'a Cards, policy: &PolicySet) -> Self {
        let agent = self.server.agent().and_then(|route| route.agent.as_ref());
        let is_looked_at = || policy.looks_at(&self.entry(One::Agent), &["call", "card"]);
        let card = agent.filter(|_| is_looked_at()).and_then(|agent| cards::said(cards, agent));
        Self { card, ..self }
    }

    /// The same question, of a call to an agent of which this is there.
    pub fn naming(self, named: Option<&'a Named>, limits: &Limits) -> Self {
        let parts = self.call.a2a().map(|call| agent::parts(call, limits.a2a_text_bytes_max));
        Self { named, parts: parts.unwrap_or_default(), ..self }
    }

    /// The `input` for one thing that the call touches.
    fn input<'s>(&'s self, one: One<'s>, arguments: Option<&'s Value>) -> Input<'s> {
        let call = match self.call {
            Call::Mcp(call) => CallInput::Mcp(self.server_input(call, one, arguments)),
            Call::A2a(call) => CallInput::A2a(self.agent_input(call, one)),
            Call::Card => CallInput::A2a(self.card_input()),
        };
        let (spiffe_id, trust_domain) = (self.caller.spiffe_id(), self.caller.id().trust_domain_name());
        let trace_id = self.call.mcp().and_then(|call| call.trace_parent.as_deref()).and_then(trace_id);
        Input {
            caller: CallerInput { spiffe_id, trust_domain, path: &self.path },
            subject: self.says.map(|(claims, _)| SubjectInput {
                iss: &claims.iss,
                sub: &claims.sub,
                scopes: &self.scopes,
                groups: &claims.groups,
                tenant: claims.tenant.as_deref(),
                claims: &claims.all,
            }),
            actors: self.says.map_or(&[], |(_, actors)| actors),
            call,
            session: (),
            request: RequestInput { time: Moment(self.now), ip: self.ip, trace_id },
        }
    }

    /// The part of it that a call to a server has.
    fn server_input<'s>(
        &'s self,
        called: &'s mcp::Call,
        one: One<'s>,
        arguments: Option<&'s Value>,
    ) -> McpCallInput<'s> {
        let mut call = McpCallInput {
            protocol: "mcp",
            version: called.version.as_str(),
            method: called.method,
            server: self.server.name(),
            tool: None,
            resource: None,
            prompt: None,
            arguments,
        };
        match one {
            One::Tool(name) => call.tool = Some(ToolInput::named(name)),
            One::Resource(uri) => call.resource = Some(ResourceInput { uri }),
            One::Prompt(name) => call.prompt = Some(PromptInput { name }),
            One::Protocol | One::Agent | One::Skill(_) => {}
        }
        call
    }

    /// What policy is asked about one thing, of which `input` says all there is to know.
    fn asked<'s>(
        &'s self,
        one: One<'s>,
        input: &'s Input<'s>,
        permit_ttl_max: Duration,
    ) -> policy::Question<'s, Input<'s>> {
        let entry = self.entry(one);
        let epoch = self.revocations.epoch();
        policy::Question { entry, input, now: self.now, permit_ttl_max, ends: self.ends, epoch }
    }

    /// Which package answers.
    fn entry<'s>(&'s self, one: One<'s>) -> Entry<'s> {
        let server = self.server.name();
        match one {
            One::Tool(tool) => Entry::Tool { server, tool },
            One::Resource(_) => Entry::Resource { server },
            One::Prompt(_) => Entry::Prompt { server },
            One::Protocol => Entry::Protocol { server },
            One::Agent | One::Skill(_) => Entry::Agent { agent: server },
        }
    }
}

/// Asks policy. A call that touches several resources needs all of them permitted.
///
/// # Errors
/// [`AuthorizeError`]; nothing has gone upstream.
pub async fn permit(
    policy: &Arc<PolicySet>,
    lane: &Lane,
    question: &Question<'_>,
    limits: &Limits,
) -> Result<(Permit, Arc<Server>), AuthorizeError> {
    question.revocations.server(question.server.server(), question.now)?;
    if let Some(tool) = question.call.tool() {
        question.revocations.tool(question.server.name(), tool, question.now)?;
    }
    let (touched, arguments): (Vec<One<'_>>, _) = match question.call {
        Call::Mcp(call) => (touched(&call.target), call.arguments.as_ref()),
        Call::A2a(_) | Call::Card => (vec![One::Agent], None),
    };
    let basis_lasts = question.ends.duration_since(question.now).unwrap_or_default();
    let ttl_max = limits.permit_ttl_max.min(basis_lasts);
    let (mut permit, mut lacks): (Option<Permit>, Option<Denial>) = (None, None);
    let mut needs = BTreeSet::new();
    let (began, mut pace) = (Instant::now(), lane.pace());
    for one in touched {
        if began.elapsed() > limits.decisions_timeout {
            return Err(AuthorizeError::Budget);
        }
        pace.keep().await;
        let input = question.input(one, arguments);
        let asked = question.asked(one, &input, ttl_max);
        match lane.decide(policy, &asked, question.caller.id()).await? {
            Decision::Permit(given) => {
                needs.extend(given.needs_scopes().iter().cloned());
                match &permit {
                    Some(other) if !same_obligations(other, &given) => return Err(AuthorizeError::Disagree),
                    Some(other) if other.expires_at() <= given.expires_at() => {} // The one that ends first holds for all.
                    _ => permit = Some(given),
                }
            }
            Decision::Denial(denial) if denial.needs_scopes().is_empty() => {
                return Err(AuthorizeError::Denied(denial));
            }
            // Asked once for all the scopes that the call needs; and for none, if they would not help.
            Decision::Denial(denial) => {
                needs.extend(denial.needs_scopes().iter().cloned());
                lacks.get_or_insert(denial);
            }
        }
    }
    if let Some(denial) = lacks {
        return Err(AuthorizeError::Denied(denial.needing(needs)));
    }
    let (Some(permit), Some(server)) = (permit, question.server.server()) else {
        return Err(AuthorizeError::NoServer);
    };
    if permit.audience().is_some_and(|audience| !server.audiences.contains(audience)) {
        return Err(AuthorizeError::Audience);
    }
    Ok((permit, Arc::clone(server)))
}

fn touched(target: &Target) -> Vec<One<'_>> {
    match target {
        Target::Tool { name } => vec![One::Tool(name)],
        Target::Prompt { name } => vec![One::Prompt(name)],
        Target::Resource { uris } => uris.iter().map(|uri| One::Resource(uri)).collect(),
        Target::Protocol => vec![One::Protocol],
    }
}

fn same_obligations(one: &Permit, other: &Permit) -> bool {
    (one.scopes(), one.audience(), one.audit()) == (other.scopes(), other.audience(), other.audit())
}

/// The trace that a W3C `traceparent` (version 00) belongs to.
fn trace_id(parent: &str) -> Option<&str> {
    parent.split('-').nth(1)
}
