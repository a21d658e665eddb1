//! The relay of push notifications, as it runs.

use super::HttpsServer;
use crate::push::Targets;
use std::time::Duration;

/// How events are taken to where callers want them; see [`file::PushesFile`](super::file::PushesFile) for what each means.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the names are those of the file, where each is explained")]
pub struct Relay {
    pub targets: Targets,
    /// What the target's server must prove: its host name.
    pub server: HttpsServer,
    pub timeout: Duration,
    pub attempts: usize,
    pub back_off: Duration,
    pub back_off_max: Duration,
    pub queue_max: usize,
    pub body_bytes_max: usize,
    pub lifetime: Duration,
}
