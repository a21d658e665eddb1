//! A small HTTPS client for the few calls that the gateway makes for itself: keys and token exchanges.
//! One connection a call, a deadline for all of it, a bound on the answer, no redirects, no proxy, no cookies.

use crate::config::HttpsServer;
use bytes::Bytes;
use certs::{Clock, Identity, OneGeneration, SharedSource};
use http::response::Parts;
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, InvalidDnsNameError, ServerName};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use url::Url;

/// A client for servers that prove themselves in one way.
#[derive(Clone, Debug)]
pub struct Https {
    tls: Arc<ClientConfig>,
}

/// Why a call gave no body.
#[derive(Debug, thiserror::Error)]
pub enum HttpsError {
    /// The authorities' file can't be used.
    #[error("the authorities in {0} can't be used")]
    Authorities(String),
    /// TLS could not be configured.
    #[error("TLS could not be configured")]
    Tls(#[from] rustls::Error),
    /// The URL's host isn't one.
    #[error("the URL's host can't be connected to")]
    Host(#[from] InvalidDnsNameError),
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
    #[error("the answer's body can't be read within its limit")]
    Body,
    /// Another status than 200. The body is for the log.
    #[error("the answer was {status}")]
    Status {
        /// Which.
        status: StatusCode,
        /// What came with it, within the limit.
        body: Bytes,
    },
}

impl Https {
    /// A client for servers that prove themselves as `server` says.
    ///
    /// # Errors
    /// [`HttpsError::Authorities`] if the file can't be used.
    pub fn new(server: &HttpsServer, source: &SharedSource, clock: &Clock) -> Result<Self, HttpsError> {
        Ok(Self { tls: Arc::new(Self::tls(server, source, clock)?) })
    }

    /// The same, which also shows our SVID to a server that proves itself by its host name, if that asks.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn showing_our_svid(
        server: &HttpsServer,
        source: &SharedSource,
        clock: &Clock,
    ) -> Result<Self, HttpsError> {
        let mut tls = Self::tls(server, source, clock)?;
        tls.client_auth_cert_resolver = certs::tls::own_certificate(Arc::clone(source));
        Ok(Self { tls: Arc::new(tls) })
    }

    /// The same client with the certificate of one snapshot, whatever has come since: for answers that are bound to the
    /// one that was shown. Servers that are shown none are shown none.
    pub fn showing(&self, identity: &Arc<Identity>) -> Self {
        if !self.tls.client_auth_cert_resolver.has_certs() {
            return self.clone();
        }
        let mut tls = ClientConfig::clone(&self.tls);
        tls.client_auth_cert_resolver =
            certs::tls::own_certificate(Arc::new(OneGeneration(Arc::clone(identity))));
        Self { tls: Arc::new(tls) }
    }

    fn tls(server: &HttpsServer, source: &SharedSource, clock: &Clock) -> Result<ClientConfig, HttpsError> {
        Ok(match server {
            HttpsServer::SpiffeId(id) => {
                certs::tls::client_config(Arc::clone(source), id.clone(), clock.clone())?
            }
            HttpsServer::CaFile(path) => {
                let unusable = || HttpsError::Authorities(path.display().to_string());
                let authorities: Result<Vec<_>, _> =
                    CertificateDer::pem_file_iter(path).map_err(|_| unusable())?.collect();
                by_host_name(authorities.map_err(|_| unusable())?)
            }
            HttpsServer::System => by_host_name(rustls_native_certs::load_native_certs().certs),
        })
    }

    /// GET, 200 expected.
    ///
    /// # Errors
    /// [`HttpsError`]; every one may be tried again.
    pub async fn get(&self, url: &Url, timeout: Duration, bytes_max: usize) -> Result<Vec<u8>, HttpsError> {
        self.get_with(url, None, timeout, bytes_max).await
    }

    /// The same with one header field more.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub async fn get_with(
        &self,
        url: &Url,
        field: Option<(HeaderName, HeaderValue)>,
        timeout: Duration,
        bytes_max: usize,
    ) -> Result<Vec<u8>, HttpsError> {
        let mut request = request(Method::GET, url, None);
        request.headers_mut().extend(field);
        self.call(request, url, timeout, bytes_max).await
    }

    /// POST of a form, with an `Authorization` if there is one, 200 expected.
    ///
    /// # Errors
    /// [`HttpsError`]; after [`HttpsError::Connect`] nothing was sent.
    pub async fn post_form(
        &self,
        url: &Url,
        form: String,
        authorization: Option<HeaderValue>,
        timeout: Duration,
        bytes_max: usize,
    ) -> Result<Vec<u8>, HttpsError> {
        let mut request = request(Method::POST, url, Some(form));
        if let Some(authorization) = authorization {
            request.headers_mut().insert(header::AUTHORIZATION, authorization);
        }
        self.call(request, url, timeout, bytes_max).await
    }

    async fn call(
        &self,
        request: Request<Full<Bytes>>,
        url: &Url,
        timeout: Duration,
        bytes_max: usize,
    ) -> Result<Vec<u8>, HttpsError> {
        let exchange = self.exchange(request, url, bytes_max);
        tokio::time::timeout(timeout, exchange).await.map_err(|_| HttpsError::Timeout)?
    }

    async fn exchange(
        &self,
        request: Request<Full<Bytes>>,
        url: &Url,
        bytes_max: usize,
    ) -> Result<Vec<u8>, HttpsError> {
        let answer = converse(self.connect(url).await?, request, bytes_max).await?;
        let (status, body) = (answer.status(), answer.into_body());
        if status == StatusCode::OK { Ok(body.to_vec()) } else { Err(HttpsError::Status { status, body }) }
    }

    /// A connection to a URL's server, which has proven itself.
    ///
    /// # Errors
    /// [`HttpsError`]; nothing was sent.
    pub(crate) async fn connect(&self, url: &Url) -> Result<TlsStream<TcpStream>, HttpsError> {
        let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
        let tcp = TcpStream::connect((host, url.port_or_known_default().unwrap_or(443))).await?;
        self.over(tcp, url).await
    }

    /// The same over a connection that is there already, to an address that somebody else has chosen.
    ///
    /// # Errors
    /// [`HttpsError`]; nothing was sent.
    pub(crate) async fn over(&self, tcp: TcpStream, url: &Url) -> Result<TlsStream<TcpStream>, HttpsError> {
        let host = url.host_str().unwrap_or_default();
        let name = ServerName::try_from(host.trim_matches(['[', ']']).to_owned())?;
        Ok(TlsConnector::from(Arc::clone(&self.tls)).connect(name, tcp).await?)
    }
}

/// One request on a connection of its own, and all of the answer.
///
/// # Errors
/// [`HttpsError`]; any status is an answer.
pub(crate) async fn converse<S>(
    stream: S,
    request: Request<Full<Bytes>>,
    bytes_max: usize,
) -> Result<Response<Bytes>, HttpsError>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let _driver = Driver(tokio::spawn(connection));
    let (head, body) = sender.send_request(request).await?.into_parts();
    let body = Limited::new(body, bytes_max).collect().await.map_err(|_| HttpsError::Body)?.to_bytes();
    Ok(Response::from_parts(head, body))
}

/// The same, and nothing of the answer but its head.
///
/// # Errors
/// [`HttpsError`]; any status is an answer.
pub(crate) async fn head_of<S>(stream: S, request: Request<Full<Bytes>>) -> Result<Parts, HttpsError>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let _driver = Driver(tokio::spawn(connection));
    Ok(sender.send_request(request).await?.into_parts().0)
}

/// What moves a connection's bytes. The connection ends with it, also when nobody waits for the answer any more.
struct Driver(JoinHandle<hyper::Result<()>>);

impl Drop for Driver {
    fn drop(&mut self) {
        self.0.abort();
    }
}

pub(crate) fn request(method: Method, url: &Url, form: Option<String>) -> Request<Full<Bytes>> {
    let mut request = Request::new(Full::new(Bytes::from(form.clone().unwrap_or_default())));
    *request.method_mut() = method;
    let target = &url[url::Position::BeforePath..url::Position::AfterQuery];
    *request.uri_mut() = target.parse().unwrap_or_default(); // A parsed URL's path and query are a valid request target.
    let headers = request.headers_mut();
    if let Ok(host) = url[url::Position::BeforeHost..url::Position::AfterPort].parse() {
        headers.insert(header::HOST, host);
    }
    headers.insert(header::ACCEPT, header::HeaderValue::from_static("application/json"));
    if form.is_some() {
        headers.insert(
            header::CONTENT_TYPE,
            header::HeaderValue::from_static("application/x-www-form-urlencoded"),
        );
    }
    request
}

fn by_host_name(authorities: Vec<CertificateDer<'static>>) -> ClientConfig {
    let mut roots = rustls::RootCertStore::empty();
    roots.add_parsable_certificates(authorities);
    let mut config =
        ClientConfig::builder_with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
            .with_root_certificates(roots)
            .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config
}
