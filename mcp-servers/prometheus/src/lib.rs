//! The tools and resources of `mcp-prometheus`, over the HTTP API of one Prometheus.

mod flags;
mod error;
mod fence;
mod place;
mod apart;
mod client;
mod range;
mod page;
mod queries;
mod analysis;
mod lists;
mod state;
mod resources;
mod server;

pub use client::Client;
pub use error::PrometheusError;
pub use fence::{Fence, FenceError, Query};
pub use flags::{FlagsError, LimitFlags, Limits, PrometheusFlags};
pub use server::Metrics;

/// What its scopes begin with.
pub const NAME: &str = "prometheus";
