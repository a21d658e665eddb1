//! Who looks at a gateway from outside: a probe, a Prometheus with its Alertmanager, an OpenTelemetry collector.

use crate::World;
use crate::components::installed;
use serde_json::Value;
use std::fs::File;
use std::io::Write;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How long a program of others may take for anything.
const PATIENCE: Duration = Duration::from_secs(30);

/// A probe of one gateway's admin listener.
#[derive(Clone, Copy)]
pub struct Probe(SocketAddr);

impl World {
    /// A probe of this world's gateway.
    pub fn probe(&self) -> Probe {
        Probe(self.gateway.admin_address().unwrap())
    }
}

impl Probe {
    /// Any request.
    pub async fn request(self, method: reqwest::Method, path: &str) -> reqwest::Result<(u16, String)> {
        let response = plain().request(method, format!("http://{}{path}", self.0)).send().await?;
        Ok((response.status().as_u16(), response.text().await?))
    }

    /// GET: status and text.
    pub async fn get(self, path: &str) -> (u16, String) {
        self.request(reqwest::Method::GET, path).await.unwrap()
    }

    /// What keeps the gateway from being ready, and the status that says it.
    pub async fn not_ready(self) -> (u16, Value) {
        let (status, text) = self.get("/readyz").await;
        (status, serde_json::from_str::<Value>(&text).unwrap()["not_ready"].take())
    }

    /// The value of one series.
    pub async fn metric(self, series: &str) -> Option<f64> {
        let (_, text) = self.get("/metrics").await;
        let value = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        value.map(|value| value.parse().unwrap())
    }
}

/// A client without certificates, for plain HTTP.
pub fn plain() -> reqwest::Client {
    #[expect(clippy::disallowed_methods, reason = "a probe from outside, and not the gateway")]
    reqwest::Client::builder().no_proxy().timeout(PATIENCE).build().unwrap()
}

/// A program of others over an empty folder, ended with the value.
struct Program {
    child: Child,
    dir: TempDir,
}

impl Program {
    fn start(program: &Path, dir: TempDir, arguments: &[&str], listening: &[SocketAddr]) -> Self {
        let log = File::create(dir.path().join("log")).unwrap();
        let child = Command::new(program)
            .args(arguments)
            .current_dir(dir.path())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let program = Self { child, dir };
        let up = || listening.iter().all(|at| TcpStream::connect(at).is_ok()).then_some(());
        wait(up).unwrap_or_else(|| panic!("it did not come up: {}", program.log()));
        program
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("log")).unwrap()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A program of others says nothing when it is done, so it is asked until it is; for the result, never for its time.
pub(crate) fn wait<T>(mut ask: impl FnMut() -> Option<T>) -> Option<T> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let answer = ask();
        if answer.is_some() || Instant::now() > deadline {
            return answer;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

pub(crate) fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// Rotel, which takes OTLP and prints every span.
pub struct Collector {
    program: Program,
    address: SocketAddr,
}

/// A span as the collector printed it.
#[derive(Debug)]
pub struct Span(String);

impl Collector {
    /// None where it isn't installed, which is said.
    pub fn start() -> Option<Self> {
        let rotel = installed("rotel-agent", "sight")?;
        let (grpc, http) = (free_address(), free_address());
        let (grpc_text, http_text) = (grpc.to_string(), http.to_string());
        let arguments = [
            "start",
            "--otlp-grpc-endpoint",
            &grpc_text,
            "--otlp-http-endpoint",
            &http_text,
            "--exporter",
            "blackhole",
            "--debug-log",
            "traces",
            "--debug-log-verbosity",
            "detailed",
        ];
        let program = Program::start(&rotel, tempfile::tempdir().unwrap(), &arguments, &[grpc, http]);
        Some(Self { program, address: http })
    }

    /// The gateway's configuration to deliver to it.
    pub fn telemetry(&self, sample: f64) -> String {
        format!("{{otlp: {{endpoint: \"http://{}\"}}, traces: {{sample: {sample}}}}}", self.address)
    }

    /// All that it printed, once that is so many spans at least, and the spans.
    pub fn printed(&self, least: usize) -> (String, Vec<Span>) {
        let enough = |log: &String| log.matches("\nSpan #").count() >= least && log.ends_with('\n');
        let log = wait(|| Some(self.program.log()).filter(enough));
        let log = log.unwrap_or_else(|| panic!("not {least} spans: {}", self.program.log()));
        let spans = log.split("\nSpan #").skip(1).map(|text| Span(text.to_owned())).collect();
        (log, spans)
    }
}

impl Span {
    /// A field, as `Trace ID`, or an attribute.
    pub fn get(&self, name: &str) -> Option<&str> {
        let line = self.0.lines().find_map(|line| {
            let line = line.trim_start().trim_start_matches("-> ");
            line.strip_prefix(name)?.trim_start().strip_prefix(':')
        });
        line.map(|value| {
            value.trim().trim_start_matches("Str(").trim_start_matches("Int(").trim_end_matches(')')
        })
    }
}

const RULES: &str = "groups:
  - name: g
    rules:
      - {alert: Up, expr: up == 1, annotations: {summary: \"{{ $labels.namespace }} is up\"}}
      - {alert: Quiet, expr: up == 1}
";
/// Nobody is told of anything, and of `Quiet` not even nobody while there is `Up`.
const ALERTMANAGER: &str = "route: {receiver: nobody}
receivers: [{name: nobody}]
inhibit_rules:
  - {source_matchers: ['alertname=\"Up\"'], target_matchers: ['alertname=\"Quiet\"'], equal: [namespace]}
";

/// An Alertmanager.
pub struct Alertmanager {
    _program: Program,
    address: SocketAddr,
    amtool: PathBuf,
}

impl Alertmanager {
    /// None where it isn't installed, which is said.
    pub fn start() -> Option<Self> {
        let (alertmanager, amtool) = (installed("alertmanager", "sight")?, installed("amtool", "sight")?);
        let (dir, address) = (tempfile::tempdir().unwrap(), free_address());
        std::fs::write(dir.path().join("alertmanager.yml"), ALERTMANAGER).unwrap();
        let listen = format!("--web.listen-address={address}");
        // It gossips with nobody.
        let arguments =
            ["--config.file=alertmanager.yml", "--storage.path=data", "--cluster.listen-address=", &listen];
        let program = Program::start(&alertmanager, dir, &arguments, &[address]);
        Some(Self { _program: program, address, amtool })
    }

    /// Where it is.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What its own client prints.
    pub fn amtool(&self, arguments: &[&str]) -> String {
        let at = format!("--alertmanager.url={}", self.url());
        let output = Command::new(&self.amtool).arg(at).args(arguments).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// The alerts that its own client lists, once there are so many.
    pub fn alerts(&self, count: usize) -> Vec<Value> {
        let query =
            ["alert", "query", "--active", "--silenced", "--inhibited", "--unprocessed", "--output=json"];
        let ask = || serde_json::from_str::<Vec<Value>>(&self.amtool(&query)).unwrap();
        wait(|| Some(ask()).filter(|all| all.len() == count)).unwrap_or_else(|| panic!("not {count} alerts"))
    }
}

fn job(target: SocketAddr, namespace: &str) -> String {
    format!(
        "  - job_name: {namespace}\n    static_configs: [{{targets: [\"{target}\"], labels: {{namespace: {namespace}}}}}]\n"
    )
}

/// A Prometheus.
pub struct Prometheus {
    _program: Program,
    address: SocketAddr,
}

impl Prometheus {
    /// One that scrapes a world's gateway. None where it isn't installed, which is said.
    pub fn start(world: &World) -> Option<Self> {
        let target = world.probe().0;
        let job = |_| format!("  - job_name: sallyport\n    static_configs: [{{targets: [\"{target}\"]}}]\n");
        Self::with("groups: []", None, job)
    }

    /// One that scrapes itself, once for each of some namespaces. None where it isn't installed, which is said.
    pub fn of_namespaces(names: &[&str]) -> Option<Self> {
        Self::of_rules(names, "groups: []")
    }

    /// The same with rules, as its file of them has it.
    pub fn of_rules(names: &[&str], rules: &str) -> Option<Self> {
        Self::with(rules, None, |itself| names.iter().map(|name| job(itself, name)).collect())
    }

    /// The same, and of each namespace it tells an Alertmanager two alerts, `Up` and `Quiet`.
    pub fn alerting(names: &[&str], alertmanager: &Alertmanager) -> Option<Self> {
        Self::with(RULES, Some(alertmanager), |itself| names.iter().map(|name| job(itself, name)).collect())
    }

    fn with(
        rules: &str,
        alertmanager: Option<&Alertmanager>,
        jobs: impl FnOnce(SocketAddr) -> String,
    ) -> Option<Self> {
        let prometheus = installed("prometheus", "sight")?;
        let (dir, address) = (tempfile::tempdir().unwrap(), free_address());
        let mut config =
            "global: {scrape_interval: 1s, evaluation_interval: 1s}\nrule_files: [rules.yml]\n".to_owned();
        if let Some(Alertmanager { address, .. }) = alertmanager {
            config += &format!(
                "alerting: {{alertmanagers: [{{static_configs: [{{targets: [\"{address}\"]}}]}}]}}\n"
            );
        }
        let config = config + "scrape_configs:\n" + &jobs(address);
        std::fs::write(dir.path().join("prometheus.yml"), config).unwrap();
        std::fs::write(dir.path().join("rules.yml"), rules).unwrap();
        let listen = format!("--web.listen-address={address}");
        let arguments = ["--config.file=prometheus.yml", "--storage.tsdb.path=data", &listen];
        Some(Self { _program: Program::start(&prometheus, dir, &arguments, &[address]), address })
    }

    /// Where it is.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The answer to a query, once there is one.
    pub async fn query(&self, query: &str) -> Value {
        let url = format!("{}/api/v1/query", self.url());
        let deadline = Instant::now() + PATIENCE;
        loop {
            let asked = plain().post(&url).form(&[("query", query)]).send().await;
            let text = asked.unwrap().text().await.unwrap();
            let mut answer: Value = serde_json::from_str(&text).unwrap_or_default(); // Text, while it starts.
            let result = answer["data"]["result"].take();
            if result.as_array().is_some_and(|found| !found.is_empty()) {
                return result;
            }
            assert!(Instant::now() < deadline, "nothing for {query}: {text}");
            tokio::time::sleep(Duration::from_millis(100)).await; // It scrapes each second.
        }
    }
}

/// What `promtool check metrics` says of a text, if it is installed.
pub fn promtool(metrics: &str) -> Option<Output> {
    let promtool: PathBuf = installed("promtool", "sight")?;
    let mut child = Command::new(promtool)
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(metrics.as_bytes()).unwrap();
    Some(child.wait_with_output().unwrap())
}
