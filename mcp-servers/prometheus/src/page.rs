//! Pages of lists that Prometheus gives whole. A cursor is how many items came before.

use crate::error::PrometheusError;
use kit::cursor::{self, BadCursor};

/// One page of all items, how many there are, and the next page's cursor.
#[derive(Debug)]
pub(crate) struct Page<T> {
    pub(crate) items: Vec<T>,
    pub(crate) total: usize,
    pub(crate) next: Option<String>,
}

/// Where a page begins. It is read before anything is sent.
pub(crate) fn begin(cursor: Option<&str>) -> Result<usize, PrometheusError> {
    match cursor {
        None => Ok(0),
        Some(cursor) => Ok(cursor::parse(cursor)?.parse().map_err(|_| BadCursor)?),
    }
}

/// Cuts one page out of a sorted list.
pub(crate) fn page<T>(all: Vec<T>, begin: usize, max: usize) -> Page<T> {
    let (total, end) = (all.len(), begin.saturating_add(max));
    let next = (end < total).then(|| cursor::after(&end.to_string()));
    Page { items: all.into_iter().skip(begin).take(max).collect(), total, next }
}

impl<T> Page<T> {
    /// How much of what this is, for a model.
    pub(crate) fn told(&self, what: &str) -> String {
        let more = if self.next.is_some() { ", and there are more (next_cursor)" } else { "" };
        format!("{} of {} {what}{more}", self.items.len(), self.total)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test ends by panicking")]
    use super::*;

    #[test]
    fn pages_join_to_the_whole() {
        let (mut seen, mut cursor) = (Vec::new(), None);
        loop {
            let found = page(vec![1, 2, 3, 4, 5], begin(cursor.as_deref()).unwrap(), 2);
            assert_eq!(found.total, 5);
            seen.extend(found.items);
            cursor = found.next;
            if cursor.is_none() {
                break;
            }
        }
        assert_eq!(seen, [1, 2, 3, 4, 5]);
        for wrong in ["*", "", &cursor::after("x"), &cursor::after("-1")] {
            assert!(begin(Some(wrong)).is_err(), "{wrong}");
        }
    }
}
