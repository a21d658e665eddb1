//! The upstream, a process of its own: one answer, behind mutual TLS for the gateway and plain for those who only proxy.

use crate::call::answer;
use bytes::Bytes;
use certs::development::paths_in;
use certs::files::FileSource;
use certs::tls::{Accept, server_config};
use certs::{Clock, SharedSource, SpiffeId};
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde::{Deserialize, Serialize};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// What the process is told: a mutual-TLS door for each SVID, and who may come in.
#[derive(Serialize, Deserialize)]
pub(crate) struct Upstream {
    pub(crate) svids: Vec<PathBuf>,
    pub(crate) caller: SpiffeIdText,
}

/// A SPIFFE ID on its way to another process.
pub(crate) type SpiffeIdText = String;

/// What the process says: its addresses.
#[derive(Serialize, Deserialize)]
pub(crate) struct Doors {
    pub(crate) plain: SocketAddr,
    pub(crate) mutual: Vec<SocketAddr>,
}

pub(crate) async fn serve(upstream: Upstream) {
    let caller = SpiffeId::new(&upstream.caller).unwrap();
    let mut mutual = Vec::new();
    for svid in &upstream.svids {
        let source: SharedSource = FileSource::open(paths_in(svid)).unwrap();
        let accept = Accept::Ids(vec![caller.clone()]);
        let config = server_config(source, accept, &["http/1.1"], Clock::system()).unwrap();
        mutual.push(open(Some(TlsAcceptor::from(Arc::new(config)))).await);
    }
    let doors = Doors { plain: open(None).await, mutual };
    println!("{}", serde_json::to_string(&doors).unwrap());
    std::future::pending().await
}

async fn open(tls: Option<TlsAcceptor>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            tcp.set_nodelay(true).unwrap();
            let tls = tls.clone();
            tokio::spawn(async move {
                match tls {
                    Some(tls) => {
                        if let Ok(tls) = tls.accept(tcp).await {
                            connection(tls).await;
                        }
                    }
                    None => connection(tcp).await,
                }
            });
        }
    });
    address
}

async fn connection(io: impl AsyncRead + AsyncWrite + Unpin) {
    // A connection that breaks is seen by the load, which counts its answers.
    let _ = hyper::server::conn::http1::Builder::new()
        .serve_connection(TokioIo::new(io), service_fn(respond))
        .await;
}

async fn respond(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let Ok(body) = request.into_body().collect().await else { return Ok(Response::default()) };
    let answer = Full::new(Bytes::from(answer(&body.to_bytes())));
    Ok(Response::builder().header("content-type", "application/json").body(answer).unwrap())
}
