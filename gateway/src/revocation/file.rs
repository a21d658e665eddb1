//! A file of revocations: one JSON object a line, each with one name and perhaps an end. Empty lines and `#` comments are
//! passed over. `sallyport revoke` writes it; a running gateway reads it again whenever it changes.

use super::{Name, NotAName, Revocations, source};
use crate::state::Gateway;
use crate::watched::Watched;
use certs::{IdentityError, files};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// How often the file is looked at: streams have to end within a second.
const INTERVAL: Duration = Duration::from_millis(250);
/// Entries of a list that is changed: those of any gateway.
pub const ENTRIES_MAX: usize = 10_000_000;
/// The longest file that is read: a file that was named by mistake must not fill the memory.
const BYTES_MAX: u64 = 256 << 20;

/// An entry as it is written.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Line {
    #[serde(skip_serializing_if = "Option::is_none")]
    spiffe_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<SubjectLine>,
    #[serde(skip_serializing_if = "Option::is_none")]
    jti: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    session: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<String>,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct SubjectLine {
    iss: String,
    sub: String,
}

/// Why there is no list of revocations.
#[derive(Debug, thiserror::Error)]
pub enum RevocationsError {
    /// It can't be read.
    #[error("it can't be read")]
    Read(#[from] io::Error),
    /// Longer than any that is read.
    #[error("it is longer than {BYTES_MAX} bytes")]
    TooLong,
    /// Where it should be is nothing.
    #[error("it is not there")]
    NoList,
    /// More entries than may be.
    #[error("it has more than {max} entries (limits.revocations_max)")]
    TooMany {
        /// The limit.
        max: usize,
    },
    /// It can't be written.
    #[error("it can't be written")]
    Write(#[from] IdentityError),
    /// What would be written of it is another list.
    #[error("what would be written does not read the same")]
    NotTheSame,
    /// A line that is no entry.
    #[error("line {number}")]
    Line {
        /// Which, from 1.
        number: usize,
        /// Why.
        source: LineError,
    },
}

/// Why a line is no entry.
#[derive(Debug, thiserror::Error)]
pub enum LineError {
    /// Not JSON, or a member that is not known.
    #[error(transparent)]
    Json(#[from] serde_json::Error),
    /// No name, or two.
    #[error("an entry has one of spiffe_id, subject, jti, session and tool")]
    OneName,
    /// A name that is none.
    #[error(transparent)]
    Name(#[from] NotAName),
    /// Not a time.
    #[error("{0:?} is not a time, as 2026-11-21T10:00:00Z")]
    Until(String),
}

impl Revocations {
    /// Reads a file's text.
    ///
    /// # Errors
    /// [`RevocationsError`] names the first line that is no entry: half a list is none.
    pub fn parse(text: &str, max: usize) -> Result<Self, RevocationsError> {
        let mut revocations = Self::default();
        for (number, line) in text.lines().enumerate().map(|(at, line)| (at + 1, line.trim())) {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (name, until) = entry(line).map_err(|source| RevocationsError::Line { number, source })?;
            revocations.insert(name, until);
            if revocations.len() > max {
                return Err(RevocationsError::TooMany { max });
            }
        }
        Ok(revocations)
    }

    /// Reads a file.
    ///
    /// # Errors
    /// [`RevocationsError`].
    pub fn read(path: &Path, max: usize) -> Result<Self, RevocationsError> {
        if std::fs::metadata(path)?.len() > BYTES_MAX {
            return Err(RevocationsError::TooLong);
        }
        Self::parse(&std::fs::read_to_string(path)?, max)
    }

    /// Revokes a name, until a time or for good. Of two ends of one name the later one holds.
    pub fn insert(&mut self, name: Name<'static>, until: Option<SystemTime>) {
        let later = |known: Option<SystemTime>| known.zip(until).map(|(one, other)| one.max(other));
        self.names.entry(name).and_modify(|known| *known = later(*known)).or_insert(until);
    }

    /// Takes a name off the list; false if it isn't there.
    pub fn remove(&mut self, name: &Name<'static>) -> bool {
        self.names.remove(name).is_some()
    }

    /// Each name, and until when it is revoked.
    pub(super) fn entries(&self) -> impl Iterator<Item = (&Name<'static>, Option<SystemTime>)> {
        self.names.iter().map(|(name, until)| (name, *until))
    }

    /// Until when a name is revoked, if it is on the list.
    pub(super) fn until(&self, name: &Name<'static>) -> Option<Option<SystemTime>> {
        self.names.get(name).copied()
    }

    /// Forgets what is over.
    pub fn forget_ended(&mut self, now: SystemTime) {
        self.names.retain(|_, until| until.is_none_or(|until| now < until));
    }

    /// The file's text: sorted, so that two lists of the same names are the same.
    pub fn text(&self) -> String {
        let sorted: BTreeMap<_, _> = self.names.iter().collect();
        sorted.into_iter().map(|(name, until)| line(name, *until) + "\n").collect()
    }
}

fn entry(line: &str) -> Result<(Name<'static>, Option<SystemTime>), LineError> {
    let Line { spiffe_id, subject, jti, session, tool, until } = serde_json::from_str(line)?;
    let name = match (spiffe_id, subject, jti, session, tool) {
        (Some(id), None, None, None, None) => Name::spiffe_id(&id),
        (None, Some(subject), None, None, None) => Name::subject(&subject.iss, &subject.sub),
        (None, None, Some(jti), None, None) => Name::jti(&jti),
        (None, None, None, Some(session), None) => Name::session(&session),
        (None, None, None, None, Some(tool)) => Name::tool(&tool),
        _ => return Err(LineError::OneName),
    };
    Ok((name?, until.as_deref().map(time).transpose()?))
}

/// A time, as `2026-11-21T10:00:00Z` (RFC 3339).
///
/// # Errors
/// [`LineError::Until`].
pub fn time(text: &str) -> Result<SystemTime, LineError> {
    match OffsetDateTime::parse(text, &Rfc3339) {
        Ok(time) => Ok(time.into()),
        Err(_) => Err(LineError::Until(text.to_owned())),
    }
}

pub(super) fn line(name: &Name<'_>, until: Option<SystemTime>) -> String {
    let mut line = Line { spiffe_id: None, subject: None, jti: None, session: None, tool: None, until: None };
    match name {
        Name::SpiffeId(id) => line.spiffe_id = Some(id.to_string()),
        Name::Subject { iss, sub } => {
            line.subject = Some(SubjectLine { iss: iss.to_string(), sub: sub.to_string() });
        }
        Name::Jti(jti) => line.jti = Some(jti.to_string()),
        Name::Session(digest) => line.session = Some(digest.to_string()),
        Name::Tool { server, tool } => line.tool = Some(format!("{server}/{tool}")),
    }
    line.until = until.and_then(|until| OffsetDateTime::from(until).format(&Rfc3339).ok());
    serde_json::to_string(&line).unwrap_or_default() // Strings alone: it can't fail.
}

/// Changes a file's list in one step, while nobody else does: two at once lose no entry. One that isn't there is made if it may
/// be `new`. It holds no secrets; a file that is there keeps its mode.
///
/// # Errors
/// [`RevocationsError`], or what the change itself fails with; the list is as it was.
pub fn change<E: From<RevocationsError>>(
    path: &Path,
    new: bool,
    change: impl FnOnce(&mut Revocations) -> Result<(), E>,
) -> Result<Revocations, E> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let _locked = locked(folder).map_err(RevocationsError::from)?;
    let mode = match std::fs::metadata(path) {
        Ok(file) => Ok(Some(file.permissions().mode() & 0o777)),
        Err(error) if new && error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(RevocationsError::from(error)),
    }?;
    let mut list = match mode {
        Some(_) => Revocations::read(path, ENTRIES_MAX)?,
        None => Revocations::default(),
    };
    change(&mut list)?;
    let text = list.text();
    if !Revocations::parse(&text, ENTRIES_MAX)?.same(&list) {
        return Err(RevocationsError::NotTheSame.into());
    }
    files::write(path, text.as_bytes(), mode.unwrap_or(0o644)).map_err(RevocationsError::from)?;
    Ok(list)
}

fn locked(folder: &Path) -> io::Result<File> {
    let lock = File::open(folder)?;
    lock.lock()?;
    Ok(lock)
}

/// Follows a file: a list that can be read is what the gateway holds to from then on, anything else leaves the last good
/// one in place, loudly.
pub async fn follow(gateway: Arc<Gateway>, path: PathBuf) {
    let max = gateway.limits.revocations_max;
    let (mut watched, mut up) = (Watched::new(path.clone(), INTERVAL), true);
    loop {
        watched.changed().await;
        let file = path.clone();
        let Ok(read) = tokio::task::spawn_blocking(move || Revocations::read(&file, max)).await else {
            return; // The runtime stops.
        };
        let gone = match &read {
            Err(RevocationsError::Read(error)) => Some(error.to_string()),
            _ => None,
        };
        source::answers(&gateway, std::mem::replace(&mut up, gone.is_none()), gone.as_deref());
        match read {
            Ok(list) => source::swap(&gateway, list),
            Err(error) => source::refuse(&gateway, &path.display().to_string(), &error),
        }
    }
}
