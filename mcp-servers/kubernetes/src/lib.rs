//! The tools and resources of `mcp-kubernetes`, over the API of one cluster.
//!
//! A call comes as types that can't hold anything but a name ([`name`], [`selector`]), meets the fence ([`fence`]), and goes
//! to the cluster with the caller's own credential ([`cluster`], [`wire`]). What comes back loses what nobody may see
//! ([`shown`]) before a tool looks at it.

mod flags;
mod error;
mod name;
mod selector;
mod fence;
mod wire;
mod cluster;
mod kinds;
mod shown;
mod diff;
mod read;
mod pods;
mod events;
mod explain;
mod access;
mod apply;
mod delete;
mod rollout;
mod undo;
mod traffic;
mod resources;
mod server;

pub use cluster::{Bounds, Cluster};
pub use error::KubernetesError;
pub use fence::{Fence, FenceError};
pub use flags::{FlagsError, KubernetesFlags, LimitFlags, Limits};
pub use server::Kubernetes;

/// What its scopes begin with.
pub const NAME: &str = "kubernetes";
