//! The embedded token service, as every world has it.

use super::{Actor, Says, TokenService};
use crate::World;
use std::collections::BTreeSet;
use std::time::Duration;

pub struct Embedded;

static NOTHING: BTreeSet<String> = BTreeSet::new();

impl TokenService for Embedded {
    const SAYS: Says = Says {
        actor: Actor::Named,
        wider: "scope_refused",
        person: "scope_refused",
        audience: "audience_refused",
        expired: "credential_refused",
        alone: ("  without_subject: exchange", Ok("spiffe://bank.test/agent/robot")),
    };

    async fn start(_: &World) -> Option<Self> {
        Some(Self)
    }

    fn known(&self, config: &str, leeway: &str, options: &str) -> String {
        config
            .replace("leeway: 0s", &format!("leeway: {leeway}"))
            .replace("actor_key: actor.key", &format!("actor_key: actor.key\n{options}"))
            .replace("subject: required", "subject: optional")
    }

    async fn token(&self, world: &World, account: &'static str) -> String {
        world.token_with("agent/clerk", |claims| {
            claims.subject = account;
            if account != "alice" {
                claims.scopes = &NOTHING;
            }
        })
    }

    async fn expired(&self, world: &World) -> String {
        world.token_at("agent/clerk", world.clock.now() - Duration::from_secs(60), |claims| {
            claims.ttl = Duration::from_secs(1);
        })
    }

    async fn goes(self, world: &World) {
        world.listener.abort();
        while !world.listener.is_finished() {
            tokio::task::yield_now().await;
        }
    }
}
