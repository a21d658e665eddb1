//! A server under measurement: its trust domain, its process, and the call that it is asked for.

use crate::Echo;
use crate::world::World;
use kit::Service;
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// A server that runs.
pub(crate) struct Subject {
    /// The row's name.
    pub(crate) what: String,
    pub(crate) tool: &'static str,
    pub(crate) arguments: Value,
    pub(crate) world: World,
    process: Child,
}

impl Subject {
    /// Starts a program as the server `name`, with flags of its own behind those of every server. They may name files in the
    /// world's folder.
    pub(crate) async fn start(
        mut program: Command,
        name: &'static str,
        (tool, arguments): (&'static str, Value),
        own: impl FnOnce(&Path) -> Vec<String>,
    ) -> Self {
        // The world's own server stays without a caller: it is the world that is wanted.
        let mut world =
            World::of(name, &["protocol", tool], |_| Service::new("bench", Echo), |_, _| {}).await;
        let file = |name: &str| world.dir.path().join(name);
        let identity = file(name);
        program
            .args(["--end-with-stdin", "--listen", "127.0.0.1:0", "--connections-max", "2000"])
            .arg("--certificate")
            .arg(identity.join("cert.pem"))
            .arg("--private-key")
            .arg(identity.join("key.pem"))
            .arg("--trust-bundle")
            .arg(identity.join("bundle.pem"))
            .args(["--gateway", &format!("spiffe://{name}.test/gateway"), "--issuer", "https://issuer.test"])
            .args(["--audience", name, "--jwks"])
            .arg(file("jwks.json"))
            .arg("--audit-file")
            .arg(file("server-audit.jsonl"))
            .args(own(world.dir.path()));
        let mut process = piped(program);
        let line = line(&mut process);
        world.address = line.strip_prefix("listening on https://").unwrap().parse().unwrap();
        Self { what: format!("{name} {tool}"), tool, arguments, world, process }
    }

    /// The same under a name that says more.
    pub(crate) fn called(self, what: &str) -> Self {
        Self { what: what.to_owned(), ..self }
    }

    /// Seconds of CPU that the process has used. The kernel counts in hundredths.
    pub(crate) fn cpu(&self) -> f64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.process.id())).unwrap();
        let fields: Vec<_> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
        let ticks = |at: usize| fields[at].parse::<f64>().unwrap();
        (ticks(11) + ticks(12)) / 100.0
    }

    /// Its resident memory, in MiB.
    pub(crate) fn memory(&self) -> f64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1024.0
    }
}

/// Starts a process that ends when this one does, however that is.
pub(crate) fn piped(mut program: Command) -> Child {
    program.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap()
}

/// Its first line.
pub(crate) fn line(process: &mut Child) -> String {
    let mut line = String::new();
    BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
    line.trim().to_owned()
}
