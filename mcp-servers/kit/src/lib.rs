//! What every MCP server behind the gateway shares, so that a server is its tools and nothing else.
//!
//! A request meets these in order: mutual TLS that lets in the gateway's SPIFFE ID alone (`serve`), the bearer token
//! made for this server (`bearer`), the scope that the operation needs (`operation`), the owner of the session
//! (`session`); only then does rmcp see it (`request`), and around the server's own code are bounds of time and size
//! (`guard`). A server's author can forget none of them. What is said in a session finds its way by `sessions`. What is left
//! of a request is its record: a line of audit, counts, and a span.
//!
//! `docs/adding-an-mcp-server.md` shows what is left to write.

pub mod flags;
mod service;
mod serve;
mod request;
mod bearer;
mod keys;
mod operation;
mod session;
mod sessions;
mod refusal;
mod guard;
mod schema;
mod record;
mod audit;
mod metrics;
mod traces;
mod admin;
mod https;
mod drain;
mod logging;

mod answer;
pub mod downstream;
pub mod system;
pub mod cursor;
pub mod error;
mod progress;
mod resources;

pub use answer::Json;
pub use downstream::{Downstream, DownstreamError, DownstreamFlags};
pub use error::{Code, ToolError};
pub use flags::{Flags, Limits, Observe};
pub use https::ClientError;
pub use keys::KeyFileError;
pub use progress::Progress;
pub use request::claims;
pub use resources::Resources;
pub use schema::tools_json;
pub use serve::{ServeError, Server, run};
pub use service::{Service, parse};

/// Calls make and drop many small things, on several threads: the C library's allocator has them wait for each other.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;
