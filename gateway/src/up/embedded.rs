//! The embedded token service of `sallyport up`: its file, its keys, and the two places where it listens.

use super::servers::Started;
use super::state::{Dir, Workload};
use super::{UpError, address, echo, loopback, starter, watched};
use crate::config;
use crate::exchange::client::ACCESS_TOKEN_TYPE;
use crate::run::Running;
use crate::token_service::keys::files::FileKeys;
use crate::token_service::keys::{Ring, Rotation};
use crate::token_service::{People, Rings, Settings, SubjectClaims, TokenService, listener, subject_claims};
use certs::development::Domain;
use certs::{Clock, SharedSource};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokens::Secret;
use tokio::task::JoinHandle;

/// The service, not yet listening for people.
pub(super) struct Embedded {
    pub(super) service: Arc<TokenService>,
    /// Where the gateway and other workloads reach it.
    pub(super) origin: String,
    /// Where people and their programs reach it.
    pub(super) sign_in: String,
    sign_in_socket: TcpListener,
    source: SharedSource,
    dir: Dir,
}

/// How often it is looked whether a key is due.
const ROTATION_INTERVAL: Duration = Duration::from_secs(30);

/// Its file in the state folder.
pub const FILE: &str = "token-service.yaml";
/// The list of revocations that the gateway follows.
pub const REVOKED: &str = "revoked.jsonl";

impl Embedded {
    /// Starts it for the gateway at `url`; gives it with the task that serves workloads.
    pub(super) fn start(
        dir: &Dir,
        domain: &Domain,
        url: &str,
        list: &[Started],
        clock: &Clock,
    ) -> Result<(Self, JoinHandle<()>), UpError> {
        dir.write_secret_once(FILE, &starter::token_service(domain)?)?;
        dir.write_once(REVOKED, b"")?;
        let embedded = config::load_embedded(&dir.path(FILE)).map_err(UpError::Config)?;
        let last = dir.addresses();
        let (socket, origin) = listen(last.as_ref().map(|last| last.origin.as_str()))?;
        let (sign_in_socket, sign_in) = listen(last.as_ref().and_then(|last| last.sign_in.as_deref()))?;
        let settings = Settings {
            origin: origin.clone(),
            gateway: domain.id(&Workload::Gateway.path())?,
            resources: [url.to_owned(), format!("{url}/mcp"), format!("{url}/a2a/{}", echo::NAME)]
                .into_iter()
                .chain(list.iter().map(|started| format!("{url}/mcp/{}", started.name)))
                .collect(),
            audiences: list
                .iter()
                .map(Started::workload)
                .chain([Workload::Echo])
                .map(|workload| Ok(domain.id(&workload.path())?.to_string()))
                .collect::<Result<_, UpError>>()?,
            agents: Default::default(),
            grants: starter::grants(list),
            workload_grants: Default::default(),
            downstream: list
                .iter()
                .filter_map(|started| Some((started.workload(), started.downstream.clone()?)))
                .map(|(workload, system)| Ok((domain.id(&workload.path())?.to_string(), system)))
                .collect::<Result<_, UpError>>()?,
        };
        let rings = rings(dir, embedded.keys, clock.now())?;
        let people = People::new(&sign_in, embedded, Some(dir.path(REVOKED)), clock.clone())?;
        let service = TokenService::with_rings(rings, &dir.key("actor")?, settings, clock.clone())?;
        let service = Arc::new(service.with_people(people));
        let source = watched(dir, Workload::TokenService)?;
        let task = listener::serve(Arc::clone(&service), socket, Arc::clone(&source), clock.clone())?;
        let embedded = Self { service, origin, sign_in, sign_in_socket, source, dir: dir.clone() };
        publish(&embedded.service, dir)?;
        Ok((embedded, task))
    }

    /// Lets people in, now that there is a gateway which their tokens are for, and changes keys from now on.
    pub(super) fn open(self, gateway: &Running) -> Result<Vec<JoinHandle<()>>, UpError> {
        let Self { service, sign_in_socket, source, dir, .. } = self;
        let serving = gateway.serve_people(Arc::clone(&service), sign_in_socket, source)?;
        Ok(vec![serving, tokio::spawn(rotate(service, dir))])
    }
}

/// A subject token for whoever has the state folder, signed with its keys; none of them is made or changed.
///
/// # Errors
/// [`UpError`].
pub fn subject_token(dir: &Path, claims: &SubjectClaims<'_>, now: SystemTime) -> Result<Secret, UpError> {
    let rotation = config::load_embedded(&dir.join(FILE)).map_err(UpError::Config)?.keys;
    let keys = Ring::as_it_is(Arc::new(FileKeys::open(&dir.join(USER_KEYS))?), rotation)?;
    Ok(keys.sign(ACCESS_TOKEN_TYPE, &subject_claims(claims, now)?, now)?)
}

const USER_KEYS: &str = "keys/users";

fn rings(dir: &Dir, rotation: Rotation, now: SystemTime) -> Result<Rings, UpError> {
    let ring = |folder: &str| Ring::open(Arc::new(FileKeys::open(&dir.path(folder))?), rotation, now);
    Ok(Rings { users: ring(USER_KEYS)?, credentials: ring("keys/credentials")? })
}

/// The keys of credentials go to the servers in a file; the gateway asks for its own.
fn publish(service: &TokenService, dir: &Dir) -> Result<(), UpError> {
    dir.write("credentials.jwks.json", service.credential_jwks().to_string().as_bytes(), 0o644)
}

async fn rotate(service: Arc<TokenService>, dir: Dir) {
    let mut published = service.credential_jwks();
    loop {
        tokio::time::sleep(ROTATION_INTERVAL).await;
        let rotating = Arc::clone(&service);
        // On a thread of its own: keys are files, or farther away.
        let rotated = tokio::task::spawn_blocking(move || rotating.rotate_keys()).await;
        if let Ok(Err(error)) = rotated {
            let cause = config::problems::chain(&error);
            tracing::error!(%cause, "signing keys could not be changed");
        }
        let now = service.credential_jwks();
        if now == published {
            continue;
        }
        match publish(&service, &dir) {
            Ok(()) => published = now,
            Err(error) => {
                let cause = config::problems::chain(&error);
                tracing::error!(%cause, "the keys of credentials could not be published; it is tried again");
            }
        }
    }
}

/// Listens where it did the last time: what was issued names that place. Where that is taken, anywhere.
fn listen(last: Option<&str>) -> Result<(TcpListener, String), UpError> {
    let last = last.and_then(|origin| origin.strip_prefix("https://")?.parse::<SocketAddr>().ok());
    let again = last.and_then(|address| TcpListener::bind(address).ok());
    if last.is_some() && again.is_none() {
        tracing::warn!(
            "the token service's last port is taken: what it issued before does not count any more"
        );
    }
    let socket = again.map_or_else(|| super::bind(loopback()), Ok)?;
    let origin = format!("https://{}", address(&socket, loopback())?);
    Ok((socket, origin))
}
