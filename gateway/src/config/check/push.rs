//! `push:` as it runs.

use super::Checker;
use crate::config::HttpsServer;
use crate::config::file::PushesFile;
use crate::config::push::Relay;
use crate::push::Targets;
use crate::push::target::{Network, Prefix};
use std::time::Duration;

const PREFIX: &str = "write an https URL without user, query and fragment, as https://hooks.example/a2a";
const NETWORK: &str = "write a network whose address ends in zeros, as 10.1.0.0/16";

impl Checker<'_> {
    pub(super) fn pushes(&mut self, file: &PushesFile) -> Relay {
        let ms = Duration::from_millis;
        let (second, hour) = (ms(1000), ms(3_600_000));
        let mut targets = Targets::default();
        for (at, text) in file.allow.iter().enumerate() {
            match text.parse::<Prefix>() {
                Ok(prefix) => targets.allow.push(prefix),
                Err(wrong) => self.problems.add(format!("push.allow[{at}]"), wrong, PREFIX), // There may be a password in it.
            }
        }
        for (at, text) in file.private_addresses.iter().enumerate() {
            let path = format!("push.private_addresses[{at}]");
            targets.private.extend(self.problems.parse::<Network>(&path, text, NETWORK));
        }
        let server = match &file.ca_file {
            Some(ca) => HttpsServer::CaFile(self.existing("push.ca_file", ca)),
            None => HttpsServer::System,
        };
        let problems = &mut *self.problems;
        let mut time = |name: &str, text: &Option<String>, usual, range| {
            problems.duration(&format!("push.{name}"), text.as_deref(), usual, range)
        };
        let timeout = time("timeout", &file.timeout, second * 10, ms(100)..=second * 300);
        let back_off = time("back_off", &file.back_off, second, ms(1)..=hour);
        let back_off_max = time("back_off_max", &file.back_off_max, second * 60, ms(1)..=hour);
        let lifetime = time("lifetime", &file.lifetime, hour * 24, second..=hour * 24 * 30);
        let mut number =
            |name: &str, found, usual, range| problems.number(&format!("push.{name}"), found, usual, range);
        let attempts = number("attempts", file.attempts, 6, 1..=100);
        let queue_max = number("queue_max", file.queue_max, 1024, 1..=1_000_000);
        let body_bytes_max = number("body_bytes_max", file.body_bytes_max, 256 << 10, 1024..=64 << 20);
        Relay {
            targets,
            server,
            timeout,
            attempts,
            back_off,
            back_off_max: back_off_max.max(back_off),
            queue_max,
            body_bytes_max,
            lifetime,
        }
    }
}
