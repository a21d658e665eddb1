//! The tokens whose signature has held, so that it is checked once for each token and not with each call.
//!
//! A signature costs about as much as all else that the kit does. What is remembered is only that it held under the keys of
//! that moment, and what the token says. Whether that is enough, now, for this connection and this tool, is judged with each
//! call. Tokens themselves are not kept: SHA-256 of the whole text stands for one.

use aws_lc_rs::digest::{SHA256, SHA256_OUTPUT_LEN, digest};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};
use tokens::{Authentic, Keys};

/// SHA-256 of a token's text, all of it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Name([u8; SHA256_OUTPUT_LEN]);

/// Tokens that were accepted once, so many at most.
pub(super) struct Verified {
    max: usize,
    held: Mutex<Held>,
}

/// All of them held under one set of keys. Another set is another memory.
#[derive(Default)]
struct Held {
    keys: Option<Arc<Keys>>,
    tokens: HashMap<Name, Arc<Authentic>>,
}

impl Name {
    pub(super) fn of(token: &str) -> Self {
        let mut name = [0; SHA256_OUTPUT_LEN];
        name.copy_from_slice(digest(&SHA256, token.as_bytes()).as_ref());
        Self(name)
    }
}

impl Verified {
    pub(super) fn new(max: usize) -> Self {
        Self { max, held: Mutex::default() }
    }

    /// The token of this name, if its signature held under these very keys.
    pub(super) fn find(&self, name: &Name, keys: &Arc<Keys>) -> Option<Arc<Authentic>> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.under(keys).get(name).cloned()
    }

    /// Remembers a token whose signature held under these keys.
    pub(super) fn keep(&self, name: Name, token: &Arc<Authentic>, keys: &Arc<Keys>, now: SystemTime) {
        if self.max == 0 {
            return;
        }
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let tokens = held.under(keys);
        if tokens.len() >= self.max {
            self.make_room(tokens, now);
        }
        tokens.insert(name, Arc::clone(token));
    }

    /// Forgets what has ended; where all is of use, an eighth of it: which, chance says.
    fn make_room(&self, tokens: &mut HashMap<Name, Arc<Authentic>>, now: SystemTime) {
        let now = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        tokens.retain(|_, token| token.claims().exp > now);
        if tokens.len() < self.max {
            return;
        }
        let mut excess = (self.max / 8).max(1);
        tokens.retain(|_, _| {
            let goes = excess > 0;
            excess -= usize::from(goes);
            !goes
        });
    }

    #[cfg(test)]
    pub(super) fn count(&self) -> usize {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).tokens.len()
    }
}

impl Held {
    /// What held under these keys: nothing, where they are others than before. The memory owns its keys, so no others can
    /// have their address.
    fn under(&mut self, keys: &Arc<Keys>) -> &mut HashMap<Name, Arc<Authentic>> {
        if !self.keys.as_ref().is_some_and(|own| Arc::ptr_eq(own, keys)) {
            self.tokens.clear();
            self.keys = Some(Arc::clone(keys));
        }
        &mut self.tokens
    }
}
