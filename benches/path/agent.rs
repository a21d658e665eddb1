//! `SendMessage` to an A2A agent: the gateway, whose store makes each new task its caller's before the answer goes on, beside
//! stock Pingora's proxying of the same bytes. As fast as it goes, and at a pace that leaves the machine time.

use crate::load::{Call, Load};
use crate::message::{BODY_BYTES, Message};
use crate::middle::{self, Process};
use crate::prepare::Bench;
use crate::report::{self, Row};
use crate::{Effort, measure, shuffle};
use serde_json::{Map, Value};
use std::net::SocketAddr;
use std::time::Duration;

const CONNECTIONS: usize = 16;
/// At a pace, each connection makes a call so often: 800 calls a second in all.
const EVERY: Duration = Duration::from_millis(20);

/// As fast as it goes, and at a pace: the yardstick of each.
const STOCK: &str = "a2a_stock";
const PACED_STOCK: &str = "a2a_paced_stock";

/// Name, what it is, load, whose CPU time.
type Plan<'p> = (&'static str, &'static str, Load, Option<&'p Process>);

/// Whether that is the name of a row here.
pub(crate) fn has(row: &str) -> bool {
    row.starts_with("a2a_") && !row.starts_with("a2a_streams")
}

/// The chosen rows once a round, each round in another order.
pub(crate) fn rows(
    bench: &Bench,
    effort: Effort,
    chosen: impl Fn(&'static str) -> bool,
    figures: &mut Map<String, Value>,
) {
    let (gateway, at) = middle::gateway(&bench.world, "agent.yaml");
    let (reader, reader_at) = middle::gateway(&bench.world, "reader.yaml");
    let (stock, stock_at) = middle::stock(&bench.world, &bench.doors);
    let (mutual, mutual_at) = middle::stock_mutual(&bench.world, bench.agent());
    let load = |address, workload, message| bench.messages(address, workload, message, effort);
    let all: [Plan<'_>; 7] = [
        (
            "a2a_direct",
            "no gateway: mutual TLS to the agent",
            load(bench.agent(), "agent/trainer", Message::Task),
            None,
        ),
        (
            STOCK,
            "Pingora's own proxying, no decision",
            load(stock_at, "gateway", Message::Task),
            Some(&stock),
        ),
        (
            "a2a_stock_mutual",
            "the same with mutual TLS to the agent, too",
            load(mutual_at, "gateway", Message::Task),
            Some(&mutual),
        ),
        (
            "a2a_send",
            "JSON-RPC; a new task with each call",
            load(at, "gateway", Message::Task),
            Some(&gateway),
        ),
        (
            "a2a_send_rest",
            "HTTP+JSON; a new task with each call",
            load(at, "gateway", Message::TaskOverRest),
            Some(&gateway),
        ),
        (
            "a2a_send_word",
            "JSON-RPC; the answer is a message, in a new context",
            load(at, "gateway", Message::Word),
            Some(&gateway),
        ),
        (
            "a2a_send_read",
            "a2a_send, and a policy that reads the text: no decision twice",
            load(reader_at, "gateway", Message::Task),
            Some(&reader),
        ),
    ];
    let paced = |name, what, row: usize| {
        let (_, _, load, middle) = &all[row];
        (name, what, Load { every: EVERY, ..load.clone() }, *middle)
    };
    let at_a_pace = [
        paced(PACED_STOCK, "a call every 20 ms on each connection", 1),
        paced("a2a_paced_stock_mutual", "a2a_stock_mutual at that pace", 2),
        paced("a2a_paced", "a2a_send at that pace", 3),
        paced("a2a_paced_read", "a2a_send_read at that pace", 6),
    ];
    println!("\n{CONNECTIONS} connections, each for another person, SendMessage of {BODY_BYTES} bytes");
    for (mut plans, yardstick) in [(all.to_vec(), STOCK), (at_a_pace.to_vec(), PACED_STOCK)] {
        plans.retain(|(name, ..)| chosen(name));
        if !plans.is_empty() {
            table(bench, &plans, yardstick, effort, figures);
        }
    }
}

fn table(
    bench: &Bench,
    plans: &[Plan<'_>],
    yardstick: &str,
    effort: Effort,
    figures: &mut Map<String, Value>,
) {
    let mut rows: Vec<Row> =
        plans.iter().map(|(name, what, ..)| Row { name, what, rounds: Vec::new() }).collect();
    let mut order: Vec<usize> = (0..plans.len()).collect();
    for _ in 0..effort.rounds {
        shuffle(&mut order);
        for &at in &order {
            let (_, _, load, middle) = &plans[at];
            let load = Load { bearers: bench.people(), ..load.clone() };
            rows[at].rounds.push(measure(&load, *middle));
        }
    }
    report::rows(&rows, yardstick, figures);
}

impl Bench {
    /// The agent itself.
    pub(crate) fn agent(&self) -> SocketAddr {
        self.doors.mutual[2]
    }

    /// Tokens of now for as many people as there are connections.
    pub(crate) fn people(&self) -> Vec<String> {
        let token = |n| self.world.token_with("agent/clerk", |claims| claims.subject = PEOPLE[n]);
        (0..CONNECTIONS).map(token).collect()
    }

    fn messages(&self, address: SocketAddr, workload: &str, message: Message, effort: Effort) -> Load {
        Load {
            address,
            svid: self.world.path(if workload == "gateway" { "agent-clerk" } else { "gateway" }),
            server: self.world.id(workload).to_string(),
            http2: false,
            bearers: Vec::new(),
            call: Call::Agent(message),
            every: Duration::ZERO,
            connections: CONNECTIONS,
            calls_before: 50,
            time: effort.time,
        }
    }
}

/// On whose behalf.
const PEOPLE: [&str; CONNECTIONS] = [
    "alice", "bob", "carol", "dave", "erin", "frank", "grace", "heidi", "ivan", "judy", "mallory", "niaj",
    "olivia", "peggy", "rupert", "sybil",
];
