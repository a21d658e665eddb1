//! Follows the agents of the configuration file, and where their events may go. A file that checks out as a whole gives the next snapshot its agents; any other
//! leaves them in place. What else is changed in it waits for the next start, and that is said.

use crate::cards;
use crate::config::problems::chain;
use crate::config::{self, Agent, Config, Problem, Written};
use crate::reload::listed;
use crate::route::Agents;
use crate::state::Gateway;
use crate::watched::Watched;
use std::sync::Arc;
use std::time::Duration;

/// How often the configuration file is looked at.
const INTERVAL: Duration = Duration::from_millis(500);

/// Follows the agents, beginning with the file as it was read at the start.
pub async fn follow_agents(gateway: Arc<Gateway>, started: Written) {
    let mut watched = Watched::new(started.path().to_path_buf(), INTERVAL);
    let (mut running, mut last) = (started.clone(), started.clone());
    loop {
        watched.changed().await;
        let path = started.path().to_path_buf();
        let found = match tokio::fs::read_to_string(&path).await {
            Ok(text) => Written::new(&path, &text),
            Err(error) => {
                tracing::error!(%error, "the configuration file can't be read, the last good agents stay");
                continue;
            }
        };
        if found == last {
            continue; // It was touched, or a remark was written.
        }
        let more = !found.same_rest(&last) && !found.same_rest(&started);
        last = found;
        // Off the runtime's workers: keys and lists are read with it.
        let Ok(loaded) = tokio::task::spawn_blocking(move || config::load(&path)).await else { continue };
        let config = match loaded.and_then(|config| among_replicas(config, &gateway)) {
            Ok(config) => config,
            Err(problems) => {
                refuse(&gateway, &listed(&problems));
                continue;
            }
        };
        if more {
            tracing::warn!(
                "the configuration has changed in more than its agents: that is used after a restart"
            );
        }
        if config.written.same_agents(&running) {
            continue;
        }
        let before = gateway.state();
        let agents = same_where_unchanged(config.agents, &before.agents);
        let clients_before = (&*before.agents, &*before.card_clients);
        let clients = match cards::clients(&agents, clients_before, &gateway.source, &gateway.clock) {
            Ok(clients) => Arc::new(clients),
            Err(error) => {
                refuse(&gateway, &chain(&error));
                continue;
            }
        };
        let names: Vec<&str> = agents.keys().map(String::as_str).collect();
        gateway.audit.event("agents_swapped", &names.join(", "), gateway.clock.now());
        gateway.metrics.reload("agents", "swapped");
        let agents = Arc::new(agents);
        gateway.push.allow(config.push.targets); // Before the agents: the first of them to relay must not find the old list.
        gateway.swap(|state| {
            state.agents = Arc::clone(&agents);
            state.card_clients = Arc::clone(&clients);
        });
        running = config.written;
    }
}

/// The new agents; one that is written as before stays what it was, so that whoever follows it goes on.
fn same_where_unchanged(agents: Agents, before: &Agents) -> Agents {
    let same = |(name, agent): (String, Arc<Agent>)| {
        let agent = before.get(&name).filter(|other| **other == agent).cloned().unwrap_or(agent);
        (name, agent)
    };
    agents.into_iter().map(same).collect()
}

fn refuse(gateway: &Gateway, problems: &str) {
    tracing::error!(%problems, "agents not swapped, the last good ones stay");
    gateway.audit.event("agents_refused", problems, gateway.clock.now());
    gateway.metrics.reload("agents", "refused");
    gateway.reloads.send_modify(|n| *n += 1);
}

/// The store of tasks is that of the start: where replicas share none, there are no agents until a restart.
fn among_replicas(config: Config, gateway: &Gateway) -> Result<Config, Vec<Problem>> {
    if config.replicas == 1 || config.agents.is_empty() || gateway.tasks.is_shared() {
        return Ok(config);
    }
    let (wrong, fix) =
        ("the store of tasks that replicas share is opened at the start", "start the gateway again");
    Err(vec![Problem { path: "agents".into(), wrong: wrong.into(), fix: fix.into() }])
}
