//! Stage 4 of 9: what is asked.
//! In: a body within its bounds and the headers. Out: a [`Call`], of MCP or of A2A, read from the body as the upstream will
//! read it. Headers that say otherwise are refused (MCP SEP-2243), as is a page of a foreign origin.

use crate::config::Limits;
use crate::registry::QueryError;
use crate::request::Arrival;
use crate::route::{AgentRoute, ServerRoute};
use bytes::Bytes;
use http::header::ORIGIN;
use protocol::{a2a, mcp};
use serde_json::value::RawValue;
use std::collections::BTreeSet;

/// What is asked, by its protocol.
#[derive(Clone, Debug)]
pub enum Call {
    /// Of an MCP server.
    Mcp(mcp::Call),
    /// Of an A2A agent.
    A2a(Box<a2a::Call>),
    /// An agent's card, which the gateway itself has.
    Card,
}

/// A request's body: all of it, or why it never became whole.
pub type Body = Result<Bytes, BodyError>;

/// Why a body never became whole.
#[derive(Clone, Debug, thiserror::Error)]
pub enum BodyError {
    /// Longer than the limit.
    #[error("the body is longer than {max} bytes")]
    TooLong {
        /// The limit.
        max: usize,
    },
    /// The header fields together are longer than the limit.
    #[error("the header fields are longer than {max} bytes")]
    HeadTooLong {
        /// The limit.
        max: usize,
    },
    /// It came too slowly.
    #[error("the body did not arrive in time")]
    Timeout,
    /// The caller hung up, or broke the framing.
    #[error("the body broke off: {0}")]
    Broken(String),
}

/// Why a request is not a call.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// The body never became whole.
    #[error(transparent)]
    Body(#[from] BodyError),
    /// A browser's page of an origin that isn't let in (MCP, transports, security warning).
    #[error("the origin is not let in")]
    Origin,
    /// Not the protocol.
    #[error("not a call of the protocol")]
    Mcp(#[from] mcp::DecodeError),
    /// The same of A2A.
    #[error("not a call of the protocol")]
    A2a(#[from] a2a::DecodeError),
    /// Not a question to the list of agents.
    #[error(transparent)]
    Query(#[from] QueryError),
}

/// Decodes a request to the endpoint of a server or an agent.
///
/// # Errors
/// [`DecodeError`]; nothing has gone upstream.
pub fn call(
    arrival: &Arrival,
    server: &ServerRoute,
    origins: &BTreeSet<String>,
    limits: &Limits,
) -> Result<Call, DecodeError> {
    let body = let_in(arrival, origins)?;
    let json = protocol::json::Limits { depth_max: limits.json_depth_max };
    if let Some(agent) = server.agent() {
        if agent.is_card() && arrival.method == http::Method::GET && arrival.uri.query().is_none() {
            return Ok(Call::Card);
        }
        return Ok(Call::A2a(Box::new(to_agent(arrival, &body, agent, json)?)));
    }
    let request = mcp::HttpRequest { method: &arrival.method, headers: &arrival.headers, body: &body };
    let limits = mcp::Limits {
        json,
        case_variants_in_arguments: server.case_variants_in_arguments(),
        client_answers: server.client_answers(),
    };
    Ok(Call::Mcp(mcp::call(&request, &limits)?))
}

/// The whole body, unless a page of a foreign origin sends it.
///
/// # Errors
/// [`DecodeError::Origin`], [`DecodeError::Body`].
pub(crate) fn let_in(arrival: &Arrival, origins: &BTreeSet<String>) -> Result<Bytes, DecodeError> {
    if arrival.headers.get_all(ORIGIN).iter().any(|o| !o.to_str().is_ok_and(|o| origins.contains(o))) {
        return Err(DecodeError::Origin);
    }
    Ok(arrival.body.clone()?)
}

fn to_agent(
    arrival: &Arrival,
    body: &[u8],
    agent: &AgentRoute,
    json: protocol::json::Limits,
) -> Result<a2a::Call, a2a::DecodeError> {
    let request = a2a::HttpRequest {
        method: &arrival.method,
        path: &agent.below,
        query: arrival.uri.query(),
        headers: &arrival.headers,
        body,
    };
    let call = a2a::call(&request, &a2a::Limits { json })?;
    match agent.binding {
        // Where the caller wrote the agent's name there, only what stands behind it is the agent's.
        a2a::Binding::Grpc => Ok(a2a::Call { tenant: agent.tenant.clone(), ..call }),
        a2a::Binding::JsonRpc | a2a::Binding::HttpJson => Ok(call),
    }
}

impl Call {
    /// The protocol's name.
    pub fn protocol(&self) -> &'static str {
        match self {
            Self::Mcp(_) => "mcp",
            Self::A2a(_) | Self::Card => "a2a",
        }
    }

    /// Its version, as it is written on the wire.
    pub fn version(&self) -> &'static str {
        match self {
            Self::Mcp(call) => call.version.as_str(),
            Self::A2a(call) => call.version.as_str(),
            Self::Card => a2a::Version::V1_0.as_str(),
        }
    }

    /// What is asked for: the JSON-RPC method of MCP, or the operation as A2A 1.0 names it.
    pub fn method(&self) -> &'static str {
        match self {
            Self::Mcp(call) => call.method,
            Self::A2a(call) => call.method.name(),
            Self::Card => "GetAgentCard",
        }
    }

    /// The JSON-RPC request's id, where there is one.
    pub fn id(&self) -> Option<&RawValue> {
        match self {
            Self::Mcp(call) => call.id.as_deref(),
            Self::A2a(call) => call.id.as_deref(),
            Self::Card => None,
        }
    }

    /// The tool that it touches.
    pub fn tool(&self) -> Option<&str> {
        match self {
            Self::Mcp(mcp::Call { target: mcp::Target::Tool { name }, .. }) => Some(name),
            Self::Mcp(_) | Self::A2a(_) | Self::Card => None,
        }
    }

    /// The call as one of MCP.
    pub fn mcp(&self) -> Option<&mcp::Call> {
        match self {
            Self::Mcp(call) => Some(call),
            Self::A2a(_) | Self::Card => None,
        }
    }

    /// The call as one of A2A.
    pub fn a2a(&self) -> Option<&a2a::Call> {
        match self {
            Self::A2a(call) => Some(call),
            Self::Mcp(_) | Self::Card => None,
        }
    }
}
