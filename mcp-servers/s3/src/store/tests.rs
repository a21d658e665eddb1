#![allow(clippy::unwrap_used, reason = "a test ends by panicking")]
use super::*;
use crate::argument::Etag;
use crate::listing::Listing;
use crate::write::Condition;
use crate::write::Done;
use object_store::ObjectStoreExt;
use object_store::memory::InMemory;
use std::os::unix::fs::symlink;

struct World {
    dir: tempfile::TempDir,
    store: Store,
}

fn world() -> World {
    let dir = tempfile::tempdir().unwrap();
    let root = std::fs::canonicalize(dir.path()).unwrap().join("buckets");
    for (path, text) in [
        ("demo/public/hello.txt", "hello"),
        ("demo/public/help.txt", "help"),
        ("demo/public.txt", "beside"),
        ("demo/private/salary.csv", "alice,1"),
        ("other/x.txt", "x"),
    ] {
        std::fs::create_dir_all(root.join(path).parent().unwrap()).unwrap();
        std::fs::write(root.join(path), text).unwrap();
    }
    let store = Store::folder(root, None, limits()).unwrap();
    World { dir, store }
}

pub(crate) fn limits() -> Limits {
    Limits {
        page_bytes_max: 256 << 10,
        page_items_max: 1000,
        table_bytes_max: 1 << 20,
        upload_bytes_max: 1 << 20,
        part_bytes: 10,
        uploads_max: 3,
        uploads_of_one_max: 2,
        upload_idle: Duration::from_secs(60),
    }
}

/// A bucket that only a process has.
pub(crate) fn remote(fence: Fence) -> Remote {
    Remote { client: Arc::new(InMemory::new()), fence, kind: StoreKind::S3, signed: None }
}

fn demo() -> Bucket {
    Bucket::parse("demo").unwrap()
}

fn key(text: &str) -> Key {
    Key::parse(text).unwrap()
}

impl World {
    fn root(&self) -> PathBuf {
        self.dir.path().join("buckets")
    }

    async fn keys(&self, prefix: &str) -> Vec<String> {
        names(&self.store.list(&demo(), &Prefix::parse(prefix).unwrap(), None, 100).await.unwrap())
    }

    async fn put(&self, name: &str, text: &'static str, condition: &Condition) -> Result<Done, StoreError> {
        self.store.put(&demo(), &key(name), Bytes::from_static(text.as_bytes()), condition, None).await
    }

    async fn text(&self, name: &str) -> Result<String, StoreError> {
        let piece = self.store.read(&demo(), &key(name), None, 0, 100).await?;
        Ok(String::from_utf8(piece.bytes.to_vec()).unwrap())
    }
}

fn names(page: &Listing) -> Vec<String> {
    page.objects.iter().map(|o| o.key.to_string()).collect()
}

#[tokio::test]
async fn a_list_is_in_the_order_of_s3_and_within_its_prefix() {
    let world = world();
    assert_eq!(
        world.keys("").await,
        ["private/salary.csv", "public.txt", "public/hello.txt", "public/help.txt"]
    );
    assert_eq!(world.keys("public/").await, ["public/hello.txt", "public/help.txt"]);
    assert_eq!(world.keys("public").await, ["public.txt", "public/hello.txt", "public/help.txt"]);
    assert_eq!(world.keys("public/hell").await, ["public/hello.txt"]);
    assert_eq!(world.keys("nothing/").await, Vec::<String>::new());
}

#[tokio::test]
async fn pages_give_each_object_once() {
    let world = world();
    let (mut seen, mut after) = (Vec::new(), None);
    loop {
        let page = world.store.list(&demo(), &Prefix::parse("").unwrap(), after, 1).await.unwrap();
        assert!(page.objects.len() <= 1);
        seen.extend(names(&page));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(seen, world.keys("").await);
}

#[tokio::test]
async fn a_cursor_cannot_leave_the_prefix() {
    let world = world();
    let public = Prefix::parse("public/").unwrap();
    for after in ["", "private/", "public", "public/"] {
        let page = world.store.list(&demo(), &public, Some(after.into()), 100).await.unwrap();
        assert_eq!(names(&page), ["public/hello.txt", "public/help.txt"], "{after}");
    }
}

#[tokio::test]
async fn an_object_is_read_whole_or_in_pieces() {
    let world = world();
    assert_eq!(world.text("public/hello.txt").await.unwrap(), "hello");
    let piece = world.store.read(&demo(), &key("public/hello.txt"), None, 3, 100).await.unwrap();
    assert_eq!((piece.bytes.as_ref(), piece.offset, piece.info.size), (b"lo".as_ref(), 3, 5));
    let behind = world.store.read(&demo(), &key("public/hello.txt"), None, 5, 1).await.unwrap_err();
    assert!(matches!(behind, StoreError::Offset { offset: 5, size: 5 }));
    world.put("empty", "", &Condition::Always).await.unwrap();
    assert_eq!(world.text("empty").await.unwrap(), "");
}

#[tokio::test]
async fn what_is_not_there_is_not_found() {
    let world = world();
    for name in ["public/hallo.txt", "public", "public/hello.txt/x"] {
        assert!(matches!(world.text(name).await, Err(StoreError::NotFound { .. })), "{name}");
        assert!(
            matches!(world.store.head(&demo(), &key(name), None).await, Err(StoreError::NotFound { .. })),
            "{name}"
        );
    }
    let missing = Bucket::parse("missing").unwrap();
    let error = world.store.head(&missing, &key("x"), None).await.unwrap_err();
    assert!(matches!(error, StoreError::NoBucket { .. }));
}

#[tokio::test]
async fn a_bucket_outside_the_list_does_not_exist() {
    let world = world();
    let served = BTreeMap::from([(demo(), Fence::everything())]);
    let limited = Store::folder(world.root(), Some(served), limits()).unwrap();
    let other = Bucket::parse("other").unwrap();
    assert_eq!(limited.buckets().unwrap(), [demo()]);
    assert!(limited.head(&demo(), &key("public/hello.txt"), None).await.is_ok());
    assert!(matches!(limited.head(&other, &key("x.txt"), None).await, Err(StoreError::NoBucket { .. })));
    assert!(matches!(
        limited.put(&other, &key("y"), Bytes::new(), &Condition::Always, None).await,
        Err(StoreError::NoBucket { .. })
    ));
    assert!(world.store.head(&other, &key("x.txt"), None).await.is_ok());
}

#[tokio::test]
async fn a_symbolic_link_is_neither_followed_nor_listed() {
    let world = world();
    let root = world.root();
    std::fs::write(world.dir.path().join("secret"), "secret").unwrap();
    symlink(world.dir.path().join("secret"), root.join("demo/public/out")).unwrap();
    symlink(world.dir.path(), root.join("demo/public/up")).unwrap();
    symlink(root.join("demo/private/salary.csv"), root.join("demo/public/salary.csv")).unwrap();
    symlink(root.join("other"), root.join("alias")).unwrap();
    for name in ["public/out", "public/up/secret", "public/salary.csv"] {
        assert!(matches!(world.text(name).await, Err(StoreError::Link { .. })), "{name}");
        let put = world.put(name, "x", &Condition::Always).await;
        assert!(matches!(put, Err(StoreError::Link { .. })), "{name}");
        assert!(
            matches!(world.store.delete(&demo(), &key(name)).await, Err(StoreError::Link { .. })),
            "{name}"
        );
    }
    assert_eq!(world.keys("public/").await, ["public/hello.txt", "public/help.txt"]);
    assert_eq!(std::fs::read_to_string(world.dir.path().join("secret")).unwrap(), "secret");
    let alias = Bucket::parse("alias").unwrap();
    assert!(matches!(world.store.head(&alias, &key("x.txt"), None).await, Err(StoreError::NoBucket { .. })));
    assert!(!world.store.buckets().unwrap().contains(&alias));
}

#[tokio::test]
async fn a_put_replaces_unless_it_may_not() {
    let world = world();
    let name = "new/a b%-ü.txt";
    let first = world.put(name, "one", &Condition::New).await.unwrap();
    assert!(matches!(world.put(name, "two", &Condition::New).await, Err(StoreError::Exists { .. })));
    assert_eq!(world.text(name).await.unwrap(), "one");
    let now = |done: &Done| Condition::Unchanged(Etag::parse(done.etag.as_deref().unwrap()).unwrap());
    let second = world.put(name, "three, and longer", &now(&first)).await.unwrap();
    assert_eq!(world.text(name).await.unwrap(), "three, and longer");
    assert!(matches!(world.put(name, "four", &now(&first)).await, Err(StoreError::Changed { .. })));
    assert!(matches!(world.put("none", "x", &now(&second)).await, Err(StoreError::Changed { .. })));
    assert_eq!(world.text(name).await.unwrap(), "three, and longer");
    assert!(world.root().join("demo/new/a b%-ü.txt").is_file(), "the file has the key's own name");
    for blocked in ["public", "public/hello.txt/x", "staged#1"] {
        let refused = world.put(blocked, "", &Condition::Always).await;
        assert!(matches!(refused, Err(StoreError::Unplaceable { .. })), "{blocked}");
    }
    assert!(world.put("staged#x", "", &Condition::Always).await.is_ok());
}

#[tokio::test]
async fn of_a_hundred_who_write_on_the_same_condition_one_does() {
    let world = world();
    let first = world.put("counter", "0", &Condition::New).await.unwrap();
    let condition = Condition::Unchanged(Etag::parse(first.etag.as_deref().unwrap()).unwrap());
    let all = (0..100).map(|_| world.put("counter", "1 and more", &condition));
    let done = futures_util::future::join_all(all).await;
    assert_eq!(done.iter().filter(|d| d.is_ok()).count(), 1);
}

#[tokio::test]
async fn a_delete_deletes_and_once_more_is_no_error() {
    let world = world();
    world.store.delete(&demo(), &key("public/hello.txt")).await.unwrap();
    assert!(matches!(world.text("public/hello.txt").await, Err(StoreError::NotFound { .. })));
    world.store.delete(&demo(), &key("public/hello.txt")).await.unwrap();
    assert!(world.text("public/help.txt").await.is_ok());
    world.store.delete(&demo(), &key("public")).await.unwrap();
    assert!(world.text("public/help.txt").await.is_ok(), "a folder is no object");
}

#[tokio::test]
async fn a_remote_bucket_behaves_as_a_folder_does() {
    let store = Store::remote(BTreeMap::from([(demo(), remote(Fence::everything()))]), limits());
    for name in ["private/salary.csv", "public.txt", "public/hello.txt", "public/help.txt"] {
        let hello = Bytes::from_static(b"hello");
        store.put(&demo(), &key(name), hello, &Condition::Always, None).await.unwrap();
    }
    let list = |prefix: &str, after: Option<&str>, count| {
        let (store, prefix, after) =
            (store.clone(), Prefix::parse(prefix).unwrap(), after.map(str::to_owned));
        async move { store.list(&demo(), &prefix, after, count).await.unwrap() }
    };
    assert_eq!(names(&list("public/", None, 9).await), ["public/hello.txt", "public/help.txt"]);
    assert_eq!(names(&list("public", None, 9).await), ["public.txt", "public/hello.txt", "public/help.txt"]);
    assert_eq!(names(&list("public/hell", None, 9).await), ["public/hello.txt"]);
    let first = list("", None, 2).await;
    assert_eq!((names(&first).len(), first.next.as_deref()), (2, Some("public.txt")));
    assert_eq!(names(&list("", Some("public.txt"), 2).await), ["public/hello.txt", "public/help.txt"]);
    let piece = store.read(&demo(), &key("public.txt"), None, 1, 2).await.unwrap();
    assert_eq!(piece.bytes.as_ref(), b"el");
    assert!(matches!(
        store.read(&demo(), &key("public.txt"), None, 9, 2).await,
        Err(StoreError::Offset { .. })
    ));
    assert!(matches!(
        store.put(&demo(), &key("public.txt"), Bytes::new(), &Condition::New, None).await,
        Err(StoreError::Exists { .. })
    ));
    assert!(matches!(store.head(&demo(), &key("nothing"), None).await, Err(StoreError::NotFound { .. })));
}

#[tokio::test]
async fn nothing_outside_the_fence_is_read_written_or_told() {
    let world = world();
    let fence = Fence::below("public").unwrap();
    let folder =
        Store::folder(world.root(), Some(BTreeMap::from([(demo(), fence.clone())])), limits()).unwrap();
    let far = Store::remote(BTreeMap::from([(demo(), remote(fence.clone()))]), limits());
    let Buckets::Remote(buckets) = &*far.place else { unreachable!() };
    for name in ["private/salary.csv", "public.txt", "public/hello.txt", "public/help.txt"] {
        let put = buckets[&demo()].client.put(&object_path(name).unwrap(), "hello".into()).await;
        put.unwrap();
    }
    let is = |found: Result<(), StoreError>, name: &str| match name {
        "public/hello.txt" => assert!(found.is_ok(), "{found:?}"),
        _ => assert!(matches!(found, Err(StoreError::Fenced { .. })), "{name}: {found:?}"),
    };
    for store in [folder, far] {
        for name in ["public/hello.txt", "public.txt", "private/salary.csv", "publicity/x", "nowhere"] {
            let (bucket, name_key, hello) = (demo(), key(name), key("public/hello.txt"));
            is(store.head(&bucket, &name_key, None).await.map(drop), name);
            is(store.read(&bucket, &name_key, None, 0, 9).await.map(drop), name);
            is(store.sha256(&bucket, &name_key, None).await.map(drop), name);
            is(
                store.put(&bucket, &name_key, Bytes::from("x"), &Condition::Always, None).await.map(drop),
                name,
            );
            if name != "public/hello.txt" {
                is(store.versions(&bucket, &name_key, None, 9).await.map(drop), name);
                let from =
                    store.copy((&bucket, &name_key, None), (&bucket, &hello), &Condition::Always).await;
                is(from.map(drop), name);
                let to = store.copy((&bucket, &hello, None), (&bucket, &name_key), &Condition::Always).await;
                is(to.map(drop), name);
                is(store.delete(&bucket, &name_key).await, name);
            }
        }
        let keys = async |prefix: &str| {
            let page = store.list(&demo(), &Prefix::parse(prefix).unwrap(), None, 9).await;
            page.map(|page| names(&page))
        };
        assert_eq!(keys("").await.unwrap(), ["public/hello.txt", "public/help.txt"]);
        assert_eq!(keys("pub").await.unwrap(), ["public/hello.txt", "public/help.txt"]);
        for outside in ["private/", "publicity", "public.", "x"] {
            assert!(matches!(keys(outside).await, Err(StoreError::Fenced { .. })), "{outside}");
        }
    }
    assert!(world.root().join("demo/private/salary.csv").exists());
}

#[tokio::test]
async fn pages_go_on_from_one_part_of_the_fence_to_the_next() {
    let world = world();
    let fence = Fence::below("private").unwrap().or(Fence::below("public").unwrap());
    let store = Store::folder(world.root(), Some(BTreeMap::from([(demo(), fence)])), limits()).unwrap();
    for count in 1..5 {
        let (mut seen, mut after) = (Vec::new(), None);
        loop {
            let page = store.list(&demo(), &Prefix::empty(), after, count).await.unwrap();
            seen.extend(names(&page));
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        assert_eq!(seen, ["private/salary.csv", "public/hello.txt", "public/help.txt"], "{count}");
    }
}
