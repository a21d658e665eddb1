//! The way to a Redis that gateways share: by TLS unless it is on this machine, with our SVID for one that asks, and with the
//! password of the moment. What is kept there is its users' matter: a list of revocations, whose tasks are.

use crate::config::RedisServer;
use crate::https::{Https, HttpsError};
use certs::{Clock, SharedSource};
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, RedisConnectionInfo, RedisError};
use std::io;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::AbortHandle;
use url::Url;

/// The port where nothing else is written.
pub(crate) const PORT: u16 = 6379;

/// Why a Redis gives no answer.
#[derive(Debug, thiserror::Error)]
pub enum RedisFailure {
    /// The password's file can't be read.
    #[error("the password's file can't be read")]
    Password(#[source] io::Error),
    /// No connection.
    #[error("no connection")]
    Connect(#[from] io::Error),
    /// No TLS with it, or it is not who it should be.
    #[error("no connection by TLS")]
    Tls(#[from] HttpsError),
    /// It refused, broke off, or answered with something else.
    #[error(transparent)]
    Redis(#[from] RedisError),
    /// It didn't answer in time.
    #[error("no answer in time")]
    Timeout,
}

/// Makes connections to one Redis.
#[derive(Debug)]
pub struct Connector {
    at: RedisServer,
    https: Option<Https>,
}

/// A connection, which many may use at once.
#[derive(Clone, Debug)]
pub struct Connection {
    /// Takes commands.
    pub asks: MultiplexedConnection,
    driver: AbortHandle,
}

impl Connection {
    /// Whether it has ended.
    pub fn is_over(&self) -> bool {
        self.driver.is_finished()
    }
}

impl Connector {
    /// For a server. `identity` is what is shown to one that asks for a certificate.
    ///
    /// # Errors
    /// [`HttpsError`] if the server's authorities can't be used.
    pub fn new(at: RedisServer, identity: &SharedSource, clock: &Clock) -> Result<Self, HttpsError> {
        let by_tls = at.server.as_ref();
        let https = by_tls.map(|server| Https::showing_our_svid(server, identity, clock)).transpose()?;
        Ok(Self { at, https })
    }

    /// The server.
    pub fn url(&self) -> &Url {
        &self.at.url
    }

    /// A new connection. It has no time limit of its own.
    ///
    /// # Errors
    /// [`RedisFailure`].
    pub async fn connect(&self) -> Result<Connection, RedisFailure> {
        if let Some(https) = &self.https {
            return self.over(https.connect(&self.at.url).await?).await;
        }
        let host = self.at.url.host_str().unwrap_or_default().trim_matches(['[', ']']);
        self.over(TcpStream::connect((host, self.at.url.port().unwrap_or(PORT))).await?).await
    }

    async fn over<S>(&self, stream: S) -> Result<Connection, RedisFailure>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let mut info = RedisConnectionInfo::default().set_db(self.at.database).set_skip_set_lib_name();
        if let Some(path) = &self.at.password_file {
            let password = tokio::fs::read_to_string(path).await.map_err(RedisFailure::Password)?;
            info = info.set_password(password.trim_end_matches(['\r', '\n']));
        }
        if let Some(name) = &self.at.username {
            info = info.set_username(name);
        }
        let config = AsyncConnectionConfig::new().set_response_timeout(None); // Whoever asks has one.
        let (asks, driver) = MultiplexedConnection::new_with_config(&info, stream, config).await?;
        let driver = tokio::spawn(driver).abort_handle(); // It ends with the connection.
        Ok(Connection { asks, driver })
    }
}
