//! `sallyport revoke`: writes the list of revocations that gateways follow.

use crate::config::{self, Config, RevocationsFrom};
use crate::federation;
use crate::revocation::file::{self, time};
use crate::revocation::redis::Client;
use crate::revocation::{Name, Revocations};
use anyhow::{Context, bail};
use certs::Clock;
use clap::Args;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::SystemTime;

/// `revoke`.
#[derive(Debug, Args)]
pub struct Revoke {
    /// The list, a file; made if it isn't there.
    #[arg(long, required_unless_present = "config", conflicts_with = "config")]
    pub file: Option<PathBuf>,
    /// The configuration of a gateway, whose list is meant: its file, or that in Redis.
    #[arg(long)]
    pub config: Option<PathBuf>,
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
    #[arg(long, num_args = 2, value_names = ["ISS", "SUB"], allow_hyphen_values = true, value_parser = any_name)]
    subject: Vec<String>,
    /// One token, by its `jti`.
    #[arg(long, allow_hyphen_values = true, value_parser = any_name)]
    jti: Option<String>,
    /// A session, by its id or by the digest that the audit has of it.
    #[arg(long, value_name = "ID|sha256:DIGEST", allow_hyphen_values = true, value_parser = any_name)]
    session: Option<String>,
    /// A tool, as s3/get_object.
    #[arg(long, value_name = "SERVER/TOOL")]
    tool: Option<String>,
}

/// A name that others have given, as ids of random bytes that begin with a hyphen now and then. A flag of this command is
/// none: the name before it was forgotten.
fn any_name(text: &str) -> Result<String, String> {
    let command = Revoke::augment_args(clap::Command::new("revoke"));
    let is_flag = |flag: &str| command.get_arguments().any(|argument| argument.get_long() == Some(flag));
    match text.strip_prefix("--") {
        Some(flag) if is_flag(flag) => Err("the name is missing".to_owned()),
        _ => Ok(text.to_owned()),
    }
}

/// What is to become of the list.
struct Change {
    name: Name<'static>,
    until: Option<SystemTime>,
    undo: bool,
    now: SystemTime,
}

/// Lists what is revoked, or changes it.
///
/// # Errors
/// What went wrong; the list is as it was.
pub fn revoke(args: &Revoke) -> anyhow::Result<ExitCode> {
    let change = args.change()?;
    let list = match (&args.file, &args.config) {
        (Some(path), _) => in_file(path, change.as_ref())?,
        (None, Some(path)) => {
            let config = config::load(path).map_err(|problems| mistakes(path, &problems))?;
            in_configured(config, change.as_ref())?
        }
        (None, None) => bail!("--file or --config is missing"),
    };
    match change {
        None => print!("{}", list.text()),
        Some(Change { name, undo, .. }) => {
            let done = if undo { "no longer revoked" } else { "revoked" };
            println!("{name}: {done}; {} on the list", list.len());
        }
    }
    Ok(ExitCode::SUCCESS)
}

impl Revoke {
    fn change(&self) -> anyhow::Result<Option<Change>> {
        let Some(name) = self.what.name()? else { return Ok(None) };
        let now = Clock::system().now();
        let until = self.until.as_deref().map(time).transpose()?;
        if until.is_some_and(|until| until <= now) {
            bail!("--until is over already");
        }
        Ok(Some(Change { name, until, undo: self.undo, now }))
    }
}

impl Change {
    fn make(&self, list: &mut Revocations) -> anyhow::Result<()> {
        let was = list.remove(&self.name); // So that an end may also come earlier.
        if !self.undo {
            list.insert(self.name.clone(), self.until);
        } else if !was {
            bail!("{} is not on the list", self.name);
        }
        list.forget_ended(self.now);
        Ok(())
    }
}

fn mistakes(path: &Path, problems: &[config::Problem]) -> anyhow::Error {
    let all: Vec<String> = problems.iter().map(ToString::to_string).collect();
    anyhow::anyhow!("{} has mistakes:\n{}", path.display(), all.join("\n"))
}

/// The list of a gateway, changed where something is to be changed.
fn in_configured(config: Config, change: Option<&Change>) -> anyhow::Result<Revocations> {
    match &config.revocations {
        None => bail!("its `revocations` name no list"),
        Some(RevocationsFrom::File(path, _)) => in_file(path, change),
        Some(RevocationsFrom::Redis(_)) => {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(in_redis(config, change))
        }
    }
}

async fn in_redis(config: Config, change: Option<&Change>) -> anyhow::Result<Revocations> {
    let Some(RevocationsFrom::Redis(list)) = config.revocations else { bail!("it names no Redis") };
    let clock = Clock::system();
    let identity = federation::identity(&config.identity, &config.trust_domains, &clock).await?;
    let place = format!("the list in {}", list.at.url);
    let mut redis = Client::new(list, &identity, &clock, config.limits.revocations_max)?;
    match change {
        None => redis.read().await.context(place),
        Some(change) => redis.change(|list| change.make(list)).await.context(place),
    }
}

fn in_file(path: &Path, change: Option<&Change>) -> anyhow::Result<Revocations> {
    let list = match change {
        Some(change) => file::change(path, true, |list| change.make(list)),
        None => Revocations::read(path, file::ENTRIES_MAX).map_err(anyhow::Error::from),
    };
    list.with_context(|| format!("the list in {}", path.display()))
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
