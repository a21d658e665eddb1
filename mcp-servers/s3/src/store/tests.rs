#![allow(clippy::unwrap_used, reason = "a test ends by panicking")]
use super::*;
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
    let store = Store::folder(root, None);
    World { dir, store }
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

    async fn text(&self, name: &str) -> Result<String, StoreError> {
        let piece = self.store.read(&demo(), &key(name), 0, 100).await?;
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
    let piece = world.store.read(&demo(), &key("public/hello.txt"), 3, 100).await.unwrap();
    assert_eq!((piece.bytes.as_ref(), piece.offset, piece.info.size), (b"lo".as_ref(), 3, 5));
    let behind = world.store.read(&demo(), &key("public/hello.txt"), 5, 1).await.unwrap_err();
    assert!(matches!(behind, StoreError::Offset { offset: 5, size: 5 }));
    world.store.put(&demo(), &key("empty"), Bytes::new(), false).await.unwrap();
    assert_eq!(world.text("empty").await.unwrap(), "");
}

#[tokio::test]
async fn what_is_not_there_is_not_found() {
    let world = world();
    for name in ["public/hallo.txt", "public", "public/hello.txt/x"] {
        assert!(matches!(world.text(name).await, Err(StoreError::NotFound { .. })), "{name}");
        assert!(
            matches!(world.store.head(&demo(), &key(name)).await, Err(StoreError::NotFound { .. })),
            "{name}"
        );
    }
    let missing = Bucket::parse("missing").unwrap();
    let error = world.store.head(&missing, &key("x")).await.unwrap_err();
    assert!(matches!(error, StoreError::NoBucket { .. }));
}

#[tokio::test]
async fn a_bucket_outside_the_list_does_not_exist() {
    let world = world();
    let limited = Store::folder(world.root(), Some(vec![demo()]));
    let other = Bucket::parse("other").unwrap();
    assert_eq!(limited.buckets().unwrap(), [demo()]);
    assert!(limited.head(&demo(), &key("public/hello.txt")).await.is_ok());
    assert!(matches!(limited.head(&other, &key("x.txt")).await, Err(StoreError::NoBucket { .. })));
    assert!(matches!(
        limited.put(&other, &key("y"), Bytes::new(), false).await,
        Err(StoreError::NoBucket { .. })
    ));
    assert!(world.store.head(&other, &key("x.txt")).await.is_ok());
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
        let put = world.store.put(&demo(), &key(name), Bytes::from_static(b"x"), false).await;
        assert!(matches!(put, Err(StoreError::Link { .. })), "{name}");
        assert!(
            matches!(world.store.delete(&demo(), &key(name)).await, Err(StoreError::Link { .. })),
            "{name}"
        );
    }
    assert_eq!(world.keys("public/").await, ["public/hello.txt", "public/help.txt"]);
    assert_eq!(std::fs::read_to_string(world.dir.path().join("secret")).unwrap(), "secret");
    let alias = Bucket::parse("alias").unwrap();
    assert!(matches!(world.store.head(&alias, &key("x.txt")).await, Err(StoreError::NoBucket { .. })));
    assert!(!world.store.buckets().unwrap().contains(&alias));
}

#[tokio::test]
async fn a_put_replaces_unless_it_may_not() {
    let world = world();
    let put = |text: &'static str, only_new| {
        let store = world.store.clone();
        async move {
            store.put(&demo(), &key("new/a b%-ü.txt"), Bytes::from_static(text.as_bytes()), only_new).await
        }
    };
    assert!(put("one", true).await.unwrap().is_some());
    assert!(matches!(put("two", true).await, Err(StoreError::Exists { .. })));
    assert_eq!(world.text("new/a b%-ü.txt").await.unwrap(), "one");
    put("three", false).await.unwrap();
    assert_eq!(world.text("new/a b%-ü.txt").await.unwrap(), "three");
    assert!(world.root().join("demo/new/a b%-ü.txt").is_file(), "the file has the key's own name");
    for blocked in ["public", "public/hello.txt/x", "staged#1"] {
        let refused = world.store.put(&demo(), &key(blocked), Bytes::new(), false).await;
        assert!(matches!(refused, Err(StoreError::Unplaceable { .. })), "{blocked}");
    }
    assert!(world.store.put(&demo(), &key("staged#x"), Bytes::new(), false).await.is_ok());
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
    let client: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    let store = Store::remote(BTreeMap::from([(demo(), client)]));
    for name in ["private/salary.csv", "public.txt", "public/hello.txt", "public/help.txt"] {
        store.put(&demo(), &key(name), Bytes::from_static(b"hello"), false).await.unwrap();
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
    let piece = store.read(&demo(), &key("public.txt"), 1, 2).await.unwrap();
    assert_eq!(piece.bytes.as_ref(), b"el");
    assert!(matches!(store.read(&demo(), &key("public.txt"), 9, 2).await, Err(StoreError::Offset { .. })));
    assert!(matches!(
        store.put(&demo(), &key("public.txt"), Bytes::new(), true).await,
        Err(StoreError::Exists { .. })
    ));
    assert!(matches!(store.head(&demo(), &key("nothing")).await, Err(StoreError::NotFound { .. })));
}
