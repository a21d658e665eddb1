//! Issuers of credentials that agents call onward with.

use super::Checker;
use crate::config::file::IssuerFile;

impl Checker<'_> {
    /// Whoever gives agents credentials has to be believed in the chains: else nobody would see how long they are.
    pub(super) fn chains(&mut self, path: &str, file: &IssuerFile) {
        if file.presenter.audience && !file.delegates {
            self.problems.add(
                format!("{path}.delegates"),
                "credentials for agents come with a chain of actors, which is not believed",
                "write `delegates: true`",
            );
        }
    }
}
