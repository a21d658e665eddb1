//! What `deploy/` holds is taken by a real API server.

use serde_json::json;
use world::components::root;
use world::kubernetes::Cluster;

#[test]
fn every_manifest_of_deploy_is_taken_and_none_with_one_word_wrong() {
    let Some(cluster) = Cluster::shared() else { return };
    let base = root().join("deploy/kubernetes");
    let (gateway, servers) = (base.display().to_string(), base.join("servers").display().to_string());
    for folder in [&gateway, &servers] {
        let made = cluster.kubectl(&["apply", "-k", folder]);
        assert!(made.lines().count() > 5 && made.lines().all(|line| !line.contains("error")), "{made}");
        let again = cluster.kubectl(&["apply", "-k", folder]);
        assert!(
            again.lines().all(|line| line.ends_with(" unchanged") || line.ends_with(" configured")),
            "{again}"
        );
    }
    let all = cluster.get(&["deployments", "-n", "sallyport"]).unwrap();
    let mut names: Vec<_> =
        all["items"].as_array().unwrap().iter().map(|one| &one["metadata"]["name"]).collect();
    names.sort_by_key(|name| name.to_string());
    let servers =
        ["inference", "kubernetes", "mlflow", "prometheus", "s3"].map(|name| json!(format!("mcp-{name}")));
    assert_eq!(names, servers.iter().chain([&json!("sallyport")]).collect::<Vec<_>>());
    // Pod Security is the namespace's: a pod that would run as root is not made, and those of the manifests are.
    let pods = |labels: &str| cluster.get(&["pods", "-n", "sallyport", "-l", labels]).unwrap();
    for name in &names {
        let label = format!("app.kubernetes.io/name={}", name.as_str().unwrap());
        let made = (0..200).any(|_| {
            std::thread::sleep(std::time::Duration::from_millis(50));
            !pods(&label)["items"].as_array().unwrap().is_empty()
        });
        assert!(made, "{name} has no pod: {:?}", cluster.get(&["events", "-n", "sallyport"]));
    }
    let text = std::fs::read_to_string(base.join("servers/s3.yaml")).unwrap();
    let file = cluster.file("wrong.yaml");
    for (right, wrong) in
        [("replicas: 1", "replicas: one"), ("readOnlyRootFilesystem", "readOnlyRootFileSystem")]
    {
        assert!(text.contains(right));
        std::fs::write(&file, text.replace(right, wrong)).unwrap();
        let arguments = ["apply", "--dry-run=server", "--validate=strict", "-f", &file];
        assert!(cluster.refuses(&arguments), "{wrong} is taken");
    }
    std::fs::write(&file, &text).unwrap();
    cluster.kubectl(&["apply", "--dry-run=server", "--validate=strict", "-f", &file]);
}
