//! Real servers that the stories are run against, each started on a free loopback port with empty folders,
//! and stopped when the value is dropped.

use std::fs::{File, create_dir_all, remove_dir_all};
use std::io::Read as _;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use crate::run;

/// How long a server may take until it accepts connections.
const READY_MAX: Duration = Duration::from_secs(20);

/// The bucket that is there when versitygw is up.
const BUCKET: &str = "stories";

/// A running server, and how a story finds it.
pub(crate) struct Component {
    child: Child,
    folder: PathBuf,
    /// Environment variables for those who use it.
    pub(crate) environment: Vec<(&'static str, String)>,
}

impl Drop for Component {
    fn drop(&mut self) {
        // A server that is gone already needs no stopping, and its folder is only test data.
        self.child.kill().ok();
        self.child.wait().ok();
        remove_dir_all(&self.folder).ok();
    }
}

/// Starts the component of that name.
pub(crate) fn start(name: &str) -> anyhow::Result<Component> {
    match name {
        "s3" => versitygw(),
        _ => bail!("no such component: {name}; there is s3"),
    }
}

/// Starts versitygw over empty folders, with one bucket. It checks signatures (AWS Signature Version 4).
fn versitygw() -> anyhow::Result<Component> {
    let program = run::cache()?.join("versitygw/bin/versitygw");
    if !program.exists() {
        bail!("versitygw is not in the cache; run scripts/setup s3");
    }
    let folder = run::root()?.join("target/components").join(format!("versitygw-{}", std::process::id()));
    let inside = |name: &str| -> anyhow::Result<PathBuf> {
        let path = folder.join(name);
        create_dir_all(&path).with_context(|| format!("cannot make {}", path.display()))?;
        Ok(path)
    };
    // Versitygw wants the three apart from each other. A bucket is a folder in the first.
    let (data, attributes, versions) = (inside("data")?, inside("attributes")?, inside("versions")?);
    inside(&format!("data/{BUCKET}"))?;
    let log = File::create(folder.join("log")).context("cannot make versitygw's log")?;

    let address = free_address()?;
    let (access_key, secret_key) = (random_hex(10)?, random_hex(20)?);
    let child = Command::new(&program)
        .args(["--access", &access_key, "--secret", &secret_key, "--port", &address.to_string(), "posix"])
        .arg("--sidecar")
        .arg(attributes)
        .arg("--versioning-dir")
        .arg(versions)
        .arg(data)
        .stdout(log.try_clone().context("cannot share versitygw's log")?)
        .stderr(log)
        .spawn()
        .with_context(|| format!("cannot start {}", program.display()))?;
    let mut component = Component {
        child,
        folder,
        environment: vec![
            ("SALLYPORT_S3_ENDPOINT", format!("http://{address}")),
            ("SALLYPORT_S3_REGION", "us-east-1".to_owned()),
            ("SALLYPORT_S3_BUCKET", BUCKET.to_owned()),
            ("SALLYPORT_S3_ACCESS_KEY", access_key),
            ("SALLYPORT_S3_SECRET_KEY", secret_key),
        ],
    };
    await_ready(&mut component, address)?;
    println!("versitygw is up on {address}");
    Ok(component)
}

/// Waits until the server accepts connections. A server that ends instead is reported with its log.
fn await_ready(component: &mut Component, address: SocketAddr) -> anyhow::Result<()> {
    let deadline = Instant::now() + READY_MAX;
    while TcpStream::connect(address).is_err() {
        let ended = component.child.try_wait().context("cannot ask for the server's state")?;
        if ended.is_some() || Instant::now() > deadline {
            let log = std::fs::read_to_string(component.folder.join("log")).unwrap_or_default();
            bail!("the server did not come up on {address}; its log:\n{log}");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

/// A loopback address whose port was free a moment ago.
fn free_address() -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").context("cannot bind a loopback port")?;
    listener.local_addr().context("the listener has no address")
}

/// Random bytes from the kernel, in hexadecimal.
fn random_hex(bytes: usize) -> anyhow::Result<String> {
    let mut buffer = vec![0; bytes];
    let source = Path::new("/dev/urandom");
    File::open(source)
        .and_then(|mut file| file.read_exact(&mut buffer))
        .context("cannot read /dev/urandom")?;
    Ok(buffer.iter().map(|byte| format!("{byte:02x}")).collect())
}
