//! JWTs of the SPIFFE Workload API (standard §6): our own JWT-SVIDs, and the keys that verify a trust domain's.

use crate::workload_api::{RETRY_MAX, RETRY_MIN, is_withdrawal};
use futures_util::StreamExt;
use spiffe::{JwtBundle, JwtBundleSet, JwtSvid, SpiffeId, TrustDomain, WorkloadApiClient, WorkloadApiError};
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::sync::{Mutex, watch};

/// Our own JWT-SVIDs for one audience, each kept for half of its life. `Debug` prints no token.
#[derive(Debug)]
pub struct JwtSvids {
    endpoint: String,
    audience: String,
    kept: Mutex<Option<Kept>>,
}

#[derive(Debug)]
struct Kept {
    svid: Arc<JwtSvid>,
    renew_at: SystemTime,
}

/// Why there is no JWT-SVID.
#[derive(Debug, thiserror::Error)]
pub enum JwtSvidError {
    /// The Workload API gives none.
    #[error("the SPIFFE Workload API gives no JWT-SVID")]
    WorkloadApi(#[from] WorkloadApiError),
    /// It takes too long.
    #[error("the SPIFFE Workload API gives no answer in time")]
    Timeout,
    /// It gives one for another workload or for other audiences.
    #[error("the JWT-SVID is not the one that was asked for")]
    Another,
}

/// A trust domain's JWT authorities as a JWK set (RFC 7517 §5); none while nobody publishes any.
pub type JwkSet = Option<Arc<[u8]>>;

impl JwtSvids {
    /// Nothing is asked for yet.
    pub fn new(endpoint: &str, audience: &str) -> Self {
        Self { endpoint: endpoint.to_owned(), audience: audience.to_owned(), kept: Mutex::default() }
    }

    /// The JWT-SVID of our workload `id`, with the one audience. Asked for once at a time; the last one is used in its second
    /// half if the agent gives none within `wait`, and forgotten if the agent says that this workload is nobody.
    ///
    /// # Errors
    /// [`JwtSvidError`] if there is none that holds.
    pub async fn current(
        &self,
        id: &SpiffeId,
        now: SystemTime,
        wait: Duration,
    ) -> Result<Arc<JwtSvid>, JwtSvidError> {
        let mut kept = self.kept.lock().await; // Whoever waits here finds the fresh one.
        let ours = kept.as_ref().filter(|kept| kept.svid.spiffe_id() == id);
        if let Some(kept) = ours.filter(|kept| now < kept.renew_at) {
            return Ok(Arc::clone(&kept.svid));
        }
        let fetched = tokio::time::timeout(wait, self.fetched(id)).await;
        match fetched.unwrap_or(Err(JwtSvidError::Timeout)) {
            Ok(svid) => {
                let svid = Arc::new(svid);
                let left = ends(&svid).duration_since(now).unwrap_or_default();
                *kept = Some(Kept { svid: Arc::clone(&svid), renew_at: now + left / 2 });
                Ok(svid)
            }
            Err(error) => {
                let over = matches!(&error, JwtSvidError::WorkloadApi(said) if is_withdrawal(said));
                match ours.filter(|kept| !over && now < ends(&kept.svid)) {
                    Some(kept) => Ok(Arc::clone(&kept.svid)),
                    None => {
                        *kept = None;
                        Err(error)
                    }
                }
            }
        }
    }

    async fn fetched(&self, id: &SpiffeId) -> Result<JwtSvid, JwtSvidError> {
        let agent = WorkloadApiClient::connect_to(&self.endpoint).await?;
        let svid = agent.fetch_jwt_svid([&self.audience], Some(id)).await?;
        if svid.spiffe_id() == id && svid.audience() == [self.audience.as_str()] {
            Ok(svid)
        } else {
            Err(JwtSvidError::Another)
        }
    }
}

fn ends(svid: &JwtSvid) -> SystemTime {
    svid.expiry().into()
}

/// Follows a trust domain's JWT bundle until nobody listens any more. An agent that can't be reached changes nothing; one
/// that has no bundle of that domain, or says that this workload is nobody, ends it.
pub fn follow_bundle(endpoint: &str, domain: &TrustDomain) -> watch::Receiver<JwkSet> {
    let (tell, told) = watch::channel(None);
    let (endpoint, domain) = (endpoint.to_owned(), domain.clone());
    tokio::spawn(async move {
        tokio::select! {
            () = tell.closed() => {}
            () = follow(&endpoint, &domain, &tell) => {}
        }
    });
    told
}

async fn follow(endpoint: &str, domain: &TrustDomain, tell: &watch::Sender<JwkSet>) {
    let (mut pause, mut away) = (RETRY_MIN, false);
    loop {
        let take = |bundles: &JwtBundleSet| {
            (pause, away) = (RETRY_MIN, false);
            set(tell, bundles.get_ref(domain).and_then(|bundle| jwk_set(bundle)));
        };
        let error = ended(endpoint, take).await;
        if is_withdrawal(&error) {
            set(tell, None);
        }
        if !std::mem::replace(&mut away, true) {
            tracing::warn!(endpoint, %domain, %error, "JWT bundles can't be had from the SPIFFE Workload API; the last good one stays, unless this workload is nobody");
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(RETRY_MAX);
    }
}

/// Hands over what one stream says, and gives why it ended.
async fn ended(endpoint: &str, mut take: impl FnMut(&JwtBundleSet)) -> WorkloadApiError {
    let stream = async { WorkloadApiClient::connect_to(endpoint).await?.stream_jwt_bundles().await };
    let mut stream = match stream.await {
        Ok(stream) => stream,
        Err(error) => return error,
    };
    loop {
        match stream.next().await {
            Some(Ok(bundles)) => take(&bundles),
            Some(Err(error)) => return error,
            None => return WorkloadApiError::EmptyResponse,
        }
    }
}

fn set(tell: &watch::Sender<JwkSet>, new: JwkSet) {
    tell.send_if_modified(|old| {
        let changed = *old != new;
        *old = new;
        changed
    });
}

fn jwk_set(bundle: &JwtBundle) -> JwkSet {
    let mut keys: Vec<&[u8]> = bundle.jwt_authorities().map(|key| key.jwk_json()).collect();
    keys.sort_unstable(); // The bundle has no order; the same keys are the same set.
    let set = [&b"{\"keys\":["[..], &keys.join(&b','), &b"]}"[..]].concat();
    (!keys.is_empty()).then(|| set.into())
}
