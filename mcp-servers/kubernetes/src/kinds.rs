//! From a kind to its place in the API, as the cluster tells it: version, plural, and whether it lives in namespaces.

use crate::cluster::{Session, plain};
use crate::error::KubernetesError;
use crate::fence::{Fence, GroupKind};
use crate::name::{Namespace, is_label, is_version};
use serde::Deserialize;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A kind with its place in the API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Resource {
    pub(crate) kind: GroupKind,
    pub(crate) version: String,
    pub(crate) plural: String,
    pub(crate) namespaced: bool,
}

/// What the cluster has told of its groups lately. It is the same for every caller.
#[derive(Debug, Default)]
pub(crate) struct Discovered {
    versions: Mutex<HashMap<String, (Instant, String)>>,
    resources: Mutex<HashMap<(GroupKind, String), (Instant, Resource)>>,
}

/// An upgrade of the cluster or a new CRD is seen after this time.
const FRESH: Duration = Duration::from_secs(60);
/// With one more, all are asked for anew.
const KEPT_MAX: usize = 512;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Group {
    preferred_version: Version,
}

#[derive(Deserialize)]
struct Version {
    version: String,
}

#[derive(Deserialize)]
struct Resources {
    resources: Vec<Found>,
}

#[derive(Deserialize)]
struct Found {
    name: String,
    kind: String,
    namespaced: bool,
}

impl Resource {
    /// `v1`, or `apps/v1`.
    pub(crate) fn api_version(&self) -> String {
        match self.kind.group.as_str() {
            "" => self.version.clone(),
            group => format!("{group}/{}", self.version),
        }
    }

    /// Where its group is: `/api/v1`, or `/apis/apps/v1`.
    pub(crate) fn root(&self) -> String {
        root(&self.kind.group, &self.version)
    }

    /// Requests to its objects in a namespace, in all of them, or in none.
    pub(crate) fn requests(&self, namespace: Option<&Namespace>) -> kube::core::Request {
        let within = namespace.filter(|_| self.namespaced).map(|name| format!("/namespaces/{name}"));
        kube::core::Request::new(format!("{}{}/{}", self.root(), within.unwrap_or_default(), self.plural))
    }

    /// Whether the fence lets a call through: what lives in namespaces needs one that is within, and the rest none.
    pub(crate) fn admit(&self, fence: &Fence, namespace: Option<&Namespace>) -> Result<(), KubernetesError> {
        match (self.namespaced, namespace) {
            (true, Some(namespace)) => fence.namespace(namespace),
            (true, None) => Err(KubernetesError::Arguments(format!("{} needs a namespace", self.kind))),
            (false, Some(_)) => Err(KubernetesError::Arguments(format!("{} is in no namespace", self.kind))),
            (false, None) => fence.whole_cluster(),
        }
    }

    /// An object for people: `Deployment staging/web`.
    pub(crate) fn told(&self, namespace: Option<&Namespace>, name: &str) -> String {
        match namespace {
            Some(namespace) => format!("{} {namespace}/{name}", self.kind.kind),
            None => format!("{} {name}", self.kind.kind),
        }
    }
}

fn root(group: &str, version: &str) -> String {
    if group.is_empty() { format!("/api/{version}") } else { format!("/apis/{group}/{version}") }
}

impl Session {
    /// A kind's place, in the version that the cluster prefers.
    pub(crate) async fn resource(&self, kind: &GroupKind) -> Result<Resource, KubernetesError> {
        if kind.group.is_empty() {
            return self.resource_at(kind, "v1").await;
        }
        let kept = kept(&self.discovered.versions, &kind.group);
        let version = match kept {
            Some(version) => version,
            None => {
                let unknown = |error| unserved(error, kind);
                let request = plain(&format!("/apis/{}", kind.group));
                let group: Group = self.json(request, "APIGroup", Some("v1")).await.map_err(unknown)?;
                keep(&self.discovered.versions, kind.group.clone(), group.preferred_version.version.clone());
                group.preferred_version.version
            }
        };
        if !is_version(&version) {
            return Err(KubernetesError::Unavailable("a version that is none"));
        }
        self.resource_at(kind, &version).await
    }

    /// A kind's place in one version.
    pub(crate) async fn resource_at(
        &self,
        kind: &GroupKind,
        version: &str,
    ) -> Result<Resource, KubernetesError> {
        let key = (kind.clone(), version.to_owned());
        if let Some(resource) = kept(&self.discovered.resources, &key) {
            return Ok(resource);
        }
        let unknown = |error| unserved(error, kind);
        // The list of what is in the core has no apiVersion, as in the first days of the API.
        let list_version = (!kind.group.is_empty()).then_some("v1");
        let request = plain(&root(&kind.group, version));
        let told: Resources = self.json(request, "APIResourceList", list_version).await.map_err(unknown)?;
        // `deployments/scale` is of a kind of its own; a plural that is no word would be another path.
        let found = told.resources.into_iter().find(|r| r.kind == kind.kind && is_label(&r.name));
        let Some(Found { name: plural, namespaced, .. }) = found else {
            return Err(unserved(KubernetesError::NotFound(String::new()), kind));
        };
        let resource = Resource { kind: kind.clone(), version: version.to_owned(), plural, namespaced };
        keep(&self.discovered.resources, key, resource.clone());
        Ok(resource)
    }
}

fn unserved(error: KubernetesError, kind: &GroupKind) -> KubernetesError {
    match error {
        KubernetesError::NotFound(_) => KubernetesError::NotFound(format!("kind {kind} in this cluster")),
        other => other,
    }
}

fn kept<K: std::hash::Hash + Eq, V: Clone>(all: &Mutex<HashMap<K, (Instant, V)>>, key: &K) -> Option<V> {
    let all = all.lock().unwrap_or_else(PoisonError::into_inner);
    all.get(key).filter(|(at, _)| at.elapsed() < FRESH).map(|(_, value)| value.clone())
}

fn keep<K: std::hash::Hash + Eq, V>(all: &Mutex<HashMap<K, (Instant, V)>>, key: K, value: V) {
    let mut all = all.lock().unwrap_or_else(PoisonError::into_inner);
    if all.len() >= KEPT_MAX {
        all.clear();
    }
    all.insert(key, (Instant::now(), value));
}
