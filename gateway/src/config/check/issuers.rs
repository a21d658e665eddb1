//! The issuers of subject tokens, checked.

use super::{Checker, HTTPS};
use crate::config::file::{ClaimPath, ClaimsFile, IssuerFile, JwksFile, JwtSvidFile, PresenterFile};
use crate::config::{IdentityFrom, Issuer, Jwks, Presenter};
use certs::TrustDomain;
use std::collections::BTreeSet;
use std::time::Duration;
use tokens::Mapping;

impl Checker<'_> {
    pub(super) fn issuers(
        &mut self,
        files: &[IssuerFile],
        identity: Option<&IdentityFrom>,
    ) -> Option<Vec<Issuer>> {
        let all: Vec<_> = files
            .iter()
            .enumerate()
            .map(|(i, f)| self.issuer(&format!("issuers.{i}"), f, identity))
            .collect();
        let mut names = BTreeSet::new();
        for (i, issuer) in all.iter().enumerate() {
            if issuer.as_ref().is_some_and(|issuer| !names.insert(issuer.issuer.as_str())) {
                let fix = "give each issuer one entry; its tokens are read in one way";
                self.problems.add(format!("issuers.{i}"), "names an issuer that stands here already", fix);
            }
        }
        for (i, file) in files.iter().enumerate() {
            self.subjects_of(&format!("issuers.{i}.subjects_of"), file, files);
        }
        all.into_iter().collect()
    }

    /// Whoever makes credentials may say in them for whom, and for nobody's people but one issuer's.
    fn subjects_of(&mut self, path: &str, file: &IssuerFile, all: &[IssuerFile]) {
        let Some(other) = &file.subjects_of else { return };
        if !file.presenter.audience {
            let fix = "leave it out: only who makes credentials for agents (`presenter: {audience: true}`) hands subjects on";
            self.problems.add(path, "is of an issuer that makes no credentials", fix);
        }
        let is_it = |one: &IssuerFile| one.issuer.as_ref() == Some(other) && !one.presenter.audience;
        if !all.iter().any(is_it) {
            let fix = "write the `issuer` of another entry, to the letter, which makes no credentials itself";
            self.problems.add(path, format!("{other:?} is no other issuer here"), fix);
        }
    }

    fn issuer(&mut self, path: &str, file: &IssuerFile, identity: Option<&IdentityFrom>) -> Option<Issuer> {
        let named = self.named(path, file, identity);
        let presenter = self.presenter(&format!("{path}.presenter"), &file.presenter);
        let mapping = self.mapping(&format!("{path}.claims"), &file.claims);
        self.algorithms(&format!("{path}.algorithms"), &file.algorithms);
        self.chains(path, file);
        let leeway = self.problems.duration(
            &format!("{path}.leeway"),
            file.leeway.as_deref(),
            Duration::from_secs(30),
            Duration::ZERO..=Duration::from_secs(300),
        );
        let (issuer, jwt_svids_of, jwks) = named?;
        Some(Issuer {
            issuer,
            jwt_svids_of,
            jwks,
            types: file.types.clone(),
            algorithms: file.algorithms.clone(),
            audiences: file.audiences.clone(),
            mapping: mapping?,
            presenter: presenter?,
            delegates: file.delegates,
            subjects_of: file.subjects_of.clone(),
            leeway,
        })
    }

    /// Who it is, and where its keys are.
    fn named(
        &mut self,
        path: &str,
        file: &IssuerFile,
        identity: Option<&IdentityFrom>,
    ) -> Option<(String, Option<TrustDomain>, Jwks)> {
        match (&file.issuer, &file.jwt_svid) {
            (Some(issuer), None) => {
                let unwritten = JwksFile::default();
                let jwks = match file.jwks.as_ref().unwrap_or(&unwritten) {
                    jwks if jwks.file.is_none() && jwks.url.is_none() => self.discovered(path, issuer, jwks),
                    jwks => self.jwks(&format!("{path}.jwks"), jwks),
                };
                Some((issuer.clone(), None, jwks?))
            }
            (None, Some(svids)) if file.jwks.is_none() && file.types.is_empty() => {
                self.jwt_svids(&format!("{path}.jwt_svid"), svids, identity)
            }
            _ => {
                self.problems.add(
                    path,
                    "says neither or both of `issuer` and `jwt_svid`, or `jwks` or `types` beside `jwt_svid`",
                    "write `issuer: https://idp.example`, or `jwt_svid: {trust_domain: …, jwks: …}`",
                );
                None
            }
        }
    }

    fn jwt_svids(
        &mut self,
        path: &str,
        file: &JwtSvidFile,
        identity: Option<&IdentityFrom>,
    ) -> Option<(String, Option<TrustDomain>, Jwks)> {
        let domain = self.problems.take(
            &format!("{path}.trust_domain"),
            TrustDomain::new(&file.trust_domain),
            "write a trust domain, as partner.example",
        );
        let jwks = match (&file.jwks, file.workload_api) {
            (Some(jwks), false) => self.jwks(&format!("{path}.jwks"), jwks),
            (None, true) => self
                .workload_api(&format!("{path}.workload_api"), identity)
                .zip(domain.clone())
                .map(|(endpoint, trust_domain)| Jwks::WorkloadApi { endpoint, trust_domain }),
            _ => {
                self.problems.add(
                    path,
                    "names neither or both of `jwks` and `workload_api`",
                    "write `jwks: {file: …}`, or `workload_api: true`",
                );
                None
            }
        };
        let domain = domain?;
        Some((format!("spiffe://{domain}"), Some(domain), jwks?))
    }

    /// Keys that the issuer's metadata leads to.
    fn discovered(&mut self, path: &str, issuer: &str, file: &JwksFile) -> Option<Jwks> {
        let url = self.https(&format!("{path}.issuer"), issuer);
        let server = self.https_server(&format!("{path}.jwks.server"), &file.server);
        let refresh = self.refresh(&format!("{path}.jwks"), file);
        if url?.query().is_some() {
            self.problems.add(format!("{path}.issuer"), "has a query, so that it has no metadata", HTTPS);
            return None;
        }
        Some(Jwks::Discovered { issuer: issuer.to_owned(), server: server?, refresh })
    }

    fn presenter(&mut self, path: &str, file: &PresenterFile) -> Option<Presenter> {
        for (value, id) in &file.map {
            self.spiffe_id(&format!("{path}.map.{value}"), id);
        }
        match (&file.claim, file.audience, file.any) {
            (Some(name), false, false) => {
                Some(Presenter::Claim { name: name.clone(), map: file.map.clone() })
            }
            (None, true, false) if file.map.is_empty() => Some(Presenter::Audience),
            (None, false, true) if file.map.is_empty() => Some(Presenter::Any),
            _ => {
                self.problems.add(
                    path,
                    "says none or several of `claim`, `audience` and `any`",
                    "write `claim: client_id`, or `audience: true` or `any: true` alone",
                );
                None
            }
        }
    }

    /// Whoever gives agents credentials has to be believed in the chains: else nobody would see how long they are.
    fn chains(&mut self, path: &str, file: &IssuerFile) {
        if file.presenter.audience && !file.delegates {
            self.problems.add(
                format!("{path}.delegates"),
                "credentials for agents come with a chain of actors, which is not believed",
                "write `delegates: true`",
            );
        }
    }

    fn algorithms(&mut self, path: &str, named: &[String]) {
        for algorithm in named.iter().filter(|named| !tokens::jws::ALGORITHMS.contains(&named.as_str())) {
            let fix = format!("write some of {}", tokens::jws::ALGORITHMS.join(", "));
            self.problems.add(path, format!("{algorithm:?} is not accepted from anybody"), fix);
        }
    }

    fn mapping(&mut self, path: &str, file: &ClaimsFile) -> Option<Mapping> {
        let scopes = self.claim(&format!("{path}.scopes"), file.scopes.as_ref());
        let groups = self.claim(&format!("{path}.groups"), file.groups.as_ref());
        let tenant = self.claim(&format!("{path}.tenant"), file.tenant.as_ref());
        Some(Mapping { scopes: scopes?, groups: groups?, tenant: tenant? })
    }

    /// The path to a claim; the inner none is one that isn't written.
    fn claim(&mut self, path: &str, file: Option<&ClaimPath>) -> Option<Option<Vec<String>>> {
        let names: Vec<String> = match file {
            None => return Some(None),
            Some(ClaimPath::Dotted(text)) => text.split('.').map(Into::into).collect(),
            Some(ClaimPath::Names(names)) => names.clone(),
        };
        if names.is_empty() || names.iter().any(String::is_empty) {
            let fix = "write member names, as realm_access.roles or [\"https://app.example/roles\"]";
            self.problems.add(path, "names no claim", fix);
            return None;
        }
        Some(Some(names))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test ends by panicking")]
    use super::*;
    use crate::config::Problems;

    /// The paths of what is wrong with a list of issuers.
    fn wrong(list: &str) -> Vec<String> {
        let mut problems = Problems::default();
        let files: Vec<IssuerFile> = yaml_serde::from_str(list).unwrap();
        let base = std::env::temp_dir();
        let agent = IdentityFrom::WorkloadApi { endpoint: "unix:/agent.sock".into(), wait: Duration::ZERO };
        let issuers = Checker { base, problems: &mut problems }.issuers(&files, Some(&agent));
        let paths: Vec<String> = problems.into_vec().into_iter().map(|problem| problem.path).collect();
        assert!(issuers.is_some() || !paths.is_empty(), "{list}");
        paths
    }

    #[test]
    fn an_issuer_is_read_or_its_mistake_is_named() {
        let keys = "jwks: {url: 'https://idp.test/keys'}";
        for (entry, mistake) in [
            ("issuer: 'https://idp.test', presenter: {any: true}", None),
            ("issuer: 'http://idp.test', presenter: {any: true}", Some("issuers.0.issuer")),
            ("issuer: 'https://idp.test?a=b', presenter: {any: true}", Some("issuers.0.issuer")),
            (&format!("issuer: 'http://idp.test', presenter: {{any: true}}, {keys}"), None),
            (&format!("presenter: {{any: true}}, {keys}"), Some("issuers.0")),
            ("issuer: 'https://idp.test', presenter: {}", Some("issuers.0.presenter")),
            ("issuer: 'https://idp.test', presenter: {any: true, claim: azp}", Some("issuers.0.presenter")),
            (
                "issuer: 'https://idp.test', presenter: {claim: azp, map: {a: b}}",
                Some("issuers.0.presenter.map.a"),
            ),
            ("issuer: 'https://idp.test', presenter: {any: true}, algorithms: [ES256, EdDSA]", None),
            (
                "issuer: 'https://idp.test', presenter: {any: true}, algorithms: [HS256]",
                Some("issuers.0.algorithms"),
            ),
            (
                "issuer: 'https://idp.test', presenter: {any: true}, claims: {groups: a.b, tenant: [a.b]}",
                None,
            ),
            (
                "issuer: 'https://idp.test', presenter: {any: true}, claims: {groups: a..b}",
                Some("issuers.0.claims.groups"),
            ),
            (
                "issuer: 'https://idp.test', presenter: {any: true}, claims: {tenant: []}",
                Some("issuers.0.claims.tenant"),
            ),
            (&format!("jwt_svid: {{trust_domain: partner.test, {keys}}}, presenter: {{claim: sub}}"), None),
            (
                &format!("jwt_svid: {{trust_domain: part ner, {keys}}}, presenter: {{claim: sub}}"),
                Some("issuers.0.jwt_svid.trust_domain"),
            ),
            (
                "jwt_svid: {trust_domain: partner.test, jwks: {}}, presenter: {claim: sub}",
                Some("issuers.0.jwt_svid.jwks"),
            ),
            ("jwt_svid: {trust_domain: partner.test, workload_api: true}, presenter: {claim: sub}", None),
            ("jwt_svid: {trust_domain: partner.test}, presenter: {claim: sub}", Some("issuers.0.jwt_svid")),
            (
                &format!(
                    "jwt_svid: {{trust_domain: a.test, workload_api: true, {keys}}}, presenter: {{claim: sub}}"
                ),
                Some("issuers.0.jwt_svid"),
            ),
            (
                &format!(
                    "jwt_svid: {{trust_domain: a.test, {keys}}}, types: [JWT], presenter: {{claim: sub}}"
                ),
                Some("issuers.0"),
            ),
            (
                &format!(
                    "issuer: 'https://a', jwt_svid: {{trust_domain: a.test, {keys}}}, presenter: {{any: true}}"
                ),
                Some("issuers.0"),
            ),
        ] {
            assert_eq!(wrong(&format!("[{{{entry}}}]")), Vec::from_iter(mistake), "{entry}");
        }
    }

    #[test]
    fn subjects_are_those_of_another_issuer_and_handed_on_by_who_makes_credentials() {
        let with = |presenter: &str, of: &str| {
            let credentials = format!(
                "{{issuer: 'https://sts.test', presenter: {presenter}, delegates: true, subjects_of: '{of}'}}"
            );
            wrong(&format!("[{{issuer: 'https://idp.test', presenter: {{any: true}}}}, {credentials}]"))
        };
        let (makes, mistake) = ("{audience: true}", "issuers.1.subjects_of");
        assert_eq!(with(makes, "https://idp.test"), Vec::<String>::new());
        assert_eq!(with("{claim: azp}", "https://idp.test"), [mistake]);
        assert_eq!(with(makes, "https://sts.test"), [mistake], "its own are its own without a word");
        assert_eq!(with(makes, "https://idp.test/"), [mistake]);
        assert_eq!(with("{claim: azp}", "https://other.test"), [mistake, mistake]);
    }

    #[test]
    fn an_issuer_stands_there_once() {
        let entry = |issuer: &str| format!("{{issuer: '{issuer}', presenter: {{any: true}}}}");
        let twins = |other: &str| wrong(&format!("[{}, {}]", entry("https://idp.test"), entry(other)));
        assert_eq!(twins("https://idp.test/"), Vec::<String>::new());
        assert_eq!(twins("https://idp.test"), ["issuers.1"]);
    }
}
