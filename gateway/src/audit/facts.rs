//! What a record says, less its place in the chain, and how that becomes a line.

use super::canonical::{ip, member, number, object, only, string, string_or_null, strings, text, time};
use super::chain::Line;
use super::shown::Shown;
use http::{Method, Uri};
use protocol::mcp::Target;
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::SystemTime;

/// What is known so far. What is not known is left out of the line.
#[derive(Debug, Default)]
pub(super) struct Facts {
    pub(super) ip: Option<IpAddr>,
    pub(super) http_method: Option<Method>,
    pub(super) uri: Option<Uri>,
    pub(super) caller: Option<String>,
    pub(super) subject: Option<Subject>,
    pub(super) actors: Vec<String>,
    pub(super) answer: Option<Shown>,
    pub(super) protocol: Option<&'static str>,
    pub(super) version: Option<&'static str>,
    pub(super) server: Option<String>,
    pub(super) method: Option<&'static str>,
    pub(super) session: Option<String>,
    pub(super) target: Option<Touched>,
    pub(super) arguments: Option<String>,
    pub(super) decision: Option<&'static str>,
    pub(super) reason: Option<String>,
    pub(super) package: Option<String>,
    pub(super) policy: Option<String>,
    pub(super) credential: Option<Minted>,
    /// `seq` of the permit's record, where there is one.
    pub(super) permit: Option<u64>,
    pub(super) status: Option<u16>,
    pub(super) bytes: Option<u64>,
    pub(super) outcome: Option<Outcome>,
    pub(super) duration_us: Option<u64>,
    pub(super) count: Option<u64>,
    pub(super) cause: Option<String>,
}

/// What a call touches.
#[derive(Debug)]
pub(super) enum Touched {
    /// Of an MCP server.
    Mcp(Target),
    /// Of an A2A agent.
    Task {
        /// The task that it names.
        task: Option<String>,
        /// The context that it names.
        context: Option<String>,
    },
    /// By an event of an A2A agent.
    Pushed {
        /// Its task.
        task: String,
        /// Where it goes: a server that isn't one of the configuration's.
        host: String,
    },
}

/// Whom an access token names.
#[derive(Debug)]
pub(super) struct Subject {
    pub(super) iss: String,
    pub(super) sub: String,
    pub(super) jti: Option<String>,
}

/// For whom and for what a credential was made.
#[derive(Debug)]
pub(super) struct Minted {
    /// That it says nothing of the caller.
    pub(super) actor_recorded: bool,
    pub(super) audience: String,
    pub(super) jti: Option<String>,
    pub(super) scopes: BTreeSet<String>,
}

/// How a request ended for its caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The last byte of the answer was handed to the caller.
    Complete,
    /// The caller hung up before that.
    CallerGone,
    /// The upstream broke off, or the permit ended, in the middle of the answer.
    AnswerBroken,
}

impl Outcome {
    fn code(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::CallerGone => "caller_gone",
            Self::AnswerBroken => "answer_broken",
        }
    }
}

/// A line has about this many bytes.
const LINE_BYTES: usize = 1024;

impl Facts {
    /// The record as a line that waits for its place in the chain. The members stand here in the order of RFC 8785, each
    /// with a comma behind it; the three that the chain adds are cut in where they belong.
    pub(super) fn line(&self, kind: &'static str, at: SystemTime) -> Line {
        let mut out = Vec::with_capacity(LINE_BYTES);
        let o = &mut out;
        if !self.actors.is_empty() {
            member(o, "actors", |o| strings(o, &self.actors));
        }
        if let Some(shown) = &self.answer {
            shown.write(o);
        }
        text(o, "arguments", self.arguments.as_deref());
        number(o, "bytes", self.bytes);
        text(o, "caller", self.caller.as_deref());
        text(o, "cause", self.cause.as_deref());
        number(o, "count", self.count);
        if let Some(minted) = &self.credential {
            member(o, "credential", |o| minted.write(o));
        }
        text(o, "decision", self.decision);
        number(o, "duration_us", self.duration_us);
        let hash_at = o.len();
        text(o, "host", self.target.as_ref().and_then(Touched::host));
        text(o, "http_method", self.http_method.as_ref().map(Method::as_str));
        if let Some(address) = self.ip {
            member(o, "ip", |o| ip(o, address));
        }
        text(o, "kind", Some(kind));
        text(o, "method", self.method);
        text(o, "outcome", self.outcome.map(Outcome::code));
        text(o, "package", self.package.as_deref());
        text(o, "path", self.uri.as_ref().map(Uri::path));
        number(o, "permit", self.permit);
        text(o, "policy", self.policy.as_deref());
        let prev_at = o.len();
        text(o, "protocol", self.protocol);
        text(o, "reason", self.reason.as_deref());
        let seq_at = o.len();
        text(o, "server", self.server.as_deref());
        text(o, "session", self.session.as_deref());
        number(o, "status", self.status.map(u64::from));
        if let Some(subject) = &self.subject {
            member(o, "subject", |o| subject.write(o));
        }
        if let Some(touched) = &self.target {
            touched.write(o);
        }
        member(o, "time", |o| time(o, at));
        text(o, "version", self.version);
        Line::new(out, hash_at, prev_at, seq_at)
    }
}

impl Touched {
    fn host(&self) -> Option<&str> {
        match self {
            Self::Pushed { host, .. } => Some(host),
            Self::Mcp(_) | Self::Task { .. } => None,
        }
    }

    /// Nothing where nothing in particular is touched.
    fn write(&self, o: &mut Vec<u8>) {
        match self {
            Self::Mcp(Target::Tool { name }) => member(o, "target", |o| only(o, "tool", |o| string(o, name))),
            Self::Mcp(Target::Prompt { name }) => {
                member(o, "target", |o| only(o, "prompt", |o| string(o, name)))
            }
            Self::Mcp(Target::Resource { uris }) => {
                member(o, "target", |o| only(o, "resources", |o| strings(o, uris)));
            }
            Self::Mcp(Target::Protocol) | Self::Task { task: None, context: None } => {}
            Self::Pushed { task, .. } => member(o, "target", |o| only(o, "task", |o| string(o, task))),
            Self::Task { task, context } => member(o, "target", |o| {
                object(o, |o| {
                    text(o, "context", context.as_deref());
                    text(o, "task", task.as_deref());
                });
            }),
        }
    }
}

impl Subject {
    fn write(&self, out: &mut Vec<u8>) {
        object(out, |out| {
            text(out, "iss", Some(&self.iss));
            member(out, "jti", |out| string_or_null(out, self.jti.as_deref()));
            text(out, "sub", Some(&self.sub));
        });
    }
}

impl Minted {
    fn write(&self, out: &mut Vec<u8>) {
        object(out, |out| {
            text(out, "actor", self.actor_recorded.then_some("recorded"));
            text(out, "audience", Some(&self.audience));
            member(out, "jti", |out| string_or_null(out, self.jti.as_deref()));
            member(out, "scopes", |out| strings(out, &self.scopes));
        });
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test ends by panicking")]
    use super::*;
    use protocol::a2a::Event;
    use serde_json::{Map, Value, json};

    /// A line that is the first of its chain, as text and as what it says.
    fn sealed(facts: &Facts) -> (Vec<u8>, Map<String, Value>) {
        let mut out = Vec::new();
        facts.line("request", std::time::UNIX_EPOCH).seal(7, &mut [3; 32], &mut out);
        let read = serde_json::from_slice(&out).unwrap();
        (out, read)
    }

    fn shown(odd: &str) -> Shown {
        let shown = Shown::default();
        let event = |task: Option<&str>, artifact_bytes| Event {
            task: task.map(Into::into),
            context: Some(odd.into()),
            state: task.map(|state| state.to_owned().into()),
            artifact_bytes,
            ..Event::default()
        };
        shown.event(&event(Some(odd), 2));
        shown.event(&event(None, 3));
        shown
    }

    fn full(odd: &str) -> Facts {
        let text = || Some(odd.to_owned());
        Facts {
            ip: Some("::1".parse().unwrap()),
            http_method: Some(Method::POST),
            uri: Some(Uri::from_static("/mcp/ledger?token=x")),
            caller: text(),
            subject: Some(Subject { iss: odd.into(), sub: odd.into(), jti: None }),
            actors: vec![odd.into(), odd.into()],
            answer: Some(shown(odd)),
            protocol: Some("mcp"),
            version: Some("2026-07-28"),
            server: text(),
            method: Some("tools/call"),
            session: text(),
            target: Some(Touched::Mcp(Target::Resource { uris: vec![odd.into(), "b".into()] })),
            arguments: text(),
            decision: Some("permit"),
            reason: text(),
            package: text(),
            policy: text(),
            credential: Some(Minted {
                actor_recorded: true,
                audience: odd.into(),
                jti: text(),
                scopes: [odd.into()].into(),
            }),
            permit: Some(0),
            status: Some(200),
            bytes: Some(1 << 52),
            outcome: Some(Outcome::CallerGone),
            duration_us: Some(u64::MAX),
            count: Some(3),
            cause: text(),
        }
    }

    #[test]
    fn a_line_of_every_fact_is_canonical_whatever_the_strings_are() {
        for odd in [
            "plain",
            "",
            "\"\\\u{0}\u{1f}\u{7f}\n\t\u{8}\u{c}\r/",
            "é\u{2028}\u{10ffff}",
            "\",\"hash\":\"00\",",
        ] {
            let (line, read) = sealed(&full(odd));
            assert_eq!(line, [serde_json_canonicalizer::to_vec(&read).unwrap(), b"\n".to_vec()].concat());
            assert_eq!(read.len(), 31, "a new fact belongs into this test: {read:?}");
            assert_eq!(read["path"], "/mcp/ledger", "the query of a URL stays out");
            let answer = json!({"artifact_bytes": 5, "context": odd, "events": 2, "state": odd, "task": odd});
            assert_eq!(read["answer"], answer, "what the last event left out, an earlier one said");
        }
    }

    #[test]
    fn a_line_of_one_kind_of_target_is_canonical() {
        let named = |task: Option<&str>, context: Option<&str>| Touched::Task {
            task: task.map(Into::into),
            context: context.map(Into::into),
        };
        for target in [
            Touched::Mcp(Target::Tool { name: "t".into() }),
            Touched::Mcp(Target::Prompt { name: "p".into() }),
            Touched::Mcp(Target::Protocol),
            named(Some("t"), Some("c\"")),
            named(None, Some("c")),
            Touched::Pushed { task: "t\"".into(), host: "h\"".into() },
            named(None, None),
        ] {
            let (line, read) = sealed(&Facts { target: Some(target), ..Facts::default() });
            assert_eq!(line, [serde_json_canonicalizer::to_vec(&read).unwrap(), b"\n".to_vec()].concat());
        }
    }

    #[test]
    fn what_is_not_known_is_left_out() {
        let (line, read) = sealed(&Facts { answer: Some(Shown::default()), ..Facts::default() });
        let names: Vec<&str> = read.keys().map(String::as_str).collect();
        assert_eq!(names, ["hash", "kind", "prev", "seq", "time"]);
        assert_eq!(line, [serde_json_canonicalizer::to_vec(&read).unwrap(), b"\n".to_vec()].concat());
    }
}
