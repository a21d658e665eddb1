//! `ListTasks`, answered from the store: an agent's own list holds everybody's. The tasks themselves are asked of the
//! agent, one by one, so that what the caller reads is what is so.

use super::store::{Claim, Page, Query, Task};
use super::watch::WatchError;
use super::{Named, Store, TaskError};
use crate::authorize::Question;
use crate::config::PerOwner;
use crate::exchange::Credential;
use crate::upstream::{Answer, Upstream, UpstreamError, grpc};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use policy::Permit;
use protocol::a2a::{self, Binding, Call, Method};
use serde_json::{Map, Value};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Tasks on a page where the call doesn't say, and at most (A2A 1.0 §3.1.4).
const PAGE_SIZE: u32 = 50;
const PAGE_SIZE_MAX: i32 = 100;
/// How often a page is put together anew because tasks in it are gone.
const ATTEMPTS: usize = 3;

/// Asks one agent for the tasks of one caller.
pub struct Lister<'a> {
    /// What was called.
    pub call: &'a Call,
    /// Whose tasks.
    pub named: &'a Named,
    /// What was asked.
    pub question: &'a Question<'a>,
    /// Where it is kept whose they are.
    pub store: &'a Store,
    /// The agent.
    pub upstream: Upstream<'a>,
    /// Allows asking it.
    pub permit: &'a Permit,
    /// Shown to it.
    pub credential: &'a Arc<Credential>,
    /// How many tasks it is asked for at most before the list is put together.
    pub asks_max: usize,
}

/// Why there is no list.
#[derive(Debug, thiserror::Error)]
pub enum ListError {
    /// What is asked for is not there, or can't be.
    #[error(transparent)]
    Task(#[from] TaskError),
    /// The agent failed.
    #[error(transparent)]
    Upstream(#[from] UpstreamError),
}

impl Lister<'_> {
    /// The answer.
    ///
    /// # Errors
    /// [`ListError`].
    pub async fn answer(self) -> Result<Answer, ListError> {
        let query = query(self.call)?;
        if query.state.is_some() || query.after_ms.is_some() {
            self.refresh().await?; // Whose state nobody watched may be in another one by now.
        }
        let mut attempts = 0;
        let (page, tasks) = loop {
            let page = self.page(query.clone()).await?;
            let mut tasks = Vec::with_capacity(page.tasks.len());
            for task in &page.tasks {
                tasks.extend(self.task(task).await?);
            }
            attempts += 1;
            if tasks.len() == page.tasks.len() || attempts == ATTEMPTS {
                break (page, tasks);
            }
        };
        let list = result(&page, tasks, query.limit);
        let body = a2a::result(self.call.binding, Method::ListTasks, self.call.id.as_deref(), &list);
        Ok(match self.call.binding {
            Binding::Grpc => grpc::whole(body),
            Binding::JsonRpc | Binding::HttpJson => Answer::json(String::from_utf8_lossy(&body).into_owned()),
        })
    }

    async fn page(&self, query: Query) -> Result<Page, ListError> {
        Ok(self
            .store
            .page(self.question.server.name(), &self.named.owner, query)
            .await
            .map_err(TaskError::from)?)
    }

    /// Has the store know in which state those of the caller's tasks are that aren't over, the ones that changed last first.
    async fn refresh(&self) -> Result<(), ListError> {
        let limit = u32::try_from(PAGE_SIZE_MAX).unwrap_or(PAGE_SIZE);
        let (mut asked, mut behind) = (0, None);
        loop {
            let query = Query { context: self.call.context.clone(), behind, limit, ..Query::default() };
            let page = self.page(query).await?; // One that changes now comes before this place, unless the agent's clock is behind.
            let open = |task: &&Task| !task.state.as_deref().is_some_and(a2a::is_final);
            for task in page.tasks.iter().filter(open).take(self.asks_max - asked) {
                asked += 1;
                self.task(task).await?;
            }
            behind = page.tasks.last().map(|last| (last.since_ms, last.id.clone()));
            if !page.more || behind.is_none() || asked == self.asks_max {
                return Ok(());
            }
        }
    }

    /// A task as the agent has it now. None: it has it no more, and lists leave it out.
    async fn task(&self, known: &Task) -> Result<Option<Value>, ListError> {
        let found = self.upstream.task(self.permit, self.credential, self.call, &known.id).await?;
        let Some(mut task) = found else {
            self.store
                .gone(self.question.server.name(), &self.named.owner, &known.id)
                .await
                .map_err(TaskError::from)?;
            return Ok(None);
        };
        if task["id"].as_str() != Some(&known.id) {
            return Err(UpstreamError::from(WatchError::Other).into());
        }
        let status = &task["status"];
        let since_ms = status["timestamp"].as_str().and_then(milliseconds).unwrap_or(known.since_ms);
        let state = status["state"].as_str().map(str::to_owned);
        let context = task["contextId"].as_str().filter(|context| !context.is_empty()).map(str::to_owned);
        let moved = state != known.state || since_ms > known.since_ms;
        if moved || (context.is_some() && context != known.context) {
            let seen = super::store::Seen { task: Some(known.id.clone()), context, state, since_ms };
            let agent = self.question.server.name();
            let claim = self.store.saw(agent, &self.named.owner, seen, PerOwner::UNBOUNDED).await;
            if claim.map_err(TaskError::from)? != Claim::Owned {
                return Err(UpstreamError::from(WatchError::Foreign).into());
            }
        }
        let artifacts = self.call.list.as_ref().is_some_and(|list| list.include_artifacts);
        if let Value::Object(members) = &mut task
            && !artifacts
        {
            members.remove("artifacts");
        }
        Ok(Some(task))
    }
}

/// What of the store a call asks for.
fn query(call: &Call) -> Result<Query, TaskError> {
    let asked = call.list.clone().unwrap_or_default();
    let limit = match asked.page_size {
        None | Some(0) => PAGE_SIZE,
        Some(size @ 1..=PAGE_SIZE_MAX) => u32::try_from(size).unwrap_or(PAGE_SIZE),
        Some(_) => return Err(TaskError::PageSize),
    };
    let after_ms = asked.after.map(|text| milliseconds(&text).ok_or(TaskError::Moment)).transpose()?;
    let behind = asked.page_token.filter(|token| !token.is_empty()).map(|token| place(&token)).transpose()?;
    Ok(Query { context: call.context.clone(), state: asked.status, after_ms, behind, limit })
}

/// A page token is the place of a page's last task: nothing that its holder couldn't know, and nothing that opens more
/// than its own list.
fn token(task: &Task) -> String {
    URL_SAFE_NO_PAD.encode(format!("{}:{}", task.since_ms, task.id))
}

fn place(token: &str) -> Result<(i64, String), TaskError> {
    let read = || {
        let text = String::from_utf8(URL_SAFE_NO_PAD.decode(token).ok()?).ok()?;
        let (since_ms, id) = text.split_once(':')?;
        Some((since_ms.parse().ok()?, id.to_owned()))
    };
    read().ok_or(TaskError::PageToken)
}

fn result(page: &Page, tasks: Vec<Value>, limit: u32) -> Map<String, Value> {
    let next = page.tasks.last().filter(|_| page.more).map(token).unwrap_or_default();
    [
        ("tasks", Value::Array(tasks)),
        ("nextPageToken", next.into()),
        ("pageSize", limit.into()),
        ("totalSize", page.total.into()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into_iter()
    .collect()
}

/// RFC 3339 as milliseconds since 1970.
pub(super) fn milliseconds(text: &str) -> Option<i64> {
    let moment = OffsetDateTime::parse(text, &Rfc3339).ok()?;
    i64::try_from(moment.unix_timestamp_nanos() / 1_000_000).ok()
}

/// The same of a moment.
pub(super) fn since_1970(moment: SystemTime) -> i64 {
    let since = moment.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test ends by panicking")]

    use super::*;
    use crate::tasks::Owner;

    #[test]
    fn a_page_token_names_a_place_and_nothing_else_does() {
        let owner = Owner { iss: None, sub: None, spiffe_id: "spiffe://a.example/b".into() };
        let task = Task { id: "t:1".into(), context: None, owner, state: None, since_ms: 7 };
        assert_eq!(place(&token(&task)).unwrap(), (7, "t:1".to_owned()));
        for wrong in ["x", "", "////", &URL_SAFE_NO_PAD.encode("a:b"), &URL_SAFE_NO_PAD.encode("7")] {
            assert!(place(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_moment_is_milliseconds_in_any_zone() {
        assert_eq!(milliseconds("1970-01-01T00:00:01.5Z"), Some(1500));
        assert_eq!(milliseconds("1970-01-01T01:00:00+01:00"), Some(0));
        assert_eq!(milliseconds("soon"), None);
    }
}
