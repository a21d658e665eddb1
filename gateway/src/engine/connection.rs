//! One connection: hyper speaks HTTP/1.1 or HTTP/2 on it, each request becomes an [`Arrival`], and it ends in good order
//! when the gateway stops, when it has lived as long as connections may, when its SVID expires, and when nothing goes on.

use super::activity::{Activity, UnderWay};
use super::gathered::Gathered;
use super::outgoing::{Outgoing, Pump};
use super::patient::Patient;
use super::{Counted, InFlight};
use crate::config::Limits;
use crate::decode::{Body, BodyError};
use crate::listener::Handshake;
use crate::request::{self, Arrival};
use crate::state::Gateway;
use http::header::{CONNECTION, CONTENT_LENGTH};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use std::convert::Infallible;
use std::net::IpAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;

/// What each request on a connection needs to know of it.
#[derive(Debug)]
pub(super) struct Connection {
    gateway: Arc<Gateway>,
    handshake: Arc<Handshake>,
    ip: Option<IpAddr>,
    http2: bool,
    activity: Arc<Activity>,
    in_flight: Arc<InFlight>,
    stopping: watch::Receiver<bool>,
}

/// How a connection ended.
#[derive(Clone, Copy, Debug)]
enum Ended {
    /// Closed by either side, or cut.
    InGoodOrder,
    /// A request had begun to come, and never became one.
    Unfinished,
    NotHttp,
}

impl From<hyper::Result<()>> for Ended {
    fn from(ended: hyper::Result<()>) -> Self {
        if ended.is_err_and(|error| error.is_parse()) { Self::NotHttp } else { Self::InGoodOrder }
    }
}

/// How long a connection that takes no more requests, and has none, may take to say goodbye.
const GOODBYE: Duration = Duration::from_secs(1);
/// The least that hyper takes for its buffer.
const BUFFER_MIN: usize = 8 * 1024;
/// Answers that announce no more than this are waited for and sent in one write.
const SHORT: usize = 64 * 1024;
/// What one stream of HTTP/2 may send, or have waiting, before it is read.
const STREAM_WINDOW: usize = 64 * 1024;

impl Connection {
    pub(super) fn new(
        gateway: &Arc<Gateway>,
        handshake: Handshake,
        ip: Option<IpAddr>,
        http2: bool,
        in_flight: &Arc<InFlight>,
        stopping: watch::Receiver<bool>,
    ) -> Arc<Self> {
        Arc::new(Self {
            gateway: Arc::clone(gateway),
            handshake: Arc::new(handshake),
            ip,
            http2,
            activity: Arc::new(Activity::new()),
            in_flight: Arc::clone(in_flight),
            stopping,
        })
    }

    /// Serves until the connection ends, or `cut` says so.
    pub(super) async fn serve<T>(self: Arc<Self>, tls: T, cut: impl Future<Output = ()>)
    where
        T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let limits = &self.gateway.limits;
        let io = TokioIo::new(Patient::new(tls, limits.write_timeout, Arc::clone(&self.activity)));
        let each = Arc::clone(&self);
        let service = service_fn(move |request| {
            let (connection, under_way) = (Arc::clone(&each), each.under_way());
            Box::pin(async move { Ok::<_, Infallible>(connection.answer(request, under_way).await) })
        });
        let ended = if self.http2 {
            let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
            let http = http2::Builder::new(TokioExecutor::new())
                .timer(TokioTimer::new())
                .max_concurrent_streams(number(limits.streams_max))
                .max_header_list_size(number(limits.header_bytes_max))
                .initial_stream_window_size(number(STREAM_WINDOW))
                .max_send_buf_size(STREAM_WINDOW)
                .serve_connection(io, service);
            self.until_it_ends(http, |http| http.graceful_shutdown(), cut).await
        } else {
            let http = http1::Builder::new()
                .header_read_timeout(None) // A head has to come before the connection has been idle for too long.
                .max_buf_size(BUFFER_MIN.max(2 * limits.header_bytes_max))
                .serve_connection(io, service);
            self.until_it_ends(http, |http| http.graceful_shutdown(), cut).await
        };
        let cause = match ended {
            Ended::InGoodOrder => return, // Each of its requests has its record, as when it is cut.
            Ended::Unfinished => "no request came in time",
            Ended::NotHttp => "what came is not HTTP",
        };
        self.gateway.audit.refused_connection(self.ip, cause.into());
    }

    async fn until_it_ends<C: Future<Output = hyper::Result<()>>>(
        &self,
        http: C,
        no_more_requests: impl FnOnce(Pin<&mut C>),
        cut: impl Future<Output = ()>,
    ) -> Ended {
        let (mut http, mut cut) = (pin!(http), pin!(cut));
        let limits = &self.gateway.limits;
        let lasts = self.handshake.lasts(limits.connection_age_max, self.gateway.clock.now());
        let until = tokio::time::Instant::now() + lasts;
        let (mut stopping, mut ending) = (self.stopping.clone(), self.handshake.ending.subscribe());
        tokio::select! {
            biased;
            ended = http.as_mut() => return ended.into(),
            () = cut.as_mut() => return Ended::InGoodOrder,
            () = self.activity.rests(limits.idle_timeout, Some(until)) => {}
            _ = stopping.wait_for(|stops| *stops) => {}
            _ = ending.wait_for(|ends| *ends) => {}
        }
        no_more_requests(http.as_mut());
        tokio::select! {
            ended = http => ended.into(),
            () = self.activity.rests(GOODBYE, None) => {
                // Half a request, or a peer that doesn't answer the goodbye of HTTP/2.
                if self.http2 { Ended::InGoodOrder } else { Ended::Unfinished }
            }
            () = cut => Ended::InGoodOrder,
        }
    }

    fn under_way(&self) -> (Counted, UnderWay) {
        (InFlight::one_more(&self.in_flight), Activity::begin(&self.activity))
    }

    /// Answers one request. Dropped before it is done, because the caller has gone, it closes the upstream and leaves the
    /// record.
    async fn answer(&self, request: Request<Incoming>, under_way: (Counted, UnderWay)) -> Response<Outgoing> {
        let limits = &self.gateway.limits;
        let (at, began) = (self.gateway.clock.now(), Instant::now());
        let (head, mut incoming) = request.into_parts();
        let whole = match tokio::time::timeout(limits.body_timeout, body(&head, &mut incoming, limits)).await
        {
            Ok(body) => body,
            Err(_) => Err(BodyError::Timeout),
        };
        if whole.is_err() {
            tokio::spawn(tokio::time::timeout(limits.body_timeout, drain(incoming))); // So that the refusal arrives.
        }
        let is_head = head.method == Method::HEAD;
        let arrival = Arrival {
            handshake: Arc::clone(&self.handshake),
            ip: self.ip,
            at,
            began,
            method: head.method,
            version: head.version,
            uri: head.uri,
            headers: head.headers,
            body: whole,
            one_url: None,
        };
        let answer = request::handle(&self.gateway, arrival).await;
        let mut response = Response::new(Outgoing::none());
        *response.status_mut() = answer.status;
        *response.headers_mut() = answer.headers;
        if answer.close && self.http2 {
            self.handshake.ending.send_replace(true);
        } else if answer.close {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        if is_head || matches!(answer.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED) {
            answer.body.complete();
            return response;
        }
        let length = length(response.headers());
        let pump = Pump {
            body: answer.body,
            length,
            write_timeout: limits.write_timeout,
            stopping: self.stopping.clone(),
            under_way,
        };
        *response.body_mut() = if length.is_some_and(|length| length <= SHORT) {
            pump.whole().await
        } else {
            pump.start().await
        };
        response
    }
}

/// Reads a body within its limits. A length that is announced and too long is refused before a byte of it is read.
async fn body(head: &Parts, incoming: &mut Incoming, limits: &Limits) -> Body {
    let target = head.uri.path_and_query().map_or(0, |target| target.as_str().len());
    if target + head_bytes(&head.headers) > limits.header_bytes_max {
        return Err(BodyError::HeadTooLong { max: limits.header_bytes_max });
    }
    let max = limits.body_bytes_max;
    if length(&head.headers).is_some_and(|announced| announced > max) {
        return Err(BodyError::TooLong { max });
    }
    let mut gathered = Gathered::default();
    while let Some(frame) = incoming.frame().await {
        let frame = frame.map_err(|error| BodyError::Broken(error.to_string()))?;
        let Ok(chunk) = frame.into_data() else { continue }; // Trailers say nothing here.
        if gathered.len() + chunk.len() > max {
            return Err(BodyError::TooLong { max });
        }
        gathered.push(chunk);
    }
    Ok(gathered.into_bytes())
}

/// Reads what is left of a body that was refused: a caller that still writes would not read the refusal.
async fn drain(mut incoming: Incoming) {
    while let Some(Ok(_)) = incoming.frame().await {}
}

fn length(headers: &HeaderMap) -> Option<usize> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

fn head_bytes(headers: &HeaderMap) -> usize {
    headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum()
}
