//! The HTTP API of Prometheus: one call, one typed answer. No redirects, no proxy, a bound on time and on bytes; nothing
//! that came back is passed on unless Prometheus itself said it in its own form.

use crate::error::{PrometheusError, one_line};
use crate::fence::Labels;
use crate::flags::FlagsError;
use kit::Downstream;
use kit::system::{Scheme, authorization, client_tls};
use reqwest::header::{AUTHORIZATION, HeaderValue};
use reqwest::{Method, StatusCode};
use rmcp::model::Extensions;
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use url::Url;
use url::form_urlencoded::Serializer;

/// A client of one Prometheus.
#[derive(Clone, Debug)]
pub struct Client {
    http: reqwest::Client,
    base: Url,
    credential: Option<Arc<Downstream>>,
    scheme: Scheme,
    bytes_max: usize,
}

/// Parameters of a call.
pub(crate) type Parameters<'a> = Vec<(&'a str, String)>;

/// A value at a time, as Prometheus writes it: seconds, and the number as text.
pub(crate) type Point = (f64, String);

#[derive(Deserialize)]
#[serde(tag = "resultType", content = "result", rename_all = "lowercase")]
pub(crate) enum Found {
    Vector(Vec<Sample>),
    Matrix(Vec<Series>),
    Scalar(Point),
    String(Point),
}

#[derive(Deserialize)]
pub(crate) struct Sample {
    #[serde(default)]
    pub(crate) metric: Labels,
    /// None where it is a histogram.
    pub(crate) value: Option<Point>,
}

#[derive(Deserialize)]
pub(crate) struct Series {
    #[serde(default)]
    pub(crate) metric: Labels,
    /// Empty where they are histograms.
    #[serde(default)]
    pub(crate) values: Vec<Point>,
}

/// What stands around every answer.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Envelope<T> {
    status: String,
    data: Option<T>,
    error_type: Option<String>,
    error: Option<String>,
}

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
        #[expect(
            clippy::disallowed_methods,
            reason = "Prometheus has no SPIFFE ID; the deadline is set here"
        )]
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

    /// Evaluates an expression.
    pub(crate) async fn evaluate(&self, path: &str, form: Parameters<'_>) -> Result<Found, PrometheusError> {
        self.call(Method::POST, &[path], form).await
    }

    /// Asks for anything else.
    pub(crate) async fn get<T: DeserializeOwned>(
        &self,
        path: &[&str],
        query: Parameters<'_>,
    ) -> Result<T, PrometheusError> {
        self.call(Method::GET, path, query).await
    }

    async fn call<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &[&str],
        parameters: Parameters<'_>,
    ) -> Result<T, PrometheusError> {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(["api", "v1"]).extend(path);
        }
        let encoded = Serializer::new(String::new()).extend_pairs(&parameters).finish();
        let mut request = if method == Method::POST {
            let form = HeaderValue::from_static("application/x-www-form-urlencoded");
            self.http.post(url).header("content-type", form).body(encoded)
        } else {
            url.set_query(Some(encoded.as_str()).filter(|text| !text.is_empty()));
            self.http.get(url)
        };
        if let Some(header) = self.authorization().await? {
            request = request.header(AUTHORIZATION, header);
        }
        let mut response = request.send().await.map_err(|error| failure(&error))?;
        let status = response.status();
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| failure(&error))? {
            if body.len() + chunk.len() > self.bytes_max {
                return Err(PrometheusError::TooLarge { max: self.bytes_max });
            }
            body.extend_from_slice(&chunk);
        }
        if matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
            return Err(PrometheusError::Forbidden);
        }
        let answer: Envelope<T> = serde_json::from_slice(&body)
            .map_err(|_| PrometheusError::Unavailable("the answer is not that of a Prometheus"))?;
        match answer {
            Envelope { status: said, data: Some(data), .. } if said == "success" && status.is_success() => {
                Ok(data)
            }
            Envelope { error_type: Some(kind), error, .. } => {
                Err(refusal(status, &kind, &error.unwrap_or_default()))
            }
            _ => Err(PrometheusError::Unavailable("the answer is neither data nor an error")),
        }
    }

    async fn authorization(&self) -> Result<Option<HeaderValue>, PrometheusError> {
        let Some(credential) = &self.credential else { return Ok(None) };
        let found = credential.credential(&Extensions::default()).await.ok();
        let header = found.and_then(|credential| authorization(self.scheme, &credential));
        header.map(Some).ok_or(PrometheusError::Unavailable("the credential can't be sent"))
    }

    /// Whether it evaluates anything at all.
    pub(crate) async fn reachable(&self) -> Result<(), PrometheusError> {
        let _: IgnoredAny = self.get(&["query"], vec![("query", "1".into())]).await?;
        Ok(())
    }
}

/// What Prometheus itself says of a failure.
fn refusal(status: StatusCode, kind: &str, message: &str) -> PrometheusError {
    match kind {
        "bad_data" | "execution" if status.is_client_error() => PrometheusError::Failed(one_line(message)),
        "timeout" => PrometheusError::Timeout,
        _ => PrometheusError::Unavailable("it says that it failed"),
    }
}

/// The client's own words quote the URL.
fn failure(error: &reqwest::Error) -> PrometheusError {
    if error.is_timeout() {
        PrometheusError::Timeout
    } else if error.is_connect() {
        PrometheusError::Unavailable("no connection, or a certificate that nobody vouches for")
    } else {
        PrometheusError::Unavailable("the answer broke off")
    }
}
