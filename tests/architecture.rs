//! The bands of the house: a module imports only from lower bands, or from modules above it in its own band.
//! Read off the `mod` lines of `src/lib.rs`, whose order is the order of the bands, and the `use` lines of all
//! files.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Every source file below `dir`.
fn sources(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    entries
        .flat_map(|path| match path.is_dir() {
            true => sources(&path),
            false => vec![path],
        })
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .collect()
}

/// The modules in the order of `lib.rs`, with the number of their band.
fn bands(lib: &str) -> BTreeMap<String, (usize, usize)> {
    let mut bands = BTreeMap::new();
    let (mut band, mut open) = (0, false);
    for line in lib.lines() {
        if let Some(name) = line.strip_prefix("mod ").and_then(|rest| rest.strip_suffix(';')) {
            let place = bands.len();
            bands.insert(name.to_owned(), (band, place));
            open = true;
        } else if line.is_empty() && open {
            (band, open) = (band + 1, false);
        }
    }
    bands
}

/// The top-level modules that `text` refers to by `crate::`, outside of its tests.
fn imports(text: &str) -> Vec<String> {
    let code = text.split("#[cfg(test)]").next().unwrap();
    let name = |rest: &str| rest.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap().to_owned();
    code.lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .flat_map(|line| line.split("crate::").skip(1).map(name).collect::<Vec<_>>())
        .collect()
}

#[test]
fn no_import_runs_up_a_band() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let bands = bands(&fs::read_to_string(src.join("lib.rs")).unwrap());
    assert!(bands["app"].0 > bands["service"].0 && bands["service"].0 > bands["record"].0);
    // The two of the top band belong together: the verbs end in errors, of which one is made of findings.
    let exempt = [("app", "error"), ("error", "app")];

    let mut checked = 0;
    for file in sources(&src) {
        let module = file.strip_prefix(&src).unwrap().iter().next().unwrap().to_str().unwrap();
        let module = module.trim_end_matches(".rs");
        if matches!(module, "lib" | "main") {
            continue;
        }
        let here = bands[module];
        for import in imports(&fs::read_to_string(&file).unwrap()) {
            let Some(&there) = bands.get(&import) else { continue };
            let fine = there.0 < here.0 || (there.0 == here.0 && there.1 <= here.1);
            let fine = fine || exempt.contains(&(module, import.as_str()));
            assert!(fine, "{} imports `{import}`, which stands above it", file.display());
            checked += 1;
        }
    }
    assert!(checked > 50, "{checked} imports checked");
}

#[test]
fn an_import_that_runs_up_would_be_found() {
    let bands = bands("mod low;\n\n// More.\nmod high;\nmod higher;\n");
    assert_eq!((bands["low"].0, bands["high"].0, bands["higher"].0), (0, 1, 1));
    assert_eq!(imports("use crate::high::X;\n// crate::not\nfn f() { crate::low::y() }"), ["high", "low"]);
}

#[test]
fn unsafe_code_and_system_selection_stay_in_the_platform_crate() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    assert!(fs::read_to_string(src.join("lib.rs")).unwrap().contains("#![forbid(unsafe_code)]"));
    for file in sources(&src) {
        let text = fs::read_to_string(&file).unwrap();
        assert!(!text.contains("target_os"), "{} selects an operating system", file.display());
    }
}
