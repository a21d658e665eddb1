//! The Kubernetes manifests: the ConfigMap of policies and where its files go are made from the starter policies, and all
//! manifests are held against the API's schemas, offline. A check that lets nothing broken through is checked too.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};

use crate::run;

const FOLDER: &str = "deploy/kubernetes";
/// Those of the MCP servers.
const SERVERS: &str = "deploy/kubernetes/servers";
const POLICY: &str = "deploy/kubernetes/policy.yaml";
const DEPLOYMENT: &str = "deploy/kubernetes/deployment.yaml";
const STARTER: &str = "policy/rego/starter";
/// It has no schema: `kubectl kustomize` reads it, nobody else.
const KUSTOMIZATION: &str = "kustomization.yaml";

/// What has to be refused: a file, what stands in it, and what would be wrong there.
const BROKEN: [(&str, &str, &str); 5] = [
    ("deployment.yaml", "replicas: 2", "replicas: two"),
    ("deployment.yaml", "readOnlyRootFilesystem: true", "readOnlyRootFileSystem: true"),
    ("deployment.yaml", "apiVersion: apps/v1", "apiVersion: apps/v2"),
    ("service.yaml", "port: 8443", "prot: 8443"),
    ("network-policy.yaml", "policyTypes: [Ingress, Egress]", "policyTypes: Ingress"),
];

/// Writes the ConfigMap of policies, and into the Deployment where its files go.
pub(crate) fn write() -> anyhow::Result<()> {
    fs::write(POLICY, policies()?).context(POLICY)?;
    fs::write(DEPLOYMENT, deployment()?).context(DEPLOYMENT)
}

/// Checks that what is made of the policies is up to date, that every manifest is valid, and that broken ones are not.
pub(crate) fn check() -> anyhow::Result<()> {
    for (file, made) in [(POLICY, policies()?), (DEPLOYMENT, deployment()?)] {
        if fs::read_to_string(file).context(file)? != made {
            bail!("{file} is not made of {STARTER} as it is now: cargo xtask manifests");
        }
    }
    let mut checked = 0;
    for folder in [FOLDER, SERVERS] {
        for entry in fs::read_dir(folder).context(folder)? {
            let path = entry?.path();
            if path.extension().is_some_and(|end| end == "yaml") && !path.ends_with(KUSTOMIZATION) {
                if !valid(&path)? {
                    bail!("{} is not valid", path.display());
                }
                checked += 1;
            }
        }
    }
    let scratch = std::env::temp_dir().join(format!("sallyport-manifests-{}", std::process::id()));
    fs::create_dir_all(&scratch)?;
    let refused = BROKEN.iter().try_for_each(|broken| refuses(&scratch, broken));
    fs::remove_dir_all(&scratch)?;
    refused?;
    println!("manifests: {checked} are valid, {} broken ones are refused", BROKEN.len());
    Ok(())
}

fn refuses(scratch: &Path, (file, right, wrong): &(&'static str, &str, &str)) -> anyhow::Result<()> {
    let text = fs::read_to_string(Path::new(FOLDER).join(file)).context(*file)?;
    if !text.contains(right) {
        bail!("{file} has no {right:?} any more: break it in another way");
    }
    let path = scratch.join(file);
    fs::write(&path, text.replacen(right, wrong, 1))?;
    if valid(&path)? {
        bail!("{file} is taken for valid with {wrong:?}: the check checks nothing");
    }
    Ok(())
}

/// Whether a manifest is what the API's schema of its kind says; a kind that has none is let pass by the validator, and not
/// here. What is wrong with one of ours is printed.
fn valid(path: &Path) -> anyhow::Result<bool> {
    let output = Command::new(run::cache()?.join("bin/kubernetes-validate"))
        .args(["--strict", "--no-warn"])
        .arg(path)
        .output()
        .context("kubernetes-validate is missing: scripts/setup checks")?;
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    let passed = output.status.success() && said.contains(" passed for resource ");
    if !passed && path.starts_with(FOLDER) {
        print!("{said}");
    }
    Ok(passed)
}

/// The Deployment, with an item for each policy in its volume.
fn deployment() -> anyhow::Result<String> {
    let text = fs::read_to_string(DEPLOYMENT).context(DEPLOYMENT)?;
    let begin = "            name: sallyport-policies\n            items:\n";
    let (before, behind) = text.split_once(begin).with_context(|| format!("{DEPLOYMENT} has no policies"))?;
    let mut made = format!("{before}{begin}");
    for path in rego_below(Path::new(STARTER))? {
        let path = path.strip_prefix(STARTER)?.to_string_lossy();
        let key = path.replace('/', ".");
        made.push_str(&format!("              - key: {key}\n                path: {path}\n"));
    }
    let is_item = |line: &&str| line.starts_with("              ");
    for line in behind.lines().skip_while(is_item) {
        made.push_str(line);
        made.push('\n');
    }
    Ok(made)
}

/// The ConfigMap: a key for each policy, its path with dots; the Deployment gives the files their folders back.
fn policies() -> anyhow::Result<String> {
    let mut text = String::from(
        "# Made from policy/rego/starter by `cargo xtask manifests`. Changes are used within a minute or so, when the kubelet has
# brought them; a set with a mistake in it never replaces a good one.
apiVersion: v1
kind: ConfigMap
metadata:
  name: sallyport-policies
  namespace: sallyport
data:
",
    );
    for path in rego_below(Path::new(STARTER))? {
        let name = path.strip_prefix(STARTER)?.to_string_lossy().replace('/', ".");
        text.push_str(&format!("  {name}: |\n"));
        for line in fs::read_to_string(&path)?.lines() {
            text.push_str(&if line.is_empty() { "\n".to_owned() } else { format!("    {line}\n") });
        }
    }
    Ok(text)
}

/// The policies below a folder, without their tests, in order.
fn rego_below(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let (mut found, mut folders) = (Vec::new(), vec![folder.to_path_buf()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).with_context(|| folder.display().to_string())? {
            let path = entry?.path();
            let name = path.to_string_lossy().into_owned();
            if path.is_dir() {
                folders.push(path);
            } else if name.ends_with(".rego") && !name.ends_with("_test.rego") {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}
