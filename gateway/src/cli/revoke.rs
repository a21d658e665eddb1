//! `sallyport revoke`: writes the list of revocations that gateways follow.

use crate::revocation::file::time;
use crate::revocation::{Name, Revocations};
use anyhow::{Context, bail};
use certs::{Clock, files};
use clap::Args;
use std::fs::File;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// `revoke`.
#[derive(Debug, Args)]
pub struct Revoke {
    /// The list; made if it isn't there.
    #[arg(long)]
    pub file: PathBuf,
    #[command(flatten)]
    what: What,
    /// Until when, as 2026-11-21T10:00:00Z; else for good.
    #[arg(long, value_name = "TIME", requires = "What", conflicts_with = "undo")]
    until: Option<String>,
    /// Take it off the list.
    #[arg(long, requires = "What")]
    undo: bool,
}

/// What to revoke; without any of it the list is printed.
#[derive(Debug, Args)]
#[group(multiple = false)]
struct What {
    /// A workload, as spiffe://prod.example/agent/clerk.
    #[arg(long, value_name = "ID")]
    spiffe_id: Option<String>,
    /// All tokens of a subject, by issuer and name.
    #[arg(long, num_args = 2, value_names = ["ISS", "SUB"])]
    subject: Vec<String>,
    /// One token, by its `jti`.
    #[arg(long)]
    jti: Option<String>,
    /// A session, by its id or by the digest that the audit has of it.
    #[arg(long, value_name = "ID|sha256:DIGEST")]
    session: Option<String>,
    /// A tool, as s3/get_object.
    #[arg(long, value_name = "SERVER/TOOL")]
    tool: Option<String>,
}

/// Entries that the command reads: those of any gateway.
const ENTRIES_MAX: usize = 10_000_000;

/// Lists what is revoked, or changes it.
///
/// # Errors
/// What went wrong; the list is as it was.
pub fn revoke(args: &Revoke) -> anyhow::Result<ExitCode> {
    let path = args.file.as_path();
    let Some(name) = args.what.name()? else {
        print!("{}", read(path)?.text());
        return Ok(ExitCode::SUCCESS);
    };
    let now = Clock::system().now();
    let until = args.until.as_deref().map(time).transpose()?;
    if until.is_some_and(|until| until <= now) {
        bail!("--until is over already");
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let lock = File::open(folder).with_context(|| format!("{} can't be opened", folder.display()))?;
    lock.lock().with_context(|| format!("{} can't be locked", folder.display()))?; // Two at once lose no entry.
    let mut list = if path.try_exists()? { read(path)? } else { Revocations::default() };
    if args.undo {
        if !list.remove(&name) {
            bail!("{name} is not on the list");
        }
    } else {
        list.remove(&name); // So that an end may also come earlier.
        list.insert(name.clone(), until);
    }
    list.forget_ended(now);
    write(path, &list)?;
    let done = if args.undo { "no longer revoked" } else { "revoked" };
    println!("{name}: {done}; {} on the list", list.len());
    Ok(ExitCode::SUCCESS)
}

fn read(path: &Path) -> anyhow::Result<Revocations> {
    let list = Revocations::read(path, ENTRIES_MAX);
    list.with_context(|| format!("{} is no list of revocations", path.display()))
}

/// Replaces the file in one step. It holds no secrets; one that is there keeps its mode.
fn write(path: &Path, list: &Revocations) -> anyhow::Result<()> {
    let text = list.text();
    if !Revocations::parse(&text, ENTRIES_MAX)?.same(list) {
        bail!("what would be written does not read the same");
    }
    let mode = std::fs::metadata(path).map_or(0o644, |file| file.permissions().mode() & 0o777);
    Ok(files::write(path, text.as_bytes(), mode)?)
}

impl What {
    fn name(&self) -> anyhow::Result<Option<Name<'static>>> {
        let name = match self {
            Self { spiffe_id: Some(id), .. } => Name::spiffe_id(id),
            Self { jti: Some(jti), .. } => Name::jti(jti),
            Self { session: Some(session), .. } => Name::session(session),
            Self { tool: Some(tool), .. } => Name::tool(tool),
            Self { subject, .. } => match subject.as_slice() {
                [iss, sub] => Name::subject(iss, sub),
                _ => return Ok(None),
            },
        };
        Ok(Some(name?))
    }
}
