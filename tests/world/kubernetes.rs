//! A real Kubernetes: etcd, the API server and the controller manager, and kwok, which plays a node and its pods. Its own
//! client, kubectl, reads back what others did.

use crate::components::{installed, root};
use crate::watchers::{free_address, wait};
use certs::development::Domain;
use certs::{Clock, TrustDomain};
use serde_json::Value;
use std::fs::File;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;
use tempfile::TempDir;

/// A cluster. It ends with this process, however that ends: each program's keeper reads a pipe from here to its end.
pub struct Cluster {
    programs: Vec<Child>,
    dir: TempDir,
    api: SocketAddr,
}

/// Who may do anything there, by kubectl.
const ADMIN: &str = "kubectl-of-the-stories";
/// What the node that kwok plays is called: pods name it themselves, so no scheduler is needed.
pub const NODE: &str = "node-0";
/// The controllers that stories need.
const CONTROLLERS: &str = "deployment-controller,replicaset-controller,serviceaccount-controller,namespace-controller,\
    garbage-collector-controller,root-ca-certificate-publisher-controller,endpointslice-controller";
/// Runs a program until it ends or nobody holds the other end of standard input.
const KEEPER: &str =
    "exec 3<&0; \"$@\" 3<&- </dev/null & p=$!; (cat <&3 >/dev/null; kill -9 $p 2>/dev/null) & wait $p";

impl Cluster {
    /// The one that all stories share. None where it isn't installed, which is said.
    pub fn shared() -> Option<&'static Self> {
        static SHARED: OnceLock<Option<Cluster>> = OnceLock::new();
        SHARED.get_or_init(Self::start).as_ref()
    }

    fn start() -> Option<Self> {
        let programs = ["etcd", "kube-apiserver", "kube-controller-manager", "kwok", "kubectl"];
        let found: Option<Vec<_>> = programs.iter().map(|name| installed(name, "kubernetes")).collect();
        let [etcd, apiserver, controllers, kwok, _] = found?.try_into().unwrap();
        let dir = tempfile::tempdir().unwrap();
        let api = free_address();
        let mut cluster = Self { programs: Vec::new(), dir, api };
        cluster.write_files();
        cluster.start_api(&etcd, &apiserver);
        let kubeconfig = format!("--kubeconfig={}", cluster.file("kubeconfig"));
        let (key, ca) = (cluster.file("api/key.pem"), cluster.file("api/bundle.pem"));
        cluster.run(
            &controllers,
            &[
                &kubeconfig,
                "--leader-elect=false",
                "--secure-port=0",
                &format!("--controllers={CONTROLLERS}"),
                &format!("--service-account-private-key-file={key}"),
                &format!("--root-ca-file={ca}"),
            ],
        );
        cluster.start_kwok(&kwok, &kubeconfig);
        Some(cluster)
    }

    fn write_files(&self) {
        let (folder, clock) = (self.dir.path(), Clock::system());
        let trust_domain = TrustDomain::new("kubernetes.test").unwrap();
        let domain = Domain::open(&folder.join("ca"), &trust_domain, &clock).unwrap();
        let id = domain.id("apiserver").unwrap();
        domain.write_svid(&folder.join("api"), &id, &["127.0.0.1", "localhost"], clock.now()).unwrap();
        let write = |name: &str, text: &str| std::fs::write(folder.join(name), text).unwrap();
        write("tokens.csv", &format!("{ADMIN},admin,admin,\"system:masters\"\n"));
        write(
            "audit.yaml",
            "apiVersion: audit.k8s.io/v1\nkind: Policy\nomitStages: [RequestReceived]\nrules: [{level: Metadata}]\n",
        );
        self.believe("[]");
        write(
            "kubeconfig",
            &format!(
                "apiVersion: v1\nkind: Config\ncurrent-context: c\ncontexts: [{{name: c, context: {{cluster: c, user: u}}}}]\n\
                 clusters: [{{name: c, cluster: {{server: \"{}\", certificate-authority: {}}}}}]\n\
                 users: [{{name: u, user: {{token: {ADMIN}}}}}]\n",
                self.url(),
                self.file("api/bundle.pem"),
            ),
        );
        let stages = std::fs::read_to_string(root().join("tests/kubernetes/kwok.yaml")).unwrap();
        write("kwok.yaml", &stages.replace("LOGS_FILE", &self.file("pods.log")));
        write("pods.log", "");
    }

    fn start_api(&mut self, etcd: &Path, apiserver: &Path) {
        let (store, peers) = (free_address(), free_address());
        let data = self.file("etcd");
        self.run(
            etcd,
            &[
                &format!("--data-dir={data}"),
                &format!("--listen-client-urls=http://{store}"),
                &format!("--advertise-client-urls=http://{store}"),
                &format!("--listen-peer-urls=http://{peers}"),
                &format!("--initial-advertise-peer-urls=http://{peers}"),
                &format!("--initial-cluster=default=http://{peers}"),
            ],
        );
        wait(|| TcpStream::connect(store).ok()).unwrap_or_else(|| panic!("{}", self.log("etcd")));
        let flags = [
            format!("--etcd-servers=http://{store}"),
            "--bind-address=127.0.0.1".into(),
            "--advertise-address=127.0.0.1".into(),
            format!("--secure-port={}", self.api.port()),
            format!("--cert-dir={}", self.file("generated")),
            format!("--tls-cert-file={}", self.file("api/cert.pem")),
            format!("--tls-private-key-file={}", self.file("api/key.pem")),
            "--service-cluster-ip-range=10.96.0.0/24".into(),
            "--service-account-issuer=https://kubernetes.test".into(),
            format!("--service-account-signing-key-file={}", self.file("api/key.pem")),
            format!("--service-account-key-file={}", self.file("api/cert.pem")),
            format!("--token-auth-file={}", self.file("tokens.csv")),
            "--authorization-mode=RBAC".into(),
            "--allow-privileged=true".into(),
            "--feature-gates=WatchList=false".into(), // kwok would ask for it, and Debian's etcd is too old for that.
            format!("--audit-policy-file={}", self.file("audit.yaml")),
            format!("--audit-log-path={}", self.file("audit.jsonl")),
            format!("--authentication-config={}", self.file("authentication.yaml")),
        ];
        self.run(apiserver, &flags.iter().map(String::as_str).collect::<Vec<_>>());
        let ready = || self.kubectl_raw(&["get", "--raw", "/readyz"]).status.success().then_some(());
        wait(ready).unwrap_or_else(|| panic!("{}", self.log("kube-apiserver")));
    }

    fn start_kwok(&mut self, kwok: &Path, kubeconfig: &str) {
        let kubelet = free_address();
        let (certificate, key) = (self.file("api/cert.pem"), self.file("api/key.pem"));
        self.run(
            kwok,
            &[
                kubeconfig,
                "--manage-all-nodes=true",
                &format!("--config={}", self.file("kwok.yaml")),
                "--node-ip=127.0.0.1",
                &format!("--node-port={}", kubelet.port()),
                &format!("--server-address={kubelet}"),
                &format!("--tls-cert-file={certificate}"),
                &format!("--tls-private-key-file={key}"),
            ],
        );
        self.apply(&format!("{{apiVersion: v1, kind: Node, metadata: {{name: {NODE}}}}}"));
        let node = || self.get(&["node", NODE]).filter(|node| node["status"]["phase"] == "Running");
        wait(node).unwrap_or_else(|| panic!("{}", self.log("kwok")));
    }

    fn run(&mut self, program: &Path, arguments: &[&str]) {
        let log = File::create(self.dir.path().join(format!("{}.log", name_of(program)))).unwrap();
        let child = Command::new("sh")
            .args(["-c", KEEPER, "sh"])
            .arg(program)
            .args(arguments)
            .current_dir(self.dir.path())
            .stdin(Stdio::piped())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        self.programs.push(child);
    }

    fn log(&self, program: &str) -> String {
        let text = std::fs::read_to_string(self.dir.path().join(format!("{program}.log"))).unwrap();
        text.lines().rev().take(30).collect::<Vec<_>>().join("\n")
    }

    /// Where its API is.
    pub fn url(&self) -> String {
        format!("https://{}", self.api)
    }

    /// The path of one of its files.
    pub fn file(&self, name: &str) -> String {
        self.dir.path().join(name).display().to_string()
    }

    /// The certificate that vouches for its API.
    pub fn ca(&self) -> PathBuf {
        self.dir.path().join("api/bundle.pem")
    }

    /// Which issuers of tokens it believes from now on, as `jwt` of an AuthenticationConfiguration. It looks at the file
    /// when that is replaced.
    pub fn believe(&self, issuers: &str) {
        let text = format!(
            "apiVersion: apiserver.config.k8s.io/v1\nkind: AuthenticationConfiguration\njwt: {issuers}\n"
        );
        certs::files::write(&self.dir.path().join("authentication.yaml"), text.as_bytes(), 0o600).unwrap();
    }

    /// Adds lines to the log of every pod, as a container runtime writes them.
    pub fn pods_say(&self, lines: &[&str]) {
        use std::io::Write;
        let mut log = File::options().append(true).open(self.dir.path().join("pods.log")).unwrap();
        for line in lines {
            writeln!(log, "2026-11-29T10:00:00.000000000Z stdout F {line}").unwrap();
        }
    }

    fn kubectl_raw(&self, arguments: &[&str]) -> Output {
        let kubectl = installed("kubectl", "kubernetes").unwrap();
        Command::new(kubectl)
            .arg(format!("--kubeconfig={}", self.file("kubeconfig")))
            .arg(format!("--cache-dir={}", self.file("kubectl")))
            .args(arguments)
            .output()
            .unwrap()
    }

    /// What kubectl prints; it has to succeed.
    pub fn kubectl(&self, arguments: &[&str]) -> String {
        let output = self.kubectl_raw(arguments);
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Whether kubectl fails.
    pub fn refuses(&self, arguments: &[&str]) -> bool {
        !self.kubectl_raw(arguments).status.success()
    }

    /// An object as kubectl gets it, if it is there.
    pub fn get(&self, arguments: &[&str]) -> Option<Value> {
        let output = self.kubectl_raw(&[&["get", "-o", "json"], arguments].concat());
        output.status.success().then(|| serde_json::from_slice(&output.stdout).unwrap())
    }

    /// Has kubectl apply some YAML.
    pub fn apply(&self, yaml: &str) {
        let path = self.dir.path().join(format!("{:x}.yaml", yaml.len()));
        std::fs::write(&path, yaml).unwrap();
        self.kubectl(&["apply", "-f", path.to_str().unwrap()]);
    }

    /// A namespace, as soon as pods can be in it.
    pub fn namespace(&self, name: &str) {
        self.kubectl_raw(&["create", "namespace", name]);
        let there = || self.get(&["serviceaccount", "default", "-n", name]);
        wait(there).unwrap_or_else(|| panic!("{}", self.log("kube-controller-manager")));
    }

    /// A token of a service account that may do what is said in some namespaces, as `deployments.apps=get,list`.
    pub fn service_account(&self, name: &str, namespaces: &[&str], rules: &[&str]) -> String {
        self.namespace("accounts");
        self.kubectl_raw(&["create", "serviceaccount", name, "-n", "accounts"]);
        self.allow(&format!("--serviceaccount=accounts:{name}"), name, namespaces, rules);
        self.kubectl(&["create", "token", name, "-n", "accounts"]).trim().to_owned()
    }

    /// Lets somebody do what is said in some namespaces.
    pub fn allow(&self, whom: &str, role: &str, namespaces: &[&str], rules: &[&str]) {
        for namespace in namespaces {
            self.namespace(namespace);
            for (number, rule) in rules.iter().enumerate() {
                let (resource, verbs) = rule.split_once('=').unwrap();
                let name = format!("{role}-{number}");
                let (verbs, of) = (format!("--verb={verbs}"), format!("--resource={resource}"));
                self.kubectl_raw(&["create", "role", &name, "-n", namespace, &verbs, &of]);
                let bound = format!("--role={name}");
                self.kubectl_raw(&["create", "rolebinding", &name, "-n", namespace, &bound, whom]);
            }
        }
    }

    /// What its own audit has of a user's requests: verb and path of each.
    pub fn heard_of(&self, user: &str) -> Vec<String> {
        let text = std::fs::read_to_string(self.file("audit.jsonl")).unwrap();
        let all = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let of_user = all.filter(|record| record["user"]["username"] == user);
        of_user
            .map(|r| format!("{} {}", r["verb"].as_str().unwrap(), r["requestURI"].as_str().unwrap()))
            .collect()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for mut program in self.programs.drain(..).rev() {
            drop(program.stdin.take());
            let _ = program.wait();
        }
    }
}

fn name_of(program: &Path) -> String {
    program.file_name().unwrap().to_string_lossy().into_owned()
}
