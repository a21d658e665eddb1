//! The upstream, a process of its own: behind mutual TLS for the gateway and plain for those who only proxy. It is an MCP
//! server of one answer, and an agent.

use crate::call;
use crate::message::{self, Said};
use crate::streams::Emission;
use bytes::Bytes;
use certs::development::paths_in;
use certs::files::FileSource;
use certs::tls::{Accept, server_config};
use certs::{Clock, SharedSource, SpiffeId};
use http::{Request, Response};
use http_body_util::{BodyExt, Either, Full};
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

async fn respond(request: Request<Incoming>) -> Result<Response<Either<Full<Bytes>, Emission>>, Infallible> {
    let to_the_agent = request.uri().path().starts_with(message::PATH);
    if request.method() != http::Method::POST {
        return Ok(Response::builder().status(404).body(whole(String::new())).unwrap()); // It has no card.
    }
    let Ok(body) = request.into_body().collect().await else {
        return Ok(Response::new(whole(String::new())));
    };
    let body = body.to_bytes();
    let said = if to_the_agent { message::answer(&body) } else { Said::Whole(call::answer(&body)) };
    let (media_type, body) = match said {
        Said::Whole(text) => ("application/json", whole(text)),
        Said::Events { first, each } => ("text/event-stream", Either::Right(Emission::new(&first, each))),
    };
    Ok(Response::builder().header("content-type", media_type).body(body).unwrap())
}

fn whole(text: String) -> Either<Full<Bytes>, Emission> {
    Either::Left(Full::new(Bytes::from(text)))
}
