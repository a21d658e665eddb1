//! Word of a long call while it runs.

use rmcp::handler::server::common::{AsRequestContext, FromContextPart};
use rmcp::model::{ProgressNotificationParam, ProgressToken};
use rmcp::{ErrorData, Peer, RoleServer};

/// Where a tool says how far it is: an argument of the tool, beside its parameters. A caller that didn't ask for progress
/// hears none; for one that did, the answer becomes a stream of events.
#[derive(Clone, Debug)]
pub struct Progress(Option<(Peer<RoleServer>, ProgressToken)>);

impl Progress {
    /// Whether somebody listens.
    pub fn is_wanted(&self) -> bool {
        self.0.is_some()
    }

    /// Says how much is done, of how much if that is known, and in a few words what is going on. What is done has to grow
    /// from one time to the next.
    pub async fn tell(&self, done: f64, total: Option<f64>, message: &str) {
        let Some((peer, token)) = &self.0 else { return };
        let mut word = ProgressNotificationParam::new(token.clone(), done).with_message(message);
        word.total = total;
        if peer.notify_progress(word).await.is_err() {
            tracing::debug!("nobody hears of the progress any more");
        }
    }
}

impl<C: AsRequestContext> FromContextPart<C> for Progress {
    fn from_context_part(context: &mut C) -> Result<Self, ErrorData> {
        let context = context.as_request_context();
        Ok(Self(context.meta.get_progress_token().map(|token| (context.peer.clone(), token))))
    }
}
