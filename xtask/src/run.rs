//! Running other programs, with errors that name the program.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, bail};

/// The repository's root: the folder above this package's.
pub(crate) fn root() -> anyhow::Result<PathBuf> {
    let package = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    Ok(package.parent().context("the package has no folder above it")?.to_owned())
}

/// The folder of what `scripts/setup` installed; `scripts/env` has the same rule.
pub(crate) fn cache() -> anyhow::Result<PathBuf> {
    if let Some(folder) = std::env::var_os("SALLYPORT_CACHE") {
        return Ok(folder.into());
    }
    let home = std::env::var_os("HOME").context("neither SALLYPORT_CACHE nor HOME is set")?;
    Ok(PathBuf::from(home).join(".cache/sallyport"))
}

/// Runs a command whose output is the user's, and fails when it does.
pub(crate) fn succeed(command: &mut Command) -> anyhow::Result<()> {
    let status = command.status().with_context(|| format!("cannot start {}", spelled(command)))?;
    if !status.success() {
        bail!("{} ended with {status}", spelled(command));
    }
    Ok(())
}

/// What a command wrote to its standard output; its errors are the user's.
pub(crate) fn output(command: &mut Command) -> anyhow::Result<Vec<u8>> {
    let output = command.stderr(Stdio::inherit()).output();
    let output = output.with_context(|| format!("cannot start {}", spelled(command)))?;
    if !output.status.success() {
        bail!("{} ended with {}", spelled(command), output.status);
    }
    Ok(output.stdout)
}

/// A command as one would type it, without its environment, which may hold a key.
pub(crate) fn spelled(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}
