//! Push notifications by relay. The agent never learns where a task's events go: it posts them to a URL of the gateway, in
//! which agent, owner, task and target are sealed, and the gateway takes them there, signed, if they may go there then.
//!
//! Behind stage 5: a permitted call's configuration is rewritten for the agent ([`registered`]). Behind stage 8: the
//! answer shows the caller what it wrote ([`shown`]). And a door of its own for what agents post ([`Post`]).

mod attempt;
mod delivery;
mod lines;
mod outbox;
mod received;
mod registered;
mod seal;
pub mod target;

pub use outbox::{Outbox, With};
pub use received::{Post, PushError, is_below};
pub use registered::{registered, shown};
pub use seal::Void;
pub use target::{TargetError, Targets};

/// What a request of an agent to the relay is called in records and metrics.
pub const METHOD: &str = "push";
