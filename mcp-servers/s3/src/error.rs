//! Why the store didn't do what it was asked, in words that help whoever asked.

use crate::name::NameError;

/// One variant for each thing that a caller can do something about, and one for the rest.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The bucket's or key's name.
    #[error("{0}")]
    Name(#[from] NameError),
    /// Not there, or not in the list of buckets: the two look the same.
    #[error("there is no bucket {bucket:?} here")]
    NoBucket {
        /// The name asked for.
        bucket: String,
    },
    /// No such object.
    #[error("there is no object {key:?} in bucket {bucket:?}")]
    NotFound {
        /// The bucket.
        bucket: String,
        /// The key.
        key: String,
    },
    /// A symbolic link in a local folder: the name that was judged isn't the file that would be touched.
    #[error("{key:?} leads through a symbolic link, which is not followed")]
    Link {
        /// The key.
        key: String,
    },
    /// A folder or a reserved name stands where the object would.
    #[error(
        "{key:?} can't be an object in a local folder: a folder has that name, a file has the name of one of its folders, or it ends in '#' and digits"
    )]
    Unplaceable {
        /// The key.
        key: String,
    },
    /// `if_none_match` was asked for.
    #[error("{key:?} exists already")]
    Exists {
        /// The key.
        key: String,
    },
    /// The offset lies behind the end.
    #[error("offset {offset} is behind the end: the object has {size} bytes")]
    Offset {
        /// What was asked for.
        offset: u64,
        /// The object's length.
        size: u64,
    },
    /// More than one answer carries.
    #[error("{what} may be {max} at most; ask for the rest with the cursor or offset of the next page")]
    TooLarge {
        /// The argument.
        what: &'static str,
        /// Its bound.
        max: u64,
    },
    /// A cursor that this server didn't give.
    #[error("the cursor is not one of ours; begin again without one")]
    Cursor,
    /// Arguments that contradict each other.
    #[error("{0}")]
    Arguments(&'static str),
    /// The store refused our own credentials.
    #[error("the store does not allow this server to do that")]
    Forbidden(#[source] object_store::Error),
    /// The store failed; its own words are for the log.
    #[error("the store did not answer as it should; the same call may work later")]
    Store(#[source] object_store::Error),
    /// The local folder failed.
    #[error("the store did not answer as it should; the same call may work later")]
    Folder(#[source] std::io::Error),
}

impl StoreError {
    /// The text for whoever called. What only the operator should read goes to the log here, without keys.
    pub fn text(&self) -> String {
        match self {
            Self::Forbidden(cause) => {
                tracing::warn!(kind = kind(cause), "the store refused this server's credentials")
            }
            Self::Store(cause) => tracing::warn!(kind = kind(cause), "the store failed"),
            Self::Folder(cause) => tracing::warn!(kind = %cause.kind(), "the folder failed"),
            _ => {}
        }
        self.to_string()
    }

    /// Whether it means that there is nothing of that name.
    pub fn is_absence(&self) -> bool {
        matches!(self, Self::NoBucket { .. } | Self::NotFound { .. })
    }
}

/// The library's messages quote paths; its variants don't.
fn kind(error: &object_store::Error) -> &'static str {
    match error {
        object_store::Error::Generic { .. } => "generic",
        object_store::Error::PermissionDenied { .. } => "permission_denied",
        object_store::Error::Unauthenticated { .. } => "unauthenticated",
        object_store::Error::NotSupported { .. } | object_store::Error::NotImplemented { .. } => {
            "not_supported"
        }
        object_store::Error::InvalidPath { .. } => "invalid_path",
        object_store::Error::Precondition { .. } => "precondition",
        _ => "other",
    }
}
