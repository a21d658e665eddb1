//! Pingora's stock TLS proxying, the benchmark's yardstick: TLS toward callers without a client certificate, plain HTTP to
//! one upstream, and no filter, so that nothing is decided. With `mutual`, TLS toward the upstream as well, which is shown
//! the same certificate; its own is not looked at.
//!
//!     stock-pingora LISTEN UPSTREAM CERTIFICATE KEY THREADS [mutual]

use async_trait::async_trait;
use pingora::listeners::tls::TlsSettings;
use pingora::prelude::{HttpPeer, ProxyHttp, Session, http_proxy_service};
use pingora::server::Server;
use pingora::server::configuration::ServerConf;
use pingora::utils::tls::CertKey;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use std::net::SocketAddr;
use std::sync::Arc;

struct Stock {
    upstream: SocketAddr,
    shown: Option<Arc<CertKey>>,
}

#[async_trait]
impl ProxyHttp for Stock {
    type CTX = ();

    fn new_ctx(&self) {}

    async fn upstream_peer(&self, _: &mut Session, _: &mut ()) -> pingora::Result<Box<HttpPeer>> {
        let Some(shown) = &self.shown else {
            return Ok(Box::new(HttpPeer::new(self.upstream, false, String::new())));
        };
        let mut peer = HttpPeer::new_mtls(self.upstream, "upstream.test".to_owned(), Arc::clone(shown));
        peer.options.verify_cert = false;
        peer.options.verify_hostname = false;
        Ok(Box::new(peer))
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let (all, mutual) = match words.split_last() {
        Some((last, all)) if last == "mutual" => (all, true),
        _ => (words.as_slice(), false),
    };
    let [listen, upstream, certificate, key, threads] = all else {
        return Err("usage: stock-pingora LISTEN UPSTREAM CERTIFICATE KEY THREADS [mutual]".into());
    };
    let shown = if mutual { Some(Arc::new(read(certificate, key)?)) } else { None };
    let conf = ServerConf { threads: threads.parse()?, ..ServerConf::default() };
    let mut server = Server::new_with_opt_and_conf(None, conf);
    let mut service =
        http_proxy_service(&Arc::clone(&server.configuration), Stock { upstream: upstream.parse()?, shown });
    service.add_tls_with_settings(listen, None, TlsSettings::intermediate(certificate, key)?);
    server.add_service(service);
    server.run_forever()
}

fn read(certificate: &str, key: &str) -> Result<CertKey, Box<dyn std::error::Error>> {
    let chain: Vec<CertificateDer<'_>> =
        CertificateDer::pem_file_iter(certificate)?.collect::<Result<_, _>>()?;
    let key = PrivateKeyDer::from_pem_file(key)?.secret_der().to_vec();
    Ok(CertKey::new(chain.iter().map(|one| one.to_vec()).collect(), key))
}
