#![allow(clippy::unwrap_used, reason = "a test ends by panicking")]
use super::*;
use crate::fence::Fence;
use crate::store::Limits;
use crate::store::tests::{limits, remote};
use std::collections::BTreeMap;

fn demo() -> Bucket {
    Bucket::parse("demo").unwrap()
}

fn key(text: &str) -> Key {
    Key::parse(text).unwrap()
}

fn store(limits: Limits) -> Store {
    Store::remote(BTreeMap::from([(demo(), remote(Fence::below("public").unwrap()))]), limits)
}

fn owner(subject: &str) -> Owner {
    Owner { subject: subject.to_owned(), ..Owner::default() }
}

struct Story {
    store: Store,
    uploads: Uploads,
    id: String,
}

fn story() -> Story {
    let (store, uploads) = (store(limits()), Uploads::default());
    let kind = MediaType::parse("text/csv").unwrap();
    let id = uploads.begin(&store, owner("alice"), (&demo(), &key("public/x")), Some(kind)).unwrap();
    Story { store, uploads, id }
}

impl Story {
    async fn add(&self, who: &str, of: &str, offset: u64, content: &str) -> Result<u64, StoreError> {
        let (bucket, key) = (demo(), key(of));
        let named = Named { owner: owner(who), bucket: &bucket, key: &key, id: &self.id };
        self.uploads.add(&self.store, &named, offset, content.as_bytes()).await
    }

    async fn complete(
        &self,
        who: &str,
        of: &str,
        wanted: Option<Sha256>,
    ) -> Result<(Done, Sha256), StoreError> {
        let (bucket, key) = (demo(), key(of));
        let named = Named { owner: owner(who), bucket: &bucket, key: &key, id: &self.id };
        self.uploads.complete(&self.store, &named, wanted).await
    }

    async fn there(&self) -> Option<(Vec<u8>, Option<String>)> {
        let read = self.store.read(&demo(), &key("public/x"), None, 0, 1000).await.ok()?;
        Some((read.bytes.to_vec(), read.info.content_type))
    }
}

#[tokio::test]
async fn pieces_of_any_length_become_one_object_at_the_end() {
    let story = story();
    let (mut whole, mut offset) = (String::new(), 0);
    for piece in ["a", "", "0123456789", "b", "0123456789012345678901234567890"] {
        offset = story.add("alice", "public/x", offset, piece).await.unwrap();
        whole.push_str(piece);
        assert_eq!(offset, whole.len() as u64);
        assert!(story.there().await.is_none(), "it appears at the end");
    }
    let wanted = Sha256::of(whole.as_bytes());
    let (done, found) = story.complete("alice", "public/x", Some(wanted)).await.unwrap();
    assert_eq!((done.size, found), (whole.len() as u64, wanted));
    assert_eq!(story.there().await.unwrap(), (whole.into_bytes(), Some("text/csv".to_owned())));
    assert!(matches!(story.complete("alice", "public/x", None).await, Err(StoreError::NoUpload)));
}

#[tokio::test]
async fn a_piece_may_come_twice_and_none_may_be_missing() {
    let story = story();
    assert_eq!(story.add("alice", "public/x", 0, "abc").await.unwrap(), 3);
    assert_eq!(story.add("alice", "public/x", 0, "abc").await.unwrap(), 3, "the answer was lost");
    for (offset, piece) in [(0, "abd"), (0, "ab"), (1, "bc"), (4, "d")] {
        let wrong = story.add("alice", "public/x", offset, piece).await;
        assert!(matches!(wrong, Err(StoreError::WrongOffset { there: 3, .. })), "{offset} {wrong:?}");
    }
    assert_eq!(story.add("alice", "public/x", 3, "d").await.unwrap(), 4);
    story.complete("alice", "public/x", None).await.unwrap();
    assert_eq!(story.there().await.unwrap().0, b"abcd");
}

#[tokio::test]
async fn an_upload_is_its_owners_and_of_its_object() {
    let story = story();
    story.add("alice", "public/x", 0, "abc").await.unwrap();
    for (who, of) in [("bob", "public/x"), ("alice", "public/y"), ("alice", "private/x")] {
        assert!(matches!(story.add(who, of, 3, "d").await, Err(StoreError::NoUpload)), "{who} {of}");
        assert!(matches!(story.complete(who, of, None).await, Err(StoreError::NoUpload)), "{who} {of}");
    }
    assert!(story.complete("alice", "public/x", None).await.is_ok());
}

#[tokio::test]
async fn what_has_another_digest_or_is_too_long_is_not_written() {
    let story = story();
    story.add("alice", "public/x", 0, "abc").await.unwrap();
    let wrong = story.complete("alice", "public/x", Some(Sha256::of(b"abd"))).await;
    assert!(matches!(wrong, Err(StoreError::Checksum { .. })));
    assert!(story.there().await.is_none());
    let story = self::story();
    let long = "x".repeat(1 << 20);
    assert_eq!(story.add("alice", "public/x", 0, &long).await.unwrap(), 1 << 20);
    let more = story.add("alice", "public/x", 1 << 20, "x").await;
    assert!(matches!(more, Err(StoreError::TooLarge { .. })));
}

#[tokio::test]
async fn uploads_are_few_and_end_without_calls() {
    let (uploads, store) = (Uploads::default(), store(limits()));
    let begin = |who: &str| uploads.begin(&store, owner(who), (&demo(), &key("public/x")), None);
    let first = begin("alice").unwrap();
    begin("alice").unwrap();
    assert!(matches!(begin("alice"), Err(StoreError::TooManyUploads(_))));
    begin("bob").unwrap();
    assert!(matches!(begin("carol"), Err(StoreError::TooManyUploads(_))), "three are all");
    let (bucket, name) = (demo(), key("public/x"));
    uploads.abort(&Named { owner: owner("alice"), bucket: &bucket, key: &name, id: &first }).await.unwrap();
    begin("carol").unwrap();
    let outside = uploads.begin(&store, owner("dave"), (&bucket, &key("private/x")), None);
    assert!(matches!(outside, Err(StoreError::Fenced { .. })));
    let idle = Limits { upload_idle: Duration::from_millis(20), ..limits() };
    let (uploads, store) = (Uploads::default(), self::store(idle));
    uploads.begin(&store, owner("alice"), (&bucket, &name), None).unwrap();
    for _ in 0..500 {
        if uploads.open().is_empty() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    panic!("it is open for ever");
}
