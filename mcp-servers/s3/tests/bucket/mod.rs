//! A bucket that speaks as much of Google's XML API as the server uses: objects with generations, ranges, lists, copies,
//! uploads in parts. It checks the account's token no more than an emulator does.
#![allow(clippy::unwrap_used, reason = "a test ends by panicking")]

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use tokio::net::TcpListener;

#[derive(Clone)]
struct Object {
    content: Bytes,
    kind: String,
    generation: u64,
}

#[derive(Default)]
struct Bucket {
    objects: BTreeMap<String, Object>,
    parts: BTreeMap<(String, u32), Bytes>,
    kinds: BTreeMap<String, String>,
    generation: u64,
}

/// Starts it and gives its URL.
pub(crate) async fn start() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let bucket = Arc::new(Mutex::new(Bucket::default()));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let bucket = Arc::clone(&bucket);
            let answer = service_fn(move |request| answer(Arc::clone(&bucket), request));
            tokio::spawn(
                hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), answer),
            );
        }
    });
    url
}

async fn answer(
    bucket: Arc<Mutex<Bucket>>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let query: BTreeMap<String, String> = head
        .uri
        .query()
        .unwrap_or("")
        .split('&')
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(name, value)| (name.to_owned(), decoded(value)))
        .collect();
    let header = |name: &str| head.headers.get(name).map(|v| v.to_str().unwrap().to_owned());
    let key = decoded(head.uri.path().trim_start_matches('/').split_once('/').map_or("", |(_, key)| key));
    let kind = header("content-type").unwrap_or_else(|| "application/octet-stream".to_owned());
    let mut bucket = bucket.lock().unwrap();
    let response = match (&head.method, query.get("uploadId"), query.get("partNumber")) {
        (&Method::GET, ..) if key.is_empty() => bucket.list(&query),
        (&Method::GET | &Method::HEAD, ..) => bucket.read(&key, header("range"), query.get("generation")),
        (&Method::DELETE, None, _) => match bucket.objects.remove(&key) {
            Some(_) => said(StatusCode::NO_CONTENT, ""),
            None => said(StatusCode::NOT_FOUND, "<Error><Code>NoSuchKey</Code></Error>"),
        },
        (&Method::DELETE, Some(id), _) => {
            bucket.parts.retain(|(of, _), _| of != id);
            said(StatusCode::NO_CONTENT, "")
        }
        (&Method::POST, None, _) => {
            bucket.generation += 1;
            let id = format!("upload{}", bucket.generation);
            bucket.kinds.insert(id.clone(), kind);
            said(
                StatusCode::OK,
                &format!(
                    "<InitiateMultipartUploadResult><UploadId>{id}</UploadId></InitiateMultipartUploadResult>"
                ),
            )
        }
        (&Method::PUT, Some(id), Some(number)) => {
            bucket.parts.insert((id.clone(), number.parse().unwrap()), body);
            let mut done = said(StatusCode::OK, "");
            done.headers_mut().insert("etag", "\"part\"".parse().unwrap());
            done
        }
        (&Method::POST, Some(id), _) => {
            let whole: Vec<u8> = bucket
                .parts
                .iter()
                .filter(|((of, _), _)| of == id)
                .flat_map(|(_, part)| part.to_vec())
                .collect();
            bucket.parts.retain(|(of, _), _| of != id);
            let kind = bucket.kinds.remove(id).unwrap();
            let tag = bucket.write(&key, whole.into(), kind).headers()["etag"].to_str().unwrap().to_owned();
            said(
                StatusCode::OK,
                &format!("<CompleteMultipartUploadResult><ETag>{tag}</ETag></CompleteMultipartUploadResult>"),
            )
        }
        (&Method::PUT, ..) => {
            let now = bucket.objects.get(&key).map_or(0, |object| object.generation);
            let copied = header("x-goog-copy-source")
                .map(|from| decoded(from.trim_start_matches('/').split_once('/').unwrap().1));
            match (header("x-goog-if-generation-match"), copied) {
                (Some(wanted), _) if wanted != now.to_string() => {
                    said(StatusCode::PRECONDITION_FAILED, "<Error><Code>PreconditionFailed</Code></Error>")
                }
                (_, Some(from)) => {
                    let from = bucket.objects[&from].clone();
                    bucket.write(&key, from.content, from.kind)
                }
                _ => bucket.write(&key, body, kind),
            }
        }
        _ => said(StatusCode::NOT_IMPLEMENTED, ""),
    };
    Ok(response)
}

impl Bucket {
    fn write(&mut self, key: &str, content: Bytes, kind: String) -> Response<Full<Bytes>> {
        self.generation += 1;
        let object = Object { content, kind, generation: self.generation };
        let done = told(&object, StatusCode::OK, Bytes::new());
        self.objects.insert(key.to_owned(), object);
        done
    }

    fn read(&self, key: &str, range: Option<String>, generation: Option<&String>) -> Response<Full<Bytes>> {
        let found =
            self.objects.get(key).filter(|o| generation.is_none_or(|g| *g == o.generation.to_string()));
        let Some(object) = found else {
            return said(StatusCode::NOT_FOUND, "<Error><Code>NoSuchKey</Code></Error>");
        };
        let Some(range) = range else { return told(object, StatusCode::OK, object.content.clone()) };
        let (begin, end) = range.trim_start_matches("bytes=").split_once('-').unwrap();
        let (begin, length) = (begin.parse::<usize>().unwrap(), object.content.len());
        if begin >= length {
            return said(StatusCode::RANGE_NOT_SATISFIABLE, "");
        }
        let end = end.parse::<usize>().map_or(length - 1, |end| end.min(length - 1));
        let mut part = told(object, StatusCode::PARTIAL_CONTENT, object.content.slice(begin..=end));
        part.headers_mut().insert("content-range", format!("bytes {begin}-{end}/{length}").parse().unwrap());
        part
    }

    fn list(&self, query: &BTreeMap<String, String>) -> Response<Full<Bytes>> {
        let (prefix, after) = (query.get("prefix"), query.get("start-after").or(query.get("startAfter")));
        let entries = self.objects.iter().filter(|(key, _)| {
            prefix.is_none_or(|p| key.starts_with(p.as_str())) && after.is_none_or(|a| *key > a)
        });
        let entries: String = entries
            .map(|(key, object)| {
                format!(
                    "<Contents><Key>{key}</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified><ETag>\"g{}\"</ETag><Size>{}</Size></Contents>",
                    object.generation,
                    object.content.len()
                )
            })
            .collect();
        said(
            StatusCode::OK,
            &format!("<ListBucketResult><IsTruncated>false</IsTruncated>{entries}</ListBucketResult>"),
        )
    }
}

fn said(status: StatusCode, text: &str) -> Response<Full<Bytes>> {
    Response::builder().status(status).body(Full::from(text.to_owned())).unwrap()
}

fn told(object: &Object, status: StatusCode, body: Bytes) -> Response<Full<Bytes>> {
    Response::builder()
        .status(status)
        .header("etag", format!("\"g{}\"", object.generation))
        .header("x-goog-generation", object.generation)
        .header("last-modified", "Thu, 01 Jan 2026 00:00:00 GMT")
        .header("content-type", &object.kind)
        .body(Full::new(body))
        .unwrap()
}

fn decoded(text: &str) -> String {
    percent_encoding::percent_decode_str(text).decode_utf8().unwrap().into_owned()
}
