//! Embeds the starter policy: every file below `policy/rego/starter`, so that a new one needs no list to be kept.

use std::fmt::Write;
use std::path::{Path, PathBuf};

fn main() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../policy/rego/starter");
    println!("cargo:rerun-if-changed={}", root.display());
    let mut files = Vec::new();
    collect(&root, &mut files);
    files.sort();
    let mut code = String::from(
        "/// The starter policy: path in the policy folder, and text.\npub const STARTER_POLICY: &[(&str, &str)] = &[\n",
    );
    for file in &files {
        let name = file.strip_prefix(&root).expect("collected below the root").display().to_string();
        writeln!(
            code,
            "    ({name:?}, include_str!({:?})),",
            file.canonicalize().expect("it was just listed")
        )
        .expect("a String takes everything");
    }
    code.push_str("];\n");
    let out = PathBuf::from(std::env::var("OUT_DIR").expect("cargo sets it")).join("starter_policy.rs");
    std::fs::write(out, code).expect("cargo's folder can be written");
}

fn collect(dir: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() { collect(&path, files) } else { files.push(path) }
    }
}
