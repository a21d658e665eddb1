//! The server's store as its flags make it, and what a token may open.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    reason = "each test file uses its part; a test ends by panicking"
)]

use clap::Parser;
use mcp_s3::{Objects, Store, StoreFlags};

#[derive(Parser)]
struct Command {
    #[command(flatten)]
    store: StoreFlags,
}

pub(crate) fn store(flags: &[&str]) -> Store {
    certs::install_crypto();
    let command = Command::parse_from(std::iter::once("test").chain(flags.iter().copied()));
    Store::from_flags(&command.store).unwrap()
}

/// All that there is.
pub(crate) fn scopes() -> Vec<&'static str> {
    let tools = Objects::tools().into_iter().map(|tool| &*tool.name.into_owned().leak());
    ["protocol", "resources"].into_iter().chain(tools).collect()
}
