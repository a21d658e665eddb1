//! The cluster: who asks it, what it answers, and the lines of what has no end.

use crate::error::KubernetesError;
use crate::flags::FlagsError;
use crate::kinds::{Discovered, Resource};
use crate::wire::{self, Wire};
use bytes::{Buf, BytesMut};
use http::Request;
use http_body_util::BodyExt;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kit::Downstream;
use kit::system::{Scheme, authorization};
use kube::client::Body;
use rmcp::model::Extensions;
use serde::Deserialize;
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

/// What an answer says that it is.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Said {
    kind: String,
    api_version: Option<String>,
}

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
        let asked = self.over(self.wire.clone()).untyped(plain("/version")).await;
        match asked {
            Ok(version) if version["major"].is_string() => Ok(()),
            Ok(_) => Err(KubernetesError::Unavailable("a version was asked for, and something else came")),
            Err(KubernetesError::Forbidden) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

/// A GET of a path that no caller wrote.
pub(crate) fn plain(path: &str) -> Built {
    Request::get(path).body(Vec::new()).map_err(kube::core::request::Error::BuildRequest)
}

impl Session {
    /// Sends a request and reads the answer, which has to say that it is of this kind and version: the types that it is read
    /// into would take `{}` as well. Without a version any will do.
    pub(crate) async fn json<T: DeserializeOwned>(
        &self,
        request: Built,
        kind: &str,
        version: Option<&str>,
    ) -> Result<T, KubernetesError> {
        let text = self.client.request_text(request?).await?;
        let said: Said = parsed(&text)?;
        if said.kind != kind || (version.is_some() && said.api_version.as_deref() != version) {
            return Err(KubernetesError::Unavailable("another kind or version was asked for"));
        }
        parsed(&text)
    }

    /// The same for an object of a type.
    pub(crate) async fn typed<T>(&self, request: Built) -> Result<T, KubernetesError>
    where
        T: k8s_openapi::Metadata<Ty = ObjectMeta> + DeserializeOwned,
    {
        let object: T = self.json(request, T::KIND, Some(T::API_VERSION)).await?;
        if object.metadata().name.is_some() { Ok(object) } else { Err(no_object()) }
    }

    /// The same for an object of a kind, whole.
    pub(crate) async fn object(&self, request: Built, resource: &Resource) -> Result<Value, KubernetesError> {
        let object = self.untyped(request).await?;
        if is_of(&object, resource) { Ok(object) } else { Err(no_object()) }
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

    /// Sends a DELETE. Whether the object is gone: if not, the answer is the object as it is until then.
    pub(crate) async fn deleted(&self, request: Built, resource: &Resource) -> Result<bool, KubernetesError> {
        let answer = self.untyped(request).await?;
        let gone =
            answer["kind"] == "Status" && answer["apiVersion"] == "v1" && answer["status"] == "Success";
        if gone || is_of(&answer, resource) { Ok(gone) } else { Err(no_object()) }
    }

    /// Sends a request and reads an answer that says no kind, or one of several: whoever asked has to look at it.
    pub(crate) async fn untyped(&self, request: Built) -> Result<Value, KubernetesError> {
        parsed(&self.client.request_text(request?).await?)
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

/// An answer is parsed here: `kube` would write what it can't parse into its log, and that may be a Secret.
fn parsed<T: DeserializeOwned>(text: &str) -> Result<T, KubernetesError> {
    serde_json::from_str(text)
        .map_err(|_| KubernetesError::Unavailable("the answer is not what was asked for"))
}

/// Whether something is an object of this kind and version.
fn is_of(object: &Value, resource: &Resource) -> bool {
    object["metadata"]["name"].is_string()
        && object["kind"] == *resource.kind.kind
        && object["apiVersion"] == resource.api_version()
}

fn no_object() -> KubernetesError {
    KubernetesError::Unavailable("an object was asked for, and something else came")
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
