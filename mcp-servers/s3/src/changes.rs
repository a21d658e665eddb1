//! The tools that write, copy and delete.

use crate::argument::{Etag, MediaType, Sha256};
use crate::error::StoreError;
use crate::name::{Bucket, Key, uri};
use crate::server::Objects;
use crate::tools::{Anything, content, object, version};
use crate::write::{Condition, Done};
use kit::Json;
use rmcp::handler::server::wrapper::Parameters;
use rmcp::{tool, tool_router};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

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
    /// What it is, as in `text/csv`; the store's usual if not given
    content_type: Option<String>,
    /// SHA-256 of the content, in hexadecimal: what has another is not written
    sha256: Option<String>,
    /// `*`: only if there is no object with this key
    if_none_match: Option<Anything>,
    /// An etag: only if the object still has it
    if_match: Option<String>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct CopyArguments {
    /// The bucket to copy from
    from_bucket: String,
    /// The key to copy
    from_key: String,
    /// A version of it, as list_versions gives it; the latest if not given
    from_version: Option<String>,
    /// The bucket to copy to
    to_bucket: String,
    /// The key to write
    to_key: String,
    /// `*`: only if there is no object with that key
    if_none_match: Option<Anything>,
    /// An etag: only if the object that is replaced still has it
    if_match: Option<String>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct DeleteArguments {
    /// The bucket's name
    bucket: String,
    /// The object's key
    key: String,
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
    /// SHA-256 of what was written, in hexadecimal; absent where the store copied it by itself
    #[serde(skip_serializing_if = "Option::is_none")]
    sha256: Option<String>,
    /// Which version was written, where the store has them
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Deleted {
    /// The bucket's name
    bucket: String,
    /// The key under which there is no object now
    key: String,
}

#[tool_router(router = changes, vis = "pub(crate)")]
impl Objects {
    /// Writes an object whole. An object of that key is replaced, unless `if_none_match` or `if_match` keeps it. What is
    /// longer than one call can carry is written with start_upload.
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
        let (bucket, key) = object(&asked.bucket, &asked.key)?;
        let condition = condition(asked.if_none_match, asked.if_match.as_deref())?;
        let kind = asked.content_type.as_deref().map(MediaType::parse).transpose()?;
        let wanted = asked.sha256.as_deref().map(Sha256::parse).transpose()?;
        let content = content(asked.content, asked.content_base64)?;
        let found = Sha256::of(&content);
        if let Some(wanted) = wanted.filter(|wanted| *wanted != found) {
            return Err(StoreError::Checksum { of: "the content", wanted, found });
        }
        let done = self.store.put(&bucket, &key, content, &condition, kind.as_ref()).await?;
        Ok(Written::of(&bucket, &key, done, Some(found)).told("written"))
    }

    /// Copies an object, or a version of it, with its content type. An object of the other key is replaced, unless
    /// `if_none_match` or `if_match` keeps it.
    #[tool(
        title = "Copy an object",
        annotations(
            read_only_hint = false,
            destructive_hint = true,
            idempotent_hint = true,
            open_world_hint = false
        )
    )]
    async fn copy_object(
        &self,
        Parameters(asked): Parameters<CopyArguments>,
    ) -> Result<Json<Written>, StoreError> {
        let (from_bucket, from_key) = object(&asked.from_bucket, &asked.from_key)?;
        let (bucket, key) = object(&asked.to_bucket, &asked.to_key)?;
        let from_version = version(asked.from_version.as_deref())?;
        let condition = condition(asked.if_none_match, asked.if_match.as_deref())?;
        if from_version.is_none() && (&from_bucket, &from_key) == (&bucket, &key) {
            return Err(StoreError::Arguments("an object can't be copied over itself; name a version of it"));
        }
        let from = (&from_bucket, &from_key, from_version.as_ref());
        let done = self.store.copy(from, (&bucket, &key), &condition).await?;
        Ok(Written::of(&bucket, &key, done, None).told("written"))
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
        Parameters(asked): Parameters<DeleteArguments>,
    ) -> Result<Json<Deleted>, StoreError> {
        let (bucket, key) = object(&asked.bucket, &asked.key)?;
        self.store.delete(&bucket, &key).await?;
        let deleted = Deleted { bucket: bucket.to_string(), key: key.to_string() };
        let text = format!("there is no object {:?} in bucket {:?} now", deleted.key, deleted.bucket);
        Ok(Json::new(deleted, text))
    }
}

fn condition(none: Option<Anything>, only: Option<&str>) -> Result<Condition, StoreError> {
    match (none, only) {
        (None, None) => Ok(Condition::Always),
        (Some(Anything::Star), None) => Ok(Condition::New),
        (None, Some(etag)) => Ok(Condition::Unchanged(Etag::parse(etag)?)),
        (Some(_), Some(_)) => Err(StoreError::Arguments("give either if_none_match or if_match")),
    }
}

impl Written {
    pub(crate) fn of(bucket: &Bucket, key: &Key, done: Done, sha256: Option<Sha256>) -> Self {
        Self {
            uri: uri(bucket, key),
            bucket: bucket.to_string(),
            key: key.to_string(),
            size: done.size,
            etag: done.etag,
            sha256: sha256.map(|sha256| sha256.to_string()),
            version: done.version,
        }
    }

    pub(crate) fn told(self, how: &str) -> Json<Self> {
        let text = format!("{} is {how}, {} bytes", self.uri, self.size);
        Json::new(self, text)
    }
}

#[cfg(test)]
mod tests;
