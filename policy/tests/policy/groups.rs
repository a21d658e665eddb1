//! A set is asked in many small engines: they say what one engine with all of it says.

use std::time::{Duration, SystemTime};

use policy::{Budget, Decision, Entry, PolicySet, Question, SourceFile};
use serde_json::json;

use crate::source;

const LIBRARY: &str =
    "package lib.names\n\nimport data.lib.deep.tables\n\nlisted(name) if name in tables.known\n";
const TABLES: &str = "package lib.deep.tables\n\nknown contains name if some name in data.facts.names\n";

/// Tools that are told apart by what they read: of libraries, of data, of one another, of everything.
fn files(servers: usize, tools: usize) -> Vec<SourceFile> {
    let mut files = vec![
        source("data.json", r#"{"facts": {"names": ["alice", "bob"]}}"#),
        source("lib/names.rego", LIBRARY),
        source("lib/deep/tables.rego", TABLES),
        source(
            "guard/a.rego",
            "package guard\n\nimport data.lib.names\n\ndeny contains \"unknown\" if not names.listed(input.sub)\n",
        ),
        source("guard/b.rego", "package guard\n\ndeny contains \"closed\" if input.n == 13\n"),
    ];
    for server in 0..servers {
        let deny =
            format!("package tools.s{server}\n\ndeny contains \"odd\" if input.n % 2 == {}\n", server % 3);
        files.push(source(&format!("tools/s{server}.rego"), &deny));
        for tool in 0..tools {
            let body = match tool % 4 {
                0 => "allow if input.n > 3".to_owned(),
                1 => format!("allow if data.tools.s{server}.t0.allow"),
                // All packages below lib and below one server; the names are not literal.
                2 => format!(
                    "allow if {{ data.lib[_].tables.known[_] == input.sub; data.tools.s{server}[input.tool].allow }}"
                ),
                _ => "allow if not data.facts.names[input.n]".to_owned(),
            };
            let text = format!("package tools.s{server}.t{tool}\n\n{body}\n");
            files.push(source(&format!("tools/s{server}/t{tool}.rego"), &text));
        }
    }
    files
}

#[test]
fn what_small_engines_say_is_what_a_whole_one_says() {
    let set = PolicySet::compile(&files(4, 8), Budget { evaluation: Duration::from_secs(5) }).unwrap();
    let (mut permits, mut asked) = (0, 0);
    for (server, tool) in (0..4).flat_map(|server| (0..8).map(move |tool| (server, tool))) {
        for (n, sub) in [(0, "alice"), (1, "bob"), (4, "alice"), (5, "eve"), (7, "bob"), (13, "alice")] {
            let input = json!({"n": n, "sub": sub, "tool": "t0"});
            let (server, tool) = (format!("s{server}"), format!("t{tool}"));
            let question = Question {
                entry: Entry::Tool { server: &server, tool: &tool },
                input: &input,
                now: SystemTime::UNIX_EPOCH,
                permit_ttl_max: Duration::from_secs(1),
                ends: SystemTime::UNIX_EPOCH,
                epoch: 0,
            };
            let says = |query: String| set.eval(&query, &input).unwrap();
            let allow = says(format!("data.tools.{server}.{tool}.allow")) == Some(json!(true));
            let denies = [says(format!("data.tools.{server}.deny")), says("data.guard.deny".to_owned())];
            let want = allow && denies.iter().all(|deny| *deny == Some(json!([])));
            let got = matches!(set.decide(&question), Decision::Permit(_));
            assert_eq!(got, want, "{server}.{tool} {input}");
            permits += usize::from(got);
            asked += 1;
        }
    }
    assert!(permits > 20 && permits < asked - 20, "{permits} of {asked}");
}

#[test]
fn a_mistake_is_found_in_whichever_engine_it_stands() {
    let mut files = files(3, 20);
    for path in ["tools/s0/t7.rego", "tools/s2/t19.rego", "lib/unused.rego"] {
        files.retain(|file| file.path != path);
        let package = path.trim_end_matches(".rego").replace('/', ".");
        files.push(source(path, &format!("package {package}\n\nallow if x == 1\n")));
    }
    let problems = PolicySet::compile(&files, Budget::default()).map(|_| ()).unwrap_err();
    let paths: Vec<&str> = problems.iter().map(|problem| problem.path.as_str()).collect();
    assert_eq!(paths, ["lib/unused.rego", "tools/s0/t7.rego", "tools/s2/t19.rego"], "{problems:?}");
}
