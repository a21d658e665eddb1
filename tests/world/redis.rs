//! A real Redis with TLS, which asks for certificates and a password: it can go away, come back, and lose what it had.

use crate::{World, components};
use certs::files::Paths;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// The workload that its certificate names.
pub const WORKLOAD: &str = "redis";
/// The file with its password.
pub const PASSWORD_FILE: &str = "redis.password";
const PASSWORD: &str = "correct horse battery staple";

pub struct Redis {
    child: Option<Child>,
    program: PathBuf,
    folder: PathBuf,
    pub port: u16,
    /// The one without TLS.
    pub plain_port: u16,
}

/// Its program; none, said loudly, if it isn't installed.
pub fn installed() -> Option<PathBuf> {
    components::installed("redis-server", "redis")
}

impl Redis {
    /// Starts one that keeps its data in the folder.
    pub fn start(program: &Path, folder: &Path, svid: &Paths) -> Self {
        let free = || TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let (port, plain_port) = (free(), free());
        let data = folder.join("redis");
        std::fs::create_dir_all(&data).unwrap();
        certs::files::write(&folder.join(PASSWORD_FILE), format!("{PASSWORD}\n").as_bytes(), 0o600).unwrap();
        let config = format!(
            "port {plain_port}
bind 127.0.0.1
tls-port {port}
tls-protocols TLSv1.3
tls-auth-clients yes
tls-cert-file {}
tls-key-file {}
tls-ca-cert-file {}
requirepass \"{PASSWORD}\"
dir {}
appendonly yes
appendfsync always
save \"\"
",
            svid.certificate.display(),
            svid.private_key.display(),
            svid.trust_bundle.display(),
            data.display()
        );
        std::fs::write(folder.join("redis.conf"), config).unwrap();
        let mut redis =
            Self { child: None, program: program.into(), folder: folder.into(), port, plain_port };
        redis.comes();
        redis
    }

    /// Kills it.
    pub fn goes(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// Starts it with the data that it has.
    pub fn comes(&mut self) {
        let mut command = Command::new(&self.program);
        let child = command.arg(self.folder.join("redis.conf")).stdout(Stdio::piped()).spawn();
        let child = self.child.insert(child.unwrap());
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        let mut said = String::new();
        while !said.contains("Ready to accept connections") {
            assert!(lines.read_line(&mut said).unwrap() > 0, "Redis ended: {said}");
        }
        std::thread::spawn(move || std::io::copy(&mut lines, &mut std::io::sink())); // A full pipe would stop it.
    }

    /// Has it do something, as an operator does at its console; what it says.
    pub fn told(&self, command: &str) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", self.plain_port)).unwrap();
        write!(stream, "AUTH \"{PASSWORD}\"\r\n{command}\r\nQUIT\r\n").unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let mut said = String::new();
        stream.read_to_string(&mut said).unwrap();
        assert!(!said.contains("-ERR"), "{command}: {said}");
        said
    }

    /// Starts it without any.
    pub fn comes_empty(&mut self) {
        std::fs::remove_dir_all(self.folder.join("redis/appendonlydir")).unwrap();
        self.comes();
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.goes();
    }
}

impl World {
    /// Runs `sallyport revoke` on the list that the gateway's configuration names; what it printed.
    pub fn revoke_shared(&self, arguments: &[&str]) -> String {
        let output = self.revoke_command(arguments).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// The same, not yet run.
    pub fn revoke_command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(components::program("sallyport"));
        command.args(["revoke", "--config"]).arg(self.path("sallyport.yaml")).args(arguments);
        command
    }
}
