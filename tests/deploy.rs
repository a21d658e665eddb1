//! What `deploy/kubernetes` would run, laid out here as the kubelet does it.

use certs::Clock;
use certs::TrustDomain;
use certs::development::Domain;
use serde_json::Value;
use std::collections::BTreeMap;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;
use tokens::SigningKey;
use world::components::{program, root};

fn manifest(name: &str) -> Value {
    let text = std::fs::read_to_string(root().join("deploy/kubernetes").join(name)).unwrap();
    yaml_serde::from_str(&text).unwrap()
}

fn pod() -> Value {
    manifest("deployment.yaml")["spec"]["template"]["spec"].clone()
}

fn texts(of: &Value) -> BTreeMap<String, Vec<u8>> {
    let texts = of.as_object().unwrap().iter();
    texts.map(|(key, text)| (key.clone(), text.as_str().unwrap().as_bytes().to_vec())).collect()
}

/// The files of a volume. A ConfigMap's `items` say where its keys go, and there has to be one for each.
fn files(volume: &Value, secrets: &BTreeMap<&str, BTreeMap<String, Vec<u8>>>) -> BTreeMap<String, Vec<u8>> {
    if let Some(secret) = volume["secret"]["secretName"].as_str() {
        return secrets[secret].clone();
    }
    let Some(name) = volume["configMap"]["name"].as_str() else { return BTreeMap::new() };
    let map =
        ["config.yaml", "policy.yaml"].map(manifest).into_iter().find(|m| m["metadata"]["name"] == name);
    let data = texts(&map.unwrap()["data"]);
    let Some(items) = volume["configMap"]["items"].as_array() else { return data };
    assert_eq!(items.len(), data.len(), "each policy has its place");
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    items.iter().map(|item| (text(&item["path"]), data[&text(&item["key"])].clone())).collect()
}

/// A volume as the kubelet mounts it: everything in a folder that is swapped as a whole, behind links.
fn mount(folder: &Path, files: &BTreeMap<String, Vec<u8>>) {
    std::fs::create_dir_all(folder).unwrap();
    for (path, bytes) in files {
        let full = folder.join("..2026_11_21").join(path);
        std::fs::create_dir_all(full.parent().unwrap()).unwrap();
        certs::files::write(&full, bytes, 0o600).unwrap();
        let top = path.split('/').next().unwrap();
        let _ = symlink(Path::new("..data").join(top), folder.join(top)); // Several files share a folder.
    }
    symlink("..2026_11_21", folder.join("..data")).unwrap();
}

#[test]
fn the_clusters_configuration_and_policies_are_good() {
    certs::install_crypto();
    let dir = tempfile::tempdir().unwrap();
    let clock = Clock::system();
    let domain =
        Domain::open(&dir.path().join("ca"), &TrustDomain::new("prod.example").unwrap(), &clock).unwrap();
    let id = domain.id("ns/sallyport/sa/sallyport").unwrap();
    let svid = domain.write_svid(&dir.path().join("svid"), &id, &[], clock.now()).unwrap();
    let read = |path: &Path| std::fs::read(path).unwrap();
    let secrets = BTreeMap::from([
        (
            "sallyport-svid",
            BTreeMap::from([
                ("svid.pem".to_owned(), read(&svid.certificate)),
                ("svid.key".to_owned(), read(&svid.private_key)),
                ("bundle.pem".to_owned(), read(&svid.trust_bundle)),
            ]),
        ),
        (
            "sallyport-keys",
            BTreeMap::from([
                ("actor.key".to_owned(), SigningKey::generate().unwrap().to_pkcs8().to_vec()),
                ("sessions.keys".to_owned(), format!("{}=\n", "A".repeat(43)).into_bytes()),
            ]),
        ),
    ]);
    let pod = pod();
    let container = &pod["containers"][0];
    let inside = |path: &str| dir.path().join(path.trim_start_matches('/'));
    for mounted in container["volumeMounts"].as_array().unwrap() {
        let volumes = pod["volumes"].as_array().unwrap();
        let volume = volumes.iter().find(|v| v["name"] == mounted["name"]).unwrap();
        mount(&inside(mounted["mountPath"].as_str().unwrap()), &files(volume, &secrets));
    }

    let config = inside(container["args"][2].as_str().unwrap());
    let here = dir.path().display().to_string();
    let text =
        ["/run/", "/etc/", "/var/"].iter().fold(std::fs::read_to_string(&config).unwrap(), |text, place| {
            text.replace(&format!(": {place}"), &format!(": {here}{place}"))
        });
    std::fs::write(dir.path().join("sallyport.yaml"), text).unwrap();
    let check = Command::new(program("sallyport"))
        .args(["check", "--config"])
        .arg(dir.path().join("sallyport.yaml"))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&check.stdout);
    assert!(check.status.success(), "{said}{}", String::from_utf8_lossy(&check.stderr));
    assert!(said.contains("is good: 1 server(s), 13 policy file(s)"), "{said}");
}

#[test]
fn the_pod_is_what_its_configuration_says_outlives_the_drain_and_has_no_rights() {
    let config = manifest("config.yaml");
    let config: Value = yaml_serde::from_str(config["data"]["sallyport.yaml"].as_str().unwrap()).unwrap();
    let replicas = &manifest("deployment.yaml")["spec"]["replicas"];
    assert!(replicas.is_u64() && config["replicas"] == *replicas, "the gateways know how many they are");
    let drain: u64 =
        config["limits"]["drain_timeout"].as_str().unwrap().strip_suffix('s').unwrap().parse().unwrap();
    let pod = pod();
    let container = &pod["containers"][0];
    let before = container["lifecycle"]["preStop"]["sleep"]["seconds"].as_u64().unwrap();
    assert!(pod["terminationGracePeriodSeconds"].as_u64().unwrap() > before + drain);
    assert_eq!(pod["automountServiceAccountToken"], false);
    assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
    assert_eq!(container["securityContext"]["capabilities"]["drop"][0], "ALL");
    assert_eq!(container["securityContext"]["readOnlyRootFilesystem"], true);
    let listens = config["admin"]["listen"].as_str().unwrap();
    let ports = container["ports"].as_array().unwrap();
    let port = |name: &str| ports.iter().find(|p| p["name"] == name).unwrap()["containerPort"].to_string();
    assert_eq!((listens, config["listen"].as_str().unwrap()), ("0.0.0.0:9901", "0.0.0.0:8443"));
    assert_eq!((port("admin"), port("mcp")), ("9901".into(), "8443".into()));
}
