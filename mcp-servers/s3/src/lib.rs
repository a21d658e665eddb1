//! The tools and resources of `mcp-s3`, over a store that is a local folder or any S3 endpoint.

mod name;
mod flags;
mod error;
mod store;
mod folder;
mod tools;
mod resources;
mod server;

pub use error::StoreError;
pub use flags::{FlagsError, StoreFlags, StoreKind};
pub use name::{Bucket, Key, NameError, Prefix};
pub use server::Objects;
pub use store::{Listing, ObjectInfo, Piece, Store};

/// What its scopes begin with.
pub const NAME: &str = "s3";
