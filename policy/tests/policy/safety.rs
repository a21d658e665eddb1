//! What policies and inputs can't do to the process, and what the engine might leave silently undefined.

use std::sync::Arc;
use std::time::Duration;

use policy::{Budget, Decision, Entry, EvalError, PolicySet};
use serde_json::{Value, json};

use crate::{question, source};

const SECOND: Budget = Budget { evaluation: Duration::from_secs(1) };

fn reason(set: &PolicySet, input: &Value) -> String {
    let entry = Entry::Tool { server: "s3", tool: "get_object" };
    match set.decide(&question(entry, input)) {
        Decision::Permit(_) => "permit".to_owned(),
        Decision::Denial(denial) => denial.reason().code().to_owned(),
    }
}

fn set(body: &str) -> PolicySet {
    let text = format!("package tools.s3\n\n{body}\n");
    PolicySet::compile(&[source("tools/s3.rego", &text)], SECOND)
        .unwrap_or_else(|problems| panic!("{problems:?}"))
}

#[test]
fn a_policy_set_is_shared_between_threads() {
    let set = Arc::new(set("allow if input.n == 1"));
    let threads: Vec<_> = (0..8)
        .map(|n| {
            let set = set.clone();
            std::thread::spawn(move || {
                (0..50).all(|_| (reason(&set, &json!({"n": n})) == "permit") == (n == 1))
            })
        })
        .collect();
    assert!(threads.into_iter().all(|thread| thread.join().unwrap()));
}

#[test]
fn a_builtin_that_fails_never_leaves_undefined_behind() {
    let input = json!({"bad": "%zz(", "object": {"a": 1}, "null": null, "zero": 0});
    let mut silent = Vec::new();
    for call in [
        "to_number(input.bad)",
        "to_number(input.object)",
        "startswith(input.object, \"a\")",
        "startswith(input.null, \"a\")",
        "endswith(input.object, \"a\")",
        "contains(input.object, \"a\")",
        "lower(input.object)",
        "split(input.object, \"/\")",
        "trim(input.object, \"/\")",
        "trim_prefix(input.object, \"/\")",
        "replace(input.object, \"a\", \"b\")",
        "substring(input.bad, -1, 2)",
        "indexof(input.object, \"a\")",
        "concat(\"/\", input.object)",
        "sprintf(\"%s\", input.bad)",
        "format_int(input.bad, 10)",
        "strings.any_prefix_match(input.object, \"a\")",
        "regex.match(\"(\", input.bad)",
        "regex.match(input.null, input.bad)",
        "regex.match(\"a\", input.object)",
        "glob.match(\"a\", [\"/\"], input.object)",
        "count(input.null)",
        "sum(input.bad)",
        "max(input.null)",
        "sort(input.null)",
        "abs(input.bad)",
        "1 / input.zero",
        "1 % input.zero",
        "1 + input.bad",
        "input.object - 1",
        "json.unmarshal(input.bad)",
        "json.unmarshal(input.object)",
        "yaml.unmarshal(input.object)",
        "base64.decode(input.bad)",
        "base64url.decode(input.bad)",
        "hex.decode(input.bad)",
        "urlquery.decode(input.object)",
        "time.parse_rfc3339_ns(input.bad)",
        "time.parse_duration_ns(input.bad)",
        "time.parse_ns(\"2006\", input.bad)",
        "time.date(input.bad)",
        "time.weekday(input.bad)",
        "net.cidr_contains(input.bad, \"10.0.0.1\")",
        "net.cidr_contains(\"10.0.0.0/8\", input.bad)",
        "semver.compare(input.bad, \"1.0.0\")",
        "object.get(input.null, \"a\", 1)",
        "object.keys(input.bad)",
        "object.union(input.bad, {})",
        "array.concat(input.bad, [])",
        "array.slice(input.bad, 0, 1)",
        "intersection(input.bad)",
        "union(input.bad)",
        "bits.and(input.bad, 1)",
        "numbers.range(input.bad, 1)",
        "numbers.range_step(1, 5, 0)",
        "graph.reachable(input.bad, [])",
    ] {
        let set = set(&format!("allow if not {call} == \"no such value\""));
        if reason(&set, &input) != "policy_error" {
            silent.push(call);
        }
    }
    assert_eq!(silent, [""; 0]);
}

#[test]
fn numbers_that_would_fill_the_memory_are_not_made() {
    let input = json!({"text": "1e999999999", "big": 4_000_000_000_u64});
    for call in [
        "json.unmarshal(input.text)",
        "to_number(input.text)",
        "yaml.unmarshal(input.text)",
        "numbers.range(0, input.big)",
        "numbers.range_step(0, input.big, 2)",
        "format_int(to_number(input.text), 2)",
    ] {
        let set = set(&format!("allow if not {call} == \"no such value\""));
        let answer = reason(&set, &input);
        assert!(["policy_error", "permit"].contains(&answer.as_str()), "{call}: {answer}");
    }
}

#[test]
fn the_longest_chain_of_rules_fits_the_stack_of_a_worker() {
    let mut rules = String::from("visible := true\nallow if f0(input) == 1\n");
    for n in 0..30 {
        // The next call stands inside of three comprehensions, each of which takes stack.
        let call = (0..3).fold(format!("f{}(x)", n + 1), |inner, depth| {
            format!("count([v{depth} | some v{depth} in [{inner}]])")
        });
        rules.push_str(&format!("f{n}(x) := {call}\n"));
    }
    rules.push_str("f30(x) := x.n\n");
    let set = set(&rules);
    let worker = std::thread::Builder::new().stack_size(2 * 1024 * 1024);
    let answer = worker.spawn(move || reason(&set, &json!({"n": 1}))).unwrap().join().unwrap();
    assert_eq!(answer, "permit");
}

#[test]
fn deeply_nested_input_fits_the_stack_of_a_worker() {
    let set = set("visible := true\nallow if { walk(input, [_, value]); value == \"deep\" }");
    let mut input = json!("deep");
    (0..120).for_each(|_| input = json!([input]));
    let worker = std::thread::Builder::new().stack_size(2 * 1024 * 1024);
    let answer = worker.spawn(move || reason(&set, &json!({"a": input}))).unwrap().join().unwrap();
    assert_eq!(answer, "permit");
}

#[test]
fn a_key_that_the_json_library_uses_itself_is_a_key() {
    let set = set("allow if is_number(input.n)");
    assert_eq!(reason(&set, &json!({"n": 7})), "permit");
    assert_eq!(reason(&set, &json!({"n": {"$serde_json::private::Number": "7"}})), "not_allowed");
}

#[test]
fn a_loop_ends_soon_after_its_budget() {
    let text = "package tools.s3\nallow if { some a in numbers.range(1, 9999); some b in numbers.range(1, 9999); a * b == -1 }";
    let budget = Budget { evaluation: Duration::from_millis(20) };
    let set = PolicySet::compile(&[source("tools/s3.rego", text)], budget).unwrap();
    let start = std::time::Instant::now();
    assert_eq!(reason(&set, &Value::Null), "policy_budget");
    assert!(start.elapsed() < Duration::from_millis(500), "{:?}", start.elapsed());
}

#[test]
fn a_query_gives_a_value_nothing_or_an_error() {
    let set =
        set("allow if input.n == 1\nnames contains x if some x in input.names\nbad := to_number(input.s)");
    let eval = |query: &str, input: Value| set.eval(query, &input);
    assert_eq!(eval("data.tools.s3.allow", json!({"n": 1})).unwrap(), Some(json!(true)));
    assert_eq!(eval("data.tools.s3.allow", json!({"n": 2})).unwrap(), None);
    assert_eq!(eval("data.tools.s3.names", json!({"names": ["b", "a"]})).unwrap(), Some(json!(["a", "b"])));
    assert_eq!(eval("data.tools.s3.nothing", json!({})).unwrap(), None);
    assert!(matches!(eval("data.tools.s3.bad", json!({"s": "x"})), Err(EvalError::Query(_))));
    assert!(matches!(eval("data.tools.", json!({})), Err(EvalError::Query(_))));
    assert!(matches!(eval("http.send({})", json!({})), Err(EvalError::Query(_))));
    assert_eq!(
        eval("data.tools.s3", json!({"n": 1, "s": "3"})).unwrap(),
        Some(json!({"allow": true, "bad": 3, "names": []}))
    );
}
