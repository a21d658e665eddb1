//! The tools that write an object in several calls.

use crate::argument::{MediaType, Sha256};
use crate::changes::Written;
use crate::error::StoreError;
use crate::server::Objects;
use crate::tools::{content, object};
use crate::upload::{Named, Owner};
use kit::Json;
use rmcp::handler::server::wrapper::Parameters;
use rmcp::model::Extensions;
use rmcp::{tool, tool_router};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct StartArguments {
    /// The bucket's name
    bucket: String,
    /// The object's key
    key: String,
    /// What it is, as in `text/csv`; the store's usual if not given
    content_type: Option<String>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct PieceArguments {
    /// The bucket's name
    bucket: String,
    /// The object's key
    key: String,
    /// `upload_id` of start_upload
    upload_id: String,
    /// Where in the object the piece begins, in bytes: `next_offset` of the call before, 0 for the first
    offset: u64,
    /// The piece as text; either this or `content_base64`
    content: Option<String>,
    /// The piece as base64; either this or `content`
    content_base64: Option<String>,
    /// SHA-256 of the piece, in hexadecimal: one that has another is not taken
    sha256: Option<String>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct CompleteArguments {
    /// The bucket's name
    bucket: String,
    /// The object's key
    key: String,
    /// `upload_id` of start_upload
    upload_id: String,
    /// SHA-256 of the whole object, in hexadecimal: one that has another is not written
    sha256: Option<String>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct AbortArguments {
    /// The bucket's name
    bucket: String,
    /// The object's key
    key: String,
    /// `upload_id` of start_upload
    upload_id: String,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Started {
    /// The bucket's name
    bucket: String,
    /// The object's key
    key: String,
    /// Give this with each piece, and to complete or abort the upload
    upload_id: String,
    /// Where the next piece begins
    next_offset: u64,
    /// The longest object that can be written so, in bytes
    size_max: u64,
    /// Without a call for so long the upload ends, and nothing is written
    idle_seconds_max: u64,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Taken {
    /// The bucket's name
    bucket: String,
    /// The object's key
    key: String,
    /// `upload_id` of start_upload
    upload_id: String,
    /// Where the next piece begins: how many bytes there are
    next_offset: u64,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Aborted {
    /// The bucket's name
    bucket: String,
    /// The object's key
    key: String,
}

#[tool_router(router = uploads, vis = "pub(crate)")]
impl Objects {
    /// Begins to write an object in several calls: start_upload, upload_part for each piece in order, then complete_upload.
    /// The object appears when the upload is completed, and not before.
    #[tool(
        title = "Begin an upload",
        annotations(
            read_only_hint = false,
            destructive_hint = false,
            idempotent_hint = false,
            open_world_hint = false
        )
    )]
    async fn start_upload(
        &self,
        Parameters(asked): Parameters<StartArguments>,
        extensions: Extensions,
    ) -> Result<Json<Started>, StoreError> {
        let (bucket, key) = object(&asked.bucket, &asked.key)?;
        let kind = asked.content_type.as_deref().map(MediaType::parse).transpose()?;
        let id = self.uploads.begin(&self.store, Owner::of(&extensions), (&bucket, &key), kind)?;
        let started = Started {
            bucket: bucket.to_string(),
            key: key.to_string(),
            upload_id: id,
            next_offset: 0,
            size_max: self.store.limits.upload_bytes_max,
            idle_seconds_max: self.store.limits.upload_idle.as_secs(),
        };
        let text = format!(
            "upload {} of {:?} is open; send its pieces with upload_part",
            started.upload_id, started.key
        );
        Ok(Json::new(started, text))
    }

    /// Sends the next piece of an upload. Pieces may have any length that a call can carry; the same piece once more, after
    /// an answer that was lost, changes nothing.
    #[tool(
        title = "Send a piece",
        annotations(
            read_only_hint = false,
            destructive_hint = false,
            idempotent_hint = true,
            open_world_hint = false
        )
    )]
    async fn upload_part(
        &self,
        Parameters(asked): Parameters<PieceArguments>,
        extensions: Extensions,
    ) -> Result<Json<Taken>, StoreError> {
        let (bucket, key) = object(&asked.bucket, &asked.key)?;
        let wanted = asked.sha256.as_deref().map(Sha256::parse).transpose()?;
        let content = content(asked.content, asked.content_base64)?;
        if let Some(wanted) = wanted {
            let found = Sha256::of(&content);
            if wanted != found {
                return Err(StoreError::Checksum { of: "the piece", wanted, found });
            }
        }
        let named = Named { owner: Owner::of(&extensions), bucket: &bucket, key: &key, id: &asked.upload_id };
        let next_offset = self.uploads.add(&self.store, &named, asked.offset, &content).await?;
        let text = format!("{next_offset} bytes of {key:?} are there");
        let taken = Taken {
            bucket: bucket.to_string(),
            key: key.to_string(),
            upload_id: asked.upload_id,
            next_offset,
        };
        Ok(Json::new(taken, text))
    }

    /// Writes the object that was uploaded. An object of that key is replaced. The upload ends, also where this fails.
    #[tool(
        title = "Complete an upload",
        annotations(
            read_only_hint = false,
            destructive_hint = true,
            idempotent_hint = false,
            open_world_hint = false
        )
    )]
    async fn complete_upload(
        &self,
        Parameters(asked): Parameters<CompleteArguments>,
        extensions: Extensions,
    ) -> Result<Json<Written>, StoreError> {
        let (bucket, key) = object(&asked.bucket, &asked.key)?;
        let wanted = asked.sha256.as_deref().map(Sha256::parse).transpose()?;
        let named = Named { owner: Owner::of(&extensions), bucket: &bucket, key: &key, id: &asked.upload_id };
        let (done, found) = self.uploads.complete(&self.store, &named, wanted).await?;
        Ok(Written::of(&bucket, &key, done, Some(found)).told("written"))
    }

    /// Ends an upload. Nothing of it is written.
    #[tool(
        title = "Abort an upload",
        annotations(
            read_only_hint = false,
            destructive_hint = false,
            idempotent_hint = false,
            open_world_hint = false
        )
    )]
    async fn abort_upload(
        &self,
        Parameters(asked): Parameters<AbortArguments>,
        extensions: Extensions,
    ) -> Result<Json<Aborted>, StoreError> {
        let (bucket, key) = object(&asked.bucket, &asked.key)?;
        let named = Named { owner: Owner::of(&extensions), bucket: &bucket, key: &key, id: &asked.upload_id };
        self.uploads.abort(&named).await?;
        let text = format!("the upload of {key:?} has ended, and nothing of it is written");
        Ok(Json::new(Aborted { bucket: bucket.to_string(), key: key.to_string() }, text))
    }
}
