//! A local folder as buckets. Only plain folders and files count: a symbolic link is not followed and not listed, because
//! policy judges names, and a link is one object under two of them. (Whoever may write to the folder itself could still
//! swap a file for a link between our look and our read; that is the machine's owner.)

use crate::argument::MediaType;
use crate::error::StoreError;
use crate::listing::Listing;
use crate::name::{Bucket, Key, Prefix};
use crate::store::ObjectInfo;
use rustix::fs::{XattrFlags, lgetxattr, lsetxattr};
use rustix::io::Errno;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// The buckets of a folder, sorted.
pub(crate) fn buckets(root: &Path) -> io::Result<Vec<Bucket>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(root)? {
        let entry = entry?;
        if entry.file_type()?.is_dir()
            && let Some(bucket) = entry.file_name().to_str().and_then(|name| Bucket::parse(name).ok())
        {
            found.push(bucket);
        }
    }
    found.sort();
    Ok(found)
}

/// The folder of a bucket.
pub(crate) fn bucket(root: &Path, bucket: &Bucket) -> Result<PathBuf, StoreError> {
    let path = root.join(bucket.as_str());
    match std::fs::symlink_metadata(&path) {
        Ok(metadata) if metadata.is_dir() => Ok(path),
        Ok(_) => Err(StoreError::NoBucket { bucket: bucket.to_string() }),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            Err(StoreError::NoBucket { bucket: bucket.to_string() })
        }
        Err(error) => Err(StoreError::Folder(error)),
    }
}

/// What a key leads to without following a link.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// A file.
    Object,
    /// Nothing yet.
    Nothing,
    /// A folder or something odd, or a file where a folder would have to be.
    Blocked,
}

/// Walks along a key from its bucket's folder.
pub(crate) fn place(bucket: &Path, key: &Key) -> Result<Place, StoreError> {
    if is_reserved(key.as_str()) {
        return Ok(Place::Blocked);
    }
    let mut path = bucket.to_path_buf();
    let mut segments = key.as_str().split('/').peekable();
    while let Some(segment) = segments.next() {
        path.push(segment);
        let metadata = match std::fs::symlink_metadata(&path) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Place::Nothing),
            Err(error) if error.kind() == ErrorKind::InvalidFilename => return Ok(Place::Blocked),
            Err(error) => return Err(StoreError::Folder(error)),
        };
        if metadata.is_symlink() {
            return Err(StoreError::Link { key: key.to_string() });
        }
        match segments.peek() {
            None if metadata.is_file() => return Ok(Place::Object),
            Some(_) if metadata.is_dir() => {}
            _ => return Ok(Place::Blocked),
        }
    }
    Ok(Place::Blocked)
}

/// object_store stages its writes under names that end so.
fn is_reserved(key: &str) -> bool {
    let name = key.rsplit_once('/').map_or(key, |(_, name)| name);
    name.split_once('#').is_some_and(|(_, rest)| !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_digit()))
}

/// The objects under a prefix behind a key, in the order of their keys' bytes as S3 gives them, `count` at most.
pub(crate) fn list(bucket: &Path, prefix: &Prefix, after: Option<&str>, count: usize) -> io::Result<Listing> {
    let mut walk = Walk { prefix: prefix.as_str(), after, count, found: Vec::new() };
    walk.folder(bucket, "")?;
    let more = walk.found.len() > count;
    walk.found.truncate(count);
    let next = walk.found.last().filter(|_| more).map(|last| last.key.to_string());
    Ok(Listing { objects: walk.found, next })
}

struct Walk<'a> {
    prefix: &'a str,
    after: Option<&'a str>,
    count: usize,
    found: Vec<ObjectInfo>,
}

impl Walk<'_> {
    /// One object more than `count` is looked for, to know whether there is a next page.
    fn folder(&mut self, path: &Path, name: &str) -> io::Result<()> {
        for (key, entry) in entries(path, name)? {
            if self.found.len() > self.count {
                return Ok(());
            }
            if key.ends_with('/') {
                if self.may_hold(&key) {
                    self.folder(&entry.path(), &key)?;
                }
            } else if key.starts_with(self.prefix) && self.after.is_none_or(|after| key.as_str() > after) {
                self.found.extend(info(key, &entry)?);
            }
        }
        Ok(())
    }

    fn may_hold(&self, folder: &str) -> bool {
        let named = folder.starts_with(self.prefix) || self.prefix.starts_with(folder);
        named && self.after.is_none_or(|after| folder > after || after.starts_with(folder))
    }
}

/// A folder's entries by key; a sub-folder's key ends in a slash, which puts it where its objects' keys belong.
fn entries(path: &Path, name: &str) -> io::Result<Vec<(String, std::fs::DirEntry)>> {
    let mut all = Vec::new();
    let listed = match std::fs::read_dir(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(all), // Deleted meanwhile.
        listed => listed?,
    };
    for entry in listed {
        let entry = entry?;
        let kind = entry.file_type()?; // A link's own.
        let Some(segment) = entry.file_name().to_str().map(str::to_owned) else { continue };
        let key = format!("{name}{segment}");
        if Key::parse(&key).is_err() {
            continue;
        }
        if kind.is_dir() {
            all.push((format!("{key}/"), entry));
        } else if kind.is_file() && !is_reserved(&key) {
            all.push((key, entry));
        }
    }
    all.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(all)
}

/// `None` for a file that was deleted meanwhile.
fn info(key: String, entry: &std::fs::DirEntry) -> io::Result<Option<ObjectInfo>> {
    let metadata = match entry.metadata() {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let Ok(key) = Key::parse(&key) else { return Ok(None) };
    let modified = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
    Ok(Some(ObjectInfo {
        key,
        size: metadata.len(),
        modified,
        etag: None,
        content_type: None,
        version: None,
    }))
}

/// Where a file's content type stands, as freedesktop.org's shared MIME specification has it.
const CONTENT_TYPE: &str = "user.mime_type";
/// Longer than every media type that is written here.
const CONTENT_TYPE_MAX: usize = 512;

/// The content type that a file was written with. What is no media type was written by others, and is none.
pub(crate) fn content_type(bucket: &Path, key: &Key) -> Option<String> {
    let mut bytes = [0; CONTENT_TYPE_MAX];
    let length = lgetxattr(bucket.join(key.as_str()), CONTENT_TYPE, &mut bytes).ok()?;
    let text = std::str::from_utf8(bytes.get(..length)?).ok()?;
    MediaType::parse(text).ok().map(|kind| kind.as_str().to_owned())
}

/// Whether this file system keeps content types. Looking for one says so: there is none, or there can be none.
pub(crate) fn keeps_content_types(bucket: &Path) -> bool {
    lgetxattr(bucket, CONTENT_TYPE, &mut [0; CONTENT_TYPE_MAX]) != Err(Errno::NOTSUP)
}

/// Writes a file's content type.
pub(crate) fn set_content_type(bucket: &Path, key: &Key, kind: &MediaType) -> io::Result<()> {
    let path = bucket.join(key.as_str());
    Ok(lsetxattr(path, CONTENT_TYPE, kind.as_str().as_bytes(), XattrFlags::empty())?)
}
