//! The file of records: where its chain ends, and bytes that get into it whole or not at all.

use super::chain::{Hash, place};
use std::fs::{File, OpenOptions};
use std::io::{Error, ErrorKind, Read, Result, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Something that bytes are appended to. A file; in tests one that fails when it is told to.
pub(super) trait Medium: Send + 'static {
    /// Appends all of them; an error may leave some of them there.
    fn append(&mut self, bytes: &[u8]) -> Result<()>;
    /// Returns when they can't be lost any more.
    fn sync(&mut self) -> Result<()>;
    /// Cuts off what stands behind a length; nothing, if it is no longer than that.
    fn cut(&mut self, length: u64) -> Result<()>;
}

/// A file of records, of which the part that is good is known.
#[derive(Debug)]
pub(super) struct Trail<M> {
    medium: M,
    good: u64,
    durable: bool,
    clean: bool,
}

/// Where a chain ends: what the next record continues.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tip {
    /// The next record's number.
    pub next: u64,
    /// The last record's hash.
    pub hash: Hash,
}

/// The end of a file.
#[derive(Debug, PartialEq, Eq)]
struct End {
    tip: Tip,
    /// Bytes up to and with the last line end.
    whole: u64,
    /// What stands behind it.
    rest: Rest,
}

#[derive(Debug, PartialEq, Eq)]
enum Rest {
    Nothing,
    /// A record that only lacks its line end.
    Record(Tip),
    /// A line that was never finished.
    Half(u64),
}

/// What was done to a file before it could be continued.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) trail: Trail<File>,
    pub(super) tip: Tip,
    /// Bytes of an unfinished line that were cut off.
    pub(super) cut: u64,
}

/// The end of a file is looked for in this many of its last bytes, then in more; no record is longer than the largest.
const WINDOW: u64 = 64 << 10;
const WINDOW_MAX: u64 = 1 << 30;

impl Trail<File> {
    /// Opens (or makes, with mode 0600) a file, and finds where its chain ends. A half line at its end is cut off: it was
    /// never a record, and nobody was told that it is one. `durable`: what is stored is synced.
    ///
    /// # Errors
    /// [`Error`] if the file can't be read and appended to, another process appends to it (a chain has one writer), or it
    /// holds something else than records.
    pub(super) fn open(path: &Path, durable: bool) -> Result<Opened> {
        let mut file = OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(path)?;
        file.try_lock().map_err(|_| Error::other("another gateway writes to it"))?;
        let End { mut tip, whole, rest } = end_of(&mut file)?;
        let mut cut = 0;
        match rest {
            Rest::Nothing => {}
            Rest::Record(last) => {
                file.write_all(b"\n")?;
                tip = last;
            }
            Rest::Half(bytes) => {
                file.set_len(whole)?;
                cut = bytes;
            }
        }
        if durable {
            file.sync_all()?;
            if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
                File::open(folder)?.sync_all()?; // Else a new file's name may be lost with all that is in it.
            }
        }
        let good = file.metadata()?.len();
        Ok(Opened { trail: Self::new(file, good, durable), tip, cut })
    }
}

impl<M: Medium> Trail<M> {
    pub(super) fn new(medium: M, good: u64, durable: bool) -> Self {
        Self { medium, good, durable, clean: true }
    }

    /// Appends bytes, and syncs them if that is asked for. After an error none of them count: what got into the file is cut
    /// off before the next attempt, also what was written and not synced, which a second sync would not bring back.
    pub(super) fn store(&mut self, bytes: &[u8]) -> Result<()> {
        if !self.clean {
            self.medium.cut(self.good)?;
        }
        self.clean = false;
        self.medium.append(bytes)?;
        if self.durable {
            self.medium.sync()?;
        }
        self.good += u64::try_from(bytes.len()).map_err(Error::other)?;
        self.clean = true;
        Ok(())
    }

    /// Cuts off what an attempt that failed has left.
    pub(super) fn tidy(&mut self) -> Result<()> {
        if self.clean { Ok(()) } else { self.medium.cut(self.good) }
    }
}

impl Medium for File {
    fn append(&mut self, bytes: &[u8]) -> Result<()> {
        self.write_all(bytes)
    }

    fn sync(&mut self) -> Result<()> {
        self.sync_data()
    }

    fn cut(&mut self, length: u64) -> Result<()> {
        if self.metadata()?.len() > length { self.set_len(length) } else { Ok(()) }
    }
}

/// Where the chain of a file ends.
///
/// # Errors
/// [`Error`] if it can't be read, or holds no record although it isn't empty.
pub fn tip_of(path: &Path) -> Result<Tip> {
    let End { tip, rest, .. } = end_of(&mut File::open(path)?)?;
    Ok(if let Rest::Record(last) = rest { last } else { tip })
}

/// Reads a file from its end: the last line that is a record is what the chain goes on from. What isn't a record is left
/// standing for the verifier to name, but for a half line at the very end.
fn end_of(file: &mut File) -> Result<End> {
    let length = file.metadata()?.len();
    let mut window = WINDOW;
    loop {
        let from = length.saturating_sub(window);
        file.seek(SeekFrom::Start(from))?;
        let mut bytes = Vec::new();
        (&*file).take(length - from).read_to_end(&mut bytes)?;
        if let Some(end) = end_in(&bytes, from) {
            return Ok(end);
        }
        if from == 0 && bytes.is_empty() {
            return Ok(End { tip: Tip::default(), whole: 0, rest: Rest::Nothing });
        }
        if from == 0 || window >= WINDOW_MAX {
            let what = "it is not empty, and there is no audit record at its end: move it away, or name another file";
            return Err(Error::new(ErrorKind::InvalidData, what));
        }
        window *= 16;
    }
}

/// The same in the last bytes of a file, which begin at an offset; None if there is no record in them.
fn end_in(bytes: &[u8], from: u64) -> Option<End> {
    let ends = bytes.iter().rposition(|byte| *byte == b'\n')? + 1;
    let (lines, rest) = bytes.split_at(ends);
    let mut lines = lines.split(|byte| *byte == b'\n').rev().skip(1);
    let tip = lines.find_map(tip_behind)?;
    let rest = match tip_behind(rest) {
        _ if rest.is_empty() => Rest::Nothing,
        Some(last)
            if last.next == tip.next + 1 && place(rest).is_ok_and(|p| p.whole && p.prev == tip.hash) =>
        {
            Rest::Record(last)
        }
        _ => Rest::Half(u64::try_from(rest.len()).ok()?),
    };
    Some(End { tip, whole: from + u64::try_from(ends).ok()?, rest })
}

fn tip_behind(line: &[u8]) -> Option<Tip> {
    let place = place(line).ok()?;
    Some(Tip { next: place.seq.checked_add(1)?, hash: place.hash })
}

#[cfg(test)]
mod tests;
