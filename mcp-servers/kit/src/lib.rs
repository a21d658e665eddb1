//! What every MCP server behind the gateway shares, so that a server is its tools and nothing else.
//!
//! A request meets these in order: mutual TLS that lets in the gateway's SPIFFE ID alone (`serve`), the bearer token
//! made for this server (`bearer`), the scope that the operation needs (`operation`), the owner of the session
//! (`session`); only then does rmcp see it (`request`). A server's author can forget none of them.

pub mod flags;
mod serve;
mod request;
mod bearer;
mod keys;
mod operation;
mod session;
mod refusal;
mod drain;
mod logging;
mod schema;

pub use flags::{Flags, Limits};
pub use keys::KeyFileError;
pub use request::claims;
pub use schema::plain_numbers;
pub use serve::{ServeError, Server, run};
