//! The REST API of MLflow: one call, one typed answer. No redirects, no proxy, a bound on time and on bytes; nothing that
//! came back is passed on unless MLflow itself said it in its own form.

use crate::error::{MlflowError, one_line};
use crate::flags::FlagsError;
use kit::Downstream;
use kit::system::{Scheme, authorization, client_tls};
use reqwest::header::{
    AUTHORIZATION, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, HeaderMap, HeaderValue, RANGE,
};
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use rmcp::model::Extensions;
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::{Value, json};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use url::Url;
use url::form_urlencoded::Serializer;

/// A client of one MLflow.
#[derive(Clone, Debug)]
pub struct Client {
    http: reqwest::Client,
    base: Url,
    credential: Option<Arc<Downstream>>,
    scheme: Scheme,
    bytes_max: usize,
}

/// Parameters of a GET.
pub(crate) type Parameters<'a> = Vec<(&'a str, String)>;

/// A part of an artifact.
#[derive(Debug)]
pub(crate) struct Piece {
    pub(crate) bytes: Vec<u8>,
    /// How long the whole is, where MLflow says it.
    pub(crate) total: Option<u64>,
}

/// How MLflow says that it won't.
#[derive(Deserialize)]
struct Refusal {
    error_code: String,
    #[serde(default)]
    message: String,
}

const OF_2: [&str; 3] = ["api", "2.0", "mlflow"];
const OF_3: [&str; 3] = ["api", "3.0", "mlflow"];
const ARTIFACTS: [&str; 4] = ["api", "2.0", "mlflow-artifacts", "artifacts"];

impl Client {
    /// A client that believes the system's certificates, or those of a file.
    ///
    /// # Errors
    /// [`FlagsError`] for the URL and the file.
    pub fn new(
        base: &Url,
        ca: Option<&Path>,
        timeout: Duration,
        bytes_max: usize,
    ) -> Result<Self, FlagsError> {
        let bare = base.username().is_empty() && base.password().is_none();
        let bare = bare && base.query().is_none() && base.fragment().is_none() && base.has_host();
        if !bare || !matches!(base.scheme(), "http" | "https") {
            return Err(FlagsError::Url);
        }
        let tls = client_tls(ca).map_err(|error| FlagsError::Ca(error.to_string()))?;
        #[expect(clippy::disallowed_methods, reason = "MLflow has no SPIFFE ID; the deadline is set here")]
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(timeout)
            .build()
            .map_err(|error| FlagsError::Client(error.without_url()))?;
        Ok(Self { http, base: base.clone(), credential: None, scheme: Scheme::Bearer, bytes_max })
    }

    /// With a credential, and how it is written.
    #[must_use]
    pub fn with_credential(self, credential: Option<Downstream>, scheme: Scheme) -> Self {
        Self { credential: credential.map(Arc::new), scheme, ..self }
    }

    /// Asks version 2.0 of the API.
    pub(crate) async fn get<T: DeserializeOwned>(
        &self,
        path: &[&str],
        query: Parameters<'_>,
    ) -> Result<T, MlflowError> {
        self.asked(self.url(&OF_2, path), query).await
    }

    /// Asks version 3.0, which has the traces.
    pub(crate) async fn get_3<T: DeserializeOwned>(
        &self,
        path: &[&str],
        query: Parameters<'_>,
    ) -> Result<T, MlflowError> {
        self.asked(self.url(&OF_3, path), query).await
    }

    /// Tells version 2.0 of the API, or asks it for what GET has no room for.
    pub(crate) async fn post<T: DeserializeOwned>(
        &self,
        path: &[&str],
        body: &Value,
    ) -> Result<T, MlflowError> {
        self.told(Method::POST, self.url(&OF_2, path), body).await
    }

    /// The same of version 3.0.
    pub(crate) async fn post_3<T: DeserializeOwned>(
        &self,
        path: &[&str],
        body: &Value,
    ) -> Result<T, MlflowError> {
        self.told(Method::POST, self.url(&OF_3, path), body).await
    }

    /// Takes something away.
    pub(crate) async fn delete(&self, path: &[&str], body: &Value) -> Result<(), MlflowError> {
        self.told::<IgnoredAny>(Method::DELETE, self.url(&OF_2, path), body).await.map(drop)
    }

    /// Reads `length` bytes of an artifact at most, behind the first `offset`. `path` is below the store's root.
    pub(crate) async fn download(
        &self,
        path: &[&str],
        offset: u64,
        length: usize,
    ) -> Result<Piece, MlflowError> {
        let last = offset.saturating_add(length as u64).saturating_sub(1);
        let request =
            self.http.get(self.url(&ARTIFACTS, path)).header(RANGE, format!("bytes={offset}-{last}"));
        let mut response = self.send(request).await?;
        match response.status() {
            StatusCode::PARTIAL_CONTENT => {
                let total = total(response.headers());
                let bytes = some(&mut response, 0, length).await?;
                Ok(Piece { bytes, total })
            }
            StatusCode::RANGE_NOT_SATISFIABLE => {
                Ok(Piece { bytes: Vec::new(), total: total(response.headers()) })
            }
            StatusCode::OK => {
                // What it fetched from a store of its own MLflow gives whole. What comes before is read over, within the bound.
                let over =
                    usize::try_from(offset).ok().filter(|over| over.saturating_add(length) <= self.bytes_max);
                let over = over.ok_or(MlflowError::TooLarge { max: self.bytes_max })?;
                let total = number(response.headers(), CONTENT_LENGTH.as_str());
                let bytes = some(&mut response, over, length).await?;
                Ok(Piece { bytes, total })
            }
            status => Err(refusal(status, &self.whole(response).await?)),
        }
    }

    /// Writes an artifact whole.
    pub(crate) async fn upload(&self, path: &[&str], bytes: Vec<u8>) -> Result<(), MlflowError> {
        let plain = HeaderValue::from_static("application/octet-stream");
        let request = self.http.put(self.url(&ARTIFACTS, path)).header(CONTENT_TYPE, plain).body(bytes);
        let response = self.send(request).await?;
        let status = response.status();
        let body = self.whole(response).await?;
        // HTML with a 200 is somebody else's.
        let done =
            status.is_success() && (body.is_empty() || serde_json::from_slice::<IgnoredAny>(&body).is_ok());
        if done { Ok(()) } else { Err(refusal(status, &body)) }
    }

    /// Whether MLflow answers.
    pub(crate) async fn reachable(&self) -> Result<(), MlflowError> {
        let _: IgnoredAny = self.post(&["experiments", "search"], &json!({"max_results": 1})).await?;
        Ok(())
    }

    fn url(&self, api: &[&str], path: &[&str]) -> Url {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(api).extend(path);
        }
        url
    }

    async fn asked<T: DeserializeOwned>(
        &self,
        mut url: Url,
        query: Parameters<'_>,
    ) -> Result<T, MlflowError> {
        let encoded = Serializer::new(String::new()).extend_pairs(&query).finish();
        url.set_query(Some(encoded.as_str()).filter(|text| !text.is_empty()));
        self.json(self.http.get(url)).await
    }

    async fn told<T: DeserializeOwned>(
        &self,
        method: Method,
        url: Url,
        body: &Value,
    ) -> Result<T, MlflowError> {
        let kind = HeaderValue::from_static("application/json");
        self.json(self.http.request(method, url).header(CONTENT_TYPE, kind).body(body.to_string())).await
    }

    async fn json<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T, MlflowError> {
        let response = self.send(request).await?;
        let status = response.status();
        let body = self.whole(response).await?;
        if status != StatusCode::OK {
            return Err(refusal(status, &body));
        }
        serde_json::from_slice(&body)
            .map_err(|_| MlflowError::Unavailable("the answer is not that of an MLflow"))
    }

    async fn send(&self, mut request: RequestBuilder) -> Result<Response, MlflowError> {
        if let Some(header) = self.authorization().await? {
            request = request.header(AUTHORIZATION, header);
        }
        let response = request.send().await.map_err(|error| failure(&error))?;
        match response.status() {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Err(MlflowError::Forbidden),
            _ => Ok(response),
        }
    }

    async fn whole(&self, mut response: Response) -> Result<Vec<u8>, MlflowError> {
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| failure(&error))? {
            if body.len() + chunk.len() > self.bytes_max {
                return Err(MlflowError::TooLarge { max: self.bytes_max });
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }

    async fn authorization(&self) -> Result<Option<HeaderValue>, MlflowError> {
        let Some(credential) = &self.credential else { return Ok(None) };
        let found = credential.credential(&Extensions::default()).await.ok();
        let header = found.and_then(|credential| authorization(self.scheme, &credential));
        header.map(Some).ok_or(MlflowError::Unavailable("the credential can't be sent"))
    }
}

/// `length` bytes at most of a body, behind the first `over`; the rest is not waited for.
async fn some(response: &mut Response, mut over: usize, length: usize) -> Result<Vec<u8>, MlflowError> {
    let mut bytes = Vec::new();
    while bytes.len() < length {
        let Some(chunk) = response.chunk().await.map_err(|error| failure(&error))? else { break };
        let begin = over.min(chunk.len());
        over -= begin;
        let wanted = chunk.get(begin..).unwrap_or_default();
        bytes.extend_from_slice(wanted.get(..length - bytes.len()).unwrap_or(wanted));
    }
    Ok(bytes)
}

fn number(headers: &HeaderMap, name: &str) -> Option<u64> {
    headers.get(name)?.to_str().ok()?.parse().ok()
}

/// The length behind the slash of a `Content-Range`.
fn total(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_RANGE)?.to_str().ok()?.rsplit_once('/')?.1.parse().ok()
}

/// What MLflow itself says of a failure. What it names was parsed and sent by us, so that callers know it; of what it did
/// not find the tools say it in their own words.
fn refusal(status: StatusCode, body: &[u8]) -> MlflowError {
    let Ok(said) = serde_json::from_slice::<Refusal>(body) else {
        return match status {
            StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED => MlflowError::Unsupported,
            _ => MlflowError::Unavailable("the answer is not that of an MLflow"),
        };
    };
    match said.error_code.as_str() {
        "RESOURCE_DOES_NOT_EXIST" => MlflowError::NotFound("such thing".into()),
        "RESOURCE_ALREADY_EXISTS" => MlflowError::AlreadyExists("thing of that name".into()),
        "ENDPOINT_NOT_FOUND" | "NOT_IMPLEMENTED" => MlflowError::Unsupported,
        "PERMISSION_DENIED" | "UNAUTHENTICATED" => MlflowError::Forbidden,
        "INVALID_PARAMETER_VALUE" | "INVALID_STATE" if status.is_client_error() => {
            MlflowError::Rejected(one_line(&said.message))
        }
        _ => MlflowError::Unavailable("it says that it failed"),
    }
}

/// The client's own words quote the URL.
fn failure(error: &reqwest::Error) -> MlflowError {
    if error.is_timeout() {
        MlflowError::Timeout
    } else if error.is_connect() {
        MlflowError::Unavailable("no connection, or a certificate that nobody vouches for")
    } else {
        MlflowError::Unavailable("the answer broke off")
    }
}
