//! What is counted and timed, for Prometheus. `docs/observability.md` has the table, and a test holds it to this file.
//!
//! Labels are words of ours, of the configuration or of the policies; what a caller says is never one. Where an author
//! chooses the words, their number is capped. A request costs about a microsecond here: what it touches was resolved
//! when the gateway started, or when the word was first seen.

use crate::observed::Stage;
use prometheus::core::Collector;
use prometheus::{
    Gauge, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts,
    Registry, TextEncoder,
};
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

/// All of a gateway's metrics.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    names: Vec<String>,
    requests: IntCounterVec,
    request_duration: HistogramVec,
    stages: Vec<Histogram>,
    decisions: Capped<Decisions>,
    denials: Capped<IntCounter>,
    refusals: IntCounterVec,
    handshakes_refused: IntCounterVec,
    exchanges: [IntCounter; 4],
    exchange_duration: Histogram,
    dials: IntCounterVec,
    reloads: IntCounterVec,
    deliveries: IntCounterVec,
    pushes: IntCounterVec,
    left_out: IntCounterVec,
    pub(crate) push_waiting: IntGauge,
    pub(crate) requests_in_flight: IntGauge,
    pub(crate) connections: IntGauge,
    pub(crate) upstream_connections: IntGauge,
    upstream_idle: IntGauge,
    audit_waiting: IntGauge,
    audit_lost: Mutex<IntCounter>,
    svid_expiry: Gauge,
    identity_source_up: IntGauge,
    pub(crate) revocations_source_up: IntGauge,
    pub(crate) tasks_store_up: IntGauge,
    agents_up: IntGaugeVec,
}

/// What is read when somebody asks, rather than kept up to date.
#[derive(Clone, Copy, Debug)]
pub struct Sampled {
    /// Connections to upstreams that wait for a request.
    pub upstream_idle: usize,
    /// Audit records that wait to be written.
    pub audit_waiting: usize,
    /// Audit records that were lost since the start.
    pub audit_lost: u64,
    /// When the gateway's own SVID ends.
    pub svid_expiry: SystemTime,
    /// Whether the SVID's source answers.
    pub identity_source_up: bool,
}

/// Permits and denials of one package.
#[derive(Clone, Debug)]
struct Decisions {
    permits: IntCounter,
    denials: IntCounter,
}

/// Where a credential came from, or why it didn't.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExchangeOutcome {
    /// From the cache.
    Hit,
    /// From the token service.
    Fetched,
    /// The token service said no.
    Refused,
    /// It could not be asked, or what it gave is not what was asked for.
    Failed,
}

impl ExchangeOutcome {
    const ALL: [Self; 4] = [Self::Hit, Self::Fetched, Self::Refused, Self::Failed];

    fn name(self) -> &'static str {
        match self {
            Self::Hit => "hit",
            Self::Fetched => "fetched",
            Self::Refused => "refused",
            Self::Failed => "failed",
        }
    }
}

/// Stages take microseconds, or as long as somebody else's server.
const STAGE_BUCKETS: [f64; 18] = [
    5e-6, 1e-5, 2.5e-5, 5e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0,
    5.0,
];
/// Whole requests; the last ones are streams.
const REQUEST_BUCKETS: [f64; 14] =
    [1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 0.01, 0.025, 0.1, 0.25, 1.0, 5.0, 30.0, 300.0];

/// Distinct values of a label that policy authors choose; those that come later are counted together.
const VALUES_MAX: usize = 500;
/// What they are counted as.
const OTHER: &str = "other";

impl Metrics {
    /// All of them at zero.
    ///
    /// # Errors
    /// [`prometheus::Error`] if a name stands twice or is none, which a test rules out.
    pub fn new() -> prometheus::Result<Self> {
        let mut all = Builder::default();
        let decisions = all.counters(
            "decisions_total",
            "Answers of policy to requests, by the package that gave them.",
            &["decision", "package"],
        )?;
        let denials =
            all.counters("denials_total", "Requests that policy denied, by reason.", &["reason"])?;
        let stages = all.histograms(
            "stage_duration_seconds",
            "Time that a stage of the path took, whether it let the request on or not.",
            &["stage"],
            &STAGE_BUCKETS,
        )?;
        let exchanges = all.counters(
            "exchanges_total",
            "Credentials for permitted calls: found in the cache, and exchanges by how they ended.",
            &["outcome"],
        )?;
        let build = opts("build_info", "Always 1; the label says what is running.");
        let build = all.add(IntGaugeVec::new(build, &["version"]))?;
        build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        let metrics = Self {
            requests: all.counters(
                "requests_total",
                "Requests that were answered or whose caller has gone.",
                &["server", "method", "status"],
            )?,
            request_duration: all.histograms(
                "request_duration_seconds",
                "Time from a request's head to the last byte of its answer; of a stream, its life.",
                &["server", "method"],
                &REQUEST_BUCKETS,
            )?,
            stages: Stage::ALL.iter().map(|stage| stages.with_label_values(&[stage.name()])).collect(),
            decisions: Capped::new(move |package| Decisions {
                permits: decisions.with_label_values(&["permit", package]),
                denials: decisions.with_label_values(&["denial", package]),
            }),
            denials: Capped::new(move |reason| denials.with_label_values(&[reason])),
            refusals: all.counters(
                "refusals_total",
                "Requests that went no further for another reason than policy.",
                &["stage", "reason"],
            )?,
            handshakes_refused: all.counters(
                "handshakes_refused_total",
                "Connections that were closed before they could carry a request.",
                &["reason"],
            )?,
            exchanges: ExchangeOutcome::ALL.map(|outcome| exchanges.with_label_values(&[outcome.name()])),
            exchange_duration: all.histogram(
                "exchange_duration_seconds",
                "Time of the token exchanges that were not answered from the cache.",
                &STAGE_BUCKETS,
            )?,
            dials: all.counters(
                "upstream_dials_total",
                "Connections opened to upstreams, TLS included.",
                &["outcome"],
            )?,
            reloads: all.counters(
                "reloads_total",
                "Changes of what the gateway runs on, and refused ones.",
                &["kind", "outcome"],
            )?,
            deliveries: all.counters(
                "trace_deliveries_total",
                "Batches of spans sent to the collector.",
                &["outcome"],
            )?,
            pushes: all.counters(
                "push_deliveries_total",
                "Push notifications by how their delivery ended.",
                &["outcome"],
            )?,
            left_out: all.counters(
                "one_url_left_out_total",
                "Servers that were left out of a list of all servers, and why.",
                &["server", "reason"],
            )?,
            push_waiting: all
                .gauge("push_waiting", "Push notifications that wait or are being delivered.")?,
            requests_in_flight: all
                .gauge("requests_in_flight", "Requests that are being worked on or streamed.")?,
            connections: all.gauge("connections", "Connections of callers with a finished handshake.")?,
            upstream_connections: all.gauge("upstream_connections", "Open connections to upstreams.")?,
            upstream_idle: all.gauge("upstream_connections_idle", "Those that wait for a request.")?,
            audit_waiting: all.gauge("audit_records_waiting", "Audit records that wait to be written.")?,
            audit_lost: Mutex::new(all.add(IntCounter::with_opts(opts(
                "audit_records_lost_total",
                "Audit records that could not be kept.",
            )))?),
            svid_expiry: all.add(Gauge::with_opts(opts(
                "svid_expiry_timestamp_seconds",
                "When the gateway's own SVID ends, in seconds since 1970.",
            )))?,
            identity_source_up: all.gauge(
                "identity_source_up",
                "1 while the source of the SVID answers; at 0 the last good one is used until it ends.",
            )?,
            revocations_source_up: {
                let up = all.gauge(
                    "revocations_source_up",
                    "1 while the list of revocations can be read; at 0 what is known of it stays.",
                )?;
                up.set(1);
                up
            },
            tasks_store_up: {
                let up = all.gauge(
                    "tasks_store_up",
                    "1 while the shared store of tasks answers; at 0 no call that names or shows one goes on.",
                )?;
                up.set(1);
                up
            },
            agents_up: all.add(IntGaugeVec::new(
                opts("agent_up", "1 while an agent can be connected to and is who it should be."),
                &["agent"],
            ))?,
            registry: all.registry,
            names: all.names,
        };
        Ok(metrics)
    }

    /// The delivery of a push notification has ended.
    pub(crate) fn push_delivery(&self, outcome: &'static str) {
        self.pushes.with_label_values(&[outcome]).inc();
    }

    /// Whether an agent answers.
    pub(crate) fn agent_up(&self, agent: &str, is_up: bool) {
        self.agents_up.with_label_values(&[agent]).set(is_up.into());
    }

    /// An agent is not looked at any more.
    pub(crate) fn agent_gone(&self, agent: &str) {
        let _ = self.agents_up.remove_label_values(&[agent]); // It may never have been there.
    }

    /// Every family by name, whether or not it has a value yet.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// All of it in the text format, version 0.0.4.
    ///
    /// # Errors
    /// [`prometheus::Error`] if a family can't be written.
    pub fn text(&self, sampled: &Sampled) -> prometheus::Result<String> {
        let count = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
        self.upstream_idle.set(count(sampled.upstream_idle));
        self.audit_waiting.set(count(sampled.audit_waiting));
        let lost = self.audit_lost.lock().unwrap_or_else(PoisonError::into_inner); // Two scrapes must not both add it.
        lost.inc_by(sampled.audit_lost.saturating_sub(lost.get()));
        drop(lost);
        let expiry = sampled.svid_expiry.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        self.svid_expiry.set(expiry.as_secs_f64());
        self.identity_source_up.set(sampled.identity_source_up.into());
        TextEncoder::new().encode_to_string(&self.registry.gather())
    }

    /// A request has ended. `status` is 0 if its caller had gone before there was one.
    pub(crate) fn request(&self, server: &str, method: &str, status: u16, took: Duration) {
        let class = match status {
            100..=199 => "1xx",
            200..=299 => "2xx",
            300..=399 => "3xx",
            400..=499 => "4xx",
            500..=599 => "5xx",
            _ => "none",
        };
        self.requests.with_label_values(&[server, method, class]).inc();
        self.request_duration.with_label_values(&[server, method]).observe(took.as_secs_f64());
    }

    /// A stage has ended.
    pub(crate) fn stage(&self, stage: Stage, took: Duration) {
        if let Some(histogram) = self.stages.get(stage as usize) {
            histogram.observe(took.as_secs_f64());
        }
    }

    pub(crate) fn permit(&self, package: &str) {
        self.decisions.of(package).permits.inc();
    }

    /// Policy said no; where it couldn't be asked, there is no package.
    pub(crate) fn denial(&self, package: Option<&str>, reason: &str) {
        self.decisions.of(package.unwrap_or("none")).denials.inc();
        self.denials.of(reason).inc();
    }

    /// Something else than policy refused. The reasons are those of `docs/refusals.md`.
    pub(crate) fn refusal(&self, stage: Stage, reason: &str) {
        self.refusals.with_label_values(&[stage.name(), reason]).inc();
    }

    /// A server was left out of a list of all servers. The name is the configuration's, the reason one of ours.
    pub(crate) fn left_out(&self, server: &str, reason: &'static str) {
        self.left_out.with_label_values(&[server, reason]).inc();
    }

    pub(crate) fn handshake_refused(&self, reason: &'static str) {
        self.handshakes_refused.with_label_values(&[reason]).inc();
    }

    /// The token service was asked for a credential, or should have been.
    pub(crate) fn exchange(&self, outcome: ExchangeOutcome, took: Duration) {
        self.remembered(outcome);
        self.exchange_duration.observe(took.as_secs_f64());
    }

    /// A credential was needed, and the cache had it or the refusal of it.
    pub(crate) fn remembered(&self, outcome: ExchangeOutcome) {
        let [hit, fetched, refused, failed] = &self.exchanges;
        match outcome {
            ExchangeOutcome::Hit => hit,
            ExchangeOutcome::Fetched => fetched,
            ExchangeOutcome::Refused => refused,
            ExchangeOutcome::Failed => failed,
        }
        .inc();
    }

    pub(crate) fn dial(&self, connected: bool) {
        self.dials.with_label_values(&[if connected { "connected" } else { "failed" }]).inc();
    }

    pub(crate) fn reload(&self, kind: &'static str, outcome: &'static str) {
        self.reloads.with_label_values(&[kind, outcome]).inc();
    }

    pub(crate) fn delivery(&self, delivered: bool) {
        self.deliveries.with_label_values(&[if delivered { "delivered" } else { "failed" }]).inc();
    }
}

/// One more of something, until it is dropped.
#[derive(Debug)]
pub struct Counted(IntGauge);

impl Counted {
    /// Counts.
    pub fn new(gauge: &IntGauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// What belongs to each value of a label that policy authors choose, for so many values and not for more.
struct Capped<T> {
    known: RwLock<HashMap<String, T>>,
    make: Box<dyn Fn(&str) -> T + Send + Sync>,
}

impl<T: Clone> Capped<T> {
    fn new(make: impl Fn(&str) -> T + Send + Sync + 'static) -> Self {
        Self { known: RwLock::default(), make: Box::new(make) }
    }

    fn of(&self, value: &str) -> T {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let full = known.len() >= VALUES_MAX;
        if let Some(found) = known.get(value).or_else(|| known.get(OTHER).filter(|_| full)) {
            return found.clone();
        }
        drop(known);
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        let value = if known.len() < VALUES_MAX { value } else { OTHER };
        known.entry(value.to_owned()).or_insert_with(|| (self.make)(value)).clone()
    }
}

impl<T> std::fmt::Debug for Capped<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Capped")
    }
}

/// Registers, and keeps the names.
#[derive(Default)]
struct Builder {
    registry: Registry,
    names: Vec<String>,
}

impl Builder {
    fn add<C: Collector + Clone + 'static>(&mut self, made: prometheus::Result<C>) -> prometheus::Result<C> {
        let collector = made?;
        self.names.extend(collector.desc().iter().map(|family| family.fq_name.clone()));
        self.registry.register(Box::new(collector.clone()))?;
        Ok(collector)
    }

    fn counters(&mut self, name: &str, help: &str, labels: &[&str]) -> prometheus::Result<IntCounterVec> {
        self.add(IntCounterVec::new(opts(name, help), labels))
    }

    fn gauge(&mut self, name: &str, help: &str) -> prometheus::Result<IntGauge> {
        self.add(IntGauge::with_opts(opts(name, help)))
    }

    fn histogram(&mut self, name: &str, help: &str, buckets: &[f64]) -> prometheus::Result<Histogram> {
        self.add(Histogram::with_opts(HistogramOpts::from(opts(name, help)).buckets(buckets.to_vec())))
    }

    fn histograms(
        &mut self,
        name: &str,
        help: &str,
        labels: &[&str],
        buckets: &[f64],
    ) -> prometheus::Result<HistogramVec> {
        self.add(HistogramVec::new(HistogramOpts::from(opts(name, help)).buckets(buckets.to_vec()), labels))
    }
}

fn opts(name: &str, help: &str) -> Opts {
    Opts::new(name, help).namespace("sallyport")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test ends by panicking")]
    use super::*;

    fn text(metrics: &Metrics) -> String {
        let sampled = Sampled {
            upstream_idle: 0,
            audit_waiting: 0,
            audit_lost: 3,
            svid_expiry: SystemTime::UNIX_EPOCH,
            identity_source_up: true,
        };
        metrics.text(&sampled).unwrap()
    }

    #[test]
    fn what_is_counted_elsewhere_is_counted_once_however_often_it_is_asked_for() {
        let metrics = Metrics::new().unwrap();
        text(&metrics);
        assert!(text(&metrics).contains("\nsallyport_audit_records_lost_total 3\n"));
    }

    #[test]
    fn a_label_that_authors_choose_has_so_many_values_and_no_more() {
        let metrics = Metrics::new().unwrap();
        for n in 0..VALUES_MAX + 10 {
            metrics.denial(Some("tools.s3"), &format!("reason_{n}"));
        }
        metrics.denial(Some("tools.s3"), "reason_0");
        let text = text(&metrics);
        assert_eq!(text.matches("\nsallyport_denials_total{").count(), VALUES_MAX + 1);
        assert!(text.contains("sallyport_denials_total{reason=\"other\"} 10"), "{text}");
        assert!(
            text.contains("sallyport_denials_total{reason=\"reason_0\"} 2"),
            "what was known stays itself"
        );
    }

    #[test]
    fn the_document_names_every_family_and_no_other() {
        let metrics = Metrics::new().unwrap();
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/observability.md");
        let text = std::fs::read_to_string(path).unwrap();
        let rows = text.lines().filter_map(|line| line.strip_prefix("| `sallyport_")?.split_once('`'));
        let mut documented: Vec<_> = rows.map(|(name, _)| format!("sallyport_{name}")).collect();
        let mut registered = metrics.names().to_vec();
        documented.sort();
        registered.sort();
        assert_eq!(documented, registered);
    }
}
