//! What stands in the middle, each a process of its own whose CPU time and memory are its own: the gateway, Pingora's stock
//! proxying, Envoy. The machinery to start the benchmark's other processes is here, too.

use crate::upstream::Doors;
use certs::development::paths_in;
use serde::Serialize;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};
use world::World;
use world::components::program;

/// How long a proxy may take until it listens.
const READY_MAX: Duration = Duration::from_secs(20);

/// A process that is stopped with this value.
pub(crate) struct Process(Child);

impl Process {
    /// User and system time, in seconds (proc(5), fields 14 and 15, in hundredths).
    pub(crate) fn cpu_seconds(&self) -> f64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.0.id())).unwrap();
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
        (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) / 100.0
    }

    pub(crate) fn resident_kib(&self) -> f64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.0.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

/// This program again, in another part.
pub(crate) struct Role {
    process: Process,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

impl Role {
    pub(crate) fn start(name: &str, told: &impl Serialize) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["role", name, &serde_json::to_string(told).unwrap()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (stdin, stdout) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        Self { process: Process(child), stdin, stdout }
    }

    pub(crate) fn cpu_seconds(&self) -> f64 {
        self.process.cpu_seconds()
    }

    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        assert!(line.ends_with('\n'), "the process ended instead of saying something");
        line
    }

    pub(crate) fn go(&mut self) {
        self.stdin.write_all(b"go\n").unwrap();
    }
}

/// A gateway as it is deployed, `sallyport run`, with the configuration of that name.
pub(crate) fn gateway(world: &World, config: &str) -> (Process, SocketAddr) {
    let mut child = Command::new(program("sallyport"))
        .args(["run", "--config"])
        .arg(world.path(config))
        .env("RUST_LOG", "warn")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let address = line.trim().strip_prefix("listening on https://").unwrap().parse().unwrap();
    (Process(child), address)
}

/// Pingora's stock TLS proxying, on as many threads as there are cores, as the gateway has.
pub(crate) fn stock(world: &World, doors: &Doors) -> (Process, SocketAddr) {
    stock_to(world, doors.plain, &[])
}

/// The same with mutual TLS toward the upstream, too.
pub(crate) fn stock_mutual(world: &World, upstream: SocketAddr) -> (Process, SocketAddr) {
    stock_to(world, upstream, &["mutual"])
}

fn stock_to(world: &World, upstream: SocketAddr, how: &[&str]) -> (Process, SocketAddr) {
    let (listen, svid) = (free_address(), paths_in(&world.path("gateway")));
    let mut command = Command::new(program("stock-pingora"));
    command.args([listen.to_string(), upstream.to_string()]);
    command.args([svid.certificate, svid.private_key]).arg(cores().to_string()).args(how);
    (listening(command, listen), listen)
}

/// Envoy as a bare TLS proxy, where `scripts/setup bench` has installed it.
pub(crate) fn envoy(world: &World, doors: &Doors) -> Option<(Process, SocketAddr)> {
    let envoy = cache()?.join("envoy/bin/envoy");
    if !envoy.exists() {
        return None;
    }
    let (listen, config) = (free_address(), world.path("envoy.yaml"));
    std::fs::write(&config, envoy_config(listen, doors.plain, &world.path("gateway"))).unwrap();
    let mut command = Command::new(envoy);
    command.arg("--config-path").arg(config).args(["--concurrency", &cores().to_string()]);
    command.args(["--log-level", "error", "--disable-hot-restart"]);
    Some((listening(command, listen), listen))
}

fn envoy_config(listen: SocketAddr, upstream: SocketAddr, svid: &Path) -> String {
    let endpoint = |a: SocketAddr| {
        format!("address: {{socket_address: {{address: {}, port_value: {}}}}}", a.ip(), a.port())
    };
    let (listen, upstream, paths) = (endpoint(listen), endpoint(upstream), paths_in(svid));
    let (certificate, key) = (paths.certificate.display(), paths.private_key.display());
    format!(
        "static_resources:
  listeners:
  - {listen}
    filter_chains:
    - transport_socket:
        name: tls
        typed_config:
          \"@type\": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext
          common_tls_context:
            tls_certificates: [{{certificate_chain: {{filename: {certificate}}}, private_key: {{filename: {key}}}}}]
      filters:
      - name: http
        typed_config:
          \"@type\": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: bench
          http_filters:
          - name: router
            typed_config: {{\"@type\": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}
          route_config:
            virtual_hosts:
            - {{name: all, domains: ['*'], routes: [{{match: {{prefix: /}}, route: {{cluster: upstream}}}}]}}
  clusters:
  - name: upstream
    load_assignment:
      cluster_name: upstream
      endpoints: [{{lb_endpoints: [{{endpoint: {{{upstream}}}}}]}}]
"
    )
}

/// Starts a program that says nothing when it listens.
fn listening(mut command: Command, address: SocketAddr) -> Process {
    let mut process = Process(command.stdin(Stdio::null()).spawn().unwrap());
    let deadline = Instant::now() + READY_MAX;
    while TcpStream::connect(address).is_err() {
        let ended = process.0.try_wait().unwrap();
        assert!(ended.is_none() && Instant::now() < deadline, "{command:?} does not listen");
        std::thread::sleep(Duration::from_millis(20));
    }
    process
}

fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

pub(crate) fn cores() -> usize {
    std::thread::available_parallelism().unwrap().get()
}

/// Where `scripts/setup` installs; `scripts/env` has the same rule.
fn cache() -> Option<PathBuf> {
    let own = std::env::var_os("SALLYPORT_CACHE").map(PathBuf::from);
    own.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache/sallyport")))
}
