//! Decisions that are kept: what they rest on, when they end, and which are never kept.

use std::time::{Duration, SystemTime};

use policy::{Asked, Budget, Decision, Entry, PackageReads, PolicySet, Question};
use serde_json::{Value, json};

use crate::source;

const NOW: SystemTime = SystemTime::UNIX_EPOCH;
const TTL_MAX: Duration = Duration::from_secs(300);

fn set(files: &[(&str, &str)]) -> PolicySet {
    let files: Vec<_> = files.iter().map(|(path, text)| source(path, text)).collect();
    let budget = Budget { evaluation: Duration::from_secs(1) };
    PolicySet::compile(&files, budget).unwrap_or_else(|problems| panic!("{problems:?}")).with_cache(10_000)
}

fn tool(body: &str) -> PolicySet {
    set(&[("tools/s3.rego", &format!("package tools.s3\n\n{body}\n"))])
}

fn question(input: &Value) -> Question<'_, Value> {
    let entry = Entry::Tool { server: "s3", tool: "get_object" };
    Question { entry, input, now: NOW, permit_ttl_max: TTL_MAX, ends: NOW + TTL_MAX, epoch: 0 }
}

/// Whether it was decided before; if not, it is now.
fn known(set: &PolicySet, question: &Question<'_, Value>) -> bool {
    match set.ask(question) {
        Asked::Answered(_) => true,
        Asked::Open(case) => {
            set.judge(&case, Duration::from_secs(1));
            false
        }
    }
}

fn permits(set: &PolicySet, input: &Value) -> bool {
    matches!(set.decide(&question(input)), Decision::Permit(_))
}

fn reads(set: &PolicySet) -> PackageReads {
    set.reads().find(|reads| reads.package == "tools.s3").unwrap()
}

#[test]
fn a_decision_is_made_once_for_all_that_it_reads() {
    let set = tool("visible if input.caller.path == [\"a\"]\nallow if input.call.arguments.key == \"k\"");
    let ask = |path: &str, key: &str, other: u64| {
        let input = json!({
            "caller": {"path": [path], "spiffe_id": other},
            "call": {"arguments": {"key": key, "other": other}},
        });
        known(&set, &question(&input))
    };
    assert!(!ask("a", "k", 1));
    assert!(ask("a", "k", 2), "what it doesn't read changes nothing");
    assert!(!ask("b", "k", 1));
    assert!(!ask("a", "l", 1));
    assert!(ask("b", "k", 3) && ask("a", "l", 3) && ask("a", "k", 3));
}

#[test]
fn a_kept_decision_says_the_same() {
    let set = tool(
        "allow if input.n == 1\nobligations := {\"scopes\": [\"x\"], \"ttl_seconds\": 60}\ndeny contains \"two\" if input.n == 2",
    );
    for _ in 0..2 {
        let Decision::Permit(permit) = set.decide(&question(&json!({"n": 1}))) else { panic!("a permit") };
        assert_eq!(permit.scopes(), Some(["x".to_owned()].as_slice()));
        assert_eq!(permit.expires_at(), NOW + Duration::from_secs(60));
        assert!(!permits(&set, &json!({"n": 2})) && !permits(&set, &json!({"n": "1"})));
    }
    assert!(known(&set, &question(&json!({"n": 1}))));
}

#[test]
fn a_kept_permit_lives_as_long_as_a_new_one() {
    let set = tool("allow if input.n == 1");
    let input = json!({"n": 1});
    assert!(permits(&set, &input));
    let later = NOW + Duration::from_secs(100);
    let question = Question { now: later, permit_ttl_max: Duration::from_secs(7), ..question(&input) };
    let Asked::Answered(Decision::Permit(permit)) = set.ask(&question) else {
        panic!("a permit that was kept")
    };
    assert_eq!(permit.expires_at(), later + Duration::from_secs(7));
}

#[test]
fn a_decision_ends_with_what_it_rests_on_and_with_the_epoch() {
    let set = tool("allow if input.n == 1");
    let input = json!({"n": 1});
    let at = |seconds, epoch| {
        let now = NOW + Duration::from_secs(seconds);
        Question { now, epoch, ends: NOW + Duration::from_secs(10), ..question(&input) }
    };
    assert!(!known(&set, &at(0, 0)));
    assert!(known(&set, &at(9, 0)));
    assert!(!known(&set, &at(9, 1)) && known(&set, &at(9, 1)));
    assert!(!known(&set, &at(10, 0)), "what has ended isn't known");
    assert!(!known(&set, &at(10, 0)), "and isn't kept any more");
}

#[test]
fn decision_and_list_are_kept_apart() {
    let set = tool("visible := true\nallow if input.n == 1");
    let input = json!({"n": 2});
    assert!(!permits(&set, &input));
    assert!(set.visible(&question(&input)));
    assert!(
        matches!(set.ask_listing(&question(&json!({"n": 3}))), Asked::Answered(true)),
        "visible reads nothing"
    );
    assert!(!permits(&set, &input) && set.visible(&question(&input)));
}

#[test]
fn packages_keep_their_own() {
    let set = set(&[
        ("tools/s3/get_object.rego", "package tools.s3.get_object\nallow := true"),
        ("tools/s3.rego", "package tools.s3\nallow := false"),
        ("tools/s4.rego", "package tools.s4\nallow := true"),
    ]);
    let input = json!({});
    let ask = |server, tool| {
        let entry = Entry::Tool { server, tool };
        matches!(set.decide(&Question { entry, ..question(&input) }), Decision::Permit(_))
    };
    for _ in 0..2 {
        assert!(ask("s3", "get_object") && !ask("s3", "put_object") && ask("s4", "get_object"));
    }
}

#[test]
fn a_failure_to_decide_is_never_kept() {
    for body in [
        "allow if to_number(input.s) == 1",
        "visible if to_number(input.s) == 1\nallow := true",
        "allow := true\ndeny contains \"x\" if to_number(input.s) == 1",
        "allow := true\ndeny := 1",
        "allow := true\nneeds_scopes := 1",
        "allow := true\nobligations := {\"audit\": to_number(input.s)}",
    ] {
        let set = tool(body);
        let input = json!({"s": "one"});
        assert!(!known(&set, &question(&input)) && !known(&set, &question(&input)), "{body}");
    }
    let set =
        tool("allow if { some a in numbers.range(1, 5000); some b in numbers.range(1, 5000); a * b == -1 }");
    let input = json!({});
    for _ in 0..2 {
        let Asked::Open(case) = set.ask(&question(&input)) else { panic!("kept") };
        let Decision::Denial(denial) = set.judge(&case, Duration::from_millis(5)) else { panic!("a denial") };
        assert_eq!(denial.reason().code(), "policy_budget");
    }
}

#[test]
fn what_is_another_each_time_is_not_kept() {
    for (body, varies) in [
        ("allow if time.now_ns() > 0", "time.now_ns"),
        ("allow if f(1) == 1\nf(x) := x if rand.intn(\"a\", 5) >= 0", "rand.intn"),
        ("allow if x == 1 with x as time.now_ns()\nx := 1", "time.now_ns"),
        ("allow if input.request.time != \"\"", "input.request.time"),
        ("allow if input.request.trace_id", "input.request.time"),
        ("allow if count(input.request) > 0", "input.request.time"),
        ("visible := true\nallow if walk(input, [_, 1])", "input.request.time"),
        ("visible := true\nallow if input[input.name] == 1", "input.request.time"),
        ("allow := true\nobligations := {\"ttl_seconds\": time.now_ns()}", "time.now_ns"),
        ("allow := true\ndeny contains \"x\" if time.now_ns() < 0", "time.now_ns"),
    ] {
        let set = tool(body);
        let varies = if body.contains("trace_id") { "input.request.trace_id" } else { varies };
        assert_eq!(reads(&set).varies.as_deref(), Some(varies), "{body}");
        let input = json!({"request": {"time": "t"}, "name": "n", "n": 1});
        assert!(!known(&set, &question(&input)) && !known(&set, &question(&input)), "{body}");
    }
    let clock = ("lib/clock.rego", "package lib.clock\nlate if time.now_ns() > 0");
    let guarded = set(&[
        clock,
        ("guard/late.rego", "package guard\nimport data.lib.clock\ndeny contains \"late\" if clock.late"),
        ("tools/s3.rego", "package tools.s3\nallow := true"),
    ]);
    assert_eq!(reads(&guarded).varies.as_deref(), Some("time.now_ns"), "the guard has its say");
    let unused = set(&[clock, ("tools/s3.rego", "package tools.s3\nallow := true")]);
    assert_eq!(reads(&unused).varies, None);
}

#[test]
fn what_a_package_reads_is_what_its_rules_name_and_use() {
    let library = "package lib.a\nf(x) if x.key == input.call.arguments.mode\nroles[r] if some r in input.subject.claims.roles\n";
    for (body, paths) in [
        ("allow := true", vec![]),
        ("allow if input.caller.path == [\"a\"]", vec!["input.caller.path"]),
        ("allow if input[\"caller\"][\"path\"][0] == \"a\"", vec!["input.caller.path"]),
        (
            "allow if input.call.arguments[input.key] == 1\nvisible := true",
            vec!["input.call.arguments", "input.key"],
        ),
        ("import input.subject as s\nallow if s.sub == \"a\"", vec!["input.subject.sub"]),
        ("allow if { s := input.subject; s.sub == \"a\" }", vec!["input.subject"]),
        (
            "import data.lib.a\nvisible := true\nallow if a.f(input.x)",
            vec!["input.call.arguments.mode", "input.x"],
        ),
        ("import data.lib.a\nallow if a.roles.admin", vec!["input.subject.claims.roles"]),
        (
            "visible := true\nallow if data.lib[\"a\"][input.y]",
            vec!["input.call.arguments.mode", "input.subject.claims.roles", "input.y"],
        ),
        ("allow := true\nunused if input.z", vec![]),
        ("default allow := false\nallow if { false } else := true if input.b", vec!["input.b"]),
        ("allow := true\nneeds_scopes := {\"x\"}", vec!["input.subject.scopes"]),
        ("allow if every x in input.xs { x == input.e }", vec!["input.e", "input.xs"]),
        ("allow if count({x | x := input.c[_]}) == 1", vec!["input.c"]),
        ("allow if x with input.a as input.b\nx if input.a.c", vec!["input.a.c", "input.b"]),
    ] {
        let set = set(&[("lib/a.rego", library), ("tools/s3.rego", &format!("package tools.s3\n{body}\n"))]);
        assert_eq!(reads(&set).input, paths, "{body}");
    }
}

#[test]
fn the_guard_and_the_packages_above_are_read_too() {
    let set = set(&[
        ("guard/a.rego", "package guard\ndeny contains \"x\" if input.g"),
        ("tools/s3.rego", "package tools.s3\ndeny contains \"x\" if input.s\nallow if input.not_asked"),
        ("tools/s3/get_object.rego", "package tools.s3.get_object\nallow if input.t"),
    ]);
    let of = |package: &str| set.reads().find(|reads| reads.package == package).unwrap().input;
    assert_eq!(of("tools.s3.get_object"), ["input.g", "input.s", "input.t"]);
    assert_eq!(of("tools.s3"), ["input.g", "input.not_asked", "input.s"]);
    let asked = json!({"t": true});
    assert!(permits(&set, &asked));
    assert!(!permits(&set, &json!({"t": true, "g": true})) && !permits(&set, &json!({"t": true, "s": true})));
}

#[test]
fn many_threads_get_the_same_answers() {
    let set = tool("allow if input.n % 2 == 0");
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for n in 0..400_u64 {
                    assert_eq!(permits(&set, &json!({"n": n % 50, "other": n})), n % 2 == 0);
                }
            });
        }
    });
}
