//! One call on the wire: what crate `kube` sends through. No redirects, no proxy, a bound on time and on bytes; an answer
//! that no API server gives ends here, and none of it is passed on.

use crate::flags::FlagsError;
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use http::{Request, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use kit::system::client_tls;
use kube::client::Body;
use kube::core::Status;
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tower_service::Service;
use url::Url;

/// Sends requests to one API server with one credential.
#[derive(Clone)]
pub(crate) struct Wire {
    pub(crate) http: reqwest::Client,
    pub(crate) base: Url,
    pub(crate) authorization: Option<HeaderValue>,
    pub(crate) bytes_max: usize,
    pub(crate) timeout: Duration,
}

/// Why a call has no usable answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WireError {
    /// The API server says so itself.
    #[error("the API server refuses")]
    Said(Box<Status>),
    /// Whatever stands there refuses the credential.
    #[error("the credential is refused")]
    Forbidden,
    #[error("no answer in time")]
    Timeout,
    #[error("the answer has more than {max} bytes")]
    TooLarge { max: usize },
    #[error("{0}")]
    Failed(&'static str),
}

/// For a connection with its handshake.
const CONNECT: Duration = Duration::from_secs(10);
/// What an API server says of a failure is shorter.
const STATUS_BYTES_MAX: usize = 64 * 1024;

/// A client that believes the system's certificates, or those of a file.
pub(crate) fn http(ca: Option<&Path>) -> Result<reqwest::Client, FlagsError> {
    let tls = client_tls(ca).map_err(|error| FlagsError::Ca(error.to_string()))?;
    #[expect(
        clippy::disallowed_methods,
        reason = "an API server has no SPIFFE ID; each call sets its deadline"
    )]
    let builder = reqwest::Client::builder();
    builder
        .tls_backend_preconfigured(tls)
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(CONNECT)
        .build()
        .map_err(|error| FlagsError::Client(error.without_url()))
}

impl Service<Request<Body>> for Wire {
    type Response = Response<UnsyncBoxBody<Bytes, WireError>>;
    type Error = WireError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, WireError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), WireError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let wire = self.clone();
        Box::pin(async move { wire.send(request).await })
    }
}

impl Wire {
    async fn send(
        self,
        request: Request<Body>,
    ) -> Result<<Self as Service<Request<Body>>>::Response, WireError> {
        let unsendable = |_| WireError::Failed("the request can't be sent");
        let (head, body) = request.into_parts();
        let query = head.uri.query();
        // A watch and a log that is followed have no end of their own: only their beginning is waited for.
        let endless = query.is_some_and(|q| q.split('&').any(|p| matches!(p, "watch=true" | "follow=true")));
        let is_text = head.uri.path().ends_with("/log");
        let mut url = self.base.clone();
        url.set_path(&format!("{}{}", self.base.path().trim_end_matches('/'), head.uri.path()));
        url.set_query(query.filter(|query| !query.is_empty()));
        let mut sent = reqwest::Request::new(head.method, url);
        *sent.headers_mut() = head.headers;
        if let Some(credential) = &self.authorization {
            sent.headers_mut().insert(AUTHORIZATION, credential.clone());
        }
        let body = body.collect().await.map_err(unsendable)?.to_bytes();
        if !body.is_empty() {
            *sent.body_mut() = Some(body.into());
        }
        if !endless {
            *sent.timeout_mut() = Some(self.timeout);
        }
        let answered = tokio::time::timeout(self.timeout, self.http.execute(sent)).await;
        let answer = answered.map_err(|_| WireError::Timeout)?.map_err(|error| failure(&error))?;
        let (head, body) = Response::from(answer).into_parts();
        let max = if head.status.is_success() { self.bytes_max } else { STATUS_BYTES_MAX };
        let body = Limited::new(body, max).map_err(move |error: Failure| broken(&error, max)).boxed_unsync();
        if !head.status.is_success() {
            return Err(refusal(head.status, body.collect().await.ok().map(|body| body.to_bytes())));
        }
        let kind = head.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        if !kind.starts_with(if is_text { "text/plain" } else { "application/json" }) {
            return Err(WireError::Failed("the answer is not of the type that an API server gives"));
        }
        Ok(Response::from_parts(head, body))
    }
}

/// What an API server says of a failure; from anybody else nothing is taken but the status.
fn refusal(status: StatusCode, body: Option<Bytes>) -> WireError {
    let said: Option<serde_json::Value> = body.and_then(|body| serde_json::from_slice(&body).ok());
    let said = said.filter(|said| said["kind"] == "Status" && said["apiVersion"] == "v1");
    match said.and_then(|said| serde_json::from_value::<Status>(said).ok()) {
        Some(said) if said.code == status.as_u16() => WireError::Said(Box::new(said)),
        _ if matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) => WireError::Forbidden,
        _ => WireError::Failed("a status that no API server explains"),
    }
}

/// What a body may fail with.
type Failure = Box<dyn std::error::Error + Send + Sync>;

fn broken(error: &Failure, max: usize) -> WireError {
    if error.is::<LengthLimitError>() {
        return WireError::TooLarge { max };
    }
    error.downcast_ref::<reqwest::Error>().map_or(WireError::Failed("the answer broke off"), failure)
}

/// The client's own words quote the URL.
fn failure(error: &reqwest::Error) -> WireError {
    if error.is_timeout() {
        WireError::Timeout
    } else if error.is_connect() {
        WireError::Failed("no connection, or a certificate that nobody vouches for")
    } else {
        WireError::Failed("the answer broke off")
    }
}
