//! Runs the decision tables in `policy/cases`: small policy sets, and rows of questions with the answers they want.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use policy::{AuditDetail, Budget, Decision, Entry, PolicySet, Question, SourceFile};
use serde::Deserialize;

use crate::{folder, source};

/// What the gateway's configuration would say.
const TTL_MAX: Duration = Duration::from_secs(300);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    /// The policy set of all rows, by path.
    #[serde(default)]
    files: BTreeMap<String, String>,
    rows: Vec<Row>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    note: String,
    /// Files of this row alone; one of the table's of the same path gives way.
    #[serde(default)]
    files: BTreeMap<String, String>,
    entry: Asked,
    #[serde(default)]
    input: serde_json::Value,
    budget_ms: Option<u64>,
    want: Want,
    reason: Option<String>,
    package: Option<String>,
    /// Whether a list shows it.
    visible: Option<bool>,
    /// A part of the denial's detail.
    detail: Option<String>,
    scopes: Option<Vec<String>>,
    audience: Option<String>,
    /// What the denial says the subject lacks.
    #[serde(default)]
    needs_scopes: Vec<String>,
    ttl_seconds: Option<u64>,
    #[serde(default)]
    audit_full: bool,
}

/// One of these.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    tool: Option<(String, String)>,
    resource: Option<String>,
    prompt: Option<String>,
    protocol: Option<String>,
    agent: Option<String>,
}

#[derive(Deserialize, Clone, Copy, PartialEq, Eq, Debug)]
#[serde(rename_all = "lowercase")]
enum Want {
    Permit,
    Deny,
}

impl Asked {
    fn entry(&self) -> Entry<'_> {
        match (&self.tool, &self.resource, &self.prompt, &self.protocol, &self.agent) {
            (Some((server, tool)), None, None, None, None) => Entry::Tool { server, tool },
            (None, Some(server), None, None, None) => Entry::Resource { server },
            (None, None, Some(server), None, None) => Entry::Prompt { server },
            (None, None, None, Some(server), None) => Entry::Protocol { server },
            (None, None, None, None, Some(agent)) => Entry::Agent { agent },
            _ => panic!("a row asks one thing"),
        }
    }
}

#[test]
fn every_row_of_every_table_is_answered_as_it_wants() {
    let mut rows = 0;
    for entry in std::fs::read_dir(folder("cases")).unwrap() {
        let path = entry.unwrap().path();
        let table: Table = yaml_serde::from_str(&std::fs::read_to_string(&path).unwrap())
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        for row in &table.rows {
            check(row, &table.files, &format!("{}: {}", path.display(), row.note));
            rows += 1;
        }
    }
    assert!(rows > 60, "only {rows} rows were found");
}

fn check(row: &Row, shared: &BTreeMap<String, String>, place: &str) {
    let mut files = shared.clone();
    files.extend(row.files.clone());
    let files: Vec<SourceFile> = files.iter().map(|(path, text)| source(path, text)).collect();
    // A second, so that a busy machine fails no row but those that are about the budget.
    let budget = Budget { evaluation: Duration::from_millis(row.budget_ms.unwrap_or(1_000)) };
    let set = PolicySet::compile(&files, budget).unwrap_or_else(|problems| panic!("{place}: {problems:?}"));
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
    let question = Question {
        entry: row.entry.entry(),
        input: &row.input,
        now,
        permit_ttl_max: TTL_MAX,
        ends: now + TTL_MAX,
        epoch: 0,
    };

    match set.decide(&question) {
        Decision::Permit(permit) => {
            assert_eq!(row.want, Want::Permit, "{place}");
            assert_eq!(permit.scopes(), row.scopes.as_deref(), "{place}");
            assert_eq!(permit.audience(), row.audience.as_deref(), "{place}");
            assert_eq!(permit.audit() == AuditDetail::Full, row.audit_full, "{place}");
            let life = Duration::from_secs(row.ttl_seconds.unwrap_or(TTL_MAX.as_secs()));
            assert_eq!(permit.expires_at(), now + life, "{place}");
            assert_eq!(permit.revision(), set.revision(), "{place}");
            if let Some(package) = &row.package {
                assert_eq!(permit.package(), package, "{place}");
            }
        }
        Decision::Denial(denial) => {
            assert_eq!(row.want, Want::Deny, "{place}: {denial:?}");
            let reason = row.reason.as_deref().unwrap_or("not_allowed");
            assert_eq!(denial.reason().code(), reason, "{place}: {denial:?}");
            assert_eq!(denial.needs_scopes(), row.needs_scopes, "{place}");
            assert_eq!(denial.revision(), set.revision(), "{place}");
            if let Some(detail) = &row.detail {
                assert!(denial.detail().contains(detail), "{place}: {denial:?}");
            }
            if row.package.is_some() {
                assert_eq!(denial.package(), row.package.as_deref(), "{place}");
            }
        }
    }
    if let Some(visible) = row.visible {
        assert_eq!(set.visible(&question), visible, "{place}: visible");
    }
}
