//! `mcp-kubernetes`: an MCP server for one Kubernetes cluster.

use clap::Parser;
use kit::Service;
use mcp_kubernetes::{Kubernetes, KubernetesFlags};

/// An MCP server for Kubernetes, behind the gateway
///
/// Lets in the gateway's SPIFFE ID alone, over mutual TLS, and only tokens made for it with the scope of the tool
/// (`kubernetes:get` and so on; `kubernetes:resources` for resources, `kubernetes:protocol` for all that opens and lists).
#[derive(Parser)]
#[command(name = "mcp-kubernetes", version, after_help = EXAMPLES)]
struct Command {
    #[command(flatten)]
    door: kit::Flags,
    #[command(flatten)]
    kubernetes: KubernetesFlags,
}

const EXAMPLES: &str = "\
Example, two namespaces, each person with rights of their own (the first eight flags as for every server):
  mcp-kubernetes --listen 127.0.0.1:9446 --certificate svid.pem --private-key svid.key --trust-bundle bundle.pem \\
    --gateway spiffe://example.org/gateway --issuer https://tokens.example.org --audience kubernetes --jwks jwks.json \\
    --server https://kubernetes.example.org:6443 --server-ca ca.pem --namespaces staging,dev \\
    --token-endpoint https://tokens.example.org/oauth/token --token-server spiffe://example.org/token-service \\
    --downstream-audience https://kubernetes.example.org";

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    certs::install_crypto();
    let Some(command) = kit::parse::<Command>(Kubernetes::tools()) else { return Ok(()) };
    let kubernetes = Kubernetes::from_flags(&command.kubernetes, &command.door).await?;
    let behind = kubernetes.clone();
    let service = Service::new(mcp_kubernetes::NAME, kubernetes).reachable_if(move || {
        let kubernetes = behind.clone();
        async move { kubernetes.reachable().await.map_err(|error| error.told().to_string()) }
    });
    kit::run(service, &command.door).await?;
    Ok(())
}
