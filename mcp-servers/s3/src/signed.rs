//! Requests to S3 that the client has no words for, signed with the same credential: which versions there are, and which
//! checksum the store keeps.

use crate::argument::{Sha256, VersionId};
use crate::error::StoreError;
use crate::name::Key;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures_util::StreamExt;
use http::{HeaderMap, Method, Request, StatusCode};
use object_store::aws::{AwsAuthorizer, AwsCredentialProvider};
use object_store::client::{HttpClient, HttpConnector, HttpRequestBody, ReqwestConnector};
use object_store::{ClientOptions, Error};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;

/// Signs and sends.
#[derive(Debug)]
pub struct Signed {
    http: HttpClient,
    credentials: AwsCredentialProvider,
    /// The bucket's URL, without a slash at its end.
    base: String,
    region: String,
}

/// A version of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    /// As the store calls it.
    pub id: VersionId,
    /// Whether it is the one that is read without a version.
    pub is_latest: bool,
    /// Whether it says that the object was deleted; then there is nothing to read.
    pub is_deletion: bool,
    /// When it was written, RFC 3339 as the store writes it.
    pub modified: String,
    /// Its length in bytes.
    pub size: Option<u64>,
    /// Its entity tag.
    pub etag: Option<String>,
}

/// One page of the versions of an object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Versions {
    /// The newest first.
    pub versions: Vec<Version>,
    /// Where the next page begins: behind this version.
    pub next: Option<VersionId>,
}

/// `ListVersionsResult`, as far as it is read. Versions and deletions come in one order, mixed.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Listed {
    #[serde(default)]
    is_truncated: bool,
    #[serde(rename = "$value", default)]
    entries: Vec<Entry>,
}

#[derive(Debug, Deserialize)]
enum Entry {
    Version(Found),
    DeleteMarker(Found),
    #[serde(other)]
    Other,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Found {
    key: String,
    version_id: String,
    #[serde(default)]
    is_latest: bool,
    last_modified: String,
    size: Option<u64>,
    #[serde(rename = "ETag")]
    etag: Option<String>,
}

/// What S3 encodes in a path and in a query (SigV4's UriEncode), slashes of a path aside.
const QUERY: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
const PATH: &AsciiSet = &QUERY.remove(b'/');
const ANSWER_BYTES_MAX: usize = 4 << 20;

impl Signed {
    pub(crate) fn new(
        options: &ClientOptions,
        credentials: AwsCredentialProvider,
        base: String,
        region: String,
    ) -> Result<Self, Error> {
        Ok(Self { http: ReqwestConnector::default().connect(options)?, credentials, base, region })
    }

    /// The versions of an object behind one of them, `count` at most.
    ///
    /// # Errors
    /// [`StoreError::NotSupported`] where the store knows no versions.
    pub(crate) async fn versions(
        &self,
        key: &Key,
        after: Option<&VersionId>,
        count: usize,
    ) -> Result<Versions, StoreError> {
        let encoded = utf8_percent_encode(key.as_str(), QUERY);
        let marker = after.map_or_else(String::new, |after| {
            let version = utf8_percent_encode(after.as_str(), QUERY);
            format!("&key-marker={encoded}&version-id-marker={version}")
        });
        // Keys that this one begins come behind it.
        let url = format!("{}?versions=&prefix={encoded}&max-keys={count}{marker}", self.base);
        let (status, _, body) = self.send(Method::GET, &url, false).await?;
        match status {
            StatusCode::OK => read(&body, key),
            StatusCode::BAD_REQUEST | StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_IMPLEMENTED => {
                Err(StoreError::NotSupported("this store tells no versions"))
            }
            status => Err(refusal(status)),
        }
    }

    /// The SHA-256 that the store keeps of a whole object, with the entity tag that it belongs to. None where it keeps
    /// none, or one of parts.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) async fn sha256(
        &self,
        key: &Key,
        version: Option<&VersionId>,
    ) -> Result<Option<(String, Sha256)>, StoreError> {
        let mut url = format!("{}/{}", self.base, utf8_percent_encode(key.as_str(), PATH));
        if let Some(version) = version {
            url.push_str(&format!("?versionId={}", utf8_percent_encode(version.as_str(), QUERY)));
        }
        let (status, headers, _) = self.send(Method::HEAD, &url, true).await?;
        if status != StatusCode::OK {
            return Ok(None); // Whoever reads the object hears why.
        }
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let digest = text("x-amz-checksum-sha256").and_then(|text| STANDARD.decode(text).ok());
        let digest = digest.and_then(|bytes| Sha256::from_bytes(&bytes));
        Ok(text("etag").map(str::to_owned).zip(digest))
    }

    async fn send(
        &self,
        method: Method,
        url: &str,
        checksum: bool,
    ) -> Result<(StatusCode, HeaderMap, Vec<u8>), StoreError> {
        let mut request = Request::builder().method(method).uri(url);
        if checksum {
            request = request.header("x-amz-checksum-mode", "ENABLED");
        }
        let mut request = request
            .body(HttpRequestBody::empty())
            .map_err(|_| StoreError::Odd("no request could be made"))?;
        let credential = self.credentials.get_credential().await.map_err(StoreError::Store)?;
        AwsAuthorizer::new(&credential, "s3", &self.region)
            .try_authorize(&mut request, None)
            .map_err(StoreError::Store)?;
        let answer =
            self.http.execute(request).await.map_err(|error| {
                StoreError::Store(Error::Generic { store: "S3", source: Box::new(error) })
            })?;
        let (head, body) = answer.into_parts();
        let (mut bytes, mut stream) = (Vec::new(), body.bytes_stream());
        while let Some(chunk) = stream.next().await {
            let chunk = chunk.map_err(|_| StoreError::Odd("half an answer"))?;
            if bytes.len() + chunk.len() > ANSWER_BYTES_MAX {
                return Err(StoreError::Odd("an answer that is too long"));
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok((head.status, head.headers, bytes))
    }
}

fn refusal(status: StatusCode) -> StoreError {
    match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => StoreError::Refused,
        _ => StoreError::Odd("an answer of another status"),
    }
}

/// Reads a list. What is of other keys is left out, and so is what could not be asked for again.
fn read(body: &[u8], key: &Key) -> Result<Versions, StoreError> {
    let text = std::str::from_utf8(body).map_err(|_| StoreError::Odd("a list that is no text"))?;
    let root = text.trim_start().trim_start_matches('\u{feff}');
    if !root.contains("<ListVersionsResult") {
        return Err(StoreError::Odd("an answer that is no list of versions"));
    }
    let listed: Listed =
        quick_xml::de::from_str(root).map_err(|_| StoreError::Odd("a list that can't be read"))?;
    let mut page = Versions::default();
    let mut beyond = false;
    for entry in listed.entries {
        let (found, is_deletion) = match entry {
            Entry::Version(found) => (found, false),
            Entry::DeleteMarker(found) => (found, true),
            Entry::Other => continue,
        };
        if found.key != key.as_str() {
            beyond = true;
            continue;
        }
        if let Ok(id) = VersionId::parse(&found.version_id) {
            page.versions.push(Version {
                id,
                is_latest: found.is_latest,
                is_deletion,
                modified: found.last_modified,
                size: found.size.filter(|_| !is_deletion),
                etag: found.etag,
            });
        }
    }
    if listed.is_truncated && !beyond {
        page.next = page.versions.last().map(|last| last.id.clone());
    }
    Ok(page)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test ends by panicking")]
    use super::*;

    const LIST: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<ListVersionsResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>b</Name><Prefix>a</Prefix><KeyMarker></KeyMarker>
<MaxKeys>3</MaxKeys><IsTruncated>true</IsTruncated>
<DeleteMarker><Key>a</Key><VersionId>3</VersionId><IsLatest>true</IsLatest><LastModified>2026-01-03T00:00:00Z</LastModified></DeleteMarker>
<Version><Key>a</Key><VersionId>2</VersionId><IsLatest>false</IsLatest><LastModified>2026-01-02T00:00:00Z</LastModified><ETag>"e2"</ETag><Size>5</Size><StorageClass>STANDARD</StorageClass></Version>
<Version><Key>a</Key><VersionId>1</VersionId><IsLatest>false</IsLatest><LastModified>2026-01-01T00:00:00Z</LastModified><ETag>"e1"</ETag><Size>4</Size></Version>
</ListVersionsResult>"#;

    #[test]
    fn versions_and_deletions_come_in_one_order() {
        let page = read(LIST.as_bytes(), &Key::parse("a").unwrap()).unwrap();
        let told: Vec<_> =
            page.versions.iter().map(|v| (v.id.as_str(), v.is_latest, v.is_deletion, v.size)).collect();
        assert_eq!(
            told,
            [("3", true, true, None), ("2", false, false, Some(5)), ("1", false, false, Some(4))]
        );
        assert_eq!(page.next.unwrap().as_str(), "1");
        let other = read(LIST.as_bytes(), &Key::parse("b").unwrap()).unwrap();
        assert_eq!(other, Versions::default(), "of another key there is nothing");
    }

    #[test]
    fn what_is_no_list_is_an_error() {
        for wrong in [
            "",
            "<html>no</html>",
            "<ListVersionsResult",
            "<ListVersionsResult><Version><Key>a</Key></Version></ListVersionsResult>",
            "{}",
            "<ListVersionsResult><Version>",
            "<!DOCTYPE x [<!ENTITY a \"b\">]><x>&a;</x>",
        ] {
            assert!(read(wrong.as_bytes(), &Key::parse("a").unwrap()).is_err(), "{wrong}");
        }
        assert!(read(b"\xff", &Key::parse("a").unwrap()).is_err());
    }
}
