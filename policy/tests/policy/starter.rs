//! The policy that `sallyport up` starts with: it loads, its own tests pass, and it says what the README shows.

use std::collections::BTreeSet;
use std::time::Duration;

use policy::{Budget, Decision, Entry, PolicySet, SourceFile, tester};
use serde_json::{Value, json};

use crate::{files, folder, question};

fn starter() -> PolicySet {
    let budget = Budget { evaluation: Duration::from_secs(1) };
    PolicySet::compile(&files(&folder("rego/starter")), budget).unwrap()
}

/// `permit`, or the reason.
fn answer(entry: Entry<'_>, input: &Value) -> String {
    match starter().decide(&question(entry, input)) {
        Decision::Permit(_) => "permit".to_owned(),
        Decision::Denial(denial) => denial.reason().code().to_owned(),
    }
}

fn call(tool: &str, arguments: Value) -> String {
    with_scopes(tool, arguments, &[])
}

/// The same, where the person's token holds scopes.
fn with_scopes(tool: &str, arguments: Value, scopes: &[&str]) -> String {
    let input = json!({
        "caller": {"spiffe_id": "spiffe://dev.sallyport/agent/demo", "trust_domain": "dev.sallyport", "path": ["agent", "demo"]},
        "subject": {"iss": "https://127.0.0.1:1", "sub": "alice", "scopes": scopes, "claims": {}},
        "actors": [],
        "call": {
            "protocol": "mcp", "version": "2026-07-28", "method": "tools/call", "server": "s3",
            "tool": {"name": tool, "annotations": {}, "labels": [], "digest": null, "pinned": false},
            "arguments": arguments,
        },
        "session": null,
        "request": {"time": "2026-11-21T10:00:00Z", "ip": "127.0.0.1", "trace_id": "0"},
    });
    answer(Entry::Tool { server: "s3", tool }, &input)
}

#[test]
fn its_own_tests_pass() {
    let report = tester::run(&files(&folder("rego/starter")), None).unwrap();
    let failed: Vec<_> = report.cases.iter().filter(|case| case.outcome != tester::Outcome::Passed).collect();
    assert!(failed.is_empty(), "{failed:#?}");
    assert!(report.passed() >= 14, "{}", report.passed());
}

#[test]
fn every_call_that_its_tests_want_allowed_is_one_that_the_tool_takes() {
    let sources = files(&folder("rego/starter"));
    let mut engine = regorus::Engine::new();
    for source in &sources {
        engine.add_policy(source.path.clone(), source.text.clone()).unwrap();
    }
    let (mut tried, mut refused) = (0, Vec::new());
    for source in &sources {
        let Some((server, tool)) = source
            .path
            .strip_prefix("tools/")
            .and_then(|path| path.strip_suffix("_test.rego")?.split_once('/'))
        else {
            continue;
        };
        let schema = jsonschema::validator_for(&input_schema(server, tool)).unwrap();
        for arguments in wanted(&mut engine, &format!("data.tools.{server}.{tool}_test"), &source.text) {
            tried += 1;
            refused.extend(
                schema.iter_errors(&arguments).map(|error| format!("{server} {tool} {arguments}: {error}")),
            );
        }
    }
    assert!(refused.is_empty(), "{refused:#?}");
    assert!(tried > 80, "{tried}");
    let schema = jsonschema::validator_for(&input_schema("prometheus", "series")).unwrap();
    assert!(schema.is_valid(&json!({"match": ["up"]})) && !schema.is_valid(&json!({"match": "up"})));
}

/// What a tool takes, as its server prints it.
fn input_schema(server: &str, tool: &str) -> Value {
    let path = folder(&format!("../mcp-servers/{server}/tools.json"));
    let tools: Vec<Value> = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let found = tools.into_iter().find(|found| found["name"] == tool);
    found.unwrap_or_else(|| panic!("{server} has no tool {tool}"))["inputSchema"].take()
}

/// The arguments of each call that the test of a tool wants allowed.
fn wanted(engine: &mut regorus::Engine, test: &str, text: &str) -> Vec<Value> {
    let query = match text.contains("\ntwins := ") {
        true => format!("[{test}.good]"), // Its twins are denied, all of them.
        false => format!(
            "[json.patch({test}.good, case.patch).call.arguments | some case in {test}.cases; case.want]"
        ),
    };
    let answer = engine.eval_query(query, false).unwrap();
    let found: Vec<Value> =
        serde_json::from_str(&answer.result[0].expressions[0].value.to_json_str().unwrap()).unwrap();
    assert!(!found.is_empty(), "{test} has no call that is allowed");
    found
}

#[test]
fn an_object_below_public_is_read_and_one_beside_it_is_not() {
    assert_eq!(call("get_object", json!({"bucket": "demo", "key": "public/hello.txt"})), "permit");
    for key in [
        "private/salary.csv",
        "public/../private/salary.csv",
        "public/%2e%2e/private/salary.csv",
        "public\\..\\private/salary.csv",
        "/public/hello.txt",
    ] {
        assert_eq!(call("get_object", json!({"bucket": "demo", "key": key})), "not_allowed", "{key}");
    }
    assert_eq!(call("get_object", json!({"bucket": "other", "key": "public/hello.txt"})), "not_allowed");
    assert_eq!(call("get_object", json!({"bucket": "demo", "key": {"public/": 1}})), "not_allowed");
}

#[test]
fn what_reads_an_object_in_another_way_is_allowed_as_reading_it_is() {
    for tool in ["head_object", "list_versions", "preview_text", "preview_table"] {
        let on = |key: &str| call(tool, json!({"bucket": "demo", "key": key}));
        assert_eq!(
            (on("public/table.csv"), on("private/salary.csv")),
            ("permit".into(), "not_allowed".into()),
            "{tool}"
        );
    }
}

#[test]
fn a_list_needs_a_prefix() {
    assert_eq!(call("list_objects", json!({"bucket": "demo", "prefix": "public/"})), "permit");
    assert_eq!(call("list_objects", json!({"bucket": "demo"})), "not_allowed");
}

#[test]
fn what_has_no_file_is_denied() {
    for tool in ["put", "put_object2", "GET_OBJECT"] {
        assert_eq!(call(tool, json!({"bucket": "demo", "key": "public/hello.txt"})), "not_allowed", "{tool}");
    }
}

#[test]
fn every_tool_of_every_server_has_a_file_and_its_tests() {
    for server in ["inference", "kubernetes", "mlflow", "prometheus", "s3"] {
        let tools = std::fs::read_to_string(folder(&format!("../mcp-servers/{server}/tools.json"))).unwrap();
        let tools: Value = serde_json::from_str(&tools).unwrap();
        let known: BTreeSet<String> = files(&folder(&format!("rego/starter/tools/{server}")))
            .iter()
            .map(|file| file.path.trim_end_matches(".rego").to_owned())
            .collect();
        let names = tools.as_array().unwrap().iter().map(|tool| tool["name"].as_str().unwrap().to_owned());
        let wanted = names.flat_map(|name| [format!("{name}_test"), name]).collect();
        assert_eq!(known, wanted, "{server}");
    }
}

#[test]
fn an_agent_writes_below_a_prefix_of_its_own_and_nowhere_else() {
    let writes = [
        ("put_object", "note.txt", json!({"content": "x", "if_none_match": "*"})),
        ("delete_object", "note.txt", json!({})),
        ("start_upload", "uploads/big", json!({})),
        ("upload_part", "uploads/big", json!({"upload_id": "u", "offset": 0, "content": "x"})),
        ("complete_upload", "uploads/big", json!({"upload_id": "u", "sha256": "0".repeat(64)})),
        ("abort_upload", "uploads/big", json!({"upload_id": "u"})),
    ];
    for (tool, name, more) in writes {
        let on = |key: String, scopes: &[&str]| {
            let mut arguments = more.clone();
            arguments["bucket"] = "demo".into();
            arguments["key"] = key.into();
            with_scopes(tool, arguments, scopes)
        };
        let own = format!("public/agent-demo/{name}");
        assert_eq!(on(own.clone(), &["s3:write"]), "permit", "{tool}");
        assert_eq!(on(own, &["s3:read"]), "insufficient_scope", "{tool}");
        assert_eq!(on(format!("public/agent-other/{name}"), &["s3:write"]), "not_allowed", "{tool}");
        assert_eq!(on(format!("public/{name}"), &[]), "not_allowed", "{tool}");
    }
    let copy = |from: &str, to: &str| {
        let arguments = json!({"from_bucket": "demo", "from_key": from, "to_bucket": "demo", "to_key": to, "if_none_match": "*"});
        with_scopes("copy_object", arguments, &["s3:write"])
    };
    assert_eq!(copy("public/hello.txt", "public/agent-demo/hello.txt"), "permit");
    assert_eq!(copy("private/salary.csv", "public/agent-demo/hello.txt"), "not_allowed");
    assert_eq!(copy("public/agent-demo/hello.txt", "public/hello.txt"), "not_allowed");
}

#[test]
fn a_list_shows_what_can_be_called() {
    let set = starter();
    let input = json!({"caller": {"path": ["agent", "demo"]}, "subject": {"sub": "alice"}, "call": {}});
    let shown = |tool| set.visible(&question(Entry::Tool { server: "s3", tool }, &input));
    assert!(shown("get_object") && shown("list_objects"));
    assert!(shown("put_object") && !shown("put"));
    let uri = |uri: &str| {
        let mut input = input.clone();
        input["call"] = json!({"method": "resources/list", "resource": {"uri": uri}});
        set.visible(&question(Entry::Resource { server: "s3" }, &input))
    };
    assert!(uri("s3://demo/public/hello.txt") && uri("s3://{bucket}/{+key}"));
    assert!(!uri("s3://demo/private/salary.csv"));
}

#[test]
fn a_session_may_be_opened_and_nothing_more() {
    let method =
        |method: &str| answer(Entry::Protocol { server: "s3" }, &json!({"call": {"method": method}}));
    assert_eq!(method("initialize"), "permit");
    assert_eq!(method("tools/call"), "not_allowed");
}

#[test]
fn a_resource_below_public_is_read_and_one_beside_it_is_not() {
    let read = |uri: &str| {
        let input = json!({
            "caller": {"path": ["agent", "demo"]}, "subject": {"sub": "alice"},
            "call": {"method": "resources/read", "resource": {"uri": uri}},
        });
        answer(Entry::Resource { server: "s3" }, &input)
    };
    assert_eq!(read("s3://demo/public/hello.txt"), "permit");
    assert_eq!(read("s3://demo/private/salary.csv"), "not_allowed");
}

#[test]
fn its_own_tests_notice_each_condition_that_is_taken_out() {
    let original = files(&folder("rego/starter"));
    let (mut changed, mut untested) = (0, Vec::new());
    for (file, number, line) in lines(&original) {
        // Conditions are the indented lines; a test file's own, or a part of a statement, are not meant.
        let whole = line.starts_with('\t') && !line.ends_with(['{', ',']) && line.trim() != "}";
        let told_apart_by_nothing = line.contains("is_string(prefix)") || line.contains("# its DELETE");
        if original[file].path.ends_with("_test.rego") || !whole || told_apart_by_nothing {
            continue;
        }
        let mut mutant = original.clone();
        let mutated = original[file].text.lines().enumerate();
        let mutated = mutated.map(|(other, text)| if other == number { "\ttrue" } else { text });
        mutant[file].text = mutated.collect::<Vec<_>>().join("\n");
        let noticed = tester::run(&mutant, None).map(|report| report.failed() > 0).unwrap_or(true);
        if !noticed {
            untested.push(format!("{}:{}: nothing tests {line:?}", original[file].path, number + 1));
        }
        changed += 1;
    }
    assert!(untested.is_empty(), "{untested:#?}");
    assert!(changed > 12, "{changed}");
}

fn lines(files: &[SourceFile]) -> impl Iterator<Item = (usize, usize, &str)> {
    files.iter().enumerate().flat_map(|(file, source)| {
        source.text.lines().enumerate().map(move |(number, line)| (file, number, line))
    })
}
