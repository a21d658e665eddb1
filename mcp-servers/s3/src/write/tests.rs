#![allow(clippy::unwrap_used, reason = "a test ends by panicking")]
use super::*;
use crate::fence::Fence;
use crate::name::Prefix;
use crate::store::Limits;
use crate::store::tests::{limits, remote};
use std::collections::BTreeMap;

fn bucket(name: &str) -> Bucket {
    Bucket::parse(name).unwrap()
}

fn key(text: &str) -> Key {
    Key::parse(text).unwrap()
}

/// Two buckets in a folder, and two elsewhere.
fn stores() -> (tempfile::TempDir, [Store; 2]) {
    let dir = tempfile::tempdir().unwrap();
    for name in ["one", "two"] {
        std::fs::create_dir(dir.path().join(name)).unwrap();
    }
    let root = std::fs::canonicalize(dir.path()).unwrap();
    let buckets = ["one", "two"].map(|name| (bucket(name), remote(Fence::everything())));
    let far = Store::remote(BTreeMap::from(buckets), limits());
    (dir, [Store::folder(root, None, limits()).unwrap(), far])
}

async fn text(store: &Store, name: &str, of: &str) -> String {
    let piece = store.read(&bucket(name), &key(of), None, 0, 1000).await.unwrap();
    String::from_utf8(piece.bytes.to_vec()).unwrap()
}

async fn kind(store: &Store, name: &str, of: &str) -> Option<String> {
    store.head(&bucket(name), &key(of), None).await.unwrap().content_type
}

#[tokio::test]
async fn what_is_longer_than_a_part_goes_in_parts_with_its_content_type() {
    let (_dir, stores) = stores();
    let csv = MediaType::parse("text/csv").unwrap();
    for store in stores {
        for length in [0, 1, 9, 10, 11, 20, 21, 100] {
            let content = "0123456789".repeat(10)[..length].to_owned();
            let put = store
                .put(&bucket("one"), &key("x"), Bytes::from(content.clone()), &Condition::Always, Some(&csv))
                .await
                .unwrap();
            assert_eq!(put.size, length as u64);
            assert_eq!(text(&store, "one", "x").await, content, "{length}");
            assert_eq!(kind(&store, "one", "x").await.as_deref(), Some("text/csv"));
        }
        let without = store.put(&bucket("one"), &key("x"), Bytes::new(), &Condition::Always, None).await;
        assert!(without.is_ok());
        assert_eq!(kind(&store, "one", "x").await, None);
    }
}

#[tokio::test]
async fn an_object_is_copied_within_a_bucket_and_to_another() {
    let (_dir, stores) = stores();
    let csv = MediaType::parse("text/csv").unwrap();
    let content = "a,b\n1,2\n3,4\n";
    for store in stores {
        let (one, two, from) = (bucket("one"), bucket("two"), key("from.csv"));
        let put = Bytes::from(content);
        store.put(&one, &from, put, &Condition::Always, Some(&csv)).await.unwrap();
        for (to, name) in [(&one, "one"), (&two, "two")] {
            let copy = store.copy((&one, &from, None), (to, &key("deep/to.csv")), &Condition::Always).await;
            assert_eq!(copy.unwrap().size, content.len() as u64);
            assert_eq!(text(&store, name, "deep/to.csv").await, content);
            assert_eq!(kind(&store, name, "deep/to.csv").await.as_deref(), Some("text/csv"));
        }
        // It is a copy, not another name.
        store.put(&one, &from, Bytes::from("new"), &Condition::Always, None).await.unwrap();
        assert_eq!(text(&store, "one", "deep/to.csv").await, content);
        let taken = store.copy((&one, &from, None), (&two, &key("deep/to.csv")), &Condition::New).await;
        assert!(matches!(taken, Err(StoreError::Exists { .. })), "{taken:?}");
        let free = store.copy((&one, &from, None), (&two, &key("free")), &Condition::New).await;
        assert!(free.is_ok());
        assert_eq!(text(&store, "two", "free").await, "new");
        let missing = store.copy((&one, &key("none"), None), (&two, &key("x")), &Condition::Always).await;
        assert!(matches!(missing, Err(StoreError::NotFound { .. })));
        let nowhere =
            store.copy((&one, &from, None), (&bucket("three"), &key("x")), &Condition::Always).await;
        assert!(matches!(nowhere, Err(StoreError::NoBucket { .. })));
    }
}

#[tokio::test]
async fn a_copy_through_this_server_has_its_bound() {
    let (_dir, stores) = stores();
    let (one, two) = (bucket("one"), bucket("two"));
    for mut store in stores {
        store.put(&one, &key("x"), Bytes::from("01234567890"), &Condition::Always, None).await.unwrap();
        let on_a_condition = store.copy((&one, &key("x"), None), (&one, &key("y")), &Condition::New).await;
        assert!(matches!(on_a_condition, Err(StoreError::TooLarge { max: 10, .. })));
        store.limits.upload_bytes_max = 10;
        let through = store.copy((&one, &key("x"), None), (&two, &key("y")), &Condition::Always).await;
        assert!(matches!(through, Err(StoreError::TooLarge { max: 10, .. })));
        assert!(store.list(&two, &Prefix::empty(), None, 9).await.unwrap().objects.is_empty());
    }
}

#[tokio::test]
async fn parts_that_are_not_completed_are_taken_back() {
    let limits = Limits { part_bytes: 4, ..limits() };
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("one")).unwrap();
    let store = Store::folder(std::fs::canonicalize(dir.path()).unwrap(), None, limits).unwrap();
    let object = store.writable(&bucket("one"), &key("x")).unwrap();
    let mut parts = store.parts(&object, None);
    parts.push(b"0123456789").await.unwrap();
    let staged = || std::fs::read_dir(dir.path().join("one")).unwrap().count();
    assert_eq!((parts.bytes(), staged()), (10, 1));
    drop(parts);
    for _ in 0..500 {
        if staged() == 0 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(2)).await;
    }
    assert_eq!(staged(), 0);
}
