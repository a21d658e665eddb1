//! Cursors: where the next page of a list begins. They grant nothing: what a list holds is decided by who asks and for
//! what, whatever the cursor says.

use crate::error::{BAD_CURSOR, ToolError};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rmcp::ErrorData;
use rmcp::model::ErrorCode;

/// A cursor that [`after`] can't have made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the cursor is not one of ours")]
pub struct BadCursor;

/// The longest cursor that is read.
const BYTES_MAX: usize = 4096;

/// The last item of a page, by what the list is sorted by, as the next page's cursor.
pub fn after(last: &str) -> String {
    URL_SAFE_NO_PAD.encode(last)
}

/// The item that the page begins behind.
///
/// # Errors
/// [`BadCursor`] for text that [`after`] can't have made.
pub fn parse(cursor: &str) -> Result<String, BadCursor> {
    if cursor.len() > BYTES_MAX {
        return Err(BadCursor);
    }
    let bytes = URL_SAFE_NO_PAD.decode(cursor).map_err(|_| BadCursor)?;
    String::from_utf8(bytes).map_err(|_| BadCursor)
}

/// One page of `all`, which is sorted by name, and the next one's cursor.
pub(crate) fn page<T>(
    mut all: Vec<T>,
    name: impl Fn(&T) -> &str,
    cursor: Option<&str>,
    count: usize,
) -> Result<(Vec<T>, Option<String>), BadCursor> {
    all.sort_by(|a, b| name(a).cmp(name(b)));
    if let Some(cursor) = cursor {
        let last = parse(cursor)?;
        all.retain(|item| name(item) > last.as_str());
    }
    let more = all.len() > count;
    all.truncate(count);
    let next = all.last().filter(|_| more).map(|last| after(name(last)));
    Ok((all, next))
}

impl From<BadCursor> for ToolError {
    fn from(error: BadCursor) -> Self {
        Self::new(BAD_CURSOR, error.to_string(), "Begin again without a cursor")
    }
}

impl From<BadCursor> for ErrorData {
    fn from(error: BadCursor) -> Self {
        ToolError::from(error).protocol(ErrorCode::INVALID_PARAMS)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test ends by panicking")]
    use super::*;

    #[test]
    fn pages_join_to_the_whole_in_order() {
        let (mut seen, mut cursor) = (Vec::new(), None);
        loop {
            let (items, next) = page(vec!["c", "a", "d", "b"], |i| i, cursor.as_deref(), 3).unwrap();
            seen.extend(items);
            cursor = next;
            if cursor.is_none() {
                break;
            }
        }
        assert_eq!(seen, ["a", "b", "c", "d"]);
        let exact = page(vec!["a", "b"], |i| i, None, 2).unwrap();
        assert_eq!(exact, (vec!["a", "b"], None), "a full last page has no next one");
    }

    #[test]
    fn a_cursor_that_was_never_given_is_refused() {
        for wrong in ["***", "YQ==", "_w", &"a".repeat(BYTES_MAX + 4)] {
            assert_eq!(parse(wrong), Err(BadCursor), "{wrong}");
        }
        assert_eq!(parse(&after("a/ü")), Ok("a/ü".to_owned()));
    }
}
