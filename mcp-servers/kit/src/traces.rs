//! A span for each request, joined to the gateway's trace (W3C Trace Context) and delivered by OTLP. Without a collector
//! there is nothing of this in a request.
//!
//! Names and attributes follow OpenTelemetry's conventions for MCP (status: development), so the constants are our own.

pub(crate) mod otlp;

use http::{HeaderMap, StatusCode};
use opentelemetry::propagation::TextMapPropagator;
use opentelemetry::trace::{SpanContext, SpanId, SpanKind, Status, TraceContextExt, TraceFlags, TraceState};
use opentelemetry::{Context, InstrumentationScope, KeyValue};
use opentelemetry_http::HeaderExtractor;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{
    BatchSpanProcessor, IdGenerator, RandomIdGenerator, SpanData, SpanEvents, SpanLinks, SpanProcessor,
};
use std::time::{Duration, SystemTime};

const METHOD: &str = "mcp.method.name";
const PROTOCOL_VERSION: &str = "mcp.protocol.version";
const TOOL: &str = "gen_ai.tool.name";
const OPERATION: &str = "gen_ai.operation.name";
const REQUEST_ID: &str = "jsonrpc.request.id";
const ERROR: &str = "error.type";
const TRANSPORT: &str = "network.transport";
const PROTOCOL: &str = "network.protocol.name";
const STATUS: &str = "http.response.status_code";
const OUTCOME: &str = "sallyport.outcome";

/// Makes spans and hands them to the delivery.
#[derive(Debug)]
pub(crate) struct Traces {
    processor: BatchSpanProcessor,
    ids: RandomIdGenerator,
    scope: InstrumentationScope,
    timeout: Duration,
}

/// A request that is over.
pub(crate) struct Ended<'r> {
    pub(crate) began: SystemTime,
    pub(crate) took: Duration,
    pub(crate) method: Option<&'r str>,
    pub(crate) tool: Option<&'r str>,
    pub(crate) id: Option<&'r str>,
    pub(crate) status: Option<StatusCode>,
    pub(crate) outcome: &'r str,
    pub(crate) tool_failed: bool,
}

impl Traces {
    /// Makes the span and hands it over, if the gateway's trace is one that is kept; without one it begins a trace.
    pub(crate) fn end(&self, headers: &HeaderMap, ended: &Ended<'_>) {
        let context =
            TraceContextPropagator::new().extract_with_context(&Context::new(), &HeaderExtractor(headers));
        let parent = context.span().span_context().clone();
        if parent.is_valid() && !parent.is_sampled() {
            return;
        }
        let trace = if parent.is_valid() { parent.trace_id() } else { self.ids.new_trace_id() };
        let own =
            SpanContext::new(trace, self.ids.new_span_id(), TraceFlags::SAMPLED, false, TraceState::NONE);
        self.processor.on_end(SpanData {
            span_context: own,
            parent_span_id: if parent.is_valid() { parent.span_id() } else { SpanId::INVALID },
            parent_span_is_remote: parent.is_valid(),
            span_kind: SpanKind::Server,
            name: ended.name().into(),
            start_time: ended.began,
            end_time: ended.began + ended.took,
            attributes: ended.attributes(headers),
            dropped_attributes_count: 0,
            events: SpanEvents::default(),
            links: SpanLinks::default(),
            status: if ended.outcome == "ok" { Status::Unset } else { Status::error("") },
            instrumentation_scope: self.scope.clone(),
        });
    }

    /// Delivers what waits. It blocks, for as long as the collector may take.
    pub(crate) fn stop(&self) {
        if let Err(error) = self.processor.shutdown_with_timeout(self.timeout) {
            tracing::warn!(%error, "the last spans are lost");
        }
    }
}

impl Ended<'_> {
    /// `{method} {tool}`. What is no tool of ours may be any text at all, and a name is something to group by.
    fn name(&self) -> String {
        match (self.method, self.tool) {
            (Some(method), Some(tool)) => format!("{method} {tool}"),
            (Some(method @ "tools/call"), None) => method.to_owned(),
            (Some(method), None) if self.outcome == "ok" => method.to_owned(),
            _ => "HTTP".to_owned(),
        }
    }

    fn attributes(&self, headers: &HeaderMap) -> Vec<KeyValue> {
        let mut all = vec![
            KeyValue::new(TRANSPORT, "tcp"),
            KeyValue::new(PROTOCOL, "http"),
            KeyValue::new(OUTCOME, self.outcome.to_owned()),
        ];
        all.extend(self.method.map(|method| KeyValue::new(METHOD, method.to_owned())));
        if let Some(tool) = self.tool {
            all.push(KeyValue::new(TOOL, tool.to_owned()));
            all.push(KeyValue::new(OPERATION, "execute_tool"));
        }
        all.extend(self.id.map(|id| KeyValue::new(REQUEST_ID, id.trim_matches('"').to_owned())));
        let version = headers.get("mcp-protocol-version").and_then(|version| version.to_str().ok());
        all.extend(version.map(|version| KeyValue::new(PROTOCOL_VERSION, version.to_owned())));
        all.extend(self.status.map(|status| KeyValue::new(STATUS, i64::from(status.as_u16()))));
        if self.outcome != "ok" {
            let kind = if self.tool_failed { "tool_error" } else { self.outcome };
            all.push(KeyValue::new(ERROR, kind.to_owned()));
        }
        all
    }
}
