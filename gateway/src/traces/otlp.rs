//! Delivery of spans: OTLP over HTTP with our own client, so that a collector proves itself like every other server that the
//! gateway calls. One connection a batch; the batches are put together on a thread of the SDK.

use super::Traces;
use crate::config;
use crate::https::{Https, HttpsError, converse};
use crate::metrics::Metrics;
use async_trait::async_trait;
use bytes::Bytes;
use certs::{Clock, SharedSource};
use http::header::{HOST, HeaderValue};
use http::{Request, Response};
use http_body_util::Full;
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_http::{HttpClient, HttpError};
use opentelemetry_otlp::{ExporterBuildError, Protocol, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, RandomIdGenerator, Sampler, SpanProcessor,
};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use url::{Position, Url};

/// Why traces can't be delivered at all.
#[derive(Debug, thiserror::Error)]
pub enum TracesError {
    /// The collector's authorities can't be used.
    #[error("the collector can't be verified")]
    Https(#[from] HttpsError),
    /// The exporter refused its settings.
    #[error("the exporter of spans can't be set up")]
    Exporter(#[from] ExporterBuildError),
}

/// The longest answer of a collector that is read.
const ANSWER_BYTES_MAX: usize = 64 * 1024;
/// The most spans in one delivery.
const BATCH_MAX: usize = 2048;
/// How long spans wait for others, at most.
const BATCH_EVERY: Duration = Duration::from_secs(2);

impl Traces {
    /// Delivers to the configured collector, by the runtime that this is called in.
    ///
    /// # Errors
    /// [`TracesError`]. A collector that is down is none: it is tried again with each batch.
    pub fn new(
        config: &config::Traces,
        source: &SharedSource,
        clock: &Clock,
        metrics: Arc<Metrics>,
    ) -> Result<Self, TracesError> {
        let encrypted = config.endpoint.scheme() == "https";
        let https = encrypted.then(|| Https::new(&config.server, source, clock)).transpose()?;
        if !encrypted && !is_loopback(&config.endpoint) {
            tracing::warn!(endpoint = %config.endpoint, "spans leave this machine in the clear");
        }
        let collector = Collector {
            url: config.endpoint.clone(),
            https,
            timeout: config.timeout,
            runtime: Handle::current(),
            metrics,
        };
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(collector)
            .with_endpoint(config.endpoint.as_str())
            .with_protocol(Protocol::HttpBinary)
            .with_timeout(config.timeout)
            .build()?;
        let batches = BatchConfigBuilder::default()
            .with_max_queue_size(config.queue_max)
            .with_max_export_batch_size(BATCH_MAX.min(config.queue_max))
            .with_scheduled_delay(BATCH_EVERY)
            .build();
        let mut processor = BatchSpanProcessor::new(exporter, batches);
        let version = env!("CARGO_PKG_VERSION");
        let resource = Resource::builder()
            .with_service_name("sallyport")
            .with_attribute(KeyValue::new("service.version", version))
            .build();
        processor.set_resource(&resource);
        Ok(Self {
            processor,
            ids: RandomIdGenerator::default(),
            sampler: Sampler::TraceIdRatioBased(config.sample),
            scope: InstrumentationScope::builder("sallyport").with_version(version).build(),
            timeout: config.timeout,
        })
    }
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
        Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
        Some(url::Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

/// A client for one collector.
#[derive(Clone, Debug)]
struct Collector {
    url: Url,
    https: Option<Https>,
    timeout: Duration,
    runtime: Handle,
    metrics: Arc<Metrics>,
}

#[async_trait]
impl HttpClient for Collector {
    /// The SDK polls this on a thread that is not the runtime's, so a task of the runtime does it.
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let this = self.clone();
        let sent = self.runtime.spawn(async move {
            tokio::time::timeout(this.timeout, this.send(request)).await.map_err(|_| HttpsError::Timeout)?
        });
        let answer = sent.await?;
        self.metrics.delivery(answer.as_ref().is_ok_and(|answer| answer.status().is_success()));
        Ok(answer?)
    }
}

impl Collector {
    async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpsError> {
        let mut request = request.map(Full::new);
        *request.uri_mut() = self.url[Position::BeforePath..Position::AfterQuery].parse().unwrap_or_default(); // A parsed URL's path is one.
        if let Ok(host) = HeaderValue::from_str(&self.url[Position::BeforeHost..Position::AfterPort]) {
            request.headers_mut().insert(HOST, host);
        }
        match &self.https {
            Some(https) => converse(https.connect(&self.url).await?, request, ANSWER_BYTES_MAX).await,
            None => {
                let host = self.url.host_str().unwrap_or_default().trim_matches(['[', ']']);
                let port = self.url.port_or_known_default().unwrap_or(80);
                converse(TcpStream::connect((host, port)).await?, request, ANSWER_BYTES_MAX).await
            }
        }
    }
}
