//! `mcp-inference`: an MCP server for language models.

use clap::Parser;
use kit::Service;
use mcp_inference::{Inference, InferenceFlags};

/// An MCP server for language models, behind the gateway: at servers with the API of OpenAI, and in a GGUF file
///
/// Lets in the gateway's SPIFFE ID alone, over mutual TLS, and only tokens made for it with the scope of the tool
/// (`inference:chat` and so on; `inference:protocol` for all that opens and lists).
#[derive(Parser)]
#[command(name = "mcp-inference", version, after_help = EXAMPLES)]
struct Command {
    #[command(flatten)]
    door: kit::Flags,
    #[command(flatten)]
    inference: InferenceFlags,
}

const EXAMPLES: &str = "\
Example (the first eight flags as for every server; the file is described in its README):
  mcp-inference --listen 127.0.0.1:9446 --certificate svid.pem --private-key svid.key --trust-bundle bundle.pem \\
    --gateway spiffe://example.org/gateway --issuer https://tokens.example.org --audience inference --jwks jwks.json \\
    --backends backends.yaml --models 'smollm2,team-*'";

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    certs::install_crypto();
    let Some(command) = kit::parse::<Command>(Inference::tools()) else { return Ok(()) };
    #[cfg(feature = "embedded")]
    mcp_inference::restarted_with(command.inference.engine_threads)?;
    let inference = Inference::from_flags(&command.inference, &command.door).await?;
    let behind = inference.clone();
    let service = Service::new(mcp_inference::NAME, inference).reachable_if(move || {
        let inference = behind.clone();
        async move { inference.reachable() }
    });
    kit::run(service, &command.door).await?;
    Ok(())
}
