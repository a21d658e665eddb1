//! `revocations:` as it runs.

use super::Checker;
use super::redis::Written;
use crate::config::file::{RevocationsFile, RevocationsRedisFile};
use crate::config::{RedisList, RevocationsFrom};
use crate::revocation::Revocations;
use std::path::Path;
use std::time::Duration;

const KEY: &str = "sallyport:revocations";

impl Checker<'_> {
    /// Where the list is. A file that can't be read is a mistake: without it the gateway would let in too many.
    pub(super) fn revocations(&mut self, file: &RevocationsFile, max: usize) -> Option<RevocationsFrom> {
        match (&file.file, &file.redis) {
            (Some(_), Some(_)) => {
                let fix = "take out one of the two";
                self.problems.add("revocations", "the list is in `file` or in `redis`, not in both", fix);
                None
            }
            (Some(path), None) => self.revocations_file(path, max),
            (None, Some(redis)) => self.redis_list(redis).map(RevocationsFrom::Redis),
            (None, None) => None,
        }
    }

    fn revocations_file(&mut self, path: &Path, max: usize) -> Option<RevocationsFrom> {
        let full = self.existing("revocations.file", path);
        if !full.exists() {
            return None; // That it isn't there has been noted.
        }
        let read = Revocations::read(&full, max);
        let fix = "write it with `sallyport revoke --file`; an empty file revokes nothing";
        let list = self.problems.take("revocations.file", read, fix)?;
        Some(RevocationsFrom::File(full, list))
    }

    fn redis_list(&mut self, file: &RevocationsRedisFile) -> Option<RedisList> {
        let stale_after = self.problems.duration(
            "revocations.redis.stale_after",
            file.stale_after.as_deref(),
            Duration::from_secs(10),
            Duration::from_secs(1)..=Duration::from_secs(3600),
        );
        let at = self.redis_server(&Written {
            path: "revocations.redis",
            url: &file.url,
            server: &file.server,
            username: file.username.as_deref(),
            password_file: file.password_file.as_deref(),
        });
        Some(RedisList {
            at: at?,
            key: file.key.clone().unwrap_or_else(|| KEY.to_owned()),
            stale_after,
            when_away: file.when_away,
        })
    }
}
