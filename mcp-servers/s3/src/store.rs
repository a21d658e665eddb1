//! Objects, whichever store they are in.

use crate::error::StoreError;
use crate::folder::{self, Place};
use crate::name::{Bucket, Key, Prefix};
use bytes::Bytes;
use futures_util::StreamExt;
use object_store::local::LocalFileSystem;
use object_store::path::Path as ObjectPath;
use object_store::{
    Error, GetOptions, GetRange, GetResult, ObjectMeta, ObjectStore, ObjectStoreExt, PutMode, PutOptions,
    PutPayload,
};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

/// The buckets that are served, and how much of them one answer carries.
#[derive(Clone, Debug)]
pub struct Store {
    place: Arc<Buckets>,
    /// Most bytes of an object in one answer.
    pub page_bytes_max: u64,
    /// Most objects in one list.
    pub page_items_max: usize,
}

#[derive(Debug)]
enum Buckets {
    Folder { root: PathBuf, served: Option<Vec<Bucket>> },
    Remote(BTreeMap<Bucket, Arc<dyn ObjectStore>>),
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
}

/// One page of a list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    /// The objects, by key. There may be none on a page that has a next one.
    pub objects: Vec<ObjectInfo>,
    /// Where the next page begins: behind this key.
    pub next: Option<String>,
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

/// Keys of an S3 bucket that one list looks at, most of them perhaps to pass over.
const SCANNED_MAX: usize = 10_000;

impl Store {
    /// A folder's sub-folders as buckets; `served` limits them. `root` must not contain links itself.
    pub fn folder(root: PathBuf, served: Option<Vec<Bucket>>) -> Self {
        Self::new(Buckets::Folder { root, served })
    }

    /// Buckets behind clients, one each.
    pub fn remote(clients: BTreeMap<Bucket, Arc<dyn ObjectStore>>) -> Self {
        Self::new(Buckets::Remote(clients))
    }

    fn new(place: Buckets) -> Self {
        Self { place: Arc::new(place), page_bytes_max: 256 << 10, page_items_max: 1000 }
    }

    /// The buckets that are served, sorted.
    ///
    /// # Errors
    /// [`StoreError::Folder`] if the folder can't be read.
    pub fn buckets(&self) -> Result<Vec<Bucket>, StoreError> {
        match &*self.place {
            Buckets::Remote(clients) => Ok(clients.keys().cloned().collect()),
            Buckets::Folder { root, served } => {
                let mut found = folder::buckets(root).map_err(StoreError::Folder)?;
                found.retain(|bucket| served.as_ref().is_none_or(|served| served.contains(bucket)));
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

    /// The objects of a bucket under a prefix, behind a key, `count` at most.
    ///
    /// # Errors
    /// [`StoreError`]; a prefix that nothing has is an empty list.
    pub async fn list(
        &self,
        bucket: &Bucket,
        prefix: &Prefix,
        after: Option<String>,
        count: usize,
    ) -> Result<Listing, StoreError> {
        if let Buckets::Remote(_) = &*self.place {
            return self.list_remote(&*self.client(bucket)?, prefix, after, count).await;
        }
        let (path, prefix) = (self.bucket_folder(bucket)?, prefix.clone());
        let walk = move || folder::list(&path, &prefix, after.as_deref(), count);
        tokio::task::spawn_blocking(walk)
            .await
            .map_err(|e| StoreError::Store(e.into()))?
            .map_err(StoreError::Folder)
    }

    /// S3 gives keys in order, so the first one past the prefix is the end.
    async fn list_remote(
        &self,
        client: &dyn ObjectStore,
        prefix: &Prefix,
        after: Option<String>,
        count: usize,
    ) -> Result<Listing, StoreError> {
        let folder = Some(prefix.folder()).filter(|f| !f.is_empty()).map(object_path).transpose()?;
        let mut all = match &after {
            Some(after) => client.list_with_offset(folder.as_ref(), &object_path(after)?),
            None => client.list(folder.as_ref()),
        };
        let (mut page, mut last) = (Listing::default(), None);
        for _ in 0..SCANNED_MAX {
            let Some(meta) = all.next().await else { return Ok(page) };
            let meta = meta.map_err(other)?;
            let found = meta.location.as_ref().to_owned();
            if !found.starts_with(prefix.as_str()) && found.as_str() > prefix.as_str() {
                return Ok(page);
            }
            if found.starts_with(prefix.as_str())
                && let Ok(key) = Key::parse(&found)
            {
                if page.objects.len() == count {
                    page.next = last;
                    return Ok(page);
                }
                page.objects.push(info(key, &meta));
            }
            last = Some(found);
        }
        page.next = last;
        Ok(page)
    }

    /// Up to `length` bytes of an object from `offset` on.
    ///
    /// # Errors
    /// [`StoreError::Offset`] where the object ends before; an empty object has an empty piece at 0.
    pub async fn read(
        &self,
        bucket: &Bucket,
        key: &Key,
        offset: u64,
        length: u64,
    ) -> Result<Piece, StoreError> {
        let (client, path) = self.existing(bucket, key)?;
        let range = GetRange::Bounded(offset..offset.saturating_add(length.max(1)));
        let options = GetOptions { range: Some(range), ..GetOptions::default() };
        let found = match client.get_opts(&path, options).await {
            Ok(found) => found,
            Err(error @ Error::NotFound { .. }) => return Err(at(bucket, key, error)),
            Err(error) => return self.read_nothing(bucket, key, offset, error).await,
        };
        let info = info(key.clone(), &found.meta);
        let bytes = bytes(found).await.map_err(|e| at(bucket, key, e))?;
        Ok(Piece { info, offset, bytes })
    }

    /// No byte stands at the offset: stores say so in different errors, so the object is asked how long it is.
    async fn read_nothing(
        &self,
        bucket: &Bucket,
        key: &Key,
        offset: u64,
        error: Error,
    ) -> Result<Piece, StoreError> {
        let info = self.head(bucket, key).await?;
        match info.size {
            0 if offset == 0 => Ok(Piece { info, offset, bytes: Bytes::new() }),
            size if offset >= size => Err(StoreError::Offset { offset, size }),
            _ => Err(at(bucket, key, error)),
        }
    }

    /// What is known of an object.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn head(&self, bucket: &Bucket, key: &Key) -> Result<ObjectInfo, StoreError> {
        let (client, path) = self.existing(bucket, key)?;
        let meta = client.head(&path).await.map_err(|e| at(bucket, key, e))?;
        Ok(info(key.clone(), &meta))
    }

    /// Writes an object whole; with `only_new` only where there is none. Gives its entity tag.
    ///
    /// # Errors
    /// [`StoreError::Exists`] for the latter.
    pub async fn put(
        &self,
        bucket: &Bucket,
        key: &Key,
        content: Bytes,
        only_new: bool,
    ) -> Result<Option<String>, StoreError> {
        let client = self.client(bucket)?;
        if self.place_of(bucket, key)? == Some(Place::Blocked) {
            return Err(StoreError::Unplaceable { key: key.to_string() });
        }
        let mode = if only_new { PutMode::Create } else { PutMode::Overwrite };
        let options = PutOptions { mode, ..PutOptions::default() };
        let path = object_path(key.as_str())?;
        let put = client.put_opts(&path, PutPayload::from(content), options).await;
        Ok(put.map_err(|e| at(bucket, key, e))?.e_tag)
    }

    /// Deletes an object. One that isn't there is no error, as in S3.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn delete(&self, bucket: &Bucket, key: &Key) -> Result<(), StoreError> {
        match self.existing(bucket, key) {
            Err(StoreError::NotFound { .. }) => Ok(()),
            Err(error) => Err(error),
            Ok((client, path)) => match client.delete(&path).await {
                Ok(()) | Err(Error::NotFound { .. }) => Ok(()),
                Err(error) => Err(at(bucket, key, error)),
            },
        }
    }

    /// The client and path of an object; in a folder, only where a file is.
    fn existing(&self, bucket: &Bucket, key: &Key) -> Result<(Arc<dyn ObjectStore>, ObjectPath), StoreError> {
        let client = self.client(bucket)?;
        match self.place_of(bucket, key)? {
            None | Some(Place::Object) => Ok((client, object_path(key.as_str())?)),
            Some(Place::Nothing | Place::Blocked) => {
                Err(StoreError::NotFound { bucket: bucket.to_string(), key: key.to_string() })
            }
        }
    }

    fn client(&self, bucket: &Bucket) -> Result<Arc<dyn ObjectStore>, StoreError> {
        match &*self.place {
            Buckets::Remote(clients) => clients.get(bucket).cloned().ok_or_else(|| no_bucket(bucket)),
            Buckets::Folder { .. } => {
                Ok(Arc::new(LocalFileSystem::new_with_prefix(self.bucket_folder(bucket)?).map_err(other)?))
            }
        }
    }

    fn bucket_folder(&self, bucket: &Bucket) -> Result<PathBuf, StoreError> {
        match &*self.place {
            Buckets::Folder { root, served }
                if served.as_ref().is_none_or(|served| served.contains(bucket)) =>
            {
                folder::bucket(root, bucket)
            }
            _ => Err(no_bucket(bucket)),
        }
    }

    /// `None` where there are no folders that a key could run into.
    fn place_of(&self, bucket: &Bucket, key: &Key) -> Result<Option<Place>, StoreError> {
        match &*self.place {
            Buckets::Remote(_) => Ok(None),
            Buckets::Folder { .. } => folder::place(&self.bucket_folder(bucket)?, key).map(Some),
        }
    }
}

fn no_bucket(bucket: &Bucket) -> StoreError {
    StoreError::NoBucket { bucket: bucket.to_string() }
}

/// `parse` keeps the characters as they are; the library's `from` would encode some and name another object.
fn object_path(key: &str) -> Result<ObjectPath, StoreError> {
    ObjectPath::parse(key).map_err(|error| StoreError::Store(error.into()))
}

fn info(key: Key, meta: &ObjectMeta) -> ObjectInfo {
    ObjectInfo {
        key,
        size: meta.size,
        modified: SystemTime::from(meta.last_modified),
        etag: meta.e_tag.clone(),
    }
}

async fn bytes(found: GetResult) -> Result<Bytes, Error> {
    found.bytes().await
}

fn other(error: Error) -> StoreError {
    match error {
        error @ (Error::PermissionDenied { .. } | Error::Unauthenticated { .. }) => {
            StoreError::Forbidden(error)
        }
        error => StoreError::Store(error),
    }
}

fn at(bucket: &Bucket, key: &Key, error: Error) -> StoreError {
    match error {
        Error::NotFound { .. } => StoreError::NotFound { bucket: bucket.to_string(), key: key.to_string() },
        Error::AlreadyExists { .. } => StoreError::Exists { key: key.to_string() },
        error => other(error),
    }
}

#[cfg(test)]
mod tests;
