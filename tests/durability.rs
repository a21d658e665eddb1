//! What is left of the records when the disk is full, and when the gateway is killed.

use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::{Arc, Mutex};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use world::components::program;
use world::process::Process;
use world::{Agent, Answer, World};

fn records(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap();
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

fn of_kind(path: &Path, kind: &str) -> Vec<Value> {
    records(path).into_iter().filter(|record| record["kind"] == kind).collect()
}

fn verify(path: &Path) -> Output {
    Command::new(program("sallyport")).args(["audit", "verify"]).arg(path).output().unwrap()
}

fn unbroken(path: &Path) {
    let output = verify(path);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

/// Fills the disk of a process, but for ten bytes: the next record gets in by half.
fn fill(process: &Process) {
    process.file_bytes_max(Some(std::fs::metadata(&process.audit).unwrap().len() + 10));
}

#[tokio::test]
async fn where_records_are_required_no_call_goes_on_without_one() {
    let world = World::start().await;
    let mut process = world.process("required", |config| config);
    let clerk = world.clerk().to(&process.url);
    assert_eq!(clerk.post_entry(1).await.result(), "posted");

    fill(&process);
    let reply = clerk.post_entry(2).await;
    assert_eq!((reply.status, reply.code()), (503, -32004));
    assert_eq!(reply.refused_because(), "audit_unavailable");
    assert_eq!(world.ledger.received().len(), 1, "not a byte of it went to the server");

    process.file_bytes_max(None);
    process.says("audit records are written again");
    assert_eq!(clerk.post_entry(3).await.result(), "posted");
    assert_eq!(world.ledger.received().len(), 2);
    let audit = process.audit.clone();
    assert!(process.terminate().0.success());
    unbroken(&audit);
    let requests = of_kind(&audit, "request");
    let kept: Vec<_> = requests.iter().map(|r| (&r["decision"], &r["status"], &r["reason"])).collect();
    let permit = json!("permit");
    let went = (&permit, &json!(200), &Value::Null);
    assert_eq!(kept, [went, (&permit, &json!(503), &json!("audit_unavailable")), went]);
}

#[tokio::test]
async fn where_records_are_best_effort_calls_go_on_and_records_come_later() {
    let world = World::start().await;
    let mut process = world.process("best_effort", |config| config);
    let clerk = world.clerk().to(&process.url);
    assert_eq!(clerk.post_entry(1).await.result(), "posted");

    fill(&process);
    assert_eq!(clerk.post_entry(2).await.result(), "posted");
    process.says("audit records can't be written");
    process.file_bytes_max(None);
    process.says("audit records are written again");
    let audit = process.audit.clone();
    assert!(process.terminate().0.success());
    unbroken(&audit);
    assert_eq!(of_kind(&audit, "request").len(), 2);
    assert_eq!(world.ledger.received().len(), 2);
}

#[tokio::test]
async fn records_that_are_lost_on_a_full_disk_are_counted_in_one() {
    let world = World::start().await;
    let mut process =
        world.process("best_effort", |c| c.replace("limits: {}", "limits: {audit_queue_max: 2}"));
    let clerk = world.clerk().to(&process.url);
    fill(&process);
    for n in 0..5 {
        assert_eq!(clerk.post_entry(n).await.result(), "posted");
    }
    process.says("audit records are lost");
    process.file_bytes_max(None);
    process.says("audit records are written again");
    let audit = process.audit.clone();
    assert!(process.terminate().0.success());
    unbroken(&audit);
    let lost: u64 = of_kind(&audit, "lost").iter().map(|r| r["count"].as_u64().unwrap()).sum();
    let kept = u64::try_from(of_kind(&audit, "request").len()).unwrap();
    assert!(lost > 0);
    assert_eq!(kept + lost, 5, "each one is there or counted");
}

/// What was going on when a gateway was killed: the arguments that the server saw, and those whose answer a caller had.
struct Killed {
    world: World,
    audit: std::path::PathBuf,
    said: String,
    seen: BTreeSet<String>,
    answered: BTreeSet<String>,
}

const CALLERS: usize = 16;

/// Kills a gateway, by SIGKILL, while 16 callers are calling and the server has answered 200 of them.
async fn killed_under_load(mode: &str) -> Killed {
    let world = World::start().await;
    let process = world.process(mode, |c| c.replace("limits: {}", "limits: {audit_queue_max: 64}"));
    let seen = Arc::new(Mutex::new(BTreeSet::new()));
    let (kept, (enough, mut is_enough)) = (Arc::clone(&seen), mpsc::channel(1));
    world.ledger.answers(move |received| {
        let request = received.json();
        let mut kept = kept.lock().unwrap();
        kept.insert(digest(&request["params"]["arguments"]));
        if kept.len() >= 200 {
            let _ = enough.try_send(());
        }
        Answer::Json(json!({"jsonrpc": "2.0", "id": request["id"], "result": {"content": []}}))
    });
    let mut callers = JoinSet::new();
    for caller in 0..CALLERS {
        callers.spawn(calls(world.clerk().to(&process.url), caller));
    }
    is_enough.recv().await.unwrap();
    let audit = process.audit.clone();
    let said = process.kill();
    let answered = callers.join_all().await.into_iter().flatten().collect();
    let seen = seen.lock().unwrap().clone();
    Killed { world, audit, said, seen, answered }
}

/// Calls, each with arguments of its own, until the gateway is gone; gives the digests of those that were answered.
async fn calls(agent: Agent, caller: usize) -> Vec<String> {
    let mut answered = Vec::new();
    for n in 0.. {
        let arguments = json!({"amount_cents": 1, "note": format!("{caller}/{n}")});
        let request = agent.rpc("tools/call", json!({"name": "post_entry", "arguments": arguments}));
        let Ok(response) = request.send().await else { break };
        if response.status() == 200 && response.text().await.is_ok_and(|text| text.contains("result")) {
            answered.push(digest(&arguments));
        }
    }
    answered
}

fn digest(arguments: &Value) -> String {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, arguments.to_string().as_bytes());
    format!("sha256:{}", gateway::audit::chain::hex(digest.as_ref()))
}

fn digests(path: &Path, kind: &str) -> BTreeSet<String> {
    of_kind(path, kind).iter().map(|record| record["arguments"].as_str().unwrap().to_owned()).collect()
}

/// Starts a gateway over the file again: the chain goes on.
async fn goes_on(killed: &Killed, mode: &str) {
    let before = records(&killed.audit).len();
    let process = killed.world.process(mode, |config| config);
    let clerk = killed.world.clerk().to(&process.url);
    assert_eq!(clerk.post_entry(5).await.status, 200);
    assert!(process.terminate().0.success());
    unbroken(&killed.audit);
    let kinds: Vec<_> = records(&killed.audit).split_off(before).iter().map(|r| r["kind"].clone()).collect();
    let kinds: Vec<_> =
        kinds.iter().map(|kind| kind.as_str().unwrap()).filter(|k| *k != "half_record").collect();
    let expected: &[&str] = match mode {
        "required" => &["started", "permit", "request", "stopped"],
        _ => &["started", "request", "stopped"],
    };
    assert_eq!(kinds, expected);
}

#[tokio::test]
async fn a_gateway_that_is_killed_leaves_a_permit_of_each_call_that_the_server_saw() {
    let killed = killed_under_load("required").await;
    let permits = digests(&killed.audit, "permit");
    assert!(killed.seen.len() >= 200 && !killed.answered.is_empty());
    let without: Vec<_> = killed.seen.difference(&permits).collect();
    assert!(without.is_empty(), "{} calls of {} without a permit", without.len(), killed.seen.len());
    eprintln!(
        "required, killed: the server saw {}, {} were answered; the file has {} permits and {} requests",
        killed.seen.len(),
        killed.answered.len(),
        permits.len(),
        of_kind(&killed.audit, "request").len()
    );
    goes_on(&killed, "required").await;
}

#[tokio::test]
async fn a_gateway_that_is_killed_loses_no_more_than_what_waited() {
    let killed = killed_under_load("best_effort").await;
    let kept = digests(&killed.audit, "request");
    let lost = killed.answered.difference(&kept).count();
    assert!(killed.answered.len() > 64, "else the bound says nothing");
    assert!(lost <= 64, "{lost} of {} answered calls left no record", killed.answered.len());
    assert!(!killed.said.contains("audit records are lost"));
    eprintln!(
        "best effort, killed: {} were answered, {lost} of them left no record; the file has {}",
        killed.answered.len(),
        kept.len()
    );
    goes_on(&killed, "best_effort").await;
}

#[tokio::test]
async fn a_gateway_that_gets_sigterm_lets_a_stream_end_and_keeps_its_record() {
    let world = World::start().await;
    let process = world.process("best_effort", |config| config);
    let events = world.ledger.streams();
    let clerk = world.clerk().to(&process.url);
    let call = clerk.rpc("tools/call", json!({"name": "post_entry", "arguments": {"amount_cents": 1}}));
    let mut open = call.send().await.unwrap();
    let (audit, address) = (process.audit.clone(), process.url.replace("https://", ""));
    let stopping = tokio::task::spawn_blocking(move || process.terminate());
    while tokio::net::TcpStream::connect(&address).await.is_ok() {
        tokio::task::yield_now().await; // Until it takes nobody any more.
    }
    events.send(Ok("data: {}\n\n")).await.unwrap();
    assert_eq!(open.chunk().await.unwrap().unwrap(), "data: {}\n\n");
    drop(events);
    assert_eq!(open.chunk().await.unwrap().unwrap_or_default(), "", "a whole stream");
    assert!(stopping.await.unwrap().0.success());
    unbroken(&audit);
    let outcomes: Vec<_> =
        of_kind(&audit, "request").iter().map(|record| record["outcome"].clone()).collect();
    assert_eq!(outcomes, ["complete"]);
}
