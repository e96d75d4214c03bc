//! Gives every build of the same sources the same name, by which the two ends of a line know each other.

use std::path::Path;
use std::{env, fs};

include!("sources.rs");

fn main() {
    let root = env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it");
    let sources = Path::new(&root).join("src");
    println!("cargo::rerun-if-changed={}", sources.display());
    println!("cargo::rustc-env=HELPER_BUILD={}", build_name(&sources));
}
