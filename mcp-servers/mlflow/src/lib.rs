//! The tools, resources and prompts of `mcp-mlflow`, over the REST API of one MLflow.

mod flags;
mod error;
mod fence;
mod names;
mod client;
mod wire;
mod filter;
mod page;
mod experiments;
mod runs;
mod logging;
mod artifacts;
mod models;
mod versions;
mod promotion;
mod traces;
mod resources;
mod prompts;
mod server;

pub use client::Client;
pub use error::MlflowError;
pub use fence::{Fence, FenceError};
pub use flags::{FlagsError, LimitFlags, Limits, MlflowFlags};
pub use server::Mlflow;

/// What its scopes begin with.
pub const NAME: &str = "mlflow";
