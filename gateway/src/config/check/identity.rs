//! Where the gateway's SVID comes from, and which other trust domains are served.

use super::super::file::{ConfigFile, IdentityFile, TrustDomainFile};
use super::super::{BundleFrom, IdentityFrom};
use super::Checker;
use certs::TrustDomain;
use certs::files::Paths;
use std::collections::BTreeMap;
use std::time::Duration;

/// The environment variable of the SPIFFE Workload Endpoint standard (§4).
const ENDPOINT_SOCKET: &str = "SPIFFE_ENDPOINT_SOCKET";

impl Checker<'_> {
    pub(super) fn identity(&mut self, file: &IdentityFile) -> Option<IdentityFrom> {
        let IdentityFile { certificate, private_key, trust_bundle, workload_api, workload_api_wait } = file;
        let Some(endpoint) = workload_api else {
            let (Some(certificate), Some(private_key), Some(trust_bundle)) =
                (certificate, private_key, trust_bundle)
            else {
                self.problems.add(
                    "identity",
                    "it takes three files, or the Workload API",
                    "write `certificate`, `private_key` and `trust_bundle`, or `workload_api: unix:/path/to/agent.sock`",
                );
                return None;
            };
            self.private("identity.private_key", private_key);
            return Some(IdentityFrom::Files(Paths {
                certificate: self.existing("identity.certificate", certificate),
                private_key: self.base.join(private_key),
                trust_bundle: self.existing("identity.trust_bundle", trust_bundle),
            }));
        };
        if certificate.is_some() || private_key.is_some() || trust_bundle.is_some() {
            self.problems.add(
                "identity.workload_api",
                "an SVID comes from files or from the Workload API, not from both",
                "take out the three files, or `workload_api`",
            );
        }
        let wait = self.problems.duration(
            "identity.workload_api_wait",
            workload_api_wait.as_deref(),
            Duration::from_secs(60),
            Duration::ZERO..=Duration::from_secs(3600),
        );
        let endpoint = match endpoint.as_str() {
            "env" => std::env::var(ENDPOINT_SOCKET).unwrap_or_default(),
            written => written.to_owned(),
        };
        if let Err(error) = certs::workload_api::check_endpoint(&endpoint) {
            self.problems.add(
                "identity.workload_api",
                error,
                "write unix:/path/to/agent.sock, or `env` and set SPIFFE_ENDPOINT_SOCKET",
            );
            return None;
        }
        Some(IdentityFrom::WorkloadApi { endpoint, wait })
    }

    /// The Workload API, for whoever else needs it. `identity` is none if that has a mistake of its own.
    pub(super) fn workload_api(&mut self, path: &str, identity: Option<&IdentityFrom>) -> Option<String> {
        match identity? {
            IdentityFrom::WorkloadApi { endpoint, .. } => Some(endpoint.clone()),
            IdentityFrom::Files(_) => {
                self.problems.add(
                    path,
                    "needs the Workload API, and the gateway's own SVID comes from files",
                    "write `identity: {workload_api: unix:/path/to/agent.sock}`",
                );
                None
            }
        }
    }

    pub(super) fn trust_domains(&mut self, file: &ConfigFile) -> Option<BTreeMap<TrustDomain, BundleFrom>> {
        let all = file.trust_domains.iter().map(|(name, domain)| {
            let path = format!("trust_domains.{name}");
            let named = TrustDomain::new(name)
                .map_err(|error| {
                    self.problems.add(path.clone(), error, "write a trust domain's name, as partner.example");
                })
                .ok();
            let bundle = self.bundle(&path, domain, file.identity.workload_api.is_some());
            Some((named?, bundle?))
        });
        all.collect::<Vec<_>>().into_iter().collect()
    }

    fn bundle(&mut self, path: &str, file: &TrustDomainFile, has_workload_api: bool) -> Option<BundleFrom> {
        let begin =
            file.bundle_file.as_deref().map(|bundle| self.existing(&format!("{path}.bundle_file"), bundle));
        match (&file.bundle_endpoint, begin, file.workload_api) {
            (Some(endpoint), begin, false) => Some(BundleFrom::Endpoint {
                url: self.https(&format!("{path}.bundle_endpoint.url"), &endpoint.url)?,
                spiffe_id: self
                    .spiffe_id(&format!("{path}.bundle_endpoint.spiffe_id"), &endpoint.spiffe_id)?,
                begin,
            }),
            (None, Some(file), false) => Some(BundleFrom::File(file)),
            (None, None, true) if has_workload_api => Some(BundleFrom::WorkloadApi),
            _ => {
                self.problems.add(
                    path.to_owned(),
                    "it is not clear where its bundle comes from",
                    "write `bundle_file`, `bundle_endpoint`, or, if the gateway's own SVID comes from there, `workload_api: true`",
                );
                None
            }
        }
    }
}
