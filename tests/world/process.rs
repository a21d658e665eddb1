//! The gateway of a world once more, as a process of its own: one that can be killed, and whose disk can be full.

use crate::World;
use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, kill_process, prlimit};
use serde_json::Value;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};

pub struct Process {
    child: Child,
    pub url: String,
    pub audit: PathBuf,
    /// What it says, line by line; closed when it has ended.
    lines: Receiver<String>,
    said: Vec<String>,
}

impl World {
    /// Starts it with the world's configuration, changed, on another port and another audit file.
    pub fn process(&self, mode: &str, change: impl FnOnce(String) -> String) -> Process {
        let audit = self.path("process-audit.jsonl");
        let usual = std::fs::read_to_string(self.path("sallyport.yaml")).unwrap();
        let own = usual
            .replace("file: audit.jsonl", "file: process-audit.jsonl")
            .replace("mode: best_effort", &format!("mode: {mode}"));
        let config = self.path("process.yaml");
        std::fs::write(&config, change(own)).unwrap();
        Process::start(&config, audit)
    }
}

impl Process {
    fn start(config: &Path, audit: PathBuf) -> Self {
        // Without the trap a write over the limit of file sizes would end the process, not fail.
        let mut child = Command::new("sh")
            .args(["-c", "trap '' XFSZ; exec \"$0\" run --config \"$1\""])
            .arg(crate::components::program("sallyport"))
            .arg(config)
            .env("SALLYPORT_LOG", "debug")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut first = String::new();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        out.read_line(&mut first).unwrap();
        let (say, lines) = channel();
        let mut err = BufReader::new(child.stderr.take().unwrap());
        let Some(url) = first.trim().strip_prefix("listening on ") else {
            let mut why = String::new();
            err.read_to_string(&mut why).unwrap();
            panic!("it did not start: {first}{why}");
        };
        let also = say.clone();
        std::thread::spawn(move || out.lines().map_while(Result::ok).try_for_each(|line| also.send(line)));
        std::thread::spawn(move || err.lines().map_while(Result::ok).try_for_each(|line| say.send(line)));
        Self { url: url.to_owned(), child, audit, lines, said: Vec::new() }
    }

    /// Waits until it says something.
    pub fn says(&mut self, words: &str) {
        while !self.said.iter().any(|line| line.contains(words)) {
            let line =
                self.lines.recv().unwrap_or_else(|_| panic!("it never said {words:?}: {:#?}", self.said));
            self.said.push(line);
        }
    }

    /// Whether it has said something.
    pub fn has_said(&mut self, words: &str) -> bool {
        self.said.extend(self.lines.try_iter());
        self.said.iter().any(|line| line.contains(words))
    }

    /// From now on its files can be so long and no longer; None takes that back.
    pub fn file_bytes_max(&self, most: Option<u64>) {
        let usual = getrlimit(Resource::Fsize);
        let limit = Rlimit { current: most.or(usual.current), maximum: usual.maximum };
        prlimit(Some(self.id()), Resource::Fsize, limit).unwrap();
    }

    /// SIGKILL.
    pub fn kill(mut self) -> String {
        kill_process(self.id(), Signal::KILL).unwrap();
        self.ended().1
    }

    /// SIGTERM; gives how it ended and all that it has said.
    pub fn terminate(mut self) -> (ExitStatus, String) {
        kill_process(self.id(), Signal::TERM).unwrap();
        self.ended()
    }

    /// SIGTERM; gives its records of requests, and its file of them is gone: the next gateway's begins anew.
    pub fn requests(self) -> Vec<Value> {
        let audit = self.audit.clone();
        let (status, said) = self.terminate();
        assert!(status.success(), "{said}");
        let text = std::fs::read_to_string(&audit).unwrap();
        std::fs::remove_file(&audit).unwrap();
        let all = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        all.filter(|record| record["kind"] == "request").collect()
    }

    fn ended(&mut self) -> (ExitStatus, String) {
        let status = self.child.wait().unwrap();
        self.said.extend(self.lines.iter());
        (status, self.said.join("\n"))
    }

    fn id(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}
