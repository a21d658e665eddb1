//! `mcp-prometheus`: an MCP server for the metrics of one Prometheus and the alerts of its Alertmanager.

use clap::Parser;
use kit::Service;
use mcp_prometheus::{Metrics, PrometheusFlags};

/// An MCP server for Prometheus and Alertmanager, behind the gateway; it only reads
///
/// Lets in the gateway's SPIFFE ID alone, over mutual TLS, and only tokens made for it with the scope of the tool
/// (`prometheus:query_range` and so on; `prometheus:resources` for resources, `prometheus:protocol` for all that opens and
/// lists).
#[derive(Parser)]
#[command(name = "mcp-prometheus", version, after_help = EXAMPLES)]
struct Command {
    #[command(flatten)]
    door: kit::Flags,
    #[command(flatten)]
    prometheus: PrometheusFlags,
}

const EXAMPLES: &str = "\
Example, one namespace's metrics and no others (the first eight flags as for every server):
  mcp-prometheus --listen 127.0.0.1:9445 --certificate svid.pem --private-key svid.key --trust-bundle bundle.pem \\
    --gateway spiffe://example.org/gateway --issuer https://tokens.example.org --audience prometheus --jwks jwks.json \\
    --prometheus https://prometheus.example.org --bearer-file prometheus.token --fence 'namespace=\"ml\"'";

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    certs::install_crypto();
    let Some(command) = kit::parse::<Command>(Metrics::tools()) else { return Ok(()) };
    let metrics = Metrics::from_flags(&command.prometheus, &command.door).await?;
    let behind = metrics.clone();
    let service = Service::new(mcp_prometheus::NAME, metrics).reachable_if(move || {
        let metrics = behind.clone();
        async move { metrics.reachable().await.map_err(|error| error.told().to_string()) }
    });
    kit::run(service, &command.door).await?;
    Ok(())
}
