//! The official SDKs against the real thing: `sallyport up`, its S3 server, its policy.

use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::Path;
use world::components::{self, Sallyport};
use world::served::S3_SCOPES;

/// One session: an allowed call, the same with one argument changed, and the allowed one again.
const SCRIPT: &str = r#"[
  {"do": "list-tools"},
  {"do": "call", "name": "get_object", "arguments": {"bucket": "demo", "key": "public/hello.txt"}},
  {"do": "call", "name": "get_object", "arguments": {"bucket": "demo", "key": "private/salary.csv"}},
  {"do": "call", "name": "put_object", "arguments": {"bucket": "demo", "key": "public/new.txt", "content": "x"}},
  {"do": "read-resource", "uri": "s3://demo/public/hello.txt"},
  {"do": "read-resource", "uri": "s3://demo/private/salary.csv"},
  {"do": "call", "name": "get_object", "arguments": {"bucket": "demo", "key": "public/hello.txt"}}
]"#;

fn tells_the_story(program: &Path, script: &str, era: &str, version: &str, more: &[&str]) {
    let up = Sallyport::up();
    let mut arguments = vec![script, "--server", "s3", "--era", era];
    arguments.extend_from_slice(more);
    arguments.extend_from_slice(&["script", SCRIPT]);
    let lines = up.client(program, &arguments);
    let ok: Vec<bool> = lines.iter().map(|line| line["ok"].as_bool().unwrap()).collect();
    assert_eq!(ok, [true, true, true, false, false, true, false, true], "{lines:#?}");
    assert_eq!(lines[0]["result"]["protocolVersion"], version);

    let tools: Vec<&str> =
        lines[1]["result"]["tools"].as_array().unwrap().iter().map(|t| t["name"].as_str().unwrap()).collect();
    let is_tool = |scope: &&str| !["protocol", "resources", "prompts"].contains(scope);
    let all: BTreeSet<&str> = S3_SCOPES.iter().copied().filter(is_tool).collect();
    assert_eq!(tools.into_iter().collect::<BTreeSet<_>>(), all);
    assert!(lines[2]["result"].to_string().contains("Hello from behind the gate."));
    assert!(lines[7]["result"].to_string().contains("Hello from behind the gate."));
    for refused in [&lines[3], &lines[4], &lines[6]] {
        let error = &refused["error"];
        assert!(error.to_string().contains("not_allowed"), "the reason reaches the program: {error}");
        assert_eq!(error["code"], -32003, "{error}");
        assert_eq!(error["data"], json!({"reason": "not_allowed"}), "{error}");
    }

    let decisions: Vec<Value> = up.records("tools/call").iter().map(|r| r["decision"].clone()).collect();
    assert_eq!(decisions, ["permit", "denial", "denial", "permit"]);
    assert_eq!(
        (up.heard("get_object"), up.heard("put_object")),
        (2, 0),
        "the server has heard the permitted calls and no other"
    );
}

#[test]
fn a_real_client_in_python_2026() {
    let Some(python) = components::python() else { return };
    tells_the_story(&python, "tests/clients/python/mcp_client.py", "2026", "2026-07-28", &[]);
}

#[test]
fn a_real_client_in_python_2025() {
    let Some(python) = components::python() else { return };
    tells_the_story(&python, "tests/clients/python/mcp_client.py", "2025", "2025-11-25", &[]);
}

#[test]
fn a_real_client_in_typescript_2026() {
    if components::node().is_none() {
        return;
    }
    tells_the_story(
        Path::new("node"),
        "tests/clients/node/mcp_client.mjs",
        "2026",
        "2026-07-28",
        &["--sdk", "v2"],
    );
}

#[test]
fn a_real_client_in_typescript_2025() {
    if components::node().is_none() {
        return;
    }
    for sdk in ["v1", "v2"] {
        tells_the_story(
            Path::new("node"),
            "tests/clients/node/mcp_client.mjs",
            "2025",
            "2025-11-25",
            &["--sdk", sdk],
        );
    }
}

#[test]
fn a_real_client_over_http2() {
    if components::node().is_none() {
        return;
    }
    tells_the_story(
        Path::new("node"),
        "tests/clients/node/mcp_client.mjs",
        "2026",
        "2026-07-28",
        &["--sdk", "v2", "--http2"],
    );
}

#[test]
fn a_real_client_without_a_certificate_gets_nowhere() {
    let Some(python) = components::python() else { return };
    let mut up = Sallyport::up();
    up.env.remove("SALLYPORT_CERT");
    up.env.remove("SALLYPORT_KEY");
    let lines = up.client(
        &python,
        &["tests/clients/python/mcp_client.py", "--server", "s3", "--era", "2026", "list-tools"],
    );
    assert_eq!(lines[0]["ok"], false);
    assert!(up.records("tools/list").is_empty() && up.records("server/discover").is_empty());
}

#[test]
fn the_newcomers_agent_sees_what_the_readme_promises() {
    let Some(python) = components::python() else { return };
    let up = Sallyport::up();
    let dir = up.path("").display().to_string();
    let output = up.run(&python, &["agents/demo/agent.py", &dir]);
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.contains("as it should be"), "{text}");
}

/// From nothing but the gateway's URL: 401, metadata, registration, a person's sign-in, a token, calls, and the next token.
fn signs_in_from_the_url_alone(program: &Path, arguments: &[&str]) {
    let mut up = Sallyport::up();
    up.env.remove("SALLYPORT_TOKEN");
    up.env.insert("SALLYPORT_USER".into(), "alice".into());
    up.env.insert("SALLYPORT_PASSWORD".into(), "not the password".into());
    let lines = up.client(program, arguments);
    assert_eq!((lines[0]["step"].as_str(), lines[0]["ok"].as_bool()), (Some("sign-in"), Some(false)));
    assert!(up.records("tools/list").is_empty() && up.records("tools/call").is_empty());

    up.env.insert("SALLYPORT_PASSWORD".into(), up.password());
    let lines = up.client(program, arguments);
    let steps: Vec<_> = lines.iter().map(|line| (line["step"].as_str().unwrap(), &line["ok"])).collect();
    let told =
        ["sign-in", "connect", "list-tools", "call", "refreshed", "heard"].map(|step| (step, &json!(true)));
    assert_eq!(steps, told, "{lines:#?}");
    assert_eq!(lines[0]["result"]["scope"], gateway::up::starter::USER_SCOPES.join(" "));
    assert_eq!(lines[2]["result"]["tools"], lines[4]["result"]["tools"]);
    assert!(lines[3]["result"].to_string().contains("Hello from behind the gate."));
    assert_eq!(lines[4]["result"]["rotated"], true);

    let heard = lines[5]["result"].as_array().unwrap();
    let first: Vec<_> =
        heard.iter().take(5).map(|h| (h["path"].as_str().unwrap(), h["status"].as_u64())).collect();
    assert_eq!(
        first,
        [
            ("/mcp/s3", Some(401)),
            ("/.well-known/oauth-protected-resource/mcp/s3", Some(200)),
            ("/.well-known/oauth-authorization-server/oauth/users", Some(200)),
            ("/oauth/register", Some(201)),
            ("/oauth/token", Some(200)),
        ]
    );
    let grants: Vec<&str> = heard.iter().filter_map(|h| h["grant"].as_str()).collect();
    assert_eq!(grants, ["authorization_code", "refresh_token"]);

    let calls = up.records("tools/call");
    assert_eq!((calls.len(), up.heard("get_object")), (1, 1));
    assert_eq!((&calls[0]["decision"], &calls[0]["subject"]["sub"]), (&json!("permit"), &json!("alice")));
}

#[test]
fn a_real_client_in_typescript_signs_in_from_the_url_alone() {
    if components::node().is_none() {
        return;
    }
    for sdk in ["v1", "v2"] {
        signs_in_from_the_url_alone(
            Path::new("node"),
            &["tests/clients/node/oauth_client.mjs", "--sdk", sdk],
        );
    }
}

#[test]
fn a_real_client_in_python_signs_in_from_the_url_alone() {
    let Some(python) = components::python() else { return };
    signs_in_from_the_url_alone(&python, &["tests/clients/python/oauth_client.py"]);
}
