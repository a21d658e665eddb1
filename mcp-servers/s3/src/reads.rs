//! The tools that list and read.

use crate::argument::Sha256;
use crate::error::StoreError;
use crate::name::{Bucket, Prefix, uri};
use crate::server::Objects;
use crate::store::Piece;
use crate::text::utf8;
use crate::tools::{Entry, bounded, object, version};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use kit::{Json, cursor};
use rmcp::handler::server::wrapper::Parameters;
use rmcp::{tool, tool_router};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Objects in a list when nobody says how many.
const PAGE_ITEMS: u64 = 100;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ListArguments {
    /// The bucket's name
    bucket: String,
    /// Only keys that begin with this, as in `public/`; all keys if not given
    prefix: Option<String>,
    /// How many objects at most; 100 if not given
    #[schemars(range(min = 1))]
    page_size: Option<u64>,
    /// `next_cursor` of the page before
    cursor: Option<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct List {
    /// The objects, in the order of their keys
    objects: Vec<Entry>,
    /// Give this as `cursor` for the next page; absent on the last one
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct GetArguments {
    /// The bucket's name
    bucket: String,
    /// The object's key
    key: String,
    /// A version of it, as list_versions gives it; the latest if not given
    version: Option<String>,
    /// The first byte to read; 0 if not given
    offset: Option<u64>,
    /// How many bytes to read; as many as an answer carries if not given
    #[schemars(range(min = 1))]
    length: Option<u64>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Content {
    /// The bucket's name
    bucket: String,
    /// The object's key
    key: String,
    /// The content: as it is if it is UTF-8, else base64
    content: String,
    /// Whether `content` is base64
    base64: bool,
    /// Where in the object the content begins, in bytes
    offset: u64,
    /// How many of the object's bytes the content holds
    length: u64,
    /// The object's length in bytes
    total_size: u64,
    /// Give this as `offset` for the rest; absent at the end
    #[serde(skip_serializing_if = "Option::is_none")]
    next_offset: Option<u64>,
    /// Changes when the content does: pages with different tags are of different contents
    #[serde(skip_serializing_if = "Option::is_none")]
    etag: Option<String>,
    /// What it is, as whoever wrote it said
    #[serde(skip_serializing_if = "Option::is_none")]
    content_type: Option<String>,
    /// SHA-256 of the object, computed of what came and held against the store's own if it keeps one; only of an object
    /// that is given whole
    #[serde(skip_serializing_if = "Option::is_none")]
    sha256: Option<String>,
    /// Which version this is, where the store has them
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<String>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct HeadArguments {
    /// The bucket's name
    bucket: String,
    /// The object's key
    key: String,
    /// A version of it, as list_versions gives it; the latest if not given
    version: Option<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Head {
    /// The bucket's name
    bucket: String,
    /// The object's URI
    uri: String,
    #[serde(flatten)]
    entry: Entry,
    /// What it is, as whoever wrote it said
    #[serde(skip_serializing_if = "Option::is_none")]
    content_type: Option<String>,
    /// SHA-256 of the object, if the store keeps it
    #[serde(skip_serializing_if = "Option::is_none")]
    sha256: Option<String>,
    /// Which version this is, where the store has them
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<String>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct VersionsArguments {
    /// The bucket's name
    bucket: String,
    /// The object's key
    key: String,
    /// How many versions at most; 100 if not given
    #[schemars(range(min = 1))]
    page_size: Option<u64>,
    /// `next_cursor` of the page before
    cursor: Option<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Versions {
    /// The bucket's name
    bucket: String,
    /// The object's key
    key: String,
    /// The versions, the newest first
    versions: Vec<Version>,
    /// Give this as `cursor` for the next page; absent on the last one
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Version {
    /// The version: `version` of get_object, head_object and the previews, `from_version` of copy_object
    version: String,
    /// Whether it is what is read without a version
    is_latest: bool,
    /// Whether it says that the object was deleted; there is nothing to read then
    is_deletion: bool,
    /// When it was written, RFC 3339
    last_modified: String,
    /// Its length in bytes
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<u64>,
    /// Its entity tag
    #[serde(skip_serializing_if = "Option::is_none")]
    etag: Option<String>,
}

#[tool_router(router = reads, vis = "pub(crate)")]
impl Objects {
    /// Lists the objects of a bucket, by key, in pages.
    #[tool(
        title = "List objects",
        annotations(
            read_only_hint = true,
            destructive_hint = false,
            idempotent_hint = true,
            open_world_hint = false
        )
    )]
    async fn list_objects(
        &self,
        Parameters(asked): Parameters<ListArguments>,
    ) -> Result<Json<List>, StoreError> {
        let (bucket, prefix) =
            (Bucket::parse(&asked.bucket)?, Prefix::parse(asked.prefix.as_deref().unwrap_or(""))?);
        let after = asked.cursor.as_deref().map(cursor::parse).transpose()?;
        let max = self.store.limits.page_items_max as u64;
        let count = bounded("page_size", asked.page_size, PAGE_ITEMS, max)?;
        let page = self.store.list(&bucket, &prefix, after, usize::try_from(count).unwrap_or(1)).await?;
        let list = List {
            objects: page.objects.into_iter().map(Entry::from).collect(),
            next_cursor: page.next.as_deref().map(cursor::after),
        };
        Ok(list.told())
    }

    /// Reads an object, or a range of its bytes. A long one comes in pages: ask again with `next_offset` as `offset`.
    #[tool(
        title = "Read an object",
        annotations(
            read_only_hint = true,
            destructive_hint = false,
            idempotent_hint = true,
            open_world_hint = false
        )
    )]
    async fn get_object(
        &self,
        Parameters(asked): Parameters<GetArguments>,
    ) -> Result<Json<Content>, StoreError> {
        let (bucket, key) = object(&asked.bucket, &asked.key)?;
        let version = version(asked.version.as_deref())?;
        let max = self.store.limits.page_bytes_max;
        let length = bounded("length", asked.length, max, max)?;
        let offset = asked.offset.unwrap_or(0);
        let read = self.store.read(&bucket, &key, version.as_ref(), offset, length);
        let (piece, kept) = match offset {
            0 => futures_util::join!(read, self.store.sha256(&bucket, &key, version.as_ref())),
            _ => (read.await, Ok(None)),
        };
        let piece = piece?;
        let whole = offset == 0 && piece.bytes.len() as u64 == piece.info.size;
        let found = whole.then(|| Sha256::of(&piece.bytes));
        if let (Some(found), Some((etag, wanted))) = (found, kept?)
            && piece.info.etag.as_ref() == Some(&etag)
            && found != wanted
        {
            return Err(StoreError::Checksum { of: "what came", wanted, found });
        }
        Ok(Content::of(&bucket, piece, found).told())
    }

    /// Tells an object's length, age, content type and entity tag without reading it.
    #[tool(
        title = "Look at an object",
        annotations(
            read_only_hint = true,
            destructive_hint = false,
            idempotent_hint = true,
            open_world_hint = false
        )
    )]
    async fn head_object(
        &self,
        Parameters(asked): Parameters<HeadArguments>,
    ) -> Result<Json<Head>, StoreError> {
        let (bucket, key) = object(&asked.bucket, &asked.key)?;
        let version = version(asked.version.as_deref())?;
        let (info, kept) = futures_util::join!(
            self.store.head(&bucket, &key, version.as_ref()),
            self.store.sha256(&bucket, &key, version.as_ref())
        );
        let (info, kept) = (info?, kept?);
        let kept =
            kept.filter(|(etag, _)| info.etag.as_ref() == Some(etag)).map(|(_, sha256)| sha256.to_string());
        let head = Head {
            uri: uri(&bucket, &key),
            bucket: bucket.to_string(),
            content_type: info.content_type.clone(),
            version: info.version.clone(),
            sha256: kept,
            entry: info.into(),
        };
        let text = format!("{}: {} bytes, written {}", head.uri, head.entry.size, head.entry.last_modified);
        Ok(Json::new(head, text))
    }

    /// Lists the versions of an object, the newest first, where the store keeps them. To bring one back, copy it over the
    /// object with `from_version` of copy_object.
    #[tool(
        title = "List versions",
        annotations(
            read_only_hint = true,
            destructive_hint = false,
            idempotent_hint = true,
            open_world_hint = false
        )
    )]
    async fn list_versions(
        &self,
        Parameters(asked): Parameters<VersionsArguments>,
    ) -> Result<Json<Versions>, StoreError> {
        let (bucket, key) = object(&asked.bucket, &asked.key)?;
        let after = version(asked.cursor.as_deref().map(cursor::parse).transpose()?.as_deref())?;
        let max = self.store.limits.page_items_max as u64;
        let count = bounded("page_size", asked.page_size, PAGE_ITEMS, max)?;
        let count = usize::try_from(count).unwrap_or(1);
        let page = self.store.versions(&bucket, &key, after.as_ref(), count).await?;
        let versions = page.versions.into_iter().map(|found| Version {
            version: found.id.as_str().to_owned(),
            is_latest: found.is_latest,
            is_deletion: found.is_deletion,
            last_modified: found.modified,
            size: found.size,
            etag: found.etag,
        });
        let versions = Versions {
            bucket: bucket.to_string(),
            key: key.to_string(),
            versions: versions.collect(),
            next_cursor: page.next.map(|next| cursor::after(next.as_str())),
        };
        Ok(versions.told())
    }
}

impl Content {
    fn of(bucket: &Bucket, piece: Piece, sha256: Option<Sha256>) -> Self {
        let Piece { info, offset, bytes } = piece;
        let end = offset + bytes.len() as u64;
        // A character that the page's end cuts is left to the next page.
        let (content, base64, length) = match utf8(&bytes, end < info.size) {
            Some(text) => (text.to_owned(), false, text.len() as u64),
            None => (STANDARD.encode(&bytes), true, bytes.len() as u64),
        };
        Self {
            bucket: bucket.to_string(),
            key: info.key.to_string(),
            content,
            base64,
            offset,
            length,
            total_size: info.size,
            next_offset: Some(offset + length).filter(|next| *next < info.size),
            etag: info.etag,
            content_type: info.content_type,
            sha256: sha256.map(|sha256| sha256.to_string()),
            version: info.version,
        }
    }

    /// Text for a model to read is the content itself and, where there is more, how to get it.
    fn told(self) -> Json<Self> {
        let text = self.content.clone();
        if !self.base64 && self.next_offset.is_none() {
            return Json::new(self, text);
        }
        let form = if self.base64 { "base64 of bytes" } else { "bytes" };
        let rest =
            self.next_offset.map(|next| format!("; the rest begins at offset {next}")).unwrap_or_default();
        let end = self.offset + self.length;
        let where_from = format!("[{form} {} to {end} of {}{rest}]", self.offset, self.total_size);
        Json::new(self, text).and(where_from)
    }
}

impl List {
    /// The keys, one a line: a model needs no more to go on.
    fn told(self) -> Json<Self> {
        let mut text = format!("{} objects", self.objects.len());
        if self.next_cursor.is_some() {
            text.push_str(", and there are more (next_cursor)");
        }
        for entry in &self.objects {
            text.push_str(&format!("\n{}, {} bytes", entry.key, entry.size));
        }
        Json::new(self, text)
    }
}

impl Versions {
    fn told(self) -> Json<Self> {
        let mut text = format!("{} versions of {:?}", self.versions.len(), self.key);
        if self.next_cursor.is_some() {
            text.push_str(", and there are more (next_cursor)");
        }
        for found in &self.versions {
            let what = match (found.is_deletion, found.size) {
                (true, _) => "deleted".to_owned(),
                (false, size) => format!("{} bytes", size.unwrap_or_default()),
            };
            let latest = if found.is_latest { ", the latest" } else { "" };
            text.push_str(&format!("\n{}: {what}, {}{latest}", found.version, found.last_modified));
        }
        Json::new(self, text)
    }
}

#[cfg(test)]
mod tests;
