//! What `docs/policy.md` shows works: its examples load beside the starter's library, and its tests pass.

use policy::{Budget, PolicySet, SourceFile, tester};

use crate::{files, folder, source};

/// Each example starts with its path in a comment.
fn examples() -> Vec<SourceFile> {
    let text = std::fs::read_to_string(folder("../docs/policy.md")).unwrap();
    let blocks = text.split("```rego\n").skip(1).map(|block| block.split("```").next().unwrap());
    let examples =
        blocks.map(|block| source(block.lines().next().unwrap().strip_prefix("# ").unwrap(), block));
    let library = files(&folder("rego/starter")).into_iter().filter(|file| file.path == "lib/paths.rego");
    examples.chain(library).collect()
}

#[test]
fn the_examples_load_and_their_tests_pass() {
    let examples = examples();
    assert_eq!(examples.len(), 4);
    PolicySet::compile(&examples, Budget::default()).unwrap();
    let report = tester::run(&examples, None).unwrap();
    assert_eq!((report.passed(), report.failed()), (3, 0), "{report:#?}");
}

#[test]
fn every_refused_builtin_that_is_named_is_refused() {
    let text = std::fs::read_to_string(folder("../docs/policy.md")).unwrap();
    let section =
        text.split("## Built-in functions").nth(1).unwrap().split("is refused at load").next().unwrap();
    let names: Vec<&str> = section.split('`').skip(1).step_by(2).filter(|name| name.contains('.')).collect();
    assert!(names.len() > 8, "{names:?}");
    for name in names {
        let call = format!("package agents.a\nallow if {}(1)", name.replace('*', "x"));
        assert!(PolicySet::compile(&[source("agents/a.rego", &call)], Budget::default()).is_err(), "{name}");
    }
}
