//! What a newcomer types, and what comes back.

use serde_json::Value;
use std::process::{Command, Output};
use world::components::{Sallyport, program, root};

fn sallyport(arguments: &[&str]) -> Output {
    Command::new(program("sallyport")).args(arguments).current_dir(root()).output().unwrap()
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[test]
fn up_stops_on_sigterm_and_the_audit_says_so() {
    let up = Sallyport::up();
    let audit = up.path("audit.jsonl");
    let copy = tempfile::tempdir().unwrap();
    let kept = copy.path().join("audit.jsonl");
    std::fs::hard_link(&audit, &kept).or_else(|_| std::fs::copy(&audit, &kept).map(|_| ())).unwrap();
    assert!(up.terminate().success());
    let last = std::fs::read_to_string(kept).unwrap();
    assert!(last.lines().last().unwrap().contains("\"kind\":\"stopped\""), "{last}");
}

#[test]
fn a_second_up_in_the_same_folder_says_what_to_do() {
    let up = Sallyport::up();
    let second = sallyport(&["up", "--listen", "127.0.0.1:0", "--dir", up.path("").to_str().unwrap()]);
    assert_eq!(second.status.code(), Some(1));
    assert!(text(&second).contains("in use by another"), "{}", text(&second));
}

#[test]
fn secrets_of_up_are_their_owners_alone() {
    use std::os::unix::fs::PermissionsExt;
    let up = Sallyport::up();
    for name in [
        "agent.env",
        "audit.jsonl",
        "actor.key",
        "token-service.yaml",
        "ca/ca.key",
        "svids/gateway/key.pem",
        "svids/agent-demo/key.pem",
    ] {
        let mode = std::fs::metadata(up.path(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    for folder in ["keys/users", "keys/credentials"] {
        for key in std::fs::read_dir(up.path(folder)).unwrap() {
            assert_eq!(key.unwrap().metadata().unwrap().permissions().mode() & 0o777, 0o600, "{folder}");
        }
    }
    assert_eq!(std::fs::metadata(up.path("")).unwrap().permissions().mode() & 0o777, 0o700);
}

#[test]
fn check_names_every_mistake_with_its_path_and_the_fix() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("bad.yaml");
    std::fs::write(&path, "listen: nowhere\nurl: http://gateway\nidentity: {certificate: a, private_key: b, trust_bundle: c}\ntoken_service: {issuer: i, token_endpoint: 'ftp://x', jwks: {}, actor_key: k}\nservers: {S3: {url: 'https://s', spiffe_id: nobody}}\npolicy: {dir: nowhere, budget: soon}\naudit: {file: a}\nlimits: {body_bytes_max: 1}\n").unwrap();
    let output = sallyport(&["check", "--config", path.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output);
    for mistake in [
        "listen:",
        "url:",
        "identity.certificate:",
        "identity.private_key:",
        "identity.trust_bundle:",
        "token_service.token_endpoint:",
        "token_service.jwks:",
        "token_service.actor_key:",
        "servers.S3:",
        "servers.S3.spiffe_id:",
        "servers.S3.subject:",
        "policy.dir:",
        "policy.budget:",
        "limits.body_bytes_max:",
    ] {
        assert!(said.contains(&format!("\n{mistake}")), "{mistake} is missing:\n{said}");
    }
    assert_eq!(said.matches("fix: ").count(), 14, "{said}");
}

#[test]
fn check_names_mistakes_in_what_others_may_see() {
    let up = Sallyport::up();
    let written = std::fs::read_to_string(up.path("sallyport.yaml")).unwrap();
    let with = |admin: &str, telemetry: &str| {
        let path = up.path("changed.yaml");
        let changed = written.replace("listen: 127.0.0.1:0", admin);
        std::fs::write(&path, format!("{changed}\ntelemetry: {telemetry}\n")).unwrap();
        sallyport(&["check", "--config", path.to_str().unwrap()])
    };
    let good =
        with("listen: off", "{otlp: {endpoint: \"https://collector.test/otlp\"}, traces: {sample: 0}}");
    assert!(good.status.success(), "{}", text(&good));
    let bad = with(
        "listen: here\n  timeout: 1h",
        "{otlp: {endpoint: \"ftp://collector.test\", timeout: 1ms}, traces: {sample: 1.5, queue_max: 1}}",
    );
    let said = text(&bad);
    for mistake in [
        "admin.listen",
        "admin.timeout",
        "telemetry.otlp.endpoint",
        "telemetry.otlp.timeout",
        "telemetry.traces.sample",
        "telemetry.traces.queue_max",
    ] {
        assert!(said.contains(&format!("\n{mistake}:")), "{mistake} is missing:\n{said}");
    }
    assert_eq!(said.matches("fix: ").count(), 6, "{said}");
}

#[test]
fn check_names_mistakes_in_where_events_may_go_and_quotes_no_password() {
    let up = Sallyport::up();
    let written = std::fs::read_to_string(up.path("sallyport.yaml")).unwrap();
    let with = |push: &str| {
        let path = up.path("changed.yaml");
        std::fs::write(&path, format!("{written}\npush: {push}\n")).unwrap();
        sallyport(&["check", "--config", path.to_str().unwrap()])
    };
    let good = with(
        "{allow: [\"https://hooks.example/a2a\"], private_addresses: [10.1.0.0/16, \"fd00::/8\", 127.0.0.1], attempts: 1}",
    );
    assert!(good.status.success(), "{}", text(&good));
    let bad = with(
        "{allow: [\"https://me:hunter2@hooks.example/\", \"http://hooks.example/\", \"https://h.example/?q\"],
          private_addresses: [10.1.0.0/8, x], ca_file: nowhere.pem, timeout: 1ms, attempts: 0, back_off: soon,
          back_off_max: 2h, queue_max: 0, body_bytes_max: 1, lifetime: 0s}",
    );
    let said = text(&bad);
    for mistake in [
        "allow[0]",
        "allow[1]",
        "allow[2]",
        "private_addresses[0]",
        "private_addresses[1]",
        "ca_file",
        "timeout",
        "attempts",
        "back_off",
        "back_off_max",
        "queue_max",
        "body_bytes_max",
        "lifetime",
    ] {
        assert!(said.contains(&format!("\npush.{mistake}:")), "{mistake} is missing:\n{said}");
    }
    assert_eq!(said.matches("fix: ").count(), 13, "{said}");
    assert!(!said.contains("hunter2"), "{said}");
}

#[test]
fn a_setting_that_does_not_exist_is_a_mistake() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("bad.yaml");
    std::fs::write(&path, "listen: 127.0.0.1:1\nlisten_adress: x\n").unwrap();
    let output = sallyport(&["check", "--config", path.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output).contains("listen_adress"), "{}", text(&output));
}

#[test]
fn check_accepts_what_up_has_written() {
    let up = Sallyport::up();
    let output = sallyport(&["check", "--config", up.path("sallyport.yaml").to_str().unwrap()]);
    assert!(output.status.success(), "{}", text(&output));
}

#[test]
fn every_example_configuration_reads() {
    let mut read = 0;
    for entry in std::fs::read_dir(root().join("deploy")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|e| e == "yaml") {
            // Its files are elsewhere; what must hold is its form: nothing but missing files may be complained about.
            let problems = gateway::config::load(&path).err().unwrap_or_default();
            let others: Vec<_> = problems.iter().filter(|p| !p.wrong.ends_with("is not there")).collect();
            assert!(others.is_empty(), "{}: {others:#?}", path.display());
            read += 1;
        }
    }
    assert!(read > 0);
}

#[test]
fn the_committed_schema_is_the_programs() {
    let output = sallyport(&["schema"]);
    let committed = std::fs::read_to_string(root().join("deploy/config.schema.json")).unwrap();
    assert!(
        String::from_utf8_lossy(&output.stdout) == committed,
        "it is stale: `cargo xtask schema` writes it"
    );
}

#[test]
fn a_new_token_and_a_new_svid_come_from_ups_folder() {
    let up = Sallyport::up();
    let dir = up.path("");
    let dir = dir.to_str().unwrap();
    let token =
        sallyport(&["token", "--dir", dir, "--user", "bob", "--agent", "agent/other", "--server", "s3"]);
    assert_eq!(text(&token).trim().split('.').count(), 3);
    let out = up.path("other");
    let svid = sallyport(&["svid", "agent/other", "--dir", dir, "--out", out.to_str().unwrap()]);
    assert!(text(&svid).starts_with("spiffe://dev.sallyport/agent/other"), "{}", text(&svid));
    let peer = certs::X509Svid::from_pem(
        &std::fs::read(out.join("cert.pem")).unwrap(),
        &std::fs::read(out.join("key.pem")).unwrap(),
    )
    .unwrap();
    assert_eq!(peer.peer().id.to_string(), "spiffe://dev.sallyport/agent/other");
}

#[test]
fn policies_are_tested_and_evaluated() {
    let starter = "policy/rego/starter";
    let tested = sallyport(&["policy", "test", starter]);
    assert!(tested.status.success(), "{}", text(&tested));
    assert!(text(&tested).contains(" 0 failed"), "{}", text(&tested));

    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    write("tools/s3.rego", "package tools.s3\n\nvisible := true\n\nallow if input.x == 1\n");
    write(
        "tools/s3_test.rego",
        "package tools.s3_test\n\nimport data.tools.s3\n\ntest_one if s3.allow with input as {\"x\": 1}\n\ntest_two if s3.allow with input as {\"x\": 2}\n",
    );
    let folder = dir.path().to_str().unwrap();
    let failing = sallyport(&["policy", "test", folder]);
    assert_eq!(failing.status.code(), Some(1), "{}", text(&failing));
    assert!(text(&failing).contains("1 passed, 1 failed"), "{}", text(&failing));

    let elsewhere = tempfile::tempdir().unwrap();
    let input = elsewhere.path().join("input.json");
    std::fs::write(&input, "{\"x\": 1}").unwrap();
    let eval = sallyport(&[
        "policy",
        "eval",
        "--dir",
        folder,
        "--input",
        input.to_str().unwrap(),
        "data.tools.s3.allow",
    ]);
    assert_eq!(serde_json::from_slice::<Value>(&eval.stdout).unwrap(), Value::Bool(true), "{}", text(&eval));
    std::fs::write(&input, "{}").unwrap();
    let eval = sallyport(&[
        "policy",
        "eval",
        "--dir",
        folder,
        "--input",
        input.to_str().unwrap(),
        "data.tools.s3.allow",
    ]);
    assert_eq!(eval.status.code(), Some(3), "{}", text(&eval));
}

#[test]
fn help_teaches_by_example() {
    for command in [
        &["--help"][..],
        &["up", "--help"],
        &["run", "--help"],
        &["check", "--help"],
        &["token", "--help"],
        &["svid", "--help"],
        &["policy", "test", "--help"],
        &["policy", "eval", "--help"],
        &["audit", "verify", "--help"],
        &["audit", "tip", "--help"],
    ] {
        let help = text(&sallyport(command));
        assert!(help.contains("Example") || help.contains("Start here"), "{command:?}: {help}");
    }
}
