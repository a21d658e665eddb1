//! The cluster: who asks it, what it answers, and the lines of what has no end.

use crate::error::KubernetesError;
use crate::flags::FlagsError;
use crate::kinds::{Discovered, Resource};
use crate::wire::{self, Wire};
use bytes::{Buf, BytesMut};
use http::Request;
use http_body_util::BodyExt;
use kit::Downstream;
use kit::system::{Scheme, authorization};
use kube::client::Body;
use rmcp::model::Extensions;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use url::{Host, Url};

/// One cluster.
#[derive(Clone)]
pub struct Cluster {
    wire: Wire,
    credential: Option<Arc<Downstream>>,
    pub(crate) discovered: Arc<Discovered>,
}

/// How long and how much of an answer is waited for.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Of an answer; of one without an end, of its beginning.
    pub timeout: Duration,
    /// Of an answer, in bytes.
    pub bytes_max: usize,
}

/// The cluster as one caller sees it.
#[derive(Clone)]
pub(crate) struct Session {
    client: kube::Client,
    pub(crate) discovered: Arc<Discovered>,
}

/// A request as crate `kube` builds it.
pub(crate) type Built = Result<Request<Vec<u8>>, kube::core::request::Error>;

/// The lines of an answer as they come.
pub(crate) struct Lines {
    body: Body,
    kept: BytesMut,
    line_bytes_max: usize,
}

impl Cluster {
    /// A cluster that is believed for the system's certificates, or those of a file. No network is touched.
    ///
    /// # Errors
    /// [`FlagsError`] for the URL and the file.
    pub fn new(server: &Url, ca: Option<&Path>, bounds: Bounds) -> Result<Self, FlagsError> {
        let bare = server.username().is_empty() && server.password().is_none();
        let bare = bare && server.query().is_none() && server.fragment().is_none();
        let loopback = match server.host() {
            Some(Host::Ipv4(ip)) => ip.is_loopback(),
            Some(Host::Ipv6(ip)) => ip.is_loopback(),
            Some(Host::Domain(name)) => name == "localhost",
            None => false,
        };
        if !bare
            || !server.has_host()
            || !(server.scheme() == "https" || (server.scheme() == "http" && loopback))
        {
            return Err(FlagsError::Server);
        }
        let wire = Wire {
            http: wire::http(ca)?,
            base: server.clone(),
            authorization: None,
            bytes_max: bounds.bytes_max,
            timeout: bounds.timeout,
        };
        Ok(Self { wire, credential: None, discovered: Arc::default() })
    }

    /// With a way to a credential for each call.
    #[must_use]
    pub fn with_credential(self, credential: Option<Downstream>) -> Self {
        Self { credential: credential.map(Arc::new), ..self }
    }

    /// The cluster as the caller of a request sees it.
    pub(crate) async fn session(&self, extensions: &Extensions) -> Result<Session, KubernetesError> {
        let mut wire = self.wire.clone();
        if let Some(credential) = &self.credential {
            let secret = credential.credential(extensions).await.map_err(KubernetesError::Credential)?;
            let header = authorization(Scheme::Bearer, &secret)
                .ok_or(KubernetesError::Unavailable("the credential can't be sent"))?;
            wire.authorization = Some(header);
        }
        Ok(self.over(wire))
    }

    fn over(&self, wire: Wire) -> Session {
        Session { client: kube::Client::new(wire, "default"), discovered: Arc::clone(&self.discovered) }
    }

    /// Whether an API server answers, whatever it thinks of us.
    pub(crate) async fn reachable(&self) -> Result<(), KubernetesError> {
        let asked = self.over(self.wire.clone()).json::<Value>(plain("/version")).await;
        match asked {
            Ok(_) | Err(KubernetesError::Forbidden) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

/// A GET of a path that no caller wrote.
pub(crate) fn plain(path: &str) -> Built {
    Request::get(path).body(Vec::new()).map_err(kube::core::request::Error::BuildRequest)
}

impl Session {
    /// Sends a request and reads the answer. It is parsed here: `kube` would write what it can't parse into its log, and
    /// that may be a Secret.
    pub(crate) async fn json<T: DeserializeOwned>(&self, request: Built) -> Result<T, KubernetesError> {
        let text = self.client.request_text(request?).await?;
        serde_json::from_str(&text)
            .map_err(|_| KubernetesError::Unavailable("the answer is not what was asked for"))
    }

    /// The same for an object of a kind, whole: what is something else is no answer.
    pub(crate) async fn object(&self, request: Built, resource: &Resource) -> Result<Value, KubernetesError> {
        let object: Value = self.json(request).await?;
        let named = object["metadata"]["name"].is_string() && object["kind"] == *resource.kind.kind;
        if named {
            Ok(object)
        } else {
            Err(KubernetesError::Unavailable("an object was asked for, and something else came"))
        }
    }

    /// The same; `None` where there is no such object.
    pub(crate) async fn object_opt(
        &self,
        request: Built,
        resource: &Resource,
    ) -> Result<Option<Value>, KubernetesError> {
        match self.object(request, resource).await {
            Ok(found) => Ok(Some(found)),
            Err(KubernetesError::NotFound(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Sends a request whose answer comes line by line.
    pub(crate) async fn lines(
        &self,
        request: Built,
        line_bytes_max: usize,
    ) -> Result<Lines, KubernetesError> {
        let response = self.client.send(request?.map(Body::from)).await?;
        Ok(Lines { body: response.into_body(), kept: BytesMut::new(), line_bytes_max })
    }
}

impl Lines {
    /// The next line without its end; `None` after the last. What is longer than allowed is cut, and its rest is a line.
    pub(crate) async fn next(&mut self) -> Result<Option<Vec<u8>>, KubernetesError> {
        loop {
            if let Some(end) = self.kept.iter().take(self.line_bytes_max).position(|byte| *byte == b'\n') {
                let line = self.kept.split_to(end).to_vec();
                self.kept.advance(1);
                return Ok(Some(line));
            }
            if self.kept.len() >= self.line_bytes_max {
                return Ok(Some(self.kept.split_to(self.line_bytes_max).to_vec()));
            }
            match self.body.frame().await {
                Some(frame) => {
                    if let Ok(data) = frame?.into_data() {
                        self.kept.extend_from_slice(&data);
                    }
                }
                None if self.kept.is_empty() => return Ok(None),
                None => return Ok(Some(self.kept.split().to_vec())),
            }
        }
    }
}
