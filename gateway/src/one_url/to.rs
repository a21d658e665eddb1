//! Which server a call is for, and the call as that server gets it: at its own path, under its own name.

use super::{BETWEEN, NAME_BYTES_MAX, OneUrlError, Through};
use crate::config::check::is_server_name;
use crate::request::Arrival;
use crate::upstream::SESSION_ID;
use bytes::Bytes;
use http::uri::Uri;
use http::{HeaderName, HeaderValue};
use protocol::mcp::{self, DecodeError, Named, Target, Version, name_header};

const NAME: HeaderName = HeaderName::from_static("mcp-name");
pub(super) const VERSION: HeaderName = HeaderName::from_static("mcp-protocol-version");

/// A session that a server has begun, and in which version.
#[derive(Clone, Debug)]
pub(super) struct Begun {
    /// Its id at `/mcp/<server>`; a server may have no sessions.
    pub(super) session: Option<HeaderValue>,
    /// `MCP-Protocol-Version` of the calls in it.
    pub(super) version: HeaderValue,
}

/// A call's way.
#[derive(Debug)]
pub(super) struct To<'a> {
    arrival: &'a Arrival,
    /// The server's name, whether or not there is such a server; empty where the call names none.
    pub(super) server: String,
    /// The name in the body, and the one that the server knows.
    named: Option<(Named<'a>, String)>,
}

impl<'a> To<'a> {
    /// By the name of a tool or a prompt. None: the body has no such name.
    ///
    /// # Errors
    /// [`DecodeError`] if `Mcp-Name` says something else.
    pub(super) fn named(arrival: &'a Arrival) -> Result<Option<Self>, DecodeError> {
        let Ok(body) = &arrival.body else { return Ok(None) };
        let Some(named) = Named::find(body) else { return Ok(None) };
        named.agrees(&arrival.headers)?;
        let (server, name) = split(named.name()).unwrap_or(("", named.name()));
        let (server, name) = (server.to_owned(), name.to_owned());
        Ok(Some(Self { arrival, server, named: Some((named, name)) }))
    }

    /// To a server that the body doesn't name.
    pub(super) fn unnamed(arrival: &'a Arrival, server: String) -> Self {
        Self { arrival, server, named: None }
    }

    /// The decoded call as the server knows it.
    pub(super) fn call(&self, call: &mcp::Call) -> mcp::Call {
        let mut call = call.clone();
        if let (Target::Tool { name } | Target::Prompt { name }, Some((_, own))) =
            (&mut call.target, &self.named)
        {
            name.clone_from(own);
        }
        call
    }

    /// The request as it would have come to `/mcp/<server>`.
    ///
    /// # Errors
    /// [`OneUrlError::Rename`].
    pub(super) fn arrival(&self, begun: Option<&Begun>, through: Through) -> Result<Arrival, OneUrlError> {
        let mut arrival = at(self.arrival, &self.server, through);
        if let Some((named, own)) = &self.named
            && *own != named.name()
        {
            arrival.body = Ok(Bytes::from(named.renamed(own)?));
            if named.is_in(&arrival.headers)
                && let Ok(header) = HeaderValue::try_from(name_header(own))
            {
                arrival.headers.insert(NAME, header);
            }
        }
        in_session(&mut arrival, begun);
        Ok(arrival)
    }
}

/// A server's and a tool's name in one.
pub(super) fn split(name: &str) -> Option<(&str, &str)> {
    let (server, own) = name.split_once(BETWEEN)?;
    (name.len() <= NAME_BYTES_MAX && is_server_name(server) && !own.is_empty()).then_some((server, own))
}

/// One name for both; none if it is too long to be called.
pub(super) fn joined(server: &str, own: &str) -> Option<String> {
    let name = format!("{server}{BETWEEN}{own}");
    (name.len() <= NAME_BYTES_MAX && !own.is_empty()).then_some(name)
}

/// The request at a server's path. The session is the gateway's own, and no server's.
pub(super) fn at(arrival: &Arrival, server: &str, through: Through) -> Arrival {
    let mut arrival = Arrival { one_url: Some(through), ..arrival.clone() };
    arrival.uri = Uri::try_from(format!("{}/{server}", super::PATH)).unwrap_or_default();
    arrival.headers.remove(SESSION_ID);
    arrival
}

/// Puts a request into a session.
pub(super) fn in_session(arrival: &mut Arrival, begun: Option<&Begun>) {
    let Some(begun) = begun else { return };
    arrival.headers.insert(VERSION, begun.version.clone());
    if let Some(id) = &begun.session {
        arrival.headers.insert(SESSION_ID, id.clone());
    }
}

/// Whether a call stands alone, by the header that says so; a body that says otherwise is refused later.
pub(super) fn is_stateless(arrival: &Arrival) -> bool {
    arrival.headers.get(VERSION).is_some_and(|version| version == Version::V2026_07_28.as_str())
}

/// Which methods about a resource go to the one server that has it. A subscription is a stream of that server's own.
pub(super) fn is_routed(method: &str) -> bool {
    matches!(method, "resources/read" | "completion/complete")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_split_behind_the_server() {
        for (name, parts) in [
            ("s3__get_object", Some(("s3", "get_object"))),
            ("s3___get", Some(("s3", "_get"))),
            ("s3__a__b", Some(("s3", "a__b"))),
            ("my-server__t", Some(("my-server", "t"))),
            ("s3_get", None),
            ("s3__", None),
            ("__get", None),
            ("S3__get", None),
            ("a_b__get", None),
            ("a/b__get", None),
            ("", None),
        ] {
            assert_eq!(split(name), parts, "{name}");
            if let Some((server, own)) = parts {
                assert_eq!(joined(server, own).as_deref(), Some(name));
            }
        }
    }

    #[test]
    fn a_name_has_128_bytes_at_most_here() {
        let own = "t".repeat(NAME_BYTES_MAX - "s3__".len());
        let name = joined("s3", &own);
        assert_eq!(name.as_deref().and_then(split), Some(("s3", own.as_str())));
        let longer = format!("{own}t");
        assert_eq!(joined("s3", &longer), None);
        assert_eq!(split(&format!("s3__{longer}")), None);
    }
}
