//! A file that is looked at again and again. What is read of it, and what becomes of that, is its user's business.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

/// A file, and how it was when it was looked at last.
#[derive(Debug)]
pub(crate) struct Watched {
    path: PathBuf,
    interval: Duration,
    seen: Option<Look>,
}

/// What of a file says that it is another one than before; or that it can't be looked at, and why.
type Look = Result<(SystemTime, i64, i64, u64, u64), io::ErrorKind>;

impl Watched {
    /// A file that nobody has looked at.
    pub(crate) fn new(path: PathBuf, interval: Duration) -> Self {
        Self { path, interval, seen: None }
    }

    /// Waits until the file is another one than at the last look, or has gone. The first look is at once, and always news.
    pub(crate) async fn changed(&mut self) {
        if self.seen.is_none() {
            self.seen = Some(look(self.path.clone()).await);
            return;
        }
        loop {
            tokio::time::sleep(self.interval).await;
            let now = Some(look(self.path.clone()).await);
            if now != self.seen {
                self.seen = now;
                return;
            }
        }
    }
}

async fn look(path: PathBuf) -> Look {
    let file = tokio::fs::metadata(path).await.map_err(|error| error.kind())?;
    let modified = file.modified().map_err(|error| error.kind())?;
    Ok((modified, file.ctime(), file.ctime_nsec(), file.len(), file.ino()))
}
