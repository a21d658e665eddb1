//! An object that is read where it is looked at, never as a whole: what crate `parquet` sees of it.

use super::{Format, bad, thrift};
use crate::argument::VersionId;
use crate::error::StoreError;
use crate::name::{Bucket, Key};
use crate::store::Store;
use bytes::{Buf, Bytes};
use parquet::errors::ParquetError;
use parquet::file::reader::{ChunkReader, Length};
use std::sync::{Mutex, PoisonError};
use tokio::runtime::Handle;

/// An object, with how much of it may still be read.
pub(super) struct Ranged {
    store: Store,
    bucket: Bucket,
    key: Key,
    version: Option<VersionId>,
    pub(super) size: u64,
    pub(super) etag: Option<String>,
    runtime: Handle,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// What was read last; the next look is mostly into it.
    window: (u64, Bytes),
    read: u64,
    column: Guard,
    /// What went wrong, in a type that the crate's errors would lose.
    wrong: Option<StoreError>,
}

/// What pages of the column that is read may be like.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Guard {
    /// Behind its last byte.
    pub(super) end: u64,
    /// Whether a page is compressed by gzip, whose reader has no bound.
    pub(super) gzip: bool,
    /// Whether a row may have many values.
    pub(super) repeated: bool,
    /// Those that its pages have had so far.
    pub(super) values: u64,
    /// The page that is read.
    pub(super) page: thrift::PageHeader,
}

/// A column's pages that are not read, though the file may be sound.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Skipped(pub(super) &'static str);

/// How much is read at once at least.
const WINDOW: u64 = 256 << 10;
/// A page, when it is unpacked.
const PAGE_BYTES_MAX: i64 = 8 << 20;
/// Values of a column in which a row may have many.
const VALUES_MAX: u64 = 1_000_000;
/// The header of a page.
const HEADER_BYTES_MAX: u64 = 64 << 10;
/// PLAIN, PLAIN_DICTIONARY, RLE, DELTA_BINARY_PACKED, RLE_DICTIONARY, BYTE_STREAM_SPLIT: their readers allocate no more than
/// is there. Those of the others take a count from the page and allocate that.
const ENCODINGS: [i64; 6] = [0, 2, 3, 5, 8, 9];

impl Ranged {
    /// Looks how long an object is.
    pub(super) async fn open(
        store: &Store,
        bucket: &Bucket,
        key: &Key,
        version: Option<&VersionId>,
    ) -> Result<Self, StoreError> {
        let info = store.head(bucket, key, version).await?;
        Ok(Self {
            store: store.clone(),
            bucket: bucket.clone(),
            key: key.clone(),
            version: version.cloned(),
            size: info.size,
            etag: info.etag,
            runtime: Handle::current(),
            state: Mutex::default(),
        })
    }

    /// Bytes that have been read.
    pub(super) fn bytes_read(&self) -> u64 {
        self.state().read
    }

    /// Turns to another column.
    pub(super) fn column(&self, guard: Guard) {
        self.state().column = guard;
    }

    /// What went wrong with the store, if that was it.
    pub(super) fn wrong(&self) -> Option<StoreError> {
        self.state().wrong.take()
    }

    /// Reads bytes, and with them what comes behind, up to `end`.
    pub(super) fn bytes(&self, start: u64, length: u64, end: u64) -> Result<Bytes, StoreError> {
        let beyond = || bad(Format::Parquet, "it points behind its end");
        let stop = start.checked_add(length).filter(|stop| *stop <= self.size).ok_or_else(beyond)?;
        let mut state = self.state();
        if let Some(found) = within(&state.window, start, length) {
            return Ok(found);
        }
        let max = self.store.limits.table_bytes_max;
        let left = max.saturating_sub(state.read);
        if length > left {
            return Err(StoreError::TooLarge { what: "what is read of a table", max });
        }
        let wanted = (stop.max((start + WINDOW).min(end).min(self.size)) - start).min(left);
        let read = self.store.read(&self.bucket, &self.key, self.version.as_ref(), start, wanted);
        let piece = self.runtime.block_on(read)?;
        if piece.info.size != self.size || piece.info.etag != self.etag {
            return Err(StoreError::Changed { key: self.key.to_string() });
        }
        state.read += piece.bytes.len() as u64;
        state.window = (start, piece.bytes);
        within(&state.window, start, length).ok_or_else(beyond)
    }

    /// A page's header, held against what may be; the page behind it is read next.
    fn look(&self, bytes: &[u8]) -> Result<(), ParquetError> {
        let skipped = |why| Err(ParquetError::External(Box::new(Skipped(why))));
        let header = thrift::page_header(bytes);
        let header = header.ok_or_else(|| ParquetError::General("a page has no header".to_owned()))?;
        let mut state = self.state();
        let guard = &mut state.column;
        guard.page = header;
        if header.uncompressed > PAGE_BYTES_MAX {
            return skipped("its pages are too long");
        }
        if header.kind == 2 && header.values > header.uncompressed {
            return Err(ParquetError::General("a dictionary is longer than its page".to_owned()));
        }
        if !ENCODINGS.contains(&header.encoding) {
            return skipped("its encoding is not read here");
        }
        if guard.gzip && header.kind == 3 {
            return skipped("gzip in pages of the second version is not read here");
        }
        guard.values = guard.values.saturating_add(u64::try_from(header.values).unwrap_or(u64::MAX));
        if guard.repeated && guard.values > VALUES_MAX {
            return skipped("its lists are too long");
        }
        Ok(())
    }

    fn failed(&self, error: StoreError) -> ParquetError {
        let text = error.to_string();
        self.state().wrong = Some(error);
        ParquetError::General(text)
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn within((start, bytes): &(u64, Bytes), from: u64, length: u64) -> Option<Bytes> {
    let begin = usize::try_from(from.checked_sub(*start)?).ok()?;
    let end = begin.checked_add(usize::try_from(length).ok()?)?;
    (end <= bytes.len()).then(|| bytes.slice(begin..end))
}

impl Length for Ranged {
    fn len(&self) -> u64 {
        self.size
    }
}

impl ChunkReader for Ranged {
    type T = bytes::buf::Reader<Bytes>;

    /// The crate reads the headers of pages this way, and nothing else.
    fn get_read(&self, start: u64) -> Result<Self::T, ParquetError> {
        let end = self.state().column.end;
        let length = end.saturating_sub(start).min(HEADER_BYTES_MAX);
        let bytes = self.bytes(start, length, end).map_err(|e| self.failed(e))?;
        self.look(&bytes)?;
        Ok(bytes.reader())
    }

    /// And their content this way.
    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes, ParquetError> {
        let (end, guard) = {
            let state = self.state();
            (state.column.end, state.column)
        };
        let bytes = self.bytes(start, length as u64, end).map_err(|e| self.failed(e))?;
        if guard.gzip && !unpacks_to(&bytes, guard.page.uncompressed) {
            return Err(ParquetError::General("a page is longer than its header says".to_owned()));
        }
        Ok(bytes)
    }
}

/// Whether gzip gives no more than that; the crate would take whatever comes.
fn unpacks_to(bytes: &[u8], max: i64) -> bool {
    use std::io::Read;
    let max = u64::try_from(max).unwrap_or(0);
    let mut unpacked = flate2::read::MultiGzDecoder::new(bytes).take(max + 1);
    std::io::copy(&mut unpacked, &mut std::io::sink()).is_ok_and(|length| length <= max)
}
