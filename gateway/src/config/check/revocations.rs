//! `revocations:` as it runs.

use super::Checker;
use crate::config::file::RevocationsFile;
use crate::revocation::Revocations;
use std::path::PathBuf;

impl Checker<'_> {
    /// The file and what is in it. A list that can't be read is a mistake: without it the gateway would let in too many.
    pub(super) fn revocations(
        &mut self,
        file: &RevocationsFile,
        max: usize,
    ) -> Option<(PathBuf, Revocations)> {
        let full = self.existing("revocations.file", file.file.as_deref()?);
        if !full.exists() {
            return None; // That it isn't there has been noted.
        }
        let read = Revocations::read(&full, max);
        let fix = "write it with `sallyport revoke --file`; an empty file revokes nothing";
        Some((full, self.problems.take("revocations.file", read, fix)?))
    }
}
