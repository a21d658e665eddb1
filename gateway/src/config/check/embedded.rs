//! `token-service.yaml` as it runs.

use super::{Checker, parse};
use crate::config::file::{EmbeddedFile, EmbeddedLimitsFile, KeysFile, LifetimesFile, UserFile};
use crate::config::{Problem, Problems};
use crate::token_service::keys::Rotation;
use crate::token_service::settings::{Embedded, EmbeddedLimits, Lifetimes};
use crate::token_service::users::User;
use certs::SpiffeId;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;
use tokens::Secret;

const HOUR: Duration = Duration::from_secs(3600);
const SECOND: Duration = Duration::from_secs(1);
const PASSWORD_MIN: usize = 8;

/// Reads the embedded token service's file and checks all of it.
///
/// # Errors
/// Every [`Problem`] that was found, each with its path and the fix.
pub fn load_embedded(path: &Path) -> Result<Embedded, Vec<Problem>> {
    let mut problems = Problems::default();
    let fix = "name a file that can be read";
    let text = problems.take(&path.display().to_string(), std::fs::read_to_string(path), fix);
    let file: Option<EmbeddedFile> = text.and_then(|text| parse(&text, &mut problems));
    let base = path.parent().unwrap_or(Path::new(".")).to_path_buf();
    let mut checker = Checker { base, problems: &mut problems };
    checker.private("(the file)", path.file_name().map_or(path, Path::new));
    let embedded = file.and_then(|file| checker.embedded(&file));
    match embedded {
        Some(embedded) if problems.is_empty() => Ok(embedded),
        _ => Err(problems.into_vec()),
    }
}

impl Checker<'_> {
    fn embedded(&mut self, file: &EmbeddedFile) -> Option<Embedded> {
        let users: Vec<_> = file
            .users
            .iter()
            .map(|(name, user)| Some((name.clone(), self.user(&format!("users.{name}"), name, user)?)))
            .collect();
        let workloads: Vec<_> = file
            .workloads
            .iter()
            .map(|(id, scopes)| {
                let path = format!("workloads.{id}");
                Some((self.spiffe_id(&path, id)?, self.scope_set(&path, scopes)?))
            })
            .collect();
        let lifetimes = lifetimes(self.problems, &file.lifetimes);
        let keys = keys(self.problems, &file.keys, &lifetimes);
        let limits = embedded_limits(self.problems, &file.limits);
        Some(Embedded {
            users: users.into_iter().collect::<Option<BTreeMap<_, _>>>()?,
            workloads: workloads.into_iter().collect::<Option<BTreeMap<_, _>>>()?,
            keys,
            lifetimes,
            limits,
        })
    }

    fn user(&mut self, path: &str, name: &str, file: &UserFile) -> Option<User> {
        let speaks = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '@' | '+');
        if name.is_empty() || name.len() > 64 || !name.chars().all(speaks) {
            // A colon would let a person have a workload's name.
            self.problems.add(path, "is not a user's name", "use letters, digits and . _ - @ +, at most 64");
        }
        if file.password.chars().count() < PASSWORD_MIN {
            let fix = format!("write at least {PASSWORD_MIN} characters");
            self.problems.add(format!("{path}.password"), "is too short", fix);
        }
        let agents: Vec<Option<SpiffeId>> =
            file.agents.iter().map(|id| self.spiffe_id(&format!("{path}.agents"), id)).collect();
        if agents.is_empty() {
            let fix = "name the workloads that may act for this person, as spiffe://dev.sallyport/agent/demo";
            self.problems.add(format!("{path}.agents"), "is empty", fix);
        }
        Some(User {
            password: Secret::new(file.password.clone()),
            scopes: self.scope_set(&format!("{path}.scopes"), &file.scopes)?,
            agents: agents.into_iter().collect::<Option<_>>()?,
        })
    }

    fn scope_set(&mut self, path: &str, scopes: &[String]) -> Option<BTreeSet<String>> {
        if !scopes.is_empty() && scopes.iter().all(|scope| crate::token_service::is_scope(scope)) {
            return Some(scopes.iter().cloned().collect());
        }
        let fix = "write at least one word without spaces, quotes and backslashes";
        self.problems.add(path, "holds no scope, or one that isn't a scope", fix);
        None
    }
}

fn keys(problems: &mut Problems, file: &KeysFile, lifetimes: &Lifetimes) -> Rotation {
    let mut time = |name: &str, text: &Option<String>, default, least| {
        problems.duration(&format!("keys.{name}"), text.as_deref(), default, least..=HOUR * 24 * 365)
    };
    let rotation = Rotation {
        every: time("every", &file.every, HOUR * 720, SECOND * 60),
        ahead: time("ahead", &file.ahead, SECOND * 300, SECOND),
        overlap: time("overlap", &file.overlap, HOUR * 24, SECOND),
    };
    if rotation.ahead >= rotation.every {
        problems.add(
            "keys.ahead",
            "is no shorter than keys.every",
            "a key has to sign before the next one is made",
        );
    }
    let longest = lifetimes.access_token.max(crate::token_service::CREDENTIAL_TTL);
    if rotation.overlap < longest {
        let fix = format!("choose at least {longest:?}: a key stays until all that it has signed is over");
        problems.add("keys.overlap", "is shorter than a token may live", fix);
    }
    rotation
}

fn lifetimes(problems: &mut Problems, file: &LifetimesFile) -> Lifetimes {
    let mut time = |name: &str, text: &Option<String>, default, most| {
        problems.duration(&format!("lifetimes.{name}"), text.as_deref(), default, SECOND..=most)
    };
    Lifetimes {
        code: time("code", &file.code, SECOND * 60, SECOND * 600),
        access_token: time("access_token", &file.access_token, SECOND * 600, HOUR * 24),
        grant: time("grant", &file.grant, HOUR * 24, HOUR * 24 * 90),
        client: time("client", &file.client, HOUR * 24, HOUR * 24 * 90),
    }
}

fn embedded_limits(problems: &mut Problems, file: &EmbeddedLimitsFile) -> EmbeddedLimits {
    let mut number =
        |name: &str, found, default, range| problems.number(&format!("limits.{name}"), found, default, range);
    let clients_max = number("clients_max", file.clients_max, 100, 1..=100_000);
    let redirect_uris_max = number("redirect_uris_max", file.redirect_uris_max, 5, 1..=100);
    let registrations_per_minute =
        number("registrations_per_minute", file.registrations_per_minute, 30, 1..=100_000);
    let codes_max = number("codes_max", file.codes_max, 100, 1..=100_000);
    let grants_max = number("grants_max", file.grants_max, 1000, 1..=1_000_000);
    let sign_in_failures_max = number("sign_in_failures_max", file.sign_in_failures_max, 5, 1..=1000);
    let connections_max = number("connections_max", file.connections_max, 64, 1..=100_000);
    let body_bytes_max = number("body_bytes_max", file.body_bytes_max, 64 << 10, 1024..=1 << 20);
    let mut time = |name: &str, text: &Option<String>, default, most| {
        problems.duration(&format!("limits.{name}"), text.as_deref(), default, SECOND..=most)
    };
    EmbeddedLimits {
        clients_max,
        redirect_uris_max,
        registrations_per_minute,
        codes_max,
        grants_max,
        sign_in_failures_max,
        sign_in_failures_within: time(
            "sign_in_failures_within",
            &file.sign_in_failures_within,
            SECOND * 60,
            HOUR * 24,
        ),
        connections_max,
        body_bytes_max,
        timeout: time("timeout", &file.timeout, SECOND * 10, SECOND * 60),
    }
}

#[cfg(test)]
mod tests;
