//! A calling workload: a real TLS client with an SVID and, perhaps, a token.

use crate::Reply;
use bytes::Bytes;
use certs::files::Paths;
use hyper::body::{Body, Frame};
use reqwest::{Client, Method, RequestBuilder, Response};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

/// `_meta` of a 2026-07-28 request.
pub fn meta() -> Value {
    json!({"io.modelcontextprotocol/protocolVersion": "2026-07-28", "io.modelcontextprotocol/clientCapabilities": {}})
}

#[derive(Clone)]
pub struct Agent {
    url: String,
    client: Client,
    token: Option<String>,
    path: String,
}

/// For a whole answer: a story that waits for one in vain fails, and does not wait for ever.
const PATIENCE: Duration = Duration::from_secs(120);

impl Agent {
    pub fn new(url: &str, bundle: &str, svid: Option<&Paths>) -> Self {
        let read = |path| std::fs::read_to_string(path).unwrap();
        let pem = svid.map(|paths| (read(&paths.certificate), read(&paths.private_key)));
        Self::from_pem(
            url,
            bundle,
            pem.as_ref().map(|(c, k)| (c.as_str(), k.as_str())),
            &[b"h2", b"http/1.1"],
        )
    }

    /// A client with any certificate at all.
    pub fn from_pem(url: &str, bundle: &str, svid: Option<(&str, &str)>, alpn: &[&[u8]]) -> Self {
        let mut roots = rustls::RootCertStore::empty();
        roots
            .add_parsable_certificates(CertificateDer::pem_slice_iter(bundle.as_bytes()).map(Result::unwrap));
        let config = rustls::ClientConfig::builder_with_protocol_versions(&[&rustls::version::TLS13])
            .with_root_certificates(roots);
        let mut config = match svid {
            None => config.with_no_client_auth(),
            Some((chain, key)) => {
                let chain = CertificateDer::pem_slice_iter(chain.as_bytes()).map(Result::unwrap).collect();
                config
                    .with_client_auth_cert(chain, PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap())
                    .unwrap()
            }
        };
        config.alpn_protocols = alpn.iter().map(|p| p.to_vec()).collect();
        #[expect(clippy::disallowed_methods, reason = "a caller of the gateway, and not the gateway")]
        let client = Client::builder().tls_backend_preconfigured(config).no_proxy().timeout(PATIENCE);
        let client = client.build().unwrap();
        Self { url: url.into(), client, token: None, path: "/mcp/ledger".into() }
    }

    pub fn with_token(mut self, token: &str) -> Self {
        self.token = Some(token.into());
        self
    }

    /// The same agent, calling another gateway.
    pub fn to(mut self, url: &str) -> Self {
        self.url = url.into();
        self
    }

    /// The same agent, calling another server.
    pub fn at(mut self, path: &str) -> Self {
        self.path = path.into();
        self
    }

    /// A request to a path of the gateway.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.client.request(method, format!("{}{path}", self.url));
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    /// Sends a request that was built by another agent, or changed since.
    pub async fn execute(&self, request: reqwest::Request) -> Response {
        self.client.execute(request).await.unwrap()
    }

    /// A 2026-07-28 request with the headers that belong to it.
    pub fn rpc(&self, method: &str, params: Value) -> RequestBuilder {
        let name =
            params.get("name").or_else(|| params.get("uri")).and_then(Value::as_str).map(ToOwned::to_owned);
        let mut params = params;
        params["_meta"] = meta();
        let body = json!({"jsonrpc": "2.0", "id": 7, "method": method, "params": params});
        let request = self
            .post(&self.path, body.to_string())
            .header("mcp-protocol-version", "2026-07-28")
            .header("mcp-method", method);
        match name {
            Some(name) if matches!(method, "tools/call" | "prompts/get" | "resources/read") => {
                request.header("mcp-name", name)
            }
            _ => request,
        }
    }

    /// A POST with the media types of MCP.
    pub fn post(&self, path: &str, body: String) -> RequestBuilder {
        self.request(Method::POST, path)
            .header("content-type", "application/json")
            .header("accept", "application/json, text/event-stream")
            .body(body)
    }

    /// Calls a tool, 2026-07-28.
    pub async fn call(&self, tool: &str, arguments: Value) -> Reply {
        send(self.rpc("tools/call", json!({"name": tool, "arguments": arguments}))).await
    }

    /// Posts an entry: the usual call.
    pub async fn post_entry(&self, amount_cents: i64) -> Reply {
        self.call("post_entry", json!({ "amount_cents": amount_cents })).await
    }
}

/// Sends and reads all of the answer.
pub async fn send(request: RequestBuilder) -> Reply {
    read(request.send().await.unwrap()).await
}

/// Reads all of an answer.
pub async fn read(response: Response) -> Reply {
    Reply {
        status: response.status().as_u16(),
        headers: response.headers().clone(),
        text: response.text().await.unwrap(),
    }
}

/// A body that is sent in pieces, each on its own.
pub fn pieces(pieces: Vec<Result<String, std::io::Error>>) -> reqwest::Body {
    reqwest::Body::wrap(Pieces(pieces.into()))
}

struct Pieces(VecDeque<Result<String, std::io::Error>>);

impl Body for Pieces {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        Poll::Ready(self.0.pop_front().map(|piece| piece.map(|text| Frame::data(text.into()))))
    }
}
