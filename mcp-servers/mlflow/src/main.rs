//! `mcp-mlflow`: an MCP server for one MLflow.

use clap::Parser;
use kit::Service;
use mcp_mlflow::{Mlflow, MlflowFlags};

/// An MCP server for MLflow, behind the gateway
///
/// Lets in the gateway's SPIFFE ID alone, over mutual TLS, and only tokens made for it with the scope of the tool
/// (`mlflow:search_runs` and so on; `mlflow:resources` for resources, `mlflow:prompts` for prompts, `mlflow:protocol` for all
/// that opens and lists).
#[derive(Parser)]
#[command(name = "mcp-mlflow", version, after_help = EXAMPLES)]
struct Command {
    #[command(flatten)]
    door: kit::Flags,
    #[command(flatten)]
    mlflow: MlflowFlags,
}

const EXAMPLES: &str = "\
Example, one team's experiments and models and no others (the first eight flags as for every server):
  mcp-mlflow --listen 127.0.0.1:9446 --certificate svid.pem --private-key svid.key --trust-bundle bundle.pem \\
    --gateway spiffe://example.org/gateway --issuer https://tokens.example.org --audience mlflow --jwks jwks.json \\
    --mlflow https://mlflow.example.org --credential-file mlflow.token --experiments 'team-*' --models 'fraud,churn-*'";

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    certs::install_crypto();
    let Some(command) = kit::parse::<Command>(Mlflow::tools()) else { return Ok(()) };
    let mlflow = Mlflow::from_flags(&command.mlflow, &command.door).await?;
    let behind = mlflow.clone();
    let service = Service::new(mcp_mlflow::NAME, mlflow).reachable_if(move || {
        let mlflow = behind.clone();
        async move { mlflow.reachable().await.map_err(|error| error.told().to_string()) }
    });
    kit::run(service, &command.door).await?;
    Ok(())
}
