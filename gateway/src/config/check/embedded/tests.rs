#![allow(clippy::unwrap_used, reason = "a test ends by panicking")]

use super::*;

fn load(text: &str, mode: u32) -> Result<Embedded, Vec<String>> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("token-service.yaml");
    certs::files::write(&path, text.as_bytes(), mode).unwrap();
    load_embedded(&path).map_err(|all| all.into_iter().map(|problem| problem.path).collect())
}

const ALICE: &str =
    "{password: correct horse, scopes: [\"s3:read\"], agents: [\"spiffe://a.test/agent/demo\"]}";

#[test]
fn what_is_not_written_has_a_default() {
    let embedded = load(&format!("users: {{alice: {ALICE}}}"), 0o600).unwrap();
    assert_eq!(embedded.lifetimes.access_token, Duration::from_secs(600));
    assert_eq!(embedded.keys.every, HOUR * 720);
    assert_eq!(embedded.limits.clients_max, 100);
    assert!(!format!("{embedded:?}").contains("correct horse"));
}

#[test]
fn every_mistake_is_named() {
    let text = "users:
  \"spiffe://a.test/agent/demo\": {password: short, scopes: [\"a b\"], agents: []}
workloads: {\"https://a.test\": [\"s3:read\"]}
keys: {every: 1m, ahead: 2m, overlap: 1m}
lifetimes: {code: 1h}
limits: {clients_max: 0}
";
    let paths = load(text, 0o600).unwrap_err();
    let user = "users.spiffe://a.test/agent/demo";
    let more = |field: &str| format!("{user}.{field}");
    assert_eq!(
        paths,
        [
            user,
            &more("password"),
            &more("agents"),
            &more("scopes"),
            "workloads.https://a.test",
            "lifetimes.code",
            "keys.ahead",
            "keys.overlap",
            "limits.clients_max",
        ]
    );
}

#[test]
fn every_key_stands_in_the_manual_with_its_default() {
    let manual = include_str!("../../../../../docs/token-service.md");
    let schema = serde_json::to_value(schemars::schema_for!(EmbeddedFile)).unwrap();
    let mut seen = 0;
    for (part, definition) in
        [("keys", "KeysFile"), ("lifetimes", "LifetimesFile"), ("limits", "EmbeddedLimitsFile")]
    {
        for (key, of) in schema["$defs"][definition]["properties"].as_object().unwrap() {
            let described = of["description"].as_str().unwrap();
            let default = described.rsplit_once("Default ").unwrap().1.trim_end_matches('.');
            assert!(manual.contains(&format!("| `{part}.{key}` | {default} |")), "{part}.{key}: {default}");
            seen += 1;
        }
    }
    assert_eq!(seen, 17);
}

#[test]
fn a_file_that_others_may_read_holds_no_passwords() {
    assert_eq!(load(&format!("users: {{alice: {ALICE}}}"), 0o644).unwrap_err(), ["(the file)"]);
}
