//! The sink over a medium that fails when it is told to.
#![allow(clippy::unwrap_used, reason = "a test ends by panicking")]

use super::super::verify::{Expect, Report, verify};
use super::*;
use std::io::{Error, Result};
use std::sync::mpsc::{Receiver, channel};
use std::time::UNIX_EPOCH;

/// What a test sees of the medium, and how it makes it fail.
#[derive(Clone, Default)]
struct Disk(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    bytes: Vec<u8>,
    /// How many bytes still fit.
    room: Option<usize>,
    sync_fails: bool,
    syncs: usize,
    /// A write waits until something comes.
    gate: Option<Receiver<()>>,
}

impl Disk {
    fn with<T>(&self, look: impl FnOnce(&mut State) -> T) -> T {
        look(&mut self.0.lock().unwrap())
    }

    /// The next writes wait until this is told to go on, or is dropped.
    fn held(&self) -> std::sync::mpsc::Sender<()> {
        let (open, gate) = channel();
        self.with(|state| state.gate = Some(gate));
        open
    }

    fn report(&self) -> Report {
        verify(self.with(|s| s.bytes.clone()).as_slice(), Expect::default(), 1 << 20, |_| {}).unwrap()
    }

    fn text(&self) -> String {
        String::from_utf8(self.with(|s| s.bytes.clone())).unwrap()
    }
}

impl Medium for Disk {
    fn append(&mut self, bytes: &[u8]) -> Result<()> {
        if let Some(gate) = self.with(|s| s.gate.take()) {
            let _ = gate.recv();
        }
        self.with(|state| {
            let fits = state.room.unwrap_or(usize::MAX).min(bytes.len());
            state.bytes.extend_from_slice(&bytes[..fits]);
            if fits < bytes.len() { Err(Error::other("no room")) } else { Ok(()) }
        })
    }

    fn sync(&mut self) -> Result<()> {
        self.with(|state| {
            state.syncs += 1;
            if state.sync_fails { Err(Error::other("no sync")) } else { Ok(()) }
        })
    }

    fn cut(&mut self, length: u64) -> Result<()> {
        self.with(|state| state.bytes.truncate(usize::try_from(length).unwrap()));
        Ok(())
    }
}

fn line(kind: &'static str) -> Line {
    Facts::default().line(kind, UNIX_EPOCH)
}

fn sink(disk: &Disk, most: usize, durable: bool) -> Sink {
    let trail = Trail::new(disk.clone(), 0, durable);
    let most = Room { records: most, bytes: 64 << 10 };
    Sink::start(trail, Tip::default(), most, !durable, Clock::system()).unwrap()
}

#[test]
fn a_permit_is_durable_once_it_says_so() {
    let disk = Disk::default();
    let sink = sink(&disk, 8, true);
    sink.append(line("started"), false);
    let (seq, stored) = sink.permit(line("permit")).unwrap();
    assert_eq!((seq, stored.blocking_recv()), (1, Ok(true)));
    assert!(disk.text().contains("\"kind\":\"permit\""));
    assert!(disk.with(|s| s.syncs) > 0);
    assert_eq!(disk.report().damage, []);
}

#[test]
fn many_permits_share_a_sync() {
    let disk = Disk::default();
    let go_on = disk.held();
    let sink = sink(&disk, 1000, true);
    let first = sink.permit(line("permit")).unwrap().1;
    let others: Vec<_> = (0..500).map(|_| sink.permit(line("permit")).unwrap().1).collect();
    go_on.send(()).unwrap();
    assert_eq!(first.blocking_recv(), Ok(true));
    assert!(others.into_iter().all(|stored| stored.blocking_recv() == Ok(true)));
    let syncs = disk.with(|s| s.syncs); // The first batch had any number of them, a second one the rest.
    assert!(syncs <= 2, "{syncs}");
    assert_eq!(disk.report().records, 501);
}

#[test]
fn what_could_not_be_written_is_written_later_and_the_chain_is_whole() {
    for durable in [true, false] {
        let disk = Disk::default();
        let sink = sink(&disk, 100, durable);
        sink.append(line("a"), false);
        sink.flush();
        disk.with(|s| s.room = Some(50)); // Half a line gets in.
        sink.append(line("b"), false);
        sink.flush();
        assert!(!sink.working());
        assert_eq!(sink.permit(line("permit")).unwrap_err(), AuditError::Failing);
        sink.append(line("c"), false);
        disk.with(|s| s.room = None);
        sink.flush();
        assert!(sink.working());
        assert_eq!((disk.report().records, disk.report().damage), (3, vec![]));
        assert_eq!((sink.waiting(), sink.lost()), (0, 0));
    }
}

#[test]
fn what_was_written_and_not_synced_is_written_again() {
    let disk = Disk::default();
    disk.with(|s| s.sync_fails = true);
    let sink = sink(&disk, 100, true);
    let (_, stored) = sink.permit(line("permit")).unwrap();
    assert_eq!(stored.blocking_recv(), Ok(false), "whoever waits hears of it");
    disk.with(|s| s.sync_fails = false);
    sink.flush();
    assert_eq!((disk.report().records, disk.report().damage), (1, vec![]));
}

#[test]
fn records_that_find_no_place_are_counted_and_named() {
    let disk = Disk::default();
    let sink = sink(&disk, 2, false);
    disk.with(|s| s.room = Some(0));
    for _ in 0..5 {
        sink.append(line("a"), false);
    }
    sink.append(line("promised"), true);
    assert_eq!((sink.lost(), sink.full()), (3, true));
    disk.with(|s| s.room = None);
    drop(sink);
    let text = disk.text();
    let kinds: Vec<&str> = text.lines().map(|l| l.split("\"kind\":\"").nth(1).unwrap()).collect();
    assert_eq!(kinds.len(), 4);
    assert!(kinds[2].starts_with("promised") && kinds[3].starts_with("lost"), "{text}");
    assert!(text.lines().last().unwrap().starts_with("{\"count\":3,"));
    assert_eq!(disk.report().damage, []);
}

#[test]
fn a_permit_for_which_there_is_no_place_is_not_taken() {
    let disk = Disk::default();
    let go_on = disk.held();
    let sink = sink(&disk, 2, true);
    let first = sink.permit(line("permit")).unwrap();
    let second = sink.permit(line("permit")).unwrap();
    assert_eq!(sink.permit(line("permit")).unwrap_err(), AuditError::Full);
    go_on.send(()).unwrap();
    assert_eq!((first.1.blocking_recv(), second.1.blocking_recv()), (Ok(true), Ok(true)));
    assert_eq!(sink.lost(), 0, "its caller was refused, and that is a record of its own");
}

#[test]
fn a_sink_that_ends_while_nothing_can_be_written_leaves_no_half_line() {
    let disk = Disk::default();
    let sink = sink(&disk, 8, false);
    sink.append(line("a"), false);
    sink.flush();
    disk.with(|s| s.room = Some(9));
    sink.append(line("b"), false);
    drop(sink);
    assert_eq!((disk.report().records, disk.report().damage), (1, vec![]));
}
