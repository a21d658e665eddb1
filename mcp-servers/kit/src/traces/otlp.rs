//! Delivery of spans: OTLP over HTTP with our own client. One connection a batch; the batches are put together on a
//! thread of the SDK.

use super::Traces;
use crate::https::{Client, ClientError};
use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response};
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_http::{HttpClient, HttpError};
use opentelemetry_otlp::{ExporterBuildError, Protocol, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{BatchSpanProcessor, RandomIdGenerator, SpanProcessor};
use std::time::Duration;
use tokio::runtime::Handle;

/// For one delivery.
const TIMEOUT: Duration = Duration::from_secs(10);
/// The longest answer of a collector that is read.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

impl Traces {
    /// Delivers by the runtime that this is called in, as the service `mcp-{server}`.
    ///
    /// # Errors
    /// If the exporter refuses its settings. A collector that is down is none: it is tried again with each batch.
    pub(crate) fn new(client: Client, server: &str, version: &str) -> Result<Self, ExporterBuildError> {
        let endpoint = client.url().to_string();
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(Collector { client, runtime: Handle::current() })
            .with_endpoint(endpoint)
            .with_protocol(Protocol::HttpBinary)
            .with_timeout(TIMEOUT)
            .build()?;
        let mut processor = BatchSpanProcessor::builder(exporter).build();
        let resource = Resource::builder()
            .with_service_name(format!("mcp-{server}"))
            .with_attribute(KeyValue::new("service.version", version.to_owned()))
            .build();
        processor.set_resource(&resource);
        Ok(Self {
            processor,
            ids: RandomIdGenerator::default(),
            scope: InstrumentationScope::builder("sallyport.mcp-server").build(),
            timeout: TIMEOUT,
        })
    }
}

/// A client for one collector.
#[derive(Clone, Debug)]
struct Collector {
    client: Client,
    runtime: Handle,
}

#[async_trait]
impl HttpClient for Collector {
    /// The SDK polls this on a thread that is not the runtime's, so a task of the runtime does it.
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let client = self.client.clone();
        let sent = self.runtime.spawn(async move {
            let call = client.call(request, ANSWER_BYTES_MAX);
            tokio::time::timeout(TIMEOUT, call).await.map_err(|_| ClientError::Timeout)?
        });
        Ok(sent.await??)
    }
}
