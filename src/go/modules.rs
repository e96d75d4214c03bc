//! Which modules a program takes from the disk, read without the go command: that says nothing at all while one of
//! their files is broken, and nothing of a module from which no package is found.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::config::init::gomod;
use crate::graph::Module;

/// The modules of the workspace that begins in `dir`, otherwise that of `dir` itself, and those that replace others
/// by a directory (<https://go.dev/ref/mod#go-mod-file-replace>). They need not exist.
pub fn modules(dir: &Path) -> Vec<Module> {
    let module = |path: String, dir: PathBuf| Module { path, go_mod: dir.join("go.mod"), dir };
    let work = fs::read_to_string(dir.join("go.work"));
    let mains = match &work {
        Ok(text) => gomod::uses(text).iter().map(|used| clean(&dir.join(used))).collect(),
        Err(_) => vec![dir.to_owned()],
    };
    let mut found = Vec::new();
    let mut replacing = vec![(dir.to_owned(), work.unwrap_or_default())];
    for dir in mains {
        // What cannot be read has no path yet.
        let text = fs::read_to_string(dir.join("go.mod")).unwrap_or_default();
        found.push(module(gomod::module_path(&text), dir.clone()));
        replacing.push((dir, text));
    }
    for (dir, text) in &replacing {
        found.extend(replaced(text).map(|(path, by)| module(path, clean(&dir.join(by)))));
    }
    found
}

/// The files that say which modules there are, for what is listed in `dir`.
pub fn files(dir: &Path) -> BTreeSet<PathBuf> {
    let modules = modules(dir);
    let files =
        modules.iter().flat_map(|module| [module.go_mod.clone(), module.go_mod.with_extension("sum")]);
    files.chain([dir.join("go.work")]).collect()
}

/// The paths of modules and the directories that replace them.
fn replaced(text: &str) -> impl Iterator<Item = (String, &str)> {
    let quotes: &[char] = &['"', '`'];
    text.lines().filter_map(move |line| {
        let (left, right) = line.split("//").next()?.split_once("=>")?;
        let path = left.split_whitespace().find(|&word| word != "replace")?;
        let dir = right.trim().trim_matches(quotes);
        let is_dir = ["./", "../", "/"].iter().any(|start| dir.starts_with(start)) || dir == "..";
        is_dir.then(|| (path.trim_matches(quotes).to_owned(), dir))
    })
}

/// `path` without links and `..`, also where it ends in what is not there.
fn clean(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| match (path.parent(), path.file_name()) {
        (Some(parent), Some(name)) => clean(parent).join(name),
        _ => path.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_are_found_by_what_names_them() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        fs::create_dir_all(root.join("work/app")).unwrap();
        fs::write(root.join("work/go.work"), "go 1.21\nuse (\n\t./app // one\n\t./new\n)\n").unwrap();
        let app = "module example.com/app\nreplace (\n\tx.org/a => ../../a // here\n\tx.org/b v1.0.0 => x.org/c v1.0.0\n)\n";
        fs::write(root.join("work/app/go.mod"), app).unwrap();
        let found = |dir: &str| {
            let modules = modules(&root.join(dir)).into_iter();
            let short =
                modules.map(|at| format!("{}:{}", at.path, at.dir.strip_prefix(&root).unwrap().display()));
            short.collect::<Vec<_>>().join(" ")
        };
        assert_eq!(found("work"), "example.com/app:work/app :work/new x.org/a:a");
        assert_eq!(found("work/app"), "example.com/app:work/app x.org/a:a");
        assert_eq!(found("nothing"), ":nothing");
        assert!(files(&root.join("work")).contains(&root.join("work/new/go.mod")));
    }
}
