//! SHA-256 of what stands for a longer thing: a token, an owner, all that a credential rests on.

use aws_lc_rs::digest::{Context, SHA256};

/// SHA-256.
pub(crate) type Digest = [u8; 32];

/// Of bytes as they are.
pub(crate) fn of(bytes: &[u8]) -> Digest {
    let mut context = Context::new(&SHA256);
    context.update(bytes);
    finished(context)
}

/// Of parts, each with its length, so that no two lists of parts read the same.
pub(crate) fn of_parts<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> Digest {
    let mut context = Context::new(&SHA256);
    for part in parts {
        context.update(&part.len().to_be_bytes());
        context.update(part);
    }
    finished(context)
}

/// As text: `sha256:` and hex.
pub(crate) fn text(digest: &[u8]) -> String {
    format!("{SCHEME}{}", crate::audit::chain::hex(digest))
}

/// What a digest's text begins with.
pub(crate) const SCHEME: &str = "sha256:";

fn finished(context: Context) -> Digest {
    let mut digest = [0; 32];
    digest.copy_from_slice(context.finish().as_ref());
    digest
}
