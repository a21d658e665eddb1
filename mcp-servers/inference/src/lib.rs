//! The tools of `mcp-inference`, over language models at several backends: servers with the API of OpenAI, and an engine of
//! its own for one GGUF file. `dispatch.rs` says which backend gets a call.

mod ask;
mod schema;
mod told;
mod error;
mod config;
mod backend;
#[cfg(feature = "embedded")]
mod engine;
mod dispatch;
mod flags;
mod gpu;
mod write;
mod embed;
mod models;
mod server;

#[cfg(feature = "embedded")]
pub use engine::restarted_with;
pub use error::InferenceError;
pub use flags::{FlagsError, InferenceFlags, LimitFlags};
pub use server::Inference;

/// What its scopes begin with.
pub const NAME: &str = "inference";
