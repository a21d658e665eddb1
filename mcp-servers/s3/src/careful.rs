//! An HTTP client for stores that holds lists against what a list is. The library takes any page for an empty one: a proxy's
//! page of HTML would say that a bucket is empty. And it takes a refusal of a list for any other failure, any page for the word
//! that an object is deleted (no store has more to say to that than its status), and any head for an object's, be it that of a
//! page that was never written (every store says when).

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use http::header::LAST_MODIFIED;
use http::{Method, Response, StatusCode};
use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpService,
    ReqwestConnector,
};

/// Makes careful clients.
#[derive(Debug, Default)]
pub(crate) struct Careful;

#[derive(Debug)]
struct Service(HttpClient);

#[derive(Debug, thiserror::Error)]
#[error("a list that is none, or too long")]
struct NoList;

#[derive(Debug, thiserror::Error)]
#[error("a deletion was answered with a page")]
struct NoDeletion;

#[derive(Debug, thiserror::Error)]
#[error("an object that was never written")]
struct NoObject;

/// The store refuses this server's credential.
#[derive(Debug, thiserror::Error)]
#[error("the list was refused")]
struct Refused;

/// The longest page of a list: a thousand keys of a KiB, and what stands around them.
const LIST_BYTES_MAX: usize = 8 << 20;
/// What lists begin with: S3's and Google's, and Azure's.
const ROOTS: [&str; 2] = ["<ListBucketResult", "<EnumerationResults"];
/// A root stands behind a declaration and perhaps a comment.
const ROOT_WITHIN: usize = 1024;

impl HttpConnector for Careful {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(Service(ReqwestConnector::default().connect(options)?)))
    }
}

#[async_trait]
impl HttpService for Service {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let is_list = request.method() == Method::GET && asks_for_list(request.uri().query().unwrap_or(""));
        let is_deletion = request.method() == Method::DELETE;
        let is_head = request.method() == Method::HEAD;
        let response = self.0.execute(request).await?;
        if is_list && matches!(response.status(), StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
            return Err(HttpError::new(HttpErrorKind::Unknown, Refused));
        }
        if is_head && response.status().is_success() && !response.headers().contains_key(LAST_MODIFIED) {
            return Err(HttpError::new(HttpErrorKind::Decode, NoObject));
        }
        if is_deletion && response.status().is_success() {
            let (head, body) = response.into_parts();
            let mut chunks = body.bytes_stream();
            while let Some(chunk) = chunks.next().await {
                if !chunk?.is_empty() {
                    return Err(HttpError::new(HttpErrorKind::Decode, NoDeletion));
                }
            }
            return Ok(Response::from_parts(head, Bytes::new().into()));
        }
        if !is_list || !response.status().is_success() {
            return Ok(response);
        }
        let (head, body) = response.into_parts();
        let (mut all, mut chunks) = (BytesMut::new(), body.bytes_stream());
        while let Some(chunk) = chunks.next().await {
            all.extend_from_slice(&chunk?);
            if all.len() > LIST_BYTES_MAX {
                return Err(HttpError::new(HttpErrorKind::Decode, NoList));
            }
        }
        if !is_page(&all) {
            return Err(HttpError::new(HttpErrorKind::Decode, NoList));
        }
        Ok(Response::from_parts(head, all.freeze().into()))
    }
}

/// Whether the refusal of a list is behind an error.
pub(crate) fn is_refusal(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut causes = std::iter::successors(Some(error), |error| error.source());
    causes.any(|cause| cause.is::<Refused>())
}

fn asks_for_list(query: &str) -> bool {
    query.split('&').any(|pair| matches!(pair, "list-type=2" | "comp=list"))
}

fn is_page(body: &[u8]) -> bool {
    let beginning = String::from_utf8_lossy(body.get(..body.len().min(ROOT_WITHIN)).unwrap_or_default());
    ROOTS.iter().any(|root| beginning.contains(root))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_of_a_list() {
        for right in [
            "<ListBucketResult></ListBucketResult>",
            "\u{feff}<?xml version=\"1.0\"?>\n<ListBucketResult xmlns=\"x\"/>",
            "<?xml version=\"1.0\"?><EnumerationResults ServiceEndpoint=\"x\"/>",
        ] {
            assert!(is_page(right.as_bytes()), "{right}");
        }
        for wrong in ["", "<html></html>", "{}", "<Error/>", "\0"] {
            assert!(!is_page(wrong.as_bytes()), "{wrong}");
        }
        assert!(asks_for_list("list-type=2&prefix=a") && asks_for_list("restype=container&comp=list"));
        assert!(!asks_for_list("prefix=list-type=2") && !asks_for_list(""));
    }
}
