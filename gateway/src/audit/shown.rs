//! What an agent's answer showed its caller, added up event by event as it passed. Nothing of an artifact but its size.

use super::canonical::{member, number, object, text};
use protocol::a2a::Event;
use std::sync::{Arc, Mutex, PoisonError};

/// Shared by whoever watches an answer, and adds to it, and the answer's record, which says it at its end.
#[derive(Clone, Debug, Default)]
pub struct Shown(Arc<Mutex<Sum>>);

#[derive(Debug, Default)]
struct Sum {
    events: u64,
    artifact_bytes: u64,
    task: Option<String>,
    context: Option<String>,
    state: Option<String>,
}

impl Shown {
    /// Adds an event that its caller may see: an answer that is whole is one.
    pub fn event(&self, event: &Event) {
        let mut sum = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        sum.events = sum.events.saturating_add(1);
        let bytes = u64::try_from(event.artifact_bytes).unwrap_or(u64::MAX);
        sum.artifact_bytes = sum.artifact_bytes.saturating_add(bytes);
        replace(&mut sum.task, event.task.as_deref());
        replace(&mut sum.context, event.context.as_deref());
        replace(&mut sum.state, event.state.as_deref());
    }

    /// As a member of a record, in the order of RFC 8785; nothing, if nothing was shown.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let sum = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if sum.events == 0 {
            return;
        }
        member(out, "answer", |out| {
            object(out, |out| {
                number(out, "artifact_bytes", Some(sum.artifact_bytes));
                text(out, "context", sum.context.as_deref());
                number(out, "events", Some(sum.events));
                text(out, "state", sum.state.as_deref());
                text(out, "task", sum.task.as_deref());
            });
        });
    }
}

/// The last one counts. Most events say what the one before said, and cost nothing.
fn replace(last: &mut Option<String>, now: Option<&str>) {
    if now.is_some() && now != last.as_deref() {
        *last = now.map(ToOwned::to_owned);
    }
}
