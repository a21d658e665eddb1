//! One attempt to deliver an event: the URL that it came to and the target are judged as things are now, the target's name
//! is looked up now, and the connection goes to an address that was judged. No redirect is followed, no proxy asked, no
//! cookie kept, and nothing of the answer is read but its head.

use super::delivery::Delivery;
use super::seal::Void;
use super::target::TargetError;
use crate::digest;
use crate::https::{HttpsError, head_of};
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST, RETRY_AFTER};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, Uri};
use http_body_util::Full;
use protocol::a2a::{Hidden, Push, Version};
use serde_json::{Map, json};
use std::net::SocketAddr;
use std::time::{Duration, UNIX_EPOCH};
use tokens::SigningError;
use tokio::net::TcpStream;
use url::{Position, Url};

/// What A2A calls the header with the caller's token.
const TOKEN: HeaderName = HeaderName::from_static("x-a2a-notification-token");
/// Where our signature is, where the caller named credentials of its own.
const SIGNATURE: HeaderName = HeaderName::from_static("x-sallyport-signature");
/// The type of the signature's token: it is good for nothing else.
const TYPE: &str = "a2a-push+jwt";
/// How long the signature is good for, in seconds.
const GOOD_FOR: u64 = 60;

/// Why an event did not get there.
#[derive(Debug, thiserror::Error)]
pub(super) enum AttemptError {
    /// It may not go there, as things are now.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// It would not be taken from the agent any more.
    #[error(transparent)]
    Void(#[from] Void),
    /// It could not be signed.
    #[error("the event could not be signed")]
    Sign(#[from] SigningError),
    /// A connection to none of the target's addresses.
    #[error("no connection to the target")]
    Connect(#[source] std::io::Error),
    /// TLS or HTTP failed.
    #[error(transparent)]
    Https(#[from] HttpsError),
    /// It took too long.
    #[error("the target did not answer in time")]
    Timeout,
    /// It answered with something else than success.
    #[error("the target answered {status}")]
    Status {
        /// What.
        status: StatusCode,
        /// When it wants to be asked again.
        again: Option<Duration>,
    },
}

impl AttemptError {
    /// Whether another attempt may succeed.
    pub(super) fn may_pass(&self) -> bool {
        match self {
            Self::Target(TargetError::NoAddress) | Self::Connect(_) | Self::Https(_) | Self::Timeout => true,
            Self::Target(_) | Self::Void(_) | Self::Sign(_) => false,
            Self::Status { status, .. } => {
                status.is_server_error()
                    || matches!(*status, StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS)
            }
        }
    }

    /// Whether it is the gateway that doesn't let it go.
    pub(super) fn is_ours(&self) -> bool {
        matches!(self, Self::Target(_) | Self::Void(_))
    }

    /// What the target answered.
    pub(super) fn status(&self) -> Option<u16> {
        if let Self::Status { status, .. } = self { Some(status.as_u16()) } else { None }
    }

    /// How long the target wants to be left alone.
    pub(super) fn wait(&self) -> Option<Duration> {
        if let Self::Status { again, .. } = self { *again } else { None }
    }
}

/// Tries once. Returns the status of success.
pub(super) async fn attempt(delivery: &Delivery) -> Result<u16, AttemptError> {
    let (seal, sending) = (&delivery.seal, &delivery.sending);
    seal.holds(&sending.state.load(), &delivery.from, sending.clock.now())?;
    let targets = sending.targets.load_full();
    let url = targets.allowed(&seal.push.url)?;
    let addresses = targets.addresses(&url).await?;
    let stream = sending.https.over(connected(&addresses).await?, &url).await?;
    let head = head_of(stream, request(delivery, &url)?).await?;
    if head.status.is_success() {
        return Ok(head.status.as_u16());
    }
    let seconds = head.headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.trim().parse().ok());
    Err(AttemptError::Status { status: head.status, again: seconds.map(Duration::from_secs) })
}

async fn connected(addresses: &[SocketAddr]) -> Result<TcpStream, AttemptError> {
    let mut last = std::io::Error::other("no address");
    for address in addresses {
        match TcpStream::connect(address).await {
            Ok(tcp) => return Ok(tcp),
            Err(error) => last = error,
        }
    }
    Err(AttemptError::Connect(last))
}

fn request(delivery: &Delivery, url: &Url) -> Result<Request<Full<Bytes>>, AttemptError> {
    let sending = &delivery.sending;
    let mut headers = shown(&delivery.seal.push)?;
    let media_type = match delivery.version {
        Version::V1_0 => "application/a2a+json",
        Version::V0_3 => "application/json",
    };
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    let text = |text: &str| HeaderValue::try_from(text).map_err(|_| TargetError::Url);
    headers.insert(HOST, text(&url[Position::BeforeHost..Position::AfterPort])?);
    let now = sending.clock.now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let claims = [
        ("aud", json!(&url[..Position::AfterPath])), // The query may hold a secret of the target's.
        ("exp", json!(now + GOOD_FOR)),
        ("iat", json!(now)),
        ("jti", json!(tokens::sign::token_id()?)),
        ("sub", json!(delivery.seal.agent)),
        ("request_body_sha256", json!(crate::audit::chain::hex(&digest::of(&delivery.body)))),
        ("taskId", json!(delivery.task)),
    ];
    let claims: Map<_, _> = claims.map(|(name, value)| (name.to_owned(), value)).into_iter().collect();
    let token = sending.signer.token(TYPE, claims)?;
    let mut sensitive = |name, value: String| -> Result<(), TargetError> {
        let mut value = HeaderValue::try_from(value).map_err(|_| TargetError::Header)?;
        value.set_sensitive(true);
        headers.insert(name, value);
        Ok(())
    };
    match delivery.seal.push.credentials {
        Some(_) => sensitive(SIGNATURE, token.expose().to_owned())?,
        None => sensitive(AUTHORIZATION, format!("Bearer {}", token.expose()))?,
    }
    let mut request = Request::new(Full::new(delivery.body.clone()));
    *request.method_mut() = Method::POST;
    *request.uri_mut() =
        Uri::try_from(&url[Position::BeforePath..Position::AfterQuery]).map_err(|_| TargetError::Url)?;
    *request.headers_mut() = headers;
    Ok(request)
}

/// What the caller wants to be shown at the target: its token, and the first scheme with the credentials.
///
/// # Errors
/// [`TargetError::Header`] for what can't stand in a header field.
pub(super) fn shown(push: &Push) -> Result<HeaderMap, TargetError> {
    let mut headers = HeaderMap::new();
    let hidden = |text: &str| {
        let mut value = HeaderValue::try_from(text).map_err(|_| TargetError::Header)?;
        value.set_sensitive(true);
        Ok::<_, TargetError>(value)
    };
    if let Some(token) = &push.token {
        headers.insert(TOKEN, hidden(token.expose())?);
    }
    if let Some(credentials) = push.credentials.as_ref().map(Hidden::expose) {
        let scheme = push.schemes.first().ok_or(TargetError::Header)?;
        let is_word = !scheme.is_empty()
            && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b));
        if !is_word || credentials.is_empty() {
            return Err(TargetError::Header);
        }
        headers.insert(AUTHORIZATION, hidden(&format!("{scheme} {credentials}"))?);
    }
    Ok(headers)
}
