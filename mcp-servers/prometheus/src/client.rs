//! The HTTP API of Prometheus: one call, one typed answer. Nothing that came back is passed on unless Prometheus itself said
//! it in its own form.

use crate::error::{PrometheusError, one_line};
use crate::fence::Labels;
use crate::flags::FlagsError;
use crate::upstream::{Bounds, Parameters, System, Upstream};
use kit::Downstream;
use kit::system::Scheme;
use reqwest::{Method, StatusCode};
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use std::path::Path;
use url::Url;

/// A client of one Prometheus.
#[derive(Clone, Debug)]
pub struct Client(Upstream);

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
    pub fn new(base: &Url, ca: Option<&Path>, bounds: Bounds) -> Result<Self, FlagsError> {
        Upstream::new(System::Prometheus, base, ca, bounds).map(Self)
    }

    /// With a credential, and how it is written.
    #[must_use]
    pub fn with_credential(self, credential: Option<Downstream>, scheme: Scheme) -> Self {
        Self(self.0.with_credential(credential, scheme))
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
        let path = [["api", "v1"].as_slice(), path].concat();
        let (status, body) = self.0.answer(method, &path, parameters).await?;
        let answer: Envelope<T> = serde_json::from_slice(&body)
            .map_err(|_| self.0.unavailable("the answer is not that of a Prometheus"))?;
        match answer {
            Envelope { status: said, data: Some(data), .. } if said == "success" && status.is_success() => {
                Ok(data)
            }
            Envelope { error_type: Some(kind), error, .. } => {
                Err(self.refusal(status, &kind, &error.unwrap_or_default()))
            }
            _ => Err(self.0.unavailable("the answer is neither data nor an error")),
        }
    }

    /// What Prometheus itself says of a failure.
    fn refusal(&self, status: StatusCode, kind: &str, message: &str) -> PrometheusError {
        match kind {
            "bad_data" | "execution" if status.is_client_error() => {
                PrometheusError::Failed(one_line(message))
            }
            "timeout" => PrometheusError::Timeout(System::Prometheus),
            _ => self.0.unavailable("it says that it failed"),
        }
    }

    /// An answer of its own form that says something else than what was asked.
    pub(crate) const fn unexpected(&self, why: &'static str) -> PrometheusError {
        self.0.unavailable(why)
    }

    /// Whether it evaluates anything at all.
    pub(crate) async fn reachable(&self) -> Result<(), PrometheusError> {
        let _: IgnoredAny = self.get(&["query"], vec![("query", "1".into())]).await?;
        Ok(())
    }
}
