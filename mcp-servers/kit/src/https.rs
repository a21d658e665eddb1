//! A small HTTP client for the few calls that a server makes for itself: to a collector of traces and to a token service.
//! One connection a call, a bound on the answer, no redirects, no proxy. Over TLS both sides prove themselves by SVIDs.

use bytes::Bytes;
use certs::{Clock, SharedSource, SpiffeId};
use http::header::HOST;
use http::{HeaderValue, Request, Response};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use url::{Position, Url};

/// A client for one URL.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    url: Url,
    tls: Option<Arc<ClientConfig>>,
}

/// Why a call gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Neither `http://` nor `https://` with a SPIFFE ID to expect.
    #[error(
        "{0} can't be called: an https:// URL needs the SPIFFE ID of its server, and no other scheme is known"
    )]
    Url(String),
    /// TLS could not be configured.
    #[error("TLS could not be configured")]
    Tls(#[from] rustls::Error),
    /// No connection, or TLS with a server that isn't who it should be.
    #[error("the connection failed")]
    Connect(#[from] std::io::Error),
    /// HTTP failed.
    #[error("the request failed")]
    Http(#[from] hyper::Error),
    /// Out of time.
    #[error("no answer in time")]
    Timeout,
    /// The answer is longer than allowed, or broke off.
    #[error("the answer can't be read within its limit")]
    Body,
}

impl Client {
    /// A client that shows our SVID and expects `server` at an `https://` URL; at `http://` nobody proves anything.
    ///
    /// # Errors
    /// [`ClientError::Url`] or [`ClientError::Tls`].
    pub(crate) fn new(
        url: &Url,
        server: Option<&SpiffeId>,
        source: &SharedSource,
        clock: &Clock,
    ) -> Result<Self, ClientError> {
        let tls = match (url.scheme(), server) {
            ("http", None) => None,
            ("https", Some(id)) => {
                let config = certs::tls::client_config(Arc::clone(source), id.clone(), clock.clone())?;
                Some(Arc::new(config))
            }
            _ => return Err(ClientError::Url(url.to_string())),
        };
        Ok(Self { url: url.clone(), tls })
    }

    pub(crate) fn url(&self) -> &Url {
        &self.url
    }

    /// Sends a request to the URL, whatever target it names itself.
    ///
    /// # Errors
    /// [`ClientError`]; any status is an answer.
    pub(crate) async fn call(
        &self,
        request: Request<Bytes>,
        bytes_max: usize,
    ) -> Result<Response<Bytes>, ClientError> {
        let mut request = request.map(Full::new);
        let target = &self.url[Position::BeforePath..Position::AfterQuery];
        *request.uri_mut() = target.parse().unwrap_or_default(); // A parsed URL's path and query are a valid target.
        if let Ok(host) = HeaderValue::from_str(&self.url[Position::BeforeHost..Position::AfterPort]) {
            request.headers_mut().insert(HOST, host);
        }
        let host = self.url.host_str().unwrap_or_default().trim_matches(['[', ']']);
        let tcp = TcpStream::connect((host, self.url.port_or_known_default().unwrap_or(443))).await?;
        match &self.tls {
            None => converse(tcp, request, bytes_max).await,
            Some(tls) => {
                let name = ServerName::try_from(host.to_owned())
                    .map_err(|_| ClientError::Url(self.url.to_string()))?;
                let stream = TlsConnector::from(Arc::clone(tls)).connect(name, tcp).await?;
                converse(stream, request, bytes_max).await
            }
        }
    }
}

async fn converse<S>(
    stream: S,
    request: Request<Full<Bytes>>,
    bytes_max: usize,
) -> Result<Response<Bytes>, ClientError>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let driver = tokio::spawn(connection);
    let (head, body) = sender.send_request(request).await?.into_parts();
    let body = Limited::new(body, bytes_max).collect().await.map_err(|_| ClientError::Body)?.to_bytes();
    driver.abort();
    Ok(Response::from_parts(head, body))
}
