//! A server on a socket, and clients of it: a trust domain, a token service's key, and a connection for each workload.
//! The tests of every server use this one.
#![allow(dead_code, unreachable_pub, reason = "each test program uses its part")]

use bytes::Bytes;
use certs::development::Domain;
use certs::files::FileSource;
use certs::{Clock, IdentitySource, SpiffeId, TrustDomain};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use kit::{Flags, Limits, Observe, Server, Service};
use rmcp::ServerHandler;
use serde_json::{Map, Value, json};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};
use tokens::SigningKey;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;

pub struct World {
    pub dir: tempfile::TempDir,
    pub domain: Domain,
    pub key: SigningKey,
    pub address: SocketAddr,
    pub admin: Option<SocketAddr>,
    pub clock: Clock,
    pub stop: oneshot::Sender<()>,
    pub server: JoinHandle<()>,
    pub name: &'static str,
    pub scopes: String,
}

pub struct Answer {
    pub status: StatusCode,
    pub headers: http::HeaderMap,
    /// The JSON of the body, or of the last event of a stream.
    pub body: Value,
    pub text: String,
}

/// A connection of one workload.
pub struct Client {
    pub send: hyper::client::conn::http1::SendRequest<Full<Bytes>>,
    pub host: String,
}

impl World {
    /// A server in the trust domain `{name}.test`, for the audience `name`. `make` gets the world's folder, which is empty but
    /// for the server's files, and `change` its flags. Tokens have all of `scopes`, each without the server's name.
    pub async fn of<H: ServerHandler + Clone>(
        name: &'static str,
        scopes: &[&str],
        make: impl FnOnce(&Path) -> Service<H>,
        change: impl FnOnce(&mut Flags, &Path),
    ) -> Self {
        certs::install_crypto();
        let (dir, clock) = (tempfile::tempdir().unwrap(), Clock::adjustable());
        let trust_domain = TrustDomain::new(format!("{name}.test")).unwrap();
        let domain = Domain::open(&dir.path().join("ca"), &trust_domain, &clock).unwrap();
        let id = domain.id(&format!("mcp/{name}")).unwrap();
        let own = domain.write_svid(&dir.path().join(name), &id, &[], clock.now()).unwrap();
        let key = SigningKey::generate().unwrap();
        let jwks = dir.path().join("jwks.json");
        std::fs::write(&jwks, SigningKey::jwks([&key]).to_string()).unwrap();
        let mut flags = Flags {
            end_with_stdin: false,
            print_tools: false,
            allowed_hosts: Vec::new(),
            listen: ([127, 0, 0, 1], 0).into(),
            certificate: Some(own.certificate),
            private_key: Some(own.private_key),
            trust_bundle: Some(own.trust_bundle),
            workload_api: None,
            workload_api_wait: Duration::ZERO,
            gateway: SpiffeId::new(format!("spiffe://{name}.test/gateway")).unwrap(),
            issuer: "https://issuer.test".into(),
            audience: name.into(),
            jwks,
            token_types: vec!["at+jwt".into()],
            accept_unbound_tokens: false,
            observe: Observe::default(),
            limits: Limits { body_bytes_max: 10_000, ..Limits::default() },
        };
        change(&mut flags, dir.path());
        let server = Server::bind(make(dir.path()), &flags, clock.clone()).await.unwrap();
        let (address, admin) = (server.address(), server.admin_address());
        let (stop, stopped) = oneshot::channel::<()>();
        let server = tokio::spawn(server.run(async move { drop(stopped.await) }));
        let scopes = scopes.iter().map(|scope| format!("{name}:{scope}")).collect::<Vec<_>>().join(" ");
        Self { dir, domain, key, address, admin, clock, stop, server, name, scopes }
    }

    /// Connects as a workload of the domain. In TLS 1.3 a client has finished before the server judges it, so a refusal may
    /// come here or with the first request.
    pub async fn connect(&self, path: &str) -> std::io::Result<Client> {
        self.connect_by(&self.connector(path)).await
    }

    /// What a workload of the domain connects by: an SVID of its own, and the server's name.
    pub fn connector(&self, path: &str) -> TlsConnector {
        let (clock, source) = (Clock::system(), self.svid(path));
        let server = self.domain.id(&format!("mcp/{}", self.name)).unwrap();
        TlsConnector::from(Arc::new(certs::tls::client_config(source, server, clock).unwrap()))
    }

    /// The SVID of a workload of the domain, the same whenever it is asked for.
    fn svid(&self, path: &str) -> Arc<FileSource> {
        let folder = self.dir.path().join(path);
        let paths = certs::development::paths_in(&folder);
        FileSource::open(paths).unwrap_or_else(|_| {
            let id = self.domain.id(path).unwrap();
            FileSource::open(self.domain.write_svid(&folder, &id, &[], Clock::system().now()).unwrap())
                .unwrap()
        })
    }

    pub async fn connect_by(&self, connector: &TlsConnector) -> std::io::Result<Client> {
        let tcp = tokio::net::TcpStream::connect(self.address).await?;
        let name = rustls::pki_types::ServerName::try_from("server.test").unwrap();
        let tls = connector.connect(name, tcp).await?;
        let (send, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(tls)).await.map_err(std::io::Error::other)?;
        tokio::spawn(connection);
        Ok(Client { send, host: self.address.to_string() })
    }

    /// A token of the issuer for this server, bound to the gateway's certificate, with some claims changed; null is none.
    pub fn token(&self, sub: &str, change: &[(&str, Value)]) -> String {
        let now = Clock::system().now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let name = self.name;
        let mut claims: Map<String, Value> = json!({
            "iss": "https://issuer.test", "sub": sub, "aud": name, "exp": now + 60, "scope": self.scopes,
            "act": {"sub": format!("spiffe://{name}.test/agent/demo")},
            "cnf": {"x5t#S256": tokens::x5t_s256(self.svid("gateway").current().svid.peer().thumbprint)},
        })
        .as_object()
        .unwrap()
        .clone();
        claims.extend(change.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
        claims.retain(|_, value| !value.is_null());
        self.key.sign("at+jwt", &claims).unwrap().expose().to_owned()
    }

    /// What the admin listener says.
    pub async fn admin(&self, path: &str) -> (StatusCode, String) {
        let tcp = tokio::net::TcpStream::connect(self.admin.unwrap()).await.unwrap();
        let (mut send, connection) = hyper::client::conn::http1::handshake(TokioIo::new(tcp)).await.unwrap();
        tokio::spawn(connection);
        let request = Request::get(path).header("host", "admin").body(Full::<Bytes>::default()).unwrap();
        let (parts, body) = send.send_request(request).await.unwrap().into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        (parts.status, String::from_utf8(bytes.to_vec()).unwrap())
    }

    /// The lines of the audit file, as soon as there are so many.
    pub async fn audit(&self, count: usize) -> Vec<Value> {
        for _ in 0..500 {
            let text = std::fs::read_to_string(self.dir.path().join("audit.jsonl")).unwrap_or_default();
            if text.lines().count() >= count {
                return text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("there are no {count} lines");
    }
}

/// A 2026-07-28 request: everything that a session would know stands in it.
pub fn modern(method: &str, mut params: Value) -> Value {
    let meta = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
        "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
    });
    let given = params["_meta"].take();
    params["_meta"] = meta;
    if let Some(given) = given.as_object() {
        params["_meta"].as_object_mut().unwrap().extend(given.clone());
    }
    json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
}

impl Client {
    pub fn request(
        &self,
        method: Method,
        token: Option<&str>,
        headers: &[(&str, &str)],
        body: String,
    ) -> Request<Full<Bytes>> {
        let mut request = Request::builder()
            .method(method)
            .uri("/mcp")
            .header("host", &self.host)
            .header("accept", "application/json, text/event-stream")
            .header("content-type", "application/json");
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(Full::from(body)).unwrap()
    }

    pub async fn send(
        &mut self,
        method: Method,
        token: Option<&str>,
        headers: &[(&str, &str)],
        body: String,
    ) -> hyper::Result<Answer> {
        let request = self.request(method, token, headers, body);
        self.send.ready().await?; // The end of a stream is read before the connection knows of it.
        let (parts, body) = self.send.send_request(request).await?.into_parts();
        let text = String::from_utf8(body.collect().await?.to_bytes().to_vec()).unwrap();
        Ok(Answer { status: parts.status, headers: parts.headers, body: last_message(&text), text })
    }

    /// A 2026-07-28 request, as soon as its answer begins.
    pub async fn begin(&mut self, token: &str, method: &str, params: Value) -> Response<Incoming> {
        let name =
            params.get("name").or(params.get("uri")).and_then(Value::as_str).unwrap_or_default().to_owned();
        let mut headers = vec![("mcp-protocol-version", "2026-07-28"), ("mcp-method", method)];
        if !name.is_empty() {
            headers.push(("mcp-name", &name));
        }
        let request = self.request(Method::POST, Some(token), &headers, modern(method, params).to_string());
        self.send.ready().await.unwrap();
        self.send.send_request(request).await.unwrap()
    }

    pub async fn modern(&mut self, token: &str, method: &str, params: Value) -> Answer {
        let (parts, body) = self.begin(token, method, params).await.into_parts();
        let text = String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap();
        Answer { status: parts.status, headers: parts.headers, body: last_message(&text), text }
    }

    pub async fn tool(&mut self, token: &str, name: &str, arguments: Value) -> Answer {
        self.modern(token, "tools/call", json!({"name": name, "arguments": arguments})).await
    }
}

/// The JSON of a body, or of the last event of a stream.
fn last_message(text: &str) -> Value {
    let json =
        text.lines().filter_map(|line| line.strip_prefix("data:")).map(str::trim).rfind(|d| !d.is_empty());
    serde_json::from_str(json.unwrap_or(text)).unwrap_or(Value::Null)
}
