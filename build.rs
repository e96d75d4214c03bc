//! Embeds the demo backend, the SDK for plugins, and the revision that `--version` prints.

use std::fmt::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

include!("src/sync/helper/sources.rs");

fn main() {
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it"));
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it"));
    println!("cargo::rerun-if-changed=build.rs");

    let demo = root.join("tests/fixtures/backend");
    let mut list = String::from("&[\n");
    for file in files(&demo) {
        let relative = file.strip_prefix(&demo).expect("below the demo").display().to_string();
        let executable = file.metadata().expect("readable").permissions().mode() & 0o111 != 0;
        writeln!(list, "    ({relative:?}, include_bytes!({file:?}), {executable}),").expect("memory");
    }
    list.push(']');
    fs::write(out.join("demo.rs"), list).expect("the output directory is writable");

    let sdk = root.join("src/plugin/sdk");
    let is_sdk = |file: &&PathBuf| {
        let name = file.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        !name.ends_with("_test.go") && !file.starts_with(sdk.join("testdata"))
    };
    let mut list = String::from("&[\n");
    for file in files(&sdk).iter().filter(is_sdk) {
        let relative = file.strip_prefix(&sdk).expect("below the SDK").display().to_string();
        writeln!(list, "    ({relative:?}, include_str!({file:?})),").expect("memory");
    }
    list.push(']');
    fs::write(out.join("sdk.rs"), list).expect("the output directory is writable");

    fs::write(out.join("helpers.rs"), helpers(&root.join("src/sync/helper/bin")))
        .expect("the output directory is writable");

    println!("cargo::rustc-env=HOTWATCH_REVISION={}", revision(&root).unwrap_or_default());
}

/// The helpers that are in `dir`, each with the machine it is for. Nothing is built here: `make helper` does that.
fn helpers(dir: &Path) -> String {
    // The directory above it is always there.
    println!("cargo::rerun-if-changed={}", dir.parent().expect("not the root").display());
    let name = build_name(&dir.with_file_name("src"));
    let mut list = String::from("&[\n");
    for machine in ["x86_64", "aarch64"] {
        let file = dir.join(machine);
        let Ok(bytes) = fs::read(&file) else { continue };
        if !bytes.windows(name.len()).any(|part| part == name.as_bytes()) {
            println!(
                "cargo::warning=the helper for {machine} is older than its sources and left out; run `make helper`"
            );
        } else {
            writeln!(list, "    ({machine:?}, include_bytes!({file:?})),").expect("memory");
        }
    }
    list.push(']');
    list
}

/// Every file below `dir`, sorted.
fn files(dir: &Path) -> Vec<PathBuf> {
    println!("cargo::rerun-if-changed={}", dir.display());
    let mut entries: Vec<PathBuf> =
        fs::read_dir(dir).expect("the demo is there").map(|entry| entry.expect("readable").path()).collect();
    entries.sort();
    entries.into_iter().flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

/// The commit that is built, with a mark if the tree differs from it; nothing outside a repository.
fn revision(root: &Path) -> Option<String> {
    let git = |args: &[&str]| {
        let output = Command::new("git").args(args).current_dir(root).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    // Only if this very directory is the repository, not some other one above it.
    let head = root.join(".git/HEAD");
    if !head.exists() {
        return None;
    }
    println!("cargo::rerun-if-changed={}", head.display());
    println!("cargo::rerun-if-changed={}", root.join(".git/logs/HEAD").display());
    let commit = git(&["rev-parse", "--short=10", "HEAD"])?;
    let dirty =
        git(&["status", "--porcelain", "--untracked-files=no"]).is_some_and(|status| !status.is_empty());
    Some(format!(" ({commit}{})", if dirty { ", modified" } else { "" }))
}
