//! Many event streams at a time: an agent's events through the gateway, beside stock Pingora's proxying and no gateway at all.
//! Every event says its place in the stream and when it was sent, on the clock that all processes of a machine share.

use crate::load::{connected, tls};
use crate::message::{self, DIGITS, MARK, Message};
use crate::middle::{Process, Role};
use crate::prepare::Bench;
use crate::report::{median, note};
use crate::{Effort, middle, shuffle};
use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Frame, Incoming};
use hyper::client::conn::http1;
use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio_rustls::TlsConnector;

const STREAMS: usize = 1_000;
/// Between two events of a stream.
const EVERY: Duration = Duration::from_millis(100);
/// Handshakes at once.
const HANDSHAKES: usize = 32;
/// How long after the measured time an event may arrive at the latest.
const LATE_MAX: Duration = Duration::from_secs(10);

/// Nanoseconds on the machine's clock.
fn now() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    u64::try_from(now.tv_sec).unwrap() * 1_000_000_000 + u64::try_from(now.tv_nsec).unwrap()
}

/// The agent's side of a stream.
pub(crate) struct Emission {
    first: Option<Bytes>,
    each: String,
    ticks: tokio::time::Interval,
    sent: u64,
}

impl Emission {
    pub(crate) fn new(first: &str, each: String) -> Self {
        let first = Some(Bytes::from(format!("data: {first}\n\n")));
        let ticks = tokio::time::interval_at(tokio::time::Instant::now() + EVERY, EVERY);
        Self { first, each, ticks, sent: 0 }
    }
}

impl Body for Emission {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if let Some(first) = self.first.take() {
            return Poll::Ready(Some(Ok(Frame::data(first))));
        }
        ready!(self.ticks.poll_tick(cx));
        let event = message::event(&self.each, self.sent, now());
        self.sent += 1;
        Poll::Ready(Some(Ok(Frame::data(event.into()))))
    }
}

/// What the process that reads is told.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Listening {
    address: SocketAddr,
    svid: PathBuf,
    server: String,
    bearers: Vec<String>,
    time: Duration,
}

/// What it says at its end.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
struct Heard {
    /// Those sent in the measured time.
    events: u64,
    /// Events that came behind a later one, or twice.
    disordered: u64,
    /// Events that never came, and streams that ended.
    missing: u64,
    p50_us: f64,
    p99_us: f64,
    max_us: f64,
}

/// When events that count are sent: from, until.
#[derive(Default)]
struct Window(AtomicU64, AtomicU64);

/// The process that reads, on one thread: it should take as little as it can.
pub(crate) async fn listen(listening: Listening) {
    let tls = tls(&listening.svid, &listening.server, b"http/1.1");
    let (listening, window) = (Arc::new(listening), Arc::new(Window::default()));
    let mut open = Vec::new();
    while open.len() < STREAMS {
        let some = HANDSHAKES.min(STREAMS - open.len());
        let opening: Vec<_> = (open.len()..open.len() + some)
            .map(|n| tokio::spawn(Listener::open(n, tls.clone(), Arc::clone(&listening))))
            .collect();
        for listener in opening {
            let listener: Listener = listener.await.unwrap();
            open.push(tokio::spawn(listener.listen(Arc::clone(&window))));
        }
    }
    println!("ready");
    tokio::task::spawn_blocking(|| std::io::stdin().read_line(&mut String::new()).unwrap()).await.unwrap();
    let (from, time) = (now(), u64::try_from(listening.time.as_nanos()).unwrap());
    window.1.store(from + time, Ordering::Relaxed);
    window.0.store(from, Ordering::Relaxed);
    let (mut heard, mut late) = (Heard::default(), Vec::new());
    let deadline = tokio::time::Instant::now() + listening.time + LATE_MAX;
    for listener in open {
        match tokio::time::timeout_at(deadline, listener).await {
            Ok(listener) => {
                let listener = listener.unwrap();
                heard.disordered += listener.disordered;
                heard.missing += listener.missing;
                late.extend(listener.late);
            }
            Err(_) => heard.missing += 1,
        }
    }
    late.sort_unstable();
    let at = |share: usize| f64::from(late[(late.len() * share / 100).min(late.len() - 1)]);
    (heard.events, heard.p50_us, heard.p99_us, heard.max_us) =
        (u64::try_from(late.len()).unwrap(), at(50), at(99), at(100));
    println!("{}", serde_json::to_string(&heard).unwrap());
}

/// One stream.
struct Listener {
    body: Incoming,
    /// It has to be kept.
    _sender: http1::SendRequest<Full<Bytes>>,
    /// What may be the beginning of an event.
    held: Vec<u8>,
    /// The number that the next event should have.
    next: u64,
    disordered: u64,
    missing: u64,
    /// Microseconds that each event took.
    late: Vec<u32>,
}

impl Listener {
    async fn open(n: usize, tls: TlsConnector, listening: Arc<Listening>) -> Self {
        let io = connected(&tls, listening.address).await;
        let (mut sender, connection) = http1::handshake(io).await.unwrap();
        tokio::spawn(connection);
        let request = Request::post(Message::Stream.path())
            .header("host", "bench")
            .header("authorization", format!("Bearer {}", listening.bearers[n % listening.bearers.len()]))
            .header("content-type", "application/json")
            .header("accept", "text/event-stream")
            .header("a2a-version", "1.0")
            .body(Full::new(Message::Stream.body(u64::try_from(n).unwrap()).into()))
            .unwrap();
        let response = sender.send_request(request).await.unwrap();
        assert_eq!(response.status(), 200, "{response:?}");
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        let mut listener = Self {
            body: response.into_body(),
            _sender: sender,
            held: Vec::new(),
            next: 0,
            disordered: 0,
            missing: 0,
            late: Vec::new(),
        };
        assert!(listener.more().await, "no first event");
        assert!(listener.held.starts_with(b"data: "), "{:?}", String::from_utf8_lossy(&listener.held));
        listener
    }

    /// Waits for more. False: the stream has ended.
    async fn more(&mut self) -> bool {
        let Some(Ok(frame)) = self.body.frame().await else { return false };
        self.held.extend_from_slice(frame.data_ref().map_or(&[][..], |data| data));
        true
    }

    /// Reads until an event comes that was sent behind the window: then all of those within it have come.
    async fn listen(mut self, window: Arc<Window>) -> Self {
        loop {
            let (from, until) = (window.0.load(Ordering::Relaxed), window.1.load(Ordering::Relaxed));
            let here = now();
            while let Some((number, sent)) = self.event() {
                self.missing += number.saturating_sub(self.next);
                self.disordered += u64::from(number < self.next);
                self.next = self.next.max(number + 1);
                if from > 0 && sent >= until {
                    return self;
                }
                if from > 0 && sent >= from {
                    self.late.push(u32::try_from((here - sent) / 1000).unwrap_or(u32::MAX));
                }
            }
            if !self.more().await {
                self.missing += 1;
                return self;
            }
        }
    }

    /// The next event's number and time, if it is here.
    fn event(&mut self) -> Option<(u64, u64)> {
        let digits = self.held.iter().position(|byte| *byte == MARK)? + 1;
        let both = std::str::from_utf8(self.held.get(digits..digits + 2 * DIGITS)?).unwrap();
        let (number, sent) = both.split_at(DIGITS);
        let both = (number.parse().unwrap(), sent.parse().unwrap());
        self.held.drain(..digits + 2 * DIGITS);
        Some(both)
    }
}

/// One round.
#[derive(Clone, Copy)]
struct Round {
    heard: Heard,
    /// CPU of the middle, in microseconds for each event.
    cpu_us: Option<f64>,
    /// What its memory grew by, in KiB for each stream.
    kib: Option<f64>,
}

/// Latency of events through each middle, in random order; medians of rounds, and all that was amiss in any of them.
pub(crate) fn measure(bench: &Bench, effort: Effort, figures: &mut Map<String, Value>) {
    let (gateway, gateway_at) = middle::gateway(&bench.world, "streams.yaml");
    let (stock, stock_at) = middle::stock(&bench.world, &bench.doors);
    let middles = [
        ("a2a_streams_direct", bench.agent(), "agent/trainer", None),
        ("a2a_streams_stock", stock_at, "gateway", Some(&stock)),
        ("a2a_streams", gateway_at, "gateway", Some(&gateway)),
    ];
    let mut rounds: [Vec<Round>; 3] = Default::default();
    let mut order = [0, 1, 2];
    for _ in 0..effort.rounds {
        shuffle(&mut order);
        for &at in &order {
            let (_, address, workload, middle) = middles[at];
            rounds[at].push(round(bench, effort, address, workload, middle));
        }
    }
    let a_second = 1.0 / EVERY.as_secs_f64();
    println!(
        "\n{STREAMS} streams of {a_second} events a second\n{:<20} {:>9} {:>9} {:>5} {:>9} {:>9} {:>9} {:>9} {:>6} {:>6}",
        "row", "events/s", "p50 µs", "±%", "p99 µs", "±%", "max µs", "CPU µs", "amiss", "KiB"
    );
    let mut of_stock = None;
    for ((name, ..), rounds) in middles.iter().zip(&rounds) {
        let of = |figure: &dyn Fn(&Round) -> f64| median(rounds.iter().map(figure).collect());
        let spread = |figure: &dyn Fn(&Round) -> f64| {
            let all = || rounds.iter().map(figure);
            (all().fold(0.0, f64::max) - all().fold(f64::MAX, f64::min)) * 50.0 / of(figure)
        };
        let rate = of(&|r| r.heard.events as f64) / effort.time.as_secs_f64();
        let (p50, p99) = (of(&|r| r.heard.p50_us), of(&|r| r.heard.p99_us));
        let (around_p50, around_p99) = (spread(&|r| r.heard.p50_us), spread(&|r| r.heard.p99_us));
        let max = rounds.iter().map(|r| r.heard.max_us).fold(0.0, f64::max);
        let disordered: u64 = rounds.iter().map(|r| r.heard.disordered).sum();
        let missing: u64 = rounds.iter().map(|r| r.heard.missing).sum();
        let cpu = rounds[0].cpu_us.map(|_| of(&|r| r.cpu_us.unwrap()));
        let kib = rounds[0].kib; // Later ones find the first one's.
        let shown = |figure: Option<f64>| figure.map_or("-".to_owned(), |figure| format!("{figure:.1}"));
        println!(
            "{name:<20} {rate:>9.0} {p50:>9.0} {around_p50:>5.0} {p99:>9.0} {around_p99:>9.0} {max:>9.0} {:>9} {:>6} {:>6}",
            shown(cpu),
            disordered + missing,
            shown(kib)
        );
        note(figures, format!("{name}_p50_us"), Some(p50));
        note(figures, format!("{name}_p99_us"), Some(p99));
        note(figures, format!("{name}_events_per_second"), Some(rate));
        note(figures, format!("{name}_cpu_us_per_event"), cpu);
        note(figures, format!("{name}_kib_per_stream"), kib);
        note(figures, format!("{name}_disordered"), Some(disordered as f64));
        note(figures, format!("{name}_missing"), Some(missing as f64));
        match (*name, of_stock) {
            ("a2a_streams_stock", _) => of_stock = Some((p50, p99)),
            ("a2a_streams", Some((stock_p50, stock_p99))) => {
                let (more_p50, more_p99) = (p50 - stock_p50, p99 - stock_p99);
                println!("{:<20} p50 {more_p50:.0} µs, p99 {more_p99:.0} µs", "added to stock");
                note(figures, "a2a_streams_p50_us_added_to_stock", Some(more_p50));
                note(figures, "a2a_streams_p99_us_added_to_stock", Some(more_p99));
            }
            _ => {}
        }
    }
}

fn round(
    bench: &Bench,
    effort: Effort,
    address: SocketAddr,
    workload: &str,
    middle: Option<&Process>,
) -> Round {
    let resident = || middle.map(Process::resident_kib);
    let empty = resident();
    let svid = bench.world.path(if workload == "gateway" { "agent-clerk" } else { "gateway" });
    let mut listening = Role::start(
        "listen",
        &Listening {
            address,
            svid,
            server: bench.world.id(workload).to_string(),
            bearers: bench.people(),
            time: effort.time,
        },
    );
    assert_eq!(listening.line(), "ready\n");
    let kib = resident().zip(empty).map(|(full, empty)| (full - empty) / STREAMS as f64);
    let before = middle.map(Process::cpu_seconds);
    listening.go();
    let heard: Heard = serde_json::from_str(&listening.line()).unwrap();
    let cpu = middle.zip(before).map(|(middle, before)| middle.cpu_seconds() - before);
    Round { heard, cpu_us: cpu.map(|cpu| cpu * 1e6 / heard.events as f64), kib }
}
