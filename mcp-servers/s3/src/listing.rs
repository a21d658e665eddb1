//! Lists of objects: in the order of keys, in pages, and within the fence.

use crate::error::StoreError;
use crate::folder;
use crate::name::{Bucket, Key, Prefix};
use crate::store::{Buckets, ObjectInfo, Store, fenced, no_bucket, object_path, other};
use futures_util::StreamExt;
use object_store::ObjectStore;

/// One page of a list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    /// The objects, by key. There may be none on a page that has a next one.
    pub objects: Vec<ObjectInfo>,
    /// Where the next page begins: behind this key.
    pub next: Option<String>,
}

/// Keys of an S3 bucket that one list looks at, most of them perhaps to pass over.
const SCANNED_MAX: usize = 10_000;

impl Store {
    /// The objects of a bucket under a prefix, behind a key, `count` at most. Of a prefix that is wider than the fence the
    /// part within it is told.
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
        let fence = self.fence(bucket)?;
        let parts = fence.within(prefix);
        if parts.is_empty() {
            return Err(fenced(bucket, fence));
        }
        let mut page = Listing::default();
        for part in parts {
            if page.objects.len() == count {
                page.next = page.objects.last().map(|last| last.key.to_string());
                break;
            }
            let left = count - page.objects.len();
            let found = self.list_part(bucket, &part, after.clone(), left).await?;
            page.objects.extend(found.objects);
            if found.next.is_some() {
                page.next = found.next;
                break;
            }
        }
        Ok(page)
    }

    async fn list_part(
        &self,
        bucket: &Bucket,
        prefix: &Prefix,
        after: Option<String>,
        count: usize,
    ) -> Result<Listing, StoreError> {
        if let Buckets::Remote(buckets) = &*self.place {
            let remote = buckets.get(bucket).ok_or_else(|| no_bucket(bucket))?;
            return self.list_remote(&*remote.client, prefix, after, count).await;
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
                page.objects.push(ObjectInfo::of(key, &meta));
            }
            last = Some(found);
        }
        page.next = last;
        Ok(page)
    }
}
