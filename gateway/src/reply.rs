//! What a caller hears: the one file that chooses status, JSON-RPC code and reason of every refusal.
//! The cause of a refusal goes to audit and log. `docs/refusals.md` has the table.
#![deny(clippy::wildcard_enum_match_arm)]

mod agent;
mod body;
mod owned;

pub use body::{Reason, Response, ResponseBody};

use crate::audit::{AuditError, Record};
use crate::authorize::AuthorizeError;
use crate::cards::{CallRefused, NotShown};
use crate::config::problems::chain;
use crate::decode::{BodyError, DecodeError};
use crate::exchange::{ExchangeError, Refused};
use crate::identity::IdentityError;
use crate::observed::{Observed, Stage};
use crate::one_url::OneUrlError;
use crate::push::PushError;
use crate::request::Arrival;
use crate::revocation::Revoked;
use crate::route::RouteError;
use crate::session::SessionError;
use crate::tasks::TaskError;
use crate::tasks::list::ListError;
use crate::token::TokenError;
use crate::upstream::{Answer, AnswerBody, UpstreamError};
use bytes::Bytes;
use http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE,
};
use http::{Method, StatusCode};
use serde_json::json;

/// Why a request went no further: one variant per stage, in stage order.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// Stage 2.
    #[error("the connection's identity does not hold")]
    Identity(#[from] IdentityError),
    /// No such path.
    #[error("no such path")]
    Route(#[from] RouteError),
    /// Stage 3.
    #[error("subject token not accepted")]
    Token(#[from] TokenError),
    /// Stage 4.
    #[error("request not decoded")]
    Decode(#[from] DecodeError),
    /// Between stages 4 and 5.
    #[error("no such session")]
    Session(#[from] SessionError),
    /// Between stages 4 and 5, or behind stage 5: what a call to an agent names is not there.
    #[error("no such task")]
    Task(#[from] TaskError),
    /// In the place of all stages behind the second: an agent's event is not taken.
    #[error("no push notification")]
    Push(#[from] PushError),
    /// In the place of all stages behind the second: what the URL of all servers does not answer.
    #[error("not answered for all servers")]
    OneUrl(#[from] OneUrlError),
    /// Stage 5.
    #[error("not authorized")]
    Authorize(#[from] AuthorizeError),
    /// Behind stage 5, in the place of all that follows: an agent's card; or behind stage 8, its extended one.
    #[error("no card")]
    Card(#[from] NotShown),
    /// Stage 6.
    #[error("no credential")]
    Exchange(#[from] std::sync::Arc<ExchangeError>),
    /// Between stages 6 and 8, where no call may go on without a record.
    #[error("no record of the permit")]
    Audit(#[from] AuditError),
    /// Stage 8.
    #[error("upstream failed")]
    Upstream(#[from] UpstreamError),
}

/// All that a caller learns of a refusal.
#[derive(Debug, PartialEq, Eq)]
struct Told {
    status: StatusCode,
    code: i32,
    reason: String,
    /// What stands behind the metadata in `WWW-Authenticate`.
    challenge: Option<String>,
    data: Option<serde_json::Value>,
    /// Seconds after which it may be tried again.
    again: Option<u64>,
}

/// JSON-RPC code of a denial; -32000 and -32001 mean a broken connection and a timeout to the official SDKs.
pub const DENIED: i32 = -32003;
/// JSON-RPC code of a failure behind the gateway.
pub const UNAVAILABLE: i32 = -32004;
/// JSON-RPC code of a request that a limit refuses.
pub const LIMIT: i32 = -32005;
/// JSON-RPC code of a request without acceptable credentials.
pub const UNAUTHENTICATED: i32 = -32006;

/// The reason where a server asks a client for what it may not.
const UNASKED: &str = "server_request_refused";

/// Makes the response of whatever came out of the stages.
pub fn render(
    outcome: Result<Answer, Refusal>,
    url: &str,
    arrival: &Arrival,
    mut record: Record,
    mut observed: Observed,
) -> Response {
    let (answer, close, refused) = match outcome {
        Ok(answer) => (answer, false, None),
        Err(refusal) => {
            let (answer, reason) = refused(&refusal, url, arrival, &mut record, &mut observed);
            (answer, refusal.ends_connection(), Some(reason))
        }
    };
    record.status(answer.status);
    observed.answered(answer.status);
    Response {
        status: answer.status,
        headers: answer.headers,
        close,
        refused,
        body: ResponseBody { body: answer.body, record, observed },
    }
}

fn refused(
    refusal: &Refusal,
    url: &str,
    arrival: &Arrival,
    record: &mut Record,
    observed: &mut Observed,
) -> (Answer, Reason) {
    let told = refusal.told(at_the_door(record.method()), record.rpc_id.is_some());
    if let Refusal::Authorize(error) = refusal {
        match error {
            AuthorizeError::Denied(denial) => record.denied(denial.package(), Some(denial.revision())),
            AuthorizeError::NoServer
            | AuthorizeError::Audience
            | AuthorizeError::Disagree
            | AuthorizeError::Budget
            | AuthorizeError::Busy(_)
            | AuthorizeError::Card(_)
            | AuthorizeError::Revoked(_) => record.denied(None, None),
        }
    }
    record.refused(&told.reason, refusal.cause());
    observed.refused(refusal.stage(), &told.reason, refusal.package());
    tracing::info!(reason = %told.reason, status = told.status.as_u16(), cause = ?refusal.cause(), "refused");
    let id = record.rpc_id.clone().or_else(|| refusal.id());
    let data = told.data.clone().unwrap_or_else(|| json!({ "reason": told.reason }));
    let reason = Reason { code: told.code, name: told.reason.clone() };
    if let Some(answer) = agent::answer(refusal, &told, id.as_deref(), url, arrival) {
        return (answer, reason);
    }
    let body = rpc_error(id.as_deref(), told.code, &told.reason, &data);
    let headers = headers(&told, url, arrival, body.len());
    (Answer { status: told.status, headers, body: AnswerBody::whole(Bytes::from(body)) }, reason)
}

fn rpc_error(
    id: Option<&serde_json::value::RawValue>,
    code: i32,
    reason: &str,
    data: &serde_json::Value,
) -> Vec<u8> {
    protocol::jsonrpc::error(id, code, &format!("{}: {reason}", headline(code)), Some(data))
}

/// What the caller hears in an event stream in the place of a result that asks for what the server may not ask for.
pub(crate) fn unasked(id: Option<&serde_json::value::RawValue>) -> Vec<u8> {
    rpc_error(id, DENIED, UNASKED, &json!({ "reason": UNASKED }))
}

/// Whether a client decides by this answer how to talk at all: those are refused by status, so that it stops at once.
fn at_the_door(method: Option<&str>) -> bool {
    matches!(method, Some("initialize" | "server/discover"))
}

impl Refusal {
    /// All the caller learns. `door`: the call opens a session; `id`: it is a request that is waited for.
    fn told(&self, door: bool, id: bool) -> Told {
        match self {
            Self::Identity(IdentityError::Revoked(Revoked::Unknown)) => {
                Told::new(StatusCode::SERVICE_UNAVAILABLE, UNAVAILABLE, "revocations_unavailable")
            }
            Self::Identity(
                IdentityError::Expired
                | IdentityError::Withdrawn(_)
                | IdentityError::Revoked(Revoked::Listed(_)),
            ) => Told::new(StatusCode::FORBIDDEN, UNAUTHENTICATED, "identity_not_valid"),
            Self::Identity(IdentityError::OwnExpired) => {
                Told::new(StatusCode::SERVICE_UNAVAILABLE, UNAVAILABLE, "gateway_identity_expired")
            }
            Self::Route(RouteError::NotFound) => Told::new(StatusCode::NOT_FOUND, -32601, "not_found"),
            Self::Token(error) => token(error),
            Self::Decode(error) => decode(error),
            Self::Session(error) => owned::session(error),
            Self::Task(error) => agent::task(error),
            Self::Push(error) => owned::push(error),
            Self::OneUrl(error) => owned::one_url(error),
            Self::Authorize(AuthorizeError::Denied(denial)) if !denial.needs_scopes().is_empty() => {
                scopes(denial.needs_scopes())
            }
            Self::Authorize(AuthorizeError::Card(CallRefused::Undeclared(_))) => agent::undeclared(),
            Self::Authorize(error) => {
                // The one shape that every official SDK turns into a typed error with its data is a plain JSON-RPC error.
                let status = if id && !door { StatusCode::OK } else { StatusCode::FORBIDDEN };
                let reason = match error {
                    AuthorizeError::Denied(denial) => denial.reason().code(),
                    AuthorizeError::NoServer | AuthorizeError::Revoked(_) => "not_allowed",
                    AuthorizeError::Audience | AuthorizeError::Disagree => "policy_error",
                    AuthorizeError::Budget | AuthorizeError::Busy(_) => "policy_budget",
                    AuthorizeError::Card(CallRefused::Quarantined | CallRefused::Unread(_)) => {
                        "agent_quarantined"
                    }
                    AuthorizeError::Card(_) => "extension_unknown",
                };
                Told::new(status, DENIED, reason)
            }
            Self::Card(error) => card(error),
            Self::Exchange(error) => exchange(error),
            Self::Audit(AuditError::Full | AuditError::Failing | AuditError::Timeout) => {
                Told::new(StatusCode::SERVICE_UNAVAILABLE, UNAVAILABLE, "audit_unavailable")
            }
            Self::Upstream(error) => upstream(error),
        }
    }

    /// The stage that refused.
    fn stage(&self) -> Stage {
        match self {
            Self::Identity(_) => Stage::Identity,
            Self::Route(_) => Stage::Route,
            Self::Token(_) => Stage::Token,
            Self::Decode(_) | Self::Session(_) | Self::Task(_) | Self::Push(_) | Self::OneUrl(_) => {
                Stage::Decode
            }
            Self::Authorize(_) | Self::Card(_) => Stage::Authorize,
            Self::Exchange(_) => Stage::Exchange,
            Self::Audit(_) => Stage::Audit,
            Self::Upstream(_) => Stage::Upstream,
        }
    }

    /// The policy package that denied, where one was asked.
    fn package(&self) -> Option<&str> {
        if let Self::Authorize(AuthorizeError::Denied(denial)) = self { denial.package() } else { None }
    }

    /// Whether the connection ends with the answer: whoever it belonged to is not that any more.
    fn ends_connection(&self) -> bool {
        match self {
            Self::Identity(_) => true,
            Self::Decode(DecodeError::Body(_)) => true, // What is left of the body would be taken for the next request.
            Self::Route(_)
            | Self::Token(_)
            | Self::Decode(_)
            | Self::Session(_)
            | Self::Task(_)
            | Self::Push(_)
            | Self::OneUrl(_)
            | Self::Authorize(_)
            | Self::Card(_)
            | Self::Exchange(_)
            | Self::Audit(_)
            | Self::Upstream(_) => false,
        }
    }

    /// The request's id, where decoding failed but the id could be read.
    fn id(&self) -> Option<Box<serde_json::value::RawValue>> {
        match self {
            Self::Decode(DecodeError::Mcp(error)) => error.id().map(ToOwned::to_owned),
            Self::Decode(DecodeError::A2a(error)) => error.id.clone(),
            Self::Identity(_)
            | Self::Route(_)
            | Self::Token(_)
            | Self::Decode(_)
            | Self::Session(_)
            | Self::Task(_)
            | Self::Push(_)
            | Self::OneUrl(_)
            | Self::Authorize(_)
            | Self::Card(_)
            | Self::Exchange(_)
            | Self::Audit(_)
            | Self::Upstream(_) => None,
        }
    }

    /// The whole cause, for audit and log. A denial's own words come with it.
    fn cause(&self) -> String {
        match self {
            Self::Authorize(AuthorizeError::Denied(denial)) => {
                format!("{}: {}", chain(self), denial.detail())
            }
            Self::Identity(_)
            | Self::Route(_)
            | Self::Token(_)
            | Self::Decode(_)
            | Self::Session(_)
            | Self::Task(_)
            | Self::Push(_)
            | Self::OneUrl(_)
            | Self::Authorize(_)
            | Self::Card(_)
            | Self::Exchange(_)
            | Self::Audit(_)
            | Self::Upstream(_) => chain(self),
        }
    }
}

/// A challenge for a token with more scopes (RFC 6750 §3.1): for this the clients look at the status and the header.
fn scopes(needed: &[String]) -> Told {
    let told = Told::new(StatusCode::FORBIDDEN, DENIED, "insufficient_scope");
    Told {
        challenge: Some(format!(", error=\"insufficient_scope\", scope=\"{}\"", needed.join(" "))),
        data: Some(json!({ "reason": told.reason, "scopes": needed })),
        ..told
    }
}

fn token(error: &TokenError) -> Told {
    let challenge = match error {
        TokenError::Missing | TokenError::Header => "", // RFC 6750 §3.1: no error code where there was no bearer token.
        TokenError::UnknownIssuer
        | TokenError::Invalid(_)
        | TokenError::Algorithm { .. }
        | TokenError::Bound
        | TokenError::Presenter
        | TokenError::Chain(_)
        | TokenError::Revoked(_) => ", error=\"invalid_token\"",
        TokenError::Keys(_) => {
            return Told::new(StatusCode::SERVICE_UNAVAILABLE, UNAVAILABLE, "issuer_unavailable");
        }
    };
    let reason = if matches!(error, TokenError::Missing) { "token_required" } else { "invalid_token" };
    Told {
        challenge: Some(challenge.to_owned()),
        ..Told::new(StatusCode::UNAUTHORIZED, UNAUTHENTICATED, reason)
    }
}

fn decode(error: &DecodeError) -> Told {
    match error {
        DecodeError::Body(BodyError::TooLong { .. }) => {
            Told::new(StatusCode::PAYLOAD_TOO_LARGE, LIMIT, "body_too_long")
        }
        DecodeError::Body(BodyError::HeadTooLong { .. }) => {
            Told::new(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, LIMIT, "headers_too_long")
        }
        DecodeError::Body(BodyError::Timeout) => {
            Told::new(StatusCode::REQUEST_TIMEOUT, LIMIT, "body_too_slow")
        }
        DecodeError::Body(BodyError::Broken(_)) => Told::new(StatusCode::BAD_REQUEST, -32700, "body_broken"),
        DecodeError::Origin => Told::new(StatusCode::FORBIDDEN, -32600, "origin_not_allowed"),
        DecodeError::Mcp(error) => {
            let told = Told::new(error.http_status(), error.rpc_code(), error.reason());
            Told { data: error.data(), ..told }
        }
        DecodeError::A2a(error) => agent::decode(error),
        DecodeError::Query(_) => Told::new(StatusCode::BAD_REQUEST, -32602, "query_not_understood"),
    }
}

/// A card that isn't shown is not there; an extended one that can't go on is the agent's failure.
fn card(error: &NotShown) -> Told {
    match error {
        NotShown::NoAgent | NotShown::Hidden | NotShown::Standing(_) => {
            Told::new(StatusCode::NOT_FOUND, -32601, "not_found")
        }
        NotShown::Extended(_) => Told::new(StatusCode::BAD_GATEWAY, UNAVAILABLE, "upstream_failed"),
        NotShown::Upstream(error) => upstream(error),
    }
}

fn exchange(error: &ExchangeError) -> Told {
    match error {
        ExchangeError::Refused { why, .. } => {
            let reason = match why {
                Refused::Interaction => "interaction_required",
                Refused::Scope => "scope_refused",
                Refused::Audience => "audience_refused",
                Refused::Grant => "credential_refused",
            };
            Told::new(StatusCode::BAD_GATEWAY, UNAVAILABLE, reason)
        }
        ExchangeError::Service(crate::https::HttpsError::Timeout) => {
            Told::new(StatusCode::GATEWAY_TIMEOUT, UNAVAILABLE, "token_service_timeout")
        }
        ExchangeError::Service(_)
        | ExchangeError::Open
        | ExchangeError::Lost
        | ExchangeError::Answer(_)
        | ExchangeError::Header
        | ExchangeError::Keys(_)
        | ExchangeError::JwtSvid(_)
        | ExchangeError::Actor(_) => Told::new(StatusCode::BAD_GATEWAY, UNAVAILABLE, "token_service_failed"),
        ExchangeError::Token(_)
        | ExchangeError::Assertion(_)
        | ExchangeError::Kind
        | ExchangeError::Scopes
        | ExchangeError::Parties
        | ExchangeError::Bound => Told::new(StatusCode::BAD_GATEWAY, UNAVAILABLE, "credential_not_accepted"),
    }
}

fn upstream(error: &UpstreamError) -> Told {
    match error {
        UpstreamError::Timeout => Told::new(StatusCode::GATEWAY_TIMEOUT, UNAVAILABLE, "upstream_timeout"),
        UpstreamError::ServerRequest => Told::new(StatusCode::OK, DENIED, UNASKED),
        UpstreamError::Task(error) => agent::watched(error),
        UpstreamError::Connect(_)
        | UpstreamError::Tls(_)
        | UpstreamError::Configuration(_)
        | UpstreamError::Host
        | UpstreamError::Http(_)
        | UpstreamError::Status(_)
        | UpstreamError::Message(_)
        | UpstreamError::Events(_)
        | UpstreamError::MediaType
        | UpstreamError::Closed
        | UpstreamError::Grpc
        | UpstreamError::Session(_)
        | UpstreamError::TooLong
        | UpstreamError::PermitEnded
        | UpstreamError::Revoked(_) => Told::new(StatusCode::BAD_GATEWAY, UNAVAILABLE, "upstream_failed"),
    }
}

impl From<ListError> for Refusal {
    fn from(error: ListError) -> Self {
        match error {
            ListError::Task(error) => Self::Task(error),
            ListError::Upstream(error) => Self::Upstream(error),
        }
    }
}

impl Told {
    fn new(status: StatusCode, code: i32, reason: &str) -> Self {
        Self { status, code, reason: reason.to_owned(), challenge: None, data: None, again: None }
    }
}

fn headline(code: i32) -> &'static str {
    match code {
        DENIED => "denied",
        UNAVAILABLE => "unavailable",
        LIMIT => "over a limit",
        UNAUTHENTICATED => "not authenticated",
        _ => "bad request",
    }
}

fn headers(told: &Told, url: &str, arrival: &Arrival, length: usize) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if told.status == StatusCode::METHOD_NOT_ALLOWED {
        headers.insert(
            ALLOW,
            HeaderValue::from_static(if arrival.method == Method::POST { "GET" } else { "POST" }),
        );
    }
    if let Some(seconds) = told.again {
        headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    if let Some(error) = &told.challenge {
        // Where to learn whose token is needed (RFC 9728 §5.1). Only a server's path is ever challenged.
        let path = arrival.uri.path();
        let path =
            crate::route::operation_path(path).and_then(|below| path.strip_suffix(below)).unwrap_or(path);
        let metadata = format!("{url}/.well-known/oauth-protected-resource{path}");
        if let Ok(challenge) =
            HeaderValue::try_from(format!("Bearer resource_metadata=\"{metadata}\"{error}"))
        {
            headers.insert(WWW_AUTHENTICATE, challenge);
        }
    }
    headers
}
