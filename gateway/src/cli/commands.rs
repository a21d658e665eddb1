//! What the commands do. Here a person reads the errors, so here they are gathered with `anyhow`.

use super::{
    Audit, Cli, Command, Policy, Svid, Token, Up, WorkloadApi, agents, audit, hints, policy, revoke,
};
use crate::config::{self, file::ConfigFile};
use crate::reload::{listed, read_sources};
use crate::run;
use crate::token_service::SubjectClaims;
use crate::up::embedded::subject_token;
use crate::up::state::{Addresses, Dir};
use crate::up::{self, TRUST_DOMAIN, WorkloadApiAt};
use ::policy::{Budget, PolicySet};
use anyhow::{Context, anyhow, bail};
use certs::development::Domain;
use certs::{Clock, TrustDomain, files};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Runs a command.
///
/// # Errors
/// What went wrong, for a person to read.
pub fn execute(cli: Cli) -> anyhow::Result<ExitCode> {
    match cli.command {
        Command::Up(args) => runtime()?.block_on(start_all(args)),
        Command::Run(args) => runtime()?.block_on(serve(&args.config)),
        Command::Check(args) => check(&args.config),
        Command::Token(args) => token(&args),
        Command::Svid(args) => svid(&args),
        Command::WorkloadApi(args) => runtime()?.block_on(workload_api(args)),
        Command::Revoke(args) => revoke::revoke(&args),
        Command::Agents(args) => agents::run(&args),
        Command::Policy(Policy::Test(args)) => policy::test(&args),
        Command::Policy(Policy::Eval(args)) => policy::eval(&args),
        Command::Audit(Audit::Verify(args)) => audit::check(&args),
        Command::Audit(Audit::Tip(args)) => audit::tip(&args),
        Command::Policy(Policy::Check(args)) => policy::check(&args),
        Command::Policy(Policy::Schema) => policy::schema(),
        Command::Schema => {
            println!("{}", serde_json::to_string_pretty(&schemars::schema_for!(ConfigFile))?);
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().context("the runtime can't be started")
}

async fn start_all(args: Up) -> anyhow::Result<ExitCode> {
    let mut stop = Stop::new()?;
    let mut up = up::up(args.dir, args.listen, Clock::system()).await?;
    println!("{}", hints::to_try(&up));
    let broken = tokio::select! {
        () = stop.asked() => None,
        error = up.broken() => Some(error),
    };
    up.stop().await;
    match broken {
        Some(error) => Err(error.into()),
        None => Ok(ExitCode::SUCCESS),
    }
}

async fn serve(path: &Path) -> anyhow::Result<ExitCode> {
    let mut stop = Stop::new()?;
    let running = run::start(load(path)?, None, Clock::system()).await?;
    println!("listening on https://{}", running.address());
    stop.asked().await;
    running.stop().await;
    Ok(ExitCode::SUCCESS)
}

async fn workload_api(args: WorkloadApi) -> anyhow::Result<ExitCode> {
    let mut stop = Stop::new()?;
    let dir = Dir::open(args.dir)?;
    let usual = WorkloadApiAt::usual(&dir);
    let at = WorkloadApiAt {
        socket: args.socket.unwrap_or(usual.socket),
        entries: args.entries.unwrap_or(usual.entries),
        ttl: Duration::from_secs(args.ttl_seconds),
    };
    let serving = up::serve_workload_api(&dir, &at, Clock::system())?;
    println!("SPIFFE_ENDPOINT_SOCKET=unix:{}", std::path::absolute(&at.socket)?.display());
    stop.asked().await;
    serving.abort();
    Ok(ExitCode::SUCCESS)
}

/// SIGTERM and Ctrl-C, listened to before anybody is told that we are here.
struct Stop {
    terminate: Signal,
    interrupt: Signal,
}

impl Stop {
    fn new() -> anyhow::Result<Self> {
        let listen = |kind| signal(kind).context("signals can't be listened to");
        Ok(Self { terminate: listen(SignalKind::terminate())?, interrupt: listen(SignalKind::interrupt())? })
    }

    async fn asked(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
        tracing::info!("stopping: requests in flight may end");
    }
}

fn load(path: &Path) -> anyhow::Result<config::Config> {
    config::load(path).map_err(|problems| {
        let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
        anyhow!("{} has {} to mend:\n\n{}", path.display(), count(lines.len()), lines.join("\n"))
    })
}

fn count(n: usize) -> String {
    if n == 1 { "one mistake".into() } else { format!("{n} mistakes") }
}

fn check(path: &Path) -> anyhow::Result<ExitCode> {
    let config = load(path)?;
    let dir = &config.policy_dir;
    let sources =
        read_sources(dir).with_context(|| format!("the policies in {} can't be read", dir.display()))?;
    PolicySet::compile(&sources, Budget { evaluation: config.policy_budget }).map_err(|problems| {
        anyhow!(
            "the policies in {} have {} to mend:\n\n{}",
            dir.display(),
            count(problems.len()),
            listed(&problems)
        )
    })?;
    println!(
        "{} is good: {} server(s), {} policy file(s)",
        path.display(),
        config.servers.len(),
        sources.len()
    );
    Ok(ExitCode::SUCCESS)
}

fn domain(dir: &Path) -> anyhow::Result<Domain> {
    let ca = dir.join("ca");
    if !ca.join("ca.pem").exists() {
        bail!(
            "{} holds no development trust domain; `sallyport up --dir {}` makes one",
            dir.display(),
            dir.display()
        );
    }
    Ok(Domain::open(&ca, &TrustDomain::new(TRUST_DOMAIN)?, &Clock::system())?)
}

fn token(args: &Token) -> anyhow::Result<ExitCode> {
    let domain = domain(&args.dir)?;
    let addresses: Addresses = serde_json::from_slice(&files::read(&args.dir.join("addresses.json"))?)?;
    let issuer = addresses.users_issuer();
    let audience = match &args.server {
        Some(server) => format!("{}/mcp/{server}", addresses.url),
        None => addresses.url,
    };
    let claims = SubjectClaims {
        issuer: &issuer,
        subject: &args.user,
        presenter: &domain.id(&args.agent)?,
        audience: &audience,
        scopes: &args.scope.iter().cloned().collect(),
        ttl: Duration::from_secs(args.ttl_seconds),
    };
    println!("{}", subject_token(&args.dir, &claims, Clock::system().now())?.expose());
    Ok(ExitCode::SUCCESS)
}

fn svid(args: &Svid) -> anyhow::Result<ExitCode> {
    let domain = domain(&args.dir)?;
    let id = domain.id(&args.path)?;
    let paths = domain.write_svid(&args.out, &id, &["localhost", "127.0.0.1"], Clock::system().now())?;
    println!(
        "{id}: {}, {}, {}",
        paths.certificate.display(),
        paths.private_key.display(),
        paths.trust_bundle.display()
    );
    Ok(ExitCode::SUCCESS)
}
