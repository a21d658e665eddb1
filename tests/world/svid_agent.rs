//! Agents of the SPIFFE Workload API of every make, for one suite of stories (`svids.rs`): a new one is one implementation of
//! [`SvidAgent`].

use crate::workload_api::WorkloadApi;
use crate::{DOMAIN, World};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

/// An agent that gives SVIDs of the world's authority to programs.
pub trait SvidAgent: Sized {
    /// How long an X.509-SVID of it lives.
    const TTL: Duration;

    /// Starts it, with the programs that it knows by the path of their SPIFFE IDs; none if it is not installed, and that has
    /// been said.
    fn start(world: &World, workloads: &[(&str, PathBuf)]) -> Option<Self>;

    /// What a configuration says.
    fn endpoint(&self) -> String;

    /// It ends without a word.
    fn goes(&mut self) -> impl Future<Output = ()>;

    /// It is there again.
    fn comes(&mut self);

    /// A workload is nobody from now on.
    fn forgets(&mut self, path: &str);

    /// It is somebody again.
    fn knows(&mut self, path: &str);
}

/// The development trust domain's.
pub struct Embedded {
    api: WorkloadApi,
    workloads: BTreeMap<String, PathBuf>,
}

impl Embedded {
    fn list(&self, without: Option<&str>) -> String {
        list(self.workloads.iter().filter(|(path, _)| Some(path.as_str()) != without))
    }
}

fn list<'w>(workloads: impl Iterator<Item = (&'w String, &'w PathBuf)>) -> String {
    let line = |(path, program): (&String, &PathBuf)| {
        let program = program.display();
        format!("- {{spiffe_id: spiffe://{DOMAIN}/{path}, path: {program}, hosts: [localhost]}}\n")
    };
    let lines: String = workloads.map(line).collect();
    if lines.is_empty() { "[]".into() } else { lines }
}

impl SvidAgent for Embedded {
    const TTL: Duration = Duration::from_secs(8); // The last half of it has to outlast an agent that is away.

    fn start(world: &World, workloads: &[(&str, PathBuf)]) -> Option<Self> {
        let workloads: BTreeMap<_, _> =
            workloads.iter().map(|(path, program)| ((*path).to_owned(), program.clone())).collect();
        let api = WorkloadApi::with(&world.path(""), &world.clock, Self::TTL, &list(workloads.iter()));
        Some(Self { api, workloads })
    }

    fn endpoint(&self) -> String {
        format!("unix:{}", self.api.socket().display())
    }

    async fn goes(&mut self) {
        self.api.goes().await;
    }

    fn comes(&mut self) {
        self.api.comes();
    }

    fn forgets(&mut self, path: &str) {
        self.api.knows(&self.list(Some(path)));
    }

    fn knows(&mut self, _: &str) {
        self.api.knows(&self.list(None));
    }
}
