//! What is counted and timed, for Prometheus. Labels are words of ours or of the server's author, and their number is
//! capped: what a caller says is never one.

use prometheus::{
    Gauge, HistogramOpts, HistogramVec, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry, TextEncoder,
};
use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// All of a server's metrics.
#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
    requests: IntCounterVec,
    duration: HistogramVec,
    handshakes_refused: IntCounterVec,
    pub(crate) in_flight: IntGauge,
    pub(crate) connections: IntGauge,
    svid_expiry: Gauge,
    outcomes: Mutex<BTreeSet<String>>,
}

/// Distinct outcomes; those that come later are counted together.
const OUTCOMES_MAX: usize = 200;
/// What they are counted as.
const OTHER: &str = "other";
const BUCKETS: [f64; 14] =
    [1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 0.01, 0.025, 0.1, 0.25, 1.0, 5.0, 30.0, 300.0];
/// The methods of both eras; any other text is a caller's.
const METHODS: [&str; 18] = [
    "completion/complete",
    "initialize",
    "logging/setLevel",
    "notifications/cancelled",
    "notifications/initialized",
    "notifications/progress",
    "ping",
    "prompts/get",
    "prompts/list",
    "resources/list",
    "resources/read",
    "resources/subscribe",
    "resources/templates/list",
    "resources/unsubscribe",
    "server/discover",
    "subscriptions/listen",
    "tools/call",
    "tools/list",
];

impl Metrics {
    /// All of them at zero.
    ///
    /// # Errors
    /// [`prometheus::Error`] if a name stands twice or is none, which a test rules out.
    pub(crate) fn new(server: &str, version: &str) -> prometheus::Result<Self> {
        let registry = Registry::new();
        let build = IntGaugeVec::new(
            opts("build_info", "Always 1; the labels say what is running."),
            &["server", "version"],
        )?;
        build.with_label_values(&[server, version]).set(1);
        registry.register(Box::new(build))?;
        let metrics = Self {
            requests: IntCounterVec::new(
                opts("requests_total", "Requests that were answered or whose caller has gone."),
                &["method", "tool", "outcome"],
            )?,
            duration: HistogramVec::new(
                HistogramOpts::from(opts(
                    "request_duration_seconds",
                    "Time from a request's head to the last byte of its answer; of a stream, its life.",
                ))
                .buckets(BUCKETS.to_vec()),
                &["method", "tool"],
            )?,
            handshakes_refused: IntCounterVec::new(
                opts("handshakes_refused_total", "Connections that ended before they could carry a request."),
                &["reason"],
            )?,
            in_flight: IntGauge::with_opts(opts("requests_in_flight", "Requests that are being worked on."))?,
            connections: IntGauge::with_opts(opts("connections", "Connections with a finished handshake."))?,
            svid_expiry: Gauge::with_opts(opts(
                "svid_expiry_timestamp_seconds",
                "When the server's own SVID ends, in seconds since 1970.",
            ))?,
            outcomes: Mutex::default(),
            registry,
        };
        let registry = &metrics.registry;
        registry.register(Box::new(metrics.requests.clone()))?;
        registry.register(Box::new(metrics.duration.clone()))?;
        registry.register(Box::new(metrics.handshakes_refused.clone()))?;
        registry.register(Box::new(metrics.in_flight.clone()))?;
        registry.register(Box::new(metrics.connections.clone()))?;
        registry.register(Box::new(metrics.svid_expiry.clone()))?;
        Ok(metrics)
    }

    /// One request; `tool` only where there is one of that name.
    pub(crate) fn request(&self, method: Option<&str>, tool: Option<&str>, outcome: &str, took: Duration) {
        let method = match method {
            None => "none",
            Some(method) => METHODS.iter().find(|known| **known == method).map_or(OTHER, |known| *known),
        };
        let tool = tool.unwrap_or("");
        let outcome = if self.is_known(outcome) { outcome } else { OTHER };
        self.requests.with_label_values(&[method, tool, outcome]).inc();
        self.duration.with_label_values(&[method, tool]).observe(took.as_secs_f64());
    }

    /// A connection that ended before its handshake did.
    pub(crate) fn handshake_refused(&self, reason: &'static str) {
        self.handshakes_refused.with_label_values(&[reason]).inc();
    }

    /// Everything, as Prometheus reads it.
    ///
    /// # Errors
    /// [`prometheus::Error`] if it can't be written down.
    pub(crate) fn text(&self, svid_ends: SystemTime) -> prometheus::Result<String> {
        self.svid_expiry.set(svid_ends.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64());
        TextEncoder::new().encode_to_string(&self.registry.gather())
    }

    fn is_known(&self, outcome: &str) -> bool {
        let mut known = self.outcomes.lock().unwrap_or_else(PoisonError::into_inner);
        known.contains(outcome) || (known.len() < OUTCOMES_MAX && known.insert(outcome.to_owned()))
    }
}

fn opts(name: &str, help: &str) -> Opts {
    Opts::new(name, help).namespace("mcp_server")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test ends by panicking")]
    use super::*;

    #[test]
    fn what_callers_say_makes_no_series() {
        let metrics = Metrics::new("clock", "1").unwrap();
        for number in 0..OUTCOMES_MAX + 10 {
            metrics.request(Some(&format!("x/{number}")), None, &format!("code_{number}"), Duration::ZERO);
        }
        metrics.request(Some("tools/call"), Some("now"), "code_1", Duration::ZERO);
        let text = metrics.text(UNIX_EPOCH + Duration::from_secs(5)).unwrap();
        assert_eq!(text.matches("\nmcp_server_requests_total{").count(), OUTCOMES_MAX + 2, "{text}");
        assert!(text.contains(r#"mcp_server_requests_total{method="other",outcome="other",tool=""} 10"#));
        assert!(
            text.contains(r#"mcp_server_requests_total{method="tools/call",outcome="code_1",tool="now"} 1"#)
        );
        assert!(text.contains("mcp_server_svid_expiry_timestamp_seconds 5\n"));
        assert!(text.contains(r#"mcp_server_build_info{server="clock",version="1"} 1"#));
    }
}
