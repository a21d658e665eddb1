//! The official SDKs at the one URL: they list the tools of several real servers, call them by name, and hear refusals.

use serde_json::{Value, json};
use std::collections::HashMap;
use std::path::Path;
use world::components::{self, program};
use world::served::{S3_SCOPES, Served};
use world::{Plan, World, policies};

/// An allowed call at each server, the same with one word changed, and one that policy has no file for.
const SCRIPT: &str = r#"[
  {"do": "list-tools"},
  {"do": "call", "name": "units__convert", "arguments": {"value": 20, "from": "celsius", "to": "kelvin"}},
  {"do": "call", "name": "units__convert", "arguments": {"value": 20, "from": "celsius", "to": "foot"}},
  {"do": "call", "name": "s3__get_object", "arguments": {"bucket": "demo", "key": "public/hello.txt"}},
  {"do": "call", "name": "s3__get_object", "arguments": {"bucket": "demo", "key": "private/salary.csv"}},
  {"do": "call", "name": "s3__put_object", "arguments": {"bucket": "demo", "key": "public/hello.txt", "content": "x"}},
  {"do": "read-resource", "uri": "s3://demo/public/hello.txt"},
  {"do": "read-resource", "uri": "s3://demo/private/salary.csv"},
  {"do": "call", "name": "units__convert", "arguments": {"value": 0, "from": "celsius", "to": "kelvin"}}
]"#;

fn policy() -> Vec<(&'static str, String)> {
    let rule = |package: &str, who: &str, condition: &str| {
        format!(
            "package {package}\n\nvisible if input.caller.path[1] in {{{who}}}\n\nallow if {{\n\tvisible\n\t{condition}\n}}\n"
        )
    };
    let key = "startswith(input.call.arguments.key, \"public/\")";
    let uri = "startswith(input.call.resource.uri, \"s3://demo/public/\")";
    vec![
        ("protocol.rego", policies::protocol()),
        (
            "tools/units/convert.rego",
            rule("tools.units.convert", "\"clerk\", \"intern\"", "input.call.arguments.to == \"kelvin\""),
        ),
        ("tools/s3/get_object.rego", rule("tools.s3.get_object", "\"clerk\"", key)),
        (
            "resources/s3.rego",
            format!(
                "package resources.s3\n\nallow if {{\n\tinput.caller.path[1] == \"clerk\"\n\t{uri}\n}}\n"
            ),
        ),
    ]
}

/// A world with two real servers and a fake one.
async fn world(data: &Path) -> World {
    for (name, text) in
        [("public/hello.txt", "Hello from behind the gate."), ("private/salary.csv", "secret")]
    {
        let path = data.join("demo").join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    let units = Served {
        name: "units",
        program: program("examples/units"),
        scopes: &["protocol", "resources", "convert", "list_units"],
        flags: Vec::new(),
        files: vec![("audit-file", String::new())],
    };
    let root = data.display().to_string();
    let s3 = Served {
        name: "s3",
        program: program("mcp-s3"),
        scopes: S3_SCOPES,
        flags: ["--store", "file", "--buckets", "demo", "--root", &root].map(ToOwned::to_owned).to_vec(),
        files: Vec::new(),
    };
    World::with(Plan { policy: policy(), served: Some(units), more_served: vec![s3], ..Plan::default() })
        .await
}

/// What a program of an agent finds in its environment.
fn environment(world: &World, workload: &str) -> HashMap<String, String> {
    world.agent(workload);
    let svid = world.path(&workload.replace('/', "-"));
    let file = |name: &str| svid.join(name).display().to_string();
    HashMap::from([
        ("SALLYPORT_URL".into(), world.url.clone()),
        ("SALLYPORT_CA".into(), file("bundle.pem")),
        ("SALLYPORT_CERT".into(), file("cert.pem")),
        ("SALLYPORT_KEY".into(), file("key.pem")),
        ("SALLYPORT_TOKEN".into(), world.token(workload)),
    ])
}

fn listed(line: &Value) -> Vec<String> {
    let tools = line["result"]["tools"].as_array().unwrap_or_else(|| panic!("no list: {line}"));
    let mut names: Vec<String> = tools.iter().map(|tool| tool["name"].as_str().unwrap().to_owned()).collect();
    names.sort();
    names
}

async fn tells_the_story(program: &Path, script: &str, era: &str, more: &[&str]) {
    let data = tempfile::tempdir().unwrap();
    let world = world(data.path()).await;
    let mut arguments = vec![script, "--server", "", "--era", era];
    arguments.extend_from_slice(more);
    let run = |workload: &str, command: &[&str]| {
        let (environment, program) = (environment(&world, workload), program.to_owned());
        let all: Vec<String> = arguments.iter().chain(command).map(|word| (*word).to_owned()).collect();
        tokio::task::spawn_blocking(move || {
            let all: Vec<&str> = all.iter().map(String::as_str).collect();
            components::client(&environment, &program, &all)
        })
    };
    let lines = run("agent/clerk", &["script", SCRIPT]).await.unwrap();
    let ok: Vec<bool> = lines.iter().map(|line| line["ok"].as_bool().unwrap()).collect();
    assert_eq!(ok, [true, true, true, false, true, false, false, true, false, true], "{lines:#?}");
    assert_eq!(listed(&lines[1]), ["s3__get_object", "units__convert"]);
    assert_eq!(lines[2]["result"]["structuredContent"]["value"], 293.15, "{}", lines[2]);
    assert!(lines[4]["result"].to_string().contains("Hello from behind the gate."));
    assert!(lines[7]["result"].to_string().contains("Hello from behind the gate."));
    for refused in [3, 5, 6, 8] {
        let error = &lines[refused]["error"];
        assert_eq!(
            (&error["code"], &error["data"]),
            (&json!(-32003), &json!({"reason": "not_allowed"})),
            "{error}"
        );
    }
    let calls: Vec<_> =
        world.records("request").into_iter().filter(|r| r["method"] == "tools/call").collect();
    let told: Vec<_> = calls
        .iter()
        .map(|r| {
            (r["server"].as_str().unwrap(), r["decision"].as_str().unwrap(), r["path"].as_str().unwrap())
        })
        .collect();
    let told_of = |server, decision| (server, decision, "/mcp");
    let [permit, denial] = ["permit", "denial"];
    assert_eq!(
        told,
        [
            told_of("units", permit),
            told_of("units", denial),
            told_of("s3", permit),
            told_of("s3", denial),
            told_of("s3", denial),
            told_of("units", permit)
        ]
    );

    let lines = run("agent/intern", &["list-tools"]).await.unwrap();
    assert_eq!(listed(&lines[1]), ["units__convert"], "another agent has less");
}

#[tokio::test]
async fn a_real_client_in_python_at_the_one_url() {
    let Some(python) = components::python() else { return };
    for era in ["2026", "2025"] {
        tells_the_story(&python, "tests/clients/python/mcp_client.py", era, &[]).await;
    }
}

#[tokio::test]
async fn a_real_client_in_typescript_at_the_one_url() {
    if components::node().is_none() {
        return;
    }
    for (era, sdk) in [("2026", "v2"), ("2025", "v2"), ("2025", "v1")] {
        tells_the_story(Path::new("node"), "tests/clients/node/mcp_client.mjs", era, &["--sdk", sdk]).await;
    }
}
