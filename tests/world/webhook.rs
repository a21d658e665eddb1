//! A fake receiver of push notifications, on a real TLS socket, with a certificate of authorities of its own.

use crate::server::Received;
use certs::Clock;
use certs::development::Domain;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

/// What it says to a request: an answer, or none ever.
pub type Said = Option<Response<()>>;
type Script = Box<dyn FnMut(&Received) -> Said + Send>;

pub struct Webhook {
    pub address: SocketAddr,
    received: Arc<watch::Sender<Vec<Received>>>,
    script: Arc<Mutex<Script>>,
    dir: TempDir,
}

/// An answer of a status and nothing else.
pub fn status(status: u16) -> Said {
    Some(Response::builder().status(status).body(()).unwrap())
}

impl Webhook {
    /// One that takes everything, at 127.0.0.1 and localhost.
    pub async fn start() -> Self {
        certs::install_crypto();
        let dir = tempfile::tempdir().unwrap();
        let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = tcp.local_addr().unwrap();
        let tls = TlsAcceptor::from(Arc::new(tls(&dir)));
        let received = Arc::new(watch::Sender::new(Vec::new()));
        let script: Arc<Mutex<Script>> = Arc::new(Mutex::new(Box::new(|_: &Received| status(204))));
        let (kept, said) = (Arc::clone(&received), Arc::clone(&script));
        tokio::spawn(async move {
            while let Ok((stream, _)) = tcp.accept().await {
                let (tls, kept, said) = (tls.clone(), Arc::clone(&kept), Arc::clone(&said));
                tokio::spawn(async move {
                    let Ok(stream) = tls.accept(stream).await else { return };
                    let service =
                        service_fn(move |request| answered(request, Arc::clone(&kept), Arc::clone(&said)));
                    let http = hyper::server::conn::http1::Builder::new();
                    let _ = http.serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        Self { address, received, script, dir }
    }

    /// From now on it answers like this.
    pub fn answers(&self, script: impl FnMut(&Received) -> Said + Send + 'static) {
        *self.script.lock().unwrap() = Box::new(script);
    }

    /// A URL of it.
    pub fn url(&self, path: &str) -> String {
        format!("https://{}{path}", self.address)
    }

    /// The authorities that its certificate leads to.
    pub fn authorities(&self) -> PathBuf {
        self.dir.path().join("bundle.pem")
    }

    /// All that has come.
    pub fn received(&self) -> Vec<Received> {
        self.received.borrow().clone()
    }

    /// Waits until so many have come.
    pub async fn has_received(&self, count: usize) -> Vec<Received> {
        let mut seen = self.received.subscribe();
        let enough = seen.wait_for(|all| all.len() >= count);
        let found = tokio::time::timeout(Duration::from_secs(20), enough).await;
        found.unwrap_or_else(|_| panic!("{} of {count} came", self.received().len())).unwrap().clone()
    }
}

async fn answered(
    request: Request<Incoming>,
    kept: Arc<watch::Sender<Vec<Received>>>,
    said: Arc<Mutex<Script>>,
) -> Result<Response<Full<bytes::Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let Ok(body) = body.collect().await else { return Ok(Response::default()) };
    let received = Received {
        method: head.method,
        path: head.uri.to_string(),
        headers: head.headers,
        body: body.to_bytes(),
    };
    let answer = (said.lock().unwrap())(&received);
    kept.send_modify(|all| all.push(received));
    match answer {
        Some(answer) => Ok(answer.map(|()| Full::default())),
        None => std::future::pending().await,
    }
}

fn tls(dir: &TempDir) -> rustls::ServerConfig {
    let clock = Clock::system();
    let name = certs::TrustDomain::new("hooks.test").unwrap();
    let domain = Domain::open(&dir.path().join("ca"), &name, &clock).unwrap();
    let names = ["127.0.0.1", "localhost"];
    let paths = domain.write_svid(dir.path(), &domain.id("hook").unwrap(), &names, clock.now()).unwrap();
    let chain = CertificateDer::pem_file_iter(&paths.certificate).unwrap().map(Result::unwrap).collect();
    let key = PrivateKeyDer::from_pem_file(&paths.private_key).unwrap();
    rustls::ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key).unwrap()
}
