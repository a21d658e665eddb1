//! Holds a file of records against its chain: finds what was changed, removed, moved, inserted or cut, and says where.
//! A [`Verifier`] is shown one line after the other and keeps no more than where it is.

use super::chain::{Hash, Unreadable, hex, place};
use super::trail::Tip;
use std::io::{BufRead, Read, Result};

/// What a file is held against, beside itself.
#[derive(Clone, Copy, Debug, Default)]
pub struct Expect {
    /// The hash that its first record continues; without it the file has to begin with the chain.
    pub from: Option<Hash>,
    /// A record that has to be in it: number and hash.
    pub record: Option<(u64, Hash)>,
}

/// What was found in a file.
#[derive(Debug)]
pub struct Report {
    /// Records whose hash is that of what they hold.
    pub records: u64,
    /// Where the chain ends, if there is one.
    pub tip: Option<Tip>,
    /// Whether its last record says that the gateway stopped.
    pub stopped: bool,
    /// What is wrong, in the order of lines; the first [`DAMAGE_MAX`] of it.
    pub damage: Vec<Damage>,
    /// How much more is wrong.
    pub more: u64,
}

/// Something that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// The line, from 1; the last one and one more for what is missing at the end.
    pub line: u64,
    /// What it is.
    pub what: What,
}

/// Kinds of damage.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum What {
    /// The line is no record.
    #[error("can't be read: {0}")]
    Unreadable(#[from] Unreadable),
    /// The line is longer than lines are read.
    #[error("can't be read: longer than {max} bytes")]
    TooLong {
        /// The bound.
        max: usize,
    },
    /// The hash is not that of what the record holds.
    #[error("changed: the hash of seq {seq} is not that of what it holds")]
    Changed {
        /// As the record says.
        seq: u64,
    },
    /// Numbers are missing before this line.
    #[error("removed: before this line, {} missing", range(*from, *to))]
    Removed {
        /// The first of them.
        from: u64,
        /// The last of them.
        to: u64,
    },
    /// The record belongs further up.
    #[error("moved: seq {seq} belongs further up")]
    Moved {
        /// Which.
        seq: u64,
    },
    /// A number that was there already.
    #[error("inserted: seq {seq} was there before; one of the two doesn't belong here")]
    Repeated {
        /// Which.
        seq: u64,
    },
    /// The record before is not the one that this was chained to.
    #[error(
        "not joined: seq {seq} does not continue the record before it, which is not the one that was written there"
    )]
    NotJoined {
        /// Which.
        seq: u64,
    },
    /// The file begins in the middle of a chain.
    #[error(
        "begins in the middle, with seq {seq}: give the hash of the record before it, if you kept it (--from-hash)"
    )]
    Begins {
        /// With which.
        seq: u64,
    },
    /// The last line has no end.
    #[error(
        "half a line, {bytes} bytes: the gateway is writing it, was killed while it did, or the file was cut; \
         the next start of the gateway cuts it off, and says so in a record"
    )]
    Half {
        /// So long.
        bytes: usize,
    },
    /// The record that has to be there is not.
    #[error("cut: seq {seq} is not in the file, which has to hold it")]
    Cut {
        /// Which.
        seq: u64,
    },
    /// The record that has to be there has another hash.
    #[error("rewritten: seq {seq} has another hash than the one that was kept")]
    Rewritten {
        /// Which.
        seq: u64,
    },
}

impl What {
    /// A word for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unreadable(_) | Self::TooLong { .. } => "unreadable",
            Self::Changed { .. } => "changed",
            Self::Removed { .. } => "removed",
            Self::Moved { .. } => "moved",
            Self::Repeated { .. } => "inserted",
            Self::NotJoined { .. } => "not_joined",
            Self::Begins { .. } => "begins_in_the_middle",
            Self::Half { .. } => "half_line",
            Self::Cut { .. } => "cut",
            Self::Rewritten { .. } => "rewritten",
        }
    }
}

fn range(from: u64, to: u64) -> String {
    if from == to { format!("seq {from} is") } else { format!("seq {from} to {to} are") }
}

/// How much damage is listed.
pub const DAMAGE_MAX: usize = 100;

/// Holds lines against their chain.
#[derive(Debug)]
pub struct Verifier {
    expect: Expect,
    line: u64,
    /// The number that comes next; not known before the first record of a file that begins in the middle.
    next: Option<u64>,
    /// The hash that the next record continues, where it is known.
    tip: Option<Hash>,
    /// Lines since the last record that could not be read: each may have been one.
    unreadable: u64,
    /// Numbers that are missing so far, and the line before which they are.
    missing: Vec<(u64, u64, u64)>,
    found: bool,
    report: Report,
}

impl Verifier {
    /// Begins before the first line.
    pub fn new(expect: Expect) -> Self {
        let (next, tip) = match expect.from {
            Some(hash) => (None, hash),
            None => (Some(0), Hash::default()),
        };
        let report = Report { records: 0, tip: None, stopped: false, damage: Vec::new(), more: 0 };
        Self {
            expect,
            line: 0,
            next,
            tip: Some(tip),
            unreadable: 0,
            missing: Vec::new(),
            found: false,
            report,
        }
    }

    /// Takes the next line, without its line end.
    pub fn check(&mut self, line: &[u8]) {
        self.line += 1;
        let place = match place(line) {
            Ok(place) => place,
            Err(error) => return self.unreadable(error.into()),
        };
        let seq = place.seq;
        if !place.whole {
            self.damage(What::Changed { seq });
            self.next = Some(self.next.unwrap_or(seq).saturating_add(1)); // Its own number may be what was changed.
            self.tip = None;
            return;
        }
        self.report.records += 1;
        self.expected(seq, &place.hash);
        let next = self.next.unwrap_or(seq);
        if seq < next {
            return self.behind(seq);
        }
        if seq == next {
            if self.tip.is_some_and(|tip| tip != place.prev) {
                self.damage(What::NotJoined { seq });
            }
        } else if self.report.tip.is_none() && self.line == 1 {
            self.damage(What::Begins { seq });
        } else if seq - next > self.unreadable && self.missing.len() < DAMAGE_MAX {
            self.missing.push((next, seq - 1, self.line));
        }
        self.next = Some(seq.saturating_add(1));
        self.tip = Some(place.hash);
        self.unreadable = 0;
        self.report.tip = Some(Tip { next: seq.saturating_add(1), hash: place.hash });
        self.report.stopped = place.stopped;
    }

    /// Takes a line that is too long to be held.
    pub fn too_long(&mut self, max: usize) {
        self.line += 1;
        self.unreadable(What::TooLong { max });
    }

    /// Ends behind the last line; `half` is the length of what stands behind the last line end.
    pub fn end(mut self, half: usize) -> Report {
        for (from, to, line) in std::mem::take(&mut self.missing) {
            self.damage_at(line, What::Removed { from, to });
        }
        self.line += 1;
        if half > 0 {
            self.damage(What::Half { bytes: half });
        }
        if let Some((seq, _)) = self.expect.record.filter(|_| !self.found) {
            self.damage(What::Cut { seq });
        }
        self.report.damage.sort_by_key(|damage| damage.line);
        self.report
    }

    fn unreadable(&mut self, what: What) {
        self.damage(what);
        self.unreadable += 1;
    }

    fn expected(&mut self, seq: u64, hash: &Hash) {
        if let Some((_, kept)) = self.expect.record.filter(|(number, _)| *number == seq) {
            self.found = true;
            if kept != *hash {
                self.damage(What::Rewritten { seq });
            }
        }
    }

    /// A number that is lower than the next: one that was missed, or one too many.
    fn behind(&mut self, seq: u64) {
        let Some(at) = self.missing.iter().position(|(from, to, _)| (*from..=*to).contains(&seq)) else {
            return self.damage(What::Repeated { seq });
        };
        let (from, to, line) = self.missing.swap_remove(at);
        self.missing.extend([(from, seq.wrapping_sub(1), line)].into_iter().filter(|_| seq > from));
        self.missing.extend([(seq + 1, to, line)].into_iter().filter(|_| seq < to));
        self.damage(What::Moved { seq });
    }

    fn damage(&mut self, what: What) {
        self.damage_at(self.line, what);
    }

    fn damage_at(&mut self, line: u64, what: What) {
        if self.report.damage.len() < DAMAGE_MAX {
            self.report.damage.push(Damage { line, what });
        } else {
            self.report.more += 1;
        }
    }
}

/// Verifies all that a reader gives, holding one line at a time, of at most so many bytes. `read` hears how many bytes each
/// line had.
///
/// # Errors
/// [`std::io::Error`] if it can't be read.
pub fn verify(
    mut lines: impl BufRead,
    expect: Expect,
    line_bytes_max: usize,
    mut read: impl FnMut(usize),
) -> Result<Report> {
    let mut verifier = Verifier::new(expect);
    let mut line = Vec::new();
    loop {
        line.clear();
        let most = u64::try_from(line_bytes_max).unwrap_or(u64::MAX).saturating_add(1);
        let length = Read::by_ref(&mut lines).take(most).read_until(b'\n', &mut line)?;
        read(length);
        match line.split_last() {
            None => return Ok(verifier.end(0)),
            Some((b'\n', record)) => verifier.check(record),
            Some(_) if length <= line_bytes_max => return Ok(verifier.end(length)),
            Some(_) => {
                verifier.too_long(line_bytes_max);
                read(lines.skip_until(b'\n')?);
            }
        }
    }
}

/// A record's place in the chain as a person keeps it: `SEQ:HASH`.
pub fn written(tip: &Tip) -> String {
    format!("{}:{}", tip.next.saturating_sub(1), hex(&tip.hash))
}

#[cfg(test)]
mod tests;
