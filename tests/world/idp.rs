//! A fake identity provider on a real socket: documents by path, its keys at `/jwks`, and all that it was asked.

use certs::Clock;
use certs::development::Domain;
use http::{Response, StatusCode};
use http_body_util::Full;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::Value;
use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use tempfile::TempDir;
use tokens::SigningKey;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

pub struct Idp {
    pub url: String,
    pub key: SigningKey,
    asked: Arc<Mutex<Vec<String>>>,
    dir: TempDir,
}

impl Idp {
    /// Serves what `documents` makes of a path and the provider's own URL, and the keys.
    pub async fn start(documents: impl Fn(&str, &str) -> Option<String> + Clone + Send + 'static) -> Self {
        certs::install_crypto();
        let dir = tempfile::tempdir().unwrap();
        let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("https://{}", tcp.local_addr().unwrap());
        let tls = TlsAcceptor::from(Arc::new(tls(&dir)));
        let key = SigningKey::generate().unwrap();
        let jwks = SigningKey::jwks([&key]).to_string();
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let (kept, own) = (Arc::clone(&asked), url.clone());
        let answer = move |path: &str| {
            kept.lock().unwrap().push(path.to_owned());
            if path == "/jwks" { Some(jwks.clone()) } else { documents(path, &own) }
        };
        tokio::spawn(async move {
            while let Ok((stream, _)) = tcp.accept().await {
                let (tls, answer) = (tls.clone(), answer.clone());
                tokio::spawn(async move {
                    let Ok(stream) = tls.accept(stream).await else { return };
                    let service = service_fn(move |request: http::Request<hyper::body::Incoming>| {
                        let found = answer(request.uri().path());
                        let status = if found.is_some() { StatusCode::OK } else { StatusCode::NOT_FOUND };
                        let body = Full::<bytes::Bytes>::from(found.unwrap_or_default());
                        std::future::ready(Ok::<_, Infallible>(
                            Response::builder().status(status).body(body).unwrap(),
                        ))
                    });
                    let _ = hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
            }
        });
        Self { url, key, asked, dir }
    }

    /// The paths that were asked for, in their order.
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }

    /// What the configuration says of its server.
    pub fn server(&self) -> String {
        format!("{{ca_file: {}}}", self.authorities().display())
    }

    /// The authorities that its server's certificate leads to.
    pub fn authorities(&self) -> PathBuf {
        self.dir.path().join("bundle.pem")
    }

    /// A signed token of any claims.
    pub fn token(&self, claims: &Value) -> String {
        self.key.sign("at+jwt", claims.as_object().unwrap()).unwrap().expose().to_owned()
    }
}

fn tls(dir: &TempDir) -> rustls::ServerConfig {
    let clock = Clock::system();
    let name = certs::TrustDomain::new("idp.test").unwrap();
    let domain = Domain::open(&dir.path().join("ca"), &name, &clock).unwrap();
    let paths =
        domain.write_svid(dir.path(), &domain.id("idp").unwrap(), &["127.0.0.1"], clock.now()).unwrap();
    let chain = CertificateDer::pem_file_iter(&paths.certificate).unwrap().map(Result::unwrap).collect();
    let key = PrivateKeyDer::from_pem_file(&paths.private_key).unwrap();
    rustls::ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key).unwrap()
}
