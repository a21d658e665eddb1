//! MCP bytes to a [`Call`](mcp::Call), and lists on their way back: no I/O, no policy, no time.
//!
//! What stands here is what policy will judge, so it must be what the upstream will read: whatever two readers could
//! read in two ways is refused. Bytes are checked once ([`json`]), peeked at with borrowed types and forwarded as
//! they came; nothing is parsed into a model and written again.

#![cfg_attr(
    not(test),
    deny(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::as_conversions)
)]

pub mod a2a;
pub mod json;
pub mod jsonrpc;
pub mod mcp;
pub mod sse;
