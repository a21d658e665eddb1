#![allow(clippy::unwrap_used, reason = "a test ends by panicking")]
use super::*;
use serde_json::json;

#[test]
fn what_only_reads_says_so_and_what_destroys_says_so() {
    let router = Objects::router();
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
    let expected = [
        ("abort_upload", no, no, no),
        ("complete_upload", no, yes, no),
        ("copy_object", no, yes, yes),
        ("delete_object", no, yes, yes),
        ("get_object", yes, no, yes),
        ("head_object", yes, no, yes),
        ("list_objects", yes, no, yes),
        ("list_versions", yes, no, yes),
        ("preview_table", yes, no, yes),
        ("preview_text", yes, no, yes),
        ("put_object", no, yes, yes),
        ("start_upload", no, no, no),
        ("upload_part", no, no, yes),
    ];
    assert_eq!(
        hints,
        expected.map(|(name, reads, destroys, again)| (name.to_owned(), reads, destroys, again, no))
    );
}

#[test]
fn schemas_say_what_is_required_and_allow_nothing_else() {
    let router = Objects::router();
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

#[test]
fn the_tools_are_those_of_the_snapshot() {
    assert_eq!(
        kit::tools_json(Objects::tools()),
        include_str!("../../tools.json"),
        "clients pin tools: if the change is meant, run `cargo run -q -p mcp-s3 -- --print-tools > mcp-servers/s3/tools.json`"
    );
}
