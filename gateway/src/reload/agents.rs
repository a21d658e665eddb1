//! Follows the agents of the configuration file. A file that checks out as a whole gives the next snapshot its agents; any other
//! leaves them in place. What else is changed in it waits for the next start, and that is said.

use crate::config::{self, Written};
use crate::reload::listed;
use crate::state::Gateway;
use crate::watched::Watched;
use std::sync::Arc;
use std::time::Duration;

/// How often the configuration file is looked at.
const INTERVAL: Duration = Duration::from_millis(500);

/// Follows the agents, beginning with the file as it was read at the start.
pub async fn follow_agents(gateway: Arc<Gateway>, started: Written) {
    let mut watched = Watched::new(started.path().to_path_buf(), INTERVAL);
    let (mut running, mut last_rest) = (started.clone(), started);
    loop {
        watched.changed().await;
        let path = running.path().to_path_buf();
        // Off the runtime's workers: keys and lists are read with it.
        let Ok(loaded) = tokio::task::spawn_blocking(move || config::load(&path)).await else { continue };
        let config = match loaded {
            Ok(config) => config,
            Err(problems) => {
                let problems = listed(&problems);
                tracing::error!(%problems, "agents not swapped, the last good ones stay");
                gateway.audit.event("agents_refused", &problems, gateway.clock.now());
                gateway.metrics.reload("agents", "refused");
                gateway.reloads.send_modify(|n| *n += 1);
                continue;
            }
        };
        if !config.written.same_rest(&last_rest) {
            tracing::warn!(
                "the configuration has changed in more than its agents: that is used after a restart"
            );
            last_rest = config.written.clone();
        }
        if config.written.same_agents(&running) {
            continue;
        }
        let names: Vec<&str> = config.agents.keys().map(String::as_str).collect();
        gateway.audit.event("agents_swapped", &names.join(", "), gateway.clock.now());
        gateway.metrics.reload("agents", "swapped");
        let agents = Arc::new(config.agents);
        gateway.swap(|state| state.agents = Arc::clone(&agents));
        running = config.written;
    }
}
