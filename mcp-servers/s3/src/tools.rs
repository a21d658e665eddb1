//! The five tools: what they take, what they give, and what they are said to do.

use crate::error::StoreError;
use crate::name::{Bucket, Key, Prefix, uri};
use crate::server::Objects;
use crate::store::{ObjectInfo, Piece};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use kit::{Json, cursor};
use rmcp::handler::server::wrapper::Parameters;
use rmcp::{tool, tool_router};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::time::SystemTime;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Objects in a list when nobody says how many.
const PAGE_ITEMS: u32 = 100;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ListArguments {
    /// The bucket's name
    bucket: String,
    /// Only keys that begin with this, as in `public/`; all keys if not given
    prefix: Option<String>,
    /// How many objects at most; 100 if not given
    #[schemars(range(min = 1))]
    page_size: Option<u32>,
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

#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Entry {
    /// The object's key
    key: String,
    /// Its length in bytes
    size: u64,
    /// When it was written, RFC 3339
    last_modified: String,
    /// Changes when the content does
    #[serde(skip_serializing_if = "Option::is_none")]
    etag: Option<String>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct GetArguments {
    /// The bucket's name
    bucket: String,
    /// The object's key
    key: String,
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
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct PutArguments {
    /// The bucket's name
    bucket: String,
    /// The object's key
    key: String,
    /// The content as text; either this or `content_base64`
    content: Option<String>,
    /// The content as base64; either this or `content`
    content_base64: Option<String>,
    /// `*`: only if there is no object with this key
    if_none_match: Option<Anything>,
}

#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[schemars(inline)]
enum Anything {
    #[serde(rename = "*")]
    Star,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Written {
    /// The bucket's name
    bucket: String,
    /// The object's key
    key: String,
    /// The object's URI
    uri: String,
    /// Its length in bytes
    size: u64,
    /// Changes when the content does
    #[serde(skip_serializing_if = "Option::is_none")]
    etag: Option<String>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ObjectArguments {
    /// The bucket's name
    bucket: String,
    /// The object's key
    key: String,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Head {
    /// The bucket's name
    bucket: String,
    /// The object's URI
    uri: String,
    #[serde(flatten)]
    entry: Entry,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Deleted {
    /// The bucket's name
    bucket: String,
    /// The key under which there is no object now
    key: String,
}

#[tool_router(vis = "pub(crate)")]
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
        self.list(asked).await.map(List::told)
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
        self.get(asked).await.map(Content::told)
    }

    /// Writes an object whole. An object of that key is replaced, unless `if_none_match` is `*`.
    #[tool(
        title = "Write an object",
        annotations(
            read_only_hint = false,
            destructive_hint = true,
            idempotent_hint = true,
            open_world_hint = false
        )
    )]
    async fn put_object(
        &self,
        Parameters(asked): Parameters<PutArguments>,
    ) -> Result<Json<Written>, StoreError> {
        let written = self.put(asked).await?;
        let text = format!("{} is written, {} bytes", written.uri, written.size);
        Ok(Json::new(written, text))
    }

    /// Tells an object's length, age and entity tag without reading it.
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
        Parameters(asked): Parameters<ObjectArguments>,
    ) -> Result<Json<Head>, StoreError> {
        let head = self.head(asked).await?;
        let text = format!("{}: {} bytes, written {}", head.uri, head.entry.size, head.entry.last_modified);
        Ok(Json::new(head, text))
    }

    /// Deletes an object. Deleting what is not there succeeds.
    #[tool(
        title = "Delete an object",
        annotations(
            read_only_hint = false,
            destructive_hint = true,
            idempotent_hint = true,
            open_world_hint = false
        )
    )]
    async fn delete_object(
        &self,
        Parameters(asked): Parameters<ObjectArguments>,
    ) -> Result<Json<Deleted>, StoreError> {
        let deleted = self.delete(asked).await?;
        let text = format!("there is no object {:?} in bucket {:?} now", deleted.key, deleted.bucket);
        Ok(Json::new(deleted, text))
    }
}

impl Objects {
    async fn list(&self, asked: ListArguments) -> Result<List, StoreError> {
        let (bucket, prefix) =
            (Bucket::parse(&asked.bucket)?, Prefix::parse(asked.prefix.as_deref().unwrap_or(""))?);
        let after = asked.cursor.as_deref().map(cursor::parse).transpose()?;
        let max = self.store.page_items_max;
        let count = match asked.page_size {
            Some(0) => return Err(StoreError::Arguments("page_size is 1 at least")),
            Some(size) if size as usize > max => {
                return Err(StoreError::TooLarge { what: "page_size", max: max as u64 });
            }
            size => (size.unwrap_or(PAGE_ITEMS) as usize).min(max),
        };
        let page = self.store.list(&bucket, &prefix, after, count).await?;
        Ok(List {
            objects: page.objects.into_iter().map(Entry::from).collect(),
            next_cursor: page.next.as_deref().map(cursor::after),
        })
    }

    async fn get(&self, asked: GetArguments) -> Result<Content, StoreError> {
        let (bucket, key) = (Bucket::parse(&asked.bucket)?, Key::parse(&asked.key)?);
        let max = self.store.page_bytes_max;
        let length = match asked.length {
            Some(0) => return Err(StoreError::Arguments("length is 1 at least")),
            Some(length) if length > max => return Err(StoreError::TooLarge { what: "length", max }),
            length => length.unwrap_or(max),
        };
        let piece = self.store.read(&bucket, &key, asked.offset.unwrap_or(0), length).await?;
        Ok(Content::of(&bucket, piece))
    }

    async fn put(&self, asked: PutArguments) -> Result<Written, StoreError> {
        let (bucket, key) = (Bucket::parse(&asked.bucket)?, Key::parse(&asked.key)?);
        let content = match (asked.content, asked.content_base64) {
            (Some(text), None) => Bytes::from(text),
            (None, Some(text)) => {
                let wrong = |_| StoreError::Arguments("content_base64 is not base64 (RFC 4648 §4, padded)");
                Bytes::from(STANDARD.decode(text).map_err(wrong)?)
            }
            _ => return Err(StoreError::Arguments("give either content or content_base64")),
        };
        let size = content.len() as u64;
        let etag = self.store.put(&bucket, &key, content, asked.if_none_match.is_some()).await?;
        Ok(Written { uri: uri(&bucket, &key), bucket: bucket.to_string(), key: key.to_string(), size, etag })
    }

    async fn head(&self, asked: ObjectArguments) -> Result<Head, StoreError> {
        let (bucket, key) = (Bucket::parse(&asked.bucket)?, Key::parse(&asked.key)?);
        let info = self.store.head(&bucket, &key).await?;
        Ok(Head { uri: uri(&bucket, &key), bucket: bucket.to_string(), entry: info.into() })
    }

    async fn delete(&self, asked: ObjectArguments) -> Result<Deleted, StoreError> {
        let (bucket, key) = (Bucket::parse(&asked.bucket)?, Key::parse(&asked.key)?);
        self.store.delete(&bucket, &key).await?;
        Ok(Deleted { bucket: bucket.to_string(), key: key.to_string() })
    }
}

impl Content {
    fn of(bucket: &Bucket, piece: Piece) -> Self {
        let Piece { info, offset, bytes } = piece;
        let end = offset + bytes.len() as u64;
        let (content, base64, length) = match text(&bytes, end < info.size) {
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

/// The bytes as text. A character that the page's end cuts is left to the next page.
fn text(bytes: &[u8], more: bool) -> Option<&str> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Some(text),
        Err(error) if more && error.error_len().is_none() && error.valid_up_to() > 0 => {
            std::str::from_utf8(bytes.get(..error.valid_up_to())?).ok()
        }
        Err(_) => None,
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

#[cfg(test)]
mod tests;
