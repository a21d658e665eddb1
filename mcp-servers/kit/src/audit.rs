//! One line for each request: who, what, and how it went. Never an argument or a token; of arguments there is a digest.
//! `docs/adding-an-mcp-server.md` has the table of the fields.

use serde::Serialize;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokens::Claims;

/// Lines go to a file of their own, or to the log.
#[derive(Debug, Default)]
pub(crate) struct Audit {
    file: Option<Mutex<File>>,
    broken: AtomicBool,
}

/// What is known of a request when it is over.
pub(crate) struct Line<'r> {
    pub(crate) at: SystemTime,
    pub(crate) server: &'r str,
    pub(crate) claims: Option<&'r Claims>,
    pub(crate) method: Option<&'r str>,
    pub(crate) tool: Option<&'r str>,
    pub(crate) target: Option<&'r str>,
    pub(crate) scope: Option<&'r str>,
    pub(crate) arguments: Option<&'r str>,
    pub(crate) status: Option<u16>,
    pub(crate) outcome: &'r str,
    pub(crate) took: Duration,
}

#[derive(Serialize)]
struct Written<'r> {
    at: String,
    server: &'r str,
    subject: Option<&'r str>,
    actors: &'r [String],
    token: Option<&'r str>,
    method: Option<&'r str>,
    tool: Option<&'r str>,
    target_digest: Option<&'r str>,
    scope: Option<&'r str>,
    arguments_digest: Option<&'r str>,
    status: Option<u16>,
    outcome: &'r str,
    microseconds: u64,
}

impl Audit {
    /// Lines go to this file, behind what stands there already; to the log if there is none.
    ///
    /// # Errors
    /// The system's, if it can't be opened or made.
    pub(crate) fn open(path: Option<&Path>) -> std::io::Result<Self> {
        let open = |path| OpenOptions::new().append(true).create(true).mode(0o600).open(path);
        Ok(Self { file: path.map(open).transpose()?.map(Mutex::new), broken: AtomicBool::new(false) })
    }

    /// Whether the last line could be kept.
    pub(crate) fn is_whole(&self) -> bool {
        !self.broken.load(Ordering::Relaxed)
    }

    /// Keeps a line, whole or not at all.
    pub(crate) fn write(&self, line: &Line<'_>) {
        let written = line.written();
        let Some(file) = &self.file else { return written.log() };
        let Ok(mut text) = serde_json::to_vec(&written) else { return written.log() }; // It is text and numbers.
        text.push(b'\n');
        if self.broken.load(Ordering::Relaxed) {
            text.insert(0, b'\n'); // Half a line may stand there: it must not swallow this one.
        }
        let kept = file.lock().unwrap_or_else(PoisonError::into_inner).write_all(&text);
        let failed = kept.is_err();
        if let Err(error) = kept {
            tracing::error!(%error, "the audit file can't be written; the line stands here");
            written.log();
        }
        self.broken.store(failed, Ordering::Relaxed);
    }
}

impl<'r> Line<'r> {
    fn written(&self) -> Written<'r> {
        let at = OffsetDateTime::from(self.at).format(&Rfc3339).unwrap_or_default(); // The year has four digits.
        Written {
            at,
            server: self.server,
            subject: self.claims.map(|c| c.sub.as_str()),
            actors: self.claims.map_or(&[], |c| c.actors.as_slice()),
            token: self.claims.and_then(|c| c.jti.as_deref()),
            method: self.method,
            tool: self.tool,
            target_digest: self.target,
            scope: self.scope,
            arguments_digest: self.arguments,
            status: self.status,
            outcome: self.outcome,
            microseconds: u64::try_from(self.took.as_micros()).unwrap_or(u64::MAX),
        }
    }
}

impl Written<'_> {
    fn log(&self) {
        tracing::info!(
            server = self.server,
            subject = self.subject,
            actors = ?self.actors,
            token = self.token,
            method = self.method,
            tool = self.tool,
            target_digest = self.target_digest,
            scope = self.scope,
            arguments_digest = self.arguments_digest,
            status = self.status,
            outcome = self.outcome,
            microseconds = self.microseconds,
            "request"
        );
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test ends by panicking")]
    use super::*;
    use serde_json::Value;

    fn line<'r>(claims: &'r Claims, outcome: &'r str) -> Line<'r> {
        Line {
            at: SystemTime::UNIX_EPOCH,
            server: "clock",
            claims: Some(claims),
            method: Some("tools/call"),
            tool: Some("now"),
            target: None,
            scope: Some("clock:now"),
            arguments: Some("sha256:00"),
            status: Some(200),
            outcome,
            took: Duration::from_micros(7),
        }
    }

    #[test]
    fn lines_are_added_and_name_the_whole_chain() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("audit.jsonl");
        let claims = Claims {
            sub: "alice".into(),
            actors: vec!["spiffe://d.test/b".into(), "spiffe://d.test/a".into()],
            jti: Some("t1".into()),
            ..Claims::default()
        };
        for outcome in ["ok", "not_found"] {
            Audit::open(Some(&path)).unwrap().write(&line(&claims, outcome));
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(
            lines[0],
            serde_json::json!({
                "at": "1970-01-01T00:00:00Z", "server": "clock", "subject": "alice",
                "actors": ["spiffe://d.test/b", "spiffe://d.test/a"], "token": "t1",
                "method": "tools/call", "tool": "now", "target_digest": null, "scope": "clock:now",
                "arguments_digest": "sha256:00", "status": 200, "outcome": "ok", "microseconds": 7,
            })
        );
        assert_eq!((lines.len(), &lines[1]["outcome"]), (2, &Value::from("not_found")));
    }

    #[test]
    fn a_file_that_takes_no_more_is_noticed() {
        let audit = Audit::open(Some(Path::new("/dev/full"))).unwrap();
        assert!(audit.is_whole());
        audit.write(&line(&Claims::default(), "ok"));
        assert!(!audit.is_whole());
    }
}
