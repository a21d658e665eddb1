//! Pingora's stock TLS proxying, the benchmark's yardstick: TLS toward callers without a client certificate, plain HTTP to
//! one upstream, and no filter, so that nothing is decided.
//!
//!     stock-pingora LISTEN UPSTREAM CERTIFICATE KEY THREADS

use async_trait::async_trait;
use pingora::listeners::tls::TlsSettings;
use pingora::prelude::{HttpPeer, ProxyHttp, Session, http_proxy_service};
use pingora::server::Server;
use pingora::server::configuration::ServerConf;
use std::net::SocketAddr;
use std::sync::Arc;

struct Stock {
    upstream: SocketAddr,
}

#[async_trait]
impl ProxyHttp for Stock {
    type CTX = ();

    fn new_ctx(&self) {}

    async fn upstream_peer(&self, _: &mut Session, _: &mut ()) -> pingora::Result<Box<HttpPeer>> {
        Ok(Box::new(HttpPeer::new(self.upstream, false, String::new())))
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [listen, upstream, certificate, key, threads] = words.as_slice() else {
        return Err("usage: stock-pingora LISTEN UPSTREAM CERTIFICATE KEY THREADS".into());
    };
    let conf = ServerConf { threads: threads.parse()?, ..ServerConf::default() };
    let mut server = Server::new_with_opt_and_conf(None, conf);
    let mut service =
        http_proxy_service(&Arc::clone(&server.configuration), Stock { upstream: upstream.parse()? });
    service.add_tls_with_settings(listen, None, TlsSettings::intermediate(certificate, key)?);
    server.add_service(service);
    server.run_forever()
}
