//! Swaps what may change while requests run: the identity, and the policy set. What can't be used replaces nothing.

use crate::session::KeyRing;
use crate::state::Gateway;
use crate::watched::Watched;
use certs::SharedSource;
use policy::{Budget, PolicySet, Problem, SourceFile};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// How often the file of session keys is looked at.
const KEY_RING_INTERVAL: Duration = Duration::from_millis(500);
/// How often the policy folder is looked at.
const POLICY_INTERVAL: Duration = Duration::from_millis(250);
/// Files and bytes of a policy set: a folder that was named by mistake must not be read for minutes.
const FILES_MAX: usize = 10_000;
const BYTES_MAX: u64 = 64 << 20;

/// Follows the identity source: each generation becomes a snapshot.
pub async fn follow_identity(gateway: Arc<Gateway>, source: SharedSource) {
    let mut changes = source.changes();
    changes.mark_changed(); // It may have changed between the gateway's start and now.
    while changes.changed().await.is_ok() {
        let identity = source.current();
        if identity.generation == gateway.state().identity.generation {
            continue;
        }
        let (kind, outcome) = match identity.is_withdrawn() {
            true => ("identity_withdrawn", "withdrawn"),
            false => ("identity_swapped", "swapped"),
        };
        gateway.audit.event(kind, &format!("generation {}", identity.generation), gateway.clock.now());
        gateway.metrics.reload("identity", outcome);
        gateway.swap(|state| state.identity = Arc::clone(&identity));
        gateway.cut.send_replace(identity.is_withdrawn()); // Who has no name can't go on talking under it.
    }
}

/// Follows the file of session keys: a ring that can be read replaces the last one, anything else leaves it in place.
pub async fn follow_key_ring(gateway: Arc<Gateway>, path: PathBuf) {
    let mut watched = Watched::new(path.clone(), KEY_RING_INTERVAL);
    loop {
        watched.changed().await;
        let Ok(text) = tokio::fs::read_to_string(&path).await else { continue };
        match KeyRing::parse(&text) {
            Ok(ring) if ring.same(&gateway.state().sessions) => {}
            Ok(ring) => {
                let ring = Arc::new(ring);
                gateway.audit.event("key_ring_swapped", &format!("{ring:?}"), gateway.clock.now());
                gateway.swap(|state| state.sessions = Arc::clone(&ring));
            }
            Err(error) => {
                tracing::error!(path = %path.display(), %error, "session keys not swapped, the last good ones stay");
                gateway.audit.event("key_ring_refused", &error.to_string(), gateway.clock.now());
                gateway.reloads.send_modify(|n| *n += 1);
            }
        }
    }
}

/// Follows the policy folder: a set that compiles becomes a snapshot, one that doesn't leaves the last good one in place.
/// `running` is what the gateway was started with.
pub async fn follow_policy(
    gateway: Arc<Gateway>,
    dir: PathBuf,
    budget: Duration,
    mut running: Vec<SourceFile>,
) {
    let mut refused: Option<Vec<SourceFile>> = None;
    let mut seen = None;
    loop {
        tokio::time::sleep(POLICY_INTERVAL).await;
        let Ok(files) = list(&dir) else { continue };
        if seen.as_ref() == Some(&files) {
            continue; // Names, times and lengths are as they were: nothing is read.
        }
        let Ok(found) = read(&dir, &files) else { continue };
        seen = Some(files);
        if same(&found, &running) || refused.as_ref().is_some_and(|r| same(&found, r)) {
            continue;
        }
        // Off the runtime's workers: a large set takes seconds, and requests go on meanwhile.
        let cached_max = gateway.limits.decisions_cached_max;
        let compiled = tokio::task::spawn_blocking(move || {
            let set = PolicySet::compile(&found, Budget { evaluation: budget });
            (found, set.map(|set| set.with_cache(cached_max)))
        });
        let Ok((found, set)) = compiled.await else { continue };
        match set {
            Ok(set) => {
                let set = Arc::new(set);
                tracing::info!(revision = set.revision(), "policy swapped");
                gateway.audit.event("policy_swapped", set.revision(), gateway.clock.now());
                gateway.metrics.reload("policy", "swapped");
                gateway.swap(|state| state.policy = Arc::clone(&set));
                (running, refused) = (found, None);
            }
            Err(problems) => {
                tracing::error!(problems = %listed(&problems), "policy not swapped, the last good set stays");
                gateway.audit.event("policy_refused", &listed(&problems), gateway.clock.now());
                gateway.metrics.reload("policy", "refused");
                refused = Some(found);
                gateway.reloads.send_modify(|n| *n += 1);
            }
        }
    }
}

/// Reads a policy folder: every `.rego`, `.json` and `.yaml` file in it, hidden ones left out.
///
/// # Errors
/// [`std::io::Error`] if the folder can't be read, or holds more than a policy set may.
pub fn read_sources(dir: &Path) -> std::io::Result<Vec<SourceFile>> {
    read(dir, &list(dir)?)
}

/// A policy file as the folder shows it.
#[derive(PartialEq)]
struct Listed {
    path: PathBuf,
    modified: SystemTime,
    bytes: u64,
}

fn list(dir: &Path) -> std::io::Result<Vec<Listed>> {
    let (mut files, mut folders, mut total) = (Vec::new(), vec![dir.to_path_buf()], 0u64);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder)? {
            let path = entry?.path();
            let name = path.file_name().and_then(|n| n.to_str()).unwrap_or_default();
            let source = [".rego", ".json", ".yaml", ".yml"].iter().any(|end| name.ends_with(end));
            if name.starts_with('.') {
                continue;
            }
            let metadata = path.metadata()?;
            if metadata.is_dir() {
                folders.push(path);
            } else if source {
                let bytes = metadata.len();
                total = total.saturating_add(bytes);
                files.push(Listed { path, modified: metadata.modified()?, bytes });
                if files.len() > FILES_MAX || total > BYTES_MAX {
                    return Err(std::io::Error::other("more files or bytes than a policy set may have"));
                }
            }
        }
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(files)
}

fn read(dir: &Path, files: &[Listed]) -> std::io::Result<Vec<SourceFile>> {
    let source = |file: &Listed| {
        let relative = file.path.strip_prefix(dir).unwrap_or(&file.path).to_string_lossy().into_owned();
        Ok(SourceFile { path: relative, text: std::fs::read_to_string(&file.path)? })
    };
    files.iter().map(source).collect()
}

/// Problems, one a line.
pub fn listed(problems: &[Problem]) -> String {
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

fn same(one: &[SourceFile], other: &[SourceFile]) -> bool {
    one.len() == other.len() && one.iter().zip(other).all(|(a, b)| a.path == b.path && a.text == b.text)
}
