//! The headers that say something about the message, each with one value, and held against the body
//! (2026-07-28, Streamable HTTP, Request Metadata). Which argument an `Mcp-Param-*` mirrors stands in the tool's schema,
//! which isn't known here; what it says has to be the value of some argument, so that it says nothing new.

use super::{Fault, MethodRow, TargetKind, Version};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use http::header::{ACCEPT, CONTENT_ENCODING};
use serde_json::Value;
use std::borrow::Cow;

pub(super) const PROTOCOL_VERSION: &str = "mcp-protocol-version";
const METHOD: &str = "mcp-method";
pub(super) const NAME: &str = "mcp-name";
const SESSION_ID: &str = "mcp-session-id";
const PARAM_PREFIX: &str = "mcp-param-";
const PARAM: &str = "mcp-param-*";
const SESSION_ID_BYTES_MAX: usize = 2048;

/// What the headers claim.
pub(super) struct Headers<'a> {
    pub(super) version: Option<&'a str>,
    method: Option<&'a str>,
    name: Option<Cow<'a, str>>,
    session: Option<&'a str>,
    params: Result<Vec<Cow<'a, str>>, Fault>,
}

impl<'a> Headers<'a> {
    pub(super) fn read(headers: &'a HeaderMap) -> Result<Self, Fault> {
        Ok(Self {
            version: single(headers, PROTOCOL_VERSION)?,
            method: single(headers, METHOD)?,
            name: name(headers)?,
            session: single(headers, SESSION_ID)?,
            params: mirrored(headers),
        })
    }

    /// `Mcp-Method` is the body's method; 2026-07-28 requires it.
    pub(super) fn agree_on_method(&self, version: Version, method: &str) -> Result<(), Fault> {
        match self.method {
            Some(header) if header == method => Ok(()),
            Some(_) => Err(Fault::HeaderMismatch { name: METHOD }),
            None if version.is_stateless() => Err(Fault::HeaderMissing { name: METHOD }),
            None => Ok(()),
        }
    }

    /// `Mcp-Name` is what the body names; 2026-07-28 requires it where the body names one thing.
    pub(super) fn agree_on_name(
        &self,
        version: Version,
        row: &MethodRow,
        name: Option<&str>,
    ) -> Result<(), Fault> {
        let required = match row.target {
            TargetKind::Tool | TargetKind::Resource | TargetKind::Prompt => version.is_stateless(),
            TargetKind::Reference | TargetKind::Subscriptions | TargetKind::Protocol => false,
        };
        match self.name.as_deref() {
            Some(header) if Some(header) == name => {}
            Some(_) => return Err(Fault::HeaderMismatch { name: NAME }),
            None if required => return Err(Fault::HeaderMissing { name: NAME }),
            None => {}
        }
        Ok(())
    }

    /// `Mcp-Param-*` repeats an argument. Older versions have no such header, so nobody would hold it against the body.
    pub(super) fn agree_on_arguments(
        &self,
        version: Version,
        arguments: Option<&Value>,
    ) -> Result<(), Fault> {
        let params = self.params.as_ref().map_err(Fault::clone)?;
        let says_nothing_new = |text: &Cow<'_, str>| arguments.is_some_and(|value| holds(value, text));
        let agree = params.is_empty() || (version.is_stateless() && params.iter().all(says_nothing_new));
        if agree { Ok(()) } else { Err(Fault::HeaderMismatch { name: PARAM }) }
    }

    pub(super) fn has_session(&self) -> bool {
        self.session.is_some()
    }

    /// The session that the call is in (2025-11-25, Transports, Session Management: visible ASCII).
    pub(super) fn session(&self, version: Version) -> Result<Option<String>, Fault> {
        let Some(session) = self.session else { return Ok(None) };
        if version.is_stateless() {
            return Err(Fault::SessionInStatelessCall);
        }
        let visible = !session.is_empty() && session.bytes().all(|byte| byte.is_ascii_graphic());
        if !visible || session.len() > SESSION_ID_BYTES_MAX {
            return Err(Fault::SessionId);
        }
        Ok(Some(session.to_owned()))
    }
}

/// What `Mcp-Name` says.
pub(super) fn name(headers: &HeaderMap) -> Result<Option<Cow<'_, str>>, Fault> {
    single(headers, NAME)?.map(|value| decoded(NAME, value)).transpose()
}

/// Whether a POST has a body that is JSON as it stands, and a client that reads both forms of an answer.
pub(super) fn is_json_message(headers: &HeaderMap) -> Result<(), Fault> {
    let content_type = single(headers, "content-type")?.unwrap_or_default();
    let mut parts = content_type.split(';').map(str::trim);
    let is_json = parts.next().is_some_and(|essence| essence.eq_ignore_ascii_case("application/json"));
    if !is_json || !parts.filter(|part| !part.is_empty()).all(is_utf8) {
        return Err(Fault::ContentType);
    }
    let plain = |value: &http::HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"identity");
    if !headers.get_all(CONTENT_ENCODING).iter().all(plain) {
        return Err(Fault::ContentEncoding);
    }
    accepts(headers, "application", "json")?;
    accepts_events(headers)
}

/// Whether the client reads an event stream.
pub(super) fn accepts_events(headers: &HeaderMap) -> Result<(), Fault> {
    accepts(headers, "text", "event-stream")
}

fn is_utf8(parameter: &str) -> bool {
    parameter.split_once('=').is_some_and(|(name, value)| {
        name.eq_ignore_ascii_case("charset") && value.trim_matches('"').eq_ignore_ascii_case("utf-8")
    })
}

/// RFC 9110 §12.5.1: the most specific range decides, and weight 0 is a no. A list, so it may span several lines.
fn accepts(headers: &HeaderMap, main: &str, sub: &str) -> Result<(), Fault> {
    let mut best = (0, false);
    for line in headers.get_all(ACCEPT) {
        let Ok(line) = line.to_str() else { return Err(Fault::Accept) };
        for range in line.split(',') {
            let mut parts = range.split(';').map(str::trim);
            let (range_main, range_sub) =
                parts.next().and_then(|range| range.split_once('/')).unwrap_or_default();
            let specific = match (range_main, range_sub) {
                ("*", "*") => 1,
                (m, "*") if m.eq_ignore_ascii_case(main) => 2,
                (m, s) if m.eq_ignore_ascii_case(main) && s.eq_ignore_ascii_case(sub) => 3,
                _ => continue,
            };
            let weight = parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
            let wanted = weight.is_none_or(|weight| weight.parse::<f32>().is_ok_and(|weight| weight > 0.0));
            best = best.max((specific, wanted));
        }
    }
    if best.1 { Ok(()) } else { Err(Fault::Accept) }
}

/// The one value, without the white space around it. Two are refused: which one counts is the reader's choice.
fn single<'a>(headers: &'a HeaderMap, name: &'static str) -> Result<Option<&'a str>, Fault> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(Fault::HeaderRepeated { name });
    }
    let text = value.to_str().map_err(|_| Fault::HeaderEncoding { name })?;
    Ok(Some(text.trim_matches([' ', '\t'])))
}

/// Value Encoding: `=?base64?…?=` holds UTF-8 that isn't safe in a header; anything else stands for itself.
fn decoded<'a>(name: &'static str, value: &'a str) -> Result<Cow<'a, str>, Fault> {
    let Some(encoded) = value.strip_prefix("=?base64?").and_then(|rest| rest.strip_suffix("?=")) else {
        return Ok(Cow::Borrowed(value));
    };
    let bytes = STANDARD.decode(encoded).map_err(|_| Fault::HeaderEncoding { name })?;
    String::from_utf8(bytes).map(Cow::Owned).map_err(|_| Fault::HeaderEncoding { name })
}

/// What the `Mcp-Param-*` headers say, decoded.
fn mirrored(headers: &HeaderMap) -> Result<Vec<Cow<'_, str>>, Fault> {
    let mut all = Vec::new();
    for name in headers.keys().filter(|name| name.as_str().starts_with(PARAM_PREFIX)) {
        let mut values = headers.get_all(name).iter();
        let first = values.next().and_then(|value| value.to_str().ok());
        let text = first.ok_or(Fault::HeaderEncoding { name: PARAM })?;
        if values.next().is_some() {
            return Err(Fault::HeaderRepeated { name: PARAM });
        }
        all.push(decoded(PARAM, text.trim_matches([' ', '\t']))?);
    }
    Ok(all)
}

/// Whether a scalar with this text stands anywhere in a value; numbers are compared as numbers.
fn holds(value: &Value, text: &str) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(found) => text == if *found { "true" } else { "false" },
        Value::Number(found) => {
            found.to_string() == text || (found.as_f64().is_some() && found.as_f64() == text.parse().ok())
        }
        Value::String(found) => found == text,
        Value::Array(items) => items.iter().any(|item| holds(item, text)),
        Value::Object(members) => members.values().any(|member| holds(member, text)),
    }
}
