//! What `deploy/kubernetes` would run, laid out here as the kubelet does it.

use certs::Clock;
use certs::TrustDomain;
use certs::development::Domain;
use serde_json::Value;
use std::collections::BTreeMap;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Stdio};
use tokens::SigningKey;
use world::components::{program, root};

const SERVERS: [&str; 5] = ["inference", "kubernetes", "mlflow", "prometheus", "s3"];

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
    let policies = pod["volumes"].as_array().unwrap().iter().find(|v| v["name"] == "policies").unwrap();
    let count = policies["configMap"]["items"].as_array().unwrap().len();
    assert!(said.contains(&format!("is good: 5 server(s), {count} policy file(s)")), "{said}");
}

/// What a server's manifest holds, kind by kind.
fn of_server(server: &str) -> BTreeMap<String, Value> {
    let path = root().join(format!("deploy/kubernetes/servers/{server}.yaml"));
    let text = std::fs::read_to_string(path).unwrap();
    let documents = text.split("\n---\n").map(|one| yaml_serde::from_str::<Value>(one).unwrap());
    documents.map(|one| (one["kind"].as_str().unwrap().to_owned(), one)).collect()
}

/// The flags of a server's container, with its files in a folder and ports that are free. It ends once it listens: nobody
/// writes to its standard input.
fn flags(server: &str, folder: &Path) -> Vec<String> {
    let manifest = of_server(server);
    let pod = &manifest["Deployment"]["spec"]["template"]["spec"];
    let container = &pod["containers"][0];
    let mounts: Vec<_> = container["volumeMounts"].as_array().unwrap().iter().collect();
    let clock = Clock::system();
    let domain =
        Domain::open(&folder.join("ca"), &TrustDomain::new("prod.example").unwrap(), &clock).unwrap();
    let id = domain.id(&format!("ns/sallyport/sa/mcp-{server}")).unwrap();
    let svid = domain.write_svid(&folder.join("svid"), &id, &[], clock.now()).unwrap();
    let read = |path: &Path| std::fs::read(path).unwrap();
    let mut flags = vec!["--end-with-stdin".to_owned()];
    for written in container["args"].as_array().unwrap() {
        let (flag, value) = written.as_str().unwrap().split_once('=').unwrap();
        if !value.starts_with('/') {
            let value = if flag.ends_with("listen") { "127.0.0.1:0" } else { value };
            flags.push(format!("{flag}={value}"));
            continue;
        }
        let mount =
            mounts.iter().find(|m| value.starts_with(&format!("{}/", m["mountPath"].as_str().unwrap())));
        let mount = mount.unwrap_or_else(|| panic!("{server}: nothing is mounted at {value}"));
        let volume = pod["volumes"].as_array().unwrap().iter().find(|v| v["name"] == mount["name"]);
        let map = &manifest.get("ConfigMap").unwrap_or(&Value::Null)["data"];
        let name = value.rsplit('/').next().unwrap();
        let bytes = match (volume.unwrap()["name"].as_str().unwrap(), name) {
            ("svid", "svid.pem") => read(&svid.certificate),
            ("svid", "svid.key") => read(&svid.private_key),
            ("svid", "bundle.pem") | ("cluster", "ca.crt") => read(&svid.trust_bundle),
            ("jwks", "jwks.json") => {
                SigningKey::jwks([&SigningKey::generate().unwrap()]).to_string().into_bytes()
            }
            (_, name) => map[name].as_str().unwrap_or("open-sesame").as_bytes().to_vec(),
        };
        let path = folder.join(value.trim_start_matches('/'));
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        certs::files::write(&path, &bytes, 0o600).unwrap();
        flags.push(format!("{flag}={}", path.display()));
    }
    flags
}

#[test]
fn each_servers_program_takes_the_flags_of_its_manifest_and_none_that_is_misspelled() {
    certs::install_crypto();
    let config = manifest("config.yaml");
    let config: Value = yaml_serde::from_str(config["data"]["sallyport.yaml"].as_str().unwrap()).unwrap();
    for server in SERVERS {
        let dir = tempfile::tempdir().unwrap();
        let flags = flags(server, dir.path());
        let run = |flags: &[String]| {
            Command::new(program(&format!("mcp-{server}"))).args(flags).stdin(Stdio::null()).output().unwrap()
        };
        let ran = run(&flags);
        let said = String::from_utf8_lossy(&ran.stderr);
        assert!(ran.status.success(), "{server}: {said}");
        assert!(String::from_utf8_lossy(&ran.stdout).contains("listening on https://127.0.0.1:"), "{server}");
        for place in 1..flags.len() {
            let (flag, value) = flags[place].split_once('=').unwrap();
            let mut wrong = flags.clone();
            wrong[place] = format!("{flag}x={value}");
            let ran = run(&wrong);
            let said = String::from_utf8_lossy(&ran.stderr);
            assert!(!ran.status.success() && said.contains(&format!("{flag}x")), "{server} {flag}x: {said}");
        }
        // Who it is, and at which name, is what the gateway's configuration says of it.
        let known = &config["servers"][server];
        let url = known["url"].as_str().unwrap();
        let host = url.strip_prefix("https://").and_then(|rest| rest.strip_suffix(":9443/mcp")).unwrap();
        let audience = known["spiffe_id"].as_str().unwrap();
        for wanted in [format!("--allowed-hosts={host}"), format!("--audience={audience}")] {
            assert!(flags.contains(&wanted), "{server}: {wanted} in {flags:?}");
        }
        let service = &of_server(server)["Service"]["metadata"];
        let (name, namespace) = (service["name"].as_str().unwrap(), service["namespace"].as_str().unwrap());
        assert_eq!(host, format!("{name}.{namespace}.svc"));
    }
}

#[test]
fn each_servers_program_prints_the_tools_that_are_committed() {
    for server in SERVERS {
        let ran = Command::new(program(&format!("mcp-{server}"))).arg("--print-tools").output().unwrap();
        let committed = std::fs::read(root().join(format!("mcp-servers/{server}/tools.json"))).unwrap();
        assert!(ran.status.success() && ran.stdout == committed, "{server}: {ran:?}");
        let beside = Command::new(program(&format!("mcp-{server}")))
            .args(["--print-tools", "--audience=a"])
            .output()
            .unwrap();
        assert!(!beside.status.success() && beside.stdout.is_empty(), "{server}: it stands alone");
    }
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
