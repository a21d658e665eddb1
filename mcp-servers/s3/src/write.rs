//! Writing: whole, in parts, on conditions, and from other objects.

use crate::argument::{Etag, MediaType, VersionId};
use crate::error::StoreError;
use crate::flags::StoreKind;
use crate::folder;
use crate::name::{Bucket, Key};
use crate::store::{Object, Store, at, other};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use object_store::path::Path as ObjectPath;
use object_store::{
    Attribute, Attributes, Error, GetOptions, MultipartUpload, ObjectStore, ObjectStoreExt, PutMode,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, UpdateVersion,
};
use std::sync::Arc;

/// On which condition an object is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// None: what is there is replaced.
    Always,
    /// There is no object of that key.
    New,
    /// The object is still the one with this entity tag.
    Unchanged(Etag),
}

/// What was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Done {
    /// Its length in bytes.
    pub size: u64,
    /// Its entity tag.
    pub etag: Option<String>,
    /// Its version, where the store has them.
    pub version: Option<String>,
}

/// An object on its way in, in parts. What is short is written in one request; what is not completed is taken back.
#[derive(Debug)]
pub(crate) struct Parts {
    client: Arc<dyn ObjectStore>,
    path: ObjectPath,
    attributes: Attributes,
    part_bytes: usize,
    pending: BytesMut,
    sent: u64,
    upload: Option<Box<dyn MultipartUpload>>,
}

impl Store {
    /// Writes an object whole: in one request, or in parts if it is long.
    ///
    /// # Errors
    /// [`StoreError::Exists`] and [`StoreError::Changed`] where the condition isn't so.
    pub async fn put(
        &self,
        bucket: &Bucket,
        key: &Key,
        content: Bytes,
        condition: &Condition,
        kind: Option<&MediaType>,
    ) -> Result<Done, StoreError> {
        let _turn = self.turn().await;
        let object = self.writable(bucket, key)?;
        self.check_type(bucket, &object, kind)?;
        let size = content.len() as u64;
        let put = if *condition == Condition::Always {
            let mut parts = self.parts(&object, kind);
            parts.push(&content).await.map_err(|e| at(bucket, key, e))?;
            parts.finished().await.map_err(|e| at(bucket, key, e))?
        } else {
            let mode = self.mode(bucket, key, &object, condition).await?;
            let options = PutOptions { mode, attributes: attributes(&object, kind), ..PutOptions::default() };
            let put = object.client.put_opts(&object.path, PutPayload::from(content), options).await;
            put.map_err(|e| at(bucket, key, e))?
        };
        self.set_type(bucket, key, &object, kind)?;
        Ok(Done { size, etag: put.e_tag, version: put.version })
    }

    /// Deletes an object. One that isn't there is no error, as in S3.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn delete(&self, bucket: &Bucket, key: &Key) -> Result<(), StoreError> {
        let _turn = self.turn().await;
        match self.existing(bucket, key) {
            Err(StoreError::NotFound { .. }) => Ok(()),
            Err(error) => Err(error),
            Ok(object) => match object.client.delete(&object.path).await {
                Ok(()) | Err(Error::NotFound { .. }) => Ok(()),
                Err(error) => Err(at(bucket, key, error)),
            },
        }
    }

    /// Copies an object, or a version of it, with its content type. Within a bucket the store does it, unless there is a
    /// version or a condition, which the library has no words for: then, and from bucket to bucket, the bytes go through
    /// this server.
    ///
    /// # Errors
    /// [`StoreError::TooLarge`] for what is longer than this server passes on.
    pub async fn copy(
        &self,
        (from_bucket, from_key, version): (&Bucket, &Key, Option<&VersionId>),
        (bucket, key): (&Bucket, &Key),
        condition: &Condition,
    ) -> Result<Done, StoreError> {
        let (from, to) = (self.existing(from_bucket, from_key)?, self.writable(bucket, key)?);
        let info = self.head(from_bucket, from_key, version).await?;
        let simple = version.is_none() && *condition == Condition::Always;
        if simple && from_bucket == bucket && to.kind.is_some() {
            from.client.copy(&from.path, &to.path).await.map_err(|e| at(from_bucket, from_key, e))?;
            let written = self.head(bucket, key, None).await?;
            return Ok(Done { size: written.size, etag: written.etag, version: written.version });
        }
        let kind = info.content_type.as_deref().and_then(|kind| MediaType::parse(kind).ok());
        if *condition != Condition::Always {
            let max = self.limits.part_bytes as u64;
            if info.size > max {
                return Err(StoreError::TooLarge { what: "an object that is copied on a condition", max });
            }
            let piece = self.read(from_bucket, from_key, version, 0, info.size).await?;
            return self.put(bucket, key, piece.bytes, condition, kind.as_ref()).await;
        }
        let max = self.limits.upload_bytes_max;
        if info.size > max {
            return Err(StoreError::TooLarge { what: "an object that is copied through this server", max });
        }
        let options = GetOptions { version: version.map(|v| v.as_str().to_owned()), ..GetOptions::default() };
        let wrong = |e| at(from_bucket, from_key, e);
        let _turn = self.turn().await;
        self.check_type(bucket, &to, kind.as_ref())?;
        let mut chunks = from.client.get_opts(&from.path, options).await.map_err(wrong)?.into_stream();
        let mut parts = self.parts(&to, kind.as_ref());
        while let Some(chunk) = chunks.next().await {
            parts.push(&chunk.map_err(wrong)?).await.map_err(|e| at(bucket, key, e))?;
            if parts.bytes() > max {
                return Err(StoreError::TooLarge {
                    what: "an object that is copied through this server",
                    max,
                });
            }
        }
        let size = parts.bytes();
        let put = parts.finished().await.map_err(|e| at(bucket, key, e))?;
        self.set_type(bucket, key, &to, kind.as_ref())?;
        Ok(Done { size, etag: put.e_tag, version: put.version })
    }

    /// An object that will be written in parts.
    pub(crate) fn parts(&self, object: &Object, kind: Option<&MediaType>) -> Parts {
        Parts {
            client: Arc::clone(&object.client),
            path: object.path.clone(),
            attributes: attributes(object, kind),
            part_bytes: self.limits.part_bytes,
            pending: BytesMut::new(),
            sent: 0,
            upload: None,
        }
    }

    /// How the client says a condition. In a folder it is held against what is there, with everybody else's writes waiting.
    async fn mode(
        &self,
        bucket: &Bucket,
        key: &Key,
        object: &Object,
        condition: &Condition,
    ) -> Result<PutMode, StoreError> {
        let etag = match condition {
            Condition::Always => return Ok(PutMode::Overwrite),
            Condition::New => return Ok(PutMode::Create),
            Condition::Unchanged(etag) => etag,
        };
        let update =
            |version| PutMode::Update(UpdateVersion { e_tag: Some(etag.as_str().to_owned()), version });
        match object.kind {
            Some(StoreKind::S3 | StoreKind::Azure) => Ok(update(None)),
            // Google's condition is the generation, so the tag is held against the one that will be named.
            Some(StoreKind::Google) | None => {
                let changed = || StoreError::Changed { key: key.to_string() };
                let now = match self.head(bucket, key, None).await {
                    Err(StoreError::NotFound { .. }) => return Err(changed()),
                    found => found?,
                };
                if !now.etag.as_deref().is_some_and(|now| etag.is(now)) {
                    return Err(changed());
                }
                Ok(if object.kind.is_some() { update(now.version) } else { PutMode::Overwrite })
            }
        }
    }

    /// Before anything is written: whether a folder can keep the content type.
    pub(crate) fn check_type(
        &self,
        bucket: &Bucket,
        object: &Object,
        kind: Option<&MediaType>,
    ) -> Result<(), StoreError> {
        if kind.is_some()
            && object.kind.is_none()
            && !folder::keeps_content_types(&self.bucket_folder(bucket)?)
        {
            return Err(StoreError::NotSupported("this folder's file system keeps no content_type"));
        }
        Ok(())
    }

    /// After a file was written.
    pub(crate) fn set_type(
        &self,
        bucket: &Bucket,
        key: &Key,
        object: &Object,
        kind: Option<&MediaType>,
    ) -> Result<(), StoreError> {
        match kind {
            Some(kind) if object.kind.is_none() => {
                folder::set_content_type(&self.bucket_folder(bucket)?, key, kind).map_err(StoreError::Folder)
            }
            _ => Ok(()),
        }
    }
}

/// A folder's client takes none: the content type is written beside.
fn attributes(object: &Object, kind: Option<&MediaType>) -> Attributes {
    let kind = kind.filter(|_| object.kind.is_some());
    kind.map(|kind| (Attribute::ContentType, kind.as_str().to_owned())).into_iter().collect()
}

impl Parts {
    /// Takes content in, and sends what fills a part.
    pub(crate) async fn push(&mut self, mut content: &[u8]) -> Result<(), Error> {
        while !content.is_empty() {
            let room = self.part_bytes.saturating_sub(self.pending.len()).min(content.len());
            let (now, later) = content.split_at(room);
            self.pending.extend_from_slice(now);
            content = later;
            // A full part is kept until there is more: the last one goes with the completion.
            if self.pending.len() >= self.part_bytes && !content.is_empty() {
                self.send().await?;
            }
        }
        Ok(())
    }

    /// How many bytes have been taken in.
    pub(crate) fn bytes(&self) -> u64 {
        self.sent + self.pending.len() as u64
    }

    async fn send(&mut self) -> Result<(), Error> {
        let part = self.pending.split().freeze();
        self.sent += part.len() as u64;
        let upload = match &mut self.upload {
            Some(upload) => upload,
            none => {
                let options = PutMultipartOptions {
                    attributes: self.attributes.clone(),
                    ..PutMultipartOptions::default()
                };
                none.insert(self.client.put_multipart_opts(&self.path, options).await?)
            }
        };
        upload.put_part(PutPayload::from(part)).await
    }

    /// Makes an object of it.
    pub(crate) async fn finished(mut self) -> Result<PutResult, Error> {
        if self.upload.is_some() && !self.pending.is_empty() {
            self.send().await?;
        }
        let Some(upload) = &mut self.upload else {
            let content = PutPayload::from(self.pending.split().freeze());
            let options = PutOptions { attributes: self.attributes.clone(), ..PutOptions::default() };
            return self.client.put_opts(&self.path, content, options).await;
        };
        let done = upload.complete().await?;
        self.upload = None; // Nothing is to be taken back any more.
        Ok(done)
    }
}

/// What was begun and not completed is taken back, whatever ended it: a failure, a caller who left, a deadline.
impl Drop for Parts {
    fn drop(&mut self) {
        if let (Some(mut upload), Ok(runtime)) = (self.upload.take(), tokio::runtime::Handle::try_current()) {
            runtime.spawn(async move {
                if let Err(error) = upload.abort().await {
                    tracing::warn!(kind = ?other(error).told().code(), "an upload could not be taken back; its parts stay in the store");
                }
            });
        }
    }
}

#[cfg(test)]
mod tests;
