//! A list of all servers: each is asked at once, page by page, in the caller's name, and what policy shows the caller is put
//! together. A server that doesn't answer is left out, and the list says that it is not all.

use super::part::Unheard;
use super::{Entered, Front, OneUrlError, Through, of_ours, to};
use crate::audit::{AuditError, Record};
use crate::authorize::TimeLeft;
use crate::observed::{Observed, Stage};
use crate::reply::Refusal;
use crate::upstream::Answer;
use futures_util::future::join_all;
use protocol::mcp::{Asked, ListKind, Page, Reply};
use serde_json::value::RawValue;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// What a server has for the caller.
#[derive(Debug, Default, PartialEq, Eq)]
struct Has {
    /// Each with the name or URI that it has in the list.
    items: Vec<(String, String)>,
    ttl_ms: Option<u64>,
    /// Names that are too long to be called here.
    too_long: usize,
    /// What the items take.
    bytes: usize,
}

/// What one server may take of what a list has for all.
struct Share {
    bytes: usize,
    time: Arc<TimeLeft>,
}

/// A server's part of a list, page by page.
struct Part<'s> {
    server: &'s str,
    has: Has,
    cursor: Option<String>,
    pages: usize,
    /// Its share is not enough for its next page.
    short: bool,
    /// All that it has is there, or why not.
    outcome: Result<(), Unheard>,
}

/// A server that is left out, and why.
#[derive(Debug)]
pub(crate) struct LeftOut {
    pub(crate) server: String,
    pub(crate) why: Unheard,
}

/// What says in `_meta` that a list is not all there is.
const INCOMPLETE: &str = "dev.sallyport/incomplete";
/// What an item takes besides its text, in bytes: many small ones take more than they say.
const ITEM_BYTES: usize = 128;

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
        let max = self.gateway.limits.merged_lists_max;
        let _place = self.gateway.lists.try_acquire().map_err(|_| OneUrlError::Busy { max })?;
        observed.begins(Stage::Upstream);
        let parts = self.gathered(entered, kind, &asked).await;
        self.still_holds(entered)?;
        if parts.iter().any(|part| part.outcome == Err(Unheard::Audit)) {
            return Err(AuditError::Failing.into());
        }
        let merged = merged(kind, parts);
        for left_out in &merged.left_out {
            self.gateway.metrics.left_out(&left_out.server, left_out.why.code());
        }
        record.listed_all(merged.items.len(), &merged.left_out);
        let stateless = entered.call.version.is_stateless();
        Ok(of_ours(merged.document(entered.call.id.as_deref(), kind, stateless)))
    }

    /// What all servers have. Each has an equal share of the bytes and of the time for decisions, whatever the others need;
    /// those that need more are asked once more, one after the other, for what the others have left.
    async fn gathered(&self, entered: &Entered<'_>, kind: ListKind, asked: &Asked<'_>) -> Vec<Part<'_>> {
        let (limits, servers) = (&self.gateway.limits, &self.state.servers);
        let count = servers.len().max(1);
        let (each, time) = (limits.merged_list_bytes_max / count, limits.decisions_timeout);
        let each_time = time / u32::try_from(count).unwrap_or(u32::MAX);
        let until = Instant::now() + limits.merged_list_timeout;
        let parts = servers.keys().map(|server| {
            Box::pin(async move {
                let (mut part, share) = (Part::of(server), Share::new(each, each_time));
                self.goes_on(entered, kind, asked, &mut part, &share, until).await;
                (part, each_time.saturating_sub(share.time.left()))
            })
        });
        let (mut parts, used): (Vec<Part<'_>>, Vec<Duration>) = join_all(parts).await.into_iter().unzip();
        let mut time_left = time.saturating_sub(used.iter().sum());
        let until = Instant::now() + limits.merged_list_timeout;
        for n in 0..parts.len() {
            let held: usize = parts.iter().map(|part| part.has.bytes).sum();
            let Some(part) = parts.get_mut(n).filter(|part| part.short) else { continue };
            let others = held.saturating_sub(part.has.bytes);
            let share = Share::new(limits.merged_list_bytes_max.saturating_sub(others), time_left);
            self.goes_on(entered, kind, asked, part, &share, until).await;
            time_left = share.time.left();
            if part.outcome.is_err() {
                part.has = Has::default();
            }
        }
        parts
    }

    /// Takes what a share and the time have room for. What is not all is kept only where there may be more room.
    async fn goes_on(
        &self,
        entered: &Entered<'_>,
        kind: ListKind,
        asked: &Asked<'_>,
        part: &mut Part<'_>,
        share: &Share,
        until: Instant,
    ) {
        part.short = false;
        let pages = Box::pin(self.pages(entered, kind, asked, part, share));
        let mut outcome = timeout_at(until, pages).await.unwrap_or(Err(Unheard::Timeout));
        if outcome == Err(Unheard::Gone) {
            // The server has started again, and doesn't know the session: all from the beginning, in another one.
            *part = Part::of(part.server);
            let pages = Box::pin(self.pages(entered, kind, asked, part, share));
            outcome = timeout_at(until, pages).await.unwrap_or(Err(Unheard::Timeout));
        }
        part.outcome = outcome;
        if part.outcome.is_err() && !part.short {
            part.has = Has::default();
        }
    }

    /// What one server has for the caller, from where it stopped; nothing, where it has no such list or policy shows nothing.
    async fn pages(
        &self,
        entered: &Entered<'_>,
        kind: ListKind,
        asked: &Asked<'_>,
        part: &mut Part<'_>,
        share: &Share,
    ) -> Result<(), Unheard> {
        let (call, server) = (&entered.call, part.server);
        let begun = match &call.session {
            Some(shown) => match self.begun(entered, shown, server).await {
                Err(Unheard::Denied) => None,
                begun => Some((shown, begun?)),
            },
            None => None,
        };
        let session = begun.as_ref().map(|(_, begun)| begun);
        while part.pages < self.gateway.limits.merged_list_pages_max {
            let body = asked.of_one(call.method, part.cursor.as_deref());
            let mut through =
                begun.as_ref().map_or_else(Through::default, |(shown, _)| Through::in_session(shown));
            through.time = Some(Arc::clone(&share.time));
            let heard = self.heard(&self.asks(server, call.method, body, session, through)).await;
            if let (Err(Unheard::Gone), Some((shown, begun))) = (&heard, &begun) {
                self.forget(entered, shown, server, begun);
            }
            let message = heard?;
            let page = match Reply::read(&message).map_err(|_| Unheard::Failed)? {
                Reply::Result(result) => Page::read(result, kind).map_err(|_| Unheard::Failed)?,
                Reply::Error { code } => return Err(Unheard::said(code)),
                Reply::Other => return Err(Unheard::Failed),
            };
            if share.time.has_run_out() {
                part.short = true;
                return Err(Unheard::Undecided);
            }
            let taken = Has::of(kind, server, &page)?;
            if part.has.bytes.saturating_add(taken.bytes) > share.bytes {
                part.short = true;
                return Err(Unheard::TooLong);
            }
            part.has.and(taken);
            part.pages += 1;
            match page.next {
                None => return Ok(()),
                next => part.cursor = next,
            }
        }
        Err(Unheard::TooManyPages)
    }
}

impl Share {
    fn new(bytes: usize, time: Duration) -> Self {
        Self { bytes, time: Arc::new(TimeLeft::new(time)) }
    }
}

impl<'s> Part<'s> {
    fn of(server: &'s str) -> Self {
        Self { server, has: Has::default(), cursor: None, pages: 0, short: false, outcome: Ok(()) }
    }
}

impl Has {
    /// What stands on a page.
    fn of(kind: ListKind, server: &str, page: &Page<'_>) -> Result<Self, Unheard> {
        let mut has = Self { ttl_ms: Some(page.ttl_ms.unwrap_or(0)), ..Self::default() };
        for item in &page.items {
            let (key, text) = match kind {
                ListKind::Tools | ListKind::Prompts => {
                    let Some(name) = to::joined(server, &item.key) else {
                        has.too_long = has.too_long.saturating_add(1);
                        continue;
                    };
                    let text = item.renamed(kind, &name).map_err(|_| Unheard::Failed)?;
                    (name, text)
                }
                ListKind::Resources | ListKind::ResourceTemplates => {
                    (item.key.clone().into_owned(), item.raw.get().to_owned())
                }
            };
            has.bytes = has.bytes.saturating_add(key.len() + text.len() + ITEM_BYTES);
            has.items.push((key, text));
        }
        Ok(has)
    }

    /// With those of the next page.
    fn and(&mut self, next: Self) {
        self.items.extend(next.items);
        self.ttl_ms = self.ttl_ms.into_iter().chain(next.ttl_ms).min();
        self.too_long = self.too_long.saturating_add(next.too_long);
        self.bytes = self.bytes.saturating_add(next.bytes);
    }
}

/// All of it, in the order of the servers' names.
#[derive(Debug)]
struct Merged {
    items: Vec<String>,
    ttl_ms: u64,
    /// None twice for the same reason.
    left_out: Vec<LeftOut>,
}

/// Puts the servers' lists together. What two servers give the same URI can't be read by it, and isn't listed.
fn merged(kind: ListKind, parts: Vec<Part<'_>>) -> Merged {
    let (mut left_out, mut all, mut ttl_ms) = (Vec::new(), Vec::new(), u64::MAX);
    let mut leave = |server: &str, why| left_out.push(LeftOut { server: server.to_owned(), why });
    for Part { server, has, outcome, .. } in parts {
        match outcome {
            Ok(()) => {
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
    // Whose a URI is; nobody's, if it is another server's, too.
    let mut whose: HashMap<&str, Option<&str>> = HashMap::new();
    if kind == ListKind::Resources {
        for (server, key, _) in &all {
            let owner = whose.entry(key).or_insert(Some(server));
            *owner = owner.filter(|owner| owner == server);
        }
    }
    let twice: Vec<bool> = all.iter().map(|(_, key, _)| whose.get(key.as_str()) == Some(&None)).collect();
    let ambiguous = all.iter().zip(&twice).filter(|(_, twice)| **twice).map(|((server, ..), _)| *server);
    for server in ambiguous.collect::<BTreeSet<_>>() {
        leave(server, Unheard::Ambiguous);
    }
    let items: Vec<String> =
        all.into_iter().zip(twice).filter(|(_, twice)| !twice).map(|((_, _, text), _)| text).collect();
    let ttl_ms = if left_out.is_empty() && ttl_ms != u64::MAX { ttl_ms } else { 0 };
    Merged { items, ttl_ms, left_out }
}

impl Merged {
    /// The answer's text. Each item is gone once it stands there, so that all of it is held about once.
    fn document(self, id: Option<&RawValue>, kind: ListKind, stateless: bool) -> String {
        let id = id.map_or("null", RawValue::get);
        let bytes: usize = self.items.iter().map(|item| item.len() + 1).sum();
        let mut text = String::with_capacity(bytes + id.len() + 256);
        text += &format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{"{}":["#, kind.list_key());
        for (n, item) in self.items.into_iter().enumerate() {
            text += if n == 0 { "" } else { "," };
            text += &item;
        }
        text.push(']');
        if stateless {
            text += &format!(r#","resultType":"complete","ttlMs":{},"cacheScope":"private""#, self.ttl_ms);
        }
        if !self.left_out.is_empty() {
            text += &format!(r#","_meta":{{"{INCOMPLETE}":true}}"#); // Which servers there are isn't everybody's to know.
        }
        text + "}}"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part<'s>(server: &'s str, uris: &[&str]) -> Part<'s> {
        let items = uris.iter().map(|uri| ((*uri).to_owned(), format!("\"{server} {uri}\""))).collect();
        Part { has: Has { items, ttl_ms: Some(5), ..Has::default() }, ..Part::of(server) }
    }

    fn left_out(merged: &Merged) -> Vec<(&str, &str)> {
        merged.left_out.iter().map(|left| (left.server.as_str(), left.why.code())).collect()
    }

    #[test]
    fn what_two_servers_give_one_uri_is_left_out_and_said_once_of_each() {
        let many = ["a", "b", "c"].repeat(1000);
        let merged = merged(
            ListKind::Resources,
            vec![part("one", &many), part("two", &["a", "b", "d"]), part("x", &["e"])],
        );
        assert_eq!(left_out(&merged), [("one", "ambiguous"), ("two", "ambiguous")]);
        assert_eq!((merged.items.len(), merged.ttl_ms), (1000 + 2, 0));
    }

    #[test]
    fn what_one_server_lists_twice_is_its_own() {
        let merged = merged(ListKind::Resources, vec![part("one", &["a", "a"]), part("two", &["b"])]);
        assert_eq!((left_out(&merged), merged.items.len(), merged.ttl_ms), (vec![], 3, 5));
        let document = merged.document(None, ListKind::Resources, false);
        assert_eq!(
            document,
            r#"{"jsonrpc":"2.0","id":null,"result":{"resources":["one a","one a","two b"]}}"#
        );
    }

    #[test]
    fn many_small_items_take_more_than_their_text() {
        let page = RawValue::from_string(r#"{"resources":[{"uri":"a"},{"uri":"b"}],"ttlMs":7}"#.to_owned());
        let page = page.ok();
        let page = page.as_ref().and_then(|page| Page::read(page, ListKind::Resources).ok());
        let mut has = page.and_then(|page| Has::of(ListKind::Resources, "s", &page).ok()).unwrap_or_default();
        assert_eq!((has.bytes, has.ttl_ms), (2 * (1 + r#"{"uri":"a"}"#.len() + ITEM_BYTES), Some(7)));
        has.and(Has { ttl_ms: Some(3), bytes: 1, ..Has::default() });
        assert_eq!((has.bytes, has.ttl_ms, has.items.len()), (2 * (12 + ITEM_BYTES) + 1, Some(3), 2));
    }
}
