//! SVID, key and trust bundles from the SPIFFE Workload API, as the agent streams them (SPIFFE Workload API standard §5).
//!
//! An agent that can't be reached changes nothing: the last good material is used until it expires, and the agent is
//! asked again and again. An agent that says that this workload has no identity (`PermissionDenied`) ends it at once.

use crate::identity::{
    Generations, Identity, IdentityError, IdentitySource, SourceStatus, TrustBundles, X509Svid,
};
use futures_util::{Stream, StreamExt};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use spiffe::{WorkloadApiClient, WorkloadApiError, X509Context};
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

/// An [`IdentitySource`] over the Workload API.
#[derive(Debug)]
pub struct WorkloadApiSource {
    endpoint: String,
    generations: Generations,
    status: watch::Sender<SourceStatus>,
}

/// What an agent says, one after the other.
type Contexts = Pin<Box<dyn Stream<Item = Result<X509Context, WorkloadApiError>> + Send>>;

/// Whether a text names a Workload API.
///
/// # Errors
/// [`IdentityError::WorkloadApi`], which says what it lacks.
pub fn check_endpoint(endpoint: &str) -> Result<(), IdentityError> {
    let parsed = spiffe::transport::Endpoint::parse(endpoint);
    parsed.map(drop).map_err(|error| IdentityError::WorkloadApi(error.into()))
}

/// How long it is until an agent that can't be reached is asked again; doubled each time, up to [`RETRY_MAX`].
pub(crate) const RETRY_MIN: Duration = Duration::from_millis(200);
pub(crate) const RETRY_MAX: Duration = Duration::from_secs(5);

impl WorkloadApiSource {
    /// Asks for the first SVID, for as long as `wait`: an agent may be starting too, and registration takes a moment. Then
    /// follows the agent's stream until the source is dropped.
    ///
    /// # Errors
    /// [`IdentityError::WorkloadApi`], the last one, when the time is up; at once for an endpoint that is none.
    pub async fn spawn(endpoint: &str, wait: Duration) -> Result<Arc<Self>, IdentityError> {
        check_endpoint(endpoint)?;
        let (until, mut pause, mut told) = (Instant::now() + wait, RETRY_MIN, false);
        loop {
            let error = match first(endpoint).await {
                Ok((context, rest)) => {
                    let source = Arc::new(Self {
                        endpoint: endpoint.to_owned(),
                        generations: Generations::new(identity(&context, 0)?),
                        status: watch::Sender::new(SourceStatus::Connected),
                    });
                    tokio::spawn(follow(Arc::downgrade(&source), endpoint.to_owned(), rest));
                    return Ok(source);
                }
                Err(error) => error,
            };
            if Instant::now() + pause > until {
                return Err(IdentityError::WorkloadApi(error));
            }
            if !std::mem::replace(&mut told, true) {
                tracing::info!(endpoint, %error, "waiting for an SVID from the SPIFFE Workload API");
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(RETRY_MAX);
        }
    }

    fn took(&self, context: &X509Context) {
        let now = self.generations.current();
        match identity(context, now.generation + 1) {
            Ok(new) if new.same_material(&now) => {}
            Ok(new) => self.swap(new),
            Err(error) => {
                return tracing::error!(%error, "what the Workload API gave can't be used, the last good material stays");
            }
        }
        if self.status.send_replace(SourceStatus::Connected) != SourceStatus::Connected {
            tracing::info!(endpoint = self.endpoint, "the SPIFFE Workload API answers again");
        }
    }

    fn failed(&self, error: &WorkloadApiError) {
        let now = self.generations.current();
        if is_withdrawal(error) {
            self.status.send_replace(SourceStatus::Withdrawn);
            if !now.bundles.is_empty() {
                tracing::error!(%error, "this workload has no identity any more: nothing is served until it has one");
                self.swap(now.withdrawn(now.generation + 1));
            }
        } else if self.status.send_replace(SourceStatus::Away) == SourceStatus::Connected {
            tracing::warn!(endpoint = self.endpoint, %error, "the SPIFFE Workload API is away; the last good material stays");
        }
    }

    fn swap(&self, identity: Identity) {
        let generation = identity.generation;
        tracing::info!(spiffe_id = %identity.svid.peer().id, generation, "identity swapped");
        self.generations.swap(identity);
    }
}

impl IdentitySource for WorkloadApiSource {
    fn current(&self) -> Arc<Identity> {
        self.generations.current()
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.generations.changes()
    }

    fn status(&self) -> SourceStatus {
        *self.status.borrow()
    }
}

/// The agent's word that this workload is nobody. Anything else may be the agent's own trouble.
pub(crate) fn is_withdrawal(error: &WorkloadApiError) -> bool {
    matches!(error, WorkloadApiError::NoIdentityIssued | WorkloadApiError::PermissionDenied(_))
}

/// The first word of the agent, and the rest.
async fn first(endpoint: &str) -> Result<(X509Context, Contexts), WorkloadApiError> {
    let mut contexts = contexts(endpoint).await?;
    let context = contexts.next().await.unwrap_or(Err(WorkloadApiError::EmptyResponse))?;
    Ok((context, contexts))
}

async fn contexts(endpoint: &str) -> Result<Contexts, WorkloadApiError> {
    Ok(Box::pin(WorkloadApiClient::connect_to(endpoint).await?.stream_x509_contexts().await?))
}

async fn follow(source: Weak<WorkloadApiSource>, endpoint: String, mut stream: Contexts) {
    let mut pause = RETRY_MIN;
    loop {
        while let Some(next) = stream.next().await {
            let Some(source) = source.upgrade() else { return };
            match next {
                Ok(context) => {
                    pause = RETRY_MIN;
                    source.took(&context);
                }
                Err(error) => source.failed(&error),
            }
        }
        stream = loop {
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(RETRY_MAX);
            let again = contexts(&endpoint).await;
            let Some(source) = source.upgrade() else { return };
            match again {
                Ok(stream) => break stream,
                Err(error) => source.failed(&error),
            }
        };
    }
}

/// The first SVID is the default one (standard §5.2.1.1); the bundles are those of its domain and of all that it federates
/// with.
fn identity(context: &X509Context, generation: u64) -> Result<Identity, IdentityError> {
    let svid = context.default_svid().ok_or(IdentityError::WorkloadApi(WorkloadApiError::EmptyResponse))?;
    let chain = svid.cert_chain().iter().map(|c| CertificateDer::from(c.as_bytes().to_vec())).collect();
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(svid.private_key().as_bytes().to_vec()));
    let mut bundles = TrustBundles::default();
    for (domain, bundle) in context.bundle_set().iter() {
        let authorities = bundle.authorities().iter().map(|c| CertificateDer::from(c.as_bytes().to_vec()));
        bundles.insert(domain, authorities.collect())?;
    }
    Ok(Identity { svid: X509Svid::from_der(chain, key)?, bundles, generation })
}
