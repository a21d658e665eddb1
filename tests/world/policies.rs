//! The policies of the usual world.

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
