//! Where it is kept whose tasks are, and what else replicas have to share.

use super::Checker;
use super::redis::Written;
use crate::config::file::{ConfigFile, TasksFile, TasksRedisFile};
use crate::config::{RedisTasks, TasksIn};
use std::time::Duration;

const PREFIX: &str = "sallyport:tasks";
const PREFIX_BYTES_MAX: usize = 128;
const REPLICAS_MAX: usize = 10_000;

impl Checker<'_> {
    pub(super) fn tasks(&mut self, file: &TasksFile) -> Option<TasksIn> {
        match (&file.sqlite, &file.redis) {
            (Some(_), Some(_)) => {
                let fix = "take out one of the two";
                self.problems.add("tasks", "they are in `sqlite` or in `redis`, not in both", fix);
                None
            }
            (Some(path), None) => Some(TasksIn::Sqlite(self.base.join(path))),
            (None, Some(redis)) => self.redis_tasks(redis).map(|redis| TasksIn::Redis(Box::new(redis))),
            (None, None) => Some(TasksIn::Memory),
        }
    }

    fn redis_tasks(&mut self, file: &TasksRedisFile) -> Option<RedisTasks> {
        let timeout = self.problems.duration(
            "tasks.redis.timeout",
            file.timeout.as_deref(),
            Duration::from_secs(2),
            Duration::from_millis(10)..=Duration::from_secs(30),
        );
        let prefix = file.prefix.as_deref().unwrap_or(PREFIX);
        if !is_prefix(prefix) {
            let fix = format!("write 1 to {PREFIX_BYTES_MAX} letters, digits and . : _ - /");
            self.problems.add("tasks.redis.prefix", "is nothing that keys may begin with", fix);
        }
        let at = self.redis_server(&Written {
            path: "tasks.redis",
            url: &file.url,
            server: &file.server,
            username: file.username.as_deref(),
            password_file: file.password_file.as_deref(),
        });
        Some(RedisTasks { at: at?, prefix: prefix.to_owned(), timeout })
    }

    /// Several gateways with one configuration: what one of them knows and the others don't must be nothing that a caller
    /// could tell, or use.
    pub(super) fn replicas(&mut self, file: &ConfigFile) -> usize {
        let replicas = self.problems.number("replicas", file.replicas, 1, 1..=REPLICAS_MAX);
        if replicas == 1 {
            return replicas;
        }
        let has_agents = !file.agents.is_empty();
        if has_agents && file.tasks.redis.is_none() {
            let wrong = match &file.tasks.sqlite {
                Some(_) => format!("an SQLite file is for one machine, and there are {replicas} replicas"),
                None => format!("{replicas} replicas would not know each other's tasks"),
            };
            self.problems.add("tasks", wrong, "write `redis: {url: rediss://…}`, or leave `replicas` at 1");
        }
        if has_agents && file.cards.key.is_none() {
            let wrong = format!("{replicas} replicas would sign cards with a key each, and publish one");
            self.problems.add("cards.key", wrong, "write it, the same for all of them");
        }
        if !file.servers.is_empty() && file.sessions.key_ring.is_none() {
            let wrong = format!("{replicas} replicas would not know each other's sessions");
            let fix = "write it, the same for all of them: `openssl rand -base64 32`";
            self.problems.add("sessions.key_ring", wrong, fix);
        }
        replicas
    }
}

/// No braces: they stand around it in each key, so that no two prefixes give the same key.
fn is_prefix(text: &str) -> bool {
    (1..=PREFIX_BYTES_MAX).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b".:_-/".contains(&b))
}
