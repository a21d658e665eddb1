//! The tools and resources of `mcp-prometheus`, over the HTTP API of one Prometheus and of its Alertmanager.

mod flags;
mod error;
mod fence;
mod place;
mod matchers;
mod upstream;
mod apart;
mod client;
mod alertmanager;
mod range;
mod page;
mod queries;
mod analysis;
mod lists;
mod state;
mod alerting;
mod resources;
mod server;

pub use alertmanager::Alertmanager;
pub use client::Client;
pub use error::PrometheusError;
pub use fence::{Fence, FenceError, Query};
pub use flags::{FlagsError, LimitFlags, Limits, PrometheusFlags};
pub use server::Metrics;
pub use upstream::{Bounds, System};

/// What its scopes begin with.
pub const NAME: &str = "prometheus";
