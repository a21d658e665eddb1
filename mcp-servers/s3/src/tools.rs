//! What the tools have in common: the object that they name, and how it is told.

use crate::argument::VersionId;
use crate::error::StoreError;
use crate::name::{Bucket, Key};
use crate::store::ObjectInfo;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::time::SystemTime;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Entry {
    /// The object's key
    pub(crate) key: String,
    /// Its length in bytes
    pub(crate) size: u64,
    /// When it was written, RFC 3339
    pub(crate) last_modified: String,
    /// Changes when the content does
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) etag: Option<String>,
}

#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[schemars(inline)]
pub(crate) enum Anything {
    #[serde(rename = "*")]
    Star,
}

/// An object as arguments name it.
pub(crate) fn object(bucket: &str, key: &str) -> Result<(Bucket, Key), StoreError> {
    Ok((Bucket::parse(bucket)?, Key::parse(key)?))
}

pub(crate) fn version(text: Option<&str>) -> Result<Option<VersionId>, StoreError> {
    Ok(text.map(VersionId::parse).transpose()?)
}

/// A count that somebody wants, within its bound.
pub(crate) fn bounded(
    what: &'static str,
    wanted: Option<u64>,
    usual: u64,
    max: u64,
) -> Result<u64, StoreError> {
    match wanted {
        Some(0) => Err(StoreError::Arguments("a count is 1 at least")),
        Some(wanted) if wanted > max => Err(StoreError::TooLarge { what, max }),
        wanted => Ok(wanted.unwrap_or(usual).min(max)),
    }
}

/// What is to be written: as text, or as base64.
pub(crate) fn content(text: Option<String>, base64: Option<String>) -> Result<Bytes, StoreError> {
    match (text, base64) {
        (Some(text), None) => Ok(Bytes::from(text)),
        (None, Some(text)) => {
            let wrong = |_| StoreError::Arguments("content_base64 is not base64 (RFC 4648 §4, padded)");
            Ok(Bytes::from(STANDARD.decode(text).map_err(wrong)?))
        }
        _ => Err(StoreError::Arguments("give either content or content_base64")),
    }
}

impl From<ObjectInfo> for Entry {
    fn from(info: ObjectInfo) -> Self {
        Self {
            key: info.key.to_string(),
            size: info.size,
            last_modified: rfc3339(info.modified),
            etag: info.etag,
        }
    }
}

/// Whole seconds, as S3 keeps them.
fn rfc3339(time: SystemTime) -> String {
    let time = OffsetDateTime::from(time);
    time.replace_nanosecond(0).unwrap_or(time).format(&Rfc3339).unwrap_or_default()
}
