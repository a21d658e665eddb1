//! Objects as resources, `s3://{bucket}/{key}`.

use crate::error::StoreError;
use crate::name::{Bucket, Key, Prefix, parse_uri, uri};
use crate::server::Objects;
use crate::store::Piece;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use kit::cursor::{self, BadCursor};
use kit::error::RESULT_TOO_LARGE;
use kit::{Resources, ToolError};
use rmcp::ErrorData;
use rmcp::model::{
    ErrorCode, ListResourcesResult, ReadResourceResult, Resource, ResourceContents, ResourceTemplate,
};

/// Resources in a list.
const PAGE_ITEMS: usize = 100;

impl Resources for Objects {
    /// The one template. `+` because a key's slashes stay slashes (RFC 6570 §3.2.3).
    fn templates(&self) -> Vec<ResourceTemplate> {
        let template = ResourceTemplate::new("s3://{bucket}/{+key}", "object")
            .with_title("An object")
            .with_description("The content of an object, as text if it is UTF-8");
        vec![template]
    }

    async fn list(&self, cursor: Option<&str>) -> Result<ListResourcesResult, ErrorData> {
        self.list_resources_page(cursor).await.map_err(|e| e.protocol())
    }

    async fn read(&self, uri: &str) -> Result<ReadResourceResult, ErrorData> {
        self.read_resource_whole(uri).await
    }
}

impl Objects {
    /// One page of all objects of all buckets. Its cursor is the bucket and key of the last one.
    pub(crate) async fn list_resources_page(
        &self,
        cursor: Option<&str>,
    ) -> Result<ListResourcesResult, StoreError> {
        let begin = cursor.map(cursor::parse).transpose()?;
        let begin = begin.as_deref().map(|b| b.split_once('/').ok_or(BadCursor)).transpose()?;
        let count = PAGE_ITEMS.min(self.store.limits.page_items_max);
        let everything = Prefix::parse("")?;
        let (mut resources, mut next) = (Vec::new(), None);
        let mut buckets =
            self.store.buckets()?.into_iter().filter(|b| begin.is_none_or(|(first, _)| b.as_str() >= first));
        while let Some(bucket) = buckets.next() {
            let after = begin.filter(|(first, _)| bucket.as_str() == *first).map(|(_, key)| key.to_owned());
            let page = self.store.list(&bucket, &everything, after, count - resources.len()).await?;
            resources.extend(page.objects.iter().map(|o| resource(&bucket, &o.key, o.size)));
            if let Some(last) = page.next {
                next = Some(cursor::after(&format!("{bucket}/{last}")));
                break;
            }
            if resources.len() == count {
                next = buckets.next().map(|following| cursor::after(&format!("{following}/")));
                break;
            }
        }
        let mut result = ListResourcesResult::with_all_items(resources);
        result.next_cursor = next;
        Ok(result)
    }

    /// A whole object. Resources have no pages, so a long one is left to `get_object`.
    async fn read_resource_whole(&self, text: &str) -> Result<ReadResourceResult, ErrorData> {
        let (bucket, key) = parse_uri(text).map_err(|e| StoreError::from(e).protocol())?;
        let max = self.store.limits.page_bytes_max;
        let piece = self.store.read(&bucket, &key, None, 0, max).await.map_err(|e| e.protocol())?;
        if piece.info.size > max {
            let text = format!("the object has {} bytes and a resource {max} at most", piece.info.size);
            let error = ToolError::new(RESULT_TOO_LARGE, text, "Read it in pages with get_object");
            return Err(error.protocol(ErrorCode::INVALID_PARAMS));
        }
        Ok(ReadResourceResult::new(vec![contents(text, &piece)]))
    }
}

fn resource(bucket: &Bucket, key: &Key, size: u64) -> Resource {
    Resource::new(uri(bucket, key), key.as_str()).with_size(size)
}

fn contents(uri: &str, piece: &Piece) -> ResourceContents {
    match std::str::from_utf8(&piece.bytes) {
        Ok(text) => match &piece.info.content_type {
            Some(kind) => ResourceContents::text(text, uri).with_mime_type(kind),
            None => ResourceContents::text(text, uri),
        },
        Err(_) => {
            let kind = piece.info.content_type.as_deref().unwrap_or("application/octet-stream");
            ResourceContents::blob(STANDARD.encode(&piece.bytes), uri).with_mime_type(kind)
        }
    }
}
