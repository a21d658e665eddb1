//! A store on a socket that does one thing, whatever it is asked.
#![allow(dead_code, clippy::unwrap_used, reason = "each test file uses its part; a test ends by panicking")]

use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpSocket;
use tokio_rustls::TlsAcceptor;

#[derive(Clone, Debug)]
pub(crate) enum Behaviour {
    Down,
    Silent,
    Closes,
    /// The beginning of an answer.
    Half,
    /// More than was asked for.
    Long,
    Says(u16, String),
    /// An object that is `hello`, perhaps with its SHA-256 in base64.
    Hello(Option<&'static str>),
}

pub(crate) struct Upstream {
    pub(crate) url: String,
    heard: Arc<Mutex<Vec<String>>>,
}

impl Upstream {
    pub(crate) async fn start(behaviour: Behaviour) -> Self {
        Self::listen(behaviour, None).await
    }

    /// Behind TLS, with a certificate of its own (PEM).
    pub(crate) async fn tls(behaviour: Behaviour) -> (Self, String) {
        certs::install_crypto();
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
        let certificate = params.self_signed(&key).unwrap();
        let config = rustls::ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(
                vec![certificate.der().clone()],
                PrivateKeyDer::Pkcs8(key.serialize_der().into()),
            )
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        (Self::listen(behaviour, Some(acceptor)).await, certificate.pem())
    }

    async fn listen(behaviour: Behaviour, tls: Option<TlsAcceptor>) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(([127, 0, 0, 1], 0).into()).unwrap();
        let scheme = if tls.is_some() { "https" } else { "http" };
        let url = format!("{scheme}://{}", socket.local_addr().unwrap());
        let heard = Arc::new(Mutex::new(Vec::new()));
        let upstream = Self { url, heard: Arc::clone(&heard) };
        if matches!(behaviour, Behaviour::Down) {
            std::mem::forget(socket); // Nobody listens there, and nobody else gets the port.
        } else {
            let listener = socket.listen(64).unwrap();
            tokio::spawn(async move {
                while let Ok((stream, _)) = listener.accept().await {
                    let (behaviour, heard, tls) = (behaviour.clone(), Arc::clone(&heard), tls.clone());
                    tokio::spawn(async move {
                        match tls {
                            None => serve(stream, behaviour, heard).await,
                            Some(tls) => {
                                if let Ok(stream) = tls.accept(stream).await {
                                    serve(stream, behaviour, heard).await;
                                }
                            }
                        }
                    });
                }
            });
        }
        upstream
    }

    /// The head of each request.
    pub(crate) fn heard(&self) -> Vec<String> {
        self.heard.lock().unwrap().clone()
    }
}

async fn serve(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    behaviour: Behaviour,
    heard: Arc<Mutex<Vec<String>>>,
) {
    let mut bytes = Vec::new();
    let head = loop {
        if stream.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
            return;
        }
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = header(head, "content-length").map_or(0, |l| l.parse().unwrap());
        if body.len() >= length {
            break head.to_owned();
        }
    };
    heard.lock().unwrap().push(head.clone());
    let object = "etag: \"e\"\r\nlast-modified: Thu, 01 Jan 2026 00:00:00 GMT\r\n";
    let (status, extra, body, length) = match behaviour {
        // A page of something in between tells nothing of an object.
        Behaviour::Says(status, body) if body.starts_with("<html") => {
            (status, "location: /elsewhere\r\n".to_owned(), body, None)
        }
        Behaviour::Says(status, body) => (status, object.to_owned(), body, None),
        Behaviour::Half => (200, object.to_owned(), "he".to_owned(), Some(1000)),
        Behaviour::Long => {
            let extra = format!("{object}content-range: bytes 0-9/1000\r\n");
            (206, extra, "x".repeat(1000), None)
        }
        Behaviour::Hello(checksum) => hello(&head, object, checksum),
        Behaviour::Silent => return std::future::pending().await,
        Behaviour::Closes | Behaviour::Down => return,
    };
    let length = length.unwrap_or(body.len());
    let body = if head.starts_with("HEAD") { String::new() } else { body };
    let reply =
        format!("HTTP/1.1 {status} X\r\ncontent-length: {length}\r\n{extra}connection: close\r\n\r\n{body}");
    let _ = stream.write_all(reply.as_bytes()).await;
    let _ = stream.shutdown().await;
}

fn hello(head: &str, object: &str, checksum: Option<&str>) -> (u16, String, String, Option<usize>) {
    let kept = match (checksum, header(head, "x-amz-checksum-mode")) {
        (Some(checksum), Some(_)) => format!("x-amz-checksum-sha256: {checksum}\r\n"),
        _ => String::new(),
    };
    let end = header(head, "range").and_then(|r| r.rsplit_once('-')?.1.parse().ok());
    match end.map(|end: usize| end.min(4)) {
        Some(end) => {
            let extra = format!("{object}content-range: bytes 0-{end}/5\r\n");
            (206, extra, "hello"[..=end].to_owned(), None)
        }
        None => (200, format!("{object}{kept}"), "hello".to_owned(), None),
    }
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().find_map(|line| {
        let (found, value) = line.split_once(": ")?;
        found.eq_ignore_ascii_case(name).then_some(value)
    })
}
