//! Why the store didn't do what it was asked, in words that help whoever asked.

use crate::argument::{ArgumentError, Sha256};
use crate::name::NameError;
use kit::error::{BAD_CURSOR, FORBIDDEN, INVALID_ARGUMENTS, UNAVAILABLE};
use kit::{Code, ToolError};
use rmcp::ErrorData;
use rmcp::handler::server::tool::IntoCallToolResult;
use rmcp::model::{CallToolResponse, ErrorCode};

const INVALID_NAME: Code = Code::new("invalid_name");
const NO_BUCKET: Code = Code::new("no_bucket");
const NOT_FOUND: Code = Code::new("not_found");
const UNPLACEABLE: Code = Code::new("unplaceable");
const EXISTS: Code = Code::new("exists");
const OUT_OF_RANGE: Code = Code::new("out_of_range");
const TOO_LARGE: Code = Code::new("too_large");
const FENCED: Code = Code::new("fenced");
const CHANGED: Code = Code::new("changed");
const CHECKSUM_MISMATCH: Code = Code::new("checksum_mismatch");
const NOT_SUPPORTED: Code = Code::new("not_supported");
const NOT_TEXT: Code = Code::new("not_text");
const BAD_TABLE: Code = Code::new("bad_table");
const NO_UPLOAD: Code = Code::new("no_upload");
const TOO_MANY_UPLOADS: Code = Code::new("too_many_uploads");

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
    #[error("{what} may be {max} at most")]
    TooLarge {
        /// The argument.
        what: &'static str,
        /// Its bound.
        max: u64,
    },
    /// A cursor that this server didn't give.
    #[error(transparent)]
    Cursor(#[from] kit::cursor::BadCursor),
    /// Arguments that contradict each other.
    #[error("{0}")]
    Arguments(&'static str),
    /// A media type, tag, version or digest.
    #[error("{0}")]
    Argument(#[from] ArgumentError),
    /// Outside of what this server serves of a bucket, whether there is something or not.
    #[error("bucket {bucket:?} is served below {fence} only")]
    Fenced {
        /// The bucket.
        bucket: String,
        /// Its prefixes.
        fence: String,
    },
    /// `if_match` was asked for, or an object changed while it was read.
    #[error("{key:?} is not what it was")]
    Changed {
        /// The key.
        key: String,
    },
    /// The content is not what a digest says.
    #[error("{of} has SHA-256 {found}, not {wanted}")]
    Checksum {
        /// What was hashed.
        of: &'static str,
        /// What was said.
        wanted: Sha256,
        /// What it is.
        found: Sha256,
    },
    /// Not with this store.
    #[error("{0}")]
    NotSupported(&'static str),
    /// Bytes in no charset that is known here.
    #[error("the object is no text in UTF-8 or, with a byte order mark, UTF-16")]
    NotText,
    /// A table that can't be read as one.
    #[error("the object can't be read as {format}: {why}")]
    BadTable {
        /// As what.
        format: &'static str,
        /// What is wrong, in words of ours.
        why: String,
    },
    /// No upload of that name that is this caller's, or one for another object: they look the same.
    #[error("there is no such upload of this object; it was ended, or idle for too long")]
    NoUpload,
    /// A piece of an upload that doesn't go on where the last one ended.
    #[error("offset is {offset}, and the upload has {there} bytes")]
    WrongOffset {
        /// The offset.
        offset: u64,
        /// Where the next piece begins.
        there: u64,
    },
    /// Too many at a time.
    #[error("there are {0} uploads open already")]
    TooManyUploads(usize),
    /// The store refused our own credentials.
    #[error("the store does not allow this server to do that")]
    Forbidden(#[source] object_store::Error),
    /// The same, of a request of our own.
    #[error("the store does not allow this server to do that")]
    Refused,
    /// The store answered in a way that it shouldn't.
    #[error("the store did not answer as it should")]
    Odd(&'static str),
    /// The store failed; its own words are for the log.
    #[error("the store did not answer as it should")]
    Store(#[source] object_store::Error),
    /// The local folder failed.
    #[error("the store did not answer as it should")]
    Folder(#[source] std::io::Error),
}

impl StoreError {
    /// For whoever called. What only the operator should read goes to the log here, without keys.
    pub fn told(&self) -> ToolError {
        match self {
            Self::Forbidden(cause) => {
                tracing::warn!(kind = kind(cause), "the store refused this server's credentials")
            }
            Self::Refused => tracing::warn!("the store refused this server's credentials"),
            Self::Odd(what) => tracing::warn!(what, "the store failed"),
            Self::Store(cause) => tracing::warn!(kind = kind(cause), "the store failed"),
            Self::Folder(cause) => tracing::warn!(kind = %cause.kind(), "the folder failed"),
            _ => {}
        }
        let (code, fix) = self.advice();
        ToolError::new(code, self.to_string(), fix)
    }

    /// The code, and what whoever called can do.
    fn advice(&self) -> (Code, &'static str) {
        match self {
            Self::Name(_) => (INVALID_NAME, "Write the name as the tool's description says"),
            Self::NoBucket { .. } => (NO_BUCKET, "Use a bucket that resources/list shows"),
            Self::NotFound { .. } => (NOT_FOUND, "See which keys there are with list_objects"),
            Self::Link { .. } => (UNPLACEABLE, "Use the key of the object that it leads to"),
            Self::Unplaceable { .. } => (UNPLACEABLE, "Use another key"),
            Self::Exists { .. } => (EXISTS, "Use another key, or leave out if_none_match to replace it"),
            Self::WrongOffset { .. } => (OUT_OF_RANGE, "Send the piece that begins where the upload ends"),
            Self::Offset { .. } => (OUT_OF_RANGE, "Ask for an offset before the end"),
            Self::TooLarge { .. } => {
                (TOO_LARGE, "Ask for less, and for the rest with the cursor or offset of the next page")
            }
            Self::Cursor(_) => (BAD_CURSOR, "Begin again without a cursor"),
            Self::Arguments(_) => (INVALID_ARGUMENTS, "Give the arguments as the tool's description says"),
            Self::Argument(_) => (INVALID_ARGUMENTS, "Give the arguments as the tool's description says"),
            Self::Fenced { .. } => (FENCED, "Use a key or prefix below what the message says"),
            Self::Changed { .. } => {
                (CHANGED, "Read the object again, and write with the etag that it has then")
            }
            Self::Checksum { .. } => {
                (CHECKSUM_MISMATCH, "Compare the digest, and send or read the content once more")
            }
            Self::NotSupported(_) => (NOT_SUPPORTED, "Leave out what the message names"),
            Self::NotText => (NOT_TEXT, "Read its bytes with get_object"),
            Self::BadTable { .. } => (BAD_TABLE, "Name another format, or read the object with get_object"),
            Self::NoUpload => (NO_UPLOAD, "Begin again with start_upload"),
            Self::TooManyUploads(_) => (TOO_MANY_UPLOADS, "Complete or abort one of them first"),
            Self::Forbidden(_) | Self::Refused => {
                (FORBIDDEN, "Ask whoever runs this server to allow it in the store")
            }
            Self::Store(_) | Self::Folder(_) | Self::Odd(_) => (UNAVAILABLE, "The same call may work later"),
        }
    }

    /// For methods that know JSON-RPC errors alone.
    pub fn protocol(&self) -> ErrorData {
        let code = match self {
            Self::NoBucket { .. } | Self::NotFound { .. } => ErrorCode::RESOURCE_NOT_FOUND,
            Self::Forbidden(_) | Self::Refused | Self::Store(_) | Self::Odd(_) | Self::Folder(_) => {
                ErrorCode::INTERNAL_ERROR
            }
            _ => ErrorCode::INVALID_PARAMS,
        };
        self.told().protocol(code)
    }
}

impl IntoCallToolResult for StoreError {
    fn into_call_tool_result(self) -> Result<CallToolResponse, ErrorData> {
        self.told().into_call_tool_result()
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
