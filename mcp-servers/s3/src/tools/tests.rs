#![allow(clippy::unwrap_used, reason = "a test ends by panicking")]
use super::*;
use crate::store::Store;
use rmcp::handler::server::tool::ToolRouter;
use rmcp::model::Tool;
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
    let mut store = Store::folder(root, None);
    store.page_bytes_max = page_bytes_max;
    store.page_items_max = 2;
    World { dir, objects: Objects::new(store) }
}

impl World {
    async fn get(&self, arguments: Value) -> Result<Value, String> {
        let asked = serde_json::from_value(arguments).map_err(|e| e.to_string())?;
        self.objects.get(asked).await.map(|c| serde_json::to_value(c).unwrap()).map_err(|e| e.to_string())
    }

    async fn list(&self, arguments: Value) -> Result<Value, String> {
        let asked = serde_json::from_value(arguments).map_err(|e| e.to_string())?;
        self.objects.list(asked).await.map(|c| serde_json::to_value(c).unwrap()).map_err(|e| e.to_string())
    }

    async fn put(&self, arguments: Value) -> Result<Value, String> {
        let asked = serde_json::from_value(arguments).map_err(|e| e.to_string())?;
        self.objects.put(asked).await.map(|c| serde_json::to_value(c).unwrap()).map_err(|e| e.to_string())
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
async fn a_put_takes_one_content_and_only_a_star() {
    let world = world(&[], 5);
    let put = |more: Value| {
        let mut arguments = json!({"bucket": "demo", "key": "k"});
        arguments.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        world.put(arguments)
    };
    assert_eq!(put(json!({"content": "x"})).await.unwrap()["uri"], json!("s3://demo/k"));
    assert_eq!(put(json!({"content_base64": "/wA="})).await.unwrap()["size"], json!(2));
    assert!(put(json!({"content_base64": "/w"})).await.unwrap_err().contains("not base64"));
    assert!(put(json!({})).await.unwrap_err().contains("either"));
    assert!(put(json!({"content": "x", "content_base64": "eA=="})).await.unwrap_err().contains("either"));
    assert!(put(json!({"content": "x", "if_none_match": "*"})).await.unwrap_err().contains("exists already"));
    assert!(put(json!({"content": "x", "if_none_match": "y"})).await.unwrap_err().contains("variant"));
    assert!(put(json!({"content": "x", "overwrite": true})).await.unwrap_err().contains("unknown field"));
}

#[test]
fn what_only_reads_says_so_and_what_destroys_says_so() {
    let router: ToolRouter<Objects> = Objects::tool_router();
    let hints: Vec<_> = router
        .list_all()
        .into_iter()
        .map(|tool| {
            let a = tool.annotations.unwrap();
            (
                tool.name.to_string(),
                a.read_only_hint,
                a.destructive_hint,
                a.idempotent_hint,
                a.open_world_hint,
            )
        })
        .collect();
    let (yes, no) = (Some(true), Some(false));
    assert_eq!(
        hints,
        [
            ("delete_object".to_owned(), no, yes, yes, no),
            ("get_object".to_owned(), yes, no, yes, no),
            ("head_object".to_owned(), yes, no, yes, no),
            ("list_objects".to_owned(), yes, no, yes, no),
            ("put_object".to_owned(), no, yes, yes, no),
        ]
    );
}

#[test]
fn schemas_say_what_is_required_and_allow_nothing_else() {
    let router: ToolRouter<Objects> = Objects::tool_router();
    for tool in serde_json::from_str::<Vec<Tool>>(&kit::tools_json(router.list_all())).unwrap() {
        assert_eq!(tool.input_schema["additionalProperties"], json!(false), "{}", tool.name);
        assert_eq!(tool.output_schema.as_ref().unwrap()["type"], json!("object"), "{}", tool.name);
        let whole = serde_json::to_string(&tool).unwrap();
        assert!(!whole.contains("uint"), "{whole}");
        assert!(tool.description.as_ref().unwrap().len() > 20, "{}", tool.name);
    }
    let required = |name: &str| router.get(name).unwrap().input_schema["required"].clone();
    assert_eq!(required("get_object"), json!(["bucket", "key"]));
    assert_eq!(required("list_objects"), json!(["bucket"]));
    let output = router.get("get_object").unwrap().output_schema.clone().unwrap();
    assert_eq!(
        output["required"],
        json!(["bucket", "key", "content", "base64", "offset", "length", "total_size"]),
        "what is left out where it is unknown is not required"
    );
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

#[test]
fn the_tools_are_those_of_the_snapshot() {
    assert_eq!(
        kit::tools_json(Objects::tools()),
        include_str!("../../tools.json"),
        "clients pin tools: if the change is meant, run `cargo run -q -p mcp-s3 -- --print-tools > mcp-servers/s3/tools.json`"
    );
}
