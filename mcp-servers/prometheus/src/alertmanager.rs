//! The API v2 of Alertmanager: its alerts and its silences, read. Nothing else of it is called, and none of its own words about
//! a failure are passed on.

use crate::error::PrometheusError;
use crate::fence::Labels;
use crate::flags::FlagsError;
use crate::upstream::{Bounds, Parameters, System, Upstream};
use kit::Downstream;
use kit::system::Scheme;
use reqwest::Method;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::path::Path;
use url::Url;

/// A client of one Alertmanager.
#[derive(Clone, Debug)]
pub struct Alertmanager(Upstream);

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct FoundAlert {
    pub(crate) labels: Labels,
    #[serde(default)]
    pub(crate) annotations: Labels,
    pub(crate) status: FoundStatus,
    pub(crate) receivers: Vec<Receiver>,
    pub(crate) starts_at: String,
    pub(crate) ends_at: String,
    pub(crate) fingerprint: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct FoundStatus {
    pub(crate) state: FoundState,
    pub(crate) silenced_by: Vec<String>,
    pub(crate) inhibited_by: Vec<String>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum FoundState {
    Unprocessed,
    Active,
    Suppressed,
}

#[derive(Deserialize)]
pub(crate) struct Receiver {
    pub(crate) name: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct FoundSilence<State> {
    pub(crate) id: String,
    pub(crate) status: SilenceStatus<State>,
    pub(crate) matchers: Vec<SilenceMatcher>,
    pub(crate) comment: String,
    pub(crate) created_by: String,
    pub(crate) starts_at: String,
    pub(crate) ends_at: String,
    pub(crate) updated_at: String,
}

#[derive(Deserialize)]
pub(crate) struct SilenceStatus<State> {
    pub(crate) state: State,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SilenceMatcher {
    pub(crate) name: String,
    pub(crate) value: String,
    pub(crate) is_regex: bool,
    /// Absent in versions that know no other matchers.
    #[serde(default = "yes")]
    pub(crate) is_equal: bool,
}

const fn yes() -> bool {
    true
}

impl Alertmanager {
    /// A client that believes the system's certificates, or those of a file.
    ///
    /// # Errors
    /// [`FlagsError`] for the URL and the file.
    pub fn new(base: &Url, ca: Option<&Path>, bounds: Bounds) -> Result<Self, FlagsError> {
        Upstream::new(System::Alertmanager, base, ca, bounds).map(Self)
    }

    /// With a credential, and how it is written.
    #[must_use]
    pub fn with_credential(self, credential: Option<Downstream>, scheme: Scheme) -> Self {
        Self(self.0.with_credential(credential, scheme))
    }

    /// Lists `alerts` or `silences`.
    pub(crate) async fn list<T: DeserializeOwned>(
        &self,
        what: &str,
        query: Parameters<'_>,
    ) -> Result<Vec<T>, PrometheusError> {
        let (status, body) = self.0.answer(Method::GET, &["api", "v2", what], query).await?;
        if !status.is_success() {
            return Err(self.0.unavailable("it says that it failed"));
        }
        serde_json::from_slice(&body)
            .map_err(|_| self.0.unavailable("the answer is not that of an Alertmanager"))
    }
}
