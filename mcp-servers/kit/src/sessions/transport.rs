//! The handler's end of a session.

use super::SessionError;
use super::open::Session;
use rmcp::RoleServer;
use rmcp::model::{ClientJsonRpcMessage, ServerJsonRpcMessage};
use rmcp::transport::Transport;
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio::time::sleep_until;

/// What rmcp's service of a session takes the client's messages from, and gives the server's to.
pub(crate) struct SessionTransport {
    session: Arc<Session>,
    inbox: mpsc::Receiver<Box<ClientJsonRpcMessage>>,
}

impl SessionTransport {
    pub(super) fn new(session: Arc<Session>, inbox: mpsc::Receiver<Box<ClientJsonRpcMessage>>) -> Self {
        Self { session, inbox }
    }
}

impl Transport<RoleServer> for SessionTransport {
    type Error = SessionError;

    /// The message has its place in its stream when this returns, so that messages stay in order; whoever waits for the future
    /// waits until a slow client has read.
    fn send(
        &mut self,
        message: ServerJsonRpcMessage,
    ) -> impl Future<Output = Result<(), SessionError>> + Send + 'static {
        let stream = self.session.route(message);
        async move {
            if let Some(stream) = stream? {
                stream.room().await;
            }
            Ok(())
        }
    }

    /// The client's next message; `None` when the session is closed, or nobody has used it for its time. The service ends then.
    async fn receive(&mut self) -> Option<ClientJsonRpcMessage> {
        loop {
            let until = self.session.until();
            tokio::select! {
                biased;
                message = self.inbox.recv() => return message.map(|message| *message),
                () = sleep_until(until) => {
                    if self.session.ends_if_idle() {
                        tracing::debug!("nobody uses the session any more");
                        return None;
                    }
                }
            }
        }
    }

    async fn close(&mut self) -> Result<(), SessionError> {
        self.session.end();
        Ok(())
    }
}

impl Drop for SessionTransport {
    fn drop(&mut self) {
        self.session.end(); // Where the service failed before it began.
    }
}
