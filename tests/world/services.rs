//! Token services that are real products, each as a process of its own with a port of its own and our trust domain's TLS.

use crate::World;
use crate::components::{Installed, keycloak, oidc_provider, root};
use rustix::process::{Pid, Signal, kill_process_group};
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// A service that answers. Its end is this value's.
pub struct Service {
    child: Child,
    /// As `https://127.0.0.1:12345`.
    pub origin: String,
}

/// The workload that a service's certificate names.
pub const WORKLOAD: &str = "idp";

impl Service {
    /// oidc-provider with what our script does to it; none if it is not installed.
    pub fn oidc_provider(world: &World, settings: serde_json::Value) -> Option<Self> {
        Self::oidc_provider_at(world, free_port(), settings)
    }

    /// The same on a port that somebody knows already.
    pub fn oidc_provider_at(world: &World, port: u16, mut settings: serde_json::Value) -> Option<Self> {
        oidc_provider()?;
        let svid = svid(world);
        for (name, file) in [("cert", "cert.pem"), ("key", "key.pem"), ("bundle", "bundle.pem")] {
            settings[name] = svid.join(file).display().to_string().into();
        }
        settings["port"] = port.into();
        let file = world.path(&format!("oidc-provider-{port}.json"));
        std::fs::write(&file, settings.to_string()).unwrap();
        let mut command = Command::new("node");
        command.arg(root().join("tests/clients/oidc-provider/token_service.mjs")).arg(file);
        command.env("NODE_EXTRA_CA_CERTS", svid.join("bundle.pem"));
        Some(Self::start(&mut command, port, "ready"))
    }

    /// Keycloak without a realm of ours, its administrator `admin` with this password, which believes the authorities in a PEM
    /// file besides the system's; none if it is not installed.
    pub fn keycloak(world: &World, password: &str, authorities: Option<&Path>) -> Option<Self> {
        let Installed(home) = keycloak()?;
        let (port, svid) = (free_port(), svid(world));
        let mut command = Command::new(home.join("bin/kc.sh"));
        command
            .args(["start", "--optimized", "--cache=local", "--http-host=127.0.0.1"])
            .arg(format!("--https-port={port}"))
            .arg(format!("--hostname=https://127.0.0.1:{port}"))
            .arg(format!("--https-certificate-file={}", svid.join("cert.pem").display()))
            .arg(format!("--https-certificate-key-file={}", svid.join("key.pem").display()))
            .env("KC_BOOTSTRAP_ADMIN_USERNAME", "admin")
            .env("KC_BOOTSTRAP_ADMIN_PASSWORD", password)
            .env("JAVA_OPTS_KC_HEAP", "-Xms64m -Xmx400m");
        if let Some(authorities) = authorities {
            command.arg(format!("--truststore-paths={}", authorities.display()));
        }
        Some(Self::start(&mut command, port, "Listening on:"))
    }

    /// Starts it in a process group of its own, and waits until it says that it serves.
    fn start(command: &mut Command, port: u16, ready: &str) -> Self {
        let mut child =
            command.process_group(0).stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        let service = Self { child, origin: format!("https://127.0.0.1:{port}") };
        let mut said = String::new();
        while !said.lines().last().is_some_and(|line| line.contains(ready)) {
            assert_ne!(lines.read_line(&mut said).unwrap(), 0, "it did not start: {said}");
        }
        std::thread::spawn(move || std::io::copy(&mut lines, &mut std::io::sink())); // A full pipe would stop it.
        service
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        if let Some(group) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            let _ = kill_process_group(group, Signal::KILL);
        }
        let _ = self.child.wait();
    }
}

/// Its SVID, in a folder.
fn svid(world: &World) -> std::path::PathBuf {
    let folder = world.path(WORKLOAD);
    let names = ["127.0.0.1", "localhost"];
    world.domain.write_svid(&folder, &world.id(WORKLOAD), &names, world.clock.now()).unwrap();
    folder
}

/// A port that was free a moment ago; the services can't be handed a socket.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A gateway's configuration with one more issuer, and another token service in the place of the embedded one.
pub fn with_services(config: &str, issuer: &str, token_service: &str) -> String {
    let (before, rest) = config.split_once("token_service:\n").unwrap();
    let (_, servers) = rest.split_once("servers:\n").unwrap();
    format!("{before}{issuer}token_service:\n{token_service}servers:\n{servers}")
        .replace("subject: required", "subject: optional")
}

/// The claims of the credential that a server has received.
pub fn claims(received: &crate::Received) -> serde_json::Value {
    claims_of(received.headers["authorization"].to_str().unwrap())
}

/// The claims of a token, whoever signed it.
pub fn claims_of(token: &str) -> serde_json::Value {
    use base64::Engine;
    let payload = token.split('.').nth(1).unwrap();
    let payload = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(payload).unwrap();
    serde_json::from_slice(&payload).unwrap()
}

/// Whether a folder holds an installation in the version that is wanted: its stamp is written last.
pub(crate) fn stamped(folder: &Path) -> bool {
    folder.join(".sallyport-version").exists()
}
