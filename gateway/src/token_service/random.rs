//! What nobody can guess: codes, names of grants, refresh tokens, keys of the moment. Kept as digests only.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use tokens::SigningError;

/// So many random bytes, base64url.
///
/// # Errors
/// [`SigningError::Generate`] if there is no randomness to be had.
pub(super) fn text<const BYTES: usize>() -> Result<String, SigningError> {
    let mut bytes = [0u8; BYTES];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| SigningError::Generate)?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

/// Whether two texts are the same, in a time that doesn't tell where they differ.
pub(super) fn same(one: &[u8], other: &[u8]) -> bool {
    verify_slices_are_equal(one, other).is_ok()
}
