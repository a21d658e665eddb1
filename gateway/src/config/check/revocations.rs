//! `revocations:` as it runs.

use super::Checker;
use crate::config::file::{RedisFile, RevocationsFile};
use crate::config::{RedisList, RevocationsFrom};
use crate::revocation::Revocations;
use crate::revocation::redis::PORT;
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;
use url::Url;

const REDIS: &str = "write rediss://host:6379, or redis://127.0.0.1:6379 for one on this machine";
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
            (None, Some(redis)) => self.redis(redis).map(RevocationsFrom::Redis),
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

    fn redis(&mut self, file: &RedisFile) -> Option<RedisList> {
        let server = self.https_server("revocations.redis.server", &file.server);
        let stale_after = self.problems.duration(
            "revocations.redis.stale_after",
            file.stale_after.as_deref(),
            Duration::from_secs(10),
            Duration::from_secs(1)..=Duration::from_secs(3600),
        );
        if let Some(password) = &file.password_file {
            self.private("revocations.redis.password_file", password);
        }
        let (url, database) = self.redis_url(&file.url)?;
        let server = if url.scheme() == "rediss" { Some(server?) } else { None };
        Some(RedisList {
            url,
            database,
            server,
            username: file.username.clone(),
            password_file: file.password_file.as_ref().map(|path| self.base.join(path)),
            key: file.key.clone().unwrap_or_else(|| KEY.to_owned()),
            stale_after,
            when_away: file.when_away,
        })
    }

    /// A server and one of its databases. What it is told passes no network in the clear.
    fn redis_url(&mut self, text: &str) -> Option<(Url, i64)> {
        let path = "revocations.redis.url";
        let mut url: Url = self.problems.parse(path, text, REDIS)?;
        if !url.username().is_empty() || url.password().is_some() {
            // Not quoted: there may be a password in it.
            let fix = "write `username` and `password_file` beside it";
            self.problems.add(path, "has a user or a password in it", fix);
            return None;
        }
        let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']); // Of this scheme every host is a text.
        let local = host == "localhost" || host.parse().is_ok_and(|address: IpAddr| address.is_loopback());
        let database = match url.path().trim_start_matches('/') {
            "" => Some(0),
            digits => digits.parse().ok().filter(|number: &i64| *number >= 0),
        };
        let known = url.scheme() == "rediss" || (url.scheme() == "redis" && local);
        let plain = url.query().is_none() && url.fragment().is_none() && !host.is_empty();
        let (true, true, Some(database)) = (known, plain, database) else {
            self.problems.add(path, format!("{text:?} is no Redis that may hold the list"), REDIS);
            return None;
        };
        let port = url.port().unwrap_or(PORT);
        url.set_port(Some(port)).ok()?;
        Some((url, database))
    }
}
