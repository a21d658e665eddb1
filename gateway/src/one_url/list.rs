//! A list of all servers: each is asked at once, page by page, in the caller's name, and what policy shows the caller is put
//! together. A server that doesn't answer is left out, and the list says that it is not all.

use super::part::Unheard;
use super::{Entered, Front, OneUrlError, result, to};
use crate::audit::{AuditError, Record};
use crate::observed::{Observed, Stage};
use crate::reply::Refusal;
use crate::upstream::Answer;
use futures_util::future::join_all;
use protocol::mcp::{Asked, ListKind, Page, Reply};
use std::collections::HashMap;
use std::time::Duration;

/// What a server has for the caller.
#[derive(Debug, Default, PartialEq, Eq)]
struct Has {
    /// Each with the name or URI that it has in the list.
    items: Vec<(String, String)>,
    ttl_ms: Option<u64>,
    /// Names that are too long to be called here.
    too_long: usize,
}

/// A server that is left out, and why.
#[derive(Debug)]
pub(crate) struct LeftOut {
    pub(crate) server: String,
    pub(crate) why: Unheard,
}

/// What says in `_meta` that a list is not all there is.
const INCOMPLETE: &str = "dev.sallyport/incomplete";

impl Front<'_> {
    /// The list.
    pub(super) async fn list(
        &self,
        entered: &Entered<'_>,
        kind: ListKind,
        record: &mut Record,
        observed: &mut Observed,
    ) -> Result<Answer, Refusal> {
        let body = self.arrival.body.clone().unwrap_or_default();
        let asked = Asked::read(&body);
        if asked.goes_on {
            return Err(OneUrlError::Cursor.into());
        }
        observed.begins(Stage::Upstream);
        let limit = self.gateway.limits.merged_list_timeout;
        let servers = self.state.servers.keys();
        let parts =
            join_all(servers.map(|server| Box::pin(self.within(limit, entered, kind, &asked, server))));
        let parts = parts.await;
        if parts.iter().any(|(_, part)| matches!(part, Err(Unheard::Audit))) {
            return Err(AuditError::Failing.into());
        }
        let merged = merged(kind, parts, self.gateway.limits.merged_list_bytes_max);
        for left_out in &merged.left_out {
            self.gateway.metrics.left_out(&left_out.server, left_out.why.code());
        }
        record.listed_all(merged.count, &merged.left_out);
        let stateless = entered.call.version.is_stateless();
        Ok(result(entered.call.id.as_deref(), &merged.document(kind, stateless)))
    }

    async fn within<'s>(
        &self,
        limit: Duration,
        entered: &Entered<'_>,
        kind: ListKind,
        asked: &Asked<'_>,
        server: &'s str,
    ) -> (&'s str, Result<Has, Unheard>) {
        let has = tokio::time::timeout(limit, self.of_one(entered, kind, asked, server)).await;
        (server, has.unwrap_or(Err(Unheard::Timeout)))
    }

    /// What one server has for the caller; nothing, where it has no such list or policy shows nothing.
    async fn of_one(
        &self,
        entered: &Entered<'_>,
        kind: ListKind,
        asked: &Asked<'_>,
        server: &str,
    ) -> Result<Has, Unheard> {
        let call = &entered.call;
        let begun = match &call.session {
            Some(shown) => match self.begun(shown, server, call.version).await {
                Err(Unheard::Denied) => None,
                begun => Some(begun?),
            },
            None => None,
        };
        let (mut has, mut cursor) = (Has::default(), None);
        for _ in 0..self.gateway.limits.merged_list_pages_max {
            let body = asked.of_one(call.method, cursor.as_deref());
            let heard = self.heard(&self.asks(server, call.method, body, begun.as_ref())).await?;
            let page = match Reply::read(&heard.message).map_err(|_| Unheard::Failed)? {
                Reply::Result(result) => Page::read(result, kind).map_err(|_| Unheard::Failed)?,
                Reply::Error { code, reason } => return Err(Unheard::refused(code, reason.as_deref())),
                Reply::Other => return Err(Unheard::Failed),
            };
            has.take(kind, server, &page)?;
            match page.next {
                None => return Ok(has),
                next => cursor = next,
            }
        }
        Err(Unheard::TooManyPages)
    }
}

impl Has {
    fn take(&mut self, kind: ListKind, server: &str, page: &Page<'_>) -> Result<(), Unheard> {
        let ttl_ms = page.ttl_ms.unwrap_or(0);
        self.ttl_ms = Some(self.ttl_ms.map_or(ttl_ms, |before| before.min(ttl_ms)));
        for item in &page.items {
            let named = match kind {
                ListKind::Tools | ListKind::Prompts => to::joined(server, &item.key),
                ListKind::Resources | ListKind::ResourceTemplates => {
                    self.items.push((item.key.clone().into_owned(), item.raw.get().to_owned()));
                    continue;
                }
            };
            match named {
                Some(name) => {
                    let text = item.renamed(kind, &name).map_err(|_| Unheard::Failed)?;
                    self.items.push((name, text));
                }
                None => self.too_long = self.too_long.saturating_add(1),
            }
        }
        Ok(())
    }

    fn bytes(&self) -> usize {
        self.items.iter().map(|(_, text)| text.len() + 1).sum()
    }
}

/// All of it, in the order of the servers' names.
struct Merged {
    items: Vec<String>,
    count: usize,
    ttl_ms: u64,
    left_out: Vec<LeftOut>,
}

/// Puts the servers' lists together. What two servers give the same URI can't be read by it, and isn't listed.
fn merged(kind: ListKind, parts: Vec<(&str, Result<Has, Unheard>)>, bytes_max: usize) -> Merged {
    let (mut left_out, mut all, mut bytes, mut ttl_ms) = (Vec::new(), Vec::new(), 0_usize, u64::MAX);
    let mut leave = |server: &str, why| left_out.push(LeftOut { server: server.to_owned(), why });
    for (server, part) in parts {
        match part {
            Ok(has) if bytes.saturating_add(has.bytes()) > bytes_max => leave(server, Unheard::TooLong),
            Ok(has) => {
                bytes = bytes.saturating_add(has.bytes());
                ttl_ms = ttl_ms.min(has.ttl_ms.unwrap_or(0));
                if has.too_long > 0 {
                    leave(server, Unheard::NameTooLong);
                }
                all.extend(has.items.into_iter().map(|(key, text)| (server, key, text)));
            }
            Err(Unheard::Denied | Unheard::Nothing) => {} // What isn't the caller's to see, or isn't there, isn't missing.
            Err(why) => leave(server, why),
        }
    }
    let mut seen: HashMap<&str, usize> = HashMap::new();
    if kind == ListKind::Resources {
        for (_, key, _) in &all {
            *seen.entry(key).or_default() += 1;
        }
    }
    let twice: Vec<bool> =
        all.iter().map(|(_, key, _)| seen.get(key.as_str()).is_some_and(|n| *n > 1)).collect();
    for ((server, ..), _) in all.iter().zip(&twice).filter(|(_, twice)| **twice) {
        leave(server, Unheard::Ambiguous);
    }
    let items: Vec<String> =
        all.into_iter().zip(twice).filter(|(_, twice)| !twice).map(|((_, _, text), _)| text).collect();
    let ttl_ms = if left_out.is_empty() && ttl_ms != u64::MAX { ttl_ms } else { 0 };
    Merged { count: items.len(), items, ttl_ms, left_out }
}

impl Merged {
    /// The result.
    fn document(&self, kind: ListKind, stateless: bool) -> String {
        let mut members = vec![format!(r#""{}":[{}]"#, kind.list_key(), self.items.join(","))];
        if stateless {
            members
                .push(format!(r#""resultType":"complete","ttlMs":{},"cacheScope":"private""#, self.ttl_ms));
        }
        if !self.left_out.is_empty() {
            members.push(format!(r#""_meta":{{"{INCOMPLETE}":true}}"#)); // Which servers there are isn't everybody's to know.
        }
        format!("{{{}}}", members.join(","))
    }
}
