//! Objects, whichever store they are in.

use crate::argument::{Sha256, VersionId};
use crate::careful;
use crate::error::StoreError;
use crate::fence::Fence;
use crate::flags::StoreKind;
use crate::folder::{self, Place};
use crate::name::{Bucket, Key, Prefix};
use crate::signed::{Signed, Versions};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use object_store::local::LocalFileSystem;
use object_store::path::Path as ObjectPath;
use object_store::{
    Attribute, Error, GetOptions, GetRange, GetResult, GetResultPayload, ObjectMeta, ObjectStore,
};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::sync::{Mutex, MutexGuard};

/// The buckets that are served, and how much of them one answer carries.
#[derive(Clone, Debug)]
pub struct Store {
    pub(crate) place: Arc<Buckets>,
    /// How much of everything.
    pub limits: Limits,
}

/// Bounds, each of them a flag.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Most bytes of an object in one answer.
    pub page_bytes_max: u64,
    /// Most objects in one list.
    pub page_items_max: usize,
    /// Most bytes that are read for a preview of a table.
    pub table_bytes_max: u64,
    /// Longest object that is written in several calls, or copied through this server.
    pub upload_bytes_max: u64,
    /// Part of an object that is written in parts.
    pub part_bytes: usize,
    /// Uploads in several calls that are open at a time.
    pub uploads_max: usize,
    /// Of them, those of one person by one agent.
    pub uploads_of_one_max: usize,
    /// How long an upload stays open without a call.
    pub upload_idle: Duration,
}

#[derive(Debug)]
pub(crate) enum Buckets {
    /// Whoever writes takes the lock, so that a condition holds until the write is done.
    Folder {
        root: PathBuf,
        files: Arc<LocalFileSystem>,
        served: Option<BTreeMap<Bucket, Fence>>,
        writing: Mutex<()>,
    },
    Remote(BTreeMap<Bucket, Remote>),
}

/// A bucket elsewhere.
#[derive(Debug)]
pub struct Remote {
    /// Its client.
    pub client: Arc<dyn ObjectStore>,
    /// What of it is served.
    pub fence: Fence,
    /// Whose protocol it speaks.
    pub kind: StoreKind,
    /// What signs the requests that the client has no words for.
    pub signed: Option<Signed>,
}

/// An object that may be touched: within the fence, and in a folder not behind a link.
#[derive(Debug)]
pub(crate) struct Object {
    pub(crate) client: Arc<dyn ObjectStore>,
    pub(crate) path: ObjectPath,
    /// None in a folder.
    pub(crate) kind: Option<StoreKind>,
    /// In a folder, what is there.
    place: Option<Place>,
}

/// What is known of an object without its content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectInfo {
    /// Its key.
    pub key: Key,
    /// Its length in bytes.
    pub size: u64,
    /// When it was written.
    pub modified: SystemTime,
    /// Changes when the content does; a local folder's lists have none.
    pub etag: Option<String>,
    /// What it is, as whoever wrote it said; lists have none.
    pub content_type: Option<String>,
    /// Which version it is, where the store has them; lists have none.
    pub version: Option<String>,
}

/// A piece of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// The object.
    pub info: ObjectInfo,
    /// Where in it the bytes begin.
    pub offset: u64,
    /// The bytes.
    pub bytes: Bytes,
}

impl Store {
    /// A folder's sub-folders as buckets; `served` limits them. `root` must not contain links itself.
    ///
    /// # Errors
    /// The library's, if the folder is not there.
    pub fn folder(
        root: PathBuf,
        served: Option<BTreeMap<Bucket, Fence>>,
        limits: Limits,
    ) -> Result<Self, Error> {
        let files = Arc::new(LocalFileSystem::new_with_prefix(&root)?);
        Ok(Self {
            place: Arc::new(Buckets::Folder { root, files, served, writing: Mutex::default() }),
            limits,
        })
    }

    /// Buckets behind clients, one each.
    pub fn remote(buckets: BTreeMap<Bucket, Remote>, limits: Limits) -> Self {
        Self { place: Arc::new(Buckets::Remote(buckets)), limits }
    }

    /// The buckets that are served, sorted.
    ///
    /// # Errors
    /// [`StoreError::Folder`] if the folder can't be read.
    pub fn buckets(&self) -> Result<Vec<Bucket>, StoreError> {
        match &*self.place {
            Buckets::Remote(buckets) => Ok(buckets.keys().cloned().collect()),
            Buckets::Folder { root, served, .. } => {
                let mut found = folder::buckets(root).map_err(StoreError::Folder)?;
                found.retain(|bucket| served.as_ref().is_none_or(|served| served.contains_key(bucket)));
                Ok(found)
            }
        }
    }

    /// Looks whether the store answers at all: its buckets, and one key of the first.
    ///
    /// # Errors
    /// [`StoreError`], as every other call would have it.
    pub async fn reachable(&self) -> Result<(), StoreError> {
        match self.buckets()?.first() {
            Some(first) => self.list(first, &Prefix::parse("")?, None, 1).await.map(drop),
            None => Ok(()),
        }
    }

    /// Up to `length` bytes of an object from `offset` on; of a version of it, if one is named.
    ///
    /// # Errors
    /// [`StoreError::Offset`] where the object ends before; an empty object has an empty piece at 0.
    pub async fn read(
        &self,
        bucket: &Bucket,
        key: &Key,
        version: Option<&VersionId>,
        offset: u64,
        length: u64,
    ) -> Result<Piece, StoreError> {
        let object = self.existing(bucket, key)?;
        let range = GetRange::Bounded(offset..offset.saturating_add(length.max(1)));
        let mut options = object.options(version)?;
        options.range = Some(range);
        let found = match object.client.get_opts(&object.path, options).await {
            Ok(found) => found,
            Err(error @ Error::NotFound { .. }) => return Err(at(bucket, key, error)),
            Err(error) => return self.read_nothing(bucket, key, version, offset, error).await,
        };
        let info = self.info(bucket, key, &found);
        let bytes = bytes(found, length.max(1)).await.map_err(|e| at(bucket, key, e))?;
        Ok(Piece { info, offset, bytes })
    }

    /// No byte stands at the offset: stores say so in different errors, so the object is asked how long it is.
    async fn read_nothing(
        &self,
        bucket: &Bucket,
        key: &Key,
        version: Option<&VersionId>,
        offset: u64,
        error: Error,
    ) -> Result<Piece, StoreError> {
        let info = self.head(bucket, key, version).await?;
        match info.size {
            0 if offset == 0 => Ok(Piece { info, offset, bytes: Bytes::new() }),
            size if offset >= size => Err(StoreError::Offset { offset, size }),
            _ => Err(at(bucket, key, error)),
        }
    }

    /// What is known of an object, or of a version of it.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn head(
        &self,
        bucket: &Bucket,
        key: &Key,
        version: Option<&VersionId>,
    ) -> Result<ObjectInfo, StoreError> {
        let object = self.existing(bucket, key)?;
        let mut options = object.options(version)?;
        options.head = true;
        let found = object.client.get_opts(&object.path, options).await.map_err(|e| at(bucket, key, e))?;
        Ok(self.info(bucket, key, &found))
    }

    /// The SHA-256 that the store keeps of an object, with the entity tag that it belongs to. Few stores keep one.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn sha256(
        &self,
        bucket: &Bucket,
        key: &Key,
        version: Option<&VersionId>,
    ) -> Result<Option<(String, Sha256)>, StoreError> {
        self.admitted(bucket, key)?;
        match self.remote_of(bucket).and_then(|remote| remote.signed.as_ref()) {
            Some(signed) => signed.sha256(key, version).await,
            None => Ok(None),
        }
    }

    /// The versions of an object behind one of them, the newest first.
    ///
    /// # Errors
    /// [`StoreError::NotSupported`] where the store has none.
    pub async fn versions(
        &self,
        bucket: &Bucket,
        key: &Key,
        after: Option<&VersionId>,
        count: usize,
    ) -> Result<Versions, StoreError> {
        self.object(bucket, key)?;
        match self.remote_of(bucket).and_then(|remote| remote.signed.as_ref()) {
            Some(signed) => signed.versions(key, after, count).await,
            None => Err(StoreError::NotSupported("only S3 is asked for versions here")),
        }
    }

    /// An object that is there as far as a folder can say; elsewhere only the store knows.
    pub(crate) fn existing(&self, bucket: &Bucket, key: &Key) -> Result<Object, StoreError> {
        let object = self.object(bucket, key)?;
        match object.place {
            None | Some(Place::Object) => Ok(object),
            Some(Place::Nothing | Place::Blocked) => {
                Err(StoreError::NotFound { bucket: bucket.to_string(), key: key.to_string() })
            }
        }
    }

    /// An object that could be written.
    pub(crate) fn writable(&self, bucket: &Bucket, key: &Key) -> Result<Object, StoreError> {
        let object = self.object(bucket, key)?;
        if object.place == Some(Place::Blocked) {
            return Err(StoreError::Unplaceable { key: key.to_string() });
        }
        Ok(object)
    }

    /// The way to every object: none is touched that the fence keeps out.
    fn object(&self, bucket: &Bucket, key: &Key) -> Result<Object, StoreError> {
        self.admitted(bucket, key)?;
        match &*self.place {
            Buckets::Remote(buckets) => {
                let remote = buckets.get(bucket).ok_or_else(|| no_bucket(bucket))?;
                let (client, path) = (Arc::clone(&remote.client), object_path(key.as_str())?);
                Ok(Object { client, path, kind: Some(remote.kind), place: None })
            }
            Buckets::Folder { files, .. } => {
                let place = Some(folder::place(&self.bucket_folder(bucket)?, key)?);
                let path = object_path(&format!("{bucket}/{key}"))?;
                Ok(Object { client: Arc::<LocalFileSystem>::clone(files), path, kind: None, place })
            }
        }
    }

    fn admitted(&self, bucket: &Bucket, key: &Key) -> Result<(), StoreError> {
        let fence = self.fence(bucket)?;
        if fence.admits(key) { Ok(()) } else { Err(fenced(bucket, fence)) }
    }

    pub(crate) fn fence(&self, bucket: &Bucket) -> Result<&Fence, StoreError> {
        const EVERYTHING: &Fence = &Fence::everything();
        match &*self.place {
            Buckets::Remote(buckets) => buckets.get(bucket).map(|remote| &remote.fence),
            Buckets::Folder { served: Some(served), .. } => served.get(bucket),
            Buckets::Folder { served: None, .. } => Some(EVERYTHING),
        }
        .ok_or_else(|| no_bucket(bucket))
    }

    fn remote_of(&self, bucket: &Bucket) -> Option<&Remote> {
        match &*self.place {
            Buckets::Remote(buckets) => buckets.get(bucket),
            Buckets::Folder { .. } => None,
        }
    }

    /// The folder of a bucket; an error elsewhere.
    pub(crate) fn bucket_folder(&self, bucket: &Bucket) -> Result<PathBuf, StoreError> {
        match &*self.place {
            Buckets::Folder { root, .. } => folder::bucket(root, bucket),
            Buckets::Remote(_) => Err(no_bucket(bucket)),
        }
    }

    /// The turn to write into a folder; stores elsewhere keep order themselves.
    pub(crate) async fn turn(&self) -> Option<MutexGuard<'_, ()>> {
        match &*self.place {
            Buckets::Folder { writing, .. } => Some(writing.lock().await),
            Buckets::Remote(_) => None,
        }
    }

    /// What a store has said of an object; of a file the content type stands beside its content.
    fn info(&self, bucket: &Bucket, key: &Key, found: &GetResult) -> ObjectInfo {
        let mut info = ObjectInfo::of(key.clone(), &found.meta);
        info.content_type = match &*self.place {
            Buckets::Remote(_) => {
                found.attributes.get(&Attribute::ContentType).map(|v| v.as_ref().to_owned())
            }
            Buckets::Folder { root, .. } => folder::content_type(&root.join(bucket.as_str()), key),
        };
        info
    }
}

impl Object {
    fn options(&self, version: Option<&VersionId>) -> Result<GetOptions, StoreError> {
        if version.is_some() && self.kind.is_none() {
            return Err(StoreError::NotSupported("a folder keeps no versions"));
        }
        Ok(GetOptions { version: version.map(|v| v.as_str().to_owned()), ..GetOptions::default() })
    }
}

impl ObjectInfo {
    pub(crate) fn of(key: Key, meta: &ObjectMeta) -> Self {
        Self {
            key,
            size: meta.size,
            modified: SystemTime::from(meta.last_modified),
            etag: meta.e_tag.clone(),
            content_type: None,
            version: meta.version.clone(),
        }
    }
}

pub(crate) fn fenced(bucket: &Bucket, fence: &Fence) -> StoreError {
    StoreError::Fenced { bucket: bucket.to_string(), fence: fence.told() }
}

pub(crate) fn no_bucket(bucket: &Bucket) -> StoreError {
    StoreError::NoBucket { bucket: bucket.to_string() }
}

/// `parse` keeps the characters as they are; the library's `from` would encode some and name another object.
pub(crate) fn object_path(key: &str) -> Result<ObjectPath, StoreError> {
    ObjectPath::parse(key).map_err(|error| StoreError::Store(error.into()))
}

/// The bytes that were asked for. A store that sends more is not heard to its end; a file gives its range at once.
async fn bytes(found: GetResult, max: u64) -> Result<Bytes, Error> {
    if matches!(found.payload, GetResultPayload::File(..)) {
        return found.bytes().await;
    }
    let (mut all, mut chunks) = (BytesMut::new(), found.into_stream());
    while let Some(chunk) = chunks.next().await {
        all.extend_from_slice(&chunk?);
        if all.len() as u64 > max {
            return Err(Error::Generic { store: "any", source: "more bytes than were asked for".into() });
        }
    }
    Ok(all.freeze())
}

pub(crate) fn other(error: Error) -> StoreError {
    match error {
        Error::NotImplemented { .. } | Error::NotSupported { .. } => {
            StoreError::NotSupported("this store can't do that")
        }
        error @ (Error::PermissionDenied { .. } | Error::Unauthenticated { .. }) => {
            StoreError::Forbidden(error)
        }
        error if careful::is_refusal(&error) => StoreError::Forbidden(error),
        error => StoreError::Store(error),
    }
}

pub(crate) fn at(bucket: &Bucket, key: &Key, error: Error) -> StoreError {
    match error {
        Error::NotFound { .. } => StoreError::NotFound { bucket: bucket.to_string(), key: key.to_string() },
        Error::AlreadyExists { .. } => StoreError::Exists { key: key.to_string() },
        Error::Precondition { .. } => StoreError::Changed { key: key.to_string() },
        error => other(error),
    }
}

#[cfg(test)]
pub(crate) mod tests;
