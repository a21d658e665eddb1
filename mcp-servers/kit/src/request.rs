//! The path of one request from a finished handshake to rmcp and back.

use crate::bearer::Bearer;
use crate::drain::{Counted, InFlight};
use crate::flags::Limits;
use crate::guard::Guard;
use crate::operation::Operation;
use crate::record::{Desk, Record};
use crate::refusal::Refusal;
use crate::session::Sessions;
use crate::sessions::OpenSessions;
use bytes::Bytes;
use certs::{Clock, Peer, SharedSource};
use http::header::{AUTHORIZATION, CONTENT_ENCODING};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use rmcp::ServerHandler;
use rmcp::model::Extensions;
use rmcp::transport::streamable_http_server::StreamableHttpService;
use rustls::pki_types::CertificateDer;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;
use tokens::{Authentic, Claims, Secret};

/// What rmcp answers with.
pub(crate) type Body = BoxBody<Bytes, Infallible>;

/// What all requests to a server share.
pub(crate) struct Frame<H> {
    pub(crate) name: &'static str,
    pub(crate) source: SharedSource,
    pub(crate) clock: Clock,
    pub(crate) bearer: Arc<Bearer>,
    pub(crate) desk: Arc<Desk>,
    pub(crate) sessions: Sessions,
    pub(crate) open: Arc<OpenSessions>,
    pub(crate) limits: Limits,
    pub(crate) in_flight: InFlight,
    pub(crate) mcp: StreamableHttpService<Guard<H>, OpenSessions>,
}

/// The other end of a connection.
pub(crate) struct Connection {
    chain: Vec<CertificateDer<'static>>,
    peer: Peer,
    judged: AtomicU64,
}

/// The token that a request came with, for [`crate::downstream`] alone: tools can't name this type.
#[derive(Clone)]
pub(crate) struct Presented(pub(crate) Secret);

const SESSION_ID: HeaderName = HeaderName::from_static("mcp-session-id");

/// The verified claims of the request that a tool is called by.
pub fn claims(extensions: &Extensions) -> Option<&Claims> {
    extensions.get::<http::request::Parts>()?.extensions.get::<Arc<Authentic>>().map(|token| token.claims())
}

impl Connection {
    pub(crate) fn new(chain: Vec<CertificateDer<'static>>, peer: Peer, generation: u64) -> Self {
        Self { chain, peer, judged: AtomicU64::new(generation) }
    }
}

impl<H: ServerHandler> Frame<H> {
    /// Answers a request. Every exit leaves one record: its `Drop` writes it, behind the last byte of a stream, too.
    pub(crate) async fn answer<B>(
        &self,
        connection: &Connection,
        request: Request<B>,
    ) -> Response<Counted<Body>>
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let entry = self.in_flight.enter();
        let mut record = Record::open(&self.desk, request.headers());
        let (response, endless) = match self.forward(connection, request, &mut record).await {
            Ok((response, endless)) => {
                record.answered(response.status(), None);
                (response, endless)
            }
            Err(refusal) => {
                let response = refusal.response();
                record.answered(response.status(), Some(refusal.code()));
                (response, false)
            }
        };
        response.map(|body| Counted::new(body, record, (!endless).then_some(entry)))
    }

    async fn forward<B>(
        &self,
        connection: &Connection,
        request: Request<B>,
        record: &mut Record,
    ) -> Result<(Response<Body>, bool), Refusal>
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        if !matches!(request.uri().path(), "/" | "/mcp") {
            return Err(Refusal::Path);
        }
        self.judge_again(connection)?;
        let token = self
            .bearer
            .token(request.headers(), &connection.peer, self.clock.now(), Instant::now())
            .map_err(Refusal::Token)?;
        let token = record.token(token);
        let claims = token.claims();
        let presented = Bearer::presented(request.headers());
        let (mut parts, body) = request.into_parts();
        let body = self.whole(&parts.headers, body).await?;
        let operation = match parts.method {
            Method::POST => Operation::of_body(&body).map_err(Refusal::Operation)?,
            _ => Operation::of_stream(),
        };
        let (scope, endless) = (operation.scope(self.name), operation.is_endless());
        let operation = record.operation(operation, &scope);
        let (id, opens) = (operation.id.clone(), operation.opens_a_session());
        if !claims.scopes.contains(&scope) {
            return Err(Refusal::Scope { scope, id });
        }
        self.open_session(&mut parts.headers, claims, id.as_ref())?;
        if opens && self.open.is_full() {
            return Err(Refusal::TooManySessions { id });
        }
        parts.headers.remove(AUTHORIZATION); // Tools see the claims; the token itself opens nothing but an exchange.
        parts.extensions.insert(Arc::clone(&token));
        parts.extensions.insert(record.note());
        if let Some(presented) = presented {
            parts.extensions.insert(Presented(presented));
        }
        let mut response = self.mcp.handle(Request::from_parts(parts, Full::new(body))).await;
        self.seal_session(response.headers_mut(), claims);
        Ok((response, endless))
    }

    /// The handshake's verdict is not for ever: the SVID ends, and bundles change.
    fn judge_again(&self, connection: &Connection) -> Result<(), Refusal> {
        if connection.peer.not_after <= self.clock.now() {
            return Err(Refusal::Peer);
        }
        let identity = self.source.current();
        if connection.judged.load(Ordering::Relaxed) != identity.generation {
            certs::tls::judge(&connection.chain, &identity.bundles, self.clock.now())
                .map_err(|_| Refusal::Peer)?;
            connection.judged.store(identity.generation, Ordering::Relaxed);
        }
        Ok(())
    }

    async fn whole<B>(&self, headers: &HeaderMap, body: B) -> Result<Bytes, Refusal>
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        if headers.contains_key(CONTENT_ENCODING) {
            return Err(Refusal::Encoded);
        }
        let max = self.limits.body_bytes_max;
        if body.size_hint().lower() > max as u64 {
            return Err(Refusal::BodyTooLong { max });
        }
        match tokio::time::timeout(self.limits.body_timeout, Limited::new(body, max).collect()).await {
            Ok(Ok(body)) => Ok(body.to_bytes()),
            Ok(Err(error)) if error.is::<LengthLimitError>() => Err(Refusal::BodyTooLong { max }),
            Ok(Err(_)) => Err(Refusal::BodyBroken),
            Err(_) => Err(Refusal::BodyTooSlow),
        }
    }

    fn open_session(
        &self,
        headers: &mut HeaderMap,
        owner: &Claims,
        id: Option<&String>,
    ) -> Result<(), Refusal> {
        let mut all = headers.get_all(SESSION_ID).iter();
        let Some(sealed) = all.next() else { return Ok(()) };
        let unknown = || Refusal::Session { id: id.cloned() };
        if all.next().is_some() {
            return Err(unknown());
        }
        let inner = sealed.to_str().ok().and_then(|s| self.sessions.open(s, owner)).ok_or_else(unknown)?;
        let inner = HeaderValue::from_str(inner).map_err(|_| unknown())?;
        headers.insert(SESSION_ID, inner);
        Ok(())
    }

    fn seal_session(&self, headers: &mut HeaderMap, owner: &Claims) {
        if let Some(inner) = headers.remove(SESSION_ID)
            && let Ok(inner) = inner.to_str()
            && let Ok(sealed) = HeaderValue::from_str(&self.sessions.seal(inner, owner))
        {
            headers.insert(SESSION_ID, sealed);
        }
    }
}
