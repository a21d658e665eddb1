//! Pages of lists. MLflow makes them; a cursor is its token.

use crate::error::MlflowError;
use kit::cursor;

/// How many items, and behind which.
#[derive(Debug)]
pub(crate) struct Wanted {
    pub(crate) count: usize,
    pub(crate) token: Option<String>,
}

impl Wanted {
    /// Reads the two arguments before anything is sent. More than `max` items are `max`.
    pub(crate) fn read(
        page_size: Option<u32>,
        cursor: Option<&str>,
        max: usize,
    ) -> Result<Self, MlflowError> {
        let count = page_size.map_or(max, |count| max.min(count as usize));
        if count == 0 {
            return Err(MlflowError::Arguments("a page has one item at least".into()));
        }
        Ok(Self { count, token: cursor.map(cursor::parse).transpose()? })
    }
}

/// The next page's cursor.
pub(crate) fn next(token: Option<String>) -> Option<String> {
    token.filter(|token| !token.is_empty()).map(|token| cursor::after(&token))
}

/// How much of what this is, for a model.
pub(crate) fn told(count: usize, what: &str, next: Option<&String>) -> String {
    let more = if next.is_some() { ", and there are more (next_cursor)" } else { "" };
    format!("{count} {what}{more}")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test ends by panicking")]
    use super::*;

    #[test]
    fn a_cursor_is_mlflows_token_and_a_page_has_a_bound() {
        let cursor = next(Some("eyJvZmZzZXQiOiAxfQ==".into())).unwrap();
        let wanted = Wanted::read(Some(500), Some(&cursor), 100).unwrap();
        assert_eq!((wanted.count, wanted.token.as_deref()), (100, Some("eyJvZmZzZXQiOiAxfQ==")));
        assert_eq!((Wanted::read(None, None, 7).unwrap().count, next(Some(String::new()))), (7, None));
        assert!(Wanted::read(Some(0), None, 7).is_err() && Wanted::read(None, Some("***"), 7).is_err());
    }
}
