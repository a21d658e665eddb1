//! `docs/first-policy.md`, typed word by word by somebody who has never seen this before.

use std::process::Command;
use world::components::{Sallyport, program, root};

/// The fenced blocks of a page, each with its language.
fn blocks(page: &str) -> Vec<(&str, &str)> {
    let fences = page.split("\n```").skip(1).step_by(2);
    fences.map(|block| block.split_once('\n').unwrap()).collect()
}

#[test]
fn every_command_of_the_page_does_what_the_page_says() {
    let page = std::fs::read_to_string(root().join("docs/first-policy.md")).unwrap();
    let blocks = blocks(&page);
    let up = Sallyport::up();
    let folder = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(up.path(""), folder.path().join(".sallyport")).unwrap();

    // One shell for all of it, as the reader has one; a mark behind each block tells their outputs apart.
    let typed = blocks.iter().filter(|(language, _)| *language == "sh");
    let script: String = typed.map(|(_, block)| format!("{block}\necho; echo '== next'\n")).collect();
    let bin = program("sallyport").parent().unwrap().to_owned();
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let output = Command::new("bash")
        .arg("-c")
        .arg(script)
        .current_dir(folder.path())
        .env("PATH", path)
        .output()
        .unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    let mut outputs = said.split("== next\n");

    let (mut checked, mut last) = (0, "");
    for (language, block) in blocks {
        if language == "sh" {
            last = outputs.next().unwrap();
            continue;
        }
        for line in block.lines() {
            assert!(
                last.contains(line),
                "{line}\nis not in\n{last}\n{}",
                String::from_utf8_lossy(&output.stderr)
            );
            checked += 1;
        }
    }
    assert!(checked > 15, "{checked} lines");
}
