//! The world that the benchmark's processes live in: the trust domain and token service of the stories, the upstream as a
//! process of its own, and configurations for gateways that are processes, too.

use crate::message::PATH;
use crate::middle::Role;
use crate::upstream::{Doors, Upstream};
use std::path::Path;
use world::{DOMAIN, Plan, World, policies};

/// The starter policy, as `sallyport up` writes it.
const STARTER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../policy/rego/starter");

/// A policy that does not come to an end.
const SPIN: &str = "package tools.ledger.spin

allow if {
	some a in numbers.range(1, 5000)
	some b in numbers.range(1, 5000)
	a * b == -1
}
";

/// The clerk may ask the agent.
const TRAINER: &str = "package agents.trainer

visible := true

allow if input.caller.path == [\"agent\", \"clerk\"]
";

/// And what it asks is read.
const READER: &str = "
deny contains \"no_deleting\" if {
	some part in input.call.message.parts
	contains(lower(part.text), \"delete\")
}
";

/// More than come about.
const TASKS_MAX: usize = 1_000_000;

/// All that every measurement needs.
pub(crate) struct Bench {
    pub(crate) world: World,
    pub(crate) doors: Doors,
    _upstream: Role,
}

impl Bench {
    pub(crate) async fn prepare() -> Self {
        let world = World::with(Plan { trainer: Some("push: off"), ..Plan::default() }).await;
        for path in ["agent/clerk", "agent/demo", "mcp/s3"] {
            let folder = world.path(&path.replace('/', "-"));
            world.domain.write_svid(&folder, &world.id(path), &["127.0.0.1"], world.clock.now()).unwrap();
        }
        let svids = ["mcp-ledger", "mcp-s3", "agent-trainer"].map(|folder| world.path(folder)).to_vec();
        let mut upstream =
            Role::start("upstream", &Upstream { svids, caller: world.id("gateway").to_string() });
        let doors: Doors = serde_json::from_str(&upstream.line()).unwrap();
        write_policies(&world.path("bench-policies"), TRAINER);
        write_policies(&world.path("reader-policies"), &[TRAINER, READER].concat());
        for name in ["rows", "agent", "reader", "streams", "idle", "handshakes", "stages"] {
            std::fs::write(world.path(&format!("{name}.yaml")), config(&world, &doors, name)).unwrap();
        }
        Self { world, doors, _upstream: upstream }
    }
}

/// The world's configuration with the upstream's process for both servers, and files of its own.
fn config(world: &World, doors: &Doors, name: &str) -> String {
    let text = std::fs::read_to_string(world.path("sallyport.yaml")).unwrap();
    let url = |at| format!("https://{at}/mcp");
    let (ledger, s3) = (url(doors.mutual[0]), url(doors.mutual[1]));
    let s3 = format!("  s3: {{url: \"{s3}\", spiffe_id: \"spiffe://{DOMAIN}/mcp/s3\"}}\n");
    let folder = if name == "reader" { "reader-policies" } else { "bench-policies" };
    let (trainer, grpc) = (doors.mutual[2], text.find(", grpc: ").unwrap());
    let grpc = &text[grpc..grpc + text[grpc..].find('}').unwrap()]; // It is not measured.
    text.replace("audit.jsonl", &format!("{name}-audit.jsonl"))
        .replace(grpc, "")
        .replace(&url(world.ledger.address), &ledger)
        .replace(&format!("https://{}/a2a", world.trainer.address), &format!("https://{trainer}{PATH}"))
        .replace(&format!("https://{}/rest", world.trainer.address), &format!("https://{trainer}{PATH}"))
        .replace("tasks: {}", &format!("tasks: {{sqlite: {name}-tasks.sqlite}}"))
        .replace("limits: {}", &format!("limits: {{tasks_per_owner_max: {TASKS_MAX}}}"))
        .replace("agents: \n", &format!("{s3}agents: \n"))
        .replace("policy: {dir: policies}", &format!("policy: {{dir: {folder}}}"))
}

/// The starter policy, and beside it the ledger's and the agent's.
fn write_policies(folder: &Path, trainer: &str) {
    copy_rego(Path::new(STARTER), folder);
    let ledger = folder.join("tools/ledger");
    std::fs::create_dir_all(&ledger).unwrap();
    std::fs::write(ledger.join("post_entry.rego"), policies::post_entry("true")).unwrap();
    std::fs::write(ledger.join("spin.rego"), SPIN).unwrap();
    std::fs::write(folder.join("agents/trainer.rego"), trainer).unwrap();
}

fn copy_rego(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        let (path, target) = (entry.path(), to.join(entry.file_name()));
        if path.is_dir() {
            copy_rego(&path, &target);
        } else if !path.to_string_lossy().ends_with("_test.rego") {
            std::fs::copy(&path, target).unwrap();
        }
    }
}
