//! Cursors: where the next page of a list begins. They grant nothing: a list is bounded by its bucket and prefix,
//! whatever the cursor says.

use crate::error::StoreError;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// The last name of a page as the next page's cursor.
pub(crate) fn cursor(last: &str) -> String {
    URL_SAFE_NO_PAD.encode(last)
}

/// The name that the page begins behind.
///
/// # Errors
/// [`StoreError::Cursor`] for text that [`cursor`] can't have made.
pub(crate) fn parse(cursor: &str) -> Result<String, StoreError> {
    let bytes = URL_SAFE_NO_PAD.decode(cursor).map_err(|_| StoreError::Cursor)?;
    String::from_utf8(bytes).map_err(|_| StoreError::Cursor)
}
