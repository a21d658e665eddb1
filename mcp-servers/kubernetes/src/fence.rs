//! A fence of the operator's: which namespaces and which kinds the tools reach at all, whatever the cluster and the policy
//! would allow beyond.

use crate::error::KubernetesError;
use crate::name::{KindName, Namespace, is_kind, is_subdomain};
use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

/// A kind in its group, which is empty for the core of the API.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct GroupKind {
    pub(crate) kind: String,
    pub(crate) group: String,
}

/// What is within reach.
#[derive(Clone, Debug)]
pub struct Fence {
    /// None: all of them, and what is in none.
    namespaces: Option<BTreeSet<Namespace>>,
    read: BTreeSet<GroupKind>,
    write: BTreeSet<GroupKind>,
}

/// A fence that is none.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum FenceError {
    /// Not a namespace.
    #[error("{0:?} is not the name of a namespace")]
    Namespace(String),
    /// Not a kind.
    #[error("{0:?} is not a kind, as in Service or Deployment.apps")]
    Kind(String),
    /// Writing to RBAC would be a way out of every other bound.
    #[error("{0} can't be written by tools: whoever may write it may do anything")]
    Escalates(String),
}

/// Kinds that tools may change, if nobody says which.
pub(crate) const WRITABLE: [&str; 11] = [
    "ConfigMap",
    "Service",
    "Deployment.apps",
    "StatefulSet.apps",
    "DaemonSet.apps",
    "Job.batch",
    "CronJob.batch",
    "HorizontalPodAutoscaler.autoscaling",
    "PodDisruptionBudget.policy",
    "Ingress.networking.k8s.io",
    "HTTPRoute.gateway.networking.k8s.io",
];
/// Kinds that they may only read beside those.
pub(crate) const READABLE: [&str; 7] = [
    "Pod",
    "ReplicaSet.apps",
    "PersistentVolumeClaim",
    "ServiceAccount",
    "EndpointSlice.discovery.k8s.io",
    "Namespace",
    "Node",
];
/// Groups that say who may do what, or what is asked before anything is done.
const ESCALATING: [&str; 4] = [
    "rbac.authorization.k8s.io",
    "admissionregistration.k8s.io",
    "certificates.k8s.io",
    "apiregistration.k8s.io",
];

impl Fence {
    /// As the flags have it: `namespaces` empty for no fence; `read` and `write` empty for the usual kinds. What can be
    /// written can be read.
    ///
    /// # Errors
    /// [`FenceError`] quotes what is wrong.
    pub fn new(namespaces: &[String], read: &[String], write: &[String]) -> Result<Self, FenceError> {
        let namespace = |text: &String| {
            Namespace::try_from(text.clone()).map_err(|_| FenceError::Namespace(text.clone()))
        };
        let namespaces = namespaces.iter().map(namespace).collect::<Result<BTreeSet<_>, _>>()?;
        let kinds = |given: &[String], usual: &[&str]| match given {
            [] => usual.iter().map(|text| text.parse()).collect::<Result<BTreeSet<GroupKind>, _>>(),
            given => given.iter().map(|text| text.parse()).collect(),
        };
        let (mut read, write) = (kinds(read, &READABLE)?, kinds(write, &WRITABLE)?);
        if let Some(kind) = write.iter().find(|kind| ESCALATING.contains(&kind.group.as_str())) {
            return Err(FenceError::Escalates(kind.to_string()));
        }
        read.extend(write.iter().cloned());
        Ok(Self { namespaces: Some(namespaces).filter(|all| !all.is_empty()), read, write })
    }

    /// The namespaces, if there is a fence around them.
    pub(crate) fn namespaces(&self) -> Option<&BTreeSet<Namespace>> {
        self.namespaces.as_ref()
    }

    /// Whether a namespace is within.
    pub(crate) fn namespace(&self, name: &Namespace) -> Result<(), KubernetesError> {
        match &self.namespaces {
            Some(all) if !all.contains(name) => Err(KubernetesError::NamespaceNotAllowed(name.to_string())),
            _ => Ok(()),
        }
    }

    /// Whether what belongs to no namespace, or to all of them, is within.
    pub(crate) fn whole_cluster(&self) -> Result<(), KubernetesError> {
        match &self.namespaces {
            Some(_) => Err(KubernetesError::WholeCluster),
            None => Ok(()),
        }
    }

    /// The kind that a caller names, if it may be read.
    pub(crate) fn readable(&self, name: &KindName) -> Result<GroupKind, KubernetesError> {
        named(&self.read, name)
    }

    /// The same, if it may be changed.
    pub(crate) fn writable(&self, name: &KindName) -> Result<GroupKind, KubernetesError> {
        named(&self.write, name)
    }

    /// Whether a kind may be read.
    pub(crate) fn reads(&self, kind: &GroupKind) -> Result<(), KubernetesError> {
        if self.read.contains(kind) { Ok(()) } else { Err(KubernetesError::KindNotAllowed(kind.to_string())) }
    }

    /// Whether a kind may be changed.
    pub(crate) fn writes(&self, kind: &GroupKind) -> Result<(), KubernetesError> {
        if self.write.contains(kind) {
            Ok(())
        } else {
            Err(KubernetesError::KindNotAllowed(kind.to_string()))
        }
    }
}

fn named(all: &BTreeSet<GroupKind>, name: &KindName) -> Result<GroupKind, KubernetesError> {
    let not_allowed = || KubernetesError::KindNotAllowed(name.to_string());
    if let Some((kind, group)) = name.split_once('.') {
        return all.iter().find(|k| k.kind == kind && k.group == group).cloned().ok_or_else(not_allowed);
    }
    let mut found = all.iter().filter(|k| k.kind == **name);
    match (found.next(), found.next()) {
        (Some(kind), None) => Ok(kind.clone()),
        (Some(a), Some(b)) => {
            Err(KubernetesError::Arguments(format!("kind is {a} or {b}: write one of them")))
        }
        (None, _) => Err(not_allowed()),
    }
}

impl GroupKind {
    pub(crate) fn new(kind: &str, group: &str) -> Self {
        Self { kind: kind.to_owned(), group: group.to_owned() }
    }

    /// Whether its values are for nobody to see.
    pub(crate) fn is_secret(&self) -> bool {
        self.kind == "Secret" && self.group.is_empty()
    }
}

impl FromStr for GroupKind {
    type Err = FenceError;

    fn from_str(text: &str) -> Result<Self, FenceError> {
        let (kind, group) = text.split_once('.').unwrap_or((text, ""));
        let good = is_kind(kind) && (is_subdomain(group) || !text.contains('.'));
        if good { Ok(Self::new(kind, group)) } else { Err(FenceError::Kind(text.to_owned())) }
    }
}

impl fmt::Display for GroupKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.group.as_str() {
            "" => f.write_str(&self.kind),
            group => write!(f, "{}.{group}", self.kind),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test ends by panicking")]
    use super::*;

    fn fence(namespaces: &[&str], read: &[&str], write: &[&str]) -> Result<Fence, FenceError> {
        let owned = |all: &[&str]| all.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        Fence::new(&owned(namespaces), &owned(read), &owned(write))
    }

    fn kind(text: &str) -> KindName {
        KindName::try_from(text.to_owned()).unwrap()
    }

    #[test]
    fn kinds_are_found_by_name_and_no_others() {
        let usual = fence(&[], &[], &[]).unwrap();
        assert_eq!(usual.writable(&kind("Deployment")).unwrap(), GroupKind::new("Deployment", "apps"));
        assert!(usual.readable(&kind("Deployment.apps")).is_ok(), "what can be written can be read");
        assert!(usual.readable(&kind("Pod")).is_ok() && usual.writable(&kind("Pod")).is_err());
        for other in [
            "Secret",
            "Role",
            "Role.rbac.authorization.k8s.io",
            "Deployment.other.io",
            "CustomResourceDefinition",
        ] {
            assert!(usual.readable(&kind(other)).is_err(), "{other}");
        }
        let two = fence(&[], &["Ingress.extensions", "Ingress.networking.k8s.io"], &["Service"]).unwrap();
        assert!(two.readable(&kind("Ingress")).is_err(), "of two groups one has to be named");
        assert!(two.readable(&kind("Ingress.extensions")).is_ok());
    }

    #[test]
    fn namespaces_are_those_of_the_list() {
        let name = |text: &str| Namespace::try_from(text.to_owned()).unwrap();
        let fenced = fence(&["staging"], &[], &[]).unwrap();
        assert!(fenced.namespace(&name("staging")).is_ok() && fenced.namespace(&name("production")).is_err());
        assert!(fenced.whole_cluster().is_err());
        let open = fence(&[], &[], &[]).unwrap();
        assert!(open.namespace(&name("production")).is_ok() && open.whole_cluster().is_ok());
    }

    #[test]
    fn a_fence_that_is_none_is_told() {
        assert_eq!(fence(&["Staging"], &[], &[]).unwrap_err(), FenceError::Namespace("Staging".into()));
        for wrong in ["deployment", "Deployment.", "Deployment.apps/v1", "*"] {
            assert!(matches!(fence(&[], &[wrong], &[]).unwrap_err(), FenceError::Kind(_)), "{wrong}");
        }
        let escalates = fence(&[], &[], &["ClusterRole.rbac.authorization.k8s.io"]).unwrap_err();
        assert!(matches!(escalates, FenceError::Escalates(_)));
    }
}
