//! The systems behind the server, as HTTP: one GET or POST, one answer. No redirects, no proxy, a bound on time and on bytes.

use crate::error::PrometheusError;
use crate::flags::FlagsError;
use kit::Downstream;
use kit::system::{Scheme, authorization, client_tls};
use reqwest::header::{AUTHORIZATION, HeaderValue};
use reqwest::{Method, StatusCode};
use rmcp::model::Extensions;
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use url::Url;
use url::form_urlencoded::Serializer;

/// Which system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum System {
    /// Metrics, and the rules that alert.
    Prometheus,
    /// Who hears of alerts, and who doesn't.
    Alertmanager,
}

/// How much of an answer is waited for.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// The longest time of an answer.
    pub timeout: Duration,
    /// Most bytes of an answer.
    pub bytes_max: usize,
}

/// A client of one system.
#[derive(Clone, Debug)]
pub(crate) struct Upstream {
    system: System,
    http: reqwest::Client,
    base: Url,
    credential: Option<Arc<Downstream>>,
    scheme: Scheme,
    bytes_max: usize,
}

/// Parameters of a call.
pub(crate) type Parameters<'a> = Vec<(&'a str, String)>;

impl fmt::Display for System {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Prometheus => "Prometheus",
            Self::Alertmanager => "Alertmanager",
        })
    }
}

impl System {
    /// The flag that says where it is; the names of its other flags begin with it.
    pub(crate) const fn flag(self) -> &'static str {
        match self {
            Self::Prometheus => "--prometheus",
            Self::Alertmanager => "--alertmanager",
        }
    }
}

impl Upstream {
    /// A client that believes the system's certificates, or those of a file.
    ///
    /// # Errors
    /// [`FlagsError`] for the URL and the file.
    pub(crate) fn new(
        system: System,
        base: &Url,
        ca: Option<&Path>,
        bounds: Bounds,
    ) -> Result<Self, FlagsError> {
        let bare = base.username().is_empty() && base.password().is_none();
        let bare = bare && base.query().is_none() && base.fragment().is_none() && base.has_host();
        if !bare || !matches!(base.scheme(), "http" | "https") {
            return Err(FlagsError::Url(system.flag()));
        }
        let tls = client_tls(ca).map_err(|error| FlagsError::Ca(system.flag(), error.to_string()))?;
        #[expect(
            clippy::disallowed_methods,
            reason = "neither system has a SPIFFE ID; the deadline is set here"
        )]
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(bounds.timeout)
            .build()
            .map_err(|error| FlagsError::Client(error.without_url()))?;
        let (base, bytes_max) = (base.clone(), bounds.bytes_max);
        Ok(Self { system, http, base, credential: None, scheme: Scheme::Bearer, bytes_max })
    }

    /// With a credential, and how it is written.
    pub(crate) fn with_credential(self, credential: Option<Downstream>, scheme: Scheme) -> Self {
        Self { credential: credential.map(Arc::new), scheme, ..self }
    }

    /// The status and body of an answer, whatever they are but a refusal of the credential.
    pub(crate) async fn answer(
        &self,
        method: Method,
        path: &[&str],
        parameters: Parameters<'_>,
    ) -> Result<(StatusCode, Vec<u8>), PrometheusError> {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
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
        let mut response = request.send().await.map_err(|error| self.failure(&error))?;
        let status = response.status();
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| self.failure(&error))? {
            if body.len() + chunk.len() > self.bytes_max {
                return Err(PrometheusError::TooLarge { system: self.system, max: self.bytes_max });
            }
            body.extend_from_slice(&chunk);
        }
        if matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
            return Err(PrometheusError::Forbidden(self.system));
        }
        Ok((status, body))
    }

    async fn authorization(&self) -> Result<Option<HeaderValue>, PrometheusError> {
        let Some(credential) = &self.credential else { return Ok(None) };
        let found = credential.credential(&Extensions::default()).await.ok();
        let header = found.and_then(|credential| authorization(self.scheme, &credential));
        header.map(Some).ok_or(self.unavailable("the credential can't be sent"))
    }

    /// The failure of this system, with a word for the log.
    pub(crate) const fn unavailable(&self, why: &'static str) -> PrometheusError {
        PrometheusError::Unavailable(self.system, why)
    }

    /// The client's own words quote the URL.
    fn failure(&self, error: &reqwest::Error) -> PrometheusError {
        if error.is_timeout() {
            PrometheusError::Timeout(self.system)
        } else if error.is_connect() {
            self.unavailable("no connection, or a certificate that nobody vouches for")
        } else {
            self.unavailable("the answer broke off")
        }
    }
}
