//! What keeps a policy set from loading, and what is said about it.

use policy::{Budget, PolicySet, Problem, SourceFile};

use crate::source;

fn problems(files: &[(&str, &str)]) -> Vec<Problem> {
    let files: Vec<SourceFile> = files.iter().map(|(path, text)| source(path, text)).collect();
    match PolicySet::compile(&files, Budget::default()) {
        Ok(_) => Vec::new(),
        Err(problems) => problems,
    }
}

/// The problems as they are shown.
fn shown(files: &[(&str, &str)]) -> Vec<String> {
    problems(files).iter().map(ToString::to_string).collect()
}

/// One file with one problem, and its text.
fn refusal(path: &str, text: &str) -> String {
    let shown = shown(&[(path, text)]);
    assert_eq!(shown.len(), 1, "{path} {text}: {shown:?}");
    shown.into_iter().next().unwrap()
}

fn loads(path: &str, text: &str) {
    assert_eq!(shown(&[(path, text)]), [""; 0], "{path} {text}");
}

#[test]
fn every_problem_is_reported_with_its_place_and_a_fix() {
    let shown = shown(&[
        ("tools/s3.rego", "package tools.s3\nallow if {\n  input.x ==\n}\n"),
        ("tools/s4.rego", "package tools.s5\nallow := true\n"),
        ("policies/x.rego", "package policies.x\n"),
        ("data.json", "{"),
    ]);
    assert_eq!(shown.len(), 4, "{shown:#?}");
    assert!(shown[0].starts_with("data.json: "), "{shown:?}");
    assert!(shown[1].starts_with("policies/x.rego: "), "{shown:?}");
    assert!(shown[2].starts_with("tools/s3.rego:4: "), "{shown:?}");
    assert_eq!(
        shown[3],
        "tools/s4.rego:1: package tools.s5 is not the package of this path (write package tools.s4, or move the file)"
    );
}

#[test]
fn problems_of_analysis_are_reported_together_too() {
    let shown = shown(&[
        ("tools/a.rego", "package tools.a\nallow if x == 1\n"),
        ("tools/b.rego", "package tools.b\n\nallow if y == 1\n"),
    ]);
    assert_eq!(shown.len(), 2, "{shown:#?}");
    assert!(shown[0].starts_with("tools/a.rego:2: ") && shown[0].contains("`x`"), "{shown:?}");
    assert!(shown[1].starts_with("tools/b.rego:3: ") && shown[1].contains("`y`"), "{shown:?}");
}

#[test]
fn a_package_is_its_path() {
    loads("tools/s3/get_object.rego", "package tools.s3.get_object");
    loads("tools/s3/get_object.rego", "package tools[\"s3\"].get_object");
    loads("tools/s3/get-object.rego", "package tools.s3[\"get-object\"]");
    loads("guard/any/name.rego", "package guard");
    loads("lib/text/paths.rego", "package lib.text.paths");
    loads("protocol.rego", "package protocol");
    loads("tools/s3/get_object_test.rego", "package tools.s3.get_object_test");
    for (path, text) in [
        ("tools/s3/get_object.rego", "package tools.s3"),
        ("tools/s3/get-object.rego", "package tools.s3.get_object"),
        ("tools/s3.rego", "package tools.s3.get_object"),
        ("guard/any.rego", "package guard.any"),
        ("lib/paths.rego", "package paths"),
        ("tools/s3/get_object_test.rego", "package tools.s3.get_object"),
        ("protocol_test.rego", "package protocol"),
    ] {
        assert!(refusal(path, text).contains("is not the package of this path"), "{path}");
    }
}

#[test]
fn only_known_folders_and_data_at_the_root() {
    for path in ["authz/x.rego", "x.rego", "tools/data.json", "data.yml", "README.md", "../tools/s3.rego"] {
        refusal(path, "package x");
    }
    loads("data.yaml", "a: 1");
    assert_eq!(shown(&[("data.json", "{}"), ("data.yaml", "a: 1")]).len(), 1);
    assert_eq!(shown(&[("data.json", "{}"), ("data.json", "{}")]).len(), 1);
}

#[test]
fn data_may_not_define_what_packages_define() {
    loads("data.json", "{\"readers\": [\"alice\"]}");
    assert!(
        refusal("data.json", "{\"tools\": {\"s3\": {\"allow\": true}}}")
            .contains("data may not define tools")
    );
    assert!(refusal("data.yaml", "guard: {}").contains("data may not define guard"));
    assert!(refusal("data.json", "[1]").contains("must be an object"));
}

#[test]
fn builtins_that_reach_outside_or_are_not_there_are_refused_by_name() {
    for call in [
        "http.send({\"method\": \"get\", \"url\": \"http://x\"})",
        "opa.runtime()",
        "net.lookup_ip_addr(\"x\")",
        "io.jwt.decode(\"x\")",
        "io.jwt.decode_verify(\"x\", {})",
        "rego.metadata.rule()",
        "rego.parse_module(\"x\", \"y\")",
        "crypto.sha256(\"x\")",
        "net.cidr_expand(\"10.0.0.0/8\")",
        "units.parse_bytes(\"1e9\")",
        "bits.lsh(1, 9)",
        "graph.reachable_paths({}, [])",
        "test.sleep(\"1s\")",
        "graphql.parse(\"x\", \"y\")",
        "no_such_function(1)",
        "data.lib.none.f(1)",
        "sprintf(input.format, [1])",
    ] {
        let name = call.split('(').next().unwrap();
        for form in
            ["allow if {CALL}", "allow if not CALL", "allow if { x := [y | y := CALL]; count(x) == 0 }"]
        {
            let text = format!("package agents.a\n\n{}", form.replace("CALL", call).replace("{C", "{ C"));
            let shown = refusal("agents/a.rego", &text);
            assert!(shown.starts_with("agents/a.rego:3: ") && shown.contains(name), "{text}: {shown}");
        }
    }
    let mocked = "package agents.a\nallow if startswith(\"a\", \"b\") with startswith as http.send";
    assert!(refusal("agents/a.rego", mocked).contains("http.send"));
}

#[test]
fn functions_of_ones_own_may_be_called_by_each_of_their_names() {
    let library = ("lib/text.rego", "package lib.text\nshort(x) if count(x) < 9\nboth(x) if short(x)\n");
    for call in [
        "import data.lib.text\nallow if text.short(input.x)",
        "import data.lib.text as t\nallow if t.both(input.x)",
        "import data.lib.text.short\nallow if short(input.x)",
        "allow if data.lib.text.short(input.x)",
        "short(x) if count(x) < 8\nallow if short(input.x)",
    ] {
        assert_eq!(
            shown(&[library, ("agents/a.rego", &format!("package agents.a\n{call}"))]),
            [""; 0],
            "{call}"
        );
    }
    for call in [
        "allow if text.short(input.x)",
        "import data.lib.text\nallow if text.long(input.x)",
        "import data.lib.text\nallow if text.short(input.x, 1, 2)",
        "import data.lib.texts\nallow if input.x",
        "allow if data.lib.text.long",
        "import data.lib.text\nallow if not text.long",
    ] {
        assert_eq!(
            shown(&[library, ("agents/a.rego", &format!("package agents.a\n{call}"))]).len(),
            1,
            "{call}"
        );
    }
}

#[test]
fn a_rule_has_the_form_in_which_it_is_asked() {
    for rule in [
        "allow(x) if x == 1",
        "allow contains \"x\" if true",
        "allow.x if true",
        "allow[x] if some x in [1]",
        "visible(x) := x",
        "deny[\"closed\"] if true",
        "deny(x) := \"closed\"",
        "deny.closed if true",
        "obligations[\"audit\"] := \"full\"",
        "obligations.audit := \"full\"",
        "obligations contains \"audit\"",
    ] {
        let shown = refusal("agents/a.rego", &format!("package agents.a\n{rule}"));
        assert!(shown.contains("is not written in the form that is asked"), "{rule}: {shown}");
    }
    assert!(refusal("guard/a.rego", "package guard\ndeny[\"closed\"] if true").contains("form"));
    loads(
        "agents/a.rego",
        "package agents.a\ndefault allow := false\nallow if true\ndeny contains \"x\" if false",
    );
}

#[test]
fn a_rule_may_not_write_into_another_package() {
    let tool = ("tools/s3/get_object.rego", "package tools.s3.get_object\nallow := false");
    for rule in
        ["get_object.allow := true", "get_object := {\"allow\": true}", "get_object[\"allow\"] := true"]
    {
        let shown = shown(&[tool, ("tools/s3.rego", &format!("package tools.s3\n{rule}"))]);
        assert!(!shown.is_empty() && shown[0].contains("would write into package"), "{rule}: {shown:?}");
    }
    assert_eq!(shown(&[tool, ("tools/s3.rego", "package tools.s3\nput_object := 1")]), [""; 0]);
}

#[test]
fn what_decides_listing_reads_no_arguments() {
    for rule in [
        "allow if input.call.arguments.bucket == \"demo\"",
        "allow if input.call.arguments",
        "allow if input[\"call\"][\"arguments\"].bucket == \"demo\"",
        "allow if input.call[input.key] == \"demo\"",
        "allow if input[_] == 1",
        "allow if walk(input, [_, 1])",
        "allow if helper\nhelper if input.call.arguments.bucket == \"demo\"",
        "allow if helper(input.call)\nhelper(call) if call.arguments.bucket == \"demo\"",
        "import input.call as c\nallow if c.arguments.bucket == \"demo\"",
        "import input.call.arguments\nallow if arguments.bucket == \"demo\"",
        "allow if { call := input.call; call.arguments.bucket == \"demo\" }",
        "allow if count([1 | input.call.arguments.x]) == 0",
        "default allow := false\nallow if true\nallow := false if { false } else if input.call.arguments.x",
    ] {
        let text = format!("package tools.s3\n{rule}\n");
        let shown = refusal("tools/s3.rego", &text);
        assert!(shown.contains("reads input.call.arguments and there is no visible"), "{rule}: {shown}");
        loads("tools/s3.rego", &format!("{text}visible if input.caller.path == [\"x\"]\n"));
        let text = text.replace("package tools", "package agents").replace("arguments", "message");
        let shown = refusal("agents/s3.rego", &text);
        assert!(shown.contains("reads input.call.message and there is no visible"), "{rule}: {shown}");
        loads("agents/s3.rego", &format!("{text}visible if input.caller.path == [\"x\"]\n"));
    }
    loads("tools/s3.rego", "package tools.s3\nallow if input.call.tool.name == \"x\"");
    loads(
        "tools/s3.rego",
        "package tools.s3\nallow if input.caller.path == [\"x\"]\ndeny contains \"x\" if input.call.arguments.y",
    );
    let visible = "package tools.s3\nallow := true\nvisible if input.call.arguments.x";
    assert!(refusal("tools/s3.rego", visible).contains("visible reads input.call.arguments"));
}

#[test]
fn a_library_that_reads_the_arguments_counts() {
    let shown = shown(&[
        ("lib/a.rego", "package lib.a\nok if input.call.arguments.x == 1"),
        ("tools/s3.rego", "package tools.s3\nimport data.lib.a\nallow if a.ok"),
    ]);
    assert_eq!(shown.len(), 1, "{shown:?}");
    assert!(shown[0].starts_with("tools/s3.rego:3: ") && shown[0].contains("in lib/a.rego"), "{shown:?}");
}

#[test]
fn what_could_overflow_the_stack_is_refused() {
    assert!(
        refusal("agents/a.rego", "package agents.a\nf(x) := f(x)\nallow if f(1)").contains("calls itself")
    );
    assert_eq!(shown(&[("agents/a.rego", "package agents.a\nf(x) := g(x)\ng(x) := f(x)\n")]).len(), 2);
    let mocked = "package agents.a\nf(x) := y if { y := g(x) with g as f }\ng(x) := x\n";
    assert!(refusal("agents/a.rego", mocked).contains("calls itself"));
    let mut chain = String::from("package agents.a\nf0 := 1\n");
    (0..600).for_each(|n| chain.push_str(&format!("f{} := f{n}\n", n + 1)));
    assert!(shown(&[("agents/a.rego", &chain)])[0].contains("nests more than"));
}

#[test]
fn imports_that_say_nothing_are_refused() {
    assert!(
        refusal("agents/a.rego", "package agents.a\nimport input\nallow if input.x")
            .contains("import of all")
    );
    loads("agents/a.rego", "package agents.a\nimport rego.v1\nallow if input.x");
    assert_eq!(shown(&[("guard/a.rego", "package guard\nimport data.lib.gone")]).len(), 1);
}

#[test]
fn only_rego_v1_loads() {
    assert_eq!(problems(&[("agents/a.rego", "package agents.a\nallow { input.x }")]).len(), 1);
    assert_eq!(problems(&[("agents/a.rego", "package agents.a\ndeny[x] { x := \"a\" }")]).len(), 1);
}

#[test]
fn tests_are_no_part_of_decisions() {
    let policy = ("tools/s3.rego", "package tools.s3\nallow if input.x");
    assert!(
        refusal("tools/s3/run_test.rego", "package tools.s3.run_test\nallow := true").contains("is a test")
    );
    let broken = ("tools/s3_test.rego", "package tools.s3_test\ntest_x if y == 1");
    assert_eq!(shown(&[policy, broken]), [""; 0]);
    let used = ("tools/s4.rego", "package tools.s4\nallow if data.tools.s3_test.test_x");
    let test = ("tools/s3_test.rego", "package tools.s3_test\ntest_x if true");
    assert_eq!(shown(&[policy, test, used]).len(), 1);
}

#[test]
fn the_revision_is_that_of_the_files_and_not_of_their_order() {
    let set = |files: &[(&str, &str)]| {
        let files: Vec<SourceFile> = files.iter().map(|(path, text)| source(path, text)).collect();
        PolicySet::compile(&files, Budget::default()).unwrap().revision().to_owned()
    };
    let (a, b) = (("tools/a.rego", "package tools.a"), ("tools/b.rego", "package tools.b"));
    assert_eq!(set(&[a, b]), set(&[b, a]));
    assert_ne!(set(&[a, b]), set(&[a]));
    assert_ne!(set(&[a]), set(&[("tools/a.rego", "package tools.a ")]));
    let revision = set(&[a]);
    assert!(revision.len() == 71 && revision.starts_with("sha256:"), "{revision}");
}
