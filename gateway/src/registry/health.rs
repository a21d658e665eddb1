//! Which agents answer. Each is connected to again and again, and has to prove its SPIFFE ID; nothing is asked of it.
//! Health is told and decides nothing: an agent that is down is tried all the same when it is called.

use crate::config::Health as Every;
use crate::config::agents::Agent;
use crate::config::problems::chain;
use crate::state::Gateway;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::task::JoinSet;

/// What is known of agents, by name. One that is not there has not been tried.
#[derive(Debug, Default)]
pub struct Health(Mutex<BTreeMap<String, bool>>);

impl Health {
    /// What the list says of an agent.
    pub fn of(&self, agent: &str) -> &'static str {
        match self.0.lock().get(agent) {
            None => "unknown",
            Some(true) => "up",
            Some(false) => "down",
        }
    }
}

/// Follows the agents of each snapshot, as long as the gateway runs.
pub async fn follow(gateway: Arc<Gateway>) {
    let mut reloads = gateway.reloads.subscribe();
    let mut agents = Arc::default();
    let mut looking = JoinSet::new();
    loop {
        let now = gateway.state().agents.clone();
        if !Arc::ptr_eq(&agents, &now) {
            looking.shutdown().await; // So that none of them says anything after this.
            forget(&gateway, |name| now.get(name).is_none_or(|agent| agent.health.is_none()));
            for agent in now.values() {
                if let Some(every) = agent.health {
                    looking.spawn(look(Arc::clone(&gateway), Arc::clone(agent), every));
                }
            }
            agents = now;
        }
        if reloads.changed().await.is_err() {
            return;
        }
    }
}

fn forget(gateway: &Gateway, gone: impl Fn(&str) -> bool) {
    gateway.health.0.lock().retain(|name, _| {
        let gone = gone(name);
        if gone {
            gateway.metrics.agent_gone(name);
        }
        !gone
    });
}

async fn look(gateway: Arc<Gateway>, agent: Arc<Agent>, every: Every) {
    let Some(interface) = agent.first_interface() else { return };
    let over_grpc = agent.grpc.as_ref().is_some_and(|grpc| Arc::ptr_eq(grpc, interface));
    let (name, alpn): (_, &[u8]) = (&agent.name, if over_grpc { b"h2" } else { b"http/1.1" });
    loop {
        let identity = Arc::clone(&gateway.state().identity);
        let reached = gateway.pool.reaches(interface, &identity, alpn, every.timeout).await;
        let is_up = reached.is_ok();
        gateway.metrics.agent_up(name, is_up);
        let was_up = gateway.health.0.lock().insert(name.clone(), is_up).unwrap_or(true);
        match reached {
            Ok(()) if !was_up => gateway.audit.event("agent_up", name, gateway.clock.now()),
            Err(error) if was_up => {
                let cause = chain(&error);
                tracing::warn!(agent = %name, %cause, "the agent does not answer");
                gateway.audit.event("agent_down", &format!("{name}: {cause}"), gateway.clock.now());
            }
            _ => {}
        }
        tokio::time::sleep(every.interval).await;
    }
}
