//! Traces: a span for each request and one for each of its stages, joined to the caller's trace (W3C Trace Context) and
//! delivered by OTLP. Without a collector there is nothing of this in a request.
//!
//! Spans are made when a request is over, of the times that it noted on its way; until then a trace is three ids. Names and
//! attributes follow OpenTelemetry's conventions for MCP (status: development), so the constants are our own.
//! A token, a credential or an argument never stands in one; `docs/observability.md` lists all that does.

pub mod otlp;

pub use otlp::TracesError;

use crate::audit::Outcome;
use crate::decode::Call;
use crate::observed::{Span, Stage};
use crate::request::Arrival;
use http::{HeaderMap, HeaderValue, StatusCode};
use opentelemetry::trace::{Link, SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState};
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_sdk::trace::{
    BatchSpanProcessor, IdGenerator, RandomIdGenerator, Sampler, SamplingDecision, ShouldSample, SpanData,
    SpanEvents, SpanLinks, SpanProcessor,
};
use protocol::mcp::Target;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

const METHOD: &str = "mcp.method.name";
const PROTOCOL_VERSION: &str = "mcp.protocol.version";
const TOOL: &str = "gen_ai.tool.name";
const PROMPT: &str = "gen_ai.prompt.name";
const OPERATION: &str = "gen_ai.operation.name";
const ERROR: &str = "error.type";
const CLIENT: &str = "client.address";
const TRANSPORT: &str = "network.transport";
const PROTOCOL: &str = "network.protocol.name";
const STATUS: &str = "http.response.status_code";
const SERVER: &str = "sallyport.server";

/// Makes traces and hands them to the delivery.
#[derive(Debug)]
pub struct Traces {
    processor: BatchSpanProcessor,
    ids: RandomIdGenerator,
    sampler: Sampler,
    scope: InstrumentationScope,
    timeout: Duration,
}

/// The trace of one request under way.
#[derive(Debug)]
pub struct Trace {
    traces: Arc<Traces>,
    began: SystemTime,
    parent: Option<Parent>,
    link: Option<Parent>,
    chosen: Option<Chosen>,
    target: Option<Target>,
    version: Option<&'static str>,
    permitted: bool,
    refused: Option<String>,
    client: Option<IpAddr>,
}

/// A span of somebody else that ours continues.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Parent {
    trace: TraceId,
    span: SpanId,
    sampled: bool,
}

/// The ids of our spans that others hear of.
#[derive(Clone, Copy, Debug)]
struct Chosen {
    trace: TraceId,
    request: SpanId,
    upstream: SpanId,
    sampled: bool,
}

/// What was called, in words of the configuration and of the decoder.
#[derive(Debug)]
pub struct Called<'a> {
    /// The server.
    pub server: &'a str,
    /// The method.
    pub method: &'static str,
}

/// How a request ended.
#[derive(Debug)]
pub struct Ended {
    /// When its head had come.
    pub began: Instant,
    /// When the last byte was out, or the caller gone.
    pub at: Instant,
    /// The status of the answer, if there was one.
    pub status: Option<StatusCode>,
    /// How it ended for the caller.
    pub outcome: Outcome,
}

impl Traces {
    /// Takes up the caller's trace, or begins one.
    pub fn begin(self: &Arc<Self>, arrival: &Arrival) -> Trace {
        Trace {
            traces: Arc::clone(self),
            began: arrival.at,
            parent: Parent::in_headers(&arrival.headers),
            link: None,
            chosen: None,
            target: None,
            version: None,
            permitted: false,
            refused: None,
            client: arrival.ip,
        }
    }

    /// Delivers what is left, and ends. It blocks, for no longer than a delivery may take.
    pub fn finish(&self) {
        if let Err(error) = self.processor.shutdown_with_timeout(self.timeout) {
            tracing::warn!(%error, "the last spans were not delivered");
        }
    }

    /// The caller's word holds, whichever it is; without one the share of the configuration.
    fn choose(&self, parent: Option<Parent>) -> Chosen {
        let (trace, sampled) = match parent {
            Some(parent) => (parent.trace, parent.sampled),
            None => {
                let trace = self.ids.new_trace_id();
                let result = self.sampler.should_sample(None, trace, "", &SpanKind::Server, &[], &[]);
                (trace, result.decision == SamplingDecision::RecordAndSample)
            }
        };
        Chosen { trace, request: self.ids.new_span_id(), upstream: self.ids.new_span_id(), sampled }
    }
}

impl Trace {
    /// Notes the call. Its own `traceparent` comes before the header's, which then is a link: that one is of whoever sent the
    /// HTTP request, this one of whoever made the call (MCP SEP-414).
    pub fn call(&mut self, call: &Call) {
        let Call::Mcp(call) = call else {
            self.target = Some(Target::Protocol);
            return;
        };
        if let Some(parent) = call.trace_parent.as_deref().and_then(Parent::parse) {
            self.link = self.parent.filter(|header| *header != parent);
            self.parent = Some(parent);
        }
        self.target = Some(call.target.clone());
        self.version = Some(call.version.as_str());
    }

    /// Notes that policy knows what is called: its name may be the span's.
    pub fn permitted(&mut self) {
        self.permitted = true;
    }

    /// Notes why it went no further.
    pub fn refused(&mut self, reason: &str) {
        self.refused = Some(reason.to_owned());
    }

    /// What goes upstream in place of the caller's `traceparent`: the same trace, with our upstream span as the parent.
    pub fn header(&mut self) -> Option<HeaderValue> {
        let chosen = self.chosen();
        let flags = u8::from(chosen.sampled);
        HeaderValue::try_from(format!("00-{:032x}-{:016x}-{flags:02x}", chosen.trace, chosen.upstream)).ok()
    }

    /// Makes the spans and hands them over, if the request is one that is traced.
    pub fn end(
        mut self: Box<Self>,
        called: &Called<'_>,
        ended: &Ended,
        stages: &[Option<Span>; Stage::ALL.len()],
    ) {
        let ids = self.chosen();
        if !ids.sampled {
            return;
        }
        let failed = self.error(ended);
        for (stage, span) in Stage::ALL.iter().zip(stages) {
            let Some((began, stage_ended)) = *span else { continue };
            let id = self.traces.ids.new_span_id();
            let (id, kind, at) = match stage {
                // The upstream's own span lies within this one, and the answer may stream.
                Stage::Upstream => (ids.upstream, SpanKind::Client, ended.at),
                _ => (id, SpanKind::Internal, stage_ended),
            };
            let mut data = self.span(ids, id, kind, stage.name().into(), [began, at], ended.began);
            data.parent_span_id = ids.request;
            if *stage == Stage::Upstream {
                data.attributes = vec![KeyValue::new(SERVER, called.server.to_owned())];
            }
            self.traces.processor.on_end(data);
        }
        let name = self.name(called.method);
        let mut data =
            self.span(ids, ids.request, SpanKind::Server, name.into(), [ended.began, ended.at], ended.began);
        if let Some(parent) = self.parent {
            (data.parent_span_id, data.parent_span_is_remote) = (parent.span, true);
        }
        if let Some(link) = self.link {
            data.links.links.push(Link::with_context(link.context()));
        }
        data.attributes = self.attributes(called, ended, failed.as_deref());
        if failed.is_some() {
            data.status = Status::error("");
        }
        self.traces.processor.on_end(data);
    }

    fn chosen(&mut self) -> Chosen {
        *self.chosen.get_or_insert_with(|| self.traces.choose(self.parent))
    }

    /// Why it failed for its caller, in a word of ours.
    fn error(&self, ended: &Ended) -> Option<String> {
        if let Some(reason) = &self.refused {
            return Some(reason.clone());
        }
        match ended.outcome {
            Outcome::CallerGone => Some("caller_gone".to_owned()),
            Outcome::AnswerBroken => Some("answer_broken".to_owned()),
            Outcome::Complete => {
                let status = ended.status.filter(|s| s.is_client_error() || s.is_server_error());
                status.map(|status| status.as_u16().to_string())
            }
        }
    }

    /// `{method} {tool or prompt}`. What policy has not permitted may be anything at all, and a name is something to group by.
    fn name(&self, method: &'static str) -> String {
        match &self.target {
            Some(Target::Tool { name } | Target::Prompt { name }) if self.permitted => {
                format!("{method} {name}")
            }
            Some(_) => method.to_owned(),
            None => "HTTP".to_owned(),
        }
    }

    fn attributes(&self, called: &Called<'_>, ended: &Ended, failed: Option<&str>) -> Vec<KeyValue> {
        let mut all = vec![
            KeyValue::new(SERVER, called.server.to_owned()),
            KeyValue::new(TRANSPORT, "tcp"),
            KeyValue::new(PROTOCOL, "http"),
        ];
        if let Some(version) = self.version {
            all.push(KeyValue::new(METHOD, called.method));
            all.push(KeyValue::new(PROTOCOL_VERSION, version));
        }
        match &self.target {
            Some(Target::Tool { name }) => {
                all.push(KeyValue::new(TOOL, name.clone()));
                all.push(KeyValue::new(OPERATION, "execute_tool"));
            }
            Some(Target::Prompt { name }) => all.push(KeyValue::new(PROMPT, name.clone())),
            Some(Target::Resource { .. } | Target::Protocol) | None => {}
        }
        all.extend(self.client.map(|ip| KeyValue::new(CLIENT, ip.to_string())));
        all.extend(ended.status.map(|status| KeyValue::new(STATUS, i64::from(status.as_u16()))));
        all.extend(failed.map(|error| KeyValue::new(ERROR, error.to_owned())));
        all
    }

    /// A span whose times are told by how long after the request's head they were.
    fn span(
        &self,
        ids: Chosen,
        id: SpanId,
        kind: SpanKind,
        name: std::borrow::Cow<'static, str>,
        [began, ended]: [Instant; 2],
        head: Instant,
    ) -> SpanData {
        let at = |instant: Instant| self.began + instant.saturating_duration_since(head);
        SpanData {
            span_context: SpanContext::new(ids.trace, id, TraceFlags::SAMPLED, false, TraceState::NONE),
            parent_span_id: SpanId::INVALID,
            parent_span_is_remote: false,
            span_kind: kind,
            name,
            start_time: at(began),
            end_time: at(ended),
            attributes: Vec::new(),
            dropped_attributes_count: 0,
            events: SpanEvents::default(),
            links: SpanLinks::default(),
            status: Status::Unset,
            instrumentation_scope: self.traces.scope.clone(),
        }
    }
}

impl Parent {
    /// The one of a request's headers; two are none (W3C Trace Context §3.2).
    fn in_headers(headers: &HeaderMap) -> Option<Self> {
        let mut all = headers.get_all("traceparent").iter();
        match (all.next(), all.next()) {
            (Some(one), None) => Self::parse(one.to_str().ok()?),
            _ => None,
        }
    }

    /// W3C Trace Context §3.2.2: version 00, and what later versions have in common with it (§3.2.4).
    fn parse(text: &str) -> Option<Self> {
        let mut fields = text.split('-');
        let mut field = |digits: usize| {
            let hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
            fields.next().filter(|field| field.len() == digits && field.bytes().all(hex))
        };
        let (version, trace, span, flags) = (field(2)?, field(32)?, field(16)?, field(2)?);
        if version == "ff" || (version == "00" && fields.next().is_some()) {
            return None;
        }
        let trace = TraceId::from_hex(trace).ok().filter(|id| *id != TraceId::INVALID)?;
        let span = SpanId::from_hex(span).ok().filter(|id| *id != SpanId::INVALID)?;
        Some(Self { trace, span, sampled: u8::from_str_radix(flags, 16).ok()? & 1 == 1 })
    }

    fn context(self) -> SpanContext {
        let flags = TraceFlags::default().with_sampled(self.sampled);
        SpanContext::new(self.trace, self.span, flags, true, TraceState::NONE)
    }
}

#[cfg(test)]
mod tests {
    use super::Parent;

    #[test]
    fn a_trace_parent_is_read_as_the_recommendation_says() {
        let (trace, span) = ("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331");
        let sampled = |text: String| Parent::parse(&text).map(|parent| parent.sampled);
        assert_eq!(sampled(format!("00-{trace}-{span}-01")), Some(true));
        assert_eq!(sampled(format!("00-{trace}-{span}-00")), Some(false));
        assert_eq!(sampled(format!("00-{trace}-{span}-03")), Some(true), "bits that mean nothing yet");
        assert_eq!(sampled(format!("01-{trace}-{span}-01-more")), Some(true), "a later version");
        for refused in [
            format!("00-{trace}-{span}-01-more"),
            format!("ff-{trace}-{span}-01"),
            format!("00-{trace}-{span}"),
            format!("00-{}-{span}-01", "0".repeat(32)),
            format!("00-{trace}-{}-01", "0".repeat(16)),
            format!("00-{}-{span}-01", trace.to_uppercase()),
            format!("00-{trace}0-{span}-01"),
            String::new(),
        ] {
            assert_eq!(sampled(refused.clone()), None, "{refused}");
        }
    }
}
