//! Objects that come in several calls. A call is shorter than the parts that stores want, so what comes is gathered here
//! until it is a part. An upload is whose it was begun by, and of the object that it was begun for; without calls it ends.

use crate::argument::{MediaType, Sha256};
use crate::error::StoreError;
use crate::name::{Bucket, Key};
use crate::store::{Store, at};
use crate::write::{Done, Parts};
use aws_lc_rs::digest::{Context, SHA256};
use aws_lc_rs::rand;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rmcp::model::Extensions;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Whose an upload is: on whose behalf, and who acts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Owner {
    issuer: String,
    subject: String,
    actors: Vec<String>,
}

/// The uploads that are open.
#[derive(Clone, Debug, Default)]
pub(crate) struct Uploads(Arc<Mutex<HashMap<String, Entry>>>);

#[derive(Clone, Debug)]
struct Entry {
    owner: Owner,
    touched: Instant,
    /// None once it has ended. One call at a time: the others wait.
    upload: Arc<tokio::sync::Mutex<Option<Upload>>>,
}

#[derive(Debug)]
struct Upload {
    bucket: Bucket,
    key: Key,
    kind: Option<MediaType>,
    parts: Parts,
    hash: Hash,
    /// What the last call brought, should it be made once more.
    last: Option<(u64, Sha256)>,
}

struct Hash(Context);

/// Which upload, of which object, by whom.
pub(crate) struct Named<'a> {
    pub(crate) owner: Owner,
    pub(crate) bucket: &'a Bucket,
    pub(crate) key: &'a Key,
    pub(crate) id: &'a str,
}

/// Bytes of randomness in an upload's name.
const ID_BYTES: usize = 16;

impl Owner {
    /// Of a request. A server without claims has no door, and no owners.
    pub(crate) fn of(extensions: &Extensions) -> Self {
        kit::claims(extensions).map_or_else(Self::default, |claims| Self {
            issuer: claims.iss.clone(),
            subject: claims.sub.clone(),
            actors: claims.actors.clone(),
        })
    }
}

impl Uploads {
    /// Opens one. Nothing goes to the store before there is a part.
    ///
    /// # Errors
    /// [`StoreError::TooManyUploads`], and what keeps the object from being written at all.
    pub(crate) fn begin(
        &self,
        store: &Store,
        owner: Owner,
        (bucket, key): (&Bucket, &Key),
        kind: Option<MediaType>,
    ) -> Result<String, StoreError> {
        let object = store.writable(bucket, key)?;
        store.check_type(bucket, &object, kind.as_ref())?;
        let mut bytes = [0; ID_BYTES];
        rand::fill(&mut bytes).map_err(|_| StoreError::Odd("no randomness"))?;
        let id = URL_SAFE_NO_PAD.encode(bytes);
        let parts = store.parts(&object, kind.as_ref());
        let upload = Upload {
            bucket: bucket.clone(),
            key: key.clone(),
            kind,
            parts,
            hash: Hash(Context::new(&SHA256)),
            last: None,
        };
        let mut open = self.open();
        let of_one = open.values().filter(|entry| entry.owner == owner).count();
        if open.len() >= store.limits.uploads_max || of_one >= store.limits.uploads_of_one_max {
            return Err(StoreError::TooManyUploads(of_one.max(1)));
        }
        let upload = Arc::new(tokio::sync::Mutex::new(Some(upload)));
        open.insert(id.clone(), Entry { owner, touched: Instant::now(), upload });
        drop(open);
        tokio::spawn(self.clone().watch(id.clone(), store.limits.upload_idle));
        Ok(id)
    }

    /// Takes the next piece. The same piece once more, as after an answer that was lost, changes nothing. Gives how many
    /// bytes there are.
    ///
    /// # Errors
    /// [`StoreError`]. One of the store ends the upload.
    pub(crate) async fn add(
        &self,
        store: &Store,
        named: &Named<'_>,
        offset: u64,
        content: &[u8],
    ) -> Result<u64, StoreError> {
        let slot = self.find(named)?;
        let mut slot = slot.lock().await;
        let upload = slot.as_mut().filter(|upload| upload.is(named)).ok_or(StoreError::NoUpload)?;
        let (there, digest) = (upload.parts.bytes(), Sha256::of(content));
        if upload.last == Some((offset, digest)) && offset + content.len() as u64 == there {
            return Ok(there);
        }
        if offset != there {
            return Err(StoreError::WrongOffset { offset, there });
        }
        let max = store.limits.upload_bytes_max;
        if there.saturating_add(content.len() as u64) > max {
            return Err(StoreError::TooLarge { what: "an upload", max });
        }
        upload.hash.0.update(content);
        // Taken out meanwhile: a call that is dropped half-way leaves an upload that nobody can go on with.
        let mut going = slot.take().ok_or(StoreError::NoUpload)?;
        match going.parts.push(content).await {
            Ok(()) => {
                going.last = Some((offset, digest));
                let bytes = going.parts.bytes();
                *slot = Some(going);
                Ok(bytes)
            }
            Err(error) => {
                self.open().remove(named.id);
                Err(at(named.bucket, named.key, error))
            }
        }
    }

    /// Makes an object of it, if it has the digest that was named. It ends, whatever happens.
    ///
    /// # Errors
    /// [`StoreError`]; then nothing is written.
    pub(crate) async fn complete(
        &self,
        store: &Store,
        named: &Named<'_>,
        wanted: Option<Sha256>,
    ) -> Result<(Done, Sha256), StoreError> {
        let Upload { parts, hash, kind, .. } = self.end(named).await?;
        let (size, found) = (parts.bytes(), Sha256::finished(hash.0));
        if let Some(wanted) = wanted.filter(|wanted| *wanted != found) {
            return Err(StoreError::Checksum { of: "the upload", wanted, found });
        }
        let _turn = store.turn().await;
        // Once more: a folder may have changed since.
        let object = store.writable(named.bucket, named.key)?;
        let put = parts.finished().await.map_err(|e| at(named.bucket, named.key, e))?;
        store.set_type(named.bucket, named.key, &object, kind.as_ref())?;
        Ok((Done { size, etag: put.e_tag, version: put.version }, found))
    }

    /// Ends it. What has gone to the store is taken back.
    ///
    /// # Errors
    /// [`StoreError::NoUpload`].
    pub(crate) async fn abort(&self, named: &Named<'_>) -> Result<(), StoreError> {
        self.end(named).await.map(drop)
    }

    async fn end(&self, named: &Named<'_>) -> Result<Upload, StoreError> {
        let slot = self.find(named)?;
        let mut slot = slot.lock().await;
        let ended = slot.take_if(|upload| upload.is(named)).ok_or(StoreError::NoUpload)?;
        self.open().remove(named.id);
        Ok(ended)
    }

    fn find(&self, named: &Named<'_>) -> Result<Arc<tokio::sync::Mutex<Option<Upload>>>, StoreError> {
        let mut open = self.open();
        let entry =
            open.get_mut(named.id).filter(|entry| entry.owner == named.owner).ok_or(StoreError::NoUpload)?;
        entry.touched = Instant::now();
        Ok(Arc::clone(&entry.upload))
    }

    /// Ends an upload that nobody goes on with.
    async fn watch(self, id: String, idle: Duration) {
        loop {
            let Some(entry) = self.open().get(&id).cloned() else { return };
            let left = idle.saturating_sub(entry.touched.elapsed());
            if left.is_zero() {
                self.open().remove(&id);
                entry.upload.lock().await.take();
                return;
            }
            drop(entry);
            tokio::time::sleep(left).await;
        }
    }

    fn open(&self) -> MutexGuard<'_, HashMap<String, Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Upload {
    fn is(&self, named: &Named<'_>) -> bool {
        self.bucket == *named.bucket && self.key == *named.key
    }
}

impl std::fmt::Debug for Hash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Hash")
    }
}

#[cfg(test)]
mod tests;
