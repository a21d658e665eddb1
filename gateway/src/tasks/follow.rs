//! Looks again and again whether a shared store answers, so that it is told while nobody asks it anything. It decides
//! nothing: each call asks the store itself.

use crate::config::problems::chain;
use crate::state::Gateway;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::sleep;

/// Between two looks.
const INTERVAL: Duration = Duration::from_secs(1);

/// Follows the store, if it is shared.
pub async fn follow(gateway: Arc<Gateway>) {
    if !gateway.tasks.is_shared() {
        return;
    }
    let mut up = true;
    loop {
        let answered = gateway.tasks.answers().await;
        gateway.metrics.tasks_store_up.set(answered.is_ok().into());
        match &answered {
            Ok(()) if !up => tracing::info!("the store of tasks answers again"),
            Err(error) if up => tracing::error!(cause = chain(error), "the store of tasks is away"),
            Ok(()) | Err(_) => {}
        }
        up = answered.is_ok();
        sleep(INTERVAL).await;
    }
}
