//! Connections to the gRPC interfaces of agents: mutual TLS to one expected SPIFFE ID as in [`super::pool`], but over
//! HTTP/2, where calls share a connection. One that is closing, or whose SVIDs are about to expire, takes no more calls.

use super::pool::{BEFORE_EXPIRY, Key, Pool};
use super::{UpstreamError, pool};
use crate::config::Server;
use crate::metrics::Counted;
use bytes::Bytes;
use certs::Identity;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

/// The connections, one for each agent and identity.
#[derive(Debug, Default)]
pub(super) struct Multiplexed(Mutex<HashMap<Key, Connection>>);

#[derive(Clone, Debug)]
struct Connection {
    sender: SendRequest<Full<Bytes>>,
    until: SystemTime,
    /// Ends the task that moves its bytes, once the last call is over.
    _counted: Arc<Counted>,
}

impl Pool {
    /// Sends over HTTP/2, on the connection to the agent or a new one, and waits for the head of the answer. The time is
    /// when the connection must have ended.
    ///
    /// # Errors
    /// [`UpstreamError`]. A call that has left is never sent twice.
    pub(super) async fn send_grpc(
        &self,
        server: &Server,
        identity: &Arc<Identity>,
        mut request: Request<Full<Bytes>>,
    ) -> Result<(Response<Incoming>, SystemTime), UpstreamError> {
        loop {
            let key = Key::new(server, identity);
            let (mut connection, fresh) = match self.open(&key) {
                Some(connection) => (connection, false),
                None => (Box::pin(self.connect_grpc(server, identity, key)).await?, true),
            };
            if connection.sender.ready().await.is_err() {
                if fresh {
                    return Err(UpstreamError::Closed);
                }
                continue; // It was closed meanwhile.
            }
            let answer =
                tokio::time::timeout(self.response_timeout, connection.sender.try_send_request(request));
            match answer.await.map_err(|_| UpstreamError::Timeout)? {
                Ok(response) => return Ok((response, connection.until)),
                Err(mut failed) => match failed.take_message() {
                    Some(unsent) if !fresh => request = unsent, // Nothing has left.
                    _ => return Err(failed.into_error().into()),
                },
            }
        }
    }

    /// The connection that takes calls, if there is one. Those that don't any more are let go.
    fn open(&self, key: &Key) -> Option<Connection> {
        let now = self.clock.now();
        let mut all = self.multiplexed.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, connection| !connection.sender.is_closed() && now + BEFORE_EXPIRY < connection.until);
        all.get(key).cloned()
    }

    async fn connect_grpc(
        &self,
        server: &Server,
        identity: &Arc<Identity>,
        key: Key,
    ) -> Result<Connection, UpstreamError> {
        let dialled = tokio::time::timeout(self.connect_timeout, self.tls(server, identity, b"h2")).await;
        let dialled = dialled.unwrap_or(Err(UpstreamError::Timeout));
        self.metrics.dial(dialled.is_ok());
        let tls = dialled?;
        let until = pool::theirs(&tls).min(identity.svid.peer().not_after);
        let (sender, driver) = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .max_header_list_size(HEADERS_BYTES_MAX)
            .handshake(TokioIo::new(tls))
            .await?;
        tokio::spawn(driver); // It ends with the last call on it, once nobody can send on it any more.
        let counted = Arc::new(Counted::new(&self.metrics.upstream_connections));
        let connection = Connection { sender, until, _counted: counted };
        self.multiplexed.0.lock().unwrap_or_else(PoisonError::into_inner).insert(key, connection.clone());
        Ok(connection)
    }
}

/// Header fields of an answer, trailers included.
const HEADERS_BYTES_MAX: u32 = 64 * 1024;
