//! `mcp-s3`: an MCP server for the objects of S3, Google or Azure, or of a local folder.

use clap::Parser;
use kit::Service;
use mcp_s3::{Objects, Store, StoreFlags};

/// An MCP server for S3 objects, behind the gateway
///
/// Lets in the gateway's SPIFFE ID alone, over mutual TLS, and only tokens made for it with the scope of the tool
/// (`s3:get_object` and so on; `s3:resources` for resources, `s3:protocol` for all that opens and lists).
#[derive(Parser)]
#[command(name = "mcp-s3", version, after_help = EXAMPLES)]
struct Command {
    #[command(flatten)]
    door: kit::Flags,
    #[command(flatten)]
    store: StoreFlags,
}

const EXAMPLES: &str = "\
Example, a folder whose sub-folders are the buckets:
  mcp-s3 --listen 127.0.0.1:9443 --certificate svid.pem --private-key svid.key --trust-bundle bundle.pem \\
    --gateway spiffe://example.org/gateway --issuer https://tokens.example.org --audience s3 --jwks jwks.json \\
    --root ./buckets

Example, two buckets of an S3 endpoint, one of them below a prefix only (the first eight flags as above):
  mcp-s3 … --store s3://models,s3://datasets/team-a --endpoint https://s3.example.org --region eu-central-1 \\
    --access-key-file access.key --secret-key-file secret.key

Example, a bucket of Google and a container of Azure:
  mcp-s3 … --store gs://models --service-account-file account.json
  mcp-s3 … --store az://models/team-a --account example --sas-file sas.txt";

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    certs::install_crypto();
    let Some(command) = kit::parse::<Command>(Objects::tools()) else { return Ok(()) };
    let store = Store::from_flags(&command.store)?;
    let behind = store.clone();
    let service = Service::new(mcp_s3::NAME, Objects::new(store)).reachable_if(move || {
        let store = behind.clone();
        async move { store.reachable().await.map_err(|error| error.told().to_string()) }
    });
    kit::run(service, &command.door).await?;
    Ok(())
}
