//! The tools and resources of `mcp-s3`, over a store that is a local folder, or buckets of S3, Google or Azure.

mod name;
mod argument;
mod fence;
mod flags;
mod credential;
mod careful;
mod client;
mod error;
mod store;
mod listing;
mod folder;
mod signed;
mod write;
mod upload;
mod text;
mod table;
mod tools;
mod reads;
mod previews;
mod changes;
mod uploads;
mod resources;
mod server;

pub use argument::{ArgumentError, Etag, MediaType, Sha256, VersionId};
pub use error::StoreError;
pub use fence::Fence;
pub use flags::{FlagsError, StoreFlags, StoreKind, StoreUrl};
pub use listing::Listing;
pub use name::{Bucket, Key, NameError, Prefix};
pub use server::Objects;
pub use signed::{Signed, Version, Versions};
pub use store::{Limits, ObjectInfo, Piece, Remote, Store};
pub use write::{Condition, Done};

/// What its scopes begin with.
pub const NAME: &str = "s3";
