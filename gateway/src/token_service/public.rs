//! The listener for people's browsers and programs: TLS on a loopback address without client certificates. It serves the
//! flows for people, the keys and the metadata that lead there (RFC 8414, OpenID Connect Discovery, RFC 9728), the keys of
//! credentials for systems behind a server that have no certificate of ours, and nothing else: with what can be had here alone nobody calls anything, since the gateway asks for an SVID.

use super::authorize::{self, Shown};
use super::grant::{Form, GrantError};
use super::listener::{JWKS, REVOKE, ServiceError, TOKEN, USERS_JWKS, json_response, refused};
use super::people::People;
use super::{TokenService, clients, page};
use crate::metadata;
use crate::state::Gateway;
use bytes::Bytes;
use certs::SharedSource;
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, COOKIE, HeaderName, HeaderValue, LOCATION, ORIGIN,
    REFERRER_POLICY, RETRY_AFTER, SET_COOKIE, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use http::request::Parts;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::json;
use std::convert::Infallible;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

/// Path of the authorization endpoint.
pub const AUTHORIZE: &str = "/oauth/authorize";
/// Path of the registration endpoint.
pub const REGISTER: &str = "/oauth/register";

/// Where RFC 8414 §3.1 and OpenID Connect Discovery (inserted, and appended as §4 has it) put the metadata.
const METADATA: [&str; 3] = [
    "/.well-known/oauth-authorization-server/oauth/users",
    "/.well-known/openid-configuration/oauth/users",
    "/oauth/users/.well-known/openid-configuration",
];

/// The same of credentials.
const CREDENTIALS_METADATA: &str = "/.well-known/openid-configuration/oauth";

/// The cookie that a form is tied to. A browser takes one of this prefix over TLS alone, and for this host alone.
const FORM_COOKIE: &str = "__Host-sallyport-form";
/// The longest head of a request: a query with all its parameters has room.
const HEAD_BYTES_MAX: usize = 16 * 1024;

/// What the answers are made of.
#[derive(Debug)]
struct Desk {
    service: Arc<TokenService>,
    gateway: Arc<Gateway>,
}

/// Serves until the returned task is aborted. A service without people has nothing to serve here.
///
/// # Errors
/// [`ServiceError`] before anything is accepted.
pub(crate) fn serve(
    service: Arc<TokenService>,
    gateway: Arc<Gateway>,
    tcp: TcpListener,
    source: SharedSource,
) -> Result<JoinHandle<()>, ServiceError> {
    let people = service.people().ok_or(ServiceError::NoPeople)?;
    let address = tcp.local_addr()?;
    if !address.ip().is_loopback() {
        return Err(ServiceError::NotLoopback(address));
    }
    tracing::warn!(
        sign_in = %people.origin,
        "the embedded token service is for this machine alone: its users and keys are files, its grants end with it"
    );
    people.record_in(gateway.audit.clone());
    let limits = people.settings.limits;
    tcp.set_nonblocking(true)?;
    let tcp = tokio::net::TcpListener::from_std(tcp)?;
    let tls = certs::tls::server_config_for_anybody(source, &["http/1.1"], service.clock.clone())?;
    let tls = TlsAcceptor::from(Arc::new(tls));
    let desk = Arc::new(Desk { service, gateway });
    let places = Arc::new(Semaphore::new(limits.connections_max));
    Ok(tokio::spawn(async move {
        while let Ok(place) = Arc::clone(&places).acquire_owned().await {
            match tcp.accept().await {
                Ok((stream, _)) => {
                    let (desk, tls) = (Arc::clone(&desk), tls.clone());
                    tokio::spawn(async move {
                        connection(desk, tls, stream, limits.timeout).await;
                        drop(place);
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "the token service could not accept a connection");
                    tokio::time::sleep(Duration::from_millis(100)).await; // Out of descriptors, most likely: let some be freed.
                }
            }
        }
    }))
}

async fn connection(desk: Arc<Desk>, tls: TlsAcceptor, stream: TcpStream, timeout: Duration) {
    let Ok(Ok(stream)) = tokio::time::timeout(timeout, tls.accept(stream)).await else { return };
    let answer = service_fn(|request| {
        let desk = Arc::clone(&desk);
        async move { Ok::<_, Infallible>(desk.read(request).await) }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(timeout)
        .max_buf_size(HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), answer);
    if let Ok(Err(error)) = tokio::time::timeout(timeout * 6, served).await {
        tracing::debug!(%error, "a connection to the token service ended with an error");
    }
}

impl Desk {
    async fn read(self: Arc<Self>, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let Some(limits) = self.service.people().map(|people| people.settings.limits) else {
            return not_found();
        };
        let (head, body) = request.into_parts();
        let body = Limited::new(body, limits.body_bytes_max).collect();
        let Ok(Ok(body)) = tokio::time::timeout(limits.timeout, body).await else {
            return json_response(StatusCode::BAD_REQUEST, &json!({"error": "invalid_request"}));
        };
        let body = body.to_bytes();
        // On a thread of its own: keys and lists are files, or farther away.
        let answer = tokio::task::spawn_blocking(move || self.answer(&head, &body));
        answer.await.unwrap_or_else(|_| {
            json_response(StatusCode::INTERNAL_SERVER_ERROR, &json!({"error": "server_error"}))
        })
    }

    fn answer(&self, head: &Parts, body: &[u8]) -> Response<Full<Bytes>> {
        let (service, Some(people)) = (&self.service, self.service.people()) else { return not_found() };
        let (path, query) = (head.uri.path(), head.uri.query().unwrap_or_default());
        let now = service.clock.now();
        let ours = |origin: &HeaderValue| origin.as_bytes() == people.origin.as_bytes();
        if head.method != Method::GET && !head.headers.get_all(ORIGIN).iter().all(ours) {
            return shown(people, Shown::Stop(authorize::Stop::NotThisBrowser)); // A page of somebody else's.
        }
        match (&head.method, path) {
            (&Method::GET, path) if METADATA.contains(&path) => {
                json_response(StatusCode::OK, &service.users_metadata())
            }
            (&Method::GET, CREDENTIALS_METADATA) => {
                json_response(StatusCode::OK, &service.credentials_metadata(people))
            }
            (&Method::GET, JWKS) => json_response(StatusCode::OK, &service.credential_jwks()),
            (&Method::GET, USERS_JWKS) => json_response(StatusCode::OK, &service.user_jwks()),
            (&Method::GET, AUTHORIZE) => {
                shown(people, service.asked(people, query, cookie(&head.headers), now))
            }
            (&Method::POST, AUTHORIZE) => {
                let form = authorize::Form { query, body, cookie: cookie(&head.headers) };
                shown(people, service.answered(people, &form, now))
            }
            (&Method::POST, REGISTER) => register(people, body, now),
            (&Method::POST, TOKEN) => match service.for_a_person(people, body, now) {
                Ok(issued) => json_response(StatusCode::OK, &issued),
                Err(error) => {
                    people.note("token_refused", &crate::config::problems::chain(&error));
                    refused("(public)", &error)
                }
            },
            (&Method::POST, REVOKE) => match revoke(service, people, body, now) {
                Ok(()) => json_response(StatusCode::OK, &json!({})),
                Err(error) => refused("(public)", &error),
            },
            (&Method::GET, path) => match metadata::resource(&self.gateway.url, path) {
                Some(resource) => {
                    let issuers = &self.gateway.state().issuers;
                    json_response(StatusCode::OK, &metadata::protected_resource(&resource, issuers))
                }
                None => not_found(),
            },
            _ => not_found(),
        }
    }
}

fn register(people: &People, body: &[u8], now: std::time::SystemTime) -> Response<Full<Bytes>> {
    let registered = people.state().clients.register(body, now);
    match registered {
        Ok(client) => {
            people.note("client_registered", &format!("{}: {}", client["client_id"], client["client_name"]));
            json_response(StatusCode::CREATED, &client)
        }
        Err(error) => {
            let status = match error.code() {
                "temporarily_unavailable" => StatusCode::TOO_MANY_REQUESTS,
                "server_error" => StatusCode::INTERNAL_SERVER_ERROR,
                _ => StatusCode::BAD_REQUEST,
            };
            let mut response = json_response(status, &clients::told(&error));
            if status == StatusCode::TOO_MANY_REQUESTS {
                response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("60"));
            }
            response
        }
    }
}

/// RFC 7009 §2.1: a public client names itself.
fn revoke(
    service: &TokenService,
    people: &People,
    body: &[u8],
    now: std::time::SystemTime,
) -> Result<(), GrantError> {
    let form = Form::read(body)?;
    let client = form.get("client_id")?;
    if people.state().clients.used(client, now).is_none() {
        return Err(GrantError::UnknownClient);
    }
    service.revoke(people, client, form.get("token")?, now)
}

/// The form's cookie. Of two, neither: one of them is not ours.
fn cookie(headers: &HeaderMap) -> Option<&str> {
    let texts = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    let pairs = texts.flat_map(|text| text.split(';')).filter_map(|pair| pair.trim().split_once('='));
    let mut ours = pairs.filter(|(name, _)| *name == FORM_COOKIE).map(|(_, value)| value);
    let one = ours.next()?;
    ours.next().is_none().then_some(one)
}

fn shown(people: &People, shown: Shown) -> Response<Full<Bytes>> {
    match shown {
        Shown::Form { page, form_action, cookie, refused } => {
            let status = if refused { StatusCode::FORBIDDEN } else { StatusCode::OK };
            // Where a form's answer redirects to counts as its action, for some browsers.
            let mut response = html(status, page, &format!("'self' {form_action}"));
            let cookie = format!("{FORM_COOKIE}={cookie}; Path=/; Secure; HttpOnly; SameSite=Lax");
            set(&mut response, SET_COOKIE, &cookie);
            response
        }
        Shown::Redirect(to) => {
            let mut response = html(StatusCode::SEE_OTHER, String::new(), "'none'");
            set(&mut response, LOCATION, &to);
            response
        }
        Shown::Stop(why) => {
            people.note("sign_in_refused", &why.to_string());
            let status = match why {
                authorize::Stop::NotThisBrowser => StatusCode::FORBIDDEN,
                _ => StatusCode::BAD_REQUEST,
            };
            html(status, page::stop(why), "'none'")
        }
    }
}

fn html(status: StatusCode, page: String, form_action: &str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(page)));
    *response.status_mut() = status;
    let policy =
        format!("default-src 'none'; base-uri 'none'; frame-ancestors 'none'; form-action {form_action}");
    set(&mut response, CONTENT_SECURITY_POLICY, &policy);
    for (name, value) in [
        (CONTENT_TYPE, "text/html; charset=utf-8"),
        (CACHE_CONTROL, "no-store"),
        (REFERRER_POLICY, "same-origin"), // A form of a page without a referrer comes back with the origin `null`.
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (X_FRAME_OPTIONS, "DENY"),
    ] {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

fn set(response: &mut Response<Full<Bytes>>, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value); // A URL, or made here: it holds nothing that a header can't.
    }
}

fn not_found() -> Response<Full<Bytes>> {
    json_response(StatusCode::NOT_FOUND, &json!({"error": "not_found"}))
}
