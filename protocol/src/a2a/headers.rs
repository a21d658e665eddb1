//! The header fields of A2A: `A2A-Version` and `A2A-Extensions` (A2A 1.0 §3.6, §4.6).

use super::error::Fault;
use super::{Binding, Version};
use http::HeaderMap;

/// Extensions that one call may declare.
const EXTENSIONS_MAX: usize = 32;
/// Bytes of an extension's URI.
const URI_BYTES_MAX: usize = 2048;

/// The version: of the header, else of the query parameter of that name. Empty means 0.3.
pub(super) fn version(headers: &HeaderMap, query: Option<&str>, binding: Binding) -> Result<Version, Fault> {
    let in_query = query.and_then(|query| {
        query.split('&').filter_map(|pair| pair.split_once('=')).find(|(name, _)| *name == "A2A-Version")
    });
    let requested = match one(headers, "a2a-version")? {
        Some(header) => header.trim(),
        None => in_query.map(|(_, value)| value).unwrap_or_default(),
    };
    let version = match requested {
        "" => Version::V0_3,
        text if is_patch_of(text, "1.0") => Version::V1_0,
        text if is_patch_of(text, "0.3") => Version::V0_3,
        _ => return Err(Fault::Version { requested: shortened(requested) }),
    };
    if binding == Binding::Grpc && version == Version::V0_3 {
        return Err(Fault::Version { requested: shortened(requested) });
    }
    Ok(version)
}

/// Whether a query is the version's parameter and nothing else.
pub(super) fn is_version(query: &str) -> bool {
    query.split_once('=').is_some_and(|(name, _)| name == "A2A-Version") && !query.contains('&')
}

/// The version itself, or with a patch number, which says nothing of the wire.
fn is_patch_of(text: &str, version: &str) -> bool {
    match text.strip_prefix(version) {
        Some("") => true,
        Some(rest) => {
            let patch = rest.strip_prefix('.').unwrap_or_default();
            !patch.is_empty() && patch.len() <= 4 && patch.bytes().all(|byte| byte.is_ascii_digit())
        }
        None => false,
    }
}

fn shortened(text: &str) -> String {
    text.chars().take(16).collect()
}

/// The declared extensions, each once. 0.3 wrote the header with an `X-`.
pub(super) fn extensions(headers: &HeaderMap) -> Result<Vec<String>, Fault> {
    const NAME: &str = "a2a-extensions";
    let lines = headers.get_all(NAME).iter().chain(headers.get_all("x-a2a-extensions"));
    let mut extensions: Vec<String> = Vec::new();
    for line in lines {
        let line = line.to_str().map_err(|_| Fault::Header { name: NAME })?;
        for uri in line.split(',').map(str::trim).filter(|uri| !uri.is_empty()) {
            if uri.len() > URI_BYTES_MAX || extensions.len() >= EXTENSIONS_MAX {
                return Err(Fault::Header { name: NAME });
            }
            if !extensions.iter().any(|known| known == uri) {
                extensions.push(uri.to_owned());
            }
        }
    }
    Ok(extensions)
}

/// A header that may stand there once, or several times with one value.
pub(super) fn one<'a>(headers: &'a HeaderMap, name: &'static str) -> Result<Option<&'a str>, Fault> {
    let mut values = headers.get_all(name).iter();
    let Some(first) = values.next() else { return Ok(None) };
    if values.any(|other| other != first) {
        return Err(Fault::Header { name });
    }
    first.to_str().map(Some).map_err(|_| Fault::Header { name })
}

/// Whether the body is JSON: `application/json`, or A2A's own type over HTTP+JSON; and nothing to unpack first.
pub(super) fn is_json(headers: &HeaderMap, binding: Binding) -> Result<(), Fault> {
    let Some(declared) = one(headers, "content-type")? else { return Err(Fault::ContentType) };
    let mut pieces = declared.split(';').map(str::trim);
    let media_type = pieces.next().unwrap_or_default();
    let known = media_type.eq_ignore_ascii_case("application/json")
        || (binding == Binding::HttpJson && media_type.eq_ignore_ascii_case("application/a2a+json"));
    let in_utf8 = pieces.all(|piece| {
        piece.split_once('=').is_some_and(|(name, value)| {
            name.eq_ignore_ascii_case("charset") && value.trim_matches('"').eq_ignore_ascii_case("utf-8")
        })
    });
    if known && in_utf8 { is_unpacked(headers) } else { Err(Fault::ContentType) }
}

/// Whether the body is what it is judged as.
pub(super) fn is_unpacked(headers: &HeaderMap) -> Result<(), Fault> {
    match one(headers, "content-encoding")? {
        None => Ok(()),
        Some(encoding) if encoding.eq_ignore_ascii_case("identity") => Ok(()),
        Some(_) => Err(Fault::ContentType),
    }
}
