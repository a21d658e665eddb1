//! The policies of the usual world.

use crate::components::{program, root};
use std::process::Command;

/// Runs the tests of the policy that an MCP server's README shows: its first two blocks of Rego, at a path below `tools` without
/// the ending. How many passed.
pub fn of_readme(server: &str, path: &str) -> usize {
    let page = std::fs::read_to_string(root().join(format!("mcp-servers/{server}/README.md"))).unwrap();
    let mut blocks = page.split("```rego\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    let folder = tempfile::tempdir().unwrap();
    for end in [".rego", "_test.rego"] {
        let file = folder.path().join(format!("tools/{path}{end}"));
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, blocks.next().unwrap()).unwrap();
    }
    let output =
        Command::new(program("sallyport")).args(["policy", "test"]).arg(folder.path()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}");
    said.matches("PASS").count()
}

/// The clerk may post entries up to 10.00 for a person; nobody may read the balance; anybody verified may hold a session.
pub fn ledger() -> Vec<(&'static str, String)> {
    vec![
        ("protocol.rego", protocol()),
        ("tools/ledger/post_entry.rego", post_entry("input.call.arguments.amount_cents <= 1000")),
    ]
}

/// The same, but nobody may hold a session.
pub fn without_protocol() -> Vec<(&'static str, String)> {
    ledger().into_iter().filter(|(name, _)| *name != "protocol.rego").collect()
}

/// The clerk and the auditor may do anything at the trainer for a person, but say "delete".
pub fn trainer() -> Vec<(&'static str, String)> {
    trainer_with("")
}

/// The same with something more.
pub fn trainer_with(more: &str) -> Vec<(&'static str, String)> {
    let text = format!(
        "package agents.trainer

visible := true

allow if input.caller.path[1] in {{\"clerk\", \"auditor\"}}

deny contains \"delete\" if {{
	some part in input.call.message.parts
	contains(part.text, \"delete\")
}}
{more}
"
    );
    vec![("protocol.rego", protocol()), ("agents/trainer.rego", text)]
}

/// One workload sees the trainer, and may talk to it, for a person; nobody else does.
pub fn trainer_for(workload: &str) -> Vec<(&'static str, String)> {
    let text = format!(
        "package agents.trainer\n\nvisible if {{\n\tinput.caller.path == [\"agent\", {workload:?}]\n\tinput.subject != null\n}}\n\nallow if visible\n"
    );
    vec![("protocol.rego", protocol()), ("agents/trainer.rego", text)]
}

/// What opens and keeps a session.
pub fn protocol() -> String {
    "package protocol\n\nallow if true\n".into()
}

/// The clerk may post entries for which a condition holds.
pub fn post_entry(condition: &str) -> String {
    format!(
        "package tools.ledger.post_entry

visible if input.caller.path == [\"agent\", \"clerk\"]

allow if {{
	input.caller.path == [\"agent\", \"clerk\"]
	{condition}
}}
"
    )
}

/// The usual policies, with another file for posting.
pub fn with_post_entry(text: &str) -> Vec<(&'static str, String)> {
    vec![("protocol.rego", protocol()), ("tools/ledger/post_entry.rego", text.to_owned())]
}
