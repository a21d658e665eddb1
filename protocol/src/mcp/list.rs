//! Lists on their way back: the items that may be seen stay as they came, byte for byte; the others go.

use super::{ListKind, MessageError, Version};
use crate::json::{Members, string};
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

impl ListKind {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Tools, Self::Resources, Self::ResourceTemplates, Self::Prompts];

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

/// A JSON-RPC response without those items of its lists that `keep` is false for; everything else stays as it came.
/// An answer may hold another list than the one that was asked for, so every kind is looked for.
///
/// In 2026-07-28 a filtered list gets `cacheScope: "private"`, whether or not anything went (SEP-2549: what varies by
/// caller is not public). An error response, a result without a list, and notifications pass unchanged.
pub(super) fn filtered<'a>(
    version: Version,
    text: &'a str,
    message: &Members<'a>,
    keep: &mut dyn FnMut(ListKind, &Item<'_>) -> bool,
) -> Result<Cow<'a, [u8]>, MessageError> {
    let unchanged = Ok(Cow::Borrowed(text.as_bytes()));
    let Some(raw_result) = message.get("result")?.filter(|result| result.get() != "null") else {
        return unchanged;
    };
    let result = Members::of(raw_result).ok_or(MessageError::Result)?;
    let (mut edits, mut lists) = (Vec::new(), 0_usize);
    for kind in ListKind::ALL {
        let Some(raw_list) = result.get(kind.list_key())? else { continue };
        lists = lists.saturating_add(1);
        if let Some(list) = kept(kind, raw_list, keep)? {
            edits.push((place(text, raw_list.get())?, list));
        }
    }
    if lists == 0 {
        return unchanged;
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
    if edits.is_empty() { unchanged } else { edited(text, edits).map(Cow::Owned) }
}

/// The list without what goes; None if nothing does.
fn kept(
    kind: ListKind,
    list: &RawValue,
    keep: &mut dyn FnMut(ListKind, &Item<'_>) -> bool,
) -> Result<Option<String>, MessageError> {
    let items: Vec<&RawValue> = serde_json::from_str(list.get()).map_err(|_| MessageError::List)?;
    let mut stay = Vec::with_capacity(items.len());
    for raw in &items {
        let item = Members::of(raw).ok_or(MessageError::Item)?;
        let key = item.get(kind.item_key())?.and_then(string).ok_or(MessageError::Item)?;
        if keep(kind, &Item { key, raw }) {
            stay.push(raw.get());
        }
    }
    Ok((stay.len() < items.len()).then(|| format!("[{}]", stay.join(","))))
}

/// Where a part that was borrowed from a text stands in it.
pub(super) fn place(text: &str, part: &str) -> Result<Range<usize>, MessageError> {
    let from = part.as_ptr().addr().checked_sub(text.as_ptr().addr());
    let range = from.map(|from| from..from.saturating_add(part.len()));
    range.filter(|range| text.get(range.clone()) == Some(part)).ok_or(MessageError::NotAMessage)
}

/// A text with parts of it replaced.
pub(super) fn edited(text: &str, mut edits: Vec<(Range<usize>, String)>) -> Result<Vec<u8>, MessageError> {
    edits.sort_by_key(|(range, _)| range.start);
    let mut out = Vec::with_capacity(text.len());
    let mut done = 0;
    for (range, replacement) in edits {
        out.extend_from_slice(text.get(done..range.start).ok_or(MessageError::NotAMessage)?.as_bytes());
        out.extend_from_slice(replacement.as_bytes());
        done = range.end;
    }
    out.extend_from_slice(text.get(done..).ok_or(MessageError::NotAMessage)?.as_bytes());
    Ok(out)
}

#[cfg(test)]
mod tests;
