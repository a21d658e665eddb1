#![allow(clippy::unwrap_used, reason = "a test ends by panicking")]
use super::*;
use crate::store::tests::limits;
use crate::store::{Limits, Store};
use serde_json::{Value, json};

struct World {
    dir: tempfile::TempDir,
    objects: Objects,
}

fn world(files: &[(&str, &[u8])], page_bytes_max: u64) -> World {
    let dir = tempfile::tempdir().unwrap();
    let root = std::fs::canonicalize(dir.path()).unwrap();
    std::fs::create_dir(root.join("demo")).unwrap();
    for (key, content) in files {
        std::fs::write(root.join("demo").join(key), content).unwrap();
    }
    let store = Store::folder(root, None, Limits { page_bytes_max, page_items_max: 2, ..limits() }).unwrap();
    World { dir, objects: Objects::new(store) }
}

fn told<T: Serialize>(found: Result<Json<T>, StoreError>) -> Result<Value, String> {
    found.map(|json| serde_json::to_value(json.value()).unwrap()).map_err(|e| e.to_string())
}

impl World {
    async fn get(&self, arguments: Value) -> Result<Value, String> {
        let asked = serde_json::from_value(arguments).map_err(|e| e.to_string())?;
        told(self.objects.get_object(Parameters(asked)).await)
    }

    async fn list(&self, arguments: Value) -> Result<Value, String> {
        let asked = serde_json::from_value(arguments).map_err(|e| e.to_string())?;
        told(self.objects.list_objects(Parameters(asked)).await)
    }
}

#[tokio::test]
async fn text_comes_as_text_and_bytes_as_base64() {
    let world = world(&[("a.txt", "grün".as_bytes()), ("a.bin", b"\xff\x00")], 100);
    let text = world.get(json!({"bucket": "demo", "key": "a.txt"})).await.unwrap();
    assert_eq!(
        (&text["content"], &text["base64"], &text["total_size"]),
        (&json!("grün"), &json!(false), &json!(5))
    );
    let bytes = world.get(json!({"bucket": "demo", "key": "a.bin"})).await.unwrap();
    let of_both = [&text, &bytes].map(|found| found["sha256"].as_str().unwrap().to_owned());
    assert_eq!(of_both, ["grün".as_bytes(), b"\xff\x00"].map(|content| Sha256::of(content).to_string()));
    let part = world.get(json!({"bucket": "demo", "key": "a.txt", "length": 2})).await.unwrap();
    assert_eq!(part.get("sha256"), None, "only a whole has one");
    assert_eq!(
        (&bytes["content"], &bytes["base64"], &bytes["length"]),
        (&json!("/wA="), &json!(true), &json!(2))
    );
}

#[tokio::test]
async fn pages_join_to_the_whole_and_cut_no_character() {
    let whole = "aü€😀b".repeat(3);
    let world = world(&[("long.txt", whole.as_bytes())], 5);
    let (mut joined, mut offset) = (String::new(), Some(0));
    while let Some(from) = offset {
        let page = world.get(json!({"bucket": "demo", "key": "long.txt", "offset": from})).await.unwrap();
        assert_eq!(page["base64"], json!(false));
        joined.push_str(page["content"].as_str().unwrap());
        offset = page["next_offset"].as_u64();
    }
    assert_eq!(joined, whole);
}

#[tokio::test]
async fn a_page_that_is_too_large_is_refused_with_its_bound() {
    let world = world(&[("a", b"abc")], 5);
    assert!(world.get(json!({"bucket": "demo", "key": "a", "length": 5})).await.is_ok());
    let error = world.get(json!({"bucket": "demo", "key": "a", "length": 6})).await.unwrap_err();
    assert!(error.contains("length may be 5 at most"), "{error}");
    assert!(world.list(json!({"bucket": "demo", "page_size": 2})).await.is_ok());
    let error = world.list(json!({"bucket": "demo", "page_size": 3})).await.unwrap_err();
    assert!(error.contains("page_size may be 2 at most"), "{error}");
}

#[tokio::test]
async fn a_list_goes_on_where_its_cursor_says() {
    let world = world(&[("a", b""), ("b", b""), ("c", b"")], 5);
    let first = world.list(json!({"bucket": "demo"})).await.unwrap();
    assert_eq!((&first["objects"][0]["key"], &first["objects"][1]["key"]), (&json!("a"), &json!("b")));
    let rest = world.list(json!({"bucket": "demo", "cursor": first["next_cursor"]})).await.unwrap();
    assert_eq!((&rest["objects"][0]["key"], rest.get("next_cursor")), (&json!("c"), None));
    assert!(world.list(json!({"bucket": "demo", "cursor": "***"})).await.unwrap_err().contains("cursor"));
}

#[tokio::test]
async fn resources_of_all_buckets_come_once_each() {
    let world = world(&[("a", b"1"), ("b", b"2"), ("c", b"3")], 100);
    let root = world.dir.path();
    for bucket in ["aaa", "other", "zzz"] {
        std::fs::create_dir(root.join(bucket)).unwrap();
    }
    std::fs::write(root.join("zzz/d"), "4").unwrap();
    let (mut seen, mut cursor) = (Vec::new(), None);
    loop {
        let page = world.objects.list_resources_page(cursor.as_deref()).await.unwrap();
        assert!(page.resources.len() <= 2);
        seen.extend(page.resources.into_iter().map(|r| r.uri));
        cursor = page.next_cursor;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(seen, ["s3://demo/a", "s3://demo/b", "s3://demo/c", "s3://zzz/d"]);
}
