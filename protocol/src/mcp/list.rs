//! Lists on their way back: the items that may be seen stay as they came, byte for byte; the others go.

use super::{ListKind, Version};
use crate::json::{MemberError, Members, string};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::ops::Range;

/// One item of a list.
#[derive(Clone, Debug)]
pub struct Item<'a> {
    /// The tool's or prompt's name, the resource's URI or the template's `uriTemplate`.
    pub key: Cow<'a, str>,
    /// All of it, as it came.
    pub raw: &'a RawValue,
}

/// Why a list can't be filtered, and so must not pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ListError {
    /// Not a JSON-RPC message.
    #[error("the answer is not a JSON object")]
    NotAMessage,
    /// Two readers could find two lists, or two names.
    #[error("the answer repeats a key on the way to its items")]
    DuplicateKey,
    /// The same, for readers that ignore case.
    #[error("a key on the way to the items differs from the right one in case only")]
    CaseVariant,
    /// Not an object.
    #[error("the result is not an object")]
    Result,
    /// Not an array.
    #[error("the list is not an array")]
    List,
    /// No name or URI, so nobody can say who may see it.
    #[error("an item has no name")]
    Item,
}

impl From<MemberError> for ListError {
    fn from(error: MemberError) -> Self {
        match error {
            MemberError::Duplicate => Self::DuplicateKey,
            MemberError::CaseVariant => Self::CaseVariant,
        }
    }
}

impl ListKind {
    /// The key in the result that holds the list.
    pub fn list_key(self) -> &'static str {
        match self {
            Self::Tools => "tools",
            Self::Resources => "resources",
            Self::ResourceTemplates => "resourceTemplates",
            Self::Prompts => "prompts",
        }
    }

    /// The key in an item that holds what a call would name.
    pub fn item_key(self) -> &'static str {
        match self {
            Self::Tools | Self::Prompts => "name",
            Self::Resources => "uri",
            Self::ResourceTemplates => "uriTemplate",
        }
    }
}

/// Filters one JSON-RPC response to a list call: what `keep` is false for goes, everything else stays as it came.
///
/// In 2026-07-28 a filtered list gets `cacheScope: "private"`, whether or not anything went (SEP-2549: what varies by
/// caller is not public). An error response, a result without the list, and notifications pass unchanged.
///
/// # Errors
/// [`ListError`]: it can't be said what the list holds.
pub fn filter_list(
    kind: ListKind,
    version: Version,
    body: &[u8],
    keep: &mut dyn FnMut(&Item<'_>) -> bool,
) -> Result<Vec<u8>, ListError> {
    let text = std::str::from_utf8(body).map_err(|_| ListError::NotAMessage)?;
    let message = Members::of_text(text).ok_or(ListError::NotAMessage)?;
    let Some(raw_result) = message.get("result")?.filter(|result| result.get() != "null") else {
        return Ok(body.to_vec());
    };
    let result = Members::of(raw_result).ok_or(ListError::Result)?;
    let Some(raw_list) = result.get(kind.list_key())? else { return Ok(body.to_vec()) };
    let mut edits = Vec::new();
    if let Some(list) = kept(kind, raw_list, keep)? {
        edits.push((place(text, raw_list.get())?, list));
    }
    if version.is_stateless() {
        const PRIVATE: &str = r#""private""#;
        match result.get("cacheScope")? {
            Some(scope) if scope.get() == PRIVATE => {}
            Some(scope) => edits.push((place(text, scope.get())?, PRIVATE.to_owned())),
            None => {
                // Right behind the result's opening brace; the list follows in any case, so does the comma.
                let from = place(text, raw_result.get())?.start.saturating_add(1);
                edits.push((from..from, format!(r#""cacheScope":{PRIVATE},"#)));
            }
        }
    }
    edited(text, edits)
}

/// The list without what goes; None if nothing does.
fn kept(
    kind: ListKind,
    list: &RawValue,
    keep: &mut dyn FnMut(&Item<'_>) -> bool,
) -> Result<Option<String>, ListError> {
    let items: Vec<&RawValue> = serde_json::from_str(list.get()).map_err(|_| ListError::List)?;
    let mut stay = Vec::with_capacity(items.len());
    for raw in &items {
        let item = Members::of(raw).ok_or(ListError::Item)?;
        let key = item.get(kind.item_key())?.and_then(string).ok_or(ListError::Item)?;
        if keep(&Item { key, raw }) {
            stay.push(raw.get());
        }
    }
    Ok((stay.len() < items.len()).then(|| format!("[{}]", stay.join(","))))
}

/// Where a part that was borrowed from a text stands in it.
fn place(text: &str, part: &str) -> Result<Range<usize>, ListError> {
    let from = part.as_ptr().addr().checked_sub(text.as_ptr().addr());
    let range = from.map(|from| from..from.saturating_add(part.len()));
    range.filter(|range| text.get(range.clone()) == Some(part)).ok_or(ListError::NotAMessage)
}

fn edited(text: &str, mut edits: Vec<(Range<usize>, String)>) -> Result<Vec<u8>, ListError> {
    edits.sort_by_key(|(range, _)| range.start);
    let mut out = Vec::with_capacity(text.len());
    let mut done = 0;
    for (range, replacement) in edits {
        out.extend_from_slice(text.get(done..range.start).ok_or(ListError::NotAMessage)?.as_bytes());
        out.extend_from_slice(replacement.as_bytes());
        done = range.end;
    }
    out.extend_from_slice(text.get(done..).ok_or(ListError::NotAMessage)?.as_bytes());
    Ok(out)
}

#[cfg(test)]
mod tests;
