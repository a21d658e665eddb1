//! Full handshakes: mutual TLS 1.3 with the gateway's listener, beside a server that is rustls and nothing else. Nobody
//! resumes, and each connection ends with its handshake. The three roles are processes of their own.

use crate::middle::{self, Role};
use crate::prepare::Bench;
use crate::report::{median, note};
use crate::{Effort, shuffle};
use certs::development::paths_in;
use certs::files::FileSource;
use certs::{Clock, SharedSource, SpiffeId};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, TlsConnector};

/// Handshakes under way at a time.
const AT_A_TIME: usize = 32;

/// What the bare server is told: whose SVID it shows.
#[derive(Serialize, Deserialize)]
pub(crate) struct Bare {
    svid: PathBuf,
}

/// What the load is told.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Knocks {
    address: SocketAddr,
    svid: PathBuf,
    server: String,
    time: Duration,
}

/// What it says at its end.
#[derive(Serialize, Deserialize)]
struct Knocked {
    handshakes: u64,
    seconds: f64,
}

/// The bare server: verifies a chain by the same authority, reads to the end, closes.
pub(crate) async fn serve(bare: Bare) {
    let paths = paths_in(&bare.svid);
    let read = |path| CertificateDer::pem_file_iter(path).unwrap().map(Result::unwrap);
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(read(&paths.trust_bundle));
    let verifier = WebPkiClientVerifier::builder(Arc::new(roots)).build().unwrap();
    let key = PrivateKeyDer::from_pem_file(&paths.private_key).unwrap();
    let mut tls = ServerConfig::builder_with_protocol_versions(&[&rustls::version::TLS13])
        .with_client_cert_verifier(verifier)
        .with_single_cert(read(&paths.certificate).collect(), key)
        .unwrap();
    tls.send_tls13_tickets = 0;
    let (tls, tcp) = (TlsAcceptor::from(Arc::new(tls)), TcpListener::bind("127.0.0.1:0").await.unwrap());
    println!("{}", serde_json::to_string(&tcp.local_addr().unwrap()).unwrap());
    while let Ok((stream, _)) = tcp.accept().await {
        let tls = tls.clone();
        tokio::spawn(async move {
            stream.set_nodelay(true).unwrap();
            let mut stream = tls.accept(stream).await.unwrap();
            stream.read_to_end(&mut Vec::new()).await.unwrap();
            stream.shutdown().await.unwrap();
        });
    }
}

/// The load: one connection after the other in each place. A handshake counts when the other side has closed in good order:
/// in TLS 1.3 the client has finished before anybody has looked at its certificate.
pub(crate) async fn knock(knocks: Knocks) {
    let own: SharedSource = FileSource::open(paths_in(&knocks.svid)).unwrap();
    let server = SpiffeId::new(&knocks.server).unwrap();
    let tls = certs::tls::client_config(own, server, Clock::system()).unwrap();
    let tls = TlsConnector::from(Arc::new(tls));
    println!("ready");
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).unwrap(); // This thread has nothing else to do.
    let began = Instant::now();
    let places: Vec<_> = (0..AT_A_TIME)
        .map(|_| {
            let (tls, knocks) = (tls.clone(), knocks.clone());
            tokio::spawn(async move {
                let mut handshakes = 0;
                while began.elapsed() < knocks.time {
                    one(&tls, knocks.address).await;
                    handshakes += 1;
                }
                handshakes
            })
        })
        .collect();
    let mut knocked = Knocked { handshakes: 0, seconds: 0.0 };
    for place in places {
        knocked.handshakes += place.await.unwrap();
    }
    knocked.seconds = began.elapsed().as_secs_f64();
    println!("{}", serde_json::to_string(&knocked).unwrap());
}

async fn one(tls: &TlsConnector, address: SocketAddr) {
    let tcp = TcpStream::connect(address).await.unwrap();
    tcp.set_nodelay(true).unwrap();
    let mut stream = tls.connect(ServerName::IpAddress(address.ip().into()), tcp).await.unwrap();
    stream.shutdown().await.unwrap();
    stream.read_to_end(&mut Vec::new()).await.unwrap();
}

/// Handshakes a second, and CPU of the server for each, in random order; medians of rounds.
pub(crate) fn measure(bench: &Bench, effort: Effort, figures: &mut Map<String, Value>) {
    let (gateway, gateway_at) = middle::gateway(&bench.world, "handshakes.yaml");
    let mut bare = Role::start("bare", &Bare { svid: bench.world.path("gateway") });
    let bare_at: SocketAddr = serde_json::from_str(&bare.line()).unwrap();
    let bare = bare; // It says no more.
    let servers = [("gateway", gateway_at), ("bare_rustls", bare_at)];
    let mut rounds: [Vec<(f64, f64)>; 2] = [Vec::new(), Vec::new()];
    let mut order = [0, 1];
    for _ in 0..effort.rounds {
        shuffle(&mut order);
        for &at in &order {
            let cpu = || if at == 0 { gateway.cpu_seconds() } else { bare.cpu_seconds() };
            let mut knocks = Role::start(
                "knock",
                &Knocks {
                    address: servers[at].1,
                    svid: bench.world.path("agent-clerk"),
                    server: bench.world.id("gateway").to_string(),
                    time: effort.time,
                },
            );
            assert_eq!(knocks.line(), "ready\n");
            let before = cpu();
            knocks.go();
            let Knocked { handshakes, seconds } = serde_json::from_str(&knocks.line()).unwrap();
            let count = handshakes as f64;
            rounds[at].push((count / seconds, (cpu() - before) * 1e6 / count));
        }
    }
    println!("\n{:<24} {:>12} {:>10}", "full handshakes", "a second", "CPU µs");
    let mut medians = Vec::new();
    for ((name, _), rounds) in servers.iter().zip(&rounds) {
        let a_second = median(rounds.iter().map(|round| round.0).collect());
        let cpu_us = median(rounds.iter().map(|round| round.1).collect());
        println!("{name:<24} {a_second:>12.0} {cpu_us:>10.1}");
        note(figures, format!("{name}_handshakes_per_second"), Some(a_second));
        note(figures, format!("{name}_cpu_us_per_handshake"), Some(cpu_us));
        medians.push((a_second, cpu_us));
    }
    let (a_second, cpu) = (medians[0].0 / medians[1].0, medians[0].1 / medians[1].1);
    println!("{:<24} {a_second:>12.2} {cpu:>10.2}", "× bare rustls");
    note(figures, "handshakes_ratio_to_bare_rustls", Some(a_second));
    note(figures, "handshake_cpu_ratio_to_bare_rustls", Some(cpu));
}
