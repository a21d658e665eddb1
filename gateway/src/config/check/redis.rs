//! A Redis, checked, wherever it stands in the file.

use super::Checker;
use crate::config::RedisServer;
use crate::config::file::HttpsFile;
use crate::redis::PORT;
use std::net::IpAddr;
use std::path::Path;
use url::Url;

const REDIS: &str = "write rediss://host:6379, or redis://127.0.0.1:6379 for one on this machine";

/// How to get to a Redis, as it is written at `path`.
pub(super) struct Written<'f> {
    pub(super) path: &'static str,
    pub(super) url: &'f str,
    pub(super) server: &'f HttpsFile,
    pub(super) username: Option<&'f str>,
    pub(super) password_file: Option<&'f Path>,
}

impl Checker<'_> {
    pub(super) fn redis_server(&mut self, written: &Written<'_>) -> Option<RedisServer> {
        let path = written.path;
        let server = self.https_server(&format!("{path}.server"), written.server);
        if let Some(password) = written.password_file {
            self.private(&format!("{path}.password_file"), password);
        }
        let (url, database) = self.redis_url(&format!("{path}.url"), written.url)?;
        let server = if url.scheme() == "rediss" { Some(server?) } else { None };
        Some(RedisServer {
            url,
            database,
            server,
            username: written.username.map(str::to_owned),
            password_file: written.password_file.map(|file| self.base.join(file)),
        })
    }

    /// A server and one of its databases. What it is told passes no network in the clear.
    fn redis_url(&mut self, path: &str, text: &str) -> Option<(Url, i64)> {
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
            self.problems.add(path, format!("{text:?} is no Redis that this may be kept in"), REDIS);
            return None;
        };
        let port = url.port().unwrap_or(PORT);
        url.set_port(Some(port)).ok()?;
        Some((url, database))
    }
}
