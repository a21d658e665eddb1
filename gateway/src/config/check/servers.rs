//! `servers.yaml` of `sallyport up` as it runs.

use super::{Checker, is_server_name, parse};
use crate::config::file::StartedFile;
use crate::config::{Problem, Problems};
use crate::up::servers::Started;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use url::Url;

/// Reads the list of servers and checks all of it.
///
/// # Errors
/// Every [`Problem`] that was found, each with its path and the fix.
pub fn load_servers(path: &Path) -> Result<Vec<Started>, Vec<Problem>> {
    let mut problems = Problems::default();
    let fix = "name a file that can be read";
    let text = problems.take(&path.display().to_string(), std::fs::read_to_string(path), fix);
    let file: Option<BTreeMap<String, StartedFile>> = text.and_then(|text| parse(&text, &mut problems));
    let base = path.parent().unwrap_or(Path::new(".")).to_path_buf();
    let mut checker = Checker { base, problems: &mut problems };
    let all = file.unwrap_or_default().into_iter().map(|(name, file)| checker.started(name, file)).collect();
    if problems.is_empty() { Ok(all) } else { Err(problems.into_vec()) }
}

impl Checker<'_> {
    fn started(&mut self, name: String, file: StartedFile) -> Started {
        if !is_server_name(&name) {
            let fix = "use lower-case letters, digits and hyphens";
            self.problems.add(&name, "is not a server's name", fix);
        }
        let path = format!("{name}.before");
        let before = file.before.urls().iter().filter_map(|text| self.place(&path, text)).collect();
        let downstream = file.downstream;
        if downstream.as_deref().is_some_and(|audience| !is_system(audience)) {
            let fix = "write the `https://` URL that the system takes for its own name in a token";
            self.problems.add(format!("{name}.downstream"), "is no name of a system", fix);
        }
        let scopes = file.scopes.into_iter().map(|(scope, tools)| {
            if !crate::token_service::is_scope(&scope) {
                let fix = "write one word without spaces, quotes and backslashes";
                self.problems.add(format!("{name}.scopes"), format!("{scope:?} is no scope"), fix);
            }
            if let Some(tool) =
                tools.iter().find(|tool| !crate::token_service::is_scope(tool) || tool.contains(':'))
            {
                let fix = "write the tool's name alone";
                self.problems.add(format!("{name}.scopes.{scope}"), format!("{tool:?} is no tool"), fix);
            }
            (scope, tools.into_iter().collect::<BTreeSet<_>>())
        });
        let scopes = scopes.collect();
        let program = match file.program.contains('/') {
            true => self.base.join(&file.program),
            false => file.program.into(),
        };
        let needs = file.needs.map(|path| self.base.join(path));
        Started { name, program, args: file.args, before, downstream, needs, scopes }
    }

    /// A URL of a host that can be connected to.
    fn place(&mut self, path: &str, text: &str) -> Option<Url> {
        let url = Url::parse(text).ok().filter(|url| {
            url.host().is_some() && url.port_or_known_default().is_some() && url.password().is_none()
        });
        if url.is_none() {
            self.problems.add(path, "is no URL of a server", "write it as http://127.0.0.1:9090");
        }
        url
    }
}

/// Whether it can be a system's name. What is behind the gateway is called by a SPIFFE ID; no credential of ours is for that.
fn is_system(audience: &str) -> bool {
    Url::parse(audience).is_ok_and(|url| url.scheme() == "https" && url.host().is_some())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test ends by panicking")]

    use super::*;

    #[test]
    fn all_mistakes_are_named_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("servers.yaml");
        let text = "Ab__c: {program: x, before: nowhere, downstream: 'spiffe://dev.sallyport/mcp/s3'}\nd: {program: ./y, before: ['http://h', x], scopes: {'two words': [t], s: ['a b']}}\n";
        std::fs::write(&path, text).unwrap();
        let problems = load_servers(&path).unwrap_err();
        let said: Vec<String> = problems.iter().map(ToString::to_string).collect();
        for mistake in ["Ab__c", "Ab__c.before", "Ab__c.downstream", "d.before", "d.scopes", "d.scopes.s"] {
            assert!(said.iter().any(|line| line.starts_with(mistake)), "{mistake}: {said:?}");
        }
        std::fs::write(&path, "d: {program: ./y, before: 'http://127.0.0.1:1', scopes: {'d:read': [t]}}\n")
            .unwrap();
        let [started] = load_servers(&path).unwrap().try_into().unwrap();
        assert_eq!((started.name.as_str(), started.program), ("d", dir.path().join("./y")));
        let text = "d: {program: y, before: ['http://127.0.0.1:1', 'http://127.0.0.1:2']}\n";
        std::fs::write(&path, text).unwrap();
        assert_eq!(load_servers(&path).unwrap()[0].before.len(), 2);
        std::fs::write(&path, "d: {program: y, flags: []}\n").unwrap();
        assert!(load_servers(&path).unwrap_err()[0].to_string().contains("flags"));
    }
}
