//! What holds for any bytes. The fuzz targets call these functions, and so does the test beside this file.
//! Each says whether the bytes were good, so that the test can see that both kinds came by.

#![allow(dead_code, reason = "each fuzz target calls one of them")]

use http::{HeaderMap, HeaderName, HeaderValue, Method};
use protocol::json;
use protocol::mcp::{
    self, HttpRequest, Item, ListKind, MessageError, Named, Page, Reply, ServerMessage, Target, Version,
    Watch,
};
use protocol::sse::{Event, Events};
use serde::de::IgnoredAny;
use serde_json::{Map, Value};
use std::borrow::Cow;

/// What the scanner accepts, serde_json reads; and what it writes then, the scanner accepts.
pub(crate) fn json(bytes: &[u8]) -> bool {
    let limits = json::Limits::default();
    if json::check(bytes, &limits).is_err() {
        return false;
    }
    assert!(serde_json::from_slice::<IgnoredAny>(bytes).is_ok());
    if let Ok(value) = serde_json::from_slice::<Value>(bytes) {
        assert_eq!(json::check(value.to_string().as_bytes(), &limits), Ok(()));
    }
    true
}

/// A call touches what any other parser reads in the body, and a refusal has a reason that may leave the gateway.
pub(crate) fn call(body: &[u8]) -> bool {
    let mut good = false;
    for version in [Version::V2026_07_28, Version::V2025_11_25] {
        for case_variants_in_arguments in [false, true] {
            let limits = mcp::Limits { case_variants_in_arguments, ..Default::default() };
            good |= decoded(body, version, &limits);
        }
    }
    good
}

fn decoded(body: &[u8], version: Version, limits: &mcp::Limits) -> bool {
    let mut headers = HeaderMap::new();
    for (name, value) in [
        ("content-type", "application/json"),
        ("accept", "application/json, text/event-stream"),
        ("mcp-protocol-version", version.as_str()),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    let value = serde_json::from_slice::<Value>(body).unwrap_or_default();
    let params = &value["params"];
    if version.is_stateless() {
        let named = params["name"].as_str().or(params["uri"].as_str());
        for (name, value) in [("mcp-method", value["method"].as_str()), ("mcp-name", named)] {
            if let Some(value) = value.and_then(|value| HeaderValue::from_str(value).ok()) {
                headers.insert(name, value);
            }
        }
    }
    match mcp::call(&HttpRequest { method: &Method::POST, headers: &headers, body }, limits) {
        Ok(call) => {
            assert_eq!(Some(call.method), value["method"].as_str());
            assert_eq!(
                call.id.map(|id| serde_json::from_str(id.get()).unwrap_or_default()),
                value.get("id").cloned()
            );
            match call.target {
                Target::Tool { name } => {
                    assert_eq!(Some(name.as_str()), params["name"].as_str());
                    assert_eq!(call.arguments.as_ref(), params.get("arguments"));
                }
                Target::Resource { uris } => {
                    let listed = &params["notifications"]["resourceSubscriptions"];
                    let places = [&params["uri"], &params["ref"]["uri"], &listed[0]];
                    assert!(places.iter().any(|place| place.as_str() == Some(&uris[0])));
                }
                Target::Prompt { .. } | Target::Protocol => {}
            }
            assert!(call.trace_parent.is_none_or(|parent| parent.len() == 55));
            true
        }
        Err(error) => {
            assert!(error.http_status().is_client_error());
            assert!(error.rpc_code() < 0);
            let reason = error.reason();
            assert!(reason.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_')), "{reason}");
            false
        }
    }
}

/// Whatever stands in the headers of a call, each a line of `name: value`: what is taken from them is well-formed.
pub(crate) fn headers(text: &[u8]) -> bool {
    let mut headers = HeaderMap::new();
    for line in text.split(|byte| *byte == b'\n') {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name), HeaderValue::from_bytes(value)) {
            headers.append(name, value);
        }
    }
    let stateless = r#""_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}},"#;
    let mut good = false;
    for meta in ["", stateless] {
        let body = format!(
            r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{{meta}"name":"get","arguments":{{"key":"a"}}}}}}"#
        );
        let request = HttpRequest { method: &Method::POST, headers: &headers, body: body.as_bytes() };
        let Ok(call) = mcp::call(&request, &mcp::Limits::default()) else { continue };
        let session = call.session.unwrap_or_else(|| "none".into());
        assert!(!session.is_empty() && session.bytes().all(|byte| byte.is_ascii_graphic()));
        assert_eq!(call.version == Version::V2026_07_28, !meta.is_empty());
        assert!(
            headers
                .get_all("mcp-method")
                .iter()
                .all(|method| method.as_bytes().trim_ascii() == b"tools/call")
        );
        good = true;
    }
    good
}

/// A name that is put in the place of another changes no other byte, of a call or of an item in a list.
pub(crate) fn rename(body: &[u8]) -> bool {
    let call = Named::find(body).map(|named| {
        let empty = named.renamed("").unwrap_or_default();
        let text = std::str::from_utf8(body).unwrap_or_default();
        is_one_string(text, std::str::from_utf8(&empty).unwrap_or_default(), named.name());
        let other = named.renamed("s3\"\u{e9}").unwrap_or_default();
        assert_eq!(Named::find(&other).map(|named| named.name().to_owned()).as_deref(), Some("s3\"\u{e9}"));
        assert_eq!(Named::find(&other).and_then(|named| named.renamed("").ok()), Some(empty));
    });
    let Ok(Reply::Result(result)) = Reply::read(body) else { return call.is_some() };
    let mut good = call.is_some();
    for kind in ListKind::ALL {
        let Ok(page) = Page::read(result, kind) else { continue };
        for item in page.items {
            let renamed = item.renamed(kind, "").unwrap_or_default();
            is_one_string(item.raw.get(), &renamed, &item.key);
            good = true;
        }
    }
    good
}

/// That a text differs from another in one string alone, which is empty there.
fn is_one_string(text: &str, emptied: &str, string: &str) {
    let says = |from: usize| {
        let (before, after) = (emptied.get(..from)?, emptied.get(from + 2..)?);
        let rest = text.strip_prefix(before)?.strip_suffix(after)?;
        serde_json::from_str::<String>(rest).ok()
    };
    let places = emptied.match_indices("\"\"").map(|(from, _)| from);
    assert!(places.into_iter().any(|from| says(from).as_deref() == Some(string)), "{text:?} and {emptied:?}");
}

/// A list from which nothing goes stays as it came; one from which everything goes has nothing left.
pub(crate) fn list(body: &[u8]) -> bool {
    let all = filtered(Version::V2025_11_25, body, &mut |_, _| true);
    let none = filtered(Version::V2026_07_28, body, &mut |_, _| false);
    let (Ok(all), Ok(none)) = (all, none) else { return false };
    assert_eq!(all, body);
    let mut seen = 0;
    let again = filtered(Version::V2026_07_28, &none, &mut |_, _| {
        seen += 1;
        false
    });
    assert_eq!((again, seen), (Ok(none), 0));
    true
}

fn filtered(
    version: Version,
    body: &[u8],
    keep: &mut dyn FnMut(ListKind, &Item<'_>) -> bool,
) -> Result<Vec<u8>, MessageError> {
    ServerMessage::read(body)?.filtered(version, keep).map(Cow::into_owned)
}

/// However an answer is cut, the same is seen of it, and all that another parser finds in it. The first byte says
/// where it is cut.
pub(crate) fn answer(bytes: &[u8]) -> bool {
    let Some((size, body)) = bytes.split_first() else { return false };
    let seen = watched(body, body.len().max(1));
    assert_eq!(watched(body, usize::from(*size).max(1)), seen);
    let Ok(message) = serde_json::from_slice::<Map<String, Value>>(body) else { return false };
    let input = message.get("result").is_some_and(|result| result["resultType"] == "input_required");
    let asks = message.contains_key("method") || input;
    assert!(seen == Ok(true) || (!asks && seen == Ok(false)), "{seen:?}");
    if let Ok(Some(_)) = ServerMessage::read(body).and_then(|message| message.unasked(&[])) {
        assert_eq!(seen, Ok(true));
    }
    true
}

fn watched(body: &[u8], size: usize) -> Result<bool, MessageError> {
    let mut watch = Watch::default();
    body.chunks(size).try_for_each(|chunk| watch.push(chunk))?;
    watch.finish().map(|()| watch.asks())
}

/// However a stream is cut, no byte is lost and the same data is seen. The first byte says where it is cut.
pub(crate) fn events(bytes: &[u8]) -> bool {
    let Some((size, stream)) = bytes.split_first() else { return false };
    let whole = split(stream, stream.len().max(1));
    let parts = split(stream, usize::from(*size).max(1));
    for events in [&whole, &parts] {
        let raw: Vec<u8> = events.iter().flat_map(|event| event.raw.to_vec()).collect();
        assert_eq!(raw, stream);
    }
    assert_eq!(data(&whole), data(&parts));
    // A byte order mark in the middle would stand at the start here.
    for event in whole.iter().skip(1).filter(|event| !event.raw.starts_with(b"\xEF\xBB\xBF")) {
        assert_eq!(data(&split(&event.plain(Some(b"x\ny")), 3)), ["x\ny"]);
    }
    !data(&whole).is_empty()
}

fn split(stream: &[u8], size: usize) -> Vec<Event> {
    let mut events = Events::new(usize::MAX);
    let mut all = Vec::new();
    for chunk in stream.chunks(size) {
        all.extend(events.push(chunk).unwrap_or_default());
    }
    all.extend(events.finish().unwrap_or_default());
    all
}

fn data(events: &[Event]) -> Vec<String> {
    events.iter().filter_map(|event| event.data().map(|data| data.into_owned())).collect()
}
