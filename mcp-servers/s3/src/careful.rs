//! An HTTP client for stores that holds lists against what a list is. The library takes any page for an empty one: a proxy's
//! page of HTML would say that a bucket is empty. And it takes a refusal of a list for any other failure.

use async_trait::async_trait;
use bytes::BytesMut;
use futures_util::StreamExt;
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
        let response = self.0.execute(request).await?;
        if is_list && matches!(response.status(), StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
            return Err(HttpError::new(HttpErrorKind::Unknown, Refused));
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
