#![allow(clippy::unwrap_used, reason = "a test ends by panicking")]
use super::*;
use crate::store::Store;
use crate::store::tests::limits;
use serde_json::{Value, json};

#[tokio::test]
async fn a_put_takes_one_content_and_only_a_star() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("demo")).unwrap();
    let store = Store::folder(std::fs::canonicalize(dir.path()).unwrap(), None, limits()).unwrap();
    let objects = Objects::new(store);
    let put = async |more: Value| {
        let mut arguments = json!({"bucket": "demo", "key": "k"});
        arguments.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let asked = serde_json::from_value(arguments).map_err(|e| e.to_string())?;
        let done = objects.put_object(Parameters(asked)).await.map_err(|e| e.to_string())?;
        Ok::<_, String>(serde_json::to_value(done.value()).unwrap())
    };
    assert_eq!(put(json!({"content": "x"})).await.unwrap()["uri"], json!("s3://demo/k"));
    assert_eq!(put(json!({"content_base64": "/wA="})).await.unwrap()["size"], json!(2));
    assert!(put(json!({"content_base64": "/w"})).await.unwrap_err().contains("not base64"));
    assert!(put(json!({})).await.unwrap_err().contains("either"));
    assert!(put(json!({"content": "x", "content_base64": "eA=="})).await.unwrap_err().contains("either"));
    assert!(put(json!({"content": "x", "if_none_match": "*"})).await.unwrap_err().contains("exists already"));
    assert!(put(json!({"content": "x", "if_none_match": "y"})).await.unwrap_err().contains("variant"));
    assert!(put(json!({"content": "x", "overwrite": true})).await.unwrap_err().contains("unknown field"));
    let digest = Sha256::of(b"x").to_string();
    assert_eq!(put(json!({"content": "x", "sha256": digest})).await.unwrap()["sha256"], json!(digest));
    assert!(put(json!({"content": "y", "sha256": digest})).await.unwrap_err().contains("not 2d711642"));
    assert!(put(json!({"content": "x", "if_match": "y"})).await.unwrap_err().contains("not what it was"));
    let both = json!({"content": "x", "if_match": "y", "if_none_match": "*"});
    assert!(put(both).await.unwrap_err().contains("either if_none_match or"));
    assert!(
        put(json!({"content": "x", "content_type": "a\r\nb: c"})).await.unwrap_err().contains("content_type")
    );
}
